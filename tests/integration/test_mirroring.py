"""Rules that send copies to another group, on real servers: what comes there, and that clients notice nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import ReplicaSet
from tests.differential.prepared import ask_prepared
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark, statements_seen
from tests.integration.bank import rows
from tests.integration.spread import spread
from tests.proxy import CuttingProxy

Start = Callable[[dict[str, Any]], RunningRouter]


def staged(servers: ReplicaSet, directory: Path, mirror: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Group ``main`` without the second replica, which is ``staging``; a rule that copies what speaks of ``t``."""
    settings = settings_for(servers, directory)
    main = settings["groups"]["main"]
    own = {**main["servers"].pop(), "role": "replica"}
    settings["groups"]["staging"] = {**main, "servers": [own], **changes}
    settings["schemas"] = {"stock": {"group": "main"}, "elsewhere": {"group": "staging"}}
    settings["rules"] = [{"name": "copy", "when": {"regex": r"\bt\b"}, "mirror": {"group": "staging", **mirror}}]
    return settings


@pytest.fixture
def stock(server_set: ReplicaSet) -> Iterator[ReplicaSet]:
    """Database ``stock`` with table ``t`` on all servers."""
    server_set.primary.execute("DROP DATABASE IF EXISTS stock")
    server_set.primary.execute("CREATE DATABASE stock")
    server_set.primary.execute("CREATE TABLE stock.t (id INT PRIMARY KEY, n VARCHAR(20))")
    server_set.primary.execute("INSERT INTO stock.t VALUES (1, 'a'), (2, 'b')")
    server_set.wait_for_replicas()
    yield server_set
    server_set.primary.execute("DROP DATABASE stock")
    server_set.wait_for_replicas()


def results(router: RunningRouter) -> dict[str, int]:
    return router.call(
        lambda gateway: {result: count for (rule, result), count in gateway.counters.mirrored.items() if rule == "copy"}
    )


def until_ended(router: RunningRouter, count: int) -> dict[str, int]:
    """The results of so many copies."""
    deadline = time.monotonic() + 10
    while sum((found := results(router)).values()) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


@contextmanager
def seen_by(servers: ReplicaSet) -> Iterator[list[str]]:
    """The statements about ``t`` that staging gets."""
    since = mark(servers.replicas[1])
    found: list[str] = []
    yield found
    found += [sql for sql in statements_seen(servers.replicas[1], since) if " t" in sql]


