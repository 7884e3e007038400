"""Tests of a whole ProxySQL: users, databases, listeners, and that nothing is lost in silence or shown."""

# ruff: noqa: E501 - samples are as long as they are

from __future__ import annotations

import pytest

from router.importing.draft import MAX_SOURCE, ImportProblem
from router.importing.proxysql import import_proxysql
from tests.importing.sources import loaded, said

HASH = "*57237BB49761F29AB9724BA084E811D70C12393D"
FILE = """
datadir = "/var/lib/proxysql"
admin_variables = { admin_credentials = "admin:secret-1" }
mysql_variables =
{
  interfaces = "0.0.0.0:6033;/tmp/proxysql.sock;nowhere"
  max_connections = 2048
  max_allowed_packet = 67108864
  wait_timeout = 28800000
  monitor_username = "mon"
  monitor_password = "secret-2"
  init_connect = "SET a = 1"
}
mysql_servers = ( { address = "10.0.0.1", port = 3306, hostgroup = 0 }, { address = "10.0.0.2", port = 3306, hostgroup = 1 } )
mysql_users = ( { username = "app", password = "secret-3", default_hostgroup = 0, active = 1 } )
mysql_query_rules =
(
  { rule_id = 1, active = 1, match_digest = "^SELECT .* FOR UPDATE$", destination_hostgroup = 0, apply = 1 },
  { rule_id = 2, active = 1, match_digest = "^SELECT", destination_hostgroup = 1, apply = 1 }
)
scheduler = ( { id = 1, filename = "/bin/check" } )
"""
SERVERS = "INSERT INTO mysql_servers (hostgroup_id, hostname) VALUES (10, 'a'), (30, 'b');"


def users(*rows: str, columns: str = "") -> str:
    names = "username, password, default_hostgroup, default_schema" + columns
    return f"INSERT INTO mysql_users ({names}) VALUES {', '.join(f'({row})' for row in rows)};"


def test_a_file() -> None:
    draft = import_proxysql([("proxysql.cnf", FILE.encode())])
    config = loaded(draft)
    assert [str(each.address) for each in config.listeners] == ["0.0.0.0:6033", "unix:/tmp/proxysql.sock"]
    assert (config.limits.max_connections, config.limits.max_allowed_packet, config.limits.idle_timeout) == (
        2048,
        2**26,
        28800,
    )
    assert [server.role for server in config.groups["hg0"].servers] == ["primary", "replica"]
    assert config.rules == []
    assert draft.variables.keys() == {"APP_PASSWORD", "MON_PASSWORD"}
    text = said(draft)
    for word in ("'nowhere' must be", "init_connect", "table scheduler (1 rows)", "admin-admin_credentials, datadir"):
        assert word in text
    assert "secret" not in str(draft) + text


def test_users() -> None:
    text = "INSERT INTO mysql_servers (hostgroup_id, hostname) VALUES (10, 'a');" + users(
        f"'one', '{HASH}', 10, 'shop', 1, 1, 1, 0, 0, 50, '', 'the first'",
        "'two', '', 77, '', 1, 0, 0, 1, 1, 10000, '{\"x\": \"secret\"}', ''",
        "'three', 'secret', 10, '', 0, 0, 0, 1, 0, 10000, '', ''",
        columns=", active, use_ssl, schema_locked, transaction_persistent, fast_forward, max_connections, attributes, comment",
    )
    draft = import_proxysql([("x.sql", text.encode())])
    config = loaded(draft)
    assert config.users.keys() == {"one", "two"}
    one = config.users["one"]
    assert one.password_hash is not None
    assert one.password_hash.get_secret_value() == HASH
    assert (one.schemas, one.default_schema, one.max_connections) == (["shop"], "shop", 50)
    assert "# the first" in str(draft)
    text = said(draft)
    for word in (
        *("'one': use_ssl", "transaction_persistent=0", "'two' has no password", "default_hostgroup 77", "attributes"),
        *("fast_forward", "'three' is not active"),
    ):
        assert word in text
    assert "secret" not in str(draft) + text


def test_frontend_and_backend_accounts() -> None:
    text = SERVERS.replace("(30, 'b')", "(10, 'c')") + users(
        "'app', 'one', 10, '', 1, 0", "'app', 'two', 10, '', 0, 1", columns=", frontend, backend"
    )
    draft = import_proxysql([("x.sql", text.encode())])
    backend = loaded(draft).users["app"].backend
    assert backend is not None
    assert draft.variables.keys() == {"APP_PASSWORD", "APP_BACKEND_PASSWORD"}


def test_databases_of_several_groups() -> None:
    text = SERVERS + users("'app', 'x', 10, 'shop'", "'web', 'x', 10, ''", "'stat', 'x', 30, 'clicks'")
    text += "INSERT INTO mysql_query_rules_fast_routing VALUES ('', 'logs', 0, 30, ''), ('app', 'own', 0, 30, '');"
    draft = import_proxysql([("x.sql", text.encode())])
    config = loaded(draft)
    assert {name: schema.group for name, schema in config.schemas.items()} == {
        "logs": "hg30",
        "shop": "hg10",
        "clicks": "hg30",
    }
    (rule,) = config.rules
    assert (rule.name, rule.when.user) == ("home-of-stat", "stat")
    assert rule.send_to is not None
    assert rule.send_to.group == "hg30"
    assert "list all that clients may see" in said(draft)
    assert "fast routing of 'app', 'own'" in said(draft)


def test_without_users_and_databases_there_are_placeholders() -> None:
    draft = import_proxysql([("x.sql", SERVERS.encode())])
    config = loaded(draft)
    assert (list(config.users), list(config.schemas)) == (["app"], ["app"])
    assert not draft.complete


def test_several_files_are_one_source() -> None:
    draft = import_proxysql(
        [
            ("a.sql", b"INSERT INTO mysql_servers (hostgroup_id, hostname) VALUES (10, 'a')"),
            ("b", users("'app', 'x', 10, ''").encode()),
        ]
    )
    assert loaded(draft).users.keys() == {"app"}
    assert draft.complete


def test_what_is_broken_is_told_at_the_end() -> None:
    draft = import_proxysql([("x.sql", (SERVERS + "INSERT INTO mysql_users VALUES ('a").encode())])
    loaded(draft)
    assert "x.sql:1: todo: not understood: it is broken" in said(draft)


@pytest.mark.parametrize(
    "content", [b"x" * (MAX_SOURCE + 1), b"\xff\xfe", b"", b"(" * 100_000, b"'" * 100_001, b"-- \n" * 100_000]
)
def test_hostile_input(content: bytes) -> None:
    with pytest.raises(ImportProblem):
        import_proxysql([("x", content)])


def test_mistakes_without_end_are_counted() -> None:
    draft = import_proxysql([("x.sql", (SERVERS + users("'app', 'x', 10, ''") + "GRANT;" * 5_000).encode())])
    assert "4900 more statements" in said(draft)
    assert len(str(draft)) < 50_000
