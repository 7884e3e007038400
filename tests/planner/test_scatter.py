"""SELECTs over several shards: what is asked of each, how rows are merged, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from router.planner.binding import TextValues, bind
from router.planner.columns import weighed
from router.planner.keys import KeyType
from router.planner.merging import Scatter
from router.planner.plan import Refused, Scattered, Sharded, plan_json
from router.planner.planner import Planner
from router.planner.tables import Column, Definition
from router.planner.variants import Variants
from router.sql.fingerprint import literals
from tests.planner.fix_shards import DEFINITIONS, INT, shop_catalog, shop_context


def column(name: str, kind: str, key: KeyType | None = None, **more: Any) -> Column:
    return Column(name, kind, key, nullable=False, **more)


WIDE = Definition(
    {
        each.name: each
        for each in (
            column("id", "int", INT),
            column("name", "varchar", length=40, collation="utf8mb4_general_ci"),
            column("tag", "varchar", length=9, collation="utf8mb4_0900_ai_ci", pads=False),
            column("level", "enum"),
            column("made", "timestamp"),
            column("born", "date"),
            column("score", "float"),
            column("note", "text"),
            column("region", "int"),
        )
    }
)
PLANNER = Planner(shop_catalog({"shop": {**DEFINITIONS["shop"], "customers": WIDE}}))


def planned(sql: str) -> Any:
    """What a shard is asked and how rows are merged, in the plan's own words; or why it is refused."""
    text, context = sql.encode(), shop_context()
    plan = PLANNER.plan(text, context)
    assert isinstance(plan, Sharded), plan
    bound = bind(plan, TextValues(text, context.mode), text, context.mode)
    if isinstance(bound, Refused):
        return bound.error.message
    assert isinstance(bound, Scattered), bound
    made = plan.scatter.of(literals(text, context.mode)) if isinstance(plan.scatter, Variants) else plan.scatter
    assert isinstance(made, Scatter)
    return plan_json(replace(plan, scatter=made))["several"] | {"asks": bound.parts[0].sql.decode()}


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("SELECT * FROM customers", {"asks": "SELECT * FROM customers", "pushes_limit": True}),
        (
            "SELECT id FROM customers ORDER BY id DESC",
            {"asks": "SELECT id FROM customers ORDER BY id DESC", "merge": ["0 integer desc"], "pushes_limit": True},
        ),
        (
            "SELECT * FROM customers ORDER BY id",
            {"asks": "SELECT * , `id` FROM customers ORDER BY id", "merge": ["-1 integer"], "pushes_limit": True},
        ),
        (
            "SELECT id FROM customers c ORDER BY c.name, level",
            {
                "asks": (
                    "SELECT id , `level` + 0 , WEIGHT_STRING(`c`.`name` AS CHAR(40)) FROM customers c ORDER BY "
                    "c.name, level"
                ),
                "merge": ["-1 bytes", "-2 integer"],
                "pushes_limit": True,
            },
        ),
        (
            "SELECT tag FROM customers ORDER BY tag",
            {
                "asks": "SELECT tag , WEIGHT_STRING(`tag`) FROM customers ORDER BY tag",
                "merge": ["-1 bytes"],
                "pushes_limit": True,
            },
        ),
        (
            "SELECT id + 1 AS x FROM customers ORDER BY x",
            {"asks": "SELECT id + 1 AS x FROM customers ORDER BY x", "merge": ["0 by_type"], "pushes_limit": True},
        ),
        (
            "SELECT region AS id FROM customers ORDER BY id",
            {"asks": "SELECT region AS id FROM customers ORDER BY id", "merge": ["0 integer"], "pushes_limit": True},
        ),
        (
            "SELECT region AS id, born AS region FROM customers ORDER BY region",
            {
                "asks": "SELECT region AS id, born AS region FROM customers ORDER BY region",
                "merge": ["1 bytes"],
                "pushes_limit": True,
            },
        ),
        (
            "SELECT COUNT(*), SUM(id) FROM customers",
            {"asks": "SELECT COUNT(*), SUM(id) FROM customers", "aggregates": ["sum 0", "sum 1"]},
        ),
        (
            "SELECT region, COUNT(*) AS n FROM customers GROUP BY region ORDER BY n DESC",
            {
                "asks": "SELECT region, COUNT(*) AS n FROM customers GROUP BY region ORDER BY 1",
                "groups": ["0 integer"],
                "aggregates": ["sum 1"],
                "then_by": ["1 decimal desc"],
            },
        ),
        (
            "SELECT AVG(id), MIN(name) FROM customers",
            {
                "asks": (
                    "SELECT AVG(id), MIN(name) , WEIGHT_STRING(MIN(`name`) AS CHAR(40)) , COUNT( id ) , SUM( "
                    "id ) FROM customers"
                ),
                "aggregates": ["avg 0", "min 1"],
            },
        ),
        (
            "SELECT AVG(id), AVG(id) FROM customers",
            {
                "asks": "SELECT AVG(id), AVG(id) , COUNT( id ) , SUM( id ) , COUNT( id ) , SUM( id ) FROM customers",
                "aggregates": ["avg 0", "avg 1"],
            },
        ),
        (
            "SELECT DISTINCT region, born FROM customers ORDER BY born DESC",
            {
                "asks": "SELECT DISTINCT region, born FROM customers ORDER BY 2 DESC, 1",
                "merge": ["1 bytes desc", "0 integer"],
                "distinct": True,
                "pushes_limit": True,
            },
        ),
        (
            "SELECT id, COUNT(*) FROM customers GROUP BY id HAVING COUNT(*) > 1",
            {"asks": "SELECT id, COUNT(*) FROM customers GROUP BY id HAVING COUNT(*) > 1", "pushes_limit": True},
        ),
        (
            "SELECT DISTINCT id, note FROM customers",
            {"asks": "SELECT DISTINCT id, note FROM customers", "pushes_limit": True},
        ),
        (
            "SELECT RANK() OVER (PARTITION BY id ORDER BY born) FROM customers",
            {"asks": "SELECT RANK() OVER (PARTITION BY id ORDER BY born) FROM customers", "pushes_limit": True},
        ),
        (
            "SELECT o.customer_id, SUM(total) FROM orders o GROUP BY o.customer_id",
            {"asks": "SELECT o.customer_id, SUM(total) FROM orders o GROUP BY o.customer_id", "pushes_limit": True},
        ),
        (
            "SELECT c.id, o.n FROM customers c JOIN (SELECT customer_id, COUNT(*) n FROM orders GROUP "
            "BY customer_id) o ON o.customer_id = c.id",
            {
                "asks": (
                    "SELECT c.id, o.n FROM customers c JOIN (SELECT customer_id, COUNT(*) n FROM orders GROUP "
                    "BY customer_id) o ON o.customer_id = c.id"
                ),
                "pushes_limit": True,
            },
        ),
        (
            "SELECT r.name, c.id FROM customers c LEFT JOIN regions r ON r.id = c.region",
            {
                "asks": "SELECT r.name, c.id FROM customers c LEFT JOIN regions r ON r.id = c.region",
                "pushes_limit": True,
            },
        ),
        (
            "SELECT r.name, c.id FROM regions r JOIN customers c ON r.id = c.region",
            {"asks": "SELECT r.name, c.id FROM regions r JOIN customers c ON r.id = c.region", "pushes_limit": True},
        ),
    ],
)
def test_what_is_asked(sql: str, parts: dict[str, Any]) -> None:
    assert planned(sql) == parts


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("SELECT id FROM customers ORDER BY 2", "a position that is not among the columns"),
        ("SELECT id FROM customers ORDER BY (SELECT 1)", "a subquery to order"),
        ("SELECT id FROM customers ORDER BY note", "column 'note' of type text"),
        ("SELECT id FROM customers ORDER BY RAND()", "RAND()"),
        ("SELECT JSON_ARRAYAGG(name) FROM customers", "JSON_ARRAYAGG"),
        ("SELECT JSON_ARRAYAGG(id) FROM customers", "over groups of several shards"),
        ("SELECT name, COUNT(*) FROM customers GROUP BY region", "over groups of several shards"),
        ("SELECT region, COUNT(*) FROM customers GROUP BY region WITH ROLLUP", "ROLLUP"),
        ("SELECT DISTINCT * FROM customers", "DISTINCT *"),
        ("SELECT DISTINCT region FROM customers ORDER BY id", "in the order of what is not selected"),
        ("SELECT ROW_NUMBER() OVER (ORDER BY id) FROM customers", "a window over rows"),
        ("SELECT COUNT(*) OVER () FROM customers", "a window over rows"),
        ("(SELECT id FROM customers)", "a SELECT in parentheses"),
        ("SELECT r.name FROM regions r LEFT JOIN customers c ON c.region = r.id", "preserved side"),
        ("SELECT c.id FROM customers c RIGHT JOIN regions r ON c.region = r.id", "preserved side"),
        (
            "SELECT r.name FROM regions r WHERE EXISTS (SELECT 1 FROM customers c WHERE c.region = r.id)",
            "preserved side",
        ),
        ("SELECT c.id FROM customers c JOIN orders o ON o.id = c.id", "'customers' and 'orders' joined"),
        ("SELECT id FROM customers WHERE region > ALL (SELECT region FROM customers)", "joined by something else"),
        ("SELECT * FROM (SELECT id FROM customers LIMIT 5) x", "LIMIT in a derived table"),
        ("SELECT * FROM (SELECT COUNT(*) FROM customers) x", "an aggregate in a derived table"),
        ("SELECT * FROM (SELECT region, COUNT(*) FROM customers GROUP BY region) x", "GROUP BY in a derived table"),
        ("SELECT * FROM (SELECT DISTINCT region FROM customers) x", "DISTINCT in a derived table"),
        ("SELECT * FROM (SELECT SUM(id) OVER () FROM customers) x", "a window in a derived table"),
        ("SELECT * FROM (SELECT * FROM (SELECT id FROM customers LIMIT 5) y) x", "LIMIT in a derived table"),
        # The key of the optional side is NULL on every shard.
        (
            "SELECT o.customer_id, COUNT(*) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id "
            "GROUP BY o.customer_id WITH ROLLUP",
            "ROLLUP",
        ),
        (
            "SELECT RANK() OVER (PARTITION BY o.customer_id ORDER BY c.id) FROM customers c "
            "LEFT JOIN orders o ON o.customer_id = c.id",
            "a window",
        ),
        ("SELECT id FROM customers FOR UPDATE", "best_effort"),
        ("SELECT id FROM customers WHERE id > @a", "user_variable"),
        ("UPDATE customers SET name = 'x'", "UPDATE on several shards"),
        ("DELETE FROM customers", "DELETE on several shards"),
    ],
)
def test_what_is_refused(sql: str, construct: str) -> None:
    several = planned(sql)
    assert isinstance(several, str), several
    assert construct in several


@pytest.mark.parametrize("kind", ["json", "bit", "geometry", "text", "blob"])
def test_types_without_an_order_of_ours(kind: str) -> None:
    with pytest.raises(Exception, match=kind):
        weighed(column("x", kind), "`x`")


@pytest.mark.parametrize(("kind", "length"), [("varchar", 513), ("char", 600), ("varbinary", 1025)])
def test_values_longer_than_what_servers_sort_by(kind: str, length: int) -> None:
    assert weighed(column("x", kind, length=length // 2), "`x`")
    with pytest.raises(Exception, match="longer than what servers sort by"):
        weighed(column("x", kind, length=length), "`x`")
