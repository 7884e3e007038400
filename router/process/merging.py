"""The numbers of several processes as those of one.

What counts up must not go down when a worker ends, or dashboards would take it for a restart and count all of it again:
``Ledger`` keeps what the ended ones had told last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

from prometheus_client.core import Metric

from router.cluster.operations import Standing
from router.metrics import BUCKETS, Counters, Histogram, ProcessGauges, ServerGauges
from router.planner.observed import Kind, Observed
from router.process.messages import Told

# Of a server's numbers: those that count up, and those that are so at the moment.
_COUNTED = ("waits", "wait_seconds", "timeouts", "connect_errors")
_HELD = ("in_use", "idle", "opening", "waiting", "max_connections")
# Of the process metrics: those of which the least is told, or the most; of all others the sum.
_LEAST = frozenset({"process_start_time_seconds"})
_MOST = frozenset({"process_max_fds", "python_info"})


def add_counters(into: Counters, other: Counters) -> None:
    """Add all numbers of ``other``."""
    for each in fields(Counters):
        found = getattr(other, each.name)
        if isinstance(found, Counter):
            getattr(into, each.name).update(found)
        else:
            setattr(into, each.name, getattr(into, each.name) + found)


def add_histogram(into: Histogram, other: Histogram) -> None:
    """Add all that ``other`` has observed."""
    into.counts = [mine + theirs for mine, theirs in zip(into.counts, other.counts, strict=True)]
    into.total += other.total


def add_observed(into: Observed, other: Observed) -> None:
    """Add what was counted of the same kind of statement elsewhere."""
    if not other.count:
        return
    into.first = min(into.first, other.first) if into.count else other.first
    into.least = min(into.least, other.least)
    into.most, into.last = max(into.most, other.most), max(into.last, other.last)
    into.errors += other.errors
    into.rows += other.rows
    into.seconds += other.seconds
    into.buckets = [mine + theirs for mine, theirs in zip(into.buckets, other.buckets, strict=True)]
    into.example = into.example or other.example


class Ledger:
    """What all processes have counted: those that are there, and those that have ended."""

    def __init__(self) -> None:
        self._counters = Counters()
        self._servers: dict[tuple[str, str], ServerGauges] = {}
        self._lag = Histogram()
        self._cache = [0, 0]
        self._digests: dict[Kind, Observed] = {}
        self._processes: list[Metric] = []

    def close(self, told: Told) -> None:
        """A worker has ended that told this last."""
        add_counters(self._counters, told.counters)
        for server in told.gauges.servers:
            _count(self._servers, server)
        add_histogram(self._lag, told.gauges.loop_lag)
        self._cache[0] += told.gauges.plan_cache_hits
        self._cache[1] += told.gauges.plan_cache_misses
        self._processes = [
            each for each in processes([self._processes, told.process]) if each.type in ("counter", "histogram")
        ]
        for observed in told.digests:
            self._digests.setdefault(observed.kind, Observed(observed.kind, len(BUCKETS) + 1))
            add_observed(self._digests[observed.kind], observed)

    def counters(self, told: Iterable[Told], own: Counters) -> Counters:
        """All together; ``own`` are the supervisor's."""
        total = Counters()
        for each in (self._counters, own, *(each.counters for each in told)):
            add_counters(total, each)
        return total

    def gauges(self, told: Sequence[Told], own: ProcessGauges) -> ProcessGauges:
        """All together. ``own`` are the supervisor's: what it alone knows, such as who is up."""
        servers = deepcopy(self._servers)
        held: dict[tuple[str, str], Counter[str]] = {}
        lag, cache, pinned, sessions = deepcopy(self._lag), list(self._cache), Counter[str](), Counter[str]()
        for each in told:
            gauges = each.gauges
            for server in gauges.servers:
                _count(servers, server)
                numbers = held.setdefault((server.group, server.server), Counter())
                numbers.update({name: getattr(server, name) for name in _HELD})
            add_histogram(lag, gauges.loop_lag)
            cache[0] += gauges.plan_cache_hits
            cache[1] += gauges.plan_cache_misses
            pinned.update(gauges.pinned)
            sessions.update(gauges.sessions)
        add_histogram(lag, own.loop_lag)
        return replace(
            own,
            client_connections=sum(each.gauges.client_connections for each in told),
            pinned=dict(pinned),
            sessions=dict(sessions) or own.sessions,
            plan_cache_hits=cache[0],
            plan_cache_misses=cache[1],
            plan_cache_size=sum(each.gauges.plan_cache_size for each in told),
            servers=tuple(_together(each, servers, held) for each in own.servers),
            differences={key: count for each in told for key, count in each.gauges.differences.items()},
            admission_waiting=sum(each.gauges.admission_waiting for each in told),
            loop_lag=lag,
        )

    def digests(self, told: Iterable[Told]) -> list[Observed]:
        """All together."""
        total = deepcopy(self._digests)
        for each in told:
            for observed in each.digests:
                add_observed(total.setdefault(observed.kind, Observed(observed.kind, len(BUCKETS) + 1)), observed)
        return list(total.values())

    def processes(self, told: Iterable[Told], own: Sequence[Metric]) -> list[Metric]:
        """What the operating system and Python tell of all processes."""
        return processes([own, self._processes, *(each.process for each in told)])


