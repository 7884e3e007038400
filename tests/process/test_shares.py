"""What each worker may use of what the configuration allows to all."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.models import RouterConfig
from router.process.shares import share_of, worker_count

SETTINGS: dict[str, Any] = {
    "groups": {"main": {"servers": ["127.0.0.1:1"]}},
    "users": {"app": {"password": "x", "max_connections": 5}, "other": {"password": "y"}},
}


def config(most: int = 50, **more: Any) -> RouterConfig:
    main = {"servers": ["127.0.0.1:1"], "pool": {"max_connections": most, "min_idle": 3}, **more.pop("main", {})}
    return RouterConfig.model_validate(SETTINGS | {"groups": {"main": main}} | more)


@given(st.integers(1, 40), st.integers(1, 400))
def test_pools_are_divided_without_rest(workers: int, most: int) -> None:
    shares = [share_of(config(most), number, workers).groups["main"].pool for number in range(workers)]
    assert sum(pool.max_connections for pool in shares) == max(most, workers)
    assert max(pool.max_connections for pool in shares) - min(pool.max_connections for pool in shares) <= 1
    assert sum(pool.min_idle for pool in shares) == 3


def test_clients_are_divided_generously() -> None:
    shared = share_of(config(limits={"max_connections": 7}), 1, 2)
    assert shared.limits.max_connections == 4
    assert (shared.users["app"].max_connections, shared.users["other"].max_connections) == (3, None)


def test_nothing_else_is_different() -> None:
    whole = config()
    shared = share_of(whole, 0, 2)
    assert shared.model_copy(update={"groups": whole.groups, "users": whole.users, "limits": whole.limits}) == whole
    assert whole.groups["main"].pool.max_connections == 50, "the configuration itself stays"


@pytest.mark.parametrize(("wanted", "given"), [("global", "strong"), ("session", "session"), ("eventual", "eventual")])
def test_what_workers_do_not_know_of_each_other_the_primary_answers(wanted: str, given: str) -> None:
    shared = share_of(config(main={"reads": {"consistency": wanted}}), 0, 2)
    assert shared.groups["main"].reads.consistency == given


def test_how_many() -> None:
    assert worker_count(config(workers=3)) == 3
    assert worker_count(config(workers="auto")) == len(os.sched_getaffinity(0))
