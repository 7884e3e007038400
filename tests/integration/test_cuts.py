"""Lines that break at any byte leave nothing behind: no desynchronised connection, no write done twice.

A client does a fixed exchange – login, reads, writes, a transaction, a prepared statement – through a proxy that cuts
after ``n`` bytes in one direction, on the client's side or on the servers'. Afterwards other sessions use every
connection of the pool and must get their own answers; the table must hold what was acknowledged exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest

from router.sandbox import ReplicaSet
from router.sandbox.replica_set import wait_until
from tests.fix_router import RunningRouter, settings_for
from tests.integration.bank import rows
from tests.proxy import CuttingProxy

POOL = 4
# Dense where the login is, then coarser: the exchange is about 2 KB each way.
CUTS = [*range(0, 120, 7), *range(120, 2400, 61)]
LOST = (pymysql.err.OperationalError, pymysql.err.InternalError, pymysql.err.InterfaceError, ConnectionError)


class Exchange:
    """One client's scripted exchange; remembers which of its rows were acknowledged."""

    def __init__(self, port: int, password: str, tag: str) -> None:
        self.port = port
        self.password = password
        self.tag = tag
        self.acknowledged: set[str] = set()
        self.sent: set[str] = set()

    def run(self) -> bool:
        """True when it came through whole."""
        connection = None
        try:
            connection = pymysql.connect(
                host="127.0.0.1",
                port=self.port,
                user="app",
                password=self.password,
                database="cuts",
                autocommit=True,
                connect_timeout=10,
                read_timeout=10,
            )
            with connection.cursor() as cursor:
                for number in range(3):
                    cursor.execute(f"SELECT 'echo {self.tag} {number}', REPEAT('x', 100) FROM seeds LIMIT 3")
                    assert {row[0] for row in cursor.fetchall()} == {f"echo {self.tag} {number}"}
                    self.insert(cursor, f"{self.tag}-{number}")
                cursor.execute("SET sql_mode = 'ANSI_QUOTES'")
                cursor.execute('SELECT "id" FROM seeds LIMIT 1')
                assert cursor.fetchall() == ((1,),)
                cursor.execute("BEGIN")
                value = f"{self.tag}-t"
                self.sent.add(value)
                cursor.execute("INSERT INTO written (value) VALUES (%s)", (value,))
                cursor.execute("COMMIT")
                self.acknowledged.add(value)
            connection.close()
        except LOST:
            if connection is not None:
                with suppress(*LOST):
                    connection.close()
            return False
        return True

    def insert(self, cursor: Any, value: str) -> None:
        self.sent.add(value)
        cursor.execute("INSERT INTO written (value) VALUES (%s)", (value,))
        self.acknowledged.add(value)


@pytest.fixture
def cuts_database(server_set: ReplicaSet) -> Iterator[None]:
    """A table to write to and one to read."""
    primary = server_set.primary
    primary.execute("DROP DATABASE IF EXISTS cuts")
    primary.execute("CREATE DATABASE cuts")
    primary.execute("CREATE TABLE cuts.seeds (id INT PRIMARY KEY)")
    primary.execute("INSERT INTO cuts.seeds VALUES (1), (2), (3)")
    primary.execute("CREATE TABLE cuts.written (id INT AUTO_INCREMENT PRIMARY KEY, value VARCHAR(40))")
    server_set.wait_for_replicas()
    yield
    primary.execute("DROP DATABASE cuts")


def everybody_is_in_step(router: RunningRouter) -> None:
    """Use every connection there can be, several times, and get one's own answers."""
    with ExitStack() as stack:
        clients = [stack.enter_context(router.connect(database="cuts")) for _ in range(POOL)]
        for turn in range(3):
            for number, client in enumerate(clients):
                with client.cursor() as cursor:
                    cursor.execute("BEGIN")
                    cursor.execute(f"SELECT 'mine {turn} {number}', @@sql_mode LIKE '%ANSI_QUOTES%' FROM seeds")
                    assert cursor.fetchall() == ((f"mine {turn} {number}", 0),) * 3
            for client in clients:
                client.rollback()
                with client.cursor() as cursor:
                    cursor.execute(f"SELECT 'read {turn}' FROM seeds")
                    assert cursor.fetchall() == ((f"read {turn}",),) * 3


