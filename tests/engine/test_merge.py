"""Rows of shards become one result: the same as sorting, folding and counting all of them at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.engine.merge import Merge, Row
from router.planner.merging import Compare, MergeSpec, OrderKey, sort_key
from router.wire.constants import ColumnType
from router.wire.packets import ColumnDefinition

N = ColumnType.LONGLONG


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
