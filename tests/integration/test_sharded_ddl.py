"""DDL of sharded tables: run on every shard, known at once, and reported shard by shard when one does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for
from tests.integration.bank import refused, rows

DATABASES = ["plant", "plant_1", "plant_2"]


@pytest.fixture
def plant(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> Iterator[Connection]:
    """A session on a database of three shards without tables."""
    for database in DATABASES:
        server_set.primary.execute(f"DROP DATABASE IF EXISTS {database}")
        server_set.primary.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    server_set.wait_for_replicas()
    settings = settings_for(server_set, tmp_path, reads={"from": "primary"})
    settings["schemas"] = {
        "plant": {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": name} for number, name in enumerate(DATABASES)},
            "transactions": "best_effort",
            "tables": {"parts": {"shard_by": "id", "function": "mod"}, "kinds": {"broadcast": True}},
        }
    }
    with start_router(settings).connect(database="plant", autocommit=True) as connection:
        yield connection
    for database in DATABASES:
        server_set.primary.execute(f"DROP DATABASE {database}")


def tables(server_set: ReplicaSet) -> list[list[str]]:
    """Of each database."""
    return [
        sorted(name for (name,) in server_set.primary.execute(f"SHOW TABLES FROM {database}")) for database in DATABASES
    ]


def test_a_table_is_on_every_shard_and_known_at_once(plant: Connection, server_set: ReplicaSet) -> None:
    rows(plant, "CREATE TABLE parts (id INT PRIMARY KEY, kind INT)")
    rows(plant, "INSERT INTO parts VALUES (0, 1), (1, 1), (2, 2)")
    rows(plant, "CREATE TABLE IF NOT EXISTS kinds (id INT PRIMARY KEY, name VARCHAR(20))")
    rows(plant, "INSERT INTO kinds VALUES (1, 'screw'), (2, 'nut')")
    rows(plant, "CREATE TABLE notes (id INT PRIMARY KEY, parts INT)")
    assert tables(server_set) == [["kinds", "notes", "parts"], ["kinds", "parts"], ["kinds", "parts"]]
    rows(plant, "ALTER TABLE parts ADD COLUMN weight INT NOT NULL DEFAULT 5")
    rows(plant, "CREATE INDEX by_weight ON parts (weight)")
    assert rows(plant, "SELECT p.id, k.name, weight FROM parts p JOIN kinds k ON k.id = p.kind ORDER BY p.id") == [
        (0, "screw", 5),
        (1, "screw", 5),
        (2, "nut", 5),
    ]
    rows(plant, "TRUNCATE parts")
    assert rows(plant, "SELECT COUNT(*) FROM parts") == [(0,)]
    rows(plant, "DROP TABLE parts, kinds")
    assert tables(server_set) == [["notes"], [], []]


def test_what_was_done_where_is_said(plant: Connection, server_set: ReplicaSet) -> None:
    rows(plant, "CREATE TABLE parts (id INT PRIMARY KEY, kind INT)")
    server_set.primary.execute("ALTER TABLE plant_1.parts ADD COLUMN weight INT")
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(plant, "ALTER TABLE parts ADD COLUMN weight INT")
    code, message = caught.value.args
    assert code == 1060
    assert "done on s0, s2, failed on s1: 1060 Duplicate column name 'weight'" in message
    assert "router(shard=s1)" in message
    rows(plant, "INSERT INTO parts VALUES (0, 1, 1), (1, 1, 1)")
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(plant, "CREATE TABLE parts (id INT)")
    assert caught.value.args == (1050, "Table 'parts' already exists"), "as one server would"


def test_not_inside_a_transaction(plant: Connection) -> None:
    rows(plant, "CREATE TABLE parts (id INT PRIMARY KEY, kind INT)")
    rows(plant, "BEGIN")
    rows(plant, "INSERT INTO parts VALUES (1, 1)")
    assert "COMMIT first" in refused(plant, "TRUNCATE parts")
    rows(plant, "ROLLBACK")
    assert rows(plant, "SELECT COUNT(*) FROM parts") == [(0,)]
