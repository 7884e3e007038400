"""Sharded tables: which fields go with which function."""

from __future__ import annotations

from typing import Any

import pytest

from router.config.loader import loads
from router.config.shard_checks import check_schema_shards, function_of
from router.config.sharding import Schema, Table
from router.errors import ConfigError

SHARDS = {"s0": {"group": "a"}, "s1": {"group": "b"}}


def messages(tables: dict[str, Any], shards: dict[str, Any] = SHARDS, ids: dict[str, Any] | None = None) -> list[str]:
    schema = Schema.model_validate({"group": "a", "shards": shards, "tables": tables, "ids": ids or {}})
    findings = check_schema_shards(("schemas", "shop"), schema)
    return [f"{'.'.join(map(str, finding.loc[2:]))}: {finding.message}" for finding in findings]


@pytest.mark.parametrize(
    "table",
    [
        {"shard_by": "id", "function": "hash"},
        {"shard_by": "id", "function": "mod", "shards": ["s1", "s0"]},
        {"shard_by": "id", "function": "range", "ranges": {"s0": [None, 0], "s1": [0, None]}},
        {"shard_by": "id", "function": "range", "ranges": {"s0": ["a", "m"], "s1": ["m", "z"]}, "default": "s0"},
        {"shard_by": "id", "function": "list", "values": {"s0": ["DE", "FR"], "s1": ["US"]}},
        {"shard_by": "id", "function": "consistent_hash"},
        {"shard_by": "id", "function": "prefix", "length": 2},
        {"shard_by": "at", "function": "month", "start": "2014-05"},
        {"shard_by": "at", "function": "day"},
        {"shard_by": "id", "lookup": {"table": "l", "from": "a", "to": "b"}},
        {"shard_by": "id", "function": "lookup", "lookup": {"table": "l", "from": "a", "to": "b"}},
        {"shard_by": "id", "python": "a.b:c"},
        {"broadcast": True},
    ],
)
def test_right_tables(table: dict[str, Any]) -> None:
    assert messages({"t": table}) == []
    assert messages({"t": {"shard_by": "id", "function": "hash"}, "u": {"shard_by": "t_id", "with": "t"}}) == []


def test_tables_of_keys() -> None:
    table = {"shard_by": "id", "lookup": {"table": "T", "from": "a", "to": "b"}}
    assert messages({"t": table}) == ["tables.t.lookup.table: 'T' is spread over the shards itself"]
    schema = Schema.model_validate({"shards": SHARDS, "tables": {"u": table}})
    (finding,) = check_schema_shards(("schemas", "shop"), schema)
    assert finding.message == "needs the schema's group, which holds the table"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, "tables.t: needs either shard_by or broadcast: true"),
        (
            {"shard_by": "id", "broadcast": True, "function": "mod"},
            "tables.t: needs either shard_by or broadcast: true",
        ),
        ({"shard_by": [], "function": "mod"}, "tables.t.shard_by: needs at least one column"),
        ({"shard_by": "id"}, "tables.t: needs a function, or `with` and the table it follows"),
        ({"shard_by": "id", "function": "range"}, "tables.t: function range needs ranges"),
        ({"shard_by": "id", "function": "list"}, "tables.t: function list needs values"),
        ({"shard_by": "id", "function": "prefix"}, "tables.t: function prefix needs length"),
        ({"shard_by": "id", "function": "lookup"}, "tables.t: function lookup needs lookup"),
        ({"shard_by": "id", "function": "python"}, "tables.t: function python needs python"),
        ({"shard_by": "id", "function": "hash", "length": 2}, "tables.t.length: belongs to function prefix only"),
        (
            {"shard_by": "id", "function": "hash", "start": "2024"},
            "tables.t.start: belongs to function day or week or month or year only",
        ),
        ({"shard_by": "id", "python": "pick"}, "tables.t.python: must be package.module:function"),
        ({"shard_by": "id", "python": "a..b:c"}, "tables.t.python: must be package.module:function"),
        (
            {"shard_by": "id", "function": "mod", "shards": ["s2"]},
            "tables.t.shards.0: there is no shard 's2' (known: s0, s1)",
        ),
        (
            {"shard_by": "id", "function": "mod", "default": "x"},
            "tables.t.default: there is no shard 'x' (known: s0, s1)",
        ),
        ({"shard_by": "id", "with": "u"}, "tables.t.with: there is no other table 'u'"),
        ({"shard_by": "id", "with": "t"}, "tables.t.with: there is no other table 't'"),
        (
            {"shard_by": "id", "function": "range", "ranges": {"s0": [5, 5]}},
            "tables.t.ranges.s0: must run from a smaller to a larger value",
        ),
        (
            {"shard_by": "id", "function": "range", "ranges": {"s0": [0, 5], "s1": [4, None]}},
            "tables.t.ranges.s1: overlaps the range of 's0'",
        ),
        (
            {"shard_by": "id", "function": "range", "ranges": {"s0": [0, 5], "s1": [None, 1]}},
            "tables.t.ranges.s1: overlaps the range of 's0'",
        ),
        (
            {"shard_by": "id", "function": "range", "ranges": {"s0": [0, 5], "s1": ["a", "b"]}},
            "tables.t.ranges: mixes numbers, dates and text",
        ),
        (
            {"shard_by": "id", "function": "list", "values": {"s0": ["DE"], "s1": ["US", "DE"]}},
            "tables.t.values.s1.1: is already given to 's0'",
        ),
    ],
)
def test_wrong_tables(table: dict[str, Any], expected: str) -> None:
    assert messages({"t": table}) == [expected]


