"""Several workers as one router: the supervisor's part.

It alone asks the servers how they are, owns the listening sockets, reads the configuration, and serves the operators.
The workers serve the clients, and share nothing: a statement never leaves its worker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from router.admin import asking
from router.admin.interfaces import Interfaces
from router.admin.state import Inside, Maintenance
from router.backend.listening import Sockets, shown
from router.cluster.following import news_of
from router.cluster.monitor import HealthMonitor
from router.cluster.topology import Group, Topology
from router.config.differences import Difference
from router.config.models import RouterConfig
from router.errors import OperationFailed, RouterError
from router.frontend.auth import RsaKeyPair
from router.frontend.listener import listener_keys, tls_context
from router.log import in_force
from router.metrics import Histogram, ProcessGauges
from router.planner.explaining import Explained
from router.process.crew import Crew, Member
from router.process.messages import (
    Begin,
    Drain,
    Explain,
    GoBy,
    Kill,
    Look,
    Maintain,
    News,
    Pause,
    Resume,
    Suspect,
    TablesChanged,
    Undrain,
)
from router.process.operations import FleetOperations
from router.process.shares import share_of
from router.process.survey import PATIENCE, Survey
from router.reloading import Reloads
from router.reporting import group_gauges, not_ready, server_gauges, version_of_router
from router.session.registry import Killed, Numbering, SessionRegistry
from router.tasks import spawn
from router.wiring import monitor_accounts, tls_for_operators

log = structlog.get_logger(__name__)

# Seconds that a worker has to go by another configuration, and to look at the tables of the shards.
_GOING_BY = 60.0
_LOOKING_AT_TABLES = 30.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What workers have to know besides how the servers are; ``ddl`` counts changes of tables."""

    config: RouterConfig
    draining: frozenset[tuple[str, str]]
    paused: frozenset[str]
    maintenance: bool
    ddl: int


