"""Answers of the router itself: SHOW SESSION STATE and EXPLAIN ROUTE, as rows of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from router.wire.constants import ColumnType
from router.wire.packets import ColumnDefinition
from router.wire.rows import encode_text_result

if TYPE_CHECKING:
    from router.frontend.dispatch import Dispatcher

JSON_COLUMNS = ("EXPLAIN",)
STATE_COLUMNS = ("name", "value")
_UTF8MB4 = 45


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
        *((f"variable {name}", value) for name, value in sorted(session.variables.values.items())),
    ]


def result(names: Sequence[str], values: Sequence[Sequence[object]], capabilities: int, status: int) -> bytes:
    """A result of our own, everything as text; ``capabilities`` and ``status`` are the session's."""
    rows = [[None if value is None else str(value).encode() for value in row] for row in values]
    columns = [
        ColumnDefinition(name=name.encode(), type=ColumnType.VAR_STRING, collation_id=_UTF8MB4, length=1024)
        for name in names
    ]
    return encode_text_result(columns, rows, capabilities=capabilities, status=status)
