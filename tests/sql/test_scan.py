"""Calls, variables and names, from tokens alone."""

from __future__ import annotations

import pytest

from router.sql.classify import classify_tokens
from router.sql.lexer import LexMode, tokenize
from router.sql.scan import Scan, name_of, scan

PLAIN = LexMode()


def look(sql: str, mode: LexMode = PLAIN) -> Scan:
    raw = sql.encode()
    tokens = tokenize(raw, mode)
    return scan(raw, tokens, mode, classify_tokens(tokens).kind)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*), max(a), Now() FROM t",
        "SELECT ABS (1)",
        "SELECT * FROM t WHERE a IN (1) AND (b) OR (c) XOR (d) AND NOT (e)",
        "SELECT * FROM t JOIN u USING (id) JOIN v ON (v.a=t.a)",
        "SELECT * FROM t USE INDEX (a) IGNORE INDEX FOR JOIN (b) FORCE KEY FOR ORDER BY (c)",
        "SELECT * FROM t PARTITION (p0, p1)",
        "WITH a (x, y) AS (SELECT 1, 2), b (z) AS (SELECT 3) SELECT * FROM a, b",
        "WITH RECURSIVE `a` (x) AS (SELECT 1) SELECT * FROM a",
        "SELECT * FROM (SELECT 1, 2) AS d (a, b)",
        "SELECT * FROM (SELECT 1, 2) d (a, b)",
        "SELECT CAST(a AS DECIMAL(10,2)), CONVERT(a, DECIMAL(5)), CONVERT(b, DATETIME(6)), CAST(c AS CHAR(10))",
        "SELECT * FROM JSON_TABLE(x, '$' COLUMNS (a VARCHAR(9) PATH '$', NESTED PATH '$' COLUMNS (b BIT(5) PATH '')))",
        "SELECT ROW_NUMBER() OVER (PARTITION BY a), SUM(x) OVER w FROM t WINDOW w AS (ORDER BY a)",
        "SELECT FIRST_VALUE(a) IGNORE NULLS OVER (ORDER BY b) FROM t",
        "SELECT MATCH(a) AGAINST ('x')",
        "SELECT 1 = ANY (SELECT 1), 1 <> SOME (SELECT 1), 1 > ALL (SELECT 1)",
        "SELECT 1 MEMBER OF ('[1]')",
        "SELECT * FROM t, LATERAL (SELECT 1) x",
        "SELECT 1 EXCEPT (SELECT 2) INTERSECT (SELECT 3)",
        "SELECT CASE (a) WHEN (1) THEN (2) ELSE (3) END",
        "SELECT DISTINCT (a), INTERVAL(1, 2), a DIV (2), a MOD (3)",
        "INSERT INTO t (a, b) VALUES (1, 2), (DEFAULT(a), 3)",
        "INSERT INTO db.t (a) VALUES (1) ON DUPLICATE KEY UPDATE a=VALUES(a)",
        "INSERT LOW_PRIORITY IGNORE INTO `t` (a) SELECT 1",
        "INSERT INTO t PARTITION (p0) (a) VALUES (1)",
        "INSERT INTO t VALUE (1)",
        "INSERT INTO t (a) VALUES (1) AS new(m) ON DUPLICATE KEY UPDATE a=m",
        "REPLACE db.t (a) VALUES (1)",
        "UPDATE t SET a = (SELECT 1), b = CONCAT(a, 'x')",
        "DELETE FROM t PARTITION (p0) WHERE a IN (1)",
        "CREATE TABLE t (a INT, KEY k (a), CHECK (f(a) > 1))",
        "CREATE INDEX i ON t (a)",
        "SELECT get_lock FROM t",
    ],
)
def test_no_unknown_calls(sql: str) -> None:
    found = look(sql)
    assert found.unknown_calls == []
    assert found.pins == set()


@pytest.mark.parametrize(
    ("sql", "call"),
    [
        ("SELECT f(1)", "f"),
        ("SELECT F(1)", "f"),
        ("SELECT f (1)", "f"),
        ("SELECT f/**/(1)", "f"),
        ("SELECT 1+f(1)", "f"),
        ("SELECT db.f(1)", "db.f"),
        ("SELECT db . count(1)", "db.count"),
        ("SELECT `f`(1)", "`f`"),
        ("SELECT `count`(1)", "`count`"),
        ("SELECT `abs`(1)", "`abs`"),
        ("SELECT count (1)", "count (with a space before the parenthesis)"),
        ("SELECT now ()", "now (with a space before the parenthesis)"),
        ("SELECT sum/**/(1)", "sum (with a space before the parenthesis)"),
        ("SELECT ANY(1)", "any"),
        ("SELECT a = ANY(1)", "any"),
        ("SELECT OVER(1)", "over"),
        ("SELECT LATERAL(1)", "lateral"),
        ("SELECT COLUMNS(1)", "columns"),
        ("SELECT VALUE(1)", "value"),
        ("SELECT OF(1)", "of"),
        ("SELECT 1 AS a, f(1)", "f"),
        ("SELECT a, f(x, y) FROM t", "f"),
        ("SELECT a FROM t ORDER BY f(a)", "f"),
        ("SELECT a FROM t WHERE b IN (f(1))", "f"),
        ("SELECT (SELECT f(1))", "f"),
        ("WITH a AS (SELECT f(1)) SELECT * FROM a", "f"),
        ("SELECT ABS(f(1))", "f"),
        ("SELECT LOAD_FILES('x')", "load_files"),
        ("INSERT INTO t VALUES (f(1))", "f"),
        ("INSERT INTO t (a) VALUES (1), (f(1))", "f"),
        ("INSERT INTO t SET a=f(1)", "f"),
        ("INSERT INTO t (a) SELECT f(1)", "f"),
        ("INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a=f(1)", "f"),
        ("UPDATE t SET a=db.f(1)", "db.f"),
        ("DELETE FROM t WHERE f(a)", "f"),
        ("DO f(1)", "f"),
        ("SET @a = f(1)", "f"),
        ("SHOW TABLES WHERE f(1)", "f"),
        ("CREATE TABLE t AS SELECT f(1)", "f"),
    ],
)
def test_unknown_calls(sql: str, call: str) -> None:
    assert look(sql).unknown_calls[:1] == [call]


