"""Whatever the bytes: a value or `ProtocolError`, never another error. The atheris targets look for the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.fuzz_handshake import one_handshake
from tests.fuzz.fuzz_packets import DECODERS, one_decoder, one_stream
from tests.wire.vectors import load

SEEDS = [
    load(name)[4:]
    for name in (
        "greeting_mysql_5_7_26",
        "greeting_mariadb_10_11",
        "response_mysql_cli_9_7",
        "response_mariadb_cli_10_11",
        "ssl_request_mariadb_cli_10_11",
        "ok_begin_mysql_9_7",
        "ok_set_mariadb_10_11",
    )
]


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A captured packet with a few bytes changed, cut or added."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)):
        if place < len(data):
            data[place] = value
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=8))


PAYLOADS = st.binary(max_size=200) | mutants()


@given(st.sampled_from(sorted(DECODERS)), st.integers(0, 2**32 - 1), PAYLOADS)
def test_decoders(name: str, capabilities: int, payload: bytes) -> None:
    one_decoder(name, capabilities, payload)


@given(st.integers(0, 1 << 20), st.lists(st.binary(max_size=50), max_size=8))
def test_packet_decoder(limit: int, chunks: list[bytes]) -> None:
    one_stream(limit, chunks)


@given(st.integers(0, 255), st.lists(st.tuples(st.integers(0, 3), PAYLOADS), max_size=5))
def test_handshake(settings: int, packets: list[tuple[int, bytes]]) -> None:
    one_handshake(settings, packets)
