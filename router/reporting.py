"""What a process tells of itself: numbers for the metrics and the admin tables, made when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from router.cluster.operations import Held
from router.cluster.topology import Group, Topology
from router.frontend.dispatch import Dispatcher
from router.metrics import Counters, GroupGauges, ProcessGauges, RouterCollector, ServerGauges
from router.wire.constants import Command


def registry_of(counters: Counters, gauges: Callable[[], ProcessGauges]) -> CollectorRegistry:
    """All metrics of a process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(RouterCollector(counters, gauges))
    return registry


def not_ready(topology: Topology) -> str | None:
    """Why these servers cannot serve; None: they can."""
    for group in topology.groups.values():
        if not any(server.up for server in group.servers):
            return f"no server of group {group.name!r} answers"
    return None


def server_gauges(topology: Topology) -> tuple[ServerGauges, ...]:
    """All servers, in the order of the configuration."""
    servers = []
    for group in topology.groups.values():
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
    return tuple(servers)


def group_gauges(topology: Topology) -> tuple[GroupGauges, ...]:
    """All groups."""
    return tuple(_group_gauges(group) for group in topology.groups.values())


def _group_gauges(group: Group) -> GroupGauges:
    writable = any(server.configured_role != "replica" for server in group.servers)
    return GroupGauges(
        group=group.name,
        paused=group.gate.shut,
        readers=len(group.readers),
        has_primary=group.elected is not None if writable else None,
    )


def sessions_by_state(sessions: Iterable[Dispatcher]) -> dict[str, int]:
    """How many there are of each."""
    states = {"idle": 0, "idle_in_transaction": 0, "running": 0}
    for each in sessions:
        idle = "idle_in_transaction" if each.session.transaction else "idle"
        states[idle if each.client.idle else "running"] += 1
    return states


def held(sessions: Iterable[Dispatcher], *, sharded: bool) -> Iterator[Held]:
    """What sessions keep on servers; ``sharded``: there are transactions over several groups."""
    for each in sessions:
        session, executor = each.session, each.executor
        branches = executor.branches.in_order()
        if executor.connection is not None and executor.held is not None:
            branches.append((executor.connection, executor.held))
        for connection, server in branches:
            active = session.transaction or connection.busy or not executor.ready
            yield Held(server, active, sharded and session.transaction and session.spans)


def version_of_router() -> str:
    """As it is installed."""
    try:
        return version("mysql-query-router")
    except PackageNotFoundError:
        return "unknown"  # run from a checkout that is not installed


def _command_name(code: int) -> str:
    try:
        return Command(code).name.lower()
    except ValueError:
        return "unknown"
