"""Query attributes (CLIENT_QUERY_ATTRIBUTES, MySQL 8.0.23): named values in front of a statement, or behind its own.

What the router needs is where the SQL begins, and which bytes are parameter types. The attributes themselves go to the
server as they came. Whatever a server accepts must be read here as the server reads it, the oddest lengths included:
or a statement would be planned that is not the one that runs.

Source: ``parse_query_bind_params`` and ``get_ps_param_len`` in MySQL's ``sql/protocol_classic.cc``; compared with
MySQL 9.7.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NoReturn

from router.errors import ProtocolError
from router.wire.constants import HEADER_SIZE, MAX_PAYLOAD, Capability, ColumnType, Command
from router.wire.framing import unframed

PARAMETER_COUNT_AVAILABLE: Final = 0x08
"""Flag of COM_STMT_EXECUTE: a count follows although the statement has no parameters of its own."""

NONE: Final = b"\x00\x01"
"""What stands between the command byte of a COM_QUERY and its SQL when there are no attributes: 0 values in 1 set."""

# Plain integers: without_attributes is asked with every write.
_ATTRIBUTES: Final = int(Capability.QUERY_ATTRIBUTES)
_QUERY: Final = int(Command.QUERY)
_MOST: Final = 0xFFFF
_UNSIGNED: Final = 0x8000
_NULL: Final = 0xFFFFFFFFFFFFFFFF
_FIXED: Final[dict[int, int]] = {
    ColumnType.TINY: 1,
    ColumnType.SHORT: 2,
    ColumnType.LONG: 4,
    ColumnType.FLOAT: 4,
    ColumnType.LONGLONG: 8,
    ColumnType.DOUBLE: 8,
}
_TEXTS: Final = frozenset({ColumnType.VARCHAR, ColumnType.VAR_STRING, ColumnType.STRING, ColumnType.BLOB})
# Their length must be right; any other value that runs past the end ends there.
_EXACT: Final = frozenset(
    {
        ColumnType.DECIMAL,
        ColumnType.NEWDECIMAL,
        ColumnType.DATE,
        ColumnType.TIME,
        ColumnType.DATETIME,
        ColumnType.TIMESTAMP,
    }
)


def sql_start(payload: bytes) -> int:
    """Where the SQL begins in a COM_QUERY with attributes. Raises `ProtocolError` where the server says "malformed"."""
    if payload[1:3] == NONE:
        return 3
    count, at = _counts(payload)
    if not count:
        return at
    bitmap, at = at, at + (count + 7) // 8
    if at >= len(payload) or not payload[at]:
        _cut("the types of the attributes")
    types, at = pull_named_types(payload, at + 1, count)
    for number in range(count):
        if not payload[bitmap + (number >> 3)] >> (number & 7) & 1:
            at = _behind_value(payload, at, int.from_bytes(types[2 * number : 2 * number + 2], "little"))
    return at


def _counts(payload: bytes) -> tuple[int, int]:
    """The number of attributes of a COM_QUERY, and where their NULL bitmap begins."""
    count, at = _length(payload, 1)
    sets, at = _length(payload, at)
    if sets != 1 or count > _MOST:
        raise ProtocolError(f"{count} attributes in {sets} sets")
    return count, at


def text_attribute(payload: bytes, name: bytes) -> bytes | None:
    """The text that a COM_QUERY with attributes gives as ``name``. Raises `ProtocolError`."""
    count, at = _counts(payload)
    return named_text(payload, at, count, name) if count else None


def named_text(payload: bytes, bitmap: int, count: int, name: bytes, elsewhere: Collection[int] = ()) -> bytes | None:
    """The text among ``count`` values that is called ``name``, if their types follow the NULL bitmap.

    ``elsewhere`` are the numbers of values that are not in the packet. Raises `ProtocolError`.
    """
    at = bitmap + (count + 7) // 8
    if at >= len(payload) or not payload[at]:
        return None
    at += 1
    kinds, names = [], []
    for _ in range(count):
        kinds.append(int.from_bytes(payload[at : at + 2], "little"))
        length, at = _length(payload, at + 2)
        names.append(payload[at : at + length])
        at += length
    for number, kind in enumerate(kinds):
        if number in elsewhere or payload[bitmap + (number >> 3)] >> (number & 7) & 1:
            continue
        start, at = at, _behind_value(payload, at, kind)
        if names[number] == name and kind & ~_UNSIGNED in _TEXTS:
            return payload[_length(payload, start)[1] : at]
    return None


def without_attributes(frame: bytes, capabilities: int) -> bytes:
    """A framed COM_QUERY whose attributes have been read before, with the SQL where it is without them; to be looked at
    and not to be sent: the header is left as it was. Other commands, and other clients', stay as they are.
    """
    if not capabilities & _ATTRIBUTES or frame[4] != _QUERY:
        return frame
    payload = frame[HEADER_SIZE:] if len(frame) <= MAX_PAYLOAD else unframed(frame)
    return frame[:5] + payload[sql_start(payload) :]


def parameter_count(payload: bytes, position: int) -> tuple[int, int]:
    """The number of values of a COM_STMT_EXECUTE with attributes, and where the NULL bitmap begins."""
    count, at = _length(payload, position)
    if count > _MOST:
        raise ProtocolError(f"{count} parameters")
    return count, at


def pull_named_types(payload: bytes, position: int, count: int) -> tuple[bytes, int]:
    """``count`` types, two bytes each, without the names behind them; and what follows."""
    types = bytearray()
    for _ in range(count):
        types += payload[position : position + 2]
        length, position = _length(payload, position + 2)
        position += length
        if position > len(payload):
            _cut("the name of an attribute")
    return bytes(types), position


def _behind_value(payload: bytes, position: int, kind: int) -> int:
    kind &= ~_UNSIGNED
    if kind == ColumnType.BOOL:
        raise ProtocolError("an attribute of type BOOL")
    size = len(payload)
    if (width := _FIXED.get(kind)) is not None:
        end = position + width
        if end > size:
            _cut("the value of an attribute")
        return end
    first = payload[position] if position < size else 0xFF
    if first == 0xFF:
        raise ProtocolError("an attribute of undefined length")
    # Here, and only here, 0xFB is a length like any other.
    length, start = (first, position + 1) if first == 0xFB else _length(payload, position)
    if start + length > size and kind in _EXACT:
        _cut("the value of an attribute")
    return min(start + length, size)


def _length(payload: bytes, position: int) -> tuple[int, int]:
    """A length as the server reads it: of eight bytes the lower four, and NULL is a very large number."""
    if position >= len(payload):
        _cut("the attributes")
    first = payload[position]
    if first < 0xFB:
        return first, position + 1
    if first == 0xFB:
        return _NULL, position + 1
    width, used = {0xFC: (2, 2), 0xFD: (3, 3)}.get(first, (8, 4))
    end = position + 1 + width
    if end > len(payload):
        _cut("the attributes")
    return int.from_bytes(payload[position + 1 : position + 1 + used], "little"), end


def _cut(what: str) -> NoReturn:
    raise ProtocolError(f"the packet ends before {what}")
