"""Tests of hostgroups as groups."""

# ruff: noqa: E501 - samples are as long as they are

from __future__ import annotations

import pytest

from router.importing.draft import ImportProblem
from router.importing.proxysql import import_proxysql
from tests.importing.sources import loaded, said

PAIR = (
    "INSERT INTO mysql_replication_hostgroups (writer_hostgroup, reader_hostgroup, comment) VALUES (10, 20, 'shop');\n"
)
USER = "INSERT INTO mysql_users (username, password, default_hostgroup) VALUES ('app', 'x', 10);\n"


def servers(*rows: str, columns: str = "") -> str:
    names = "hostgroup_id, hostname, port" + columns
    return f"INSERT INTO mysql_servers ({names}) VALUES {', '.join(f'({row})' for row in rows)};\n"


def test_a_writer_and_a_reader_hostgroup_are_one_group() -> None:
    text = servers("10, 'a', 3306, 1", "20, 'a', 3306, 3", "20, 'b', 0, 2", columns=", weight").replace(
        "'b'", "'/b.sock'"
    )
    draft = import_proxysql([("x.sql", (PAIR + USER + text).encode())])
    group = loaded(draft).groups["hg10"]
    assert [(str(each.address), each.role, each.weight) for each in group.servers] == [
        ("a:3306", "auto", 3),
        ("unix:/b.sock", "auto", 2),
    ]
    assert group.reads.from_ == "any"
    assert draft.complete


def test_attributes_of_servers() -> None:
    columns = ", status, max_connections, max_replication_lag, use_ssl, compression, max_latency_ms, gtid_port, comment"
    text = servers(
        "10, 'a', 3306, 'ONLINE', 200, 0, 1, 0, 0, 0, 'the first'",
        "20, 'b', 3306, 'SHUNNED', 100, 30, 0, 1, 20, 3310, ''",
        "20, 'c', 3306, 'OFFLINE_SOFT', 100, 20, 0, 0, 0, 0, ''",
        "20, '-', 3306, 'ONLINE', 100, 20, 0, 0, 0, 0, ''",
        columns=columns,
    )
    draft = import_proxysql([("x.sql", (PAIR + USER + text).encode())])
    group = loaded(draft).groups["hg10"]
    assert [str(each.address) for each in group.servers] == ["a:3306", "b:3306"]
    assert (group.pool.max_connections, group.reads.max_lag, group.tls.mode) == (100, 20, "required")
    assert "# the first" in str(draft)
    text = said(draft)
    for word in (
        *(
            "c:3306 is OFFLINE_SOFT: left out",
            "compression",
            "max_latency_ms=20",
            "gtid_port",
            "max_connections differs",
        ),
        *("max_replication_lag differs", "use_ssl differs", "server '-' does not name a host"),
    ):
        assert word in text


def test_a_group_of_offline_servers_keeps_them() -> None:
    draft = import_proxysql([("x.sql", (USER + servers("10, 'a', 3306, 'OFFLINE_HARD'", columns=", status")).encode())])
    assert [str(each.address) for each in loaded(draft).groups["hg10"].servers] == ["a:3306"]
    assert not draft.complete


def test_without_replication_hostgroups_the_rules_tell_the_pair() -> None:
    rules = "INSERT INTO mysql_query_rules (rule_id, active, match_digest, destination_hostgroup, apply) VALUES (1, 1, '^SELECT', 20, 1);"
    text = USER + servers("10, 'a', 3306", "20, 'b', 3306", "10, 'c', 3306") + rules
    draft = import_proxysql([("x.sql", text.encode())])
    assert [each.role for each in loaded(draft).groups["hg10"].servers] == ["primary", "replica", "replica"]
    assert "a group has one primary" in said(draft)


def test_galera_has_to_be_looked_at() -> None:
    text = "INSERT INTO mysql_galera_hostgroups (writer_hostgroup, backup_writer_hostgroup, reader_hostgroup, offline_hostgroup, active) VALUES (10, 12, 20, 9, 1);"
    draft = import_proxysql([("x.sql", (text + USER + servers("10, 'a', 3306", "12, 'b', 3306")).encode())])
    assert len(loaded(draft).groups["hg10"].servers) == 2
    assert "the cluster's own states" in said(draft)


def test_the_monitor_account() -> None:
    text = "SET mysql-monitor_username='mon'; SET mysql-monitor_password='secret'; SET mysql-monitor_read_only_interval=1500;"
    draft = import_proxysql([("x.sql", (text + USER + servers("10, 'a', 3306")).encode())])
    monitor = loaded(draft).groups["hg10"].monitor
    assert (monitor.user, monitor.interval) == ("mon", 1.5)
    assert "secret" not in str(draft)


@pytest.mark.parametrize("text", ["", PAIR, USER, servers("10, '-', 3306")])
def test_without_servers_there_is_nothing(text: str) -> None:
    with pytest.raises(ImportProblem, match=r"mysql_servers|no server"):
        import_proxysql([("x.sql", text.encode())])
