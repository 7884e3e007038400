"""Checks of a sharded schema: which fields go with which sharding function, and that every name exists."""

from __future__ import annotations

from collections.abc import Iterator

from router.config.findings import Finding, Loc, did_you_mean
from router.config.sharding import Function, Schema, Table

# The field each function cannot do without, and the fields that belong to one function (or a few) only.
_NEEDS: dict[Function, str] = {
    "range": "ranges",
    "list": "values",
    "prefix": "length",
    "lookup": "lookup",
    "python": "python",
}
_BELONGS: dict[str, tuple[Function, ...]] = {
    "ranges": ("range",),
    "values": ("list",),
    "length": ("prefix",),
    "start": ("day", "week", "month", "year"),
    "lookup": ("lookup",),
    "python": ("python",),
}


def function_of(table: Table) -> Function | None:
    """The function of a table; ``lookup: {…}`` and ``python: …`` name it by themselves."""
    if table.function is None and table.lookup is not None:
        return "lookup"
    if table.function is None and table.python is not None:
        return "python"
    return table.function


def check_schema_shards(loc: Loc, schema: Schema) -> Iterator[Finding]:
    """Everything that is wrong with the shards, tables and generated keys of the schema at ``loc``."""
    if schema.tables and not schema.shards:
        message = "tables are spread over shards, but the schema has none"
        yield Finding((*loc, "tables"), message, at_key=True, depends=((*loc, "shards"),))
    for name, table in schema.tables.items():
        here: Loc = (*loc, "tables", name)
        yield from _kind(here, table)
        yield from _fields(here, table)
        yield from _names(here, table, schema)
        yield from _co_location(here, name, table, schema)
        yield from _ranges(here, table)
        yield from _values(here, table)
        yield from _lookup(here, table, schema)
    yield from _ids(loc, schema)


def _kind(loc: Loc, table: Table) -> Iterator[Finding]:
    if table.broadcast == (table.shard_by is not None):
        yield Finding(loc, "needs either shard_by or broadcast: true")
    if table.shard_by is not None and not table.shard_by:
        yield Finding((*loc, "shard_by"), "needs at least one column")
    if table.shard_by is not None and function_of(table) is None and table.with_ is None:
        yield Finding(loc, "needs a function, or `with` and the table it follows")
    if table.with_ is not None and function_of(table) is not None:
        yield Finding((*loc, "with"), "takes the function of that table; remove its own", at_key=True)


def _fields(loc: Loc, table: Table) -> Iterator[Finding]:
    function = function_of(table)
    needed = _NEEDS.get(function) if function is not None else None
    if needed is not None and getattr(table, needed) is None:
        yield Finding(loc, f"function {function} needs {needed}")
    for field, functions in _BELONGS.items():
        if getattr(table, field) is not None and function not in functions:
            yield Finding((*loc, field), f"belongs to function {' or '.join(functions)} only", at_key=True)
    if table.python is not None and not _is_python_name(table.python):
        yield Finding((*loc, "python"), "must be package.module:function")


def _is_python_name(text: str) -> bool:
    module, colon, function = text.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _names(loc: Loc, table: Table, schema: Schema) -> Iterator[Finding]:
    used: list[tuple[Loc, str]] = [((*loc, "shards", index), name) for index, name in enumerate(table.shards or [])]
    used += [((*loc, "ranges", name), name) for name in table.ranges or {}]
    used += [((*loc, "values", name), name) for name in table.values or {}]
    if table.default is not None:
        used.append(((*loc, "default"), table.default))
    if not schema.shards:
        return
    for place, name in used:
        if name not in schema.shards:
            message = f"there is no shard '{name}'{did_you_mean(name, schema.shards)}"
            yield Finding(place, message, at_key=True, depends=((*loc[:2], "shards"),))


def _co_location(loc: Loc, name: str, table: Table, schema: Schema) -> Iterator[Finding]:
    if table.with_ is None:
        return
    other = schema.tables.get(table.with_)
    if other is None or table.with_ == name:
        message = f"there is no other table '{table.with_}'{did_you_mean(table.with_, schema.tables.keys() - {name})}"
        yield Finding((*loc, "with"), message, depends=(loc[:3],))
    elif other.with_ is not None:
        yield Finding((*loc, "with"), f"'{table.with_}' follows '{other.with_}' itself; name that one")
    elif other.shard_by is not None and table.shard_by is not None and len(other.shard_by) != len(table.shard_by):
        yield Finding((*loc, "shard_by"), f"needs as many columns as '{table.with_}' has")


def _ranges(loc: Loc, table: Table) -> Iterator[Finding]:
    limits = [limit for bounds in (table.ranges or {}).values() for limit in bounds if limit is not None]
    kinds = {float if isinstance(limit, int | float) else type(limit) for limit in limits}
    if len(kinds) > 1:
        yield Finding((*loc, "ranges"), "mixes numbers, dates and text", at_key=True)
        return
    spans: list[tuple[str, object, object]] = []
    for shard, (low, high) in (table.ranges or {}).items():
        if low is not None and high is not None and not low < high:  # type: ignore[operator]  # one kind, see above
            yield Finding((*loc, "ranges", shard), "must run from a smaller to a larger value", at_key=True)
            continue
        for other, other_low, other_high in spans:
            before = high is not None and other_low is not None and high <= other_low  # type: ignore[operator]
            after = low is not None and other_high is not None and low >= other_high  # type: ignore[operator]
            if not before and not after:
                yield Finding((*loc, "ranges", shard), f"overlaps the range of '{other}'", at_key=True)
        spans.append((shard, low, high))


def _values(loc: Loc, table: Table) -> Iterator[Finding]:
    owner: dict[object, str] = {}
    for shard, values in (table.values or {}).items():
        for index, value in enumerate(values):
            first = owner.setdefault(value, shard)
            if first != shard:
                yield Finding((*loc, "values", shard, index), f"is already given to '{first}'")


def _lookup(loc: Loc, table: Table, schema: Schema) -> Iterator[Finding]:
    if table.lookup is None:
        return
    if schema.group is None:
        yield Finding((*loc, "lookup"), "needs the schema's group, which holds the table", at_key=True)
    if table.lookup.table.lower() in {name.lower() for name in schema.tables}:
        yield Finding((*loc, "lookup", "table"), f"'{table.lookup.table}' is spread over the shards itself")


def _ids(loc: Loc, schema: Schema) -> Iterator[Finding]:
    seen: set[str] = set()
    for place, config in schema.ids.items():
        here: Loc = (*loc, "ids", place)
        table, _, column = place.partition(".")
        if place.count(".") != 1 or not table or not column:
            yield Finding(here, "must be table.column", at_key=True)
            continue
        if table not in schema.tables:
            message = f"there is no table '{table}' in `tables`{did_you_mean(table, schema.tables)}"
            yield Finding(here, message, at_key=True, depends=((*loc, "tables"),))
        elif table.lower() in seen:
            yield Finding(here, f"'{table}' has another generated key already", at_key=True)
        seen.add(table.lower())
        if config.step is not None and config.generator != "segment":
            yield Finding((*here, "step"), "belongs to generator segment only", at_key=True)
