"""What the parameters of an EXECUTE are worth."""

from __future__ import annotations

from decimal import Decimal

import pytest

from router.engine.parameters import ParameterValues
from router.planner.keys import Value
from router.planner.routes import Parameter, Slot, Unplaced
from router.wire.constants import ColumnType

T = ColumnType


def values(types: list[int], data: bytes, nulls: int = 0, elsewhere: tuple[int, ...] = ()) -> ParameterValues:
    codes = b"".join(code.to_bytes(2, "little") for code in types)
    return ParameterValues(codes, bytes([nulls]), data, elsewhere, "utf-8")


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        (T.LONG, b"\x05\0\0\0", 5),
        (T.LONG, b"\xff\xff\xff\xff", -1),
        (T.LONG | 0x8000, b"\xff\xff\xff\xff", 2**32 - 1),
        (T.TINY, b"\xff", -1),
        (T.LONGLONG | 0x8000, b"\xff" * 8, 2**64 - 1),
        (T.VAR_STRING, b"\x03abc", "abc"),
        (T.STRING, "\x03ä!".encode(), "ä!"),
        (T.BLOB, b"\x02\xff\xfe", b"\xff\xfe"),
        (T.NEWDECIMAL, b"\x045.10", Decimal("5.10")),
        (T.DATE, b"\x04\xe8\x07\x02\x1d", "2024-02-29"),
        (T.DATETIME, b"\x07\xe8\x07\x02\x1d\x0c\x00\x01", "2024-02-29 12:00:01"),
    ],
)
def test_worth(kind: int, data: bytes, value: Value) -> None:
    found = values([kind], data).value(Parameter(0))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "data"),
    [(T.DOUBLE, b"\0" * 8), (T.FLOAT, b"\0" * 4), (T.TIME, b"\0"), (T.NEWDECIMAL, b"\x02xx"), (T.LONG, b"\x05")],
)
def test_what_is_no_plain_value(kind: int, data: bytes) -> None:
    with pytest.raises(Unplaced):
        values([kind], data).value(Parameter(0))


def test_several() -> None:
    given = values([T.LONG, T.VAR_STRING, T.BLOB, T.LONG], b"\x01a\x07\0\0\0", nulls=0b0001, elsewhere=(2,))
    assert given.value(Parameter(0)) is None
    assert given.value(Parameter(1)) == "a"
    with pytest.raises(Unplaced):
        given.value(Parameter(2))
    assert given.value(Parameter(3)) == 7
    assert given.value(Parameter(3, negative=True)) == -7
    for reference in (Parameter(1, negative=True), Parameter(4), Slot(0)):
        with pytest.raises(Unplaced):
            given.value(reference)
