"""Medians, ratios, a table for people and ``bench.json`` for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.bench.work import ROWS, WORKS, Sample, Work

TARGETS = ("direct", "haproxy", "mysqlrouter", "router")


@dataclass(frozen=True, slots=True)
class Summary:
    """The medians of several samples; memory is the first and the highest seen."""

    qps: float
    p95_ms: float
    cpu_us: float | None
    memory_mb: float
    peak_mb: float
    rounds: int


Summaries = Mapping[tuple[Work, str], Summary]


def summarize(samples: Sequence[Sample]) -> Summary:
    """Reduce the rounds of one work and target to one line."""
    cpu = [sample.cpu_us for sample in samples if sample.cpu_us is not None]
    return Summary(
        qps=median(sample.qps for sample in samples),
        p95_ms=median(sample.p95_ms for sample in samples),
        cpu_us=median(cpu) if cpu else None,
        memory_mb=samples[0].memory_mb,
        peak_mb=max(sample.peak_mb for sample in samples),
        rounds=len(samples),
    )


def as_json(summaries: Summaries) -> list[dict[str, object]]:
    """The records of ``bench.json``; ``cpu_us_per_query`` is null without a proxy."""
    return [
        {
            "work": work.name,
            "clients": work.clients,
            "target": target,
            "qps": round(summary.qps, 2),
            "p95_ms": round(summary.p95_ms, 3),
            "cpu_us_per_query": None if summary.cpu_us is None else round(summary.cpu_us, 2),
        }
        for (work, target), summary in summaries.items()
        if work in WORKS
    ]


def write_json(summaries: Summaries, path: Path) -> None:
    """Write ``bench.json``."""
    path.write_text(json.dumps(as_json(summaries), indent=1) + "\n", encoding="ascii")


def print_tables(console: Console, summaries: Summaries, works: Sequence[Work]) -> None:
    """Throughput with its ratios, latency and CPU time, then what one client, large results and sharding say."""
    console.print(_throughput(summaries, works))
    console.print(_latency_and_cpu(summaries, works))
    for line in (*_added_latency(summaries), *_sharding(summaries), *_large_results(summaries)):
        console.print(line)


def _throughput(summaries: Summaries, works: Sequence[Work]) -> Table:
    table = Table(title="Queries per second (medians)")
    table.add_column("work")
    table.add_column("clients", justify="right")
    for target in TARGETS:
        table.add_column(target, justify="right")
    for peer in ("mysqlrouter", "haproxy", "direct"):
        table.add_column(f"router / {peer}", justify="right", style="bold")
    for work in works:
        qps = {target: summaries[work, target].qps for target in TARGETS if (work, target) in summaries}
        ratios = [_ratio(qps.get("router"), qps.get(peer)) for peer in ("mysqlrouter", "haproxy", "direct")]
        table.add_row(work.name, str(work.clients), *(_figure(qps.get(target)) for target in TARGETS), *ratios)
    return table


def _latency_and_cpu(summaries: Summaries, works: Sequence[Work]) -> Table:
    table = Table(title="95th percentile in ms, and CPU of the proxy in µs per query")
    table.add_column("work")
    table.add_column("clients", justify="right")
    for target in TARGETS:
        table.add_column(f"{target} p95", justify="right")
    for target in TARGETS[1:]:
        table.add_column(f"{target} cpu", justify="right")
    for work in works:
        found = {target: summaries[work, target] for target in TARGETS if (work, target) in summaries}
        p95 = [_figure(found[target].p95_ms if target in found else None) for target in TARGETS]
        cpu = [_figure(found[target].cpu_us if target in found else None) for target in TARGETS[1:]]
        table.add_row(work.name, str(work.clients), *p95, *cpu)
    return table


def _added_latency(summaries: Summaries) -> list[str]:
    """What a proxy adds to one query of one client."""
    alone = Work("point_select", 1)
    qps = {target: summaries[alone, target].qps for target in TARGETS if (alone, target) in summaries}
    if "direct" not in qps:
        return []
    added = {target: 1e6 / rate - 1e6 / qps["direct"] for target, rate in qps.items() if target != "direct"}
    text = ", ".join(f"{target} {microseconds:.0f} µs" for target, microseconds in added.items())
    ratio = _ratio(added.get("router"), added.get("mysqlrouter"))
    return [f"Added latency, one client: {text}; router / mysqlrouter {ratio}"]


def _sharding(summaries: Summaries) -> list[str]:
    """What it costs the router to find the shard of a query."""
    sharded = Work("sharded_point_select", 16, sharded=True)
    found = [summaries.get((work, "router")) for work in (Work("point_select", 16), sharded)]
    cpu = [summary.cpu_us for summary in found if summary is not None and summary.cpu_us is not None]
    if len(cpu) < 2:
        return []
    return [
        f"CPU of router per point select: {cpu[0]:.1f} µs, of one of four shards {cpu[1]:.1f} µs; "
        f"sharded / unsharded {_ratio(cpu[1], cpu[0])}"
    ]


def _large_results(summaries: Summaries) -> list[str]:
    return [
        f"{target} during {work.name}: {summary.qps * ROWS[work.name]:,.0f} rows/s, "
        f"memory {summary.memory_mb:.1f} MiB before, at most {summary.peak_mb:.1f} MiB"
        for (work, target), summary in summaries.items()
        if work.name in ROWS and target != "direct"
    ]


def _ratio(ours: float | None, theirs: float | None) -> str:
    return f"{ours / theirs:.2f}" if ours and theirs else "–"


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 10 else f"{value:.1f}"
