"""The basic types: every pair gives back what it was given, and nothing is read past the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ProtocolError
from router.wire import codec


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (250, "fa"),
        (251, "fcfb00"),
        (65535, "fcffff"),
        (65536, "fd000001"),
        (16777215, "fdffffff"),
        (16777216, "fe0000000100000000"),
        (2**64 - 1, "feffffffffffffffff"),
    ],
)
def test_lenenc_int_forms(value: int, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert codec.push_lenenc_int(value) == data
    assert codec.pull_lenenc_int(b"\x99" + data + b"\x99", 1) == (value, 1 + len(data))


@given(st.integers(0, 2**64 - 1))
def test_lenenc_int_returns(value: int) -> None:
    data = codec.push_lenenc_int(value)
    assert codec.pull_lenenc_int(data, 0) == (value, len(data))


@pytest.mark.parametrize("first", [0xFB, 0xFF])
def test_bytes_that_begin_no_integer(first: int) -> None:
    with pytest.raises(ProtocolError, match=f"0x{first:02X} at 2"):
        codec.pull_lenenc_int(b"ab" + bytes([first]) + bytes(9), 2)


@given(st.binary(max_size=300), st.binary(max_size=8), st.binary(max_size=8))
def test_lenenc_bytes_return(value: bytes, before: bytes, after: bytes) -> None:
    data = before + codec.push_lenenc_bytes(value) + after
    assert codec.pull_lenenc_bytes(data, len(before)) == (value, len(data) - len(after))
    assert codec.pull_lenenc_bytes_or_null(data, len(before)) == (value, len(data) - len(after))


def test_null_in_place_of_a_string() -> None:
    assert codec.push_lenenc_bytes_or_null(None) == b"\xfb"
    assert codec.push_lenenc_bytes_or_null(b"") == b"\x00"
    assert codec.pull_lenenc_bytes_or_null(b"x\xfby", 1) == (None, 2)


@given(st.integers(0, 2**64 - 1))
def test_fixed_int_returns(value: int) -> None:
    assert codec.pull_int(b"\0" + codec.push_int(value, 8), 1, 8) == (value, 9)


def test_fixed_int_that_does_not_fit() -> None:
    with pytest.raises(OverflowError):
        codec.push_int(256, 1)


def test_nul_strings() -> None:
    assert codec.push_nul_bytes(b"abc") == b"abc\0"
    assert codec.pull_nul_bytes(b"-abc\0def", 1) == (b"abc", 5)
    assert codec.pull_nul_bytes_or_rest(b"-abc\0def", 1) == (b"abc", 5)
    assert codec.pull_nul_bytes_or_rest(b"-abc", 1) == (b"abc", 4)
    assert codec.pull_nul_bytes_or_rest(b"-abc", 4) == (b"", 4)
    with pytest.raises(ValueError, match="NUL"):
        codec.push_nul_bytes(b"a\0b")


@pytest.mark.parametrize(
    ("pull", "data", "position"),
    [
        (lambda data, at: codec.pull_bytes(data, at, 3), b"ab", 0),
        (lambda data, at: codec.pull_bytes(data, at, -1), b"ab", 0),
        (lambda data, at: codec.pull_int(data, at, 4), b"abc", 0),
        (lambda data, at: codec.pull_int(data, at, 1), b"abc", 3),
        (codec.pull_lenenc_int, b"", 0),
        (codec.pull_lenenc_int, b"\xfc\x01", 0),
        (codec.pull_lenenc_int, b"\xfe\x01\x00\x00", 0),
        (codec.pull_lenenc_bytes, b"\x05abcd", 0),
        (codec.pull_lenenc_bytes, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xffabcd", 0),
        (codec.pull_lenenc_bytes_or_null, b"", 0),
        (codec.pull_nul_bytes, b"abc", 0),
        (codec.pull_nul_bytes, b"abc\0", 4),
    ],
)
def test_reading_past_the_end(pull: Callable[[bytes, int], Any], data: bytes, position: int) -> None:
    with pytest.raises(ProtocolError, match="past the end"):
        pull(data, position)
