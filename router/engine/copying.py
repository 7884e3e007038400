"""Copies of statements that a rule mirrors to another group: what they answer nobody sees, and nobody waits for them.

A copy runs beside its statement, as the same account, under the same database and variables. It takes what its group
can spare: a connection that is idle or may be opened, while nobody waits for one to that server. What exceeds the
rule's ``concurrency``, or would have to queue, is dropped and counted, and so is everything for a while after a copy
has cost a connection: a wrong password or a missing database are not to be tried again thousands of times a second.

Only what stands for itself is copied: in a transaction, or where a session has left something on its connection, a
statement alone would mean something else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import structlog

from router.backend.connection import BackendConnection, Capture
from router.backend.pool import Waiter
from router.cluster.topology import Server, Topology
from router.engine.execution import Execution, send
from router.engine.kill import Killer
from router.errors import BackendError, ConnectionLost, MySQLError, ProtocolError
from router.metrics import Counters
from router.planner.plan import Mirror, Part, Relay
from router.wire.charset import python_codec
from router.wire.constants import Command, ServerStatus
from router.wire.packets import decode_err
from router.wire.scanner import QUERY

if TYPE_CHECKING:
    from router.engine.executor import Executor
    from router.engine.statements import Statement

log = structlog.get_logger(__name__)

# Seconds for which a rule copies nothing after a copy has cost a connection.
_REST = 1.0
_IN_TRANSACTION = int(ServerStatus.IN_TRANS)


class Copies:
    """All copies of this process."""

    __slots__ = ("_counters", "_random", "_rests", "_running", "_topology", "_under_way")

    def __init__(self, topology: Topology, counters: Counters, random: Callable[[], float] | None = None) -> None:
        """``random``: a number from 0 to below 1."""
        self._topology = topology
        self._counters = counters
        # Of its own: others may count on theirs.
        self._random = random or Random().random
        self._under_way: Counter[str] = Counter()
        self._rests: dict[str, float] = {}
        self._running: set[Copy] = set()

    def begin(self, executor: Executor, plan: Relay, frame: bytes, statement: Statement | None = None) -> None:
        """The session of ``executor`` is about to run ``frame`` as its ``plan`` says: copy it, if that says so.

        ``statement``: the prepared statement that ``frame`` executes.
        """
        mirror, session = plan.mirror, executor.session
        if mirror is None or executor.held is not None or session.transaction or session.pins:
            return
        if not session.autocommit or self._random() * 100 >= mirror.percent:
            return
        server = self._server_for(mirror, plan)
        if server is None:
            self._count(mirror, "dropped")
            return
        try:
            copy = Copy(self, server, executor, plan, frame, statement)
        except (MySQLError, ProtocolError):
            self._count(mirror, "dropped")
            return
        self._under_way[mirror.rule] += 1
        self._running.add(copy)
        copy.start()

    def close(self) -> None:
        """The router stops: so do the copies."""
        for copy in list(self._running):
            copy.stop()

    def _server_for(self, mirror: Mirror, plan: Relay) -> Server | None:
        """A server with a connection to spare."""
        if self._under_way[mirror.rule] >= mirror.concurrency:
            return None
        if (until := self._rests.get(mirror.rule)) is not None and asyncio.get_running_loop().time() < until:
            return None
        group = self._topology.groups[mirror.group]
        server = group.reader() if plan.facts.read else group.primary
        spare = server is not None and server.pool.has_room and not server.pool.waiting
        return server if spare else None

    def ended(self, copy: Copy, result: str, *, rests: bool = False) -> None:
        """Called by a copy."""
        self._running.discard(copy)
        self._under_way[copy.mirror.rule] -= 1
        self._count(copy.mirror, result)
        if rests:
            self._rests[copy.mirror.rule] = asyncio.get_running_loop().time() + _REST

    def _count(self, mirror: Mirror, result: str) -> None:
        self._counters.mirrored[mirror.rule, result] += 1


class Copy:
    """One of them: a ``Sink`` of the connection it is given."""

    __slots__ = (
        "_connection",
        "_copies",
        "_execution",
        "_frame",
        "_killer",
        "_plan",
        "_schema",
        "_server",
        "_timer",
        "_variables",
        "_waiter",
        "mirror",
    )

    def __init__(
        self,
        copies: Copies,
        server: Server,
        executor: Executor,
        plan: Relay,
        frame: bytes,
        statement: Statement | None,
    ) -> None:
        """Raises MySQLError or ProtocolError for an execution that cannot be repeated elsewhere."""
        assert plan.mirror is not None
        session = executor.session
        self.mirror = plan.mirror
        self._copies = copies
        self._server = server
        self._plan = plan
        self._frame = frame
        self._schema = session.schema
        # As the session is now: by the time there is a connection it may be another.
        self._variables = session.variables.shared if plan.facts.read else session.variables
        self._execution: Execution | None = None
        if statement is not None:
            self._frame, self._execution = _unprepared(statement, frame, executor)
            self._schema = statement.schema(session.schema)
        self._killer = Killer(executor.user, copies._counters)
        key = (executor.key[0], executor.key[1], self._schema is not None)
        self._waiter = Waiter(key, executor.user, self._granted, self._not_granted)
        self._connection: BackendConnection | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take a connection, or wait for the one that is being opened."""
        pool = self._server.pool
        connection = pool.take(self._waiter.key)
        if connection is None:
            pool.wait(self._waiter)
        else:
            self._granted(connection)

    def stop(self) -> None:
        """End it, wherever it is: what it would answer matters to nobody."""
        self._server.pool.cancel(self._waiter)
        self._lost("it was ended")

    def _granted(self, connection: BackendConnection) -> None:
        self._connection = connection
        if self._plan.timeout is not None:
            self._timer = asyncio.get_running_loop().call_later(self._plan.timeout, self._over)
        commands = connection.adapt(self._schema, self._variables)
        if commands and not self._plan.facts.read:
            # It must not run in the wrong schema or mode.
            connection.send(Capture(self._adapted, self._broken), b"".join(commands), QUERY, len(commands) - 1)
        else:
            self._send(connection, commands)

    def _adapted(self, payload: bytes, error: bytes | None) -> None:
        connection = self._connection
        if connection is None:
            return
        if error is not None:
            self.prefix_failed(connection, error)
        else:
            self._send(connection, [])

    def _send(self, connection: BackendConnection, before: list[bytes]) -> None:
        if self._execution is None:
            connection.send(self, b"".join((*before, self._frame)), QUERY, len(before))
        else:
            part = Part(self._plan, self._frame)
            send(connection, part, self._execution, self, before, self._refused, self._broken)

    def _over(self) -> None:
        """As long as the rule lets its statement run."""
        if self._connection is not None:
            self._killer.kill_connection(self._server, self._connection.thread_id)
        self._lost("its time is up", rests=False)

    def _not_granted(self, error: BackendError) -> None:
        self._lost(str(error))

    def _refused(self, error: bytes) -> None:
        """It cannot be prepared."""
        connection = self._connection
        if connection is not None and connection.closed:
            self.prefix_failed(connection, error)
        elif connection is not None:
            self._done("error")

    def _broken(self, error: ConnectionLost) -> None:
        self._lost(str(error))

    def _lost(self, reason: str, *, rests: bool = True) -> None:
        """The copy has no connection, or none any more."""
        log.debug("a copy of a statement was lost", rule=self.mirror.rule, server=self._server.name, reason=reason)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._server.pool.discard(connection)
        self._end("error", rests=rests)

    def _done(self, result: str) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        scanner = connection.scanner
        if self._plan.facts.read and not scanner.changes and not scanner.status & _IN_TRANSACTION:
            self._server.pool.release(connection)
        else:
            self._server.pool.release_dirty(connection)
        self._end(result)

    def _end(self, result: str, *, rests: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._copies.ended(self, result, rests=rests)

    # -- sink --------------------------------------------------------------------------------------------------

    def forward(self, data: bytes) -> None:
        """Nobody wants it."""

    def response_ended(self, connection: BackendConnection) -> None:
        """The answer is complete."""
        self._done("ok" if connection.scanner.error is None else "error")

    def withholds(self, connection: BackendConnection) -> bool:
        """Errors are counted, whatever they are about."""
        return False

    def file_requested(self, connection: BackendConnection) -> None:
        """No statement that is copied loads files."""
        self._lost("the server asked for a file")

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        """The answer will not come."""
        self._lost(str(error))

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """The database or the variables of the session are not to be had there."""
        self._lost(decode_err(error).message.decode("utf-8", "replace"))

    def pause(self) -> None:
        """What is sent is there already."""

    def resume(self) -> None:
        """What is sent is there already."""


def _unprepared(statement: Statement, frame: bytes, executor: Executor) -> tuple[bytes, Execution]:
    """The text of a prepared statement, and the values of an execution; the statement stays as it is."""
    session = executor.session
    if frame[4] != Command.STMT_EXECUTE or statement.mode != session.mode:
        raise ProtocolError("an execution that is not to be repeated")
    before = statement.types, statement.derived
    try:
        codec = python_codec(session.variables.values["character_set_client"])
        execution = statement.execution(frame, statement.values(frame, codec))
    finally:
        statement.types, statement.derived = before
    return statement.text.frame[5:], execution
