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


def test_inserts_get_ids(
    settings: dict[str, Any], server_set: ReplicaSet, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    settings["schemas"]["stall"]["transactions"] = "best_effort"
    router = start_router(settings)
    with router.connect(database="stall") as connection, connection.cursor() as cursor:
        assert cursor.execute("INSERT INTO carts (name) VALUES ('a'), ('b'), ('c')") == 3
        first = cursor.lastrowid
        cursor.execute("SELECT LAST_INSERT_ID()")
        assert cursor.fetchall() == ((first,),)
        cursor.execute("SELECT id, name FROM carts ORDER BY id")
        assert cursor.fetchall() == ((first, "a"), (first + 1, "b"), (first + 2, "c"))
        for number in (0, 1):
            found = server_set.primary.execute(f"SELECT id FROM stall_{number}.carts")
            assert all(key % 2 == number for (key,) in found)
        cursor.execute("INSERT INTO items VALUES (NULL, %s)", (first,))
        assert cursor.lastrowid == 701
        rows = ", ".join(f"({first + number % 3})" for number in range(3000))
        assert cursor.execute(f"INSERT INTO items (cart_id) VALUES {rows}") == 3000, "more than a step: it waits"
        cursor.execute("SELECT COUNT(*), COUNT(DISTINCT id), MIN(id) FROM items")
        assert cursor.fetchall() == ((3002, 3002, 700),)


def test_ids_inside_a_transaction(
    settings: dict[str, Any], server_set: ReplicaSet, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    settings["schemas"]["stall"]["transactions"] = "single"
    router = start_router(settings)
    with router.connect(database="stall", autocommit=False) as connection, connection.cursor() as cursor:
        for end in (connection.rollback, connection.commit):
            cursor.execute("INSERT INTO carts (name) VALUES ('a')")
            cart = cursor.lastrowid
            cursor.execute("INSERT INTO items (cart_id) VALUES (%s)", (cart,))
            cursor.execute("SELECT COUNT(*) FROM carts c JOIN items i ON i.cart_id = c.id WHERE c.id = %s", (cart,))
            assert cursor.fetchall() == ((1,),)
            end()
    kept = [server_set.primary.execute(f"SELECT COUNT(*) FROM stall_{number}.carts") for number in (0, 1)]
    assert sum(count for ((count,),) in kept) == 1
