"""Time limits of rules: they end what runs, and nothing that comes after it."""

from __future__ import annotations

import asyncio

import pytest

from router.frontend.limits import Limits
from router.planner.merging import MergeSpec
from router.planner.plan import Part, Plan, Relay, Role, Scattered, Spread
from router.sql.facts import Reason, StatementFacts, StatementKind
from tests.fakes import virtually

READ = StatementFacts(StatementKind.SELECT, read=True, reason=Reason.READ)
LIMITED = Relay("main", Role.PRIMARY, Reason.READ, READ, timeout=2.0)
PART = Part(LIMITED, b"SELECT 1")


@pytest.mark.parametrize(
    "plan",
    [LIMITED, Scattered((PART,), MergeSpec(), None, 0, READ), Spread((PART,), READ)],
    ids=["one server", "a read of several", "a write on several"],
)
@virtually
async def test_the_time_is_up(plan: Plan | Scattered | Spread) -> None:
    killed: list[float] = []
    loop = asyncio.get_running_loop()
    limits = Limits(lambda: killed.append(loop.time()))
    began = loop.time()
    limits.begin(plan)
    await asyncio.sleep(5)
    assert killed == [began + 2]
    assert limits.handle is None


@virtually
async def test_what_ends_in_time_is_left_alone() -> None:
    killed: list[None] = []
    limits = Limits(lambda: killed.append(None))
    limits.begin(LIMITED)
    await asyncio.sleep(1)
    limits.end()
    limits.begin(Relay("main", Role.PRIMARY, Reason.READ, READ))
    assert limits.handle is None
    await asyncio.sleep(5)
    assert killed == []
