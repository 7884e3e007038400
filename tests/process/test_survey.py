"""What workers say of themselves: kept, and added up. (What is added up how: ``test_merging``.)"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from router.errors import OperationFailed
from router.log import LogLine
from router.process import survey as module
from router.process.crew import Crew, Member
from router.process.messages import Lines, Tell, Told
from router.process.survey import Survey
from tests.fakes import virtually
from tests.process.test_merging import own, told


class Worker:
    """One that answers, unless it is ``silent``."""

    def __init__(self, number: int, queries: int) -> None:
        self.number = number
        self.queries = queries
        self.silent = self.killed = False
        self.serves = True
        self.asked: list[object] = []
        self.log = [LogLine(1, f"2026-01-02T03:04:0{number}Z", "info", "router.x", f"of {number}", {})]

    @property
    def channel(self) -> Worker:
        return self

    def kill(self) -> None:
        self.killed = True

    async def ask(self, message: object, within: float | None = None) -> object:
        self.asked.append(message)
        if self.silent:
            raise OperationFailed("the other process does not answer")
        if isinstance(message, Lines):
            return [line for line in self.log if line.number > message.after]
        assert isinstance(message, Tell)
        answer = told(queries=self.queries)
        return replace(
            answer,
            sessions=answer.sessions if message.sessions else (),
            digests=answer.digests if message.digests else (),
        )


class House:
    """Two workers."""

    def __init__(self) -> None:
        self.workers = [Worker(0, 3), Worker(1, 4)]
        self.survey = Survey(lambda: cast("Crew", self))

    @property
    def serving(self) -> Sequence[Worker]:
        return self.workers

    def ends(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.survey.ended(cast("Member", worker))


async def test_what_is_asked_for_is_told() -> None:
    house = House()
    await house.survey.refresh()
    assert house.survey.counters.decisions["read"] == 7
    assert (list(house.survey.glances), list(house.survey.digests)) == ([], [])
    await house.survey.refresh("sessions")
    assert len(house.survey.glances) == 2
    await house.survey.refresh("digests")
    assert [observed.count for observed in house.survey.digests] == [7]
    assert house.survey.gauges(own()).plan_cache_hits == 18


async def test_the_supervisor_counts_as_well() -> None:
    house = House()
    house.survey.own.reloads["done"] = 2
    await house.survey.refresh()
    assert house.survey.counters.reloads["done"] == 2


async def test_what_an_ended_worker_has_counted_stays() -> None:
    house = House()
    await house.survey.refresh("digests")
    house.ends(house.workers[0])
    await house.survey.refresh("digests")
    assert house.survey.counters.decisions["read"] == 7
    assert [observed.count for observed in house.survey.digests] == [7]
    assert len(house.survey.told()) == 1


async def test_one_that_is_silent_counts_as_it_was() -> None:
    house = House()
    await house.survey.refresh("digests")
    house.workers[0].silent, house.workers[1].queries = True, 10
    await house.survey.refresh()
    assert house.survey.counters.decisions["read"] == 13
    await house.survey.refresh("log")
    assert [line.fields for line in house.survey.lines() if line.event.startswith("of")] == [{"worker": "1"}]


@virtually
async def test_one_that_stays_silent_is_killed() -> None:
    house = House()
    looking = asyncio.create_task(house.survey.go_on(lambda told: None))
    first, second = house.workers
    for silent, seconds in ((True, 55), (False, 5), (True, 55)):
        first.silent = silent
        await asyncio.sleep(seconds)
        assert not first.killed
    await asyncio.sleep(10)
    assert first.killed
    assert not second.killed
    looking.cancel()


async def test_lines_of_all_logs_are_read_once() -> None:
    house = House()
    for _ in range(2):
        await house.survey.refresh("log")
    assert sorted(line.event for line in house.survey.lines() if line.event.startswith("of")) == ["of 0", "of 1"]
    assert house.workers[0].asked == [Lines(0), Lines(1)]


async def test_numbers_are_kept_when_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK", 0.0)
    house, enough, seen = House(), asyncio.Event(), 0

    def count(several: Sequence[Told]) -> None:
        nonlocal seen
        seen += 1
        if seen == 10:
            enough.set()

    looking: asyncio.Task[Any] = asyncio.create_task(house.survey.go_on(count))
    await asyncio.wait_for(enough.wait(), 10)
    looking.cancel()
    asked = [message for message in house.workers[0].asked if isinstance(message, Tell)]
    assert [message.digests for message in asked[:10]] == [False] * 9 + [True]
    assert [each.gauges.plan_cache_hits for each in house.survey.told()] == [9, 9]


def test_the_processes_are_one() -> None:
    house = House()
    asyncio.run(house.survey.refresh())
    metrics = {metric.name: metric for metric in house.survey.registry(own).collect()}
    assert metrics["process_cpu_seconds"].samples[0].value > 3.0, "1.5 s of each worker, and the supervisor's"
    assert "router_workers" in metrics
