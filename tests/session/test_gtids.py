"""GTIDs of both kinds: the last writes, and what a server has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.session.gtids import NOTHING, History, Reached, Token, wait_for

A, B = "29440c33-e5c6-11f1-b581-02fc00000001", "3b1f2f0a-0000-11f1-b581-02fc00000001"


@pytest.mark.parametrize(
    ("texts", "token"),
    [
        ([], ""),
        ([f"{A}:5"], f"{A}:5"),
        ([f"{A}:5", f"{A}:4"], f"{A}:5"),
        ([f"{A}:5", f"{A}:6-8:11"], f"{A}:11"),
        ([f"{A}:5", f"{B}:1"], f"{A}:5,{B}:1"),
        ([f"{A}:tag:5", f"{A}:7"], f"{A}:tag:5,{A}:7"),
        ([f"{A}:1-3:tag:5:9,\n{B}:2"], f"{A}:3,{A}:tag:9,{B}:2"),
        (["0-1-23"], "0-1-23"),
        (["0-1-23", "0-2-24", "1-1-5"], "0-2-24,1-1-5"),
    ],
)
def test_tokens(texts: list[str], token: str) -> None:
    found = NOTHING
    for text in texts:
        found = found.after(text)
    assert str(found) == token
    assert bool(found) is bool(token)


@pytest.mark.parametrize(
    ("reached", "token", "covered"),
    [
        ("", f"{A}:1", False),
        ("", "", True),
        (f"{A}:1-5", f"{A}:5", True),
        (f"{A}:1-5", f"{A}:6", False),
        (f"{A}:1-5:8-9", f"{A}:7", False),
        (f"{A}:1-5:8-9", f"{A}:8", True),
        (f"{A}:8-9:1-5", f"{A}:4", True),
        (f"{A}:1-5,\n{B}:1-3", f"{A}:5,{B}:3", True),
        (f"{A}:1-5,{B}:1-3", f"{A}:5,{B}:4", False),
        (f"{A}:1-5:tag:1-9", f"{A}:7", False),
        (f"{A}:1-5:tag:1-9", f"{A}:tag:7", True),
        ("0-1-23", "0-2-23", True),
        ("0-1-23,1-1-5", "0-1-24", False),
    ],
)
def test_what_a_server_has(reached: str, token: str, covered: bool) -> None:
    assert Reached(reached).covers(NOTHING.after(token)) is covered


@pytest.mark.parametrize(
    ("one", "other", "token"),
    [
        ("", "", ""),
        ("", f"{A}:5", f"{A}:5"),
        (f"{A}:5", "", f"{A}:5"),
        (f"{A}:5,{B}:9", f"{A}:6,{B}:8", f"{A}:6,{B}:9"),
        ("0-1-23", "0-2-24,1-1-5", "0-2-24,1-1-5"),
    ],
)
def test_what_two_know_of(one: str, other: str, token: str) -> None:
    assert str(NOTHING.after(one).joined(NOTHING.after(other))) == token


def test_what_was_seen_counts_too() -> None:
    reached = Reached(f"{A}:1-5")
    reached.seen(NOTHING.after(f"{A}:9"))
    reached.seen(NOTHING.after(f"{A}:7"))
    assert reached.covers(NOTHING.after(f"{A}:8"))
    assert not reached.covers(NOTHING.after(f"{A}:10"))
    assert reached.lacking(NOTHING.after(f"{A}:10,{B}:1")) == {A, B}
    assert str(NOTHING.after(f"{A}:10,{B}:1").without(frozenset({A}))) == f"{B}:1"


@pytest.mark.parametrize("text", ["bad", "1-2", f"{A}:x-y,1-2-c", "a-b-c", "x:5", f"{A}':5", f"{A}:'x:5", f"{A}:5-x"])
def test_what_is_no_gtid(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Token().after(text)


@given(st.sets(st.integers(1, 60)), st.integers(1, 60))
def test_intervals_are_sets(numbers: set[int], number: int) -> None:
    text = ",".join(f"{A}:{each}" for each in numbers)
    assert Reached(text).covers(NOTHING.after(f"{A}:{number}")) is (number in numbers)


def test_servers_are_asked_in_their_own_way() -> None:
    assert "WAIT_FOR_EXECUTED_GTID_SET" in wait_for(NOTHING.after(f"{A}:5"), 0.5, "mysql")
    assert "MASTER_GTID_WAIT('0-1-5', 0.5)" in wait_for(NOTHING.after("0-1-5"), 0.5, "mariadb")


@pytest.mark.parametrize(
    ("more", "less", "contains"),
    [
        ("", "", True),
        ("", f"{A}:1", False),
        (f"{A}:1-9", f"{A}:1-9", True),
        (f"{A}:1-9", f"{A}:2-3:5", True),
        (f"{A}:1-4:6-9", f"{A}:1-9", False),
        (f"{A}:1-9,{B}:1", f"{A}:1-9", True),
        (f"{A}:1-9", f"{A}:1-9,{B}:1", False),
        (f"{A}:1-9:tag:1-2", f"{A}:1-9:tag:2", True),
        (f"{A}:1-9", f"{A}:tag:2", False),
        ("0-1-9,0-2-12", "0-1-9", True),
        ("0-1-9,0-2-12", "0-1-11", False),
        ("0-1-9,0-1-7", "0-1-9,1-1-1", False),
    ],
)
def test_a_history_contains_another(more: str, less: str, contains: bool) -> None:
    assert History(more).contains(History(less)) is contains


def test_what_a_server_has_written_itself() -> None:
    whole = History(f"{A}:1-9:tag:3,{B}:1")
    assert whole.of(A).contains(History(f"{A}:1-9:tag:3"))
    assert not whole.of(A).contains(History(f"{B}:1"))
    assert not History("0-1-9,0-2-12,1-2-5").of("2").contains(History("0-1-1"))
    assert History("0-1-9,0-2-12,1-2-5").of("2").contains(History("0-2-12,1-2-5"))
    assert History("0-1-9").of("").contains(History())


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_histories_are_sets(more: set[int], less: set[int]) -> None:
    one, other = (History(f"{A}:{_intervals(numbers)}" if numbers else "") for numbers in (more, less))
    assert one.contains(other) is (less <= more)


def _intervals(numbers: set[int]) -> str:
    """As MySQL writes them: 1-3:5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ":".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
