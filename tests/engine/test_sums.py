"""Sums, means and variances of what several shards send."""

from __future__ import annotations

import statistics
from fractions import Fraction

import pytest

from router.engine.sums import Spread, added, added_doubles, adding, mean_of_doubles, printed
from router.planner.formulas import Inexact
from router.planner.merging import Aggregate, Cell, Fold
from router.wire.constants import ColumnType
from router.wire.packets import ColumnDefinition

T = ColumnType


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [(b"1", b"2", b"3"), (b"1.50", b"-2", b"-0.50"), (None, b"2", b"2"), (b"1", None, b"1"), (None, None, None)],
)
def test_exact_sums(one: Cell, other: Cell, total: Cell) -> None:
    assert added(one, other) == total


def test_doubles_are_added_as_such() -> None:
    assert added_doubles(b"0.1", b"0.2") == b"0.30000000000000004"
    assert added_doubles(None, b"0.2") == b"0.2"
    assert adding(ColumnDefinition(b"s", T.DOUBLE)) is added_doubles
    assert adding(ColumnDefinition(b"s", T.NEWDECIMAL)) is added


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (1.0, 31, b"1"),
        (0.1, 31, b"0.1"),
        (-1234.5, 39, b"-1234.5"),
        (0.0, 31, b"0"),
        (1e14, 31, b"100000000000000"),
        (1e15, 31, b"1e15"),
        (-1.25e20, 31, b"-1.25e20"),
        (1e-7, 31, b"0.0000001"),
        (1.5e-20, 31, b"1.5e-20"),
        (2.0, 4, b"2.0000"),
        (0.00005, 4, b"0.0001"),
    ],
)
def test_doubles_are_printed_as_servers_do(value: float, decimals: int, text: bytes) -> None:
    assert printed(value, decimals) == text


def test_what_is_no_number_is_not_shown() -> None:
    with pytest.raises(Inexact):
        printed(float("inf"), 31)


def test_means_of_doubles() -> None:
    columns = [ColumnDefinition(b"avg", T.DOUBLE, decimals=31)] * 3
    finish = mean_of_doubles(Aggregate(0, Fold.AVG, total=1, count=2), columns)
    row: list[Cell] = [None, b"1.5", b"2"]
    finish(row)
    assert row[0] == b"0.75"
    row = [b"1", None, b"0"]
    finish(row)
    assert row[0] is None


# -- variances: column, total, count, squares, spread --------------------------------------------------------------


def definitions(kind: int, decimals: int = 0, capped: bool = False) -> list[ColumnDefinition]:
    squares = 3 if capped else 2 * max(decimals, 1)
    return [
        ColumnDefinition(b"v", T.DOUBLE, decimals=31),
        ColumnDefinition(b"t", kind, decimals=decimals),
        ColumnDefinition(b"n", T.LONGLONG),
        ColumnDefinition(b"q", kind, decimals=squares),
        ColumnDefinition(b"s", T.DOUBLE, decimals=31),
    ]


def sent(values: list[Fraction]) -> list[Cell]:
    """A shard's row."""
    if not values:
        return [None, None, b"0", None, None]
    floats = [float(each) for each in values]
    total, squares = sum(values), sum(each * each for each in values)
    return [
        b"?",
        *(str(float(total)).encode(), str(len(values)).encode(), str(float(squares)).encode()),
        repr(statistics.pvariance(floats)).encode(),
    ]


def result(shards: list[list[Fraction]], columns: list[ColumnDefinition], *, sample: bool, root: bool) -> Cell:
    whole = Spread(
        Aggregate(0, Fold.VARIANCE, total=1, count=2, squares=3, spread=4, sample=sample, root=root), columns
    )
    current, *others = [sent(each) for each in shards]
    for each in others:
        whole.fold(current, each)
    whole.finish(current)
    return current[0]


WAYS = [definitions(T.NEWDECIMAL), definitions(T.DOUBLE), definitions(T.NEWDECIMAL, 2, capped=True)]


@pytest.mark.parametrize("columns", WAYS, ids=["exact", "doubles", "cut squares"])
@pytest.mark.parametrize(
    "shards",
    [
        [[1, 2, 3, 4], [10, 20], []],
        [[], [7], [9]],
        [[1_000_000, 1_000_001], [1_000_002]],
        [[0.5, 0.25], [0.75, -4]],
    ],
)
def test_variances(shards: list[list[float]], columns: list[ColumnDefinition]) -> None:
    parts = [[Fraction(each) for each in shard] for shard in shards]
    values = [each for shard in shards for each in shard]
    for sample, root, of in (
        (False, False, statistics.pvariance),
        (True, False, statistics.variance),
        (False, True, statistics.pstdev),
        (True, True, statistics.stdev),
    ):
        found = result(parts, columns, sample=sample, root=root)
        assert found is not None
        assert float(found) == pytest.approx(of(values), rel=1e-14)


@pytest.mark.parametrize("columns", WAYS)
def test_of_too_few_values_there_is_none(columns: list[ColumnDefinition]) -> None:
    assert result([[], []], columns, sample=False, root=False) is None
    assert result([[Fraction(3)], []], columns, sample=True, root=True) is None
    assert result([[Fraction(3)], []], columns, sample=False, root=True) == b"0"


def test_what_may_have_been_cut_is_not_used() -> None:
    whole = Spread(Aggregate(0, Fold.VARIANCE, total=1, count=2, squares=3, spread=4), definitions(T.NEWDECIMAL))
    with pytest.raises(Inexact):
        whole.finish([None, b"9" * 40, b"2", b"9" * 63 + b".00", None])
    with pytest.raises(Inexact):
        Spread(Aggregate(0, Fold.VARIANCE, total=1, count=2, squares=3, spread=4), definitions(T.VAR_STRING))
