"""Reads the definitions of sharded tables from the shards, compares them, and keeps them up to date."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from router.backend.connector import BackendUser
from router.cluster.topology import Topology
from router.config.models import RouterConfig
from router.config.sharding import Lookup, Schema
from router.errors import BackendError
from router.planner.catalog import Definitions
from router.planner.created import Created
from router.planner.keys import KeyKind, KeyType
from router.planner.tables import Column, Definition
from router.tasks import spawn

log = structlog.get_logger(__name__)

# Seconds between two looks: DDL that others run is noticed after this time at the latest.
INTERVAL = 10.0

_INTEGERS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_WIDTH = re.compile(r"int\(\d+\)")
_TEXTS = frozenset({"char", "varchar"})
_PRINTABLE = range(0x20, 0x7F)

_COLUMNS = (
    "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLLATION_NAME, "
    "CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, EXTRA, "
    "COALESCE(COLUMN_DEFAULT <> 'NULL', 0), COLUMN_DEFAULT FROM information_schema.COLUMNS "
    "WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME IN ({tables}) ORDER BY TABLE_NAME, ORDINAL_POSITION"
)
_KEYS = (
    "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS "
    "WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME IN ({tables}) AND NON_UNIQUE = 0 "
    "ORDER BY TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX"
)


@dataclass(frozen=True, slots=True)
class Found:
    """What one shard says of its tables: rows of the two questions, by table name in lower case."""

    columns: Mapping[str, tuple[tuple[Any, ...], ...]]
    keys: Mapping[str, tuple[tuple[Any, ...], ...]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The tables of a schema: ``definitions`` by name in lower case, and what is wrong with one, shard by shard, by its
    name in the configuration."""

    definitions: dict[str, Definition]
    problems: dict[str, tuple[str, ...]]


