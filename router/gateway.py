"""The composition root: builds everything from a configuration, starts it, stops it.

Start: probe the servers, then listen, so that the first client is greeted with the real server version. A server that
cannot be reached does not keep the router from starting. Stop (SIGTERM, SIGINT): take no new clients, fail
``/readyz``, let transactions finish up to ``limits.drain_timeout``, close. A second signal stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from router.admin import asking
from router.admin.state import Inside, Maintenance
from router.backend.connector import BackendUser
from router.backend.listening import Sockets
from router.cluster.checking import Login, OnlineCheck, Report
from router.cluster.describing import Descriptions
from router.cluster.following import Follower
from router.cluster.ids import IdSource
from router.cluster.lookups import Lookups
from router.cluster.monitor import HealthMonitor
from router.cluster.operations import Held, Operations
from router.cluster.schema import SchemaWatcher
from router.cluster.topology import Topology
from router.config.differences import Difference
from router.config.models import RouterConfig
from router.engine.admission import Admission
from router.engine.services import Services
from router.frontend.auth import backend_user
from router.frontend.dispatch import Dispatcher, Shared
from router.frontend.listener import Entrance, Frontend
from router.log import recent
from router.metrics import (
    BUCKETS,
    Counters,
    Histogram,
    ProcessGauges,
)
from router.planner.cache import PlanCache
from router.planner.catalog import Catalog, Definitions
from router.planner.digests import Digests
from router.planner.explaining import Explained
from router.planner.planner import Planner
from router.reloading import Reloads
from router.reporting import (
    group_gauges,
    held,
    not_ready,
    registry_of,
    server_gauges,
    sessions_by_state,
    version_of_router,
)
from router.session.registry import ALL, Killed, Numbering, SessionRegistry
from router.tasks import spawn
from router.wiring import monitor_accounts, reader_accounts, recorder_of, room_of, tls_for_operators

if TYPE_CHECKING:
    from router.admin.interfaces import Interfaces
    from router.spans import Spans

log = structlog.get_logger(__name__)

_SWEEP_INTERVAL = 0.25


@dataclass(frozen=True, slots=True)
class Others:
    """What one of several workers has of the others.

    ``numbering`` gives it connection ids of its own; ``follower`` what keeps a topology as it is told. ``kill`` ends a
    session, or its statement, of a user in another worker: (connection id, user, whether only the statement).
    ``tables_changed`` has the others look at the tables again.
    """

    numbering: Numbering
    follower: Callable[[Topology], Follower]
    kill: Callable[[int, str, bool], Awaitable[Killed]]
    tables_changed: Callable[[], Awaitable[None]]


class Gateway:
    """One router process."""

    def __init__(
        self,
        config: RouterConfig,
        path: Path | None = None,
        sockets: Sockets | None = None,
        others: Others | None = None,
    ) -> None:
        """``path``: the file that the configuration is from, and is read from again.

        ``sockets`` are what it listens on; ``others``, if this is one of several workers, is its way to them.
        """
        self.config = config
        self.sockets = sockets or Sockets()
        self._others = others
        self._definitions: Definitions = {}
        self.counters = Counters()
        self.reloads = Reloads(path, self.counters, lambda: self.config, self._go_by)
        self.topology = Topology.build(config)
        self.catalog = Catalog.build(config, generation=1)
        self.digests = Digests(
            config.limits.digests, len(BUCKETS) + 1, examples=config.logging.examples, slow=config.logging.slow_query
        )
        self.plans = PlanCache(Planner(self.catalog), self.digests)
        self.sessions: SessionRegistry[Dispatcher] = SessionRegistry(ALL if others is None else others.numbering)
        self.monitor: HealthMonitor | Follower
        if others is None:
            self.monitor = HealthMonitor(self.topology, monitor_accounts(config))
        else:
            self.monitor = others.follower(self.topology)
        self.ids = IdSource(config, self.topology, reader_accounts(config))
        self._recorder = recorder_of(config, self.counters)
        self._shared = self._share(config)
        self.schemas = SchemaWatcher(config, self.topology, reader_accounts(config), self._defined)
        self.maintenance = Maintenance()
        self.frontend = Frontend(config, self.catalog, self._shared, lambda: self.maintenance.on, self.sockets)
        self.operations = Operations(self.topology, self.monitor.look, self._held)
        self.admin = self._admin(config) if others is None else None
        self.addresses: list[str] = []
        self.loop_lag = Histogram()
        self._empty = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None

    def _share(self, config: RouterConfig) -> Shared:
        """What all sessions share."""
        admission = Admission(*room_of(config, self.topology))
        services = Services(
            self.topology,
            self.counters,
            self.monitor.suspect,
            self.catalog.group_of,
            admission,
            self.ids,
            Lookups(self.topology, reader_accounts(config)),
            self._tables_changed,
        )
        return Shared(
            plans=self.plans,
            services=services,
            sessions=self.sessions,
            on_lost=lambda session: self.frontend.session_lost(session),
            change_user=lambda session, payload: self.frontend.change_user(session, payload),
            descriptions=Descriptions(self.topology),
            kill_elsewhere=None if self._others is None else self._others.kill,
            recorder=self._recorder,
        )

    def _admin(self, config: RouterConfig) -> Interfaces:
        from router.admin.interfaces import Interfaces  # a web server, which workers need not load

        registry = registry_of(self.counters, self.gauges)
        inside = Inside(
            config=lambda: self.config,
            gauges=self.gauges,
            counters=self.counters,
            operations=self.operations,
            sessions=self.frontend.glances,
            kill=self.kill,
            samples=registry.collect,
            maintenance=self.maintenance,
            digests=lambda: self.digests,
            reload=self.reloads.read_again,
            explain=self.explain,
            changes=lambda: asking.changes(self.config, self.reloads.path),
            lines=recent,
        )
        next_id, rsa = self.sessions.next_id, self.frontend.rsa
        return Interfaces(config, inside, self._not_ready, next_id, tls_for_operators, rsa, self.sockets)

    async def explain(self, sql: str, user: str, schema: str | None, client: str | None) -> Explained:
        """As EXPLAIN ROUTE. Raises NoSuchName, ValueError."""
        return asking.explain(self.config, self.catalog, sql, user, schema, client)

    async def start(self) -> None:
        """Probe, then listen. Raises OSError when an address cannot be had."""
        await self.monitor.start()
        await self.schemas.start()
        await self.ids.start()
        self.addresses = await self.frontend.start()
        self._sweeper = spawn(self._sweep(), "sweep idle clients")
        if self.admin is not None:
            await self.admin.start()
            log.info("ready", listeners=self.addresses, admin=self.admin.http, admin_mysql=self.admin.mysql)

    def _tables_changed(self, done: Callable[[], None]) -> None:
        """DDL has been run on shards: statements behind it must know what it did."""
        self._shared.descriptions.forget()

        async def look() -> None:
            try:
                await self.schemas.refresh()
                if self._others is not None:
                    await self._others.tables_changed()
            finally:
                done()

        spawn(look(), "look at tables")

    async def look_at_tables(self) -> None:
        """DDL has been run by another worker."""
        self._shared.descriptions.forget()
        await self.schemas.refresh()

    def _defined(self, definitions: Definitions) -> None:
        """Tables of sharded schemas have become known, or have changed: plans are made anew."""
        self._definitions = definitions
        if not self.reloads.busy:
            self._plan_anew()
            for session in self.sessions:
                session.rescope()

    def _plan_anew(self) -> None:
        self.catalog = Catalog.build(self.config, self.catalog.generation + 1, self._definitions)
        self.plans = self._shared.plans = PlanCache(Planner(self.catalog), self.digests)
        self._shared.services.group_of = self.catalog.group_of

    async def reload(self) -> list[Difference]:
        """Go by the file as it is now; what is different. Raises ConfigError, OSError."""
        return await self.reloads.read_again()

    async def _go_by(self, config: RouterConfig) -> None:
        wanted, entrances, recorder = Topology.build(config), await self.frontend.prepare(config), self._recorder
        if config.tracing != self.config.tracing:
            recorder = await asyncio.to_thread(recorder_of, config, self.counters)
        await self._adopt(config, wanted, entrances)
        self._record_by(recorder)

    def _record_by(self, recorder: Spans | None) -> None:
        """Recordings of statements are for this one from now on."""
        old, self._recorder = self._recorder, recorder
        if old is not recorder:
            self._shared.recorder = recorder
            for session in self.sessions:
                session.listen()
            if old is not None:
                spawn(old.stop(), "send the last spans")

    async def _adopt(self, config: RouterConfig, wanted: Topology, entrances: dict[str, Entrance]) -> None:
        """Nothing of this can fail; sessions go by the new configuration when all of it is done."""
        services, old, self.config = self._shared.services, self.config, config
        accounts, readers = monitor_accounts(config), reader_accounts(config)
        self.topology.adopt(wanted)
        services.admission.adopt(*room_of(config, self.topology))
        await self.monitor.adopt(accounts)
        if (old.schemas, reader_accounts(old)) != (config.schemas, readers):
            await self._adopt_schemas(readers)
        self.digests.configure(config.limits.digests, examples=config.logging.examples, slow=config.logging.slow_query)
        self._plan_anew()
        self.frontend.adopt(config, self.catalog, entrances)
        if self.admin is not None:
            self.admin.adopt(config)
        self._shared.descriptions.forget()
        for session in self.sessions:
            session.reloaded()

    async def _adopt_schemas(self, readers: dict[str, BackendUser]) -> None:
        services, schemas, ids = self._shared.services, self.schemas, self.ids
        self.schemas = SchemaWatcher(self.config, self.topology, readers, self._defined)
        self.ids = IdSource(self.config, self.topology, readers)
        self._definitions = {}
        await self.schemas.start()
        await self.ids.start()
        services.ids, services.keys = self.ids, Lookups(self.topology, readers)
        await schemas.stop()
        await ids.stop()

    async def stop(self, drain_timeout: float | None = None) -> None:
        """Drain and close everything."""
        self.reloads.stopping = True
        self.frontend.stop_listening()
        patience = self.config.limits.drain_timeout if drain_timeout is None else drain_timeout
        await self._drain(patience)
        if self.admin is not None:
            self.admin.stop_sql()
        for session in self.sessions:
            if session.client.idle:
                session.shut_down()
            else:
                session.client.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.operations.stop()
        await self.schemas.stop()
        await self.ids.stop()
        await self.monitor.stop()
        self._shared.services.copies.close()
        self.topology.close()
        await self._transports_gone()
        if self._recorder is not None:
            await self._recorder.stop()
        if self.admin is not None:
            await self.admin.stop()

    async def leave(self, patience: float) -> None:
        """Another process takes the clients that come from now on: serve those that are here to their ends, then stop.

        Returns when nobody is here any more, or after ``patience`` seconds: then ``stop`` ends it.
        """
        self.sockets.hand_on()
        self.frontend.leave()
        if self.admin is not None:
            await self.admin.stop()
        self._empty.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), patience)

    async def _transports_gone(self) -> None:
        """Let the loop finish what was told to close; a server that does not react is left behind."""
        for _ in range(100):
            if not self.frontend.open_connections and not any(s.pool.alive for s in self.topology.servers()):
                return
            await asyncio.sleep(0.01)

    async def _drain(self, patience: float) -> None:
        """Close clients as they become free; whoever is in a transaction or a statement may finish."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while len(self.sessions):
            for session in self.sessions:
                if session.client.idle and not session.session.transaction:
                    session.shut_down()
            if loop.time() >= deadline or not len(self.sessions):
                return
            await asyncio.sleep(0.05)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _SWEEP_INTERVAL
            await asyncio.sleep(_SWEEP_INTERVAL)
            now = loop.time()
            self.loop_lag.observe(max(0.0, now - due))
            self.frontend.sweep(now)
            if not self.frontend.open_connections:
                self._empty.set()

    def _not_ready(self) -> str | None:
        if self.reloads.stopping:
            return "stopping"
        return "maintenance" if self.maintenance.on else not_ready(self.topology)

    async def kill(self, connection_id: int, query_only: bool, user: str | None = None) -> Killed:
        """KILL by an operator, or by another session of ``user``; returns when it is done, or cannot be."""
        session = self.sessions.get(connection_id)
        if session is None:
            return Killed.UNKNOWN
        if user is not None and session.user != user:
            return Killed.DENIED
        done = asyncio.Event()
        session.kill(done.set, query_only=query_only)
        await done.wait()
        return Killed.DONE

    def _held(self) -> Iterator[Held]:
        return held(self.sessions, sharded=any(schema.shards for schema in self.config.schemas.values()))

    def gauges(self) -> ProcessGauges:
        """What a scrape shows of this process."""
        return ProcessGauges(
            version=version_of_router(),
            client_connections=self.frontend.open_connections,
            pinned=self.sessions.pinned(),
            plan_cache_hits=self.plans.hits,
            plan_cache_misses=self.plans.misses,
            plan_cache_size=len(self.plans),
            servers=server_gauges(self.topology),
            differences=dict(self.schemas.differences),
            groups=group_gauges(self.topology),
            ready=self._not_ready() is None,
            max_connections=self.config.limits.max_connections,
            sessions=sessions_by_state(self.sessions),
            admission_waiting=self._shared.services.admission.waiting,
            loop_lag=self.loop_lag,
            reload_refused=self.reloads.refused,
        )


async def look_at_servers(config: RouterConfig) -> Report:
    """What ``router check --online`` tells: whether the servers are as the configuration says."""
    users = [
        Login(
            ("users", name),
            backend_user(name, user),
            frozenset(config.groups if user.schemas is None else _groups_of(config, user.schemas)),
            frozenset(config.schemas if user.schemas is None else user.schemas),
        )
        for name, user in config.users.items()
    ]
    first = next(iter(config.users))
    monitors = {
        group: Login(
            ("users", first) if config.groups[group].monitor.user is None else ("groups", group, "monitor"),
            account,
            frozenset({group}),
            frozenset(),
        )
        for group, account in monitor_accounts(config).items()
    }
    return await OnlineCheck(config, monitors, reader_accounts(config), users).run()


def _groups_of(config: RouterConfig, schemas: Iterable[str]) -> set[str]:
    """The groups that a user of these schemas comes to."""
    groups = set()
    for name in schemas:
        schema = config.schemas.get(name)
        own = None if schema is None else schema.group
        groups.add(own or next(iter(config.groups)))
        groups |= set() if schema is None else {shard.group for shard in schema.shards.values()}
    return groups
