"""Plans by shape: what shares a plan, what must not, and the bounds."""

from __future__ import annotations

import pytest

from router.planner.cache import MAX_SCOPES, UNCACHED_ABOVE, PlanCache
from router.planner.plan import Local, Refused, Relay, Role
from router.sql.lexer import LexMode
from tests.planner.fix_catalog import ONE_GROUP, TWO_GROUPS, planner_of

PLAIN = LexMode()


def cache_of(config: str = ONE_GROUP, **bounds: int) -> PlanCache:
    return PlanCache(planner_of(config), None, **bounds)


def test_one_plan_for_one_shape() -> None:
    cache = cache_of()
    scope = cache.scope("app", "shop", PLAIN, None)
    first = scope.lookup(b"SELECT c FROM t WHERE id=1")
    assert scope.lookup(b"SELECT c FROM t WHERE id=2") is first
    assert scope.lookup(b"SELECT c FROM t WHERE id=2 FOR UPDATE") is not first
    assert (cache.hits, cache.misses, len(cache)) == (1, 2, 2)


def test_a_comment_at_the_end_is_no_part_of_the_shape() -> None:
    cache = cache_of()
    scope = cache.scope("app", "shop", PLAIN, None)
    first = scope.lookup(b"SELECT c FROM t WHERE id=1 /*request='1'*/")
    for sql in (b"SELECT c FROM t WHERE id=2 /*request='2'*/", b"SELECT c FROM t WHERE id=3 /*request='3',x='y'*/"):
        assert scope.lookup(sql) is first
    assert (cache.hits, cache.misses, len(cache)) == (2, 1, 1)
    hinted = scope.lookup(b"SELECT c FROM t WHERE id=2 /*+ router(primary) */")
    assert isinstance(hinted, Relay)
    assert hinted.role is Role.PRIMARY
    assert scope.lookup(b"SELECT c FROM t WHERE id=2 FOR UPDATE/*request='4'*/") is not first


def test_a_rule_may_look_at_the_comment() -> None:
    cache = cache_of(ONE_GROUP + "rules:\n  - {when: {regex: report}, send_to: {role: primary}}\n")
    scope = cache.scope("app", "shop", PLAIN, None)
    for comment, role in ((b"/*route='shop'*/", Role.REPLICA), (b"/*route='report'*/", Role.PRIMARY)):
        plan = scope.lookup(b"SELECT c FROM t " + comment)
        assert isinstance(plan, Relay)
        assert plan.role is role


def test_sessions_alike_share_plans() -> None:
    cache = cache_of()
    assert cache.scope("app", "shop", PLAIN, "10.0.0.1") is cache.scope("app", "shop", PLAIN, "10.0.0.2")


@pytest.mark.parametrize(
    "other",
    [
        ("reader", "shop", PLAIN),
        ("app", "stock", PLAIN),
        ("app", None, PLAIN),
        ("app", "shop", LexMode(ansi_quotes=True)),
    ],
)
def test_sessions_that_differ_do_not(other: tuple[str, str | None, LexMode]) -> None:
    cache = cache_of()
    assert cache.scope("app", "shop", PLAIN, None) is not cache.scope(*other, None)


def test_schema_decides_the_group() -> None:
    cache = cache_of(TWO_GROUPS)
    plans = [cache.scope("app", schema, PLAIN, None).lookup(b"SELECT * FROM t") for schema in ("shop", "events")]
    assert [plan.group for plan in plans if isinstance(plan, Relay)] == ["main", "analytics"]


def test_client_rules_part_scopes() -> None:
    cache = cache_of(ONE_GROUP + "rules:\n  - {when: {client: 10.1.0.0/16}, send_to: {role: primary}}\n")
    inside, outside = (cache.scope("app", None, PLAIN, client) for client in ("10.1.0.5", "10.2.0.5"))
    assert inside is cache.scope("app", None, PLAIN, "10.1.9.9")
    roles = [plan.role for plan in (each.lookup(b"SELECT 1") for each in (inside, outside)) if isinstance(plan, Relay)]
    assert roles == [Role.PRIMARY, Role.REPLICA]


def test_regular_expressions_see_values() -> None:
    cache = cache_of(ONE_GROUP + "rules:\n  - {when: {regex: 'id = 42'}, send_to: {role: primary}}\n")
    scope = cache.scope("app", None, PLAIN, None)
    roles = []
    for value in (42, 43, 42, 44):
        plan = scope.lookup(b"SELECT v FROM t WHERE id = %d" % value)
        assert isinstance(plan, Relay)
        roles.append(plan.role)
    assert roles == [Role.PRIMARY, Role.REPLICA, Role.PRIMARY, Role.REPLICA]
    assert (cache.hits, cache.misses) == (2, 2)


def test_plans_with_values_are_not_kept() -> None:
    cache = cache_of()
    scope = cache.scope("app", None, PLAIN, None)
    kills = [scope.lookup(b"KILL %d" % number) for number in (1, 2)]
    assert [plan.facts.kill for plan in kills] == [("connection", 1), ("connection", 2)]
    local = [scope.lookup(b"EXPLAIN ROUTE SELECT %d" % number) for number in (1, 2)]
    assert [plan.sql for plan in local if isinstance(plan, Local)] == [b"SELECT 1", b"SELECT 2"]
    assert len(cache) == 0


def test_refusals_are_kept() -> None:
    cache = cache_of()
    scope = cache.scope("reader", None, PLAIN, None)
    first = scope.lookup(b"DELETE FROM t")
    assert isinstance(first, Refused)
    assert scope.lookup(b"DELETE FROM t") is first


def test_long_statements_and_long_keys_are_not_kept() -> None:
    cache = cache_of()
    scope = cache.scope("app", None, PLAIN, None)
    for sql in (b"SELECT '" + b"x" * UNCACHED_ABOVE + b"'", b"SELECT " + b"abcdefgh," * 3000 + b"1"):
        plan = scope.lookup(sql)
        assert isinstance(plan, Relay)
        assert plan.facts.read
        assert scope.lookup(sql) == plan
    assert (cache.hits, cache.misses, len(cache)) == (0, 4, 0)


def test_plans_are_bounded() -> None:
    cache = cache_of(max_entries=100)
    scopes = [cache.scope("app", schema, PLAIN, None) for schema in ("a", "b", "c")]
    for number in range(300):
        scopes[number % 3].lookup(b"SELECT a%d" % number)
        assert len(cache) <= 100
    assert len(cache) == sum(len(scope.plans) for scope in scopes)
    cache.misses = 0
    scopes[0].lookup(b"SELECT a297")
    assert cache.misses == 0


def test_scopes_are_bounded_and_the_forgotten_come_back() -> None:
    cache = cache_of()
    first = cache.scope("app", "first", PLAIN, None)
    first.lookup(b"SELECT 1")
    for number in range(MAX_SCOPES):
        cache.scope("app", f"s{number}", PLAIN, None).lookup(b"SELECT 1")
    assert not first.attached
    assert len(cache) == MAX_SCOPES
    plan = first.lookup(b"SELECT 1")
    assert first.attached
    assert first.lookup(b"SELECT 2") is plan
    assert cache.scope("app", "first", PLAIN, None) is first
    assert len(cache) == MAX_SCOPES
