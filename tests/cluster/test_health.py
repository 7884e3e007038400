"""Health as a function of probes: two misses in a row, one success."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cluster.health import MISSES, HealthState, Probe, question_for, role_of
from router.planner.plan import Role
from router.session.profile import UNKNOWN, Flavor


def after(events: Iterable[str]) -> HealthState:
    state = HealthState()
    for event in events:
        getattr(state, event)()
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
        ("mysql", "8.0.26", ["replica_parallel_workers"]),
        ("mariadb", "5.5.5-10.11.6-MariaDB", ["gtid_slave_pos"]),
    ],
)
def test_each_server_is_asked_in_its_words(flavor: Flavor, version: str, words: list[str]) -> None:
    question = question_for(replace(UNKNOWN, flavor=flavor, version=version))
    assert all(word in question for word in words)
    assert question.count("@@GLOBAL.read_only, @@GLOBAL.sql_mode, @@GLOBAL.gtid_") == 1
