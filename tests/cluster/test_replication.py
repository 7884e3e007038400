"""What servers say of replication: lag with its hysteresis, and membership in clusters."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cluster.replication import (
    Channel,
    Lag,
    LagState,
    Membership,
    Record,
    channels_of,
    galera_member,
    group_member,
    lag_of,
)
from tests.cluster.houses import follows

MARIADB = {
    "connection_name": "",
    "slave_io_running": "Yes",
    "slave_sql_running": "Yes",
    "seconds_behind_master": 7,
    "master_host": "db1",
    "master_port": 3306,
    "master_server_id": 1,
}


# --- replication status -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (follows("u1", 3), Channel("u1", "far.example", 3306, 3.0, running=True)),
        (follows("u1", None), Channel("u1", "far.example", 3306, inf, running=True)),
        (follows("u1", None, receives="Connecting"), Channel("u1", "far.example", 3306, inf, running=True, cut=True)),
        # Some versions still give a number then.
        (follows("u1", 0, receives="Connecting"), Channel("u1", "far.example", 3306, inf, running=True, cut=True)),
        (follows("u1", None, receives="No"), Channel("u1", "far.example", 3306, inf, running=True, cut=True)),
        (follows("u1", None, applies="No"), Channel("u1", "far.example", 3306, inf, running=True)),
        (follows("u1", None, applies="No", receives="No"), Channel("u1", "far.example", 3306, inf, running=False)),
        (MARIADB, Channel("1", "db1", 3306, 7.0, running=True)),
        (MARIADB | {"slave_io_running": "Preparing"}, Channel("1", "db1", 3306, inf, running=True, cut=True)),
    ],
)
def test_a_stream(record: Record, expected: Channel) -> None:
    assert channels_of([record]) == (expected,)


def test_streams_of_group_replication_have_no_source() -> None:
    applier = follows("", None, receives="No") | {"channel_name": "group_replication_applier"}
    assert channels_of([applier, follows("u1")]) == channels_of([follows("u1")])


@pytest.mark.parametrize(
    ("records", "heartbeat", "clustered", "declared", "expected"),
    [
        ([follows("a", 3)], None, False, False, Lag(3.0)),
        ([follows("a", 3), follows("b", 5)], None, False, False, Lag(5.0)),
        ([follows("a", 3)], 99.0, False, False, Lag(3.0)),
        ([follows("a", 3), follows("b", None, applies="No")], None, False, False, Lag(inf)),
        ([follows("a", 3), follows("b", None, receives="Connecting")], None, False, False, Lag(inf, cut=True)),
        ([follows("a", None, applies="No"), follows("b", None, receives="No")], None, False, False, Lag(inf)),
        (None, None, False, False, Lag(None)),
        (None, 2.5, False, False, Lag(2.5)),
        ([], None, False, False, Lag(inf)),
        ([], None, False, True, Lag(None)),
        ([], None, True, False, Lag(0.0)),
        (None, None, True, False, Lag(0.0)),
    ],
)
def test_lag(
    records: list[dict[str, Any]] | None, heartbeat: float | None, clustered: bool, declared: bool, expected: Lag
) -> None:
    channels = None if records is None else channels_of(records)
    assert lag_of(channels, heartbeat, clustered=clustered, declared=declared) == expected


# --- hysteresis -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lags", "over"),
    [
        ([], False),
        ([0], False),
        ([10], False),
        ([10.5], True),
        ([11, 5], True),
        ([11, 5, 5], False),
        ([11, 6, 6, 6], True),
        ([11, 5, 6, 5], True),
        ([11, 5, 6, 5, 5], False),
        ([11, 5, 5, 9], False),
        ([inf, 0, 0], False),
        ([inf, None], False),
    ],
)
def test_it_leaves_over_the_bound_and_returns_at_half_of_it(lags: list[float | None], over: bool) -> None:
    state = LagState()
    for seconds in lags:
        state.seen(Lag(seconds), 10.0)
    assert state.over is over
    assert state.stale is over


def test_without_a_bound_all_read() -> None:
    state = LagState()
    state.seen(Lag(inf), inf)
    assert not state.over


CUT = Lag(inf, cut=True)


@pytest.mark.parametrize(
    ("lags", "stale"),
    [
        ([Lag(0.0), CUT], False),
        ([Lag(0.0), CUT, CUT, CUT], False),
        ([Lag(11.0), CUT], True),
        ([Lag(11.0), Lag(4.0), CUT], True),
        ([Lag(0.0), Lag(inf), CUT], True),
        ([Lag(0.0), CUT, Lag(inf)], True),
    ],
)
def test_who_was_current_when_the_source_vanished_is_not_stale(lags: list[Lag], stale: bool) -> None:
    state = LagState()
    for lag in lags:
        state.seen(lag, 10.0)
    assert state.over
    assert state.stale is stale


@given(
    st.lists(
        st.one_of(st.none(), st.just(inf), st.floats(0, 30)).flatmap(lambda s: st.booleans().map(lambda c: (s, c)))
    )
)
def test_whatever_happens_who_is_over_the_bound_is_out(lags: list[tuple[float | None, bool]]) -> None:
    state = LagState()
    for seconds, cut in lags:
        state.seen(Lag(seconds, cut), 10.0)
        if seconds is not None and seconds > 10:
            assert state.over
        if not state.over:
            assert not state.stale


# --- clusters ---------------------------------------------------------------------------------------------------------


def member(name: str, state: str = "ONLINE", role: str = "SECONDARY") -> dict[str, str]:
    return {"member_id": name, "member_state": state, "member_role": role}


P, S1, S2 = member("a", role="PRIMARY"), member("b"), member("c")


@pytest.mark.parametrize(
    ("records", "identity", "expected"),
    [
        ([], "a", None),
        ([member("", "OFFLINE", "")], "a", None),
        ([member("a", "OFFLINE", "")], "a", None),
        ([P, S1, S2], "a", Membership()),
        ([P, S1, S2], "b", Membership(secondary=True)),
        ([P, member("b", "RECOVERING"), S2], "b", Membership("its state in Group Replication is RECOVERING")),
        ([P, member("b", "ERROR")], "b", Membership("its state in Group Replication is ERROR")),
        ([P, member("b", "UNREACHABLE"), S2], "a", Membership()),
        (
            [P, member("b", "UNREACHABLE"), member("c", "UNREACHABLE")],
            "a",
            Membership("it has lost the majority of Group Replication"),
        ),
        ([P, member("b", "UNREACHABLE")], "a", Membership("it has lost the majority of Group Replication")),
        ([P], "a", Membership()),
    ],
)
def test_group_replication(records: list[dict[str, str]], identity: str, expected: Membership | None) -> None:
    assert group_member(records, identity) == expected


GALERA = {
    "wsrep_on": "ON",
    "wsrep_cluster_status": "Primary",
    "wsrep_ready": "ON",
    "wsrep_local_state": "4",
    "wsrep_local_state_comment": "Synced",
    "wsrep_reject_queries": "NONE",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Membership()),
        ({"wsrep_on": "OFF"}, None),
        ({"wsrep_local_state": "2", "wsrep_local_state_comment": "Donor"}, Membership("its state in Galera is Donor")),
        ({"wsrep_ready": "OFF"}, Membership("its state in Galera is Synced")),
        ({"wsrep_cluster_status": "non-Primary"}, Membership("it is not in the primary component of Galera")),
        ({"wsrep_reject_queries": "ALL"}, Membership("wsrep_reject_queries is set")),
    ],
)
def test_galera(changes: dict[str, str], expected: Membership | None) -> None:
    said = [{"variable_name": name, "value": value} for name, value in (GALERA | changes).items()]
    assert galera_member(said) == expected
    assert galera_member([]) is None
