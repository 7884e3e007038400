"""Compression with real clients: what they see is what they see without it, and it is compressed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from router.sandbox import ReplicaSet
from router.wire.constants import Capability
from tests.clients.ways import library, mysql_tree
from tests.fix_router import RunningRouter

library("mysql.connector")
library("MySQLdb")

import mysql.connector  # noqa: E402
import MySQLdb  # type: ignore[import-untyped]  # noqa: E402


@pytest.fixture
def schema(server_set: ReplicaSet) -> Iterator[str]:
    """An empty database."""
    server_set.primary.execute("DROP DATABASE IF EXISTS packed")
    server_set.primary.execute("CREATE DATABASE packed")
    server_set.wait_for_replicas()
    yield "packed"
    server_set.primary.execute("DROP DATABASE packed")


def capabilities(router: RunningRouter) -> int:
    """What the only session has agreed on."""
    (found,) = router.call(lambda gateway: [session.capabilities for session in gateway.sessions])
    return found


def ask(connection: Any, sql: str) -> Any:
    """Rows of a statement."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.with_rows else cursor.rowcount


def test_a_driver_that_compresses(server_set: ReplicaSet, router: RunningRouter, schema: str) -> None:
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": router.port,
        "user": "app",
        "password": server_set.app_password,
        "database": schema,
        "collation": "utf8mb4_unicode_ci",
        "use_pure": True,
        "autocommit": True,
    }
    with closing(mysql.connector.connect(compress=True, **options)) as connection:
        assert capabilities(router) & Capability.COMPRESS
        ask(connection, "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
        values = {1: "short", 2: "é🐬" * 300_000, 3: "x" * 20_000_000, 4: ""}
        for number, value in values.items():
            with closing(connection.cursor()) as cursor:
                cursor.execute("INSERT INTO t VALUES (%s, %s)", (number, value))
        assert dict(ask(connection, "SELECT id, v FROM t /*+ router(primary) */")) == values
        assert (
            len(
                ask(
                    connection,
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
                    "SELECT a.i, b.i, 'some text' FROM n AS a, n AS b LIMIT 200000",
                )
            )
            == 200_000
        )
        with pytest.raises(mysql.connector.Error, match="nowhere"):
            ask(connection, "SELECT * FROM nowhere")
        connection.cmd_reset_connection()
        connection.ping()


def test_another_user_on_a_compressed_connection(server_set: ReplicaSet, router: RunningRouter, schema: str) -> None:
    with closing(
        MySQLdb.connect(host="127.0.0.1", port=router.port, user="app", password=server_set.app_password, compress=True)
    ) as connection:
        assert capabilities(router) & Capability.COMPRESS
        connection.change_user("app", server_set.app_password, schema)
        connection.query("SELECT DATABASE(), REPEAT('x', 1000)")
        assert connection.store_result().fetch_row() == ((schema, "x" * 1000),)


@pytest.mark.parametrize("algorithm", ["zlib", "zstd"])
def test_the_mysql_client(server_set: ReplicaSet, router: RunningRouter, schema: str, algorithm: str) -> None:
    program = mysql_tree().mysql
    if server_set.flavor == "mariadb" and algorithm == "zstd":
        pytest.skip("MariaDB has no zstd, and so the router does not offer it in front of MariaDB")
    login = ["--host=127.0.0.1", f"--port={router.port}", "--user=app", f"--compression-algorithms={algorithm}"]
    script = "SELECT REPEAT('packed', 100000); SHOW STATUS LIKE 'nothing'; SELECT 'é', 1/3;"
    done = subprocess.run(
        [*program, *login, "--batch", "--skip-column-names", schema],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"MYSQL_PWD": server_set.app_password},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["packed" * 100_000, "é\t0.3333"]