class SchemaWatcher:
    """Calls ``changed`` with all definitions whenever they differ from those before."""

    def __init__(
        self,
        config: RouterConfig,
        topology: Topology,
        accounts: Mapping[str, BackendUser],
        changed: Callable[[Definitions], None],
    ) -> None:
        """``accounts``: schema → account that may use its tables, and so sees them in information_schema."""
        self._schemas = {name: schema for name, schema in config.schemas.items() if schema.shards}
        self._topology = topology
        self._accounts = accounts
        self._changed = changed
        self._definitions: dict[str, Mapping[str, Definition]] = {}
        self._folds: dict[str, Mapping[int, int] | None] = {}
        self._task: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._problems: dict[tuple[str, str], str] = {}
        # (schema, table) → how many shards do not have it as the first of its shards does; tables that were looked at.
        self.differences: dict[tuple[str, str], int] = {}

    async def start(self) -> None:
        """Look once, then go on in the background."""
        if self._schemas:
            await self.refresh()
            self._task = spawn(self._watch(), "watch table definitions")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            await self.refresh()

    async def refresh(self) -> None:
        """Look at all shards now; what cannot be reached leaves the definitions as they are."""
        async with self._looking:
            await self._refresh()

    async def _refresh(self) -> None:
        found = dict(self._definitions)
        for name, schema in self._schemas.items():
            try:
                loaded = await self.load(name)
            except BackendError as error:
                log.warning("cannot read table definitions", schema=name, reason=str(error))
                continue
            found[name] = loaded.definitions
            for table in schema.tables:
                problems = loaded.problems.get(table, ())
                self.differences[name, table] = len(problems)
                self._tell(name, table, problems[0] if problems else None)
        if found != self._definitions:
            self._definitions = found
            self._changed(found)

    async def load(self, name: str) -> Loaded:
        """What the shards of a schema say of its tables now. Raises BackendError."""
        schema = self._schemas[name]
        account = self._accounts.get(name)
        if account is None:
            raise BackendError("no user of the configuration may use it")
        answers = await asyncio.gather(
            *(
                self._ask(account, shard.group, shard.database or name, schema.tables)
                for shard in schema.shards.values()
            )
        )
        names = list(schema.shards)
        loaded = Loaded({}, {})
        for table, config in schema.tables.items():
            key = table.lower()
            used = [number for number, each in enumerate(names) if config.shards is None or each in config.shards]
            first = answers[used[0]]
            if key not in first.columns:
                lacking = [names[number] for number in used if key not in answers[number].columns]
                loaded.problems[table] = tuple(f"there is none on shard {shard}" for shard in lacking)
                continue
            compared = (_difference(first, answers[each], key, names[used[0]], names[each]) for each in used[1:])
            problems = tuple(problem for problem in compared if problem is not None)
            if problems:
                loaded.problems[table] = problems
            difference = problems[0] if problems else None
            loaded.definitions[key] = await self._define(account, schema, first, key, difference)
        if schema.group is not None and (lookups := {each.table for each in _lookups(schema)}):
            own = await self._ask(account, schema.group, name, sorted(lookups))
            for key in own.columns:
                loaded.definitions[key] = await self._define(account, schema, own, key, None)
        return loaded

    def _tell(self, schema: str, table: str, problem: str | None) -> None:
        """Say what is wrong with a table, once; and when it is right again."""
        before = self._problems.get((schema, table))
        if problem == before:
            return
        if problem is None:
            del self._problems[schema, table]
            log.info("table can be used", schema=schema, table=table)
        else:
            self._problems[schema, table] = problem
            log.warning("table cannot be used", schema=schema, table=table, problem=problem)

    async def _ask(self, account: BackendUser, group: str, database: str, tables: Iterable[str]) -> Found:
        texts = {"schema": _text(database), "tables": ", ".join(_text(table) for table in tables) or "''"}
        columns, keys = await self._query(account, group, _COLUMNS.format(**texts), _KEYS.format(**texts))
        return Found(_by_table(columns), _by_table(keys))

    async def _query(self, account: BackendUser, group: str, *queries: str) -> list[list[tuple[Any, ...]]]:
        # Its definitions are read also while nothing new may begin: DDL under way ends with that.
        primary = self._topology.groups[group].elected
        if primary is None:
            raise BackendError(f"group {group} has no primary")
        return await primary.connector.ask(account, *queries)

    async def _define(
        self, account: BackendUser, schema: Schema, found: Found, table: str, difference: str | None
    ) -> Definition:
        """The definition of a table as the first of its shards has it."""
        columns = {}
        group = next(iter(schema.shards.values())).group
        for row in found.columns[table]:
            collation = row[4]
            if collation is not None and collation not in self._folds:
                self._folds[collation] = await self._fold(account, group, collation)
            columns[str(row[0]).lower()] = column_of(row, self._folds)
        unique: dict[str, list[str]] = {}
        for index, column in found.keys.get(table, ()):
            unique.setdefault(index, []).append(column.lower())
        certain = [frozenset(each) for each in unique.values() if not any(columns[name].nullable for name in each)]
        return Definition(columns, tuple(certain), difference, len(unique) > 1)

    async def _fold(self, account: BackendUser, group: str, collation: str) -> Mapping[int, int] | None:
        """Each printable ASCII character → the first that the collation calls equal; None where it ignores some."""
        charset = collation.split("_", 1)[0]
        items = ", ".join(
            f"HEX(WEIGHT_STRING(CONVERT(CHAR({code}) USING {charset}) COLLATE {collation}))" for code in _PRINTABLE
        )
        ((weights,),) = await self._query(account, group, f"SELECT {items}")
        if not all(weights):
            return None
        first: dict[str, int] = {}
        return {code: first.setdefault(weight, code) for code, weight in zip(_PRINTABLE, weights, strict=True)}


def defined(created: Iterable[Created]) -> dict[str, Definition]:
    """Definitions of tables by name in lower case, as CREATE TABLE says: no server has told how its collations compare
    ASCII; those for any case are taken to fold letters and nothing else."""
    letters = {code: ord(chr(code).upper()) for code in _PRINTABLE}
    found = {}
    for table in created:
        folds = {row[4]: letters if row[4].endswith("_ci") else {} for row in table.columns if row[4] is not None}
        columns = {str(row[0]).lower(): column_of(row, folds) for row in table.columns}
        keys = [key for key in table.unique if all(name in columns for name in key)]
        certain = [frozenset(key) for key in keys if not any(columns[name].nullable for name in key)]
        found[table.name.lower()] = Definition(columns, tuple(certain), None, len(keys) > 1)
    return found


def column_of(row: tuple[Any, ...], folds: Mapping[str, Mapping[int, int] | None]) -> Column:
    """A column from its row: name, type, full type, nullable, collation, length, precision, scale, datetime precision,
    extra, has a default, the default."""
    name, kind, full, nullable, collation, length, *_, extra, has_default, default = row
    unsigned = "unsigned" in full
    generated = "GENERATED" in extra.upper() and "DEFAULT_GENERATED" not in extra.upper()
    increments = "auto_increment" in extra.lower()
    return Column(
        name=name,
        type=kind.lower(),
        key=None if "on update" in extra.lower() else _key_type(row, folds),
        unsigned=unsigned,
        nullable=nullable == "YES",
        collation=collation,
        length=length or 0,
        pads=collation is None or not ("_nopad_" in collation or "_0900_" in collation),
        auto_increment=increments,
        generated=generated,
        optional=bool(has_default) or nullable == "YES" or increments,
        unsteady=_is_unsteady(default, extra),
        invisible="INVISIBLE" in extra.upper(),
    )


