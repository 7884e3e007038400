"""Sharded schemas as written in the file."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from router.config.sharding import Lookup, Schema, Shard, Table


def test_a_whole_schema() -> None:
    schema = Schema.model_validate(
        {
            "group": "main",
            "shards": {"s0": {"group": "shard0"}, "s1": {"group": "shard1", "database": "shop_1"}},
            "tables": {
                "customers": {"shard_by": "id", "function": "hash"},
                "orders": {"shard_by": "customer_id", "with": "customers"},
                "events": {"shard_by": "created_at", "function": "month", "shards": ["s0", "s1"], "start": "2014-05"},
                "regions": {"broadcast": True},
                "invoices": {
                    "shard_by": ["country", "id"],
                    "function": "list",
                    "values": {"s0": ["DE", 7], "s1": [date(2024, 1, 1)]},
                    "default": "s1",
                },
                "logs": {"shard_by": "id", "function": "range", "ranges": {"s0": [0, 256], "s1": [256, None]}},
                "emails": {"shard_by": "email", "lookup": {"table": "email_index", "from": "email", "to": "shard"}},
                "codes": {"shard_by": "code", "function": "prefix", "length": 2},
                "own": {"shard_by": "id", "python": "mycompany.shards:pick"},
            },
            "ids": {"orders.id": {"generator": "snowflake"}},
        }
    )
    assert schema.shards["s1"] == Shard(group="shard1", database="shop_1")
    assert schema.tables["orders"].with_ == "customers"
    assert schema.tables["invoices"].shard_by == ["country", "id"]
    assert schema.tables["customers"].shard_by == ["id"]
    assert schema.tables["logs"].ranges == {"s0": [0, 256], "s1": [256, None]}
    assert schema.tables["emails"].lookup == Lookup.model_validate(
        {"table": "email_index", "from": "email", "to": "shard"}
    )
    assert schema.transactions == "xa"


@pytest.mark.parametrize(
    "table",
    [
        {"ranges": {"s0": [1]}},
        {"ranges": {"s0": [1, 2, 3]}},
        {"ranges": {"s0": [True, 2]}},
        {"values": {"s0": [None]}},
        {"values": {"s0": "DE"}},
        {"length": 0},
        {"function": "sha1"},
        {"shard_by": 5},
        {"lookup": {"table": "t"}},
    ],
)
def test_fields_of_the_wrong_kind(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Table.model_validate(table)
