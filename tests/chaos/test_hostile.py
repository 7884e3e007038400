"""Hostile clients beside a well-behaved one: its answers stay right, and it is never disconnected.

What its statements take before and during each attack is printed, and what the router's memory becomes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import quantiles

import pytest

from router.sandbox import ReplicaSet, spawn, stop_process
from router.sandbox.process import remove_directory, scratch_directory
from router.sandbox.replica_set import wait_until
from tests.bench.targets import Target
from tests.bench.targets import router as router_process
from tests.chaos.hostile import CONNECTIONS, WAYS, Victim

DATABASE = "hostile"
SECONDS = 3.0
# To open thousands of connections takes a while.
LONGER = {"thousands_of_connections": CONNECTIONS / 150}


@dataclass(frozen=True, slots=True)
class Witnessed:
    """One statement of the well-behaved client."""

    at: float
    took: float
    wrong: str


def witnessed(file: Path) -> list[Witnessed]:
    """All of them so far."""
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
    return [Witnessed(float(at), float(took), wrong) for at, took, wrong in (line.split("\t") for line in lines)]


@pytest.fixture
def target(mariadb_set: ReplicaSet) -> Iterator[tuple[Target, Path]]:
    """A router as a process of its own, and a directory."""
    primary = mariadb_set.primary
    primary.execute(f"CREATE DATABASE {DATABASE}")
    primary.execute(f"CREATE TABLE {DATABASE}.witness (id INT PRIMARY KEY, n INT NOT NULL)")
    primary.execute(f"INSERT INTO {DATABASE}.witness VALUES (1, 0), (2, 0), (3, 0)")
    directory = scratch_directory()
    try:
        with router_process(mariadb_set, directory) as target:
            yield target, directory
            # The router survived all of it.
            assert target.pid is not None
            assert Path(f"/proc/{target.pid}/cmdline").read_bytes()
    finally:
        remove_directory(directory)
        primary.execute(f"DROP DATABASE {DATABASE}")


@pytest.mark.slow
def test_a_well_behaved_client_among_hostile_ones(target: tuple[Target, Path], mariadb_set: ReplicaSet) -> None:
    router, directory = target
    file = directory / "witness"
    victim = Victim(router.port, mariadb_set.app_password, DATABASE)
    command = [sys.executable, "-m", "tests.chaos.witness", str(router.port), victim.password, DATABASE, str(file)]
    witness = spawn(command)
    try:
        wait_until(lambda: len(witnessed(file)) > 10, 20, "the well-behaved client's first statements")
        spans = [("before", time.monotonic(), time.monotonic() + SECONDS, router.memory_mb())]
        time.sleep(SECONDS)
        for number, way in enumerate(WAYS):
            began = time.monotonic()
            router.forget_peak_memory()
            way(victim, Random(number), began + LONGER.get(way.__name__, SECONDS))
            name = way.__name__.replace("_", " ")
            spans.append((name, began, time.monotonic(), router.peak_memory_mb()))
        # And it goes on afterwards.
        count = len(witnessed(file))
        wait_until(lambda: len(witnessed(file)) > count + 10, 20, "statements after it all")
    finally:
        stop_process(witness)
    seen = witnessed(file)
    for name, began, ended, memory in spans:
        took = sorted(each.took * 1000 for each in seen if began <= each.at <= ended)
        assert took, f"no statement during {name}"
        p50, p95 = quantiles([*took, took[-1]], n=100)[49::45]
        shown = f"{len(took):6} statements, p50 {p50:7.2f} ms, p95 {p95:7.2f} ms, max {took[-1]:8.2f} ms"
        sys.stdout.write(f"{name:26} {shown}, router up to {memory:.0f} MiB\n")
    sys.stdout.write(f"({victim.most} connections at once)\n")
    assert [each for each in seen if each.wrong] == []
