"""Statements that wait for what shards tell of their tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from router.backend.connector import BackendUser
from router.cluster.describing import Described as Told
from router.cluster.describing import Descriptions
from router.errors import BackendError, MySQLError
from router.frontend.describing import Describing
from router.planner.description import Listing
from router.planner.plan import Described, Relay
from router.planner.tables import ShardedSchema
from tests.engine.bench import Bench, P
from tests.fakes import quiet
from tests.planner.fix_shards import shop_context, shop_planner

SQL = b"SELECT * FROM information_schema.TABLES"
TOLD = Told("mysql", {"TABLES": Listing(("TABLE_NAME",), frozenset(), (("t",),), "1")})


class Shards(Descriptions):
    """Shards that tell when ``ready``; None: they cannot be reached."""

    def __init__(self, told: Told | None = TOLD) -> None:
        self.told = told
        self.ready = asyncio.Event()
        self.asked: list[tuple[str, str, list[str], list[str]]] = []

    async def of(
        self,
        user: BackendUser,
        group: str,
        schemas: Sequence[ShardedSchema],
        views: Sequence[str],
        shown: Sequence[ShardedSchema] = (),
    ) -> Told:
        self.asked.append((user.name, group, [schema.name for schema in schemas], list(views)))
        await self.ready.wait()
        if self.told is None:
            raise BackendError("group g0 has no primary")
        return self.told


class Desk:
    """A session that has asked for tables."""

    def __init__(self, shards: Shards) -> None:
        self.alive = True
        self.texts: list[bytes] = []
        self.refusals: list[MySQLError] = []
        self.shards = shards
        bench = Bench(P, schema="shop")
        self.describing = Describing(bench.executor, shards, lambda: self.alive, self.refusals.append)

    async def ask(self, sql: bytes = SQL) -> None:
        plan = shop_planner().plan(sql, shop_context())
        assert isinstance(plan, Described)
        self.describing.run(plan, sql, self.texts.append)
        await quiet()


def test_the_shards_are_asked_first() -> None:
    async def scenario() -> None:
        desk = Desk(Shards())
        await desk.ask()
        assert not desk.texts
        desk.shards.ready.set()
        await quiet()
        (text,) = desk.texts
        assert text.startswith(b"SELECT * FROM (SELECT `TABLE_NAME` FROM information_schema.`TABLES` WHERE 1 UNION ALL")
        assert desk.shards.asked[0][1:] == ("main", ["shop"], ["TABLES"])

    asyncio.run(scenario())


def test_shards_that_cannot_be_asked() -> None:
    async def scenario() -> None:
        desk = Desk(Shards(told=None))
        desk.shards.ready.set()
        await desk.ask()
        assert not desk.texts
        assert "g0 has no primary" in desk.refusals[0].message

    asyncio.run(scenario())


def test_nothing_is_run_for_a_client_that_is_gone() -> None:
    async def scenario() -> None:
        for told in (TOLD, None):
            desk = Desk(Shards(told))
            await desk.ask()
            desk.alive = False
            desk.shards.ready.set()
            await quiet()
            assert not desk.texts
            assert not desk.refusals

    asyncio.run(scenario())


def test_one_table_needs_no_questions() -> None:
    async def scenario() -> None:
        desk = Desk(Shards())
        plan = shop_planner().plan(b"DESCRIBE shop.customers", shop_context())
        assert isinstance(plan, Relay)
        desk.describing.run(Described(plan, ("x",)), b"", desk.texts.append)
        assert desk.texts == [b"x"]

    asyncio.run(scenario())
