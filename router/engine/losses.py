"""What becomes of a running statement when its connection breaks, or its server will not have it.

The rules are in ``failure``; here they are carried out. Part of the executor: it is the half of its ``Sink`` that hears
bad news.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from router.backend.connection import BackendConnection
from router.cluster.topology import Server
from router.engine import refusals
from router.engine.failure import Refusal, dies_with_connection, meaning_of, verdict_on
from router.engine.kill import Killer
from router.engine.leasing import Leasing
from router.engine.replay import Replay
from router.engine.services import Services
from router.errors import ConnectionLost, MySQLError
from router.planner.plan import Role
from router.session.state import SessionState

if TYPE_CHECKING:
    from router.engine.executor import Executor


class Losses:
    """Of one executor."""

    __slots__ = ("_executor", "_killer", "_leasing", "_replay", "_services", "_session")

    def __init__(
        self,
        executor: Executor,
        session: SessionState,
        services: Services,
        leasing: Leasing,
        killer: Killer,
        replay: Replay | None,
    ) -> None:
        self._executor = executor
        self._session = session
        self._services = services
        self._leasing = leasing
        self._killer = killer
        self._replay = replay

    # -- the connection is gone --------------------------------------------------------------------------------

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        """The connection broke while an answer was owed."""
        if (server := self._executor.held) is not None:
            self._services.suspect(server)
        self.lost(error, sent=True, forwarded=connection.forwarded)

    def lost(self, error: ConnectionLost | None, *, sent: bool, forwarded: bool = False, refused: bool = False) -> None:
        """The connection of the statement is gone (without an ``error``: it ended between two statements).

        ``refused``: its server would have nothing of the session.
        """
        executor, session, replay = self._executor, self._session, self._replay
        server = executor.held
        plan = executor.running()
        if sent and plan.role is Role.PRIMARY and dies_with_connection(plan.facts):
            session.never_ran()
        verdict = verdict_on(plan.facts, server, session, error, sent=sent, forwarded=forwarded)
        opened = executor.beginning.of(executor.frame)
        if (connection := executor.connection) is not None:
            if (trace := self._leasing.trace) is not None and server is not None:
                trace.on(server, connection)
                trace.broke()
            executor.drop(connection)
        if verdict.error is None:
            executor.lose(str(error))
        elif verdict.replay and opened and not refused and (not sent or plan.facts.read) and self._has_time(server):
            # Nothing has been done in the transaction but to open it.
            self._begin_again(opened)
        elif verdict.retry and self._leasing.again(server if sent else None):
            self._services.counters.retries += sent
        elif verdict.replay and replay is not None and not refused and replay.possible:
            replay.begin(executor.command(), verdict.error)
        else:
            if session.opening is None:
                session.ended()
                executor.branches.abandon()
            executor.answer(verdict.error, close=verdict.close)

    def kill_query(self, done: Callable[[], None]) -> None:
        """KILL QUERY for this session: the statement that runs now; ``done`` is called when the server has done it."""
        executor = self._executor
        if not self._killer.end_statement(executor.connection, executor.held, done):
            if executor.connection is None and executor.plan is not None:
                self._leasing.cancel()
                executor.answer(refusals.killed())
            done()

    def give_up(self, error: MySQLError) -> None:
        """Roll back what has been repeated, and tell the client the ``error``."""
        self._leasing.cancel()
        self._executor.leave()
        self._session.ended()
        self._executor.answer(error)

    # -- the server has refused --------------------------------------------------------------------------------

    def withholds(self, connection: BackendConnection) -> bool:
        """The server answers with nothing but an error: it may be about the server, and not about the statement."""
        error, server = connection.scanner.error, self._executor.held
        if error is None or server is None or self._killer.pending:
            return False
        meaning = meaning_of(error, self._executor.running().facts)
        if meaning is Refusal.READ_ONLY:
            return self._turned_away(connection)
        if not meaning.ends:
            return False
        self._services.suspect(server)
        self.lost(ConnectionLost(refusals.from_server(error).message), sent=meaning is Refusal.LOST)
        return True

    def _turned_away(self, connection: BackendConnection) -> bool:
        """A server that was the primary has become read-only, and has done nothing: the statement is for the next one.

        False when it is the client's business, as it is inside a transaction that cannot be run again.
        """
        executor, session, replay = self._executor, self._session, self._replay
        server, opened = executor.held, executor.beginning.of(executor.frame)
        if server is None:
            return False
        group = self._services.topology.groups[server.group]
        if not group.refuses_writes(server):
            return False
        self._services.suspect(server)
        fresh = not session.transaction or bool(opened)
        if session.pins or not (fresh or (replay is not None and replay.possible)):
            return False
        if not self._has_time(server):
            return False
        self._give_back(connection, server)
        if fresh or replay is None:
            self._begin_again(opened)
        else:
            replay.begin(executor.command(), refusals.rolled_back(f"server {server.name} has become read-only"))
        return True

    def _has_time(self, server: Server | None) -> bool:
        """Whether a statement that has lost ``server`` may still look for another one."""
        if server is None:
            return False
        timeout = self._services.topology.groups[server.group].config.failover_timeout
        return perf_counter() - self._executor.started < timeout

    def _give_back(self, connection: BackendConnection, server: Server) -> None:
        """Have what is open on the connection rolled back."""
        self._executor.detach(connection)
        server.pool.release_dirty(connection)

    def _reopen(self, opened: list[bytes]) -> None:
        """The transaction is to begin elsewhere."""
        self._session.ended()
        self._session.open_later(*opened)

    def _begin_again(self, opened: list[bytes]) -> None:
        executor = self._executor
        self._reopen(opened)
        self._leasing.lease(executor.running(), executor.key, primary=True, written=self._session.written)

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """The server refused the session's state; the statement did not count, and what was held there is lost."""
        executor = self._executor
        if connection.behind:
            self._behind(connection, error)
        elif meaning_of(error, None) is Refusal.READ_ONLY and self._turned_away(connection):
            return
        elif self._session.holds:
            self.lost(ConnectionLost(str(refusals.from_server(error))), sent=False, refused=True)
        else:
            executor.drop(connection)
            executor.answer(refusals.from_server(error), origin="backend")

    def _behind(self, connection: BackendConnection, error: bytes) -> None:
        """The replica did not get what the session has written in time."""
        executor = self._executor
        server, opened = executor.held, executor.beginning.of(executor.frame)
        if server is not None and (opened or not self._session.autocommit):
            # Behind the wait a transaction has been opened, in which nothing was done.
            self._give_back(connection, server)
            self._reopen(opened)
        else:
            executor.conclude(connection, keep=False)
        if server is None or self._killer.pending or not self._leasing.behind(server):
            executor.answer(refusals.from_server(error), origin="backend")
