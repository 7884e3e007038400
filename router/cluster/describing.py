"""What the shards' tables add to views of information_schema: asked when a statement wants to know, under its account.

Definitions are told by a table's first shard, sizes and numbers of rows by all of them. What was told is kept for a
moment, since clients ask several such questions one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.backend.connector import BackendUser
from router.cluster.topology import Server, Topology
from router.errors import BackendError
from router.planner.description import Listing, literal
from router.planner.tables import ShardedSchema

# Seconds for which answers are kept.
KEPT = 0.5
_VIEW_COLUMNS = (
    "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS "
    "WHERE TABLE_SCHEMA = 'information_schema' ORDER BY TABLE_NAME, ORDINAL_POSITION"
)
_IN_SCHEMA = {"REFERENTIAL_CONSTRAINTS": "CONSTRAINT_SCHEMA", "CHECK_CONSTRAINTS": "CONSTRAINT_SCHEMA"}
# Of TABLES: what all shards have together, and what counts for the one that has most, or the latest.
_SUMS = ("TABLE_ROWS", "DATA_LENGTH", "INDEX_LENGTH", "DATA_FREE")
_LATEST = ("AUTO_INCREMENT", "UPDATE_TIME", "CHECK_TIME")

Row = dict[str, Any]
Columns = Mapping[str, Mapping[str, bool]]
"""View → column → whether it is unsigned; all in upper case, in the server's order."""


@dataclass(frozen=True, slots=True)
class Described:
    """Listings by view for a server of this ``flavor``."""

    flavor: str
    listings: Mapping[str, Listing]