# What tells the time of the statement, in the words of either server.
_TIMES = re.compile(r"(current_timestamp|now|localtime|localtimestamp|curdate|current_date)(\(\d*\))?", re.IGNORECASE)
_CALL = re.compile(r"[A-Za-z_`]\s*\(|\bnext value\b|\bcurrent_(user|role)\b", re.IGNORECASE)


def _is_unsteady(default: str | None, extra: str) -> bool:
    """Whether a default may be another value on each server. MySQL marks expressions; MariaDB quotes what is text."""
    if default is None or _TIMES.fullmatch(default.strip("()")) or _TIMES.fullmatch(default):
        return False
    if "DEFAULT_GENERATED" in extra.upper():
        return True
    return not default.startswith("'") and _CALL.search(default) is not None


def _key_type(row: tuple[Any, ...], folds: Mapping[str, Mapping[int, int] | None]) -> KeyType | None:
    _, kind, full, _, collation, length, precision, scale, fraction, extra, *_ = row
    kind = kind.lower()
    if kind in _INTEGERS:
        bits = _INTEGERS[kind]
        low, high = (0, 2**bits - 1) if "unsigned" in full else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return KeyType(KeyKind.INTEGER, low, high, generates="auto_increment" in extra.lower())
    if kind == "decimal":
        return KeyType(KeyKind.DECIMAL, high=10 ** ((precision or 10) - (scale or 0)) - 1, scale=scale or 0)
    if kind in _TEXTS and collation is not None:
        # Other character sets cannot hold all that a client may write; what they cannot is stored as something else.
        whole = collation.startswith("utf8mb4_") and collation.endswith("_bin")
        fold = {} if collation.endswith("_bin") else folds.get(collation)
        if whole:
            return KeyType(KeyKind.TEXT, high=length or 0, ordered=True, collation=collation)
        return None if fold is None else KeyType(KeyKind.TEXT, high=length or 0, fold=fold, collation=collation)
    if kind in ("binary", "varbinary"):
        return KeyType(KeyKind.BINARY, high=length or 0)
    if kind == "date":
        return KeyType(KeyKind.DATE)
    if kind == "datetime":
        return KeyType(KeyKind.DATETIME, scale=fraction or 0)
    return None


def _difference(one: Found, other: Found, table: str, first: str, second: str) -> str | None:
    """In what a table differs between two shards, for people; None when it does not."""
    if table not in other.columns:
        return f"there is none on shard {second}"
    mine = {row[0]: row for row in one.columns[table]}
    theirs = {row[0]: row for row in other.columns[table]}
    for name in [*mine, *theirs]:
        if name not in mine or name not in theirs:
            return f"column '{name}' is on shard {first if name in mine else second} only"
        if _spelled(mine[name][-1]) != _spelled(theirs[name][-1]):
            return f"column '{name}' has another default on shard {second} than on {first}"
        if _plain(mine[name]) != _plain(theirs[name]):
            return f"column '{name}' is {mine[name][2]} on shard {first} and {theirs[name][2]} on shard {second}"
    if list(mine) != list(theirs):
        return f"columns stand in another order on shard {second} than on {first}"
    if one.keys.get(table) != other.keys.get(table):
        return f"unique keys on shard {second} are not those on {first}"
    return None


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A column's row without the default, and what not all servers tell alike."""
    extra = row[-3].upper().replace("DEFAULT_GENERATED", "").strip()
    return (*row[:2], _WIDTH.sub("int", row[2]), *row[3:-3], extra.replace("()", ""), row[-2])


def _spelled(default: str | None) -> str | None:
    """A default in one spelling: MariaDB says NULL for none, quotes text and writes functions in lower case."""
    if default is None or default == "NULL":
        return None
    if _TIMES.fullmatch(default):
        return default.lower().removesuffix("()")
    return default[1:-1].replace("''", "'") if default.startswith("'") else default


def _lookups(schema: Schema) -> list[Lookup]:
    return [table.lookup for table in schema.tables.values() if table.lookup is not None]


def _by_table(rows: Iterable[tuple[Any, ...]]) -> dict[str, tuple[tuple[Any, ...], ...]]:
    tables: dict[str, list[tuple[Any, ...]]] = {}
    for name, *rest in rows:
        tables.setdefault(str(name).lower(), []).append(tuple(rest))
    return {name: tuple(each) for name, each in tables.items()}


def _text(value: str) -> str:
    """A text literal that needs no quoting."""
    return f"CONVERT(0x{value.encode().hex()} USING utf8mb4)"
