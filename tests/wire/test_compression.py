"""The compressed protocol: pieces of any size in packets of any kind, and never more than was announced."""

from __future__ import annotations

import hashlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ProtocolError
from router.wire.compression import Algorithm, Compression, Zlib, Zstd
from router.wire.framing import frame

ALGORITHMS = [Zlib, Zstd]


def packet(payload: bytes, size: int, sequence: int = 0) -> bytes:
    """A compressed packet by hand."""
    return len(payload).to_bytes(3, "little") + bytes([sequence]) + size.to_bytes(3, "little") + payload


@pytest.mark.parametrize("kind", ALGORITHMS)
@given(payloads=st.lists(st.binary(max_size=300), max_size=6), cut=st.integers(1, 50), again=st.integers(1, 700))
def test_what_is_sent_arrives(kind: type[Algorithm], payloads: list[bytes], cut: int, again: int) -> None:
    sender, receiver = Compression(kind()), Compression(kind())
    plain = b"".join(frame(payload * 3, 1) for payload in payloads)
    stream = b"".join(sender.sent(plain[at : at + again]) for at in range(0, len(plain), again))
    assert b"".join(receiver.received(stream[at : at + cut]) for at in range(0, len(stream), cut)) == plain


def test_only_whole_packets_are_sent() -> None:
    compression = Compression(Zlib())
    one, two = frame(b"one", 1), frame(b"two", 2)
    assert compression.sent(one[:2]) == b""
    assert compression.sent(one[2:] + two[:-1]) == packet(one, 0)
    assert compression.sent(two[-1:]) == packet(two, 0, 1)


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_only_what_is_worth_it_is_compressed(kind: type[Algorithm]) -> None:
    compression = Compression(kind())
    short, long = frame(b"x" * 45, 1), frame(b"x" * 5000, 1)
    assert compression.sent(short) == packet(short, 0)
    packed = compression.sent(long)
    assert len(packed) < 100
    assert packed[4:7] == len(long).to_bytes(3, "little")
    noise = frame(hashlib.sha512(b"noise").digest(), 1)
    assert compression.sent(noise) == packet(noise, 0, 2)


def test_more_than_a_packet_holds() -> None:
    sender, receiver = Compression(Zlib()), Compression(Zlib())
    data = frame(bytes(40_000_000), 1)
    stream = sender.sent(data)
    assert stream[3] == 0
    assert receiver.received(stream) == data
    assert sender.sent(frame(b"next", 3)) == packet(frame(b"next", 3), 0, 3)


def test_the_sequence_goes_on_from_the_clients() -> None:
    compression = Compression(Zlib())
    one, two = frame(b"one", 1), frame(b"two", 2)
    compression.received(packet(b"a command", 0, sequence=0))
    assert compression.sent(one) + compression.sent(two) == packet(one, 0, 1) + packet(two, 0, 2)
    compression.received(packet(b"a command", 0, sequence=255))
    assert compression.sent(one) == packet(one, 0, 0)


@pytest.mark.parametrize("kind", ALGORITHMS)
@pytest.mark.parametrize("size", [99, 101, 1])
def test_another_size_than_announced(kind: type[Algorithm], size: int) -> None:
    with pytest.raises(ProtocolError):
        Compression(kind()).received(packet(kind().compress(bytes(100)), size))


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_bomb_is_not_unpacked(kind: type[Algorithm]) -> None:
    with pytest.raises(ProtocolError):
        Compression(kind()).received(packet(kind().compress(bytes(50_000_000)), 100))


@pytest.mark.parametrize("kind", ALGORITHMS)
@given(data=st.binary(max_size=60), size=st.integers(1, 100))
def test_anything_else_is_an_error(kind: type[Algorithm], data: bytes, size: int) -> None:
    try:
        piece = Compression(kind()).received(packet(data, size))
    except ProtocolError:
        return
    assert len(piece) == size


def test_a_level_nobody_has_means_the_default() -> None:
    assert (
        Zstd(99).compress(b"x" * 999) == Zstd(0).compress(b"x" * 999) == zstandard.ZstdCompressor().compress(b"x" * 999)
    )
