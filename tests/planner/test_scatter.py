"""SELECTs over several shards: what is asked of each, how rows are merged, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from router.planner.keys import KeyType
from router.planner.plan import Sharded, plan_json
from router.planner.planner import Planner
from router.planner.scatter import weighed
from router.planner.tables import Column, Definition
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
    """What EXPLAIN says of several shards: the parts of the plan, or why there is none."""
    plan = PLANNER.plan(sql.encode(), shop_context())
    assert isinstance(plan, Sharded), plan
    return plan_json(plan)["several"]


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("SELECT * FROM customers", {"pushes_limit": True}),
        ("SELECT id FROM customers ORDER BY id DESC", {"merge": ["0 integer desc"], "pushes_limit": True}),
        ("SELECT * FROM customers ORDER BY id", {"adds": "`id`", "merge": ["-1 integer"], "pushes_limit": True}),
        (
            "SELECT id FROM customers c ORDER BY c.name, level",
            {
                "adds": "WEIGHT_STRING(`c`.`name` AS CHAR(40)), `level` + 0",
                "merge": ["-2 bytes", "-1 integer"],
                "pushes_limit": True,
            },
        ),
        (
            "SELECT tag FROM customers ORDER BY tag",
            {"adds": "WEIGHT_STRING(`tag`)", "merge": ["-1 bytes"], "pushes_limit": True},
        ),
        ("SELECT id + 1 AS x FROM customers ORDER BY x", {"merge": ["0 by_type"], "pushes_limit": True}),
        ("SELECT region AS id FROM customers ORDER BY id", {"merge": ["0 integer"], "pushes_limit": True}),
        (
            "SELECT region AS id, born AS region FROM customers ORDER BY region",
            {"merge": ["1 bytes"], "pushes_limit": True},
        ),
        ("SELECT COUNT(*), SUM(id) FROM customers", {"aggregates": ["sum 0", "sum 1"], "groups": None}),
        (
            "SELECT region, COUNT(*) AS n FROM customers GROUP BY region ORDER BY n DESC",
            {
                "adds": "`region`",
                "order_by": "ORDER BY `region`",
                "groups": ["-1 integer"],
                "aggregates": ["sum 1"],
                "then_by": ["1 decimal desc"],
            },
        ),
        (
            "SELECT AVG(id), MIN(name) FROM customers",
            {
                "adds": "SUM(`id`), COUNT(`id`), WEIGHT_STRING(MIN(`name`) AS CHAR(40))",
                "aggregates": ["avg 0", "min 1"],
            },
        ),
        (
            "SELECT AVG(id), AVG(id) FROM customers",
            {"adds": "SUM(`id`), COUNT(`id`), SUM(`id`), COUNT(`id`)", "aggregates": ["avg 0", "avg 1"]},
        ),
        (
            "SELECT DISTINCT region, born FROM customers ORDER BY born DESC",
            {
                "order_by": "ORDER BY `born` DESC, `region`",
                "merge": ["1 bytes desc", "0 integer"],
                "distinct": True,
                "pushes_limit": True,
            },
        ),
        # The key is among the columns: each shard's groups, distinct rows and windows are whole.
        ("SELECT id, COUNT(*) FROM customers GROUP BY id HAVING COUNT(*) > 1", {"pushes_limit": True}),
        ("SELECT DISTINCT id, note FROM customers", {"pushes_limit": True}),
        ("SELECT RANK() OVER (PARTITION BY id ORDER BY born) FROM customers", {"pushes_limit": True}),
        ("SELECT o.customer_id, SUM(total) FROM orders o GROUP BY o.customer_id", {"pushes_limit": True}),
        (
            "SELECT c.id, o.n FROM customers c "
            "JOIN (SELECT customer_id, COUNT(*) n FROM orders GROUP BY customer_id) o ON o.customer_id = c.id",
            {"pushes_limit": True},
        ),
        ("SELECT r.name, c.id FROM customers c LEFT JOIN regions r ON r.id = c.region", {"pushes_limit": True}),
        ("SELECT r.name, c.id FROM regions r JOIN customers c ON r.id = c.region", {"pushes_limit": True}),
    ],
)
def test_what_is_asked(sql: str, parts: dict[str, Any]) -> None:
    assert planned(sql) == {name: value for name, value in parts.items() if value is not None}


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("SELECT id FROM customers ORDER BY 1", "a position"),
        ("SELECT id FROM customers ORDER BY id + 1", "an expression that is not selected"),
        ("SELECT id FROM customers ORDER BY note", "column 'note' of type text"),
        ("SELECT id FROM customers ORDER BY RAND()", "an expression that is not selected"),
        ("SELECT COUNT(DISTINCT region) FROM customers", "COUNT(DISTINCT …)"),
        ("SELECT GROUP_CONCAT(name) FROM customers", "GROUP_CONCAT()"),
        ("SELECT JSON_ARRAYAGG(name) FROM customers", "JSON_ARRAYAGG"),
        ("SELECT STDDEV(id) FROM customers", "over groups of several shards"),
        ("SELECT BIT_AND(id) FROM customers", "over groups of several shards"),
        ("SELECT COUNT(*) + 1 FROM customers", "over groups of several shards"),
        ("SELECT name, COUNT(*) FROM customers GROUP BY region", "over groups of several shards"),
        ("SELECT region, COUNT(*) FROM customers GROUP BY region WITH ROLLUP", "ROLLUP"),
        ("SELECT region FROM customers GROUP BY region HAVING COUNT(*) > 1", "HAVING"),
        ("SELECT region % 2, COUNT(*) FROM customers GROUP BY region % 2", "GROUP BY of an expression"),
        ("SELECT MIN(level) FROM customers", "of type enum"),
        ("SELECT region, MIN(born) m FROM customers GROUP BY region ORDER BY m", "ORDER BY of MIN or MAX"),
        ("SELECT region FROM customers GROUP BY region ORDER BY COUNT(*)", "not selected"),
        ("SELECT DISTINCT * FROM customers", "DISTINCT *"),
        ("SELECT DISTINCT region + 1 FROM customers", "an expression to order or group by"),
        ("SELECT ROW_NUMBER() OVER (ORDER BY id) FROM customers", "a window over rows"),
        ("SELECT COUNT(*) OVER () FROM customers", "a window over rows"),
        ("SELECT id FROM customers UNION ALL SELECT id FROM customers", "UNION"),
        ("SELECT r.name FROM regions r LEFT JOIN customers c ON c.region = r.id", "preserved side"),
        ("SELECT c.id FROM customers c RIGHT JOIN regions r ON c.region = r.id", "preserved side"),
        ("SELECT name FROM regions WHERE EXISTS (SELECT 1 FROM customers)", "preserved side"),
        ("SELECT c.id FROM customers c JOIN orders o ON o.id = c.id", "'customers' and 'orders' joined"),
        ("SELECT id FROM customers WHERE name = (SELECT MAX(name) FROM customers)", "joined by something else"),
        ("SELECT * FROM (SELECT id FROM customers LIMIT 5) x", "LIMIT in a derived table"),
        ("SELECT * FROM (SELECT COUNT(*) FROM customers) x", "an aggregate in a derived table"),
        ("SELECT * FROM (SELECT region, COUNT(*) FROM customers GROUP BY region) x", "GROUP BY in a derived table"),
        ("SELECT * FROM (SELECT DISTINCT region FROM customers) x", "DISTINCT in a derived table"),
        ("SELECT * FROM (SELECT SUM(id) OVER () FROM customers) x", "a window in a derived table"),
        ("SELECT * FROM (SELECT * FROM (SELECT id FROM customers LIMIT 5) y) x", "LIMIT in a derived table"),
        ("SELECT DATABASE(), id FROM customers", "CURRENT_SCHEMA()"),
        # The key of the optional side is NULL on every shard.
        (
            "SELECT o.customer_id, COUNT(*) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id "
            "GROUP BY o.customer_id HAVING COUNT(*) > 1",
            "HAVING",
        ),
        (
            "SELECT RANK() OVER (PARTITION BY o.customer_id ORDER BY c.id) FROM customers c "
            "LEFT JOIN orders o ON o.customer_id = c.id",
            "a window",
        ),
        ("SELECT id FROM customers FOR UPDATE", "locking_read"),
        ("SELECT id FROM customers WHERE id > @a", "user_variable"),
        ("UPDATE customers SET name = 'x'", "UPDATE on several shards"),
        ("DELETE FROM customers", "DELETE on several shards"),
    ],
)
def test_what_is_refused(sql: str, construct: str) -> None:
    several = planned(sql)
    assert isinstance(several, str), several
    assert construct in several


@pytest.mark.parametrize("kind", ["json", "bit", "time", "geometry", "text", "blob"])
def test_types_without_an_order_of_ours(kind: str) -> None:
    with pytest.raises(Exception, match=kind):
        weighed(column("x", kind), "`x`")
