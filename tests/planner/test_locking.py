"""Locking reads over several shards."""

from __future__ import annotations

import pytest

from router.planner.binding import TextValues, bind
from router.planner.locking import clause_at
from router.planner.plan import Refused, Role, Scattered, Sharded
from router.sql.lexer import LexMode, tokens_of
from tests.planner.fix_shards import shop_context, shop_planner

MODE = LexMode()


@pytest.mark.parametrize(
    ("sql", "at"),
    [
        ("SELECT 1 FOR UPDATE", 2),
        ("SELECT 1 FOR SHARE SKIP LOCKED", 2),
        ("SELECT 1 LOCK IN SHARE MODE", 2),
        ("SELECT 1 FOR UPDATE NOWAIT;", 2),
        ("SELECT 1 FOR UPDATE OF t", None),
        ("SELECT 1 FOR UPDATE WAIT 5", None),
        ("SELECT 1", None),
    ],
)
def test_where_the_clause_begins(sql: str, at: int | None) -> None:
    assert clause_at(tokens_of(sql.encode(), MODE)) == at


def bound(sql: str, transactions: str = "best_effort") -> object:
    plan = shop_planner(transactions).plan(sql.encode(), shop_context())
    assert isinstance(plan, Sharded)
    return bind(plan, TextValues(sql.encode(), MODE), sql.encode(), MODE)


def test_each_shard_locks_its_rows() -> None:
    sql = "SELECT name FROM customers WHERE id IN (1, 2, 3, 4, 5, 6, 7) ORDER BY name FOR UPDATE"
    plan = bound(sql)
    assert isinstance(plan, Scattered)
    assert len(plan.parts) == 3
    for part in plan.parts:
        assert part.relay.role is Role.PRIMARY
        assert part.sql.endswith(b"FOR UPDATE")
        assert part.sql.count(b"FOR UPDATE") == 1


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT name FROM customers LIMIT 5 FOR UPDATE", "LIMIT"),
        ("SELECT COUNT(*) FROM customers FOR UPDATE", "groups"),
        ("SELECT DISTINCT region FROM customers FOR UPDATE", "distinct"),
        ("SELECT name FROM customers FOR UPDATE OF customers", "not the end"),
        ("SELECT name, CONNECTION_ID() FROM customers FOR UPDATE", "server_function"),
        ("SELECT name, strange(id) FROM customers FOR UPDATE", "unknown_function"),
    ],
)
def test_what_would_lock_other_rows_is_refused(sql: str, why: str) -> None:
    plan = bound(sql)
    assert isinstance(plan, Refused), plan
    assert why in plan.error.message


def test_with_single_nothing_is_locked_on_several() -> None:
    plan = bound("SELECT name FROM customers FOR UPDATE", "single")
    assert isinstance(plan, Refused)
    assert "best_effort" in plan.error.message
