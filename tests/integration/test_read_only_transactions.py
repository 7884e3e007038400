"""READ ONLY transactions on one replica: what reaches which server, and what they see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark_all, statements_by_server

Start = Callable[[dict[str, Any]], RunningRouter]
REFUSED = ["SELECT n FROM t FOR UPDATE", "SELECT GET_LOCK('x', 0)"]


@pytest.fixture
def router(server_set: ReplicaSet, tmp_path: Path, start_router: Start) -> Iterator[RunningRouter]:
    """In front of database ``quiet`` with a row."""
    server_set.primary.execute("DROP DATABASE IF EXISTS quiet")
    server_set.primary.execute("CREATE DATABASE quiet")
    server_set.primary.execute("CREATE TABLE quiet.t (id INT PRIMARY KEY, n INT)")
    server_set.primary.execute("INSERT INTO quiet.t VALUES (1, 0)")
    server_set.wait_for_replicas()
    yield start_router(settings_for(server_set, tmp_path, reads={"read_only_transactions": "replicas"}))
    server_set.primary.execute("DROP DATABASE quiet")
    server_set.wait_for_replicas()


def asked(server_set: ReplicaSet, since: dict[str, Any]) -> dict[str, list[str]]:
    """Server → the client's statements that it has seen."""
    seen = statements_by_server(server_set, since)
    words = ("START", "BEGIN", "COMMIT", "ROLLBACK", "UPDATE", "SELECT n", "SELECT COUNT", "SAVEPOINT")
    return {name: [each for each in them if each.startswith(words)] for name, them in seen.items()}


def test_a_transaction_that_only_reads_is_on_one_replica(server_set: ReplicaSet, router: RunningRouter) -> None:
    with router.connect(database="quiet") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE t SET n = 7")
        since = mark_all(server_set)
        cursor.execute("START TRANSACTION READ ONLY")
        cursor.execute("SELECT n FROM t")
        assert cursor.fetchall() == ((7,),), "it sees what its session has written"
        cursor.execute("SAVEPOINT here")
        cursor.execute("SELECT COUNT(*) FROM t")
        server_set.primary.execute("UPDATE quiet.t SET n = 8")
        server_set.wait_for_replicas()
        cursor.execute("SELECT n FROM t")
        assert cursor.fetchall() == ((7,),), "and one snapshot"
        for sql in REFUSED:
            with pytest.raises(pymysql.NotSupportedError, match="READ ONLY transaction is on a replica"):
                cursor.execute(sql)
        with pytest.raises(pymysql.MySQLError, match="Cannot execute statement in a READ ONLY transaction") as refused:
            cursor.execute("UPDATE t SET n = 9")
        assert refused.value.args[0] == 1792
        cursor.execute("COMMIT")
        seen = asked(server_set, since)
        where = [name for name, statements in seen.items() if "SELECT n FROM t" in statements]
        assert where not in ([], ["primary"])
        assert len(where) == 1
        assert [each.upper().split()[0] for each in seen[where[0]]] == [
            *("START", "SELECT", "SAVEPOINT", "SELECT", "SELECT", "COMMIT"),
        ]
        assert seen["primary"] == []
        cursor.execute("BEGIN")
        cursor.execute("SELECT n FROM t")
        cursor.execute("UPDATE t SET n = 9")
        cursor.execute("COMMIT")
        assert server_set.primary.value("SELECT n FROM quiet.t") == 9


def test_a_session_that_only_reads(server_set: ReplicaSet, router: RunningRouter) -> None:
    """As Connector/J says it for a connection that is readOnly, with autocommit off."""
    with router.connect(database="quiet") as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("SET autocommit = 0")
        since = mark_all(server_set)
        cursor.execute("SELECT n FROM t")
        cursor.execute("SELECT COUNT(*) FROM t")
        with pytest.raises(pymysql.MySQLError, match="READ ONLY transaction"):
            cursor.execute("UPDATE t SET n = 9")
        connection.commit()
        assert asked(server_set, since)["primary"] == []
        cursor.execute("SET SESSION TRANSACTION READ WRITE")
        cursor.execute("UPDATE t SET n = 10")
        connection.commit()
        assert server_set.primary.value("SELECT n FROM quiet.t") == 10


def test_what_begins_otherwise_is_on_the_primary(server_set: ReplicaSet, router: RunningRouter) -> None:
    with router.connect(database="quiet") as connection, connection.cursor() as cursor:
        cursor.execute("START TRANSACTION READ ONLY")
        cursor.execute("SELECT GET_LOCK('quiet', 0)")
        assert cursor.fetchall() == ((1,),)
        assert server_set.primary.value("SELECT IS_USED_LOCK('quiet') IS NOT NULL") == 1
        cursor.execute("SELECT RELEASE_LOCK('quiet')")
        cursor.execute("COMMIT")
