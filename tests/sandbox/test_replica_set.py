"""Replica sets as the fixtures give them: replication, accounts, and what the servers say they were asked."""

from __future__ import annotations

import contextlib

import pymysql
import pytest

from router.sandbox import ReplicaSet, SandboxError, Server
from tests.fix_servers import log_since, mark, mark_all, statements_by_server, statements_seen


def connect(servers: ReplicaSet, server: Server, *, autocommit: bool = True, **options: object) -> pymysql.Connection:
    """A connection as ``app`` over TCP."""
    return pymysql.connect(
        host=server.host,
        port=server.port,
        user=servers.app_user,
        password=servers.app_password,
        autocommit=autocommit,
        charset="utf8mb4",
        **options,
    )


def test_writes_arrive_on_every_replica(server_set: ReplicaSet, fresh_database: str) -> None:
    server_set.primary.execute(f"CREATE TABLE {fresh_database}.t (id INT PRIMARY KEY)")
    server_set.primary.execute(f"INSERT INTO {fresh_database}.t VALUES (7)")
    server_set.wait_for_replicas()
    assert len(server_set.replicas) == 2
    for replica in server_set.replicas:
        assert replica.execute(f"SELECT id FROM {fresh_database}.t") == [(7,)]


def test_servers_differ_and_replicas_refuse_writes(server_set: ReplicaSet, fresh_database: str) -> None:
    server_set.primary.execute(f"CREATE TABLE {fresh_database}.t (id INT PRIMARY KEY)")
    server_set.wait_for_replicas()
    assert [server.value("SELECT @@server_id") for server in server_set.servers] == [1, 2, 3]
    assert [server.value("SELECT @@read_only") for server in server_set.servers] == [0, 1, 1]
    with (
        contextlib.closing(connect(server_set, server_set.replicas[0])) as connection,
        connection.cursor() as cursor,
        pytest.raises(pymysql.err.OperationalError, match="read-only"),
    ):
        cursor.execute(f"INSERT INTO {fresh_database}.t VALUES (1)")


def test_app_rules_databases_but_not_the_server(server_set: ReplicaSet, fresh_database: str) -> None:
    with contextlib.closing(connect(server_set, server_set.primary)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {fresh_database}.t (id INT PRIMARY KEY)")
        cursor.execute(f"DROP DATABASE {fresh_database}")
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            cursor.execute("SET GLOBAL read_only = 0")


def test_the_monitor_may_look_at_replication_only(server_set: ReplicaSet) -> None:
    replica = server_set.replicas[0]
    connection = pymysql.connect(
        host=replica.host, port=replica.port, user=server_set.monitor_user, password=server_set.monitor_password
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        assert cursor.execute("SHOW REPLICA STATUS") == 1
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            cursor.execute("SELECT * FROM mysql.user")


def test_root_cannot_log_in_over_tcp(server_set: ReplicaSet) -> None:
    with pytest.raises(pymysql.err.OperationalError, match=r"denied|not allowed"):
        pymysql.connect(host="127.0.0.1", port=server_set.primary.port, user="root")


def test_certificates_can_be_verified(server_set: ReplicaSet) -> None:
    assert server_set.certificates is not None
    authority = str(server_set.certificates.ca)
    connection = connect(
        server_set, server_set.primary, ssl_ca=authority, ssl_verify_cert=True, ssl_verify_identity=True
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        [(_, cipher)] = cursor.fetchall()
        assert cipher.startswith("TLS_")


def test_a_replica_that_does_not_follow_is_named(server_set: ReplicaSet, fresh_database: str) -> None:
    stopped = server_set.replicas[1]
    verb = "SLAVE" if stopped.flavor == "mariadb" else "REPLICA"
    stopped.execute(f"STOP {verb}")
    try:
        server_set.primary.execute(f"CREATE TABLE {fresh_database}.t (id INT)")
        with pytest.raises(SandboxError, match=r"replica2 did not reach .* in 0.2 s"):
            server_set.wait_for_replicas(0.2)
    finally:
        stopped.execute(f"START {verb}")
    server_set.wait_for_replicas()


def test_a_killed_replica_comes_back_as_one(server_set: ReplicaSet, fresh_database: str) -> None:
    replica = server_set.replicas[0]
    port, pid = replica.port, replica.pid
    replica.kill()
    assert not replica.alive
    server_set.primary.execute(f"CREATE TABLE {fresh_database}.t (id INT)")
    replica.start()
    assert (replica.port, replica.alive) == (port, True)
    assert replica.pid != pid
    assert replica.value("SELECT @@read_only") == 1
    server_set.wait_for_replicas()
    assert replica.execute(f"SHOW TABLES FROM {fresh_database}") == [("t",)]


STATEMENTS = [
    "SELECT 'two\nlines', \"a quote: \\\"\", '\\\\', 1",
    "SELECT 'Zürich, \N{SNOWMAN}' /* a, comment */",
    'SELECT ",", 1, "\n","x"',
]


def test_statements_are_seen_word_for_word(server_set: ReplicaSet) -> None:
    primary = server_set.primary
    since = mark(primary)
    with contextlib.closing(connect(server_set, primary)) as connection, connection.cursor() as cursor:
        primary.execute("SELECT 'not from app'")
        for statement in STATEMENTS:
            cursor.execute(statement)
    seen = statements_seen(primary, since)
    assert seen[-len(STATEMENTS) :] == STATEMENTS
    assert all(statement.startswith("SET ") for statement in seen[: -len(STATEMENTS)])


def test_the_log_shows_other_commands_and_which_server_got_them(server_set: ReplicaSet, fresh_database: str) -> None:
    primary = server_set.primary
    since = mark_all(server_set)
    with contextlib.closing(connect(server_set, primary)) as connection:
        connection.select_db(fresh_database)
        seen = log_since(primary, since["primary"])
        assert {entry.connection for entry in seen} == {connection.thread_id()}
        assert [entry.command for entry in seen if entry.command != "Query"] == ["Connect", "Init DB"]
    others = statements_by_server(server_set, since)
    assert (others["replica1"], others["replica2"]) == ([], [])
