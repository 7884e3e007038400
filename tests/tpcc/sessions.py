"""A session of a terminal: PyMySQL, whose statements are text, or MySQL Connector/Python with prepared statements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Any

import mysql.connector
from mysql.connector.errors import Error as ConnectorError
from pymysql.connections import Connection
from pymysql.err import MySQLError

from tests.fix_router import RunningRouter

Value = int | str | Decimal | None
Rows = list[tuple[Any, ...]]
# Deadlock found, lock wait timeout exceeded: the transaction is to be repeated.
AGAIN = frozenset({1213, 1205})


class Collision(Exception):
    """The transaction met another one; it has to be rolled back and repeated."""


class Session(ABC):
    """A connection whose transactions are begun and ended by hand. ``%s`` stands for a value with either driver."""

    def run(self, sql: str, *values: Value) -> Rows:
        """Execute a statement and return its rows; raises Collision, or what the driver raises."""
        try:
            return self._run(sql, values)
        except (MySQLError, ConnectorError) as error:
            if error.args[0] in AGAIN:
                raise Collision(*error.args) from error
            # What was asked is not in the driver's message.
            error.add_note(f"{sql} with {values[:20]}")
            raise

    def one(self, sql: str, *values: Value) -> tuple[Any, ...]:
        """The only row."""
        [row] = self.run(sql, *values)
        return row

    @abstractmethod
    def _run(self, sql: str, values: tuple[Value, ...]) -> Rows: ...

    @abstractmethod
    def close(self) -> None:
        """End the connection."""


class TextSession(Session):
    """PyMySQL."""

    def __init__(self, router: RunningRouter, database: str) -> None:
        self._connection: Connection = router.connect(database=database)

    def _run(self, sql: str, values: tuple[Value, ...]) -> Rows:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall())

    def close(self) -> None:
        self._connection.close()


class PreparedSession(Session):
    """MySQL Connector/Python: every statement with values is prepared once and executed often."""

    def __init__(self, router: RunningRouter, database: str) -> None:
        self._connection: Any = mysql.connector.connect(
            host="127.0.0.1",
            port=router.port,
            user="app",
            password=router.password,
            database=database,
            autocommit=True,
            use_pure=True,
            connection_timeout=30,
        )
        self._cursors: dict[str, Any] = {}

    def _run(self, sql: str, values: tuple[Value, ...]) -> Rows:
        cursor = self._cursors.get(sql)
        if cursor is None:
            # A long list of rows comes only once.
            keep = 0 < len(values) < 100
            cursor = self._connection.cursor(prepared=bool(values))
            if keep:
                self._cursors[sql] = cursor
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.with_rows else []

    def close(self) -> None:
        self._connection.close()
