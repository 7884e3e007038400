"""``/*+ router(trace) */`` in front of servers: the same answers, and what SHOW WARNINGS tells of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mysql.connector
import pymysql
import pytest
from pymysql.connections import Connection

from router.cluster.topology import Group
from router.gateway import Gateway
from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for
from tests.integration.bank import bank, fill, rows

Start = Callable[[dict[str, Any]], RunningRouter]
HINT = "/*+ router(trace) */ "
TIME = re.compile(r"\d+\.\d{3} ms")
NUMBER = re.compile(r"connection \d+|\d+ bytes")


def told(connection: Connection) -> list[str]:
    """What SHOW WARNINGS says, with all times and numbers of the day alike; notes of the router without their mark."""
    found = []
    for level, code, text in rows(connection, "SHOW WARNINGS"):
        if text.startswith("router: "):
            assert (level, code) == ("Note", 1003)
            found.append(
                TIME.sub("T", NUMBER.sub(lambda it: re.sub(r"\d+", "N", it[0]), text.removeprefix("router: ")))
            )
        else:
            found.append(f"{level} {code}")
    return found


@pytest.fixture(params=["0", "1MiB"], ids=["", "replay"])
def router(
    server_set: ReplicaSet, tmp_path: Path, start_router: Start, request: pytest.FixtureRequest
) -> Iterator[RunningRouter]:
    """In front of database ``notes`` with a table of two rows; with and without transaction replay."""
    primary = server_set.primary
    primary.execute("DROP DATABASE IF EXISTS notes")
    primary.execute("CREATE DATABASE notes")
    primary.execute("CREATE TABLE notes.t (id INT PRIMARY KEY, n INT)")
    primary.execute("INSERT INTO notes.t VALUES (1, 0), (2, 0)")
    server_set.wait_for_replicas()
    settings = settings_for(server_set, tmp_path, pool={"max_connections": 1})
    settings["users"]["app"]["transaction_replay"] = request.param
    running = start_router(settings)
    yield running
    primary.execute("DROP DATABASE notes")
    server_set.wait_for_replicas()


@pytest.fixture
def session(router: RunningRouter) -> Iterator[Connection]:
    """A session that writes and reads."""
    with router.connect(database="notes") as connection:
        yield connection


def leg(place: str, rows_of: str, *, first: bool = True, behind: bool = False) -> str:
    """The line of a server."""
    question = ", behind a question for what the session must see" if behind else ""
    return f"{place}: sent at T{question}, first byte at T, last at T, {rows_of}, N bytes"


def test_on_one_server(session: Connection) -> None:
    answer = rows(session, "SELECT id FROM t ORDER BY id")
    assert rows(session, HINT + "SELECT id FROM t ORDER BY id") == answer == [(1,), (2,)]
    lines = told(session)
    assert lines[:2] == ["planned anew", "replica: read"]
    assert re.fullmatch(
        r"group main: replica[12], connection N: sent at T, first byte at T, last at T, 2 rows, N bytes", lines[-2]
    )
    assert lines[-1] == "total T"
    assert told(session)[:2] == lines[:2], "it can be asked again"
    rows(session, HINT + "SELECT id FROM t ORDER BY id")
    assert told(session)[:2] == ["plan from the cache", "replica: read"]
    rows(session, "SELECT id FROM t")
    assert told(session) == [], "it is about the statement right before"
    with session.cursor() as cursor:
        assert cursor.execute(HINT + "UPDATE t SET n = n + 1") == 2
    lines = told(session)
    assert lines[1] == "primary: write"
    assert lines[-2] == leg("group main: primary, connection N", "2 rows affected")
    rows(session, HINT + "SELECT id FROM t")
    assert leg("", "2 rows", behind=True) in told(session)[-2][-len(leg("", "2 rows", behind=True)) :]


def test_with_the_servers_own_warnings(session: Connection) -> None:
    for begin, end in (("DO 0", "DO 0"), ("BEGIN", "ROLLBACK")):
        rows(session, begin)
        with session.cursor() as cursor:
            cursor.execute(HINT + "SELECT 1 + '1x'")
            assert cursor.fetchall() == ((2.0,),)
            assert cursor.warning_count == 1, "the server's own"
        lines = told(session)
        assert lines[-1] == "Warning 1292"
        assert lines[-2] == "total T"
        assert lines[1] == ("replica: read" if begin == "DO 0" else "primary: transaction (read)")
        assert told(session)[-1] == "Warning 1292"
        assert rows(session, "SHOW WARNINGS LIMIT 1")[0][1] == 1292
        with pytest.raises(pymysql.MySQLError):
            rows(session, HINT + "SELECT * FROM missing")
        lines = told(session)
        assert lines[-1] == "Error 1146"
        assert "error 1146" in lines[-3]
        rows(session, end)


def test_waits(router: RunningRouter, session: Connection) -> None:
    def main(gateway: Gateway) -> Group:
        return gateway.topology.groups["main"]

    router.call(lambda gateway: main(gateway).pause())
    waiting = threading.Thread(target=rows, args=(session, HINT + "UPDATE t SET n = 5"))
    waiting.start()
    waiting.join(0.2)
    router.call(lambda gateway: main(gateway).resume())
    waiting.join(10)
    assert "group main: waited T for the end of a pause of group main" in told(session)
    with router.connect(database="notes") as other:
        rows(other, "BEGIN")
        rows(other, "UPDATE t SET n = 6")
        waiting = threading.Thread(target=rows, args=(session, HINT + "SELECT COUNT(*) FROM t FOR UPDATE"))
        waiting.start()
        waiting.join(0.2)
        rows(other, "COMMIT")
        waiting.join(10)
        found = told(session)
    assert "group main: waited T for a connection that others use to primary" in found
    milliseconds = [
        float(it) for line in rows(session, "SHOW WARNINGS") for it in re.findall(r"waited (\S+) ms", line[2])
    ]
    assert milliseconds
    assert 100 < milliseconds[-1] < 5000


def test_with_other_hints_and_misspelt(session: Connection) -> None:
    rows(session, "/*+ router(primary, trace) */ SELECT id FROM t")
    assert told(session)[1] == "primary: hint"
    for wrong in ("traced", "trace=1"):
        with pytest.raises(pymysql.NotSupportedError, match=r"known are primary, .*, trace"):
            rows(session, f"/*+ router({wrong}) */ SELECT 1")


def test_prepared(router: RunningRouter) -> None:
    options = {"host": "127.0.0.1", "port": router.port, "user": "app", "password": router.password}
    with mysql.connector.connect(**options, database="notes", use_pure=True, autocommit=True) as connection:
        with connection.cursor(prepared=True) as cursor:
            cursor.execute(HINT + "SELECT id FROM t WHERE id = %s", (2,))
            assert cursor.fetchall() == [(2,)]
        # Closing the statement is no statement.
        with connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            lines = [str(list(row)[2]) for row in cursor.fetchall()]
    assert lines[:2] == ["router: plan of the prepared statement", "router: replica: read"]
    assert ", 1 rows, " in lines[-2]


@pytest.mark.mysql
def test_on_shards(mariadb_set: ReplicaSet, mysql_set: ReplicaSet, start_router: Start, tmp_path: Path) -> None:
    with bank(mariadb_set, mysql_set, tmp_path, "best_effort") as settings:
        router = start_router(settings)
        with router.connect(database="bank") as connection:
            fill(connection)
            read = "SELECT id, amount FROM accounts ORDER BY id"
            answer = rows(connection, read)
            assert rows(connection, HINT + read) == answer
            lines = told(connection)
            assert lines[:2] == ["planned anew", "primary: reads_from_primary"]
            assert [line for line in lines if line.startswith("shard") and "sent at" in line] == [
                leg("shard s0: primary, connection N", "3 rows"),
                leg("shard s1: mysql-primary, connection N", "3 rows"),
                leg("shard s2: primary, connection N", "3 rows"),
            ]
            assert lines[-2:] == ["put together T after the last of them", "total T"]
            rows(connection, HINT + "SELECT amount FROM accounts WHERE id = 4")
            assert leg("shard s1: mysql-primary, connection N", "1 rows") in told(connection)
            for begin, end in (("DO 0", "DO 0"), ("BEGIN", "COMMIT")):
                rows(connection, begin)
                with connection.cursor() as cursor:
                    assert cursor.execute(HINT + "UPDATE accounts SET amount = amount + 1") == 9
                found = [line for line in told(connection) if line.startswith("shard") and "sent at" in line]
                assert [line.split(",")[0] for line in found] == [
                    "shard s0: primary",
                    "shard s1: mysql-primary",
                    "shard s2: primary",
                ]
                assert all("3 rows affected" in line for line in found)
                assert rows(connection, HINT + read)[0] == (0, 101 if begin == "DO 0" else 102)
                assert sum(line.startswith("shard") and "sent at" in line for line in told(connection)) == 3
                rows(connection, end)
            rows(connection, HINT + "SELECT amount FROM accounts WHERE id > (SELECT MIN(id) FROM accounts)")
            assert sum(line.startswith("shard") and "sent at" in line for line in told(connection)) == 6
            rows(connection, HINT + "SELECT id, amount + '1x' FROM accounts")
            assert told(connection)[-1] == "what the servers have warned of is not known here"
        options = {"host": "127.0.0.1", "port": router.port, "user": "app", "password": router.password}
        with mysql.connector.connect(**options, database="bank", use_pure=True, autocommit=True) as prepared:
            with prepared.cursor(prepared=True) as cursor:
                cursor.execute(HINT + "SELECT id FROM accounts WHERE amount > %s", (0,))
                assert len(cursor.fetchall()) == 9
            with prepared.cursor() as cursor:
                cursor.execute("SHOW WARNINGS")
                assert sum(": sent at " in str(list(row)[2]) for row in cursor.fetchall()) == 3
