"""The parser's part: what it is shown, and what its trees say."""

from __future__ import annotations

import logging

import pytest
from sqlglot import exp

from router.sql.classify import classify_tokens
from router.sql.facts import StatementKind, TableRef
from router.sql.lexer import LexMode, tokenize, tokens_of
from router.sql.tree import MAX_PENDING_JOINS, Tree, parse, parse_marked, rebuild, token_of

ANSI = LexMode(ansi_quotes=True)


def rebuilt(sql: bytes, mode: LexMode | None = None) -> str | None:
    tokens = tokenize(sql, mode or LexMode())
    return rebuild(sql, tokens, classify_tokens(tokens).kind)


def tree(sql: bytes) -> Tree | None:
    tokens = tokenize(sql, LexMode())
    return parse(sql, tokens, classify_tokens(tokens).kind)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (b"SELECT 'it''s', 5, ?, @@x, @y", "SELECT '$' , 1 , ? , 1 , @v"),
        (b"SELECT _utf8'x', N'y', x'41', {d 'z'}", "SELECT '$' , '$' , '$' , '$'"),
        (b"SELECT \\N", "SELECT NULL"),
        (b"REPLACE LOW_PRIORITY INTO t VALUE (1)", "INSERT INTO t VALUES ( 1 )"),
        (b"INSERT IGNORE INTO t VALUES (1)", "INSERT INTO t VALUES ( 1 )"),
        (b"DELETE QUICK FROM t", "DELETE FROM t"),
        (b"SELECT STRAIGHT_JOIN 1 FROM a STRAIGHT_JOIN b", "SELECT 1 FROM a CROSS JOIN b"),
        (b"SELECT 1 FROM a INNER JOIN b ON a.x", "SELECT 1 FROM a CROSS JOIN b ON a . x"),
        (b"SELECT 1 FROM a NATURAL LEFT JOIN b", "SELECT 1 FROM a NATURAL LEFT JOIN b"),
        (b"SELECT value FROM t", "SELECT value FROM t"),
        (b"SELECT t.join FROM t", "SELECT t . `JOIN` FROM t"),
        (b"SELECT `a``b`", "SELECT `a``b`"),
        ("SELECT größe".encode(), "SELECT größe"),
        (b"SELECT \xe9", "SELECT é"),
    ],
)
def test_what_the_parser_is_shown(sql: bytes, text: str) -> None:
    assert rebuilt(sql) == text


def test_names_in_double_quotes_get_backticks() -> None:
    assert rebuilt(b'SELECT "a""b`c"', ANSI) == 'SELECT `a"b``c`'


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT " + b"(" * 201 + b"1" + b")" * 201,
        b"SELECT " + b"CASE WHEN 1 THEN " * 201 + b"1" + b" END" * 201,
        b"SELECT * FROM t" + b" LEFT JOIN t" * (MAX_PENDING_JOINS + 1),
        b"SELECT 1" + b",a" * 10_001,
    ],
)
def test_what_it_is_spared(sql: bytes) -> None:
    assert rebuilt(sql) is None
    assert tree(sql) is None


def test_what_it_is_not_spared() -> None:
    assert rebuilt(b"SELECT " + b"(" * 199 + b"1" + b")" * 199) is not None
    assert rebuilt(b"SELECT * FROM t" + b" LEFT JOIN t ON 1" * 50) is not None


def test_tables_and_names() -> None:
    found = tree(b"SELECT a.x FROM db.t AS a JOIN u")
    assert found == Tree((TableRef("db", "t"), TableRef(None, "u")), frozenset({"a", "t", "u"}), None)


@pytest.mark.parametrize("sql", [b"DELETE FROM t", b"INSERT INTO t VALUES (1)", b"CREATE TABLE t (a INT)"])
def test_a_write_is_a_problem(sql: bytes) -> None:
    found = tree(sql)
    assert found is not None
    assert found.problem is not None


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        (b"SELECT * FROM t FOR UPDATE", "Lock"),
        (b"SELECT a INTO x FROM t", "Into"),
        (b"SELECT f(1)", "f()"),
        (b"SELECT * FROM 't'", "a string for a table"),
        (b"SELECT :name", None),
    ],
)
def test_trees_are_a_second_barrier(sql: bytes, problem: str | None) -> None:
    found = tree(sql)
    assert found is not None
    assert found.problem == problem


@pytest.mark.parametrize(
    "sql", [b"SELECT FROM WHERE", b"SELECT 1 1 1", b"SHUTDOWN", b"SAVEPOINT x", b"CREATE INDEX i ON t (a(1))", b""]
)
def test_what_it_does_not_know_is_none(sql: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert tree(sql) is None
    assert caplog.records == []


@pytest.mark.parametrize(
    ("sql", "wanted", "token"),
    [
        ("SELECT a, COUNT(*) FROM t WHERE 'COUNT' = `COUNT` GROUP BY a", exp.Count, 3),
        ("SELECT 'a', COUNT(a), b FROM t", exp.Literal, 1),
        ("SELECT a FROM `t` WHERE ? + a > 1", exp.Add, 5),
        ("SELECT ä, ö FROM t WHERE ö LIKE 'x'", exp.Like, 7),
        ("INSERT LOW_PRIORITY INTO t (a) SELECT b FROM u", exp.Select, 8),
    ],
)
def test_where_a_node_stands(sql: str, wanted: type[exp.Expr], token: int) -> None:
    text = sql.encode()
    tokens = tokens_of(text, LexMode())
    kind = StatementKind.INSERT if sql.startswith("INSERT") else StatementKind.SELECT
    root = parse_marked(text, tokens, kind)
    assert root is not None
    node = next(root.find_all(wanted))
    assert token_of(node, text, tokens, kind) == token


def test_where_nothing_stands() -> None:
    assert token_of(None, b"SELECT 1", tokens_of(b"SELECT 1", LexMode()), StatementKind.SELECT) is None
