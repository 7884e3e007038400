"""The composition root: builds everything from a configuration, starts it, stops it.

Start: probe the servers, then listen, so that the first client is greeted with the real server version. A server that
cannot be reached does not keep the router from starting. Stop (SIGTERM, SIGINT): take no new clients, fail
``/readyz``, let transactions finish up to ``limits.drain_timeout``, close. A second signal stops at once.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog
import uvloop
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from router.admin.http import AdminHttp
from router.admin.mysql import AdminMysql
from router.admin.state import Inside, Maintenance
from router.backend.connector import BackendUser
from router.cluster.checking import Login, OnlineCheck, Report
from router.cluster.describing import Descriptions
from router.cluster.gate import Gate
from router.cluster.ids import IdSource
from router.cluster.lookups import Lookups
from router.cluster.monitor import HealthMonitor
from router.cluster.operations import Held, Operations
from router.cluster.schema import SchemaWatcher
from router.cluster.topology import Group, Topology
from router.config.differences import Difference, differences
from router.config.loader import load
from router.config.models import RouterConfig
from router.config.watching import watch
from router.engine.admission import Admission
from router.engine.services import Services
from router.errors import ConfigError, Problem
from router.frontend.auth import backend_user
from router.frontend.dispatch import Dispatcher, Shared
from router.frontend.listener import Entrance, Frontend, tls_context
from router.metrics import (
    BUCKETS,
    Counters,
    GroupGauges,
    Histogram,
    ProcessGauges,
    RouterCollector,
    ServerGauges,
)
from router.planner.cache import PlanCache
from router.planner.catalog import Catalog, Definitions
from router.planner.digests import Digests
from router.planner.planner import Planner
from router.session.registry import SessionRegistry
from router.supervision import Supervisor
from router.tasks import spawn
from router.wire.constants import Command

log = structlog.get_logger(__name__)

_SWEEP_INTERVAL = 0.25
_FAILED = 1


class Gateway:
    """One router process."""

    def __init__(self, config: RouterConfig, path: Path | None = None) -> None:
        """``path``: the file that the configuration is from, and is read from again."""
        self.config = config
        self.path = path
        self._reloading = asyncio.Lock()
        self._refused = False
        self._definitions: Definitions = {}
        self.counters = Counters()
        self.topology = Topology.build(config)
        self.catalog = Catalog.build(config, generation=1)
        self.digests = Digests(
            config.limits.digests, len(BUCKETS) + 1, examples=config.logging.examples, slow=config.logging.slow_query
        )
        self.plans = PlanCache(Planner(self.catalog), self.digests)
        self.sessions: SessionRegistry[Dispatcher] = SessionRegistry()
        self.monitor = HealthMonitor(self.topology, _monitor_accounts(config))
        admission = Admission(*_room(config, self.topology))
        self.ids = IdSource(config, self.topology, _reader(config))
        services = Services(
            self.topology,
            self.counters,
            self.monitor.suspect,
            self.catalog.group_of,
            admission,
            self.ids,
            Lookups(self.topology, _reader(config)),
            self._tables_changed,
        )
        shared = Shared(
            plans=self.plans,
            services=services,
            sessions=self.sessions,
            on_lost=lambda session: self.frontend.session_lost(session),
            change_user=lambda session, payload: self.frontend.change_user(session, payload),
            descriptions=Descriptions(self.topology),
        )
        self._shared = shared
        self.schemas = SchemaWatcher(config, self.topology, _reader(config), self._defined)
        self.maintenance = Maintenance()
        self.frontend = Frontend(config, self.catalog, shared, lambda: self.maintenance.on)
        self.operations = Operations(self.topology, self.monitor.look, self._held)
        self.admin, self.admin_mysql = self._admin(config)
        self.admin_address: str | None = None
        self.addresses: list[str] = []
        self.loop_lag = Histogram()
        self._stopping = False
        self._sweeper: asyncio.Task[None] | None = None

    def _admin(self, config: RouterConfig) -> tuple[AdminHttp, AdminMysql]:
        """The interfaces for operators."""
        registry = self._registry()
        http = AdminHttp(config.admin, registry, self._not_ready, self.operations, self.reload)
        inside = Inside(
            config=lambda: self.config,
            gauges=self._gauges,
            counters=self.counters,
            operations=self.operations,
            sessions=self.frontend.glances,
            kill=self._kill,
            samples=registry.collect,
            maintenance=self.maintenance,
            digests=lambda: self.digests,
            reload=self.reload,
        )
        mysql = AdminMysql(config.admin, config.limits, inside, self.sessions.next_id, _tls(config), self.frontend.rsa)
        return http, mysql

    async def start(self) -> None:
        """Probe, then listen. Raises OSError when an address cannot be had."""
        await self.monitor.start()
        await self.schemas.start()
        await self.ids.start()
        self.addresses = await self.frontend.start()
        admin = await self.admin.start()
        self._sweeper = spawn(self._sweep(), "sweep idle clients")
        self.admin_address = await self.admin_mysql.start()
        log.info("ready", listeners=self.addresses, admin=admin, admin_mysql=self.admin_address)

    def _tables_changed(self, done: Callable[[], None]) -> None:
        """DDL has been run on shards: statements behind it must know what it did."""
        self._shared.descriptions.forget()

        async def look() -> None:
            try:
                await self.schemas.refresh()
            finally:
                done()

        spawn(look(), "look at tables")

    def _defined(self, definitions: Definitions) -> None:
        """Tables of sharded schemas have become known, or have changed: plans are made anew."""
        self._definitions = definitions
        if not self._reloading.locked():
            self._plan_anew()
            for session in self.sessions:
                session.rescope()

    def _plan_anew(self) -> None:
        self.catalog = Catalog.build(self.config, self.catalog.generation + 1, self._definitions)
        self.plans = self._shared.plans = PlanCache(Planner(self.catalog), self.digests)
        self._shared.services.group_of = self.catalog.group_of

    async def reload(self) -> list[Difference]:
        """Read the file again and go by it; what is different. No client is dropped, no statement interrupted.

        All or nothing: raises ConfigError, or OSError when an address, a certificate or the like cannot be had.
        """
        try:
            changes = await self._read_again()
        except (ConfigError, OSError):
            self.counters.reloads["refused"] += 1
            self._refused = True
            raise
        self.counters.reloads["done"] += 1
        self._refused = False
        return changes

    async def _read_again(self) -> list[Difference]:
        if self.path is None:
            raise ConfigError([Problem("-", 1, 1, "", "the configuration is not from a file")])
        async with self._reloading:
            if self._stopping:
                return []
            config = await asyncio.to_thread(load, self.path)
            wanted = Topology.build(config)
            entrances = await self.frontend.prepare(config)
            changes = differences(self.config, config)
            await self._adopt(config, wanted, entrances)
        for change in changes:
            log.info("configuration changed", change=str(change))
        log.info("configuration reloaded", config=str(self.path), changes=len(changes))
        for key in ("workers", "admin.http", "admin.mysql", "logging.format", "logging.level"):
            if any(change.path == key or change.path.startswith(f"{key}.") for change in changes):
                log.warning("this takes effect when the router is started again", key=key)
        return changes

    async def _adopt(self, config: RouterConfig, wanted: Topology, entrances: dict[str, Entrance]) -> None:
        """Nothing of this can fail; sessions go by the new configuration when all of it is done."""
        services, old, self.config = self._shared.services, self.config, config
        accounts, readers = _monitor_accounts(config), _reader(config)
        self.topology.adopt(wanted)
        services.admission.adopt(*_room(config, self.topology))
        await self.monitor.adopt(accounts)
        if (old.schemas, _reader(old)) != (config.schemas, readers):
            await self._adopt_schemas(readers)
        self.digests.configure(config.limits.digests, examples=config.logging.examples, slow=config.logging.slow_query)
        self._plan_anew()
        self.frontend.adopt(config, self.catalog, entrances)
        self.admin.adopt(config.admin)
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
        self._stopping = True
        self.frontend.stop_listening()
        patience = self.config.limits.drain_timeout if drain_timeout is None else drain_timeout
        await self._drain(patience)
        self.admin_mysql.stop()
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
        await self.admin.stop()

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

    def _not_ready(self) -> str | None:
        if self._stopping:
            return "stopping"
        if self.maintenance.on:
            return "maintenance"
        for group in self.topology.groups.values():
            if not any(server.up for server in group.servers):
                return f"no server of group {group.name!r} answers"
        return None

    def _kill(self, connection_id: int, query_only: bool, done: Callable[[], None]) -> bool:
        """KILL by an operator; False: there is no such session."""
        session = self.sessions.get(connection_id)
        if session is not None:
            session.kill(done, query_only=query_only)
        return session is not None

    def _held(self) -> Iterator[Held]:
        """What sessions keep on servers."""
        shards = any(schema.shards for schema in self.config.schemas.values())
        for each in self.sessions:
            session, executor = each.session, each.executor
            branches = executor.branches.in_order()
            if executor.connection is not None and executor.held is not None:
                branches.append((executor.connection, executor.held))
            for connection, server in branches:
                active = session.transaction or connection.busy or not executor.ready
                yield Held(server, active, shards and session.transaction and session.spans)

    def _registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(RouterCollector(self.counters, self._gauges))
        return registry

    def _gauges(self) -> ProcessGauges:
        servers = []
        for group in self.topology.groups.values():
            for server in group.servers:
                pool = server.pool
                servers.append(
                    ServerGauges(
                        group=group.name,
                        server=server.name,
                        role=group.role_of(server) or "unknown",
                        up=server.up,
                        in_use=pool.in_use,
                        idle=pool.idle,
                        opening=pool.opening,
                        waiting=pool.waiting,
                        waits=pool.waits,
                        wait_seconds=pool.wait_seconds,
                        timeouts=pool.timeouts,
                        connect_errors=pool.connect_errors,
                        commands={_command_name(code): count for code, count in enumerate(server.commands) if count},
                        durations=server.durations,
                        fenced=server.fenced,
                        draining=server.draining,
                        lag=server.lag,
                        delay=server.delay,
                        lagging=server.lagging,
                        connects=pool.connects,
                        failures=server.failures,
                        max_connections=pool.max_connections,
                    )
                )
        return ProcessGauges(
            version=_version(),
            client_connections=self.frontend.open_connections,
            pinned=self.sessions.pinned(),
            plan_cache_hits=self.plans.hits,
            plan_cache_misses=self.plans.misses,
            plan_cache_size=len(self.plans),
            servers=tuple(servers),
            differences=dict(self.schemas.differences),
            groups=tuple(_group_gauges(group) for group in self.topology.groups.values()),
            ready=self._not_ready() is None,
            max_connections=self.config.limits.max_connections,
            sessions=self._sessions_by_state(),
            admission_waiting=self._shared.services.admission.waiting,
            loop_lag=self.loop_lag,
            reload_refused=self._refused,
        )

    def _sessions_by_state(self) -> dict[str, int]:
        states = {"idle": 0, "idle_in_transaction": 0, "running": 0}
        for each in self.sessions:
            idle = "idle_in_transaction" if each.session.transaction else "idle"
            states[idle if each.client.idle else "running"] += 1
        return states


def _group_gauges(group: Group) -> GroupGauges:
    writable = any(server.configured_role != "replica" for server in group.servers)
    return GroupGauges(
        group=group.name,
        paused=group.gate.shut,
        readers=len(group.readers),
        has_primary=group.elected is not None if writable else None,
    )


def run(config_path: Path, config: RouterConfig, *, watching: bool = False) -> int:
    """Run until a signal says stop; returns the exit status. ``watching``: reload whenever the file has changed."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(config_path, config, watching=watching))


