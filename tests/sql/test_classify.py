"""Kinds by first words, and what each kind alone leaves behind."""

from __future__ import annotations

import pytest
from hypothesis import given

from router.sql.classify import classify
from router.sql.facts import PinReason, StatementKind
from router.sql.lexer import LexMode
from tests.sql.test_lexer import modes, texts

PLAIN = LexMode()

KINDS = {
    "select": [
        "SELECT 1", "select*from t", "(SELECT 1)", "((SELECT 1) UNION (SELECT 2))", "TABLE t", "VALUES ROW(1)",
        "WITH a AS (SELECT 1) SELECT * FROM a", "WITH RECURSIVE a (n) AS (SELECT 1) (SELECT * FROM a)",
        "(WITH a AS (SELECT 1) SELECT 1)", "/* c */ SELECT 1", "-- c\nSELECT 1", "/*!40001 SELECT */ 1",
        "WITH a AS (SELECT 1), b AS (SELECT 2) TABLE a",
    ],
    "insert": ["INSERT INTO t VALUES (1)", "insert t set a=1", "INSERT /*+ x */ INTO t SELECT 1"],
    "replace": ["REPLACE INTO t VALUES (1)"],
    "update": ["UPDATE t SET a=1", "WITH a AS (SELECT 1) UPDATE t SET b=1"],
    "delete": ["DELETE FROM t", "WITH a AS (SELECT 1) DELETE FROM t WHERE id IN (SELECT * FROM a)"],
    "call": ["CALL p()", "call db.p"],
    "do": ["DO 1"],
    "load_data": ["LOAD DATA INFILE 'x' INTO TABLE t", "LOAD DATA LOCAL INFILE 'x'", "LOAD XML INFILE 'x'"],
    "ddl": [
        "CREATE TABLE t (a INT)", "CREATE TEMPORARY TABLE t (a INT)", "ALTER TABLE t ADD b INT", "DROP TABLE t",
        "RENAME TABLE a TO b", "TRUNCATE t", "GRANT ALL ON *.* TO a", "REVOKE ALL ON *.* FROM a", "CREATE USER a",
        "DROP DATABASE d", "CREATE VIEW v AS SELECT 1",
    ],
    "show": ["SHOW TABLES", "SHOW WARNINGS", "SHOW COUNT(*) ERRORS"],
    "explain": [
        "EXPLAIN SELECT 1", "DESC t", "DESCRIBE t a", "EXPLAIN FORMAT=JSON UPDATE t SET a=1", "ANALYZE SELECT 1",
        "ANALYZE FORMAT=JSON SELECT 1", "EXPLAIN FOR CONNECTION 5", "EXPLAIN route", "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN ROUTE id",
    ],
    "explain_route": ["EXPLAIN ROUTE SELECT 1", "explain route update t set a=1", "PREVIEW SELECT 1", "PREVIEW x"],
    "set": ["SET a=1", "SET NAMES utf8", "SET STATEMENT a=1 FOR SELECT 1", "/*!40101 SET NAMES utf8 */"],
    "use": ["USE d", "USE `d`"],
    "begin": ["BEGIN", "BEGIN WORK", "START TRANSACTION", "START TRANSACTION READ ONLY"],
    "commit": ["COMMIT", "COMMIT AND CHAIN", "COMMIT WORK"],
    "rollback": ["ROLLBACK", "ROLLBACK WORK", "ROLLBACK AND CHAIN"],
    "savepoint": ["SAVEPOINT a", "RELEASE SAVEPOINT a", "ROLLBACK TO a", "ROLLBACK WORK TO SAVEPOINT a"],
    "xa": ["XA START 'x'", "XA END 'x'", "XA COMMIT 'x'", "XA RECOVER"],
    "lock": ["LOCK TABLES t READ", "LOCK TABLE t WRITE", "LOCK INSTANCE FOR BACKUP"],
    "unlock": ["UNLOCK TABLES", "UNLOCK INSTANCE"],
    "handler": ["HANDLER t OPEN", "HANDLER t READ FIRST"],
    "kill": ["KILL 1", "KILL QUERY 1"],
    "flush": ["FLUSH PRIVILEGES", "FLUSH TABLES WITH READ LOCK"],
    "prepare": ["PREPARE s FROM 'x'"],
    "execute": ["EXECUTE s USING @a", "EXECUTE IMMEDIATE 'x'"],
    "deallocate": ["DEALLOCATE PREPARE s", "DROP PREPARE s"],
    "admin": [
        "ANALYZE TABLE t", "OPTIMIZE TABLE t", "REPAIR TABLE t", "CHECK TABLE t", "CHECKSUM TABLE t", "START REPLICA",
        "STOP SLAVE", "RESET MASTER", "PURGE BINARY LOGS TO 'x'", "CHANGE MASTER TO x=1", "INSTALL PLUGIN x SONAME 'y'",
        "SHUTDOWN", "RESTART", "HELP 'x'", "SIGNAL SQLSTATE '45000'", "GET DIAGNOSTICS @a = NUMBER", "BINLOG 'x'",
        "BACKUP STAGE START", "LOAD INDEX INTO CACHE t", "ANALYZE NO_WRITE_TO_BINLOG TABLE t",
    ],
    "empty": ["", "  ", "-- c", "/* c */"],
    "other": [
        "x", "1", "'SELECT'", "`SELECT` 1", "?", "@a", ")", "(", "BEGIN NOT ATOMIC SELECT 1", "IF 1 THEN SELECT 1",
        "DELIMITER //", "LOCK x", "RELEASE x", "START x", "XA x", "LOAD x", "\ufeffSELECT 1", "GET x", "ANALYZE x",
        "(INSERT INTO t VALUES (1))", "LOOP SELECT 1", "BEGIN SELECT 1", "SELECT\u00a01", "PREVIEW",
        "SET STATEMENT a=1", "WHILE 1 DO SELECT 1", "; SELECT 1",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "sql"), [(kind, sql) for kind, each in KINDS.items() for sql in each])
