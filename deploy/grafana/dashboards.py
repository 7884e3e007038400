"""The dashboards for Grafana, described: ``make docs`` runs this and writes dashboards/*.json beside it.

A panel is a title, a unit and queries. Every query is tried on a real Prometheus by tests/deploy/test_grafana.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("dashboards")
# What queries are restricted to: the routers, and where it makes sense the groups, chosen at the top of the page.
R = 'instance=~"$instance"'
G = f'{R}, group=~"$group"'
RATE = "[$__rate_interval]"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what its series are called."""

    expression: str
    legend: str = "{{instance}}"


@dataclass(frozen=True, slots=True)
class Panel:
    """``kind``: ``timeseries``, or ``stat`` for one number. ``red``: from which value on it is bad."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    text: str = ""
    kind: str = "timeseries"
    red: float | None = None
    stacked: bool = False


def graph(title: str, unit: str, *queries: Query, text: str = "", stacked: bool = False) -> Panel:
    """Lines over time."""
    return Panel(title, unit, queries, text, stacked=stacked)


def number(title: str, unit: str, expression: str, *, red: float | None = None, text: str = "") -> Panel:
    """The present value."""
    return Panel(title, unit, (Query(expression, title),), text, "stat", red)


def quantile(share: float, metric: str, by: str, labels: str = R) -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket{{{labels}}}{RATE})))"


OVERVIEW = (
    number("Routers that answer", "none", 'sum(up{job="router"})', text="Scraped as job router."),
    number("Ready", "none", f"sum(router_ready{{{R}}})", text="Those that can serve, as /readyz says."),
    number("Clients", "none", f"sum(router_client_connections{{{R}}})"),
    number("Statements per second", "reqps", f"sum(rate(router_queries_total{{{R}}}{RATE}))"),
    number(
        "Errors",
        "percentunit",
        f"(sum(rate(router_errors_total{{{R}}}{RATE})) or vector(0)) "
        f"/ clamp_min(sum(rate(router_queries_total{{{R}}}{RATE})), 1)",
        red=0.05,
        text="Of all answers.",
    ),
    number("99 % take less than", "s", quantile(0.99, "router_query_duration_seconds", "job"), red=1.0),
    graph(
        "Statements by role",
        "reqps",
        Query(f"sum by (role) (rate(router_queries_total{{{R}}}{RATE}))", "{{role}}"),
        stacked=True,
    ),
    graph(
        "Duration",
        "s",
        Query(quantile(0.5, "router_query_duration_seconds", "job"), "half take less than"),
        Query(quantile(0.95, "router_query_duration_seconds", "job"), "95 %"),
        Query(quantile(0.99, "router_query_duration_seconds", "job"), "99 %"),
        text="From a command's arrival to the end of its answer.",
    ),
    graph(
        "Where statements go, and why",
        "reqps",
        Query(f"sum by (reason) (rate(router_route_decisions_total{{{R}}}{RATE}))", "{{reason}}"),
        text="The reasons are those of EXPLAIN ROUTE. Few reads: autocommit off, or statements not proven to be reads.",
        stacked=True,
    ),
    graph(
        "Rules",
        "reqps",
        Query(f"sum by (rule) (rate(router_rule_hits_total{{{R}}}{RATE})) or vector(0)", "{{rule}}"),
        Query(
            f"sum by (rule, result) (rate(router_mirrored_statements_total{{{R}}}{RATE})) or vector(0)",
            "{{rule}}: copies, {{result}}",
        ),
    ),
    graph(
        "Spans for OpenTelemetry",
        "ops",
        Query(f"sum by (result) (rate(router_spans_total{{{R}}}{RATE})) or vector(0)", "{{result}}"),
        text="Where `tracing` is set. Dropped: the collector is slow or down; no statement waits for it.",
    ),
    graph(
        "Clients, and the limit",
        "none",
        Query(f"router_client_connections{{{R}}}"),
        Query(f"router_client_connections_limit{{{R}}}", "limit of {{instance}}"),
    ),
    graph(
        "Bytes",
        "Bps",
        Query(f"sum by (direction) (rate(router_bytes_total{{{R}}}{RATE}))", "{{direction}}"),
        text="Exchanged with clients.",
    ),
    graph(
        "Statements with a plan in the cache",
        "percentunit",
        Query(
            f"sum by (instance) (rate(router_plan_cache_hits_total{{{R}}}{RATE})) / (sum by (instance) "
            f"(rate(router_plan_cache_hits_total{{{R}}}{RATE}) + rate(router_plan_cache_misses_total{{{R}}}{RATE})))"
        ),
    ),
    graph("Plans in the cache", "none", Query(f"router_plan_cache_entries{{{R}}}")),
    graph(
        "Event loop lag",
        "s",
        Query(quantile(0.99, "router_event_loop_lag_seconds", "instance"), "99 % on {{instance}}"),
        text="Above some 50 ms the process needs more than its core.",
    ),
    graph(
        "CPU",
        "percentunit",
        Query(f"rate(process_cpu_seconds_total{{{R}}}{RATE})"),
        text="1 is one core. A worker can use one, the supervisor of several needs little.",
    ),
    graph(
        "Workers",
        "short",
        Query(f"router_workers{{{R}}}", "serving {{instance}}"),
        Query(f"increase(router_worker_restarts_total{{{R}}}{RATE})", "started again {{instance}}"),
        text="One that is started again has lost its clients.",
    ),
    graph(
        "Configurations read",
        "none",
        Query(f"sum by (result) (router_config_reloads_total{{{R}}}) or vector(0)", "{{result}}"),
        Query(f"min(router_config_last_reload_successful{{{R}}})", "the last was good (1)"),
        text="Since the routers were started.",
    ),
    graph("Memory", "bytes", Query(f"process_resident_memory_bytes{{{R}}}")),
    graph(
        "Open files",
        "none",
        Query(f"process_open_fds{{{R}}}"),
        Query(f"process_max_fds{{{R}}}", "limit of {{instance}}"),
    ),
)

GROUPS = (
    number("Groups without a primary", "none", f"count(router_group_has_primary{{{G}}} == 0) or vector(0)", red=1),
    number("Servers that are down", "none", f"count(router_backend_up{{{G}}} == 0) or vector(0)", red=1),
    number("Fenced servers", "none", f"sum(router_server_fenced{{{G}}})", red=1, text="Writable beside the primary."),
    number("Draining servers", "none", f"sum(router_server_draining{{{G}}})", text="By `router server drain`."),
    number("Paused groups", "none", f"sum(router_group_paused{{{G}}})", red=1, text="By `router group pause`."),
    number("Waiting statements", "none", f"sum(router_pool_waiters{{{G}}})", red=1),
    graph(
        "Servers",
        "none",
        Query(f"max by (group, backend, role) (router_backend_up{{{G}}})", "{{group}}/{{backend}} ({{role}})"),
        text="1: it answers. The name in parentheses is its role now.",
    ),
    graph(
        "Servers that take reads",
        "none",
        Query(f"min by (group) (router_group_readers{{{G}}})", "{{group}}"),
    ),
    graph(
        "Replication lag",
        "s",
        Query(f"max by (group, server) (router_server_replication_lag_seconds{{{G}}})", "{{group}}/{{server}}"),
        text="Beyond reads.max_lag a replica takes no reads. An infinite lag (it applies nothing) is not drawn.",
    ),
    graph(
        "Replicas left out for their lag",
        "none",
        Query(f"max by (group, server) (router_server_lagging{{{G}}})", "{{group}}/{{server}}"),
    ),
    graph(
        "Probe",
        "s",
        Query(f"max by (group, server) (router_server_probe_seconds{{{G}}})", "{{group}}/{{server}}"),
        text="How long a server takes for a short question.",
    ),
    graph(
        "Statements by server",
        "reqps",
        Query(f"sum by (group, backend) (rate(router_queries_total{{{G}}}{RATE}))", "{{group}}/{{backend}}"),
        stacked=True,
    ),
    graph(
        "Duration by server",
        "s",
        Query(quantile(0.99, "router_query_duration_seconds", "group, backend", G), "99 % on {{group}}/{{backend}}"),
    ),
    graph(
        "Connections in use",
        "none",
        Query(f'sum by (group, backend) (router_backend_connections{{{G}, state="in_use"}})', "{{group}}/{{backend}}"),
        Query(f"sum by (group, backend) (router_pool_connections_limit{{{G}}})", "limit of {{group}}/{{backend}}"),
    ),
    graph(
        "Connections by state",
        "none",
        Query(f"sum by (state) (router_backend_connections{{{G}}})", "{{state}}"),
        stacked=True,
    ),
    graph(
        "Waits for connections",
        "reqps",
        Query(f"sum by (group, backend) (rate(router_pool_waits_total{{{G}}}{RATE}))", "{{group}}/{{backend}}"),
        Query(
            f"sum by (group, backend) (rate(router_pool_timeouts_total{{{G}}}{RATE}))",
            "in vain: {{group}}/{{backend}}",
        ),
    ),
    graph(
        "Time spent waiting, per statement",
        "s",
        Query(
            f"sum by (group, backend) (rate(router_pool_wait_seconds_total{{{G}}}{RATE})) "
            f"/ clamp_min(sum by (group, backend) (rate(router_queries_total{{{G}}}{RATE})), 1)",
            "{{group}}/{{backend}}",
        ),
    ),
    graph(
        "Connecting",
        "s",
        Query(
            f"sum by (group, backend) (router_backend_connect_duration_seconds_sum{{{G}}}) "
            f"/ clamp_min(sum by (group, backend) (router_backend_connect_duration_seconds_count{{{G}}}), 1)",
            "{{group}}/{{backend}}",
        ),
        text="Time to connect and log in, on average since the router was started.",
    ),
    graph(
        "New connections, and failures",
        "reqps",
        Query(
            f"sum by (group, backend) (rate(router_backend_connect_duration_seconds_count{{{G}}}{RATE}))",
            "{{group}}/{{backend}}",
        ),
        Query(
            f"sum by (group, backend) (rate(router_backend_connect_errors_total{{{G}}}{RATE}))",
            "failed: {{group}}/{{backend}}",
        ),
    ),
)

SHARDS = (
    number("On several shards, per second", "reqps", f"sum(rate(router_scattered_statements_total{{{R}}}{RATE}))"),
    number(
        "Shards that one of them asks",
        "none",
        f"sum(router_scattered_parts_total{{{R}}}) / clamp_min(sum(router_scattered_statements_total{{{R}}}), 1)",
        text="On average since the routers were started.",
    ),
    number("Waiting for room", "none", f"sum(router_admission_waiting{{{R}}})", red=1),
    number("Tables that differ", "none", f"count(router_schema_differences{{{R}}} > 0) or vector(0)", red=1),
    graph(
        "Statements by group",
        "reqps",
        Query(f"sum by (group) (rate(router_queries_total{{{R}}}{RATE}))", "{{group}}"),
        text="A group that gets much more than the others: a hot key, or tables that are not spread.",
    ),
    graph(
        "Statements on several shards",
        "reqps",
        Query(f"sum by (instance) (rate(router_scattered_statements_total{{{R}}}{RATE}))"),
        Query(f"sum by (instance) (rate(router_scattered_parts_total{{{R}}}{RATE}))", "what shards were asked"),
    ),
    graph(
        "Duration by group",
        "s",
        Query(quantile(0.99, "router_query_duration_seconds", "group"), "99 % of {{group}}"),
    ),
    graph(
        "Waiting until there is room on all shards",
        "none",
        Query(f"router_admission_waiting{{{R}}}"),
        text="Above 0 for long: raise pool.max_connections of the shards' groups.",
    ),
    graph(
        "Tables that differ between shards",
        "none",
        Query(f"max by (schema, table) (router_schema_differences{{{R}}})", "{{schema}}.{{table}}"),
        text="The number of shards that differ from the first. `router check --online` tells what differs.",
    ),
)

ERRORS = (
    graph(
        "Errors from servers, by number",
        "reqps",
        Query(f'sum by (code) (rate(router_errors_total{{{R}, origin="backend"}}{RATE}))', "{{code}}"),
        text="Passed on byte for byte.",
        stacked=True,
    ),
    graph(
        "Errors of the router, by number",
        "reqps",
        Query(f'sum by (code) (rate(router_errors_total{{{R}, origin="router"}}{RATE}))', "{{code}}"),
        text="1235: not done by the router; 1040: no connection became free; 2003, 2013: a server was lost.",
        stacked=True,
    ),
    graph(
        "Refused logins, by reason",
        "reqps",
        Query(f"sum by (reason) (rate(router_auth_failures_total{{{R}}}{RATE}))", "{{reason}}"),
    ),
    graph(
        "New clients, by result",
        "reqps",
        Query(f"sum by (result) (rate(router_client_connections_total{{{R}}}{RATE}))", "{{result}}"),
    ),
    graph(
        "Waits that ended in error 1040",
        "reqps",
        Query(f"sum by (group, backend) (rate(router_pool_timeouts_total{{{R}}}{RATE}))", "{{group}}/{{backend}}"),
    ),
    graph(
        "Failed connection attempts",
        "reqps",
        Query(
            f"sum by (group, backend) (rate(router_backend_connect_errors_total{{{R}}}{RATE}))", "{{group}}/{{backend}}"
        ),
    ),
    graph(
        "What clients were spared",
        "reqps",
        Query(f"sum(rate(router_read_retries_total{{{R}}}{RATE}))", "reads repeated elsewhere"),
        Query(
            f"sum by (result) (rate(router_transaction_replays_total{{{R}}}{RATE})) or vector(0)",
            "transactions run again: {{result}}",
        ),
        Query(f"sum(rate(router_read_waits_in_vain_total{{{R}}}{RATE}))", "reads that no replica was fresh enough for"),
    ),
)

# Statements by digest are not here: there is no bound to their number, so they are no metrics.
SESSIONS = (
    number("Clients", "none", f"sum(router_client_connections{{{R}}})"),
    number("Idle in a transaction", "none", f'sum(router_sessions{{{R}, state="idle_in_transaction"}})'),
    number("Pinned", "none", f"sum(router_sessions_pinned{{{R}}})", text="Sessions that keep a server connection."),
    number(
        "Clients of what may be",
        "percentunit",
        f"max(router_client_connections{{{R}}} / router_client_connections_limit{{{R}}})",
        red=0.9,
    ),
    graph(
        "Sessions by state",
        "none",
        Query(f"sum by (state) (router_sessions{{{R}}})", "{{state}}"),
        text="Those idle in a transaction hold a server connection.",
        stacked=True,
    ),
    graph(
        "Pinned sessions, by reason",
        "none",
        Query(f"sum by (reason) (router_sessions_pinned{{{R}}})", "{{reason}}"),
        text="They keep a server connection because of what they have left on it.",
        stacked=True,
    ),
    graph(
        "Statements by command",
        "reqps",
        Query(f"sum by (command) (rate(router_queries_total{{{R}}}{RATE}))", "{{command}}"),
        stacked=True,
    ),
    graph(
        "Clients per server connection in use",
        "none",
        Query(
            f"sum(router_client_connections{{{R}}}) "
            f'/ clamp_min(sum(router_backend_connections{{{R}, state="in_use"}}), 1)',
            "clients",
        ),
        text="How well connections are shared.",
    ),
)

# Name of the file → title, panels, whether it asks for groups.
DASHBOARDS = {
    "overview": ("Router: overview", OVERVIEW, False),
    "groups": ("Router: groups and lag", GROUPS, True),
    "shards": ("Router: shards", SHARDS, False),
    "errors": ("Router: errors", ERRORS, False),
    "sessions": ("Router: sessions", SESSIONS, False),
}


def dashboard(name: str) -> dict[str, Any]:
    """The JSON model of a dashboard."""
    title, panels, grouped = DASHBOARDS[name]
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
        _variable("instance", "router", "label_values(router_build_info, instance)"),
    ]
    if grouped:
        variables.append(_variable("group", "group", f"label_values(router_group_paused{{{R}}}, group)"))
    return {
        "uid": f"router-{name}",
        "title": title,
        "tags": ["mysql-query-router"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "links": [_links()],
        "panels": _placed(panels),
    }


def _links() -> dict[str, Any]:
    return {
        "type": "dashboards",
        "title": "Router",
        "tags": ["mysql-query-router"],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
    }


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _placed(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Numbers first, six in a row of 24 columns; then two graphs in a row."""
    x = y = height = 0
    placed = []
    for number_, panel in enumerate(panels, start=1):
        width, tall = (4, 4) if panel.kind == "stat" else (12, 8)
        if x + width > 24 or tall != height:
            x, y, height = 0, y + height, tall
        placed.append({"id": number_, "gridPos": {"x": x, "y": y, "w": width, "h": tall}, **_model(panel)})
        x += width
    return placed


def _model(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red is not None:
        steps.append({"color": "red", "value": panel.red})
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    options: dict[str, Any]
    if panel.kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    else:
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
        defaults["custom"] = {
            "fillOpacity": 20 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for index, query in enumerate(panel.queries)
        ],
    }


def text_of(name: str) -> str:
    """The file of a dashboard."""
    return json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
