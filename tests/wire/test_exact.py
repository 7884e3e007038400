"""One packet at a time, and not a byte of what is behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import PacketTooLarge
from router.wire.exact import ExactReader
from router.wire.framing import Packet, frame


def feed(reader: ExactReader, data: bytes, most: int = 1 << 30) -> tuple[Packet | None, bytes]:
    """Give what it asks for, at most so many bytes at a time, until there is a packet or nothing is left."""
    while True:
        buffer = reader.buffer()
        assert buffer.nbytes, "asyncio takes an empty buffer for an error"
        piece = data[: min(most, buffer.nbytes)]
        if not piece:
            return None, b""
        buffer[: len(piece)] = piece
        data = data[len(piece) :]
        if (packet := reader.filled(len(piece))) is not None:
            return packet, data


@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 255))), st.integers(1, 50))
def test_packets_come_one_by_one(packets: list[tuple[bytes, int]], most: int) -> None:
    reader, data = ExactReader(40), b"".join(frame(*each) for each in packets)
    for payload, sequence in packets:
        packet, data = feed(reader, data, most)
        assert packet == Packet(sequence, payload)
        assert reader.sequence == sequence
    assert feed(reader, data) == (None, b"")


def test_what_is_behind_stays_there() -> None:
    assert feed(ExactReader(10), frame(b"abc", 1) + b"\x16\x03\x01 and TLS goes on") == (
        Packet(1, b"abc"),
        b"\x16\x03\x01 and TLS goes on",
    )


def test_bytes_that_are_no_packet() -> None:
    reader = ExactReader(10)
    reader.expect(16)
    packet, rest = feed(reader, b"PROXY TCP4 1.2.3" + frame(b"abc", 7), 3)
    assert packet is not None
    assert packet.payload == b"PROXY TCP4 1.2.3"
    assert feed(reader, rest) == (Packet(7, b"abc"), b"")


def test_what_is_too_long_is_known_by_its_header() -> None:
    reader = ExactReader(10)
    with pytest.raises(PacketTooLarge, match="11 bytes, and 10"):
        feed(reader, b"\x0b\0\0\2")
    assert reader.sequence == 2
    reader = ExactReader(10)
    reader.limit = 11
    assert feed(reader, frame(bytes(11), 2))[0] == Packet(2, bytes(11))
