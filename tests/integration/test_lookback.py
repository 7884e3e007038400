"""LAST_INSERT_ID() and warnings are the session's own, wherever its statements have run meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, direct, settings_for

WARNS = "SELECT 1/0, v FROM lookback.t"
READS = "SELECT v FROM lookback.t"
INSERTS = "INSERT INTO lookback.t (v) VALUES ('x')"


def value(connection: Connection, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall()
        return rows[0][0] if rows else None


@pytest.fixture
def table(server_set: ReplicaSet) -> Iterator[None]:
    """A table whose ids begin at 100."""
    primary = server_set.primary
    primary.execute("DROP DATABASE IF EXISTS lookback")
    primary.execute("CREATE DATABASE lookback")
    primary.execute("CREATE TABLE lookback.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(9)) AUTO_INCREMENT = 100")
    primary.execute("INSERT INTO lookback.t (id, v) VALUES (1, 'a')")
    server_set.wait_for_replicas()
    yield
    primary.execute("DROP DATABASE lookback")


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    "between",
    [
        [],
        [READS],
        [WARNS],
        [WARNS, READS],
        [READS, WARNS],
        ["SET sql_mode = ''", READS, WARNS],
        ["BEGIN"],
        [WARNS, "BEGIN"],
        ["BEGIN", READS, "COMMIT", WARNS],
        ["SELEC"],
        ["SHOW WARNINGS", READS],
    ],
    ids=" / ".join,
)
@pytest.mark.parametrize("crowded", [False, True], ids=["alone", "crowded"])
def test_the_insert_id_stays_the_sessions_own(
    server_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
    between: list[str],
    crowded: bool,
) -> None:
    """``crowded``: another session takes the only connection to each server after every statement."""
    router = start_router(settings_for(server_set, tmp_path, pool={"max_connections": 1 if crowded else 8}))
    with router.connect() as ours, router.connect() as other:
        ours.query(INSERTS)
        expected = ours.insert_id()
        assert expected >= 100
        for sql in between:
            if crowded and not ours.server_status & 1:
                other.query(INSERTS)
                value(other, READS)
            with suppress(pymysql.err.ProgrammingError):
                value(ours, sql)
        if crowded and not ours.server_status & 1:
            other.query(INSERTS)
        assert value(ours, "SELECT LAST_INSERT_ID()") == expected
        ours.query("ROLLBACK")
        assert value(ours, "SELECT @@identity") == expected


@pytest.mark.usefixtures("table")
def test_an_explicit_id_is_nobodys_insert_id(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    """What another session generated on the same connection must not shine through."""
    router = start_router(settings_for(server_set, tmp_path, pool={"max_connections": 1}))
    with router.connect() as ours, router.connect() as other:
        for number in (5000, 7000):
            other.query(INSERTS)
            ours.query(f"INSERT INTO lookback.t (id, v) VALUES ({number}, 'given')")
            assert value(ours, "SELECT LAST_INSERT_ID()") == 0


@pytest.mark.usefixtures("table")
def test_warnings_of_others_are_never_seen(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    router = start_router(settings_for(server_set, tmp_path, pool={"max_connections": 1}))
    with router.connect() as ours, router.connect() as other:
        assert value(ours, READS) == "a"
        value(other, WARNS)
        other.query("DROP TABLE IF EXISTS lookback.nothing")
        assert value(ours, "SHOW WARNINGS") is None
        assert value(ours, "SELECT @@warning_count") == 0


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    "sql", [WARNS, READS, INSERTS, "SELECT nonsense", "UPDATE lookback.t SET v = CONNECTION_ID()", "DO 1"]
)
def test_counts_and_warnings_go_along(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter], sql: str
) -> None:
    """What a direct connection says, although the connection has gone to another session."""
    router = start_router(settings_for(server_set, tmp_path, pool={"max_connections": 1}))
    with (
        router.connect(autocommit=True) as ours,
        router.connect(autocommit=True) as other,
        direct(server_set.primary, server_set, autocommit=True) as truth,
    ):
        for question in ("SELECT ROW_COUNT()", "SHOW WARNINGS"):
            for connection in (ours, truth):
                value(connection, "SELECT COUNT(*) FROM lookback.t")
                with suppress(pymysql.MySQLError):
                    value(connection, sql)
            other.query("INSERT IGNORE INTO lookback.t (id, v) VALUES (1, 'twice')")
            value(other, READS)
            with ours.cursor() as cursor, truth.cursor() as expected:
                cursor.execute(question)
                expected.execute(question)
                assert cursor.fetchall() == expected.fetchall()
                assert cursor.description == expected.description


@pytest.mark.usefixtures("table")
def test_found_rows_go_along(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    router = start_router(settings_for(server_set, tmp_path, pool={"max_connections": 1}))
    with router.connect(autocommit=True) as ours, router.connect(autocommit=True) as other:
        for _ in range(6):
            value(ours, INSERTS)
        value(ours, "SELECT SQL_CALC_FOUND_ROWS v FROM lookback.t LIMIT 2")
        value(other, INSERTS)
        value(other, "SELECT SQL_CALC_FOUND_ROWS v FROM lookback.t LIMIT 1")
        assert value(ours, "SELECT FOUND_ROWS()") == 7


@pytest.mark.parametrize("asked", ["SELECT * FROM missing", "SELECT 1 + '1x'"])
@pytest.mark.parametrize(
    "held", ["BEGIN", "SELECT GET_LOCK('here', 0)", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET @a = 1 + 1"]
)
def test_warnings_on_a_replica_keep_nobody_there(
    server_set: ReplicaSet, router: RunningRouter, fresh_database: str, asked: str, held: str
) -> None:
    server_set.primary.execute(f"CREATE TABLE {fresh_database}.t (n INT)")
    server_set.wait_for_replicas()
    with router.connect(database=fresh_database) as connection, connection.cursor() as cursor:
        with suppress(pymysql.MySQLError):
            cursor.execute(asked)
        cursor.execute(held)
        cursor.execute("SELECT n FROM t")
        cursor.execute("INSERT INTO t VALUES (1)")
        cursor.execute("COMMIT")
    assert server_set.primary.value(f"SELECT COUNT(*) FROM {fresh_database}.t") == 1
