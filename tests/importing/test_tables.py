"""Tests of ProxySQL's tables read from SQL."""

# ruff: noqa: E501 - samples are as long as they are

from __future__ import annotations

import pytest

from router.importing.draft import Place
from router.importing.tables import Tables, read_sql


def tables(text: str) -> Tables:
    found = Tables()
    read_sql("x.sql", text, found)
    return found


def test_a_script_for_the_admin_interface() -> None:
    found = tables(
        "INSERT INTO mysql_servers (hostgroup_id, hostname) VALUES (10, 'a'),\n (20, \"b\");\n"
        "LOAD MYSQL SERVERS TO RUNTIME;\nSET mysql-max_connections = 100;\n"
        "UPDATE global_variables SET variable_value='x''y' WHERE variable_name='mysql-monitor_username';\n"
    )
    assert not found.unread
    assert [(row.place, row.values) for row in found.of("mysql_servers")] == [
        (Place("x.sql", 1), {"hostgroup_id": "10", "hostname": "a"}),
        (Place("x.sql", 2), {"hostgroup_id": "20", "hostname": "b"}),
    ]
    assert found.variables["mysql-max_connections"] == (Place("x.sql", 4), "100")
    assert found.variables["mysql-monitor_username"][1] == "x'y"


def test_backslashes_mean_something_in_mysqldump_only() -> None:
    insert = r"INSERT INTO t (p) VALUES ('^a\\.b\'c');"
    assert tables("-- MySQL dump 10.13\n" + insert).of("t")[0].values == {"p": r"^a\.b'c"}
    assert tables(r"INSERT INTO t (p) VALUES ('^\s+\d');").of("t")[0].values == {"p": r"^\s+\d"}


def test_columns_come_from_create_table() -> None:
    found = tables(
        "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
        "CREATE TABLE IF NOT EXISTS main.t (a INT CHECK (a IN (0,1)) NOT NULL DEFAULT 0, `b` VARCHAR, PRIMARY KEY (a, b));\n"
        "INSERT INTO t VALUES(-1,NULL);\nINSERT OR REPLACE INTO main.\"t\" VALUES(X'3432','c');\nCOMMIT;"
    )
    assert not found.unread
    assert [row.values for row in found.of("t")] == [{"a": "-1", "b": None}, {"a": "42", "b": "c"}]


def test_defaults() -> None:
    row = tables("INSERT INTO t (a, b) VALUES ('x', NULL)").of("t")[0]
    assert (row.number("a", 7), row.text("b", "d"), row.text("c", "e"), row.number("c", 3)) == (7, "d", "e", 3)


def test_delete_forgets_rows() -> None:
    assert not tables("INSERT INTO t (a) VALUES (1); DELETE FROM t;").of("t")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("INSERT INTO t VALUES (1)", "without names of columns"),
        ("INSERT INTO t (a, b) VALUES (1)", "without names of columns"),
        ("INSERT INTO t (a) VALUES (replace('a','b',char(10)))", "an expression at line 2"),
        ("INSERT INTO t (a) SELECT 1", "without VALUES"),
        ("INSERT INTO t (a) VALUES (1", "ends too early"),
        ("INSERT INTO t (a VALUES (1", "where a name should stand"),
        ("INSERT INTO t (a", "ends too early"),
        ("INSERT INTO", "ends too early"),
        ("INSERT INTO t (a) VALUES ('x", "broken at line 2"),
        ("UPDATE mysql_servers SET weight=1", "dump the tables"),
        ("GRANT ALL", "of another kind (GRANT)"),
        ("'secret'", "of another kind"),
    ],
)
def test_what_is_not_understood_is_told(sql: str, reason: str) -> None:
    found = tables("\n" + sql)
    assert not found.rows
    ((place, message),) = found.unread
    assert place == Place("x.sql", 2)
    assert reason in message
    assert "secret" not in message