def check_rows(servers: ReplicaSet, exchanges: list[Exchange]) -> None:
    rows = [row[0] for row in servers.primary.execute("SELECT value FROM cuts.written")]
    assert len(rows) == len(set(rows)), "a write was done twice"
    acknowledged = set().union(*(exchange.acknowledged for exchange in exchanges))
    sent = set().union(*(exchange.sent for exchange in exchanges))
    assert acknowledged <= set(rows) <= sent


@pytest.mark.slow
@pytest.mark.usefixtures("cuts_database")
@pytest.mark.parametrize("direction", ["to_client", "to_target"])
def test_clients_that_vanish(
    server_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
    direction: str,
) -> None:
    router = start_router(settings_for(server_set, tmp_path, pool={"max_connections": POOL}))
    exchanges = []
    with CuttingProxy(("127.0.0.1", router.port)) as proxy:
        for cut in CUTS:
            proxy.cut_after(**{direction: cut})
            exchange = Exchange(proxy.port, router.password, f"{direction[3]}{cut}")
            whole = exchange.run()
            exchanges.append(exchange)
            proxy.cut_after()
            if whole:
                break
            everybody_is_in_step(router)
        assert proxy.cuts >= 20
    everybody_is_in_step(router)
    check_rows(server_set, exchanges)


@pytest.mark.slow
@pytest.mark.usefixtures("cuts_database")
@pytest.mark.parametrize("direction", ["to_client", "to_target"])
def test_servers_that_vanish(
    server_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
    direction: str,
) -> None:
    """The same with the primary's line: bytes from the server cut at ``to_client``, bytes to it at ``to_target``."""
    with CuttingProxy(("127.0.0.1", server_set.primary.port)) as proxy:
        settings = settings_for(server_set, tmp_path, pool={"max_connections": POOL}, reads={"from": "any"})
        servers = settings["groups"]["main"]["servers"]
        servers[0] = {"name": "primary", "address": f"127.0.0.1:{proxy.port}", "role": "primary"}
        # A quiet monitor: its own connections would use up the bytes.
        settings["groups"]["main"]["monitor"]["interval"] = "1h"
        router = start_router(settings)
        exchanges = []
        for cut in CUTS:
            proxy.cut_after(**{direction: cut})
            exchange = Exchange(router.port, router.password, f"{direction[3]}{cut}")
            whole = exchange.run()
            exchanges.append(exchange)
            proxy.cut_after()
            everybody_is_in_step(router)
            if whole and cut > 1500:
                break
        assert proxy.cuts >= 10
        check_rows(server_set, exchanges)


@pytest.mark.usefixtures("cuts_database")
def test_nobody_hears_of_a_server_that_is_lost_during_set(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    router = start_router(settings_for(server_set, tmp_path))
    running = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SET @b%'"
    with router.connect(database="cuts") as client, ThreadPoolExecutor(1) as pool:
        rows(client, "SET @a = 5")
        rows(client, "SET autocommit = 0, time_zone = '+03:00'")
        setting = pool.submit(rows, client, "SET @b = @a + SLEEP(1), sql_mode = 'ANSI_QUOTES'")
        wait_until(lambda: bool(server_set.primary.execute(running)), 10, "the statement runs")
        ((thread,),) = server_set.primary.execute(running)
        server_set.primary.execute(f"KILL CONNECTION {thread}")
        setting.result(20)
        assert rows(client, "SELECT @a, @b, @@time_zone, @@sql_mode, @@autocommit") == [
            (5, 5, "+03:00", "ANSI_QUOTES", 0)
        ]
    assert router.call(lambda gateway: gateway.counters.retries) == 1
