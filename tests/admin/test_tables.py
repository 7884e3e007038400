"""The declarations of tables: whole, without names that need quotes, and made of each other without gaps."""

from __future__ import annotations

import sqlite3

import pytest

from router.admin.tables import ALIASES, DATABASES, FAMILIAR, OWN, PROXYSQL, TABLES, Table, mysql_type, named

EVERY = [*OWN, *PROXYSQL, *FAMILIAR]


def test_names_are_unique() -> None:
    assert len(TABLES) == len(EVERY)
    assert not set(ALIASES) & set(TABLES)
    assert set(ALIASES.values()) <= set(TABLES)


@pytest.mark.parametrize("table", EVERY, ids=lambda table: table.name)
def test_columns_need_no_quotes(table: Table) -> None:
    db = sqlite3.connect(":memory:")
    names = ", ".join(column.name for column in table.columns)
    db.execute(f"CREATE TABLE {table.name} ({names})")
    db.execute(f"SELECT {names} FROM {table.name} ORDER BY {names}")
    db.close()
    assert table.database in DATABASES
    assert len({column.name.lower() for column in table.columns}) == len(table.columns)
    # A derived table says of what each column is made, and of tables that are not derived.
    assert all(bool(column.sql) == (table.source is not None) for column in table.columns)
    assert all(TABLES[name].source is None for name in table.needs)


@pytest.mark.parametrize("table", [*OWN, *PROXYSQL], ids=lambda table: table.name)
def test_everything_is_described(table: Table) -> None:
    assert table.description.endswith((".", "row.", "microseconds."))
    assert all(column.description.endswith((".", "`.")) for column in table.columns)


def test_names_in_any_case() -> None:
    assert named("SERVERS") is TABLES["servers"]
    assert named("Clients") is TABLES["sessions"]
    assert named("nothing") is None
    assert {mysql_type(column) for column in TABLES["servers"].columns} == {"text", "bigint", "double"}
