"""Roles are found by asking; a dead server is left out and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark, start_or_skip, statements_seen


@pytest.fixture
def own_set() -> Iterator[ReplicaSet]:
    """A replica set that may be broken."""
    with start_or_skip("mariadb", replicas=2, tls=False) as servers:
        yield servers


def roles(router: RunningRouter) -> dict[str, str | None]:
    """Server → role as the router sees it; None when it is down."""
    return router.call(
        lambda gateway: {server.name: str(server.role) if server.up else None for server in gateway.topology.servers()}
    )


def wait_for(router: RunningRouter, expected: dict[str, str | None]) -> None:
    deadline = time.monotonic() + 20
    while (found := roles(router)) != expected:
        assert time.monotonic() < deadline, f"{found} instead of {expected}"
        time.sleep(0.02)


def reads_on(router: RunningRouter, servers: ReplicaSet, count: int = 6) -> set[str]:
    """Names of the servers that answer reads."""
    alive = [server for server in servers.servers if server.alive]
    since = {server.name: mark(server) for server in alive}
    with router.connect() as connection, connection.cursor() as cursor:
        for number in range(count):
            cursor.execute(f"SELECT 'who reads', {number}")
            assert cursor.fetchall() == (("who reads", number),)
    return {
        server.name
        for server in alive
        if any("who reads" in sql for sql in statements_seen(server, since[server.name]))
    }


@pytest.mark.slow
def test_a_server_goes_and_comes_back(
    own_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    first, second = own_set.replicas
    router = start_router(settings_for(own_set, tmp_path))
    everybody: dict[str, str | None] = {"primary": "primary", "replica1": "replica", "replica2": "replica"}
    wait_for(router, everybody)
    assert reads_on(router, own_set) == {"replica1", "replica2"}

    first.kill()
    # A read that meets the dead server is repeated on another one.
    assert reads_on(router, own_set) == {"replica2"}
    wait_for(router, {**everybody, "replica1": None})

    second.kill()
    wait_for(router, {**everybody, "replica1": None, "replica2": None})
    assert reads_on(router, own_set) == {"primary"}

    first.start()
    second.start()
    wait_for(router, everybody)
    assert reads_on(router, own_set) == {"replica1", "replica2"}


@pytest.mark.slow
def test_roles_follow_read_only(
    own_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    """A planned switch: the old primary becomes read-only, a replica writable; writes wait for it."""
    router = start_router(settings_for(own_set, tmp_path))
    own_set.primary.execute("CREATE DATABASE roles")
    own_set.primary.execute("CREATE TABLE roles.t (a INT)")
    own_set.wait_for_replicas()
    with router.connect(database="roles") as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")
        own_set.wait_for_replicas()
        own_set.primary.execute("SET GLOBAL read_only = 1")
        wait_for(router, {"primary": "replica", "replica1": "replica", "replica2": "replica"})
        promoted = own_set.replicas[0]
        promoted.execute("STOP SLAVE")
        promoted.execute("SET GLOBAL read_only = 0")
        cursor.execute("INSERT INTO t VALUES (2)")
    assert promoted.execute("SELECT a FROM roles.t ORDER BY a") == [(1,), (2,)]
    assert own_set.primary.execute("SELECT a FROM roles.t ORDER BY a") == [(1,)]


def test_a_write_without_primary_is_refused_after_the_timeout(
    own_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    settings = settings_for(own_set, tmp_path, failover_timeout="300ms")
    for server in settings["groups"]["main"]["servers"]:
        server["role"] = "replica"
    router = start_router(settings)
    with router.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        with pytest.raises(pymysql.MySQLError, match=r"no primary of group 'main' is available") as caught:
            cursor.execute("CREATE DATABASE nowhere")
        assert caught.value.args[0] == 2003
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == ((1,),)
