"""Asks every server, every ``monitor.interval``, whether it is alive and which role it plays.

Probes run over one connection per server of the monitor account (default: the first user that may log in), one server
independent of the other, so that a hung server delays nobody's news, and one probe of a server at a time. They come
faster while a group has no primary, and at once when a session has met a failure. What an answer means is decided in
``health``, ``replication`` and ``electing``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import structlog

from router.backend.connector import BackendUser, Line
from router.cluster.balancer import smoothed
from router.cluster.health import HealthState, Probe, probe_of, questions_for, role_of
from router.cluster.replication import Lag, LagState, lag_of
from router.cluster.topology import Group, Server, Topology
from router.errors import BackendError, BackendUnavailable
from router.planner.plan import Role
from router.session.gtids import History, Reached
from router.tasks import spawn

log = structlog.get_logger(__name__)

# Idle connections beyond `pool.min_idle` are closed after this many seconds.
KEEP_IDLE = 60.0
# Seconds between two probes of a server while its group has no primary, and for how long at most.
_FAST = 0.1
_FAST_FOR = 60.0
# Probes of a server come earlier than asked for by this much at most, so that not all routers ask at once.
_JITTER = 0.1
# Of our own: others may count on theirs.
_chance = Random()
# A question that a server refuses is put to it again after so many probes.
_ASK_AGAIN = 30
# After so many probes another read may wait for what it must see: the write may never come, and others would.
_FORGIVEN = 10
_TOO_MANY = "more than one writable server: one is fenced and takes nothing until it is read-only or replicates"


@dataclass(slots=True)
class _Watched:
    """What the monitor keeps of one server."""

    line: Line
    state: HealthState = field(default_factory=HealthState)
    lag: LagState = field(default_factory=LagState)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    refused: dict[str, int] = field(default_factory=dict)
    told: bool = False
    fenced: bool = False  # and that has been told
    curious: list[asyncio.Future[None]] = field(default_factory=list)  # who waits for the next probe's end
    missed: int = 0  # probes since a read has waited there in vain


def forgive(server: Server, probes: int) -> int:
    """A read has waited at the server in vain: that is forgotten when what it waited for is there, or in time.

    ``probes``: how many there have been since; returns how many it makes now.
    """
    if server.missed is None:
        return 0
    if server.reached.covers(server.missed) or probes + 1 >= _FORGIVEN:
        server.missed = None
        return 0
    return probes + 1


class HealthMonitor:
    """Keeps ``Topology`` up to date."""

    def __init__(
        self,
        topology: Topology,
        accounts: dict[str, BackendUser],
        told: Callable[[Group], None] = lambda group: None,
    ) -> None:
        """``accounts``: group name → account for its probes. ``told`` hears of a group when it has been probed."""
        self._topology = topology
        self._told = told
        self._accounts = accounts
        self._watched = {
            server: _Watched(server.connector.line(accounts[server.group])) for server in topology.servers()
        }
        self._without_primary: dict[str, float] = {}
        self._tasks: dict[Server, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Probe everything once, then go on in the background."""
        await self._begin([(group, server) for group in self._topology.groups.values() for server in group.servers])

    async def _begin(self, new: list[tuple[Group, Server]]) -> None:
        await asyncio.gather(*(self._probe(group, server) for group, server in new))
        for group, server in new:
            self._tasks[server] = spawn(self._watch(group, server), f"monitor {server.name}")

    async def adopt(self, accounts: dict[str, BackendUser]) -> None:
        """The topology has other servers now, or other ``accounts`` probe them: watch those that are there."""
        there = set(self._topology.servers())
        for server in [server for server in self._watched if server not in there]:
            if (task := self._tasks.pop(server, None)) is not None:
                task.cancel()
            self._watched.pop(server).line.close()
        had, self._accounts = self._accounts, accounts
        for server, watched in self._watched.items():
            if had[server.group] != accounts[server.group]:
                watched.line.close()
                watched.line = server.connector.line(accounts[server.group])
        new = [
            (group, server)
            for group in self._topology.groups.values()
            for server in group.servers
            if server not in self._watched
        ]
        for _, server in new:
            self._watched[server] = _Watched(server.connector.line(accounts[server.group]))
        await self._begin(new)

    async def stop(self) -> None:
        """Stop probing."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for watched in self._watched.values():
            watched.line.close()

    def suspect(self, server: Server) -> None:
        """A session has met a failure of this server: count it, so that the next failed probe, now, leaves it out."""
        if (watched := self._watched.get(server)) is None:
            return  # it is not in the configuration any more
        watched.state.suspect()
        watched.wake.set()
        group = self._topology.groups[server.group]
        if group.primary is None:
            self._wake(group)

    async def look(self, group: Group) -> None:
        """Ask all servers of the group now, and wait until they have answered or failed to."""
        asked = []
        for server in group.servers:
            watched = self._watched[server]
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            watched.curious.append(future)
            watched.wake.set()
            asked.append(future)
        await asyncio.wait(asked, timeout=group.config.monitor.timeout + _FAST)

    async def _watch(self, group: Group, server: Server) -> None:
        loop = asyncio.get_running_loop()
        wake = self._watched[server].wake
        while True:
            pause = self._pause(group, loop.time()) * _chance.uniform(1 - _JITTER, 1)
            # Whatever wakes it, a server is not asked without a pause.
            await asyncio.sleep(min(pause, _FAST))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), pause - _FAST)
            wake.clear()
            curious, self._watched[server].curious = self._watched[server].curious, []
            await self._probe(group, server)
            self._told(group)
            for future in curious:
                if not future.done():
                    future.set_result(None)
            server.pool.trim(loop.time(), KEEP_IDLE)

    def _pause(self, group: Group, now: float) -> float:
        """Seconds until the next probe of a server of the group."""
        interval = group.config.monitor.interval
        if group.primary is not None or all(server.configured_role == "replica" for server in group.servers):
            self._without_primary.pop(group.name, None)
            return interval
        since = self._without_primary.setdefault(group.name, now)
        return min(interval, _FAST) if now - since < _FAST_FOR else interval

    async def _ask(self, group: Group, server: Server) -> Probe:
        """Put the questions to the server. Raises BackendUnavailable, and whatever a strange answer leads to."""
        watched = self._watched[server]
        profile = server.profile
        if profile is None or not server.up:
            profile = await server.connector.load_profile(self._accounts[group.name])
        config = group.config.monitor
        questions = questions_for(profile, config.heartbeat)
        refused = watched.refused
        for question in list(refused):
            refused[question] -= 1
            if refused[question] <= 0:
                del refused[question]
        asked = [question for question in questions.all if question not in refused]
        answers = await watched.line.ask(asked, config.timeout)
        for question, answer in answers.items():
            if isinstance(answer, str) or (not answer and question in questions.cluster):
                refused[question] = _ASK_AGAIN
        if isinstance(reason := answers.get(questions.replication), str) and not watched.told:
            watched.told = True
            if questions.heartbeat is None:
                log.warning("replication lag is unknown", group=group.name, server=server.name, reason=reason)
        if questions.heartbeat is not None and isinstance(reason := answers.get(questions.heartbeat), str):
            log.warning("heartbeat table cannot be read", group=group.name, server=server.name, reason=reason)
        probe = probe_of(questions, answers)
        if probe.member is not None and probe.member.trouble:
            raise BackendUnavailable(f"server {server.name}: {probe.member.trouble}")
        return probe

    async def _probe(self, group: Group, server: Server) -> None:
        watched = self._watched[server]
        state = watched.state
        now = asyncio.get_running_loop().time
        try:
            probe = await self._ask(group, server)
            reached = Reached(probe.reached)
            if probe.executed != probe.reached:
                History(probe.executed)
        except Exception as error:  # noqa: BLE001 - whatever a server does, its watch goes on
            state.failed(now())
            self._failed(group, server, error, up=state.up)
            return
        state.succeeded(now())
        server.reached, server.ordered = reached, probe.ordered
        if watched.line.took is not None:
            server.delay = smoothed(server.delay, watched.line.took)
        if server.names_writes is not probe.names:
            server.names_writes = probe.names
            group.refresh()
        watched.missed = forgive(server, watched.missed)
        if server.profile is not None and server.profile.sql_mode != probe.sql_mode:
            await self._defaults_changed(group, server, self._accounts[group.name])
        self._apply(group, server, probe, now())

    def _failed(self, group: Group, server: Server, error: Exception, *, up: bool) -> None:
        if server.up and not up:
            log.warning("server is down", group=group.name, server=server.name, reason=str(error))
            server.failures += 1
        elif not server.up and server.failures == 0:
            log.warning("server cannot be reached", group=group.name, server=server.name, reason=str(error))
            server.failures += 1
        if server.up != up:
            had = group.primary
            server.up = up
            server.pool.expire()
            group.refresh()
            # Who waits for it looks elsewhere.
            server.pool.fail_waiters(BackendUnavailable(f"server {server.name} is down"))
            if had is not None and group.primary is None:
                # Somebody may have been promoted already.
                self._wake(group)

    def _wake(self, group: Group) -> None:
        for server in group.servers:
            self._watched[server].wake.set()

    async def _defaults_changed(self, group: Group, server: Server, account: BackendUser) -> None:
        """SET GLOBAL sql_mode: connections opened before have the old one."""
        log.info("global sql_mode changed", group=group.name, server=server.name)
        try:
            await server.connector.load_profile(account)
        except BackendError as error:
            log.warning("cannot read the new defaults", server=server.name, reason=str(error))
            return
        server.pool.expire()

    def _apply(self, group: Group, server: Server, probe: Probe, now: float) -> None:
        role = role_of(probe) if server.configured_role == "auto" else server.role
        changed = self._replication(group, server, probe, role, now)
        if server.up and role is server.role:
            # Of several writable servers, which has the newest writes may have changed too.
            if changed or any(other.fenced or other.draining for other in group.servers):
                group.refresh()
            self._tell_of_fenced(group, server)
            return
        log.info("server is up", group=group.name, server=server.name, role=role)
        had = group.primary
        if server.role is not None and role is not server.role:
            server.pool.expire()
        server.up = True
        server.failures = 0
        server.role = role
        group.refresh()
        if had is not None and group.primary is None:
            self._wake(group)

    def _tell_of_fenced(self, group: Group, server: Server) -> None:
        """``server`` is what it was. If it is the primary, others that can be written are too many.

        Before it was asked again, they might have been what is seen in the middle of a switchover.
        """
        for other in group.servers:
            watched = self._watched[other]
            if not other.fenced:
                watched.fenced = False
            elif server is group.elected and not server.draining and not watched.fenced:
                watched.fenced = True
                log.error(_TOO_MANY, group=group.name, server=other.name, primary=server.name)

    def _replication(self, group: Group, server: Server, probe: Probe, role: Role | None, now: float) -> bool:
        """Note what the server says of replication; whether that may change who takes what."""
        watched = self._watched[server]
        before = (server.sources, server.clustered, server.lagging, server.stale, server.rests)
        server.executed, server.identity = probe.executed, probe.identity
        server.clustered = probe.member is not None
        running = [channel for channel in probe.channels or () if channel.running]
        server.sources = frozenset((channel.identity, channel.host, channel.port) for channel in running)
        lag = lag_of(
            probe.channels,
            probe.heartbeat,
            clustered=server.clustered,
            declared=server.configured_role == "replica",
        )
        if server is group.elected or (role is Role.PRIMARY and not server.sources):
            lag = Lag()
        watched.lag.seen(lag, group.config.reads.max_lag)
        server.lag, server.lag_at = lag.seconds, now
        server.rests = watched.state.rests(now)
        over, server.lagging, server.stale = server.lagging, watched.lag.over, watched.lag.stale
        if over is not server.lagging and role is Role.REPLICA:
            say, text = log.info, "replica is near enough again"
            if server.lagging:
                say, text = log.warning, "replica takes no reads: it lags too far"
                if not server.stale:
                    text = "replica takes no reads while the primary can: it does not reach its source"
            say(text, group=group.name, server=server.name, seconds=lag.seconds)
        return before != (server.sources, server.clustered, server.lagging, server.stale, server.rests)
