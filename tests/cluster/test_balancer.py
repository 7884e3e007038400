"""Which server answers a read: what each policy picks, and that zone, room and weight come before it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cluster.balancer import Balancer, Fastest, LeastBusy, Policy, RoundRobin, policy_for, smoothed
from router.cluster.topology import Server
from tests.cluster.houses import make_group

POLICIES = ("least_busy", "round_robin", "fastest")
Loads = list[tuple[int, int]]


def servers(*weights: int, delays: tuple[float, ...] = ()) -> list[Server]:
    made = make_group(*({"name": f"db{n}", "weight": weight} for n, weight in enumerate(weights))).servers
    for server, delay in zip(made, delays, strict=False):
        server.delay = delay
    return made


def policies() -> list[Policy]:
    return [LeastBusy(), RoundRobin(), Fastest(Random(7).random)]


def choices(candidates: list[Server], count: int, policy: Policy | None = None) -> Counter[str]:
    balancer = Balancer(policy or LeastBusy())
    chosen = [balancer.choose(candidates) for _ in range(count)]
    return Counter(server.name for server in chosen if server is not None)


def working(candidates: list[Server], policy: Policy, *, most: int, count: int = 4000) -> Counter[str]:
    """Who gets ``count`` reads while ``most`` are in progress; each ends after as many others as its server is slow."""
    balancer = Balancer(policy)
    running: list[tuple[float, int, Server]] = []
    served: Counter[str] = Counter()
    now = 0.0
    for number in range(count):
        if len(running) == most:
            running.sort(key=lambda each: each[:2])
            now, _, done = running.pop(0)
            done.pool.in_use -= 1
        server = balancer.choose(candidates)
        assert server is not None
        server.pool.in_use += 1
        served[server.name] += 1
        running.append((now + (server.delay or 1.0), number, server))
    return served


# --- whatever the policy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", policies(), ids=POLICIES)
def test_nobody(policy: Policy) -> None:
    assert Balancer(policy).choose([]) is None


@pytest.mark.parametrize("policy", policies(), ids=POLICIES)
def test_one_is_taken_whatever_its_weight(policy: Policy) -> None:
    (lone,) = servers(0)
    lone.pool.in_use = lone.pool.max_connections
    assert Balancer(policy).choose([lone]) is lone


@pytest.mark.parametrize("policy", policies(), ids=POLICIES)
def test_weight_0_takes_nothing_while_another_can(policy: Policy) -> None:
    candidates = servers(0, 1, 0)
    candidates[1].pool.in_use = 100
    assert choices(candidates, 10, policy) == {"db1": 10}


@pytest.mark.parametrize("policy", policies(), ids=POLICIES)
def test_servers_of_weight_0_among_themselves_share(policy: Policy) -> None:
    got = choices(servers(0, 0), 100, policy)
    assert got["db0"] + got["db1"] == 100
    assert abs(got["db0"] - 50) <= (20 if isinstance(policy, Fastest) else 0)


@pytest.mark.parametrize("policy", policies(), ids=POLICIES)
def test_who_has_no_room_is_left_out_while_another_has(policy: Policy) -> None:
    candidates = servers(1, 1, 1, delays=(0.001, 0.001, 1.0))
    for server in candidates[:2]:
        server.pool.in_use = server.pool.max_connections
    assert choices(candidates, 10, policy) == {"db2": 10}
    candidates[2].pool.opening = candidates[2].pool.max_connections
    assert sum(choices(candidates, 10, policy).values()) == 10, "they queue"


@pytest.mark.parametrize("policy", policies(), ids=POLICIES)
def test_those_in_the_zone_come_first_while_they_have_room(policy: Policy) -> None:
    candidates = servers(1, 1, 0, delays=(0.001, 1.0, 0.001))
    candidates[1].near = candidates[2].near = True
    balancer = Balancer(policy, zoned=True)
    assert {balancer.choose(candidates) for _ in range(10)} == {candidates[1]}
    candidates[1].pool.in_use = candidates[1].pool.max_connections
    assert {balancer.choose(candidates) for _ in range(10)} == {candidates[0]}
    assert {balancer.choose(candidates[:1] + candidates[2:]) for _ in range(10)} == {candidates[0]}


@given(
    st.sampled_from(POLICIES),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10), st.booleans()), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
def test_zone_room_and_weight_come_before_the_policy(name: str, states: list[tuple[int, int, bool]], seed: int) -> None:
    candidates = servers(*(weight for weight, _, _ in states))
    for server, (_, in_use, near) in zip(candidates, states, strict=True):
        server.pool.in_use, server.near = in_use, near
    balancer = Balancer(policy_for(name, Random(seed).random), zoned=True)  # type: ignore[arg-type]
    for _ in range(3):
        chosen = balancer.choose(candidates)
        assert chosen in candidates

        def rank(server: Server) -> tuple[bool, bool, bool]:
            room = server.pool.has_room
            return server.weight > 0, room, room and server.near

        assert chosen is not None
        best = max(map(rank, candidates))
        # Among servers of weight 0, zones do not matter.
        assert rank(chosen)[: 3 if best[0] else 2] == best[: 3 if best[0] else 2]


def test_names_of_the_configuration() -> None:
    assert [type(policy_for(name)) for name in ("least_busy", "round_robin", "fastest")] == [
        LeastBusy,
        RoundRobin,
        Fastest,
    ]


# --- least_busy -------------------------------------------------------------------------------------------------------


def test_equals_take_turns() -> None:
    assert choices(servers(1, 1, 1), 30) == {"db0": 10, "db1": 10, "db2": 10}


def test_the_least_busy_is_chosen() -> None:
    candidates = servers(1, 1, 1)
    candidates[0].pool.in_use = 5
    candidates[2].pool.opening = 3
    assert choices(candidates, 10) == {"db1": 10}


def test_weight_is_a_share_of_the_work() -> None:
    candidates = servers(3, 1)
    candidates[0].pool.in_use = 5
    candidates[1].pool.in_use = 2
    assert choices(candidates, 10) == {"db0": 10}
    candidates[0].pool.in_use = 7
    assert choices(candidates, 10) == {"db1": 10}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), min_size=1, max_size=6))
def test_no_other_server_would_have_been_less_busy(loads: Loads) -> None:
    candidates = servers(*(weight for weight, _ in loads))
    for server, (_, in_use) in zip(candidates, loads, strict=True):
        server.pool.in_use = in_use
        server.pool.max_connections = 100
    chosen = Balancer(LeastBusy()).choose(candidates)
    assert chosen is not None
    able = [server for server in candidates if server.weight]
    if able:
        assert chosen.weight
        assert chosen.pool.in_use / chosen.weight == min(server.pool.in_use / server.weight for server in able)


# --- round_robin ------------------------------------------------------------------------------------------------------


def test_turns_are_spread_as_evenly_as_can_be() -> None:
    candidates = servers(5, 1, 1)
    balancer = Balancer(RoundRobin())
    chosen = [balancer.choose(candidates) for _ in range(14)]
    assert "".join(server.name[-1] for server in chosen if server) == "0010200" * 2


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_shares_are_exact_and_nobody_is_ahead_by_more_than_one_turn(weights: list[int]) -> None:
    candidates = servers(*weights)
    balancer = Balancer(RoundRobin())
    got: Counter[Server | None] = Counter()
    for turn in range(1, 2 * sum(weights) + 1):
        got[balancer.choose(candidates)] += 1
        for server in candidates:
            assert abs(got[server] - turn * server.weight / sum(weights)) < len(weights) / 2 + 1e-9
    assert [got[server] for server in candidates] == [2 * weight for weight in weights]


@given(st.lists(st.sets(st.integers(0, 3), min_size=2), max_size=200))
def test_who_is_left_out_at_times_makes_up_for_little_of_it(rounds: list[set[int]]) -> None:
    candidates = servers(1, 2, 3, 4)
    balancer = Balancer(RoundRobin())
    for able in rounds:
        balancer.choose([candidates[number] for number in sorted(able)])
        assert sum(server.turn for server in candidates) == 0
        assert all(abs(server.turn) <= 30 for server in candidates), "no burst when it is back"


# --- fastest ----------------------------------------------------------------------------------------------------------


def test_the_faster_of_two_is_taken_until_it_is_busy() -> None:
    candidates = servers(1, 1, delays=(0.0005, 0.0035))
    assert choices(candidates, 20, Fastest(Random(1).random)) == {"db0": 20}
    candidates[0].pool.in_use = 4
    assert choices(candidates, 20, Fastest(Random(1).random)) == {"db1": 20}


def test_work_is_shared_by_speed_and_weight() -> None:
    got = working(servers(1, 1, delays=(1.0, 3.0)), Fastest(Random(2).random), most=8)
    assert 5 < got["db0"] / got["db1"] < 14, "fewer at a time, and each takes longer"
    got = working(servers(1, 3, delays=(1.0, 1.0)), Fastest(Random(2).random), most=8)
    assert 2 < got["db1"] / got["db0"] < 4.5


def test_of_several_the_fastest_does_not_get_everything() -> None:
    got = choices(servers(1, 1, 1, 1, delays=(0.001, 0.002, 0.003, 0.004)), 4000, Fastest(Random(3).random))
    assert 0.45 < got["db0"] / 4000 < 0.55, "as often as it is drawn"
    assert got["db0"] > got["db1"] > got["db2"] > got["db3"] == 0


def test_small_differences_are_none() -> None:
    candidates = servers(1, 1, delays=(0.0001, 0.0002))
    candidates[0].pool.in_use = 1
    assert choices(candidates, 10, Fastest(Random(4).random)) == {"db1": 10}


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30))
def test_the_average_lies_within_what_was_measured(measured: list[float]) -> None:
    average = None
    for seconds in measured:
        average = smoothed(average, seconds)
        assert min(measured) <= average <= max(measured) * (1 + 1e-9)


def test_a_hiccup_counts_little_and_a_slow_server_is_noticed_within_probes() -> None:
    assert smoothed(0.001, 1.0) < 0.0016
    average = 0.001
    taken = []
    for _ in range(20):
        average = smoothed(average, 0.1)
        taken.append(average)
    assert all(later > earlier for earlier, later in pairwise(taken))
    assert taken[5] > 0.004
    assert taken[-1] > 0.05
    for _ in range(8):
        average = smoothed(average, 0.001)
    assert average < 0.01, "and so is one that has got better"


@pytest.mark.parametrize("policy", [LeastBusy(), RoundRobin()])
def test_turns_can_be_given_back(policy: Policy) -> None:
    candidates = servers(2, 1, 1)
    balancer = Balancer(policy)
    for _ in range(5):
        undo = balancer.keep(candidates)
        foretold = [balancer.choose(candidates) for _ in range(3)]
        undo()
        assert [balancer.choose(candidates) for _ in range(3)] == foretold
    Balancer(Fastest(Random(7).random)).keep(candidates)()
