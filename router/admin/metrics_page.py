"""The reference page of the metrics: written from the families that a scrape shows, and what to do about them.

``python -m router.admin.metrics_page`` prints it; ``make docs`` keeps it as docs/reference/metrics.md.
"""

from __future__ import annotations

import sys

from prometheus_client.core import HistogramMetricFamily, InfoMetricFamily, Metric

from router.metrics import BUCKETS, Counters, ProcessGauges, RouterCollector

LABELS: dict[str, str] = {
    "backend": "name of the server in the configuration (in `router_server_…` the label is `server`)",
    "code": "error number, as MySQL's",
    "command": "what the client asked for: `query`, `stmt_execute`, `stmt_prepare`, `init_db` …",
    "direction": "`in`: from clients, `out`: to them",
    "group": "name of the group in the configuration",
    "origin": "`backend`: a server's own error, passed on; `router`: one of the router's own",
    "reason": "of decisions: why the statement went where it went, as `EXPLAIN ROUTE` says; of pins: what the session "
    "has left on its connection; of refused logins: what was wrong",
    "result": "what became of it",
    "role": "`primary`, `replica`, or `unknown` until the server has been asked",
    "rule": "name of the rule in the configuration",
    "schema": "name of the schema in the configuration",
    "server": "name of the server in the configuration",
    "side": "`client`",
    "state": "of connections: `in_use`, `idle`, `opening`; of sessions: `running`, `idle`, `idle_in_transaction`",
    "table": "name of the table in the configuration",
    "version": "version of the router",
}

# By the family's name: what to do when it looks bad. The alerts of deploy/prometheus/rules.yml go by these.
ADVICE: dict[str, str] = {
    "router_ready": "0: `/readyz` says why: it stops, or no server of some group answers.",
    "router_config_last_reload_successful": "0: the log, or `router check`, says what is wrong; the old one goes on.",
    "router_event_loop_lag_seconds": "Above some 50 ms: the process needs more than its core. Start a second router, "
    "or find what costs (large results, sorting and grouping over shards).",
    "router_client_connections_limit": "Near it: raise `limits.max_connections` (and the limit of open files), or find "
    "applications that leak connections.",
    "router_client_connections": "`refused`: over the limit; `denied`: see `router_auth_failures_total`; `aborted`, "
    "`timeout`: clients that give up during their login.",
    "router_sessions": "Many `idle_in_transaction`: applications that do not end transactions hold server connections.",
    "router_auth_failures": "A burst is an application with an old password, or somebody who guesses; the log has the "
    "addresses.",
    "router_sessions_pinned": "Each keeps a server connection; many lead to waits. The reason says what to change in "
    "the application.",
    "router_route_decisions": "Few `read`: autocommit is off, or statements are not proven to be reads; "
    "`EXPLAIN ROUTE` tells.",
    "router_mirrored_statements": "`dropped`: the mirror's servers do not keep up.",
    "router_spans": "`failed`: the log says why the collector does not take them; `dropped`: it is too slow, or the "
    "sample too large. Nothing but the spans is lost.",
    "router_errors": '`origin="router"` with 1235: statements that the router does not do; 1040: no connection became '
    "free; 2013: a server was lost. [Errors](errors.md) lists them.",
    "router_read_retries": "Reads that hit a server which had just gone; clients saw nothing.",
    "router_transaction_replays": "`failed`: the client was told that its transaction is rolled back.",
    "router_read_waits_in_vain": "Replicas are too slow for `reads.consistency`: see the lag.",
    "router_scattered_parts": "Divided by the statements: how many shards one concerns. High: the statements lack the "
    "sharding key.",
    "router_admission_waiting": "Above 0 for long: raise `pool.max_connections` of the shards' groups.",
    "router_plan_cache_misses": "Above some percent of all: texts that differ in more than literals (comments, "
    "generated names, huge statements).",
    "router_schema_differences": "Above 0: the table is not used until `router check --online` finds no difference.",
    "router_group_paused": "1: by `router group pause`; it ends by itself.",
    "router_group_readers": "0: reads wait too.",
    "router_group_has_primary": "0: writes wait for `failover_timeout`, then fail. Is a server writable (`read_only` "
    "off)? The router promotes none.",
    "router_backend_up": "0: it does not answer probes; the log has the reason.",
    "router_pool_waiters": "Above 0 for long: raise `pool.max_connections`, or look for long transactions and pins.",
    "router_pool_timeouts": "Clients got error 1040 after `pool.queue_timeout`: as for waiters.",
    "router_query_duration_seconds": "Compare with the servers' own: the difference is waiting for connections.",
    "router_backend_connect_errors": "The log says why: address, account, TLS, or the server's own limit.",
    "router_backend_connect_duration_seconds": "Slow: the network or name resolution; often: raise `pool.min_idle`.",
    "router_server_replication_lag_seconds": "Beyond `reads.max_lag` the replica takes no reads.",
    "router_server_probe_seconds": "Much more than the network needs: the server is overloaded.",
    "router_server_fenced": "1: two servers can be written. Make this one read-only or a replica; what was written "
    "there is not on the others.",
    "router_server_draining": "1: by `router server drain`.",
    "router_server_lagging": "1: look at replication there.",
}

