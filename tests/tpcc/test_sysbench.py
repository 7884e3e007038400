"""sysbench's read-write load on tables that are spread by their id, prepared by it too: the sums agree afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.sandbox import ReplicaSet
from tests import sysbench
from tests.fix_router import RunningRouter
from tests.tpcc.ground import on_each, routed

SCHEMA = "sysbench"
ROWS = 400
TRANSACTIONS = 100
TABLES = ("sbtest1", "sbtest2")
SHARDING = {table: {"shard_by": "id", "function": "hash"} for table in TABLES}
SUMS = "SELECT COUNT(*), SUM(k), SUM(CRC32(c)), MIN(id), MAX(id) FROM {table}"


def work(router: RunningRouter, *arguments: str) -> str:
    """Run sysbench and return what it printed."""
    line = sysbench.command(
        router.port,
        router.password,
        SCHEMA,
        *arguments,
        # A lock that is waited for in vain, because two shards are locked in different orders, is repeated as well.
        mysql_ignore_errors="1213,1205",
        auto_inc="off",
        tables=str(len(TABLES)),
        table_size=str(ROWS),
    )
    return sysbench.run(line, 25)


@pytest.mark.slow
def test_read_write(server: ReplicaSet, tmp_path: Path) -> None:
    with routed([server], tmp_path, SCHEMA, SHARDING) as router:
        work(router, "prepare")
        for table in TABLES:
            assert len(on_each([server], SCHEMA, "SHOW INDEX FROM {db}." + table)[0]) == 2, "CREATE INDEX"
            agree(router, server, table)
        for prepared in ("disable", "auto"):
            printed = work(router, f"--db-ps-mode={prepared}", "--time=0", f"--events={TRANSACTIONS}", "run")
            assert re.search(r"reconnects:\s+0 ", printed), printed
            transactions = re.search(r"transactions:\s+(\d+)", printed)
            assert transactions is not None
            assert int(transactions[1]) == TRANSACTIONS
            for table in TABLES:
                agree(router, server, table)


def agree(router: RunningRouter, server: ReplicaSet, table: str) -> None:
    """The router says of all rows what the shards say of theirs; a transaction leaves as many as there were."""
    sql = SUMS.format(table=table)
    with router.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        [found] = cursor.fetchall()
    shards = [rows[0] for rows in on_each([server], SCHEMA, SUMS.format(table="{db}." + table))]
    assert found[:3] == tuple(sum(row[number] for row in shards) for number in range(3))
    assert found[3:] == (min(row[3] for row in shards), max(row[4] for row in shards)) == (1, ROWS)
    assert found[0] == ROWS
    assert all(row[0] > 0 for row in shards)
