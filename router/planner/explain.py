"""A plan for people: the rows of EXPLAIN ROUTE."""

from __future__ import annotations

import json
from collections.abc import Sequence

from router.planner.plan import (
    Bound,
    Described,
    Local,
    Plan,
    Refused,
    Relay,
    Scattered,
    Sharded,
    Spread,
    Staged,
    mirror_text,
    placement_json,
    plan_json,
)
from router.planner.staging import outlined
from router.sql.facts import Reason, StatementFacts

Row = tuple[int, str | None, str | None, str | None, str | None, str]
COLUMNS = ("step", "server", "role", "shard", "sql", "reason")

# Reasons whose detail names the construct that decided.
_NAMED = frozenset(
    {
        Reason.UNKNOWN_FUNCTION,
        Reason.SERVER_FUNCTION,
        Reason.SERVER_VARIABLE,
        Reason.LOOKS_BACK,
        Reason.NO_PARSE,
        Reason.OPAQUE,
        Reason.TOO_LARGE,
        Reason.MULTI_STATEMENT,
    }
)


def explain_rows(plan: Plan | Bound, server: str | None, sql: str | None = None) -> list[Row]:
    """One row per server the statement would reach; ``server`` is the one that would be chosen now, if known."""
    match plan:
        case Relay():
            return [(1, server or f"group {plan.group}", plan.role.value, plan.shard, sql, _reason(plan))]
        case Described():
            return explain_rows(plan.relay, server, sql)
        case Scattered() | Spread():
            return [
                (
                    number,
                    f"group {part.relay.group}",
                    part.relay.role.value,
                    part.relay.shard,
                    part.sql.decode("utf-8", "replace"),
                    _reason(part.relay),
                )
                for number, part in enumerate(plan.parts, start=1)
            ]
        case Staged():
            return _staged_rows(plan)
        case Sharded():
            return [(1, None, plan.relays[0].role.value, None, sql, "; ".join(placement_json(plan.placement)))]
        case Refused():
            return [(1, None, None, None, sql, f"refused: {plan.error.message}")]
        case Local():
            return [(1, None, None, None, sql, "answered by the router")]


def _staged_rows(plan: Staged) -> list[Row]:
    """The queries that are asked beforehand, and then the statement, with their numbers in their places."""
    steps, rest = outlined(plan)
    found: list[Row] = []
    for number, each in enumerate(steps, start=1):
        found += [
            (len(found) + 1 + place, *row[1:5], f"query {number}: {row[5]}")
            for place, row in enumerate(explain_rows(each, None))
        ]
    return found + [(len(found) + 1 + place, *row[1:]) for place, row in enumerate(explain_rows(rest, None))]


def explain_json(plan: Plan, rows: Sequence[Row]) -> str:
    """The plan of a statement's shape, and the ``rows`` of EXPLAIN ROUTE for its values, as a JSON document."""
    return json.dumps(
        {"plan": plan_json(plan), "steps": [dict(zip(COLUMNS, row, strict=True)) for row in rows]},
        indent=2,
        ensure_ascii=False,
    )


def _reason(plan: Relay) -> str:
    reason = plan.reason.value
    if plan.rule is not None:
        reason += f" {plan.rule}"
        if plan.reason is Reason.RULE_NOT_READ:
            reason += f" ({_why_not(plan.facts)})"
    elif plan.reason is Reason.HINT_NOT_READ:
        reason += f" ({_why_not(plan.facts)})"
    elif plan.facts.detail and plan.reason in _NAMED:
        reason += f": {plan.facts.detail}"
    return reason if plan.mirror is None else f"{reason}; {mirror_text(plan.mirror)}"


def _why_not(facts: StatementFacts) -> str:
    return f"{facts.reason.value}: {facts.detail}" if facts.detail else facts.reason.value
