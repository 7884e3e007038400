"""What follows the last byte of a response, before its connection may be anybody else's.

Session trackers say most of what a statement has changed. Three things may still have to be asked on the same
connection: variables (MariaDB does not report ``SET @@x``), the character set (after a SET that touched it: servers do
not report all of it), and a PING whose OK carries the trackers (after a statement that may have changed state but did
not end in an OK).
"""

from __future__ import annotations

from collections.abc import Callable

from router.backend.connection import BackendConnection, Capture
from router.engine import questions
from router.engine.services import Services
from router.errors import ConnectionLost
from router.planner.plan import Relay
from router.session.state import SessionState
from router.sql.facts import StatementFacts, StatementKind
from router.wire.errcodes import ErrorCode, code_of
from router.wire.packets import SessionChanges, decode_session_changes

_UNCHANGING = frozenset({StatementKind.SHOW, StatementKind.EXPLAIN, StatementKind.SELECT})


class Settling:
    """Settles one statement at a time; ends in ``adopt`` (maybe several times) and ``done``, or in ``lost``.

    ``adopt(connection)``: what the session has become, its connection is already. ``lost`` gets the reason: the answer
    is with the client, but the state behind it is not known.
    """

    __slots__ = ("_adopt", "_command", "_done", "_facts", "_group", "_lost", "_services", "_session", "_spans")

    def __init__(
        self,
        session: SessionState,
        services: Services,
        adopt: Callable[[BackendConnection], None],
        done: Callable[[BackendConnection], None],
        lost: Callable[[str], None],
    ) -> None:
        self._session = session
        self._services = services
        self._adopt = adopt
        self._done = done
        self._lost = lost
        self._facts: StatementFacts | None = None
        self._command = b""
        self._group = ""
        self._spans = False

    def settle(self, connection: BackendConnection, plan: Relay, command: bytes) -> None:
        """Take over what the response to ``command`` says of the session's state; ask what it does not say."""
        self._facts = facts = plan.facts
        self._spans = plan.spans
        self._group = plan.group
        self._command = command
        scanner = connection.scanner
        session = self._session
        error = scanner.error
        if error is None:
            session.after_status(scanner.status)
        elif self._services.server_refused(error) == ErrorCode.PARSE_ERROR and not facts.multi:
            session.never_ran()
        if session.user_variables_assigned(failed=error is not None):
            connection.variables = session.variables
        changes = [decode_session_changes(blob) for blob in scanner.changes]
        ask_charset = self._after(connection, changes, failed=error is not None)
        names = session.unreported(facts, changes) if error is None or facts.multi else []
        if names:
            self._ask_values(connection, names)
        elif ask_charset:
            self._ask_charset(connection)
        else:
            self._synchronise(connection, facts)

    def _ask_values(self, connection: BackendConnection, names: list[str]) -> None:
        """MariaDB does not report every form of SET. (A SELECT without a table leaves its warnings alone.)"""

        def answered(payload: bytes, error: bytes | None) -> None:
            if error is not None:
                self._lost("its variables cannot be read")
                return
            row = questions.single_row(payload)
            values = {
                name: connection.profile.as_reported(name, questions.plain_text(value))
                for name, value in zip(names, row, strict=True)
            }
            if self._after(connection, [SessionChanges(variables=values)], failed=False):
                self._ask_charset(connection)
            elif self._facts is not None:
                self._synchronise(connection, self._facts)

        self._ask(connection, connection.query(questions.values_of(names)), answered)

    def _ask(
        self, connection: BackendConnection, question: bytes, answered: Callable[[bytes, bytes | None], None]
    ) -> None:
        """Send a question; what the statement has left to look back at stays known."""
        scanner = connection.scanner
        warnings, affected = scanner.warnings + (scanner.error is not None), scanner.affected_rows

        def done(payload: bytes, error: bytes | None) -> None:
            scanner.warnings, scanner.affected_rows = warnings, affected
            answered(payload, error)

        connection.send(Capture(done, self._connection_lost), question)

    def _after(self, connection: BackendConnection, changes: list[SessionChanges], *, failed: bool) -> bool:
        session = self._session
        for change in changes:
            if change.gtids is not None:
                self._services.topology.groups[self._group].wrote(session.written, change.gtids)
        ask_charset = session.after(self._facts, changes, failed=failed)
        if any(change.schema is not None for change in changes):
            # Where the connection is, and not only the session: DROP DATABASE leaves it nowhere.
            connection.schema = session.schema
        self._adopt(connection)
        return ask_charset

    def _ask_charset(self, connection: BackendConnection) -> None:
        """The server does not report all of a character set change."""
        names = self._services.set_names
        question = questions.set_names_key(self._command, connection.profile, self._session.variables)
        if question in names:
            self._charset_is(connection, names[question])
            return

        def done(payload: bytes, error: bytes | None) -> None:
            if error is not None:
                self._lost("its character set cannot be read")
                return
            client, results, collation = map(questions.plain_text, questions.single_row(payload))
            if question is not None and len(names) < 1000:
                names[question] = (client, results, collation)
            self._charset_is(connection, (client, results, collation))

        connection.send(Capture(done, self._connection_lost), connection.query(questions.ASK_CHARSET))

    def _charset_is(self, connection: BackendConnection, charset: tuple[str, str, str]) -> None:
        self._session.charset_is(*charset)
        self._adopt(connection)
        if self._facts is not None:
            self._synchronise(connection, self._facts)

    def _synchronise(self, connection: BackendConnection, facts: StatementFacts) -> None:
        """Make sure all trackers have been seen.

        Only an OK packet carries them. A statement that ended otherwise and could have changed state is followed
        by a PING, whose OK does.
        """
        session = self._session
        scanner = connection.scanner
        harmless = facts.read or (facts.kind in _UNCHANGING and not facts.multi)
        failed = scanner.error is not None
        single_failure = failed and session.autocommit and not facts.multi
        # The server may have rolled back: other servers would have to, and what comes next stands for itself.
        rolled_back = session.transaction and scanner.error is not None and (self._spans or _rolls_back(scanner.error))
        known = session.holds or harmless or single_failure or (scanner.ended_in_ok and not failed)
        if known and not rolled_back:
            self._done(connection)
            return

        def answered(payload: bytes, error: bytes | None) -> None:
            session.after_status(scanner.status)
            self._after(connection, [decode_session_changes(blob) for blob in scanner.changes], failed=False)
            self._done(connection)

        self._ask(connection, questions.PING, answered)

    def _connection_lost(self, error: ConnectionLost) -> None:
        self._lost(str(error))


def _rolls_back(error: bytes) -> bool:
    """Whether a transaction may be over with an error: a deadlock and its like, of class 40, and waits for locks."""
    return error[4:6] == b"40" or code_of(error) == ErrorCode.LOCK_WAIT_TIMEOUT
