"""The same statements direct and through the router: rows, columns, errors, counts, ids and warnings must agree.

The direct connection is the truth. Both run in a database of their own with the same content; the pool is so small
that the session's connection is taken away whenever it may be.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import CLIENT

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, direct, settings_for

SCHEMA = [
    "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20), n INT)",
    "INSERT INTO t (v, n) VALUES ('one', 1), ('two', 2), ('three', 3)",
    "CREATE TABLE parent (id INT PRIMARY KEY)",
    "CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2",
    "CREATE PROCEDURE both_of() BEGIN SELECT 1 AS a; SELECT 'x' AS b, 2 AS c; END",
    "CREATE PROCEDURE remembers() BEGIN SET @kept = 77; END",
]

SCRIPTS: dict[str, list[str]] = {
    "reads": [
        "SELECT * FROM t ORDER BY id",
        "SELECT v AS `a b`, n/3, NULL, '', x'00ff' FROM t WHERE id = 2",
        "SELECT count(*) FROM t",
        "(SELECT 1) UNION (SELECT 2) ORDER BY 1",
        "WITH c AS (SELECT id FROM t) SELECT max(id) FROM c",
        "SELECT DATABASE() IS NOT NULL",
        "VALUES (1), (2)",
    ],
    "errors": [
        "SELEC 1",
        "SELECT * FROM nowhere",
        "SELECT nothing FROM t",
        "INSERT INTO t (id) VALUES (1)",
        "SHOW WARNINGS",
        "SELECT 1",
        "",
        ";",
        "-- nothing",
        "SELECT 1;",
    ],
    "writes": [
        "INSERT INTO t (v) VALUES ('four'), ('five')",
        "SELECT LAST_INSERT_ID()",
        "SELECT ROW_COUNT()",
        "UPDATE t SET n = 9 WHERE id <= 2",
        "SELECT ROW_COUNT()",
        "SELECT count(*) FROM t",
        "SELECT LAST_INSERT_ID()",
        "INSERT INTO t (id, v) VALUES (500, 'explicit')",
        "SELECT LAST_INSERT_ID()",
        "REPLACE INTO t (id, v) VALUES (500, 'again')",
        "INSERT INTO t (id, v) VALUES (500, 'x') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), v = 'dup'",
        "SELECT LAST_INSERT_ID()",
        "DELETE FROM t WHERE id >= 500",
        "SELECT LAST_INSERT_ID(42)",
        "SELECT LAST_INSERT_ID()",
        "SELECT @@identity",
        "TRUNCATE TABLE t",
        "INSERT INTO t (v) VALUES ('again')",
    ],
    "warnings": [
        "SELECT 1/0",
        "SHOW WARNINGS",
        "SHOW COUNT(*) WARNINGS",
        "SELECT count(*) FROM t",
        "SHOW WARNINGS",
        "DROP TABLE IF EXISTS not_there",
        "SHOW WARNINGS",
        "SELECT @@warning_count",
        "SELECT SQL_CALC_FOUND_ROWS id FROM t LIMIT 1",
        "SELECT FOUND_ROWS()",
    ],
    "session": [
        "SET NAMES latin1",
        "SELECT @@character_set_client, @@character_set_results, @@collation_connection",
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
        "SELECT @@collation_connection, @@character_set_connection",
        "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'",
        "SELECT \"id\" || 'x' FROM t ORDER BY id LIMIT 1",
        "SELECT @@sql_mode",
        "SET sql_mode = DEFAULT",
        "SELECT @@sql_mode",
        "SET time_zone = '+03:00', lc_time_names = 'de_DE'",
        "SELECT @@time_zone, DATE_FORMAT('2026-03-01', '%M')",
        "SET SESSION group_concat_max_len = 5",
        "SELECT GROUP_CONCAT(v ORDER BY id) FROM t",
        "SET @a = 5, @b := 'x'",
        "SELECT @a, @b",
        "SELECT @a := @a + 1",
        "SELECT @a",
        "SET nonsense = 1",
        "SET sql_mode = 'NONSENSE'",
        "SELECT @@sql_mode",
        "SET time_zone = 'Mars/North'",
        "SELECT @@time_zone",
        "SET character_set_results = NULL",
        "SELECT @@character_set_results",
        "SET NAMES nonsense",
        "SET NAMES DEFAULT",
    ],
    "transactions": [
        "BEGIN",
        "INSERT INTO t (v) VALUES ('in')",
        "SELECT count(*) FROM t",
        "SAVEPOINT s",
        "DELETE FROM t",
        "ROLLBACK TO s",
        "SELECT count(*) FROM t",
        "COMMIT",
        "SET autocommit = 0",
        "SELECT @@autocommit",
        "INSERT INTO t (v) VALUES ('out')",
        "ROLLBACK",
        "SELECT count(*) FROM t",
        "SET autocommit = 1",
        "START TRANSACTION READ ONLY",
        "INSERT INTO t (v) VALUES ('no')",
        "ROLLBACK",
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "BEGIN",
        "SELECT count(*) FROM t",
        "COMMIT AND CHAIN",
        "ROLLBACK",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SELECT count(*) FROM t",
        "BEGIN",
        "CREATE TABLE implicit_commit (a INT)",
        "ROLLBACK",
        "SHOW TABLES LIKE 'implicit%'",
    ],
    "state": [
        "CREATE TEMPORARY TABLE tt (a INT)",
        "INSERT INTO tt VALUES (1), (2)",
        "SELECT count(*) FROM tt",
        "DROP TEMPORARY TABLE tt",
        "SELECT GET_LOCK('{database}', 1)",
        "SELECT RELEASE_LOCK('{database}')",
        "PREPARE p FROM 'SELECT ? + 1'",
        "SET @x = 41",
        "EXECUTE p USING @x",
        "DEALLOCATE PREPARE p",
        "EXECUTE p USING @x",
        "LOCK TABLES t WRITE",
        "INSERT INTO t (v) VALUES ('locked')",
        "SELECT count(*) FROM t",
        "SELECT * FROM parent",
        "UNLOCK TABLES",
        "SELECT * FROM parent",
        "HANDLER t OPEN",
        "HANDLER t READ FIRST",
        "HANDLER t CLOSE",
        "SELECT v INTO @found FROM t WHERE id = 1",
        "SELECT @found",
        "CALL remembers()",
        "SELECT @kept",
        "SELECT twice(21)",
        "DO SLEEP(0)",
    ],
    "results": [
        "CALL both_of()",
        "SHOW CREATE TABLE t",
        "DESCRIBE t",
        "EXPLAIN SELECT * FROM parent",
        "CHECK TABLE t",
        "SHOW TABLES",
        "SELECT REPEAT('x', 70000)",
        "SELECT 1 LIMIT 0",
    ],
    "schemas": [
        "USE information_schema",
        "SELECT DATABASE()",
        "SELECT count(*) > 0 FROM TABLES",
        "USE not_there",
        "SELECT DATABASE()",
        "CREATE DATABASE {database}_b",
        "USE {database}_b",
        "CREATE TABLE here (a INT)",
        "SHOW TABLES",
        "USE {database}",
        "SELECT count(*) FROM {database}_b.here",
        "DROP DATABASE {database}_b",
        "USE {database}_b",
        "SELECT DATABASE()",
    ],
}


def outcome(connection: Connection, sql: str) -> list[Any]:
    """Everything a client can see of one statement, all results of it."""
    seen: list[Any] = []
    try:
        connection.query(sql)
        while True:
            result = connection._result
            assert result is not None
            columns = [
                (field.name, field.table_name, field.type_code, field.flags, field.charsetnr, field.length, field.scale)
                for field in getattr(result, "fields", ())
            ]
            seen.append(
                (
                    columns,
                    result.rows,
                    result.affected_rows,
                    result.insert_id,
                    result.warning_count,
                    result.message,
                )
            )
            if not result.has_next:
                return seen
            connection.next_result()
    except pymysql.MySQLError as error:
        seen.append((type(error).__name__, *error.args))
        return seen


def masked(value: Any, database: str) -> Any:
    """The two databases have different names; what is compared has none."""
    if isinstance(value, str):
        return value.replace(database, "DB")
    if isinstance(value, bytes):
        return value.replace(database.encode(), b"DB")
    if isinstance(value, (list, tuple)):
        return [masked(item, database) for item in value]
    return value


@pytest.mark.parametrize("script", SCRIPTS)
def test_answers_are_the_servers_own(
    server_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
    script: str,
) -> None:
    router = start_router(settings_for(server_set, tmp_path, reads={"from": "primary"}))
    server_set.primary.execute("SET GLOBAL log_bin_trust_function_creators = 1")
    names = [f"oracle_{script}_{way}" for way in ("d", "r")]
    for name in names:
        server_set.primary.execute(f"DROP DATABASE IF EXISTS {name}")
        server_set.primary.execute(f"DROP DATABASE IF EXISTS {name}_b")
        server_set.primary.execute(f"CREATE DATABASE {name}")
    server_set.wait_for_replicas()
    truth = direct(server_set.primary, server_set, client_flag=CLIENT.MULTI_RESULTS)
    ours = router.connect(client_flag=CLIENT.MULTI_RESULTS)
    for connection, name in zip((truth, ours), names, strict=True):
        connection.select_db(name)
        for sql in SCHEMA:
            connection.query(sql)
    server_set.wait_for_replicas()
    for sql in SCRIPTS[script]:
        expected, actual = (
            masked(outcome(connection, sql.format(database=name)), name)
            for connection, name in zip((truth, ours), names, strict=True)
        )
        assert actual == expected, sql
    truth.close()
    ours.close()
    for name in names:
        server_set.primary.execute(f"DROP DATABASE IF EXISTS {name}")
