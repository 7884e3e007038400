"""PREPARE, the client's and the router's own: makes a server connection know a statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from router.backend.connection import BackendConnection, Capture
from router.backend.statements import StatementText
from router.engine.statements import Statement, Statements
from router.errors import ConnectionLost
from router.planner.plan import Relay, Role, Sharded
from router.session.state import SessionState
from router.sql.facts import PinReason, Reason, StatementFacts, StatementKind
from router.wire.scanner import PREPARE

# Commands about a statement, rather than the statement: they change nothing, wherever they run.
_ABOUT = StatementFacts(StatementKind.OTHER, read=True, reason=Reason.READ, tables=())
# User variables have types, which a statement that names them takes on when it is prepared.
_ABOUT_VARIABLES = replace(_ABOUT, user_variables=True)


def to_prepare(plan: Relay) -> Relay:
    """Where a statement that ``plan`` is for is prepared."""
    return replace(plan, facts=_ABOUT_VARIABLES if plan.facts.user_variables else _ABOUT, observed=None)


def about(plan: Relay) -> Relay:
    """For commands about a statement with an open cursor."""
    return replace(plan, role=Role.PRIMARY, facts=_ABOUT, observed=None)


class Preparing:
    """Prepares the statements of one session.

    ``ready(connection)`` is called when a connection knows a statement that the client has prepared before,
    ``refused(connection, error)`` when its server does not take it, ``lost`` when the connection broke meanwhile.
    """

    __slots__ = ("_clients", "_lost", "_ready", "_refused", "_session", "_statements")

    def __init__(
        self,
        session: SessionState,
        statements: Statements,
        ready: Callable[[BackendConnection], None],
        refused: Callable[[BackendConnection, bytes], None],
        lost: Callable[[ConnectionLost], None],
    ) -> None:
        self._session = session
        self._statements = statements
        self._ready = ready
        self._refused = refused
        self._lost = lost
        self._clients: tuple[Relay, Sharded | None] | None = None

    def begin(self, plan: Relay, sharded: Sharded | None) -> None:
        """The client prepares a statement that ``plan`` is for."""
        self._clients = plan, sharded

    def ended(self, frame: bytes, connection: BackendConnection) -> bytes | None:
        """The client's PREPARE (``frame``) has been answered on ``connection``; returns the error, if it was one."""
        clients, self._clients = self._clients, None
        session = self._session
        scanner = connection.scanner
        scanner.renumber = 0
        if scanner.error is not None or clients is None:
            self._statements.failed()
            return scanner.error or b""
        plan, sharded = clients
        text = StatementText.of(frame, plan.database or session.schema, session.variables)
        self._statements.opened(plan, text, scanner.parameters, sharded)
        if plan.facts.user_variables:
            session.pins.add(PinReason.USER_VARIABLE)
        _keep(connection, text)
        return None

    def again(self, statement: Statement, connection: BackendConnection, schema: str | None) -> None:
        """This connection does not know the statement: prepare it there, in ``schema``, as it was prepared first."""
        text = statement.text
        variables = self._session.wanted(connection.variables, statement.plan.facts)
        commands = connection.adapt(schema, text.variables_within(variables))

        def done(payload: bytes, error: bytes | None) -> None:
            if error is None:
                _keep(connection, text)
                self._ready(connection)
            else:
                self._refused(connection, error)

        connection.send(Capture(done, self._lost), b"".join((*commands, text.frame)), PREPARE, len(commands))


def _keep(connection: BackendConnection, text: StatementText) -> None:
    if closing := connection.statements.add(text, connection.scanner.statement_id):
        connection.write(closing)
