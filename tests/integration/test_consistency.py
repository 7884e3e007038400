"""Reads see what they are promised to see, however far behind the replicas are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark_all, statements_by_server
from tests.integration.bank import amounts, bank, fill, rows

STOP = {"mysql": "STOP REPLICA SQL_THREAD", "mariadb": "STOP SLAVE SQL_THREAD"}
START = {"mysql": "START REPLICA SQL_THREAD", "mariadb": "START SLAVE SQL_THREAD"}
Start = Callable[[dict[str, Any]], RunningRouter]


@pytest.fixture
def stock(server_set: ReplicaSet) -> Iterator[ReplicaSet]:
    """Database ``stock`` with a row, on all servers; replicas apply again when the test is over."""
    server_set.primary.execute("DROP DATABASE IF EXISTS stock")
    server_set.primary.execute("CREATE DATABASE stock")
    server_set.primary.execute("CREATE TABLE stock.t (id INT PRIMARY KEY, n INT)")
    server_set.primary.execute("INSERT INTO stock.t VALUES (1, 0)")
    server_set.wait_for_replicas()
    yield server_set
    for replica in server_set.replicas:
        replica.execute(START[server_set.flavor])
    server_set.primary.execute("DROP DATABASE stock")
    server_set.wait_for_replicas()


def start(start_router: Start, servers: ReplicaSet, directory: Path, **reads: Any) -> RunningRouter:
    """A router whose probes do not disturb, and do not help either: that a replica applies nothing is no matter."""
    settings = settings_for(servers, directory, reads={"max_lag": "any", **reads})
    settings["groups"]["main"]["monitor"]["interval"] = "200ms"
    return start_router(settings)


@contextmanager
def frozen(servers: ReplicaSet) -> Iterator[None]:
    """The replicas apply nothing."""
    for replica in servers.replicas:
        replica.execute(STOP[servers.flavor])
    try:
        yield
    finally:
        for replica in servers.replicas:
            replica.execute(START[servers.flavor])
        servers.wait_for_replicas()


def read(connection: Connection) -> int:
    return int(rows(connection, "SELECT n FROM t WHERE id = 1")[0][0])


def adapted(connection: Connection) -> int:
    """The same, of a session with other variables, so that there is more in front of it."""
    rows(connection, "SET SESSION sort_buffer_size = 1000000")
    return read(connection)


@pytest.mark.parametrize("way", [read, adapted])
def test_a_session_reads_its_own_writes(
    stock: ReplicaSet, start_router: Start, tmp_path: Path, way: Callable[[Connection], int]
) -> None:
    router = start(start_router, stock, tmp_path)
    with router.connect(database="stock", autocommit=True) as connection:
        for number in range(1, 100):
            rows(connection, f"UPDATE t SET n = {number} WHERE id = 1")
            assert way(connection) == number
        with frozen(stock):
            for number in range(100, 110):
                rows(connection, "BEGIN")
                rows(connection, f"UPDATE t SET n = {number} WHERE id = 1")
                rows(connection, "COMMIT")
                assert way(connection) == number
        assert way(connection) == 109


def test_replicas_that_are_current_answer(stock: ReplicaSet, start_router: Start, tmp_path: Path) -> None:
    router = start(start_router, stock, tmp_path)
    with router.connect(database="stock", autocommit=True) as connection:
        rows(connection, "UPDATE t SET n = 1 WHERE id = 1")
        since = mark_all(stock)
        for number in range(2, 50):
            rows(connection, f"UPDATE t SET n = {number} WHERE id = 1")
            assert read(connection) == number
    seen = statements_by_server(stock, since)
    asked = {name: sum(sql.startswith("SELECT n") for sql in found) for name, found in seen.items()}
    assert asked.pop(stock.primary.name) == 0
    assert all(asked.values()), "both take part"


def test_only_the_first_waits_for_a_replica_that_stands_still(
    stock: ReplicaSet, start_router: Start, tmp_path: Path
) -> None:
    router = start(start_router, stock, tmp_path)
    with router.connect(database="stock", autocommit=True) as connection, frozen(stock):
        took = []
        for number in range(1, 20):
            rows(connection, f"UPDATE t SET n = {number} WHERE id = 1")
            began = time.monotonic()
            assert read(connection) == number
            took.append(time.monotonic() - began)
    assert median(took) < 0.1
    assert sum(each > 0.3 for each in took) <= len(stock.replicas)


def test_eventually_is_what_it_says(stock: ReplicaSet, start_router: Start, tmp_path: Path) -> None:
    router = start(start_router, stock, tmp_path, consistency="eventual")
    with router.connect(database="stock", autocommit=True) as connection, frozen(stock):
        rows(connection, "UPDATE t SET n = 5 WHERE id = 1")
        assert read(connection) == 0


@pytest.mark.parametrize("consistency", ["session", "global", "strong"])
def test_what_others_have_written(stock: ReplicaSet, start_router: Start, tmp_path: Path, consistency: str) -> None:
    router = start(start_router, stock, tmp_path, consistency=consistency)
    with (
        router.connect(database="stock", autocommit=True) as writer,
        router.connect(database="stock", autocommit=True) as reader,
        frozen(stock),
    ):
        assert read(reader) == 0
        rows(writer, "UPDATE t SET n = 5 WHERE id = 1")
        assert read(reader) == (0 if consistency == "session" else 5)


def test_prepared_statements(stock: ReplicaSet, start_router: Start, tmp_path: Path) -> None:
    connector = pytest.importorskip("mysql.connector")
    router = start(start_router, stock, tmp_path)
    with (
        connector.connect(
            host="127.0.0.1",
            port=router.port,
            user="app",
            password=router.password,
            database="stock",
            autocommit=True,
            ssl_disabled=False,
        ) as connection,
        connection.cursor(prepared=True) as cursor,
        frozen(stock),
    ):
        for number in range(1, 5):
            cursor.execute("UPDATE t SET n = %s WHERE id = 1", (number,))
            cursor.execute("SELECT n FROM t WHERE id = %s", (1,))
            assert cursor.fetchall() == [(number,)]


def test_a_killed_wait_does_not_go_on_elsewhere(stock: ReplicaSet, start_router: Start, tmp_path: Path) -> None:
    router = start(start_router, stock, tmp_path)
    with router.connect(database="stock", autocommit=True) as connection, frozen(stock):
        rows(connection, "UPDATE t SET n = 5 WHERE id = 1")
        number = connection.thread_id()
        connection._execute_command(3, "SELECT n FROM t WHERE id = 1")
        with router.connect(database="stock") as other:
            rows(other, f"KILL QUERY {number}")
        with suppress(pymysql.err.OperationalError):  # unless the answer was on its way already
            connection._read_query_result()
        assert read(connection) == 5


@pytest.mark.mysql
def test_a_transaction_over_shards_is_seen_by_its_session(
    mariadb_set: ReplicaSet, mysql_set: ReplicaSet, tmp_path: Path, start_router: Start
) -> None:
    with bank(mariadb_set, mysql_set, tmp_path, "best_effort") as settings:
        for servers in (mariadb_set, mysql_set):
            servers.wait_for_replicas()
        for group in settings["groups"].values():
            group["reads"] = {"from": "replicas"}
        router = start_router(settings)
        with router.connect(database="bank", autocommit=True) as connection:
            fill(connection)
            for servers in (mariadb_set, mysql_set):
                servers.wait_for_replicas()
            with frozen(mariadb_set), frozen(mysql_set):
                rows(connection, "BEGIN")
                rows(connection, "UPDATE accounts SET amount = 1 WHERE id IN (1, 2, 3)")
                rows(connection, "COMMIT")
                assert amounts(connection) == dict.fromkeys(range(9), 100) | {1: 1, 2: 1, 3: 1}
                rows(connection, "UPDATE accounts SET amount = 2")
                assert amounts(connection) == dict.fromkeys(range(9), 2)
                assert rows(connection, "SELECT SUM(amount) FROM accounts") == [(18,)]


def test_who_reconnects_brings_along_what_he_has_seen(stock: ReplicaSet, start_router: Start, tmp_path: Path) -> None:
    router = start(start_router, stock, tmp_path)
    with frozen(stock):
        with router.connect(database="stock", autocommit=True) as connection:
            assert rows(connection, "SELECT @@router_gtid") == [("",)]
            rows(connection, "UPDATE t SET n = 5 WHERE id = 1")
            ((token,),) = rows(connection, "SELECT @@router_gtid")
            assert dict(rows(connection, "SHOW SESSION STATE"))["written"] == token
        with router.connect(database="stock", autocommit=True) as another:
            assert read(another) == 0
            rows(another, f"SET @@router_gtid = '{token}'")
            assert read(another) == 5
            assert rows(another, "SELECT @@router_gtid") == [(token,)]
            for wrong in ("nobody=0-1-1", "main=nonsense", "main"):
                with pytest.raises(pymysql.err.OperationalError, match="1231"):
                    rows(another, f"SET @@router_gtid = '{wrong}'")
