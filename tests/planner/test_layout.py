"""Configuration and definitions together: what a schema's tables are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from router.config.sharding import Schema
from router.planner.keys import KeyKind, KeyType
from router.planner.layout import sharded_schema
from router.planner.sharding import Custom, Hash, Mod, Period, Range
from router.planner.tables import ShardedTable
from tests.planner.fix_shards import DAY, FOLDED, INT, TEXT, definition, shop_schema


def pick(value: int, shards: tuple[str, ...]) -> str:
    """A sharding function as users write it."""
    return shards[value % 2]


def table(key: KeyType | None, **config: Any) -> ShardedTable:
    schema = Schema.model_validate(
        {"shards": {name: {"group": name} for name in ("s0", "s1")}, "tables": {"t": {"shard_by": "k", **config}}}
    )
    return sharded_schema("db", schema, {"t": definition(k=key)}).tables["t"]


def test_the_shop() -> None:
    shop = shop_schema()
    assert [(shard.name, shard.group, shard.database) for shard in shop.shards] == [
        ("s0", "g0", "shop"),
        ("s1", "g1", "shop"),
        ("s2", "g2", "shop_2"),
    ]
    assert isinstance(shop.tables["customers"].function, Mod)
    assert isinstance(shop.tables["prices"].function, Hash)
    assert isinstance(shop.tables["events"].function, Period)
    assert isinstance(shop.tables["levels"].function, Range)
    assert shop.tables["orders"].family == shop.tables["items"].family == "customers"
    assert shop.find("Orders") is shop.tables["orders"]
    assert shop.tables["regions"].broadcast
    assert shop.tables["strange"].problem == "column 'data' of type json cannot decide the shard"


def test_before_the_servers_have_told() -> None:
    schema = Schema.model_validate(
        {"shards": {"s0": {"group": "g"}}, "tables": {"t": {"shard_by": "k", "function": "hash"}}}
    )
    found = sharded_schema("db", schema, {}).tables["t"]
    assert found.definition is None
    assert found.problem is None


@pytest.mark.parametrize(
    ("key", "config", "problem"),
    [
        (TEXT, {"function": "mod"}, "mod does not take a key of type text"),
        (INT, {"function": "month"}, "month does not take a key of type integer"),
        (INT, {"function": "list", "values": {"s0": ["x"]}}, "'x' does not fit"),
        (FOLDED, {"function": "range", "ranges": {"s0": ["a", "b"]}}, "_bin"),
        (INT, {"lookup": {"table": "l", "from": "a", "to": "b"}}, "there is no table 'l'"),
        (INT, {"python": "no.such:thing"}, "cannot be imported"),
        (INT, {"python": "os.path:sep"}, "is no function"),
        (DAY, {"function": "month", "start": "May"}, "is no date"),
    ],
)
def test_what_does_not_go_together(key: KeyType, config: dict[str, Any], problem: str) -> None:
    found = table(key, **config)
    assert found.problem is not None
    assert problem in found.problem


def test_a_column_that_is_not_there() -> None:
    assert "no column 'k'" in str(table_without_key().problem)


def table_without_key() -> ShardedTable:
    schema = Schema.model_validate(
        {"shards": {"s0": {"group": "g"}}, "tables": {"t": {"shard_by": "k", "function": "hash"}}}
    )
    return sharded_schema("db", schema, {"t": definition(other=INT)}).tables["t"]


def test_shards_that_differ() -> None:
    schema = Schema.model_validate(
        {"shards": {"s0": {"group": "g"}}, "tables": {"t": {"shard_by": "k", "function": "hash"}}}
    )
    different = replace(definition(k=INT), difference="column 'x' is on shard s0 only")
    assert sharded_schema("db", schema, {"t": different}).tables["t"].problem == "column 'x' is on shard s0 only"


@pytest.mark.parametrize("start", [2024, "2024", "2024-05", "2024-05-01"])
def test_starts(start: Any) -> None:
    assert isinstance(table(DAY, function="year", start=start).function, Period)


def test_a_function_of_the_users() -> None:
    function = table(INT, python=f"{__name__}:pick", shards=["s1", "s0"]).function
    assert isinstance(function, Custom)
    assert function.shard((3,)) == 1
    assert table(INT, python=f"{__name__}:pick", shards=["s1", "s0"]).shards == (1, 0)


def test_only_hashes_look_at_all_columns() -> None:
    schema = Schema.model_validate(
        {
            "shards": {"s0": {"group": "g"}},
            "tables": {
                "a": {"shard_by": ["x", "y"], "function": "hash"},
                "b": {"shard_by": ["x", "y"], "function": "list", "values": {"s0": [1]}},
            },
        }
    )
    made = sharded_schema("db", schema, {})
    assert made.tables["a"].columns == ("x", "y")
    assert made.tables["b"].columns == ("x",)


def test_bounds_are_keys() -> None:
    money = KeyType(KeyKind.DECIMAL, high=10**8, scale=2)
    function = table(money, function="range", ranges={"s0": [None, 1.5], "s1": [1.5, None]})
    assert function.problem is not None, "a float is no exact bound"
