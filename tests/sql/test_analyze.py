"""Default deny: what is a proven read, what never is, and why."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from router.sql.analyze import analyze
from router.sql.facts import Reason, StatementFacts, StatementKind
from router.sql.lexer import LexMode

PLAIN = LexMode()


def facts(sql: str, mode: LexMode = PLAIN) -> StatementFacts:
    return analyze(sql.encode(), mode)


READS = [
    "SELECT 1", "SELECT c FROM sbtest1 WHERE id=5043", "select c from t where id between 1 and 100 order by c",
    "SELECT DISTINCT c FROM t", "SELECT SUM(k) FROM t WHERE id BETWEEN 1 AND 2", "SELECT * FROM t LIMIT 5, 10",
    "SELECT a, COUNT(*) FROM t GROUP BY a HAVING COUNT(*) > 1", "SELECT 1 FROM DUAL", "(SELECT 1)", "((SELECT 1))",
    "(SELECT a FROM t LIMIT 1) UNION ALL (SELECT b FROM u) ORDER BY 1", "TABLE t", "TABLE t ORDER BY a LIMIT 1",
    "VALUES ROW(1, 2), ROW(3, 4)", "WITH c AS (SELECT 1) SELECT * FROM c",
    "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT * FROM c",
    "SELECT * FROM t USE INDEX (i) WHERE a = 1", "SELECT * FROM t PARTITION (p0)", "SELECT SQL_NO_CACHE a FROM t",
    "SELECT STRAIGHT_JOIN * FROM a, b", "SELECT * FROM a STRAIGHT_JOIN b", "SELECT HIGH_PRIORITY a FROM t",
    "SELECT SQL_SMALL_RESULT SQL_BIG_RESULT SQL_BUFFER_RESULT a FROM t",
    "SELECT /*+ MAX_EXECUTION_TIME(1000) */ a FROM t", "SELECT /*+ SET_VAR(sort_buffer_size = 16M) */ 1",
    "SELECT NOW(), CURRENT_TIMESTAMP, UUID(), RAND(), VERSION(), DATABASE(), USER(), CURRENT_USER, SLEEP(0)",
    "SELECT BENCHMARK(1, 1)", "SELECT CONCAT(a, 'x'), UPPER(b), SUBSTRING(c FROM 1 FOR 2), TRIM('x' FROM d) FROM t",
    "SELECT CAST(a AS DECIMAL(10,2)), CONVERT(b USING utf8mb4), CONVERT(c, CHAR(5)), BINARY d FROM t",
    "SELECT DATE_ADD(a, INTERVAL 1 DAY), a + INTERVAL 2 HOUR, EXTRACT(YEAR FROM a), TIMESTAMPDIFF(DAY, a, b) FROM t",
    "SELECT JSON_EXTRACT(a, '$.x'), a->'$.x', a->>'$.y', JSON_OBJECT('a', 1), JSON_VALUE(a, '$.b') FROM t",
    "SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH '$', b VARCHAR(9) PATH '$.b')) AS j",
    "SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY b), LAG(a, 1) OVER w FROM t WINDOW w AS (ORDER BY a)",
    "SELECT ST_AsText(p), ST_Distance(p, POINT(1, 1)), MBRContains(p, q) FROM t", "SELECT MD5(a), SHA2(a, 256) FROM t",
    "SELECT AES_ENCRYPT('a', 'b'), INET6_ATON('::1'), REGEXP_REPLACE(a, 'b', 'c'), a REGEXP 'x' FROM t",
    "SELECT MATCH(a, b) AGAINST ('+x' IN BOOLEAN MODE) FROM t", "SELECT GROUP_CONCAT(a ORDER BY b SEPARATOR 1) FROM t",
    "SELECT CASE WHEN a THEN 1 ELSE 2 END, IF(a, 1, 2), IFNULL(a, b), COALESCE(a, b), a IS NULL FROM t",
    "SELECT EXISTS (SELECT 1 FROM t), 1 IN (SELECT 2), (SELECT 3), 1 = ANY (SELECT 1), (1, 2) = (3, 4)",
    "SELECT @@sql_mode, @@session.autocommit, @@tx_isolation, @@LOCAL.time_zone",
    "SELECT * FROM a LEFT JOIN b ON a.x = b.x RIGHT JOIN c USING (id) NATURAL JOIN d CROSS JOIN e",
    "SELECT * FROM { OJ a LEFT OUTER JOIN b ON a.x = b.x }", "SELECT {d '2020-01-01'}, {ts '2020-01-01 00:00:00'}",
    "SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.x = a.x) AS d", "SELECT 'it''s', \"x\", 'a' 'b', N'x', _utf8'y'",
    "SELECT x'41', 0x41, b'01', 1e5, .5, -1, \\N, NULL, TRUE", "SELECT 5--1", "SELECT 1 -- comment", "SELECT 1 # c",
    "/* app */ SELECT 1", "SELECT/**/1", "SELECT 1;", "SELECT 1 ; ;", "SELECT `select`, t.`from` FROM `table` t",
    "SELECT date, time, year, status, value, type, `key` FROM t", "SELECT a.b.c FROM a.b", "SELECT lock, share FROM t",
    "SELECT * FROM t WHERE a LIKE '%for update%' AND b = 'into @x'", "SELECT 'GET_LOCK(1,2)', \"; DROP TABLE t\"",
    "SELECT a FROM t WHERE id = ? AND b IN (?, ?)", "SELECT 1 MEMBER OF ('[1]')", "SELECT a SOUNDS LIKE b FROM t",
    "SELECT a COLLATE utf8mb4_bin, a <=> b, a DIV b, a XOR b, !a, ~a, a || b, a && b FROM t",
    "SELECT COUNT(DISTINCT a, b), SUM(ALL a), STDDEV(a), BIT_OR(a), JSON_ARRAYAGG(a), ANY_VALUE(b) FROM t",
    "SELECT a FROM t UNION SELECT b FROM u EXCEPT SELECT c FROM v INTERSECT SELECT d FROM w",
    "SELECT a FROM t GROUP BY a WITH ROLLUP", "SELECT VALUES(a), CHAR(65 USING utf8) FROM t",
    "EXPLAIN SELECT * FROM t", "DESCRIBE SELECT 1", "EXPLAIN FORMAT=JSON SELECT 1", "EXPLAIN ANALYZE SELECT 1",
    "ANALYZE FORMAT=JSON SELECT 1", "EXPLAIN (SELECT 1)", "EXPLAIN WITH a AS (SELECT 1) SELECT * FROM a",
]  # fmt: skip


@pytest.mark.parametrize("sql", READS)
def test_proven_reads(sql: str) -> None:
    found = facts(sql)
    assert (found.read, found.reason, found.detail) == (True, Reason.READ, "")
    assert not found.pins
    assert not found.looks_back


# SQL → (reason, pins)
NOT_READS: dict[str, tuple[str, str]] = {
    # locks
    "SELECT * FROM t FOR UPDATE": ("locking_read", ""),
    "SELECT * FROM t FOR UPDATE NOWAIT": ("locking_read", ""),
    "SELECT * FROM t FOR UPDATE SKIP LOCKED": ("locking_read", ""),
    "SELECT * FROM t FOR UPDATE WAIT 5": ("locking_read", ""),
    "SELECT * FROM t FOR UPDATE OF t SKIP LOCKED": ("locking_read", ""),
    "SELECT * FROM t FOR SHARE": ("locking_read", ""),
    "SELECT * FROM t FOR SHARE OF t NOWAIT": ("locking_read", ""),
    "SELECT * FROM t LOCK IN SHARE MODE": ("locking_read", ""),
    "SELECT * FROM (SELECT * FROM t FOR UPDATE) x": ("locking_read", ""),
    "(SELECT * FROM t FOR UPDATE)": ("locking_read", ""),
    "(SELECT 1) UNION (SELECT * FROM t FOR SHARE)": ("locking_read", ""),
    "SELECT * FROM t FOR/**/UPDATE": ("locking_read", ""),
    "SELECT * FROM t for -- x\n update": ("locking_read", ""),
    "WITH c AS (SELECT * FROM t FOR UPDATE) SELECT * FROM c": ("locking_read", ""),
    "SELECT * FROM t /*! FOR UPDATE */": ("locking_read", ""),
    "TABLE t FOR UPDATE": ("locking_read", ""),
    "SELECT * FROM t WHERE a=1.FOR UPDATE": ("locking_read", ""),
    "SELECT * FROM t WHERE a=1e5FOR UPDATE": ("locking_read", ""),
    "SELECT t.*FROM t FOR UPDATE": ("locking_read", ""),
    # INTO
    "SELECT a INTO @x FROM t": ("select_into", "user_variable"),
    "SELECT a, b FROM t INTO @x, @y": ("select_into", "user_variable"),
    "SELECT a INTO OUTFILE 'x' FROM t": ("select_into", ""),
    "SELECT a FROM t INTO DUMPFILE 'x'": ("select_into", ""),
    "SELECT a FROM t INTO x": ("select_into", ""),
    # user variables
    "SELECT @x": ("user_variable", ""),
    "SELECT @x := 1": ("user_variable", "user_variable"),
    "SELECT @`x y`:=1": ("user_variable", "user_variable"),
    "SELECT @'x'": ("user_variable", ""),
    "SELECT * FROM t, (SELECT @r := 0) x": ("user_variable", "user_variable"),
    # functions
    "SELECT f(1)": ("unknown_function", "routine"),
    "SELECT db.f(1)": ("unknown_function", "routine"),
    "SELECT `count`(1)": ("unknown_function", "routine"),
    "SELECT count (*) FROM t": ("unknown_function", "routine"),
    "SELECT NVL(1, 2)": ("unknown_function", "routine"),
    "SELECT * FROM t WHERE a = f(b)": ("unknown_function", "routine"),
    "SELECT * FROM f(1)": ("unknown_function", "routine"),
    "SELECT CONNECTION_ID()": ("server_function", ""),
    "SELECT DEFAULT(a) FROM t": ("server_function", ""),
    "SELECT LOAD_FILE('/etc/passwd')": ("server_function", ""),
    "SELECT MASTER_POS_WAIT('x', 4)": ("server_function", ""),
    "SELECT IS_FREE_LOCK('x')": ("server_function", ""),
    "SELECT IS_USED_LOCK('x')": ("server_function", ""),
    "SELECT RELEASE_LOCK('x')": ("server_function", ""),
    "SELECT RELEASE_ALL_LOCKS()": ("server_function", ""),
    "SELECT GET_LOCK('x', 1)": ("named_lock", "named_lock"),
    "SELECT get_lock ('x', 1)": ("named_lock", "named_lock"),
    "SELECT `GET_LOCK`('x', 1)": ("named_lock", "named_lock"),
    # sequences
    "SELECT NEXT VALUE FOR s": ("sequence", "sequence"),
    "SELECT PREVIOUS VALUE FOR s": ("sequence", "sequence"),
    "SELECT NEXTVAL(s)": ("sequence", "sequence"),
    "SELECT NEXTVAL('s')": ("sequence", "routine"),
    "SELECT LASTVAL(s)": ("sequence", "sequence"),
    "SELECT SETVAL(s, 1)": ("sequence", "sequence"),
    "SELECT s.nextval": ("sequence", ""),
    # the statement before
    "SELECT LAST_INSERT_ID()": ("looks_back", ""),
    "SELECT LAST_INSERT_ID() AS id FROM DUAL LIMIT 1;": ("looks_back", ""),
    "SELECT ROW_COUNT()": ("looks_back", ""),
    "SELECT FOUND_ROWS()": ("looks_back", ""),
    "SELECT @@identity": ("looks_back", ""),
    "SELECT @@warning_count": ("looks_back", ""),
    "SELECT @@session.error_count": ("looks_back", ""),
    "SELECT SQL_CALC_FOUND_ROWS * FROM t LIMIT 1": ("found_rows", ""),
    # variables of servers
    "SELECT @@hostname": ("server_variable", ""),
    "SELECT @@global.read_only": ("server_variable", ""),
    "SELECT @@server_id": ("server_variable", ""),
    "SELECT @@version_comment LIMIT 1": ("server_variable", ""),
    "SELECT @@session.no_such_thing": ("server_variable", ""),
    # not understood
    "SELECT * FROM t PROCEDURE ANALYSE()": ("opaque", "unknown"),
    "SELECT a, COUNT(*) FROM t GROUP BY a DESC": ("no_parse", ""),
    "SELECT 'abc": ("opaque", "unknown"),
    "SELECT 1\0": ("opaque", "unknown"),
    "SELECT $$ a $$, f(1)": ("opaque", "unknown"),
    "FROB x": ("opaque", "unknown"),
    "BEGIN NOT ATOMIC SELECT 1; END": ("multi_statement", "multi_statement unknown"),
    "\ufeffSELECT 1": ("opaque", "unknown"),
    # versioned comments
    "SELECT /*!40001 SQL_NO_CACHE */ * FROM t": ("versioned_comment", ""),
    "SELECT /*!99999 1, */ 2": ("versioned_comment", ""),
    "SELECT /*M!100100 1, */ 2": ("versioned_comment", ""),
    "SELECT 1 /*!99999 INTO @x */": ("select_into", "user_variable"),
    "SELECT 1 /*!50000 , GET_LOCK('a', 1) */": ("named_lock", "named_lock"),
    "/*!99999 DELETE FROM t WHERE */ SELECT 1": ("opaque", "unknown"),
    "/*!50000 DELETE FROM t */": ("write", ""),
    "/*!99999 DELETE FROM t */": ("write", ""),
    "SELECT 1 /*!99999 ; DROP TABLE t */": ("opaque", "unknown"),
    "/*! SELECT 1": ("opaque", "unknown"),
    # writes
    "INSERT INTO t VALUES (1)": ("write", ""),
    "INSERT INTO t (a) VALUES (f(1))": ("write", "routine"),
    "INSERT INTO t VALUES (@x := 1)": ("write", "user_variable"),
    "INSERT INTO t VALUES (@x)": ("write", ""),
    "REPLACE INTO t VALUES (1)": ("write", ""),
    "UPDATE t SET a=a+1, b=UUID() WHERE c=1": ("write", ""),
    "UPDATE t SET a=LAST_INSERT_ID(a+1)": ("write", ""),
    "DELETE FROM t WHERE a IN (SELECT b FROM u)": ("write", ""),
    "WITH c AS (SELECT 1) UPDATE t SET a=1": ("write", ""),
    "WITH c AS (SELECT 1) DELETE FROM t": ("write", ""),
    "DO SLEEP(1)": ("write", ""),
    "DO f(1)": ("write", "routine"),
    "LOAD DATA LOCAL INFILE 'x' INTO TABLE t (a, @b) SET c=@b": ("write", "user_variable"),
    "CALL p()": ("procedure", "routine"),
    "CALL p(GET_LOCK('a', 1))": ("procedure", "routine named_lock"),
    "EXPLAIN UPDATE t SET a=1": ("explain", ""),
    "EXPLAIN ANALYZE UPDATE t SET a=1": ("write", ""),
    "ANALYZE UPDATE t SET a=1": ("write", ""),
    "ANALYZE SELECT * FROM t FOR UPDATE": ("locking_read", ""),
    "EXPLAIN INTO @x SELECT 1": ("explain", "user_variable"),
    "EXPLAIN FOR CONNECTION 5": ("explain", ""),
    "DESCRIBE t": ("explain", ""),
    "HANDLER t OPEN": ("session_state", "handler"),
    "SHOW TABLES": ("show", ""),
    "SHOW WARNINGS": ("looks_back", ""),
    "SHOW COUNT(*) WARNINGS": ("looks_back", ""),
    "SHOW ERRORS LIMIT 1": ("looks_back", ""),
    "GET DIAGNOSTICS @n = NUMBER": ("looks_back", "user_variable"),
    # session
    "SET a=1": ("set", ""),
    "SET @x = GET_LOCK('a', 1)": ("set", "named_lock"),
    "SET @x = f(1)": ("set", "routine"),
    "SET @x := 1": ("set", ""),
    "SET @x := (@y := 2)": ("set", "user_variable"),
    "SET x = @y := 2": ("set", "user_variable"),
    "SET STATEMENT max_statement_time=1 FOR SELECT 1": ("set", ""),
    "SET STATEMENT max_statement_time=1 FOR SELECT f(1)": ("set", "routine"),
    "SET 1": ("opaque", "unknown"),
    "BEGIN": ("transaction", ""),
    "USE d": ("use", ""),
    "USE 'd'": ("opaque", "unknown"),
    # several
    "SELECT 1; SELECT 2": ("multi_statement", ""),
    "SELECT 1; DELETE FROM t": ("multi_statement", ""),
    "SELECT 1; SELECT f(1)": ("multi_statement", "routine"),
    "SET a=1; SELECT @x := 1": ("multi_statement", "user_variable"),
    "SELECT 1; FROB": ("multi_statement", "multi_statement unknown"),
    "SELECT 1; KILL 5": ("multi_statement", "multi_statement"),
    "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END": ("ddl", "multi_statement"),
    "DROP TABLE t; SELECT 1": ("ddl", "multi_statement"),
    "": ("empty", ""),
}


@pytest.mark.parametrize("sql", NOT_READS)
def test_no_reads(sql: str) -> None:
    reason, pins = NOT_READS[sql]
    found = facts(sql)
    assert not found.read
    assert found.reason.value == reason
    assert {pin.value for pin in found.pins} == set(pins.split())


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT * FROM t", ["t"]),
        ("SELECT * FROM db.t AS a, `u v`", ["db.t", "u v"]),
        ("SELECT * FROM a JOIN b JOIN c ON 1", ["a", "b", "c"]),
        ("SELECT 1 FROM DUAL", []),
        ("SELECT (SELECT x FROM u) FROM t WHERE a IN (SELECT b FROM v)", ["t", "u", "v"]),
        ("WITH c AS (SELECT * FROM t) SELECT * FROM c, u", ["t", "u"]),
        ("WITH t AS (SELECT * FROM t) SELECT * FROM t", ["t"]),
        ("WITH RECURSIVE t AS (SELECT 1 UNION SELECT * FROM t) SELECT * FROM t", []),
        ("WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b", []),
        ("SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c) x, c", ["c"]),
        ("INSERT INTO t (a) SELECT b FROM db.u", ["t", "db.u"]),
        ("INSERT LOW_PRIORITY IGNORE INTO t VALUES (1)", ["t"]),
        ("REPLACE DELAYED INTO t VALUES (1)", ["t"]),
        ("INSERT INTO t VALUE (1)", ["t"]),
        ("UPDATE LOW_PRIORITY IGNORE t, db.u SET a=1", ["t", "db.u"]),
        ("DELETE a FROM t AS a JOIN u", ["t", "u"]),
        ("DELETE QUICK FROM t", ["t"]),
        ("DELETE FROM a USING t AS a", ["t"]),
        ("CREATE TABLE t AS SELECT * FROM db.u", ["t", "db.u"]),
        ("CREATE VIEW v AS SELECT a.x FROM t a", ["v", "t"]),
        ("DROP TABLE a, db.b", ["a", "db.b"]),
        ("TRUNCATE TABLE db.t", ["db.t"]),
        ("SELECT 1; INSERT INTO t SELECT * FROM u", ["t", "u"]),
        ("EXPLAIN SELECT * FROM t", ["t"]),
        ("SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a INT PATH '$')) j", []),
    ],
)
def test_tables(sql: str, tables: list[str]) -> None:
    found = facts(sql).tables
    assert found is not None
    assert {f"{table.schema}.{table.name}" if table.schema else table.name for table in found} == set(tables)


@pytest.mark.parametrize(
    "sql", ["SHOW TABLES", "CREATE INDEX i ON t (a, b(10))", "SELECT a FROM t GROUP BY a DESC", "CALL p()"]
)
def test_unknown_tables(sql: str) -> None:
    assert facts(sql).tables is None


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT a.x, b.y FROM shop.t a JOIN u b ON a.i=b.i", {"shop"}),
        ("SELECT shop.t.x FROM shop.t", {"shop"}),
        ("SELECT secret.x FROM secret.t AS secret", {"secret"}),
        ("SELECT a.x FROM shop.t a GROUP BY a.x DESC", {"a", "shop"}),
        ("SELECT db.f(1)", {"db"}),
        ("SHOW TABLES FROM d", {"d"}),
        ("SHOW TABLES IN `d`", {"d"}),
        ("SHOW COLUMNS FROM t FROM d", {"d"}),
        ("SHOW COLUMNS FROM t", set()),
        ("SHOW FULL COLUMNS FROM d.t LIKE '%'", {"d"}),
        ("SHOW INDEX FROM t IN d", {"d"}),
        ("SHOW CREATE TABLE d.t", {"d"}),
        ("SHOW CREATE DATABASE d", {"d"}),
        ("SHOW CREATE SCHEMA IF NOT EXISTS d", {"d"}),
        ("USE d", {"d"}),
        ("CREATE DATABASE IF NOT EXISTS d", {"d"}),
        ("DROP SCHEMA d", {"d"}),
        ("ALTER DATABASE `d` CHARACTER SET utf8", {"d"}),
        ("RENAME TABLE a.t TO b.t", {"a", "b"}),
        ("LOCK TABLES d.t READ", {"d"}),
        ("DESC d.t", {"d"}),
        ("INSERT INTO d.t (a) VALUES (1)", {"d"}),
        ("GRANT SELECT ON d.* TO u", {"d"}),
        ("SELECT 1; SELECT * FROM d.t", {"d"}),
        ("SET hot.key_buffer_size = 1", set()),
    ],
)
def test_qualifiers(sql: str, names: set[str]) -> None:
    assert facts(sql).qualifiers == names


@pytest.mark.parametrize(
    ("sql", "kill"),
    [
        ("KILL 5", ("connection", 5)),
        ("KILL CONNECTION 5;", ("connection", 5)),
        ("kill query 18446744073709551615", ("query", 18446744073709551615)),
        ("KILL SOFT QUERY ID 4", None),
        ("KILL HARD 5", None),
        ("KILL USER 'a'", None),
        ("KILL 5+1", None),
        ("KILL @a", None),
        ("KILL ?", None),
        ("KILL -1", None),
        ("KILL 0x5", None),
        ("/*! KILL 5 */", None),
    ],
)
def test_kill(sql: str, kill: tuple[str, int] | None) -> None:
    found = facts(sql)
    assert found.kind is StatementKind.KILL
    assert found.kill == kill


def test_particulars() -> None:
    assert facts("EXPLAIN ROUTE  SELECT 1 ;").explain_route == b"SELECT 1"
    as_json = facts("EXPLAIN ROUTE FORMAT = json SELECT 1")
    assert (as_json.explain_route, as_json.explain_as_json) == (b"SELECT 1", True)
    assert not facts("EXPLAIN ROUTE SELECT 1").explain_as_json
    assert facts("PREVIEW update t set a=1").explain_route == b"update t set a=1"
    assert facts("USE `my db`").use_schema == "my db"
    assert facts("/*!99999 USE d */").kind is StatementKind.USE
    assert facts("LOAD DATA LOCAL INFILE 'x' INTO TABLE t").local_infile
    assert not facts("LOAD DATA INFILE 'x' INTO TABLE t").local_infile
    assert facts("SELECT SQL_CALC_FOUND_ROWS 1").found_rows
    assert facts("SELECT 1; SELECT 2").multi
    assert facts("/*+ router(replica) */ SELECT 1").hints.role == "replica"
    assert facts("SELECT /*+ router(primary) */ 1").read
    assert [each.name for each in facts("SELECT 1; SET @a=1, b=2").assignments] == ["@a", "b"]
    assert [each.name for each in facts("/*!40101 SET NAMES utf8, a=1 */").assignments] == ["names", "a"]
    assert facts("SET STATEMENT a=1, b=2 FOR SELECT 1").assignments[1].scope == "statement"


@pytest.mark.parametrize(
    ("sql", "vouchable"),
    [
        ("SELECT f(1)", True),
        ("SELECT a FROM t GROUP BY a DESC", True),
        ("SELECT f(1) FROM t GROUP BY a DESC", True),
        ("SELECT f(1) FROM t FOR UPDATE", False),
        ("SELECT f(@x)", False),
        ("SELECT f(1), LAST_INSERT_ID()", False),
        ("SELECT f(1) INTO OUTFILE 'x'", False),
        ("SELECT /*!99999 f(1), */ 1", False),
        ("EXPLAIN ANALYZE SELECT f(1)", False),
        ("DELETE FROM t", False),
        ("SELECT 1", False),
    ],
)
def test_what_a_user_may_vouch_for(sql: str, vouchable: bool) -> None:
    assert facts(sql).vouchable == vouchable


@pytest.mark.parametrize(
    ("sql", "harmless"),
    [
        ("SELECT 1", True), ("SELECT @@version_comment LIMIT 1", True), ("SELECT LAST_INSERT_ID()", True),
        ("SELECT @a, CONNECTION_ID()", True), ("SELECT @a := 1", True), ("SET @a = 1, NAMES utf8", True),
        ("SET autocommit=0", True), ("BEGIN", True), ("COMMIT", True), ("ROLLBACK TO a", True), ("SHOW TABLES", True),
        ("USE d", True), ("SELECT /*!40001 SQL_NO_CACHE */ * FROM t", True), ("/*!40101 SET NAMES utf8 */", True),
        ("EXPLAIN UPDATE t SET a=1", True), ("SELECT 1; SELECT 2", True), ("KILL 5", True), ("", True),
        ("SELECT f(1)", False), ("SELECT @@version, f(1)", False), ("SELECT * FROM t FOR UPDATE", False),
        ("SELECT 1 INTO OUTFILE 'x'", False), ("SET GLOBAL a=1", False), ("SET PASSWORD = 'x'", False),
        ("SET @a = f(1)", False), ("SET STATEMENT a=1 FOR DELETE FROM t", False), ("CALL p()", False),
        ("INSERT INTO t VALUES (1)", False), ("EXPLAIN ANALYZE UPDATE t SET a=1", False),
        ("SELECT 1; DELETE FROM t", False), ("PREPARE s FROM 'x'", False), ("CREATE TABLE t (a INT)", False),
        ("DO f(1)", False),
        ("SELECT NEXTVAL(s)", False), ("SELECT /*!99999 f(1), */ 1", False), ("FLUSH TABLES", False),
    ],
)  # fmt: skip
def test_what_a_read_only_user_may_run(sql: str, harmless: bool) -> None:
    assert facts(sql).harmless == harmless


# -- modes -----------------------------------------------------------------------------------------------------


def test_escapes_decide_where_a_string_ends() -> None:
    sql = r"SELECT 'a\'; DELETE FROM t -- '"
    assert facts(sql).read
    found = facts(sql, LexMode(no_backslash_escapes=True))
    assert found.kind is StatementKind.MULTI
    assert not found.read


def test_quotes_decide_what_is_a_name() -> None:
    sql = 'SELECT "a" FROM "db"."t"'
    assert not facts(sql).read  # a string is no table
    assert facts(sql, LexMode(ansi_quotes=True)).qualifiers == {"db"}
    assert facts('SELECT "f"(1)', LexMode(ansi_quotes=True)).reason is Reason.UNKNOWN_FUNCTION


def test_charsets_decide_what_a_backslash_is() -> None:
    sql = b"SELECT '\xbf\x5c', GET_LOCK('a', 1) -- '"
    assert analyze(sql, LexMode(unsafe_charset="gbk")).reason is Reason.NAMED_LOCK
    assert analyze(b"SELECT '\xbf'", LexMode(unsafe_charset="gbk")).reason is Reason.OPAQUE


# -- size ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "item", "tail", "kind", "read"),
    [
        ("INSERT INTO t (a, b) VALUES ", "(1,'x')", "", "insert", False),
        ("INSERT INTO t VALUES ", "(NOW(),0xAF,_binary 'x')", "", "insert", False),
        ("REPLACE INTO t VALUES ", "(1)", "", "replace", False),
        ("SELECT * FROM t WHERE id IN (", "123", ")", "select", True),
        ("UPDATE t SET a=1 WHERE id IN (", "'abc'", ")", "update", False),
        ("DELETE FROM t WHERE (a,b) IN (", "(1,2)", ")", "delete", False),
    ],
)
def test_a_megabyte_is_analysed_like_a_line(head: str, item: str, tail: str, kind: str, read: bool) -> None:
    count = 1_000_000 // (len(item) + 1)
    sql = head + ",".join([item] * count) + tail
    started = time.perf_counter()
    found = facts(sql)
    assert time.perf_counter() - started < 1
    assert found == facts(head + item + tail)
    assert (found.kind.value, found.read, found.pins) == (kind, read, frozenset())
    assert [table.name for table in found.tables or ()] == ["t"]


@pytest.mark.parametrize(
    ("extra", "pins"),
    [
        ("(1, 'a')", set()),
        ("(1, f(2))", {"routine"}),
        ("(1, GET_LOCK('a', 1))", {"named_lock"}),
        ("(1, @x := 2)", {"user_variable"}),
    ],
)
def test_what_hides_in_a_large_insert_is_found(extra: str, pins: set[str]) -> None:
    sql = "INSERT INTO t VALUES " + "(1,'x')," * 20_000 + extra + ",(2,'y')" * 20_000
    assert {pin.value for pin in facts(sql).pins} == pins


@pytest.mark.parametrize(
    ("extra", "pins", "looks_back"),
    [
        ("a0", set(), False),
        ("f(a0)", {"unknown"}, False),
        ("GET_LOCK('a', 1)", {"unknown"}, False),
        ("@x := 2", {"unknown"}, False),
        ("@x", {"unknown"}, False),
        ("LAST_INSERT_ID()", set(), True),
        ("UPPER(a0)", set(), False),
    ],
)
def test_too_large_to_analyse(extra: str, pins: set[str], looks_back: bool) -> None:
    sql = (
        "UPDATE t SET " + ",".join(f"column_{number:x}_name=other_{number:x}" for number in range(5000)) + f",z={extra}"
    )
    found = facts(sql)
    assert (found.kind, found.read, found.reason) == (StatementKind.UPDATE, False, Reason.TOO_LARGE)
    assert {pin.value for pin in found.pins} == pins
    assert found.looks_back == looks_back


def test_too_large_and_several() -> None:
    sql = "; ".join(f"UPDATE t SET a{number:x}b = c{number:x}d" for number in range(5000))
    found = facts(sql)
    assert (found.kind, found.multi) == (StatementKind.MULTI, True)
    assert found.pins


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
        "SELECT * FROM " + "(SELECT * FROM " * 4000 + "t" + ") a" * 4000,
        "SELECT " + "NOT " * 10_000 + "1",
        "SELECT " + "- " * 20_000 + "1",
        "SELECT " + "CASE WHEN 1 THEN " * 2000 + "1" + " END" * 2000,
        "SELECT 1" + " OR a" * 9000,
        "SELECT * FROM t" + " JOIN t" * 5000,
        "SELECT * FROM t" + " LEFT JOIN t" * 5000,
        "SELECT * FROM t" + " STRAIGHT_JOIN t" * 40,
        "SELECT * FROM t" + " LEFT JOIN t CROSS JOIN t" * 40,
        "UPDATE t" + " JOIN t" * 40 + " SET a=1",
        "SELECT * FROM t" + " JOIN t JOIN t ON 1" * 40,
        "SELECT 1" + " UNION ALL SELECT a" * 3000,
        "SELECT " + "f(" * 5000 + "1" + ")" * 5000,
        "SELECT a" + "->'$.a'" * 5000,
        "EXPLAIN " * 5000 + "SELECT 1",
        "SELECT " + "INTERVAL " * 5000 + "1 DAY",
    ],
    ids=lambda sql: sql[:30],
)  # fmt: skip
def test_hostile_shapes_neither_crash_nor_take_long(sql: str) -> None:
    started = time.perf_counter()
    facts(sql)
    assert time.perf_counter() - started < 5


def test_an_ordinary_number_of_joins_is_read() -> None:
    assert facts("SELECT * FROM a" + " JOIN b" * 30).read
    assert facts("SELECT * FROM a" + " LEFT JOIN b ON a.x = b.x" * 40).read


# -- corpus ----------------------------------------------------------------------------------------------------

BESIDE_US = Path(__file__).resolve().parents[3] / "shared" / "data" / "sqlglot_285_results.json"
CORPUS = Path(os.environ.get("ROUTER_SQL_CORPUS", BESIDE_US))


@pytest.mark.skipif(not CORPUS.exists(), reason=f"no corpus at {CORPUS} (set ROUTER_SQL_CORPUS)")
def test_the_corpus() -> None:
    statements = [entry["s"] for entry in json.loads(CORPUS.read_text())]
    assert len(statements) == 285
    reads = 0
    for sql in statements:
        found = facts(sql)
        reads += found.read
        if found.read:
            assert found.kind in (StatementKind.SELECT, StatementKind.EXPLAIN), sql
            assert not found.pins, sql
    assert reads >= 90


@pytest.mark.parametrize(
    ("sql", "function"),
    [
        ("SELECT ROW_COUNT()", "ROW_COUNT"),
        ("select connection_id() AS id", "CONNECTION_ID"),
        ("SELECT FOUND_ROWS() n FROM DUAL", "FOUND_ROWS"),
        ("SELECT ROW_COUNT() + 1", ""),
        ("SELECT ROW_COUNT(), 1", ""),
        ("SELECT ROW_COUNT() FROM t", ""),
        ("SELECT LAST_INSERT_ID()", ""),
        ("SELECT `ROW_COUNT`()", ""),
        ("DO ROW_COUNT()", ""),
    ],
)
def test_functions_whose_value_the_router_knows(sql: str, function: str) -> None:
    assert analyze(sql.encode(), LexMode()).function == function


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT @a", True),
        ("INSERT INTO t VALUES (@a)", True),
        ("SET @a = 1", True),
        ("SELECT 1; SELECT @a", True),
        ("EXPLAIN SELECT @a", True),
        ("SELECT 1 /*!80000 , @a */", True),
        ("SELECT '@a', `@a`, @@sql_mode", False),
        ("SELECT a FROM t", False),
    ],
)
def test_who_names_user_variables(sql: str, named: bool) -> None:
    assert analyze(sql.encode(), LexMode()).user_variables is named