def processes(several: Iterable[Sequence[Metric]]) -> list[Metric]:
    """The metrics of several processes, sample by sample."""
    total: dict[str, Metric] = {}
    values: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
    for metrics in several:
        for metric in metrics:
            total.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type, metric.unit))
            for sample in metric.samples:
                key = (metric.name, sample.name, tuple(sample.labels.items()))
                had = values.get(key)
                values[key] = sample.value if had is None else _joined(metric.name, had, sample.value)
    for (name, sample_name, labels), value in values.items():
        total[name].add_sample(sample_name, dict(labels), value)
    return list(total.values())


def _joined(name: str, one: float, other: float) -> float:
    if name in _LEAST:
        return min(one, other)
    return max(one, other) if name in _MOST else one + other


def standings(own: Iterable[Standing], told: Iterable[Told]) -> list[Standing]:
    """How the servers are, with what all workers hold."""
    held: dict[tuple[str, str], Counter[str]] = {}
    for each in told:
        for standing in each.standing:
            numbers = held.setdefault((standing.group, standing.server), Counter())
            numbers.update(
                {name: getattr(standing, name) for name in ("in_use", "pinned", "idle", "opening", "waiting")}
            )
    return [replace(each, **_numbers(held, each.group, each.server)) for each in own]


def _numbers(held: Mapping[tuple[str, str], Counter[str]], group: str, server: str) -> dict[str, Any]:
    return dict(held.get((group, server), {}))


def _count(into: dict[tuple[str, str], ServerGauges], server: ServerGauges) -> None:
    """Add what counts up."""
    key = (server.group, server.server)
    had = into.get(key)
    if had is None:
        into[key] = deepcopy(server)
        return
    durations, connects = deepcopy(had.durations), deepcopy(had.connects)
    add_histogram(durations, server.durations)
    add_histogram(connects, server.connects)
    numbers = {name: getattr(had, name) + getattr(server, name) for name in _COUNTED}
    commands = dict(Counter(had.commands) + Counter(server.commands))
    into[key] = replace(had, durations=durations, connects=connects, commands=commands, **numbers)


def _together(
    own: ServerGauges, counted: dict[tuple[str, str], ServerGauges], held: dict[tuple[str, str], Counter[str]]
) -> ServerGauges:
    key = (own.group, own.server)
    if (found := counted.get(key)) is None:
        return own
    numbers = {name: getattr(found, name) for name in (*_COUNTED, "commands", "durations", "connects")}
    return replace(own, **numbers, **_numbers(held, own.group, own.server))
