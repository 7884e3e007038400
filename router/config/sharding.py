"""Schemas of the configuration file: the group a database lives in, and how it is spread over shards.

The sharding functions and their fields are the table of ``docs/reference/configuration.md``; which fields go with which
function is checked in ``checks.py``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from router.config.base import Mapping
from router.config.values import Bound, Name, Names, Positive, Scalar

Function = Literal[
    "hash",
    "mod",
    "range",
    "list",
    "consistent_hash",
    "prefix",
    "day",
    "week",
    "month",
    "year",
    "lookup",
    "python",
]


class Shard(Mapping):
    """One part of a schema."""

    group: Name = Field(description="Name of the group that holds the shard.")
    database: Name | None = Field(default=None, description="Name of the database there; default: the schema's name.")


class Lookup(Mapping):
    """A table that maps a key to a shard."""

    table: Name = Field(description="Name of the lookup table, in the schema's group.")
    from_: Name = Field(alias="from", description="Its column with the key.")
    to: Name = Field(description="Its column with the name of the shard.")


Bounds = Annotated[list[Bound], Field(min_length=2, max_length=2)]


class Table(Mapping):
    """How the rows of one table are spread."""

    shard_by: Names | None = Field(default=None, description="The column, or list of columns, that decides the shard.")
    function: Function | None = Field(default=None, description="How the value decides the shard.")
    with_: Name | None = Field(
        default=None, alias="with", description="Co-located with this table: same function and shards."
    )
    shards: list[Name] | None = Field(
        default=None, description="Shards used, in this order; default: all of the schema."
    )
    broadcast: bool = Field(default=False, description="A full copy of the table on every shard.")
    default: Name | None = Field(
        default=None, description="Shard for values that no rule covers; without it they are errors."
    )
    ranges: dict[Name, Bounds] | None = Field(
        default=None, description="For `range`: shard → [from, to), numbers, dates or text; null for an open end."
    )
    values: dict[Name, list[Scalar]] | None = Field(default=None, description="For `list`: shard → its values.")
    length: Positive | None = Field(default=None, description="For `prefix`: how many characters count.")
    start: Scalar | None = Field(
        default=None, description="For `day`, `week`, `month`, `year`: the first period, on the first shard."
    )
    lookup: Lookup | None = Field(default=None, description="For `lookup`: the table that maps key to shard.")
    python: Name | None = Field(default=None, description="A function of your own, `package.module:function`.")


Step = Annotated[Positive, Field(ge=1000)]


class IdGenerator(Mapping):
    """How keys of a column are generated."""

    generator: Literal["snowflake", "segment"] = Field(
        description="`snowflake`: 63 bits, of the time, the router and a sequence; for BIGINT columns. `segment`: "
        "numbers from 1 on, or from behind those that are there; each router takes a range of them at a time."
    )
    step: Step | None = Field(
        default=None, description="For `segment`: how many ids a router takes at a time, at least 1000; default: 1000."
    )


class Schema(Mapping):
    """One database as clients see it."""

    group: Name | None = Field(default=None, description="Group of the tables that are not spread over shards.")
    shards: dict[Name, Shard] = Field(default={}, description="Parts of the schema by name.")
    tables: dict[Name, Table] = Field(default={}, description="Tables that are spread over the shards.")
    ids: dict[Name, IdGenerator] = Field(default={}, description="Generated keys of these tables, by `table.column`.")
    transactions: Literal["xa", "best_effort", "single"] = Field(
        default="xa",
        description="What writes may do on several shards. `single`: nothing, all that is written at once is on one "
        "shard. `best_effort`: committed on one shard after the other. `xa` is taken for `single` in this version.",
    )
