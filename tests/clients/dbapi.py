"""What an application does with any Python DB-API driver, as scenarios that all of them run.

A driver's test file gives a ``Driver`` and parametrizes over ``SCENARIOS``; what only one driver has is tested beside
it. Connections begin as the DB-API wants it, with autocommit off, unless a scenario says otherwise.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any, Protocol

from tests.clients.ways import Step, Way

STREAMED_ROWS = 30_000
BATCH = 4_000


class Driver(Protocol):
    """How the scenarios use a driver; ``error`` is what it raises for a server's ERR packet."""

    @property
    def error(self) -> type[Exception] | tuple[type[Exception], ...]:
        """For ``except``."""

    def connect(self, way: Way, **options: Any) -> Any:
        """Log in; ``options`` are ``user``, ``password``, ``database`` and ``autocommit``, over the way's own."""

    def stream(self, connection: Any) -> Any:
        """A cursor that does not hold the whole result."""

    def problem(self, error: Any) -> Any:
        """Everything a driver's exception says: code, SQLSTATE where it has one, message."""


def attempt(driver: Driver, work: Callable[[], Any]) -> Any:
    """What ``work`` returns, or the error it ends in."""
    try:
        return work()
    except driver.error as error:
        return type(error).__name__, driver.problem(error)


def columns(cursor: Any) -> Any:
    """Column names, types and whatever else the driver tells of them."""
    return [tuple(column) for column in cursor.description] if cursor.description else None


