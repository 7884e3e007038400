"""EXPLAIN ROUTE against what then happens: the servers' own logs say where a statement has run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.cluster.topology import Group
from router.gateway import Gateway
from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark_all, statements_by_server
from tests.integration.bank import bank, fill, rows
from tests.integration.test_consistency import START, frozen

Start = Callable[[dict[str, Any]], RunningRouter]
NUMBERS = count(1)
READ = "SELECT n AS n{} FROM t"
WRITE = "UPDATE t SET n = {} WHERE id = 1"
LOCKING = "SELECT n AS n{} FROM t FOR UPDATE"
NO_TABLE = "SELECT {}"
PRIMARY, REPLICA = "primary", "replica"
# What the session has said before; then (statement, role, reason) of what it is asked for, one after the other.
SITUATIONS: dict[str, tuple[list[str], list[tuple[str, str, str]]]] = {
    "nothing": ([], [(READ, REPLICA, "read"), (READ, REPLICA, "read"), (WRITE, PRIMARY, "write")]),
    "a transaction": (
        ["BEGIN"],
        [
            (READ, PRIMARY, "transaction (read)"),
            (WRITE, PRIMARY, "write"),
            (LOCKING, PRIMARY, "locking_read"),
            (NO_TABLE, PRIMARY, "transaction (read)"),
            (READ, PRIMARY, "transaction (read)"),
        ],
    ),
    "autocommit is off": (
        ["SET autocommit = 0"],
        [(READ, PRIMARY, "autocommit_off (read)"), (READ, PRIMARY, "transaction (read)"), (WRITE, PRIMARY, "write")],
    ),
    "after the transaction": (["BEGIN", WRITE.format(0), "COMMIT"], [(WRITE, PRIMARY, "write")]),
    "a temporary table": (
        ["CREATE TEMPORARY TABLE mine (n INT)"],
        [
            ("SELECT n AS n{} FROM mine", PRIMARY, "pinned: temporary_table (read)"),
            (READ, PRIMARY, "pinned: temporary_table (read)"),
            (WRITE, PRIMARY, "write"),
        ],
    ),
    "a lock": (["SELECT GET_LOCK('foresight', 0)"], [(READ, PRIMARY, "pinned: named_lock (read)")]),
    "a hint": ([], [("/*+ router(primary) */ SELECT n + {} FROM t", PRIMARY, "hint")]),
    "LAST_INSERT_ID()": (
        ["INSERT INTO ids VALUES ()"],
        [("SELECT LAST_INSERT_ID() + {}", PRIMARY, "looks_back: last_insert_id")],
    ),
    "a READ ONLY transaction": (
        ["START TRANSACTION READ ONLY"],
        [
            (READ, REPLICA, "read"),
            (NO_TABLE, REPLICA, "transaction (read)"),
            (READ, REPLICA, "transaction (read)"),
        ],
    ),
    "a READ ONLY transaction that begins with a lock": (
        ["START TRANSACTION READ ONLY", "SELECT GET_LOCK('foresight', 0)"],
        [(READ, PRIMARY, "transaction (read)")],
    ),
    "a READ ONLY session": (
        ["SET SESSION TRANSACTION READ ONLY", "SET autocommit = 0"],
        [(READ, REPLICA, "read"), (READ, REPLICA, "transaction (read)")],
    ),
}


def compare(servers: list[ReplicaSet], connection: Connection, shape: str) -> tuple[set[str], list[str], list[str]]:
    """Say a statement: the servers it went to, and what EXPLAIN ROUTE had said of roles and reasons."""
    sql = shape.format(next(NUMBERS))
    told = rows(connection, f"EXPLAIN ROUTE {sql}")
    texts = {sql, *(row[4] for row in told)}
    since = [mark_all(each) for each in servers]
    rows(connection, sql)
    went = {
        server
        for each, marks in zip(servers, since, strict=True)
        for server, seen in statements_by_server(each, marks).items()
        if texts & set(seen)
    }
    return went, [row[1] for row in told], [f"{row[2]}: {row[5]}" for row in told]


@pytest.fixture
def notes(server_set: ReplicaSet) -> Iterator[ReplicaSet]:
    """Database ``notes``, on all servers."""
    primary = server_set.primary
    primary.execute("DROP DATABASE IF EXISTS notes")
    primary.execute("CREATE DATABASE notes")
    primary.execute("CREATE TABLE notes.t (id INT PRIMARY KEY, n INT)")
    primary.execute("CREATE TABLE notes.ids (id INT AUTO_INCREMENT PRIMARY KEY)")
    primary.execute("INSERT INTO notes.t VALUES (1, 0)")
    server_set.wait_for_replicas()
    yield server_set
    for replica in server_set.replicas:
        replica.execute(START[server_set.flavor])
    primary.execute("DROP DATABASE notes")
    server_set.wait_for_replicas()


@pytest.mark.parametrize("balance", ["least_busy", "round_robin"])
def test_on_one_group(notes: ReplicaSet, start_router: Start, tmp_path: Path, balance: str) -> None:
    reads = {"read_only_transactions": "replicas", "balance": balance}
    router = start_router(settings_for(notes, tmp_path, reads=reads))
    for situation, (before, asked) in SITUATIONS.items():
        with router.connect(database="notes") as connection:
            for sql in before:
                rows(connection, sql)
            for shape, role, reason in asked:
                went, told, why = compare([notes], connection, shape)
                assert (sorted(went), why) == (told, [f"{role}: {reason}"]), f"{situation}: {shape}"
    with router.connect(database="notes") as connection:
        rows(connection, "START TRANSACTION READ ONLY")
        rows(connection, "SELECT n FROM t")
        for sql in ("UPDATE t SET n = 1", "SELECT n FROM t FOR UPDATE"):
            ((_, server, role, _, _, reason),) = rows(connection, f"EXPLAIN ROUTE {sql}")
            with pytest.raises(pymysql.MySQLError) as refused:
                rows(connection, sql)
            assert (server, role, reason) == (None, None, f"refused: {refused.value.args[1]}")
        ((_, server, _, _, _, reason),) = rows(connection, "EXPLAIN ROUTE BEGIN")
        assert (server, reason.split(":")[0]) == (None, "answered by the router")
    with router.connect(database="notes") as connection:
        ((_, server, _, _, _, reason),) = rows(connection, "EXPLAIN ROUTE KILL 17")
        assert (server, reason) == (None, "answered by the router")


def test_replicas_that_are_behind(notes: ReplicaSet, start_router: Start, tmp_path: Path) -> None:
    router = start_router(settings_for(notes, tmp_path, reads={"max_lag": "any"}))
    names = {replica.name for replica in notes.replicas}
    with router.connect(database="notes") as connection, frozen(notes):
        rows(connection, WRITE.format(-1))
        for _ in names:
            went, (told,), (why,) = compare([notes], connection, READ)
            assert told in names
            assert why.startswith("replica: read; it waits there for what the session must see")
            assert went == {told, notes.primary.name}, "it has waited there in vain"
        went, told_now, why_now = compare([notes], connection, READ)
        assert (went, told_now) == ({notes.primary.name}, [notes.primary.name])
        assert why_now == ["primary: read; no replica is known to have what the session must see"]
        went, told_now, why_now = compare([notes], connection, "/*+ router(max_lag=0s) */ SELECT n + {} FROM t")
        assert (went, told_now) == ({notes.primary.name}, [notes.primary.name])


def test_paused_and_without_a_primary(notes: ReplicaSet, start_router: Start, tmp_path: Path) -> None:
    router = start_router(settings_for(notes, tmp_path))

    def main(gateway: Gateway) -> Group:
        return gateway.topology.groups["main"]

    with router.connect(database="notes") as held, router.connect(database="notes") as connection:
        rows(held, "BEGIN")
        rows(held, WRITE.format(-2))
        router.call(lambda gateway: main(gateway).pause())
        for shape in (READ, WRITE):
            ((_, server, _, _, _, reason),) = rows(connection, f"EXPLAIN ROUTE {shape.format(0)}")
            assert (server, reason.partition("; ")[2]) == ("group main", "it waits: group 'main' is paused")
        went, told, why = compare([notes], held, READ)
        assert (sorted(went), why) == (told, ["primary: transaction (read)"])
        waiting = threading.Thread(target=rows, args=(connection, "SELECT n AS waited FROM t"))
        since = mark_all(notes)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        # (A connection that had been opened before may become ready only now.)
        seen = [sql for each in statements_by_server(notes, since).values() for sql in each]
        assert not [sql for sql in seen if "waited" in sql]
        router.call(lambda gateway: main(gateway).resume())
        waiting.join(10)
        rows(held, "COMMIT")

        def drain(gateway: Gateway) -> None:
            group = main(gateway)
            assert group.elected is not None
            group.drain(group.elected)

        router.call(drain)
        ((_, server, role, _, _, reason),) = rows(connection, f"EXPLAIN ROUTE {WRITE.format(1)}")
        assert (server, role) == ("group main", "primary")
        assert reason == "write; it waits: no primary of group 'main' is available"
        went, told, why = compare([notes], connection, READ)
        assert (sorted(went), why) == (told, ["replica: read"])


# --- on several -------------------------------------------------------------------------------------------------------

ON_S0, ON_S1 = "SELECT amount AS a{} FROM accounts WHERE id = 0", "SELECT amount AS a{} FROM accounts WHERE id = 1"
OF_ALL = "SELECT id, amount + {} FROM accounts"
PAY_ALL = "UPDATE accounts SET amount = amount + {}"
# As above, with (statement, servers by role, what each reason begins with).
SEVERAL: dict[str, tuple[list[str], list[tuple[str, str, str]]]] = {
    "nothing": ([], [(ON_S0, "replica", "read"), (OF_ALL, "replica", "read"), (PAY_ALL, "primary", "write")]),
    "BEGIN, which waits for a place": (
        ["BEGIN"],
        [
            (NO_TABLE, "primary", "transaction (read)"),
            (ON_S0, "primary", "transaction (read)"),
            (ON_S0, "primary", "transaction (read)"),
            (ON_S1, "primary", "transaction (read)"),
            (OF_ALL, "primary", "transaction (read)"),
            (PAY_ALL, "primary", "write"),
            (NO_TABLE, "primary", "transaction (read)"),
            ("COMMIT /* {} */", "primary", "transaction"),
        ],
    ),
    "BEGIN, and then all of them": (
        ["BEGIN"],
        [(OF_ALL, "primary", "transaction (read)"), (ON_S1, "primary", "transaction (read)")],
    ),
    "BEGIN, and then a write to all": (
        ["BEGIN"],
        [(PAY_ALL, "primary", "write"), (OF_ALL, "primary", "transaction (read)")],
    ),
    "autocommit is off": (
        ["SET autocommit = 0"],
        [(OF_ALL, "primary", "autocommit_off (read)"), (OF_ALL, "primary", "transaction (read)")],
    ),
    "a query inside": (
        [],
        [("SELECT amount + {} FROM accounts WHERE id = (SELECT MAX(id) FROM rates)", "replica", "")],
    ),
}


@pytest.mark.mysql
def test_on_shards(mariadb_set: ReplicaSet, mysql_set: ReplicaSet, start_router: Start, tmp_path: Path) -> None:
    with bank(mariadb_set, mysql_set, tmp_path, "best_effort") as settings:
        for group in settings["groups"].values():
            group["reads"] = {}
        router = start_router(settings)
        with router.connect(database="bank") as connection:
            fill(connection)
            rows(connection, "INSERT INTO rates (id, rate) VALUES (4, 1)")
        mariadb_set.wait_for_replicas()
        mysql_set.wait_for_replicas()
        for situation, (before, asked) in SEVERAL.items():
            with router.connect(database="bank") as connection:
                for sql in before:
                    rows(connection, sql)
                for shape, role, reason in asked:
                    told, why = compare_several(mariadb_set, mysql_set, connection, shape)
                    assert all(each.startswith(f"{role}: {reason}") for each in why), f"{situation}: {shape}: {why}"
                    assert told, f"{situation}: {shape}"
        with router.connect(database="bank") as connection:
            rows(connection, "BEGIN")
            ((_, server, _, _, _, reason),) = rows(connection, "EXPLAIN ROUTE COMMIT")
            assert (server, reason.split(":")[0]) == (None, "answered by the router")


def compare_several(
    mariadb: ReplicaSet, mysql: ReplicaSet, connection: Connection, shape: str
) -> tuple[list[str], list[str]]:
    """As ``compare``, which it asserts; the servers of both sets have other names in the router's configuration."""
    sql = shape.format(next(NUMBERS))
    told = rows(connection, f"EXPLAIN ROUTE {sql}")
    texts = {sql.partition(" /*")[0], sql, *(row[4] for row in told)}
    since = mark_all(mariadb), mark_all(mysql)
    rows(connection, sql)
    seen = statements_by_server(mariadb, since[0])
    seen |= {f"mysql-{name}": them for name, them in statements_by_server(mysql, since[1]).items()}
    went = {name for name, them in seen.items() if texts & set(them)}
    servers = [row[1] for row in told]
    if "(query 1)" not in str(told[-1][4]):
        assert went == set(servers), sql
    return servers, [f"{row[2]}: {row[5]}" for row in told]
