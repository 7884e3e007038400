"""Configuration and table definitions → the sharded schemas of a catalog."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from router.config.shard_checks import function_of
from router.config.sharding import Function, Schema, Table
from router.config.sharding import Lookup as LookupConfig
from router.planner.keys import Canonical, Key, KeyKind, KeyType, Value, canonical
from router.planner.lookup import Lookup, LookupTable
from router.planner.sharding import (
    ConsistentHash,
    Custom,
    Hash,
    List,
    Mod,
    Period,
    Prefix,
    Range,
    ShardingFunction,
)
from router.planner.tables import Definition, Generator, Shard, ShardedSchema, ShardedTable

# These look at all columns of a key, the others at the first.
_WHOLE_KEY: frozenset[Function] = frozenset({"hash", "consistent_hash", "python"})
_KINDS: dict[Function, frozenset[KeyKind]] = {
    "mod": frozenset({KeyKind.INTEGER}),
    "prefix": frozenset({KeyKind.TEXT, KeyKind.BINARY}),
    **dict.fromkeys(("day", "week", "month", "year"), frozenset({KeyKind.DATE, KeyKind.DATETIME})),
}
_EPOCH = date(1970, 1, 1)
# Of an id of 41 bits of milliseconds, 10 of the worker and 12 of a sequence.
SNOWFLAKE_BITS = 63


class _Unusable(Exception):
    """Configuration and columns do not go together."""


def sharded_schema(name: str, schema: Schema, definitions: Mapping[str, Definition]) -> ShardedSchema:
    """The schema, with the ``definitions`` (by table name in lower case) that are known."""
    shards = tuple(Shard(each, shard.group, shard.database or name) for each, shard in schema.shards.items())
    numbers = {shard.name: number for number, shard in enumerate(shards)}
    generators = _generators(schema)
    tables = {
        table.lower(): replace(
            _table(table, config, schema, numbers, definitions.get(table.lower()), _Own(name, schema, definitions)),
            generator=generators.get(table.lower()),
        )
        for table, config in schema.tables.items()
    }
    return ShardedSchema(name, schema.group, shards, tables, schema.transactions)


def _generators(schema: Schema) -> dict[str, Generator]:
    """By table in lower case."""
    found = {}
    for place, config in schema.ids.items():
        table, _, column = place.lower().partition(".")
        found[table] = Generator(column, SNOWFLAKE_BITS if config.generator == "snowflake" else 0)
    return found


@dataclass(frozen=True, slots=True)
class _Own:
    """What else a schema has: tables of its own group."""

    name: str
    schema: Schema
    definitions: Mapping[str, Definition]

    def lookup(self, config: LookupConfig, names: list[str], of: KeyType, default: int | None) -> Lookup:
        """The function that a table of the own group is."""
        table = self.definitions.get(config.table.lower())
        if table is None or self.schema.group is None:
            raise _Unusable(f"there is no table '{config.table}' in database '{self.name}' of the schema's group")
        for column in (config.from_, config.to):
            if column.lower() not in table.columns:
                raise _Unusable(f"table '{config.table}' has no column '{column}'")
        key = table.columns[config.from_.lower()].key
        if key is None or not key.meets(of):
            raise _Unusable(f"column '{config.from_}' of table '{config.table}' does not compare as the key does")
        if frozenset({config.from_.lower()}) not in table.unique:
            raise _Unusable(f"column '{config.from_}' of table '{config.table}' is no unique key, or may be NULL")
        place = LookupTable(self.schema.group, self.name, config.table, config.from_, config.to)
        return Lookup(place, names, default)


def _table(
    name: str,
    config: Table,
    schema: Schema,
    numbers: Mapping[str, int],
    definition: Definition | None,
    beside: _Own,
) -> ShardedTable:
    if config.broadcast:
        return ShardedTable(name, tuple(numbers.values()), broadcast=True, definition=definition)
    root_name = config.with_ or name
    root = schema.tables[root_name]
    shards = tuple(numbers[each] for each in root.shards or numbers)
    kind = function_of(root)
    assert kind is not None
    own = config.shard_by or []
    columns = tuple(column.lower() for column in (own if kind in _WHOLE_KEY else own[:1]))
    if definition is None:
        return ShardedTable(name, shards, columns=columns, family=root_name)
    names = list(root.shards or numbers)
    try:
        if definition.difference is not None:
            raise _Unusable(definition.difference)
        function = _function(kind, root, names, _key_types(columns, definition), beside)
    except _Unusable as error:
        return ShardedTable(name, shards, columns=columns, family=root_name, definition=definition, problem=str(error))
    return ShardedTable(name, shards, False, columns, function, root_name, definition)


def _key_types(columns: tuple[str, ...], definition: Definition) -> tuple[KeyType, ...]:
    types = []
    for name in columns:
        column = definition.columns.get(name)
        if column is None:
            raise _Unusable(f"it has no column '{name}', which is to decide the shard")
        if column.key is None:
            raise _Unusable(f"column '{name}' of type {column.type} cannot decide the shard")
        types.append(column.key)
    return tuple(types)


def _function(
    kind: Function, table: Table, names: list[str], types: tuple[KeyType, ...], beside: _Own
) -> ShardingFunction:
    count = len(names)
    default = None if table.default is None else names.index(table.default)
    allowed = _KINDS.get(kind)
    if allowed is not None and types[0].kind not in allowed:
        raise _Unusable(f"function {kind} does not take a key of type {types[0].kind.value}")
    make: dict[Function, Callable[[], ShardingFunction]] = {
        "hash": lambda: Hash(count, default),
        "mod": lambda: Mod(count, default),
        "consistent_hash": lambda: ConsistentHash(names, default),
        "prefix": lambda: Prefix(count, table.length or 1, default),
        "list": lambda: _list(table, names, types[0], default),
        "range": lambda: _range(table, names, types[0], default),
        "python": lambda: Custom(names, _pick(table.python or ""), default),
    }
    if kind in make:
        return make[kind]()
    if kind == "lookup":
        assert table.lookup is not None
        return beside.lookup(table.lookup, names, types[0], default)
    return Period(count, kind, _start(table.start), default)


def _list(table: Table, names: list[str], of: KeyType, default: int | None) -> List:
    values: dict[Key, int] = {
        (_bound(value, of),): names.index(shard) for shard, each in (table.values or {}).items() for value in each
    }
    return List(len(names), values, default)


def _range(table: Table, names: list[str], of: KeyType, default: int | None) -> Range:
    if of.kind is KeyKind.TEXT and not of.ordered:
        raise _Unusable("ranges of text need a column with a binary collation (…_bin)")
    ranges = [
        (
            None if low is None else _bound(low, of),
            None if high is None else _bound(high, of),
            names.index(shard),
        )
        for shard, (low, high) in (table.ranges or {}).items()
    ]
    return Range(len(names), ranges, default)


def _bound(value: Any, of: KeyType) -> Canonical:
    plain: Value = str(value) if of.kind in (KeyKind.TEXT, KeyKind.BINARY) else value
    found = canonical(plain, of)
    if found is None:
        raise _Unusable(f"value {value!r} does not fit the column's type ({of.kind.value})")
    return found


def _start(value: Any) -> date:
    match value:
        case None:
            return _EPOCH
        case date():
            return value
    text = str(value)
    try:
        return date.fromisoformat(text + "-01" * (2 - text.count("-")))
    except ValueError:
        raise _Unusable(f"start {text!r} is no date (2014, 2014-05 or 2014-05-01)") from None


def _pick(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise _Unusable(f"{name} cannot be imported: {error}") from None
    if not callable(found):
        raise _Unusable(f"{name} is no function")
    picked: Callable[..., Any] = found
    return picked
