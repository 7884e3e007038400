"""Which statements are counted together, and how many kinds there may be."""

from __future__ import annotations

import pytest

from router.config.models import RouterConfig
from router.planner.cache import PlanCache
from router.planner.catalog import Catalog
from router.planner.digests import Digests
from router.planner.plan import Relay
from router.planner.planner import Planner
from router.sql.lexer import LexMode

CONFIG = RouterConfig.model_validate(
    {
        "groups": {"main": {"servers": ["a:1", "b:1"]}},
        "users": {"app": {"password": "x"}, "other": {"password": "x"}},
    }
)


class Desk:
    """A cache whose statements are counted."""

    def __init__(self, most: int = 100, *, examples: bool = False, slow: float | None = None) -> None:
        self.digests = Digests(most, 4, examples=examples, slow=slow)
        self.cache = PlanCache(Planner(Catalog.build(CONFIG, 1)), self.digests)

    def run(self, sql: str, seconds: float = 1.0, user: str = "app", schema: str | None = None) -> Relay:
        plan = self.cache.scope(user, schema, LexMode(), None).lookup(sql.encode())
        assert isinstance(plan, Relay)
        if plan.observed is not None:
            plan.observed.add(0, seconds, 1.0, 1, failed=False)
        return plan

    @property
    def counts(self) -> dict[tuple[str, str, str, str], int]:
        return {(it.kind.text, it.kind.user, it.kind.schema, it.kind.route): it.count for it in self.digests}


def test_values_do_not_matter_and_everything_else_does() -> None:
    desk = Desk()
    for sql in ("SELECT a FROM t WHERE b = 1", "select a from t where b = 2 -- x", "SELECT a FROM t WHERE b = 'c'"):
        desk.run(sql)
    desk.run("SELECT a FROM t WHERE b IN (1, 2)")
    desk.run("SELECT a FROM t WHERE b IN (1, 2, 3)")
    desk.run("SELECT a FROM t WHERE b = 1", user="other", schema="shop")
    desk.run("UPDATE t SET a = 1")
    assert desk.counts == {
        ("SELECT a FROM t WHERE b = ?", "app", "", "main:replica"): 3,
        ("SELECT a FROM t WHERE b IN ( ? )", "app", "", "main:replica"): 2,
        ("SELECT a FROM t WHERE b = ?", "other", "shop", "main:replica"): 1,
        ("UPDATE t SET a = ?", "app", "", "main:primary"): 1,
    }


def test_there_are_not_more_than_may_be() -> None:
    desk = Desk(most=8)
    for number in range(20):
        desk.run(f"SELECT c{number} FROM t", seconds=100.0 if number == 3 else 1.0)
        assert len(desk.digests) <= 8
    assert ("SELECT c3 FROM t", "app", "", "main:replica") in desk.counts, "what takes the most time stays"
    assert sum(desk.counts.values()) + desk.digests.forgotten == 20


def test_none_are_counted() -> None:
    desk = Desk(most=0)
    assert desk.run("SELECT a FROM t").observed is None


def test_examples_are_kept_on_request_only() -> None:
    desk = Desk()
    desk.run("SELECT a FROM t WHERE b = 'secret'")
    assert [each.example for each in desk.digests] == [""]
    desk = Desk(examples=True)
    desk.run("SELECT a FROM t WHERE b = 'secret'")
    desk.run("SELECT a FROM t WHERE b = 'another'")
    assert [each.example for each in desk.digests] == ["SELECT a FROM t WHERE b = 'secret'"]
    desk.digests.configure(100, examples=False, slow=None)
    assert [each.example for each in desk.digests] == [""]


@pytest.mark.parametrize("slow", [None, 0.5])
def test_what_is_slow_can_change(slow: float | None) -> None:
    desk = Desk(slow=0.1)
    observed = desk.run("SELECT a FROM t").observed
    assert observed is not None
    assert observed.slow == 0.1
    desk.digests.configure(100, examples=False, slow=slow)
    assert observed.slow == (slow or float("inf"))
