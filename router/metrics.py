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


def bucket_of(seconds: float) -> int:
    """The number of the bucket that a duration belongs to."""
    return bisect_left(BUCKETS, seconds)


class Histogram:
    """Durations in ``BUCKETS``; ``observe`` is a bisection and two additions."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> int:
        """Add one duration; the number of its bucket."""
        bucket = bisect_left(BUCKETS, seconds)
        self.counts[bucket] += 1
        self.total += seconds
        return bucket

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
    reloads: Counter[str] = field(default_factory=Counter)  # of the configuration, by result: done, refused
    spans: Counter[str] = field(default_factory=Counter)  # by result: exported, failed, dropped
    scattered: int = 0  # statements asked of several shards
    scattered_parts: int = 0  # what shards were asked for them


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
    lagging: bool = False
    failures: int = 0  # connections lost
    max_connections: int = 0  # that there may be
    connects: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True, slots=True)
class GroupGauges:
    """What a scrape shows of one group."""

    group: str
    paused: bool
    readers: int
    has_primary: bool | None  # None: it is to have none


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
    groups: tuple[GroupGauges, ...] = ()
    ready: bool = True
    max_connections: int = 0
    sessions: dict[str, int] = field(default_factory=dict)  # by state
    admission_waiting: int = 0
    loop_lag: Histogram = field(default_factory=Histogram)
    reload_refused: bool = False  # the last one
    workers: int = 1  # processes that serve clients
    worker_restarts: int = 0  # of those that have ended by themselves


class RouterCollector(Collector):
    """Turns ``Counters`` and gauges into metric families at scrape time."""

    def __init__(self, counters: Counters, gauges: Callable[[], ProcessGauges]) -> None:
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """All families."""
        gauges = self._gauges()
        yield InfoMetricFamily("router_build", "Version of the router.", {"version": gauges.version})
        text = "Whether new clients can be served, as /readyz says."
        yield GaugeMetricFamily("router_ready", text, int(gauges.ready))
        yield _loop_lag(gauges)
        yield GaugeMetricFamily("router_workers", "Processes that serve clients.", gauges.workers)
        text = "Workers that were started again because they had ended by themselves."
        yield CounterMetricFamily("router_worker_restarts", text, gauges.worker_restarts)
        text = "Readings of the configuration while running, by result."
        yield _counter("router_config_reloads", text, "result", self._counters.reloads)
        text = "Whether the configuration in use is that of the file as it was read last; 0: that was refused."
        yield GaugeMetricFamily("router_config_last_reload_successful", text, int(not gauges.reload_refused))
        yield from self._clients(gauges)
        yield from self._queries()
        text = "Spans of statements for OpenTelemetry, by result; dropped ones found the queue full."
        yield _counter("router_spans", text, "result", self._counters.spans)
        yield from self._scattered(gauges)
        yield from _cache(gauges)
        yield _differences(gauges)
        yield from _groups(gauges.groups)
        yield from _servers(gauges.servers)

    def _clients(self, gauges: ProcessGauges) -> Iterator[Metric]:
        counters = self._counters
        yield GaugeMetricFamily("router_client_connections", "Clients connected now.", gauges.client_connections)
        text = "Clients there may be: limits.max_connections."
        yield GaugeMetricFamily("router_client_connections_limit", text, gauges.max_connections)
        sessions = GaugeMetricFamily("router_sessions", "Sessions by what they are doing.", labels=["state"])
        for state, count in sorted(gauges.sessions.items()):
            sessions.add_metric([state], count)
        yield sessions
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

    def _scattered(self, gauges: ProcessGauges) -> Iterator[Metric]:
        text = "Statements asked of several shards."
        yield CounterMetricFamily("router_scattered_statements", text, self._counters.scattered)
        text = "What shards were asked for statements on several of them."
        yield CounterMetricFamily("router_scattered_parts", text, self._counters.scattered_parts)
        text = "Statements on several shards that wait until there is room for all their connections."
        yield GaugeMetricFamily("router_admission_waiting", text, gauges.admission_waiting)


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


def _loop_lag(gauges: ProcessGauges) -> HistogramMetricFamily:
    return HistogramMetricFamily(
        "router_event_loop_lag_seconds",
        "How much later than it should the event loop gets to a timer, measured four times a second.",
        gauges.loop_lag.cumulative(),
        gauges.loop_lag.total,
    )


def _groups(groups: tuple[GroupGauges, ...]) -> Iterator[GaugeMetricFamily]:
    paused = GaugeMetricFamily("router_group_paused", "Whether no new statement begins in the group.", labels=["group"])
    readers = GaugeMetricFamily("router_group_readers", "Servers that take the group's reads.", labels=["group"])
    primary = GaugeMetricFamily(
        "router_group_has_primary",
        "Whether a server of the group takes writes; not there where all servers are configured as replicas.",
        labels=["group"],
    )
    for each in groups:
        paused.add_metric([each.group], int(each.paused))
        readers.add_metric([each.group], each.readers)
        if each.has_primary is not None:
            primary.add_metric([each.group], int(each.has_primary))
    yield from (paused, readers, primary)


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
    yield from _connecting(servers)
    yield from _left_out(servers)


def _connecting(servers: tuple[ServerGauges, ...]) -> Iterator[Metric]:
    """How connections to servers come to be."""
    names = ["group", "backend"]
    limits = GaugeMetricFamily(
        "router_pool_connections_limit", "Connections there may be to the server: pool.max_connections.", labels=names
    )
    connects = HistogramMetricFamily(
        "router_backend_connect_duration_seconds", "Time to connect and log in to the server.", labels=names
    )
    for server in servers:
        limits.add_metric([server.group, server.server], server.max_connections)
        connects.add_metric([server.group, server.server], server.connects.cumulative(), server.connects.total)
    yield from (limits, connects)


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
    lagging = GaugeMetricFamily(
        "router_server_lagging",
        "Whether the replica, which is up, is further behind than reads.max_lag and takes no reads while others can.",
        labels=["group", "server"],
    )
    for server in servers:
        fenced.add_metric([server.group, server.server], int(server.fenced))
        draining.add_metric([server.group, server.server], int(server.draining))
        if server.up and server.role == "replica":
            lagging.add_metric([server.group, server.server], int(server.lagging))
    yield from (fenced, draining, lagging)
