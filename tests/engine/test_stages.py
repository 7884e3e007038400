"""Queries that are asked before a statement: on which servers, and what becomes of their answers."""

from __future__ import annotations

from dataclasses import replace

from router.backend.connection import BackendConnection
from router.engine.stages import MOST_BYTES, Collector, Outcome, Stages
from router.errors import MySQLError
from router.planner.binding import TextValues, bind
from router.planner.plan import Refused, Sharded, Staged
from router.wire.packets import decode_err
from tests.engine.bench import Bench, P
from tests.fakes import err, quiet, rows, virtually, wire
from tests.planner.fix_shards import shop_context, shop_planner


class Desk:
    """A session; all of its shards are the servers of group ``main``."""

    def __init__(self, sql: str) -> None:
        self.bench = Bench(P, most=4)
        self.stages = Stages(self.bench.executor, self.bench.services, 0)
        self.outcomes: list[Outcome] = []
        context = shop_context()
        plan = shop_planner().plan(sql.encode(), context)
        assert isinstance(plan, Sharded)
        bound = bind(_here(plan), TextValues(sql.encode(), context.mode), sql.encode(), context.mode)
        assert isinstance(bound, Staged)
        self.plan = bound

    async def run(self) -> None:
        self.stages.run(self.plan, self.bench.executor.key, None, self.outcomes.append)
        await quiet()

    def busy(self) -> list[BackendConnection]:
        return [it for it in self.bench.connectors["db1"].opened if it.busy]

    async def answer(self, *answers: bytes) -> None:
        for connection, answer in zip(self.busy(), answers, strict=True):
            connection.data_received(answer)
        await quiet()


def _here(plan: Sharded) -> Sharded:
    relays = tuple(replace(each, group="main", database=None) for each in plan.relays)
    first = plan.first
    if first is not None:
        steps = tuple(replace(each, plan=_here(each.plan)) for each in first.steps)
        first = replace(first, steps=steps, then=_here(first.then))
    return replace(plan, relays=relays, first=first)


ONE = "SELECT total FROM orders WHERE customer_id IN (SELECT region FROM customers WHERE id = 4)"
NESTED = f"SELECT id FROM customers WHERE region IN (SELECT id FROM orders WHERE customer_id IN ({ONE[50:-1]}))"


@virtually
async def test_the_statement_follows_the_query() -> None:
    desk = Desk(ONE)
    await desk.run()
    (connection,) = desk.busy()
    assert b"SELECT region FROM customers WHERE id = 4 LIMIT 10001" in wire(connection).written
    await desk.answer(rows([b"7"], [b"9"]))
    (outcome,) = desk.outcomes
    assert isinstance(outcome, Refused), "the fakes' column is text"
    assert "another type" in outcome.error.message
    assert desk.bench.client.data == b"", "the client sees nothing of it"


@virtually
async def test_an_error_of_a_query_is_the_statements() -> None:
    desk = Desk(ONE)
    await desk.run()
    await desk.answer(err(1054, "Unknown column"))
    (outcome,) = desk.outcomes
    assert isinstance(outcome, bytes)
    assert decode_err(outcome).code == 1054


@virtually
async def test_kill_query_ends_the_query_that_runs() -> None:
    desk = Desk(ONE)
    await desk.run()
    told: list[str] = []
    desk.stages.kill(lambda: told.append("killed"))
    assert told == ["killed"]
    await quiet()
    (outcome,) = desk.outcomes
    assert isinstance(outcome, bytes)
    assert decode_err(outcome).code == 1317


@virtually
async def test_nobody_is_told_when_the_client_is_gone() -> None:
    desk = Desk(ONE)
    await desk.run()
    desk.stages.cancel()
    await quiet()
    assert desk.outcomes == []
    assert not desk.busy()


def test_an_answer_that_is_too_long_is_not_kept() -> None:
    full: list[bool] = []
    collector = Collector(0, False, lambda: full.append(True))
    for _ in range(3):
        collector.write(b"\xff\xff\x0f\0" + bytes(0xFFFFF))
    assert not full
    for _ in range(9):
        collector.write(b"\xff\xff\x0f\0" + bytes(0xFFFFF))
    assert full == [True]
    assert sum(map(len, collector._payloads)) <= 2 * MOST_BYTES


def test_an_error_of_the_router_is_an_answer() -> None:
    collector = Collector(0, False, lambda: None)
    collector.fail(MySQLError(1040, "08004", "router: no"))
    assert collector.error is not None
