"""Writes over four shards, made up at random: every row ends where one server would have put it, or nothing is changed.

What the planner lets through is compared with one server that holds all rows: affected rows, info text, warnings,
error, and then every row of every table, that it is on the shard of its key, and that copies are alike.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from router.planner.sharding import Hash
from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, direct
from tests.integration.spread import outcome, spread

SHARDS = [f"parts_{number}" for number in range(4)]
TRUTH = "parts_all"
TABLES = {
    "customers": "id INT PRIMARY KEY, name VARCHAR(8), region INT",
    "orders": "id INT, customer_id INT NOT NULL, total INT NOT NULL, PRIMARY KEY (id, customer_id)",
    "archive": "id INT, customer_id BIGINT NOT NULL, total INT, PRIMARY KEY (id, customer_id)",
    "regions": "id INT PRIMARY KEY, name VARCHAR(8), at TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6)",
}
KEYS = {"customers": "id", "orders": "customer_id", "archive": "customer_id"}
STATEMENTS = 250


@dataclass(slots=True)
class Both:
    """The router's session, and one on the database with all rows."""

    ours: Connection
    truth: Connection

    def check(self, sql: str) -> str:
        """Run it on both and compare; returns what came of it."""
        ours = outcome(self.ours, sql)
        if ours[:2] == ("error", 1235):
            return "refused"
        expected = outcome(self.truth, sql)
        if expected[0] == "error" or "VALUES(" in sql:
            # Of several errors, which one is met first is not the same over shards. And MySQL warns of VALUES() once
            # for each statement, which is once for each shard.
            assert ours[0] == expected[0], sql
        else:
            assert ours == expected, sql
        for table, columns in TABLES.items():
            wanted = self._rows(TRUTH, table)
            parts = [self._rows(database, table) for database in SHARDS]
            if table not in KEYS:
                assert [len(part) for part in parts] == [len(wanted)] * len(SHARDS), (sql, table)
                assert all(part == parts[0] for part in parts), (sql, table)
                assert [row[:2] for row in parts[0]] == [row[:2] for row in wanted], (sql, table)
                continue
            assert sorted(chain(*parts)) == sorted(wanted), (sql, table)
            place = columns.split(", ").index(
                next(each for each in columns.split(", ") if each.startswith(KEYS[table]))
            )
            for number, part in enumerate(parts):
                assert all(Hash(len(SHARDS)).shard((int(row[place]),)) == number for row in part), (sql, table)
        return "error" if expected[0] == "error" else "same"

    def _rows(self, database: str, table: str) -> list[tuple[str, ...]]:
        with self.truth.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {database}.{table} ORDER BY 1, 2")
            return [tuple(str(value) for value in row) for row in cursor.fetchall()]


