"""Ids that routers make, with what they keep on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from router.cluster.ids import SEQUENCE, WORKERS
from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for

DATABASES = ("stall", "stall_0", "stall_1")


@pytest.fixture
def settings(server_set: ReplicaSet, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A schema with two shards and both generators."""
    primary = server_set.primary
    for database in DATABASES:
        primary.execute(f"DROP DATABASE IF EXISTS {database}")
        primary.execute(f"CREATE DATABASE {database}")
    for database in DATABASES[1:]:
        primary.execute(f"CREATE TABLE {database}.carts (id BIGINT PRIMARY KEY, name VARCHAR(20))")
        primary.execute(f"CREATE TABLE {database}.items (id BIGINT AUTO_INCREMENT PRIMARY KEY, cart_id BIGINT)")
    primary.execute("INSERT INTO stall_1.items VALUES (700, 1)")
    server_set.wait_for_replicas()
    found = settings_for(server_set, tmp_path, reads={"from": "primary"})
    found["schemas"] = {
        "stall": {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": f"stall_{number}"} for number in (0, 1)},
            "tables": {
                "carts": {"shard_by": "id", "function": "mod"},
                "items": {"shard_by": "cart_id", "with": "carts"},
            },
            "ids": {"carts.id": {"generator": "snowflake"}, "items.id": {"generator": "segment"}},
        }
    }
    yield found
    for database in DATABASES:
        primary.execute(f"DROP DATABASE {database}")


def taken(router: RunningRouter, table: str, count: int) -> list[int]:
    return router.call(lambda gateway: gateway.ids.take(table, count))


def worker_of(number: int) -> int:
    return number // SEQUENCE % WORKERS


def test_two_routers_never_make_the_same_ids(
    settings: dict[str, Any], server_set: ReplicaSet, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    routers = [start_router({**settings, "listeners": ["127.0.0.1:0"]}) for _ in range(2)]
    flakes = [taken(router, "stall.carts", 100) for router in routers]
    assert [{worker_of(number) for number in each} for each in flakes] == [{0}, {1}]
    assert [taken(router, "stall.items", 2) for router in routers] == [[701, 702], [1701, 1702]]
    assert server_set.primary.execute("SELECT name, next FROM stall.router_ids") == [("items", 2701)]
    routers[0].stop()
    found = server_set.primary.execute("SELECT worker, owner = '', expires, reached FROM stall.router_workers")
    assert sorted(found)[0][:3] == (0, 1, 0)
    again = start_router({**settings, "listeners": ["127.0.0.1:0"]})
    (next_one,) = taken(again, "stall.carts", 1)
    assert worker_of(next_one) == 0
    assert next_one > flakes[0][-1]
    assert taken(again, "stall.items", 1) == [2701]
