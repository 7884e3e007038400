"""What a session may still ask about its past, and the connection kept for that.

LAST_INSERT_ID(), ROW_COUNT(), FOUND_ROWS() and SHOW WARNINGS are answered by the connection that ran the statement
before. A session that is not held by a transaction or a pin therefore lets its connection *linger*: nobody else gets
it, but when sessions wait in the pool's queue it is asked for. It then gives up what cannot be carried over (counts,
warnings) and takes along what can: LAST_INSERT_ID(), which every other connection can be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from router.backend.connection import BackendConnection, Capture
from router.cluster.topology import Server
from router.engine import questions
from router.planner.plan import Relay
from router.session.state import SessionState
from router.sql.facts import StatementFacts, StatementKind
from router.wire.scanner import ResponseScanner

# How long a connection with warnings or an error behind it is left to its session although others wait, in seconds.
FIRM = 0.25

# What ROW_COUNT() and FOUND_ROWS() would return and SHOW WARNINGS show (a whole response, empty if there is nothing to
# show); None: only the connection knows, if any does.
Past = tuple[int | None, int | None, bytes | None]
NOTHING: Past = (0, None, b"")
AFTER_READ: Past = (-1, None, b"")
# As many bytes of warnings are taken along.
MAX_WARNINGS = 64 * 1024

# The server sets ROW_COUNT() to what it says in the OK packet of these; with rows of these it is -1.
_COUNTED = frozenset(
    {
        StatementKind.INSERT,
        StatementKind.REPLACE,
        StatementKind.UPDATE,
        StatementKind.DELETE,
        StatementKind.LOAD_DATA,
        StatementKind.SELECT,
        StatementKind.SET,
        StatementKind.USE,
        StatementKind.DO,
        StatementKind.BEGIN,
        StatementKind.COMMIT,
        StatementKind.ROLLBACK,
        StatementKind.SAVEPOINT,
        StatementKind.LOCK,
        StatementKind.UNLOCK,
        StatementKind.DDL,
    }
)
_WITH_ROWS = frozenset({StatementKind.SELECT, StatementKind.SHOW, StatementKind.EXPLAIN})
_KNOWN = _COUNTED | _WITH_ROWS
_WITHOUT_TABLES = frozenset(
    {
        StatementKind.USE,
        StatementKind.BEGIN,
        StatementKind.COMMIT,
        StatementKind.ROLLBACK,
        StatementKind.SAVEPOINT,
    }
)
# What any server does as well as the primary, and that leaves nothing there: BEGIN or a lock would keep the session on
# the replica where its warnings are.
_HARMLESS = _WITHOUT_TABLES - {StatementKind.BEGIN}

# Statements that may generate a value for an AUTO_INCREMENT column.
_GENERATING = frozenset(
    {
        StatementKind.INSERT,
        StatementKind.REPLACE,
        StatementKind.LOAD_DATA,
        StatementKind.CALL,
        StatementKind.EXECUTE_TEXT,
        StatementKind.MULTI,
        StatementKind.OTHER,
    }
)


class LookBack:
    """The lingering connection of one session, if it has one.

    ``last_on`` is the connection that ran the last statement, while the session still has it; ``knows`` the only one
    that knows LAST_INSERT_ID(), while ``SessionState.last_insert_id`` is None; ``firm`` whether what stands behind it
    ``matters``; ``asks`` whether this session has ever asked for counts: it will again, and its writes are then worth
    as much patience as warnings. ``past`` is what is known without a connection. ``asking`` counts the router's
    own questions under way; ``answered`` is called after each; ``owed``: the client waits for the last.
    """

    __slots__ = (
        "_answered",
        "_counted_rows",
        "_server",
        "_session",
        "_since",
        "asking",
        "asks",
        "connection",
        "firm",
        "knows",
        "last_on",
        "owed",
        "past",
    )

    def __init__(self, session: SessionState, answered: Callable[[], None]) -> None:
        self._session = session
        self._answered = answered
        self._server: Server | None = None
        self.firm = False
        self._since = 0.0
        self.connection: BackendConnection | None = None
        self.last_on: BackendConnection | None = None
        self.knows: BackendConnection | None = None
        self.asking = 0
        self.asks = False
        self.past = NOTHING
        self.owed = False
        self._counted_rows = False  # the last statement was SQL_CALC_FOUND_ROWS, on the lingering connection

    def let_go(
        self, connection: BackendConnection, server: Server, facts: StatementFacts | None, *, keep: bool
    ) -> None:
        """The statement with these ``facts`` has ended: keep the connection if it may be asked about, or release it."""
        scanner = connection.scanner
        firm = keep and self.matters(scanner, facts)
        soft = keep and (self.knows is connection or scanner.affected_rows > 0 or connection.variables.personal)
        if firm or soft:
            self.keep(connection, server, firm=firm)
        else:
            self.last_on = None
            self.firm = self.firm and self.connection is not None
            server.pool.release(connection)

    def keep(self, connection: BackendConnection, server: Server, *, firm: bool) -> None:
        """Let ``connection`` linger; ``firm`` when warnings or an error stand behind it."""
        self.give_up()
        self.connection = self.last_on = connection
        self._server = server
        self.firm = firm
        self._since = perf_counter()
        server.pool.linger(connection, self._reclaim)

    def count(self, facts: StatementFacts) -> int | None:
        """The number that a statement of nothing but ROW_COUNT() or FOUND_ROWS() asks for, if it is known."""
        match facts.function:
            case "ROW_COUNT":
                return self.past[0]
            case "FOUND_ROWS":
                return self.past[1]
        return None

    def shown(self, frame: bytes) -> bytes:
        """The answer to SHOW WARNINGS in full, if ``frame`` is that and there is something to show."""
        return (self.past[2] or b"") if questions.is_show_warnings(frame) else b""

    def remembers(self, connection: BackendConnection, command: bytes) -> bool:
        """Whether ``connection`` can answer a look-back as it is."""
        self._asks_for_counts(command)
        if self.past[2] and questions.asks_for_warnings(command):
            return False  # they are from before it
        return connection is self.last_on and (connection is self.knows or not questions.asks_for_insert_id(command))

    def _asks_for_counts(self, command: bytes) -> bool:
        asks = questions.asks_for_counts(command)
        self.asks = self.asks or asks
        return asks

    def untold(self, connection: BackendConnection, facts: StatementFacts) -> bool:
        """Whether ``connection`` must learn LAST_INSERT_ID() before a statement that may or may not set it.

        An INSERT with a given id leaves it alone, and its OK packet looks like one that does not: what is there must
        then be this session's own, not the last user's.
        """
        known = self._session.last_insert_id
        return facts.kind in _GENERATING and known is not None and connection.insert_id != known

    def tell(self, connection: BackendConnection) -> list[str]:
        """The statements that tell ``connection`` the session's LAST_INSERT_ID(), if it is known."""
        known = connection.insert_id = self._session.last_insert_id
        return [] if known is None else [f"SET last_insert_id = {known}"]

    def told(self, connection: BackendConnection, command: bytes, is_set: bool = True) -> list[str] | None:
        """The statements after which ``connection`` can answer a look-back; None when there are none.

        Unless ``is_set``, user variables have to be set first, which empties its list of warnings.
        """
        lost = self._session.last_insert_id is None and self.knows is not connection
        if self._asks_for_counts(command) or (lost and questions.asks_for_insert_id(command)):
            return None
        unknown = self.past[2] != b"" or (connection is self.last_on and not is_set)
        if unknown and questions.asks_for_warnings(command):
            return None
        tell = self.tell(connection)
        return tell if connection is self.last_on else [*tell, questions.CLEAR_WARNINGS]

    def read_ended(self, facts: StatementFacts) -> None:
        """As ``ran``, for a proven read that left nothing behind."""
        warnings = self.past[2]
        self.past = (-1, None, warnings) if warnings != b"" and self.outlasts(facts) else AFTER_READ

    def elsewhere(self, *, read: bool, warned: bool) -> None:
        """A proven read has been answered by other connections, perhaps with warnings, or a ping by nobody."""
        if not read:
            self.past = (0, None, self.past[2])
            return
        self.last_on = None
        self.past = (-1, None, None) if warned else AFTER_READ

    def wrote_elsewhere(self, affected: int, *, warned: bool) -> None:
        """Several other connections have written, perhaps with warnings."""
        self.last_on = None
        self.past = (affected, None, None if warned else b"")

    def ran(self, connection: BackendConnection, facts: StatementFacts, command: bytes) -> None:
        """A statement has ended on ``connection``: may LAST_INSERT_ID() have changed? What is left of it?"""
        scanner = connection.scanner
        warnings: bytes | None = b""
        if scanner.error is not None or scanner.warnings:
            warnings = None
        elif self.outlasts(facts) or facts.kind is StatementKind.SHOW:
            warnings = self.past[2]
        self.last_on = connection
        self.past = (_row_count(scanner, facts), None, warnings)
        self._counted_rows = facts.found_rows
        if facts.kind in _GENERATING:
            changed = scanner.last_insert_id > 0 or scanner.has_rows or scanner.error is not None or facts.multi
        else:
            changed = facts.looks_back and questions.asks_for_insert_id(command)
        if changed:
            self._session.last_insert_id = connection.insert_id = None
            self.knows = connection

    def forget(self, connection: BackendConnection) -> None:
        """The connection is gone, and with it what only it knew."""
        self.last_on = None
        if self.knows is connection:
            self.knows = None

    def forget_all(self) -> None:
        """The session starts anew: nothing will be asked."""
        self.give_up(silently=True)
        self.knows = None
        self.past = NOTHING

    def outlasts(self, facts: StatementFacts) -> bool:
        """Whether warnings survive this statement: on MariaDB, any that uses no table leaves them alone.

        (``mysql_execute_command`` in sql/sql_parse.cc; measured.)
        """
        return (
            (self.firm or self.past[2] != b"")
            and self._session.profile.flavor == "mariadb"
            and not facts.multi
            and (facts.tables == () or facts.kind in _WITHOUT_TABLES)
        )

    def matters(self, outcome: ResponseScanner, facts: StatementFacts | None) -> bool:
        """Whether what the last statement left behind is likely to be asked for: others should wait a little."""
        if outcome.error is not None or outcome.warnings > 0 or (self.asks and outcome.affected_rows > 0):
            return True
        return facts is not None and (facts.found_rows or facts.looks_back or self.outlasts(facts))

    def again(self, plan: Relay, primary: Server | None) -> tuple[BackendConnection, Server] | None:
        """The lingering connection, when it is to the ``primary`` that the plan is for, or alone knows the answer."""
        return None if self.where(plan, primary) is None else self.take()

    def where(self, plan: Relay, primary: Server | None) -> Server | None:
        """The server of the lingering connection, when that would be used ``again``."""
        facts = plan.facts
        asks = facts.looks_back or ((facts.read or facts.kind in _HARMLESS) and self.outlasts(facts))
        server = self._server
        if server is None or (not asks and server is not primary):
            return None
        return server if server.group == plan.group or plan.anywhere else None

    def take(self) -> tuple[BackendConnection, Server] | None:
        """Use the lingering connection again; None when there is none, or it has ended."""
        connection, server = self.connection, self._server
        if connection is None or server is None:
            return None
        self.connection = self._server = None
        if connection.closed:
            self.forget(connection)
            self.firm = False
            server.pool.discard(connection)
            return None
        server.pool.unlinger(connection)
        return connection, server

    def give_up(self, *, silently: bool = False) -> None:
        """Back to the pool with it; first ask for what only this connection knows.

        ``silently``: nobody will ask any more, because the session is ending or starts anew.
        """
        last_on = self.last_on
        taken = self.take()
        if taken is None:
            return
        connection, server = taken
        self.last_on = None if last_on is connection else last_on
        self.firm = False
        asks_id = self.knows is connection
        asks_rows = self._counted_rows and last_on is connection
        asks_warnings = self.past[2] is None and last_on is connection
        self._counted_rows = False
        if asks_id:
            self.knows = None
        if silently or not (asks_id or asks_rows or asks_warnings):
            server.pool.release(connection)
            return

        def identity(payload: bytes) -> None:
            value, rows = questions.single_row(payload)
            if asks_id:
                self._session.last_insert_id = connection.insert_id = int(questions.plain_text(value))
            if asks_rows:
                self.past = (self.past[0], int(questions.plain_text(rows)), self.past[2])

        def warnings(payload: bytes) -> None:
            if len(payload) <= MAX_WARNINGS:
                self.past = (*self.past[:2], payload)

        asked: list[tuple[str, Callable[[bytes], None]]] = []
        if asks_warnings:
            asked.append((questions.SHOW_WARNINGS, warnings))  # before a SELECT, which may empty the list
        if asks_id or asks_rows:
            asked.append((questions.ASK_IDENTITY, identity))
        self.asking += 1
        self._ask(connection, server, asked)

    def _ask(
        self, connection: BackendConnection, server: Server, asked: list[tuple[str, Callable[[bytes], None]]]
    ) -> None:
        """Ask one after the other, then let the connection go."""
        sql, learn = asked.pop(0)

        def done(payload: bytes, error: bytes | None) -> None:
            if error is not None:
                ended(server.pool.discard)
                return
            learn(payload)
            if asked:
                self._ask(connection, server, asked)
            else:
                ended(server.pool.release)

        def ended(way: Callable[[BackendConnection], None]) -> None:
            way(connection)
            self.asking -= 1
            self._answered()

        connection.send(Capture(done, lambda error: ended(server.pool.discard)), connection.query(sql))

    def _reclaim(self) -> None:
        """The pool has other sessions waiting."""
        connection = self.connection
        if connection is None:
            return
        left = self._since + FIRM - perf_counter()
        if self.firm and left > 0:
            connection.lingering = None  # asked once is enough
            asyncio.get_running_loop().call_later(left, self._reclaim_late, connection, self._since)
            return
        self.give_up()

    def _reclaim_late(self, connection: BackendConnection, since: float) -> None:
        if self.connection is connection and self._since == since:
            self.give_up()


def _row_count(outcome: ResponseScanner, facts: StatementFacts) -> int | None:
    """What ROW_COUNT() returns after a statement."""
    if facts.multi or facts.kind not in _KNOWN:
        return None
    if outcome.error is not None:
        return -1
    if outcome.has_rows:
        return -1 if facts.kind in _WITH_ROWS else None
    return outcome.affected_rows if facts.kind in _COUNTED else None
