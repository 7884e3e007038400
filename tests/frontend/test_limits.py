"""Time limits of rules: they end what runs, and nothing that comes after it; and which statements are copied."""

from __future__ import annotations

import asyncio

import pytest

from router.frontend.limits import Limits
from router.planner.merging import MergeSpec
from router.planner.plan import Mirror, Part, Plan, Relay, Role, Scattered, Spread
from router.sql.facts import Reason, StatementFacts, StatementKind
from tests.fakes import query, virtually

READ = StatementFacts(StatementKind.SELECT, read=True, reason=Reason.READ)
LIMITED = Relay("main", Role.PRIMARY, Reason.READ, READ, timeout=2.0)
PART = Part(LIMITED, b"SELECT 1")
FRAME = query("SELECT 1")
COPIED = Relay("main", Role.PRIMARY, Reason.READ, READ, mirror=Mirror("m", "other", 100, 16, writes=False))


def uncopied(relay: Relay, frame: bytes, statement: object) -> None:
    raise AssertionError("nothing is to be copied")


@pytest.mark.parametrize(
    "plan", [COPIED, Scattered((Part(COPIED, b"SELECT 2"),), MergeSpec(), None, 0, READ)], ids=["one server", "several"]
)
def test_what_is_copied_is_what_the_client_said(plan: Plan | Scattered) -> None:
    copied: list[tuple[Relay, bytes, object]] = []
    limits = Limits(lambda: None, lambda *what: copied.append(what))
    limits.begin(plan, FRAME)
    assert copied == [(COPIED, FRAME, None)]
    assert limits.handle is None


@pytest.mark.parametrize(
    "plan",
    [LIMITED, Scattered((PART,), MergeSpec(), None, 0, READ), Spread((PART,), READ)],
    ids=["one server", "a read of several", "a write on several"],
)
@virtually
async def test_the_time_is_up(plan: Plan | Scattered | Spread) -> None:
    killed: list[float] = []
    loop = asyncio.get_running_loop()
    limits = Limits(lambda: killed.append(loop.time()), uncopied)
    began = loop.time()
    limits.begin(plan, FRAME)
    await asyncio.sleep(5)
    assert killed == [began + 2]
    assert limits.handle is None


@virtually
async def test_what_ends_in_time_is_left_alone() -> None:
    killed: list[None] = []
    limits = Limits(lambda: killed.append(None), uncopied)
    limits.begin(LIMITED, FRAME)
    await asyncio.sleep(1)
    limits.end()
    limits.begin(Relay("main", Role.PRIMARY, Reason.READ, READ), FRAME)
    assert limits.handle is None
    await asyncio.sleep(5)
    assert killed == []
