"""What a scrape shows: text that Prometheus reads, names that follow its practices, numbers that add up."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse

from router import metrics
from router.metrics import BUCKETS, Counters, GroupGauges, Histogram, ProcessGauges, RouterCollector, ServerGauges


def server(**changes: object) -> ServerGauges:
    durations = Histogram()
    durations.observe(0.0002)
    durations.observe(3.0)
    connects = Histogram()
    connects.observe(0.02)
    gauges = ServerGauges(
        group="main",
        server='10.0.0.1:3306 "a\\b"',
        role="primary",
        up=True,
        in_use=3,
        idle=2,
        opening=1,
        waiting=4,
        waits=17,
        wait_seconds=1.5,
        timeouts=5,
        connect_errors=6,
        commands={"query": 20, "stmt_execute": 3},
        durations=durations,
        max_connections=8,
        connects=connects,
    )
    return dataclasses.replace(gauges, **changes)  # type: ignore[arg-type]


def process(*servers: ServerGauges) -> ProcessGauges:
    lag = Histogram()
    lag.observe(0.002)
    return ProcessGauges(
        version="1.2.3",
        client_connections=42,
        pinned={"temporary_table": 2},
        plan_cache_hits=1000,
        plan_cache_misses=10,
        plan_cache_size=9,
        servers=servers,
        differences={("shop", "orders"): 2, ("shop", "regions"): 0},
        groups=(GroupGauges("main", True, 2, True), GroupGauges("other", False, 0, None)),
        ready=False,
        max_connections=10_000,
        sessions={"idle": 40, "running": 2},
        admission_waiting=5,
        loop_lag=lag,
        reload_refused=True,
    )


def counted() -> Counters:
    counters = Counters()
    counters.connections["accepted"] = 7
    counters.connections["refused"] = 1
    counters.auth_failures["wrong password"] = 3
    counters.decisions["read"] = 100
    counters.rule_hits["rule-1"] = 8
    counters.mirrored["m", "dropped"] = 9
    counters.spans["dropped"] = 6
    counters.errors["backend", 1062] = 4
    counters.client_bytes_in = 1234
    counters.client_bytes_out = 5678
    counters.retries = 2
    counters.waits_in_vain = 3
    counters.reloads["refused"] = 6
    counters.scattered = 11
    counters.scattered_parts = 23
    return counters


def scrape(counters: Counters, gauges: ProcessGauges) -> str:
    registry = CollectorRegistry()
    registry.register(RouterCollector(counters, lambda: gauges))
    return generate_latest(registry).decode()


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = {}
    for family in parse(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def value(text: str, name: str, **labels: str) -> float:
    return samples(text)[name, frozenset(labels.items())]


SECOND = server(server="db2", role="replica", up=False, fenced=True, draining=True, lag=1.5, delay=0.002, lagging=True)
THIRD = server(server="db3", role="replica", lagging=True)
FULL = scrape(counted(), process(server(), SECOND, THIRD))
BACKEND = {"group": "main", "backend": '10.0.0.1:3306 "a\\b"'}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("router_build", "info"),
        ("router_client_connections", "gauge"),
        ("router_client_connections", "counter"),
        ("router_auth_failures", "counter"),
        ("router_queries", "counter"),
        ("router_query_duration_seconds", "histogram"),
        ("router_plan_cache_hits", "counter"),
        ("router_plan_cache_misses", "counter"),
        ("router_rule_hits", "counter"),
        ("router_mirrored_statements", "counter"),
        ("router_spans", "counter"),
        ("router_route_decisions", "counter"),
        ("router_backend_up", "gauge"),
        ("router_backend_connections", "gauge"),
        ("router_pool_wait_seconds", "counter"),
        ("router_pool_waiters", "gauge"),
        ("router_pool_timeouts", "counter"),
        ("router_sessions_pinned", "gauge"),
        ("router_errors", "counter"),
        ("router_bytes", "counter"),
        ("router_schema_differences", "gauge"),
        ("router_server_replication_lag_seconds", "gauge"),
        ("router_server_fenced", "gauge"),
        ("router_server_probe_seconds", "gauge"),
        ("router_server_draining", "gauge"),
        ("router_group_paused", "gauge"),
        ("router_group_readers", "gauge"),
        ("router_group_has_primary", "gauge"),
        ("router_server_lagging", "gauge"),
        ("router_ready", "gauge"),
        ("router_event_loop_lag_seconds", "histogram"),
        ("router_client_connections_limit", "gauge"),
        ("router_sessions", "gauge"),
        ("router_config_reloads", "counter"),
        ("router_config_last_reload_successful", "gauge"),
        ("router_scattered_statements", "counter"),
        ("router_scattered_parts", "counter"),
        ("router_admission_waiting", "gauge"),
        ("router_pool_connections_limit", "gauge"),
        ("router_backend_connect_duration_seconds", "histogram"),
    ],
)
def test_families(name: str, kind: str) -> None:
    found = {(family.name, "gauge" if family.name.endswith("_info") else family.type) for family in parse(FULL)}
    if kind == "info":
        assert (f"{name}_info", "gauge") in found
    else:
        assert (name, kind) in found
    assert f"# HELP {name}" in FULL


def test_values() -> None:
    assert value(FULL, "router_build_info", version="1.2.3") == 1
    assert value(FULL, "router_client_connections") == 42
    assert value(FULL, "router_schema_differences", schema="shop", table="orders") == 2
    assert value(FULL, "router_schema_differences", schema="shop", table="regions") == 0
    assert value(FULL, "router_client_connections_total", result="accepted") == 7
    assert value(FULL, "router_auth_failures_total", reason="wrong password") == 3
    assert value(FULL, "router_route_decisions_total", reason="read") == 100
    assert value(FULL, "router_rule_hits_total", rule="rule-1") == 8
    assert value(FULL, "router_mirrored_statements_total", rule="m", result="dropped") == 9
    assert value(FULL, "router_spans_total", result="dropped") == 6
    assert value(FULL, "router_errors_total", origin="backend", code="1062") == 4
    assert value(FULL, "router_read_retries_total") == 2
    assert value(FULL, "router_read_waits_in_vain_total") == 3
    assert value(FULL, "router_sessions_pinned", reason="temporary_table") == 2
    assert value(FULL, "router_plan_cache_hits_total") == 1000
    assert value(FULL, "router_plan_cache_misses_total") == 10
    assert value(FULL, "router_plan_cache_entries") == 9
    assert value(FULL, "router_bytes_total", side="client", direction="in") == 1234


def test_values_of_the_process() -> None:
    assert value(FULL, "router_ready") == 0
    assert value(FULL, "router_client_connections_limit") == 10_000
    assert value(FULL, "router_sessions", state="idle") == 40
    assert value(FULL, "router_scattered_statements_total") == 11
    assert value(FULL, "router_scattered_parts_total") == 23
    assert value(FULL, "router_admission_waiting") == 5
    assert value(FULL, "router_config_reloads_total", result="refused") == 6
    assert value(FULL, "router_config_last_reload_successful") == 0
    assert value(FULL, "router_event_loop_lag_seconds_bucket", le="0.0025") == 1


def test_values_of_a_server() -> None:
    assert value(FULL, "router_backend_up", role="primary", **BACKEND) == 1
    assert value(FULL, "router_server_fenced", group="main", server="db2") == 1
    assert value(FULL, "router_server_draining", group="main", server="db2") == 1
    assert value(FULL, "router_group_paused", group="main") == 1
    assert value(FULL, "router_group_paused", group="other") == 0
    assert value(FULL, "router_group_readers", group="main") == 2
    assert value(FULL, "router_group_has_primary", group="main") == 1
    assert ("router_group_has_primary", frozenset({("group", "other")})) not in samples(FULL)
    assert value(FULL, "router_server_lagging", group="main", server="db3") == 1
    assert sum(name == "router_server_lagging" for name, _ in samples(FULL)) == 1
    assert value(FULL, "router_pool_connections_limit", **BACKEND) == 8
    assert value(FULL, "router_backend_connect_duration_seconds_count", **BACKEND) == 1
    assert value(FULL, "router_server_replication_lag_seconds", group="main", server="db2") == 1.5
    assert value(FULL, "router_server_probe_seconds", group="main", server="db2") == 0.002
    assert sum(name == "router_server_replication_lag_seconds" for name, _ in samples(FULL)) == 1
    assert value(FULL, "router_backend_up", role="replica", group="main", backend="db2") == 0
    for state, count in (("in_use", 3), ("idle", 2), ("opening", 1)):
        assert value(FULL, "router_backend_connections", state=state, **BACKEND) == count
    assert value(FULL, "router_pool_waiters", **BACKEND) == 4
    assert value(FULL, "router_pool_waits_total", **BACKEND) == 17
    assert value(FULL, "router_pool_wait_seconds_total", **BACKEND) == 1.5
    assert value(FULL, "router_pool_timeouts_total", **BACKEND) == 5
    assert value(FULL, "router_backend_connect_errors_total", **BACKEND) == 6
    assert value(FULL, "router_queries_total", command="query", role="primary", **BACKEND) == 20
    assert value(FULL, "router_query_duration_seconds_count", role="primary", **BACKEND) == 2
    assert value(FULL, "router_query_duration_seconds_sum", role="primary", **BACKEND) == pytest.approx(3.0002)
    assert value(FULL, "router_query_duration_seconds_bucket", le="0.00025", role="primary", **BACKEND) == 1


def test_names_follow_the_practices() -> None:
    for family in parse(FULL):
        assert family.name.startswith("router_")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name.endswith("_total")
            found = set(sample.labels) & {"user", "client", "schema", "table", "sql", "digest"}
            # These come from the configuration, not from clients.
            assert found <= ({"schema", "table"} if sample.name == "router_schema_differences" else set())


def test_a_process_without_traffic() -> None:
    text = scrape(Counters(), process())
    assert value(text, "router_client_connections") == 42
    assert "router_backend_up" in text


def test_a_scrape_shows_the_moment() -> None:
    counters = Counters()
    registry = CollectorRegistry()
    registry.register(RouterCollector(counters, process))
    counters.decisions["write"] += 1
    assert value(generate_latest(registry).decode(), "router_route_decisions_total", reason="write") == 1
    counters.decisions["write"] += 1
    assert value(generate_latest(registry).decode(), "router_route_decisions_total", reason="write") == 2


@given(st.lists(st.floats(0, 20) | st.sampled_from(BUCKETS), max_size=30))
def test_histogram(durations: list[float]) -> None:
    histogram = Histogram()
    for seconds in durations:
        histogram.observe(seconds)
    assert histogram.total == pytest.approx(sum(durations))
    buckets = histogram.cumulative()
    assert [bound for bound, _ in buckets][-1] == "+Inf"
    for bound, count in buckets:
        assert count == sum(seconds <= float(bound) for seconds in durations)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Counters)])
def test_every_counter_is_counted_somewhere(name: str) -> None:
    """A number that stays 0 for ever tells operators that nothing happens."""
    package = Path(metrics.__file__).parent
    counting = re.compile(rf"\b{name}(\[.*\])? \+= ")
    sources = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
    assert any(counting.search(source) for source in sources)
