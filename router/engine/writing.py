"""A write on several shards: all of them do it, or none.

Each shard runs its part inside a transaction: the session's own, with a savepoint in front to go back to, or one that
is begun for the statement and committed behind it. What one shard refuses, the others take back.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

from router.backend.connection import BackendConnection, Capture, PoolKey
from router.cluster.topology import Server
from router.engine import refusals
from router.engine.branches import Branch
from router.engine.execution import Execution, send
from router.engine.executor import Executor
from router.engine.kill import Killer
from router.engine.leasing import Leasing
from router.engine.services import Services
from router.engine.totals import total
from router.errors import BackendError, ConnectionLost, MySQLError
from router.planner.plan import Part, Spread
from router.wire.constants import Capability, Command, ServerStatus
from router.wire.packets import OkPacket, decode_ok
from router.wire.scanner import QUERY

_SAVEPOINT = "SAVEPOINT `router: statement`"
_BACK = "ROLLBACK TO SAVEPOINT `router: statement`"
# The OK, or what went wrong and whether the session must end with it.
Answered = Callable[[OkPacket | None, MySQLError | None, bool], None]


class Share:
    """One shard's part."""

    __slots__ = (
        "_writing",
        "answer",
        "connection",
        "error",
        "first",
        "leasing",
        "part",
        "server",
        "started",
        "waits",
        "was_in",
    )

    def __init__(self, writing: Writing, part: Part, services: Services) -> None:
        self._writing = writing
        self.part = part
        self.leasing = Leasing(services, writing.executor.user, self._granted, self._not_granted)
        self.connection: BackendConnection | None = None
        self.server: Server | None = None
        self.answer: OkPacket | None = None
        self.error: MySQLError | None = None
        self.first = True  # of this statement on its connection
        self.was_in = False
        self.waits = False  # for a connection
        self.started = 0.0

    def start(self, branch: Branch | None, key: PoolKey) -> None:
        """Run on a connection of the transaction; None: there is none yet."""
        relay = self.part.relay
        if branch is None:
            self.waits = True
            self.leasing.lease(relay, (key[0], key[1], relay.database is not None or key[2]), primary=True)
            return
        if branch[0].closed:
            self.server = branch[1]
            branch[1].pool.discard(branch[0])
            self._lost(ConnectionLost("it ended between two statements"))
            return
        self._open(*branch, [])

    def _granted(self, connection: BackendConnection, server: Server) -> None:
        self.waits = False
        self._open(connection, server, self._writing.session.begun or [])

    def _not_granted(self, error: BackendError) -> None:
        self.waits = False
        self.error = refusals.not_sent(error)
        self._writing.ended(self)

    def _open(self, connection: BackendConnection, server: Server, opening: list[bytes]) -> None:
        """What comes before the statement; it waits for the verdict, as it must not run in the wrong place."""
        self.connection, self.server = connection, server
        self.started = perf_counter()
        self.was_in = bool(opening) or bool(connection.scanner.status & ServerStatus.IN_TRANS)
        session, relay = self._writing.session, self.part.relay
        commands = connection.adapt(relay.database, session.wanted(connection.variables, relay.facts))
        commands.extend(map(connection.query, opening))
        commands.extend(map(connection.query, self._writing.before(first=self.first)))
        if commands:
            connection.send(Capture(self._opened, self._lost), b"".join(commands), QUERY, len(commands) - 1)
        else:
            self._opened(b"", None)

    def _opened(self, payload: bytes, error: bytes | None) -> None:
        connection = self.connection
        if connection is None:
            return
        if error is not None:
            self._answered(payload, error)
        elif self._writing.killed:
            self.error = refusals.killed()
            self._done(b"", None)
        else:
            answer = Capture(self._answered, self._lost)
            send(connection, self.part, self._writing.execution, answer, [], self._refused, self._lost)

    def _refused(self, error: bytes) -> None:
        """It cannot be prepared."""
        self._answered(b"", error)

    def _answered(self, payload: bytes, error: bytes | None) -> None:
        connection, server = self.connection, self.server
        if connection is None or server is None:
            return
        server.commands[Command.QUERY] += 1
        server.durations.observe(perf_counter() - self.started)
        if error is not None:
            self._writing.services.server_refused(error)
            self.error = refusals.from_server(error)
        elif connection.scanner.has_rows:
            self.error = refusals.not_spanning("a statement that writes and returns rows")
        else:
            tracking = Capability.SESSION_TRACK if connection.scanner.tracking else Capability(0)
            self._writing.services.committed(self._writing.session, server.group, connection.scanner)
            self.answer = decode_ok(payload[4:], Capability.PROTOCOL_41 | tracking)
        if connection.closed:
            self._lost(ConnectionLost(self.error.message if self.error else "its state was refused"))
        elif self._writing.sets_clock:
            connection.send(Capture(self._done, self._lost), connection.query("SET timestamp = DEFAULT"))
        else:
            self._done(b"", None)

    def _done(self, payload: bytes, error: bytes | None) -> None:
        connection, server = self.connection, self.server
        if connection is None or server is None:
            return
        if error is not None:
            connection.close()
            self._lost(ConnectionLost("its clock was not set right again"))
            return
        self.connection = None
        self._writing.executor.branches.park(connection, server)
        self._writing.ended(self)

    def _lost(self, error: ConnectionLost) -> None:
        connection, server = self.connection, self.server
        self.connection = None
        if connection is not None and server is not None:
            server.pool.discard(connection)
            self._writing.services.suspect(server)
        self.error = self._writing.lost(refusals.where_lost(server, error))
        self._writing.ended(self)

    def cancel(self) -> None:
        """The client is gone, or nothing has been sent yet."""
        self.waits = False
        self.leasing.cancel()
        connection, server = self.connection, self.server
        self.connection = None
        if connection is not None and server is not None:
            connection.close()
            server.pool.discard(connection)


class Writing:
    """One session's writes on several shards, one at a time. ``answered`` tells the client."""

    def __init__(self, executor: Executor, services: Services, answered: Answered) -> None:
        self.session = executor.session
        self.executor = executor
        self.services = services
        self.execution: Execution | None = None
        self._now: str | None = None
        self._answered = answered
        self._plan: Spread | None = None
        self._key: PoolKey = executor.key
        self._shares: list[Share] = []
        self._queued: dict[str, list[Share]] = {}
        self._left = 0
        self._bare = False
        self._own = False  # the transaction is the statement's
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
        self._bare = plan.ddl or (self._own and len(plan.parts) == 1)
        self._rolled_back = self.killed = False
        self._now = f"SET timestamp = {time.time():.6f}" if plan.clock else None
        self._needs = Counter({part.relay.group for part in plan.parts} if self._own else ())
        self.services.admission.enter(self._needs, self._admitted)

    def _admitted(self) -> None:
        plan, session = self._plan, self.session
        assert plan is not None
        if self._own and not self._bare:
            session.open_later(b"BEGIN")
        session.opening = None
        self.executor.spare()
        self._shares = [Share(self, part, self.services) for part in plan.parts]
        self._left = len(self._shares)
        self._queued = {}
        # Copies are locked in one order by everybody: the first shard first.
        self._start(self._shares[:1] if plan.copies else self._shares)

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
            if plan.copies and share is self._shares[0]:
                self._left = 0
        elif waiting:  # DDL goes on: the report says what has been done where
            self._queued[group] = waiting[1:]
            waiting[0].first = False
            waiting[0].start(self.executor.branches.take(group), self._key)
        if not failed and plan.copies and share is self._shares[0]:
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
