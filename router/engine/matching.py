"""What takes a server connection to a session's state, in front of a statement: only what differs."""

from __future__ import annotations

from router.backend.connection import BackendConnection
from router.engine.services import Services
from router.engine.statements import Statement
from router.planner.plan import Relay
from router.session.gtids import Token, wait_for
from router.session.state import SessionState
from router.sql.facts import StatementKind

# How long a read waits on a replica for what its session has written, in seconds; then the primary answers.
PATIENCE = 0.5


def patience(backend: BackendConnection, token: Token) -> bytes:
    """The command that waits for writes on a replica, and fails when they do not come."""
    return backend.query(wait_for(token, PATIENCE, backend.profile.flavor))


def schema_of(plan: Relay, statement: Statement | None, session: SessionState) -> str | None:
    """The database that the plan's command is to run in; a prepared statement's is that of its PREPARE."""
    if plan.database is not None:
        return plan.database
    return session.schema if statement is None else statement.schema(session.schema)


def at_home(plan: Relay, schema: str | None, services: Services) -> str | None:
    """The schema, if it lives in the group of the plan; if not, the statement names its own."""
    home = schema is not None and services.group_of(schema) == plan.group
    return plan.database or (schema if home else None)


def commands_for(
    plan: Relay,
    statement: Statement | None,
    backend: BackendConnection,
    session: SessionState,
    services: Services,
    also: list[str],
) -> list[bytes]:
    """The commands, one reply each; ``also`` these. What opens the session's transaction comes last, as if sent."""
    leaves = plan.facts.kind is StatementKind.USE  # perhaps because the schema is gone
    commands = backend.adapt(
        None if leaves else at_home(plan, schema_of(plan, statement, session), services),
        session.wanted(backend.variables, plan.facts),
    )
    commands.extend(map(backend.query, also))
    if session.opening is not None and not plan.anywhere:
        commands.extend(map(backend.query, session.opening))
        session.opening = None
    return commands
