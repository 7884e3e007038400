"""Two hundred sessions on eight connections: nobody ever sees another's state or rows.

Every client walks at random through USE, SET, character sets, autocommit and transactions, and keeps a model of what
its session must look like. After every step it asks, on the primary and on replicas, and compares.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomysql
import pytest

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for

CLIENTS = 200
STEPS = 12
SCHEMAS = ["iso_a", "iso_b", "iso_c"]
COLLATIONS = {
    "utf8mb4": ["utf8mb4_bin", "utf8mb4_unicode_ci"],
    "latin1": ["latin1_bin", "latin1_german1_ci"],
    "cp1251": ["cp1251_bin"],
}
SQL_MODES = ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "STRICT_ALL_TABLES"]
TIME_ZONES = ["+00:00", "+03:00", "-05:30"]
STATE = (
    "SELECT DATABASE(), @@session.sql_mode, @@session.time_zone, @@session.collation_connection, "
    "@@session.character_set_client, @@session.character_set_results, @@session.autocommit, "
    "@@session.group_concat_max_len, 'mark {number}'"
)


class Walker:
    """One client and its model."""

    def __init__(self, number: int, connection: Any) -> None:
        self.number = number
        self.connection = connection
        self.random = random.Random(number)
        self.expected: dict[str, Any] = {}
        self.in_transaction = False
        self.pending: list[int] = []
        self.committed: set[int] = set()
        self.steps = 0

    async def query(self, sql: str) -> Any:
        async with self.connection.cursor() as cursor:
            await cursor.execute(sql)
            return await cursor.fetchall()

    async def learn(self) -> None:
        """The state at the start is whatever the server gives a new session."""
        await self.query("USE iso_a")
        self.expected = self.named(await self.state())

    async def state(self) -> tuple[Any, ...]:
        rows = await self.query(STATE.format(number=self.number))
        assert len(rows) == 1
        return tuple(rows[0])

    @staticmethod
    def named(row: tuple[Any, ...]) -> dict[str, Any]:
        names = ("schema", "sql_mode", "time_zone", "collation", "client", "results", "autocommit", "concat", "mark")
        return dict(zip(names, row, strict=True))

    async def check(self) -> None:
        assert self.named(await self.state()) == self.expected, f"client {self.number}, step {self.steps}"

    def form(self) -> str:
        """One way of several to say which variable is meant; MariaDB's trackers do not report all of them."""
        return self.random.choice(["", "@@", "SESSION ", "LOCAL ", "@@session.", "@@local."])

    async def step(self) -> None:
        self.steps += 1
        action = self.random.choice(
            [self.use, self.names, self.mode, self.zone, self.concat, self.toggle, self.write, self.write, self.finish]
        )
        await action()
        await self.check()
        await self.check_rows()

    async def use(self) -> None:
        schema = self.random.choice(SCHEMAS)
        if self.random.random() < 0.5:
            await self.query(f"USE {schema}")
        else:
            await self.connection.select_db(schema)
        self.expected["schema"] = schema

    async def names(self) -> None:
        charset = self.random.choice(list(COLLATIONS))
        collation = self.random.choice(COLLATIONS[charset])
        await self.query(f"SET NAMES {charset} COLLATE {collation}")
        self.expected.update(collation=collation, client=charset, results=charset)

    async def mode(self) -> None:
        mode = self.random.choice(SQL_MODES)
        await self.query(f"SET {self.form()}sql_mode = '{mode}'")
        self.expected["sql_mode"] = mode

    async def zone(self) -> None:
        zone = self.random.choice(TIME_ZONES)
        await self.query(f"SET {self.form()}time_zone = '{zone}'")
        self.expected["time_zone"] = zone

    async def concat(self) -> None:
        length = self.random.choice([100, 2000, 4000])
        await self.query(f"SET {self.form()}group_concat_max_len = {length}")
        self.expected["concat"] = length

    async def toggle(self) -> None:
        """Changing autocommit from 0 to 1 commits."""
        value = 1 - int(self.expected["autocommit"])
        await self.query(f"SET {self.form()}autocommit = {value}")
        self.expected["autocommit"] = value
        if value:
            self.commit()

    async def write(self) -> None:
        if not self.in_transaction and self.expected["autocommit"] and self.random.random() < 0.6:
            await self.query("BEGIN")
            self.in_transaction = True
        value = self.random.randrange(1_000_000)
        await self.query(f"INSERT INTO iso_a.rows_of (client, value) VALUES ({self.number}, {value})")
        self.pending.append(value)
        rows = await self.query("SELECT LAST_INSERT_ID() > 0")
        assert rows[0][0] == 1
        if not self.in_transaction and self.expected["autocommit"]:
            self.commit()

    async def finish(self) -> None:
        if self.random.random() < 0.5:
            await self.query("COMMIT")
            self.commit()
        else:
            await self.query("ROLLBACK")
            self.pending.clear()
            self.in_transaction = False

    def commit(self) -> None:
        self.committed.update(self.pending)
        self.pending.clear()
        self.in_transaction = False

    async def check_rows(self) -> None:
        """In a transaction a session sees its own rows, committed and not, on the primary; nobody sees others'."""
        if not (self.in_transaction or not self.expected["autocommit"]):
            return
        rows = await self.query(f"SELECT value FROM iso_a.rows_of WHERE client = {self.number}")
        assert {row[0] for row in rows} == self.committed | set(self.pending)


async def walk(router: RunningRouter, number: int) -> Walker:
    connection = await aiomysql.connect(
        host="127.0.0.1", port=router.port, user="app", password=router.password, db="iso_a", autocommit=None
    )
    walker = Walker(number, connection)
    try:
        await walker.learn()
        for _ in range(STEPS):
            await walker.step()
        if walker.random.random() < 0.5:
            connection.close()  # without COM_QUIT, perhaps inside a transaction
        else:
            await connection.ensure_closed()
    except BaseException:
        connection.close()
        raise
    if walker.in_transaction or not walker.expected["autocommit"]:
        walker.pending.clear()
    return walker


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pymysql.err.Warning")
async def test_nobody_sees_anybody(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    settings = settings_for(server_set, tmp_path, pool={"max_connections": 8, "queue_timeout": "60s"})
    router = start_router(settings)
    primary = server_set.primary
    for schema in SCHEMAS:
        primary.execute(f"DROP DATABASE IF EXISTS {schema}")
        primary.execute(f"CREATE DATABASE {schema}")
    primary.execute(
        "CREATE TABLE iso_a.rows_of (id INT AUTO_INCREMENT PRIMARY KEY, client INT, value INT, KEY (client))"
    )
    server_set.wait_for_replicas()
    walkers = await asyncio.gather(*(walk(router, number) for number in range(CLIENTS)))
    assert router.call(lambda gateway: max(s.pool.size for s in gateway.topology.servers())) <= 8
    for walker in walkers:
        rows = primary.execute(f"SELECT value FROM iso_a.rows_of WHERE client = {walker.number}")
        assert {row[0] for row in rows} == walker.committed
    for schema in SCHEMAS:
        primary.execute(f"DROP DATABASE {schema}")