def test_co_location() -> None:
    hashed = {"shard_by": "id", "function": "hash"}
    follower = {"shard_by": "t_id", "with": "t"}
    assert messages({"t": hashed, "u": {**follower, "function": "mod"}}) == [
        "tables.u.with: takes the function of that table; remove its own"
    ]
    assert messages({"t": hashed, "u": follower, "v": {"shard_by": "id", "with": "u"}}) == [
        "tables.v.with: 'u' follows 't' itself; name that one"
    ]
    assert messages({"t": hashed, "u": {"shard_by": ["a", "b"], "with": "t"}}) == [
        "tables.u.shard_by: needs as many columns as 't' has"
    ]


def test_tables_need_shards_and_keys_a_column() -> None:
    assert messages({"t": {"shard_by": "id", "function": "mod"}}, shards={}) == [
        "tables: tables are spread over shards, but the schema has none"
    ]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({"orders.id": {"generator": "snowflake"}, "regions.id": {"generator": "segment", "step": 1000}}, []),
        ({"orders": {"generator": "segment"}}, ["ids.orders: must be table.column"]),
        ({".id": {"generator": "segment"}}, ["ids..id: must be table.column"]),
        ({"a.b.c": {"generator": "segment"}}, ["ids.a.b.c: must be table.column"]),
        (
            {"order.id": {"generator": "segment"}},
            ["ids.order.id: there is no table 'order' in `tables`; did you mean 'orders'?"],
        ),
        (
            {"orders.id": {"generator": "segment"}, "orders.number": {"generator": "segment"}},
            ["ids.orders.number: 'orders' has another generated key already"],
        ),
        (
            {"orders.id": {"generator": "snowflake", "step": 5000}},
            ["ids.orders.id.step: belongs to generator segment only"],
        ),
    ],
)
def test_generated_keys(ids: dict[str, Any], expected: list[str]) -> None:
    tables = {"orders": {"shard_by": "id", "function": "mod"}, "regions": {"broadcast": True}}
    assert messages(tables, ids=ids) == expected


def test_where_generated_keys_are_wrong() -> None:
    text = """
groups: {main: {servers: ["h:1"]}}
users: {app: {password: x}}
schemas:
  shop:
    group: main
    shards: {s0: {group: main}}
    tables: {orders: {shard_by: id, function: mod}}
    ids:
      order.id: {generator: snowflake}
      orders.id: {generator: segment, step: 100}
      orders.n: {generator: uuid}
"""
    with pytest.raises(ConfigError) as caught:
        loads(text, "routes.yaml", {})
    found = str(caught.value).splitlines()
    assert found[0] == (
        "routes.yaml:10:7: schemas.shop.ids.order.id: there is no table 'order' in `tables`; did you mean 'orders'?"
    )
    assert found[1].startswith("routes.yaml:11:45: schemas.shop.ids.orders.id.step: '100' must be at least 1000")
    assert found[2].startswith("routes.yaml:12:29: schemas.shop.ids.orders.n.generator: 'uuid' must be")


def test_functions_named_by_their_field() -> None:
    assert function_of(Table.model_validate({"python": "a:b"})) == "python"
    assert function_of(Table.model_validate({"lookup": {"table": "l", "from": "a", "to": "b"}})) == "lookup"
    assert function_of(Table()) is None
