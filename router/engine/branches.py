"""A transaction on several groups of servers: its connections, and how all of them end it.

Each group that takes part has one connection, its *branch*. The executor uses one at a time; the others are parked.
COMMIT is said to one after the other, in the order in which they joined. That is not atomic: when the first refuses,
nothing has happened anywhere; when a later one does, the client is told what has been committed and what has not.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from router.backend.connection import BackendConnection, Capture
from router.cluster.topology import Server
from router.engine import questions, refusals
from router.engine.services import Services
from router.errors import ConnectionLost, MySQLError
from router.planner.plan import Relay
from router.session.state import SessionState
from router.sql.facts import StatementFacts
from router.wire.constants import ServerStatus

Branch = tuple[BackendConnection, Server]
# Ends with None, or what went wrong and whether the session must end too (the outcome is not known).
Ended = Callable[[MySQLError | None, bool], None]


class Branches:
    """The parked connections of one session's transaction. ``ending`` while it is being committed."""

    __slots__ = ("_order", "_parked", "_services", "_session", "ending")

    def __init__(self, session: SessionState, services: Services) -> None:
        self._session = session
        self._services = services
        self._parked: dict[str, Branch] = {}
        self._order: list[str] = []
        self.ending = False

    def __len__(self) -> int:
        return len(self._parked)

    def refusal(self, plan: Relay, held: Server) -> MySQLError | None:
        """Why the session, kept on ``held``, cannot run the plan on another group; None when it can."""
        session = self._session
        if not plan.spans or session.pins or not session.spans:
            return refusals.other_group(plan.group, held.group, session.pins)
        return None if refusals.stays_inside(plan.facts) else refusals.may_end_spanning()

    def park(self, connection: BackendConnection, server: Server) -> None:
        """Keep a connection until its group is needed again."""
        if server.group not in self._order:
            self._order.append(server.group)
        self._parked[server.group] = connection, server

    def take(self, group: str | None = None) -> Branch | None:
        """The parked connection to ``group`` (None: to any), for use."""
        if group is None:
            group = next((name for name in self._order if name in self._parked), None)
        return None if group is None else self._parked.pop(group, None)

    def where(self, group: str) -> Server | None:
        """The server of the parked connection to ``group``."""
        branch = self._parked.get(group)
        return None if branch is None else branch[1]

    def in_order(self) -> list[Branch]:
        """The parked connections, as they joined the transaction."""
        return [self._parked[name] for name in self._order if name in self._parked]

    @property
    def broken(self) -> Server | None:
        """The server of a connection that ended while it was parked: the transaction is lost."""
        return next((server for connection, server in self._parked.values() if connection.closed), None)

    def abandon(self) -> None:
        """Roll back and give back all that is parked."""
        parked, self._parked, self._order = self._parked, {}, []
        for connection, server in parked.values():
            server.pool.release_dirty(connection)

    def client_lost(self) -> None:
        """As ``abandon``, but a COMMIT under way goes on to its end."""
        if not self.ending:
            self.abandon()

    @property
    def in_transaction(self) -> bool:
        """Whether any of the parked connections is, as far as its server has said."""
        return any(connection.scanner.status & ServerStatus.IN_TRANS for connection, _ in self._parked.values())

    def release(self) -> None:
        """Give back all that is parked; nothing is open there."""
        parked, self._parked, self._order = self._parked, {}, []
        for connection, server in parked.values():
            server.pool.release(connection)

    def check(self, connection: BackendConnection, done: Callable[[bool], None]) -> None:
        """A statement has failed on a connection that was in the transaction: ``done(whether it still is)``."""

        def answered(payload: bytes, error: bytes | None) -> None:
            done(error is None and bool(connection.scanner.status & ServerStatus.IN_TRANS))

        connection.send(Capture(answered, lambda error: done(False)), questions.PING)

    # -- the same on all of them -------------------------------------------------------------------------------

    def tell(self, sql: bytes, facts: StatementFacts, done: Ended, groups: Container[str] | None = None) -> None:
        """Send a statement without rows (SAVEPOINT and its like) to all at once; ``done`` when all have answered.

        ``groups``: not to all, but to those.
        """
        branches = [each for each in self.in_order() if groups is None or each[1].group in groups]
        if not branches:
            done(None, False)
            return
        errors: list[MySQLError] = []
        lost: list[MySQLError] = []
        left = len(branches)

        def one_less() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                if lost:
                    self._lose(lost[0], done)
                else:
                    done(errors[0] if errors else None, False)

        def answered(payload: bytes, error: bytes | None) -> None:
            if error is not None:
                errors.append(refusals.from_server(error))
            one_less()

        for branch in branches:

            def broke(error: ConnectionLost, server: Server = branch[1]) -> None:
                lost.append(refusals.rolled_back(refusals.where_lost(server, error)))
                one_less()

            self._say(branch, sql, facts, answered, broke)

    def roll_back(self, facts: StatementFacts, done: Ended) -> None:
        """ROLLBACK everywhere. A connection that does not manage is closed, which does it as well."""
        branches = self.in_order()
        self._parked, self._order = {}, []
        left = len(branches)

        def ended(branch: Branch, *, fine: bool) -> None:
            nonlocal left
            connection, server = branch
            if fine:
                server.pool.release(connection)
            else:
                server.pool.discard(connection)
            left -= 1
            if left == 0:
                self._session.ended()
                done(None, False)

        if not branches:
            self._session.ended()
            done(None, False)
        for branch in branches:

            def answered(payload: bytes, error: bytes | None, branch: Branch = branch) -> None:
                ended(branch, fine=error is None)

            def broke(error: ConnectionLost, branch: Branch = branch) -> None:
                ended(branch, fine=False)

            self._say(branch, b"ROLLBACK", facts, answered, broke)

    def commit(self, facts: StatementFacts, done: Ended) -> None:
        """COMMIT on one after the other; if one of them is gone already, ROLLBACK."""
        if (server := self.broken) is not None:
            self._lose(refusals.rolled_back(refusals.where_lost(server)), done)
            return
        self.ending = True
        self._commit(self.in_order(), [], facts, done)

    def _commit(self, left: Sequence[Branch], committed: list[Server], facts: StatementFacts, done: Ended) -> None:
        if not left:
            self.ending = False
            self.release()
            self._session.ended()
            done(None, False)
            return
        branch, *others = left

        def answered(payload: bytes, error: bytes | None) -> None:
            if error is None:
                self._services.committed(self._session, branch[1].group, branch[0].scanner)
                self._commit(others, [*committed, branch[1]], facts, done)
                return
            refused = refusals.from_server(error)
            self._failed(committed, branch[1], [server for _, server in others], refused, done, unknown=False)

        def broke(error: ConnectionLost) -> None:
            refused = refusals.lost(refusals.where_lost(branch[1], error), refusals.OUTCOME_UNKNOWN)
            self._failed(committed, branch[1], [server for _, server in others], refused, done, unknown=True)

        self._say(branch, b"COMMIT", facts, answered, broke)

    def _failed(
        self,
        committed: list[Server],
        failed: Server,
        others: list[Server],
        error: MySQLError,
        done: Ended,
        *,
        unknown: bool,
    ) -> None:
        """A COMMIT failed: whoever has not committed rolls back."""
        self.ending = False
        self.abandon()
        self._session.ended()
        if committed:
            error = refusals.half_committed(
                [each.group for each in committed], failed.group, [each.group for each in others], error
            )
        done(error, unknown)

    def _lose(self, error: MySQLError, done: Ended) -> None:
        """A server that took part is gone: the others roll back."""
        self.abandon()
        self._session.ended()
        done(error, False)

    def _say(
        self,
        branch: Branch,
        sql: bytes,
        facts: StatementFacts,
        answered: Callable[[bytes, bytes | None], None],
        broke: Callable[[ConnectionLost], None],
    ) -> None:
        connection = branch[0]
        if connection.closed:
            broke(ConnectionLost("it ended between two statements"))
            return
        commands = connection.adapt(None, self._session.wanted(connection.variables, facts))
        data = b"".join((*commands, connection.query(sql)))
        connection.send(Capture(answered, broke), data, prefix_replies=len(commands))
