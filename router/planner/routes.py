"""Which shards a statement concerns: an expression without values, evaluated for each execution.

A ``Reference`` says where a value stands in the statement; ``Values`` knows what stands there this time. What cannot
be told for certain concerns every shard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Protocol

from router.planner.keys import Canonical, Key, KeyKind, KeyType, Value, canonical, storable
from router.planner.lookup import Lookup, NeedsKeys
from router.planner.sharding import NoShard, ShardingFunction
from router.planner.tables import ShardedTable


@dataclass(frozen=True, slots=True)
class Slot:
    """The ``number``-th literal of the statement, perhaps behind a minus sign."""

    number: int
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """The ``number``-th ``?`` of a prepared statement."""

    number: int
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What the statement's ``number``-th query gave that is asked beforehand: a value, or ``listed`` ones."""

    number: int
    negative: bool = False
    listed: bool = False


Reference = Slot | Parameter | Told


class Unplannable(Exception):
    """A construct that is not understood well enough. ``node`` is where it stands in the parser's tree."""

    def __init__(self, construct: str, node: object = None) -> None:
        super().__init__(construct)
        self.construct = construct
        self.node = node


class Unplaced(Exception):
    """What stands there is no plain value: nothing is known of its place."""


class Values(Protocol):
    """The values of one execution."""

    def value(self, reference: Reference) -> Value:
        """What stands there. Raises Unplaced."""


@dataclass(frozen=True, slots=True)
class WithGiven:
    """The values of an execution, and what the queries inside it gave: None for what has no plain value."""

    values: Values
    given: tuple[tuple[Value, ...] | None, ...]

    def value(self, reference: Reference) -> Value:
        """What stands there. Raises Unplaced."""
        if not isinstance(reference, Told):
            return self.values.value(reference)
        found = self.given[reference.number]
        if found is None or len(found) != 1:
            raise Unplaced
        if not reference.negative:
            return found[0]
        if isinstance(found[0], int | Decimal):
            return -found[0]
        raise Unplaced

    def listed(self, reference: Told) -> tuple[Value, ...]:
        """All values, but for NULL, which nothing is equal to. Raises Unplaced."""
        found = self.given[reference.number]
        if found is None:
            raise Unplaced
        return tuple(each for each in found if each is not None)


