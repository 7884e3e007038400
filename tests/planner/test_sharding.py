"""Sharding functions: where keys go, and that this never changes."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.planner.keys import Key
from router.planner.sharding import (
    ConsistentHash,
    Custom,
    Hash,
    List,
    Mod,
    NoShard,
    Period,
    Prefix,
    Range,
    ShardingFunction,
)


def spread(function: ShardingFunction, keys: range) -> Counter[int]:
    return Counter(function.shard((key,)) for key in keys)


def test_hash_is_what_sql_can_compute() -> None:
    """CONV(LEFT(MD5(key), 16), 16, 10) % 1024 * shards DIV 1024."""
    for key in (0, 1, -7, 123456789):
        slot = int(hashlib.md5(str(key).encode()).hexdigest()[:16], 16) % 1024
        assert Hash(4).shard((key,)) == Hash(4).shard_of_integer(key) == slot * 4 // 1024
    assert [Hash(4).shard((key,)) for key in range(8)] == [1, 3, 3, 2, 3, 3, 3, 2]


@given(st.integers(), st.integers(1, 40))
def test_integers_are_keys_like_others(number: int, count: int) -> None:
    for function in (Hash(count), Mod(count), ConsistentHash([str(each) for each in range(count)])):
        assert function.shard_of_integer(number) == function.shard((number,))


def test_hash_and_ring_spread_evenly() -> None:
    for function in (Hash(4), ConsistentHash(["a", "b", "c", "d"])):
        assert all(1700 < count < 3300 for count in spread(function, range(10_000)).values())


def test_mod() -> None:
    assert [Mod(3).shard((key,)) for key in (0, 1, 2, 3, -1, -3)] == [0, 1, 2, 0, 2, 0]


def test_another_shard_on_the_ring_takes_keys_and_moves_no_others() -> None:
    three, four = ConsistentHash(["a", "b", "c"]), ConsistentHash(["a", "b", "c", "d"])
    moved = [key for key in range(5_000) if three.shard((key,)) != four.shard((key,))]
    assert {four.shard((key,)) for key in moved} == {3}
    assert 800 < len(moved) < 1800


def test_prefix() -> None:
    function = Prefix(8, 2)
    assert function.shard(("abc",)) == function.shard(("abx",)) == function.shard(("ab",)) == Hash(8).shard(("ab",))
    assert function.shard(("a b",)) == function.shard(("a",)), "spaces at the end do not count"


def test_list() -> None:
    values: dict[Key, int] = {("DE",): 0, ("US",): 1}
    assert List(2, values).shard(("US",)) == 1
    with pytest.raises(NoShard):
        List(2, values).shard(("FR",))
    assert List(2, values, default=0).shard(("FR",)) == 0


def test_range() -> None:
    function = Range(3, [(None, 0, 0), (0, 100, 1), (200, None, 2)])
    assert [function.shard((key,)) for key in (-5, 0, 99, 200, 10**9)] == [0, 1, 1, 2, 2]
    with pytest.raises(NoShard):
        function.shard((100,))
    assert function.between(-5, -1) == frozenset({0})
    assert function.between(-1, 0) == frozenset({0, 1})
    assert function.between(100, 150) == frozenset()
    assert function.between(None, 99) == frozenset({0, 1})
    assert function.between(99, None) == frozenset({1, 2})
    assert function.between(5, 4) in (frozenset(), frozenset({1}))
    assert Range(2, [(0, 10, 0)], default=1).between(20, 30) == frozenset({1})


@pytest.mark.parametrize(
    ("unit", "days", "shards"),
    [
        ("day", [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 4)], [0, 1, 0]),
        ("week", [date(2024, 1, 7), date(2024, 1, 8), date(2024, 1, 15)], [0, 1, 2]),
        ("month", [date(2024, 1, 31), date(2024, 2, 1), date(2024, 12, 1)], [0, 1, 2]),
        ("year", [date(2024, 5, 1), date(2025, 1, 1), date(2027, 1, 1)], [0, 1, 0]),
    ],
)
def test_periods(unit: str, days: list[date], shards: list[int]) -> None:
    function = Period(3, unit, date(2024, 1, 1))
    assert [function.shard((day,)) for day in days] == shards
    with pytest.raises(NoShard):
        function.shard((date(2023, 12, 31),))


def test_periods_between() -> None:
    function = Period(3, "month", date(2024, 1, 1), default=2)
    assert function.between(date(2024, 1, 5), datetime(2024, 2, 1, 12)) == frozenset({0, 1})
    assert function.between(date(2024, 1, 5), date(2024, 4, 1)) is None
    assert function.between(date(2023, 1, 5), date(2024, 1, 1)) == frozenset({0, 2})
    assert function.between(None, date(2024, 1, 1)) is None


def test_a_function_of_the_users() -> None:
    function = Custom(["a", "b"], lambda key, shards: shards[key] if key < 2 else "nowhere")
    assert [function.shard((key,)) for key in (0, 1)] == [0, 1]
    with pytest.raises(NoShard):
        function.shard((2,))


BOUNDS = st.one_of(st.none(), st.integers(-50, 250))


@given(st.integers(-50, 250), BOUNDS, BOUNDS)
def test_a_range_of_keys_holds_the_shards_of_its_keys(key: int, low: int | None, high: int | None) -> None:
    function = Range(3, [(None, 0, 0), (0, 100, 1), (100, None, 2)])
    if (low is None or low <= key) and (high is None or key <= high):
        between = function.between(low, high)
        assert between is not None
        assert function.shard((key,)) in between


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.dates(), st.dates(), st.sampled_from(["day", "week", "month"]))
def test_so_does_one_of_dates(key: date, low: date, high: date, unit: str) -> None:
    function = Period(5, unit, date(2022, 6, 15), default=4)
    between = function.between(low, high)
    if low <= key <= high and between is not None:
        assert function.shard((key,)) in between
