"""What reached each server, by the servers' own logs, is exactly what the rules say – and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import CLIENT

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark_all, statements_by_server

# What the router sends on its own account: it settles a connection, takes it to a session's state, asks what no
# tracker reports, keeps LAST_INSERT_ID() for later. It writes "name = value"; the scripts here write "name=value".
_TERM = r"(NAMES \w+ COLLATE \w+|\w+ = (DEFAULT|NULL|'[^']*'|\d+))"
BOOKKEEPING = re.compile(
    rf"SET {_TERM}(, {_TERM})*|"
    r"SELECT @@character_set_client, @@character_set_results, @@collation_connection|"
    r"SELECT LAST_INSERT_ID\(\)|"
    r"SELECT EXP\(IF\(.*_WAIT.*\)\)|SELECT EXP\(IF\(WAIT_FOR_EXECUTED_GTID_SET.*\)\)|"
    r"DO \(SELECT 1 FROM \(SELECT 1\) AS t\)"
)

PRIMARY, REPLICA = "primary", "replica"

PLACES: list[tuple[str, str]] = [
    ("SELECT v FROM t WHERE id = 1", REPLICA),
    ("select count(*), max(v), UPPER('x') from t where id in (1, 2) group by v order by 1 limit 3", REPLICA),
    ("(SELECT id FROM t) UNION ALL (SELECT 2)", REPLICA),
    ("WITH c AS (SELECT id FROM t) SELECT * FROM c", REPLICA),
    ("/* app:web */ SELECT 1 FROM t -- trailing", REPLICA),
    ("SELECT @@sql_mode, @@time_zone, NOW(), DATABASE()", REPLICA),
    ("SELECT a.v FROM t AS a JOIN t AS b ON a.id = b.id WHERE a.v LIKE '%for update%'", REPLICA),
    ("SELECT v FROM t WHERE id = 1 FOR UPDATE", PRIMARY),
    ("SELECT v FROM t WHERE id = 1 LOCK IN SHARE MODE", PRIMARY),
    ("SELECT v FROM t /*! FOR UPDATE */", PRIMARY),
    ("SELECT twice(1)", PRIMARY),
    ("SELECT places.twice(2) FROM t", PRIMARY),
    ("SELECT GET_LOCK('x', 0)", PRIMARY),
    ("SELECT RELEASE_LOCK('x')", PRIMARY),
    ("SELECT v INTO @kept FROM t WHERE id = 1", PRIMARY),
    ("SELECT @@hostname IS NULL", PRIMARY),
    ("INSERT INTO t (v) VALUES ('new')", PRIMARY),
    ("UPDATE t SET v = 'changed' WHERE id = 1", PRIMARY),
    ("DELETE FROM t WHERE id = 99", PRIMARY),
    ("REPLACE INTO t VALUES (1, 'one')", PRIMARY),
    ("CALL nothing()", PRIMARY),
    ("CREATE TABLE other (a INT)", PRIMARY),
    ("DROP TABLE IF EXISTS other", PRIMARY),
    ("SHOW TABLES", PRIMARY),
    ("DO 1", PRIMARY),
    ("/*+ router(primary) */ SELECT v FROM t", PRIMARY),
    ("SELECT SQL_CALC_FOUND_ROWS v FROM t LIMIT 1", PRIMARY),
]


@pytest.fixture
def places(server_set: ReplicaSet) -> Iterator[None]:
    """Database ``places`` with a table, a function and a procedure."""
    primary = server_set.primary
    primary.execute("SET GLOBAL log_bin_trust_function_creators = 1")
    primary.execute("DROP DATABASE IF EXISTS places")
    primary.execute("CREATE DATABASE places")
    primary.execute("CREATE TABLE places.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))")
    primary.execute("INSERT INTO places.t (v) VALUES ('a'), ('b')")
    primary.execute("CREATE FUNCTION places.twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2")
    primary.execute("CREATE PROCEDURE places.nothing() BEGIN END")
    server_set.wait_for_replicas()
    yield
    primary.execute("DROP DATABASE places")


def run(connection: Connection, sql: str) -> None:
    with connection.cursor() as cursor, suppress(pymysql.err.Warning):
        cursor.execute(sql)
        cursor.fetchall()


def seen_by(servers: ReplicaSet, since: dict[str, int]) -> dict[str, list[str]]:
    """Statements by role, the router's bookkeeping left out."""
    by_server = statements_by_server(servers, since)
    roles: dict[str, list[str]] = {PRIMARY: [], REPLICA: []}
    for server, statements in by_server.items():
        role = PRIMARY if server == servers.primary.name else REPLICA
        roles[role] += [sql for sql in statements if not BOOKKEEPING.fullmatch(sql)]
    return roles


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(("sql", "place"), PLACES, ids=[sql for sql, _ in PLACES])
def test_each_statement_reaches_its_place_once(
    server_set: ReplicaSet, router: RunningRouter, sql: str, place: str
) -> None:
    with router.connect(database="places") as connection:
        since = mark_all(server_set)
        run(connection, sql)
    assert seen_by(server_set, since) == {PRIMARY: [], REPLICA: [], place: [sql]}


