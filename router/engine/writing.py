"""A write on several shards: all of them do it, or none.

Each shard runs its part inside a transaction: the session's own, with a savepoint in front to go back to, or one that
is begun for the statement and committed behind it. What one shard refuses, the others take back.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from router.backend.connection import PoolKey
from router.engine import refusals
from router.engine.execution import Execution
from router.engine.executor import Executor
from router.engine.kill import Killer
from router.engine.loading import Loading
from router.engine.services import Client, Services
from router.engine.share import Share
from router.engine.totals import total
from router.engine.trace import ADMISSION, Trace
from router.errors import MySQLError
from router.planner.plan import Spread
from router.wire.constants import ServerStatus
from router.wire.packets import OkPacket

_SAVEPOINT = "SAVEPOINT `router: statement`"
_BACK = "ROLLBACK TO SAVEPOINT `router: statement`"
# The OK, or what went wrong and whether the session must end with it.
Answered = Callable[[OkPacket | None, MySQLError | None, bool], None]


class Writing:
    """One session's writes on several shards, one at a time. ``answered`` tells the client."""

    def __init__(
        self, executor: Executor, services: Services, answered: Answered, client: Client | None = None
    ) -> None:
        """``client`` is asked for files."""
        self.client = client
        self.loading: Loading | None = None
        self.session = executor.session
        self.executor = executor
        self.services = services
        self.execution: Execution | None = None
        self.trace: Trace | None = None  # of the statement
        self._now: str | None = None
        self._answered = answered
        self._plan: Spread | None = None
        self._key: PoolKey = executor.key
        self._shares: list[Share] = []
        self._queued: dict[str, list[Share]] = {}
        self._left = 0
        self._bare = False
        self._own = False  # the transaction is the statement's
        self.joins = False  # it is the session's, and under way
        self._needs: Counter[str] = Counter()
        self._rolled_back = False
        self.killed = False
        self._kills = 0  # under way

    def run(self, plan: Spread, key: PoolKey, execution: Execution | None = None) -> None:
        """Run all parts; connections are of ``key``. ``execution``: of a prepared statement, with these values."""
        self.execution = execution
        session = self.session
        self._plan, self._key = plan, key
        self._own = not session.transaction and session.autocommit
        # Nothing to begin or commit: one shard does it by itself, or it commits by itself.
        self._bare = plan.ddl or (self._own and len(plan.parts) == 1 and plan.load is None)
        self._rolled_back = self.killed = False
        self._now = f"SET timestamp = {time.time():.6f}" if plan.clock else None
        self.joins = not self._own and bool(self.executor.held or self.executor.branches)
        groups = {part.relay.group for part in plan.parts}
        self._needs = Counter(() if self.joins else dict.fromkeys(groups, int(self._own)))
        if self.trace is not None:
            self.trace.waits.begin(ADMISSION)
        self.services.admission.enter(self._needs, self._admitted)

    def _admitted(self) -> None:
        plan, session = self._plan, self.session
        assert plan is not None
        if self.trace is not None:
            self.trace.waits.end()
        if self._own and not self._bare:
            session.open_later(b"BEGIN")
        session.opening = None
        self.executor.spare()
        if plan.load is not None:
            self.loading = Loading(self, plan.load, plan.parts)
            self._shares = list(self.loading.shares)
        else:
            self._shares = [Share(self, part, self.services) for part in plan.parts]
        self._left = len(self._shares)
        self._queued = {}
        # Copies are locked in one order by everybody: the first shard first.
        self._start(self._shares[:1] if self._in_order(plan) else self._shares)

    @staticmethod
    def _in_order(plan: Spread) -> bool:
        return plan.copies and plan.load is None

    def _start(self, shares: list[Share]) -> None:
        """Ask all groups at once; shards of one group share its connection, one after the other."""
        for share in shares:
            group = share.part.relay.group
            if group in self._queued:
                self._queued[group].append(share)
            else:
                self._queued[group] = []
                share.start(self.executor.branches.take(group), self._key)

    @property
    def sets_clock(self) -> bool:
        """Whether all shards are told what time it is."""
        return self._now is not None

    def before(self, *, first: bool) -> list[str]:
        """What is said in front of a part; ``first``: of this statement on its connection."""
        savepoint = [_SAVEPOINT] if first and not self._own else []
        return savepoint if self._now is None else [*savepoint, self._now]

    def lost(self, where: str) -> MySQLError:
        """A connection is gone, and the transaction with it; returns what the client is to hear."""
        self._rolled_back = True
        return refusals.lost(where, refusals.OUTCOME_UNKNOWN) if self._bare else refusals.rolled_back(where)

    def ended(self, share: Share) -> None:
        """A shard has done its part, or refused to."""
        plan = self._plan
        if plan is None:
            return
        self._left -= 1
        failed = self.killed or any(each.error is not None for each in self._shares)
        group = share.part.relay.group
        waiting = self._queued.pop(group)
        if self.killed or (failed and not plan.ddl):
            self._left -= len(waiting)
            for each in waiting if self.killed else ():
                each.error = refusals.killed()
            if self._in_order(plan) and share is self._shares[0]:
                self._left = 0
        elif waiting:  # DDL goes on: the report says what has been done where
            self._queued[group] = waiting[1:]
            waiting[0].first = False
            waiting[0].start(self.executor.branches.take(group), self._key)
        if not failed and self._in_order(plan) and share is self._shares[0]:
            self._start(self._shares[1:])
        else:
            self._try_conclude(plan)

    # -- the end -----------------------------------------------------------------------------------------------

    def _try_conclude(self, plan: Spread) -> None:
        """All parts have ended, and no KILL is on its way that could hit what is said next."""
        if self._left == 0 and self._kills == 0:
            self._conclude(plan)

    def _conclude(self, plan: Spread) -> None:
        error = next((share.error for share in self._shares if share.error is not None), None)
        answers = [share.answer for share in self._shares if share.answer is not None]
        if error is None and self.killed and len(answers) < len(self._shares):
            error = refusals.killed()
        if error is None and plan.copies and len({each.affected_rows for each in answers}) > 1:
            error = refusals.copies_differ([each.affected_rows for each in answers])
        if self._bare:
            self._report(plan, answers, error)
        elif self._rolled_back:
            self.executor.branches.abandon()
            self.session.ended()
            self._answer(None, error)
        elif error is not None:
            self._check(error, [share for share in self._shares if share.error is not None and share.was_in])
        else:
            kept = answers[:1] if plan.copies else answers
            ok = total(kept, plan.facts.kind, plan.parts[0].sql, last=0 if plan.copies else plan.last)
            if self._own:
                self.executor.branches.commit(plan.facts, lambda error, close: self._committed(ok, error, close))
            else:
                self._keep()
                self._answer(ok, None)

    def _report(self, plan: Spread, answers: list[OkPacket], error: MySQLError | None) -> None:
        """What was done by itself: there is nothing to commit, and nothing can be taken back."""
        self.executor.branches.release()
        ok = None
        if error is None:
            ok = total(answers, plan.facts.kind, plan.parts[0].sql, last=0)
        elif plan.ddl:
            error = refusals.partly_done({str(share.part.relay.shard): share.error for share in self._shares}, error)
        close = error is not None and not plan.ddl and self._rolled_back
        if plan.ddl:
            self.services.tables_changed(lambda: self._answer(ok, error))
        else:
            self._answer(ok, error, close)

    def _committed(self, ok: OkPacket, error: MySQLError | None, close: bool) -> None:
        self._answer(ok if error is None else None, error, close)

    def _check(self, error: MySQLError, suspects: list[Share]) -> None:
        """Is the transaction still open where the statement failed?"""
        if self._own or not suspects:
            self._take_back(error)
            return
        share, *others = suspects
        branch = self.executor.branches.take(share.part.relay.group)
        if branch is None:
            self._check(error, others)
            return
        self.executor.branches.park(*branch)

        def checked(still: bool) -> None:
            if still:
                self._check(error, others)
                return
            self.executor.branches.abandon()
            self.session.ended()
            self._answer(None, error)

        self.executor.branches.check(branch[0], checked)

    def _take_back(self, error: MySQLError) -> None:
        """Undo what the others have done: the statement, or the transaction that was its own."""
        branches = self.executor.branches
        plan = self._plan
        assert plan is not None
        if self._own:
            branches.roll_back(plan.facts, lambda _, close: self._answer(None, error))
            return
        groups = {share.part.relay.group for share in self._shares if share.answer is not None}

        def told(problem: MySQLError | None, close: bool) -> None:
            if problem is None:
                self._keep()
            self._answer(None, problem or error)

        branches.tell(_BACK.encode(), plan.facts, told, groups)

    def _keep(self) -> None:
        """The session's transaction goes on."""
        session = self.session
        if self.executor.branches:
            session.after_status(session.status | ServerStatus.IN_TRANS)
        self.executor.regain()

    def _answer(self, ok: OkPacket | None, error: MySQLError | None, close: bool = False) -> None:
        plan, self._plan = self._plan, None
        self._shares = []
        self.loading = None
        self.services.admission.leave(self._needs)
        if plan is not None:
            if ok is not None and plan.first_id is not None:
                ok = replace(ok, last_insert_id=plan.first_id)
                self.session.last_insert_id = plan.first_id
                self.executor.look.knows = None
            self.services.counters.decisions[plan.reason] += 1
            self._answered(ok, error, close)

    def kill(self, done: Callable[[], None]) -> None:
        """KILL QUERY: what runs is ended and all of it taken back; ``done`` when the servers have done it.

        Once all parts are done it is too late, as on a single server.
        """
        plan = self._plan
        if plan is not None and self.services.admission.withdraw(self._admitted):
            self._needs = Counter()
            self._answer(None, refusals.killed())
            plan = None
        if plan is None or self.killed or not self._left:
            done()
            return
        self.killed = True

        def killed() -> None:
            self._kills -= 1
            if self._kills == 0:
                done()
                if self._plan is plan:
                    self._try_conclude(plan)

        self._kills = 1
        for share in self._shares:
            killer = Killer(self.executor.user, self.services.counters)
            self._kills += killer.end_statement(share.connection, share.server, killed)
        for share in self._shares:
            if share.waits:
                share.cancel()
                share.error = refusals.killed()
                self.ended(share)
        killed()

    def cancel(self) -> None:
        """The client is gone; a COMMIT under way goes on."""
        if self._plan is None:
            return
        if self.services.admission.withdraw(self._admitted):
            self._needs = Counter()
        for share in self._shares:
            share.cancel()
        if not self.executor.branches.ending:
            self._plan = None
            self.services.admission.leave(self._needs)
