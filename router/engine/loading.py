"""LOAD DATA LOCAL on several shards: the client's file is read once, and each line goes to the shard of its key.

Lines are collected for each shard, and sent in pieces of about ``PIECE`` bytes, each as a LOAD DATA of its own: no
server waits for lines that may be long in coming, and shards of one group share a connection. All is part of one
transaction. A client that sends faster than shards take is paused. What goes wrong is told at the end of the file, as
servers do it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from router.backend.connection import BackendConnection, Capture
from router.engine import refusals
from router.engine.questions import plain_text, single_row
from router.engine.share import Share
from router.engine.totals import added
from router.errors import BackendError, ConnectionLost, MySQLError
from router.planner.loading import Load, Placer
from router.planner.plan import Part
from router.planner.routes import Unplannable
from router.sql.infile import Line, LineError, Lines
from router.wire.constants import Command
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.framing import frames
from router.wire.packets import OkPacket
from router.wire.scanner import QUERY

if TYPE_CHECKING:
    from router.engine.writing import Writing

# Bytes of lines that are sent to a shard at once; those that may wait before the client is paused.
PIECE = 256 * 1024
WAITING = 4 * 1024 * 1024
# Bytes of a packet with a part of the file, and of the longest line (servers' max_allowed_packet, or less).
_PACKET = 16 * 1024
_LONGEST = 64 * 1024 * 1024
_ASK_CHARSET = "SELECT @@character_set_database"
_WARNINGS = re.compile(rb"(?<=Warnings: )\d+")


class Loader(Share):
    """The shards of one group, with the connection they share. It is the ``Sink`` of what it sends."""

    __slots__ = (
        "_always",
        "_answers",
        "_current",
        "_dead",
        "_loading",
        "_over",
        "_payload",
        "_queue",
        "_running",
        "_told",
        "parts",
        "request",
    )

    def __init__(self, writing: Writing, part: Part, loading: Loading) -> None:
        super().__init__(writing, part, writing.services)
        self._loading = loading
        self.parts: list[Part] = [part]
        self.request = b""
        self._payload = b""
        self._queue: deque[tuple[Part, bytes]] = deque()
        self._current = b""
        self._running: Part | None = None
        self._answers: dict[str | None, list[OkPacket]] = {}  # by shard
        self._always: int | None = None
        self._over = self._dead = self._told = False

    # -- before the file ---------------------------------------------------------------------------------------

    def _opened(self, payload: bytes, error: bytes | None) -> None:
        connection = self.connection
        if connection is None:
            return
        if error is not None:
            self._failed(error)
        elif self._loading.charset is None:
            connection.send(Capture(self._charset_told, self._lost), connection.query(_ASK_CHARSET))
        else:
            self._probe()

    def _charset_told(self, payload: bytes, error: bytes | None) -> None:
        if error is not None:
            self._failed(error)
            return
        self._loading.charset_found(plain_text(single_row(payload)[0]))
        self._probe()

    def _probe(self) -> None:
        """An empty file: what servers have to say against the statement, they say now; or the request for the file."""
        self.push(self.part, b"")

    # -- pieces ------------------------------------------------------------------------------------------------

    def push(self, part: Part, lines: bytes) -> None:
        """Send lines to a shard when the connection is free."""
        self._queue.append((part, lines))
        self._next()

    def _next(self) -> None:
        connection = self.connection
        if self._running is not None or connection is None:
            return
        if connection.closed:
            self._lost(ConnectionLost("it ended between two statements"))
            return
        if not self._queue or self.error is not None:
            if self._over:
                self._finish(connection)
            return
        part, self._current = self._queue.popleft()
        self._running = part
        commands = connection.adapt(
            part.relay.database, self._writing.session.wanted(connection.variables, part.relay.facts)
        )
        data = b"".join((*commands, connection.query(part.sql)))
        self._payload = b""
        connection.send(self, data, QUERY, len(commands))

    def forward(self, data: bytes) -> None:
        """Part of the server's answer."""
        self._payload += data

    def file_requested(self, connection: BackendConnection) -> None:
        """The server wants the lines."""
        self.request = self.request or self._payload
        self._payload = b""
        lines = self._current
        packets = [lines[start : start + _PACKET] for start in range(0, len(lines), _PACKET)]
        connection.scanner.file_sent()
        connection.write(frames([*packets, b""], 2)[0])

    def response_ended(self, connection: BackendConnection) -> None:
        """A piece is loaded, or refused."""
        part, size = self._running, len(self._current)
        self._running, self._current = None, b""
        if self.server is not None:
            self.server.commands[Command.QUERY] += 1
        if connection.scanner.error is not None:
            self._failed(connection.scanner.error)
        elif part is not None:
            answers = self._answers.setdefault(part.relay.shard, [])
            answers.append(self._counted(self._ok(connection, self._payload)))
            if len(answers) == 1 and part is self.part:
                self._loading.ready()
        self._loading.sent(size)
        self._next()

    def _counted(self, answer: OkPacket) -> OkPacket:
        """The answer without warnings that the statement gets whatever is in the file: they count once for all."""
        if self._always is None:
            self._always = answer.warnings
            extra = 0 if self is self._loading.shares[0] else answer.warnings
        else:
            extra = min(self._always, answer.warnings)
        if not extra:
            return answer
        info = _WARNINGS.sub(lambda found: b"%d" % (int(found[0]) - extra), answer.info)
        return replace(answer, warnings=answer.warnings - extra, info=info)

    # -- the end -----------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """There will be no more lines."""
        self._over = True
        if self._dead:
            self._end()
        else:
            self._next()

    def _end(self) -> None:
        if not self._told:
            self._told = True
            self._writing.ended(self)

    def _finish(self, connection: BackendConnection) -> None:
        self._over = False
        sums = [added(answers) for answers in self._answers.values()]
        copies = self._loading.copies
        if copies and self.error is None and len({each.affected_rows for each in sums}) > 1:
            self.error = refusals.copies_differ([each.affected_rows for each in sums])
        # Even of what failed in the end, lines may be there, which are to be taken back.
        self.answer = sums[0] if copies and sums else added(sums)
        if self._writing.sets_clock:
            connection.send(Capture(self._done, self._lost), connection.query("SET timestamp = DEFAULT"))
        else:
            self._done(b"", None)

    def _failed(self, error: bytes) -> None:
        self._writing.services.server_refused(error)
        self.error = self.error or refusals.from_server(error)
        if self.connection is not None and self.connection.closed:
            self._lost(ConnectionLost(self.error.message))
            return
        self._queue.clear()
        self._loading.failed()
        self._next()

    def _not_granted(self, error: BackendError) -> None:
        self.error = refusals.not_sent(error)
        self._die()

    def withholds(self, connection: BackendConnection) -> bool:
        """Errors are not forwarded anyway."""
        return False

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        """The connection broke."""
        self._lost(error)

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """The session's state could not be applied."""
        self._lost(ConnectionLost(str(refusals.from_server(error))))

    def _lost(self, error: ConnectionLost) -> None:
        connection, server = self.connection, self.server
        self.connection = self._running = None
        if connection is not None and server is not None:
            server.pool.discard(connection)
            self._writing.services.suspect(server)
        self.error = self._writing.lost(refusals.where_lost(server, error))
        self._die()

    def _die(self) -> None:
        self._dead = True
        self._queue.clear()
        if self._loading.over:
            self._end()
        else:
            self._loading.failed()

    def pause(self) -> None:
        """The server reads slowly: its pieces wait, and the client when there are too many."""

    def resume(self) -> None:
        """The server has caught up."""


