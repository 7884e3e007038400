"""Tests of a whole MyCat: data hosts, users, what is not carried over, hostile files."""

# ruff: noqa: E501 - samples are as long as they are

from __future__ import annotations

import pytest

from router.importing.draft import ImportProblem
from router.importing.mycat import import_mycat
from tests.importing.sources import loaded, said

SERVER = """<?xml version="1.0"?>
<!DOCTYPE mycat:server SYSTEM "server.dtd">
<mycat:server xmlns:mycat="http://io.mycat/">
<system><property name="serverPort">8066</property><property name="idleTimeout">1800000</property><property name="processors">4</property></system>
<user name="app" defaultAccount="true"><property name="password">secret-1</property><property name="schemas">shop,none</property>
<property name="readOnly">true</property><property name="maxCon">50</property><property name="defaultSchema">shop</property>
<property name="benchmark">9</property><privileges check="true"/></user>
<user name="app"/><user name="free"><property name="schemas">shop</property></user>
<firewall/><quarantine/>
</mycat:server>"""
SCHEMA = """<?xml version="1.0"?>
<!DOCTYPE mycat:schema SYSTEM "schema.dtd">
<mycat:schema xmlns:mycat="http://io.mycat/">
<schema name="shop" dataNode="dn0"/><schema name="empty"/>
<dataNode name="dn0" dataHost="h0" database="shop"/>
<dataHost name="h0" maxCon="500" minCon="10" balance="2" switchType="2" slaveThreshold="100" dbType="mysql">
<heartbeat>show slave status</heartbeat><connectionInitSql>SET a = 1</connectionInitSql>
<writeHost host="m0" url="10.0.0.1:3306" user="root" password="secret-2">
<readHost host="s0" url="jdbc:mysql://10.0.0.2:3306/x" user="root" password="secret-2" weight="3"/>
<readHost host="s1" url="nowhere" user="root" password="secret-2"/></writeHost>
<writeHost host="m1" url="10.0.0.3:3306" user="root" password="secret-3"/><writeHost host="m2" url="10.0.0.3:3306" user="root" password="secret-3"/>
</dataHost>
<dataHost name="h1" balance="9" switchType="3"><writeHost host="m3" url="10.0.1.1:3306" user="root" password="secret-2"/></dataHost>
<dataHost name="h2" dbType="oracle"><writeHost host="m4" url="10.0.1.2:3306" user="root" password="secret-2"/></dataHost>
<dataHost name="h3"/>
</mycat:schema>"""


def files(schema: str = SCHEMA, server: str = SERVER) -> dict[str, bytes]:
    return {"schema.xml": schema.encode(), "server.xml": server.encode()}


def test_data_hosts_and_users() -> None:
    draft = import_mycat("conf", files())
    config = loaded(draft)
    assert config.groups.keys() == {"h0", "h1"}
    group = config.groups["h0"]
    assert [(each.name, str(each.address), each.role, each.weight) for each in group.servers] == [
        ("m0", "10.0.0.1:3306", "primary", 1),
        ("s0", "10.0.0.2:3306", "replica", 3),
        ("m1", "10.0.0.3:3306", "auto", 1),
    ]
    assert (group.pool.max_connections, group.pool.min_idle, group.reads.from_, group.reads.max_lag) == (
        500,
        10,
        "any",
        100,
    )
    assert [str(each.address) for each in config.listeners] == ["0.0.0.0:8066"]
    assert config.limits.idle_timeout == 1800
    user = config.users["app"]
    assert (user.read_only, user.max_connections, user.schemas, user.default_schema) == (True, 50, ["shop"], "shop")
    assert user.backend is not None
    assert user.backend.user == "root"


def test_what_is_not_carried_over_is_told_and_no_password_is_shown() -> None:
    draft = import_mycat("conf", files())
    text = said(draft)
    for word in (
        *(
            "schema 'empty' has no tables",
            "connectionInitSql",
            "'s1' must be host:port",
            "10.0.0.3:3306 is there twice",
        ),
        *("goes over to the next writeHost", "balance=9", "switchType=3", "dbType=oracle", "'h3' has no server"),
        *("different accounts", "no schema 'none'", "property 'benchmark'", "privileges", "user 'app' is there twice"),
        *("user 'free' has no password", "firewall", "<quarantine> is not carried over", "needed: processors"),
    ):
        assert word in text
    assert "secret" not in str(draft) + text
    assert draft.variables.keys() == {"ROOT_PASSWORD", "APP_CLIENT_PASSWORD", "FREE_CLIENT_PASSWORD"}


def test_without_users_there_is_a_placeholder() -> None:
    draft = import_mycat("conf", files(server="<r><system><property name='serverPort'>x</property></system></r>"))
    assert loaded(draft).users.keys() == {"app"}
    assert "serverPort, bindIp" in said(draft)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "there is no schema.xml"),
        ({"schema.xml": b"<r/>"}, "there is no server.xml"),
        (files(schema="<r/>"), "no dataHost"),
        (files(schema=SCHEMA.replace('<schema name="shop" dataNode="dn0"/>', "")), "no schema whose"),
        (files(server="<a"), "server.xml:1: is not XML"),
        (files(server='<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "defines entities"),
        (files() | {"rule.xml": b"<a>" * 100_000}, "nested too deeply"),
    ],
)
def test_what_cannot_be_converted(given: dict[str, bytes], reason: str) -> None:
    with pytest.raises(ImportProblem, match=reason):
        import_mycat("conf", given)
