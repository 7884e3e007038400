"""Rows of the text and the binary protocol, and whole text results for answers made in the router.

See "Text Resultset" and "Binary Protocol Resultset" in the MySQL internals manual.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from router.errors import ProtocolError
from router.wire.codec import (
    pull_bytes,
    pull_int,
    pull_lenenc_bytes,
    pull_lenenc_bytes_or_null,
    push_lenenc_bytes,
    push_lenenc_bytes_or_null,
    push_lenenc_int,
)
from router.wire.constants import Capability, ColumnFlag, ColumnType
from router.wire.framing import frames
from router.wire.packets import EOF_HEADER, ColumnDefinition, EofPacket, OkPacket, encode_column, encode_ok

BinaryValue = int | float | bytes | None

UNSIGNED: Final = 0x8000
"""Added to a column type where integers have no sign, as COM_STMT_EXECUTE does for its parameters."""

_INT_SIZES: Final = {
    ColumnType.TINY: 1,
    ColumnType.SHORT: 2,
    ColumnType.YEAR: 2,
    ColumnType.LONG: 4,
    ColumnType.INT24: 4,
    ColumnType.LONGLONG: 8,
}
INTEGERS: Final = frozenset(_INT_SIZES)
_DATES: Final = frozenset({ColumnType.DATE, ColumnType.DATETIME, ColumnType.TIMESTAMP, ColumnType.NEWDATE})
_STRINGS: Final = frozenset(
    {
        ColumnType.DECIMAL,
        ColumnType.NEWDECIMAL,
        ColumnType.VARCHAR,
        ColumnType.VAR_STRING,
        ColumnType.STRING,
        ColumnType.ENUM,
        ColumnType.SET,
        ColumnType.TINY_BLOB,
        ColumnType.MEDIUM_BLOB,
        ColumnType.LONG_BLOB,
        ColumnType.BLOB,
        ColumnType.BIT,
        ColumnType.JSON,
        ColumnType.VECTOR,
        ColumnType.GEOMETRY,
    }
)
# Up to here one byte says how long a value is.
_LONG: Final = 251
_LENGTHS: Final = [bytes([length]) for length in range(_LONG)]
_BITMAP_OFFSET: Final = 2  # result rows leave two bits unused in front


def encode_text_row(values: Sequence[bytes | None]) -> bytes:
    """One row; None is NULL."""
    parts = []
    for value in values:
        if value is not None and len(value) < _LONG:
            parts.append(_LENGTHS[len(value)])
            parts.append(value)
        else:
            parts.append(push_lenenc_bytes_or_null(value))
    return b"".join(parts)


def decode_text_row(payload: bytes, columns: int) -> list[bytes | None]:
    """Read a row of so many columns; more or fewer raise `ProtocolError`."""
    values: list[bytes | None] = []
    position = 0
    size = len(payload)
    for _ in range(columns):
        if position < size and (length := payload[position]) < _LONG:
            position += 1
            values.append(payload[position : position + length])
            position += length
        else:
            value, position = pull_lenenc_bytes_or_null(payload, position)
            values.append(value)
    if position != size:
        _expect_end(payload, position)
    return values


def binary_type(column: ColumnDefinition) -> int:
    """The type of `column` as the binary functions want it."""
    return column.type | UNSIGNED if column.flags & ColumnFlag.UNSIGNED else column.type


def encode_binary_row(values: Sequence[BinaryValue], types: Sequence[int]) -> bytes:
    """One row. Dates, times and decimals are text as in the text protocol; a value its type can't hold is `ValueError`.

    Integers out of their column's range raise `OverflowError`.
    """
    bitmap = bytearray((len(types) + _BITMAP_OFFSET + 7) // 8)
    parts: list[bytes] = []
    for number, (value, code) in enumerate(zip(values, types, strict=True), _BITMAP_OFFSET):
        if value is None:
            bitmap[number >> 3] |= 1 << (number & 7)
        else:
            parts.append(_push_binary(value, code))
    return b"\0" + bytes(bitmap) + b"".join(parts)


def decode_binary_row(payload: bytes, types: Sequence[int]) -> list[BinaryValue]:
    """Read a row of columns of these types (see `binary_type`).

    A DATETIME or TIME without a fraction in its bytes reads without one, whatever precision its column has.
    """
    header, position = pull_int(payload, 0, 1)
    if header:
        raise ProtocolError(f"binary row begins with 0x{header:02X}")
    bitmap, position = pull_bytes(payload, position, (len(types) + _BITMAP_OFFSET + 7) // 8)
    values: list[BinaryValue] = []
    for number, code in enumerate(types, _BITMAP_OFFSET):
        if bitmap[number >> 3] >> (number & 7) & 1:
            values.append(None)
        else:
            value, position = pull_binary(payload, position, code)
            values.append(value)
    _expect_end(payload, position)
    return values


def encode_text_result(
    columns: Sequence[ColumnDefinition],
    rows: Iterable[Sequence[bytes | None]],
    *,
    capabilities: int,
    status: int,
    warnings: int = 0,
    sequence: int = 1,
) -> bytes:
    """A whole result set in frames numbered from `sequence`, as one answer to a COM_QUERY.

    `capabilities` are what was agreed on with the client.
    """
    deprecate_eof = capabilities & Capability.DEPRECATE_EOF
    follows = b"\1" if capabilities & Capability.OPTIONAL_RESULTSET_METADATA else b""
    payloads = [push_lenenc_int(len(columns)) + follows, *(encode_column(column, capabilities) for column in columns)]
    eof = EofPacket(warnings, status).encode()
    if not deprecate_eof:
        payloads.append(eof)
    payloads.extend(map(encode_text_row, rows))
    payloads.append(
        encode_ok(OkPacket(status=status, warnings=warnings, header=EOF_HEADER), 0) if deprecate_eof else eof
    )
    return frames(payloads, sequence)[0]


def _expect_end(payload: bytes, position: int) -> None:
    if position != len(payload):
        raise ProtocolError(f"row has {len(payload) - position} bytes behind its last column")


def _push_binary(value: int | float | bytes, code: int) -> bytes:
    kind = code & ~UNSIGNED
    if kind in _INT_SIZES and isinstance(value, int):
        return value.to_bytes(_INT_SIZES[ColumnType(kind)], "little", signed=not code & UNSIGNED)
    if kind in (ColumnType.FLOAT, ColumnType.DOUBLE) and isinstance(value, int | float):
        return struct.pack("<f" if kind == ColumnType.FLOAT else "<d", value)
    if isinstance(value, bytes):
        if kind in _STRINGS:
            return push_lenenc_bytes(value)
        if kind in _DATES:
            return _push_date(value)
        if kind == ColumnType.TIME:
            return _push_time(value)
    raise ValueError(f"{value!r} is no value for column type {kind}")


def pull_binary(payload: bytes, position: int, code: int) -> tuple[int | float | bytes, int]:
    """One value of the binary protocol, of type ``code`` (see ``binary_type``), and where it ends.

    Raises ProtocolError.
    """
    kind = code & ~UNSIGNED
    if kind in _INT_SIZES:
        raw, position = pull_bytes(payload, position, _INT_SIZES[ColumnType(kind)])
        return int.from_bytes(raw, "little", signed=not code & UNSIGNED), position
    if kind in _STRINGS:
        return pull_lenenc_bytes(payload, position)
    if kind == ColumnType.FLOAT:
        raw, position = pull_bytes(payload, position, 4)
        return float(struct.unpack("<f", raw)[0]), position
    if kind == ColumnType.DOUBLE:
        raw, position = pull_bytes(payload, position, 8)
        return float(struct.unpack("<d", raw)[0]), position
    if kind in _DATES:
        return _pull_date(payload, position, with_time=kind in (ColumnType.DATETIME, ColumnType.TIMESTAMP))
    if kind == ColumnType.TIME:
        return _pull_time(payload, position)
    raise ProtocolError(f"column type {kind} does not occur in a binary row")


_DATE: Final = struct.Struct("<HBB")
_CLOCK: Final = struct.Struct("<BBB")
_SPAN: Final = struct.Struct("<BIBBB")
_MICROSECONDS: Final = struct.Struct("<I")
_DATE_TEXT: Final = re.compile(rb"(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?")
_TIME_TEXT: Final = re.compile(rb"(-?)(\d{2,9}):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_HOURS_A_DAY: Final = 24


def _micros(text: bytes | None) -> int:
    return int(text.ljust(6, b"0")) if text else 0


def _push_date(text: bytes) -> bytes:
    match = _DATE_TEXT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no date")
    date = tuple(map(int, match.group(1, 2, 3)))
    clock = tuple(int(part or 0) for part in match.group(4, 5, 6))
    micros = _micros(match[7])
    # as short as it can be said, like the server
    if micros:
        return b"\x0b" + _DATE.pack(*date) + _CLOCK.pack(*clock) + _MICROSECONDS.pack(micros)
    if any(clock):
        return b"\x07" + _DATE.pack(*date) + _CLOCK.pack(*clock)
    return b"\x04" + _DATE.pack(*date) if any(date) else b"\0"


def _pull_date(payload: bytes, position: int, *, with_time: bool) -> tuple[bytes, int]:
    size, position = pull_int(payload, position, 1)
    if size not in (0, 4, 7, 11):
        raise ProtocolError(f"a date of {size} bytes")
    raw, position = pull_bytes(payload, position, size)
    raw = raw.ljust(11, b"\0")
    text = b"%04d-%02d-%02d" % _DATE.unpack_from(raw)
    if with_time:
        text += b" %02d:%02d:%02d" % _CLOCK.unpack_from(raw, 4)
        if size == 11:
            text += b".%06d" % int.from_bytes(raw[7:11], "little")
    return text, position


def _push_time(text: bytes) -> bytes:
    match = _TIME_TEXT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no time")
    days, hours = divmod(int(match[2]), _HOURS_A_DAY)
    minutes, seconds, micros = int(match[3]), int(match[4]), _micros(match[5])
    span = _SPAN.pack(bool(match[1]), days, hours, minutes, seconds)
    if micros:
        return b"\x0c" + span + _MICROSECONDS.pack(micros)
    return b"\x08" + span if days or hours or minutes or seconds else b"\0"


def _pull_time(payload: bytes, position: int) -> tuple[bytes, int]:
    size, position = pull_int(payload, position, 1)
    if size not in (0, 8, 12):
        raise ProtocolError(f"a time of {size} bytes")
    raw, position = pull_bytes(payload, position, size)
    negative, days, hours, minutes, seconds = _SPAN.unpack(raw[:8]) if size else (0, 0, 0, 0, 0)
    text = b"%s%02d:%02d:%02d" % (b"-" if negative else b"", days * _HOURS_A_DAY + hours, minutes, seconds)
    if size == 12:
        text += b".%06d" % int.from_bytes(raw[8:12], "little")
    return text, position
