"""``router top`` and ``router status``: a running router at a glance, in a terminal.

A ``Sample`` is what the HTTP API tells at one moment; what happens in a second comes from the difference of two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

# What a sample is made of.
TABLES = ("version", "stats", "servers", "metrics", "digests", "sessions")
# Statements and sessions that are shown at most.
SHOWN = 12
_QUANTILES = (0.5, 0.95, 0.99)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))

Rows = list[dict[str, Any]]
Digest = tuple[str, str, str, str]
"""Its id, the user, the database and the route."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was told at ``when`` (seconds of some clock): the rows of tables, by their columns."""

    when: float
    version: Mapping[str, Any]
    stats: Mapping[str, float]
    servers: Rows
    metrics: Rows
    digests: Rows
    sessions: Rows
    not_ready: str | None = None

    @classmethod
    def take(cls, answers: Mapping[str, Mapping[str, Any]], when: float, not_ready: str | None = None) -> Sample:
        """``answers``: columns and rows of ``TABLES``; ``not_ready`` is what ``/readyz`` says against it."""
        tables = {name: rows_of(answers[name]) for name in TABLES}
        stats = {row["name"]: row["value"] for row in tables.pop("stats")}
        (version,) = tables.pop("version")
        return cls(when=when, version=version, stats=stats, not_ready=not_ready, **tables)

    def total(self, metric: str, **labels: str) -> float:
        """The sum of the samples of a metric that have these labels."""
        found = (row for row in self.metrics if row["name"] == metric and labels.items() <= _labels(row).items())
        return sum(float(row["value"]) for row in found)


def rows_of(answer: Mapping[str, Any]) -> Rows:
    """The rows of a table as the API gives it."""
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in row["labels"].split(",") if pair)}


class Difference:
    """What has happened between two samples; without an earlier one, since the router has started."""

    def __init__(self, before: Sample | None, after: Sample) -> None:
        self._before = before
        self.after = after
        uptime = float(after.version["uptime_seconds"] or 1)
        self.seconds = uptime if before is None else max(after.when - before.when, 1e-3)

    def rate(self, metric: str, **labels: str) -> float:
        """Per second."""
        before = 0.0 if self._before is None else self._before.total(metric, **labels)
        return max(0.0, self.after.total(metric, **labels) - before) / self.seconds

    def latencies(self) -> list[float | None]:
        """How long 50, 95 and 99 of 100 statements took, as far as the buckets tell; None: there were none."""
        buckets = self._buckets(self.after)
        if self._before is not None:
            buckets.subtract(self._buckets(self._before))
        return [_quantile(buckets, quantile) for quantile in _QUANTILES]

    def _buckets(self, sample: Sample) -> Counter[float]:
        found: Counter[float] = Counter()
        for row in sample.metrics:
            if row["name"] == "router_query_duration_seconds_bucket":
                found[float(_labels(row)["le"])] += row["value"]
        return found

    def digests(self) -> list[tuple[dict[str, Any], int, float, int]]:
        """Kinds of statements with how many there were, their time in total and errors; those that took most first."""
        before = {} if self._before is None else {_key(row): row for row in self._before.digests}
        found = []
        for row in self.after.digests:
            had = before.get(_key(row), {"count": 0, "total_seconds": 0.0, "errors": 0})
            count = row["count"] - had["count"]
            if count > 0:
                found.append((row, count, row["total_seconds"] - had["total_seconds"], row["errors"] - had["errors"]))
        return sorted(found, key=lambda each: each[2], reverse=True)


def _key(row: Mapping[str, Any]) -> Digest:
    return row["digest_id"], row["user"], row["schema"] or "", row["route"]


def _quantile(buckets: Mapping[float, float], quantile: float) -> float | None:
    """Cumulative buckets, by their bounds."""
    if not buckets or max(buckets.values()) <= 0:
        return None
    wanted = quantile * max(buckets.values())
    return next(bound for bound, count in sorted(buckets.items()) if count >= wanted)


# -- how it looks ------------------------------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """Short: ``250 µs``, ``1.5 ms``, ``3 s``, ``2 min``."""
    if seconds is None:
        return ""
    if seconds == float("inf"):
        return "∞"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else f"{seconds * 1_000_000:.0f} µs"


