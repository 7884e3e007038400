"""Counts of statements by their kind: digest, user, database and route.

A kind's counts hang on its plans, so that counting costs an addition or two and looks nothing up; here is what makes
them, and bounds them: when there are too many kinds, those that have taken the least time go, and are counted together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from router.planner.observed import Kind, Observed
from router.planner.plan import Plan, Relay, Sharded
from router.planner.planner import PlanContext
from router.sql.fingerprint import digest_text

# Characters of a digest, and of an example, that are kept.
LONGEST = 4096
# Of the kinds there may be, these stay when there are too many.
_KEPT = 0.75


class Digests:
    """All kinds of one process, ``most`` of them at a time. With ``examples`` each keeps one statement as it was."""

    def __init__(self, most: int, buckets: int, *, examples: bool = False, slow: float | None = None) -> None:
        self._most = most
        self._size = buckets
        self._examples = examples
        self._slow = inf if slow is None else slow
        self._kinds: dict[Kind, Observed] = {}
        self.forgotten = 0  # statements of kinds that had to go

    def __iter__(self) -> Iterator[Observed]:
        """All that have been seen to end."""
        return iter([each for each in self._kinds.values() if each.count])

    def __len__(self) -> int:
        return len(self._kinds)

    def configure(self, most: int, *, examples: bool, slow: float | None) -> None:
        """Keep so many from now on, with or without examples; seconds that count as slow."""
        self._most, self._examples = most, examples
        self._slow = inf if slow is None else slow
        for each in self._kinds.values():
            each.slow = self._slow
            if not examples:
                each.example = ""

    def watch(self, plan: Plan, sql: bytes, context: PlanContext) -> Plan:
        """The plan with its kind's counts on it, if it is one that servers answer."""
        if (not self._most and self._slow == inf) or not isinstance(plan, Relay | Sharded):
            return plan
        relay = plan if isinstance(plan, Relay) else plan.relays[0]
        route = f"{relay.group}:{relay.role}" if isinstance(plan, Relay) else "shards"
        observed = self._of(Kind(digest_text(sql, context.mode)[:LONGEST], context.user, context.schema or "", route))
        if self._examples and not observed.example:
            observed.example = sql[:LONGEST].decode("utf-8", "replace")
        if isinstance(plan, Relay):
            return replace(plan, observed=observed)
        return replace(plan, relays=tuple(replace(each, observed=observed) for each in plan.relays))

    def _of(self, kind: Kind) -> Observed:
        observed = self._kinds.get(kind)
        if observed is None:
            if len(self._kinds) >= self._most:
                self._make_room()
            observed = self._kinds[kind] = Observed(kind, self._size, self._slow)
        return observed

    def _make_room(self) -> None:
        """Plans keep counting on what is forgotten here until they are made anew; nobody reads that."""
        by_time = sorted(self._kinds.values(), key=lambda each: each.seconds, reverse=True)
        kept = by_time[: max(1, int(self._most * _KEPT))]
        self.forgotten += sum(each.count for each in by_time[len(kept) :])
        self._kinds = {each.kind: each for each in kept}
