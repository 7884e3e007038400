"""The compressed protocol: packets in a compressed stream of their own framing.

Each compressed packet has a header of seven bytes – length as sent (3), sequence (1), length before compression (3),
0 for "sent as it is" – and holds any piece of the ordinary stream: half a packet or ten. See "Compression" in the MySQL
internals manual. zlib is CLIENT_COMPRESS; zstd is CLIENT_ZSTD_COMPRESSION_ALGORITHM (MySQL 8.0.18).
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

import zstandard

from router.errors import ProtocolError
from router.wire.constants import MAX_PAYLOAD

_HEADER: Final = 7
_PACKET_HEADER: Final = 4
# Shorter pieces are sent as they are (MIN_COMPRESS_LENGTH of the servers).
_WORTHWHILE: Final = 50
_DEFAULT_ZSTD_LEVEL: Final = 3
_HIGHEST_ZSTD_LEVEL: Final = 22


class Algorithm(Protocol):
    """A way to compress one piece."""

    def compress(self, data: bytes) -> bytes:
        """The piece, shorter if it can be."""

    def decompress(self, data: bytes, size: int) -> bytes:
        """The piece, which must have ``size`` bytes; never makes more. Raises ProtocolError."""


class Zlib:
    """RFC 1950, at the level servers use."""

    def compress(self, data: bytes) -> bytes:
        """The piece, deflated."""
        return zlib.compress(data)

    def decompress(self, data: bytes, size: int) -> bytes:
        """The piece, inflated."""
        stream = zlib.decompressobj()
        try:
            piece = stream.decompress(data, size)
            piece += stream.flush() if stream.eof else b""
        except zlib.error as error:
            raise ProtocolError(f"a compressed packet that is none: {error}") from None
        return _checked(piece, size, complete=stream.eof)


class Zstd:
    """RFC 8878; ``level`` is the client's wish, 0 for none."""

    def __init__(self, level: int = 0) -> None:
        wanted = level if 1 <= level <= _HIGHEST_ZSTD_LEVEL else _DEFAULT_ZSTD_LEVEL
        self._compressor = zstandard.ZstdCompressor(level=wanted)
        self._decompressor = zstandard.ZstdDecompressor()

    def compress(self, data: bytes) -> bytes:
        """The piece as one frame."""
        return self._compressor.compress(data)

    def decompress(self, data: bytes, size: int) -> bytes:
        """The piece out of its frame, which must not claim more than it should hold."""
        try:
            claimed = zstandard.frame_content_size(data)
            if claimed > size:
                raise ProtocolError(f"a compressed packet of {claimed} bytes that should have {size}")
            piece = self._decompressor.decompress(data, max_output_size=size)
        except zstandard.ZstdError as error:
            raise ProtocolError(f"a compressed packet that is none: {error}") from None
        return _checked(piece, size, complete=True)


class Compression:
    """Both directions of one connection.

    The sequence of what is sent goes on from what was received last, as a server's does. As from a server, what is
    sent ends with whole packets: Connector/Python reads no packet out of more than two compressed ones.
    """

    __slots__ = ("_algorithm", "_ends", "_rest", "_sequence", "_unsent")

    def __init__(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        self._rest = b""
        self._sequence = 0
        self._unsent = bytearray()
        self._ends = 0  # where the first packet ends that may not be whole yet, as an offset into what is unsent

    def received(self, data: bytes) -> bytes:
        """What is in the stream; half a compressed packet waits for the rest. Raises ProtocolError."""
        if self._rest:
            data = self._rest + data
        pieces = []
        at = 0
        while at + _HEADER <= len(data):
            length = int.from_bytes(data[at : at + 3], "little")
            end = at + _HEADER + length
            if end > len(data):
                break
            self._sequence = (data[at + 3] + 1) & 0xFF
            size = int.from_bytes(data[at + 4 : at + _HEADER], "little")
            piece = data[at + _HEADER : end]
            pieces.append(self._algorithm.decompress(piece, size) if size else piece)
            at = end
        self._rest = data[at:]
        return b"".join(pieces)

    def sent(self, data: bytes) -> bytes:
        """The whole packets in ``data`` and what was left of it before, compressed."""
        unsent = self._unsent
        unsent += data
        whole = 0
        while self._ends + _PACKET_HEADER <= len(unsent):
            end = self._ends + _PACKET_HEADER + int.from_bytes(unsent[self._ends : self._ends + 3], "little")
            if end > len(unsent):
                break
            self._ends = whole = end
        ready = bytes(unsent[:whole])
        del unsent[:whole]
        self._ends -= whole
        return b"".join(self._packet(ready[at : at + MAX_PAYLOAD]) for at in range(0, whole, MAX_PAYLOAD))

    def _packet(self, piece: bytes) -> bytes:
        size = 0
        if len(piece) >= _WORTHWHILE:
            compressed = self._algorithm.compress(piece)
            if len(compressed) < len(piece):
                size, piece = len(piece), compressed
        head = len(piece).to_bytes(3, "little") + bytes([self._sequence]) + size.to_bytes(3, "little")
        self._sequence = (self._sequence + 1) & 0xFF
        return head + piece


def _checked(piece: bytes, size: int, *, complete: bool) -> bytes:
    if len(piece) != size or not complete:
        raise ProtocolError(f"a compressed packet that does not hold the {size} bytes it announces")
    return piece