def test_ignore_space_makes_spaced_calls_built_in() -> None:
    assert look("SELECT count (*)", LexMode(ignore_space=True)).unknown_calls == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT GET_LOCK('a', 1)",
        "SELECT get_lock ('a', 1)",
        "SELECT `get_lock`('a', 1)",
        "SELECT IF(1, GET_LOCK('a', 1), 2)",
        "DO GET_LOCK('a', 1)",
        "SET @x = GET_LOCK('a', 1)",
        "INSERT INTO t VALUES (GET_LOCK('a', 1))",
        "SELECT service_get_write_locks('a', 'b', 1)",
        "CREATE TABLE t AS SELECT GET_LOCK('a', 1)",
        "CREATE TABLE t (a INT DEFAULT (GET_LOCK('a', 1)))",
        "SELECT (1) GET_LOCK('a', 1)",
    ],
)
def test_named_locks_pin_wherever_they_stand(sql: str) -> None:
    assert {pin.value for pin in look(sql).pins} == {"named_lock"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT LAST_INSERT_ID()", "SELECT last_insert_id ( )", "SELECT `LAST_INSERT_ID`()", "SELECT LAST_INSERT_ID(5)",
        "INSERT INTO t VALUES (LAST_INSERT_ID())", "UPDATE t SET a = LAST_INSERT_ID(a+1)", "SELECT ROW_COUNT()",
        "SELECT FOUND_ROWS()", "SELECT @@warning_count", "SELECT @@error_count", "SELECT @@identity",
        "SELECT @@session.last_insert_id", "SELECT @@last_gtid", "SELECT @@`identity`", "SET @a = @@warning_count",
        "SELECT @@session . identity", "DO LAST_INSERT_ID()", "CALL p(LAST_INSERT_ID())",
    ],
)  # fmt: skip
def test_looking_back(sql: str) -> None:
    assert look(sql).looks_back is not None


@pytest.mark.parametrize(
    ("sql", "variables"),
    [
        ("SELECT @@sql_mode, @@autocommit, @@SESSION.time_zone, @@local.tx_isolation", []),
        ("SELECT @@`sql_mode`", []),
        ("SELECT @@hostname", ["@@hostname"]),
        ("SELECT @@global.sql_mode", ["@@global.sql_mode"]),
        ("SELECT @@GLOBAL . read_only", ["@@global.read_only"]),
        ("SELECT @@session.unheard_of", ["@@session.unheard_of"]),
        ("SELECT @@version_comment LIMIT 1", ["@@version_comment"]),
        ("SELECT @@hot.key_buffer_size", ["@@hot.key_buffer_size"]),
        ("SELECT @@global.hot.key_buffer_size", ["@@global.hot.key_buffer_size"]),
        ("SELECT @@", ["@@"]),
    ],
)
def test_variables_of_servers(sql: str, variables: list[str]) -> None:
    assert look(sql).server_variables == variables


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT a.b FROM c.d", {"a", "c"}),
        ("SELECT `a`.`b`.`c`", {"a"}),
        ("SELECT A.b", {"A"}),
        ("SELECT `x.y`.b", {"x.y"}),
        ("SELECT 1.5, 'a.b', @a.b, @@session.x", set()),
        ("SELECT a . b, c.*", {"a", "c"}),
        ("GRANT ALL ON shop.* TO u", {"shop"}),
        ("CREATE TRIGGER x.tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = OLD.a", {"x"}),
        ("CALL db.p()", {"db"}),
        ("SELECT db.f()", {"db"}),
        ("SELECT größe.x", {"größe"}),
    ],
)
def test_qualifiers(sql: str, names: set[str]) -> None:
    assert look(sql).qualifiers == names


def test_double_quoted_names_under_ansi_quotes() -> None:
    assert look('SELECT * FROM "my db"."t"', LexMode(ansi_quotes=True)).qualifiers == {"my db"}
    assert look('SELECT * FROM "my db"."t"').qualifiers == set()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT $$ x $$ FROM t",
        "SELECT $tag$ x",
        "SELECT a\u00a0FOR\u00a0UPDATE FROM t",
        "SELECT * FROM t\u00a0FOR UPDATE",
    ],
)
def test_words_that_may_be_something_else(sql: str) -> None:
    assert look(sql).invalid is not None


@pytest.mark.parametrize("sql", ["SELECT $$", "SELECT $a, a$b$ FROM t", "SELECT größe, año, 你好 FROM straße"])
def test_words_that_are_not(sql: str) -> None:
    assert look(sql).invalid is None


def test_names_lose_their_quotes() -> None:
    sql = b"`a``b` c"
    tokens = tokenize(sql, PLAIN)
    assert [name_of(sql, token) for token in tokens] == ["a`b", "c"]
    latin1 = b"\xe9t\xe9"
    assert name_of(latin1, tokenize(latin1, PLAIN)[0]) == "été"
