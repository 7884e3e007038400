"""What is counted of statements, by their kind, on one server and on shards; and slow ones in the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest
from structlog.testing import capture_logs

from router.planner.observed import Observed
from router.sandbox import ReplicaSet
from tests.differential.prepared import ask_prepared
from tests.fix_router import RunningRouter, settings_for
from tests.integration.bank import rows
from tests.integration.spread import spread

Start = Callable[[dict[str, Any]], RunningRouter]


def found(router: RunningRouter, text: str) -> Observed:
    (observed,) = router.call(lambda gateway: [each for each in gateway.digests if each.kind.text == text])
    return observed


def test_statements_are_counted_by_kind(server_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    settings = settings_for(server_set, tmp_path) | {"logging": {"slow_query": "200ms"}}
    router = start_router(settings)
    with router.connect(database="mysql", autocommit=True) as connection:
        for number in range(1, 4):
            rows(connection, f"SELECT {number} AS n UNION ALL SELECT 7")
        assert ask_prepared(connection, "SELECT 8 AS n UNION ALL SELECT 9").error == 0
        with pytest.raises(pymysql.MySQLError):
            rows(connection, "SELECT nothing FROM nowhere WHERE a = 'secret'")
        with capture_logs() as logs:
            rows(connection, "SELECT SLEEP(0.3), 'secret'")
    counted = found(router, "SELECT ? AS n UNION ALL SELECT ?")
    assert (counted.count, counted.errors, counted.rows) == (4, 0, 8)
    assert (counted.kind.user, counted.kind.schema) == ("app", "mysql")
    assert 0 < counted.least <= counted.most <= counted.seconds
    assert sum(counted.buckets) == 4
    failed = found(router, "SELECT nothing FROM nowhere WHERE a = ?")
    assert (failed.count, failed.errors) == (1, 1)
    (slow,) = [entry for entry in logs if entry["event"] == "slow statement"]
    assert slow["digest"] == "SELECT SLEEP ( ? ) , ?"
    assert slow["seconds"] > 0.3
    assert "secret" not in str(slow)


def test_so_are_those_on_shards(server_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    tables = {"t": {"shard_by": "id", "function": "mod"}}
    with spread(
        server_set, tmp_path, "kinds", ("kinds_0", "kinds_1"), "kinds_truth", {"t": "id INT PRIMARY KEY"}, tables
    ) as settings:
        router = start_router(settings)
        with router.connect(database="kinds", autocommit=True) as connection:
            rows(connection, "INSERT INTO t VALUES (0), (1), (2), (3), (4), (5)")
            for number in range(3):
                rows(connection, f"SELECT id FROM t WHERE id = {number}")
                rows(connection, f"SELECT id FROM t WHERE id > {number} ORDER BY id")
            assert ask_prepared(connection, "SELECT id FROM t WHERE id > 3 ORDER BY id").error == 0
            with pytest.raises(pymysql.MySQLError):
                rows(connection, "INSERT INTO t VALUES (7), (8), (0)")
    assert (
        found(router, "SELECT id FROM t WHERE id = ?").count,
        found(router, "SELECT id FROM t WHERE id = ?").rows,
    ) == (
        3,
        3,
    )
    several = found(router, "SELECT id FROM t WHERE id > ? ORDER BY id")
    assert (several.count, several.errors, several.rows) == (4, 0, 5 + 4 + 3 + 2)
    assert several.kind.route == "shards"
    written = found(router, "INSERT INTO t VALUES ( ? )")
    assert (written.count, written.errors) == (2, 1)
