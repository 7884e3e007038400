"""Statements about sharded tables: which conditions decide, and what is refused by name."""

from __future__ import annotations

import pytest

from router.planner.plan import Described, Local, Refused, Relay, Sharded, placement_json
from tests.planner.fix_shards import shop_context, shop_planner


def placed(sql: str) -> list[str] | str:
    """The placement of a statement in words, or the error."""
    plan = shop_planner().plan(sql.encode(), shop_context())
    match plan:
        case Sharded():
            return placement_json(plan.placement)
        case Refused():
            return plan.error.message
        case Relay():
            return f"group {plan.group}, shard {plan.shard}"
        case Local():
            return "local"
        case Described():
            return "described"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM customers WHERE id = 5", ["customers: one of literal 1"]),
        ("SELECT * FROM customers WHERE 5 = id", ["customers: one of literal 1"]),
        ("SELECT * FROM customers WHERE id <=> -5", ["customers: one of -literal 1"]),
        ("SELECT * FROM customers WHERE id = ?", ["customers: one of parameter 1"]),
        ("SELECT * FROM customers WHERE name = ? AND id = ?", ["customers: one of parameter 2"]),
        ("SELECT * FROM customers WHERE (id) IN (1, ?)", ["customers: one of literal 1, parameter 1"]),
        ("SELECT * FROM customers WHERE (id, name) = (5, 'x')", ["customers: one of literal 1"]),
        ("SELECT * FROM customers WHERE id >= 5 AND id < 7",
         ["customers: (from literal 1 to …) and (from … to literal 2)"]),
        ("SELECT * FROM customers WHERE 5 < id", ["customers: from literal 1 to …"]),
        ("SELECT * FROM customers WHERE id BETWEEN 1 AND 2", ["customers: from literal 1 to literal 2"]),
        ("SELECT * FROM customers WHERE id = 1 OR id = 2", ["customers: (one of literal 1) or (one of literal 2)"]),
        ("SELECT * FROM customers WHERE id = 1 OR name = 'x'", ["customers: every shard"]),
        ("SELECT * FROM customers WHERE NOT id = 1", ["customers: every shard"]),
        ("SELECT * FROM customers WHERE id <> 1", ["customers: every shard"]),
        ("SELECT * FROM customers WHERE id NOT IN (1)", ["customers: every shard"]),
        ("SELECT * FROM customers WHERE id + 0 = 1", ["customers: every shard"]),
        ("SELECT * FROM customers WHERE id = 1 + 1", ["customers: every shard"]),
        ("SELECT * FROM customers WHERE id = (SELECT 1)", ["customers: every shard"]),
        ("SELECT * FROM customers WHERE id IS NULL", ["customers: every shard"]),
        ("SELECT * FROM customers WHERE id = NULL", ["customers: every shard"]),
        ("SELECT * FROM customers WHERE name = _latin1'x' AND id = '5'", ["customers: one of literal 2"]),
        ("SELECT * FROM customers WHERE (id = 5) = 1", ["customers: every shard"]),
        ("SELECT * FROM prices WHERE country = 'DE' AND id IN (1, 2)",
         ["prices: one of literal 1/literal 2, literal 1/literal 3"]),
        ("SELECT * FROM prices WHERE country = 'DE'", ["prices: every shard"]),
        ("SELECT * FROM prices WHERE (country, id) IN (('DE', 1))", ["prices: every shard"]),
    ],
)  # fmt: skip
def test_conditions(sql: str, words: list[str]) -> None:
    assert placed(sql) == words


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM customers c, orders o WHERE c.id = o.customer_id AND c.id = 5",
         ["customers: one of literal 1"]),
        ("SELECT * FROM customers c JOIN orders o ON c.id = o.customer_id WHERE o.customer_id = 5",
         ["customers: one of literal 1"]),
        ("SELECT * FROM customers JOIN orders ON customer_id = customers.id AND customer_id = 5",
         ["customers: one of literal 1"]),
        ("SELECT * FROM orders o JOIN items i USING (customer_id) WHERE i.customer_id = 5",
         ["orders: one of literal 1"]),
        ("SELECT * FROM orders o JOIN items i USING (customer_id) WHERE customer_id = 5",
         ["orders: one of literal 1"]),
        ("SELECT * FROM orders o LEFT JOIN items i USING (customer_id) WHERE customer_id = 5",
         ["orders: one of literal 1"]),
        ("SELECT * FROM orders o RIGHT JOIN items i USING (customer_id) WHERE customer_id = 5",
         ["orders: one of literal 1"]),
        ("SELECT * FROM orders o JOIN items i USING (customer_id) JOIN orders p USING (customer_id) "
         "WHERE customer_id IN (5, 6)",
         ["orders: one of literal 1, literal 2"]),
        ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 5",
         ["customers: one of literal 1"]),
        # What ON says of values restricts the optional side only.
        ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND c.id = 5",
         ["customers: every shard"]),
        ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.customer_id = 5",
         ["customers: every shard"]),
        ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = 5 WHERE c.id = 6",
         ["customers: one of literal 2", "orders: one of literal 1"]),
        ("SELECT * FROM orders o RIGHT JOIN customers c ON o.customer_id = c.id AND o.customer_id = 5",
         ["orders: every shard"]),
        ("SELECT * FROM items i JOIN orders o ON i.customer_id = o.customer_id AND i.customer_id = 5 "
         "RIGHT JOIN customers c ON o.customer_id = c.id", ["items: every shard"]),
        # A table that follows two others does not tie them together.
        ("SELECT * FROM customers a JOIN customers b "
         "LEFT JOIN orders o ON o.customer_id = a.id AND o.customer_id = b.id "
         "WHERE a.id = 5", ["customers: one of literal 1", "customers: every shard"]),
        ("SELECT * FROM customers a, customers b WHERE a.id = 5 AND NOT EXISTS "
         "(SELECT 1 FROM orders o WHERE o.customer_id = a.id AND o.customer_id = b.id)",
         ["customers: one of literal 1", "customers: every shard"]),
        # Joined by other columns than the key: two classes.
        ("SELECT * FROM customers c JOIN orders o ON c.id = o.id WHERE c.id = 5",
         ["customers: one of literal 1", "orders: every shard"]),
        ("SELECT * FROM customers c JOIN regions r ON r.id = c.region WHERE c.id = 5", ["customers: one of literal 1"]),
        ("SELECT * FROM customers c JOIN levels l ON l.n = c.id WHERE c.id = 5",
         ["customers: one of literal 1", "levels: one of literal 1"]),
    ],
)  # fmt: skip
def test_joins(sql: str, words: list[str]) -> None:
    assert placed(sql) == words


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM customers c WHERE id = 5 AND EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)",
         ["customers: one of literal 1"]),
        ("SELECT * FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND c.id = 5)",
         ["customers: every shard"]),
        ("SELECT (SELECT MAX(total) FROM orders o WHERE o.customer_id = c.id) FROM customers c WHERE c.id = 5",
         ["customers: one of literal 1"]),
        ("SELECT * FROM customers WHERE id = 5 AND id IN (SELECT customer_id FROM orders)",
         ["customers: one of literal 1"]),
        ("SELECT * FROM customers WHERE id = 5 AND id NOT IN (SELECT customer_id FROM orders)",
         ["customers: one of literal 1"]),
        # NULL NOT IN (…) depends on whether there is any row on any shard.
        ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 5 "
         "AND o.customer_id NOT IN (SELECT customer_id FROM items)",
         ["customers: one of literal 1", "items: every shard"]),
        ("SELECT * FROM customers WHERE id = 5 AND id IN (SELECT MAX(customer_id) FROM orders)",
         ["customers: one of literal 1", "orders: every shard"]),
        ("SELECT * FROM customers WHERE id = 5 AND id IN (SELECT customer_id FROM orders LIMIT 1)",
         ["customers: one of literal 1", "orders: every shard"]),
        ("SELECT * FROM (SELECT customer_id AS c, COUNT(*) FROM orders GROUP BY customer_id) o WHERE o.c = 5",
         ["orders: one of literal 1"]),
        # What is grouped or counted first must be so on every shard.
        ("SELECT * FROM (SELECT customer_id FROM orders ORDER BY total LIMIT 3) o WHERE customer_id = 5",
         ["orders: every shard"]),
        ("SELECT * FROM (SELECT MAX(customer_id) AS customer_id FROM orders) o WHERE customer_id = 5",
         ["orders: every shard"]),
        ("SELECT * FROM (SELECT customer_id, ROW_NUMBER() OVER (ORDER BY id) FROM orders) o WHERE customer_id = 5",
         ["orders: every shard"]),
        ("SELECT * FROM (SELECT customer_id, total FROM orders GROUP BY total) o WHERE customer_id = 5",
         ["orders: every shard"]),
        ("SELECT * FROM (SELECT customer_id, SUM(total) FROM orders GROUP BY customer_id WITH ROLLUP) o "
         "WHERE customer_id = 5", ["orders: every shard"]),
        ("SELECT * FROM (SELECT DISTINCT customer_id, total FROM orders) o WHERE customer_id = 5",
         ["orders: one of literal 1"]),
        ("SELECT * FROM (SELECT * FROM orders) o JOIN customers c ON c.id = o.customer_id WHERE c.id = 5",
         ["orders: every shard", "customers: one of literal 1"]),
        ("WITH o AS (SELECT customer_id FROM orders) "
         "SELECT * FROM customers c JOIN o ON o.customer_id = c.id WHERE c.id = 5",
         ["customers: one of literal 1"]),
        ("SELECT * FROM customers WHERE id = 5 UNION ALL SELECT * FROM customers WHERE id = 6",
         ["customers: one of literal 1", "customers: one of literal 2"]),
    ],
)  # fmt: skip
def test_subqueries(sql: str, words: list[str]) -> None:
    assert placed(sql) == words


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("INSERT INTO customers VALUES (5, 'x', 1), (?, 'y', 2)", ["rows of customers: literal 1, parameter 1"]),
        ("INSERT INTO orders (total, customer_id) VALUES (1, -5)", ["rows of orders: -literal 2"]),
        ("REPLACE INTO customers (id) VALUES (5)", ["rows of customers: literal 1"]),
        (
            "INSERT INTO customers VALUES (5, 'x', 1) ON DUPLICATE KEY UPDATE name = 'y'",
            ["rows of customers: literal 1"],
        ),
        ("UPDATE orders SET total = 1 WHERE customer_id = 5 ORDER BY id LIMIT 1", ["orders: one of literal 2"]),
        ("DELETE FROM orders WHERE customer_id = 5", ["orders: one of literal 1"]),
        (
            "DELETE o FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = 5",
            ["orders: one of literal 1"],
        ),
        (
            "DELETE FROM c, o USING orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = 5",
            ["orders: one of literal 1"],
        ),
        ("INSERT INTO customers SELECT * FROM customers WHERE id = 5", ["customers: one of literal 1"]),
    ],
)
def test_writes(sql: str, words: list[str]) -> None:
    assert placed(sql) == words


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("INSERT INTO customers (name) VALUES ('x')", "without a value for 'id'"),
        ("INSERT INTO customers (id) VALUES (1 + 1)", "no plain one"),
        ("INSERT INTO customers (id) VALUES (NULL)", "no plain one"),
        ("INSERT INTO customers (id, name) VALUES (1, (SELECT 'x'))", "a subquery among the values"),
        ("INSERT INTO customers (id, name) VALUES (1)", "rows that do not fit"),
        ("INSERT INTO customers SELECT * FROM orders WHERE customer_id = 5", "INSERT … SELECT"),
        ("INSERT INTO customers (id) VALUES (1, 2)", "rows that do not fit"),
        ("INSERT INTO customers VALUES (5, 'x', 1), (6, 'y')", "rows that do not fit"),
        (
            "INSERT INTO customers VALUES (5, 'x', 1) ON DUPLICATE KEY UPDATE name = (SELECT MAX(name) FROM customers)",
            "a subquery behind ON DUPLICATE KEY UPDATE",
        ),
        ("INSERT INTO customers VALUES (5, 'x', 1) ON DUPLICATE KEY UPDATE id = 6", "ON DUPLICATE KEY UPDATE of 'id'"),
        ("UPDATE customers SET id = 6 WHERE id = 5", "UPDATE of 'id'"),
        ("UPDATE customers c JOIN regions r ON r.id = c.region SET r.name = 'x' WHERE c.id = 5", "broadcast"),
        ("DELETE r FROM regions r JOIN customers c ON c.region = r.id WHERE c.id = 5", "DELETE of broadcast table"),
        (
            "DELETE x FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = 5",
            "cannot be told for certain",
        ),
        ("SELECT * FROM customers, notes WHERE id = 5", "'notes'"),
        ("SELECT * FROM customers NATURAL JOIN orders WHERE id = 5", "NATURAL JOIN"),
        (
            "WITH RECURSIVE r AS (SELECT id FROM customers WHERE id = 5 UNION SELECT id + 1 FROM r) SELECT * FROM r",
            "RECURSIVE",
        ),
        ("SELECT * FROM strange WHERE data = 5", "cannot decide"),
        ("SELECT 1 FROM customers WHERE id = 5; SELECT 2", "several statements"),
        ("SELECT /*!80000 1, */ 2 FROM customers WHERE id = 5", "versioned comment"),
        ("RENAME TABLE customers TO others", "DDL of this kind"),
        ("EXPLAIN ANALYZE UPDATE customers SET name = 'x'", "EXPLAIN of this"),
        ("LOCK TABLES customers READ", "lock"),
        ("HANDLER customers OPEN", "handler"),
        ("SELECT * FROM shop.customers WHERE id = 5", "names with their database"),
        ("SELECT /*+ router(shard=s9) */ * FROM customers", "'s9'"),
    ],
)
def test_what_is_refused(sql: str, construct: str) -> None:
    words = placed(sql)
    assert isinstance(words, str)
    assert words.startswith("router: not supported on sharded tables: ")
    assert construct in words


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1", "SELECT * FROM notes", "CALL p(5)", "SET sql_mode = ''", "BEGIN", "SHOW STATUS", "SELECT 'customers'"],
)
def test_all_else_goes_where_other_tables_live(sql: str) -> None:
    assert placed(sql) == "group main, shard None"


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW COLUMNS FROM customers",
        "DESCRIBE customers",
        "SHOW CREATE TABLE customers",
    ],
)
def test_the_first_shard_describes_tables(sql: str) -> None:
    assert placed(sql) == "group g0, shard s0"


