"""sysbench through the router: prepared BEGIN and COMMIT, reads and writes by several threads, no errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import ReplicaSet
from tests import sysbench
from tests.fix_router import RunningRouter, settings_for

DATABASE = "sysbench"
ROWS = 1000


def work(router: RunningRouter, *arguments: str) -> str:
    """Run sysbench and return what it printed."""
    return sysbench.run(sysbench.command(router.port, router.password, DATABASE, *arguments, table_size=str(ROWS)), 60)


@pytest.mark.parametrize("prepared", ["auto", "disable"], ids=["prepared", "text"])
def test_read_write(
    mariadb_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter], prepared: str
) -> None:
    primary = mariadb_set.primary
    primary.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
    primary.execute(f"CREATE DATABASE {DATABASE}")
    router = start_router(settings_for(mariadb_set, tmp_path))
    work(router, "prepare")
    mariadb_set.wait_for_replicas()
    for server in mariadb_set.servers:
        assert server.execute(f"SELECT count(*) FROM {DATABASE}.sbtest1") == [(ROWS,)]
    printed = work(router, f"--db-ps-mode={prepared}", "--time=0", "--events=400", "run")
    # Deadlocks are part of this work (sysbench repeats the transaction); a lost connection is not.
    assert re.search(r"reconnects:\s+0 ", printed), printed
    transactions = re.search(r"transactions:\s+(\d+)", printed)
    assert transactions is not None
    assert int(transactions[1]) == 400
    # Each transaction deletes a row and inserts it again: whole transactions leave the number of rows as it was.
    for table in ("sbtest1", "sbtest2"):
        assert primary.execute(f"SELECT count(*) FROM {DATABASE}.{table}") == [(ROWS,)]
        assert primary.execute(f"CHECK TABLE {DATABASE}.{table}")[0][-1] == "OK"
    work(router, "cleanup")
    assert primary.execute(f"SHOW TABLES FROM {DATABASE}") == []