class Fleet:
    """``count`` workers; to ``run`` it is what a ``Gateway`` is."""

    def __init__(self, config: RouterConfig, path: Path, count: int, sockets: Sockets) -> None:
        self.config = config
        self.sockets = sockets
        self._count = count
        self.topology = Topology.build(config)
        self.monitor = HealthMonitor(self.topology, monitor_accounts(config), self._publish)
        self.maintenance = Maintenance(changed=lambda on: self.crew.tell(Maintain(on)))
        self.survey = Survey(lambda: self.crew)
        self.crew = Crew(count, self._begin, self._begun, self._hear, self._asked, self.survey.ended)
        self.operations = FleetOperations(
            self.topology, self.monitor.look, self.crew.ask, self.survey.told, self._publish
        )
        self.reloads = Reloads(path, self.survey.own, lambda: self.config, self._go_by)
        self._orders: dict[Member, Orders] = {}
        self._ddl = 0
        self._ids: SessionRegistry[Any] = SessionRegistry(Numbering(count, count + 1))
        self._looking: asyncio.Task[None] | None = None
        self.admin = self._admin(config)
        self.addresses: list[str] = []

    def _admin(self, config: RouterConfig) -> Interfaces:
        survey = self.survey
        inside = Inside(
            config=lambda: self.config,
            gauges=self.gauges,
            counters=survey.counters,
            operations=self.operations,
            sessions=lambda: survey.glances,
            kill=self.kill,
            samples=survey.registry(self.gauges).collect,
            maintenance=self.maintenance,
            digests=lambda: survey.digests,
            reload=self.reloads.read_again,
            refresh=survey.refresh,
            explain=self._explain,
            changes=lambda: asking.changes(self.config, self.reloads.path),
            lines=survey.lines,
        )
        next_id = self._ids.next_id
        return Interfaces(config, inside, self._not_ready, next_id, tls_for_operators, RsaKeyPair(), self.sockets)

    # -- start and stop ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Probe, open the sockets, start the workers. Raises OSError, RouterError."""
        await self.monitor.start()
        for key, listener in listener_keys(self.config):
            await self.sockets.open_for_workers(key, listener.address, 0o777)
            self.addresses.append(shown(self.sockets.share(key, 0)))
        await self.crew.start()
        self._looking = spawn(self.survey.go_on(self.operations.look_at_draining), "look at the workers")
        await self.admin.start()
        log.info(
            "ready",
            listeners=self.addresses,
            admin=self.admin.http,
            admin_mysql=self.admin.mysql,
            workers=len(self.crew.members),
        )

    async def leave(self, patience: float) -> None:
        """As ``Gateway.leave``."""
        self._stop_looking()
        self.sockets.hand_on()
        self.sockets.close_all()
        await self.admin.stop()
        await self.crew.leave(patience)

    async def stop(self, drain_timeout: float | None = None) -> None:
        """As ``Gateway.stop``."""
        self.reloads.stopping = True
        for key in self.sockets.divided:
            self.sockets.close(key)
        await self.crew.stop(self.config.limits.drain_timeout if drain_timeout is None else drain_timeout)
        self._stop_looking()
        self.admin.stop_sql()
        self.operations.stop()
        await self.monitor.stop()
        self.topology.close()
        await self.admin.stop()

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    # -- the workers -------------------------------------------------------------------------------------------

    def _numbering(self, member: Member) -> Numbering:
        return Numbering(member.number, self._count + 1, member.lives)

    def _begin(self, member: Member) -> Begin:
        self._orders[member] = self._ordered()
        return Begin(
            config=share_of(self.config, member.number, self._count),
            numbering=self._numbering(member),
            news=tuple(map(news_of, self.topology.groups.values())),
            sockets=self._send_sockets(member, [key for key, _ in listener_keys(self.config)]),
            draining=self.operations.draining(),
            paused=self.operations.paused(),
            maintenance=self.maintenance.on,
            logging=in_force(),
        )

    def _ordered(self) -> Orders:
        draining, paused = frozenset(self.operations.draining()), frozenset(self.operations.paused())
        return Orders(self.config, draining, paused, self.maintenance.on, self._ddl)

    async def _begun(self, member: Member) -> None:
        """What was ordered while the worker began it has not heard: tell it, until there is nothing new."""
        told = self._orders.pop(member)
        while (ordered := self._ordered()) != told:
            channel, told_config = member.channel, told.config
            if ordered.config is not told_config:
                known = {key for key, _ in listener_keys(told_config)}
                await self._tell_config(member, [key for key, _ in listener_keys(ordered.config) if key not in known])
            for group, server in ordered.draining - told.draining:
                await channel.ask(Drain(group, server, 0))
            for group, server in told.draining - ordered.draining:
                await channel.ask(Undrain(group, server))
            left = self.operations.paused()
            for group in ordered.paused - told.paused:
                await channel.ask(Pause((group,), left.get(group, 0), 0))
            await channel.ask(Resume(tuple(told.paused - ordered.paused)))
            if ordered.ddl != told.ddl:
                await channel.ask(TablesChanged())
            told = ordered

    def _send_sockets(self, member: Member, keys: Iterable[str]) -> dict[str, int]:
        found = {key: self.sockets.share(key, member.number) for key in keys}
        member.send_sockets([each for sockets in found.values() for each in sockets])
        return {key: len(sockets) for key, sockets in found.items()}

    def _publish(self, group: Group) -> None:
        self.crew.tell(News(news_of(group)))

    def _hear(self, member: Member, message: object) -> None:
        match message:
            case Suspect(group, server):
                place = self.topology.groups.get(group)
                for each in place.servers if place is not None else ():
                    if each.name == server:
                        self.monitor.suspect(each)
            case _:
                log.error("a message that nobody knows", message=type(message).__name__)

    async def _asked(self, member: Member, message: object) -> object:
        match message:
            case Look(group):
                await self.monitor.look(self.topology.groups[group])
                return None
            case Kill(connection_id, query_only, user):
                return await self.kill(connection_id, query_only, user)
            case TablesChanged():
                self._ddl += 1
                await self._look_at_tables([each for each in self.crew.serving if each is not member])
                return None
        raise OperationFailed(f"a question that nobody knows: {type(message).__name__}")

    async def _look_at_tables(self, members: Iterable[Member]) -> None:
        """DDL has been run elsewhere. One that cannot look now does so every few seconds anyway."""
        asked = (each.channel.ask(TablesChanged(), _LOOKING_AT_TABLES) for each in members)
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException):
                log.warning("a worker does not know yet what DDL has changed", reason=str(answer))

    # -- for operators -----------------------------------------------------------------------------------------

    async def kill(self, connection_id: int, query_only: bool, user: str | None = None) -> Killed:
        """As ``Gateway.kill``, of whichever worker the session is."""
        owner = Numbering(0, self._count + 1).owner(connection_id)
        for member in self.crew.serving:
            if member.number == owner:
                with contextlib.suppress(OperationFailed):  # it has ended, and the session with it
                    found = await member.channel.ask(Kill(connection_id, query_only, user))
                    assert isinstance(found, Killed)
                    return found
        return Killed.UNKNOWN

    async def _explain(self, sql: str, user: str, schema: str | None, client: str | None) -> Explained:
        """Any worker knows; the tables of sharded schemas as it has read them. Raises OperationFailed as well."""
        asking.check(self.config, user, client)
        for member in self.crew.serving:
            found = await member.channel.ask(Explain(sql, user, schema, client), PATIENCE)
            assert isinstance(found, Explained)
            return found
        raise OperationFailed("no worker serves")

    def _not_ready(self) -> str | None:
        if self.reloads.stopping:
            return "stopping"
        if self.maintenance.on:
            return "maintenance"
        return not_ready(self.topology) if self.crew.serving else "no worker serves"

    def gauges(self) -> ProcessGauges:
        """What a scrape shows, of all processes."""
        own = ProcessGauges(
            version=version_of_router(),
            client_connections=0,
            pinned={},
            plan_cache_hits=0,
            plan_cache_misses=0,
            plan_cache_size=0,
            servers=server_gauges(self.topology),
            groups=group_gauges(self.topology),
            ready=self._not_ready() is None,
            max_connections=self.config.limits.max_connections,
            sessions={"idle": 0, "idle_in_transaction": 0, "running": 0},
            loop_lag=Histogram(),
            reload_refused=self.reloads.refused,
            workers=len(self.crew.serving),
            worker_restarts=self.crew.restarts,
        )
        return self.survey.gauges(own)

    # -- reload ------------------------------------------------------------------------------------------------

    async def reload(self) -> list[Difference]:
        """As ``Gateway.reload``."""
        return await self.reloads.read_again()

    async def _go_by(self, config: RouterConfig) -> None:
        """The workers go by it one after the other."""
        wanted = Topology.build(config)
        added = await self._open_sockets(config)
        self.config = config
        self.topology.adopt(wanted)
        await self.monitor.adopt(monitor_accounts(config))
        self.admin.adopt(config)
        for member in self.crew.members:
            await self._have_go_by(member, added)
        for key in self.sockets.divided - {key for key, _ in listener_keys(config)}:
            self.sockets.close(key)

    async def _open_sockets(self, config: RouterConfig) -> list[str]:
        """Open those that are new; raises OSError when one, or its certificate, cannot be had."""
        there, added = {key for key, _ in self.sockets}, []
        try:
            for key, listener in listener_keys(config):
                tls_context(listener)
                if key not in there:
                    await self.sockets.open_for_workers(key, listener.address, 0o777)
                    added.append(key)
        except OSError:
            for key in added:
                self.sockets.close(key)
            raise
        return added

    async def _have_go_by(self, member: Member, added: list[str]) -> None:
        if not member.serves:
            return  # it begins with what is the configuration then
        try:
            await self._tell_config(member, added)
        except (OSError, RouterError) as error:
            log.error("a worker cannot go by the configuration: another one begins", reason=str(error))
            member.kill()

    async def _tell_config(self, member: Member, added: list[str]) -> None:
        message = GoBy(
            share_of(self.config, member.number, self._count),
            tuple(map(news_of, self.topology.groups.values())),
            self._send_sockets(member, added),
        )
        member.addresses = await member.channel.ask(message, _GOING_BY)
