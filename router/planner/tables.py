"""Sharded schemas as the planner sees them: where tables live, by which columns, and what their columns are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router.planner.keys import KeyType
from router.planner.sharding import ShardingFunction


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, as ``information_schema.COLUMNS`` tells.

    ``type`` is DATA_TYPE (``int``, ``varchar`` …), ``key`` what it is as a sharding key (None: it cannot be one),
    ``collation`` and ``length`` (characters) of text, ``pads`` whether that ignores spaces at the end. ``optional``: an
    INSERT may leave it out; ``unsteady``: its default is an expression whose value may differ from server to server;
    ``invisible``: neither ``*`` nor an INSERT without a list of columns means it.
    """

    name: str
    type: str
    key: KeyType | None = None
    unsigned: bool = False
    nullable: bool = True
    collation: str | None = None
    length: int = 0
    pads: bool = True
    auto_increment: bool = False
    generated: bool = False
    optional: bool = True
    unsteady: bool = False
    invisible: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """Columns by their name in lower case, in the table's order; ``unique`` holds the columns of every unique key that
    cannot be NULL, the primary key first; ``ambiguous``: there are several, counting those that can be NULL, so that a
    row can be a duplicate of two others. ``difference`` says in what the shards do not agree."""

    columns: Mapping[str, Column]
    unique: tuple[frozenset[str], ...] = ()
    difference: str | None = None
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Generator:
    """The router makes ids for ``column`` (in lower case), of up to ``bits`` bits (0: as many as needed)."""

    column: str
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a schema: the database ``database`` on the servers of ``group``."""

    name: str
    group: str
    database: str


@dataclass(frozen=True, slots=True)
class ShardedTable:
    """A table whose rows are spread over shards, or that has a copy on each (``broadcast``).

    ``columns`` are the key's, in lower case; ``shards`` the numbers of its shards in the schema's order, which the
    ``function`` picks from. Tables of one ``family`` keep rows of equal keys on the same shard. ``definition`` is None
    until the servers have told; a key that cannot be one is a ``problem``. ``generator``: of ids for new rows.
    """

    name: str
    shards: tuple[int, ...]
    broadcast: bool = False
    columns: tuple[str, ...] = ()
    function: ShardingFunction | None = None
    family: str = ""
    definition: Definition | None = None
    problem: str | None = None
    generator: Generator | None = None

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        """The types of the key's columns. Only for tables without a ``problem`` whose definition is known."""
        assert self.definition is not None
        types = (self.definition.columns[name].key for name in self.columns)
        return tuple(each for each in types if each is not None)


@dataclass(frozen=True, slots=True)
class ShardedSchema:
    """A database that clients see as one. ``group`` is where tables without a place of their own live, if they may.

    ``tables`` by name in lower case. ``transactions``: xa, best_effort or single.
    """

    name: str
    group: str | None
    shards: tuple[Shard, ...]
    tables: Mapping[str, ShardedTable]
    transactions: str = "single"

    @property
    def spans(self) -> bool:
        """Whether transactions may be on several shards."""
        return self.transactions == "best_effort"

    def find(self, table: str) -> ShardedTable | None:
        """The table of this name, if it is sharded or broadcast."""
        return self.tables.get(table.lower())
