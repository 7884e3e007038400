"""Tests of MyCat's schemas: shards, tables, ER tables, generated keys."""

# ruff: noqa: E501 - samples are as long as they are

from __future__ import annotations

import pytest

from router.config.sharding import Schema
from router.importing.draft import Draft, ImportProblem
from router.importing.mycat import import_mycat
from router.importing.mycat_schemas import series
from tests.importing.sources import loaded, said

RULES = b"""<r><tableRule name="by-id"><rule><columns>id</columns><algorithm>mod</algorithm></rule></tableRule>
<tableRule name="by-customer"><rule><columns>customer</columns><algorithm>mod</algorithm></rule></tableRule>
<function name="mod" class="io.mycat.route.function.PartitionByMod"><property name="count">2</property></function></r>"""
HOSTS = """<dataHost name="h0" balance="1"><writeHost host="m0" url="10.0.0.1:3306" user="u" password="p"/></dataHost>
<dataHost name="h1" balance="1"><writeHost host="m1" url="10.0.0.2:3306" user="u" password="p"/></dataHost>"""
NODES = '<dataNode name="dn0" dataHost="h0" database="shop"/><dataNode name="dn$1-2" dataHost="h1" database="s$1-2"/>'


def imported(tables: str, *, attributes: str = 'dataNode="dn0"', sequences: str = "", nodes: str = NODES) -> Draft:
    schema = f'<r><schema name="shop" {attributes}>\n{tables}</schema>{nodes}{HOSTS}</r>'
    server = f'<r><system><property name="sequnceHandlerType">{sequences}</property></system><user name="app"><property name="password">x</property><property name="schemas">shop</property></user></r>'
    return import_mycat("conf", {"schema.xml": schema.encode(), "server.xml": server.encode(), "rule.xml": RULES})


def shop(draft: Draft) -> Schema:
    return loaded(draft).schemas["shop"]


def test_series() -> None:
    assert series("a, b$1-3c,d") == ["a", "b1c", "b2c", "b3c", "d"]
    for text in ("a$3-1", "a$0-99999", ",".join(["a$0-4000"] * 3)):
        with pytest.raises(ValueError, match="names"):
            series(text)


def test_shards_and_tables() -> None:
    draft = imported(
        '<table name="customers" dataNode="dn$1-2" rule="by-id"><childTable name="orders" joinKey="customer_id" parentKey="id"/></table>'
        '<table name="visits" dataNode="dn1,dn2" rule="by-customer"/><table name="a,b" dataNode="dn1,dn2" type="global"/>'
        '<table name="plain" dataNode="dn0"/>'
    )
    schema = shop(draft)
    assert schema.group == "h0"
    assert {name: (shard.group, shard.database) for name, shard in schema.shards.items()} == {
        "dn1": ("h1", "s1"),
        "dn2": ("h1", "s2"),
    }
    assert (schema.tables["customers"].shard_by, schema.tables["customers"].function) == (["id"], "mod")
    for name, column in (("orders", "customer_id"), ("visits", "customer")):
        assert (schema.tables[name].shard_by, schema.tables[name].with_) == ([column], "customers")
    assert schema.tables["a"].broadcast
    assert schema.tables["b"].broadcast
    assert "plain" not in schema.tables
    assert schema.transactions == "best_effort"
    assert draft.complete


def test_a_table_on_some_shards() -> None:
    draft = imported('<table name="a" dataNode="dn1,dn2" rule="by-id"/><table name="b" dataNode="dn2" type="global"/>')
    assert shop(draft).tables["b"].shards == ["dn2"]


@pytest.mark.parametrize(("sequences", "generator"), [("1", "segment"), ("2", "snowflake")])
def test_generated_keys(sequences: str, generator: str) -> None:
    draft = imported(
        '<table name="a" primaryKey="id" autoIncrement="true" dataNode="dn1,dn2" rule="by-id"/>', sequences=sequences
    )
    assert shop(draft).ids["a.id"].generator == generator


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ('<table name="a" dataNode="dn1"/>', "lives on 'dn1'"),
        ('<table name="a" dataNode="none"/>', "there is no data node 'none'"),
        ('<table name="a" dataNode="dn1,dn2" rule="none"/>', "there is no rule 'none'"),
        ('<table name="a" dataNode="dn1,dn2"/>', "write a function"),
        ('<table name="a,a" dataNode="dn1,dn2" rule="by-id"/>', "is there twice"),
        ('<table name="a" dataNode="dn1,dn2" rule="by-id" subTables="t$1-2"/>', "subTables"),
        ('<table name="a" dataNode="dn1,dn2" rule="by-id" autoIncrement="true"/>', "choose a generator"),
        (
            '<table name="a" dataNode="dn1,dn2" rule="by-id"><childTable name="b" joinKey="x" parentKey="y"/></table>',
            "is not spread by 'y'",
        ),
        (
            '<table name="a" dataNode="dn1,dn2" rule="by-id"><childTable name="a" joinKey="x" parentKey="y"/></table>',
            "there twice",
        ),
    ],
)
def test_what_is_not_carried_over_is_told(tables: str, reason: str) -> None:
    draft = imported(tables)
    shop(draft)
    assert reason in said(draft)
    assert not draft.complete


def test_other_databases_and_limits() -> None:
    draft = imported("", attributes='dataNode="dn1" sqlMaxLimit="100"')
    assert shop(draft).group == "h1"
    assert "it must be called 'shop'" in said(draft)
    assert "sqlMaxLimit=100" in said(draft)
    draft = imported('<table name="a" dataNode="dn1,dn2" rule="by-id"/>', attributes="")
    assert "dn1 stands for it" in said(draft)
    assert shop(draft).group == "h1"


@pytest.mark.parametrize(
    "nodes",
    ['<dataNode name="a$1-3" dataHost="h0" database="x"/>', '<dataNode name="a$9-1" dataHost="h0" database="x"/>', ""],
)
def test_data_nodes_that_make_no_sense(nodes: str) -> None:
    with pytest.raises(ImportProblem, match=r"dataNode|no schema"):
        imported("", nodes=nodes)
