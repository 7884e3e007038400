"""Rows of shards become one result: the same as sorting, folding and counting all of them at once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine.merge import Merge, Row
from router.errors import Unsupported
from router.planner.merging import Aggregate, Compare, Fold, MergeSpec, OrderKey, sort_key
from router.wire.constants import ColumnType
from router.wire.packets import ColumnDefinition

N, TEXT, MONEY = ColumnType.LONGLONG, ColumnType.VAR_STRING, ColumnType.NEWDECIMAL


def columns(*types: int, decimals: int = 0) -> list[ColumnDefinition]:
    return [ColumnDefinition(name=b"c%d" % number, type=kind, decimals=decimals) for number, kind in enumerate(types)]


def merged(
    spec: MergeSpec, types: list[ColumnDefinition], shards: list[list[Row]], limit: int | None = None, offset: int = 0
) -> list[Row]:
    """All rows, fed one at a time from each shard in turn."""
    merge = Merge(spec, types, len(shards), limit, offset)
    out: list[Row] = []
    for turn in range(max(map(len, shards), default=0) + 1):
        for leg, rows in enumerate(shards):
            if turn < len(rows):
                merge.add(leg, list(rows[turn]))
            elif turn == len(rows):
                merge.end(leg)
            out += merge.take()
    assert merge.done
    return out


NUMBERS = st.lists(st.lists(st.one_of(st.none(), st.integers(-9, 9)), max_size=8), min_size=1, max_size=4)


def cells(numbers: list[int | None]) -> list[Row]:
    return [[None if number is None else b"%d" % number] for number in numbers]


@given(NUMBERS, st.booleans(), st.one_of(st.none(), st.integers(0, 9)), st.integers(0, 5))
def test_a_merge_is_the_sort_of_the_union(
    shards: list[list[int | None]], descending: bool, limit: int | None, offset: int
) -> None:
    keys = (OrderKey(0, Compare.INTEGER, descending),)
    key = sort_key(keys)
    rows = [sorted(cells(each), key=key) for each in shards]
    everything = sorted((row for each in rows for row in each), key=key)
    end = None if limit is None else offset + limit
    assert merged(MergeSpec(order=keys), columns(N), rows, limit, offset) == everything[offset:end]


@given(NUMBERS)
def test_distinct_rows_are_those_of_the_union(shards: list[list[int | None]]) -> None:
    keys = (OrderKey(0, Compare.INTEGER),)
    rows = [sorted(cells(list(set(each))), key=sort_key(keys)) for each in shards]
    found = merged(MergeSpec(order=keys, distinct=True), columns(N), rows)
    assert sorted(map(repr, found)) == sorted({repr(row) for each in rows for row in each})


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(-50, 50))), max_size=6),
        min_size=1,
        max_size=4,
    )
)
def test_folded_groups_are_those_of_all_rows(shards: list[list[tuple[int, int | None]]]) -> None:
    """Each shard sends its own groups: key, COUNT, SUM, MIN, MAX, AVG; and SUM and COUNT for the latter."""
    spec = MergeSpec(
        hidden=2,
        groups=(OrderKey(0, Compare.INTEGER),),
        aggregates=(
            Aggregate(1, Fold.SUM, Compare.INTEGER),
            Aggregate(2, Fold.SUM),
            Aggregate(3, Fold.MIN, Compare.INTEGER, by=3),
            Aggregate(4, Fold.MAX, Compare.INTEGER, by=4),
            Aggregate(5, Fold.AVG, total=-2, count=-1),
        ),
    )
    types = columns(N, N, MONEY, N, N, MONEY, MONEY, N)
    types[5] = replace(types[5], decimals=4)
    found = merged(spec, types, [groups(rows) for rows in shards])
    expected = [row[:-2] for row in groups([row for rows in shards for row in rows])]
    assert found == expected


def groups(rows: list[tuple[int, int | None]]) -> list[Row]:
    result = []
    for key in sorted({key for key, _ in rows}):
        values = [value for each, value in rows if each == key]
        known = [value for value in values if value is not None]
        total = sum(known) if known else None
        average = None if total is None else f"{Decimal(total) / len(known):.4f}"
        if average is not None:
            average = str((Decimal(total or 0) / len(known)).quantize(Decimal("0.0001"), rounding="ROUND_HALF_UP"))
        shown: list[Any] = [key, len(values), total, min(known, default=None), max(known, default=None), average, total]
        result.append([None if each is None else str(each).encode() for each in [*shown, len(known)]])
    return result


def test_one_group_of_all_rows() -> None:
    spec = MergeSpec(groups=(), aggregates=(Aggregate(0, Fold.SUM, Compare.INTEGER),))
    assert merged(spec, columns(N), [[[b"0"]], [[b"3"]], [[b"4"]]]) == [[b"7"]]


def test_groups_are_sorted_when_they_are_complete() -> None:
    spec = MergeSpec(
        groups=(OrderKey(0, Compare.INTEGER),),
        aggregates=(Aggregate(1, Fold.SUM, Compare.INTEGER),),
        final=(OrderKey(1, Compare.DECIMAL, descending=True),),
    )
    shards: list[list[Row]] = [[[b"1", b"5"], [b"2", b"1"]], [[b"2", b"9"], [b"3", b"7"]]]
    assert merged(spec, columns(N, N), shards, limit=2) == [[b"2", b"10"], [b"3", b"7"]]


def test_the_smallest_text_is_by_its_weight() -> None:
    spec = MergeSpec(hidden=1, groups=(), aggregates=(Aggregate(0, Fold.MIN, Compare.BYTES, by=-1),))
    assert merged(spec, columns(TEXT, TEXT), [[["Zoë".encode(), b"\x02"]], [[b"zoe", b"\x01"]], [[None, None]]]) == [
        [b"zoe"]
    ]


def test_without_an_order_rows_go_out_at_once() -> None:
    merge = Merge(MergeSpec(), columns(N), 2, None, 0)
    merge.add(1, [b"1"])
    assert list(merge.take()) == [[b"1"]]
    merge.end(0)
    assert not merge.done
    merge.end(1)
    assert merge.done


def test_an_order_waits_for_the_slowest() -> None:
    merge = Merge(MergeSpec(order=(OrderKey(0, Compare.INTEGER),)), columns(N), 2, None, 0)
    for number in (1, 2, 3):
        merge.add(0, [b"%d" % number])
    assert list(merge.take()) == []
    assert merge.held(0) == 2
    merge.add(1, [b"2"])
    assert list(merge.take()) == [[b"1"], [b"2"], [b"2"]] or merge.held(0) <= 1


def test_a_limit_ends_it() -> None:
    merge = Merge(MergeSpec(), columns(N), 2, 1, 0)
    merge.add(0, [b"1"])
    merge.add(0, [b"2"])
    assert list(merge.take()) == [[b"1"]]
    assert merge.done
    assert Merge(MergeSpec(), columns(N), 1, 0, 0).done


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        (MergeSpec(groups=(), aggregates=(Aggregate(0, Fold.SUM),)), ColumnType.DOUBLE, "summed"),
        (MergeSpec(order=(OrderKey(0, Compare.BY_TYPE),)), TEXT, "ordered or compared"),
        (MergeSpec(groups=(), aggregates=(Aggregate(0, Fold.AVG, total=0, count=0),)), ColumnType.FLOAT, "summed"),
    ],
)
def test_what_is_not_exact_is_refused(spec: MergeSpec, kind: int, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        Merge(spec, columns(kind), 2, None, 0)
