"""Everything the router counts, declared once, and its Prometheus face.

The hot path only adds to plain integers of ``Counters`` (tens of nanoseconds each); Prometheus objects are made when
somebody scrapes. Names and labels follow the Prometheus naming practices; no label takes values from users' SQL,
names or addresses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

# Seconds; a routed point select takes tenths of a millisecond, a report takes seconds.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """Durations in ``BUCKETS``; ``observe`` is a bisection and two additions."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Add one duration."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Buckets as Prometheus wants them."""
        total = 0
        buckets = []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


@dataclass(slots=True)
class Counters:
    """Plain numbers of one process."""

    connections: Counter[str] = field(default_factory=Counter)  # by result: accepted, refused, denied …
    auth_failures: Counter[str] = field(default_factory=Counter)  # by reason
    decisions: Counter[str] = field(default_factory=Counter)  # by routing reason
    rule_hits: Counter[str] = field(default_factory=Counter)  # by rule name
    mirrored: Counter[tuple[str, str]] = field(default_factory=Counter)  # (rule name, result)
    errors: Counter[tuple[str, int]] = field(default_factory=Counter)  # (origin, code)
    client_bytes_in: int = 0
    client_bytes_out: int = 0
    retries: int = 0
    waits_in_vain: int = 0
    replays: Counter[str] = field(default_factory=Counter)  # of transactions, by result: continued, failed


@dataclass(frozen=True, slots=True)
class ServerGauges:
    """What a scrape shows of one server."""

    group: str
    server: str
    role: str
    up: bool
    in_use: int
    idle: int
    opening: int
    waiting: int
    waits: int
    wait_seconds: float
    timeouts: int
    connect_errors: int
    commands: dict[str, int]
    durations: Histogram
    fenced: bool = False
    draining: bool = False
    lag: float | None = None  # seconds; None: not known
    delay: float | None = None  # seconds; None: not measured
    failures: int = 0  # connections lost
    max_connections: int = 0


@dataclass(frozen=True, slots=True)
class ProcessGauges:
    """What a scrape shows of the process at that moment."""

    version: str
    client_connections: int
    pinned: dict[str, int]
    plan_cache_hits: int
    plan_cache_misses: int
    plan_cache_size: int
    servers: tuple[ServerGauges, ...]
    # (schema, table) of the configuration → shards whose definition of it differs.
    differences: dict[tuple[str, str], int] = field(default_factory=dict)
    paused: dict[str, bool] = field(default_factory=dict)  # by group


class RouterCollector(Collector):
    """Turns ``Counters`` and gauges into metric families at scrape time."""

    def __init__(self, counters: Counters, gauges: Callable[[], ProcessGauges]) -> None:
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """All families."""
        gauges = self._gauges()
        yield InfoMetricFamily("router_build", "Version of the router.", {"version": gauges.version})
        yield from self._clients(gauges)
        yield from self._queries()
        yield from _cache(gauges)
        yield _differences(gauges)
        yield _paused(gauges)
        yield from _servers(gauges.servers)

    def _clients(self, gauges: ProcessGauges) -> Iterator[Metric]:
        counters = self._counters
        yield GaugeMetricFamily("router_client_connections", "Clients connected now.", gauges.client_connections)
        yield _counter("router_client_connections", "Client connections by result.", "result", counters.connections)
        yield _counter("router_auth_failures", "Refused logins by reason.", "reason", counters.auth_failures)
        pinned = GaugeMetricFamily("router_sessions_pinned", "Sessions that keep a connection.", labels=["reason"])
        for reason, count in sorted(gauges.pinned.items()):
            pinned.add_metric([reason], count)
        yield pinned
        volume = CounterMetricFamily("router_bytes", "Bytes exchanged with clients.", labels=["side", "direction"])
        volume.add_metric(["client", "in"], counters.client_bytes_in)
        volume.add_metric(["client", "out"], counters.client_bytes_out)
        yield volume

    def _queries(self) -> Iterator[Metric]:
        counters = self._counters
        yield _counter("router_route_decisions", "Routing decisions by reason.", "reason", counters.decisions)
        yield _counter("router_rule_hits", "Statements taken by a rule.", "rule", counters.rule_hits)
        copies = CounterMetricFamily(
            "router_mirrored_statements",
            "Copies of statements that rules mirror, by result; dropped ones were not sent.",
            labels=["rule", "result"],
        )
        for key, count in sorted(counters.mirrored.items()):
            copies.add_metric(key, count)
        yield copies
        errors = CounterMetricFamily("router_errors", "Errors sent to clients.", labels=["origin", "code"])
        for (origin, code), count in sorted(counters.errors.items()):
            errors.add_metric([origin, str(code)], count)
        yield errors
        yield CounterMetricFamily("router_read_retries", "Reads repeated on another server.", counters.retries)
        text = "Transactions that were run again on another server, by result."
        yield _counter("router_transaction_replays", text, "result", counters.replays)
        text = "Reads that a replica was too far behind for, so that the primary answered."
        yield CounterMetricFamily("router_read_waits_in_vain", text, counters.waits_in_vain)


def _counter(name: str, text: str, label: str, values: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _cache(gauges: ProcessGauges) -> Iterator[Metric]:
    yield CounterMetricFamily("router_plan_cache_hits", "Statements planned from the cache.", gauges.plan_cache_hits)
    yield CounterMetricFamily("router_plan_cache_misses", "Statements planned anew.", gauges.plan_cache_misses)
    yield GaugeMetricFamily("router_plan_cache_entries", "Plans in the cache.", gauges.plan_cache_size)


def _differences(gauges: ProcessGauges) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "router_schema_differences",
        "Shards that do not have a sharded table as its first shard has it.",
        labels=["schema", "table"],
    )
    for (schema, table), count in sorted(gauges.differences.items()):
        family.add_metric([schema, table], count)
    return family


def _paused(gauges: ProcessGauges) -> GaugeMetricFamily:
    family = GaugeMetricFamily("router_group_paused", "Whether no new statement begins in the group.", labels=["group"])
    for group, paused in gauges.paused.items():
        family.add_metric([group], int(paused))
    return family


def _servers(servers: tuple[ServerGauges, ...]) -> Iterator[Metric]:
    up = GaugeMetricFamily("router_backend_up", "Whether the server answers.", labels=["group", "backend", "role"])
    connections = GaugeMetricFamily(
        "router_backend_connections", "Connections to the server.", labels=["group", "backend", "state"]
    )
    waiters = GaugeMetricFamily(
        "router_pool_waiters", "Statements waiting for a connection.", labels=["group", "backend"]
    )
    names = ["group", "backend"]
    waits = CounterMetricFamily("router_pool_waits", "Statements that had to wait for a connection.", labels=names)
    seconds = CounterMetricFamily("router_pool_wait_seconds", "Time spent waiting for connections.", labels=names)
    timeouts = CounterMetricFamily("router_pool_timeouts", "Waits that ended in an error.", labels=names)
    queries = CounterMetricFamily("router_queries", "Commands answered by servers.", labels=["command", "role", *names])
    durations = HistogramMetricFamily(
        "router_query_duration_seconds", "From a command's arrival to the end of its answer.", labels=["role", *names]
    )
    failures = CounterMetricFamily("router_backend_connect_errors", "Failed connection attempts.", labels=names)
    lags = GaugeMetricFamily(
        "router_server_replication_lag_seconds",
        "How far the replica is behind; +Inf: it applies nothing.",
        labels=["group", "server"],
    )
    delays = GaugeMetricFamily(
        "router_server_probe_seconds",
        "How long the first question of a probe takes, on average: what `reads.balance: fastest` goes by.",
        labels=["group", "server"],
    )
    for server in servers:
        key = [server.group, server.server]
        if server.delay is not None:
            delays.add_metric(key, server.delay)
        if server.lag is not None:
            lags.add_metric(key, server.lag)
        up.add_metric([*key, server.role], int(server.up))
        for state in ("in_use", "idle", "opening"):
            connections.add_metric([*key, state], getattr(server, state))
        waiters.add_metric(key, server.waiting)
        waits.add_metric(key, server.waits)
        seconds.add_metric(key, server.wait_seconds)
        timeouts.add_metric(key, server.timeouts)
        failures.add_metric(key, server.connect_errors)
        for command, count in server.commands.items():
            queries.add_metric([command, server.role, *key], count)
        durations.add_metric([server.role, *key], server.durations.cumulative(), server.durations.total)
    yield from (up, connections, waiters, waits, seconds, timeouts, failures, queries, durations, lags, delays)
    yield from _left_out(servers)


def _left_out(servers: tuple[ServerGauges, ...]) -> Iterator[GaugeMetricFamily]:
    """Servers that take nothing."""
    fenced = GaugeMetricFamily(
        "router_server_fenced",
        "Whether the server could be written but is not the primary, so that it takes nothing.",
        labels=["group", "server"],
    )
    draining = GaugeMetricFamily(
        "router_server_draining", "Whether the server takes nothing new, by request.", labels=["group", "server"]
    )
    for server in servers:
        fenced.add_metric([server.group, server.server], int(server.fenced))
        draining.add_metric([server.group, server.server], int(server.draining))
    yield from (fenced, draining)
