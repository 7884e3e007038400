"""Statements about what tables there are, and the texts that are asked instead."""

from __future__ import annotations

import pytest

from router.planner.binding import TextValues, bind
from router.planner.description import Listing, text_of
from router.planner.metadata import VIEWS, asks_of_select
from router.planner.plan import Described, Refused, Relay, Scattered, Sharded, plan_json
from router.planner.routes import Unplannable
from router.sql.analyze import analyze
from router.sql.facts import StatementKind
from router.sql.lexer import LexMode
from tests.planner.fix_shards import shop_context, shop_planner

MODE = LexMode()
# Views are one column each, to see where they stand.
SHORT = {view: Listing(("TABLE_NAME",), frozenset(), (), "1") for view in VIEWS}


def asked(sql: str, flavor: str = "mariadb") -> str:
    """The text for a server; views as their names in braces."""
    plan = shop_planner().plan(sql.encode(), shop_context())
    assert isinstance(plan, Described)
    text = text_of(plan.asks, sql.encode(), MODE, SHORT, flavor).decode()
    for view in VIEWS:
        text = text.replace(f"(SELECT `TABLE_NAME` FROM information_schema.`{view}` WHERE 1)", f"{{{view}}}")
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT * FROM information_schema.tables", "SELECT * FROM {TABLES} AS tables"),
        (
            "SELECT a.x FROM `information_schema`.Columns AS a, INFORMATION_SCHEMA.TABLES b WHERE a.y = 'z'",
            "SELECT a.x FROM {COLUMNS} AS a, {TABLES} b WHERE a.y = 'z'",
        ),
        (
            "SELECT information_schema.tables.TABLE_NAME FROM information_schema.tables ORDER BY 1",
            "SELECT tables.TABLE_NAME FROM {TABLES} AS tables ORDER BY 1",
        ),
        (
            "SELECT 1 WHERE EXISTS (SELECT * FROM information_schema.tables WHERE 1)",
            "SELECT 1 WHERE EXISTS (SELECT * FROM {TABLES} AS tables WHERE 1)",
        ),
        (
            "SELECT * FROM information_schema.statistics JOIN information_schema.routines r",
            "SELECT * FROM {STATISTICS} AS statistics JOIN information_schema.routines r",
        ),
    ],
)
def test_views_become_derived_tables(sql: str, text: str) -> None:
    assert asked(sql) == text


def test_mysql_heads_columns_of_views_in_upper_case() -> None:
    sql = "SELECT table_name, t.Table_Name, t.table_name x, other, UPPER(table_name) FROM information_schema.tables t"
    assert asked(sql, "mysql") == (
        "SELECT table_name AS `TABLE_NAME` , t.Table_Name AS `TABLE_NAME` , t.table_name x, other ,"
        " UPPER(table_name) FROM {TABLES} t"
    )
    derived = "SELECT table_name FROM (SELECT table_name FROM information_schema.tables) AS t"
    assert asked(derived, "mysql").startswith("SELECT table_name FROM (")


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (
            "SHOW TABLES",
            "SELECT * FROM (SELECT TABLE_NAME AS `Tables_in_shop` FROM {TABLES} AS t WHERE TABLE_SCHEMA = 'shop') AS t"
            " ORDER BY CAST( `Tables_in_shop` AS BINARY)",
        ),
        (
            r"SHOW FULL TABLES IN `shop` LIKE 'a\_\'`%'",
            "SELECT * FROM (SELECT TABLE_NAME AS `Tables_in_shop (a\\_'``%)` , TABLE_TYPE AS Table_type FROM"
            " {TABLES} AS t WHERE TABLE_SCHEMA = 'shop') AS t"
            " WHERE `Tables_in_shop (a\\_'``%)` COLLATE utf8mb3_bin LIKE 'a\\_\\'`%'"
            " ORDER BY CAST( `Tables_in_shop (a\\_'``%)` AS BINARY)",
        ),
        (
            "SHOW TABLE STATUS FROM shop WHERE Rows > 5 OR Name = 'x'",
            "SELECT * FROM (SELECT `TABLE_NAME` AS `Name` FROM {TABLES} AS t WHERE TABLE_SCHEMA = 'shop') AS t"
            " WHERE ( Rows > 5 OR Name = 'x' ) ORDER BY CAST( `Name` AS BINARY)",
        ),
    ],
)
def test_show(sql: str, text: str) -> None:
    assert asked(sql) == text


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SHOW COLUMNS FROM customers FROM shop", None),
        ("SHOW COLUMNS FROM levels", None),
        ("DESCRIBE shop.customers", None),
    ],
)
def test_tables_are_described_by_their_first_shard(sql: str, text: str | None) -> None:
    plan = shop_planner().plan(sql.encode(), shop_context())
    assert isinstance(plan, Relay)
    assert (plan.group, plan.shard) == ("g0", "s0")


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW TABLES FROM other",
        "SHOW OPEN TABLES",
        "SHOW TABLES LIKE ?",
        "SHOW TABLES; SELECT 1",
        "SHOW DATABASES LIKE ?",
        "SELECT * FROM information_schema.routines",
        "SELECT tables.x FROM tables",
        "/*+ router(group=main) */ SHOW TABLES",
    ],
)
def test_others_are_left_alone(sql: str) -> None:
    assert isinstance(shop_planner().plan(sql.encode(), shop_context()), Relay)


