"""``python -m tests.bench.profile``: where our microseconds go, function by function.

The router runs under cProfile while sysbench does point selects. cProfile charges every call for being watched, so the
figures are shares, not prices: they are scaled to the CPU time per query measured without it, in the same run.
"""

from __future__ import annotations

import argparse
import pstats
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from router.sandbox import ReplicaSet, start_replica_set
from router.sandbox.process import remove_directory, scratch_directory
from tests.bench.__main__ import SERVER_OPTIONS
from tests.bench.targets import router
from tests.bench.work import Sample, Work, measure, prepare

_PACKAGE = str(Path(__file__).parents[2]) + "/"


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile one work and print the functions that take most."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__)
    parser.add_argument("--work", default="point_select", help="a work of tests.bench")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=30, help="how many functions to print")
    parser.add_argument("--keep", type=Path, help="keep the profile in this file, for pstats and others")
    options = parser.parse_args(arguments)
    work = Work(options.work, options.clients)
    directory = scratch_directory()
    output = options.keep or directory / "profile"
    try:
        with start_replica_set("mariadb", replicas=0, options=SERVER_OPTIONS) as servers:
            prepare(servers)
            plain = _run(servers, directory, (), work, options.seconds)
            watched = _run(servers, directory, ("-m", "cProfile", "-o", str(output)), work, options.seconds)
        _print(pstats.Stats(str(output)), plain, watched, options.lines)
    finally:
        remove_directory(directory)
    return 0


def _run(servers: ReplicaSet, directory: Path, launcher: tuple[str, ...], work: Work, seconds: int) -> Sample:
    # The process must end for cProfile to write its file.
    with router(servers, directory, launcher) as target:
        return measure(work, target, seconds)


def _print(stats: pstats.Stats, plain: Sample, watched: Sample, lines: int) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)
    cost, watched_cost = plain.cpu_us or 0.0, watched.cpu_us or 0.0
    console.print(
        f"{plain.qps:,.0f} queries/s and {cost:.1f} µs CPU per query; "
        f"watched {watched.qps:,.0f} queries/s and {watched_cost:.1f} µs"
    )
    rows: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = getattr(stats, "stats")  # noqa: B009
    # The event loop's own row holds the waiting; what is left is the work.
    busy = {key: row for key, row in rows.items() if not key[2].startswith("<method 'run_forever'")}
    total = sum(row[2] for row in busy.values())
    table = Table(title="Own time of functions")
    for heading in ("share", "µs of the query", "calls", "function"):
        table.add_column(heading, justify="left" if heading == "function" else "right")
    for key, row in sorted(busy.items(), key=lambda item: item[1][2], reverse=True)[:lines]:
        share = row[2] / total
        table.add_row(f"{share:.1%}", f"{share * cost:.2f}", f"{row[1]:,}", _place(key))
    console.print(table)


def _place(key: tuple[str, int, str]) -> str:
    file, line, name = key
    return name if file == "~" else f"{file.removeprefix(_PACKAGE)}:{line} {name}"


if __name__ == "__main__":
    sys.exit(main())
