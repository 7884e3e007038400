"""One primary among servers that can be written: the declared, the newer epoch, the one we had."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cluster.electing import Candidate, elect, stay

A, B, C = ("aaaaaaaa-0000-0000-0000-00000000000" + digit for digit in "abc")


def mysql(name: str, executed: str, *, declared: bool = False, follows: str = "") -> Candidate:
    """Its GTIDs with the sources called a, b and c."""
    names = {"a": A, "b": B, "c": C}
    sets = ",".join(f"{names[part[0]]}:{part[1:]}" for part in executed.split())
    return Candidate(name, declared, frozenset(follows), executed=sets, identity=names[name])


def mariadb(name: str, number: int, executed: str) -> Candidate:
    return Candidate(name, executed=executed, identity=str(number))


@pytest.mark.parametrize(
    ("writable", "had", "down", "primary", "fenced"),
    [
        ([], "a", "", None, ""),
        ([mysql("a", "a1-9")], None, "b", "a", ""),
        # The newer epoch: all of the other's writes, and some of its own.
        ([mysql("a", "a1-9"), mysql("b", "a1-9 b1-3")], "a", "", "b", "a"),
        ([mysql("a", "a1-9"), mysql("b", "a1-9 b1-3")], "b", "", "b", "a"),
        ([mysql("a", "a1-9"), mysql("b", "a1-9 b1-3")], None, "", "b", "a"),
        # The old one has a write that the new one lacks: the one we had.
        ([mysql("a", "a1-10"), mysql("b", "a1-9 b1-3")], "b", "", "b", "a"),
        ([mysql("a", "a1-10"), mysql("b", "a1-9 b1-3")], "a", "", "a", "b"),
        ([mysql("a", "a1-10"), mysql("b", "a1-9 b1-3")], None, "", None, "ab"),
        # A replica that anybody may write to, asked a little later: no epoch of its own.
        ([mysql("a", "a1-9"), mysql("b", "a1-10")], "a", "", "a", "b"),
        ([mysql("a", "a1-9"), mysql("b", "a1-10")], None, "", "a", "b"),
        ([mysql("a", "a1-9"), mysql("b", "a1-9")], "b", "", "b", "a"),
        # The configuration has the last word.
        ([mysql("a", "a1-9", declared=True), mysql("b", "a1-9 b1-3")], "b", "", "a", "b"),
        ([mysql("a", "a1-9", declared=True), mysql("b", "a1-9 b1-3", declared=True)], "a", "", "b", "a"),
        # Who follows another is no primary, and need not be fenced.
        ([mysql("a", "a1-9"), mysql("b", "a1-9 b1-3", follows="a")], None, "", "a", ""),
        ([mysql("b", "a1-9", follows="a"), mysql("a", "a1-9")], None, "", "a", ""),
        ([mysql("b", "a1-9", follows="a"), mysql("a", "a1-9")], "b", "", "a", ""),
        ([mysql("b", "a1-9", follows="a")], None, "a", None, ""),
        ([mysql("b", "a1-9", follows="a")], "b", "a", "b", ""),
        ([mysql("b", "a1-9", follows="a")], None, "", "b", ""),  # a is read-only
        ([mysql("a", "a1-9", follows="b"), mysql("b", "b1-9", follows="a")], "b", "", "b", ""),
        ([mysql("a", "a1-9", follows="b"), mysql("b", "b1-9", follows="a")], None, "", "a", ""),
        ([mysql("b", "a1-9", declared=True, follows="a")], None, "a", "b", ""),
        # Three.
        ([mysql("a", "a1-9"), mysql("b", "a1-9 b1-3"), mysql("c", "a1-9 b1-3 c1")], "a", "", "c", "ab"),
        ([mysql("a", "a1-9"), mysql("b", "a1-9 b1-3"), mysql("c", "a1-9 c1")], "a", "", "a", "bc"),
        # MariaDB: its binlog state names who wrote.
        ([mariadb("a", 1, "0-1-9"), mariadb("b", 2, "0-1-9,0-2-12")], "a", "", "b", "a"),
        ([mariadb("a", 1, "0-1-11"), mariadb("b", 2, "0-1-9,0-2-12")], "a", "", "a", "b"),
        ([mariadb("a", 1, "0-1-11"), mariadb("b", 2, "0-1-9,0-2-12")], None, "", None, "ab"),
        # In a cluster all may be written, and all that are not may read.
        ([Candidate("a", clustered=True), Candidate("b", clustered=True)], "b", "", "b", ""),
        ([Candidate("a", clustered=True), Candidate("b", clustered=True)], None, "", "a", ""),
        # Nothing is known of them.
        ([Candidate("a"), Candidate("b")], None, "", "a", "b"),
        ([Candidate("a"), Candidate("b")], "b", "", "b", "a"),
    ],
)
def test_who_is_primary(
    writable: list[Candidate], had: str | None, down: str, primary: str | None, fenced: str
) -> None:
    outcome = elect(writable, had, down)
    assert (outcome.primary, outcome.fenced) == (primary, frozenset(fenced))


HISTORIES = st.lists(st.sampled_from(["a1-3", "a1-9", "b1-3", "b1-5", "c1", "c1-4"]), max_size=3, unique=True)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    found = []
    for name in draw(st.lists(st.sampled_from("abc"), unique=True)):
        follows = "".join(draw(st.lists(st.sampled_from("abc"), max_size=2)))
        executed = " ".join(draw(HISTORIES))
        found.append(mysql(name, executed, declared=draw(st.booleans()), follows=follows.replace(name, "")))
    return found


@given(candidates(), st.sampled_from(["a", "b", "c", None]), st.sets(st.sampled_from("abc")))
def test_never_two_and_nobody_else_takes_anything_that_stands_alone(
    writable: list[Candidate], had: str | None, down: set[str]
) -> None:
    names = {each.name for each in writable}
    outcome = elect(writable, had, down - names)
    assert outcome.primary is None or outcome.primary in names
    assert outcome.primary not in outcome.fenced
    for each in writable:
        if each.name != outcome.primary:
            assert (each.name in outcome.fenced) is (not each.follows)
    if any(each.declared for each in writable) and outcome.primary is not None:
        assert next(each for each in writable if each.name == outcome.primary).declared
    assert elect(writable, had, down - names) == outcome


def leaving(name: str, executed: str, *, follows: str = "") -> Candidate:
    return replace(mysql(name, executed, follows=follows), draining=True)


@pytest.mark.parametrize(
    ("writable", "had", "primary", "fenced"),
    [
        # The only one: then there is none.
        ([leaving("a", "a1-9")], "a", None, ""),
        ([leaving("a", "a1-9"), mysql("b", "a1-9")], "a", "b", ""),
        ([leaving("a", "a1-10"), mysql("b", "a1-9 b1-3")], "a", "b", ""),
        ([leaving("a", "a1-9"), mysql("b", "a1-9"), mysql("c", "a1-9")], "a", "b", "c"),
        # It is still what the other one applies the writes of: a replica that anybody may write to is no primary.
        ([leaving("a", "a1-9"), mysql("b", "a1-9", follows="a")], "a", None, ""),
        ([mysql("a", "a1-9"), leaving("b", "a1-9")], "a", "a", ""),
    ],
)
def test_who_drains_is_no_candidate(writable: list[Candidate], had: str, primary: str | None, fenced: str) -> None:
    outcome = elect(writable, had)
    assert (outcome.primary, outcome.fenced) == (primary, frozenset(fenced))


def test_nobody_takes_over_while_transactions_end() -> None:
    outcome = stay([leaving("a", "a1-9"), mysql("b", "a1-9 b1"), mysql("c", "a1-9", follows="a")], "a")
    assert (outcome.primary, outcome.fenced) == ("a", frozenset("b"))