def headline(difference: Difference) -> Text:
    """One line: whether it is ready, how many clients, how many statements a second, how long they take."""
    sample, text = difference.after, Text()
    if sample.not_ready is None:
        text.append("ready", "bold green")
    else:
        text.append(f"not ready: {sample.not_ready}", "bold red")
    text.append(f"  up {duration(float(sample.version['uptime_seconds']))}  router {sample.version['version']}", "dim")
    if (workers := sample.total("router_workers")) > 1:
        text.append(f"  {workers:.0f} workers", "dim")
    text.append(f"\n{sample.stats['client_connections']:.0f} clients  ")
    text.append(f"{difference.rate('router_queries_total'):,.0f} statements/s", "bold")
    p50, p95, p99 = map(duration, difference.latencies())
    text.append(f"  p50 ≤ {p50 or '–'}  p95 ≤ {p95 or '–'}  p99 ≤ {p99 or '–'}  ")
    errors = difference.rate("router_errors_total")
    text.append(f"{errors:,.1f} errors/s", "red" if errors else "")
    return text


def servers(difference: Difference) -> Table:
    """The servers, with what they do."""
    table = _table("server", "role", "state", ">lag", ">statements/s", ">in use", ">idle", ">waiting")
    names = [f"{row['group_name']}/{row['server']}" for row in difference.after.servers]
    table.columns[0].min_width = max(map(len, names), default=0)
    for row in difference.after.servers:
        states = [word for word in ("draining", "fenced", "paused") if row[word]]
        state, style = (
            (", ".join(states) or "up", "yellow" if states else "green") if row["up"] else ("down", "bold red")
        )
        group, server = row["group_name"], row["server"]
        table.add_row(
            Text(f"{group}/{server}"),
            row["role"],
            Text(state, style),
            duration(_number(row["lag_seconds"])),
            f"{difference.rate('router_queries_total', group=group, backend=server):,.0f}",
            str(row["in_use"]),
            str(row["idle"]),
            Text(str(row["waiting"]), "yellow" if row["waiting"] else ""),
        )
    return table


def statements(difference: Difference, shown: int = SHOWN) -> Table:
    """The kinds of statements that took most of the time."""
    table = _table(">time", ">/s", ">average", ">errors", "user", "route", "statement")
    for row, count, seconds, errors in difference.digests()[:shown]:
        table.add_row(
            duration(seconds),
            f"{count / difference.seconds:,.1f}",
            duration(seconds / count),
            Text(str(errors), "red" if errors else "dim"),
            Text(row["user"]),
            Text(row["route"]),
            # Text as text: what is in brackets in a statement is no mark-up.
            Text(one_line(row["digest_text"]), no_wrap=True, overflow="ellipsis"),
        )
    return table


def busy(difference: Difference, shown: int = SHOWN) -> Table:
    """The sessions that do something, or hold something, the longest first."""
    table = _table(">session", "user", "from", "state", ">since", "server", "statement")
    for row in _busiest(difference.after.sessions)[:shown]:
        state = row["state"] if row["state"] != "idle" else "in transaction"
        table.add_row(
            str(row["connection_id"]),
            Text(row["user"]),
            Text(row["host"]),
            state,
            duration(row["state_seconds"]),
            Text(row["server"] or ""),
            Text(one_line(row["statement"] or ""), no_wrap=True, overflow="ellipsis"),
        )
    return table


def _busiest(sessions: Iterable[dict[str, Any]]) -> Rows:
    found = [row for row in sessions if row["state"] != "idle" or row["in_transaction"]]
    return sorted(found, key=lambda row: row["state_seconds"] or 0.0, reverse=True)


def screen(difference: Difference, height: int) -> RenderableType:
    """All of it, in so many lines."""
    left = max(2, (height - len(difference.after.servers) - 12) // 2)
    return Group(
        headline(difference),
        Text(),
        servers(difference),
        Text("\nStatements that took most of the time", "bold"),
        statements(difference, left),
        Text("\nBusy sessions", "bold"),
        busy(difference, left),
    )


def status(sample: Sample) -> dict[str, Any]:
    """For programs: as JSON."""
    return {
        "ready": sample.not_ready is None,
        "reason": sample.not_ready,
        "version": sample.version["version"],
        "uptime_seconds": sample.version["uptime_seconds"],
        "workers": int(sample.total("router_workers")),
        "clients": int(sample.stats["client_connections"]),
        "servers": [
            {name: row[name] for name in ("group_name", "server", "role", "up", "draining", "fenced", "paused")}
            | {"lag_seconds": row["lag_seconds"]}
            for row in sample.servers
        ],
    }


def one_line(text: str) -> str:
    """Without line ends, and what else a terminal would act upon."""
    return "".join(char if char.isprintable() else " " for char in text)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _table(*names: str) -> Table:
    """``>`` in front of a name: numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, header_style="dim")
    for name in names:
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    return table