def ask(connection: Any, sql: str, arguments: Any = None) -> Any:
    """Columns, row count, insert id and rows of one statement."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql, arguments)
        rows = list(cursor.fetchall()) if cursor.description else None
        return columns(cursor), cursor.rowcount, cursor.lastrowid, rows


def steps(driver: Driver, connection: Any, *statements: str) -> Iterator[Step]:
    """Each statement with what it gives, be it an error."""
    for sql in statements:
        yield sql, attempt(driver, lambda sql=sql: ask(connection, sql))  # type: ignore[misc]


# --- scenarios --------------------------------------------------------------------------------------------------------


def logins(driver: Driver, way: Way) -> Iterator[Step]:
    """With and without a database, and everything that must not work."""
    who = "SELECT DATABASE(), CURRENT_USER(), @@version, @@version_comment"
    for database in (way.database, None, "information_schema"):
        with closing(driver.connect(way, database=database)) as connection:
            yield f"in {database}", ask(connection, who)
            yield "a table without a database", attempt(driver, lambda c=connection: ask(c, "SELECT * FROM nowhere"))  # type: ignore[misc]
    refused: dict[str, dict[str, Any]] = {
        "wrong password": {"password": "wrong"},
        "no password": {"password": ""},
        "unknown database": {"database": "no_such_database"},
        "unknown user": {"user": "nobody"},
        "unknown user without password": {"user": "nobody", "password": ""},
    }
    for label, options in refused.items():
        yield label, attempt(driver, lambda o=options: driver.connect(way, **o))  # type: ignore[misc]
    with closing(driver.connect(way)) as connection:
        yield "afterwards", ask(connection, who)


TYPES = """CREATE TABLE types (
    id INT AUTO_INCREMENT PRIMARY KEY, tiny TINYINT, utiny TINYINT UNSIGNED, flag BOOLEAN, small SMALLINT,
    medium MEDIUMINT, big BIGINT, ubig BIGINT UNSIGNED, price DECIMAL(30,10), exact DECIMAL(65,30), f FLOAT, d DOUBLE,
    day DATE, t TIME(6), t0 TIME, dt DATETIME(6), dt0 DATETIME, ts TIMESTAMP(3) NULL, y YEAR, c CHAR(10), v VARCHAR(80),
    b BINARY(4), vb VARBINARY(300), txt LONGTEXT, bl LONGBLOB, e ENUM('a','b','é'), s SET('x','y','z'), bits BIT(12),
    doc JSON, latin VARCHAR(20) CHARACTER SET latin1, place GEOMETRY)"""
VALUES: list[dict[str, Any]] = [
    {"tiny": None},
    {
        "tiny": -128,
        "utiny": 255,
        "flag": True,
        "small": -32768,
        "medium": 8388607,
        "big": -(2**63),
        "ubig": 2**64 - 1,
        "price": Decimal("-12345678901234567890.0123456789"),
        "exact": Decimal("9" * 35 + "." + "9" * 30),
        "f": 1.5,
        "d": -2.2250738585072014e-308,
        "day": datetime.date(9999, 12, 31),
        "t": datetime.timedelta(hours=-838, minutes=-59, seconds=-59),
        "t0": datetime.timedelta(hours=100, seconds=1),
        "dt": datetime.datetime(1000, 1, 1, 0, 0, 0, 1),
        "dt0": datetime.datetime(2026, 2, 28, 23, 59, 59),
        "ts": datetime.datetime(2038, 1, 19, 3, 14, 7, 999000),
        "y": 2155,
        "c": "ten chars.",
        "v": "emoji 🐬 'quoted' \"twice\" back\\slash %s percent\nline\x00nul\x1a",
        "b": b"\x00\xff\x27\x5c",
        "vb": bytes(range(256)),
        "txt": "ü" * 70_000,
        "bl": bytes(range(256)) * 300,
        "e": "é",
        "s": "x,z",
        "bits": 4095,
        "doc": '{"a": [1, 2.5, null, "🐬"], "b": {}}',
        "latin": "häß",
    },
    {
        "f": -3.4e38,
        "d": 1.7976931348623157e308,
        "t": datetime.timedelta(microseconds=1),
        "dt": datetime.datetime(2026, 1, 2, 3, 4, 5, 60),
        "v": "",
        "vb": b"",
        "txt": "",
        "s": "",
        "bits": 0,
        "doc": "null",
        "price": Decimal("0"),
    },
]


def types(driver: Driver, way: Way) -> Iterator[Step]:
    """Every type there is, written as parameters, read as rows, in and out of a transaction."""
    with closing(driver.connect(way)) as connection:
        yield "create", ask(connection, TYPES)
        for row in VALUES:
            names = ", ".join(row)
            marks = ", ".join(["%s"] * len(row))
            yield "insert", ask(connection, f"INSERT INTO types ({names}) VALUES ({marks})", tuple(row.values()))
        place = "UPDATE types SET place = ST_GeomFromText('POINT(1 2)') WHERE id = 2"
        yield "geometry", ask(connection, place)
        connection.commit()
        yield "rows", ask(connection, "SELECT * FROM types ORDER BY id")
        connection.commit()
    way.settle()
    with closing(driver.connect(way, autocommit=True)) as connection:
        yield "autocommitted", ask(connection, "SELECT * FROM types ORDER BY id")
        for name, value in VALUES[1].items():
            if name not in ("f", "doc", "t"):
                yield name, ask(connection, f"SELECT id, {name} FROM types WHERE {name} = %s", (value,))
        yield (
            "expressions",
            ask(
                connection,
                "SELECT 1, -1, 1.50, 1e10, 'a', NULL, x'ff00', 1=1, 18446744073709551615, DATE '2026-01-02', "
                "TIMESTAMP '2026-01-02 03:04:05.678', CAST('-01:02:03.5' AS TIME(1)), 1/3, AVG(id), SUM(big), "
                "JSON_EXTRACT(MAX(doc), '$'), GROUP_CONCAT(id ORDER BY id) FROM types",
            ),
        )


def transactions(driver: Driver, way: Way) -> Iterator[Step]:
    """Commit, rollback, savepoints, read-only ones, isolation from a second connection, autocommit on and off."""
    count = "SELECT COUNT(*), MAX(id) FROM t"
    with closing(driver.connect(way)) as connection, closing(driver.connect(way, autocommit=True)) as other:
        yield "create", ask(connection, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20) UNIQUE)")
        yield "write", ask(connection, "INSERT INTO t (v) VALUES ('one'), ('two')")
        yield "own write", ask(connection, count)
        way.settle()
        yield "not for others", ask(other, count)
        connection.commit()
        way.settle()
        yield "for others", ask(other, count)
        yield "write", ask(connection, "DELETE FROM t")
        yield "deleted", ask(connection, count)
        connection.rollback()
        yield "back", ask(connection, count)
        yield from steps(
            driver,
            connection,
            "SAVEPOINT a",
            "INSERT INTO t (v) VALUES ('three')",
            "SAVEPOINT b",
            "INSERT INTO t (v) VALUES ('one')",
            "INSERT INTO t (v) VALUES ('four')",
            "ROLLBACK TO SAVEPOINT b",
            count,
            "RELEASE SAVEPOINT a",
            "ROLLBACK TO SAVEPOINT a",
            "COMMIT",
            count,
            "COMMIT",
            "START TRANSACTION READ ONLY",
            "INSERT INTO t (v) VALUES ('never')",
            count,
            "ROLLBACK",
            "SELECT * FROM t WHERE id = 1 FOR UPDATE",
        )
        yield from steps(driver, other, "SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT", "SELECT @@autocommit")
        connection.rollback()
        yield from steps(
            driver,
            other,
            "SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT",
            "SET autocommit = 0",
            "INSERT INTO t (v) VALUES ('five')",
            "ROLLBACK",
            "SET autocommit = 1",
            "BEGIN",
            "INSERT INTO t (v) VALUES ('six')",
            "CREATE TABLE commits (a INT)",
            "ROLLBACK",
            "BEGIN",
            "UPDATE t SET v = 'seven' WHERE v = 'six'",
        )
    # Closing the connections has rolled the last one back.
    with closing(driver.connect(way)) as connection:
        yield "what is left", ask(connection, "SELECT v FROM t ORDER BY id FOR UPDATE")


def writes(driver: Driver, way: Way) -> Iterator[Step]:
    """Many rows at once; counts and generated ids of every kind of write."""
    with closing(driver.connect(way)) as connection:
        yield "create", ask(connection, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k INT UNIQUE, v TEXT)")
        with closing(connection.cursor()) as cursor:
            cursor.executemany("INSERT INTO t (k, v) VALUES (%s, %s)", [(n, f"v{n}") for n in range(500)])
            yield "many", (cursor.rowcount, cursor.lastrowid)
            cursor.executemany("UPDATE t SET v = %s WHERE k = %s", [("new", n) for n in range(0, 20, 2)])
            yield "updates", cursor.rowcount
        yield "ids", ask(connection, "SELECT COUNT(*), MIN(id), MAX(id) FROM t")
        yield from steps(
            driver,
            connection,
            "INSERT INTO t (k) VALUES (1000), (1001)",
            "SELECT LAST_INSERT_ID()",
            "UPDATE t SET v = 'same' WHERE k < 10",
            "UPDATE t SET v = 'same' WHERE k < 12",
            "SELECT ROW_COUNT()",
            "INSERT INTO t (k, v) VALUES (1, 'dup') ON DUPLICATE KEY UPDATE v = 'dup'",
            "INSERT INTO t (k, v) VALUES (1, 'x') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), v = 'twice'",
            "SELECT LAST_INSERT_ID()",
            "INSERT IGNORE INTO t (k) VALUES (1), (2000), (2)",
            "REPLACE INTO t (k, v) VALUES (3, 'replaced'), (3000, 'new')",
            "DELETE FROM t WHERE k > 400",
            "SELECT SQL_CALC_FOUND_ROWS k FROM t ORDER BY k LIMIT 3",
            "SELECT FOUND_ROWS()",
            "TRUNCATE TABLE t",
            "INSERT INTO t (k) VALUES (7)",
        )
        connection.commit()


def errors(driver: Driver, way: Way) -> Iterator[Step]:
    """Code, SQLSTATE and message of errors, and that the connection is as good as before."""
    with closing(driver.connect(way)) as connection:
        yield from steps(
            driver,
            connection,
            "CREATE TABLE parent (id INT PRIMARY KEY, v VARCHAR(5) NOT NULL UNIQUE)",
            "CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES parent (id))",
            "INSERT INTO parent VALUES (1, 'one')",
            "INSERT INTO parent VALUES (1, 'again')",
            "INSERT INTO parent VALUES (2, 'one')",
            "INSERT INTO parent VALUES (2, 'too long for it')",
            "INSERT INTO parent (id, v) VALUES (2, NULL)",
            "INSERT INTO child VALUES (9)",
            "SELECT * FROM parent",
            "SELEC 1",
            "SELECT 🐬 FROM 'oops",
            "SELECT * FROM nowhere",
            "SELECT nothing FROM parent",
            "SELECT no_such_function(1)",
            "INSERT INTO parent VALUES (1, 2, 3)",
            "CALL no_such_procedure()",
            "USE no_such_database",
            "SET sql_mode = 'NONSENSE'",
            "KILL 4000000000",
            "CREATE TABLE parent (id INT)",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'our own 🐬', MYSQL_ERRNO = 31000",
            "SELECT * FROM parent",
        )


def warnings(driver: Driver, way: Way) -> Iterator[Step]:
    """SHOW WARNINGS tells of the statement before it, whatever the connection did in between for others."""
    with closing(driver.connect(way, autocommit=True)) as connection:
        yield from steps(
            driver,
            connection,
            "CREATE TABLE t (a TINYINT, v VARCHAR(3))",
            "INSERT IGNORE INTO t VALUES (1000, 'too long'), (-1000, 'x')",
            "SHOW WARNINGS",
            "SHOW COUNT(*) WARNINGS",
            "SELECT @@warning_count",
            "SELECT CAST('12abc' AS SIGNED), 1/0",
            "SHOW WARNINGS",
            "DROP TABLE IF EXISTS not_there",
            "SHOW WARNINGS LIMIT 1",
            "SELECT * FROM not_there",
            "SHOW ERRORS",
            "SELECT 1",
            "SHOW WARNINGS",
        )


def procedures(driver: Driver, way: Way) -> Iterator[Step]:
    """CALL with several results, an error behind the first of them, and output parameters."""
    with closing(driver.connect(way)) as connection:
        yield from steps(
            driver,
            connection,
            "CREATE PROCEDURE two() BEGIN SELECT 1 AS a; SELECT 'x' AS b, NULL AS c UNION SELECT 'y', 2; END",
            "CREATE PROCEDURE stops() BEGIN SELECT 1 AS a; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stop'; END",
            "CREATE PROCEDURE doubles(IN a INT, OUT b INT) BEGIN SET b = a * 2; END",
            "CREATE PROCEDURE silent() BEGIN END",
        )
        for name in ("silent", "two"):
            with closing(connection.cursor()) as cursor:
                cursor.execute(f"CALL {name}()")
                yield name, list(results(cursor))
        with closing(connection.cursor()) as cursor:

            def stopped() -> Any:
                cursor.execute("CALL stops()")
                return list(results(cursor))

            yield "stops", attempt(driver, stopped)
        yield "afterwards", ask(connection, "SELECT 'still here'")
        yield "output", ask(connection, "CALL doubles(21, @out_value)")
        yield "its value", ask(connection, "SELECT @out_value")


def results(cursor: Any) -> Iterator[Any]:
    """All results of what the cursor executed."""
    while True:
        yield columns(cursor), cursor.rowcount, list(cursor.fetchall()) if cursor.description else None
        if not cursor.nextset():
            return


def sessions(driver: Driver, way: Way) -> Iterator[Step]:
    """What a session sets stays with it, whichever server connection it gets next."""
    with closing(driver.connect(way, autocommit=True)) as connection:
        yield from steps(
            driver,
            connection,
            "SET @kept = 'kept', @number := 41",
            "SELECT @kept, @number + 1",
            "SET time_zone = '+05:30'",
            "SELECT @@time_zone, FROM_UNIXTIME(0)",
            "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
            "SELECT 'back\\slash' AS \"quoted\"",
            "SET sql_mode = DEFAULT",
            "CREATE TEMPORARY TABLE mine (a INT)",
            "INSERT INTO mine VALUES (1), (2)",
            "SELECT SUM(a) FROM mine",
            "SELECT GET_LOCK('clients', 0), IS_USED_LOCK('clients') = CONNECTION_ID()",
            "SELECT RELEASE_LOCK('clients')",
            "PREPARE p FROM 'SELECT ? + ?'",
            "EXECUTE p USING @number, @number",
            "DEALLOCATE PREPARE p",
            "CREATE DATABASE clients_b",
            "USE clients_b",
            "SELECT DATABASE()",
            "CREATE TABLE here (a INT)",
            "SHOW TABLES",
            "DROP DATABASE clients_b",
            "SELECT DATABASE()",
            "SHOW TABLES",
        )


def reads(driver: Driver, way: Way) -> Iterator[Step]:
    """Reads an application would like to see on replicas."""
    with closing(driver.connect(way, autocommit=True)) as connection:
        ask(connection, "CREATE TABLE item (id INT PRIMARY KEY, parent INT, name VARCHAR(20), price DECIMAL(8,2))")
        with closing(connection.cursor()) as cursor:
            rows = [(n, n // 3 or None, f"item {n}", Decimal(n) / 4) for n in range(1, 40)]
            cursor.executemany("INSERT INTO item VALUES (%s, %s, %s, %s)", rows)
        way.settle()
        yield from steps(
            driver,
            connection,
            "SELECT * FROM item ORDER BY id",
            "SELECT a.name, b.name AS parent FROM item a LEFT JOIN item b ON b.id = a.parent ORDER BY a.id LIMIT 9",
            "SELECT parent, COUNT(*), SUM(price), AVG(price) FROM item GROUP BY parent HAVING COUNT(*) > 1 ORDER BY 1",
            "SELECT id, SUM(price) OVER (PARTITION BY parent ORDER BY id) AS running FROM item ORDER BY id LIMIT 7",
            "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n",
            "SELECT name FROM item WHERE id IN (SELECT parent FROM item WHERE price > 5) ORDER BY name",
            "(SELECT 'a' AS x, 1 AS y) UNION ALL (SELECT 'b', 2) ORDER BY y DESC",
            "SELECT CASE WHEN price > 5 THEN 'dear' ELSE 'cheap' END AS kind, COUNT(*) FROM item GROUP BY 1 ORDER BY 1",
            "SELECT CONCAT_WS('-', id, UPPER(name)), COALESCE(parent, 'none') FROM item"
            " WHERE name LIKE '%9' ORDER BY 1",
            "SELECT table_name, table_rows IS NOT NULL FROM information_schema.tables WHERE table_schema = DATABASE()",
            "SELECT * FROM item WHERE 1 = 0",
            "SELECT 1 WHERE 'a' = 'A '",
        )


def long_values(driver: Driver, way: Way) -> Iterator[Step]:
    """Statements and rows of a megabyte, and those that do not fit into one packet of the protocol."""
    with closing(driver.connect(way)) as connection:
        yield "create", ask(connection, "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
        for number, size in enumerate((1 << 20, (1 << 24) + 7)):
            yield f"write {size}", ask(connection, "INSERT INTO t VALUES (%s, %s)", (number, "é" + "x" * (size - 2)))
            ((value,),) = ask(connection, f"SELECT v FROM t WHERE id = {number}")[3]
            yield "read", (len(value), hashlib.sha256(value.encode()).hexdigest())
        connection.rollback()


def streams(driver: Driver, way: Way) -> Iterator[Step]:
    """A large result in pieces, another one given up half-way, and the connection used again."""
    with closing(driver.connect(way)) as connection:
        ask(connection, "CREATE TABLE digit (n INT PRIMARY KEY)")
        ask(connection, "INSERT INTO digit VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)")
        connection.commit()
        large = (
            "SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS id, REPEAT('é', 20) AS text, "
            "NULL AS nothing FROM digit a, digit b, digit c, digit d, digit e WHERE e.n < 3 ORDER BY id"
        )
        with closing(driver.stream(connection)) as cursor:
            cursor.execute(large)
            yield "columns", columns(cursor)
            digest, count = hashlib.sha256(), 0
            while batch := cursor.fetchmany(BATCH):
                count += len(batch)
                digest.update(repr(list(batch)).encode())
            assert count == STREAMED_ROWS
            yield "rows", digest.hexdigest()
        cursor = driver.stream(connection)
        cursor.execute(large)
        yield "first", cursor.fetchone()
        # A driver reads the rest of the result here, or drops the connection.
        cursor.fetchall()
        cursor.close()
        yield "again", ask(connection, "SELECT COUNT(*) FROM digit")


SCENARIOS: tuple[Callable[[Driver, Way], Iterator[Step]], ...] = (
    logins,
    types,
    transactions,
    writes,
    errors,
    warnings,
    procedures,
    sessions,
    reads,
    long_values,
    streams,
)
