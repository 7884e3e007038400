"""A planned switchover among busy clients: none of them gets an error, and nothing is lost or done twice."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pymysql
import pytest
from pymysql.cursors import Cursor
from typer.testing import CliRunner

from router import cli
from router.cluster.operations import Drained, Paused
from router.sandbox import ReplicaSet, Server, free_port
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import FLAVORS, start_or_skip
from tests.integration.bank import ACCOUNTS, amounts, bank, fill, rows
from tests.integration.test_failover import promote, wait_for

Start = Callable[[dict[str, Any]], RunningRouter]
CLIENTS = 8
PURSES = 20


@pytest.fixture(params=FLAVORS)
def own_set(request: pytest.FixtureRequest) -> Iterator[ReplicaSet]:
    """A replica set that may be turned around."""
    with start_or_skip(request.param, replicas=2, tls=False) as servers:
        primary = servers.primary
        primary.execute("CREATE DATABASE shop")
        primary.execute("CREATE TABLE shop.accounts (id INT PRIMARY KEY, amount INT NOT NULL)")
        primary.execute("CREATE TABLE shop.ledger (n INT AUTO_INCREMENT PRIMARY KEY, entry VARCHAR(20), amount INT)")
        rows = ", ".join(f"({number}, 0)" for number in range(PURSES))
        primary.execute(f"INSERT INTO shop.accounts VALUES {rows}")
        servers.wait_for_replicas()
        yield servers


class Client(threading.Thread):
    """Writes with autocommit and in transactions, and reads what it has written; ``done`` are its entries."""

    def __init__(self, number: int, router: RunningRouter, stop: threading.Event) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.done: list[str] = []
        self.errors: list[str] = []
        self.longest = 0.0
        self.turns = 0
        self._number = number
        self._router = router
        self._stop_asked = stop
        self._random = Random(number)

    def run(self) -> None:
        try:
            with self._router.connect(database="shop") as connection, connection.cursor() as cursor:
                while not self._stop_asked.is_set():
                    self._turn(cursor)
        except pymysql.MySQLError as error:
            self.errors.append(f"{self.name}, turn {self.turns}: {error!r}")

    def _turn(self, cursor: Cursor) -> None:
        self.turns += 1
        entry = f"{self._number}-{self.turns}"
        began = time.monotonic()
        match self._random.randrange(3):
            case 0:
                cursor.execute("INSERT INTO ledger (entry, amount) VALUES (%s, 0)", (entry,))
                self.done.append(entry)
            case 1:
                account = self._random.randrange(PURSES)
                cursor.execute("BEGIN")
                cursor.execute("SELECT amount FROM accounts WHERE id = %s FOR UPDATE", (account,))
                cursor.execute("UPDATE accounts SET amount = amount + 1 WHERE id = %s", (account,))
                cursor.execute("INSERT INTO ledger (entry, amount) VALUES (%s, 1)", (entry,))
                cursor.execute("COMMIT")
                self.done.append(entry)
            case _:
                cursor.execute("SELECT COUNT(*) FROM ledger WHERE entry LIKE %s", (f"{self._number}-%",))
                assert cursor.fetchall() == ((len(self.done),),), "it sees what it has written"
        self.longest = max(self.longest, time.monotonic() - began)


class Crowd:
    """Clients that work while it is open."""

    def __init__(self, router: RunningRouter, numbers: Iterable[int] = range(CLIENTS)) -> None:
        self._stop = threading.Event()
        self.clients = [Client(number, router, self._stop) for number in numbers]

    def __enter__(self) -> Crowd:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self.clients:
            client.join(20)

    def go_on(self) -> None:
        """Wait until everybody has had some turns."""
        until = {client: client.turns + 10 for client in self.clients}
        deadline = time.monotonic() + 20
        while any(client.is_alive() and client.turns < turns for client, turns in until.items()):
            assert time.monotonic() < deadline, [client.turns for client in self.clients]
            time.sleep(0.01)


def switch(servers: ReplicaSet, new: Server) -> None:
    """What the operator does on the servers: nobody writes to the old primary meanwhile."""
    old = servers.primary
    old.make_read_only()
    assert new.wait_for_gtids(old.gtids(), 10)
    servers.promote(new)


def switch_as_documented(servers: ReplicaSet, new: Server) -> None:
    """The same, with the statements of the how-to."""
    page = (Path(__file__).parents[2] / "docs/how-to/switchover.md").read_text(encoding="utf-8")
    name = "MySQL" if servers.flavor == "mysql" else "MariaDB"
    text = page.partition(f"**{name}**")[2].partition("```sql\n")[2].partition("```")[0]
    old, gtids = servers.primary, ""
    on = {"-- db1": old, "-- db2": new}
    password = servers.USERS["repl"]
    for part in re.split(r"^(?=-- db)", text, flags=re.MULTILINE)[1:]:
        head, _, statements = part.partition("\n")
        for statement in re.sub(r"--.*", "", statements).split(";"):
            prefix = "MASTER" if "MASTER_HOST" in statement else "SOURCE"
            sql = statement.replace("HOST = 'db2'", f"HOST = '127.0.0.1', {prefix}_PORT = {new.port}")
            sql = sql.replace("PASSWORD = '…'", f"PASSWORD = '{password}'").replace("'…'", f"'{gtids}'").strip()
            if not sql:
                continue
            found = on[head[:6]].execute(sql)
            if sql.startswith("SELECT @@"):
                gtids = found[0][0]
            assert "WAIT" not in sql or found == [(0,)]
    others = [server for server in servers.servers if server not in (old, new)]
    for server in others:
        server.replicate_from(new, "repl", password)
    servers.primary, servers.replicas = new, [old, *others]


def drain(router: RunningRouter, server: Server) -> Drained:
    return router.wait_for(lambda gateway: gateway.operations.drain("main", server.name))


def undrain(router: RunningRouter, server: Server) -> Drained:
    return router.wait_for(lambda gateway: gateway.operations.undrain("main", server.name))


def verify(crowd: Crowd, servers: ReplicaSet) -> None:
    assert [error for client in crowd.clients for error in client.errors] == []
    servers.wait_for_replicas()
    for server in servers.servers:
        entries = Counter(row[0] for row in server.execute("SELECT entry FROM shop.ledger"))
        assert entries == Counter(entry for client in crowd.clients for entry in client.done)
        ((paid, kept),) = server.execute(
            "SELECT (SELECT SUM(amount) FROM shop.ledger), (SELECT SUM(amount) FROM shop.accounts)"
        )
        assert paid == kept
    longest = max(client.longest for client in crowd.clients)
    turns = sum(client.turns for client in crowd.clients)
    print(f"{servers.flavor}: {turns} turns of {CLIENTS} clients, the longest took {longest * 1000:.0f} ms")


@pytest.mark.slow
def test_drain_promote_undrain(own_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    router = start_router(settings_for(own_set, tmp_path))
    old, new = own_set.primary, own_set.replicas[0]
    with Crowd(router) as crowd:
        crowd.go_on()
        for _ in range(2):
            outcome = drain(router, old)
            assert outcome.done, outcome
            switch_as_documented(own_set, new)
            outcome = undrain(router, old)
            assert not outcome.draining
            wait_for(router, **{old.name: "replica", new.name: "primary", "replica2": "replica"})
            crowd.go_on()
            old, new = new, old  # and back
    verify(crowd, own_set)


@pytest.mark.slow
def test_promote_before_the_old_one_is_demoted(own_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    """Both can be written for a while, but one of them drains; nobody writes to two."""
    router = start_router(settings_for(own_set, tmp_path))
    old, new = own_set.primary, own_set.replicas[0]
    with Crowd(router) as crowd:
        crowd.go_on()
        outcome = drain(router, old)
        assert outcome.done, outcome
        assert new.wait_for_gtids(old.gtids(), 10)
        promote(own_set, new, own_set.replicas[1])
        wait_for(router, **{new.name: "primary"})
        crowd.go_on()
        old.make_read_only()
        old.replicate_from(new, "repl", own_set.USERS["repl"])
        own_set.primary, own_set.replicas = new, [old, own_set.replicas[1]]
        undrain(router, old)
        wait_for(router, **{old.name: "replica"})
        crowd.go_on()
    verify(crowd, own_set)


@pytest.mark.slow
def test_pause_promote_resume(own_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    router = start_router(settings_for(own_set, tmp_path, failover_timeout="100ms"))
    new = own_set.replicas[0]
    with Crowd(router) as crowd, ExitStack() as stack:
        crowd.go_on()
        (outcome,) = router.wait_for(lambda gateway: gateway.operations.pause("main"))
        assert outcome.done, outcome
        turns = [client.turns for client in crowd.clients]
        switch(own_set, new)
        assert [client.turns for client in crowd.clients] == turns, "not even reads have begun"
        newcomer = stack.enter_context(Crowd(router, [CLIENTS]))
        (outcome,) = router.wait_for(lambda gateway: gateway.operations.resume("main"))
        assert not outcome.paused
        crowd.go_on()
        newcomer.go_on()
    crowd.clients += newcomer.clients
    verify(crowd, own_set)


def test_the_same_from_the_command_line(
    mariadb_set: ReplicaSet, tmp_path: Path, start_router: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(mariadb_set, tmp_path)
    settings["admin"]["http"] = f"127.0.0.1:{free_port()}"
    file = tmp_path / "routes.yaml"
    file.write_text(json.dumps(settings))
    monkeypatch.setenv("ROUTER_CONFIG", str(file))
    router = start_router(settings)

    def say(*words: str, status: int = 0) -> str:
        result = CliRunner().invoke(cli.app, words)
        assert result.exit_code == status, result.output
        # The router of this process writes its log there, too.
        return "".join(line for line in result.output.splitlines(keepends=True) if "group=main" not in line)

    with router.connect() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FOR UPDATE")
        held = say("server", "drain", "main/primary", "--timeout", "100ms", status=1)
        assert held == "main/primary is draining: 1 connections in use, 0 of them by idle sessions\n"
        paused = say("group", "pause", "--wait", "100ms", status=1)
        assert paused == "main is paused, but 1 connections are busy or in transactions\n"
        cursor.execute("COMMIT")
    assert say("server", "drain", "main/primary") == "main/primary is drained: nobody is held there\n"
    assert say("group", "pause", "main") == "main is paused: nothing is under way\n"
    listed = say("server", "list").splitlines()
    assert [" ".join(line.split()[3:6]) for line in listed[1:2]] == ["primary draining, paused"]
    assert say("server", "undrain", "main/primary") == "main/primary is in use\n"
    assert say("group", "resume", "main") == "main goes on\n"
    assert "did you mean 'main'?" in say("group", "resume", "man", status=1)


@pytest.fixture
def sharded(
    mariadb_set: ReplicaSet, mysql_set: ReplicaSet, tmp_path: Path, start_router: Start
) -> Iterator[RunningRouter]:
    """A bank over two groups."""
    with bank(mariadb_set, mysql_set, tmp_path, "best_effort") as settings:
        running = start_router(settings)
        with running.connect(database="bank") as connection:
            fill(connection)
        yield running


def pause(router: RunningRouter, group: str | None = None) -> list[Paused]:
    return router.wait_for(lambda gateway: gateway.operations.pause(group, 20, 5))


def resume(router: RunningRouter, group: str | None = None) -> None:
    router.wait_for(lambda gateway: gateway.operations.resume(group))


@pytest.mark.mysql
def test_statements_on_several_shards_are_whole_before_a_pause_or_begin_after_it(sharded: RunningRouter) -> None:
    """Statements and transactions over shards all the time; whenever all is paused, nothing of them is open."""
    stop = threading.Event()

    def work(number: int) -> int:
        turns = 0
        with sharded.connect(database="bank") as connection:
            while not stop.is_set():
                turns += 1
                if number % 2:
                    rows(connection, "UPDATE accounts SET amount = amount + 1 WHERE id > 2")
                    continue
                rows(connection, "BEGIN")
                for key in (2, 1, 0):
                    rows(connection, f"UPDATE accounts SET amount = amount + 1 WHERE id = {key}")
                assert len(rows(connection, "SELECT amount FROM accounts WHERE amount > 0")) == len(ACCOUNTS)
                rows(connection, "COMMIT")
        return turns

    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(work, number) for number in (0, 1)]
        for _ in range(10):
            time.sleep(0.05)
            outcomes = pause(sharded)
            assert all(each.done and each.elsewhere == 0 for each in outcomes), outcomes
            assert not sharded.call(lambda gateway: sum(it.pool.in_use for it in gateway.topology.servers()))
            resume(sharded)
        stop.set()
        alone, together = (each.result(20) for each in working)
    with sharded.connect(database="bank") as connection:
        found = amounts(connection)
    assert found == {key: 100 + (alone if key < 3 else together) for key in ACCOUNTS}


@pytest.mark.mysql
def test_a_transaction_on_another_group_may_come_to_a_paused_one(sharded: RunningRouter) -> None:
    """Or the two would wait for each other."""
    with (
        sharded.connect(database="bank") as one,
        sharded.connect(database="bank") as late,
        ThreadPoolExecutor(1) as pool,
    ):
        rows(one, "BEGIN")
        rows(one, "UPDATE accounts SET amount = 0 WHERE id = 0")
        (outcome,) = pause(sharded, "other")
        assert outcome.done
        assert outcome.elsewhere == 1
        reading = pool.submit(rows, late, "SELECT SUM(amount) FROM accounts")
        rows(one, "UPDATE accounts SET amount = 0 WHERE id = 1")
        assert rows(one, "SELECT SUM(amount) FROM accounts") == [(700,)]
        rows(one, "COMMIT")
        assert not reading.done()
        (outcome,) = pause(sharded, "other")
        assert (outcome.done, outcome.elsewhere, outcome.waiting) == (True, 0, 1)
        assert rows(one, "SELECT amount FROM accounts WHERE id = 0") == [(0,)], "the other group is not paused"
        resume(sharded, "other")
        assert reading.result(20) == [(700,)]