@pytest.mark.usefixtures("places")
def test_a_scripted_mix(server_set: ReplicaSet, router: RunningRouter) -> None:
    """One session: what is in a transaction, or needs the session's own state, stays on the primary."""
    script = [
        ("SELECT v FROM t WHERE id = 1", REPLICA),
        ("BEGIN", PRIMARY),
        ("SELECT v FROM t WHERE id = 2", PRIMARY),
        ("UPDATE t SET v = 'x' WHERE id = 1", PRIMARY),
        ("COMMIT", PRIMARY),
        ("SELECT v FROM t WHERE id = 3", REPLICA),
        ("SET autocommit=0", PRIMARY),
        ("SELECT v FROM t WHERE id = 4", PRIMARY),
        ("ROLLBACK", PRIMARY),
        ("SELECT v FROM t WHERE id = 5", PRIMARY),
        ("COMMIT", PRIMARY),
        ("SET autocommit=1", PRIMARY),
        ("SELECT v FROM t WHERE id = 6", REPLICA),
        ("INSERT INTO t (v) VALUES ('y')", PRIMARY),
        ("SELECT LAST_INSERT_ID(), 1", PRIMARY),
        ("SELECT v FROM t WHERE id = 7", REPLICA),
        ("SET sql_mode='ANSI_QUOTES'", PRIMARY),
        ('SELECT "v" FROM t WHERE id = 8', REPLICA),
        ("SET @a=1", PRIMARY),
        ("SELECT v FROM t WHERE id = 9", REPLICA),
        ("SELECT @a", PRIMARY),
        ("SET @a=NOW()", PRIMARY),
        ("SELECT v FROM t WHERE id = 10", PRIMARY),
    ]
    with router.connect(database="places") as connection:
        since = mark_all(server_set)
        for sql, _ in script:
            run(connection, sql)
    seen = seen_by(server_set, since)
    assert seen[PRIMARY] == [sql for sql, place in script if place == PRIMARY]
    assert sorted(seen[REPLICA]) == sorted(sql for sql, place in script if place == REPLICA)


@pytest.mark.usefixtures("places")
def test_reads_are_shared_by_the_replicas(server_set: ReplicaSet, router: RunningRouter) -> None:
    with router.connect(database="places") as connection:
        since = mark_all(server_set)
        for number in range(20):
            run(connection, f"SELECT v FROM t WHERE id = {number}")
    by_server = statements_by_server(server_set, since)
    for replica in server_set.replicas:
        assert sum("FROM t WHERE" in sql for sql in by_server[replica.name]) >= 5


@pytest.mark.usefixtures("places")
def test_multi_statements_go_to_the_primary_as_one(server_set: ReplicaSet, router: RunningRouter) -> None:
    with router.connect(database="places", client_flag=CLIENT.MULTI_STATEMENTS) as connection:
        since = mark_all(server_set)
        connection.query("SELECT 1 FROM t; SELECT 2 FROM t")
        connection.next_result()
    assert seen_by(server_set, since)[REPLICA] == []


@pytest.mark.usefixtures("places")
def test_rules_come_first(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    settings = settings_for(server_set, tmp_path)
    settings["rules"] = [
        {"name": "fresh", "when": {"regex": "(?i)where id = 42"}, "send_to": {"group": "main", "role": "primary"}},
        {"name": "no-scan", "when": {"digest": "SELECT * FROM t"}, "reject": "add a WHERE clause"},
    ]
    router = start_router(settings)
    with router.connect(database="places") as connection:
        since = mark_all(server_set)
        run(connection, "SELECT v FROM t WHERE id = 42")
        run(connection, "SELECT v FROM t WHERE id = 43")
        with pytest.raises(pymysql.MySQLError, match="add a WHERE clause"):
            run(connection, "select  *  from t")
        run(connection, "SELECT * FROM t LIMIT 1")
    seen = seen_by(server_set, since)
    assert seen[PRIMARY] == ["SELECT v FROM t WHERE id = 42"]
    assert sorted(seen[REPLICA]) == ["SELECT * FROM t LIMIT 1", "SELECT v FROM t WHERE id = 43"]


@pytest.mark.usefixtures("places")
def test_explain_route_says_where_and_sends_nothing(server_set: ReplicaSet, router: RunningRouter) -> None:
    with router.connect(database="places") as connection:
        run(connection, "SELECT 1 FROM t")
        since = mark_all(server_set)
        answers = {}
        for sql in ("SELECT v FROM t", "UPDATE t SET v = 'x'", "SELECT v FROM t FOR UPDATE"):
            with connection.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute(f"EXPLAIN ROUTE {sql}")
                (answers[sql],) = cursor.fetchall()
        assert seen_by(server_set, since) == {PRIMARY: [], REPLICA: []}
    assert [(row["role"], row["reason"]) for row in answers.values()] == [
        ("replica", "read"),
        ("primary", "write"),
        ("primary", "locking_read"),
    ]
    assert answers["SELECT v FROM t"]["server"] in {replica.name for replica in server_set.replicas}
    assert answers["UPDATE t SET v = 'x'"]["server"] == server_set.primary.name


@pytest.mark.usefixtures("places")
def test_without_replicas_the_primary_reads(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    settings = settings_for(server_set, tmp_path)
    del settings["groups"]["main"]["servers"][1:]
    router = start_router(settings)
    with router.connect(database="places") as connection:
        since = mark_all(server_set)
        run(connection, "SELECT v FROM t")
    assert seen_by(server_set, since)[PRIMARY] == ["SELECT v FROM t"]
