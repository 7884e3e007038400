"""Drain, undrain, pause and resume in all workers at once, with their answers as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from router.cluster.operations import LONGEST_PAUSE, PATIENCE, Drained, Operations, Paused, Standing
from router.cluster.topology import Group, Topology
from router.process.merging import standings
from router.process.messages import Drain, Pause, Resume, Told, Undrain

log = structlog.get_logger(__name__)

# Seconds by which a worker would end a pause after the supervisor: it is for the supervisor to do.
_LATER = 2.0


class FleetOperations(Operations):
    """As ``Operations``.

    ``ask(message)`` gives the answers of all workers; ``told`` is what they said of themselves last; ``publish`` tells
    them what is known of a group. The topology is the supervisor's: nobody is connected through its pools, whose
    ``in_use`` stands for those of all workers while a server drains.
    """

    def __init__(
        self,
        topology: Topology,
        look: Callable[[Group], Awaitable[None]],
        ask: Callable[[object], Awaitable[list[object]]],
        told: Callable[[], Sequence[Told]],
        publish: Callable[[Group], None],
    ) -> None:
        super().__init__(topology, look, lambda: ())
        self._ask = ask
        self._told = told
        self._publish = publish

    async def drain(self, group: str, server: str, wait: float = PATIENCE) -> Drained:
        """As everywhere; ``done`` when no worker has anybody there."""
        place, found = self._server(group, server)
        if not found.draining:
            log.info("server drains", group=group, server=server)
            found.pool.in_use = 1  # until the workers have said that nobody is there
        place.drain(found)
        self._publish(place)
        answers = await self._ask(Drain(group, server, wait))
        return self._drained_everywhere(place, group, server, answers)

    async def undrain(self, group: str, server: str) -> Drained:
        """As everywhere."""
        place, found = self._server(group, server)
        await self._look(place)
        self.use_again(group, server)
        found.pool.in_use = 0
        place.refresh()
        self._publish(place)
        return self._drained_everywhere(place, group, server, await self._ask(Undrain(group, server)))

    def _drained_everywhere(self, place: Group, group: str, server: str, answers: Sequence[object]) -> Drained:
        drained = [each for each in answers if isinstance(each, Drained)]
        in_use, pinned = sum(each.in_use for each in drained), sum(each.pinned for each in drained)
        _, found = self._server(group, server)
        if found.draining:
            self.held_there(place, server, in_use)
        return Drained(group, server, found.draining, in_use, pinned)

    def held_there(self, place: Group, server: str, in_use: int) -> None:
        """So many connections to a server that drains are held by all workers: that may be what a primary waits for."""
        found = next(each for each in place.servers if each.name == server)
        had, found.pool.in_use = found.pool.in_use, in_use
        if had and not in_use:
            place.refresh()
            self._publish(place)

    def look_at_draining(self, told: Sequence[Told]) -> None:
        """Servers may have become empty since."""
        for each in standings(super().standing(), told):
            if each.draining:
                self.held_there(self._topology.groups[each.group], each.server, each.in_use)

    def standing(self) -> list[Standing]:
        """All servers, in the order of the configuration."""
        return standings(super().standing(), self._told())

    async def pause(
        self, group: str | None = None, longest: float = LONGEST_PAUSE, wait: float = PATIENCE
    ) -> list[Paused]:
        """As everywhere; ``active`` and the like are sums over the workers."""
        names = [each.name for each in self._groups(group)]
        answers = await asyncio.gather(
            self.pause_all(names, longest, 0), self._ask(Pause(tuple(names), longest + _LATER, wait))
        )
        return _together(answers[0], answers[1])

    async def resume(self, group: str | None = None) -> list[Paused]:
        """As everywhere."""
        own = await super().resume(group)
        for each in own:
            self._publish(self._topology.groups[each.group])
        return _together(own, await self._ask(Resume(tuple(each.group for each in own))))

    def paused(self) -> dict[str, float]:
        """The groups that are paused, and for how many seconds more."""
        now = asyncio.get_running_loop().time()
        return {name: max(0.0, timer.when() - now) for name, timer in self._ends.items()}

    def draining(self) -> list[tuple[str, str]]:
        """The servers that drain."""
        return [(each.group, each.name) for each in self._topology.servers() if each.draining]


def _together(own: Sequence[Paused], answers: Sequence[object]) -> list[Paused]:
    found = [each for answer in answers if isinstance(answer, list) for each in answer]
    return [
        Paused(
            each.group,
            each.paused,
            *(
                sum(getattr(other, name) for other in found if other.group == each.group)
                for name in ("active", "pinned", "elsewhere", "waiting")
            ),
        )
        for each in own
    ]
