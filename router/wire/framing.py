"""Packets in a byte stream: four bytes of header, payloads above 16 MiB split over several frames.

Nothing here looks into a payload. See "MySQL Packets" in the MySQL internals manual: a payload of 2**24-1 bytes or more
continues in the next frame, and one of an exact multiple ends with an empty frame.

`PacketDecoder` is on the hot path of every client command: the usual chunk holds exactly one packet, which is cut out
of it with one slice and without a second buffer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from router.errors import PacketTooLarge, ProtocolError
from router.wire.constants import HEADER_SIZE, MAX_PAYLOAD


class Packet(NamedTuple):
    """One logical packet.

    ``sequence`` is the id in its first frame. A tuple because it is built for every command: less than half the price
    of a frozen dataclass.
    """

    sequence: int
    payload: bytes

    @property
    def next_sequence(self) -> int:
        """The id the next frame of the same exchange must have (it wraps at 256)."""
        return (self.sequence + len(self.payload) // MAX_PAYLOAD + 1) & 0xFF


class PacketDecoder:
    """Turns chunks of bytes, cut anywhere, into packets.

    `max_payload` bounds a logical packet, all its frames together. After any error the stream has no known packet
    boundary: the connection must be closed.
    """

    __slots__ = ("_data", "_expected", "_joined", "_parts", "_position", "max_payload")

    def __init__(self, max_payload: int) -> None:
        self.max_payload = max_payload
        self._data: bytes | bytearray = b""
        self._position = 0
        self._parts: list[bytes] = []  # full frames of a packet whose last frame has not come yet
        self._joined = 0  # bytes in _parts
        self._expected = 0  # sequence id of the next frame, while there are parts

    @property
    def buffered(self) -> int:
        """Bytes held that belong to packets not yet returned."""
        return len(self._data) - self._position + self._joined

    def feed(self, data: bytes) -> None:
        """Add a chunk; afterwards call `next_packet` until it returns None."""
        if self._position == len(self._data):
            self._data = data
        elif isinstance(self._data, bytearray):
            # a bytearray drops its front without copying and grows in place: a 16 MiB frame arriving in 64 KiB
            # chunks costs its size, not size times chunks
            del self._data[: self._position]
            self._data += data
        else:
            rest = bytearray(memoryview(self._data)[self._position :])
            rest += data
            self._data = rest
        self._position = 0

    def next_packet(self) -> Packet | None:
        """The next complete packet, or None when more bytes are needed.

        Raises `PacketTooLarge` as soon as a frame header announces too much, before its payload is waited for, and
        `ProtocolError` when the frames of one packet are not numbered consecutively.
        """
        data = self._data
        while True:
            position = self._position
            start = position + 4
            if start > len(data):
                return None
            size = data[position] | data[position + 1] << 8 | data[position + 2] << 16
            sequence = data[position + 3]
            if size + self._joined > self.max_payload:
                raise PacketTooLarge(
                    f"packet of {size + self._joined} bytes or more exceeds the limit of {self.max_payload}"
                )
            if self._parts and sequence != self._expected:
                raise ProtocolError(f"frame {sequence} continues a packet where frame {self._expected} was due")
            end = start + size
            if end > len(data):
                return None
            payload = bytes(data[start:end])
            self._position = end
            if size == MAX_PAYLOAD:
                self._parts.append(payload)
                self._joined += size
                self._expected = (sequence + 1) & 0xFF
            elif self._parts:
                return self._join(payload, sequence)
            else:
                return Packet(sequence, payload)

    def payloads(self) -> list[bytes]:
        """The payloads of all complete packets, as `next_packet` would give them one by one. Raises as it does."""
        found: list[bytes] = []
        while True:
            data, position, most = self._data, self._position, min(self.max_payload, MAX_PAYLOAD - 1)
            size = len(data)
            if not self._parts:
                while position + 4 <= size:
                    length = data[position] | data[position + 1] << 8 | data[position + 2] << 16
                    end = position + 4 + length
                    if end > size or length > most:
                        break
                    found.append(bytes(data[position + 4 : end]))
                    position = end
                self._position = position
            packet = self.next_packet()
            if packet is None:
                return found
            found.append(packet.payload)

    def _join(self, last: bytes, sequence: int) -> Packet:
        first = (sequence - len(self._parts)) & 0xFF
        self._parts.append(last)
        payload = b"".join(self._parts)
        self._parts = []
        self._joined = 0
        return Packet(first, payload)

    def take_rest(self) -> bytes:
        """Hand over the bytes not returned as packets and forget them, for a change of protocol (TLS, relaying).

        Raises `ProtocolError` inside a packet of several frames: its first frames can't be given back.
        """
        if self._parts:
            raise ProtocolError("the protocol cannot change inside a packet of several frames")
        rest = bytes(self._data[self._position :])
        self._data = b""
        self._position = 0
        return rest


def frame(payload: bytes, sequence: int) -> bytes:
    """`payload` as frames, numbered from `sequence` (0 … 255, wrapping)."""
    size = len(payload)
    if size < MAX_PAYLOAD:
        return (size | (sequence & 0xFF) << 24).to_bytes(HEADER_SIZE, "little") + payload
    pieces: list[bytes] = []
    for start in range(0, size + 1, MAX_PAYLOAD):
        piece = payload[start : start + MAX_PAYLOAD]
        pieces.append((len(piece) | (sequence & 0xFF) << 24).to_bytes(HEADER_SIZE, "little"))
        pieces.append(piece)
        sequence += 1
    return b"".join(pieces)


def frames(payloads: Iterable[bytes], sequence: int) -> tuple[bytes, int]:
    """Several payloads as one run of frames numbered from `sequence`; also returns the id that comes next."""
    pieces: list[bytes] = []
    for payload in payloads:
        pieces.append(frame(payload, sequence))
        sequence = (sequence + len(payload) // MAX_PAYLOAD + 1) & 0xFF
    return b"".join(pieces), sequence


def unframed(data: bytes) -> bytes:
    """The payload of one packet in its frames, all of them."""
    parts = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 3], "little")
        parts.append(data[at + HEADER_SIZE : at + HEADER_SIZE + size])
        at += HEADER_SIZE + size
    return b"".join(parts)
