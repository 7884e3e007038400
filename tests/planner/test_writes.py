"""UPDATE and DELETE on several shards, and of every copy of a broadcast table."""

from __future__ import annotations

import pytest

from router.planner.plan import Refused, Relay, Spread
from tests.planner.fix_shards import written


def refused(sql: str, transactions: str = "best_effort") -> str:
    plan = written(sql, transactions)
    assert isinstance(plan, Refused), plan
    assert plan.error.code == 1235
    return plan.error.message


@pytest.mark.parametrize(
    ("sql", "shards"),
    [
        ("UPDATE customers SET name = 'x'", "s0 s1 s2"),
        ("UPDATE IGNORE customers SET name = UPPER(name), region = DEFAULT WHERE id IN (3, 4)", "s0 s1"),
        ("DELETE FROM customers WHERE region = 5", "s0 s1 s2"),
        ("DELETE FROM levels WHERE n < 50", "s0 s1"),
        ("UPDATE customers c JOIN orders o ON o.customer_id = c.id SET c.name = 'x', o.total = 1", "s0 s1 s2"),
        ("UPDATE customers c, orders o SET o.total = c.region WHERE o.customer_id = c.id AND c.id IN (3, 4)", "s0 s1"),
        ("UPDATE customers c LEFT JOIN orders o ON o.customer_id = c.id SET c.name = 'x' WHERE o.id IS NULL",
         "s0 s1 s2"),
        ("UPDATE customers c JOIN regions r ON r.id = c.region SET c.name = r.name", "s0 s1 s2"),
        ("UPDATE customers c LEFT JOIN regions r ON r.id = c.region SET c.name = 'none' WHERE r.id IS NULL",
         "s0 s1 s2"),
        ("UPDATE customers c SET region = (SELECT COUNT(*) FROM orders o WHERE o.customer_id = c.id)", "s0 s1 s2"),
        ("DELETE FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE region = 1)", "s0 s1 s2"),
        ("DELETE FROM customers WHERE region IN (SELECT id FROM regions)", "s0 s1 s2"),
        ("DELETE o FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.region = 1", "s0 s1 s2"),
        ("DELETE o, c FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id IN (3, 4)", "s0 s1"),
        ("DELETE FROM o USING orders AS o LEFT JOIN customers c ON c.id = o.customer_id WHERE c.id IS NULL",
         "s0 s1 s2"),
        ("DELETE customers FROM customers JOIN regions ON regions.id = region", "s0 s1 s2"),
        ("UPDATE customers c JOIN (SELECT customer_id, SUM(total) AS s FROM orders GROUP BY customer_id) o "
         "ON o.customer_id = c.id SET c.region = o.s", "s0 s1 s2"),
    ],
)  # fmt: skip
def test_every_shard_decides_about_its_rows(sql: str, shards: str) -> None:
    plan = written(sql)
    assert isinstance(plan, Spread), plan
    assert [part.relay.shard for part in plan.parts] == shards.split()
    assert {(part.sql, part.parameters) for part in plan.parts} == {(sql.encode(), None)}
    assert not plan.copies
    assert not plan.clock


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("UPDATE customers SET id = id", "'id', which decides the shard"),
        ("UPDATE customers SET id = id + 1", "'id', which decides the shard"),
        ("UPDATE customers SET name = 'x' LIMIT 1", "UPDATE with LIMIT"),
        ("UPDATE customers SET name = 'x' ORDER BY id", "UPDATE with ORDER BY"),
        ("DELETE FROM customers ORDER BY id LIMIT 1", "DELETE with ORDER BY"),
        ("DELETE FROM customers LIMIT 1", "DELETE with LIMIT"),
        ("DELETE FROM customers WHERE name = 'x' RETURNING id", "RETURNING"),
        ("DELETE o FROM orders o JOIN customers c ON c.region = o.id", "'customers' and 'orders'"),
        ("DELETE r FROM regions r JOIN customers c ON c.region = r.id", "DELETE of broadcast table 'regions' joined"),
        ("DELETE o FROM orders a JOIN orders b ON a.customer_id = b.customer_id", "cannot be told for certain"),
        ("UPDATE customers SET name = @x", "user variables"),
        ("UPDATE customers SET name = f(id)", "F()"),
        ("UPDATE customers SET region = LAST_INSERT_ID(region + 1)", "LAST_INSERT_ID()"),
        ("UPDATE customers SET name = DATABASE()", "DATABASE()"),
        ("DELETE FROM customers WHERE region = (SELECT MAX(region) FROM customers)", "'customers'"),
        ("DELETE FROM customers WHERE region IN (SELECT total FROM orders)", "'customers' and 'orders'"),
        ("UPDATE customers c JOIN orders o ON o.id = c.region SET c.name = 'x'", "'customers' and 'orders'"),
        ("UPDATE customers a JOIN customers b ON a.region = b.region SET a.name = b.name", "'customers'"),
        ("UPDATE regions r LEFT JOIN customers c ON c.region = r.id SET c.name = 'x'", "preserved side"),
        ("UPDATE customers c JOIN (SELECT customer_id, total FROM orders LIMIT 3) o ON o.customer_id = c.id "
         "SET c.name = 'x'", "'customers' and 'orders'"),
        ("UPDATE customers c JOIN (SELECT MAX(total) AS m FROM orders) o SET c.region = o.m",
         "'customers' and 'orders'"),
        ("DELETE FROM customers WHERE id IN (SELECT id FROM notes)", "'notes'"),
        ("UPDATE customers SET region = (SELECT id FROM regions LIMIT 1)", "LIMIT in a subquery"),
        ("UPDATE customers SET region = (SELECT id FROM regions UNION SELECT id FROM tags LIMIT 1)", "behind a UNION"),
    ],
)  # fmt: skip
def test_what_several_shards_cannot_do(sql: str, construct: str) -> None:
    assert construct in refused(sql)


