"""Rows of EXPLAIN ROUTE."""

from __future__ import annotations

import json

import pytest

from router.planner.explain import Place, Places, explain_json, explain_rows
from router.planner.plan import Local
from tests.planner.fix_catalog import ONE_GROUP, TWO_GROUPS, context, planner_of
from tests.planner.fix_shards import shop_context, shop_planner

RULES = """
rules:
  - {name: reports, when: {regex: report}, send_to: {role: replica}}
  - {name: no-scan, when: {digest: SELECT * FROM t}, reject: add a WHERE clause}
"""


def at(server: str | None, role: str | None, why: str | None = None, note: str | None = None) -> Places:
    """Everything goes there."""
    return lambda plan: [Place(server, role, why, note)]


@pytest.mark.parametrize(
    ("sql", "role", "reason"),
    [
        ("SELECT 1", "replica", "read"),
        ("DELETE FROM t", "primary", "write"),
        ("SELECT 1 FOR UPDATE", "primary", "locking_read"),
        ("SELECT my_f(1)", "primary", "unknown_function: my_f"),
        ("SELECT @@hostname", "primary", "server_variable: @@hostname"),
        ("SELECT LAST_INSERT_ID()", "primary", "looks_back: last_insert_id"),
        ("SELECT 1; SELECT 2", "primary", "multi_statement: select, select"),
        ("/*+ router(primary) */ SELECT 1", "primary", "hint"),
        ("/*+ router(replica) */ SELECT 1 FOR UPDATE", "primary", "hint_not_read (locking_read)"),
        ("SELECT 1 FROM report", "replica", "rule reports"),
        ("SELECT my_f(1) FROM report", "primary", "rule_not_read reports (unknown_function: my_f)"),
        ("SELECT * FROM t", None, "refused: router: add a WHERE clause (rule 'no-scan')"),
    ],
)
def test_one_row_says_where_and_why(sql: str, role: str | None, reason: str) -> None:
    plan = planner_of(ONE_GROUP + RULES).plan(sql.encode(), context())
    server = None if role is None else "main-a"
    assert explain_rows(plan, at(server, role)) == [(1, server, role, None, None, reason)]


def test_copies_are_named() -> None:
    rules = "rules: [{name: m, mirror: {group: analytics, percent: 12.5}}]\n"
    plan = planner_of(TWO_GROUPS + rules).plan(b"SELECT 1", context())
    ((*_, reason),) = explain_rows(plan, at("a", "replica"))
    assert reason == "read m; 12.5 % copied to group analytics by rule m"
    assert json.loads(explain_json(plan, []))["plan"]["mirror"] == "12.5 % copied to group analytics by rule m"


def test_what_decides_over_the_session_stands_in_front() -> None:
    plan = planner_of().plan(b"SELECT 1", context())
    for places, row in [
        (at("db1", "primary", "transaction"), ("db1", "primary", None, None, "transaction (read)")),
        (at("db2", "replica", None, "it waits"), ("db2", "replica", None, None, "read; it waits")),
        (at(None, None, "refused: no"), (None, None, None, None, "refused: no")),
    ]:
        assert explain_rows(plan, places) == [(1, *row)]


def test_one_row_for_each_server_and_for_each_part() -> None:
    commit = planner_of().plan(b"COMMIT", context())
    two = [Place("a", "primary"), Place("b", "primary")]
    assert [row[:3] for row in explain_rows(commit, lambda plan: two)] == [(1, "a", "primary"), (2, "b", "primary")]


def test_without_a_server_the_group_is_named() -> None:
    plan = planner_of().plan(b"SELECT 1", context())
    assert explain_rows(plan, None, "SELECT 1") == [(1, "group main", "replica", None, "SELECT 1", "read")]


def test_what_the_router_answers_itself() -> None:
    plan = planner_of().plan(b"EXPLAIN ROUTE SELECT 1", context())
    assert isinstance(plan, Local)
    assert explain_rows(plan, None) == [(1, None, None, None, None, "answered by the router")]


def test_as_json() -> None:
    plan = planner_of().plan(b"SELECT 1", context())
    found = json.loads(explain_json(plan, explain_rows(plan, at("main-a", "replica"), "SELECT 1")))
    assert found["plan"]["reason"] == "read"
    assert found["steps"][0]["sql"] == "SELECT 1"


def test_what_describes_tables_goes_where_its_relay_says() -> None:
    plan = shop_planner().plan(b"SHOW TABLES", shop_context())
    assert explain_rows(plan, None, "SHOW TABLES") == [(1, "group main", "primary", None, "SHOW TABLES", "show")]
