"""Values are compared as the server compares them; shards are asked what they should be."""

from __future__ import annotations

import pytest

from router.planner.merging import Cell, Compare, MergeSpec, OrderKey, Scatter, comparable, places_of, sort_key
from router.planner.routes import Route
from router.sql.lexer import LexMode
from tests.planner.fix_shards import shop_schema


@pytest.mark.parametrize(
    ("compare", "values"),
    [
        (Compare.INTEGER, [None, b"-10", b"-9", b"0", b"2", b"10", b"18446744073709551615"]),
        (Compare.DECIMAL, [None, b"-1.50", b"-1.05", b"0.00", b"9.99", b"10.00", b"1e2"]),
        (Compare.FLOAT, [None, b"-1e300", b"-0.5", b"1e-5", b"0.1", b"1e22"]),
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


@pytest.mark.parametrize(
    ("order", "extras", "pushes", "limit", "text"),
    [
        (None, "", True, 7, b"SELECT a  FROM t WHERE b  ORDER BY c  LIMIT 7"),
        (None, ", x", True, None, b"SELECT a , x FROM t WHERE b  ORDER BY c "),
        (" ORDER BY d", "", True, 7, b"SELECT a  FROM t WHERE b   ORDER BY d LIMIT 7"),
        ("", ", x", False, 7, b"SELECT a , x FROM t WHERE b  "),
    ],
)
def test_what_a_shard_is_asked(order: str | None, extras: str, pushes: bool, limit: int | None, text: bytes) -> None:
    scatter = Scatter(Route(shop_schema().tables["customers"]), extras, order, MergeSpec(), pushes)
    assert scatter.text(SQL, LexMode(), limit) == text


def test_more_rows_than_there_can_be() -> None:
    scatter = Scatter(Route(shop_schema().tables["customers"]), "", None, MergeSpec(), pushes_limit=True)
    assert b"LIMIT" not in scatter.text(SQL, LexMode(), 2**64)
    assert scatter.text(SQL, LexMode(), 2**64 - 1).endswith(b"LIMIT 18446744073709551615")


@pytest.mark.parametrize(
    ("sql", "items", "body", "order"),
    [
        (
            "WITH x AS (SELECT 1 FROM y LIMIT 2) "
            "SELECT a FROM t WHERE b IN (SELECT c FROM d LIMIT 1) ORDER BY a LIMIT 5;",
            "FROM t",
            "ORDER BY a",
            "LIMIT 5",
        ),
        ("SELECT 'FROM', `order`, t.limit, EXTRACT(YEAR FROM d) FROM t LIMIT 5", "FROM t", "LIMIT 5", "LIMIT 5"),
        ('SELECT "LIMIT" /* FROM */ FROM t -- ORDER BY\n ORDER BY x ;', "FROM t", "ORDER BY x", " ;"),
        ("SELECT a FROM t", "FROM t", "", ""),
    ],
)
def test_where_clauses_begin(sql: str, items: str, body: str, order: str) -> None:
    def place(text: str) -> int:
        return sql.index(text) if text else len(sql)

    found = places_of(sql.encode(), LexMode())
    assert (found.items, found.body, found.order) == (place(items), place(body), place(order))


def test_a_select_without_from() -> None:
    with pytest.raises(LookupError):
        places_of(b"SELECT 1", LexMode())
