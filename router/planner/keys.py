"""Values of sharding keys, made comparable: every two values that MySQL calls equal become the same.

The other direction need not hold: 'a' and 'A' may meet on a shard although the column tells them apart. A value whose
place cannot be told for certain is ``None``: a read then asks every shard, a row cannot be written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")

# What a literal or a parameter is worth: text is ``str``, bytes that are no text are ``bytes``.
Value = int | Decimal | str | bytes | date | datetime | None
# What it becomes: ``Decimal`` in normal form, text folded.
Canonical = int | Decimal | str | bytes | date | datetime
Key = tuple[Canonical, ...]


class KeyKind(StrEnum):
    """Types a sharding key may have."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    TEXT = "text"
    BINARY = "binary"
    DATE = "date"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True)
class KeyType:
    """The type of a key column.

    ``low`` and ``high`` bound an INTEGER, ``high`` also the whole part of a DECIMAL and the length of TEXT and BINARY;
    ``generates``: a 0 that is written becomes another number (AUTO_INCREMENT). ``scale`` is the number of digits behind
    the point of a DECIMAL or of the seconds of a DATETIME. ``fold`` maps printable ASCII characters of a TEXT to those
    that stand for all its collation calls equal (None: any character, each for itself), ``ordered``: the collation
    orders text by its code points. ``collation`` sets texts apart that must not be compared with each other.
    """

    kind: KeyKind
    low: int = 0
    high: int = 0
    scale: int = 0
    fold: Mapping[int, int] | None = None
    ordered: bool = False
    collation: str = ""
    generates: bool = False

    def meets(self, other: KeyType) -> bool:
        """Whether equal values of the two become the same, so that tables may be co-located by them."""
        numbers = (KeyKind.INTEGER, KeyKind.DECIMAL)
        if self.kind in numbers and other.kind in numbers:
            return True
        return self.kind is other.kind and self.collation == other.collation


# Beyond this, servers compare text with numbers as doubles: several integers are equal to one text.
_EXACT = 2**53
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([-+]?0*[0-9]{1,16})[ \t\n\v\f\r]*")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_DATETIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?)?")


def canonical(value: Value, of: KeyType) -> Canonical | None:
    """``value`` as a key of this type, None when its place is not certain (NULL is never equal to anything)."""
    match of.kind:
        case KeyKind.INTEGER:
            if type(value) is int:
                return value
            return _integer(value)
        case KeyKind.DECIMAL:
            return _decimal(value)
        case KeyKind.TEXT:
            return _text(value, of)
        case KeyKind.BINARY:
            return _binary(value)
        case KeyKind.DATE:
            return _date(value)
        case KeyKind.DATETIME:
            return _datetime(value, of.scale)


def storable(key: Canonical, of: KeyType) -> bool:
    """Whether a column of this type keeps ``key`` as it is: nothing is rounded, cut off, or out of range."""
    match of.kind:
        case KeyKind.INTEGER:
            return isinstance(key, int) and of.low <= key <= of.high and not (of.generates and key == 0)
        case KeyKind.DECIMAL:
            if not isinstance(key, Decimal):
                return False
            exponent = key.as_tuple().exponent
            return isinstance(exponent, int) and -exponent <= of.scale and abs(key) <= of.high
        case KeyKind.TEXT | KeyKind.BINARY:
            return isinstance(key, str | bytes) and len(key) <= of.high
        case _:
            return True


def encoded(key: Key) -> bytes:
    """The bytes that hash functions see: the values as MySQL prints them, with NUL in between."""
    return b"\0".join(_printed(part) for part in key)


def _printed(part: Canonical) -> bytes:
    match part:
        case bytes():
            return part
        case Decimal():
            return f"{part:f}".encode()
        case datetime():
            return part.isoformat(" ").encode()
        case _:
            return str(part).encode("utf-8", "surrogatepass")


# -- kinds -----------------------------------------------------------------------------------------------------


def _integer(value: Value) -> int | None:
    match value:
        case bool():
            return int(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else None
        case str():
            found = _INTEGER.fullmatch(value)
            number = int(found[1]) if found is not None else _EXACT
            return number if abs(number) < _EXACT else None
    return None


def _decimal(value: Value) -> Decimal | None:
    match value:
        case int():
            return _normal(Decimal(value))
        case Decimal():
            return _normal(value)
        case str():
            number = _integer(value)
            return None if number is None else _normal(Decimal(number))
    return None


def _normal(value: Decimal) -> Decimal:
    """Without zeros behind the point, and without an exponent."""
    if value == value.to_integral_value():
        return value.quantize(Decimal(1)) + 0
    return value.normalize()


def _text(value: Value, of: KeyType) -> str | None:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    if not isinstance(value, str):
        return None  # a number compares with text as a number
    if of.fold is None:
        return value.rstrip(" ")
    if not value.isascii() or not value.isprintable():
        return None
    return value.translate(of.fold).rstrip(" ")


def _binary(value: Value) -> bytes | None:
    match value:
        case bytes():
            return value.rstrip(b"\0")
        case str():
            return value.encode("utf-8", "surrogatepass").rstrip(b"\0")
    return None


def _date(value: Value) -> date | None:
    match value:
        case datetime():
            return value.date() if value == datetime(value.year, value.month, value.day) else None
        case date():
            return value
        case str():
            found = _DATE.fullmatch(value)
            if found is not None:
                return _or_none(lambda: date(int(found[1]), int(found[2]), int(found[3])))
    return None


def _datetime(value: Value, scale: int) -> datetime | None:
    match value:
        case datetime():
            return value if _digits(value.microsecond) <= scale else None
        case date():
            return datetime(value.year, value.month, value.day)
        case str():
            found = _DATETIME.fullmatch(value)
            if found is None:
                return None
            year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
            fraction = found[7] or ""
            if len(fraction.rstrip("0")) > scale:
                return None  # would be rounded
            microsecond = int(fraction.ljust(6, "0"))
            return _or_none(lambda: datetime(year, month, day, hour, minute, second, microsecond))
    return None


def _digits(microsecond: int) -> int:
    return len(f"{microsecond:06d}".rstrip("0"))


def _or_none(make: Callable[[], T]) -> T | None:
    try:
        return make()
    except ValueError:  # 2024-02-30: a server may take it for something else
        return None
