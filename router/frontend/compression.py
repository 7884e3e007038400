"""A client's connection with compression, between its transport and its session.

To the transport this is the protocol, to the session the transport: neither knows. Compression is the client's wish; it
costs the router time that the client thinks well spent on a slow line.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import structlog

from router.errors import ProtocolError
from router.wire.compression import Compression

log = structlog.get_logger(__name__)


class CompressedTransport(asyncio.Transport):
    """The session's transport; give it to ``transport.set_protocol`` as well."""

    def __init__(self, transport: asyncio.Transport, compression: Compression) -> None:
        super().__init__()
        self._transport = transport
        self._compression = compression
        self._protocol: Any = None
        self._arrived = b""
        self._paused = False
        self._delivering = False

    # -- the session's transport -------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """The session changes, the connection stays."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The session's end."""
        return cast("asyncio.BaseProtocol", self._protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it compressed."""
        if packed := self._compression.sent(bytes(data)):
            self._transport.write(packed)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Those of the compressed side."""
        self._transport.set_write_buffer_limits(high=high, low=low)

    def pause_reading(self) -> None:
        """Deliver no more for now."""
        self._paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again, first what has been decompressed already."""
        self._paused = False
        self._deliver()
        if not self._paused:
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the real transport."""
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether the real transport is closing."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close after what has been written is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    # -- the transport's protocol ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Not called: the transport was adopted after the login."""

    def data_received(self, data: bytes) -> None:
        """Compressed bytes of the client."""
        try:
            self._arrived += self._compression.received(data)
        except ProtocolError as error:
            log.warning("compressed bytes of a client make no sense", reason=str(error))
            self._transport.abort()
            return
        self._deliver()

    def _deliver(self) -> None:
        """Hand on what has come, as long as the session takes it; it may change hands or pause meanwhile."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._arrived and not self._paused:
                protocol = self._protocol
                if isinstance(protocol, asyncio.BufferedProtocol):
                    buffer = cast("memoryview", protocol.get_buffer(-1))
                    size = min(len(buffer), len(self._arrived))
                    buffer[:size] = self._arrived[:size]
                    self._arrived = self._arrived[size:]
                    protocol.buffer_updated(size)
                else:
                    data, self._arrived = self._arrived, b""
                    protocol.data_received(data)
        finally:
            self._delivering = False

    def eof_received(self) -> bool:
        """The client closed its side."""
        return bool(self._protocol.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._arrived = b""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._protocol.resume_writing()
