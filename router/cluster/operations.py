"""What operators do to servers and groups while clients work: drain, undrain, pause, resume.

``drain`` empties a server, ``pause`` stops a whole group, both without an error for anybody: whoever is in the middle
of something goes on to its end, whoever comes goes elsewhere or waits. Names are those of the configuration.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from router.cluster.topology import Group, Server, Topology
from router.config.findings import did_you_mean
from router.errors import NoSuchName
from router.tasks import spawn

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Seconds: how long an operation waits until it is done, and how long a group may be paused.
PATIENCE = 10.0
LONGEST_PAUSE = 60.0
# Seconds between two looks.
_STEP = 0.01


@dataclass(frozen=True, slots=True)
class Held:
    """A connection to ``server`` that a session keeps; ``active``: in a transaction, or for a statement that runs.

    ``spans``: that transaction may come to other groups.
    """

    server: Server
    active: bool
    spans: bool = False


@dataclass(frozen=True, slots=True)
class Drained:
    """``in_use``: connections to the server that sessions still have; ``pinned`` of them are for the state of sessions
    that do nothing now."""

    group: str
    server: str
    draining: bool
    in_use: int
    pinned: int

    @property
    def done(self) -> bool:
        """Whether nobody is there."""
        return self.draining and not self.in_use


@dataclass(frozen=True, slots=True)
class Paused:
    """``active``: statements and transactions of the group that have not ended; ``pinned``: its connections that are
    kept for the state of sessions that do nothing now; ``elsewhere``: transactions in groups that are not paused, which
    may still come here; ``waiting``: statements that wait for the end of the pause."""

    group: str
    paused: bool
    active: int
    pinned: int
    elsewhere: int
    waiting: int

    @property
    def done(self) -> bool:
        """Whether all is quiet."""
        return self.paused and not self.active


@dataclass(frozen=True, slots=True)
class Standing:
    """A server as it is now; ``lag`` in seconds, None: not known."""

    group: str
    server: str
    address: str
    role: str
    primary: bool
    up: bool
    draining: bool
    fenced: bool
    paused: bool
    lag: float | None
    in_use: int
    pinned: int
    idle: int
    opening: int
    waiting: int


class Operations:
    """``look`` asks the servers of a group how they are; ``held`` tells what sessions keep."""

    def __init__(
        self,
        topology: Topology,
        look: Callable[[Group], Awaitable[None]],
        held: Callable[[], Iterable[Held]],
    ) -> None:
        self._topology = topology
        self._look = look
        self._held = held
        self._ends: dict[str, asyncio.TimerHandle] = {}

    # -- servers -----------------------------------------------------------------------------------------------

    async def drain(self, group: str, server: str, wait: float = PATIENCE) -> Drained:
        """Nothing new for the server; returns when nobody is held there, or after ``wait`` seconds.

        It stays so until ``undrain``, whatever becomes of it. Raises NoSuchName.
        """
        place, found = self._server(group, server)
        if not found.draining:
            log.info("server drains", group=group, server=server)
        place.drain(found)
        await self._until(lambda: not found.pool.in_use, wait)
        # That it is empty may be what a new primary has waited for.
        place.refresh()
        return self._drained(found)

    async def undrain(self, group: str, server: str) -> Drained:
        """The server is used again as what it is, which it is asked first. Raises NoSuchName."""
        place, _ = self._server(group, server)
        await self._look(place)
        return self.use_again(group, server)

    def use_again(self, group: str, server: str) -> Drained:
        """The end of ``undrain``: the server has been asked."""
        place, found = self._server(group, server)
        if found.draining:
            log.info("server is used again", group=group, server=server)
        place.undrain(found)
        return self._drained(found)

    def _drained(self, server: Server) -> Drained:
        pinned = self._pinned()[server]
        return Drained(server.group, server.name, server.draining, server.pool.in_use, pinned)

    def standing(self) -> list[Standing]:
        """All servers, in the order of the configuration."""
        pinned = self._pinned()
        return [
            Standing(
                group=group.name,
                server=server.name,
                address=str(server.connector.endpoint.address),
                role=str(group.role_of(server) or "unknown"),
                primary=server is group.elected,
                up=server.up,
                draining=server.draining,
                fenced=server.fenced,
                paused=group.gate.shut,
                lag=server.lag,
                in_use=server.pool.in_use,
                pinned=pinned[server],
                idle=server.pool.idle,
                opening=server.pool.opening,
                waiting=server.pool.waiting,
            )
            for group in self._topology.groups.values()
            for server in group.servers
        ]

    # -- groups ------------------------------------------------------------------------------------------------

    async def pause(
        self, group: str | None = None, longest: float = LONGEST_PAUSE, wait: float = PATIENCE
    ) -> list[Paused]:
        """Nothing new begins in the group (None: in any); returns when all is quiet, or after ``wait`` seconds.

        After ``longest`` seconds it goes on by itself. Raises NoSuchName.
        """
        return await self.pause_all([each.name for each in self._groups(group)], longest, wait)

    async def pause_all(self, names: Sequence[str], longest: float, wait: float) -> list[Paused]:
        """As ``pause``, of several groups at once."""
        groups = [self._topology.groups[name] for name in names]
        loop = asyncio.get_running_loop()
        for each in groups:
            if not each.gate.shut:
                log.info("group is paused", group=each.name, longest=longest)
            self._forget(each)
            self._ends[each.name] = loop.call_later(longest, self._over, each)
        for each in groups:
            each.pause()
        await self._until(lambda: not any(self._paused(each).active for each in groups), min(wait, longest))
        return [self._paused(each) for each in groups]

    async def resume(self, group: str | None = None) -> list[Paused]:
        """The group (None: all) goes on, once its servers have been asked who they are. Raises NoSuchName."""
        groups = self._groups(group)
        await asyncio.gather(*(self._look(each) for each in groups if each.gate.shut))
        return self.go_on([each.name for each in groups])

    def go_on(self, names: Sequence[str]) -> list[Paused]:
        """The end of ``resume``: the servers have been asked."""
        groups = [self._topology.groups[name] for name in names]
        for each in groups:
            self._forget(each)
            if each.gate.shut:
                log.info("group goes on", group=each.name, waiting=len(each.gate))
                each.resume()
        return [self._paused(each) for each in groups]

    def stop(self) -> None:
        """Nothing happens by itself any more."""
        for timer in self._ends.values():
            timer.cancel()

    def _over(self, group: Group) -> None:
        log.warning("the pause was too long: the group goes on by itself", group=group.name, waiting=len(group.gate))
        spawn(self.resume(group.name), "end of a pause")

    def _forget(self, group: Group) -> None:
        if (timer := self._ends.pop(group.name, None)) is not None:
            timer.cancel()

    def _paused(self, group: Group) -> Paused:
        held = list(self._held())
        open_ = {name for name, each in self._topology.groups.items() if not each.gate.shut} - {group.name}
        pinned = sum(not each.active and each.server.group == group.name for each in held)
        elsewhere = sum(each.spans and each.server.group in open_ for each in held)
        in_use = sum(server.pool.in_use for server in group.servers)
        return Paused(group.name, group.gate.shut, max(0, in_use - pinned), pinned, elsewhere, len(group.gate))

    # -- inside ------------------------------------------------------------------------------------------------

    def _pinned(self) -> Counter[Server]:
        return Counter(each.server for each in self._held() if not each.active)

    async def _until(self, done: Callable[[], bool], wait: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while not done():
            if loop.time() >= deadline:
                return
            await asyncio.sleep(_STEP)

    def _groups(self, name: str | None) -> list[Group]:
        groups = self._topology.groups
        return list(groups.values()) if name is None else [_named("group", name, groups)]

    def _server(self, group: str, name: str) -> tuple[Group, Server]:
        place = _named("group", group, self._topology.groups)
        return place, _named(f"server in group '{group}'", name, {each.name: each for each in place.servers})


def _named(what: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise NoSuchName(f"no {what} is called '{name}'{did_you_mean(name, known)}")
    return known[name]
