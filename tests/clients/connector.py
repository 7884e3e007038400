"""mysql-connector-python, its pure half and its C extension, as a driver with what only it has.

The C extension needs a newer OpenSSL than this process may have loaded, so it is run in a process of its own:
``connector_cext.py``.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mysql.connector
from mysql.connector.pooling import MySQLConnectionPool

from tests.clients import dbapi
from tests.clients.dbapi import ask, attempt
from tests.clients.ways import Step, Way


class Connector:
    """The driver; ``pure`` is the half in Python."""

    def __init__(self, *, pure: bool, error: tuple[type[Exception], ...] = (mysql.connector.Error,)) -> None:
        self.pure = pure
        self.error = error

    def options(self, way: Way, **options: Any) -> dict[str, Any]:
        """The arguments of ``connect``; the default collation is one that MariaDB does not have."""
        wanted: dict[str, Any] = {
            "host": way.host,
            "port": way.port,
            "user": way.user,
            "password": way.password,
            "database": way.database,
            "charset": "utf8mb4",
            "collation": "utf8mb4_unicode_ci",
            "connection_timeout": 10,
            "use_pure": self.pure,
        }
        return wanted | options

    def connect(self, way: Way, **options: Any) -> Any:
        return mysql.connector.connect(**self.options(way, **options))

    def stream(self, connection: Any) -> Any:
        return connection.cursor(buffered=False)

    def problem(self, error: Any) -> Any:
        return error.errno, error.sqlstate, error.msg


# One half or the other cannot encode the extremes of these as parameters of a prepared statement; the C extension
# (26.10.0) writes past its buffer for a Decimal, straight into the neighbouring values or malloc's own.
UNSENDABLE = frozenset({"t", "t0", "ubig", "d", "price", "exact"})


def prepared(driver: Connector, way: Way) -> Iterator[Step]:
    """Statements prepared on the server, several open at once, with every type as parameter and in rows."""
    with closing(driver.connect(way)) as connection:
        ask(connection, dbapi.TYPES)
        with closing(connection.cursor(prepared=True)) as cursor:
            for row in dbapi.VALUES:
                values = {name: value for name, value in row.items() if name not in UNSENDABLE}
                names = ", ".join(values)
                marks = ", ".join(["%s"] * len(values))
                cursor.execute(f"INSERT INTO types ({names}) VALUES ({marks})", tuple(values.values()))
                yield "insert", (cursor.rowcount, cursor.lastrowid)
        rest = (
            "UPDATE types SET t = '-838:59:59', t0 = '100:00:01', ubig = 18446744073709551615, d = -1e-300, "
            "price = -12345678901234567890.0123456789, exact = 1e-30 WHERE id = 2"
        )
        yield "the rest", ask(connection, rest)
        connection.commit()
        with closing(connection.cursor(prepared=True)) as cursor:
            for number in (1, 2, 3, 4):
                cursor.execute("SELECT * FROM types WHERE id = %s", (number,))
                yield "row", (dbapi.columns(cursor), cursor.fetchall())
        with closing(connection.cursor(prepared=True)) as first, closing(connection.cursor(prepared=True)) as second:
            for number in (1, 3):
                first.execute("SELECT %s + 1, CAST(%s AS CHAR)", (number, f"text {number}"))
                yield "first", first.fetchall()
                second.execute("SELECT COUNT(*), MAX(%s) FROM types WHERE id > %s", ("é🐬", number))
                yield "second", second.fetchall()
        with closing(connection.cursor(prepared=True)) as cursor:
            yield (
                "cannot be prepared",
                attempt(driver, lambda: cursor.execute("SELECT * FROM nowhere WHERE a = %s", (1,))),
            )
            yield "duplicate", attempt(driver, lambda: cursor.execute("INSERT INTO types (id) VALUES (%s)", (1,)))
            cursor.execute("SELECT %s", ("good again",))
            yield "afterwards", cursor.fetchall()
        connection.rollback()


def prepared_writes(driver: Connector, way: Way) -> Iterator[Step]:
    """A prepared INSERT many times over, long data, a transaction, and the pool it leaves behind."""
    with closing(driver.connect(way)) as connection:
        ask(connection, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB)")
        for label, finish in (("rolled back", connection.rollback), ("committed", connection.commit)):
            with closing(connection.cursor(prepared=True)) as cursor:
                for number in range(100):
                    cursor.execute("INSERT INTO t (v) VALUES (%s)", (f"{label} {number}",))
                yield label, (cursor.rowcount, cursor.lastrowid)
                cursor.execute("INSERT INTO t (v) VALUES (%s)", (b"\xff\x00" * 500_000,))
            finish()
        yield "count", ask(connection, "SELECT COUNT(*), MIN(id), MAX(id), MAX(LENGTH(v)) FROM t")
        with closing(connection.cursor(prepared=True)) as cursor:
            cursor.execute("SELECT v FROM t WHERE LENGTH(v) > %s", (1000,))
            ((value,),) = cursor.fetchall()
            yield "long data", (len(value), hashlib.sha256(value).hexdigest())
        connection.rollback()


def pooled(driver: Connector, way: Way) -> Iterator[Step]:
    """A pool resets a session's state between borrowers, with COM_RESET_CONNECTION."""
    pool = MySQLConnectionPool(pool_name=f"pool_{way.through}", pool_size=2, **driver.options(way))
    state = "SELECT @mine, @@time_zone, @@sql_mode, DATABASE(), @@autocommit, @@collation_connection"
    for turn in range(5):
        with closing(pool.get_connection()) as connection:
            yield f"turn {turn}", ask(connection, state)
            ask(connection, f"SET @mine = {turn}, time_zone = '+0{turn}:00', sql_mode = 'ANSI_QUOTES'")
            ask(connection, "CREATE TEMPORARY TABLE mine (a INT)")
            ask(connection, "INSERT INTO mine VALUES (1)")
    connections = [pool.get_connection() for _ in range(2)]
    yield "both", [ask(connection, "SELECT 'free'") for connection in connections]
    for connection in connections:
        connection.close()
    pool._remove_connections()