def test_a_hint_names_the_shard() -> None:
    assert placed("SELECT /*+ router(shard=s1) */ COUNT(*) FROM customers") == "group g1, shard s1"


def test_without_definitions_nothing_is_planned() -> None:
    from router.planner.planner import Planner
    from tests.planner.fix_shards import shop_catalog

    plan = Planner(shop_catalog({})).plan(b"SELECT * FROM customers WHERE id = 5", shop_context())
    assert isinstance(plan, Refused)
    assert "not known yet" in plan.error.message


@pytest.mark.parametrize(
    ("sql", "anywhere"),
    [
        ("BEGIN", True),
        ("COMMIT", True),
        ("ROLLBACK TO SAVEPOINT a", True),
        ("SET sql_mode = ''", True),
        ("SELECT 1", True),
        ("SELECT LAST_INSERT_ID()", True),
        ("SHOW WARNINGS", True),
        ("DO SLEEP(1)", True),
        ("SELECT DATABASE()", False),
        ("SELECT * FROM notes", False),
        ("SHOW STATUS", False),
        ("INSERT INTO notes VALUES (1)", False),
        ("CALL p()", False),
        ("SELECT 1; SELECT 2", False),
        ("SET @a = (SELECT COUNT(*) FROM notes)", False),
    ],
)
def test_what_follows_a_transaction_to_its_shard(sql: str, anywhere: bool) -> None:
    plan = shop_planner().plan(sql.encode(), shop_context())
    assert isinstance(plan, Relay)
    assert plan.anywhere is anywhere
    other = shop_planner().plan(sql.encode(), shop_context("elsewhere"))
    assert isinstance(other, Relay)
    assert other.anywhere is anywhere, "a transaction may begin while another database is in use"
