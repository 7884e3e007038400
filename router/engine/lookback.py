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
from router.errors import ConnectionLost
from router.session.state import SessionState
from router.sql.facts import StatementFacts, StatementKind
from router.wire.scanner import ResponseScanner

# How long a connection with warnings or an error behind it is left to its session although others wait, in seconds.
FIRM = 0.25

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
    as much patience as warnings. ``asking`` counts questions for LAST_INSERT_ID() under way; ``answered`` is called
    after each.
    """

    __slots__ = (
        "_answered",
        "_server",
        "_session",
        "_since",
        "asking",
        "asks",
        "connection",
        "firm",
        "knows",
        "last_on",
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

    def keep(self, connection: BackendConnection, server: Server, *, firm: bool) -> None:
        """Let ``connection`` linger; ``firm`` when warnings or an error stand behind it."""
        self.give_up()
        self.connection = self.last_on = connection
        self._server = server
        self.firm = firm
        self._since = perf_counter()
        server.pool.linger(connection, self._reclaim)

    def remembers(self, connection: BackendConnection, command: bytes) -> bool:
        """Whether ``connection`` can answer a look-back as it is."""
        self._asks_for_counts(command)
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

    def told(self, connection: BackendConnection, command: bytes) -> list[str] | None:
        """The statements after which ``connection`` can answer a look-back; None when there are none."""
        lost = self._session.last_insert_id is None and self.knows is not connection
        if self._asks_for_counts(command) or (lost and questions.asks_for_insert_id(command)):
            return None
        tell = self.tell(connection)
        return tell if connection is self.last_on else [*tell, questions.CLEAR_WARNINGS]

    def ran(self, connection: BackendConnection, facts: StatementFacts, command: bytes) -> None:
        """A statement has ended on ``connection``: may LAST_INSERT_ID() have changed?"""
        scanner = connection.scanner
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

    def outlasts(self, facts: StatementFacts) -> bool:
        """Whether warnings survive this statement: on MariaDB, any that reads no table leaves them alone (measured)."""
        connection = self.connection or self.last_on
        return (
            self.firm
            and facts.tables == ()
            and facts.read
            and connection is not None
            and connection.profile.flavor == "mariadb"
        )

    def matters(self, outcome: ResponseScanner, facts: StatementFacts | None) -> bool:
        """Whether what the last statement left behind is likely to be asked for: others should wait a little."""
        if outcome.error is not None or outcome.warnings > 0 or (self.asks and outcome.affected_rows > 0):
            return True
        return facts is not None and (facts.found_rows or facts.looks_back or self.outlasts(facts))

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

    def is_on(self, server: Server | None) -> bool:
        """Whether the lingering connection is one to ``server``."""
        return self._server is server

    def give_up(self, *, silently: bool = False) -> None:
        """Back to the pool with it; ask for LAST_INSERT_ID() first if only this connection knows it.

        ``silently``: nobody will ask any more, because the session is ending or starts anew.
        """
        last_on = self.last_on
        taken = self.take()
        if taken is None:
            return
        connection, server = taken
        self.last_on = None if last_on is connection else last_on
        self.firm = False
        asks = self.knows is connection and not silently
        if self.knows is connection:
            self.knows = None
        if not asks:
            server.pool.release(connection)
            return
        self.asking += 1

        def done(payload: bytes, error: bytes | None) -> None:
            if error is None:
                (value,) = questions.single_row(payload)
                self._session.last_insert_id = connection.insert_id = int(questions.plain_text(value))
                server.pool.release(connection)
            else:
                server.pool.discard(connection)
            self.asking -= 1
            self._answered()

        def lost(error: ConnectionLost) -> None:
            server.pool.discard(connection)
            self.asking -= 1
            self._answered()

        connection.send(Capture(done, lost), connection.query(questions.ASK_INSERT_ID))

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
