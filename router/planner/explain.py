"""A plan for people: the rows of EXPLAIN ROUTE."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Place:
    """Where one part of a plan would go now, as far as the plan alone does not say it.

    ``server`` and ``role``: None when no server gets it. ``why`` is what decided, if not the plan; ``note`` is added.
    """

    server: str | None
    role: str | None
    why: str | None = None
    note: str | None = None


# For a plan, where each of its parts would go now: several places for one that concerns several servers.
Places = Callable[[Relay | Scattered | Spread], Sequence[Place]]


def explain_rows(plan: Plan | Bound, places: Places | None, sql: str | None = None) -> list[Row]:
    """One row per server the statement would reach; without ``places``, as far as the plan says it."""
    match plan:
        case Relay():
            found = by_plan(plan) if places is None else places(plan)
            return [_row(number, plan, place, sql) for number, place in enumerate(found, start=1)]
        case Described():
            return explain_rows(plan.relay, places, sql)
        case Scattered() | Spread():
            found = by_plan(plan) if places is None else places(plan)
            return [
                _row(number, part.relay, place, part.sql.decode("utf-8", "replace"))
                for number, (part, place) in enumerate(zip(plan.parts, found, strict=True), start=1)
            ]
        case Staged():
            return _staged_rows(plan, places)
        case Sharded():
            return [(1, None, plan.relays[0].role.value, None, sql, "; ".join(placement_json(plan.placement)))]
        case Refused():
            return [(1, None, None, None, sql, f"refused: {plan.error.message}")]
        case Local():
            return [(1, None, None, None, sql, "answered by the router")]


def by_plan(plan: Relay | Scattered | Spread) -> list[Place]:
    """What the plan alone says."""
    relays = [plan] if isinstance(plan, Relay) else [part.relay for part in plan.parts]
    return [Place(f"group {relay.group}", relay.role.value) for relay in relays]


def _row(number: int, relay: Relay, place: Place, sql: str | None) -> Row:
    reason = _reason(relay)
    if place.why is not None:
        # What decides over a session as a whole goes in front of what is known of the statement.
        reason = place.why if place.server is None else f"{place.why} ({reason})"
    elif place.note is not None:
        reason = f"{reason}; {place.note}"
    return (number, place.server, place.role, relay.shard, sql, reason)


def _staged_rows(plan: Staged, places: Places | None) -> list[Row]:
    """The queries that are asked beforehand, and then the statement, with their numbers in their places."""
    steps, rest = outlined(plan)
    found: list[Row] = []
    for number, each in enumerate(steps, start=1):
        found += [
            (len(found) + 1 + place, *row[1:5], f"query {number}: {row[5]}")
            for place, row in enumerate(explain_rows(each, places))
        ]
    return found + [(len(found) + 1 + place, *row[1:]) for place, row in enumerate(explain_rows(rest, places))]


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
