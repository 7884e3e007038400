"""One connection to a server: sends one command at a time and relays the answer to a sink.

The connection is an ``asyncio`` protocol by shape (aiomysql has opened and authenticated the transport, see
``connector.py``). Bytes come in as the server sends them, ``ResponseScanner`` finds the end, and the same bytes go to
the sink. In front of a command there may be a *prefix* – SET, USE – written in the same segment, whose replies are
swallowed here.

Safety (architecture "zero replies owed"): bytes nobody asked for, a broken response or a failed prefix end the
connection. It never becomes idle while a reply is owed.

Speed: ``data_received`` handles the common case – nothing left over, no prefix, the whole answer in one chunk, no
trackers – without slicing or copying.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from router.backend.reset import query, use_schema
from router.backend.statements import ServerStatements
from router.errors import ConnectionLost, ProtocolError
from router.session.profile import ServerProfile
from router.session.variables import EMPTY, VariableSet, assignments
from router.wire.constants import Capability
from router.wire.scanner import PREPARE, QUERY, ResponseScanner

# Whose connections may be exchanged for one another: the account, the capabilities that shape the protocol, and
# whether a default database is set (nothing short of a new login takes it away again).
PoolKey = tuple[str, int, bool]

_HEADER = 4  # of a packet


class Sink(Protocol):
    """Where a response goes: a client's session, or a ``Capture`` for the router's own questions."""

    def forward(self, data: bytes) -> None:
        """Bytes of the response, exactly as they are to reach the client."""

    def response_ended(self, connection: BackendConnection) -> None:
        """The response is complete; ``connection.scanner`` has its outcome. Zero replies are owed."""

    def withholds(self, connection: BackendConnection) -> bool:
        """The whole response is an error, and nobody has seen it: True when it has been dealt with and goes nowhere."""

    def file_requested(self, connection: BackendConnection) -> None:
        """The server waits for LOCAL INFILE data."""

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        """The connection broke before the response ended."""

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """The session's state could not be applied (``error`` is the ERR payload); the connection is closed, unless it
        is just ``behind``.

        Only proven reads are sent together with a prefix, so nothing but the answer is lost.
        """

    def pause(self) -> None:
        """The server takes no more bytes for now."""

    def resume(self) -> None:
        """The server takes bytes again."""


class BackendConnection:
    """An authenticated connection to one server, owned by one pool.

    ``shape`` are the negotiated capabilities that matter to clients, ``variables`` and ``schema`` what has been
    applied since it was new.
    """

    __slots__ = (
        "_keep",
        "_kind",
        "_on_closed",
        "_prefix",
        "_prefix_error",
        "_rest",
        "_sink",
        "_waiting",
        "behind",
        "bytes_relayed",
        "closed",
        "created",
        "deprecate_eof",
        "forwarded",
        "generation",
        "insert_id",
        "key",
        "lingering",
        "profile",
        "scanner",
        "schema",
        "statements",
        "thread_id",
        "transport",
        "used",
        "variables",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        key: PoolKey,
        thread_id: int,
        deprecate_eof: bool,
        profile: ServerProfile,
        now: float,
        keep: object = None,
    ) -> None:
        """``keep`` is held as long as the connection (the StreamWriter whose destructor would close the socket)."""
        self.transport = transport
        self.key = key
        self.thread_id = thread_id
        self.deprecate_eof = deprecate_eof
        self.profile = profile
        self.created = now
        self.used = now
        self.generation = 0
        self.variables: VariableSet = EMPTY
        self.schema: str | None = None
        # What LAST_INSERT_ID() would return on it, None when it has not been asked since it may have changed.
        self.insert_id: int | None = 0
        self.closed = False
        self.statements = ServerStatements()
        self.scanner = ResponseScanner()
        self.scanner.tracking = bool(key[1] & Capability.SESSION_TRACK)
        self.scanner.optional = bool(key[1] & Capability.OPTIONAL_RESULTSET_METADATA)
        self.forwarded = False
        self.bytes_relayed = 0
        self.lingering: Callable[[], None] | None = None
        self._sink: Sink | None = None
        self._rest = b""
        self._prefix = 0
        self._kind = QUERY
        self._prefix_error: bytes | None = None
        self._waiting = False  # the next reply of the prefix is that of a wait
        self.behind = False  # a wait has failed, and nothing else
        self._keep = keep
        self._on_closed: Callable[[BackendConnection], None] | None = None

    # -- sending -----------------------------------------------------------------------------------------------

    def send(self, sink: Sink, data: bytes, kind: int = QUERY, prefix_replies: int = 0, *, waits: bool = False) -> None:
        """Write ``data`` – ``prefix_replies`` commands and the one whose response of ``kind`` goes to ``sink``.

        ``waits``: the first of them only waits for something; if it alone fails, the connection is as good as before.
        """
        self._sink = sink
        self.forwarded = False
        self.bytes_relayed = 0
        self._prefix = prefix_replies
        self._waiting = waits
        self.behind = False
        self._kind = kind
        self.scanner.start(QUERY if prefix_replies else kind, self.deprecate_eof)
        self.transport.write(data)

    def query(self, sql: str | bytes) -> bytes:
        """A framed COM_QUERY of the router's own for this connection; text is ASCII."""
        return query(sql, self.key[1])

    def adapt(self, schema: str | None, variables: VariableSet) -> list[bytes]:
        """The commands, one reply each, that take it to a schema (None: leave that) and to these variables.

        They count as applied: a connection on which one of them fails has to go.
        """
        commands = []
        if self.schema != schema and schema is not None:
            commands.append(use_schema(schema))
            self.schema = schema
        terms = assignments(variables, self.variables, self.profile)
        if terms:
            commands.append(self.query("SET " + ", ".join(terms)))
        self.variables = variables
        return commands

    def write(self, data: bytes) -> None:
        """Raw bytes that belong to the command in progress (LOCAL INFILE) or expect no answer."""
        self.transport.write(data)

    @property
    def busy(self) -> bool:
        """Whether a reply is owed."""
        return self._sink is not None

    def when_closed(self, callback: Callable[[BackendConnection], None]) -> None:
        """Call ``callback`` once when the transport is gone, whoever ended it."""
        self._on_closed = callback

    def close(self) -> None:
        """Close now; a response in progress is not reported any more."""
        self._sink = None
        self.closed = True
        self.transport.abort()

    def quit(self) -> None:
        """Leave politely: an idle connection says COM_QUIT before it closes."""
        if self.busy:
            self.close()
            return
        self.closed = True
        self.transport.write(b"\x01\x00\x00\x00\x01")
        self.transport.close()

    # -- asyncio protocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Not called: the transport was adopted."""

    def data_received(self, data: bytes) -> None:
        """A chunk from the server."""
        sink = self._sink
        if sink is None:
            self.lose("bytes from an idle server connection")
            return
        if self._rest:
            data = self._rest + data
            self._rest = b""
        pos = 0
        scanner = self.scanner
        try:
            if self._prefix:
                pos = self._swallow(data)
                if self._prefix or pos == len(data):
                    return
            end = scanner.feed(data, pos)
        except ProtocolError as error:
            self.lose(str(error))
            return
        if end > pos:
            self.bytes_relayed += end - pos
            out = data if pos == 0 and end == len(data) else data[pos:end]
            if scanner.splices:
                out = _spliced(data, pos, end, scanner.splices)
            if self._prefix_error is None:
                if scanner.error is not None and len(data) == end and self._withheld(sink, end - pos):
                    return
                self.forwarded = True
                sink.forward(out)
        if end < len(data):
            if scanner.done:
                self.lose("bytes behind the end of a response")
                return
            self._rest = data[end:]
        if scanner.done:
            if self._prefix_error is not None:
                self._prefix_was_refused(sink)
                return
            self._sink = None
            sink.response_ended(self)
        elif scanner.local_infile:
            sink.file_requested(self)

    def _withheld(self, sink: Sink, size: int) -> bool:
        """Whether the error, the last of ``size`` bytes, is the whole response, and the sink has dealt with it."""
        scanner = self.scanner
        if self.forwarded or not scanner.done or scanner.error is None or size != len(scanner.error) + _HEADER:
            return False
        self._sink = None
        if sink.withholds(self):
            return True
        self._sink = sink
        return False

    def _swallow(self, data: bytes) -> int:
        """Consume replies of the prefix; return the offset of what follows. ``_prefix`` is 0 when it is through."""
        pos = 0
        scanner = self.scanner
        while self._prefix:
            pos = scanner.feed(data, pos)
            if not scanner.done:
                self._rest = data[pos:]
                return pos
            if scanner.error is not None:
                self.behind = self._waiting
                self._prefix_error = self._prefix_error or scanner.error
            self._waiting = False
            self._prefix -= 1
            scanner.start(QUERY if self._prefix else self._kind, self.deprecate_eof)
        return pos

    def _prefix_was_refused(self, sink: Sink) -> None:
        error = self._prefix_error or b""
        self._sink = None
        self._prefix_error = None
        if not self.behind or self._kind == PREPARE:  # nobody would close the statement
            self.close()
        sink.prefix_failed(self, error)

    def eof_received(self) -> bool:
        """The server closed its side: nothing more can come."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self.closed = True
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.connection_lost(self, ConnectionLost(str(exc) if exc else "the server closed the connection"))
        if self._on_closed is not None:
            callback, self._on_closed = self._on_closed, None
            callback(self)

    def pause_writing(self) -> None:
        """The server reads slowly."""
        if self._sink is not None:
            self._sink.pause()

    def resume_writing(self) -> None:
        """The server has caught up."""
        if self._sink is not None:
            self._sink.resume()

    def lose(self, reason: str) -> None:
        """The connection is out of step, or may not be used any more; end it and say so to whoever waits."""
        self.closed = True
        sink, self._sink = self._sink, None
        self.transport.abort()
        if sink is not None:
            sink.connection_lost(self, ConnectionLost(reason))


class Capture:
    """A sink for the router's own commands: collects the response and hands it to ``done``.

    ``done(payload, error)``: ``payload`` is the whole response as framed bytes, ``error`` the ERR payload or None.
    ``lost`` is called instead when the connection breaks.
    """

    __slots__ = ("_done", "_lost", "_parts")

    def __init__(
        self, done: Callable[[bytes, bytes | None], None], lost: Callable[[ConnectionLost], None] | None = None
    ) -> None:
        self._done = done
        self._lost = lost
        self._parts: list[bytes] = []

    def forward(self, data: bytes) -> None:
        """Part of the answer."""
        self._parts.append(data)

    def response_ended(self, connection: BackendConnection) -> None:
        """The answer is complete."""
        self._done(b"".join(self._parts), connection.scanner.error)

    def withholds(self, connection: BackendConnection) -> bool:
        """Whoever has asked hears every error."""
        return False

    def file_requested(self, connection: BackendConnection) -> None:
        """None of our commands loads files."""
        connection.close()
        self.connection_lost(connection, ConnectionLost("the server asked for a file"))

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        """The answer will not come."""
        if self._lost is not None:
            self._lost(error)

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """One of several commands sent together was refused."""
        self._done(b"", error)

    def pause(self) -> None:
        """Our commands are short."""

    def resume(self) -> None:
        """Our commands are short."""


def _spliced(data: bytes, pos: int, end: int, splices: list[tuple[int, int, bytes]]) -> bytes:
    parts: list[bytes] = []
    for start, stop, replacement in splices:
        parts += (data[pos:start], replacement)
        pos = stop
    parts.append(data[pos:end])
    return b"".join(parts)
