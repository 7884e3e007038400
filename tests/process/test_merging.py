"""The numbers of several processes as those of one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from router.metrics import BUCKETS, Counters, Histogram, ProcessGauges
from router.planner.observed import Kind, Observed
from router.process.merging import Ledger, add_observed, processes, standings
from router.process.messages import Told
from tests.admin.inside import BUSY, World

KIND = Kind("SELECT ?", "app", "shop", "main replica")


def told(*, queries: int, seconds: float = 0.01, **changes: object) -> Told:
    """What a worker tells that has answered so many; each took so long."""
    world = World()
    world.counters.decisions["read"] = queries
    world.counters.client_bytes_in = 10 * queries
    gauges = world.gauges()
    durations, observed = Histogram(), Observed(KIND, len(BUCKETS) + 1)
    for number in range(queries):
        bucket = durations.observe(seconds)
        observed.add(bucket, seconds, 100.0 + number, 1, failed=False)
    first, second = gauges.servers
    servers = (
        replace(first, commands={"query": queries}, durations=durations, in_use=1, idle=2, waits=queries),
        second,
    )
    return Told(
        world.counters,
        replace(gauges, servers=servers, **changes),  # type: ignore[arg-type]
        (BUSY,),
        tuple(world.inside.operations.standing()),
        (CounterMetricFamily("process_cpu_seconds", "CPU.", 1.5),),
        (observed,),
    )


def own() -> ProcessGauges:
    """The supervisor's: it knows who is up, and has no connections."""
    gauges = World().gauges()
    return replace(
        gauges,
        client_connections=0,
        servers=tuple(
            replace(each, commands={}, waits=0, wait_seconds=0.0, timeouts=0, connect_errors=0, in_use=0)
            for each in gauges.servers
        ),
    )


def test_sums() -> None:
    ledger, two = Ledger(), [told(queries=3), told(queries=4, client_connections=5)]
    counters = ledger.counters(two, Counters(auth_failures=Counters().auth_failures))
    assert (counters.decisions["read"], counters.client_bytes_in, counters.rule_hits["stop"]) == (7, 70, 8)
    gauges = ledger.gauges(two, own())
    assert (gauges.client_connections, gauges.plan_cache_hits) == (7, 18)
    first = gauges.servers[0]
    assert (first.commands, first.waits, first.in_use, first.idle) == ({"query": 7}, 7, 2, 4)
    assert (sum(first.durations.counts), round(first.durations.total, 6)) == (7, 0.07)
    assert first.max_connections == 100, "the parts of two workers"
    # Asking again does not count again.
    assert ledger.gauges(two, own()).servers[0].commands == {"query": 7}
    assert two[0].gauges.servers[0].commands == {"query": 3}


def test_what_is_so_is_for_the_supervisor_to_say() -> None:
    down = replace(own(), servers=tuple(replace(each, up=False, fenced=True) for each in own().servers))
    gauges = Ledger().gauges([told(queries=1)], down)
    assert [(each.up, each.fenced) for each in gauges.servers] == [(False, True)] * 2


def test_what_counts_up_does_not_go_down_when_a_worker_ends() -> None:
    ledger, gone, there = Ledger(), told(queries=3, client_connections=5), told(queries=4)
    ledger.close(gone)
    assert ledger.counters([there], Counters()).decisions["read"] == 7
    gauges = ledger.gauges([there], own())
    assert (gauges.servers[0].commands, gauges.servers[0].in_use) == ({"query": 7}, 1)
    assert gauges.client_connections == 2, "its clients are gone"
    (observed,) = ledger.digests([there])
    assert observed.count == 7
    (cpu,) = ledger.processes([there], [CounterMetricFamily("process_cpu_seconds", "CPU.", 0.5)])
    assert cpu.samples[0].value == 3.5
    ledger.close(there)
    assert ledger.gauges([], own()).servers[0].commands == {"query": 7}


def test_no_worker_at_all() -> None:
    gauges = Ledger().gauges([], own())
    assert (gauges.client_connections, len(gauges.servers)) == (0, 2)
    assert Ledger().digests([]) == []


@given(st.lists(st.lists(st.floats(1e-5, 100), max_size=5), min_size=1, max_size=4))
def test_digests_are_as_if_one_had_counted_all(several: list[list[float]]) -> None:
    whole, total, now = Observed(KIND, len(BUCKETS) + 1), Observed(KIND, len(BUCKETS) + 1), 1.0
    for durations in several:
        part = Observed(KIND, len(BUCKETS) + 1)
        for seconds in durations:
            now += 1
            bucket = Histogram().observe(seconds)
            part.add(bucket, seconds, now, 2, failed=seconds > 50)
            whole.add(bucket, seconds, now, 2, failed=seconds > 50)
        add_observed(total, part)
    for name in ("count", "errors", "rows", "least", "most", "first", "last", "buckets"):
        assert getattr(total, name) == getattr(whole, name), name
    assert abs(total.seconds - whole.seconds) < 1e-6


def test_processes() -> None:
    def of(start: float, memory: float, most: float) -> list[GaugeMetricFamily]:
        return [
            GaugeMetricFamily("process_start_time_seconds", "Start.", start),
            GaugeMetricFamily("process_resident_memory_bytes", "Memory.", memory),
            GaugeMetricFamily("process_max_fds", "Files.", most),
        ]

    found = {metric.name: metric.samples[0].value for metric in processes([of(5, 10, 100), of(7, 20, 100)])}
    assert found == {
        "process_start_time_seconds": 5,
        "process_resident_memory_bytes": 30,
        "process_max_fds": 100,
    }


def test_standings() -> None:
    two = [told(queries=1), told(queries=2)]
    two[0] = replace(two[0], standing=tuple(replace(each, in_use=2, pinned=1, up=False) for each in two[0].standing))
    shown = standings(World().inside.operations.standing(), two)
    assert [(each.server, each.in_use, each.pinned, each.up) for each in shown] == [
        ("a", 2, 1, True),
        ("b", 2, 1, True),
    ]
