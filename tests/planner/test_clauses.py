"""Clauses are found by their tokens, whatever stands in literals, comments and parentheses."""

from __future__ import annotations

import pytest

from router.planner.clauses import (
    Clauses,
    Instead,
    Span,
    branches_of,
    calls,
    clauses_of,
    items_of,
    parameters,
    render,
    unnamed,
)
from router.sql.lexer import LexMode, tokens_of


def parts(sql: str) -> dict[str, str | list[str]]:
    tokens = tokens_of(sql.encode(), LexMode())
    found = clauses_of(tokens, Span(0, len(tokens)))

    def text(span: Span) -> str:
        return render((span,), sql.encode(), tokens).decode()

    values = {name: getattr(found, name) for name in Clauses.__slots__}
    shown = {name: text(each) if isinstance(each, Span) else list(map(text, each)) for name, each in values.items()}
    return {name: each for name, each in shown.items() if each}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT DISTINCT a, f(b, c) AS d FROM t JOIN u USING (a) WHERE e GROUP BY a, b HAVING c > 1 "
            "ORDER BY a DESC, f(b, c) LIMIT 5, 6;",
            {
                "head": "SELECT DISTINCT a, f(b, c) AS d",
                "items": ["a", "f(b, c) AS d"],
                "body": "FROM t JOIN u USING (a) WHERE e",
                "group": "GROUP BY a, b",
                "groups": ["a", "b"],
                "having": "HAVING c > 1",
                "order": "ORDER BY a DESC, f(b, c)",
                "orders": ["a", "f(b, c)"],
                "limit": "LIMIT 5, 6",
            },
        ),
        (
            "WITH x AS (SELECT 1 FROM y LIMIT 2) SELECT a FROM t WHERE b IN (SELECT c FROM d GROUP BY c LIMIT 1)",
            {
                "head": "WITH x AS (SELECT 1 FROM y LIMIT 2) SELECT a",
                "items": ["a"],
                "body": "FROM t WHERE b IN (SELECT c FROM d GROUP BY c LIMIT 1)",
            },
        ),
        (
            "SELECT 'FROM', `order`, t.limit, EXTRACT(YEAR FROM d) FROM t -- HAVING\n WINDOW w AS (ORDER BY a) LIMIT 5",
            {
                "head": "SELECT 'FROM', `order`, t.limit, EXTRACT(YEAR FROM d)",
                "items": ["'FROM'", "`order`", "t.limit", "EXTRACT(YEAR FROM d)"],
                "body": "FROM t",
                "rest": "WINDOW w AS (ORDER BY a)",
                "limit": "LIMIT 5",
            },
        ),
    ],
)
def test_clauses(sql: str, expected: dict[str, object]) -> None:
    assert parts(sql) == expected


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT a FROM t ORDER BY b GROUP BY c", "VALUES ROW(1)"])
def test_what_is_no_select_from(sql: str) -> None:
    with pytest.raises(LookupError):
        parts(sql)


def test_calls_and_names() -> None:
    sql = b"SELECT ROUND(AVG(a + 1), 2) + COUNT(DISTINCT b, c) AS n, count (*) k, SUM(MIN) FROM t"
    tokens = tokens_of(sql, LexMode())
    items = clauses_of(tokens, Span(0, len(tokens))).items
    found = [call for item in items for call in calls(tokens, item)]
    assert [(call.name, render((call.whole,), sql, tokens)) for call in found] == [
        ("AVG", b"AVG(a + 1)"),
        ("COUNT", b"COUNT(DISTINCT b, c)"),
        ("COUNT", b"count (*)"),
        ("SUM", b"SUM(MIN)"),
    ]
    assert [render((call.argument,), sql, tokens) for call in found] == [b"a + 1", b"b, c", b"*", b"MIN"]
    assert render((unnamed(tokens, items[0], named=True),), sql, tokens).endswith(b"c)")
    assert render((unnamed(tokens, items[1], named=True),), sql, tokens) == b"count (*)"
    assert render((unnamed(tokens, items[2], named=False),), sql, tokens) == b"SUM(MIN)"


