"""Plans by statement shape: the hot path of every query is one fingerprint and one dict lookup.

What a plan depends on besides the shape makes a scope: user, default database, lexical mode, and which rules mean the
client's address. Sessions of one scope share its plans. Rules with regular expressions look at values: where such rules
exist, which of them match is part of the key. A comment at a statement's end is no part of it otherwise.
"""

from __future__ import annotations

import re
from typing import Any

from router.planner.digests import Digests
from router.planner.plan import Local, Plan
from router.planner.planner import PlanContext, Planner
from router.planner.routing import searchable
from router.sql.comments import idle_end
from router.sql.fingerprint import fingerprinter
from router.sql.lexer import LexMode

# Longer statements are planned each time: their keys would cost more than they save. Bytes.
UNCACHED_ABOVE = 64 * 1024
MAX_SCOPES = 1024

_ScopeKey = tuple[str, str | None, LexMode, tuple[bool, ...]]


class PlanScope:
    """The plans of one scope. ``lookup`` is called for every statement; ``fresh`` is the last plan that was made."""

    __slots__ = ("_cache", "_context", "_fingerprint", "_key", "_regexes", "attached", "fresh", "plans")

    def __init__(self, cache: PlanCache, key: _ScopeKey, context: PlanContext) -> None:
        self._cache = cache
        self._key = key
        self._context = context
        self._fingerprint = fingerprinter(context.mode)
        self._regexes = cache.regexes
        self.attached = False
        self.fresh: Plan | None = None
        self.plans: dict[Any, Plan] = {}

    def lookup(self, sql: bytes) -> Plan:
        """The plan of ``sql``."""
        if self._regexes or len(sql) > UNCACHED_ABOVE:
            return self._lookup_slowly(sql)
        key = self._fingerprint(sql)
        plan = self.plans.get(key)
        if plan is None:
            return self._miss(sql, key)
        self._cache.hits += 1
        return plan

    def _lookup_slowly(self, sql: bytes) -> Plan:
        if len(sql) > UNCACHED_ABOVE:
            self._cache.misses += 1
            return self._cache.planner.plan(sql, self._context)
        text = searchable(sql)
        key = (tuple(regex.search(text) is not None for regex in self._regexes), *self._fingerprint(sql))
        plan = self.plans.get(key)
        if plan is None:
            return self._miss(sql, key)
        self._cache.hits += 1
        return plan

    def _miss(self, sql: bytes, key: tuple[Any, ...]) -> Plan:
        cache = self._cache
        if not self._regexes and (idle := idle_end(sql, key)):
            # Each statement may have a comment of its own: they share the plan of the text without it.
            sql = sql[:-idle]
            key = self._fingerprint(sql)
            plan = self.plans.get(key)
            if plan is not None:
                cache.hits += 1
                return plan
        cache.misses += 1
        self.fresh = plan = cache.planner.plan(sql, self._context)
        # Plans with values in them serve one statement only.
        if not isinstance(plan, Local) and plan.facts.kill is None:
            if cache.digests is not None:
                plan = cache.digests.watch(plan, sql, self._context)
            cache.store(self, key, plan)
        return plan

    @property
    def key(self) -> _ScopeKey:
        """What sets this scope apart."""
        return self._key


class PlanCache:
    """All plans of one catalog, bounded by ``max_entries`` plans and ``max_key_bytes`` per key."""

    def __init__(
        self,
        planner: Planner,
        digests: Digests | None = None,
        *,
        max_entries: int = 20_000,
        max_key_bytes: int = 16 * 1024,
    ) -> None:
        """``digests`` count the statements of plans that are kept."""
        self.planner = planner
        self.digests = digests
        self.hits = 0
        self.misses = 0
        self.regexes: tuple[re.Pattern[str], ...] = tuple(
            rule.regex for rule in planner.catalog.rules if rule.regex is not None
        )
        self._max_entries = max_entries
        self._max_key_bytes = max_key_bytes
        self._scopes: dict[_ScopeKey, PlanScope] = {}
        self._size = 0

    def __len__(self) -> int:
        """Number of plans held."""
        return self._size

    def scope(self, user: str, schema: str | None, mode: LexMode, client: str | None) -> PlanScope:
        """The scope of a session; to be asked for again when one of these changes."""
        meant = tuple(rule.from_client(client) for rule in self.planner.catalog.rules if rule.client is not None)
        key = (user, schema, mode, meant)
        scope = self._scopes.get(key)
        if scope is None:
            scope = PlanScope(self, key, PlanContext(user, schema, mode, client))
            self._attach(scope)
        return scope

    def store(self, scope: PlanScope, key: tuple[Any, ...], plan: Plan) -> None:
        """Keep a plan, unless its key is long; make room if there are too many."""
        if sum(len(part) for part in key if isinstance(part, bytes)) > self._max_key_bytes:
            return
        if not scope.attached:
            self._attach(scope)
        if self._size >= self._max_entries:
            self._make_room(scope)
        scope.plans[key] = plan
        self._size += 1

    def _attach(self, scope: PlanScope) -> None:
        """Make the scope known to later sessions; the oldest goes when there are too many (it may come back)."""
        replaced = self._scopes.pop(scope.key, None)
        if replaced is not None:
            self._detach(replaced)
        elif len(self._scopes) >= MAX_SCOPES:
            self._detach(self._scopes.pop(next(iter(self._scopes))))
        self._scopes[scope.key] = scope
        scope.attached = True

    def _detach(self, scope: PlanScope) -> None:
        self._size -= len(scope.plans)
        scope.plans.clear()
        scope.attached = False

    def _make_room(self, scope: PlanScope) -> None:
        """Drop the older half of the largest scope."""
        largest = max(self._scopes.values(), key=lambda each: len(each.plans))
        for key in list(largest.plans)[: len(largest.plans) // 2 + 1]:
            del largest.plans[key]
            self._size -= 1
