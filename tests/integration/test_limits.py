"""Rules that limit the time of statements, on one server and on shards."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from tests.differential.compare import ask
from tests.differential.prepared import ask_prepared
from tests.fix_router import RunningRouter, settings_for
from tests.integration.bank import rows
from tests.integration.spread import spread

SLOW = [{"name": "slow", "when": {"regex": "(?i)sleep"}, "timeout": "300ms"}]
Start = Callable[[dict[str, Any]], RunningRouter]


def interrupted(connection: Connection, sql: str) -> bool:
    """Whether a statement is ended in less than three seconds."""
    began = time.monotonic()
    answer = ask(connection, sql)
    return answer.error == 1317 and time.monotonic() - began < 3


def test_a_statement_is_ended_when_its_time_is_up(server_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    settings = settings_for(server_set, tmp_path) | {"rules": SLOW}
    with start_router(settings).connect(database="mysql", autocommit=True) as connection:
        assert interrupted(connection, "SELECT SLEEP(10) FROM information_schema.tables LIMIT 5")
        rows(connection, "BEGIN")
        assert interrupted(connection, "SELECT SLEEP(10) FROM information_schema.tables LIMIT 5")
        assert rows(connection, "SELECT SLEEP(0.01)") == [(0,)]
        time.sleep(0.5)  # longer than the limit: nothing runs that it could end
        assert rows(connection, "SELECT 1") == [(1,)]
        rows(connection, "COMMIT")


def test_prepared_statements_have_limits_too(server_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    settings = settings_for(server_set, tmp_path) | {"rules": SLOW}
    with start_router(settings).connect(database="mysql", autocommit=True) as connection:
        began = time.monotonic()
        assert ask_prepared(connection, "SELECT SLEEP(10) FROM information_schema.tables LIMIT 5").error == 1317
        assert time.monotonic() - began < 3


def test_so_have_statements_on_shards(server_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    tables = {"t": {"shard_by": "id", "function": "mod"}}
    with spread(
        server_set, tmp_path, "slow", ("slow_0", "slow_1"), "slow_truth", {"t": "id INT PRIMARY KEY"}, tables
    ) as settings:
        settings["rules"] = SLOW
        with start_router(settings).connect(database="slow", autocommit=True) as connection:
            rows(connection, "INSERT INTO t VALUES (0), (1), (2), (3), (4), (5)")
            assert interrupted(connection, "SELECT id, SLEEP(10) FROM t WHERE id = 2 OR id = 4")
            began = time.monotonic()
            assert ask_prepared(connection, "SELECT id, SLEEP(10) FROM t ORDER BY id").error == 1317
            assert time.monotonic() - began < 3
            assert interrupted(connection, "DELETE FROM t WHERE id >= 0 AND SLEEP(10) = 0")
            assert rows(connection, "SELECT COUNT(*) FROM t") == [(6,)]
