"""A session as operators see it. Its text may hold secrets: what is shown of it unless asked for is its digest."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

from router.frontend.dispatch import Dispatcher
from router.session.registry import Glance
from router.sql.fingerprint import digest_text
from router.sql.lexer import LexMode, TokenKind, tokenize
from router.wire.attributes import without_attributes
from router.wire.constants import Command

# Bytes of a statement that are shown, and where it begins in its frame.
LONGEST = 4096
_TEXT = 5


def glance(dispatcher: Dispatcher, attributes: Mapping[str, str], now: float) -> Glance:
    """The session at loop time ``now``; ``attributes`` are those of its login."""
    session, executor, client = dispatcher.session, dispatcher.executor, dispatcher.client
    branches = executor.branches.in_order()
    if executor.connection is not None and executor.held is not None:
        branches.append((executor.connection, executor.held))
    running = executor.plan is not None
    text = _text(executor.frame, executor.shape) if running and not client.idle else None
    since: float | None
    if client.idle:
        state, since = "idle", 0.0 if client.active else now - client.last_activity
    else:
        state = "waiting" if running and executor.connection is None else "running"
        # What runs on several shards is not the executor's, and nobody has noted when it began.
        since = perf_counter() - executor.started if running else None
    return Glance(
        connection_id=dispatcher.connection_id,
        user=dispatcher.user,
        host=dispatcher.host,
        schema=session.schema,
        state=state,
        seconds=None if since is None else max(0.0, since),
        servers=tuple((server.group, server.name, connection.thread_id) for connection, server in branches),
        transaction=session.transaction,
        pinned_by=tuple(sorted(dispatcher.pin_reasons())),
        program=attributes.get("program_name") or attributes.get("_client_name"),
        tls=client.transport.get_extra_info("cipher") is not None,
        statement=None if text is None else text.decode("utf-8", "replace"),
        digest=None if text is None else without_literals(text, session.mode),
    )


def without_literals(sql: bytes, mode: LexMode) -> str:
    """The digest of a statement, or of its beginning: nothing is shown from where it cannot be read."""
    for token in tokenize(sql, mode):
        if token.kind is TokenKind.INVALID:
            return f"{digest_text(sql[: token.start], mode)} …".lstrip()
    return digest_text(sql, mode)


def _text(frame: bytes, shape: int) -> bytes | None:
    """The text in a framed COM_QUERY."""
    if len(frame) <= _TEXT or frame[4] != Command.QUERY:
        return None
    return without_attributes(frame, shape)[_TEXT : _TEXT + LONGEST]
