"""What a session's state lets statements on several shards do."""

from __future__ import annotations

import pytest

from router.errors import MySQLError
from router.frontend.several import Several
from router.planner.plan import Refused, Scattered, Sharded, Spread
from router.sql.facts import PinReason
from tests.engine.bench import Bench, P
from tests.planner.fix_shards import shop_context, shop_planner


class Desk:
    """A session on the shop."""

    def __init__(self) -> None:
        self.bench = Bench(P, schema="shop")
        self.session = self.bench.session
        self.refusals: list[MySQLError] = []
        self.several = Several(
            self.bench.client,
            self.bench.executor,
            self.bench.services,
            0,
            lambda warned: None,
            lambda ok, error, close: None,
            self.refusals.append,
        )

    def bound(self, sql: str) -> object:
        plan = shop_planner().plan(sql.encode(), shop_context())
        assert isinstance(plan, Sharded)
        return self.several.bound(plan, sql.encode())


READ = "SELECT id FROM customers ORDER BY id"
DDL = "TRUNCATE customers"


def test_outside_of_transactions_they_are_run() -> None:
    desk = Desk()
    assert isinstance(desk.bound(READ), Scattered)
    assert isinstance(desk.bound(DDL), Spread)


def test_with_single_a_transaction_is_on_one_group() -> None:
    desk = Desk()
    desk.session.open_later(b"BEGIN")
    assert isinstance(desk.bound(READ), Refused)
    assert isinstance(desk.bound(DDL), Refused)


@pytest.mark.parametrize("sql", [READ, DDL])
def test_a_session_that_is_pinned_cannot_be_elsewhere(sql: str) -> None:
    desk = Desk()
    desk.session.pins.add(PinReason.TEMPORARY_TABLE)
    assert isinstance(desk.bound(sql), Refused)


def test_variables_that_mean_the_whole_answer() -> None:
    desk = Desk()
    desk.session.variables = desk.session.variables.with_changes({"sql_select_limit": "5"})
    assert isinstance(desk.bound(READ), Refused)
