"""Fuzz target: any bytes, in any lexical mode, through lexer, fingerprint, analysis and planner.

Nothing may raise or hang, equal keys must have equal digests, and splitting hairs must not make a write a read::

    pip install atheris && python -m tests.fuzz.fuzz_lexer -max_total_time=60 corpus/

Without atheris the module still imports; ``check`` is what the tests call.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from router.sql.analyze import analyze
from router.sql.facts import StatementKind
from router.sql.fingerprint import digest_text, fingerprinter, literals, shrink
from router.sql.lexer import LexMode, tokenize

CHARSETS = (None, "gbk", "sjis", "cp932", "big5", "gb18030", "unheard-of")


def check(data: bytes) -> None:
    """One input: the first byte chooses the mode, the rest is the statement."""
    choice, sql = (data[0], data[1:]) if data else (0, b"")
    mode = LexMode(bool(choice & 1), bool(choice & 2), CHARSETS[(choice >> 3) % len(CHARSETS)], bool(choice & 4))
    end = 0
    for token in tokenize(sql, mode):
        assert end <= token.start <= token.end <= len(sql)
        end = token.end
    key = fingerprinter(mode)(sql)
    assert len(literals(sql, mode)) <= len(key)
    digest_text(sql, mode)
    shrink(sql, mode)
    facts = analyze(sql, mode)
    if facts.read:
        assert facts.kind in (StatementKind.SELECT, StatementKind.EXPLAIN)
        assert not facts.pins
        assert not facts.looks_back
        assert not facts.has_versioned_comment
        # A comment in front and a semicolon behind change nothing.
        assert analyze(b"/* c */ " + sql + b"\n;", mode).read


def main() -> None:
    """Run atheris."""
    atheris: Any = importlib.import_module("atheris")
    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: pip install atheris")
    main()