@pytest.mark.parametrize(
    ("inside", "argument", "orders", "separator"),
    [
        ("a", "a", [], None),
        ("DISTINCT a ORDER BY b DESC, c SEPARATOR ';'", "a", ["b", "c"], "';'"),
        ("a, ORDERS SEPARATOR ' ORDER BY '", "a, ORDERS", [], "' ORDER BY '"),
        ("f(a ORDER BY b) ORDER BY (SELECT 1 ORDER BY 2)", "f(a ORDER BY b)", ["(SELECT 1 ORDER BY 2)"], None),
    ],
)
def test_group_concat(inside: str, argument: str, orders: list[str], separator: str | None) -> None:
    sql = f"GROUP_CONCAT({inside})".encode()
    tokens = tokens_of(sql, LexMode())
    (call,) = calls(tokens, Span(0, len(tokens)))
    assert render((call.argument,), sql, tokens).decode() == argument
    assert [render((each,), sql, tokens).decode() for each in call.orders] == orders
    said = None if call.separator is None else render((call.separator,), sql, tokens).decode()
    assert said == separator


def test_parameters() -> None:
    tokens = tokens_of(b"? ? '?' ?", LexMode())
    assert list(parameters((Span(2, 4), "?", Span(0, 2)), tokens)) == [2, 0, 1]


def test_branches() -> None:
    sql = (
        b"SELECT a FROM t UNION ALL SELECT b FROM u WHERE c IN (SELECT 1 UNION SELECT 2) "
        b"UNION SELECT 3 ORDER BY 1 LIMIT 2"
    )
    tokens = tokens_of(sql, LexMode())
    found, end = branches_of(tokens, Span(0, len(tokens)))
    assert [render((each,), sql, tokens) for each in found] == [
        b"SELECT a FROM t",
        b"SELECT b FROM u WHERE c IN (SELECT 1 UNION SELECT 2)",
        b"SELECT 3",
    ]
    assert render((end,), sql, tokens) == b"ORDER BY 1 LIMIT 2"


def test_branches_in_parentheses() -> None:
    sql = b"(SELECT a FROM t ORDER BY (1)) UNION (SELECT b FROM u) LIMIT 3"
    tokens = tokens_of(sql, LexMode())
    found, end = branches_of(tokens, Span(0, len(tokens)))
    assert [render((each,), sql, tokens) for each in found] == [b"SELECT a FROM t ORDER BY (1)", b"SELECT b FROM u"]
    assert render((end,), sql, tokens) == b"LIMIT 3"


@pytest.mark.parametrize("sql", ["SELECT 1 LIMIT 1 UNION SELECT 2", "(SELECT 1) x UNION SELECT 2"])
def test_branches_that_are_not_plain(sql: str) -> None:
    tokens = tokens_of(sql.encode(), LexMode())
    with pytest.raises(LookupError):
        branches_of(tokens, Span(0, len(tokens)))


def test_texts_stand_for_tokens() -> None:
    sql = b"SELECT a, ( SELECT ? ) FROM t WHERE b = ?"
    tokens = tokens_of(sql, LexMode())
    given = [Instead(Span(3, 7), b"(5)")]
    assert [tokens[3].text, tokens[6].text] == ["(", ")"]
    template = (Span(0, 7), "/* x */", Span(7, len(tokens)))
    assert render(template, sql, tokens, given) == b"SELECT a, (5) /* x */ FROM t WHERE b = ?"
    assert list(parameters(template, tokens, given)) == [1]
    assert list(parameters(template, tokens)) == [0, 1]


def test_items_of_a_select_without_tables() -> None:
    tokens = tokens_of(b"SELECT DISTINCT f(1, 2) AS a, (SELECT 1 FROM t) LIMIT 1", LexMode())
    assert [tokens[span.first].text for span in items_of(tokens, Span(0, len(tokens)))] == ["F", "("]
