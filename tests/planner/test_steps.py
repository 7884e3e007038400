"""Which queries inside a statement are asked before it, and what they are there for."""

from __future__ import annotations

from typing import Any

import pytest

from router.planner.clauses import Span
from router.planner.plan import Answers, Sharded, plan_json
from router.planner.steps import found_in
from router.sql.lexer import LexMode, tokens_of
from tests.planner.fix_shards import shop_context, shop_planner


def first(sql: str) -> list[str] | str:
    """The steps in a few words, or why it is refused."""
    plan = shop_planner().plan(sql.encode(), shop_context())
    assert isinstance(plan, Sharded)
    if plan.first is None:
        return plan.refused.error.message if plan.scatter is None else "one step"
    tokens = tokens_of(sql.encode(), LexMode())
    return [
        " ".join(
            str(each)
            for each in (
                step.answers,
                step.use,
                sql[tokens[step.span.first].start : tokens[step.span.last - 1].end],
                *(() if step.shown is None else (f"at {step.shown}",)),
                *(() if step.compared is None else (f"with {step.compared}",)),
                step.behind.decode(),
            )
            if each
        )
        for step in plan.first.steps
    ]


@pytest.mark.parametrize(
    ("sql", "steps"),
    [
        (
            "SELECT id FROM customers WHERE region = (SELECT MAX(region) FROM customers)",
            ["value compared (SELECT MAX(region) FROM customers) with number  LIMIT 2"],
        ),
        (
            "SELECT id FROM customers WHERE region NOT IN (SELECT id FROM orders LIMIT 3)",
            "'customers' and 'orders' joined by something else",
        ),
        (
            "SELECT id FROM customers WHERE region NOT IN (SELECT id FROM orders)",
            ["list compared (SELECT id FROM orders) with number  LIMIT 10001"],
        ),
        (
            "SELECT id FROM customers WHERE region = ANY (SELECT id FROM orders)",
            ["list compared = ANY (SELECT id FROM orders) with number  LIMIT 10001"],
        ),
        (
            "SELECT id FROM customers WHERE region <> ALL (SELECT id FROM orders)",
            ["list compared <> ALL (SELECT id FROM orders) with number  LIMIT 10001"],
        ),
        ("SELECT id FROM customers WHERE region > ALL (SELECT id FROM orders)", "joined by something else"),
        (
            "SELECT *, (SELECT COUNT(*) FROM orders) FROM customers WHERE NOT EXISTS (SELECT 1 FROM orders)",
            [
                "value shown (SELECT COUNT(*) FROM orders) at -1  LIMIT 2",
                "exists computed EXISTS (SELECT 1 FROM orders)  LIMIT 1",
            ],
        ),
        (
            "SELECT (SELECT MAX(id) FROM orders) AS m FROM customers HAVING m > 3",
            ["value computed (SELECT MAX(id) FROM orders) at 0  LIMIT 2"],
        ),
        (
            "SELECT (SELECT MAX(id) FROM orders) AS m FROM customers ORDER BY m",
            ["value shown (SELECT MAX(id) FROM orders) at 0  LIMIT 2"],
        ),
        # What is tied to the row around it stays where it is.
        (
            "SELECT id FROM customers c WHERE id IN (SELECT customer_id FROM orders) AND region > "
            "(SELECT AVG(region) FROM customers)",
            ["value compared (SELECT AVG(region) FROM customers) with number  LIMIT 2"],
        ),
        ("SELECT id FROM customers WHERE id IN (SELECT customer_id FROM orders)", "one step"),
        # Names of the statement around it.
        (
            "SELECT id FROM customers c WHERE region = (SELECT MAX(id) FROM orders o WHERE o.id = c.region)",
            "joined by something else",
        ),
        (
            "SELECT id FROM customers WHERE region = (SELECT MAX(id) FROM orders WHERE id = region)",
            "joined by something else",
        ),
        # Another value each time.
        ("SELECT id FROM customers WHERE region = (SELECT RAND() FROM orders LIMIT 1)", "joined by something else"),
        (
            "SELECT id FROM customers UNION ALL SELECT (SELECT MAX(id) FROM orders) FROM customers",
            ["value computed (SELECT MAX(id) FROM orders)  LIMIT 2"],
        ),
        (
            "SELECT (SELECT MAX(id) FROM orders) AS m FROM customers ORDER BY 1",
            ["value shown (SELECT MAX(id) FROM orders) at 0  LIMIT 2"],
        ),
        (
            "SELECT (SELECT MAX(id) FROM customers) AS m, id FROM orders WHERE customer_id = 4 GROUP BY m WITH ROLLUP",
            ["value computed (SELECT MAX(id) FROM customers)  LIMIT 2"],
        ),
        # No name that clients could be told.
        ("SELECT (SELECT MAX(id) FROM orders) FROM customers UNION ALL SELECT id FROM customers", "used apart"),
        ("SELECT * FROM (SELECT id, (SELECT MAX(id) FROM orders) FROM customers) d", "used apart"),
        ("SELECT (SELECT id, total FROM orders WHERE id = 1) FROM customers", "joined by something else"),
    ],
)
def test_what_is_asked_beforehand(sql: str, steps: list[str] | str) -> None:
    found = first(sql)
    if isinstance(steps, str):
        assert isinstance(found, str)
        assert steps in found
    else:
        assert found == steps


def test_queries_in_expressions_are_found_by_their_place() -> None:
    derived = b"(SELECT 4 FROM t WHERE x = (SELECT 5)) d, (SELECT 6) e"
    sql = b"SELECT (SELECT 1), f((SELECT 2), 3) FROM " + derived + b" WHERE EXISTS (SELECT 7)"
    tokens = tokens_of(sql, LexMode())
    found = [
        (each.answers, sql[tokens[each.query.first].start : tokens[each.query.last - 1].end].decode())
        for each in found_in(tokens, Span(0, len(tokens)))
    ]
    value, exists = Answers.VALUE, Answers.EXISTS
    assert found == [(value, "SELECT 1"), (value, "SELECT 2"), (value, "SELECT 5"), (exists, "SELECT 7")]


def test_the_plan_says_it_in_words() -> None:
    sql = b"SELECT total FROM orders WHERE customer_id IN (SELECT region FROM customers WHERE name = 'x')"
    plan: dict[str, Any] = plan_json(shop_planner().plan(sql, shop_context()))
    assert plan["several"]["first"][0]["answers"] == "list"
    assert plan["several"]["first"][0]["several"] == {"asks": "… … … … … …", "pushes_limit": True}
    assert plan["several"]["then"]["placement"] == ["orders: one of results of query 1"]