@pytest.mark.parametrize(
    ("sql", "shard"),
    [
        ("EXPLAIN SELECT * FROM customers WHERE id = 4", "s1"),
        ("EXPLAIN FORMAT=JSON SELECT * FROM customers WHERE name = 'x' AND id = 5", "s2"),
        ("DESCRIBE UPDATE customers SET name = 'y' WHERE id = 3", "s0"),
        ("EXPLAIN DELETE FROM customers WHERE id = 3", "s0"),
        ("EXPLAIN /*+ router(shard=s1) */ SELECT * FROM customers", "s1"),
    ],
)
def test_the_shard_that_would_run_it_explains_it(sql: str, shard: str) -> None:
    plan = shop_planner().plan(sql.encode(), shop_context())
    bound = bind(plan, TextValues(sql.encode(), MODE), sql.encode(), MODE) if isinstance(plan, Sharded) else plan
    assert isinstance(bound, Relay)
    assert bound.shard == shard
    assert bound.facts.kind is StatementKind.EXPLAIN


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("EXPLAIN SELECT * FROM customers WHERE id IN (3, 4)", {"s0": None, "s1": None}),
        (
            "EXPLAIN SELECT AVG(id) FROM customers",
            dict.fromkeys(("s0", "s1", "s2"), "EXPLAIN SELECT AVG(id) , COUNT( id ) , SUM( id ) FROM customers"),
        ),
        (
            "EXPLAIN FORMAT=TREE SELECT id FROM customers LIMIT 3, 2",
            dict.fromkeys(("s0", "s1", "s2"), "EXPLAIN FORMAT=TREE SELECT id FROM customers LIMIT 5"),
        ),
        ("EXPLAIN DELETE FROM customers WHERE id IN (4, 5)", {"s1": None, "s2": None}),
        (
            "EXPLAIN INSERT INTO customers (id) VALUES (3), (4), (6)",
            {
                "s0": "EXPLAIN INSERT INTO customers (id) VALUES (3), (6)",
                "s1": "EXPLAIN INSERT INTO customers (id) VALUES (4)",
            },
        ),
    ],
)
def test_each_shard_explains_what_it_would_be_asked(sql: str, parts: dict[str, str | None]) -> None:
    planner = shop_planner(transactions="best_effort")
    plan = planner.plan(sql.encode(), shop_context())
    assert isinstance(plan, Sharded)
    bound = bind(plan, TextValues(sql.encode(), MODE), sql.encode(), MODE)
    assert isinstance(bound, Scattered)
    assert bound.labelled
    assert bound.facts.kind is StatementKind.EXPLAIN
    assert {part.relay.shard: part.sql.decode() for part in bound.parts} == {
        shard: sql if text is None else text for shard, text in parts.items()
    }
    assert plan_json(plan)["explains"] is True


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("EXPLAIN SELECT * FROM customers GROUP BY name WITH ROLLUP", "ROLLUP"),
        ("EXPLAIN DELETE FROM customers", "DELETE on several shards: not with `transactions: single`"),
    ],
)
def test_what_cannot_be_asked_is_not_explained(sql: str, words: str) -> None:
    plan = shop_planner(transactions="single").plan(sql.encode(), shop_context())
    assert isinstance(plan, Sharded)
    bound = bind(plan, TextValues(sql.encode(), MODE), sql.encode(), MODE)
    assert isinstance(bound, Refused)
    assert words in bound.error.message


@pytest.mark.parametrize(
    "sql",
    [
        "EXPLAIN FORMAT='json' SELECT * FROM customers WHERE id = 4",
        "EXPLAIN SELECT * FROM",
        "EXPLAIN FORMAT=JSON INTO @plan SELECT * FROM customers",
    ],
)
def test_explain_that_is_not_certain(sql: str) -> None:
    assert not isinstance(shop_planner().plan(sql.encode(), shop_context()), Sharded)


def test_what_stands_in_the_way_of_explain() -> None:
    plan = shop_planner().plan(b"EXPLAIN SELECT * FROM customers, notes WHERE id = 5", shop_context())
    assert isinstance(plan, Refused)
    assert "'notes'" in plan.error.message
    assert "column" not in plan.error.message


def test_what_is_no_read_is_refused() -> None:
    plan = shop_planner().plan(b"SELECT my_f(TABLE_NAME) FROM information_schema.TABLES", shop_context())
    assert isinstance(plan, Refused)
    assert "not proven to be a read" in plan.error.message
    facts = analyze(b"SELECT @a := 1 FROM information_schema.TABLES", MODE)
    with pytest.raises(Unplannable):
        asks_of_select(b"SELECT @a := 1 FROM information_schema.TABLES", MODE, facts)


def test_as_json() -> None:
    plan = shop_planner().plan(b"SELECT * FROM information_schema.TABLES", shop_context())
    found = plan_json(plan)
    assert (found["plan"], found["schemas"], found["views"]) == ("described", ["shop"], ["TABLES"])


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SHOW DATABASES", ("SCHEMATA",)),
        ("SHOW SCHEMAS LIKE 'a%'", ("SCHEMATA",)),
        ("SHOW DATABASES WHERE `Database` = 'shop'", ("SCHEMATA",)),
        ("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA", ("SCHEMATA",)),
    ],
)
def test_databases(sql: str, names: tuple[str, ...]) -> None:
    plan = shop_planner().plan(sql.encode(), shop_context())
    assert isinstance(plan, Described)
    assert plan.views == names
    assert [schema.name for schema in plan.shown] == ["shop"]


def test_the_name_of_a_database_is_not_that_of_a_shard() -> None:
    for call in ("DATABASE()", "schema ( )"):
        plan = shop_planner().plan(f"SELECT {call} FROM customers WHERE id = 1".encode(), shop_context())
        assert isinstance(plan, Refused)
        assert "DATABASE() beside tables" in plan.error.message
    assert isinstance(shop_planner().plan(b"SELECT DATABASE()", shop_context()), Relay)
