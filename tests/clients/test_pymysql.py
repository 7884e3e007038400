"""PyMySQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.constants import CLIENT
from pymysql.cursors import DictCursor, SSCursor

from tests.clients import dbapi
from tests.clients.dbapi import ask, attempt
from tests.clients.ways import Step, Way, Ways


class PyMySQL:
    """The driver."""

    error = pymysql.MySQLError

    def connect(self, way: Way, **options: Any) -> Any:
        wanted: dict[str, Any] = {
            "host": way.host,
            "port": way.port,
            "user": way.user,
            "password": way.password,
            "database": way.database,
            "connect_timeout": 10,
            "read_timeout": 30,
        }
        return pymysql.connect(**(wanted | options))

    def stream(self, connection: Any) -> Any:
        return connection.cursor(SSCursor)

    def problem(self, error: Any) -> Any:
        return error.args, error.sqlstate


DRIVER = PyMySQL()


@pytest.mark.parametrize("scenario", dbapi.SCENARIOS)
def test_scenario(ways: Ways, scenario: Callable[..., Iterator[Step]]) -> None:
    ways.compare(partial(scenario, DRIVER))


def tls(way: Way) -> Iterator[Step]:
    variants: dict[str, dict[str, Any]] = {
        "encrypted": {"ssl": {"ca": None, "check_hostname": False}},
        "verified": {"ssl_ca": way.ca, "ssl_verify_cert": True, "ssl_verify_identity": True},
    }
    for label, options in variants.items():
        with closing(DRIVER.connect(way, **options)) as connection:
            yield label, (connection._secure, ask(connection, "SELECT 1"))
    with pytest.raises(pymysql.err.OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        DRIVER.connect(way, ssl_ca=None, ssl_verify_cert=True, ssl_verify_identity=True)


def test_tls(ways: Ways) -> None:
    ways.compare(tls)


def multi_statements(way: Way) -> Iterator[Step]:
    with closing(DRIVER.connect(way, client_flag=CLIENT.MULTI_STATEMENTS)) as connection:
        with closing(connection.cursor()) as cursor:
            cursor.execute("CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2); SELECT * FROM t; SELECT 'end'")
            yield "results", list(dbapi.results(cursor))
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT 1; SELECT * FROM nowhere; SELECT 2")
            yield "an error in the middle", attempt(DRIVER, lambda: list(dbapi.results(cursor)))
        yield "afterwards", ask(connection, "SELECT COUNT(*) FROM t")


def test_multi_statements(ways: Ways) -> None:
    ways.compare(multi_statements)


def found_rows(way: Way) -> Iterator[Step]:
    with closing(DRIVER.connect(way, client_flag=CLIENT.FOUND_ROWS)) as connection:
        ask(connection, "CREATE TABLE t (a INT)")
        ask(connection, "INSERT INTO t VALUES (1), (1), (2)")
        yield "matched, not changed", ask(connection, "UPDATE t SET a = 1 WHERE a = 1")
        connection.commit()
        with closing(DRIVER.connect(way)) as other:
            yield "changed", ask(other, "UPDATE t SET a = 1 WHERE a = 1")


def test_found_rows_is_each_connections_own(ways: Ways) -> None:
    ways.compare(found_rows)


def local_infile(directory: Path, way: Way) -> Iterator[Step]:
    (directory / "data.csv").write_text("".join(f"{n},row {n} 🐬\n" for n in range(20_000)), encoding="utf-8")
    load = f"LOAD DATA LOCAL INFILE '{directory}/%s' INTO TABLE t CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
    with closing(DRIVER.connect(way, local_infile=True, autocommit=True)) as connection:
        ask(connection, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))")
        yield "loaded", ask(connection, load % "data.csv")
        yield "again", ask(connection, load % "data.csv")
        yield "no file", attempt(DRIVER, lambda: ask(connection, load % "none.csv"))
        way.settle()
        yield "rows", ask(connection, "SELECT COUNT(*), MAX(id), MAX(v) FROM t")
    with closing(DRIVER.connect(way)) as connection:
        yield "not offered", attempt(DRIVER, lambda: ask(connection, load % "data.csv"))


def test_local_infile(ways: Ways, tmp_path: Path) -> None:
    ways.compare(partial(local_infile, tmp_path))


def conveniences(way: Way) -> Iterator[Step]:
    """The rest of what a connection object offers."""
    with closing(DRIVER.connect(way, cursorclass=DictCursor, init_command="SET @greeting = 'hello'")) as connection:
        yield "init_command", ask(connection, "SELECT @greeting AS greeting")
        yield "server", (connection.get_server_info(), connection.get_proto_info(), connection.character_set_name())
        connection.ping(reconnect=False)
        connection.select_db("information_schema")
        yield "select_db", ask(connection, "SELECT DATABASE() AS d")
        connection.set_character_set("latin1", "latin1_german1_ci")
        yield "latin1", ask(connection, "SELECT 'ä' AS x, @@character_set_client AS y, @@collation_connection AS z")
        connection.select_db(way.database)
        with closing(connection.cursor()) as cursor:
            cursor.execute("CREATE PROCEDURE adds(IN a INT, INOUT b INT) BEGIN SET b = a + b; SELECT a; END")
            yield "callproc", (cursor.callproc("adds", (1, 2)), cursor.fetchall())
            cursor.execute("SELECT @_adds_0 AS x, @_adds_1 AS y")
            yield "its parameters", cursor.fetchall()
        connection.begin()
        yield "in a transaction", bool(connection.server_status & 1)
        connection.rollback()
        yield "after it", bool(connection.server_status & 1)
        connection.autocommit(True)
        yield "autocommit", (connection.get_autocommit(), ask(connection, "SELECT @@autocommit AS x"))
    yield "closed", attempt(DRIVER, lambda: ask(connection, "SELECT 1"))


def test_conveniences(ways: Ways) -> None:
    ways.compare(conveniences)
