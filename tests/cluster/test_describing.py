"""What shards tell of their tables for views of information_schema."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.backend.connector import BackendUser
from router.cluster import describing
from router.cluster.describing import Descriptions, total
from router.cluster.topology import Topology
from router.errors import BackendError
from router.planner.plan import Role
from router.planner.tables import Shard, ShardedSchema, ShardedTable
from tests.cluster.houses import Probed, make_group
from tests.fakes import PROFILE

USER = BackendUser("app", "x")
VIEWS = [("TABLES", name, kind) for name, kind in (("TABLE_SCHEMA", "varchar(64)"), ("TABLE_NAME", "varchar(64)"))]
VIEWS += [("SCHEMATA", "SCHEMA_NAME", "varchar(64)"), ("SCHEMATA", "SQL_PATH", "varchar(512)")]
VIEWS += [("TABLES", "TABLE_ROWS", "bigint unsigned"), ("CHECK_CONSTRAINTS", "CONSTRAINT_NAME", "varchar(64)")]
SHOP = ShardedSchema(
    "shop",
    "g0",
    (Shard("s0", "g0", "shop"), Shard("s1", "g1", "shop_1")),
    {"t": ShardedTable("T", (0, 1)), "late": ShardedTable("late", (1,)), "r": ShardedTable("r", (0, 1), True)},
)


class Told(Probed):
    """A server that has an answer to everything but to what its views are."""

    def __init__(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        super().__init__(name)
        self.rows = rows
        self.asked: list[str] = []
        self.profile = PROFILE

    async def ask(self, user: BackendUser, *queries: str) -> list[list[tuple[Any, ...]]]:
        assert user is USER
        self.asked += queries
        return [VIEWS if "COLUMN_TYPE" in query else self.rows for query in queries]


def servers() -> tuple[Descriptions, Told, Told]:
    """Two groups of one server each."""
    told = (Told("a", [("shop", "T", 5), ("shop", "r", 2)]), Told("b", [("shop_1", "T", 7), ("shop_1", "late", None)]))
    groups = {}
    for name, each in zip(("g0", "g1"), told, strict=True):
        groups[name] = make_group(f"{name}-a", connectors=[each], name=name)
        server = groups[name].servers[0]
        server.role, server.up = Role.PRIMARY, True
        groups[name].refresh()
    return Descriptions(Topology(groups)), *told


def test_rows_of_all_shards_under_the_logical_name() -> None:
    descriptions, first, second = servers()
    found = asyncio.run(descriptions.of(USER, "g0", [SHOP], ["TABLES"]))
    listing = found.listings["TABLES"]
    assert listing.columns == ("TABLE_SCHEMA", "TABLE_NAME", "TABLE_ROWS")
    assert listing.unsigned == {"TABLE_ROWS"}
    assert listing.rows == (("shop", "T", 12), ("shop", "r", 2), ("shop", "late", None))
    assert listing.without == "NOT (TABLE_SCHEMA = 'shop' AND LOWER(TABLE_NAME) IN ('t', 'late', 'r'))"
    assert first.asked[-1].endswith("WHERE TABLE_SCHEMA = 'shop' AND LOWER(TABLE_NAME) IN ('t', 'r')")
    assert second.asked[-1].endswith("WHERE TABLE_SCHEMA = 'shop_1' AND LOWER(TABLE_NAME) IN ('t', 'late')")


def test_databases() -> None:
    descriptions, _, second = servers()
    away = ShardedSchema("away", None, (Shard("s0", "g1", "away_1"), Shard("s1", "g0", "away_0")), {})
    second.rows = [("away_1", None)]
    found = asyncio.run(descriptions.of(USER, "g0", [SHOP], ["SCHEMATA"], [SHOP, away]))
    listing = found.listings["SCHEMATA"]
    assert listing.rows == (("away", None),), "the other is there already"
    assert listing.without == "SCHEMA_NAME NOT IN ('away_0')"
    assert second.asked[-1].endswith("FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'away_1'")


def test_definitions_are_told_by_the_first_shard_of_a_table() -> None:
    descriptions, first, second = servers()
    first.rows = [("positive",)]
    second.rows = [("late_check",)]
    found = asyncio.run(descriptions.of(USER, "g0", [SHOP], ["CHECK_CONSTRAINTS"]))
    assert found.listings["CHECK_CONSTRAINTS"].rows == (("positive",), ("late_check",))
    assert "LOWER(TABLE_NAME) IN ('t', 'r')" in first.asked[-1]
    assert "CONSTRAINT_TYPE = 'CHECK' AND LOWER(TABLE_NAME) IN ('late')" in second.asked[-1]


def test_what_was_told_is_kept_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptions, first, _ = servers()

    async def ask(times: int) -> int:
        before = len(first.asked)
        for _ in range(times):
            await descriptions.of(USER, "g0", [SHOP], ["TABLES"])
        return len(first.asked) - before

    assert asyncio.run(ask(2)) == 2
    descriptions.forget()
    assert asyncio.run(ask(1)) == 1
    monkeypatch.setattr(describing, "KEPT", 0.0)
    descriptions.forget()
    assert asyncio.run(ask(3)) == 3


def test_a_shard_that_cannot_be_asked() -> None:
    descriptions, _, second = servers()
    second.trouble = None
    group = descriptions._topology.groups["g1"]
    group.servers[0].up = False
    group.refresh()
    with pytest.raises(BackendError, match="g1"):
        asyncio.run(descriptions.of(USER, "g0", [SHOP], ["TABLES"]))


def test_one_row_for_a_table_of_several_shards() -> None:
    rows: list[dict[str, Any]] = [
        {"TABLE_ROWS": 4, "DATA_LENGTH": 100, "AVG_ROW_LENGTH": 25, "AUTO_INCREMENT": None, "COMMENT": "x"},
        {"TABLE_ROWS": 6, "DATA_LENGTH": 300, "AVG_ROW_LENGTH": 50, "AUTO_INCREMENT": 8, "COMMENT": "y"},
    ]
    assert total(rows) == {
        "TABLE_ROWS": 10,
        "DATA_LENGTH": 400,
        "AVG_ROW_LENGTH": 40,
        "AUTO_INCREMENT": 8,
        "COMMENT": "x",
    }
