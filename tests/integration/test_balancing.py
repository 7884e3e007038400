"""Who answers reads on real servers: each policy, zones, and replicas whose connections are all taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark_all, statements_by_server
from tests.integration.bank import rows
from tests.proxy import CuttingProxy

Start = Callable[[dict[str, Any]], RunningRouter]
SLOW = "/*+ router(replica) */ SELECT SLEEP(1.5)"


@pytest.fixture
def table(server_set: ReplicaSet, fresh_database: str) -> str:
    """A table with nothing in it, on all servers; with its database."""
    server_set.primary.execute(f"CREATE TABLE {fresh_database}.t (id INT PRIMARY KEY)")
    server_set.wait_for_replicas()
    return f"{fresh_database}.t"


@pytest.fixture
def far(server_set: ReplicaSet) -> Iterator[CuttingProxy]:
    """The way to the second replica: its answers take a while."""
    with CuttingProxy(("127.0.0.1", server_set.replicas[1].port)) as proxy:
        proxy.delay = 0.02
        yield proxy


def settings_of(
    servers: ReplicaSet, directory: Path, *replicas: dict[str, Any], router: dict[str, Any] | None = None, **group: Any
) -> dict[str, Any]:
    """A configuration with more about each replica."""
    settings = settings_for(servers, directory, **group) | (router or {})
    for server, more in zip(settings["groups"]["main"]["servers"][1:], replicas, strict=True):
        server.update(more)
    return settings


def reads(router: RunningRouter, servers: ReplicaSet, table: str, count: int) -> list[int]:
    """How many of ``count`` reads, one after the other, each server answers; the primary first."""
    since = mark_all(servers)
    with router.connect() as connection:
        for number in range(count):
            rows(connection, f"SELECT {number}, COUNT(*) FROM {table}")
    seen = statements_by_server(servers, since)
    return [sum("COUNT(*)" in sql for sql in seen[server.name]) for server in servers.servers]


def test_the_least_busy_does_not_care_about_the_way(
    server_set: ReplicaSet, far: CuttingProxy, tmp_path: Path, start_router: Start, table: str
) -> None:
    settings = settings_of(server_set, tmp_path, {}, {"address": f"127.0.0.1:{far.port}"})
    assert reads(start_router(settings), server_set, table, 20) == [0, 10, 10]


def test_turns(server_set: ReplicaSet, far: CuttingProxy, tmp_path: Path, start_router: Start, table: str) -> None:
    settings = settings_of(
        server_set,
        tmp_path,
        {"weight": 3},
        {"address": f"127.0.0.1:{far.port}"},
        reads={"balance": "round_robin"},
    )
    assert reads(start_router(settings), server_set, table, 20) == [0, 15, 5]


def test_the_fastest_is_found_and_found_again(
    server_set: ReplicaSet, far: CuttingProxy, tmp_path: Path, start_router: Start, table: str
) -> None:
    settings = settings_of(
        server_set,
        tmp_path,
        {},
        {"address": f"127.0.0.1:{far.port}"},
        reads={"balance": "fastest"},
        monitor={"interval": "100ms", "user": "router", "password": server_set.monitor_password},
    )
    router = start_router(settings)
    deadline = time.monotonic() + 20
    while reads(router, server_set, table, 20) != [0, 20, 0]:
        assert time.monotonic() < deadline
    far.delay = 0.0
    deadline = time.monotonic() + 20
    while reads(router, server_set, table, 10)[2] == 0:
        assert time.monotonic() < deadline, "it is asked nothing more, however fast it is"


def test_the_zone_of_the_router_comes_first(
    server_set: ReplicaSet, tmp_path: Path, start_router: Start, table: str
) -> None:
    settings = settings_of(
        server_set, tmp_path, {"zone": "b"}, {"zone": "a"}, router={"zone": "a"}, pool={"max_connections": 1}
    )
    router = start_router(settings)
    assert reads(router, server_set, table, 10) == [0, 0, 10]
    with ThreadPoolExecutor() as others, router.connect() as busy:
        slow = others.submit(rows, busy, SLOW)
        until_taken(router, 1)
        assert reads(router, server_set, table, 10) == [0, 10, 0]
        slow.result(10)
    assert reads(router, server_set, table, 10) == [0, 0, 10]


@pytest.mark.parametrize("policy", ["least_busy", "round_robin", "fastest"])
def test_no_read_queues_while_another_replica_has_room(
    server_set: ReplicaSet, tmp_path: Path, start_router: Start, table: str, policy: str
) -> None:
    settings = settings_of(server_set, tmp_path, {}, {}, reads={"balance": policy}, pool={"max_connections": 2})
    router = start_router(settings)
    with ThreadPoolExecutor() as others, ExitStack() as connections:
        busy = [connections.enter_context(router.connect()) for _ in range(3)]
        slow = [others.submit(rows, connection, SLOW) for connection in busy]
        until_taken(router, 3)
        began = time.monotonic()
        with router.connect() as connection:
            for _ in range(10):
                rows(connection, f"SELECT COUNT(*) FROM {table}")
        assert time.monotonic() - began < 1
        for each in slow:
            each.result(10)


def until_taken(router: RunningRouter, count: int) -> None:
    """Until replicas have so many connections in use."""
    deadline = time.monotonic() + 10
    while (
        router.call(lambda gateway: sum(each.pool.in_use for each in gateway.topology.groups["main"].readers)) < count
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