def test_one_shard_does_anything() -> None:
    plan = written("UPDATE customers SET name = @x WHERE id = 4 ORDER BY region LIMIT 1", "single")
    assert isinstance(plan, Relay)
    assert plan.shard == "s1"


def test_settings_that_do_not_let_it() -> None:
    assert refused("DELETE FROM customers", "single") == (
        "router: DELETE on several shards: not with `transactions: single` of schema 'shop'; "
        "compare customers.id with a value, or set `transactions: best_effort`"
    )
    assert "`transactions: xa` of schema 'shop', which is taken for `single`" in refused("DELETE FROM customers", "xa")
    for sql in ("DELETE FROM regions WHERE id = 1", "UPDATE regions SET name = 'x'"):
        assert "every copy of a broadcast table" in refused(sql, "single")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE regions SET name = 'x', id = id + 1",
        "UPDATE regions SET name = NOW() WHERE id = 4 ORDER BY id LIMIT 1",
        "DELETE FROM regions",
        "DELETE FROM regions ORDER BY name, id DESC LIMIT 3",
        "DELETE FROM regions WHERE id IN (SELECT id FROM tags WHERE name = 'x')",
        "UPDATE regions r SET name = (SELECT COUNT(*) FROM tags t WHERE t.id = r.id)",
        "UPDATE tokens SET id = 5",
    ],
)
def test_every_copy_is_changed(sql: str) -> None:
    plan = written(sql)
    assert isinstance(plan, Spread), plan
    assert plan.copies
    assert plan.clock
    assert [(part.relay.shard, part.sql) for part in plan.parts] == [
        (shard, sql.encode()) for shard in ("s0", "s1", "s2")
    ]


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("UPDATE regions SET name = RAND()", "RAND()"),
        ("DELETE FROM regions WHERE RAND() < 0.5", "RAND()"),
        ("UPDATE regions SET name = @x", "user variables"),
        ("UPDATE regions SET name = f(1)", "F()"),
        ("UPDATE IGNORE regions SET id = 1", "IGNORE"),
        ("DELETE FROM regions LIMIT 1", "LIMIT"),
        ("DELETE FROM regions ORDER BY name LIMIT 1", "unique key"),
        ("DELETE FROM regions WHERE id = 1 RETURNING id", "RETURNING"),
        ("DELETE FROM regions WHERE id IN (SELECT region FROM customers)", "sharded table 'customers'"),
        ("UPDATE regions SET name = (SELECT MAX(name) FROM customers)", "sharded table 'customers'"),
        ("UPDATE regions r JOIN tags t ON t.id = r.id SET r.name = t.name", "joined with others"),
        ("UPDATE regions r JOIN customers c ON c.region = r.id SET r.name = c.name", "'customers'"),
        ("UPDATE customers c JOIN regions r ON r.id = c.region SET r.name = 'x', c.name = 'y'", "and of others"),
        ("UPDATE regions SET name = (SELECT name FROM tags LIMIT 1)", "LIMIT in a subquery"),
        ("UPDATE regions SET name = (SELECT MAX(name) FROM tags)", "an aggregate in a subquery"),
        ("UPDATE regions SET name = (SELECT name FROM tags UNION SELECT name FROM sizes LIMIT 1)", "behind a UNION"),
        ("UPDATE regions SET name = (SELECT name FROM tags GROUP BY id)", "GROUP in a subquery"),
        ("UPDATE tokens SET token = DEFAULT", "column 'token'"),
    ],
)
def test_what_copies_cannot_do(sql: str, construct: str) -> None:
    assert construct in refused(sql)
