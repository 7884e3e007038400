"""Health as a function of probes: two misses in a row, one success."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cluster.health import MISSES, HealthState, Probe, role_of
from router.planner.plan import Role


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