@dataclass(frozen=True, slots=True)
class OneOf:
    """The key is equal to one of these; each is a value for every column of the key."""

    keys: tuple[tuple[Reference, ...], ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The key, of one column, lies between these, both included; None is an open end."""

    low: Reference | None
    high: Reference | None


@dataclass(frozen=True, slots=True)
class Both:
    """All of these hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of these holds."""

    parts: tuple[Condition, ...]


Condition = OneOf | Between | Both | Either

# More keys than this are not looked at one by one.
MAX_KEYS = 4096


@dataclass(frozen=True, slots=True)
class Route:
    """The shards of a table on which rows with a certain ``condition`` can be; without one, all of them."""

    table: ShardedTable
    condition: Condition | None = None

    def shards(self, values: Values) -> frozenset[int]:
        """Numbers of shards in the schema's order. Empty: there can be no such row."""
        table = self.table
        picked = _picked(self.condition, table, values) if self.condition is not None else None
        if picked is None:
            return frozenset(table.shards)
        return frozenset(table.shards[number] for number in picked)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an INSERT: the values of each one's key, in the order of the table's key columns.

    ``made`` is the place in the key of a column for which the router generates ids, in some rows or all (None: those).
    """

    table: ShardedTable
    keys: tuple[tuple[Reference | None, ...], ...]
    made: int | None = None

    def shards(self, values: Values, ids: Mapping[int, int] | None = None) -> list[int]:
        """The shard of each row, in the schema's order; ``ids`` are those made, by row. Raises Misplaced."""
        table = self.table
        types = table.key_types
        found: list[int] = []
        lacking: list[NeedsKeys] = []
        for number, row in enumerate(self.keys):
            key: list[Value] = []
            try:
                key = [_worth(part, values) for part in row] if not ids else self._with_id(number, row, values, ids)
                _check_ends(table, key)
                place = _canonical(tuple(key), types)
                if not all(storable(part, of) for part, of in zip(place, types, strict=True)):
                    raise Unplaced
                found.append(table.shards[_index(table, place)])
            except Unplaced:
                raise Misplaced(
                    table, key, "its place is not certain, as the column may store it differently"
                ) from None
            except NeedsKeys as needed:
                lacking.append(needed)
            except NoShard:
                raise Misplaced(table, key, _why_none(table)) from None
        _look_up(lacking)
        return found

    def _with_id(
        self, number: int, row: tuple[Reference | None, ...], values: Values, ids: Mapping[int, int]
    ) -> list[Value]:
        made = self.made if number in ids else None
        return [ids[number] if place == made else _worth(part, values) for place, part in enumerate(row)]


def _check_ends(table: ShardedTable, key: Sequence[Value]) -> None:
    """What ends in spaces may have an entry of its own among keys that are looked up. Raises Unplaced."""
    if isinstance(table.function, Lookup) and any(
        isinstance(value, str | bytes) and value[-1:] in (" ", b" ", "\0", b"\0") for value in key
    ):
        raise Unplaced


def _why_none(table: ShardedTable) -> str:
    if isinstance(table.function, Lookup):
        there = table.function.table
        return f"table '{there.name}' has no '{there.key}' for it; insert one there first, and commit it"
    return "no shard is meant for it, and the table has no default"


def _look_up(lacking: list[NeedsKeys]) -> None:
    """All keys of a statement are asked for at once."""
    if lacking:
        raise NeedsKeys(lacking[0].function, (key for each in lacking for key in each.keys))


def _worth(part: Reference | None, values: Values) -> Value:
    if part is None:
        raise Unplaced
    return values.value(part)


class Misplaced(Exception):
    """A row that cannot be written: ``reason`` says why."""

    def __init__(self, table: ShardedTable, key: list[Value], reason: str) -> None:
        super().__init__(reason)
        self.table = table
        self.key = key
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a statement may run: on the one shard that all ``routes`` mean, or that all ``rows`` belong to.

    Without either, any shard will do: all it touches are broadcast tables.
    """

    routes: tuple[Route, ...] = ()
    rows: Rows | None = None
    straight: Straight | None = None


@dataclass(frozen=True, slots=True)
class Straight:
    """The shortest way for what nearly all statements say: the key, of one column, is one value."""

    table: ShardedTable
    reference: Reference
    type: KeyType
    function: ShardingFunction
    head: int | None = None

    def shard_of(self, sql: bytes) -> int | None:
        """As ``shard``, of a statement's text, when the key is its first literal, ``head`` bytes behind its begin."""
        if self.head is None or (found := _DIGITS.match(sql, self.head)) is None:
            return None
        try:
            return self.table.shards[self.function.shard_of_integer(int(found[0]))]
        except NoShard:
            return None

    def shard(self, values: Values) -> int | None:
        """The number of the only shard, as ``Route.shards`` would have it; None: ask that."""
        try:
            value = values.value(self.reference)
            if type(value) is int and self.type.kind is KeyKind.INTEGER:
                return self.table.shards[self.function.shard_of_integer(value)]
            key = canonical(value, self.type)
            return None if key is None else self.table.shards[self.function.shard((key,))]
        except (Unplaced, NoShard):
            return None


# A literal that is an integer, and nothing more.
_DIGITS = re.compile(rb"[0-9]{1,19}(?![\w$.\x80-\xff])")


def straight(routes: tuple[Route, ...], first: int | None = None) -> Straight | None:
    """The shortest way, if the routes are as simple as that; ``first``: where the first literal stands."""
    if len(routes) != 1 or not isinstance(routes[0].condition, OneOf) or routes[0].table.function is None:
        return None
    if isinstance(routes[0].table.function, Lookup):
        return None
    table, keys = routes[0].table, routes[0].condition.keys
    if len(keys) != 1 or len(keys[0]) != 1:
        return None
    reference, of = keys[0][0], table.key_types[0]
    head = first if reference == Slot(0) and of.kind is KeyKind.INTEGER else None
    return Straight(table, reference, of, routes[0].table.function, head)


def _index(table: ShardedTable, key: Key) -> int:
    assert table.function is not None
    return table.function.shard(key)


def _canonical(key: tuple[Value, ...], types: tuple[KeyType, ...]) -> Key:
    parts: list[Canonical] = []
    for value, of in zip(key, types, strict=True):
        part = canonical(value, of)
        if part is None:
            raise Unplaced
        parts.append(part)
    return tuple(parts)


def _picked(condition: Condition, table: ShardedTable, values: Values) -> frozenset[int] | None:
    """Indices into the table's shards; None means all."""
    match condition:
        case OneOf(keys):
            return _one_of(keys, table, values)
        case Between(low, high):
            return _between(low, high, table, values)
        case Both(parts):
            found = [picked for part in parts if (picked := _picked(part, table, values)) is not None]
            return frozenset.intersection(*found) if found else None
        case Either(parts):
            several = [_picked(part, table, values) for part in parts]
            return None if None in several else frozenset(index for picked in several for index in picked or ())


def _one_of(keys: tuple[tuple[Reference, ...], ...], table: ShardedTable, values: Values) -> frozenset[int] | None:
    types = table.key_types
    found: set[int] = set()
    lacking: list[NeedsKeys] = []
    for choices in keys:
        try:
            every = _choices(choices, values)
        except Unplaced:
            return None
        for key in every:
            try:
                _check_ends(table, key)
                found.add(_index(table, _canonical(key, types)))
            except Unplaced:
                return None
            except NeedsKeys as needed:
                lacking.append(needed)
            except NoShard:
                continue  # nor can there be a row
    _look_up(lacking)
    return frozenset(found)


def _choices(key: tuple[Reference, ...], values: Values) -> Iterable[tuple[Value, ...]]:
    """The keys that a key of references means: several, if there are lists in it. Raises Unplaced."""
    if not any(isinstance(part, Told) and part.listed for part in key):
        return (tuple(values.value(part) for part in key),)
    if not isinstance(values, WithGiven):
        raise Unplaced
    parts = [values.listed(part) if isinstance(part, Told) and part.listed else (values.value(part),) for part in key]
    return product(*parts)


def _between(
    low: Reference | None, high: Reference | None, table: ShardedTable, values: Values
) -> frozenset[int] | None:
    assert table.function is not None
    (of,) = table.key_types
    if of.collation and not of.ordered:
        return None
    try:
        bounds = [None if end is None else _canonical((values.value(end),), (of,))[0] for end in (low, high)]
    except Unplaced:
        return None
    return table.function.between(*bounds)


def combine(conditions: list[list[Condition]]) -> Condition | None:
    """The condition of a key from the conditions of its columns (each a list of which all hold); None if too little."""
    if len(conditions) == 1:
        (own,) = conditions
        return None if not own else own[0] if len(own) == 1 else Both(tuple(own))
    choices: list[list[Reference]] = []
    for column in conditions:
        lists = [[key[0] for key in each.keys] for each in column if isinstance(each, OneOf)]
        if not lists:
            return None
        choices.append(min(lists, key=len))
    size = 1
    for choice in choices:
        size *= len(choice)
    return OneOf(tuple(product(*choices))) if size <= MAX_KEYS else None


def references(condition: Condition) -> Iterator[Reference]:
    """Every place that a condition looks at."""
    match condition:
        case OneOf(keys):
            for key in keys:
                yield from key
        case Between(low, high):
            yield from (end for end in (low, high) if end is not None)
        case Both(parts) | Either(parts):
            for part in parts:
                yield from references(part)
