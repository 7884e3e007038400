"""One client's connection in the command phase: bytes to commands, answers to bytes.

Commands are run one at a time, in order. What arrives meanwhile waits in a buffer; a client that sends without
reading is stopped. The same in the other direction: when the client reads slowly, the server is paused.

Speed: a command that arrives whole, in one chunk, with nothing waiting – nearly all of them – is recognised by its
header and handed on as the very bytes object that came from the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from router.errors import MySQLError
from router.metrics import Counters
from router.wire.constants import MAX_PAYLOAD
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.framing import frame
from router.wire.packets import ErrPacket

# Bytes a client may send ahead of the command in progress before it is paused.
_AHEAD = 1 << 20
# Above this many unsent bytes the server is paused, below a quarter of it resumed.
_HIGH_WATER = 1 << 19


class Session(Protocol):
    """What the connection drives: the dispatcher of this client."""

    def command(self, frames: bytes, payload: bytes | None) -> None:
        """Run one command; ``frames`` are its bytes as received; ``payload`` None means all behind one header."""

    def paused(self) -> None:
        """The client reads slowly."""

    def resumed(self) -> None:
        """The client reads again."""

    def file_data(self, data: bytes, complete: bool) -> None:
        """LOCAL INFILE bytes for the server; ``complete`` with the last."""

    def lost(self) -> None:
        """The client is gone."""


class Listening(Protocol):
    """Who wants to know how the command in progress ends."""

    def failed(self, error: MySQLError) -> None:
        """It is answered with an error of the router."""

    def finished(self) -> None:
        """It is done."""


class ClientConnection:
    """An ``asyncio`` protocol by shape, and the executor's ``Client``."""

    __slots__ = (
        "_buffer",
        "_closing",
        "_counters",
        "_draining",
        "_file_continues",
        "_file_left",
        "_idle",
        "_in_file",
        "_last_sequence",
        "_max_frame",
        "_orphaned",
        "_session",
        "_stopped",
        "active",
        "last_activity",
        "max_packet",
        "transport",
        "watch",
        "write",
    )

    def __init__(self, transport: asyncio.Transport, max_packet: int, counters: Counters, now: float) -> None:
        self.transport = transport
        # The executor's `forward` ends here; one attribute look-up less than a method.
        self.write: Callable[[bytes], None] = transport.write
        # A sweeper turns `active` into a time now and then: no clock call for every command.
        self.active = True
        self.last_activity = now
        self.max_packet = max_packet
        self._max_frame = min(max_packet, MAX_PAYLOAD - 1)
        self._counters = counters
        self._session: Session | None = None
        self._buffer = bytearray()
        self._idle = True
        self._closing = False
        self._draining = False
        self._stopped = False
        self._in_file = False
        self._file_left = 0
        self._file_continues = False
        self._orphaned = False
        self._last_sequence = 0
        self.watch: Listening | None = None
        transport.set_write_buffer_limits(high=_HIGH_WATER)

    def start(self, session: Session) -> None:
        """Commands go to ``session`` from now on."""
        self._session = session

    @property
    def idle(self) -> bool:
        """Whether no command is in progress."""
        return self._idle

    # -- asyncio protocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Not called: the transport was adopted after the login."""

    def data_received(self, data: bytes) -> None:
        """A chunk from the client."""
        size = len(data)
        self._counters.client_bytes_in += size
        if (
            self._idle
            and not self._buffer
            and size > 4
            and data[3] == 0
            and (data[0] | data[1] << 8 | data[2] << 16) == size - 4 <= self._max_frame
            and self._session is not None
        ):
            self._idle = False
            self._last_sequence = 0
            self._session.command(data, None)
            return
        self._arrived(data)

    def eof_received(self) -> bool:
        """The client closed its side."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._close_session()

    def _close_session(self) -> None:
        """No more commands; what runs for this client ends now, not when the socket has closed."""
        self._closing = True
        self._idle = False
        self._buffer.clear()
        self.write = _nowhere  # uvloop raises when a closed transport is written to
        session, self._session = self._session, None
        if session is not None:
            session.lost()

    def pause_writing(self) -> None:
        """The client does not read as fast as the server sends."""
        if self._session is not None:
            self._session.paused()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._session is not None:
            self._session.resumed()

    # -- bytes to commands -------------------------------------------------------------------------------------

    def _arrived(self, data: bytes) -> None:
        if self._closing:
            return
        self._buffer += data
        if self._in_file:
            self._pass_file()
        elif self._idle:
            self._next()
        if not self._idle and not self._in_file and len(self._buffer) > _AHEAD and not self._stopped:
            self._stopped = True
            self.transport.pause_reading()

    def _next(self) -> None:
        """Run buffered commands until one is in progress or bytes are missing."""
        self._draining = True
        while self._idle and not self._closing and self._session is not None:
            command = self._whole_command()
            if command is None:
                break
            frames, payload = command
            self._idle = False
            self._session.command(frames, payload)
        self._draining = False

    def _whole_command(self) -> tuple[bytes, bytes] | None:
        """Take the next command off the buffer: (its frames, its payload), or None while it is incomplete."""
        buffer = self._buffer
        pos = 0
        sequence = 0
        parts = []
        total = 0
        while True:
            if pos + 4 > len(buffer):
                return None
            length = buffer[pos] | buffer[pos + 1] << 8 | buffer[pos + 2] << 16
            if buffer[pos + 3] != sequence & 0xFF:
                self._break(ErrorCode.NET_PACKETS_OUT_OF_ORDER, "Got packets out of order", sequence)
                return None
            total += length
            if total > self.max_packet:
                self._break(
                    ErrorCode.NET_PACKET_TOO_LARGE, "Got a packet bigger than 'max_allowed_packet' bytes", sequence
                )
                return None
            if pos + 4 + length > len(buffer):
                return None
            parts.append((pos + 4, pos + 4 + length))
            pos += 4 + length
            if length < MAX_PAYLOAD:
                break
            sequence += 1
        frames = bytes(buffer[:pos])
        del buffer[:pos]
        self._last_sequence = sequence & 0xFF
        payload = frames[4:] if len(parts) == 1 else b"".join(frames[start:end] for start, end in parts)
        if not payload:
            self._break(ErrorCode.MALFORMED_PACKET, "Malformed communication packet", sequence)
            return None
        return frames, payload

    def _break(self, code: ErrorCode, message: str, sequence: int) -> None:
        """The client's bytes make no sense or are too many: say so and end the connection."""
        self._last_sequence = sequence & 0xFF
        self.fail(mysql_error(code, message), close=True)

    # -- LOCAL INFILE ------------------------------------------------------------------------------------------

    def ask_for_file(self) -> None:
        """The server's request has been forwarded; the client's next packets, up to an empty one, are the file."""
        self._in_file = True
        self._file_left = 0
        self._file_continues = False
        if self._buffer:
            self._pass_file()

    def _pass_file(self) -> None:
        """Hand buffered file packets on; an empty packet ends the file.

        When the command has failed meanwhile – its server is gone – the client still sends the rest, for nobody.
        """
        size, complete = self._walk_file()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        if self._session is not None and data and not self._orphaned:
            self._session.file_data(data, complete)
        if complete:
            self._in_file = False
            if self._orphaned:
                self._orphaned = False
                self.finished()

    def _walk_file(self) -> tuple[int, bool]:
        """How much of the buffer belongs to the file, and whether the file ends there."""
        buffer = self._buffer
        pos = 0
        while pos < len(buffer):
            if self._file_left:
                step = min(self._file_left, len(buffer) - pos)
                self._file_left -= step
                pos += step
                continue
            if pos + 4 > len(buffer):
                break
            length = buffer[pos] | buffer[pos + 1] << 8 | buffer[pos + 2] << 16
            self._last_sequence = buffer[pos + 3]
            pos += 4
            if length == 0 and not self._file_continues:
                return pos, True
            self._file_continues = length == MAX_PAYLOAD
            self._file_left = length
        return pos, False

    # -- the executor's client ---------------------------------------------------------------------------------

    def answer(self, payload: bytes) -> None:
        """Answer the command in progress, or the end of a file, with one packet."""
        self.write(frame(payload, (self._last_sequence + 1) & 0xFF))

    def fail(self, error: MySQLError, *, close: bool = False) -> None:
        """Answer the command in progress with an ERR packet."""
        if self.watch is not None:
            self.watch.failed(error)
        self.answer(ErrPacket.of(error).encode())
        if close:
            self.end()
        else:
            self.finished()

    def finished(self) -> None:
        """The command in progress is done; go on with what has arrived since."""
        if self._closing:
            return
        if self._in_file:
            self._orphaned = True
            return
        self._idle = True
        self.active = True
        if self.watch is not None:
            self.watch.finished()
        if self._buffer and not self._draining:
            self._next()
        if self._stopped and len(self._buffer) <= _AHEAD:
            self._stopped = False
            self.transport.resume_reading()

    def end(self) -> None:
        """Close after what has been written is sent."""
        self.transport.close()
        self._close_session()

    def abort(self) -> None:
        """Close now: the client must not take what it has for a whole answer."""
        self.transport.abort()
        self._close_session()

    def pause_reading(self) -> None:
        """The server cannot take more for now."""
        if not self._stopped and not self._closing:
            self._stopped = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """The server takes bytes again."""
        if self._stopped and not self._closing:
            self._stopped = False
            self.transport.resume_reading()


def _nowhere(data: bytes) -> None:
    """Where answers go when the client is gone."""
