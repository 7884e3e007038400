"""One logical database over several shards: statements about one shard reach it, all others are refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.planner.sharding import Hash
from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for

SHARDS = ["market_0", "market_1", "market_2"]
TABLES = {
    "customers": "id INT PRIMARY KEY, name VARCHAR(40), region INT",
    "orders": "id BIGINT, customer_id BIGINT NOT NULL, total DECIMAL(10,2), PRIMARY KEY (id, customer_id)",
    "regions": "id INT PRIMARY KEY, name VARCHAR(40)",
    "codes": "code VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT",
}


def rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def refused(connection: Connection, sql: str) -> str:
    """The router's words for a statement it does not run."""
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(connection, sql)
    assert caught.value.args[0] == 1235
    return str(caught.value.args[1])


def place(key: int) -> str:
    """The database of a customer."""
    return SHARDS[Hash(len(SHARDS)).shard((key,))]


@pytest.fixture
def market(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> Iterator[Connection]:
    """A session on database ``market``: three shards on one server, and a database for all other tables."""
    primary = server_set.primary
    for database in ("market", *SHARDS):
        primary.execute(f"DROP DATABASE IF EXISTS {database}")
        primary.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    primary.execute("CREATE TABLE market.notes (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(40))")
    for database in SHARDS:
        for table, columns in TABLES.items():
            primary.execute(f"CREATE TABLE {database}.{table} ({columns})")
        primary.execute(f"INSERT INTO {database}.regions VALUES (1, 'north'), (2, 'south')")
    server_set.wait_for_replicas()
    settings = settings_for(server_set, tmp_path, reads={"from": "primary"})
    settings["schemas"] = {
        "market": {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": name} for number, name in enumerate(SHARDS)},
            "transactions": "single",
            "tables": {
                "customers": {"shard_by": "id", "function": "hash"},
                "orders": {"shard_by": "customer_id", "with": "customers"},
                "regions": {"broadcast": True},
                "codes": {"shard_by": "code", "function": "hash"},
            },
        }
    }
    router = start_router(settings)
    with router.connect(database="market", autocommit=True) as connection:
        yield connection
    for database in ("market", *SHARDS):
        primary.execute(f"DROP DATABASE {database}")


def test_rows_live_where_the_function_says(market: Connection, server_set: ReplicaSet) -> None:
    for key in range(1, 30):
        rows(market, f"INSERT INTO customers VALUES ({key}, 'c{key}', {key % 2 + 1})")
        rows(market, f"INSERT INTO orders (total, customer_id, id) VALUES (1.5, '{key}', {key * 10}), (2, {key}.0, 7)")
    for key in range(1, 30):
        found = server_set.primary.execute(f"SELECT name FROM {place(key)}.customers WHERE id = {key}")
        assert found == [(f"c{key}",)]
        assert rows(market, f"SELECT name FROM customers WHERE id = {key}") == [(f"c{key}",)]
        joined = rows(
            market,
            "SELECT c.name, SUM(o.total), r.name FROM orders o JOIN customers c ON o.customer_id = c.id "
            f"JOIN regions r ON r.id = c.region WHERE c.id = {key} GROUP BY c.id, r.name",
        )
        assert joined == [(f"c{key}", 3.5, ["north", "south"][key % 2])]
    assert len(set(map(place, range(1, 30)))) == 3
    with market.cursor() as cursor:
        assert cursor.execute("UPDATE orders SET total = 9 WHERE customer_id = 5") == 2
        assert cursor.execute("DELETE FROM orders WHERE customer_id = 5 AND id = 7") == 1
    assert rows(market, "SELECT id, total FROM orders WHERE customer_id = 5") == [(50, 9)]


def test_text_keys_by_their_collation(market: Connection) -> None:
    for word in ("abc", "xyz", "Hello"):
        rows(market, f"INSERT INTO codes VALUES ('{word}', 1)")
        for spelling in (word, word.upper(), word.lower() + "  "):
            assert rows(market, f"SELECT code FROM codes WHERE code = '{spelling}'") == [(word,)]
    assert rows(market, "SELECT code FROM codes WHERE code = 'none'") == []
    assert "several shards" in refused(market, "SELECT code FROM codes WHERE code = 'ä'")
    with pytest.raises(pymysql.MySQLError, match="not certain") as caught:
        rows(market, "INSERT INTO codes VALUES ('ä', 1)")
    assert caught.value.args[0] == 1526


def test_other_tables_live_in_the_default_group(market: Connection, server_set: ReplicaSet) -> None:
    rows(market, "INSERT INTO notes (text) VALUES ('here')")
    assert rows(market, "SELECT LAST_INSERT_ID()") == [(1,)]
    assert rows(market, "SELECT text FROM notes") == [("here",)]
    assert server_set.primary.execute("SELECT text FROM market.notes") == [("here",)]
    assert rows(market, "SELECT COUNT(*) FROM regions") == [(2,)]


def test_what_is_refused_is_named(market: Connection) -> None:
    rows(market, "INSERT INTO customers VALUES (1, 'x', 1)")
    assert "customers.id" in refused(market, "SELECT * FROM customers")
    assert "'id', which decides the shard" in refused(market, "UPDATE customers SET id = 2 WHERE id = 1")
    assert "'notes'" in refused(market, "SELECT * FROM customers, notes WHERE customers.id = 1")
    assert "ddl" in refused(market, "TRUNCATE customers")
    assert "rows for several shards" in refused(
        market, "INSERT INTO customers VALUES " + ", ".join(f"({key}, 'x', 1)" for key in range(10, 40))
    )
    assert "several statements" in refused(market, "SELECT 1 FROM customers WHERE id = 1; SELECT 2")
    assert rows(market, "SELECT id FROM customers WHERE id = 1") == [(1,)]


def test_explain_route_names_the_shard(market: Connection) -> None:
    (row,) = rows(market, "EXPLAIN ROUTE SELECT * FROM customers WHERE id = 5")
    assert row[3] == f"s{SHARDS.index(place(5))}"
    (row,) = rows(market, "EXPLAIN ROUTE SELECT * FROM customers")
    assert "several shards" in row[5]
