"""Where the SQL begins behind query attributes: as MySQL 9.7 reads them, the oddest ones included."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ProtocolError
from router.wire.attributes import (
    parameter_count,
    pull_named_types,
    sql_start,
    text_attribute,
    without_attributes,
)
from router.wire.codec import push_lenenc_bytes, push_lenenc_int
from router.wire.constants import Capability
from router.wire.framing import frame

STRING = 253
Attribute = tuple[bytes, int, bytes | None]
# Types with a value of theirs, lengths in front where they have some.
VALUES = [
    st.tuples(st.just(1), st.binary(min_size=1, max_size=1)),
    st.tuples(st.just(0x8002), st.binary(min_size=2, max_size=2)),
    st.tuples(st.sampled_from([3, 4]), st.binary(min_size=4, max_size=4)),
    st.tuples(st.sampled_from([5, 8, 0x8008]), st.binary(min_size=8, max_size=8)),
    st.tuples(
        st.sampled_from([0, 6, 7, 9, 10, 11, 12, 13, 15, 16, 245, 246, 249, 252, STRING, 254, 255, 0x7F01]),
        st.binary(max_size=300).map(push_lenenc_bytes),
    ),
    st.tuples(st.integers(0, 255), st.none()),
]


def attributes(*given: Attribute) -> bytes:
    """As a client writes them."""
    head = push_lenenc_int(len(given)) + b"\1"
    if not given:
        return head
    nulls = sum(1 << number for number, (_, _, value) in enumerate(given) if value is None)
    types = b"".join(struct.pack("<H", kind) + push_lenenc_bytes(name) for name, kind, _ in given)
    values = b"".join(value for _, _, value in given if value is not None)
    return head + nulls.to_bytes((len(given) + 7) // 8, "little") + b"\1" + types + values


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.one_of(*VALUES)), max_size=20),
    st.binary(max_size=20),
)
def test_whatever_the_attributes(given: list[tuple[bytes, tuple[int, bytes | None]]], sql: bytes) -> None:
    payload = b"\x03" + attributes(*((name, kind, value) for name, (kind, value) in given)) + sql
    assert payload[sql_start(payload) :] == sql


# (what stands in front of the SQL, the SQL that MySQL 9.7 then runs, None where it says 1835)
ODD = [
    (b"", None),
    (b"\0", None),
    (b"\0\2", None),
    (b"\0\0", None),
    (b"\1\1", None),
    (b"\1\1\0\0", None),
    (b"\xfb\1", None),
    (b"\1\1\0\1\xfd\0\xfba\1x", None),
    (b"\1\1\0\1\xf4\0\1a\1", None),
    (b"\1\1\0\1\x0a\0\1a\x20", None),
    (b"\1\1\0\1\xfd\0\1a\xff", None),
    (b"\xfd\0\0\1\1", None),
    # an eight-byte number counts by its lower half, and 0xFF begins one too
    (b"\xfe\0\0\0\0\1\0\0\0\1", "SELECT 1"),
    (b"\xff\0\0\0\0\1\0\0\0\1", "SELECT 1"),
    (b"\0\xfe\1\0\0\0\1\0\0\0", "SELECT 1"),
    (b"\1\1\0\1\xfd\0\xfe\1\0\0\0\1\0\0\0a\1x", "SELECT 1"),
    (b"\1\1\0\1\xfd\0\1a\xfe\1\0\0\0\1\0\0\0x", "SELECT 1"),
    # any byte but 0 says that types follow
    (b"\1\1\0\7\xfd\0\1a\1x", "SELECT 1"),
    (b"\1\1\1\1\xfd\0\1a", "SELECT 1"),
    # a text that is longer than the packet ends with it
    (b"\1\1\0\1\xfd\0\1a\xfc\xff\xff", ""),
    (b"\1\1\0\1\xfd\0\1a\xfbx", ""),
    (b"\1\1\0\1\6\0\1a", ""),
    # types are 15 bits, and what is not known is text
    (b"\1\1\0\1\1\x80\1a\5", "SELECT 1"),
    (b"\1\1\0\1\1\x7f\1a\5", "T 1"),
    (b"\1\1\0\1\xf3\0\1a\1x", "SELECT 1"),
]


@pytest.mark.parametrize(("front", "runs"), ODD)
def test_odd_ones_as_the_server_reads_them(front: bytes, runs: str | None) -> None:
    payload = b"\x03" + front + b"SELECT 1"
    if runs is None:
        with pytest.raises(ProtocolError):
            sql_start(payload if front else b"\x03")
    else:
        assert payload[sql_start(payload) :].decode() == runs


def test_0xfb_is_a_length_in_front_of_a_value() -> None:
    payload = b"\x03\1\1\0\1\xfd\0\1a\xfb" + bytes(251) + b"SELECT 1"
    assert payload[sql_start(payload) :] == b"SELECT 1"


@pytest.mark.parametrize("end", range(1, 21))
def test_no_byte_is_read_that_is_not_there(end: int) -> None:
    whole = b"\x03" + attributes((b"a", 8, bytes(8)), (b"b", 1, b"\1"))
    assert len(whole) == sql_start(whole) > 20
    with pytest.raises(ProtocolError):
        sql_start(whole[:end])


@given(st.binary(max_size=40))
def test_any_bytes(front: bytes) -> None:
    payload = b"\x03" + front
    try:
        start = sql_start(payload)
    except ProtocolError:
        return
    assert 3 <= start <= len(payload)


@pytest.mark.parametrize("size", [0, 5, (1 << 24) - 30, 1 << 24])
def test_a_command_without_its_attributes(size: int) -> None:
    value = b"\xfe" + size.to_bytes(8, "little") + b"v" * size
    sent = frame(b"\x03" + attributes((b"a", STRING, value)) + b"SELECT 1", 0)
    named = int(Capability.QUERY_ATTRIBUTES)
    assert without_attributes(sent, named)[4:] == b"\x03SELECT 1"
    assert without_attributes(sent, 0) is sent
    prepare = frame(b"\x16\0\1SELECT 1", 0)
    assert without_attributes(prepare, named) is prepare


def test_types_of_an_execution() -> None:
    payload = b"????\2\0\1\xfd\0\0\3\x80\4name\1x"
    count, bitmap = parameter_count(payload, 4)
    assert (count, bitmap) == (2, 5)
    types, end = pull_named_types(payload, 7, count)
    assert types == b"\xfd\0\3\x80"
    assert payload[end:] == b"\1x"
    for cut in range(7, end):
        with pytest.raises(ProtocolError):
            pull_named_types(payload[:cut], 7, count)
    with pytest.raises(ProtocolError):
        parameter_count(b"\xfd\0\0\1", 0)


@given(
    st.lists(st.tuples(st.sampled_from([b"", b"a", b"bb"]), st.one_of(*VALUES)), max_size=12), st.binary(max_size=20)
)
def test_a_text_is_found_among_attributes(given: list[tuple[bytes, tuple[int, bytes | None]]], text: bytes) -> None:
    others = [(name, kind, value) for name, (kind, value) in given]
    own = (b"own", STRING, push_lenenc_bytes(text))
    for all_ in ([*others, own], [own, *others]):
        assert text_attribute(b"\x03" + attributes(*all_) + b"SELECT 1", b"own") == text
    assert text_attribute(b"\x03" + attributes(*others) + b"SELECT 1", b"own") is None


def test_only_texts_are_texts() -> None:
    for kind, value in ((8, b"12345678"), (STRING, None)):
        assert text_attribute(b"\x03" + attributes((b"own", kind, value)), b"own") is None
    with pytest.raises(ProtocolError):
        text_attribute(b"\x03\1\1\0\1" + struct.pack("<H", STRING) + b"\x05ow", b"own")
