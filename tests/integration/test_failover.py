"""The primary dies and another server is promoted: who waits, who notices nothing, and what becomes of the old one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from router.sandbox import Flavor, ReplicaSet, Server
from router.sandbox.replica_set import wait_until
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import FLAVORS, mark, start_or_skip, statements_seen

Start = Callable[[dict[str, Any]], RunningRouter]
PROMOTE: dict[Flavor, tuple[str, ...]] = {
    "mariadb": ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"),
    "mysql": ("STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL super_read_only = 0", "SET GLOBAL read_only = 0"),
}


@pytest.fixture(params=FLAVORS)
def own_set(request: pytest.FixtureRequest) -> Iterator[ReplicaSet]:
    """A replica set that may be broken."""
    with start_or_skip(request.param, replicas=2, tls=False) as servers:
        servers.primary.execute("CREATE DATABASE shop")
        servers.primary.execute("CREATE TABLE shop.t (id INT PRIMARY KEY)")
        servers.wait_for_replicas()
        yield servers


def promote(servers: ReplicaSet, server: Server, *others: Server) -> None:
    for statement in PROMOTE[servers.flavor]:
        server.execute(statement)
    for other in others:
        other.replicate_from(server, "repl", servers.USERS["repl"])


def known(router: RunningRouter) -> dict[str, str]:
    """Server → what it is for the group; `fenced`, `down` or `lagging` if it is that."""

    def look(gateway: Any) -> dict[str, str]:
        group = gateway.topology.groups["main"]
        found = {}
        for server in group.servers:
            role = str(group.role_of(server))
            state = "fenced" if server.fenced else "lagging" if server.lagging else role
            found[server.name] = state if server.up else "down"
        return found

    return router.call(look)


def wait_for(router: RunningRouter, **expected: str) -> None:
    deadline = time.monotonic() + 20
    while not expected.items() <= (found := known(router)).items():
        assert time.monotonic() < deadline, f"{found} instead of {expected}"
        time.sleep(0.01)


class Reading(threading.Thread):
    """Somebody who reads all the time."""

    def __init__(self, router: RunningRouter) -> None:
        super().__init__(daemon=True)
        self.router = router
        self.done = threading.Event()
        self.errors: list[Exception] = []
        self.longest = 0.0
        self.reads = 0

    def run(self) -> None:
        with self.router.connect(database="shop") as connection, connection.cursor() as cursor:
            while not self.done.is_set():
                began = time.monotonic()
                try:
                    cursor.execute("SELECT COUNT(*) FROM t")
                    cursor.fetchall()
                except pymysql.MySQLError as error:
                    self.errors.append(error)
                    return
                self.reads += 1
                self.longest = max(self.longest, time.monotonic() - began)
                time.sleep(0.005)

    def stop(self) -> None:
        self.done.set()
        self.join(20)


@pytest.mark.slow
def test_failover(own_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    old, (new, other) = own_set.primary, own_set.replicas
    settings = settings_for(own_set, tmp_path)
    del settings["groups"]["main"]["monitor"]["interval"]
    router = start_router(settings)
    wait_for(router, primary="primary", replica1="replica", replica2="replica")
    reading = Reading(router)
    with (
        router.connect(database="shop") as idle,
        router.connect(database="shop") as writer,
        idle.cursor() as idle_cursor,
        writer.cursor() as cursor,
    ):
        idle_cursor.execute("SET SESSION sort_buffer_size = 1000000")
        idle_cursor.execute("SELECT COUNT(*) FROM t")
        cursor.execute("INSERT INTO t VALUES (1)")
        own_set.wait_for_replicas()
        reading.start()
        wait_until(lambda: reading.reads > 0, 20, "the first read")

        old.kill()
        written: list[float] = []

        def write() -> None:
            cursor.execute("INSERT INTO t VALUES (2)")
            written.append(time.monotonic())

        writing = threading.Thread(target=write, daemon=True)
        writing.start()
        wait_for(router, primary="down")
        time.sleep(1)
        assert not written, "there is nobody who may have it"
        promote(own_set, new)
        promoted = time.monotonic()
        writing.join(15)
        assert written, "the write has found the new primary"
        print(f"first write {(written[0] - promoted) * 1000:.0f} ms after the promotion")
        assert written[0] - promoted < 3
        other.replicate_from(new, "repl", own_set.USERS["repl"])

        # Who was idle notices nothing, and has what it had.
        idle_cursor.execute("INSERT INTO t VALUES (3)")
        idle_cursor.execute("SELECT id, @@sort_buffer_size FROM t ORDER BY id")
        assert [row[0] for row in idle_cursor.fetchall()] == [1, 2, 3]
        idle_cursor.execute("SELECT @@sort_buffer_size")
        assert idle_cursor.fetchall() == ((1000000,),)
        wait_for(router, replica1="primary", replica2="replica")
        reading.stop()
        print(f"{reading.reads} reads, the longest took {reading.longest * 1000:.0f} ms")
        assert not reading.errors
        assert reading.longest < 2

        # The old one comes back as it was.
        old.start()
        wait_for(router, primary="fenced", replica1="primary")
        since = mark(old)
        for number in range(10, 20):
            cursor.execute(f"INSERT INTO t VALUES ({number})")
            cursor.execute("SELECT COUNT(*) FROM t")
        assert statements_seen(old, since) == []
        assert new.value("SELECT COUNT(*) FROM shop.t") == 13

        # Somebody makes a replica of it.
        old.make_read_only()
        old.replicate_from(new, "repl", own_set.USERS["repl"])
        wait_for(router, primary="replica", replica1="primary", replica2="replica")


@pytest.mark.slow
def test_transactions_that_are_run_again(own_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    """The primary dies, then is made read-only, in the middle of transactions; their clients notice nothing."""
    old, (new, other) = own_set.primary, own_set.replicas
    settings = settings_for(own_set, tmp_path)
    for user in settings["users"].values():
        user["transaction_replay"] = "1MiB"
    router = start_router(settings)
    wait_for(router, primary="primary", replica1="replica", replica2="replica")
    with (
        router.connect(database="shop") as first,
        router.connect(database="shop") as second,
        first.cursor() as cursor,
        second.cursor() as other_cursor,
    ):
        first.begin()
        cursor.execute("INSERT INTO t VALUES (1)")
        cursor.execute("SELECT COUNT(*) FROM t")
        assert cursor.fetchall() == ((1,),)
        with pytest.raises(pymysql.IntegrityError):
            cursor.execute("INSERT INTO t VALUES (1)")
        # What the other one has read is otherwise on the next primary.
        second.begin()
        other_cursor.execute("SELECT @@server_id")
        old.kill()
        promote(own_set, new)
        cursor.execute("INSERT INTO t VALUES (2)")
        first.commit()
        assert new.value("SELECT GROUP_CONCAT(id) FROM shop.t") == "1,2"
        with pytest.raises(pymysql.OperationalError, match="not replayed: its statement 2 is answered otherwise"):
            other_cursor.execute("INSERT INTO t VALUES (99)")

        other.replicate_from(new, "repl", own_set.USERS["repl"])
        wait_for(router, replica1="primary", replica2="replica")
        first.begin()
        cursor.execute("SELECT COUNT(*) FROM t")
        new.make_read_only()
        deadline = time.monotonic() + 10
        while other.value("SELECT COUNT(*) FROM shop.t") != 2:
            assert time.monotonic() < deadline
        promoting = threading.Timer(0.3, promote, (own_set, other))
        promoting.start()
        cursor.execute("INSERT INTO t VALUES (3)")
        first.commit()
        promoting.join()
        assert other.value("SELECT GROUP_CONCAT(id) FROM shop.t") == "1,2,3"


@pytest.mark.slow
def test_the_newer_of_two_primaries_is_ours(own_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    """Somebody promotes a replica and forgets the old primary; one router has seen it, another starts afterwards."""
    router = start_router(settings_for(own_set, tmp_path))
    wait_for(router, primary="primary")
    promote(own_set, own_set.replicas[0])
    wait_for(router, primary="primary", replica1="fenced")
    own_set.replicas[0].execute("INSERT INTO shop.t VALUES (1)")
    with router.connect(database="shop") as connection, connection.cursor() as cursor:
        deadline = time.monotonic() + 10
        while known(router)["replica1"] != "primary":
            assert time.monotonic() < deadline
            cursor.execute("SELECT 1")
        cursor.execute("INSERT INTO t VALUES (2)")
    second_place = tmp_path / "second"
    second_place.mkdir()
    second = start_router(settings_for(own_set, second_place))
    wait_for(second, primary="fenced", replica1="primary")
    assert own_set.replicas[0].value("SELECT COUNT(*) FROM shop.t") == 2
    assert own_set.primary.value("SELECT COUNT(*) FROM shop.t") == 0


def test_lag_of_real_replicas(own_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    first, second = own_set.replicas
    router = start_router(settings_for(own_set, tmp_path, reads={"consistency": "eventual", "max_lag": "2s"}))
    wait_for(router, primary="primary", replica1="replica", replica2="replica")
    stop, begin = ("STOP SLAVE", "START SLAVE") if own_set.flavor == "mariadb" else ("STOP REPLICA", "START REPLICA")
    first.execute(f"{stop} SQL_THREAD")
    wait_for(router, replica1="lagging", replica2="replica")
    own_set.primary.execute("INSERT INTO shop.t VALUES (1)")
    second.execute(stop)
    wait_for(router, replica1="lagging", replica2="lagging")
    since = mark(own_set.primary)
    with router.connect(database="shop") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM t")
        assert cursor.fetchall() == ((1,),)
        assert "SELECT COUNT(*) FROM t" in statements_seen(own_set.primary, since)
        first.execute(f"{begin} SQL_THREAD")
        second.execute(begin)
        wait_for(router, replica1="replica", replica2="replica")
        own_set.wait_for_replicas()
        since = mark(own_set.primary)
        cursor.execute("SELECT COUNT(*) FROM t")
        cursor.execute("/*+ router(max_lag=5s) */ SELECT COUNT(*) FROM t")
        assert statements_seen(own_set.primary, since) == []
        cursor.execute("/*+ router(max_lag=0s) */ SELECT COUNT(*) FROM t")
        assert len(statements_seen(own_set.primary, since)) == 1
