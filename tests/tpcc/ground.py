"""Four databases, each a group of its own to the router, so that every transaction on two of them is a distributed one.

They may be on one server: the router keeps a connection to each group, and InnoDB finds the deadlocks between them,
which it cannot do across servers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for

SHARDS = range(4)
Table = Mapping[str, object]


def database_of(schema: str, shard: int) -> str:
    """A shard's database."""
    return f"{schema}_{shard}"


def settings(
    servers: Sequence[ReplicaSet], directory: Path, schema: str, tables: Mapping[str, Table], **more: object
) -> dict[str, Any]:
    """A router's configuration for ``schema`` over four shards, dealt out to the servers."""
    made = settings_for(servers[0], directory, reads={"from": "primary"})
    for shard in SHARDS:
        group = settings_for(servers[shard % len(servers)], directory, reads={"from": "primary"})["groups"]["main"]
        for entry in group["servers"]:
            entry["name"] = f"shard{shard}-{entry['name']}"
        group["pool"] = {"max_connections": 24}
        made["groups"][f"shard{shard}"] = group
    made["users"]["app"]["default_schema"] = schema
    made["schemas"] = {
        schema: {
            "group": "main",
            "shards": {
                f"s{shard}": {"group": f"shard{shard}", "database": database_of(schema, shard)} for shard in SHARDS
            },
            "transactions": "best_effort",
            "tables": dict(tables),
            **more,
        }
    }
    return made


@contextmanager
def databases(servers: Sequence[ReplicaSet], schema: str) -> Iterator[None]:
    """Empty databases for the shards and for the schema's own group."""
    places = [(servers[0], schema), *((servers[shard % len(servers)], database_of(schema, shard)) for shard in SHARDS)]
    for server, database in places:
        server.primary.execute(f"DROP DATABASE IF EXISTS {database}")
        server.primary.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    for server in servers:
        server.wait_for_replicas()
    yield
    for server, database in places:
        server.primary.execute(f"DROP DATABASE {database}")


@contextmanager
def routed(
    servers: Sequence[ReplicaSet], directory: Path, schema: str, tables: Mapping[str, Table], **more: object
) -> Iterator[RunningRouter]:
    """A running router in front of empty shards."""
    made = settings(servers, directory, schema, tables, **more)
    with databases(servers, schema):
        router = RunningRouter(made)
        router.password = servers[0].app_password
        with router:
            yield router


def on_each(servers: Sequence[ReplicaSet], schema: str, sql: str) -> list[list[tuple[Any, ...]]]:
    """What every shard itself answers; ``{db}`` stands for its database."""
    return [
        servers[shard % len(servers)].primary.execute(sql.format(db=database_of(schema, shard))) for shard in SHARDS
    ]
