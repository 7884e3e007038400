"""The parameter values of one COM_STMT_EXECUTE, for whoever has to know what they are worth: sharding keys."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal, InvalidOperation

from router.errors import ProtocolError
from router.planner.keys import Value
from router.planner.routes import Parameter, Reference, Unplaced
from router.wire.constants import ColumnType
from router.wire.rows import INTEGERS, UNSIGNED, pull_binary

_DATES = frozenset({ColumnType.DATE, ColumnType.DATETIME, ColumnType.TIMESTAMP})
_DECIMALS = frozenset({ColumnType.DECIMAL, ColumnType.NEWDECIMAL})
_TEXTS = frozenset(
    {
        ColumnType.VARCHAR,
        ColumnType.VAR_STRING,
        ColumnType.STRING,
        ColumnType.TINY_BLOB,
        ColumnType.MEDIUM_BLOB,
        ColumnType.LONG_BLOB,
        ColumnType.BLOB,
    }
)


class ParameterValues:
    """Values by the number of their ``?``; read from the front when one is asked for.

    ``types`` are two bytes for each parameter, ``nulls`` the NULL bitmap, ``data`` what follows them, ``elsewhere`` the
    numbers of parameters that were sent as long data. ``codec`` decodes text.
    """

    __slots__ = ("_codec", "_data", "_elsewhere", "_nulls", "_types", "_values")

    def __init__(self, types: bytes, nulls: bytes, data: bytes, elsewhere: Collection[int], codec: str | None) -> None:
        self._types = types
        self._nulls = nulls
        self._data = data
        self._elsewhere = elsewhere
        self._codec = codec
        self._values: list[Value | Unplaced] | None = None

    def value(self, reference: Reference) -> Value:
        """What was given for a parameter. Raises Unplaced."""
        if not isinstance(reference, Parameter):
            raise Unplaced
        if self._values is None:
            self._values = self._read()
        if reference.number >= len(self._values):
            raise Unplaced
        value = self._values[reference.number]
        if isinstance(value, Unplaced):
            raise value
        if not reference.negative:
            return value
        if isinstance(value, int | Decimal):
            return -value
        raise Unplaced

    def raw(self) -> list[bytes | None]:
        """Each value as it stands in the packet; None for NULL and for what was sent as long data. ProtocolError."""
        values: list[bytes | None] = []
        position = 0
        for number in range(len(self._types) // 2):
            code = int.from_bytes(self._types[2 * number : 2 * number + 2], "little")
            if number in self._elsewhere or self._nulls[number >> 3] >> (number & 7) & 1:
                values.append(None)
                continue
            start = position
            _, position = pull_binary(self._data, position, code & (UNSIGNED | 0xFF))
            values.append(self._data[start:position])
        return values

    def _read(self) -> list[Value | Unplaced]:
        values: list[Value | Unplaced] = []
        position = 0
        for number in range(len(self._types) // 2):
            code = int.from_bytes(self._types[2 * number : 2 * number + 2], "little")
            if number in self._elsewhere:
                values.append(Unplaced())
            elif self._nulls[number >> 3] >> (number & 7) & 1:
                values.append(None)
            else:
                kind = code & 0xFF
                try:
                    raw, position = pull_binary(self._data, position, code & (UNSIGNED | 0xFF))
                except ProtocolError:
                    break  # malformed: the server says how
                values.append(self._worth(raw, kind))
        return values

    def _worth(self, raw: int | float | bytes, kind: int) -> Value | Unplaced:
        if kind in INTEGERS and isinstance(raw, int):
            return raw
        if not isinstance(raw, bytes):
            return Unplaced()
        if kind in _DATES:
            return raw.decode("ascii")
        if kind in _DECIMALS:
            try:
                return Decimal(raw.decode("ascii"))
            except (InvalidOperation, UnicodeDecodeError):
                return Unplaced()
        if kind not in _TEXTS:
            return Unplaced()
        try:
            return raw.decode("ascii" if raw.isascii() or self._codec is None else self._codec)
        except UnicodeDecodeError:
            return raw
