"""A server with one database that holds all rows, the same rows spread over shards, and a router in front of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from router.sandbox import Flavor, ReplicaSet
from tests.differential import data
from tests.differential.compare import Answer, Order, Outcome, Tally, ask, difference
from tests.fix_router import RunningRouter, settings_for

SHARD_COUNTS = (1, 2, 4)
TRUTH = "truth"


def schema_of(count: int) -> str:
    """The database that clients of the router see, of so many shards."""
    return f"shop_{count}"


def shard_of(count: int, number: int) -> str:
    """A shard's database."""
    return f"shop_{count}_{number}"


@dataclass(slots=True)
class Session:
    """A session through the router on a schema of ``count`` shards, and its twin on the one database."""

    count: int
    ours: Connection
    truth: Connection

    def check(
        self,
        sql: str,
        order: Order,
        tally: Tally,
        *,
        count_only: bool = False,
        way: Callable[[Connection, str], Answer] = ask,
    ) -> Outcome:
        """Run a statement on both sides (in this ``way``), compare, and count what came out.

        What the router refuses is not done on the one database either.
        """
        actual = way(self.ours, sql)
        found = None if actual.refused else difference(way(self.truth, sql), actual, order, count_only=count_only)
        return tally.add(sql, actual, found)


@dataclass(slots=True)
class Stage:
    """Everything of one kind of server; ``tallies`` count the statements of all files, by the number of shards."""

    flavor: Flavor
    servers: ReplicaSet
    rows: data.Rows
    router: RunningRouter
    tallies: dict[int, Tally] = field(default_factory=lambda: {count: Tally() for count in SHARD_COUNTS})

    @contextmanager
    def session(self, count: int) -> Iterator[Session]:
        """Connections to both sides, which see values as the server prints them."""
        options: dict[str, Any] = {"conv": {}, "charset": "utf8mb4", "read_timeout": 60}
        with (
            self.router.connect(database=schema_of(count), **options) as ours,
            pymysql.connect(
                host="127.0.0.1",
                port=self.servers.primary.port,
                user="app",
                password=self.servers.app_password,
                database=TRUTH,
                autocommit=True,
                **options,
            ) as truth,
        ):
            yield Session(count, ours, truth)

    def refill(self, count: int) -> None:
        """Put the rows of the one database, and of the schema of ``count`` shards, back to what they were."""
        data.fill(self.servers.primary, chain(truth_contents(self.rows), contents(self.rows, count)))


def contents(rows: data.Rows, count: int) -> Iterator[tuple[str, str, list[data.Row]]]:
    """What the databases of a schema of ``count`` shards hold: databases, tables, rows."""
    for table, all_rows in rows.tables.items():
        if table == "settings":
            yield schema_of(count), table, all_rows
            continue
        for number in range(count):
            yield shard_of(count, number), table, rows.of_shard(table, number, count)


def truth_contents(rows: data.Rows) -> Iterator[tuple[str, str, list[data.Row]]]:
    """What the one database holds."""
    for table, all_rows in rows.tables.items():
        yield TRUTH, table, all_rows


def tables_of(count: int) -> dict[str, dict[str, Any]]:
    """The sharded tables of a schema; those of the kinds of keys are in the one with the most shards only."""
    return data.tables_for(count) | (data.KEY_TABLES if count == max(SHARD_COUNTS) else {})


def settings(servers: ReplicaSet, directory: Path) -> dict[str, Any]:
    """A configuration with one schema for each number of shards."""
    made = settings_for(servers, directory, reads={"from": "primary"})
    made["groups"]["main"]["pool"] = {"max_connections": 24}
    made["schemas"] = {
        schema_of(count): {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": shard_of(count, number)} for number in range(count)},
            "transactions": "single",
            "tables": tables_of(count),
        }
        for count in SHARD_COUNTS
    }
    return made


def build(
    flavor: Flavor, servers: ReplicaSet, directory: Path, start: Callable[[dict[str, Any]], RunningRouter]
) -> Stage:
    """Make the databases, fill them, and start the router."""
    rows = data.make_rows()
    data.create_tables(servers.primary, flavor, TRUTH, data.DEFINITIONS)
    for count in SHARD_COUNTS:
        data.create_tables(servers.primary, flavor, schema_of(count), ["settings"])
        for number in range(count):
            data.create_tables(servers.primary, flavor, shard_of(count, number), tables_of(count))
    stage = Stage(flavor, servers, rows, start(settings(servers, directory)))
    data.fill(servers.primary, truth_contents(rows))
    for count in SHARD_COUNTS:
        data.fill(servers.primary, contents(rows, count))
    return stage
