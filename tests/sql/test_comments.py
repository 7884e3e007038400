"""Which comments are no part of a statement's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.sql.comments import TAIL, idle_end, last_comment
from router.sql.fingerprint import fingerprinter
from router.sql.lexer import LexMode, tokenize

COMMENT = "/*route='%2Fcart',n='7'*/"


def idle(text: bytes, mode: LexMode | None = None) -> int:
    return idle_end(text, fingerprinter(mode or LexMode())(text))


def test_the_comment_at_the_end() -> None:
    for sql in ("SELECT 1", "SELECT 'a' FROM t WHERE id = 1 ", "SELECT `/*` FROM t", "SELECT '/*' /* x */"):
        for behind in ("", ";", " ;\n"):
            text = (sql + COMMENT + behind).encode()
            assert last_comment(text) == COMMENT[1:].encode()
            assert text[: len(text) - idle(text)] == sql.encode()


@pytest.mark.parametrize(
    "comment",
    ["/*! + 1 */", "/*M! + 1 */", "/*+ router(primary) */", "/*+ MAX_EXECUTION_TIME(5) */", f"/*! /* */ {COMMENT}"],
)
def test_what_means_something_stays(comment: str) -> None:
    assert idle(f"SELECT 1 {comment}".encode()) == 0


def test_what_is_too_long_stays() -> None:
    assert idle(b"SELECT 1 /*" + b"x" * TAIL + b"*/") == 0


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT '{COMMENT}",
        f"SELECT 1 /* {COMMENT}",
        f"SELECT 1 /*! + 1 {COMMENT}",
        f"SELECT 1 -- {COMMENT}",
        f"SELECT 1 # {COMMENT}",
        f"SELECT `a {COMMENT}",
        f"SELECT 1 {COMMENT[:-2]} */",
        "SELECT 1",
        "",
    ],
)
def test_only_what_is_nothing_but_a_comment_is_left_out(sql: str) -> None:
    text = sql.encode()
    cut = idle(text)
    assert cut == (len(COMMENT) + 1 if sql.endswith(" */") else 0)


PIECES = ["'", '"', "`", "/*", "*/", "/*!", "/*+", "-- ", "#", "\n", "a", "1", " ", ";", "\\", "x'", COMMENT]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.booleans(), st.booleans())
def test_without_it_the_statement_is_the_same(pieces: list[str], ansi: bool, plain: bool) -> None:
    mode = LexMode(ansi_quotes=ansi, no_backslash_escapes=plain)
    text = "".join(pieces).encode()
    cut = idle(text, mode)
    if cut:
        here, there = tokenize(text[:-cut], mode), tokenize(text, mode)
        assert there[: len(here)] == here
        assert [token.text for token in there[len(here) :]] in ([], [";"])
