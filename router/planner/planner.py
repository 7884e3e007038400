"""A statement and its circumstances → a plan. Pure: the same input gives the same plan."""

from __future__ import annotations

from router.planner import routing
from router.planner.catalog import Catalog
from router.planner.plan import Local, Plan, Refused
from router.planner.routing import PlanContext
from router.sql.analyze import analyze
from router.sql.facts import StatementKind

__all__ = ["PlanContext", "Planner"]


class Planner:
    """Plans statements for one catalog."""

    __slots__ = ("catalog",)

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def plan(self, sql: bytes, context: PlanContext) -> Plan:
        """The plan of one COM_QUERY or COM_STMT_PREPARE text. Never raises."""
        catalog = self.catalog
        facts = analyze(sql, context.mode)
        if facts.kind is StatementKind.EXPLAIN_ROUTE and facts.explain_route is not None:
            return Local(facts.explain_route, facts)
        if facts.kind is StatementKind.SESSION_STATE:
            return Local(b"", facts)
        user = catalog.users.get(context.user)
        if user is None:
            return routing.unknown_user(context, facts)
        refused = routing.check_rights(facts, user, context) or routing.check_hints(catalog, facts)
        if refused is not None:
            return refused
        rule = routing.find_rule(catalog, sql, facts, context) if catalog.rules else None
        if rule is not None and rule.reject is not None:
            return routing.rejected(rule, facts)
        group = (rule.group if rule is not None else None) or facts.hints.group
        place = group if group is not None else routing.find_group(catalog, facts, context.schema)
        if isinstance(place, Refused):
            return place
        plan = routing.default_plan(catalog, place, facts, context.schema)
        if rule is not None:
            plan = routing.apply_rule(rule, plan)
        return routing.apply_hints(plan)
