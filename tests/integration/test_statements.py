"""Prepared statements through the router, packet by packet as a server answers, on fewer connections than sessions.

Every session has a twin on a direct connection that gets the same commands; their answers must be the same bytes, but
for the statement ids.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, direct, settings_for
from tests.fix_servers import mark_all, statements_by_server
from tests.integration.twins import CURSOR, Session, Twins, Value


@pytest.fixture
def database(server_set: ReplicaSet) -> Iterator[str]:
    """An empty database on all servers."""
    for name in ("statements", "statements_b"):
        server_set.primary.execute(f"DROP DATABASE IF EXISTS {name}")
        server_set.primary.execute(f"CREATE DATABASE {name}")
    server_set.wait_for_replicas()
    yield "statements"
    for name in ("statements", "statements_b"):
        server_set.primary.execute(f"DROP DATABASE {name}")


@pytest.fixture
def narrow(
    server_set: ReplicaSet, database: str, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> RunningRouter:
    """A router with few connections, that reads where it writes."""
    return start_router(settings_for(server_set, tmp_path, pool={"max_connections": 3}, reads={"from": "primary"}))


@pytest.fixture
def make_twins(server_set: ReplicaSet, narrow: RunningRouter, database: str) -> Iterator[Callable[[int], Twins]]:
    """Makes twins, each with a table of their own in both databases."""
    made: list[Connection] = []

    def make(number: int) -> Twins:
        ours = narrow.connect(database=database, autocommit=True)
        truth = direct(server_set.primary, server_set, database=database, autocommit=True)
        made.extend((ours, truth))
        twins = Twins(ours, truth, number)
        for schema in ("statements", "statements_b"):
            twins.text(f"CREATE TABLE {schema}.{{t}} (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40), b LONGBLOB)")
            twins.text(f"INSERT INTO {schema}.{{t}} (v) VALUES ('one of {schema}'), ('two'), ('three'), ('four')")
        return twins

    yield make
    for connection in made:
        with suppress(pymysql.MySQLError):
            connection.close()


STATEMENTS = {
    "by id": "SELECT id, v FROM {t} WHERE id = ?",
    "like": "SELECT COUNT(*), MAX(v), ? FROM {t} WHERE v LIKE ? OR ? IS NULL",
    "insert": "INSERT INTO {t} (v) VALUES (?)",
    "update": "UPDATE {t} SET v = ? WHERE id = ?",
    "delete": "DELETE FROM {t} WHERE id > ?",
    "begin": "BEGIN",
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
    "autocommit": "SET autocommit = ?",
    "quotes": 'SELECT "v", @@sql_mode, @@time_zone, DATABASE()',
    "zone": "SET time_zone = ?",
    "id": "SELECT LAST_INSERT_ID()",
    "wrong": "SELECT v, (SELECT id FROM {t}) FROM {t} WHERE id = ?",
    "warn": "SELECT CAST(? AS SIGNED)",
}


def values_for(name: str, dice: random.Random) -> tuple[Value, ...]:
    """Parameters for a statement; where a column tells what they are, sometimes of another type than before."""
    words: list[Value] = ["a%", "%o%", "", "quote's", None]
    numbers: list[Value] = [1, 2, 3, 99, "2", None]
    word = dice.choice(words)
    match name:
        case "by id" | "wrong":
            return (dice.choice(numbers),)
        case "like":
            return "x", word, word
        case "insert":
            return (word,)
        case "update":
            return word, dice.choice(numbers)
        case "delete":
            return (dice.choice([5, 6]),)
        case "autocommit":
            return (dice.choice([0, 1]),)
        case "zone":
            return (dice.choice(["+01:00", "-05:30", "nowhere"]),)
        case "warn":
            return (dice.choice(["12abc", "5"]),)
        case _:
            return ()


def wander(twins: Twins, dice: random.Random) -> None:
    """One random step."""
    kind = dice.randrange(10)
    name = dice.choice(list(STATEMENTS))
    if kind == 0:
        twins.text(dice.choice(["USE statements", "USE statements_b"]))
    elif kind == 1:
        twins.text(f"SET sql_mode = '{dice.choice(['', 'ANSI_QUOTES', 'STRICT_ALL_TABLES'])}'")
    elif kind == 2 and name in twins.ours.ids:
        twins.do(lambda session, table: session.close(name))
    elif kind == 3:
        twins.text("SELECT v FROM {t} WHERE id = 1")
    elif name in twins.ours.ids:
        twins.execute(name, *values_for(name, dice), bind=dice.random() < 0.2)
    else:
        twins.prepare(name, STATEMENTS[name])


@pytest.mark.parametrize("seed", range(3))
def test_sessions_wander_on_few_connections(make_twins: Callable[[int], Twins], seed: int) -> None:
    """Six sessions on three connections: every answer is that of a direct connection."""
    dice = random.Random(seed)
    sessions = [make_twins(number) for number in range(6)]
    for _ in range(80):
        twins = dice.choice(sessions)
        for _ in range(dice.randrange(1, 8)):
            wander(twins, dice)
        # Others need the connections too: transactions end with the turn.
        twins.text("COMMIT")
        twins.text("SET autocommit = 1")


def test_two_hundred_sessions_on_eight_connections(
    server_set: ReplicaSet, database: str, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    router = start_router(settings_for(server_set, tmp_path, pool={"max_connections": 8}))
    server_set.primary.execute("CREATE TABLE statements.t (id INT PRIMARY KEY, v VARCHAR(40))")
    server_set.primary.execute("INSERT INTO statements.t VALUES " + ", ".join(f"({n}, 'v{n}')" for n in range(200)))
    server_set.wait_for_replicas()

    def crowd(first: int) -> None:
        dice = random.Random(first)
        sessions = [Session(router.connect(database=database, autocommit=True)) for _ in range(20)]
        for session in sessions:
            session.prepare("read", "SELECT id, v FROM t WHERE id = ?")
            session.prepare("echo", "SELECT ?, ?")
            session.prepare("write", "UPDATE t SET v = ? WHERE id = ?")
        for _ in range(15):
            for number, session in enumerate(sessions, first):
                read = session.execute("read", number)
                assert read[4] == b"\0\0" + struct.pack("<I", number) + row_text(f"v{number}"), read
                mark = f"{number} {dice.random()}"
                echo = session.execute("echo", mark, number)[4]
                assert echo.startswith(b"\0\0" + row_text(mark) + struct.pack("<i", number)), echo
                assert session.execute("write", f"v{number}", number)[0][:1] == b"\0"
        for session in sessions:
            session.connection.close()

    with ThreadPoolExecutor(10) as threads:
        for done in [threads.submit(crowd, first) for first in range(0, 200, 20)]:
            done.result()
    assert (
        router.call(lambda gateway: max(s.pool.size for g in gateway.topology.groups.values() for s in g.servers)) <= 8
    )


def row_text(text: str) -> bytes:
    """A string in a binary row."""
    return bytes([len(text)]) + text.encode()


def test_a_cursor(make_twins: Callable[[int], Twins]) -> None:
    twins = make_twins(0)
    twins.prepare("all", "SELECT id, v FROM {t} ORDER BY id")
    twins.prepare("other", "SELECT 'other'")
    for _ in range(2):
        twins.execute("all", flags=CURSOR)
        for _ in range(3):
            twins.do(lambda session, table: session.fetch("all", 2))
            twins.execute("other")
    twins.execute("all", flags=CURSOR)
    twins.do(lambda session, table: session.reset("all"))
    twins.do(lambda session, table: [error_without_id(session.fetch("all", 2)[0])])
    twins.execute("all", flags=CURSOR)
    twins.do(lambda session, table: session.close("all"))
    twins.text("INSERT INTO {t} (v) VALUES ('still works')")


def error_without_id(text: bytes) -> bytes:
    """The statement's id in an error is the session's own."""
    return text.split(b"(", 2)[0] + text.rpartition(b")")[2]


def test_tables_that_change_between_executions(make_twins: Callable[[int], Twins]) -> None:
    twins = make_twins(0)
    twins.prepare("star", "SELECT * FROM {t} WHERE id = ?")
    twins.prepare("insert", "INSERT INTO {t} (v) VALUES (?)")
    twins.execute("star", 1)
    for change in (
        "ALTER TABLE {t} ADD COLUMN more INT DEFAULT 5",
        "ALTER TABLE {t} DROP COLUMN b",
        "DROP TABLE {t}",
        "CREATE TABLE {t} (id BIGINT, v TEXT)",
    ):
        twins.text(change)
        twins.execute("star", 1)
        twins.execute("insert", "x")
        twins.execute("star", "1")


def test_long_data(make_twins: Callable[[int], Twins]) -> None:
    twins = make_twins(0)
    twins.prepare("blob", "UPDATE {t} SET b = ?, v = ? WHERE id = 1")
    for size in (10, 300_000):
        piece = b"x\0'" * size
        for _ in range(3):
            twins.do(lambda session, table, piece=piece: session.long_data("blob", 0, piece))  # type: ignore[misc]
        twins.do(lambda session, table: session.execute_long("blob", 0, "v"))
        twins.text("SELECT LENGTH(b), MD5(b), v FROM {t} WHERE id = 1")
    twins.do(lambda session, table: session.long_data("blob", 0, b"forgotten"))
    twins.do(lambda session, table: session.reset("blob"))
    twins.execute("blob", "short", "again")
    twins.text("SELECT b, v FROM {t} WHERE id = 1")
    twins.do(lambda session, table: session.long_data("blob", 9, b"there is no such parameter"))
    twins.execute("blob", "after", "that")


def test_more_statements_than_a_connection_keeps(make_twins: Callable[[int], Twins]) -> None:
    twins = make_twins(0)
    for number in range(300):
        twins.prepare(f"s{number}", f"SELECT {number}, ?, v FROM {{t}} WHERE id = ?")
    for number in (*range(0, 300, 7), *range(299, 0, -13)):
        twins.execute(f"s{number}", "x", 1)
    twins.text("BEGIN")
    for number in range(0, 300, 11):
        twins.execute(f"s{number}", number, 2)
    twins.text("COMMIT")


def test_dropping_the_current_database(server_set: ReplicaSet, narrow: RunningRouter, database: str) -> None:
    """The connection is then nowhere, and must not pass for one that is there."""
    first = Session(narrow.connect(database=database, autocommit=True))
    first.prepare("drop", f"DROP DATABASE {database}")
    first.execute("drop")
    server_set.primary.execute(f"CREATE DATABASE {database}")
    others = [Session(narrow.connect(database=database, autocommit=True)) for _ in range(3)]
    for session in others:
        assert session.text("SELECT DATABASE()") == (1, ((database,),))
    assert first.text("SELECT DATABASE()") == (1, ((None,),))


def test_what_a_prepared_statement_leaves_behind(make_twins: Callable[[int], Twins]) -> None:
    """State changed by prepared statements goes with the session, to other connections too."""
    twins, other = make_twins(0), make_twins(1)
    for name, sql in (
        ("variable", "SET @mine = ?"),
        ("temporary", "CREATE TEMPORARY TABLE mine (a INT)"),
        ("names", "SET NAMES latin1"),
        ("mode", "SET sql_mode = ?"),
    ):
        twins.prepare(name, sql)
    for name, values in (("mode", ("ANSI_QUOTES",)), ("names", ()), ("variable", (5,)), ("temporary", ())):
        twins.execute(name, *values)
        other.text("SELECT @mine, @@sql_mode, @@character_set_client")
        twins.text("SELECT @mine, @@sql_mode, @@character_set_client")
    twins.text("INSERT INTO mine VALUES (1)")
    other.text("INSERT INTO mine VALUES (1)")


def test_prepared_statements_go_where_text_goes(server_set: ReplicaSet, router: RunningRouter, database: str) -> None:
    server_set.primary.execute("CREATE TABLE statements.t (id INT PRIMARY KEY, v VARCHAR(40))")
    server_set.wait_for_replicas()
    session = Session(router.connect(database=database, autocommit=True))
    session.prepare("read", "SELECT v FROM t WHERE id = ?")
    session.prepare("lock", "SELECT v FROM t WHERE id = ? FOR UPDATE")
    session.prepare("write", "INSERT INTO t VALUES (?, ?)")
    since = mark_all(server_set)
    for number in range(4):
        session.execute("write", number, "x")
        session.execute("lock", number)
        session.execute("read", number)
    session.text("BEGIN")
    session.execute("read", 1)
    session.text("COMMIT")
    seen = statements_by_server(server_set, since)
    primary = [sql for sql in seen[server_set.primary.name] if sql.startswith(("SELECT", "INSERT"))]
    assert len([sql for sql in primary if sql.startswith("INSERT")]) >= 4
    assert [sql for sql in primary if "FOR UPDATE" not in sql and sql.startswith("SELECT v")], "in the transaction"
    reads = [sql for name, log in seen.items() if name != server_set.primary.name for sql in log]
    assert len([sql for sql in reads if sql.startswith("SELECT v")]) >= 4
    assert not [sql for sql in reads if "FOR UPDATE" in sql or sql.startswith("INSERT")]
    session.connection.close()
