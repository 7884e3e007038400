"""sysbench with 16 clients while the router reloads, is taken over from, and loses a worker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from router.sandbox import ReplicaSet
from tests import sysbench
from tests.fix_router import settings_for
from tests.process.processes import PATIENCE, RouterProcess, at_fixed_addresses, repeat

DATABASE = "sysbench_processes"
CLIENTS = 16
# Deadlocks and lock waits are part of the work; sysbench repeats the transaction.
WORK = "1213,1020,1205"


class Load:
    """sysbench in the background."""

    def __init__(self, settings: dict[str, Any], *arguments: str) -> None:
        line = sysbench.command(
            int(settings["listeners"][0].rpartition(":")[2]),
            settings["users"]["app"]["password"],
            DATABASE,
            *arguments,
            mysql_ignore_errors=WORK,
            table_size="1000",
            threads=str(CLIENTS),
        )
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def printed(self) -> str:
        """All it has printed, once it has ended well."""
        try:
            text, _ = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        assert self.process.returncode == 0, text
        return text

    def count(self, printed: str, what: str) -> int:
        """A number of what was printed."""
        found = re.search(rf"{what}:\s+(\d+)", printed)
        assert found is not None, printed
        return int(found[1])


@pytest.fixture
def settings(mariadb_set: ReplicaSet, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Fixed addresses, room for everybody, and a database for sysbench."""
    settings = at_fixed_addresses(settings_for(mariadb_set, tmp_path))
    settings["groups"]["main"]["pool"] = {"max_connections": 64}
    primary = mariadb_set.primary
    primary.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
    primary.execute(f"CREATE DATABASE {DATABASE}")
    with RouterProcess(settings, tmp_path / "first.yaml") as router:
        router.said("ready")
        Load(settings, "--threads=1", "prepare").printed()
    mariadb_set.wait_for_replicas()
    yield settings
    primary.execute(f"DROP DATABASE {DATABASE}")
    mariadb_set.wait_for_replicas()


def whole(server_set: ReplicaSet) -> bool:
    """Every transaction deletes a row and inserts it again."""
    return all(
        server_set.primary.execute(f"SELECT count(*) FROM {DATABASE}.sbtest{number}") == [(1000,)] for number in (1, 2)
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_and_a_takeover_lose_nothing(
    settings: dict[str, Any], mariadb_set: ReplicaSet, tmp_path: Path, workers: int
) -> None:
    settings["workers"] = workers
    file = tmp_path / "routes.yaml"
    with RouterProcess(settings, file) as old:
        old.said("ready")
        stay = Load(settings, "--time=9", "run")
        coming, refused = repeat(lambda number: comes(settings), 4)
        for number in range(3):
            time.sleep(0.7)
            rules = [{"name": f"r{number}", "when": {"regex": "never seen"}, "reject": "no"}]
            pool = {"max_connections": 60 + number}
            groups = {"main": settings["groups"]["main"] | {"pool": pool}}
            file.write_text(json.dumps(settings | {"rules": rules, "groups": groups}))
            old.process.send_signal(signal.SIGHUP)
            old.said("configuration reloaded", number + 1)
        with RouterProcess(settings, tmp_path / "new.yaml", "--takeover") as new:
            new.said("has taken over")
            assert min(coming()) > 0
            assert refused == []
            printed = stay.printed()
            assert stay.count(printed, "reconnects") == 0, printed
            assert stay.count(printed, "transactions") > CLIENTS, printed
            assert old.ended() == 0
            with new.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            assert old.failures() + new.failures() == []
    assert whole(mariadb_set)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_its_own_only(
    settings: dict[str, Any], mariadb_set: ReplicaSet, tmp_path: Path
) -> None:
    settings["workers"] = 2
    with RouterProcess(settings, tmp_path / "routes.yaml") as router:
        router.said("ready")
        clients = [router.connect(database=DATABASE) for _ in range(CLIENTS)]
        lost = {number for number, client in enumerate(clients) if router.worker_of(client) == 1}
        turns, failed = [0] * CLIENTS, dict[int, BaseException]()

        def work(number: int) -> None:
            if number in failed:
                return
            try:
                with clients[number].cursor() as cursor:
                    cursor.execute("BEGIN")
                    cursor.execute("UPDATE sbtest1 SET k = k + 1 WHERE id = %s", (number + 1,))
                    cursor.execute("COMMIT")
                turns[number] += 1
            except pymysql.MySQLError as error:
                failed[number] = error

        before = sums(mariadb_set)
        stop, errors = repeat(work, CLIENTS)
        wait_until(lambda: min(turns) > 3)
        os.kill(router.workers[1], signal.SIGKILL)
        wait_until(lambda: set(failed) == lost)
        then = list(turns)
        wait_until(lambda: all(turns[number] > then[number] + 3 for number in range(CLIENTS) if number not in lost))
        router.said("worker serves", 3)
        stop()
        assert errors == []
        assert set(failed) == lost
        # Of what was not answered, nobody knows.
        assert sum(turns) <= sums(mariadb_set) - before <= sum(turns) + len(lost)
        for client in clients:
            client._force_close()


def comes(settings: dict[str, Any]) -> None:
    """A client that is there for one statement."""
    port = int(settings["listeners"][0].rpartition(":")[2])
    password = settings["users"]["app"]["password"]
    with (
        pymysql.connect(host="127.0.0.1", port=port, user="app", password=password) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == ((1,),)


def sums(server_set: ReplicaSet) -> int:
    return int(str(server_set.primary.value(f"SELECT SUM(k) FROM {DATABASE}.sbtest1")))


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)
