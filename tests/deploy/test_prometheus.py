"""The rules for Prometheus: every alert fires when it should and only then, by Prometheus' own unit tests."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deploy.tools import DEPLOY, metric_names, names_in, prometheus

RULES = DEPLOY / "prometheus/rules.yml"
GROUPS: list[dict[str, Any]] = YAML(typ="safe").load(RULES.read_text(encoding="utf-8"))["groups"]
EVERY = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in EVERY if "alert" in rule}


@dataclass(frozen=True, slots=True)
class Case:
    """Series under which an alert fires after half an hour, and with which labels; series under which it does not."""

    fires: dict[str, str]
    quiet: dict[str, str]
    labels: str


def case(labels: str, *series: tuple[str, str, str]) -> Case:
    """Of (series, its values when it fires, its values when not); every series gets ``instance``."""
    named = {_with_instance(name): (bad, good) for name, bad, good in series}
    fires, quiet = ({name: values[which] for name, values in named.items()} for which in (0, 1))
    return Case(fires, quiet, f'instance="r", {labels}' if labels else 'instance="r"')


def _with_instance(series: str) -> str:
    name, _, labels = series.partition("{")
    return f'{name}{{instance="r", {labels}' if labels else f'{name}{{instance="r"}}'


# 15 s a step: 120 steps are half an hour.
ALWAYS_0, ALWAYS_1 = "0x130", "1x130"
SERVER = 'group="main", backend="a"'
NAMED = 'group="main", server="a"'
CASES = {
    "RouterDown": case('job="router"', ('up{job="router"}', ALWAYS_0, ALWAYS_1)),
    "RouterAbsent": Case({'up{job="other"}': ALWAYS_1}, {'up{job="router"}': ALWAYS_0}, 'job="router"'),
    "RouterNotReady": case("", ("router_ready", ALWAYS_0, ALWAYS_1)),
    "RouterReloadRefused": case("", ("router_config_last_reload_successful", ALWAYS_0, ALWAYS_1)),
    "RouterNoPrimary": case('group="main"', ('router_group_has_primary{group="main"}', ALWAYS_0, ALWAYS_1)),
    "RouterNoReaders": case(
        'group="main"',
        ('router_group_readers{group="main"}', ALWAYS_0, ALWAYS_0),
        ('router_group_paused{group="main"}', ALWAYS_0, "0x100 1x2 0x1 1x30"),
    ),
    "RouterBackendDown": case(SERVER, (f'router_backend_up{{{SERVER}, role="replica"}}', ALWAYS_0, "0x117 1x15")),
    "RouterServerFenced": case(NAMED, (f"router_server_fenced{{{NAMED}}}", ALWAYS_1, ALWAYS_0)),
    "RouterReplicaLag": case(
        NAMED, (f"router_server_replication_lag_seconds{{{NAMED}}}", "0x50 +Inf+0x80", "0x60 45x4 1x80")
    ),
    "RouterReplicasLeftOut": case(
        'group="main"',
        (f"router_server_lagging{{{NAMED}}}", ALWAYS_1, ALWAYS_1),
        ('router_server_lagging{group="main", server="b"}', ALWAYS_1, ALWAYS_0),
    ),
    "RouterPoolWaiting": case(SERVER, (f"router_pool_waiters{{{SERVER}}}", "3x130", "0+3x119 0x1")),
    "RouterPoolTimeouts": case(SERVER, (f"router_pool_timeouts_total{{{SERVER}}}", "0x110 1x20", "0x60 1x70")),
    "RouterConnectErrors": case(
        SERVER,
        (f"router_backend_connect_errors_total{{{SERVER}}}", "0+1x130", "0+1x130"),
        (f'router_backend_up{{{SERVER}, role="replica"}}', ALWAYS_1, "1x118 0x12"),
    ),
    "RouterErrorRate": case(
        "",
        ('router_errors_total{origin="backend", code="1062"}', "0+90x130", "0+60x130"),
        (f'router_queries_total{{{SERVER}, role="primary", command="query"}}', "0+1500x130", "0+1500x130"),
    ),
    "RouterServersLost": case("", ('router_errors_total{origin="router", code="2013"}', "0x110 0+2x20", "0x60 20x70")),
    "RouterAuthFailures": case("", ('router_auth_failures_total{reason="wrong password"}', "0x110 0+5x20", "0+1x130")),
    "RouterLatency": case(
        'group="main"',
        (f'router_query_duration_seconds_bucket{{{SERVER}, role="primary", le="1.0"}}', "0+90x130", "0+99x130"),
        (f'router_query_duration_seconds_bucket{{{SERVER}, role="primary", le="2.5"}}', "0+100x130", "0+100x130"),
        (f'router_query_duration_seconds_bucket{{{SERVER}, role="primary", le="+Inf"}}', "0+100x130", "0+100x130"),
    ),
    "RouterEventLoopLag": case(
        "",
        ('router_event_loop_lag_seconds_bucket{le="0.05"}', "0+90x130", "0+100x130"),
        ('router_event_loop_lag_seconds_bucket{le="0.1"}', "0+100x130", "0+100x130"),
        ('router_event_loop_lag_seconds_bucket{le="+Inf"}', "0+100x130", "0+100x130"),
    ),
    "RouterWorkerRestarts": case("", ("router_worker_restarts_total", "0x100 1x30", "3x130")),
    "RouterPlanCache": case(
        "",
        ("router_plan_cache_hits_total", "0+300x130", "0+3x130"),
        ("router_plan_cache_misses_total", "0+300x130", "0+3x130"),
    ),
    "RouterSchemaDifferences": case(
        'schema="shop", table="orders"',
        ('router_schema_differences{schema="shop", table="orders"}', ALWAYS_1, ALWAYS_0),
    ),
    "RouterClientsNearLimit": case(
        "", ("router_client_connections", "95x130", "90x130"), ("router_client_connections_limit", "100x130", "100x130")
    ),
    "RouterClientsRefused": case(
        'result="refused"',
        ('router_client_connections_total{result="refused"}', "0x110 1x20", "5x130"),
        ('router_client_connections_total{result="accepted"}', "0+5x130", "0+5x130"),
    ),
    "RouterOpenFiles": case(
        'job="router"',
        ('process_open_fds{job="router"}', "950x130", "800x130"),
        ('process_max_fds{job="router"}', "1000x130", "1000x130"),
    ),
    "RouterSessionsPinned": case(
        "",
        ('router_sessions_pinned{reason="user_variable"}', "15x130", "15x130"),
        ('router_sessions_pinned{reason="temporary_table"}', "5x130", "2x130"),
        ("router_client_connections", "36x130", "36x130"),
    ),
    "RouterGroupPaused": case('group="main"', ('router_group_paused{group="main"}', ALWAYS_1, "0x117 1x15")),
}


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [prometheus("promtool"), *arguments], capture_output=True, text=True, timeout=60, cwd=RULES.parent
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def unit_test(name: str, series: dict[str, str], firing: str | None) -> dict[str, Any]:
    """A test of promtool's: which alerts of this name fire after half an hour."""
    rule = ALERTS[name]
    alert = f'ALERTS{{alertname="{name}", alertstate="firing", severity="{rule["labels"]["severity"]}", {firing}}}'
    return {
        "interval": "15s",
        "name": f"{name}, {'fires' if firing else 'quiet'}",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertname="{name}", alertstate="firing"}}',
                "eval_time": "30m",
                "exp_samples": [{"labels": alert, "value": 1}] if firing else [],
            }
        ],
    }


