"""Rows of both protocols, against captured bytes and back again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ProtocolError
from router.wire.constants import Capability, ColumnFlag, ColumnType
from router.wire.framing import PacketDecoder
from router.wire.packets import ColumnDefinition, EofPacket, decode_column, decode_ok
from router.wire.rows import (
    UNSIGNED,
    BinaryValue,
    binary_type,
    decode_binary_row,
    decode_text_row,
    encode_binary_row,
    encode_text_result,
    encode_text_row,
)
from tests.wire.vectors import load

NO_EOF = int(Capability.DEPRECATE_EOF)


@given(st.lists(st.none() | st.binary(max_size=300), max_size=6))
def test_text_rows_return(values: list[bytes | None]) -> None:
    assert decode_text_row(encode_text_row(values), len(values)) == values


def test_text_row_layout() -> None:
    assert encode_text_row([b"1", None, b""]) == b"\x011\xfb\x00"


@pytest.mark.parametrize(
    ("payload", "columns"), [(b"", 1), (b"\x011", 2), (b"\x011\x00", 1), (b"\x05ab", 1), (b"\xff", 1)]
)
def test_text_rows_malformed(payload: bytes, columns: int) -> None:
    with pytest.raises(ProtocolError):
        decode_text_row(payload, columns)


VALUES: list[tuple[int, str, BinaryValue]] = [
    (ColumnType.TINY, "ff", -1),
    (ColumnType.TINY | UNSIGNED, "ff", 255),
    (ColumnType.SHORT, "0080", -32768),
    (ColumnType.YEAR | UNSIGNED, "ea07", 2026),
    (ColumnType.INT24, "ffffffff", -1),
    (ColumnType.LONG | UNSIGNED, "ffffffff", 4294967295),
    (ColumnType.LONGLONG, "ffffffffffffff7f", 2**63 - 1),
    (ColumnType.LONGLONG | UNSIGNED, "ffffffffffffffff", 2**64 - 1),
    (ColumnType.FLOAT, "0000c03f", 1.5),
    (ColumnType.DOUBLE, "9a9999999999b93f", 0.1),
    (ColumnType.NEWDECIMAL, "04312e3530", b"1.50"),
    (ColumnType.VAR_STRING, "03616263", b"abc"),
    (ColumnType.BLOB, "00", b""),
    (ColumnType.BIT, "0105", b"\x05"),
    (ColumnType.JSON, "027b7d", b"{}"),
    (ColumnType.GEOMETRY, "0100", b"\0"),
    (ColumnType.VECTOR, "040000803f", b"\0\0\x80?"),
    (ColumnType.DATE, "04ea070b15", b"2026-11-21"),
    (ColumnType.DATE, "00", b"0000-00-00"),
    (ColumnType.DATETIME, "04ea070b15", b"2026-11-21 00:00:00"),
    (ColumnType.DATETIME, "07ea070b15172e3b", b"2026-11-21 23:46:59"),
    (ColumnType.TIMESTAMP, "0bea070b15172e3b01000000", b"2026-11-21 23:46:59.000001"),
    (ColumnType.DATETIME, "00", b"0000-00-00 00:00:00"),
    (ColumnType.TIME, "00", b"00:00:00"),
    (ColumnType.TIME, "080000000000010203", b"01:02:03"),
    (ColumnType.TIME, "0801220000001 63b3b".replace(" ", ""), b"-838:59:59"),
    (ColumnType.TIME, "0c00000000000000002 0a10700".replace(" ", ""), b"00:00:00.500000"),
]


@pytest.mark.parametrize(("code", "encoded", "value"), VALUES)
def test_binary_values(code: int, encoded: str, value: BinaryValue) -> None:
    payload = b"\0\0" + bytes.fromhex(encoded)
    assert decode_binary_row(payload, [code]) == [value]
    assert encode_binary_row([value], [code]) == payload


MYSQL_ROW: list[tuple[int, BinaryValue]] = [
    (ColumnType.TINY, -1),
    (ColumnType.TINY | UNSIGNED, 255),
    (ColumnType.SHORT, -300),
    (ColumnType.INT24, -5),
    (ColumnType.LONG | UNSIGNED, 4000000000),
    (ColumnType.LONGLONG, -9000000000000000000),
    (ColumnType.LONGLONG | UNSIGNED, 18446744073709551615),
    (ColumnType.FLOAT, 1.5),
    (ColumnType.DOUBLE, 0.1),
    (ColumnType.NEWDECIMAL, b"-12.345"),
    (ColumnType.DATE, b"2026-11-21"),
    (ColumnType.DATETIME, b"2026-11-21 01:02:03.000004"),
    (ColumnType.TIMESTAMP, b"2026-11-21 00:00:00"),
    (ColumnType.TIME, b"-838:59:59"),
    (ColumnType.TIME, b"01:02:03.400000"),
    (ColumnType.YEAR | UNSIGNED, 2026),
    (ColumnType.VAR_STRING, "hé".encode()),
    (ColumnType.STRING, b"abc"),
    (ColumnType.BLOB, b"\0\xff"),
    (ColumnType.BLOB, b"t"),
    (ColumnType.STRING, b"y"),
    (ColumnType.STRING, b"x,y"),
    (ColumnType.BIT | UNSIGNED, b"\1\1"),
    (ColumnType.JSON, b"{}"),
    (ColumnType.GEOMETRY, bytes.fromhex("00000000 01 01000000 000000000000f03f 0000000000000040")),
    (ColumnType.DATETIME, b"2026-01-01 00:00:00"),
]


def test_a_row_of_mysql_9_7() -> None:
    captured = load("binary_row_mysql_9_7")
    types = [code for code, _ in MYSQL_ROW]
    values = [value for _, value in MYSQL_ROW]
    assert decode_binary_row(captured[4:], types) == values
    assert encode_binary_row(values, types) == captured[4:]


def test_null_bitmap_leaves_two_bits_in_front() -> None:
    types = [ColumnType.TINY] * 7
    values: list[BinaryValue] = [None, 1, None, None, 2, None, None]
    payload = encode_binary_row(values, types)
    assert payload == bytes.fromhex("00 b401 01 02")
    assert decode_binary_row(payload, types) == values
    assert encode_binary_row([None], [ColumnType.NULL]) == bytes.fromhex("00 04")
    assert decode_binary_row(bytes.fromhex("00 04"), [ColumnType.NULL]) == [None]


@given(st.lists(st.sampled_from(VALUES) | st.tuples(st.just(ColumnType.STRING), st.just(""), st.none()), max_size=20))
def test_binary_rows_return(columns: list[tuple[int, str, BinaryValue]]) -> None:
    types = [code for code, _, _ in columns]
    values = [value for _, _, value in columns]
    assert decode_binary_row(encode_binary_row(values, types), types) == values


@given(st.floats(allow_nan=False))
def test_doubles_return(value: float) -> None:
    assert decode_binary_row(encode_binary_row([value], [ColumnType.DOUBLE]), [ColumnType.DOUBLE]) == [value]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("", ColumnType.TINY),
        ("01 00 05", ColumnType.TINY),
        ("00", ColumnType.TINY),
        ("00 00", ColumnType.TINY),
        ("00 00 05 05", ColumnType.TINY),
        ("00 00 05", ColumnType.NULL),
        ("00 00 05", ColumnType.TIMESTAMP2),
        ("00 00 05", 99),
        ("00 00 0500000000", ColumnType.DATE),
        ("00 00 0400", ColumnType.DATE),
        ("00 00 0701", ColumnType.TIME),
        ("00 00 0801", ColumnType.TIME),
        ("00 00 05 61", ColumnType.BLOB),
    ],
)
def test_binary_rows_malformed(payload: str, code: int) -> None:
    with pytest.raises(ProtocolError):
        decode_binary_row(bytes.fromhex(payload), [code])


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"yesterday", ColumnType.DATE),
        (b"2026-11-21T10:00:00", ColumnType.DATETIME),
        (b"1:2", ColumnType.TIME),
        (b"5", ColumnType.LONG),
        (5, ColumnType.BLOB),
        (5, ColumnType.DATE),
        (1.5, ColumnType.LONG),
        (b"x", ColumnType.NULL),
    ],
)
def test_values_their_type_can_not_hold(value: BinaryValue, code: int) -> None:
    with pytest.raises(ValueError):
        encode_binary_row([value], [code])


def test_values_out_of_range() -> None:
    with pytest.raises(OverflowError):
        encode_binary_row([128], [ColumnType.TINY])
    with pytest.raises(OverflowError):
        encode_binary_row([1e300], [ColumnType.FLOAT])


def test_binary_type_of_a_column() -> None:
    assert binary_type(ColumnDefinition(b"a", ColumnType.LONG)) == ColumnType.LONG
    assert binary_type(ColumnDefinition(b"a", ColumnType.LONG, flags=ColumnFlag.UNSIGNED)) == ColumnType.LONG | UNSIGNED


COLUMNS = [ColumnDefinition(b"id", ColumnType.LONGLONG), ColumnDefinition(b"name", ColumnType.VAR_STRING, 45, 80)]


@pytest.mark.parametrize("deprecate_eof", [False, True])
@pytest.mark.parametrize("rows", [[], [[b"1", b"a"], [b"2", None]], [[b"%d" % n, b"x"] for n in range(300)]])
def test_whole_text_results(deprecate_eof: bool, rows: list[list[bytes | None]]) -> None:
    data = encode_text_result(COLUMNS, rows, capabilities=NO_EOF * deprecate_eof, status=0x22, warnings=3, sequence=4)
    decoder = PacketDecoder(1 << 20)
    decoder.feed(data)
    packets = []
    while (packet := decoder.next_packet()) is not None:
        packets.append(packet)
    assert [packet.sequence for packet in packets] == [(4 + n) % 256 for n in range(len(packets))]
    payloads = [packet.payload for packet in packets]
    assert payloads[0] == b"\x02"
    assert [decode_column(payload) for payload in payloads[1:3]] == COLUMNS
    if not deprecate_eof:
        assert EofPacket.decode(payloads.pop(3)) == EofPacket(3, 0x22)
        assert EofPacket.decode(payloads[-1]) == EofPacket(3, 0x22)
    else:
        end = decode_ok(payloads[-1], int(Capability.DEPRECATE_EOF))
        assert (end.header, end.status, end.warnings) == (0xFE, 0x22, 3)
    assert [decode_text_row(payload, 2) for payload in payloads[3:-1]] == rows


def test_a_result_for_a_client_to_which_definitions_are_optional() -> None:
    shown = encode_text_result(COLUMNS, [], capabilities=int(Capability.OPTIONAL_RESULTSET_METADATA), status=2)
    plain = encode_text_result(COLUMNS, [], capabilities=0, status=2)
    assert shown == b"\2\0\0\1" + bytes([len(COLUMNS), 1]) + plain[5:], "they always follow"


def test_a_result_for_a_client_with_extended_metadata() -> None:
    column = ColumnDefinition(b"a", ColumnType.VAR_STRING)
    shown = encode_text_result([column], [], capabilities=int(Capability.MARIADB_EXTENDED_METADATA), status=2)
    assert b"\3def\0\0\0\1a\0\0\x0c" in shown
