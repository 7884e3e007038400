"""What the workers say of themselves: asked for, kept, and added up to what one router would say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from router.errors import OperationFailed
from router.log import LogLine, recent
from router.metrics import Counters, ProcessGauges, RouterCollector
from router.planner.observed import Observed
from router.process.crew import Crew, Member
from router.process.journal import Journal
from router.process.merging import Ledger
from router.process.messages import Lines, Tell, Told
from router.session.registry import Glance

log = structlog.get_logger(__name__)

# Seconds between two looks at the workers' numbers when nobody asks, and how long a worker has to tell them.
_LOOK = 1.0
PATIENCE = 5.0
# One that has not told anything for so long serves nobody: it is killed, and another takes its place.
_LONGEST_SILENCE = 60.0
# What is not known of a worker that ends is what it did since the last look, digests since every so many of them.
_DIGESTS_EVERY = 10


class Survey:
    """``own``: what the supervisor itself counts; ``counters``, ``digests`` and ``glances`` (at the sessions): of all,
    as of the last ``refresh``."""

    def __init__(self, crew: Callable[[], Crew]) -> None:
        """``crew``: whom to ask."""
        self._crew = crew
        self._ledger = Ledger()
        self._told: dict[Member, Told] = {}
        self._silent: dict[Member, float] = {}  # since when
        self._journal = Journal()
        self.own = Counters()
        self.counters = Counters()
        self.digests: Sequence[Observed] = ()
        self.glances: Sequence[Glance] = ()

    def told(self) -> list[Told]:
        """What those that serve have said last."""
        return list(self._told.values())

    def lines(self) -> list[LogLine]:
        """Of all logs, as of the last ``refresh`` of them; the oldest first."""
        return self._journal.lines()

    def ended(self, member: Member) -> None:
        """A worker is no more: what it has counted stays."""
        if (told := self._told.pop(member, None)) is not None:
            self._ledger.close(told)
        self._silent.pop(member, None)
        self._journal.forget(member)

    async def refresh(self, table: str = "") -> None:
        """Have the workers tell what is asked for in ``table``, and always their numbers; or only the ``log``."""
        if table == "log":
            await self._ask_for_lines()
            return
        await self._ask(Tell(sessions=table == "sessions", digests=table == "digests"))
        counters = self._ledger.counters(self.told(), self.own)
        for each in fields(Counters):
            setattr(self.counters, each.name, getattr(counters, each.name))
        if table == "sessions":
            self.glances = [glance for each in self.told() for glance in each.sessions]
        if table == "digests":
            self.digests = self._ledger.digests(self.told())

    async def go_on(self, seen: Callable[[Sequence[Told]], None]) -> None:
        """Keep the numbers, so that little is lost of a worker that ends; ``seen`` is called with them each time."""
        turn = 0
        while True:
            await asyncio.sleep(_LOOK)
            turn += 1
            await self._ask(Tell(digests=turn % _DIGESTS_EVERY == 0))
            seen(self.told())

    async def _ask_for_lines(self) -> None:
        async def ask(member: Member) -> tuple[object, str, list[LogLine]]:
            mark, message = str(member.number), Lines(self._journal.seen(member))
            with contextlib.suppress(OperationFailed):
                return member, mark, await member.channel.ask(message, PATIENCE)
            return member, mark, []

        told = await asyncio.gather(*map(ask, self._crew().serving))
        self._journal.add([(self, "", recent()), *told])

    async def _ask(self, message: Tell) -> None:
        async def ask(member: Member) -> None:
            asked = asyncio.get_running_loop().time()
            try:
                told = await member.channel.ask(message, PATIENCE)
            except OperationFailed as error:
                log.warning("a worker does not tell its numbers", worker=member.number, reason=str(error))
                self._is_silent(member, asked)
                return
            assert isinstance(told, Told)
            self._silent.pop(member, None)
            had = self._told.get(member)
            if had is not None and not message.digests:
                told = told.with_digests(had.digests)
            self._told[member] = told

        await asyncio.gather(*map(ask, self._crew().serving))

    def _is_silent(self, member: Member, asked: float) -> None:
        """It has not answered what it was ``asked`` at that time."""
        if member.serves and asked - self._silent.setdefault(member, asked) >= _LONGEST_SILENCE:
            log.error("a worker does not answer any more, and is killed", worker=member.number)
            del self._silent[member]
            member.kill()

    def gauges(self, own: ProcessGauges) -> ProcessGauges:
        """What a scrape shows, of all processes; ``own``: what only the supervisor knows."""
        return self._ledger.gauges(self.told(), own)

    def registry(self, gauges: Callable[[], ProcessGauges]) -> CollectorRegistry:
        """All metrics, as those of one process."""
        own = CollectorRegistry()
        ProcessCollector(registry=own)
        GCCollector(registry=own)
        registry = CollectorRegistry()
        PlatformCollector(registry=registry)
        registry.register(_Processes(own, self._ledger, self.told))
        registry.register(RouterCollector(self.counters, gauges))
        return registry


class _Processes(Collector):
    """The process metrics of all."""

    def __init__(self, own: CollectorRegistry, ledger: Ledger, told: Callable[[], list[Told]]) -> None:
        self._own = own
        self._ledger = ledger
        self._told = told

    def collect(self) -> Iterable[Metric]:
        """All, as those of one."""
        return self._ledger.processes(self._told(), list(self._own.collect()))
