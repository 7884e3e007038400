"""Databases on several groups: each statement reaches the group of its schema, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for


def one(connection: Connection, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall()
        return rows[0][0] if rows else None


@pytest.fixture
def two_groups(
    mariadb_set: ReplicaSet,
    mysql_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> RunningRouter:
    """Schema ``left`` on MariaDB, ``right`` on MySQL, each with a table that says where it is."""
    for servers, schema in ((mariadb_set, "left_db"), (mysql_set, "right_db")):
        servers.primary.execute(f"DROP DATABASE IF EXISTS {schema}")
        servers.primary.execute(f"CREATE DATABASE {schema}")
        servers.primary.execute(f"CREATE TABLE {schema}.place (name VARCHAR(20))")
        servers.primary.execute(f"INSERT INTO {schema}.place VALUES ('{schema}')")
        servers.wait_for_replicas()
    settings = settings_for(mariadb_set, tmp_path)
    settings["groups"]["other"] = settings_for(mysql_set, tmp_path)["groups"]["main"]
    for entry in settings["groups"]["other"]["servers"]:
        entry["name"] = f"mysql-{entry['name']}"
    settings["schemas"] = {"left_db": {"group": "main"}, "right_db": {"group": "other"}}
    return start_router(settings)


@pytest.mark.mysql
def test_each_schema_in_its_group(two_groups: RunningRouter) -> None:
    with two_groups.connect(database="left_db") as connection:
        assert one(connection, "SELECT name FROM place") == "left_db"
        assert one(connection, "SELECT name FROM right_db.place") == "right_db"
        assert one(connection, "SELECT name FROM place") == "left_db"
        connection.query("USE right_db")
        assert one(connection, "SELECT name FROM place") == "right_db"
        assert one(connection, "SELECT name FROM left_db.place") == "left_db"
        connection.query("INSERT INTO left_db.place VALUES ('more')")
        connection.query("INSERT INTO place VALUES ('more')")
        connection.query("SET sql_mode = 'ANSI_QUOTES'")
        assert one(connection, 'SELECT "name" FROM left_db.place LIMIT 1') == "left_db"
        assert one(connection, 'SELECT "name" FROM place LIMIT 1') == "right_db"


@pytest.mark.mysql
def test_what_spans_groups_is_refused(two_groups: RunningRouter) -> None:
    with two_groups.connect(database="left_db") as connection:
        with pytest.raises(pymysql.MySQLError, match=r"left_db.*right_db|right_db.*left_db") as caught:
            one(connection, "SELECT * FROM place JOIN right_db.place AS other ON 1")
        assert caught.value.args[0] == 1235
        connection.query("BEGIN")
        connection.query("INSERT INTO place VALUES ('in')")
        with pytest.raises(pymysql.MySQLError, match=r"'other'.*'main'.*open transaction") as caught:
            one(connection, "SELECT name FROM right_db.place")
        assert caught.value.args[0] == 1235
        with pytest.raises(pymysql.MySQLError, match="open transaction"):
            connection.query("USE right_db")
        connection.query("ROLLBACK")
        assert one(connection, "SELECT name FROM right_db.place") == "right_db"
        assert one(connection, "SELECT count(*) FROM place WHERE name = 'in'") == 0
