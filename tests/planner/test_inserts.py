"""INSERT and REPLACE of rows: where they belong, and what may go to several shards."""

from __future__ import annotations

from time import process_time

import pytest

from router.planner.keys import Value
from router.planner.plan import Refused, Relay, Spread
from router.planner.routes import Parameter, Reference, Unplaced
from tests.planner.fix_shards import written


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
