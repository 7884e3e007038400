"""The SQL of the pages, statement by statement, on routers in front of real servers.

Comments behind a statement are promises: ``-- error 1235`` is how it must be refused, ``-- primary: write`` what
``EXPLAIN ROUTE`` must say. A block behind the SQL that is not marked as a language is what the statements print.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import MariaDBServer, ReplicaSet, Server
from router.sandbox.process import remove_directory, scratch_directory
from router.sandbox.replica_set import create_accounts
from tests.docs.blocks import ROOT, Block, all_blocks, blocks, looks_like
from tests.docs.configurations import Document, document_at, in_front_of
from tests.fix_router import RunningRouter
from tests.test_demo import DSN, private, read_until, started

__all__ = ["private"]  # a fixture

# Pages whose SQL is run by a test of its own, and where.
ELSEWHERE = {
    "docs/how-to/switchover.md": "tests/integration/test_switchover.py",
    "docs/how-to/connect/index.md": "tests/docs/test_frameworks.py",
}
HERE = {"docs/tutorials/first-steps.md", "docs/how-to/operate.md", "docs/explanation/sharding.md"}
TEXT = re.compile(r"""('(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*)""")
ANY_PORTS = {"client": 0, "http": 0, "mysql": 0}
Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, and the comment behind it."""

    sql: str
    comment: str

    @property
    def error(self) -> int:
        """The number of the error that it must end in; 0: none."""
        found = re.match(r"error (\d+)", self.comment)
        return int(found[1]) if found else 0


def statements(block: Block) -> list[Statement]:
    """Those of a block."""
    found: list[list[str]] = []
    ended, same_line = True, False
    for number, part in enumerate(TEXT.split(block.text)):
        if number % 2 and part.startswith("--"):
            if same_line:
                found[-1][1] = part[2:].strip()
            continue
        for piece in [part] if number % 2 else re.split(r"(;|\n)", part):
            if piece == ";":
                ended = same_line = True
            elif piece == "\n" and ended:
                same_line = False
            elif piece.strip() or not ended:
                if ended:
                    found.append(["", ""])
                    ended = False
                found[-1][0] += piece
    return [Statement(" ".join(sql.split()), comment) for sql, comment in found]


def run(connection: Connection, statement: Statement) -> tuple[list[str], Rows]:
    """Run it and see that it does what is said of it; its columns and rows."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement.sql)
        except pymysql.MySQLError as error:
            if error.args[0] != statement.error:
                raise AssertionError(statement) from error
            return [], []
        assert not statement.error, f"{statement} was not refused"
        columns = [column[0] for column in cursor.description or ()]
        rows = list(cursor.fetchall())
    said = re.fullmatch(r"([\w, ]+): (\w+)", statement.comment)
    if statement.sql.startswith("EXPLAIN ROUTE") and said:
        steps = [dict(zip(columns, row, strict=True)) for row in rows]
        servers = [step["server"].removeprefix("group ") for step in steps]
        assert {step["reason"] for step in steps} == {said[2]}, (statement, steps)
        assert servers == said[1].split(", ") or servers[0] in said[1].split(" or "), (statement, steps)
    return columns, rows


def table(columns: Sequence[str], rows: Rows) -> str:
    """As the command line client prints it."""
    texts = [["NULL" if value is None else str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    line = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    shown = ["|" + "|".join(f" {text} " for text in row) + "|" for row in (columns, *texts)]
    return "\n".join([line, shown[0], line, *shown[1:], line]) + "\n"


def play(connection: Connection, page: str, sql_blocks: Sequence[Block]) -> None:
    """All statements of these blocks, one after the other, and the tables that are shown behind them."""
    for block in sql_blocks:
        printed = ""
        for statement in statements(block):
            columns, rows = run(connection, statement)
            if columns and not statement.sql.startswith("EXPLAIN"):
                printed += table(columns, rows)
        for shown in blocks(page):
            if shown.follows == block and shown.language == "":
                assert looks_like(shown.text, printed), printed


def sql_of(page: str) -> list[Block]:
    """The page's blocks of SQL."""
    return [block for block in blocks(page) if block.language == "sql"]


def test_all_pages_are_known() -> None:
    assert {block.page for block in all_blocks("sql")} == HERE | ELSEWHERE.keys()
    for page, test in ELSEWHERE.items():
        assert page in (ROOT / test).read_text(encoding="utf-8")


def test_statements_are_parted() -> None:
    text = "-- head\nSELECT ';' AS a,\n  2; -- error 7\nKILL 1;   -- why; so\n\nSTOP REPLICA; RESET REPLICA ALL;\n"
    assert statements(Block("p", 1, "sql", text)) == [
        Statement("SELECT ';' AS a, 2", "error 7"),
        Statement("KILL 1", "why; so"),
        Statement("STOP REPLICA", ""),
        Statement("RESET REPLICA ALL", ""),
    ]


def test_the_demo(private: Path) -> None:
    """What README.md shows of the demo, and what the tutorial does with it."""
    shown = next(block.text for block in blocks("README.md") if block.text.startswith("ready in"))
    shown = re.sub(r"\d+\.\d s", "… s", shown).replace("PORT", "…").replace("replica1", "replica…")
    page = "docs/tutorials/first-steps.md"
    with started() as process:
        text = read_until(process, "Ctrl-C")
        printed = text[text.index("ready in") : text.index("\nCtrl-C")]
        assert looks_like(shown, printed), printed
        found = DSN.search(text)
        assert found is not None
        options: dict[str, Any] = {**found.groupdict(), "port": int(found["port"])}
        try:
            with pymysql.connect(host="127.0.0.1", autocommit=True, **options) as connection:
                play(connection, page, sql_of(page))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@pytest.fixture(scope="module")
def shard0() -> Iterator[Server]:
    """A server beside those of the set."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(_scratch())
        server = MariaDBServer(directory, name="shard0")
        stack.callback(server.close)
        server.launch()
        server.wait_ready()
        create_accounts(server)
        yield server


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    directory = scratch_directory()
    try:
        yield directory
    finally:
        remove_directory(directory)


def running(document: Document) -> RunningRouter:
    """A router with this configuration."""
    router = RunningRouter(document)
    router.password = ReplicaSet.USERS["app"]
    return router


def test_operating(mariadb_set: ReplicaSet) -> None:
    page = "docs/how-to/operate.md"
    document = document_at(next(block for block in blocks(page) if block.language == "yaml"))
    document["users"]["app"]["password"] = mariadb_set.app_password
    document["admin"]["users"]["ops"]["password"] = "ops-secret"
    here = in_front_of(document, {"main": mariadb_set.servers}, ANY_PORTS)
    with running(here) as router, router.connect() as victim:
        port = int(router.admin_mysql.rpartition(":")[2])
        with pymysql.connect(host="127.0.0.1", port=port, user="ops", password="ops-secret", database="stats") as ops:
            for block in sql_of(page):
                for statement in statements(block):
                    sql = re.sub(r"\b42$", str(victim.thread_id()), statement.sql)
                    columns, rows = run(ops, Statement(sql, statement.comment))
                    if sql.startswith("DRAIN"):
                        assert rows
                        assert rows[0][columns.index("done")] == 1
                    assert rows or "WHERE" in sql or not columns, statement
        with pytest.raises(pymysql.MySQLError, match="maintenance"):
            router.connect()
        with pytest.raises(pymysql.MySQLError):
            victim.ping(reconnect=False)


DEFINITIONS = {
    "customers": "id BIGINT PRIMARY KEY, name VARCHAR(20)",
    "orders": "id BIGINT PRIMARY KEY, customer_id BIGINT NOT NULL",
    "regions": "code CHAR(2) PRIMARY KEY",
    "users": "mail VARCHAR(190) PRIMARY KEY, name VARCHAR(20)",
}


def test_sharding(mariadb_set: ReplicaSet, shard0: Server) -> None:
    """The page's whole configuration on three databases: rows lie where its SQL says, ids are made in its tables."""
    page = "docs/explanation/sharding.md"
    where, own_tables = sql_of(page)
    primary = mariadb_set.primary
    document = document_at([block for block in blocks(page) if block.language == "yaml"][-1])
    document["users"]["app"] = {"password": mariadb_set.app_password, "default_schema": "shop"}
    shards = [(shard0, "shop"), (primary, "shop_1")]
    for server, database in [*shards, (primary, "shop")]:
        server.execute(f"DROP DATABASE IF EXISTS {database}")
        server.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    for server, database in shards:
        for name, columns in DEFINITIONS.items():
            server.execute(f"CREATE TABLE {database}.{name} ({columns})")
    lookup = next(block.text for block in blocks(page) if "CREATE TABLE mails" in block.text)
    with contextlib.closing(primary.root()) as there, there.cursor() as cursor:
        cursor.execute("USE shop")
        for sql in [*(statement.sql for statement in statements(own_tables)), lookup.partition("# ")[2]]:
            cursor.execute(sql)
        cursor.execute("INSERT INTO mails VALUES ('ada@example.org', 's0'), ('grace@example.org', 's1')")
        there.commit()
    mariadb_set.wait_for_replicas()
    groups = {"main": [primary], "shard0": [shard0], "shard1": [primary]}
    with running(in_front_of(document, groups, ANY_PORTS)) as router, router.connect(database="shop") as client:
        for number in range(40):
            client.query(f"INSERT INTO customers (id, name) VALUES ({number}, 'x')")
        client.query("INSERT INTO customers (name) VALUES ('y')")
        client.query("INSERT INTO orders (customer_id) VALUES (7)")
        client.query("INSERT INTO users VALUES ('ada@example.org', 'Ada')")
        client.query("INSERT INTO users VALUES ('grace@example.org', 'Grace')")
    for number, (server, database) in enumerate(shards):
        sql = statements(where)[0].sql.replace("FROM customers", f"FROM {database}.customers")
        found = [int(shard) for (shard,) in server.execute(sql)]
        assert len(found) > 10
        assert set(found) == {number}
        assert server.execute(f"SELECT name FROM {database}.users") == [("Ada",) if number == 0 else ("Grace",)]
    assert primary.execute("SELECT COUNT(*) FROM shop.router_workers") == [(1,)]
    assert primary.execute("SELECT COUNT(*) FROM shop.router_ids") == [(1,)]
    for database in ("shop", "shop_1"):
        primary.execute(f"DROP DATABASE {database}")
