"""Sharding functions: key → number of a shard, in the order of the table's shards.

Each takes canonical values (``keys``) only. ``between`` says which shards can hold keys of a range; None when it
cannot tell, which means all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import md5
from typing import Any

from router.planner.keys import Canonical, Key, encoded

# `hash`: keys go to slots, slots to shards; a later move of slots moves no other key.
SLOTS = 1024
# Integer keys of a table whose shards are remembered: rows that are asked for often cost no hash.
REMEMBERED = 8192
# `consistent_hash`: places of each shard on the ring.
PLACES = 128

Bound = Canonical | None


class NoShard(Exception):
    """No shard is meant for the key, and the table has no default."""


class ShardingFunction(ABC):
    """One table's way to spread its rows over ``count`` shards; ``default`` takes what no rule covers."""

    def __init__(self, count: int, default: int | None = None) -> None:
        self.count = count
        self.default = default

    @abstractmethod
    def shard(self, key: Key) -> int:
        """The shard of a row with this key. Raises NoShard."""

    def shard_of_integer(self, number: int) -> int:
        """As ``shard``, of a key that is one integer. Raises NoShard."""
        return self.shard((number,))

    def between(self, low: Bound, high: Bound) -> frozenset[int] | None:
        """The shards that may hold keys from ``low`` to ``high``, both included; None as a bound is an open end."""
        return None

    def _default(self) -> int:
        if self.default is None:
            raise NoShard
        return self.default


def _hash64(data: bytes) -> int:
    """The first 64 bits of MD5: what ``CONV(LEFT(MD5(key), 16), 16, 10)`` is in SQL."""
    return int.from_bytes(md5(data, usedforsecurity=False).digest()[:8], "big")


class Hash(ShardingFunction):
    """64-bit hash over 1,024 slots, spread evenly over the shards. The shards of the last keys are remembered."""

    def __init__(self, count: int, default: int | None = None) -> None:
        super().__init__(count, default)
        self._remembered = lru_cache(REMEMBERED)(self._of_integer)

    def shard(self, key: Key) -> int:
        return _hash64(encoded(key)) % SLOTS * self.count // SLOTS

    def shard_of_integer(self, number: int) -> int:
        return self._remembered(number)

    def _of_integer(self, number: int) -> int:
        # Of 64 bits, the last 16 say which of 2^10 slots it is.
        digest = md5(b"%d" % number, usedforsecurity=False).digest()
        return (digest[6] << 8 | digest[7]) % SLOTS * self.count // SLOTS


class Mod(ShardingFunction):
    """The remainder of an integer; also of a negative one never negative."""

    def shard(self, key: Key) -> int:
        number = key[0]
        if not isinstance(number, int):
            raise NoShard
        return number % self.count


class ConsistentHash(ShardingFunction):
    """A ring on which each shard has many places by its name: a new one takes keys from all and moves no others."""

    def __init__(self, names: Sequence[str], default: int | None = None) -> None:
        super().__init__(len(names), default)
        ring = sorted(
            (_hash64(f"{name}#{place}".encode()), number)
            for number, name in enumerate(names)
            for place in range(PLACES)
        )
        self._places = [place for place, _ in ring]
        self._shards = [number for _, number in ring]

    def shard(self, key: Key) -> int:
        index = bisect_right(self._places, _hash64(encoded(key)))
        return self._shards[index % len(self._shards)]


class Prefix(ShardingFunction):
    """As ``Hash``, of the first ``length`` characters."""

    def __init__(self, count: int, length: int, default: int | None = None) -> None:
        super().__init__(count, default)
        self.length = length

    def shard(self, key: Key) -> int:
        text = key[0]
        if not isinstance(text, str | bytes):
            raise NoShard
        start = text[: self.length]
        return _hash64(encoded((start.rstrip(" ") if isinstance(start, str) else start,))) % SLOTS * self.count // SLOTS


class List(ShardingFunction):
    """Shard by a list of keys each."""

    def __init__(self, count: int, values: Mapping[Key, int], default: int | None = None) -> None:
        super().__init__(count, default)
        self._values = dict(values)

    def shard(self, key: Key) -> int:
        found = self._values.get(key)
        return self._default() if found is None else found


class Range(ShardingFunction):
    """Shard by intervals ``[from, to)`` that do not overlap; None is an open end."""

    def __init__(self, count: int, ranges: Sequence[tuple[Bound, Bound, int]], default: int | None = None) -> None:
        super().__init__(count, default)
        self._ranges = tuple(ranges)

    def shard(self, key: Key) -> int:
        value = key[0]
        for low, high, number in self._ranges:
            if (low is None or _le(low, value)) and (high is None or not _le(high, value)):
                return number
        return self._default()

    def between(self, low: Bound, high: Bound) -> frozenset[int] | None:
        found = {
            number
            for start, end, number in self._ranges
            if (high is None or start is None or _le(start, high)) and (low is None or end is None or not _le(end, low))
        }
        if self.default is not None:
            found.add(self.default)
        return frozenset(found)


class Period(ShardingFunction):
    """Days, weeks, months or years go round the shards, from the one that holds ``start`` on."""

    def __init__(self, count: int, unit: str, start: date, default: int | None = None) -> None:
        super().__init__(count, default)
        self._number = _PERIODS[unit]
        self._first = self._number(start)

    def shard(self, key: Key) -> int:
        value = key[0]
        if not isinstance(value, date):
            raise NoShard
        number = self._number(value) - self._first
        return number % self.count if number >= 0 else self._default()

    def between(self, low: Bound, high: Bound) -> frozenset[int] | None:
        if not isinstance(low, date) or not isinstance(high, date):
            return None
        first, last = self._number(low) - self._first, self._number(high) - self._first
        if last - max(first, 0) >= self.count:
            return None
        found = {number % self.count for number in range(max(first, 0), last + 1)}
        if first < 0 and self.default is not None:
            found.add(self.default)
        return frozenset(found)


def _week(day: date) -> int:
    """Weeks begin on Monday; 1970-01-05 was one."""
    plain = date(day.year, day.month, day.day)
    return (plain - date(1970, 1, 5)) // timedelta(weeks=1)


_PERIODS: dict[str, Callable[[date], int]] = {
    "day": lambda day: day.toordinal(),
    "week": _week,
    "month": lambda day: day.year * 12 + day.month,
    "year": lambda day: day.year,
}


class Custom(ShardingFunction):
    """A function of the user's: ``pick(value, …, shards=names)`` returns a shard's name."""

    def __init__(self, names: Sequence[str], pick: Callable[..., Any], default: int | None = None) -> None:
        super().__init__(len(names), default)
        self._names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(names)}
        self._pick = pick

    def shard(self, key: Key) -> int:
        found = self._numbers.get(self._pick(*key, shards=self._names))
        return self._default() if found is None else found


def _le(one: Canonical, other: Canonical) -> bool:
    """``one <= other``, where both are of one kind."""
    if isinstance(one, datetime) is not isinstance(other, datetime) and isinstance(one, date):
        one, other = _midnight(one), _midnight(other)
    assert isinstance(one, int | Decimal | str | bytes | date)
    return bool(one <= other)  # type: ignore[operator]


def _midnight(value: Canonical) -> datetime:
    assert isinstance(value, date)
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
