"""Tests of ProxySQL's patterns as ours."""

from __future__ import annotations

import re

import pytest

from router.importing.draft import Place
from router.importing.patterns import Usual, digest_of, regex_of, usual
from router.importing.tables import Row


def rule(**values: str) -> Row:
    return Row(Place("x", 1), dict(values))


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("^SELECT .* FOR UPDATE$", Usual.LOCKING),
        ("^SELECT.*FOR UPDATE", Usual.LOCKING),
        ("(?i)^\\s*select\\s.*for\\s+update", Usual.LOCKING),
        ("^SELECT", Usual.READS),
        ("^select .*$", Usual.READS),
        ("^(SELECT)", Usual.READS),
        ("^(INSERT|UPDATE|DELETE)", Usual.WRITES),
        ("^INSERT", Usual.WRITES),
        (".*", Usual.ALL),
        ("^SELECT .* FROM big", None),
        ("SELECT", None),
        ("^SELECT|^SHOW", None),
        ("^(INSERT|SELECT)", None),
        ("", None),
    ],
)
def test_usual(pattern: str, kind: Usual | None) -> None:
    assert usual(rule(match_digest=pattern)) is kind
    assert usual(rule(match_pattern=pattern)) is kind
    assert usual(rule(match_digest=pattern, negate_match_pattern="1")) is None


@pytest.mark.parametrize(
    ("row", "yes", "no"),
    [
        (
            rule(match_digest="^SELECT .* FROM big$"),
            "  select a\n, b FROM  big".replace("\n", ""),
            "SELECT 1 FROM bigger",
        ),
        (rule(match_pattern="^SELECT .* FROM big"), "select a FROM big", " SELECT a FROM big"),
        (rule(match_digest="^DELETE", negate_match_pattern="1"), "UPDATE t", "delete from t"),
        (rule(match_pattern="x$", negate_match_pattern="1"), "a\nxy", "a\nx"),
        (rule(match_pattern="Big", re_modifiers=""), "Big", "big"),
        (rule(match_pattern="(?i)big", re_modifiers=""), "BIG", "bag"),
        (rule(match_digest=r"[ ^a]\ b"), "a b", "xb"),
        (rule(match_digest=r"a +b"), "a  b", "ab"),
    ],
)
def test_regex(row: Row, yes: str, no: str) -> None:
    found = re.compile(regex_of(row))
    assert found.search(yes)
    assert not found.search(no)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (rule(match_digest="a", match_pattern="b"), "in one rule"),
        (rule(match_digest=r"id = \?"), "write the statement"),
        (rule(match_pattern="[[:space:]]"), "something else"),
        (rule(match_pattern=r"\pL"), "something else"),
        (rule(match_pattern="(?U)a"), "something else"),
        (rule(match_pattern="(a"), "not a regular expression"),
        (rule(match_pattern="a(?i)b"), "not a regular expression"),
        (rule(match_pattern="[a--b]"), "not a regular expression"),
    ],
)
def test_patterns_that_python_reads_otherwise(row: Row, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        regex_of(row)


def test_a_digest_that_is_one_statement() -> None:
    assert digest_of(rule(match_digest=r"^SELECT c FROM t WHERE id=\?$")) == "SELECT c FROM t WHERE id=?"
    for pattern in ("^SELECT", "^SELECT c FROM t", "^SELECT .* FROM t$", "SELECT 1 FROM t$", r"^SELECT \d FROM t$"):
        assert digest_of(rule(match_digest=pattern)) is None
