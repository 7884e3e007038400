"""Clients that move money between accounts, read what they wrote, and note in their books what they were told."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from random import Random
from typing import Any

import mysql.connector
import pymysql
from mysql.connector.errors import Error as ConnectorError

from tests.chaos.books import Book, Fate, Journal, Note
from tests.chaos.ground import ACCOUNTS, DATABASE, INITIAL, REPLAYING, Ground

UNKNOWN = "the outcome of this statement is unknown"
# The client's side of the line is gone: drivers' own numbers, and the router's 2013, after which it hangs up.
GONE = frozenset({0, 2006, 2013, 2055, 4031})
# With these the statement certainly did nothing: deadlock, lock wait, no free connection, no server, killed, read-only.
CERTAIN = frozenset({1213, 1205, 1040, 2003, 1317, 1290})
# The transaction may be repeated as it was.
AGAIN = frozenset({1213})
REPEATS = 3
# Every so many clients one that only reads.
READERS = 4
Rows = list[tuple[Any, ...]]


class Failure(Exception):
    """A statement ended with an error, or its connection was lost (``gone``)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text

    @property
    def gone(self) -> bool:
        """Whether the connection is of no use any more."""
        return self.code in GONE

    @property
    def certain(self) -> bool:
        """Whether the statement certainly has not been carried out."""
        return self.code in CERTAIN and UNKNOWN not in self.text


class OutOfStep(Exception):
    """The driver got something that is no answer to what it asked."""


class Session(ABC):
    """A connection; ``%s`` stands for a value with either driver."""

    thread_id: int

    def run(self, sql: str, *values: object) -> Rows:
        """Rows of a statement; raises Failure, or OutOfStep when the driver is at a loss."""
        try:
            return self._run(sql, values)
        except pymysql.err.InternalError as error:
            if "sequence" in str(error):
                raise OutOfStep(f"{sql}: {error!r}") from error
            raise Failure(int(error.args[0]), str(error.args[-1])) from error
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            raise Failure(code, str(error.args[-1] if error.args else error)) from error
        except ConnectorError as error:
            raise Failure(max(error.errno or 0, 0), str(error.msg)) from error
        except OSError as error:
            raise Failure(0, repr(error)) from error
        except (AssertionError, IndexError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutOfStep(f"{sql}: {error!r}") from error

    @abstractmethod
    def _run(self, sql: str, values: tuple[object, ...]) -> Rows: ...

    @abstractmethod
    def close(self) -> None:
        """Hang up."""


class TextSession(Session):
    """PyMySQL."""

    def __init__(self, ground: Ground, port: int, user: str) -> None:
        self._connection = ground.connect(port, user=user)
        self.thread_id = int(str(self._connection.thread_id()))

    def _run(self, sql: str, values: tuple[object, ...]) -> Rows:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall())

    def close(self) -> None:
        with suppress(pymysql.MySQLError, OSError):
            self._connection.close()


class PreparedSession(Session):
    """MySQL Connector/Python: what has values is prepared once and executed often."""

    def __init__(self, ground: Ground, port: int, user: str) -> None:
        self._connection: Any = mysql.connector.connect(
            host="127.0.0.1",
            port=port,
            user=user,
            password=ground.servers.app_password,
            database=DATABASE,
            autocommit=True,
            use_pure=True,
            ssl_disabled=False,
            connection_timeout=60,
        )
        self.thread_id = int(self._connection.connection_id or 0)
        self._cursors: dict[str, Any] = {}

    def _run(self, sql: str, values: tuple[object, ...]) -> Rows:
        cursor = self._cursors.get(sql)
        if cursor is None:
            cursor = self._connection.cursor(prepared=bool(values))
            if values:
                self._cursors[sql] = cursor
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.with_rows else []

    def close(self) -> None:
        with suppress(ConnectorError, OSError, AttributeError):
            self._connection.close()


