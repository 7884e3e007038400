"""Health as a function of probes: two misses in a row, one success."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cluster.health import MISSES, HealthState, Probe, probe_of, questions_for, role_of
from router.cluster.replication import Membership, channels_of
from router.planner.plan import Role
from router.session.profile import UNKNOWN, Flavor
from tests.cluster.houses import follows


def after(events: Iterable[str]) -> HealthState:
    state = HealthState()
    for now, event in enumerate(events):
        if event == "suspect":
            state.suspect()
        else:
            getattr(state, event)(float(now))
    return state


@pytest.mark.parametrize(
    ("events", "up"),
    [
        ([], False),
        (["failed"], False),
        (["succeeded"], True),
        (["succeeded", "failed"], True),
        (["succeeded", "failed", "failed"], False),
        (["succeeded", "failed", "succeeded", "failed"], True),
        (["succeeded", "failed", "failed", "succeeded"], True),
        (["succeeded", "failed", "failed", "failed", "succeeded", "failed"], True),
        (["succeeded", "suspect"], True),
        (["succeeded", "suspect", "suspect", "suspect"], True),
        (["succeeded", "suspect", "failed"], False),
        (["succeeded", "suspect", "succeeded", "failed"], True),
        (["suspect", "succeeded"], True),
        (["failed", "failed", "suspect"], False),
    ],
)
def test_transitions(events: list[str], up: bool) -> None:
    assert after(events).up is up


@given(st.lists(st.sampled_from(["succeeded", "failed", "suspect"])))
def test_the_last_probe_decides_unless_it_is_the_first_miss(events: list[str]) -> None:
    state = after(events)
    probes = [event for event in events if event != "suspect"]
    if probes[-1:] == ["succeeded"]:
        assert state.up
    if probes[-MISSES:] == ["failed"] * MISSES or not probes:
        assert not state.up
    if "succeeded" not in probes:
        assert not state.up


def test_roles() -> None:
    assert role_of(Probe(read_only=True)) is Role.REPLICA
    assert role_of(Probe(read_only=False)) is Role.PRIMARY


@pytest.mark.parametrize(
    ("flavor", "version", "words"),
    [
        ("mysql", "9.7.0", ["gtid_executed", "replica_preserve_commit_order"]),
        ("mysql", "8.0.25", ["gtid_executed", "slave_preserve_commit_order"]),
        ("mysql", "8.0.26", ["replica_parallel_workers", "SHOW REPLICA STATUS"]),
        ("mysql", "8.0.21", ["slave_parallel_workers", "SHOW SLAVE STATUS"]),
        ("mariadb", "5.5.5-10.11.6-MariaDB", ["gtid_slave_pos", "gtid_binlog_state", "SHOW ALL SLAVES STATUS"]),
    ],
)
def test_each_server_is_asked_in_its_words(flavor: Flavor, version: str, words: list[str]) -> None:
    questions = questions_for(replace(UNKNOWN, flavor=flavor, version=version))
    assert all(word in questions.all[0] + questions.replication for word in words)


# --- going up and down ------------------------------------------------------------------------------------------------


def falls(count: int, every: float = 5.0) -> tuple[HealthState, float]:
    """A server that has gone down and come back so often, and when it came back."""
    state, now = HealthState(), 0.0
    state.succeeded(now)
    for _ in range(count):
        now += every
        state.failed(now)
        state.failed(now)
        state.succeeded(now)
    return state, now


@pytest.mark.parametrize(
    ("count", "every", "rest"),
    [(2, 5, 0), (3, 5, 2), (4, 5, 4), (6, 5, 16), (9, 5, 60), (12, 5, 60), (5, 25, 2), (9, 60, 0)],
)
def test_who_falls_often_rests_longer_each_time(count: int, every: float, rest: float) -> None:
    state, now = falls(count, every)
    assert state.up
    assert state.rests(now) is (rest > 0)
    assert not state.rests(now + rest)
    assert state.rests(now + rest - 0.01) is (rest > 0)


# --- answers ----------------------------------------------------------------------------------------------------------

QUESTIONS = questions_for(replace(UNKNOWN, flavor="mysql", version="9.7.0"), "monitor.heart`beat")
STATE: dict[str, Any] = {
    "read_only": 1,
    "sql_mode": "ANSI",
    "reached": "",
    "ordered": 1,
    "names": 0,
    "executed": "x",
    "identity": "u2",
}


def probed(**answers: Any) -> Probe:
    given: dict[str, Any] = {QUESTIONS.state: [STATE]}
    for name, answer in answers.items():
        question = QUESTIONS.cluster[0] if name == "members" else getattr(QUESTIONS, name)
        given[question] = answer
    return probe_of(QUESTIONS, given)


def test_a_probe_is_what_the_server_says() -> None:
    assert probed() == Probe(True, "ANSI", "", ordered=True, names=False, executed="x", identity="u2")
    assert probed(replication="denied").channels is None
    assert probed(replication=[]).channels == ()
    assert probed(replication=[follows("u1", 4)]).channels == channels_of([follows("u1", 4)])
    assert QUESTIONS.heartbeat is not None
    assert QUESTIONS.heartbeat.endswith("FROM `monitor`.`heart``beat`")
    for late, expected in (("1.5", 1.5), (0, 0.0), (-3, 0.0), (None, None)):
        assert probed(heartbeat=[{"late": late}]).heartbeat == expected
    assert probed(heartbeat="no such table").heartbeat is None


def test_a_secondary_is_no_primary_even_when_it_can_be_written() -> None:
    members = [{"member_id": "u2", "member_state": "ONLINE", "member_role": "SECONDARY"}]
    probe = replace(probed(members=members), read_only=False)
    assert probe.member == Membership(secondary=True)
    assert role_of(probe) is Role.REPLICA


def test_what_is_no_answer() -> None:
    answers: tuple[Any, ...] = ([], "denied", [{}], [STATE, STATE])
    for answer in answers:
        with pytest.raises((ValueError, LookupError)):
            probe_of(QUESTIONS, {QUESTIONS.state: answer})
