"""Writes on several shards (``best_effort``): done on all of them or on none, and reported as one server would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from router.sandbox.replica_set import wait_until
from tests.fix_router import RunningRouter, direct
from tests.integration.bank import ACCOUNTS, amounts, bank, fill, refused, rows, waits_for_a_lock

pytestmark = pytest.mark.mysql
UNTOUCHED = dict.fromkeys(ACCOUNTS, 100)


@pytest.fixture
def router(
    mariadb_set: ReplicaSet,
    mysql_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> Iterator[RunningRouter]:
    """In front of a filled bank."""
    with bank(mariadb_set, mysql_set, tmp_path, "best_effort") as settings:
        running = start_router(settings)
        with running.connect(database="bank", autocommit=True) as connection:
            fill(connection)
        yield running


@pytest.fixture
def session(router: RunningRouter) -> Iterator[Connection]:
    """The session that writes."""
    with router.connect(database="bank", autocommit=True) as connection:
        yield connection


@pytest.fixture
def alone(mariadb_set: ReplicaSet) -> Iterator[Connection]:
    """The truth: the same tables on one server, all rows in one place."""
    primary = mariadb_set.primary
    primary.execute("DROP DATABASE IF EXISTS alone")
    primary.execute("CREATE DATABASE alone CHARACTER SET utf8mb4")
    primary.execute("CREATE TABLE alone.accounts (id INT PRIMARY KEY, amount INT)")
    primary.execute("CREATE TABLE alone.rates (id INT PRIMARY KEY, rate INT, at DATETIME(6))")
    with direct(primary, mariadb_set, database="alone") as connection:
        fill(connection)
        yield connection
    primary.execute("DROP DATABASE alone")


def outcome(connection: Connection, sql: str) -> tuple[Any, ...]:
    """Affected rows, insert id, info and warnings; or the error."""
    with connection.cursor() as cursor:
        try:
            affected = cursor.execute(sql)
        except pymysql.MySQLError as error:
            return ("error", error.args[0])
        message = cursor._result.message if cursor._result is not None else b""
        return affected, cursor.lastrowid, message, cursor._result.warning_count if cursor._result else 0


STATEMENTS = [
    "INSERT INTO accounts VALUES (20, 1), (21, 2), (22, 3), (23, 4)",
    "INSERT INTO accounts (amount, id) VALUES (1, 30), (2, 31), (3, 33) ON DUPLICATE KEY UPDATE amount = amount + 1",
    "INSERT INTO accounts (amount, id) VALUES (9, 30), (2, 31), (3, 34) ON DUPLICATE KEY UPDATE amount = 2",
    "INSERT IGNORE INTO accounts VALUES (0, 1), (1, 2), (40, 3), (41, 4)",
    "REPLACE INTO accounts VALUES (0, 50), (1, 51), (60, 60)",
    "REPLACE INTO accounts VALUES (0, 50), (62, 60)",
    "INSERT INTO accounts VALUES (70, 1), (71, 2), (0, 3), (72, 4)",
    "INSERT INTO accounts VALUES (70, 1), (71, 2), (72, 3), (72, 4)",
    "UPDATE accounts SET amount = amount + 1",
    "UPDATE accounts SET amount = 100 WHERE amount BETWEEN 100 AND 101",
    "UPDATE accounts SET amount = 7 WHERE id IN (1, 2, 21)",
    "UPDATE accounts SET amount = 'x' WHERE amount > 100",
    "UPDATE accounts SET amount = 0 WHERE id > 1000",
    "DELETE FROM accounts WHERE amount = 7",
    "DELETE FROM accounts WHERE id IN (20, 22, 23)",
    "DELETE FROM accounts",
]


@pytest.mark.parametrize("inside", [False, True])
def test_as_one_server_would(session: Connection, alone: Connection, inside: bool) -> None:
    if inside:
        rows(session, "BEGIN")
    for sql in STATEMENTS:
        assert outcome(session, sql) == outcome(alone, sql), sql
        assert amounts(session) == amounts(alone), sql
    if inside:
        rows(session, "ROLLBACK")
        assert amounts(session) == UNTOUCHED


def test_what_one_shard_refuses_none_does(router: RunningRouter, session: Connection) -> None:
    wrong = "INSERT INTO accounts VALUES (10, 1), (11, 1), (12, 1), (3, 1)"
    assert outcome(session, wrong) == ("error", 1062)
    assert amounts(session) == UNTOUCHED
    rows(session, "BEGIN")
    rows(session, "UPDATE accounts SET amount = 0 WHERE id = 4")
    rows(session, "SAVEPOINT mine")
    assert outcome(session, wrong) == ("error", 1062)
    rows(session, "UPDATE accounts SET amount = 0 WHERE id = 5")
    assert amounts(session) == {**UNTOUCHED, 4: 0, 5: 0}
    rows(session, "ROLLBACK TO mine")
    rows(session, "COMMIT")
    with router.connect(database="bank") as other:
        assert amounts(other) == {**UNTOUCHED, 4: 0}


def test_counts_are_those_of_all_shards(session: Connection) -> None:
    rows(session, "UPDATE accounts SET amount = 1 WHERE id < 5")
    assert rows(session, "SELECT ROW_COUNT()") == [(5,)]
    assert rows(session, "SHOW WARNINGS") == []
    outcome(session, "INSERT INTO accounts VALUES (10, 1), (11, 1), (3, 1)")
    assert rows(session, "SELECT ROW_COUNT()") == [(-1,)]


def test_every_copy_is_written_alike(
    session: Connection, alone: Connection, mariadb_set: ReplicaSet, mysql_set: ReplicaSet
) -> None:
    statements = [
        "INSERT INTO rates VALUES (1, 5, NOW(6)), (2, 6, CURRENT_TIMESTAMP(6))",
        "UPDATE rates SET rate = rate + 1, at = NOW(6)",
        "INSERT INTO rates (id, rate) VALUES (3, 9)",
        "INSERT INTO rates (id, rate) VALUES (3, 9)",
        "DELETE FROM rates WHERE id = 2",
    ]
    for sql in statements:
        assert outcome(session, sql) == outcome(alone, sql), sql
        copies = [
            servers.primary.execute(f"SELECT * FROM {database}.rates ORDER BY id")
            for servers, database in ((mariadb_set, "bank"), (mysql_set, "bank"), (mariadb_set, "bank_2"))
        ]
        assert copies[0] == copies[1] == copies[2]
    assert rows(session, "SELECT ABS(TIMESTAMPDIFF(SECOND, at, NOW())) < 60 FROM rates WHERE id = 1") == [(1,)]
    assert "UUID" in refused(session, "UPDATE rates SET rate = LENGTH(UUID())")
    mysql_set.primary.execute("DELETE FROM bank.rates")
    assert outcome(session, "UPDATE rates SET rate = 0") == ("error", 1105), "copies that differ are not written"
    assert mariadb_set.primary.execute("SELECT COUNT(*) FROM bank.rates WHERE rate = 0") == [(0,)]


def test_the_clock_is_the_servers_again(session: Connection) -> None:
    rows(session, "BEGIN")
    rows(session, "INSERT INTO rates VALUES (1, 5, NOW(6))")
    assert rows(session, "SELECT SLEEP(0.01)") == [(0,)]
    assert rows(session, "SELECT at < NOW(6) FROM rates WHERE id = 1") == [(1,)]
    rows(session, "ROLLBACK")


def test_a_shard_that_is_lost_takes_all_back(router: RunningRouter, session: Connection, mysql_set: ReplicaSet) -> None:
    rows(session, "BEGIN")
    rows(session, "UPDATE accounts SET amount = 1 WHERE id = 1")
    thread = dict(rows(session, "SHOW SESSION STATE"))["server_connection"]
    mysql_set.primary.execute("KILL %s", (int(thread),))
    assert outcome(session, "UPDATE accounts SET amount = 0") == ("error", 1213)
    assert amounts(session) == UNTOUCHED


@pytest.mark.parametrize("inside", [False, True])
def test_kill_query_takes_all_of_it_back(
    router: RunningRouter, session: Connection, mysql_set: ReplicaSet, inside: bool
) -> None:
    if inside:
        rows(session, "BEGIN")
        rows(session, "UPDATE accounts SET amount = 5 WHERE id = 1")
    (number,) = rows(session, "SELECT CONNECTION_ID()")[0]
    with direct(mysql_set.primary, mysql_set, database="bank") as locker, ThreadPoolExecutor() as pool:
        rows(locker, "BEGIN")
        rows(locker, "SELECT * FROM accounts WHERE id = 4 FOR UPDATE")
        waiting = pool.submit(outcome, session, "UPDATE accounts SET amount = 0")
        wait_until(lambda: waits_for_a_lock(mysql_set.primary), 20, "an UPDATE that waits")
        with router.connect(database="bank") as other:
            rows(other, f"KILL QUERY {number}")
        assert waiting.result(20) == ("error", 1317)
        rows(locker, "ROLLBACK")
    assert amounts(session) == ({**UNTOUCHED, 1: 5} if inside else UNTOUCHED)
    if inside:
        rows(session, "COMMIT")
    assert outcome(session, "UPDATE accounts SET amount = 7")[0] == 9


def test_with_single_they_are_refused(
    mariadb_set: ReplicaSet,
    mysql_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> None:
    with (
        bank(mariadb_set, mysql_set, tmp_path, "single") as settings,
        start_router(settings).connect(database="bank", autocommit=True) as connection,
    ):
        fill(connection)
        for sql in STATEMENTS[:4]:
            assert "best_effort" in refused(connection, sql)
        assert amounts(connection) == UNTOUCHED
