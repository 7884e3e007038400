"""How tables of keys are asked."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from router.backend.connector import BackendUser
from router.cluster import lookups
from router.cluster.lookups import Lookups
from router.cluster.topology import Topology
from router.errors import BackendError
from router.planner.keys import Key
from router.planner.lookup import Lookup, LookupTable, NeedsKeys
from router.planner.plan import Role
from router.planner.sharding import NoShard
from tests.cluster.houses import bring_up, make_group

APP = BackendUser("app", "x")


class Table:
    """A table of keys on a server; ``asked`` holds the questions."""

    def __init__(self, rows: list[tuple[int, Any]]) -> None:
        self.asked: list[str] = []
        group = make_group("db1")
        bring_up(group, Role.PRIMARY)

        async def ask(user: BackendUser, *queries: str) -> list[list[tuple[Any, ...]]]:
            self.asked += queries
            return [list(rows)]

        group.servers[0].connector.ask = ask  # type: ignore[method-assign]
        self.source = Lookups(Topology({"main": group}), {"shop": APP})
        self.function = Lookup(LookupTable("main", "shop", "mails", "ma`il", "shard"), ["s0", "s1"])

    async def fetch(self, *keys: Key) -> None:
        await self.source.fetch(NeedsKeys(self.function, keys))


async def test_all_keys_in_one_question() -> None:
    table = Table([(1, "s1"), (0, b"s0")])
    await table.fetch(("a",), ("it's",), ("gone",))
    (question,) = table.asked
    assert question.split(" UNION ALL ") == [
        "SELECT 0, `shard` FROM `shop`.`mails` WHERE `ma``il` = _utf8mb4 0x61",
        "SELECT 1, `shard` FROM `shop`.`mails` WHERE `ma``il` = _utf8mb4 0x69742773",
        "SELECT 2, `shard` FROM `shop`.`mails` WHERE `ma``il` = _utf8mb4 0x676f6e65",
    ]
    assert (table.function.shard(("a",)), table.function.shard(("it's",))) == (0, 1)
    with pytest.raises(NoShard):
        table.function.shard(("gone",))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-5, "-5"),
        (Decimal("1E+3"), "1000"),
        ("", "''"),
        (b"\x01", "0x01"),
        (date(2024, 2, 1), "DATE'2024-02-01'"),
        (datetime(2024, 2, 1, 3, 4, 5, 6), "TIMESTAMP'2024-02-01 03:04:05.000006'"),
    ],
)
async def test_values(value: Any, text: str) -> None:
    table = Table([])
    await table.fetch((value,))
    assert table.asked[0].endswith(f"= {text}")


async def test_many_keys() -> None:
    table = Table([])
    await table.fetch(*((number,) for number in range(450)))
    assert len(table.asked) == 3


async def test_what_is_no_shard() -> None:
    with pytest.raises(BackendError, match="'s9', which is no shard"):
        await Table([(0, "s9")]).fetch((1,))


async def test_answers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "KEPT", 0.0)
    table = Table([(0, "s1")])
    await table.fetch((1,))
    assert table.function.shard((1,)) == 1
    async with asyncio.timeout(5):
        while len(table.function):  # noqa: ASYNC110 - a timer of the loop is all there is
            await asyncio.sleep(0)


async def test_nobody_may_ask() -> None:
    table = Table([])
    source = Lookups(table.source._topology, {})
    with pytest.raises(BackendError, match="no user"):
        await source.fetch(NeedsKeys(table.function, ((1,),)))