@pytest.fixture
def both(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> Iterator[Both]:
    """Four shards on one server, and all rows in a fifth database there."""
    tables: dict[str, dict[str, Any]] = {
        "customers": {"shard_by": "id", "function": "hash"},
        "orders": {"shard_by": "customer_id", "with": "customers"},
        "archive": {"shard_by": "customer_id", "with": "customers"},
        "regions": {"broadcast": True},
    }
    with (
        spread(server_set, tmp_path, "parts", SHARDS, TRUTH, TABLES, tables) as settings,
        start_router(settings).connect(database="parts") as ours,
        direct(server_set.primary, server_set, database=TRUTH) as truth,
    ):
        yield Both(ours, truth)


class Writer:
    """Makes up statements."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def one(self) -> str:
        """The next."""
        makers = (self.customers, self.orders, self.regions, self.update, self.delete, self.select, self.update_regions)
        return self.chance.choice(makers)()

    def pick(self, *choices: str) -> str:
        return self.chance.choice(choices)

    def key(self) -> str:
        number = self.chance.randint(-3, 40)
        return self.pick(f"{number}", f"{number}", f"'{number}'", f"{number}.0", f"({number})", f"+{abs(number)}")

    def name(self) -> str:
        return self.pick(
            "NULL", "'ada'", "'),('", "'it''s'", '"b(o"', "DEFAULT", "CONCAT('x', 'y')", "'ä'", "'far too long'"
        )

    def _list(self, row: Callable[[], str]) -> str:
        return self.pick(", ", ",", " , /* ( */ ").join(row() for _ in range(self.chance.randint(1, 6)))

    def customers(self) -> str:
        rows = self._list(lambda: f"({self.key()}, {self.name()}, {self.chance.randint(1, 4)})")
        return self._inserted(
            "customers", "id, name, region", rows, "name = VALUES(name), region = customers.region + 1"
        )

    def orders(self) -> str:
        rows = self._list(lambda: f"({self.chance.randint(1, 3)}, {self.key()}, {self.chance.randint(0, 99)})")
        return self._inserted("orders", "id, customer_id, total", rows, "total = total + VALUES(total)")

    def regions(self) -> str:
        rows = self._list(lambda: f"({self.chance.randint(1, 6)}, {self.name()})")
        return self._inserted("regions", "id, name", rows, "name = VALUES(name), at = NOW(6)")

    def _inserted(self, table: str, columns: str, rows: str, update: str) -> str:
        verb = self.pick("INSERT INTO", "INSERT", "INSERT IGNORE", "REPLACE", "REPLACE INTO")
        end = f" ON DUPLICATE KEY UPDATE {update}" if verb.startswith("INSERT") and self.chance.random() < 0.4 else ""
        return f"{verb} {table} ({columns}) {self.pick('VALUES', 'value')} {rows}{end}"

    def where(self, table: str = "c") -> str:
        key = "id" if table == "c" else "customer_id"
        column = "region" if table == "c" else "total"
        return self.pick(
            f"{table}.{column} {self.pick('=', '<', '>=', '<>')} {self.chance.randint(0, 60)}",
            f"{table}.{key} BETWEEN {self.key()} AND {self.key()}",
            f"{table}.{key} IN ({self.key()}, {self.key()}, {self.key()})",
            f"{table}.{key} % 3 = 1 AND {table}.{column} > 1",
            f"NOT {table}.{key} = {self.key()}",
            f"EXISTS (SELECT 1 FROM archive a WHERE a.customer_id = {table}.{key})",
            f"{table}.{key} NOT IN (SELECT customer_id FROM archive WHERE total > 20)",
            f"{table}.{column} IN (SELECT id FROM regions)",
        )

    def update(self) -> str:
        number = self.chance.randint(0, 9)
        return self.pick(
            f"UPDATE customers c SET region = region + 1, name = 'u{number}' WHERE {self.where()}",
            f"UPDATE customers c SET name = 'u{number}' WHERE {self.where()} OR {self.where()}",
            f"UPDATE IGNORE orders o SET o.total = o.total * 2, id = {number % 4} WHERE {self.where('o')}",
            f"UPDATE orders o SET o.id = o.id + 1 WHERE {self.where('o')}",
            f"UPDATE customers c JOIN orders o ON o.customer_id = c.id SET c.region = {number}, o.total = {number} "
            f"WHERE {self.where()} AND {self.where('o')}",
            "UPDATE customers c LEFT JOIN orders o ON o.customer_id = c.id SET c.name = 'none' WHERE o.id IS NULL",
            "UPDATE customers c JOIN regions r ON r.id = c.region SET c.name = r.name",
            f"UPDATE customers c SET c.region = (SELECT COUNT(*) FROM orders o WHERE o.customer_id = c.id) "
            f"WHERE {self.where()}",
            "UPDATE customers c JOIN (SELECT customer_id, SUM(total) s FROM orders GROUP BY customer_id) x "
            "ON x.customer_id = c.id SET c.region = x.s",
            f"UPDATE customers c JOIN orders o ON o.id = c.region SET c.name = 'no' WHERE {self.where()}",
            f"UPDATE customers c SET name = 'x' WHERE {self.where()} LIMIT 1",
        )

    def delete(self) -> str:
        return self.pick(
            f"DELETE c FROM customers c WHERE {self.where()} AND c.id % 4 = {self.chance.randint(0, 3)}",
            f"DELETE o FROM orders o JOIN customers c ON c.id = o.customer_id WHERE {self.where()}",
            f"DELETE FROM o, c USING orders o JOIN customers c ON c.id = o.customer_id WHERE {self.where()} AND "
            f"o.total < 20",
            f"DELETE FROM archive WHERE customer_id {self.pick('<', '>')} {self.key()}",
            f"DELETE FROM regions WHERE id = {self.chance.randint(1, 6)}",
            f"DELETE FROM regions ORDER BY {self.pick('id', 'name, id', 'name')} LIMIT 1",
        )

    def select(self) -> str:
        verb = self.pick("INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO")
        return self.pick(
            f"{verb} archive (id, customer_id, total) SELECT id, customer_id, total FROM orders o WHERE "
            f"{self.where('o')}",
            f"{verb} archive (id, customer_id, total) SELECT o.id, c.id, o.total + c.region FROM orders o "
            f"JOIN customers c ON c.id = o.customer_id WHERE {self.where()}",
            f"{verb} archive (customer_id, id, total) SELECT customer_id, 7, SUM(total) FROM orders GROUP BY "
            f"customer_id",
            f"{verb} orders SELECT id, customer_id, 5 FROM orders o WHERE {self.where('o')}",
            f"{verb} archive (customer_id, id) SELECT region, id FROM customers",
            "INSERT INTO archive SELECT * FROM archive WHERE total > 10 ON DUPLICATE KEY UPDATE total = "
            "archive.total - 1",
        )

    def update_regions(self) -> str:
        return self.pick(
            f"UPDATE regions SET name = CONCAT('r', id), at = NOW(6) WHERE id < {self.chance.randint(1, 6)}",
            "UPDATE regions SET id = id + 1 ORDER BY id DESC",
            f"UPDATE regions SET name = UPPER(name) ORDER BY id LIMIT {self.chance.randint(1, 3)}",
            "UPDATE regions SET name = LEFT(UUID(), 8)",
        )


@pytest.mark.parametrize("seed", [1, 2])
def test_writes_at_random(both: Both, seed: int) -> None:
    writer = Writer(seed)
    tally: Counter[str] = Counter()
    for sql in ("SET sql_mode = ''",) if seed == 2 else ():
        assert outcome(both.ours, sql)[0] == outcome(both.truth, sql)[0]
    for _ in range(STATEMENTS):
        tally[both.check(writer.one())] += 1
    assert tally["same"] > STATEMENTS / 2, tally
    assert tally["error"] > 5, tally
