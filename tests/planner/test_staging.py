"""The steps of one execution: what each query asks, and the statement with what they gave."""

from __future__ import annotations

from router.planner.binding import Both, TextValues, bind
from router.planner.given import Result
from router.planner.keys import Value
from router.planner.plan import Refused, Scattered, Sharded, Staged
from router.planner.routes import Parameter, Reference, Unplaced
from router.planner.staging import last, outlined, step, steps_of
from router.wire.constants import ColumnFlag, ColumnType
from router.wire.packets import ColumnDefinition
from tests.planner.fix_shards import shop_context, shop_planner

NUMBER = ColumnDefinition(
    b"MAX(id)", ColumnType.LONG, length=11, flags=ColumnFlag.NOT_NULL | ColumnFlag.PRI_KEY, table=b"orders"
)


class Parameters:
    def __init__(self, *values: Value) -> None:
        self._values = values

    def value(self, reference: Reference) -> Value:
        if not isinstance(reference, Parameter):
            raise Unplaced
        return self._values[reference.number]


def staged(sql: str, *values: Value) -> Staged:
    text, context = sql.encode(), shop_context()
    plan = shop_planner().plan(text, context)
    assert isinstance(plan, Sharded)
    bound = bind(plan, Both(Parameters(*values), TextValues(text, context.mode)), text, context.mode)
    assert isinstance(bound, Staged), bound
    return bound


def gave(*cells: bytes | None) -> Result:
    return Result([NUMBER], [[cell] for cell in cells], "utf8mb4")


def asked(bound: object) -> list[tuple[str | None, str, tuple[int, ...] | None]]:
    assert isinstance(bound, Scattered)
    return [(part.relay.shard, part.sql.decode(), part.parameters) for part in bound.parts]


def test_a_value_decides_the_shard() -> None:
    it = staged("SELECT total FROM orders WHERE customer_id = (SELECT MAX(id) FROM customers) AND total > 5;")
    assert steps_of(it) == 1
    query = "SELECT MAX(id) FROM customers LIMIT 2"
    inner = step(it, 0)
    assert isinstance(inner, Scattered)
    assert inner.merge.aggregates
    assert asked(inner)[0][1].startswith("SELECT MAX(id)")
    assert [shard for shard, _, _ in asked(inner)] == ["s0", "s1", "s2"]
    assert query not in asked(inner)[0][1], "the router counts the rows of groups"
    outer = "SELECT total FROM orders WHERE customer_id = (4) AND total > 5"
    assert asked(last(it, [gave(b"4")])) == [("s1", outer, ())]
    assert [shard for shard, _, _ in asked(last(it, [gave(None)]))] == ["s0", "s1", "s2"]


def test_a_list_decides_the_shards() -> None:
    it = staged("SELECT total FROM orders WHERE customer_id IN (SELECT region FROM customers WHERE name = 'x')")
    assert asked(step(it, 0))[0][1].endswith("WHERE name = 'x' LIMIT 10001")
    outer = "SELECT total FROM orders WHERE customer_id IN (3,4,NULL)"
    assert asked(last(it, [gave(b"3", b"4", None)])) == [("s0", outer, None), ("s1", outer, None)]
    assert [shard for shard, _, _ in asked(last(it, [gave()]))] == ["s0"]


def test_parameters_go_where_they_stand() -> None:
    it = staged(
        "SELECT ?, id FROM customers WHERE region > (SELECT MIN(id) FROM orders WHERE total = ?) AND name = ?",
        1,
        2,
        "n",
    )
    assert {parameters for _, _, parameters in asked(step(it, 0))} == {(1,)}
    assert {parameters for _, _, parameters in asked(last(it, [gave(b"7")]))} == {(0, 2)}
    one = staged("SELECT ? FROM customers WHERE region > (SELECT total FROM orders WHERE customer_id = ?)", 1, 4)
    assert asked(step(one, 0)) == [("s1", "SELECT total FROM orders WHERE customer_id = ? LIMIT 2", (1,))]


def test_queries_inside_queries_know_the_parameters_of_the_statement() -> None:
    it = staged(
        "SELECT ? FROM customers WHERE region = (SELECT MAX(id) FROM orders WHERE total > ? AND total > "
        "(SELECT AVG(total) FROM orders WHERE id = ?))",
        *(1, 2, 3),
    )
    inner = step(it, 0)
    assert isinstance(inner, Staged)
    assert {parameters for _, _, parameters in asked(step(inner, 0))} == {(2,)}
    assert {parameters for _, _, parameters in asked(last(inner, [gave(b"7")]))} == {(1,)}


def test_what_is_shown_has_the_columns_of_the_query() -> None:
    it = staged("SELECT id, (SELECT  MAX(id) FROM orders ), 1 + (SELECT 2 FROM orders) FROM customers WHERE id = 4")
    bound = last(it, [gave(b"7"), gave(b"2")])
    assert isinstance(bound, Scattered)
    shown, named = bound.shown
    assert (shown.position, shown.name, shown.cell) == (1, b"(SELECT  MAX(id) FROM orders )", b"7")
    assert shown.column is not None
    assert (shown.column.type, shown.column.table, shown.column.flags) == (ColumnType.LONG, b"", 0)
    assert (named.position, named.name, named.column) == (2, b"1 + (SELECT 2 FROM orders)", None)


def test_what_cannot_be_written_is_refused() -> None:
    it = staged("SELECT id FROM customers WHERE region = (SELECT MAX(id) FROM orders)")
    odd = Result([ColumnDefinition(b"x", ColumnType.JSON)], [[b"{}"]])
    refused = last(it, [odd])
    assert isinstance(refused, Refused)
    assert "a subquery of type json" in refused.error.message


def test_exists_is_asked_for_one_row() -> None:
    it = staged("SELECT id FROM customers WHERE EXISTS (SELECT 1 FROM orders GROUP BY total)")
    inner = step(it, 0)
    assert isinstance(inner, Scattered)
    assert inner.limit == 1
    assert asked(last(it, [gave()]))[0][1] == "SELECT id FROM customers WHERE (1 = 0)"


def test_the_outline_has_numbers_for_results() -> None:
    it = staged("SELECT total FROM orders WHERE customer_id = (SELECT MAX(id) FROM customers)")
    steps, rest = outlined(it)
    assert len(steps) == 1
    assert {text for _, text, _ in asked(rest)} == {"SELECT total FROM orders WHERE customer_id = (query 1)"}
