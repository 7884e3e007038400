"""INSERT … SELECT where every row stays on its shard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.planner.insert_select import _fits
from router.planner.keys import KeyKind, KeyType
from router.planner.plan import Refused, Relay, Spread
from tests.planner.fix_shards import DAY, FOLDED, INT, TEXT, written


def refused(sql: str) -> str:
    plan = written(sql)
    assert isinstance(plan, Refused), plan
    assert plan.error.code == 1235
    return plan.error.message


@pytest.mark.parametrize(
    ("sql", "shards"),
    [
        ("INSERT INTO orders (customer_id, id) SELECT id, region FROM customers", "s0 s1 s2"),
        ("REPLACE INTO orders (customer_id, id) SELECT id, 1 FROM customers WHERE id IN (3, 4)", "s0 s1"),
        ("INSERT IGNORE INTO customers SELECT * FROM customers", "s0 s1 s2"),
        ("INSERT INTO items (customer_id, id, order_id) SELECT c.id, o.id, o.id FROM customers c "
         "JOIN orders o ON o.customer_id = c.id ORDER BY o.id", "s0 s1 s2"),
        ("INSERT INTO orders (customer_id, id) SELECT i.customer_id, 1 FROM customers c "
         "JOIN items i ON i.customer_id = c.id JOIN regions r ON r.id = c.region", "s0 s1 s2"),
        ("INSERT INTO customers (id, region) SELECT customer_id, SUM(total) FROM orders GROUP BY customer_id "
         "ON DUPLICATE KEY UPDATE region = VALUES(region)", "s0 s1 s2"),
        ("INSERT INTO customers (id, region) SELECT o.customer_id, o.s FROM "
         "(SELECT customer_id, SUM(total) AS s FROM orders GROUP BY customer_id) o", "s0 s1 s2"),
        ("INSERT INTO customers (id) SELECT customer_id FROM orders o WHERE NOT EXISTS "
         "(SELECT 1 FROM customers c WHERE c.id = o.customer_id)", "s0 s1 s2"),
        ("INSERT INTO logs SELECT id, customer_id, UUID() FROM logs", "s0 s1 s2"),
        ("INSERT INTO orders (customer_id, id) (SELECT id, region FROM customers)", "s0 s1 s2"),
        ("INSERT INTO orders (customer_id, id) WITH c AS (SELECT id, region FROM customers) SELECT id, region FROM c",
         "s0 s1 s2"),
    ],
)  # fmt: skip
def test_rows_stay_where_they_are(sql: str, shards: str) -> None:
    plan = written(sql)
    assert isinstance(plan, Spread), plan
    assert [part.relay.shard for part in plan.parts] == shards.split()
    assert {(part.sql, part.parameters) for part in plan.parts} == {(sql.encode(), None)}


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders (customer_id, id) SELECT id, @x FROM customers WHERE id = 4",
        "INSERT INTO logs (customer_id, text) SELECT DISTINCT customer_id, 'x' FROM orders WHERE "
        "customer_id = 4 LIMIT 3",
        "INSERT INTO customers (id, region) SELECT customer_id, SUM(total) FROM orders WHERE "
        "customer_id = 7 GROUP BY 1",
    ],
)
def test_one_shard(sql: str) -> None:
    plan = written(sql)
    assert isinstance(plan, Relay), plan
    assert plan.shard == "s1"


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        # Rows that would have to move.
        ("INSERT INTO orders (customer_id, id) SELECT region, id FROM customers", "'customer_id', which decides"),
        ("INSERT INTO orders (customer_id, id) SELECT id + 0, id FROM customers", "'customer_id', which decides"),
        ("INSERT INTO orders (customer_id, id) SELECT 5, id FROM customers WHERE id = 5",
         "'customer_id', which decides"),
        ("INSERT INTO orders (id) SELECT id FROM customers", "without a value for 'customer_id'"),
        ("INSERT INTO customers (id) SELECT n FROM levels", "'id', which decides"),
        ("INSERT INTO customers (id) SELECT id FROM regions", "'id', which decides"),
        ("INSERT INTO customers (id, region) SELECT MAX(customer_id), 1 FROM orders", "no row's key"),
        ("INSERT INTO customers (id, region) SELECT customer_id, COUNT(*) FROM orders WHERE customer_id = 5",
         "no row's key"),
        ("INSERT INTO customers (id) SELECT customer_id FROM orders WHERE customer_id = 5 GROUP BY "
         "customer_id WITH ROLLUP",
         "no row's key"),
        ("INSERT INTO customers (id) SELECT o.customer_id FROM regions r LEFT JOIN orders o ON o.id = r.id",
         "'id', which"),
        ("INSERT INTO customers (id) SELECT (SELECT id FROM customers c WHERE c.id = o.customer_id) FROM orders o",
         "'id', which decides"),
        ("INSERT INTO customers SELECT * FROM orders", "'id', which decides"),
        ("INSERT INTO customers (id) SELECT id FROM customers UNION SELECT customer_id FROM orders", "UNION"),
        # What one shard does not know.
        ("INSERT INTO orders (customer_id, id) SELECT id, region FROM customers LIMIT 5", "LIMIT in a SELECT"),
        ("INSERT INTO orders (customer_id, id) SELECT DISTINCT id, region FROM customers", "DISTINCT in a SELECT"),
        ("INSERT INTO customers (id, region) SELECT customer_id, total FROM orders GROUP BY total",
         "GROUP BY in a SELECT"),
        ("INSERT INTO orders (customer_id, id) SELECT id, ROW_NUMBER() OVER (ORDER BY name) FROM customers",
         "a window"),
        ("INSERT INTO orders (customer_id, id) SELECT c.id, o.id FROM customers c JOIN orders o ON o.id = c.region",
         "'customers' and 'orders'"),
        ("INSERT INTO logs (customer_id, text) SELECT id, name FROM customers", "without a value for 'id'"),
        ("INSERT INTO logs (id, customer_id) SELECT region, id FROM customers", "without a value for 'id'"),
        ("INSERT INTO orders (customer_id, id) SELECT id, @x FROM customers", "user variables"),
        ("INSERT INTO customers (id, region) SELECT customer_id, 1 FROM orders ON DUPLICATE KEY UPDATE id = 5",
         "ON DUPLICATE KEY UPDATE of 'id'"),
        ("INSERT INTO customers SELECT c.*, 1 FROM customers c", "of * and more"),
        ("INSERT INTO customers (id, region) SELECT id, (SELECT id FROM regions UNION SELECT id FROM tags LIMIT 1) "
         "FROM customers", "behind a UNION"),
        ("INSERT INTO customers (id) SELECT * FROM customers", "does not fit"),
        ("INSERT INTO customers (id) SELECT c.id FROM customers c JOIN notes n ON n.id = c.id", "'notes'"),
        ("INSERT INTO notes SELECT * FROM customers WHERE id = 5", "an INSERT of this form"),
        ("INSERT INTO regions SELECT id, name FROM customers", "into broadcast table 'regions'"),
        ("INSERT INTO regions SELECT id, name FROM tags", "into broadcast table 'regions'"),
    ],
)  # fmt: skip
def test_what_is_refused(sql: str, construct: str) -> None:
    assert construct in refused(sql)


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        (INT, INT, True),
        (INT, replace(INT, high=2**63), True),
        (INT, replace(INT, low=0), False),
        (replace(INT, high=2**63), INT, False),
        (TEXT, TEXT, True),
        (TEXT, replace(TEXT, high=39), False),
        (TEXT, FOLDED, False),
        (TEXT, INT, False),
        (DAY, DAY, True),
        (DAY, KeyType(KeyKind.DATETIME), False),
        (KeyType(KeyKind.DATETIME, scale=3), KeyType(KeyKind.DATETIME, scale=0), False),
        (KeyType(KeyKind.DECIMAL, high=99, scale=2), KeyType(KeyKind.DECIMAL, high=999, scale=2), True),
        (KeyType(KeyKind.DECIMAL, high=99, scale=2), KeyType(KeyKind.DECIMAL, high=999, scale=1), False),
    ],
)
def test_keys_are_stored_as_they_are(source: KeyType, target: KeyType, fits: bool) -> None:
    assert _fits(source, target) is fits
