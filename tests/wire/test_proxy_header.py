"""PROXY headers: read to their last byte and no further, and never guessed."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ProtocolError
from router.wire.proxy_header import ProxyHeader

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = b"\xc0\0\2\1" + b"\xc6\x33\x64\2" + b"\xdc\4\x0c\xea"
V6 = bytes.fromhex("20010db8000000000000000000000001") + bytes(16) + b"\xdc\4\x0c\xea"
TLV = b"\x04\0\2ab"


def v2(command: int, family: int, body: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + struct.pack(">BBH", command, family, len(body)) + body


def read(data: bytes) -> tuple[str | None, bytes]:
    """The source of a header, and what was left alone behind it."""
    header = ProxyHeader()
    while header.need:
        part, data = data[: header.need], data[header.need :]
        assert len(part) == header.need, "it asks for more than there is"
        header.feed(part)
    return header.source, data


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 3306\r\n", "192.0.2.1"),
        (b"PROXY TCP6 2001:db8::1 ::1 56324 3306\r\n", "2001:db8::1"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
        (v2(0x21, 0x11, V4), "192.0.2.1"),
        (v2(0x21, 0x11, V4 + TLV), "192.0.2.1"),
        (v2(0x21, 0x21, V6), "2001:db8::1"),
        (v2(0x20, 0x00, b""), None),
        (v2(0x20, 0x11, V4), None),
        (v2(0x21, 0x00, b""), None),
        (v2(0x21, 0x31, bytes(216)), None),
    ],
)
def test_headers(data: bytes, source: str | None) -> None:
    assert read(data + b"rest") == (source, b"rest")


@pytest.mark.parametrize(
    "data",
    [
        b"\x55\0\0\1 a login without any header",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 70000\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 -1 3306\r\n",
        b"PROXY TCP4 2001:db8::1 ::1 56324 3306\r\n",
        b"PROXY TCP4 192.0.2.1 ::1 56324 3306\r\n",
        b"PROXY TCP5 192.0.2.1 198.51.100.2 56324 3306\r\n",
        b"PROXY TCP4 nowhere 198.51.100.2 56324 3306\r\n",
        b"PROXY TCP4\r\n" + bytes(20),
        b"PROXY " + b"x" * 200,
        v2(0x22, 0x11, V4),
        v2(0x11, 0x11, V4),
        v2(0x21, 0x11, V4[:-1]),
        v2(0x21, 0x21, V4),
        v2(0x21, 0x11, bytes(5000)),
        SIGNATURE[:-1] + b"X" + bytes(20),
    ],
)
def test_what_is_no_header(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data)


@given(st.binary(max_size=300), st.sampled_from([b"", SIGNATURE, b"PROXY ", b"PROXY TCP4 1.2.3.4 "]))
def test_anything_is_a_header_or_an_error(data: bytes, start: bytes) -> None:
    header = ProxyHeader()
    data = start + data
    try:
        while header.need and data:
            part, data = data[: header.need], data[header.need :]
            if len(part) < header.need:
                return
            header.feed(part)
    except ProtocolError:
        return
    assert header.need == 0 or not data
