"""Rows of an INSERT by its tokens."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.sql.inserts import rows_of
from router.sql.lexer import LexMode, tokens_of

MODE = LexMode()


def rows(sql: str) -> list[list[str]] | None:
    """The values of each row as they are written."""
    text = sql.encode()
    tokens = tokens_of(text, MODE)
    found = rows_of(tokens)
    if found is None:
        return None
    return [
        [text[tokens[start].start : tokens[end - 1].end].decode() if end > start else "" for start, end in row]
        for row in found.rows
    ]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", [["1", "'a'"], ["2", "'b'"]]),
        ("insert t values(1)", [["1"]]),
        ("INSERT LOW_PRIORITY IGNORE INTO `t` (a, `b c`) VALUE (1, f(2, (3)))", [["1", "f(2, (3))"]]),
        ("REPLACE DELAYED db.t (a) VALUES (1), (DEFAULT)", [["1"], ["DEFAULT"]]),
        ("INSERT INTO t PARTITION (p0, p1) (a) VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a), b = (2)", [["1"]]),
        ("INSERT INTO t () VALUES (), ()", [[], []]),
        ("INSERT INTO t VALUES (1,)", [["1", ""]]),
        ("INSERT INTO t VALUES ('),('), (\")\")", [["'),('"], ['")"']]),
        ("INSERT INTO t VALUES (/* ), ( */ 1) -- , (2)", [["1"]]),
        ("INSERT INTO t VALUES (1) AS new (a) ON DUPLICATE KEY UPDATE a = new.a", [["1"]]),
        ("INSERT INTO t VALUES (1), (2) RETURNING a;", [["1"], ["2"]]),
        ("INSERT INTO value VALUES (1)", [["1"]]),
        (
            "INSERT INTO t SET a = 1, t.b = (2 = 3), c = f(4, 5) ON DUPLICATE KEY UPDATE a = 7",
            [["1", "(2 = 3)", "f(4, 5)"]],
        ),
        ("INSERT INTO t SELECT 1", None),
        ("INSERT INTO t (SELECT 1)", None),
        ("INSERT INTO t (a) SELECT b FROM u", None),
        ("INSERT INTO t ((SELECT 1))", None),
        ("INSERT INTO t TABLE u", None),
        ("INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x", None),
        ("INSERT INTO t VALUES ROW(1)", None),
        ("INSERT INTO t VALUES (1, (2)", None),
        ("INSERT INTO t SET", None),
        ("INSERT", None),
    ],
)
def test_rows(sql: str, expected: list[list[str]] | None) -> None:
    assert rows(sql) == expected


@given(
    st.lists(
        st.sampled_from(["INSERT", "INTO", "t", "VALUES", "SET", "(", ")", ",", "=", "1", "'x'", "AS"]), max_size=20
    )
)
def test_any_tokens(words: list[str]) -> None:
    tokens = tokens_of(" ".join(["INSERT", *words]).encode(), MODE)
    found = rows_of(tokens)
    if found is not None:
        first, rest = found.whole
        assert (found.spans[0][0], found.spans[-1][1]) == (first, rest)
        assert all(one[1] <= other[0] for one, other in pairwise(found.spans))
        assert len(found.rows) == len(found.spans)
