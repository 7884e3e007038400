"""Time limits of rules: they end what runs, and nothing that comes after it; and which statements are copied."""

from __future__ import annotations

import asyncio

import pytest

from router.config.rules import Rule
from router.frontend.limits import Limits
from router.planner.cache import PlanCache
from router.planner.catalog import Catalog
from router.planner.merging import MergeSpec
from router.planner.plan import Mirror, Part, Plan, Relay, Role, Scattered, Spread
from router.planner.planner import Planner
from router.sql.facts import Reason, StatementFacts, StatementKind
from tests.engine.bench import ROW
from tests.fakes import err, ok, prepared, query, quiet, rows, virtually
from tests.frontend.desk import Desk

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


@pytest.mark.parametrize("works", [True, False])
@virtually
async def test_clients_hear_nothing_of_copies(works: bool) -> None:
    desk = Desk()
    rule = Rule.model_validate({"name": "m", "mirror": "other"})
    catalog = Catalog.build(desk.bench.config.model_copy(update={"rules": [rule]}), generation=2)
    desk.shared.plans = PlanCache(Planner(catalog))
    client, out = desk.client()
    others = desk.bench.connectors["other"]

    async def answered(command: bytes, answer: bytes, copys: bytes) -> bytes:
        await desk.say(client, command)
        if copys:
            (copy,) = [connection for connection in others.opened if connection.busy]
            copy.data_received(copys if works else err())
            await quiet()
            assert out.take() == b""
        await desk.answer(answer)
        return out.take()

    assert await answered(b"\x03SELECT a FROM t", ROW, rows([b"2"])) == ROW
    await answered(b"\x16SELECT a FROM t", prepared(5, columns=1), b"")
    await desk.say(client, b"\x17\1\0\0\0\0\1\0\0\0")
    (copy,) = [connection for connection in others.opened if connection.busy]
    copy.data_received(prepared(9, columns=1))
    await quiet()
    copy.data_received(ROW if works else err())
    await desk.answer(ROW)
    assert out.take() == ROW
    await answered(b"\x03BEGIN", ok(status=3), b"")
    await answered(b"\x03SELECT a FROM t", ROW, b"")
    assert desk.bench.counters.mirrored == {("m", "ok" if works else "error"): 2}