_HEAD = """\
# Metrics

<!-- Generated by `make docs` from router/metrics.py and router/admin/metrics_page.py; edit there. -->

`http://ADMIN/metrics` (`admin.http`, by default `127.0.0.1:8307`) shows these in the Prometheus format. Durations are
seconds, sizes bytes; counters count from the start of the process. No label takes a value from clients' SQL, names or
addresses. [How to monitor](../how-to/monitor.md) has alerts and dashboards. The process itself is described by
`process_…` and `python_…` of the Prometheus client library.
"""


def families() -> list[Metric]:
    """Every family, without samples."""
    gauges = ProcessGauges("", 0, {}, 0, 0, 0, ())
    return list(RouterCollector(Counters(), lambda: gauges).collect())


def sample_names(family: Metric) -> tuple[str, ...]:
    """What a query calls it."""
    match family.type:
        case "counter":
            return (f"{family.name}_total",)
        case "info":
            return (f"{family.name}_info",)
        case "histogram":
            return tuple(f"{family.name}{ending}" for ending in ("_bucket", "_sum", "_count"))
        case _:
            return (family.name,)


def labels_of(family: Metric) -> tuple[str, ...]:
    """The labels of its samples, without ``le``."""
    if isinstance(family, InfoMetricFamily):
        return ("version",)
    return tuple(getattr(family, "_labelnames", ()))


def page() -> str:
    """The page in Markdown."""
    found = families()
    parts = [_HEAD, "| metric | type | labels | meaning |", "|---|---|---|---|"]
    for family in sorted(found, key=lambda each: (each.name, each.type)):
        name = f"{family.name}_…" if isinstance(family, HistogramMetricFamily) else sample_names(family)[0]
        labels = ", ".join(f"`{label}`" for label in labels_of(family))
        text = family.documentation
        # A gauge and a counter may share the name; advice is for what ends in the sample's name.
        if (advice := ADVICE.get(family.name)) and not _other(family, found):
            text = f"{text} {advice}"
        parts.append(f"| `{name}` | {family.type} | {labels} | {text} |")
    buckets = ", ".join(f"{bound:g}" for bound in BUCKETS)
    parts.append(
        f"\nHistograms have the buckets {buckets} (seconds), and so `_bucket`, `_sum` and `_count`.\n\n## Labels\n"
    )
    parts.extend(f"- `{label}`: {meaning}" for label, meaning in sorted(LABELS.items()))
    return "\n".join(parts) + "\n"


def _other(family: Metric, found: list[Metric]) -> bool:
    """Whether the advice of this name is for the counter of the same name, and this is the gauge."""
    return family.type == "gauge" and any(each.name == family.name and each.type == "counter" for each in found)


if __name__ == "__main__":
    sys.stdout.write(page())
