"""The rows of each table."""

from __future__ import annotations

from time import perf_counter, time
from typing import Any

import pytest

from router.admin.state import RouterState
from router.admin.tables import OWN, TABLES
from router.admin.variables import variables
from router.metrics import BUCKETS
from router.planner.observed import Kind, Observed
from tests.admin.inside import World
from tests.fakes import virtually


async def rows(world: World, name: str, *, texts: bool = False) -> list[dict[str, Any]]:
    table = TABLES[name]
    found = await RouterState(world.inside).rows([table], texts=texts, variables=variables("8", 1))
    return [dict(zip((column.name for column in table.columns), row, strict=True)) for row in found[name]]


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if table.source is None])
@virtually
async def test_every_table_has_rows_of_its_columns(name: str) -> None:
    found = await rows(World(), name)
    assert found or name == "digests"
    kinds = {"INTEGER": (int,), "REAL": (float, int), "TEXT": (str, int, float)}
    for column in TABLES[name].columns:
        assert all(row[column.name] is None or isinstance(row[column.name], kinds[column.type]) for row in found)


@virtually
async def test_servers_and_pools() -> None:
    world = World()
    first, second = await rows(world, "servers")
    assert (first["server"], first["role"], first["host"], first["port"]) == ("a", "primary", "a", 3306)
    assert (second["role"], second["up"], second["statements"], second["failures"]) == ("replica", 1, 6, 4)
    assert (await rows(world, "pools"))[0]["timeouts"] == 2
    (group,) = await rows(world, "groups")
    assert (group["primary_server"], group["servers"], group["servers_up"], group["paused"]) == ("a", 2, 2, 0)


@virtually
async def test_sessions_show_no_literals_unless_asked_for() -> None:
    idle, busy = await rows(World(), "sessions")
    assert (idle["state"], idle["server"], idle["statement"]) == ("idle", None, None)
    assert (busy["server"], busy["server_connection"], busy["pinned_by"]) == ("a", 77, "named_lock")
    assert busy["statement"] == "SELECT ?"
    assert (await rows(World(), "sessions", texts=True))[1]["statement"] == "SELECT 'x'"


@virtually
async def test_rules_and_shards() -> None:
    world = World()
    first, second = await rows(world, "rules")
    assert (first["hits"], first["conditions"], first["effect"]) == (4, "user app, statement ddl", "reject: not here")
    assert (second["name"], second["effect"]) == ("rule-2", "send to role primary; timeout 2 s")
    assert [(each["shard"], each["database_name"], each["tables"]) for each in (await rows(world, "shards"))] == [
        ("s0", "shop0", "few, items, orders"),
        ("s1", "shop", "items, orders"),
    ]


@virtually
async def test_secrets_are_masked() -> None:
    found = {row["path"]: row["value"] for row in (await rows(World(), "config"))}
    assert found["users.app.password"] == "**********"
    assert found["groups.main.pool.max_connections"] == "50"
    assert "hunter2" not in str(found)


@virtually
async def test_digests_are_what_the_gateway_gives() -> None:
    observed = Observed(Kind("SELECT ?", "app", "", "main:replica"), len(BUCKETS) + 1)
    now = perf_counter()
    for _ in range(99):
        observed.add(3, 0.0009, now, 2, failed=False)
    observed.add(13, 2.0, now, 0, failed=True)
    (found,) = await rows(World(digests=lambda: [observed]), "digests")
    told = ("digest_text", "user", "schema", "route", "count", "errors", "rows_sent")
    assert tuple(found[name] for name in told) == ("SELECT ?", "app", None, "main:replica", 100, 1, 198)
    assert (found["min_seconds"], found["max_seconds"], found["p95_seconds"]) == (0.0009, 2.0, 0.001)
    assert abs(found["last_seen"] - time()) < 60
    assert found["example"] is None


@virtually
async def test_maintenance_is_seen() -> None:
    world = World()
    world.inside.maintenance.on = True
    (version,) = await rows(world, "version")
    assert (version["version"], version["maintenance"]) == ("1.2.3", 1)
    assert {each["name"]: each["value"] for each in (await rows(world, "stats"))}["commands"] == 12


def test_every_own_table_is_filled() -> None:
    assert all(table.source is None for table in OWN)


@virtually
async def test_tables_are_of_one_moment() -> None:
    """Where the numbers are another process's, they are asked for once, and before anything is read."""
    asked = []

    async def refresh(table: str) -> None:
        asked.append((table, len(world.sessions)))
        world.sessions = world.sessions[:1]

    world = World(refresh=refresh)
    found = await RouterState(world.inside).rows([TABLES["sessions"], TABLES["servers"]], texts=False)
    assert asked == [("sessions", 2)]
    assert [len(found["sessions"]), len(found["servers"])] == [1, 2]