class Descriptions:
    """What tables there are on shards."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._columns: dict[tuple[str, str], Columns] = {}
        self._kept: dict[tuple[BackendUser, str, tuple[str, ...], tuple[str, ...]], tuple[float, Described]] = {}

    def forget(self) -> None:
        """Tables have changed."""
        self._kept.clear()

    async def of(
        self,
        user: BackendUser,
        group: str,
        schemas: Sequence[ShardedSchema],
        views: Sequence[str],
        shown: Sequence[ShardedSchema] = (),
    ) -> Described:
        """What ``user`` may see of the sharded tables of ``schemas`` in ``views``, for a server of ``group``; SCHEMATA
        tells of those ``shown``.

        Raises BackendError.
        """
        now = asyncio.get_running_loop().time()
        key = (user, group, (*_names(schemas), "", *_names(shown)), tuple(views))
        self._kept = {each: kept for each, kept in self._kept.items() if kept[0] > now}
        if key in self._kept:
            return self._kept[key][1]
        own = await self._topology.groups[group].writer()
        columns = await self._view_columns(user, own)
        found = await asyncio.gather(
            *(
                self._databases(user, shown, group, columns.get(view, {}))
                if view == "SCHEMATA"
                else self._listing(user, schemas, view, columns.get(view, {}))
                for view in views
            )
        )
        described = Described(_flavor(own), dict(zip(views, found, strict=True)))
        self._kept[key] = (now + KEPT, described)
        return described

    async def _view_columns(self, user: BackendUser, server: Server) -> Columns:
        profile = server.profile
        key = (server.name, "" if profile is None else profile.version)
        if key not in self._columns:
            columns: dict[str, dict[str, bool]] = {}
            (rows,) = await server.connector.ask(user, _VIEW_COLUMNS)
            for view, column, kind in rows:
                columns.setdefault(view.upper(), {})[column.upper()] = "unsigned" in kind
            self._columns[key] = columns
        return self._columns[key]

    async def _listing(
        self, user: BackendUser, schemas: Sequence[ShardedSchema], view: str, columns: Mapping[str, bool]
    ) -> Listing:
        rows: list[tuple[Any, ...]] = []
        without = []
        for schema in schemas:
            found = await self._rows(user, schema, view, list(columns))
            rows += [tuple(row[name] for name in columns) for row in found]
            without.append(f"NOT ({_condition(view, columns, schema.name, list(schema.tables))})")
        unsigned = frozenset(name for name, is_unsigned in columns.items() if is_unsigned)
        return Listing(tuple(columns), unsigned, tuple(rows), " AND ".join(without))

    async def _databases(
        self, user: BackendUser, schemas: Sequence[ShardedSchema], group: str, columns: Mapping[str, bool]
    ) -> Listing:
        """Sharded databases, where they are not on the server that is asked; and not what they are called on shards."""
        names = {schema.name for schema in schemas}
        hidden = {shard.database for schema in schemas for shard in schema.shards if shard.group == group} - names
        rows: list[tuple[Any, ...]] = []
        condition = "SCHEMA_NAME = {}"
        for schema in schemas:
            own = any(shard.group == group and shard.database == schema.name for shard in schema.shards)
            if schema.group == group or own:
                continue
            shard = schema.shards[0]
            server = await self._topology.groups[shard.group].writer()
            there = (await self._view_columns(user, server)).get("SCHEMATA", {})
            items = ", ".join(f"`{name}`" if name in there else "NULL" for name in columns)
            query = f"SELECT {items} FROM information_schema.SCHEMATA WHERE "  # noqa: S608 - names of servers
            (found,) = await server.connector.ask(user, query + condition.format(literal(shard.database)))
            places = list(columns)
            rows += [
                tuple(schema.name if name == "SCHEMA_NAME" else value for name, value in zip(places, row, strict=True))
                for row in found
            ]
        listed = ", ".join(map(literal, sorted(hidden))) or "''"
        return Listing(tuple(columns), frozenset(), tuple(rows), f"SCHEMA_NAME NOT IN ({listed})")

    async def _rows(self, user: BackendUser, schema: ShardedSchema, view: str, columns: list[str]) -> list[Row]:
        """The rows of a schema's sharded tables in a view, under the schema's name."""
        places: dict[int, list[str]] = {}
        for name, table in schema.tables.items():
            for number in table.shards if view == "TABLES" and not table.broadcast else table.shards[:1]:
                places.setdefault(number, []).append(name)
        numbers = sorted(places)
        answers = await asyncio.gather(
            *(self._ask(user, schema, number, view, columns, places[number]) for number in numbers)
        )
        if view != "TABLES":
            return [row for answer in answers for row in answer]
        together: dict[str, list[Row]] = {}
        for answer in answers:
            for row in answer:
                together.setdefault(str(row["TABLE_NAME"]).lower(), []).append(row)
        return [total(rows) for rows in together.values()]

    async def _ask(
        self, user: BackendUser, schema: ShardedSchema, number: int, view: str, columns: list[str], tables: list[str]
    ) -> list[Row]:
        shard = schema.shards[number]
        server = await self._topology.groups[shard.group].writer()
        there = (await self._view_columns(user, server)).get(view, {})
        items = ", ".join(f"`{name}`" if name in there else "NULL" for name in columns)
        condition = _condition(view, there, shard.database, tables)
        query = f"SELECT {items} FROM information_schema.`{view}` WHERE {condition}"  # noqa: S608 - names of servers
        (rows,) = await server.connector.ask(user, query)
        return [
            {
                name: schema.name if name.endswith("_SCHEMA") and value == shard.database else value
                for name, value in zip(columns, row, strict=True)
            }
            for row in rows
        ]


def _names(schemas: Sequence[ShardedSchema]) -> list[str]:
    return [schema.name for schema in schemas]


def _flavor(server: Server) -> str:
    if server.profile is None:
        raise BackendError(f"nothing is known of server {server.name} yet")
    return server.profile.flavor


def _condition(view: str, columns: Mapping[str, bool], database: str, tables: Sequence[str]) -> str:
    """The rows of these tables, whose names are in lower case."""
    names = ", ".join(map(literal, tables)) or "''"
    within = f"{_IN_SCHEMA.get(view, 'TABLE_SCHEMA')} = {literal(database)}"
    if "TABLE_NAME" in columns:
        return f"{within} AND LOWER(TABLE_NAME) IN ({names})"
    of = f"SELECT CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = {literal(database)}"  # noqa: S608
    return f"{within} AND CONSTRAINT_NAME IN ({of} AND CONSTRAINT_TYPE = 'CHECK' AND LOWER(TABLE_NAME) IN ({names}))"


def total(rows: Sequence[Row]) -> Row:
    """One row of TABLES for a table of several shards: the first shard's, with sizes and numbers of all."""
    row = dict(rows[0])
    for names, together in ((_SUMS, sum), (_LATEST, max)):
        for name in names:
            values = [each[name] for each in rows if each.get(name) is not None]
            if values:
                row[name] = together(values)
    if row.get("TABLE_ROWS") and row.get("DATA_LENGTH") is not None and "AVG_ROW_LENGTH" in row:
        row["AVG_ROW_LENGTH"] = row["DATA_LENGTH"] // row["TABLE_ROWS"]
    return row
