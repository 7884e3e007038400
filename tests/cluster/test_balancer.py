"""Which server answers a read: the least busy for its weight, equals in turn."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from router.cluster.balancer import LeastBusy
from router.cluster.topology import Server
from tests.cluster.houses import make_group


def servers(*weights: int) -> list[Server]:
    return make_group(*({"name": f"db{n}", "weight": weight} for n, weight in enumerate(weights))).servers


def choices(candidates: list[Server], count: int) -> Counter[str]:
    balancer = LeastBusy()
    chosen = [balancer.choose(candidates) for _ in range(count)]
    return Counter(server.name for server in chosen if server is not None)


def test_nobody() -> None:
    assert LeastBusy().choose([]) is None


def test_one_is_taken_whatever_its_weight() -> None:
    (lone,) = servers(0)
    assert LeastBusy().choose([lone]) is lone


def test_equals_take_turns() -> None:
    assert choices(servers(1, 1, 1), 30) == {"db0": 10, "db1": 10, "db2": 10}


def test_the_least_busy_is_chosen() -> None:
    candidates = servers(1, 1, 1)
    candidates[0].pool.in_use = 5
    candidates[2].pool.in_use = 3
    assert choices(candidates, 10) == {"db1": 10}


def test_weight_is_a_share_of_the_work() -> None:
    candidates = servers(3, 1)
    candidates[0].pool.in_use = 5
    candidates[1].pool.in_use = 2
    assert choices(candidates, 10) == {"db0": 10}
    candidates[0].pool.in_use = 7
    assert choices(candidates, 10) == {"db1": 10}


def test_weight_0_takes_nothing_while_another_can() -> None:
    candidates = servers(0, 1, 0)
    candidates[1].pool.in_use = 100
    assert choices(candidates, 10) == {"db1": 10}


def test_servers_of_weight_0_among_themselves_take_turns() -> None:
    assert choices(servers(0, 0), 10) == {"db0": 5, "db1": 5}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), min_size=1, max_size=6))
def test_no_other_server_would_have_been_less_busy(loads: list[tuple[int, int]]) -> None:
    candidates = servers(*(weight for weight, _ in loads))
    for server, (_, in_use) in zip(candidates, loads, strict=True):
        server.pool.in_use = in_use
    chosen = LeastBusy().choose(candidates)
    assert chosen is not None
    working = [server for server in candidates if server.weight]
    if working:
        assert chosen.weight
        assert chosen.pool.in_use / chosen.weight == min(server.pool.in_use / server.weight for server in working)
