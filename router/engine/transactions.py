"""BEGIN, SAVEPOINT, COMMIT and ROLLBACK of a session whose tables are on several groups of servers.

A transaction is opened where its first statement belongs, so BEGIN waits for that. Once it is on several groups, its
savepoints and its end concern all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from router.engine import refusals
from router.engine.branches import Ended
from router.engine.executor import Executor
from router.errors import MySQLError
from router.planner.plan import Relay
from router.session.state import SessionState
from router.sql.facts import TRANSACTIONAL, StatementFacts, StatementKind

# START TRANSACTION with a comment longer than this goes to a server at once. Bytes.
_LONGEST_BEGIN = 256
_SWITCHES_ON = re.compile(
    rb"\s*SET\s+(?:(?:@@)?SESSION[\s.]\s*|@@)?AUTOCOMMIT\s*:?=\s*(?:1|ON|TRUE)\s*;?\s*", re.IGNORECASE
)
_NOT_PLAIN = (b"SNAPSHOT", b"CHAIN", b"RELEASE")


class Transactions:
    """Of one session. ``answered(error, close)``: what the client is to hear, when no server answers it."""

    __slots__ = ("_answered", "_executor", "_session")

    def __init__(self, session: SessionState, executor: Executor, answered: Ended) -> None:
        self._session = session
        self._executor = executor
        self._answered = answered

    def run(self, plan: Relay, sql: bytes, send: Callable[[], None]) -> None:
        """Deal with the statement here, or let it be sent where ``plan`` says."""
        if not self._takes(plan, sql, send):
            send()

    def keeps(self, plan: Relay, sql: bytes) -> bool:
        """Whether no server would hear of the statement now: BEGIN waits for one, and what follows with it."""
        session, kind = self._session, plan.facts.kind
        if kind not in TRANSACTIONAL or self._executor.branches or not self._is_plain(sql):
            return False
        if kind is StatementKind.BEGIN:
            held = self._executor.held is not None and not self._executor.beginning.confined
            return not held and session.autocommit
        return session.opening is not None

    @staticmethod
    def _is_plain(sql: bytes) -> bool:
        return len(sql) < _LONGEST_BEGIN and not any(word in sql.upper() for word in _NOT_PLAIN)

    def _takes(self, plan: Relay, sql: bytes, send: Callable[[], None]) -> bool:
        session, kind = self._session, plan.facts.kind
        if kind is StatementKind.SET:
            return bool(self._executor.branches) and self._autocommit(plan.facts, sql, send)
        if kind is StatementKind.BEGIN and self._executor.beginning.confined:
            # It ends what is open there, in which nothing has been written.
            self._executor.leave()
            session.ended()
        plain = self._is_plain(sql)
        if self._executor.branches:
            self._everywhere(plan.facts, sql, plain=plain or kind is StatementKind.SAVEPOINT)
            return True
        if kind is StatementKind.BEGIN and not self._executor.held and session.autocommit and plain:
            session.open_later(sql)
        elif session.opening is not None and kind is StatementKind.SAVEPOINT:
            session.opening.append(sql)
            session.marked(sql)
        elif session.opening is not None and kind is not StatementKind.BEGIN:
            session.ended()
            if not plain:
                return False
        else:
            if kind is StatementKind.SAVEPOINT:
                session.marked(sql)
            return False
        self._ended(None, False)
        return True

    def _everywhere(self, facts: StatementFacts, sql: bytes, *, plain: bool) -> None:
        executor, branches = self._executor, self._executor.branches
        if not plain:
            self._answered(refusals.not_spanning("WITH CONSISTENT SNAPSHOT, AND CHAIN and RELEASE"), False)
            return
        executor.spare()
        match facts.kind:
            case StatementKind.COMMIT:
                branches.commit(facts, self._ended)
            case StatementKind.ROLLBACK:
                branches.roll_back(facts, self._ended)
            case StatementKind.BEGIN:
                branches.commit(facts, lambda error, close: self._begin_again(sql, error, close))
            case _:
                self._session.marked(sql)
                branches.tell(sql, facts, self._told)

    def _autocommit(self, facts: StatementFacts, sql: bytes, send: Callable[[], None]) -> bool:
        """Switched on again, it commits what is open."""
        if self._session.autocommit or _SWITCHES_ON.fullmatch(sql) is None:
            return False

        def ended(error: MySQLError | None, close: bool) -> None:
            if error is None:
                send()
            else:
                self._ended(error, close)

        self._executor.spare()
        self._executor.branches.commit(facts, ended)
        return True

    def _begin_again(self, sql: bytes, error: MySQLError | None, close: bool) -> None:
        if error is None:
            self._session.open_later(sql)
        self._ended(error, close)

    def _told(self, error: MySQLError | None, close: bool) -> None:
        self._executor.regain()
        self._ended(error, close)

    def _ended(self, error: MySQLError | None, close: bool) -> None:
        self._executor.look.elsewhere(read=False, warned=False)
        self._answered(error, close)
