"""EXPLAIN ROUTE without a session: what would become of a statement, as far as the catalog tells."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from router.planner.binding import TextValues, bind
from router.planner.catalog import Catalog
from router.planner.explain import COLUMNS, Row, explain_json, explain_rows
from router.planner.lookup import NeedsKeys
from router.planner.plan import Bound, Local, Plan, Refused, Sharded, plan_json
from router.planner.planner import PlanContext, Planner
from router.sql.lexer import LexMode


@dataclass(frozen=True, slots=True)
class Explained:
    """The rows of EXPLAIN ROUTE, and the plan as a JSON ``document``."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    document: str


def explained(catalog: Catalog, sql: str, user: str, schema: str | None, client: str | None) -> Explained:
    """For a user of the catalog, with this default ``schema``, who comes from the address ``client``."""
    planner, mode = Planner(catalog), LexMode()
    context = PlanContext(user=user, schema=schema, mode=mode, client=client)
    text = sql.encode()
    plan = planner.plan(text, context)
    if isinstance(plan, Local) and plan.sql:  # somebody pasted EXPLAIN ROUTE along with the statement
        text = plan.sql
        plan = planner.plan(text, context)
    target: Plan | Bound = plan
    if isinstance(plan, Sharded):
        # What a table of keys, or ids, would say, nobody knows here: then it is told what decides.
        with suppress(NeedsKeys):
            target = bind(plan, TextValues(text, mode, "utf-8"), text, mode)
        target = plan if plan.made is not None and isinstance(target, Refused) else target
    rows = explain_rows(target, None)
    if target is plan:
        return Explained(COLUMNS, tuple(rows), json.dumps(plan_json(plan), indent=2, ensure_ascii=False))
    return Explained(COLUMNS, tuple(rows), explain_json(plan, rows))