async def _reload(gateway: Gateway, supervisor: Supervisor) -> None:
    """SIGHUP: whatever is wrong with the new file, the old configuration goes on."""
    with supervisor.reloading():
        try:
            await gateway.reload()
        except ConfigError as error:
            for problem in error.problems:
                log.error("configuration refused; the old one goes on", problem=str(problem))
        except OSError as error:
            log.error("configuration refused; the old one goes on", problem=str(error))


async def _run(config_path: Path, config: RouterConfig, *, watching: bool) -> int:
    gateway = Gateway(config, config_path)
    supervisor = Supervisor()
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    loop.add_signal_handler(signal.SIGHUP, lambda: spawn(_reload(gateway, supervisor), "reload"))
    log.info("starting", config=str(config_path))
    try:
        await gateway.start()
    except OSError as error:
        log.error("cannot listen", reason=str(error))
        await gateway.stop(drain_timeout=0)
        return _FAILED
    supervisor.ready()
    watcher = (
        spawn(watch(config_path, lambda: _reload(gateway, supervisor)), "watch the configuration") if watching else None
    )
    await signals.get()
    if watcher is not None:
        watcher.cancel()
    drain_timeout = gateway.config.limits.drain_timeout
    supervisor.stopping(drain_timeout)
    log.info("stopping", drain_timeout=drain_timeout)
    stopping = spawn(gateway.stop(), "stop")
    again = spawn(signals.get(), "second signal")
    await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        log.warning("stopping now")
        stopping.cancel()
        await gateway.stop(drain_timeout=0)
    again.cancel()
    supervisor.close()
    log.info("stopped")
    return 0