def test_kinds(kind: str, sql: str) -> None:
    found = classify(sql.encode(), PLAIN)
    assert found.kind.value == kind
    assert found.opaque == (kind == "other")
    assert (PinReason.UNKNOWN in found.pins) == (kind == "other" or sql.startswith("BINLOG"))


@pytest.mark.parametrize(
    ("sql", "pins"),
    [
        ("CALL p()", {"routine"}),
        ("LOCK TABLES t READ", {"lock_tables"}),
        ("LOCK INSTANCE FOR BACKUP", {"backup_lock"}),
        ("BACKUP STAGE START", {"backup_lock"}),
        ("BACKUP LOCK t", {"backup_lock"}),
        ("FLUSH TABLES WITH READ LOCK", {"backup_lock"}),
        ("FLUSH TABLES t FOR EXPORT", {"backup_lock"}),
        ("FLUSH TABLES", set()),
        ("HANDLER t OPEN", {"handler"}),
        ("PREPARE s FROM 'x'", {"prepared_text"}),
        ("EXECUTE s", {"prepared_text"}),
        ("DEALLOCATE PREPARE s", set()),
        ("XA START 'x'", {"xa"}),
        ("XA COMMIT 'x'", set()),
        ("GET DIAGNOSTICS @a = NUMBER", {"user_variable"}),
        ("BEGIN", set()),
        ("SET a=1", set()),
        ("INSERT INTO t VALUES (1)", set()),
        ("CREATE TABLE t (a INT)", set()),
        ("BEGIN NOT ATOMIC SELECT 1", {"unknown"}),
    ],
)
def test_pins_of_kinds(sql: str, pins: set[str]) -> None:
    assert {pin.value for pin in classify(sql.encode(), PLAIN).pins} == pins


def test_statements_inside() -> None:
    assert classify(b"EXPLAIN SELECT 1", PLAIN).inner == 1
    assert classify(b"EXPLAIN ANALYZE FORMAT = JSON SELECT 1", PLAIN).inner == 5
    assert classify(b"EXPLAIN ANALYZE SELECT 1", PLAIN).runs_inner
    assert not classify(b"EXPLAIN SELECT 1", PLAIN).runs_inner
    assert classify(b"ANALYZE UPDATE t SET a=1", PLAIN).runs_inner
    assert classify(b"SET STATEMENT a = (SELECT 1 FOR UPDATE) FOR SELECT 1", PLAIN).inner == 11
    assert classify(b"DESC t", PLAIN).inner is None


@given(sql=texts, mode=modes)
def test_any_bytes_are_classified(sql: bytes, mode: LexMode) -> None:
    assert isinstance(classify(sql, mode).kind, StatementKind)