class Loading:
    """One LOAD DATA LOCAL. ``shares`` begin by themselves; then the client is asked for the file."""

    def __init__(self, writing: Writing, load: Load, parts: Sequence[Part]) -> None:
        self._load = load
        self._parts = parts
        self._client = writing.client
        self.charset = load.charset
        self.copies = load.loads.table.broadcast
        self.over = False
        self._error: MySQLError | None = None
        self._bad = False
        self._asked = False
        self._unready = 0
        self._lines: Lines | None = None
        self._placer: Placer | None = None
        self._waiting = 0
        self._paused = False
        self._collected: list[list[bytes]] = [[] for _ in parts]
        self._sizes = [0] * len(parts)
        self._header = b""
        self._left = 0
        by_group: dict[str, Loader] = {}
        self._loaders: list[Loader] = []
        for part in parts:
            if part.relay.group in by_group:
                by_group[part.relay.group].parts.append(part)
            else:
                by_group[part.relay.group] = Loader(writing, part, self)
            self._loaders.append(by_group[part.relay.group])
        self.shares = tuple(by_group.values())
        self._unready = len(self.shares)

    # -- what loaders tell -------------------------------------------------------------------------------------

    def charset_found(self, charset: str) -> None:
        """The character set of a shard's database, in which the file is read."""
        if self.charset is not None and charset != self.charset:
            self._refuse("LOAD DATA without CHARACTER SET, while the databases of the shards have several")
        self.charset = self.charset or charset

    def ready(self) -> None:
        """A loader has sent an empty file, and all is well."""
        self._unready -= 1
        if self._unready == 0:
            self._ask()

    def failed(self) -> None:
        """A loader cannot go on; the client is told when its file has ended."""
        self._bad = True
        self._resume()
        if not self._asked and not self.over:
            self._conclude()

    def _ask(self) -> None:
        """Have the client send the file."""
        try:
            self._lines = self._load.lines(self.charset or "", _LONGEST)
            self._placer = self._load.placer(self._lines, self.charset or "")
        except Unplannable as error:
            self._refuse(error.construct)
        if self._bad or self._client is None:
            self._conclude()
            return
        self._asked = True
        self._client.write(self.shares[0].request)
        self._client.ask_for_file()

    def _refuse(self, construct: str) -> None:
        self._bad = True
        message = f"router: not supported on sharded tables: {construct}"
        self._error = self._error or mysql_error(ErrorCode.NOT_SUPPORTED_YET, message)

    # -- the file ----------------------------------------------------------------------------------------------

    def data(self, framed: bytes, complete: bool) -> None:
        """Packets of the client's file, or parts of them; ``complete``: the last."""
        lines, placer = self._lines, self._placer
        content = self._unframed(framed)
        if not self._bad and lines is not None and placer is not None:
            try:
                for line in lines.feed(content):
                    self._sort(line, placer)
                for line in lines.end() if complete else ():
                    self._sort(line, placer)
            except LineError as error:
                self._bad = True
                message = f"router: line {error.number} of the file cannot be loaded: {error.reason}; nothing of it is"
                self._error = mysql_error(ErrorCode.NO_PARTITION_FOR_GIVEN_VALUE, message)
        if complete:
            self._conclude()

    def _sort(self, line: Line, placer: Placer) -> None:
        for part in placer.parts(line):
            self._collected[part].append(line.raw)
            self._sizes[part] += len(line.raw)
            if self._sizes[part] >= PIECE:
                self._push(part)

    def _push(self, part: int) -> None:
        lines = b"".join(self._collected[part])
        self._collected[part] = []
        self._sizes[part] = 0
        self._waiting += len(lines)
        self._loaders[part].push(self._parts[part], lines)
        if self._waiting > WAITING and not self._paused and self._client is not None:
            self._paused = True
            self._client.pause_reading()

    def sent(self, size: int) -> None:
        """A shard has taken so many bytes."""
        self._waiting -= size
        if self._waiting <= WAITING // 2:
            self._resume()

    def _resume(self) -> None:
        if self._paused and self._client is not None:
            self._paused = False
            self._client.resume_reading()

    def _conclude(self) -> None:
        """The file has ended, or is not wanted: all shards get the rest, and end."""
        if self.over:
            return
        self.over = True
        self._resume()
        if not self._bad:
            for part, size in enumerate(self._sizes):
                if size:
                    self._push(part)
        if self._error is not None and all(share.error is None for share in self.shares):
            self.shares[0].error = self._error
        for share in self.shares:
            share.finish()

    def _unframed(self, framed: bytes) -> bytes:
        """Without the headers of packets."""
        content = []
        at = 0
        while at < len(framed):
            if self._left:
                step = min(self._left, len(framed) - at)
                content.append(framed[at : at + step])
                self._left -= step
                at += step
                continue
            need = 4 - len(self._header)
            self._header += framed[at : at + need]
            at += need
            if len(self._header) == 4:
                self._left = int.from_bytes(self._header[:3], "little")
                self._header = b""
        return b"".join(content)
