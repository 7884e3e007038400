"""INSERT and REPLACE of rows: where they belong, and what may go to several shards."""

from __future__ import annotations

from time import process_time

import pytest

from router.planner.binding import TextValues, bind
from router.planner.keys import Value
from router.planner.plan import Refused, Relay, Sharded, Spread
from router.planner.planner import Planner
from router.planner.routes import Parameter, Reference, Unplaced
from router.planner.spreading import NoIds
from router.sql.lexer import LexMode
from tests.planner.fix_shards import (
    DEFINITIONS,
    INT,
    LONG,
    TEXT,
    Counting,
    definition,
    shop_catalog,
    shop_context,
    written,
)


def parts(sql: str) -> dict[str | None, str]:
    """What each shard is asked."""
    plan = written(sql)
    assert isinstance(plan, Spread), plan
    return {part.relay.shard: part.sql.decode() for part in plan.parts}


def refused(sql: str, transactions: str = "best_effort") -> str:
    plan = written(sql, transactions)
    assert isinstance(plan, Refused), plan
    assert plan.error.code == 1235
    return plan.error.message


def test_each_shard_gets_its_rows() -> None:
    sql = (
        "INSERT IGNORE INTO customers (name, id) VALUES ('a', 4), ('b', 3), ('c', 7), ('d', -2) "
        "ON DUPLICATE KEY UPDATE name = 'x'"
    )
    assert parts(sql) == {
        "s0": "INSERT IGNORE INTO customers (name, id) VALUES ('b', 3) ON DUPLICATE KEY UPDATE name = 'x'",
        "s1": "INSERT IGNORE INTO customers (name, id) VALUES ('a', 4), ('c', 7), ('d', -2) "
        "ON DUPLICATE KEY UPDATE name = 'x'",
    }
    assert parts("REPLACE customers VALUES (3, 'x', 1), ('4', 'y', NULL)") == {
        "s0": "REPLACE customers VALUES (3, 'x', 1)",
        "s1": "REPLACE customers VALUES ('4', 'y', NULL)",
    }


def test_the_last_row_names_the_id() -> None:
    plan = written("INSERT INTO customers VALUES (5, 'x', 1), (3, 'y', 1), (4, 'z', 1)")
    assert isinstance(plan, Spread)
    assert [part.relay.shard for part in plan.parts] == ["s0", "s1", "s2"]
    assert plan.parts[plan.last].relay.shard == "s1"
    assert not plan.copies
    assert not plan.clock


def test_rows_of_one_shard_are_relayed_whatever_the_setting() -> None:
    for transactions in ("single", "xa", "best_effort"):
        plan = written("INSERT INTO logs (customer_id, text) VALUES (4, UUID()), (7, my_function())", transactions)
        assert isinstance(plan, Relay)
        assert plan.shard == "s1"


def test_the_clock() -> None:
    plan = written("INSERT INTO customers (id, name) VALUES (3, NOW()), (4, '')")
    assert isinstance(plan, Spread)
    assert plan.clock


class _Parameters:
    def __init__(self, *values: Value) -> None:
        self.values = values

    def value(self, reference: Reference) -> Value:
        if not isinstance(reference, Parameter):
            raise Unplaced
        return self.values[reference.number]


def test_parameters() -> None:
    sql = "INSERT INTO logs (text, customer_id, id) VALUES (?, ?, ?), ('x', ?, ?) ON DUPLICATE KEY UPDATE text = ?"
    plan = written(sql, values=_Parameters("a", 3, 1, 4, 2, "z"))
    assert isinstance(plan, Spread)
    assert [(part.sql[:60], part.parameters) for part in plan.parts] == [
        (b"INSERT INTO logs (text, customer_id, id) VALUES (?, ?, ?) ON", (0, 1, 2, 5)),
        (b"INSERT INTO logs (text, customer_id, id) VALUES ('x', ?, ?) ", (3, 4, 5)),
    ]
    for missing in (None, 0):
        plan = written(sql, values=_Parameters("a", 3, missing, 4, 2, "z"))
        assert isinstance(plan, Refused)
        assert "'id'" in plan.error.message


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("INSERT INTO logs (customer_id) VALUES (3), (4)", "without a value for 'id'"),
        ("INSERT INTO logs VALUES (NULL, 3, 'x'), (1, 4, 'x')", "without a value for 'id'"),
        ("INSERT INTO logs VALUES (DEFAULT, 3, 'x'), (1, 4, 'x')", "without a value for 'id'"),
        ("INSERT INTO logs VALUES (0, 3, 'x'), (1, 4, 'x')", "AUTO_INCREMENT"),
        ("INSERT INTO customers VALUES (3, @x, 1), (4, 'x', 1)", "user variables"),
        ("INSERT INTO customers VALUES (3, f(), 1), (4, 'x', 1)", "F()"),
        ("INSERT INTO customers VALUES (3, 'x', 1), (4, 'x', 1) RETURNING id", "RETURNING"),
    ],
)
def test_what_several_shards_cannot_take(sql: str, construct: str) -> None:
    assert construct in refused(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO customers VALUES (3, 'x', 1), (4, (SELECT 'x'), 1)",
        "INSERT INTO customers VALUES (3, 'x', 1), (4, (TABLE x), 1)",
    ],
)
def test_subqueries_in_any_row(sql: str) -> None:
    assert "a subquery among the values" in refused(sql)


