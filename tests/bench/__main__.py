"""``python -m tests.bench [--quick]``: the router beside its peers, on one server, in one run.

Rounds are interleaved over the targets and their order rotates, so that what else happens on the machine hits all of
them; the figures are medians. It prints and never asserts.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from router.sandbox import ReplicaSet, SandboxError, start_replica_set
from router.sandbox.process import remove_directory, scratch_directory
from tests.bench.report import TARGETS, print_tables, summarize, write_json
from tests.bench.targets import Missing, Target, running, scheduling_group
from tests.bench.work import WORKS, Sample, Work, measure, prepare

ROOT = Path(__file__).parents[2]
SERVER_OPTIONS = (
    "--max-connections=1500",
    "--thread-cache-size=600",
    "--table-open-cache=2000",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-file-size=64M",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 when a target was missing or a run failed."""
    options = _options(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    began = time.monotonic()
    works = [work for work in WORKS if _wanted(work, options.work)]
    directory = scratch_directory()
    try:
        with start_replica_set("mariadb", replicas=0, options=SERVER_OPTIONS) as servers:
            prepare(servers)
            with running(servers, directory) as (started, missing):
                targets = [target for target in started if not options.target or target.name in options.target]
                _print_conditions(console, servers, targets, missing)
                samples, failures = _rounds(console, works, targets, options.rounds, options.seconds)
    except SandboxError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    finally:
        remove_directory(directory)
    summaries = {key: summarize(found) for key, found in samples.items()}
    print_tables(console, summaries, works)
    for failure in failures:
        console.print(f"[red]{failure}[/red]", highlight=False)
    write_json(summaries, options.output)
    console.print(f"{options.rounds} rounds of {options.seconds} s; wrote {options.output}; ", end="")
    console.print(f"took {time.monotonic() - began:.0f} s")
    return 1 if failures or missing else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: under two minutes, noisy")
    parser.add_argument("--rounds", type=int, help="rounds per work and target (3; with --quick 1)")
    parser.add_argument("--seconds", type=int, help="length of one run (5; with --quick 2)")
    parser.add_argument("--work", action="append", help="only this work, such as read_only or point_select@16")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this target")
    parser.add_argument("--output", type=Path, default=ROOT / "bench.json", help="where the figures go")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (2 if options.quick else 5)
    return options


def _wanted(work: Work, only: list[str] | None) -> bool:
    return not only or work.name in only or f"{work.name}@{work.clients}" in only


def _suits(work: Work, target: Target) -> bool:
    if target.connections is None:
        return not work.sharded
    return (target.connections, target.sharded) == (work.connections, work.sharded)


def _print_conditions(
    console: Console, servers: ReplicaSet, targets: Sequence[Target], missing: Sequence[Missing]
) -> None:
    load = os.getloadavg()[0]
    console.print(f"MariaDB {servers.primary.value('SELECT VERSION()')}, {os.cpu_count()} CPUs, load before {load:.1f}")
    pids = [os.getpid(), servers.primary.pid, *(target.pid for target in targets if target.pid)]
    groups = {scheduling_group(pid) for pid in pids}
    if len(groups) > 1:
        console.print(f"[red]not in one scheduling group, the figures cannot be compared: {sorted(groups)}[/red]")
    else:
        console.print(f"all processes in one scheduling group ({groups.pop() or 'autogroups are off'})")
    for item in missing:
        console.print(f"[red]no {item.name}: {item.reason.splitlines()[0]}[/red]", highlight=False)


def _rounds(
    console: Console, works: Sequence[Work], targets: Sequence[Target], rounds: int, seconds: int
) -> tuple[dict[tuple[Work, str], list[Sample]], list[str]]:
    samples: dict[tuple[Work, str], list[Sample]] = defaultdict(list)
    failures: list[str] = []
    with console.status("") as status:
        for number in range(rounds):
            turn = number % max(1, len(targets))
            for work in works:
                for target in [*targets[turn:], *targets[:turn]]:
                    if not _suits(work, target):
                        continue
                    status.update(f"round {number + 1} of {rounds}: {work.name}, {work.clients} clients, {target.name}")
                    try:
                        samples[work, target.name].append(measure(work, target, seconds))
                    except (SandboxError, OSError) as error:
                        failures.append(f"{work.name}@{work.clients} {target.name}, round {number + 1}: {error}")
    # In the order of the tables, whatever the order of the runs.
    order = [(work, target.name) for work in works for target in targets]
    return {key: samples[key] for key in order if samples.get(key)}, failures


if __name__ == "__main__":
    sys.exit(main())
