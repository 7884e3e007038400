"""Values are compared as the server compares them; shards are asked what they should be."""

from __future__ import annotations

import pytest

from router.planner.binding import TextValues
from router.planner.clauses import Span, Template
from router.planner.merging import Cell, Compare, MergeSpec, OrderKey, Scatter, comparable, sort_key
from router.planner.routes import OneOf, Route, Slot
from router.sql.lexer import LexMode
from tests.planner.fix_shards import shop_schema


@pytest.mark.parametrize(
    ("compare", "values"),
    [
        (Compare.INTEGER, [None, b"-10", b"-9", b"0", b"2", b"10", b"18446744073709551615"]),
        (Compare.DECIMAL, [None, b"-1.50", b"-1.05", b"0.00", b"9.99", b"10.00", b"1e2"]),
        (Compare.FLOAT, [None, b"-1e300", b"-0.5", b"1e-5", b"0.1", b"1e22"]),
        (Compare.TIME, [None, b"-838:59:59", b"-10:00:00", b"-00:00:00.5", b"00:00:00", b"09:59:59.25", b"10:00:00"]),
        (Compare.BYTES, [None, b"", b"\x00", b"2024-01-02", b"2024-01-10", b"\xff"]),
    ],
)
def test_order_of_values(compare: Compare, values: list[Cell]) -> None:
    mixed = [*values[1::2], *values[::2]]
    assert sorted(mixed, key=lambda cell: comparable(cell, compare)) == values


def test_equal_values_written_differently() -> None:
    assert comparable(b"1.50", Compare.DECIMAL) == comparable(b"1.5", Compare.DECIMAL)
    assert comparable(b"-0", Compare.FLOAT) == comparable(b"0", Compare.FLOAT)


def test_several_keys() -> None:
    key = sort_key((OrderKey(1, Compare.BYTES), OrderKey(0, Compare.INTEGER, descending=True)))
    rows: list[list[Cell]] = [[b"2", b"a"], [b"10", b"a"], [None, b"a"], [b"1", None], [None, b""]]
    assert sorted(rows, key=key) == [[b"1", None], [None, b""], [b"10", b"a"], [b"2", b"a"], [None, b"a"]]
    assert key([b"1", b"x"]) == key([b"1", b"x"])
    assert len({hash(key([b"1", b"x"])), hash(key([b"1", b"x"]))}) == 1


SQL = b"SELECT a FROM t WHERE b ORDER BY c LIMIT 5"
HEAD, BODY = Span(0, 2), Span(2, 6)


@pytest.mark.parametrize(
    ("asks", "pushes", "limit", "text"),
    [
        ((HEAD, BODY, Span(6, 9)), True, 7, b"SELECT a FROM t WHERE b ORDER BY c LIMIT 7"),
        ((HEAD, ", x", BODY, Span(6, 6), ""), True, None, b"SELECT a , x FROM t WHERE b"),
        ((HEAD, BODY, "ORDER BY d"), False, 7, b"SELECT a FROM t WHERE b ORDER BY d"),
    ],
)
def test_what_a_shard_is_asked(asks: Template, pushes: bool, limit: int | None, text: bytes) -> None:
    scatter = Scatter((Route(shop_schema().tables["customers"]),), asks, MergeSpec(), pushes)
    assert scatter.text(SQL, LexMode(), limit) == text


def test_more_rows_than_there_can_be() -> None:
    scatter = Scatter((Route(shop_schema().tables["customers"]),), (HEAD, BODY), MergeSpec(), pushes_limit=True)
    assert b"LIMIT" not in scatter.text(SQL, LexMode(), 2**64)
    assert scatter.text(SQL, LexMode(), 2**64 - 1).endswith(b"LIMIT 18446744073709551615")


def test_parameters_of_the_text() -> None:
    scatter = Scatter((), (Span(0, 2), ",", Span(5, 8), Span(2, 8)), MergeSpec(), pushes_limit=True)
    assert scatter.parameters(b"SELECT ? FROM t ORDER BY ?", LexMode()) == (0, 1, 1)
    assert scatter.parameters(b"SELECT a FROM t ORDER BY b", LexMode()) is None


def test_the_shards_of_several_routes() -> None:
    table = shop_schema().tables["customers"]
    one, two = (Route(table, OneOf(((Slot(number),),))) for number in (0, 1))
    values = TextValues(b"SELECT 7, 8", LexMode())
    assert Scatter((one, two), (), MergeSpec(), pushes_limit=True).shards(values) == [1, 2]
    assert Scatter((one, Route(table)), (), MergeSpec(), pushes_limit=True).shards(values) == [0, 1, 2]
