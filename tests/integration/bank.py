"""A sharded database over two groups of servers, one of MariaDB and one of MySQL, for tests of transactions.

Accounts 0 … 8 with 100 each: those of remainder 0 and 2 (of 3) are on MariaDB, in two databases, the others on MySQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet, Server
from tests.fix_router import settings_for

ACCOUNTS = range(9)
DATABASES = ("bank", "bank_2")


@contextmanager
def bank(mariadb: ReplicaSet, mysql: ReplicaSet, directory: Path, transactions: str) -> Iterator[dict[str, Any]]:
    """The settings of a router for ``bank``; its tables are there, and empty."""
    for servers in (mariadb, mysql):
        for database in DATABASES:
            servers.primary.execute(f"DROP DATABASE IF EXISTS {database}")
            servers.primary.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
            servers.primary.execute(f"CREATE TABLE {database}.accounts (id INT PRIMARY KEY, amount INT)")
            servers.primary.execute(f"CREATE TABLE {database}.rates (id INT PRIMARY KEY, rate INT, at DATETIME(6))")
        servers.primary.execute("CREATE TABLE bank.notes (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(40))")
        servers.wait_for_replicas()
    settings = settings_for(mariadb, directory, reads={"from": "primary"})
    settings["groups"]["other"] = settings_for(mysql, directory, reads={"from": "primary"})["groups"]["main"]
    for entry in settings["groups"]["other"]["servers"]:
        entry["name"] = f"mysql-{entry['name']}"
    settings["schemas"] = {
        "bank": {
            "group": "main",
            "shards": {
                "s0": {"group": "main"},
                "s1": {"group": "other"},
                "s2": {"group": "main", "database": "bank_2"},
            },
            "transactions": transactions,
            "tables": {"accounts": {"shard_by": "id", "function": "mod"}, "rates": {"broadcast": True}},
        }
    }
    yield settings
    for servers in (mariadb, mysql):
        for database in DATABASES:
            servers.primary.execute(f"DROP DATABASE {database}")


def fill(connection: Connection) -> None:
    """The accounts, each with 100."""
    for key in ACCOUNTS:
        rows(connection, f"INSERT INTO accounts VALUES ({key}, 100)")


def rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """What a statement answers."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def refused(connection: Connection, sql: str, code: int = 1235) -> str:
    """The router's words for a statement it does not run."""
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(connection, sql)
    assert caught.value.args[0] == code
    return str(caught.value.args[1])


def amounts(connection: Connection) -> dict[int, int]:
    """Every account's."""
    return dict(rows(connection, "SELECT id, amount FROM accounts ORDER BY id"))


def waits_for_a_lock(server: Server) -> bool:
    """Whether somebody does. (INNODB_TRX does not change while it is read more often than every 0.1 s.)"""
    return "LOCK WAIT" in str(server.execute("SHOW ENGINE INNODB STATUS")[0][2])