def test_settings_that_do_not_let_it() -> None:
    sql = "INSERT INTO customers VALUES (3, 'x', 1), (4, 'x', 1)"
    assert refused(sql, "single") == (
        "router: rows for several shards in one statement: not with `transactions: single` of schema 'shop'; "
        "insert them one shard at a time, or set `transactions: best_effort`"
    )
    assert "taken for `single` in this version" in refused(sql, "xa")
    assert "every copy" in refused("INSERT INTO regions VALUES (1, 'x')", "single")


# -- broadcast tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO regions VALUES (1, 'x'), (2, NOW())",
        "REPLACE INTO regions (id) VALUES (1)",
        "INSERT INTO regions VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = VALUES(name)",
        "INSERT IGNORE INTO regions SET id = 5",
        "INSERT INTO tags VALUES (1, 'x'), (2, 'y')",
        "INSERT INTO tokens VALUES (1, 'x')",
    ],
)
def test_every_copy_is_written(sql: str) -> None:
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
        ("INSERT INTO regions VALUES (1, UUID())", "UUID()"),
        ("INSERT INTO regions VALUES (1, RAND())", "RAND()"),
        ("INSERT INTO regions VALUES (1, SLEEP(1))", "SLEEP()"),
        ("INSERT INTO regions VALUES (1, @x)", "user variables"),
        ("INSERT INTO regions VALUES (LAST_INSERT_ID(), 'x')", "LAST_INSERT_ID()"),
        ("INSERT INTO regions VALUES (1, f())", "F()"),
        ("INSERT INTO regions VALUES (1, (SELECT MAX(name) FROM customers))", "a subquery among the values"),
        ("INSERT INTO regions VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = (SELECT 1)", "ON DUPLICATE KEY UPDATE"),
        ("INSERT INTO regions SELECT id, name FROM customers", "INSERT … SELECT"),
        ("INSERT INTO regions VALUES (1, 'x') RETURNING id", "RETURNING"),
        ("INSERT INTO tags (name) VALUES ('x')", "without a value for 'id'"),
        ("INSERT INTO tags VALUES (NULL, 'x')", "without a value for 'id'"),
        ("INSERT INTO tags VALUES (0, 'x')", "without a value for 'id'"),
        ("INSERT INTO tokens (id) VALUES (1)", "column 'token'"),
        ("INSERT INTO tokens VALUES (1, DEFAULT)", "column 'token'"),
        ("INSERT INTO tokens VALUES (1, 'x') ON DUPLICATE KEY UPDATE token = 'y'", "several unique keys"),
    ],
)
def test_what_copies_cannot_take(sql: str, construct: str) -> None:
    assert construct in refused(sql)


# -- generated ids -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # The id decides the shard.
        ("INSERT INTO carts (name) VALUES ('a')", {"s1": "INSERT INTO carts (`id`, name) VALUES (100, 'a')"}),
        ("INSERT INTO carts (name) VALUES ('a'), ('b'), ('c'), ('d')",
         {"s0": "INSERT INTO carts (`id`, name) VALUES (102, 'c')",
          "s1": "INSERT INTO carts (`id`, name) VALUES (100, 'a'), (103, 'd')",
          "s2": "INSERT INTO carts (`id`, name) VALUES (101, 'b')"}),
        ("INSERT INTO carts VALUES (NULL, 'a'), (7, 'b'), (DEFAULT, 'c')",
         {"s1": "INSERT INTO carts VALUES (100, 'a'), (7, 'b')", "s2": "INSERT INTO carts VALUES (101, 'c')"}),
        ("INSERT INTO carts () VALUES ()", {"s1": "INSERT INTO carts (`id`) VALUES (100)"}),
        ("INSERT INTO carts SET name = 'a'", {"s1": "INSERT INTO carts SET `id` = 100, name = 'a'"}),
        ("INSERT INTO carts SET name = 'a', id = NULL ON DUPLICATE KEY UPDATE name = 'b'",
         {"s1": "INSERT INTO carts SET name = 'a', id = 100 ON DUPLICATE KEY UPDATE name = 'b'"}),
        # It does not.
        ("INSERT INTO cart_items (cart_id, name) VALUES (3, 'a'), (4, 'b'), (6, 'c')",
         {"s0": "INSERT INTO cart_items (`id`, cart_id, name) VALUES (100, 3, 'a'), (102, 6, 'c')",
          "s1": "INSERT INTO cart_items (`id`, cart_id, name) VALUES (101, 4, 'b')"}),
        ("INSERT INTO cart_items VALUES (0, 3, 'a'), (5, 4, 'b')",
         {"s0": "INSERT INTO cart_items VALUES (100, 3, 'a')", "s1": "INSERT INTO cart_items VALUES (5, 4, 'b')"}),
        ("INSERT INTO sizes (name) VALUES ('S'), ('M')",
         dict.fromkeys(("s0", "s1", "s2"), "INSERT INTO sizes (`id`, name) VALUES (100, 'S'), (101, 'M')")),
    ],
)  # fmt: skip
def test_ids_are_made(sql: str, expected: dict[str, str]) -> None:
    plan = written(sql)
    assert isinstance(plan, Spread), plan
    assert {part.relay.shard: part.sql.decode() for part in plan.parts} == expected
    assert plan.first_id == 100


