"""Rows of both protocols as cells, and back."""

from __future__ import annotations

import struct

from router.engine.forms import BinaryForm, TextForm, in_places, shown_as, unrounded
from router.planner.plan import Shown
from router.wire.constants import ColumnFlag, ColumnType
from router.wire.packets import ColumnDefinition
from router.wire.rows import encode_binary_row, encode_text_row

COLUMNS = [
    ColumnDefinition(b"a", ColumnType.LONGLONG, flags=ColumnFlag.UNSIGNED),
    ColumnDefinition(b"b", ColumnType.FLOAT),
    ColumnDefinition(b"c", ColumnType.DOUBLE),
    ColumnDefinition(b"d", ColumnType.NEWDECIMAL),
    ColumnDefinition(b"e", ColumnType.DATETIME),
    ColumnDefinition(b"f", ColumnType.VAR_STRING),
]


def test_text() -> None:
    form = TextForm(COLUMNS[:3])
    assert form.read(encode_text_row([b"1", None, b"x"])) == [b"1", None, b"x"]
    assert form.write([b"1", None]) == encode_text_row([b"1", None])


def test_binary() -> None:
    (tenth,) = struct.unpack("<f", struct.pack("<f", 0.1))
    values = [2**64 - 1, tenth, 1e-300, b"1.50", b"2020-02-29 01:02:03.000400", None]
    form = BinaryForm(COLUMNS)
    payload = encode_binary_row(values, [0x8008, *(int(column.type) for column in COLUMNS[1:])])
    row = form.read(payload)
    assert row == [b"18446744073709551615", b"0.10000000149011612", b"1e-300", b"1.50", values[4], None]
    assert form.write(row) == payload, "a FLOAT loses nothing"


def test_whole_numbers_have_no_point() -> None:
    form = BinaryForm(COLUMNS[2:3])
    for value, text in ((3.0, b"3"), (-0.5, b"-0.5"), (1e300, b"1e+300")):
        payload = encode_binary_row([value], [int(ColumnType.DOUBLE)])
        assert form.read(payload) == [text]
        assert form.write([text]) == payload


def test_hidden_columns_are_left_out() -> None:
    form = BinaryForm(COLUMNS)
    assert form.write([b"7", None]) == encode_binary_row([7, None], [0x8008, int(ColumnType.FLOAT)])


def test_what_queries_gave_is_put_into_rows() -> None:
    columns = [ColumnDefinition(b"a", ColumnType.LONG), ColumnDefinition(b"NULL", ColumnType.NULL)]
    own = ColumnDefinition(b"x", ColumnType.SHORT)
    known, cells = shown_as(columns, [Shown(-1, b"(SELECT x)", own, b"7"), Shown(0, b"b")])
    assert [(each.name, each.type) for each in known] == [(b"b", ColumnType.LONG), (b"(SELECT x)", ColumnType.SHORT)]
    assert in_places(TextForm(known).write, cells)([b"1", None]) == b"\x011\x017"
    assert in_places(BinaryForm(known).write, cells)([b"1", None]) == b"\0\0\1\0\0\0\7\0"


def test_the_binary_protocol_rounds_no_double() -> None:
    columns = [ColumnDefinition(b"a", ColumnType.DOUBLE, decimals=4), ColumnDefinition(b"b", ColumnType.LONG)]
    assert [each.decimals for each in unrounded(columns)] == [31, 0]