def sessions(driver: Connector, way: Way) -> Iterator[Step]:
    """The commands behind a connection object."""
    with closing(driver.connect(way, get_warnings=True, autocommit=True)) as connection:
        yield "server", (connection.server_version, connection.server_info, connection.is_connected())
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT CAST('12abc' AS SIGNED)")
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                yield "rows", cursor.fetchall()
            yield "warnings", ([str(warning.message) for warning in warned], cursor.warnings)
        connection.ping()
        connection.database = "information_schema"
        yield "COM_INIT_DB", ask(connection, "SELECT DATABASE()")
        connection.database = way.database
        ask(connection, "SET @mine = 1")
        connection.cmd_reset_connection()
        yield "reset", ask(connection, "SELECT @mine, DATABASE(), @@autocommit")
        connection.cmd_change_user(way.user, way.password, "information_schema")
        yield "changed user", ask(connection, "SELECT @mine, DATABASE(), @@autocommit")
        connection.cmd_change_user(way.user, way.password, way.database)
        yield "statistics", sorted(connection.cmd_statistics())
        connection.start_transaction(isolation_level="READ COMMITTED")
        yield "in a transaction", (connection.in_transaction, ask(connection, "SELECT 1"))
        connection.rollback()
        connection.time_zone = "+02:00"
        connection.sql_mode = "TRADITIONAL,ANSI"
        yield "properties", (connection.time_zone, connection.sql_mode, connection.autocommit)
        connection.set_charset_collation("latin1", "latin1_german1_ci")
        yield "latin1", ask(connection, "SELECT 'ä', @@collation_connection")


def multi_statements(driver: Connector, way: Way) -> Iterator[Step]:
    """Several statements at once, with an error among them."""
    with closing(driver.connect(way)) as connection:
        for sql in (
            "CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2); SELECT * FROM t; SELECT 'end'",
            "SELECT 1; SELECT * FROM nowhere; SELECT 2",
            "SELECT COUNT(*) FROM t",
        ):
            with closing(connection.cursor()) as cursor:

                def work(sql: str = sql, cursor: Any = cursor) -> Any:
                    cursor.execute(sql)
                    return list(dbapi.results(cursor))

                yield sql, attempt(driver, work)


def local_infile(driver: Connector, way: Way) -> Iterator[Step]:
    """LOAD DATA LOCAL INFILE."""
    with TemporaryDirectory() as directory, closing(driver.connect(way, allow_local_infile=True)) as connection:
        file = Path(directory, "data.csv")
        file.write_text("".join(f"{number},row {number} 🐬\n" for number in range(5_000)), encoding="utf-8")
        ask(connection, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))")
        load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE t CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
        yield "loaded", ask(connection, load)[1:]
        yield "rows", ask(connection, "SELECT COUNT(*), MAX(id), MAX(v) FROM t")


def tls(driver: Connector, way: Way) -> Iterator[Step]:
    """Preferred when nothing is said; off; verified."""
    variants: dict[str, dict[str, Any]] = {
        "preferred": {},
        "disabled": {"ssl_disabled": True},
        "verified": {"ssl_ca": way.ca, "ssl_verify_cert": True, "ssl_verify_identity": True},
    }
    for label, options in variants.items():
        with closing(driver.connect(way, **options)) as connection:
            yield label, ask(connection, "SELECT 1")


SCENARIOS: tuple[Callable[[Any, Way], Iterator[Step]], ...] = (
    *dbapi.SCENARIOS,
    prepared,
    prepared_writes,
    pooled,
    sessions,
    multi_statements,
    local_infile,
    tls,
)
