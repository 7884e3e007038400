"""Rows whose shards a table tells, on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for
from tests.integration.bank import refused, rows
from tests.integration.twins import Session

SHARDS = ("club_0", "club_1", "club_2")
MEMBERS = "mail VARCHAR(60) COLLATE utf8mb4_general_ci PRIMARY KEY, name VARCHAR(40)"


@pytest.fixture
def club(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> Iterator[tuple[Connection, ReplicaSet]]:
    """Members by their mail, and visits that are co-located."""
    primary = server_set.primary
    for database in ("club", *SHARDS):
        primary.execute(f"DROP DATABASE IF EXISTS {database}")
        primary.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    for database in SHARDS:
        primary.execute(f"CREATE TABLE {database}.members ({MEMBERS})")
        primary.execute(f"CREATE TABLE {database}.visits (n INT, mail VARCHAR(60) COLLATE utf8mb4_general_ci)")
    primary.execute(f"CREATE TABLE club.mails ({MEMBERS.replace('name', 'shard')})")
    primary.execute("INSERT INTO club.mails VALUES ('a@x', 's0'), ('b@x', 's1'), ('C@x', 's2'), ('it''s@x', 's1')")
    server_set.wait_for_replicas()
    settings = settings_for(server_set, tmp_path, reads={"from": "primary"})
    lookup = {"table": "mails", "from": "mail", "to": "shard"}
    settings["schemas"] = {
        "club": {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": name} for number, name in enumerate(SHARDS)},
            "transactions": "best_effort",
            "tables": {
                "members": {"shard_by": "mail", "lookup": lookup},
                "visits": {"shard_by": "mail", "with": "members"},
            },
        }
    }
    with start_router(settings).connect(database="club") as connection:
        yield connection, server_set
    for database in ("club", *SHARDS):
        primary.execute(f"DROP DATABASE {database}")


def test_rows_are_where_the_table_says(club: tuple[Connection, ReplicaSet]) -> None:
    connection, servers = club
    rows(connection, "INSERT INTO members VALUES ('A@x', 'a'), ('b@x', 'b'), ('c@X', 'c'), ('it''s@x', 'd')")
    found = [sorted(servers.primary.execute(f"SELECT name FROM {database}.members")) for database in SHARDS]
    assert found == [[("a",)], [("b",), ("d",)], [("c",)]]
    assert rows(connection, "SELECT name FROM members WHERE mail = 'a@X'") == [("a",)]
    assert rows(connection, "SELECT name FROM members WHERE mail IN ('a@x', 'c@x', 'z@x') ORDER BY name") == [
        ("a",),
        ("c",),
    ]
    assert rows(connection, "SELECT name FROM members WHERE mail = 'z@x'") == []
    steps = rows(connection, "EXPLAIN ROUTE SELECT name FROM members WHERE mail IN ('b@x', 'it''s@x')")
    assert [step[3] for step in steps] == ["s1"]
    rows(connection, "INSERT INTO visits VALUES (1, 'b@x'), (2, 'b@x'), (3, 'a@x')")
    joined = "SELECT COUNT(*) FROM members m JOIN visits v ON v.mail = m.mail WHERE m.mail = "
    assert rows(connection, joined + "'B@X'") == [(2,)]
    rows(connection, "UPDATE members SET name = 'bb' WHERE mail = 'b@x'")
    assert rows(connection, "SELECT COUNT(*) FROM members WHERE name = 'bb'") == [(1,)]


def test_prepared_statements(club: tuple[Connection, ReplicaSet]) -> None:
    connection, _ = club
    session = Session(connection)
    session.prepare("in", "INSERT INTO members VALUES (?, ?)")
    assert session.execute("in", "c@x", "c")[0][:2] == b"\0\1"
    session.prepare("out", "SELECT name FROM members WHERE mail = ?")
    assert any(b"\1c" in payload for payload in session.execute("out", "C@X"))
    assert "has no shard for mail" in str(session.execute("in", "z@x", "z"))


def test_entries_that_are_not_there(club: tuple[Connection, ReplicaSet]) -> None:
    connection, _ = club
    message = refused(connection, "INSERT INTO members VALUES ('new@x', 'n')", 1526)
    assert "table 'mails' has no 'mail' for it; insert one there first, and commit it" in message
    rows(connection, "INSERT INTO mails VALUES ('new@x', 's2')")
    rows(connection, "BEGIN")
    rows(connection, "INSERT INTO members VALUES ('new@x', 'n')")
    assert rows(connection, "SELECT name FROM members WHERE mail = 'NEW@x'") == [("n",)]
    rows(connection, "COMMIT")
    rows(connection, "INSERT INTO mails VALUES ('bad@x', 's9')")
    assert "'s9', which is no shard" in refused(connection, "SELECT * FROM members WHERE mail = 'bad@x'", 1105)
    assert rows(connection, "SELECT COUNT(*) FROM members") == [(1,)]


def test_the_table_of_keys_is_gone(club: tuple[Connection, ReplicaSet]) -> None:
    connection, servers = club
    servers.primary.execute("ALTER TABLE club.mails RENAME TO club.other")
    assert "shards cannot be looked up in table mails" in refused(
        connection, "SELECT * FROM members WHERE mail = 'a@x'", 1105
    )
