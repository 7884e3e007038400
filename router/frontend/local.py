"""Answers of the router itself: SHOW SESSION STATE and EXPLAIN ROUTE, as rows of text."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from router.errors import MySQLError
from router.planner.plan import Local
from router.session.gtids import NOTHING, Token
from router.session.state import SessionState
from router.sql.facts import StatementKind
from router.sql.own import NAME
from router.wire.constants import ColumnType
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.packets import ColumnDefinition
from router.wire.rows import encode_text_result

if TYPE_CHECKING:
    from router.frontend.dispatch import Dispatcher

JSON_COLUMNS = ("EXPLAIN",)
STATE_COLUMNS = ("name", "value")
_UTF8MB4 = 45


def about_session(session_of: Dispatcher, plan: Local) -> tuple[tuple[str, ...], Sequence[Sequence[str | None]]]:
    """Columns and rows of SHOW SESSION STATE, or of SELECT ``@@router_gtid``."""
    if plan.facts.kind is StatementKind.SESSION_STATE:
        return STATE_COLUMNS, state_rows(session_of)
    return (f"@@{NAME}",), [(gtids_of(session_of.session),)]


def state_rows(session_of: Dispatcher) -> list[tuple[str, str | None]]:
    """What the router keeps for this session, and why it keeps a server connection: (name, value)."""
    session, executor = session_of.session, session_of.executor
    connection = executor.connection
    others = [str(branch.thread_id) for branch, _ in executor.branches.in_order()]
    return [
        ("connection_id", str(session_of.connection_id)),
        ("user", session_of.user),
        ("schema", session.schema),
        ("transaction", "yes" if session.transaction else "no"),
        ("autocommit", "on" if session.autocommit else "off"),
        ("pinned_by", ", ".join(sorted(session_of.pin_reasons())) or None),
        ("server_connection", None if connection is None else str(connection.thread_id)),
        ("other_connections", ", ".join(others) or None),
        ("prepared_statements", str(len(executor.statements))),
        ("written", gtids_of(session) or None),
        *((f"variable {name}", value) for name, value in sorted(session.variables.values.items())),
    ]


def gtids_of(session: SessionState) -> str:
    """``@@router_gtid``: by group, the last writes that the session knows of."""
    return ";".join(f"{group}={token}" for group, token in sorted(session.written.items()))


def learn_gtids(session: SessionState, text: str, groups: Container[str]) -> MySQLError | None:
    """SET ``@@router_gtid``: reads of this session must see these writes, too."""
    learned: dict[str, Token] = {}
    try:
        for part in filter(None, text.split(";")):
            group, equals, gtids = part.partition("=")
            if not equals or group not in groups:
                raise ValueError(group)
            learned[group] = session.written.get(group, NOTHING).after(gtids)
    except ValueError:
        return mysql_error(
            ErrorCode.WRONG_VALUE_FOR_VAR, f"Variable '{NAME}' can't be set to the value of '{text[:200]}'"
        )
    session.written.update(learned)
    return None


def result(names: Sequence[str], values: Sequence[Sequence[object]], capabilities: int, status: int) -> bytes:
    """A result of our own, everything as text; ``capabilities`` and ``status`` are the session's."""
    rows = [[None if value is None else str(value).encode() for value in row] for row in values]
    columns = [
        ColumnDefinition(name=name.encode(), type=ColumnType.VAR_STRING, collation_id=_UTF8MB4, length=1024)
        for name in names
    ]
    return encode_text_result(columns, rows, capabilities=capabilities, status=status)
