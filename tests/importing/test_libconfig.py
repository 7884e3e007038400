"""Tests of `proxysql.cnf`."""

from __future__ import annotations

import pytest

from router.importing.draft import Place
from router.importing.libconfig import read_libconfig
from router.importing.tables import Tables

FILE = r"""
datadir="/var/lib/proxysql" # a comment
// another
mysql_variables : { threads=4; monitor_username="mon" "itor"; have_ssl=true, max_connections=0x10L; }
/* and
   one more */
mysql_servers =
(
  { address="10.0.0.1", port=3306, hostgroup=10 },
  { address="10.0.0.2" port=3306 hostgroup=20, comment="a\"b\n\\d\d" }
)
"""


def tables(text: str) -> Tables:
    found = Tables()
    read_libconfig("x.cnf", text, found)
    return found


def test_a_file() -> None:
    found = tables(FILE)
    assert not found.unread
    assert {name: value for name, (_, value) in found.variables.items()} == {
        "datadir": "/var/lib/proxysql",
        "mysql-threads": "4",
        "mysql-monitor_username": "monitor",
        "mysql-have_ssl": "1",
        "mysql-max_connections": "16",
    }
    one, two = found.of("mysql_servers")
    assert one.values == {"hostname": "10.0.0.1", "port": "3306", "hostgroup_id": "10"}
    assert two.place == Place("x.cnf", 10)
    assert two.values["comment"] == 'a"b\n\\d\\d'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('a = "secret', "where a value should stand"),
        ('"secret" = 1', "where a name should stand"),
        ("a 1", "without a value"),
        ("a = (1, 2", "where a value should stand"),
        ("a = { b = 1", "where a name should stand"),
        ("a = " + "(" * 10_000, "nested too deeply"),
        ("a = " + "{a=" * 10_000, "nested too deeply"),
        ("a = (1)", "an entry without settings"),
        ("a = {b = 1}", "another form"),
        ('@include "more.cnf"', "not followed"),
    ],
)
def test_what_is_not_understood_is_told(text: str, reason: str) -> None:
    ((place, message),) = tables("\n" + text).unread
    assert place == Place("x.cnf", 2)
    assert reason in message
    assert "secret" not in message
