"""Framing: any chunking gives the same packets, limits hold from the header on."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import PacketTooLarge, ProtocolError
from router.wire.constants import MAX_PAYLOAD
from router.wire.framing import Packet, PacketDecoder, frame, frames, unframed

LIMIT = 64 * 1024 * 1024


def decode_all(decoder: PacketDecoder, *chunks: bytes) -> list[Packet]:
    packets = []
    for chunk in chunks:
        decoder.feed(chunk)
        while (packet := decoder.next_packet()) is not None:
            packets.append(packet)
    return packets


def test_frame_layout() -> None:
    assert frame(b"\x0e", 0) == bytes.fromhex("010000000e")
    assert frame(b"", 7) == bytes.fromhex("00000007")
    assert frame(b"x", 256) == bytes.fromhex("0100000078")


@given(st.lists(st.binary(max_size=40), max_size=8), st.data())
def test_any_chunking_gives_the_same_packets(payloads: list[bytes], data: st.DataObject) -> None:
    stream, _ = frames(payloads, 3)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    decoder = PacketDecoder(LIMIT)
    packets = decode_all(decoder, *(stream[a:b] for a, b in pairwise(edges)))
    assert packets == [Packet(3 + number, payload) for number, payload in enumerate(payloads)]
    assert decoder.buffered == 0


def test_byte_by_byte() -> None:
    stream = frame(b"select 1", 0) + frame(b"", 1) + frame(b"x" * 300, 2)
    decoder = PacketDecoder(LIMIT)
    packets = decode_all(decoder, *(bytes([byte]) for byte in stream))
    assert [packet.payload for packet in packets] == [b"select 1", b"", b"x" * 300]


@pytest.mark.parametrize("size", [MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD])
def test_long_payloads_are_split_and_joined(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    stream = frame(payload, 254)
    count = size // MAX_PAYLOAD + 1
    assert len(stream) == size + 4 * count
    decoder = PacketDecoder(LIMIT)
    [packet] = decode_all(decoder, *(stream[at : at + 1_000_003] for at in range(0, len(stream), 1_000_003)))
    assert packet.sequence == 254
    assert packet.payload == payload
    assert packet.next_sequence == (254 + count) % 256
    assert frames([payload, b"next"], 254) == (stream + frame(b"next", 254 + count), (254 + count + 1) % 256)


def test_exact_multiple_ends_with_an_empty_frame() -> None:
    stream = frame(bytes(MAX_PAYLOAD), 0)
    assert stream[-4:] == bytes.fromhex("00000001")
    decoder = PacketDecoder(LIMIT)
    decoder.feed(stream[:-4])
    assert decoder.next_packet() is None
    assert decoder.buffered == MAX_PAYLOAD
    decoder.feed(stream[-4:])
    assert decoder.next_packet() == Packet(0, bytes(MAX_PAYLOAD))
    assert decoder.buffered == 0


def test_frames_of_one_packet_are_numbered_consecutively() -> None:
    decoder = PacketDecoder(LIMIT)
    decoder.feed(frame(bytes(MAX_PAYLOAD), 5)[:-4])
    assert decoder.next_packet() is None
    decoder.feed(frame(b"tail", 7))
    with pytest.raises(ProtocolError, match=r"frame 7 .* frame 6"):
        decoder.next_packet()


def test_separate_packets_may_carry_any_number() -> None:
    assert decode_all(PacketDecoder(LIMIT), frame(b"a", 9) + frame(b"b", 0)) == [Packet(9, b"a"), Packet(0, b"b")]


def test_too_large_from_the_header_alone() -> None:
    decoder = PacketDecoder(1000)
    decoder.feed(frame(bytes(1000), 0))
    assert decoder.next_packet() == Packet(0, bytes(1000))
    decoder.feed((1001).to_bytes(3, "little") + b"\0")
    with pytest.raises(PacketTooLarge, match=r"1001 .* 1000"):
        decoder.next_packet()


def test_too_large_counts_all_frames() -> None:
    decoder = PacketDecoder(MAX_PAYLOAD + 10)
    decoder.feed(frame(bytes(MAX_PAYLOAD), 0)[:-4])
    assert decoder.next_packet() is None
    decoder.feed((11).to_bytes(3, "little") + b"\1")
    with pytest.raises(PacketTooLarge):
        decoder.next_packet()


def test_an_incomplete_packet_waits() -> None:
    decoder = PacketDecoder(LIMIT)
    decoder.feed(b"\x05\x00")
    assert decoder.next_packet() is None
    decoder.feed(b"\x00\x00hell")
    assert decoder.next_packet() is None
    assert decoder.buffered == 8
    decoder.feed(b"o")
    assert decoder.next_packet() == Packet(0, b"hello")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_take_rest_hands_over_what_was_not_returned(size: int) -> None:
    stream = frame(b"starttls", 1) + b"\x16\x03\x01 client hello"
    decoder = PacketDecoder(LIMIT)
    for at in range(0, len(stream), size):
        decoder.feed(stream[at : at + size])
    assert decoder.next_packet() == Packet(1, b"starttls")
    assert decoder.take_rest() == b"\x16\x03\x01 client hello"
    assert decoder.take_rest() == b""
    assert decoder.buffered == 0
    assert decode_all(decoder, frame(b"later", 0)) == [Packet(0, b"later")]


def test_take_rest_inside_a_long_packet() -> None:
    decoder = PacketDecoder(LIMIT)
    decoder.feed(frame(bytes(MAX_PAYLOAD), 0)[:-4])
    assert decoder.next_packet() is None
    with pytest.raises(ProtocolError, match="several frames"):
        decoder.take_rest()


@pytest.mark.parametrize("size", [0, 1, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD])
def test_unframed(size: int) -> None:
    payload = b"x" * size
    assert unframed(frame(payload, 0)) == payload


@given(st.lists(st.binary(max_size=40), max_size=30), st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_all_payloads_at_once_are_those_one_by_one(packets: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frame(payload, number) for number, payload in enumerate(packets))
    decoder = PacketDecoder(1 << 20)
    found: list[bytes] = []
    for number in range(len(data)):
        size = cuts[number % len(cuts)]
        decoder.feed(data[:size])
        found += decoder.payloads()
        data = data[size:]
        if not data:
            break
    assert found == packets
    assert decoder.buffered == 0


def test_long_packets_among_all_payloads() -> None:
    long = b"x" * (MAX_PAYLOAD + 5)
    decoder = PacketDecoder(1 << 26)
    decoder.feed(frame(b"a", 0) + frame(long, 1) + frame(b"b", 3) + frame(b"c", 4)[:3])
    assert decoder.payloads() == [b"a", long, b"b"]
    decoder.feed(frame(b"c", 4)[3:])
    assert decoder.payloads() == [b"c"]
    small = PacketDecoder(10)
    small.feed(frame(b"a", 0) + frame(b"x" * 11, 1))
    with pytest.raises(PacketTooLarge):
        small.payloads()
