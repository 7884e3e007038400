"""What the planner knows of tables."""

from __future__ import annotations

import pytest

from router.planner.tables import ShardedTable
from tests.planner.fix_shards import INT, TEXT, shop_schema


def test_key_types_in_the_order_of_the_key() -> None:
    assert shop_schema().tables["prices"].key_types == (TEXT, INT)


def test_without_a_definition_there_are_none() -> None:
    with pytest.raises(AssertionError):
        _ = ShardedTable("t", (0,), columns=("id",)).key_types


def test_tables_are_found_in_any_case() -> None:
    shop = shop_schema()
    assert shop.find("CUSTOMERS") is shop.tables["customers"]
    assert shop.find("nothing") is None
