"""EXPLAIN ROUTE: what would happen to a statement if the session said it now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from router.engine.foresight import Foresight
from router.engine.services import Services
from router.frontend.local import JSON_COLUMNS
from router.planner.explain import COLUMNS, Place, explain_json, explain_rows
from router.planner.plan import Bound, Local, Plan, Relay, Scattered, Sharded, Spread
from router.planner.spreading import NoIds

if TYPE_CHECKING:
    from router.frontend.dispatch import Dispatcher


def explained(desk: Dispatcher, services: Services, plan: Local) -> tuple[tuple[str, ...], Sequence[Sequence[object]]]:
    """Columns and rows. Raises NeedsKeys."""
    sql = plan.sql
    planned = desk.scope.lookup(sql)
    target: Plan | Bound = planned
    if isinstance(planned, Sharded):
        try:
            target = desk.several.bound(planned, sql)
        except NoIds:
            target = planned.refused
    foresight = Foresight(desk.executor, desk.transactions, services)

    def places(part: Relay | Scattered | Spread) -> list[Place]:
        return foresight.places(part, sql)

    rows = explain_rows(target, places, sql.decode("utf-8", "replace"))
    if plan.facts.explain_as_json:
        return JSON_COLUMNS, [(explain_json(planned, rows),)]
    return COLUMNS, rows
