"""Routing hints in comments."""

from __future__ import annotations

import pytest

from router.sql.hints import NO_HINTS, Hints, parse_hints


@pytest.mark.parametrize(
    ("comment", "hints"),
    [
        ("/*+ router(primary) */", Hints(role="primary")),
        ("/*+ router(replica) */", Hints(role="replica")),
        ("/*+ROUTER( Primary )*/", Hints(role="primary")),
        ("/*+ router(group=analytics) */", Hints(group="analytics")),
        ("/*+ router(shard=s1) */", Hints(shard="s1")),
        ("/*+ router(max_lag=0s) */", Hints(max_lag=0.0)),
        ("/*+ router(max_lag=500ms) */", Hints(max_lag=0.5)),
        ("/*+ router(max_lag=2m) */", Hints(max_lag=120.0)),
        ("/*+ router(group = a-b.c, replica) */", Hints(role="replica", group="a-b.c")),
        ("/*+ MAX_EXECUTION_TIME(100) router(primary) BKA(t1) */", Hints(role="primary")),
        ("/*+ router(primary) router(group=x) */", Hints(role="primary", group="x")),
        ("/*+ MAX_EXECUTION_TIME(1000) */", NO_HINTS),
        ("/*+ routers(x) */", NO_HINTS),
        ("/*+ */", NO_HINTS),
    ],
)
def test_hints(comment: str, hints: Hints) -> None:
    assert parse_hints([comment]) == hints


def test_several_comments_add_up() -> None:
    assert parse_hints(["/*+ router(replica) */", "/*+ router(max_lag=1s) */"]) == Hints(role="replica", max_lag=1.0)


@pytest.mark.parametrize(
    ("comment", "named"),
    [
        ("/*+ router(master) */", "router(master) is not known; known are primary, replica,"),
        ("/*+ router() */", "router() is not known"),
        ("/*+ router(primary=1) */", "router(primary=1) is not known"),
        ("/*+ router(group) */", "router(group) is not known"),
        ("/*+ router(max_lag=soon) */", "write a duration"),
        ("/*+ router(primary, replica) */", "contradict each other: role is both primary and replica"),
        ("/*+ router(primary */", "closing parenthesis missing"),
        ("/*+ router: primary */", "write hints as router(…)"),
    ],
)
def test_what_is_wrong_is_named(comment: str, named: str) -> None:
    error = parse_hints([comment]).error
    assert error is not None
    assert named in error