class Client(threading.Thread):
    """One of them; ``keeps_floor``: what it has written it must see on its next connection as well."""

    def __init__(
        self, number: int, ground: Ground, journal: Journal, seed: int, stop: threading.Event, *, keeps_floor: bool
    ) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.number = number
        self.book = Book(self.name)
        self._ground = ground
        self._journal = journal
        self._random = Random(f"{seed}/{number}")
        self._stop_asked = stop
        self._keeps_floor = keeps_floor
        self._port = ground.front.port if number % 2 else ground.port
        self._kind = PreparedSession if number % 3 == 2 else TextSession
        self._user = REPLAYING if number % 4 >= 2 else "app"
        self._turn = 0
        # The last of its turns that it must see, in this session.
        self._floor = 0
        self.busy_since: float | None = None

    def run(self) -> None:
        """Until it is told to stop."""
        while not self._stop_asked.is_set():
            try:
                self.busy_since = self._journal.now()
                session = self._kind(self._ground, self._port, self._user)
            except (pymysql.MySQLError, ConnectorError, OSError) as error:
                self._journal.failed("login", int(getattr(error, "errno", 0) or 0), str(error.args[-1]))
                self._stop_asked.wait(0.05)
                continue
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                # A line that was cut in the middle of the greeting.
                self._journal.failed("login", 0, repr(error))
                continue
            self._ground.sessions[self.number] = session.thread_id
            if not self._keeps_floor:
                self._floor = 0
            self._work(session)
            self._ground.sessions.pop(self.number, None)
            session.close()
        self.busy_since = None

    def _work(self, session: Session) -> None:
        """Until the connection is lost or all is over."""
        ways = (self._order, self._transfer, self._own, self._sum, self._many, self._state)
        # Some only read: that writes have to wait must not keep them from it.
        weights = (0, 0, 0, 10, 5, 3) if self.number % READERS == 0 else (30, 25, 25, 10, 10, 8)
        while not self._stop_asked.is_set():
            self.busy_since = self._journal.now()
            (way,) = self._random.choices(ways, weights)
            try:
                way(session)
            except Failure as failure:
                kind = "write" if way in (self._order, self._transfer) else "read"
                self._journal.failed(kind, failure.code, failure.text)
                if "timed out" in failure.text:
                    self._journal.is_wrong("stuck", f"{self.name} since {self.busy_since}: {failure}")
                if failure.gone:
                    return
            except OutOfStep as error:
                self._journal.is_wrong("desynchronised", f"{self.name}: {error}")
                return

    # -- writes ------------------------------------------------------------------------------------------------

    def _entry(self) -> tuple[str, tuple[object, ...]]:
        self._turn += 1
        entry = f"{self.number}-{self._turn}"
        source, target = self._random.sample(range(ACCOUNTS), 2)
        return entry, (entry, self.number, self._turn, source, target, self._random.randint(1, 9))

    def _note(self, entry: str, fate: Fate, how: str) -> None:
        self.book.notes.append(Note(self._journal.now(), entry, fate, how))

    def _acknowledged(self, session: Session, entry: str, how: str) -> None:
        self._note(entry, Fate.ACKNOWLEDGED, how)
        self._floor = self._turn
        self._journal.succeeded("write")
        if self._random.random() < 0.5:
            self._own(session)

    def _order(self, session: Session) -> None:
        """A transfer in one statement, with autocommit."""
        entry, line = self._entry()
        # Whatever becomes of the client while it waits: it does not know.
        self._note(entry, Fate.UNKNOWN, "order sent")
        try:
            session.run(
                "INSERT INTO orders (entry, client, turn, source, target, amount) VALUES (%s, %s, %s, %s, %s, %s)",
                *line,
            )
        except Failure as failure:
            self._note(entry, Fate.REFUSED if failure.certain else Fate.UNKNOWN, f"order: {failure}")
            raise
        self._acknowledged(session, entry, "order")

    def _transfer(self, session: Session) -> None:
        """A transfer in a transaction, repeated when it may be."""
        entry, line = self._entry()
        for _ in range(REPEATS):
            try:
                self._attempt(session, entry, line)
            except Failure as failure:
                if failure.code not in AGAIN:
                    raise
                self._journal.failed("write", failure.code, failure.text)
                continue
            self._acknowledged(session, entry, "transfer")
            return

    def _attempt(self, session: Session, entry: str, line: tuple[object, ...]) -> None:
        """Certainly refused until COMMIT is sent, unknown until its answer."""
        _, _, _, source, target, amount = line
        self._note(entry, Fate.REFUSED, "transfer begun")
        sent = "BEGIN"
        try:
            session.run(sent)
            moves = sorted([(source, -int(str(amount))), (target, int(str(amount)))], key=lambda move: str(move[0]))
            for account, change in moves:
                sent = "UPDATE"
                session.run("UPDATE accounts SET amount = amount + %s WHERE id = %s", change, account)
            sent = "INSERT"
            session.run(
                "INSERT INTO ledger (entry, client, turn, source, target, amount) VALUES (%s, %s, %s, %s, %s, %s)",
                *line,
            )
            sent = "COMMIT"
            self._note(entry, Fate.UNKNOWN, "COMMIT sent")
            session.run(sent)
        except Failure as failure:
            refused = sent != "COMMIT" or (failure.certain and failure.code != 1317)
            self._note(entry, Fate.REFUSED if refused else Fate.UNKNOWN, f"{sent}: {failure}")
            if not failure.gone and failure.code not in AGAIN:
                session.run("ROLLBACK")
            raise

    # -- reads -------------------------------------------------------------------------------------------------

    def _nonce(self) -> str:
        return f"{self.number}:{self._random.getrandbits(48):x}"

    def _same(self, nonce: str, got: object, what: str) -> None:
        text = bytes(got).decode() if isinstance(got, bytes | bytearray) else got
        if text != nonce:
            self._journal.is_wrong("desynchronised", f"{self.name}: {what} asked with {nonce}, answered {text!r}")

    def _own(self, session: Session) -> None:
        """Its own last write."""
        nonce, floor = self._nonce(), self._floor
        rows = session.run("SELECT %s, MAX(turn) FROM ledger WHERE client = %s", nonce, self.number)
        self._same(nonce, rows[0][0], "own")
        seen = int(rows[0][1] or 0)
        if not floor <= seen <= self._turn:
            self._journal.is_wrong("stale", f"{self.name}: saw turn {seen}, has written {floor}")
        self._journal.succeeded("read")

    def _sum(self, session: Session) -> None:
        """All money there is, as of some moment."""
        nonce = self._nonce()
        rows = session.run("SELECT %s, SUM(amount), COUNT(*) FROM accounts", nonce)
        self._same(nonce, rows[0][0], "sum")
        if (int(rows[0][1]), int(rows[0][2])) != (ACCOUNTS * INITIAL, ACCOUNTS):
            self._journal.is_wrong("torn", f"{self.name}: {rows}")
        self._journal.succeeded("read")

    def _state(self, session: Session) -> None:
        """What it has set, on whichever server it is asked for."""
        nonce, zone = self._nonce(), f"+{self._random.randrange(10):02}:30"
        session.run(f"SET @mine = '{nonce}'")
        session.run(f"SET time_zone = '{zone}'")
        for _ in range(self._random.randrange(1, 4)):
            rows = session.run("SELECT @mine, @@time_zone, COUNT(*) FROM accounts")
            self._same(nonce, rows[0][0], "state")
            self._same(zone, rows[0][1], "time zone")
        self._journal.succeeded("read")

    def _many(self, session: Session) -> None:
        """A result of many packets: whole, or an error."""
        nonce = self._nonce()
        rows = session.run(
            "SELECT %s, a.id * 100 + b.id AS n, REPEAT('x', 60) FROM accounts a, accounts b ORDER BY n", nonce
        )
        for row in rows:
            self._same(nonce, row[0], "many")
        if [int(row[1]) for row in rows] != [100 * a + b for a in range(ACCOUNTS) for b in range(ACCOUNTS)]:
            self._journal.is_wrong("desynchronised", f"{self.name}: {len(rows)} rows of {ACCOUNTS**2}")
        self._journal.succeeded("read")