def _room(config: RouterConfig, topology: Topology) -> tuple[dict[str, int], dict[str, Gate]]:
    """Group → connections to each of its servers, and the gate that new statements go through."""
    connections = {name: group.pool.max_connections for name, group in config.groups.items()}
    return connections, {name: group.gate for name, group in topology.groups.items()}


def _tls(config: RouterConfig) -> tuple[ssl.SSLContext, bool] | None:
    """For operators: as the first listener with a certificate has it, and whether it is required there."""
    for listener in config.listeners:
        if (context := tls_context(listener)) is not None and listener.tls is not None:
            return context, listener.tls.mode == "required"
    return None


def _monitor_accounts(config: RouterConfig) -> dict[str, BackendUser]:
    """Group → account for probes: its own, or the first user of the file."""
    name, user = next(iter(config.users.items()))
    fallback = backend_user(name, user)
    accounts = {}
    for group, settings in config.groups.items():
        monitor = settings.monitor
        if monitor.user is None:
            accounts[group] = fallback
        else:
            password = monitor.password.get_secret_value() if monitor.password is not None else ""
            accounts[group] = BackendUser(monitor.user, password)
    return accounts


def _reader(config: RouterConfig) -> dict[str, BackendUser]:
    """Sharded schema → account that reads its table definitions: the first user who may use all of it."""
    accounts = {}
    for schema in (name for name, each in config.schemas.items() if each.shards):
        for name, user in config.users.items():
            if user.schemas is None or schema in user.schemas:
                accounts[schema] = backend_user(name, user)
                break
    return accounts


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
        for group, account in _monitor_accounts(config).items()
    }
    return await OnlineCheck(config, monitors, _reader(config), users).run()


def _groups_of(config: RouterConfig, schemas: Iterable[str]) -> set[str]:
    """The groups that a user of these schemas comes to."""
    groups = set()
    for name in schemas:
        schema = config.schemas.get(name)
        own = None if schema is None else schema.group
        groups.add(own or next(iter(config.groups)))
        groups |= set() if schema is None else {shard.group for shard in schema.shards.values()}
    return groups


def _version() -> str:
    try:
        return version("mysql-query-router")
    except PackageNotFoundError:
        return "unknown"  # run from a checkout that is not installed


def _command_name(code: int) -> str:
    try:
        return Command(code).name.lower()
    except ValueError:
        return "unknown"
