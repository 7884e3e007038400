"""Asks every server, every ``monitor.interval``, whether it is alive and which role it plays.

Probes run over short connections of the monitor account (default: the first user that may log in), one server
independent of the other, so that a hung server delays nobody's news. What an answer means is decided in ``health``.
"""

from __future__ import annotations

import asyncio

import structlog

from router.backend.connector import BackendUser
from router.cluster.health import HealthState, Probe, question_for, role_of
from router.cluster.topology import Group, Server, Topology
from router.errors import BackendError, BackendUnavailable
from router.session.gtids import Reached
from router.tasks import spawn

log = structlog.get_logger(__name__)

# Idle connections beyond `pool.min_idle` are closed after this many seconds.
_KEEP_IDLE = 60.0


class HealthMonitor:
    """Keeps ``Topology`` up to date."""

    def __init__(self, topology: Topology, accounts: dict[str, BackendUser]) -> None:
        """``accounts``: group name → account for its probes."""
        self._topology = topology
        self._accounts = accounts
        self._states: dict[Server, HealthState] = {server: HealthState() for server in topology.servers()}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Probe everything once, then go on in the background."""
        rounds = [self._probe(group, server) for group in self._topology.groups.values() for server in group.servers]
        await asyncio.gather(*rounds)
        for group in self._topology.groups.values():
            for server in group.servers:
                self._tasks.append(spawn(self._watch(group, server), f"monitor {server.name}"))

    async def stop(self) -> None:
        """Stop probing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def suspect(self, server: Server) -> None:
        """A session has met a failure of this server: count it, so that the next failed probe leaves it out."""
        self._states[server].suspect()

    async def _watch(self, group: Group, server: Server) -> None:
        interval = group.config.monitor.interval
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(interval)
            await self._probe(group, server)
            server.pool.trim(loop.time(), _KEEP_IDLE)

    async def _probe(self, group: Group, server: Server) -> None:
        state = self._states[server]
        account = self._accounts[group.name]
        try:
            profile = server.profile
            if profile is None or not server.up:
                profile = await server.connector.load_profile(account)
            ((row,),) = await server.connector.ask(account, question_for(profile))
            probe = Probe(bool(row[0]), str(row[1]), str(row[2]), bool(row[3]), bool(row[4]))
            reached = Reached(probe.reached)
        except Exception as error:  # noqa: BLE001 - whatever a server does, its watch goes on
            state.failed()
            if server.up and not state.up:
                log.warning("server is down", group=group.name, server=server.name, reason=str(error))
                server.failures += 1
            elif not server.up and server.failures == 0:
                log.warning("server cannot be reached", group=group.name, server=server.name, reason=str(error))
                server.failures += 1
            if server.up != state.up:
                server.up = state.up
                server.pool.expire()
                group.refresh()
                # Who waits for it looks elsewhere.
                server.pool.fail_waiters(BackendUnavailable(f"server {server.name} is down"))
            return
        state.succeeded()
        server.reached, server.ordered = reached, probe.ordered
        if server.names_writes is not probe.names:
            server.names_writes = probe.names
            group.refresh()
        if server.missed is not None and reached.covers(server.missed):
            server.missed = None
        if server.profile is not None and server.profile.sql_mode != probe.sql_mode:
            await self._defaults_changed(group, server, account)
        self._apply(group, server, probe)

    async def _defaults_changed(self, group: Group, server: Server, account: BackendUser) -> None:
        """SET GLOBAL sql_mode: connections opened before have the old one."""
        log.info("global sql_mode changed", group=group.name, server=server.name)
        try:
            await server.connector.load_profile(account)
        except BackendError as error:
            log.warning("cannot read the new defaults", server=server.name, reason=str(error))
            return
        server.pool.expire()

    def _apply(self, group: Group, server: Server, probe: Probe) -> None:
        role = role_of(probe) if server.configured_role == "auto" else server.role
        if not server.up or role is not server.role:
            log.info("server is up", group=group.name, server=server.name, role=role)
            if server.role is not None and role is not server.role:
                server.pool.expire()
            server.up = True
            server.failures = 0
            server.role = role
            group.refresh()