def test_ids_are_asked_for_once_and_by_the_table() -> None:
    ids = Counting()
    written("INSERT INTO cart_items VALUES (NULL, 3, 'a'), (5, 4, 'b'), (NULL, 3, 'c')", ids=ids)
    assert ids.asked == [("shop.cart_items", 2)]
    plan = written("INSERT INTO carts VALUES (7, 'a'), (4, 'b')", ids=ids)
    assert isinstance(plan, Relay)
    assert plan.shard == "s1"
    assert ids.asked[1:] == []


def test_ids_for_one_shard_are_made_whatever_the_setting() -> None:
    plan = written("INSERT INTO cart_items (cart_id) VALUES (4), (7)", "single")
    assert isinstance(plan, Spread)
    assert [part.sql for part in plan.parts] == [b"INSERT INTO cart_items (`id`, cart_id) VALUES (100, 4), (101, 7)"]
    assert "rows for several shards" in refused("INSERT INTO carts (name) VALUES ('a'), ('b')", "single")


def test_parameters_that_are_null() -> None:
    sql = "INSERT INTO cart_items (name, id, cart_id) VALUES (?, ?, ?), (?, ?, ?)"
    plan = written(sql, values=_Parameters("a", None, 3, "b", 9, 4))
    assert isinstance(plan, Spread)
    assert [(part.sql[49:], part.parameters) for part in plan.parts] == [
        (b" (?, 100, ?)", (0, 2)),
        (b" (?, ?, ?)", (3, 4, 5)),
    ]
    plan = written("INSERT INTO carts VALUES (?, 'a')", values=_Parameters(None))
    assert isinstance(plan, Spread)
    assert [(part.relay.shard, part.sql, part.parameters) for part in plan.parts] == [
        ("s1", b"INSERT INTO carts VALUES (100, 'a')", ())
    ]


def test_a_parameter_that_may_be_null_or_not() -> None:
    class Unknown:
        def value(self, reference: Reference) -> Value:
            raise Unplaced

    plan = written("INSERT INTO cart_items (id, cart_id) VALUES (?, 4)", values=Unknown())
    assert isinstance(plan, Refused)
    assert "NULL or not" in plan.error.message


def test_nobody_makes_ids() -> None:
    sql = b"INSERT INTO carts (name) VALUES ('a')"
    plan = Planner(shop_catalog()).plan(sql, shop_context())
    assert isinstance(plan, Sharded)
    refused = bind(plan, TextValues(sql, LexMode()), sql, LexMode())
    assert isinstance(refused, Refused)
    assert "generated ids" in refused.error.message


def test_ids_that_are_not_at_hand() -> None:
    class Empty:
        def take(self, table: str, count: int) -> list[int]:
            raise NoIds(table, count)

    with pytest.raises(NoIds) as caught:
        written("INSERT INTO carts (name) VALUES ('a'), ('b')", ids=Empty())
    assert (caught.value.table, caught.value.count) == ("shop.carts", 2)


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("INSERT INTO carts (id, name) VALUES (1 + 1, 'a')", "no plain one"),
        ("INSERT INTO cart_items VALUES (1 - 1, 3, 'a'), (5, 4, 'b')", "without a value for 'id'"),
        ("INSERT INTO cart_items (cart_id) SELECT id FROM carts", "leaves 'id' to the router"),
    ],
)
def test_ids_in_doubt(sql: str, construct: str) -> None:
    assert construct in refused(sql)


def test_columns_that_hold_no_ids() -> None:
    shop = {**DEFINITIONS["shop"], "carts": definition(id=INT), "cart_items": definition(cart_id=LONG)}
    shop["sizes"] = definition(id=TEXT)
    planner = Planner(shop_catalog({"shop": shop}))
    for sql, construct in (
        (b"INSERT INTO carts (id) VALUES (5)", "column 'id' of type int, which cannot hold"),
        (b"INSERT INTO sizes (id) VALUES (5)", "column 'id' of type varchar, which cannot hold"),
        (b"INSERT INTO cart_items (cart_id) VALUES (5)", "table 'cart_items' without the column 'id'"),
    ):
        plan = planner.plan(sql, shop_context())
        assert isinstance(plan, Refused)
        assert construct in plan.error.message


def test_many_rows_take_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        rows = ", ".join(f"({number}, 'name {number}', {number % 7})" for number in range(count))
        start = process_time()
        plan = written(f"INSERT INTO customers VALUES {rows}")
        took = process_time() - start
        assert isinstance(plan, Spread)
        assert sum(part.sql.count(b"name") for part in plan.parts) == count
        return took

    small, large = min(seconds(1000) for _ in range(3)), min(seconds(10_000) for _ in range(2))
    assert large < 40 * small