def test_reads_outside_of_transactions_are_copied(stock: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    router = start_router(staged(stock, tmp_path, {}))
    with router.connect(database="stock") as connection, seen_by(stock) as seen:
        assert rows(connection, "SELECT n FROM t WHERE id = 1") == [("a",)]
        until_ended(router, 1)
        rows(connection, "SET sql_mode = 'ANSI_QUOTES'")
        assert rows(connection, 'SELECT "n" FROM t WHERE id = 2') == [("b",)]
        until_ended(router, 2)
        rows(connection, "BEGIN")
        rows(connection, "SELECT id FROM t")
        rows(connection, "COMMIT")
        rows(connection, "INSERT INTO t VALUES (3, 'c')")
        assert ask_prepared(connection, "SELECT n FROM t WHERE id = 2").rows == ((b"b",),)
        assert until_ended(router, 3) == {"ok": 3}
        explained = rows(connection, "EXPLAIN ROUTE SELECT id FROM t")
        assert str(explained[0][5]).endswith("copied to group staging by rule copy")
    # The write comes by replication, if it comes.
    asked = [sql for sql in seen if not sql.startswith("INSERT")]
    assert asked == ["SELECT n FROM t WHERE id = 1", 'SELECT "n" FROM t WHERE id = 2', "SELECT n FROM t WHERE id = 2"]


def test_statements_on_shards_are_copied_as_the_client_said_them(
    server_set: ReplicaSet, tmp_path: Path, start_router: Start
) -> None:
    tables = {"t": {"shard_by": "id", "function": "mod"}}
    columns = {"t": "id INT PRIMARY KEY"}
    with spread(server_set, tmp_path, "copied", ("copied_0", "copied_1"), "copied_truth", columns, tables) as settings:
        own = {**settings["groups"]["main"]["servers"].pop(), "role": "replica"}
        settings["groups"]["staging"] = {**settings["groups"]["main"], "servers": [own], "reads": {}}
        settings["schemas"]["elsewhere"] = {"group": "staging"}
        settings["rules"] = [{"name": "copy", "mirror": "staging", "when": {"statement": "select"}}]
        router = start_router(settings)
        with router.connect(database="copied") as connection, seen_by(server_set) as seen:
            rows(connection, "INSERT INTO t VALUES (0), (1), (2)")
            assert rows(connection, "SELECT COUNT(*) FROM t") == [(3,)]
            until_ended(router, 1)
            assert rows(connection, "SELECT id FROM t WHERE id = 2") == [(2,)]
            assert until_ended(router, 2) == {"ok": 2}
        assert seen == ["SELECT COUNT(*) FROM t", "SELECT id FROM t WHERE id = 2"]


def test_a_group_that_does_not_answer_delays_nobody(stock: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    with CuttingProxy(("127.0.0.1", stock.replicas[1].port)) as proxy:
        proxy.delay = 0.5
        settings = staged(stock, tmp_path, {"concurrency": 2})
        settings["groups"]["staging"]["servers"][0]["address"] = f"127.0.0.1:{proxy.port}"
        router = start_router(settings)
        with router.connect(database="stock") as connection:
            began = time.monotonic()
            for _ in range(50):
                assert rows(connection, "SELECT n FROM t WHERE id = 1") == [("a",)]
            assert time.monotonic() - began < 2
            found = until_ended(router, 50)
            assert found["dropped"] >= 40
            proxy.cut_all()
            rows(connection, "SELECT n FROM t WHERE id = 1")
            until_ended(router, 51)


def test_a_share(stock: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    router = start_router(staged(stock, tmp_path, {"percent": 30, "concurrency": 50}))
    with router.connect(database="stock") as connection:
        for _ in range(200):
            rows(connection, "SELECT n FROM t WHERE id = 1")
    time.sleep(0.2)
    assert 20 < sum(results(router).values()) < 110


@pytest.mark.mysql
def test_writes_if_they_are_wanted(
    mariadb_set: ReplicaSet, mysql_set: ReplicaSet, tmp_path: Path, start_router: Start
) -> None:
    for servers in (mariadb_set, mysql_set):
        servers.primary.execute("DROP DATABASE IF EXISTS twice")
        servers.primary.execute("CREATE DATABASE twice")
        servers.primary.execute("CREATE TABLE twice.t (id INT PRIMARY KEY)")
        servers.wait_for_replicas()
    settings = settings_for(mariadb_set, tmp_path)
    settings["groups"]["staging"] = settings_for(mysql_set, tmp_path)["groups"]["main"]
    settings["users"]["app"]["password"] = mariadb_set.app_password
    settings["schemas"] = {"twice": {"group": "main"}, "elsewhere": {"group": "staging"}}
    settings["rules"] = [
        {"name": "copy", "mirror": {"group": "staging", "writes": True}, "when": {"regex": "FROM t|INTO t"}}
    ]
    router = start_router(settings)
    with router.connect(database="twice") as connection:
        for number in range(4):
            rows(connection, f"INSERT INTO t VALUES ({number})")
            until_ended(router, number + 1)
        rows(connection, "DELETE FROM t WHERE id = 0")
        until_ended(router, 5)
        rows(connection, "BEGIN")
        rows(connection, "INSERT INTO t VALUES (9)")
        rows(connection, "ROLLBACK")
        assert results(router) == {"ok": 5}
        assert rows(connection, "SELECT COUNT(*) FROM t") == [(3,)]
    assert mysql_set.primary.execute("SELECT id FROM twice.t ORDER BY id") == [(1,), (2,), (3,)]
    for servers in (mariadb_set, mysql_set):
        servers.primary.execute("DROP DATABASE twice")
