"""mysqlclient (MySQLdb), which is MariaDB's C library underneath."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients import dbapi
from tests.clients.dbapi import ask, attempt
from tests.clients.ways import Step, Way, Ways, library


class MySQLClient:
    """The driver."""

    def __init__(self) -> None:
        self.module = library("MySQLdb")
        self.error: type[Exception] = self.module.MySQLError

    def connect(self, way: Way, **options: Any) -> Any:
        wanted: dict[str, Any] = {
            "host": way.host,
            "port": way.port,
            "user": way.user,
            "password": way.password,
            "database": way.database,
            "charset": "utf8mb4",
            "connect_timeout": 10,
        }
        wanted |= options
        return self.module.connect(**{name: value for name, value in wanted.items() if value is not None})

    def stream(self, connection: Any) -> Any:
        return connection.cursor(library("MySQLdb.cursors").SSCursor)

    def problem(self, error: Any) -> Any:
        return error.args


@pytest.fixture(scope="module")
def driver() -> MySQLClient:
    """The driver, or a skip."""
    return MySQLClient()


@pytest.mark.parametrize("scenario", dbapi.SCENARIOS)
def test_scenario(ways: Ways, driver: MySQLClient, scenario: Callable[..., Iterator[Step]]) -> None:
    ways.compare(partial(scenario, driver))


def multi_statements(driver: MySQLClient, way: Way) -> Iterator[Step]:
    """On unless turned off."""
    with closing(driver.connect(way)) as connection:
        with closing(connection.cursor()) as cursor:
            cursor.execute("CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2); SELECT * FROM t; SELECT 'end'")
            yield "results", list(dbapi.results(cursor))
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT 1; SELECT * FROM nowhere; SELECT 2")
            yield "an error in the middle", attempt(driver, lambda: list(dbapi.results(cursor)))
        yield "afterwards", ask(connection, "SELECT COUNT(*) FROM t")
    with closing(driver.connect(way, multi_statements=False)) as connection:
        yield "off", attempt(driver, lambda: ask(connection, "SELECT 1; SELECT 2"))


def test_multi_statements(ways: Ways, driver: MySQLClient) -> None:
    ways.compare(partial(multi_statements, driver))


def change_of_user(driver: MySQLClient, way: Way) -> Iterator[Step]:
    """COM_CHANGE_USER leaves nothing of the session before."""
    with closing(driver.connect(way)) as connection:
        ask(connection, "CREATE TEMPORARY TABLE mine (a INT)")
        yield "before", ask(connection, "SET @x = 1, time_zone = '+01:00'")
        connection.change_user(way.user, way.password, "information_schema")
        yield "after", ask(connection, "SELECT DATABASE(), @x, @@time_zone, @@autocommit, @@character_set_client")
        yield "gone", attempt(driver, lambda: ask(connection, f"SELECT * FROM {way.database}.mine"))
        yield "refused", attempt(driver, lambda: connection.change_user(way.user, "wrong", ""))


def test_change_of_user(ways: Ways, driver: MySQLClient) -> None:
    ways.compare(partial(change_of_user, driver))


def local_infile(directory: Path, driver: MySQLClient, way: Way) -> Iterator[Step]:
    (directory / "data.csv").write_text("".join(f"{n},row {n} 🐬\n" for n in range(20_000)), encoding="utf-8")
    load = f"LOAD DATA LOCAL INFILE '{directory}/%s' INTO TABLE t CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
    with closing(driver.connect(way, local_infile=1, autocommit=True)) as connection:
        ask(connection, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))")
        yield "loaded", (ask(connection, load % "data.csv"), connection.info())
        yield "again", (ask(connection, load % "data.csv"), connection.info())
        yield "no file", attempt(driver, lambda: ask(connection, load % "none.csv"))
        way.settle()
        yield "rows", ask(connection, "SELECT COUNT(*), MAX(id), MAX(v) FROM t")


def test_local_infile(ways: Ways, driver: MySQLClient, tmp_path: Path) -> None:
    ways.compare(partial(local_infile, tmp_path, driver))


def tls(driver: MySQLClient, way: Way) -> Iterator[Step]:
    for mode in ("DISABLED", "REQUIRED", "VERIFY_IDENTITY"):
        with closing(driver.connect(way, ssl_mode=mode, ssl={"ca": way.ca})) as connection:
            yield mode, ask(connection, "SELECT 1")
    with pytest.raises(driver.error, match="certificate"):
        driver.connect(way, ssl_mode="VERIFY_CA")


def test_tls(ways: Ways, driver: MySQLClient) -> None:
    ways.compare(partial(tls, driver))


def conveniences(driver: MySQLClient, way: Way) -> Iterator[Step]:
    """The rest of what a connection object offers."""
    dictionaries = library("MySQLdb.cursors").DictCursor
    init = "SET @greeting = 'hello'"
    with closing(driver.connect(way, cursorclass=dictionaries, init_command=init)) as connection:
        yield "init_command", ask(connection, "SELECT @greeting AS greeting")
        yield "server", (connection.get_server_info(), connection.get_proto_info(), connection.get_character_set_info())
        connection.ping()
        connection.select_db("information_schema")
        yield "select_db", ask(connection, "SELECT DATABASE() AS d")
        connection.set_character_set("latin1")
        yield "latin1", ask(connection, "SELECT 'ä' AS x, @@character_set_client AS y, @@collation_connection AS z")
        connection.select_db(way.database)
        with closing(connection.cursor()) as cursor:
            cursor.execute("CREATE PROCEDURE adds(IN a INT, INOUT b INT) BEGIN SET b = a + b; SELECT a; END")
            yield "callproc", (cursor.callproc("adds", (1, 2)), cursor.fetchall())
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT @_adds_0 AS x, @_adds_1 AS y")
            yield "its parameters", cursor.fetchall()
        ask(connection, "SELECT CAST('x' AS SIGNED)")
        yield "warnings", (connection.warning_count(), connection.show_warnings())
        connection.autocommit(True)
        yield "autocommit", (connection.get_autocommit(), ask(connection, "SELECT @@autocommit AS x"))
        yield "statistics", connection.stat().partition(":")[0]
    yield "closed", attempt(driver, lambda: ask(connection, "SELECT 1"))


def test_conveniences(ways: Ways, driver: MySQLClient) -> None:
    ways.compare(partial(conveniences, driver))
