"""A schema spread over databases of one server, beside a database with all rows: what the truth is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from tests.fix_router import settings_for


@contextmanager
def spread(
    servers: ReplicaSet,
    directory: Path,
    schema: str,
    shards: Sequence[str],
    truth: str,
    definitions: Mapping[str, str],
    tables: Mapping[str, Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """The settings of a router for ``schema``; its databases are there, with empty tables, and so is ``truth``."""
    primary = servers.primary
    for database in (schema, *shards, truth):
        primary.execute(f"DROP DATABASE IF EXISTS {database}")
        primary.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        for table, columns in definitions.items():
            primary.execute(f"CREATE TABLE {database}.{table} ({columns})")
    servers.wait_for_replicas()
    settings = settings_for(servers, directory, reads={"from": "primary"})
    settings["schemas"] = {
        schema: {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": name} for number, name in enumerate(shards)},
            "transactions": "best_effort",
            "tables": tables,
        }
    }
    yield settings
    for database in (schema, *shards, truth):
        primary.execute(f"DROP DATABASE {database}")


def outcome(connection: Connection, sql: str) -> tuple[Any, ...]:
    """Affected rows, info and warnings; or the error."""
    with connection.cursor() as cursor:
        try:
            affected = cursor.execute(sql)
        except pymysql.MySQLError as error:
            return ("error", *error.args)
        result = cursor._result
        assert result is not None
        return affected, result.message, result.warning_count
