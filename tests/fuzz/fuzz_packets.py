"""Fuzz target: decoders of packets and of the packet stream.

``python -m tests.fuzz.fuzz_packets -runs=10000`` (needs atheris, dependency group ``fuzz``). Whatever the bytes, a
decoder gives a value or raises `ProtocolError`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from router.errors import PacketTooLarge, ProtocolError
from router.wire.commands import parse_command
from router.wire.framing import PacketDecoder
from router.wire.packets import (
    AuthMoreData,
    AuthSwitchRequest,
    EofPacket,
    Greeting,
    HandshakeResponse,
    SslRequest,
    decode_column,
    decode_err,
    decode_ok,
    decode_session_changes,
)
from router.wire.rows import decode_binary_row, decode_text_row

Decoder = Callable[[bytes, int], object]

DECODERS: dict[str, Decoder] = {
    "binary_row": lambda data, bits: decode_binary_row(data, [bits & 0xFF, bits >> 8 & 0xFF, bits >> 16 & 0x80FF]),
    "change_user": lambda data, bits: parse_command(b"\x11" + data, bits),
    "column": lambda data, bits: decode_column(data),
    "command": parse_command,
    "eof": lambda data, bits: EofPacket.decode(data),
    "err": lambda data, bits: decode_err(data),
    "greeting": lambda data, bits: Greeting.decode(data),
    "more": lambda data, bits: AuthMoreData.decode(data),
    "ok": decode_ok,
    "response": HandshakeResponse.decode,
    "session_changes": lambda data, bits: decode_session_changes(data),
    "ssl_request": lambda data, bits: SslRequest.decode(data),
    "switch": lambda data, bits: AuthSwitchRequest.decode(data),
    "text_row": lambda data, bits: decode_text_row(data, bits & 0xFF),
}


def one_decoder(name: str, capabilities: int, payload: bytes) -> None:
    """Run one decoder; any error but `ProtocolError` comes through."""
    try:
        DECODERS[name](payload, capabilities)
    except ProtocolError:
        return


def one_stream(limit: int, chunks: list[bytes]) -> None:
    """Feed a packet decoder; what it returns and holds is exactly what it was fed, within its limit."""
    decoder = PacketDecoder(limit)
    fed = taken = 0
    try:
        for chunk in chunks:
            decoder.feed(chunk)
            fed += len(chunk)
            while (packet := decoder.next_packet()) is not None:
                assert len(packet.payload) <= limit
                taken += 4 + len(packet.payload)
    except PacketTooLarge:
        return
    assert decoder.buffered == fed - taken


def one_input(data: bytes) -> None:
    """One input of the fuzzer: a decoder, its capabilities and a payload; or a stream cut in pieces."""
    if len(data) < 6:
        return
    names = sorted(DECODERS)
    choice = data[0] % (len(names) + 1)
    number = int.from_bytes(data[1:5], "little")
    if choice < len(names):
        one_decoder(names[choice], number, data[5:])
    else:
        size = data[5] + 1
        one_stream(number & 0xFFFF, [data[at : at + size] for at in range(6, len(data), size)])


def main(target: Callable[[bytes], None], arguments: list[str]) -> None:
    """Run `target` under atheris with libFuzzer's arguments."""
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed: pip install 'atheris>=3.0,<4' (dependency group fuzz)")
    atheris.instrument_all()
    atheris.Setup(arguments, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(one_input, sys.argv)