def run_unit_tests(directory: Path, tests: list[dict[str, Any]]) -> str:
    path = directory / "tests.json"  # which is YAML
    document = {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": tests}
    path.write_text(json.dumps(document), encoding="utf-8")
    return promtool("test", "rules", str(path))


def test_prometheus_accepts_the_files() -> None:
    assert f"{len(EVERY)} rules found" in promtool("check", "rules", RULES.name)
    promtool("check", "config", "prometheus.yml")


def test_every_alert_has_its_case() -> None:
    assert set(CASES) == set(ALERTS)


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    tests = []
    for name, each in CASES.items():
        tests += [unit_test(name, each.fires, each.labels), unit_test(name, each.quiet, None)]
    assert "SUCCESS" in run_unit_tests(tmp_path, tests)


def test_what_an_alert_says(tmp_path: Path) -> None:
    each = CASES["RouterErrorRate"]
    said = {
        "summary": "6% of the answers of router r are errors",
        "description": ALERTS["RouterErrorRate"]["annotations"]["description"],
    }
    wanted = {"exp_labels": {"severity": "warning", "instance": "r"}, "exp_annotations": said}
    test = {
        **unit_test("RouterErrorRate", each.fires, each.labels),
        "alert_rule_test": [{"alertname": "RouterErrorRate", "eval_time": "30m", "exp_alerts": [wanted]}],
    }
    run_unit_tests(tmp_path, [test])


def test_the_unit_tests_can_fail(tmp_path: Path) -> None:
    each = CASES["RouterDown"]
    with pytest.raises(AssertionError, match="RouterDown"):
        run_unit_tests(tmp_path, [unit_test("RouterDown", each.quiet, each.labels)])


def test_rules_ask_for_what_there_is() -> None:
    recorded = {rule["record"] for rule in EVERY if "record" in rule}
    for rule in EVERY:
        assert names_in(rule["expr"]) <= metric_names(), rule
        assert set(re.findall(r"\brouter:[a-z0-9_:]+", rule["expr"])) <= recorded, rule


def test_alerts_are_whole() -> None:
    for name, rule in ALERTS.items():
        assert name.startswith("Router")
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert set(rule["annotations"]) == {"summary", "description"}, name


def test_the_guide_lists_every_alert() -> None:
    guide = (DEPLOY.parent / "docs/how-to/monitor.md").read_text(encoding="utf-8")
    for severity in ("critical", "warning"):
        [row] = [line for line in guide.splitlines() if line.startswith(f"| {severity}")]
        assert set(re.findall(r"`(Router\w+)`", row)) == {
            name for name, rule in ALERTS.items() if rule["labels"]["severity"] == severity
        }
