"""Runs the plans of one session: finds a server connection, takes it to the session's state, relays, settles.

The executor is the ``Sink`` of the connection it uses. Everything is callbacks; a Task exists only where a new
connection has to be opened. After the last byte of a response three things may still have to be asked on the same
connection before it is anybody else's: the character set (after a SET that touched it), a PING whose OK carries the
trackers (after a statement that may have changed state but did not end in an OK), and LAST_INSERT_ID().

Where a connection goes then:

- *held*: inside a transaction, or pinned – the session's state lives there;
- *lingering*: a later statement may ask what the last one did (warnings, LAST_INSERT_ID(), ROW_COUNT()); the pool gets
  it back as soon as somebody else waits;
- *released* to the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

from router.backend.connection import BackendConnection, Capture, PoolKey
from router.backend.connector import BackendUser
from router.backend.pool import Waiter
from router.backend.reset import query, use_schema
from router.cluster.topology import Server, Topology
from router.engine import questions
from router.errors import BackendError, BackendUnavailable, ConnectionLost, MySQLError, PoolTimeout, Unsupported
from router.metrics import Counters
from router.planner.plan import Relay, Role
from router.session.state import SessionState
from router.session.variables import assignments
from router.sql.facts import PinReason, StatementFacts, StatementKind
from router.tasks import spawn
from router.wire.constants import Command
from router.wire.framing import frame as framed
from router.wire.packets import decode_err, decode_session_changes
from router.wire.scanner import PREPARE, QUERY

# How long a connection with warnings or an error behind it is left to its session although others wait, in seconds.
FIRM_LINGER = 0.25
# How often a statement that has no server looks for one, in seconds.
RETRY_INTERVAL = 0.05
_PING = framed(bytes([Command.PING]), 0)
_UNCHANGING = frozenset({StatementKind.SHOW, StatementKind.EXPLAIN, StatementKind.SELECT})


class Client(Protocol):
    """What the executor needs of the client's connection."""

    def write(self, data: bytes) -> None:
        """Send bytes of the answer."""

    def fail(self, error: MySQLError, *, close: bool = False) -> None:
        """Answer the current command with an error; ``close`` ends the connection behind it."""

    def finished(self) -> None:
        """The current command is done and settled: the next may come."""

    def ask_for_file(self) -> None:
        """Pass what the client sends on as LOCAL INFILE data."""

    def abort(self) -> None:
        """End the connection now: the answer cannot be completed."""

    def pause_reading(self) -> None:
        """Take no more bytes from the client for now."""

    def resume_reading(self) -> None:
        """Take bytes from the client again."""


@dataclass(slots=True)
class Services:
    """What all sessions share below the frontend."""

    topology: Topology
    counters: Counters
    suspect: Callable[[Server], None]
    set_names: dict[tuple[str, bytes], tuple[str, str, str]] = field(default_factory=dict)


class Executor:
    """One session's way to the servers; runs one command at a time."""

    __slots__ = (
        "_attempts",
        "_backend",
        "_blocked",
        "_client",
        "_closed",
        "_deadline",
        "_frame",
        "_killing",
        "_kind",
        "_last_on",
        "_paused",
        "_plan",
        "_server",
        "_services",
        "_started",
        "_sticky",
        "_sticky_firm",
        "_sticky_server",
        "_sticky_since",
        "_waiter",
        "_waiting",
        "key",
        "session",
        "shape",
        "statements",
        "user",
    )

    def __init__(
        self, client: Client, session: SessionState, user: BackendUser, shape: int, services: Services
    ) -> None:
        self._client = client
        self._services = services
        self.session = session
        self.user = user
        self.shape = shape
        self.key: PoolKey = (user.name, shape, session.schema is not None)
        # Open prepared statements by the server's id; all live on the held connection.
        self.statements: dict[int, Relay] = {}
        self._plan: Relay | None = None
        self._frame = b""
        self._kind = QUERY
        self._attempts = 0
        self._started = 0.0
        self._deadline = 0.0
        self._backend: BackendConnection | None = None
        self._server: Server | None = None
        self._sticky: BackendConnection | None = None
        self._sticky_server: Server | None = None
        self._sticky_since = 0.0
        self._sticky_firm = False
        self._last_on: BackendConnection | None = None
        self._waiter = Waiter(self.key, user, self._granted, self._not_granted)
        self._waiting = False
        self._blocked = 0
        self._killing = False
        self._paused = False
        self._closed = False

    # -- running a plan ----------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the next command may be run."""
        return self._plan is None and not self._blocked

    @property
    def held(self) -> bool:
        """Whether a server connection is kept by a transaction or a pin."""
        return self._backend is not None

    @property
    def connection(self) -> BackendConnection | None:
        """The connection in use or held."""
        return self._backend

    def run(self, plan: Relay, frame: bytes, kind: int = QUERY) -> None:
        """Send ``frame`` (a whole framed command) where ``plan`` says; its response of ``kind`` goes to the client."""
        self._plan = plan
        self._frame = frame
        self._kind = kind
        self._attempts = 0
        self._started = perf_counter()
        backend = self._backend
        if backend is not None:
            if backend.closed:
                self._held_connection_lost()
            else:
                self._apply(plan, backend)
        elif self._sticky is None or not self._use_sticky(plan):
            self._lease(None)

    def _lease(self, without: Server | None) -> None:
        plan = self._running()
        group = self._services.topology.groups[plan.group]
        if plan.role is Role.REPLICA and self.session.autocommit and self._kind != PREPARE:
            server = group.reader(without)
        else:
            server = group.primary
        if server is None:
            self._wait_for_server(group.config.failover_timeout)
            return
        self._server = server
        backend = server.pool.take(self.key)
        if backend is None:
            self._waiting = True
            self._waiter.key = self.key
            server.pool.wait(self._waiter)
            return
        self._backend = backend
        self._apply(plan, backend)

    def _wait_for_server(self, patience: float) -> None:
        """No server can take the statement now: look again until ``failover_timeout`` is over."""
        plan = self._running()
        loop = asyncio.get_running_loop()
        if not self._attempts:
            self._attempts = 1
            self._deadline = loop.time() + patience
        if loop.time() < self._deadline and not self._closed:
            loop.call_later(RETRY_INTERVAL, self._lease_again)
            return
        self._fail_unsent(
            BackendUnavailable(f"no {plan.role} of group {plan.group!r} is available (waited {patience:g} s)")
        )

    def _lease_again(self) -> None:
        if not self._closed:
            self._lease(None)

    def _granted(self, backend: BackendConnection) -> None:
        self._waiting = False
        self._backend = backend
        self._apply(self._running(), backend)

    def _not_granted(self, error: BackendError) -> None:
        self._waiting = False
        server, self._server = self._server, None
        if server is not None and isinstance(error, BackendUnavailable):
            self._services.suspect(server)
            if self._running().facts.read and self._attempts < 2:
                self._attempts += 1
                self._lease(server)
                return
        self._fail_unsent(error)

    def _fail_unsent(self, error: BackendError) -> None:
        """The statement was never sent; the session goes on."""
        if isinstance(error, PoolTimeout):
            self._answer(MySQLError(1040, "08004", f"router: too many connections: {error}"))
        else:
            self._answer(MySQLError(2003, "08S01", f"router: {error}"))

    # -- taking the connection to the session's state ----------------------------------------------------------

    def _apply(self, plan: Relay, backend: BackendConnection) -> None:
        facts = plan.facts
        session = self.session
        if not facts.read:
            session.before(facts)
            if facts.looks_back and backend is not self._last_on:
                self._look_back(backend)
                return
        if backend.variables is session.variables and backend.schema == session.schema:
            backend.send(self, self._frame, self._kind)
        else:
            self._match(backend, [])

    def _match(self, backend: BackendConnection, also: list[str]) -> None:
        """Send only what differs, in front of the statement.

        A proven read goes out in the same segment: if the prefix fails, its answer is thrown away. Anything else
        waits for the verdict, because it must not run in the wrong schema or mode.
        """
        session = self.session
        commands = []
        if backend.schema != session.schema and session.schema is not None:
            commands.append(use_schema(session.schema))
        terms = assignments(session.variables, backend.variables, backend.profile)
        if terms:
            commands.append(query("SET " + ", ".join(terms)))
        commands.extend(query(sql) for sql in also)
        backend.variables = session.variables
        backend.schema = session.schema
        if not commands:
            backend.send(self, self._frame, self._kind)
        elif self._running().facts.read and self._kind == QUERY:
            backend.send(self, b"".join(commands) + self._frame, self._kind, prefix_replies=len(commands))
        else:
            capture = Capture(self._matched, lambda error: self.connection_lost(backend, error))
            backend.send(capture, b"".join(commands), prefix_replies=len(commands) - 1)

    def _matched(self, payload: bytes, error: bytes | None) -> None:
        backend = self._backend
        if backend is None:
            return
        if error is None:
            backend.send(self, self._frame, self._kind)
        else:
            self.prefix_failed(backend, error)

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """The server refused the session's state; the statement did not count."""
        self._drop_backend(connection)
        reply = decode_err(error)
        self._answer(MySQLError(reply.code, reply.sqlstate, reply.message.decode("utf-8", "replace")), origin="backend")

    def _look_back(self, backend: BackendConnection) -> None:
        """The statement asks about the past, and another connection has run it."""
        session = self.session
        if questions.asks_for_counts(self._frame) or (session.last_insert_id is None):
            self._conclude(backend, keep=False)
            self._answer(
                Unsupported(
                    1235,
                    "42000",
                    "router: what the previous statement did is not known any more: its connection went to another "
                    "session. Ask inside a transaction, or raise pool.max_connections",
                )
            )
            return
        self._match(backend, [f"SET last_insert_id = {session.last_insert_id}", questions.CLEAR_WARNINGS])

    # -- sink: the response ------------------------------------------------------------------------------------

    def forward(self, data: bytes) -> None:
        """Bytes of the response."""
        self._client.write(data)

    def pause(self) -> None:
        """The server reads slowly: so do we."""
        self._client.pause_reading()

    def resume(self) -> None:
        """The server has caught up."""
        self._client.resume_reading()

    def file_requested(self, connection: BackendConnection) -> None:
        """LOCAL INFILE: what the client sends next is for the server."""
        self._client.ask_for_file()

    def response_ended(self, connection: BackendConnection) -> None:
        """The answer is with the client; now for the connection."""
        plan = self._running()
        scanner = connection.scanner
        session = self.session
        server = self._server
        self._services.counters.decisions[plan.reason] += 1
        if server is not None:
            server.commands[self._frame[4]] += 1
            server.durations.observe(perf_counter() - self._started)
        if scanner.error is not None or scanner.changes or not plan.facts.read or scanner.warnings:
            self._settle(connection)
            return
        # A proven read that left nothing behind.
        if scanner.status & 3 != session.status:
            session.after_status(scanner.status)
        if session.transaction or session.pins or self._killing or self._paused:
            self._conclude(connection, keep=True)
        else:
            self._backend = self._last_on = None
            if server is not None:
                server.pool.release(connection)
        self._plan = None
        if not self._blocked:
            self._client.finished()

    def _settle(self, connection: BackendConnection) -> None:
        """Take over what the response says of the session's state; ask what it does not say."""
        plan = self._running()
        facts: StatementFacts | None = plan.facts
        scanner = connection.scanner
        session = self.session
        failed = scanner.error is not None
        if failed and scanner.error is not None:
            self._services.counters.errors["backend", int.from_bytes(scanner.error[1:3], "little")] += 1
        else:
            session.after_status(scanner.status)
        if self._kind == PREPARE:
            self._prepared(scanner.statement_id, failed=failed)
            facts = None
        changes = [decode_session_changes(blob) for blob in scanner.changes]
        ask_charset = session.after(facts, changes, failed=failed)
        self._adopted(connection)
        if not plan.facts.read and (
            scanner.last_insert_id
            or failed
            or plan.facts.looks_back
            or plan.facts.multi
            or (scanner.has_rows and plan.facts.kind not in _UNCHANGING)
        ):
            session.last_insert_id = None
        if ask_charset:
            self._ask_charset(connection)
        else:
            self._synchronise(connection)

    def _prepared(self, statement_id: int, *, failed: bool) -> None:
        if not failed:
            self.statements[statement_id] = self._running()
            self.session.pins.add(PinReason.PREPARED_STATEMENT)

    def _adopted(self, connection: BackendConnection) -> None:
        """What the session has become, its connection is already."""
        session = self.session
        connection.variables = session.variables
        connection.schema = session.schema
        if self.key[2] != (session.schema is not None):
            self.key = (self.key[0], self.key[1], session.schema is not None)

    def _ask_charset(self, connection: BackendConnection) -> None:
        """The server does not report all of a character set change."""
        known = None
        question = None
        if self._frame[4] == Command.QUERY and questions.is_plain_set_names(self._frame[5:]):
            question = (f"{connection.profile.version} {connection.profile.collation}", self._frame[5:])
            known = self._services.set_names.get(question)
        if known is not None:
            self._charset_is(connection, known)
            return

        def done(payload: bytes, error: bytes | None) -> None:
            if error is not None:
                self._lose_session(connection, "its character set cannot be read")
                return
            client, results, collation = map(questions.plain_text, questions.single_row(payload))
            if question is not None and len(self._services.set_names) < 1000:
                self._services.set_names[question] = (client, results, collation)
            self._charset_is(connection, (client, results, collation))

        connection.send(Capture(done, self._settling_lost), query(questions.ASK_CHARSET))

    def _charset_is(self, connection: BackendConnection, charset: tuple[str, str, str]) -> None:
        self.session.charset_is(*charset)
        self._adopted(connection)
        self._synchronise(connection)

    def _synchronise(self, connection: BackendConnection) -> None:
        """Before a connection may leave: make sure all trackers have been seen.

        Only an OK packet carries them. A statement that ended otherwise and could have changed state is followed
        by a PING, whose OK does.
        """
        facts = self._running().facts
        scanner = connection.scanner
        harmless = facts.read or (facts.kind in _UNCHANGING and not facts.multi)
        single_failure = scanner.error is not None and self.session.autocommit and not facts.multi
        if self.session.holds or harmless or single_failure or (scanner.ended_in_ok and scanner.error is None):
            self._conclude(connection, keep=True)
            self._finish()
            return
        warnings, affected = scanner.warnings + (scanner.error is not None), scanner.affected_rows

        def done(payload: bytes, error: bytes | None) -> None:
            self.session.after_status(scanner.status)
            changes = [decode_session_changes(blob) for blob in scanner.changes]
            self.session.after(facts, changes, failed=False)
            self._adopted(connection)
            scanner.warnings, scanner.affected_rows = warnings, affected
            self._conclude(connection, keep=True)
            self._finish()

        connection.send(Capture(done, self._settling_lost), _PING)

    def _settling_lost(self, error: ConnectionLost) -> None:
        if self._backend is not None:
            self._lose_session(self._backend, str(error))

    def _lose_session(self, connection: BackendConnection, reason: str) -> None:
        """The answer was sent but the state behind it is lost: the session cannot go on."""
        self._drop_backend(connection)
        self._plan = None
        self._client.abort()

    # -- where the connection goes -----------------------------------------------------------------------------

    def _conclude(self, connection: BackendConnection, *, keep: bool) -> None:
        """Hold, linger or release; ``keep`` False when there is nothing to look back at."""
        if self._killing:
            # A KILL for this connection is on its way; nobody else may get it.
            self._last_on = None
            if not self.session.holds:
                self._drop_backend(connection)
            return
        if self._paused:
            connection.transport.resume_reading()
        session = self.session
        if session.holds:
            self._last_on = connection
            return
        server, self._server = self._server, None
        self._backend = None
        if server is None:
            return
        plan = self._plan
        scanner = connection.scanner
        firm = keep and (
            scanner.error is not None or scanner.warnings > 0 or (plan is not None and plan.facts.found_rows)
        )
        soft = keep and (session.last_insert_id is None or scanner.affected_rows > 0)
        if not firm and not soft:
            self._last_on = None
            server.pool.release(connection)
            return
        if self._sticky is not None:
            self._give_up_sticky()
        self._last_on = self._sticky = connection
        self._sticky_server = server
        self._sticky_firm = firm
        self._sticky_since = self._started
        server.pool.linger(connection, self._reclaim)

    def _use_sticky(self, plan: Relay) -> bool:
        """Run on the lingering connection when it is the right server, or the only one that knows the answer."""
        sticky, server = self._sticky, self._sticky_server
        if sticky is None or server is None:
            return False
        if sticky.closed:
            self._sticky = self._sticky_server = self._last_on = None
            server.pool.discard(sticky)
            return False
        to_primary = plan.role is Role.PRIMARY or not self.session.autocommit or self._kind == PREPARE
        is_primary = server is self._services.topology.groups[plan.group].primary
        if not plan.facts.looks_back and not (to_primary and is_primary):
            return False
        self._sticky = self._sticky_server = None
        server.pool.unlinger(sticky)
        self._backend, self._server = sticky, server
        if plan.facts.looks_back and sticky is not self._last_on and not questions.asks_for_counts(self._frame):
            # It knows the insert id, but its warnings are older than the last statement.
            self._match(sticky, [questions.CLEAR_WARNINGS])
        else:
            self._apply(plan, sticky)
        return True

    def _reclaim(self) -> None:
        """The pool has other sessions waiting for the lingering connection."""
        sticky = self._sticky
        if sticky is None:
            return
        if self._sticky_firm and (left := self._sticky_since + FIRM_LINGER - perf_counter()) > 0:
            sticky.lingering = None  # asked once is enough
            asyncio.get_running_loop().call_later(left, self._reclaim_late, sticky)
            return
        self._give_up_sticky()

    def _reclaim_late(self, connection: BackendConnection) -> None:
        if self._sticky is connection:
            self._give_up_sticky()

    def _give_up_sticky(self) -> None:
        """Release the lingering connection, keeping what it alone knows: LAST_INSERT_ID()."""
        sticky, server = self._sticky, self._sticky_server
        self._sticky = self._sticky_server = None
        if sticky is None or server is None:
            return
        if self._last_on is sticky:
            self._last_on = None
        server.pool.unlinger(sticky)
        if self.session.last_insert_id is not None or sticky.closed or self._closed:
            server.pool.release(sticky)
            return
        self._blocked += 1

        def done(payload: bytes, error: bytes | None) -> None:
            if error is None:
                self.session.last_insert_id = int(questions.plain_text(questions.single_row(payload)[0]))
                server.pool.release(sticky)
            else:
                server.pool.discard(sticky)
            self._unblock()

        def lost(error: ConnectionLost) -> None:
            server.pool.discard(sticky)
            self._unblock()

        sticky.send(Capture(done, lost), query(questions.ASK_INSERT_ID))

    def _unblock(self) -> None:
        self._blocked -= 1
        if self.ready and not self._closed:
            self._client.finished()

    # -- failures ----------------------------------------------------------------------------------------------

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        """The connection broke while an answer was owed (failure contract, architecture §5)."""
        plan = self._running()
        server = self._server
        forwarded = connection.forwarded
        held = self.session.holds
        self._drop_backend(connection)
        if server is not None:
            self._services.suspect(server)
        where = f"the connection to server {server.name if server else '?'} was lost ({error})"
        if forwarded:
            self._plan = None
            self._client.abort()
        elif plan.facts.read and not held and self._attempts < 2:
            self._attempts += 1
            self._services.counters.retries += 1
            self._lease(server)
        elif held:
            self._session_state_lost(where)
        elif plan.facts.read:
            self._answer(MySQLError(2013, "08S01", f"router: {where}"))
        else:
            text = f"router: {where}; the outcome of this statement is unknown"
            self._answer(MySQLError(2013, "08S01", text), close=True)

    def _held_connection_lost(self) -> None:
        """The connection that held the session's state ended between two statements; nothing was sent."""
        backend, server = self._backend, self._server
        if backend is not None:
            self._drop_backend(backend)
        self._session_state_lost(f"the connection to server {server.name if server else '?'} was lost")

    def _session_state_lost(self, where: str) -> None:
        session = self.session
        only_transaction = session.transaction and not session.pins
        session.transaction = False
        if only_transaction and not self._is_commit():
            self._answer(MySQLError(1213, "40001", f"router: {where}; the transaction was rolled back"))
            return
        outcome = "the outcome of this statement is unknown" if self._is_commit() else "the session's state is gone"
        self._answer(MySQLError(2013, "08S01", f"router: {where}; {outcome}"), close=True)

    def _is_commit(self) -> bool:
        plan = self._plan
        return plan is not None and plan.facts.kind in (StatementKind.COMMIT, StatementKind.DDL, StatementKind.MULTI)

    def _drop_backend(self, connection: BackendConnection) -> None:
        server = self._server
        self._backend = self._server = None
        self._last_on = None
        if server is not None:
            server.pool.discard(connection)

    # -- endings -----------------------------------------------------------------------------------------------

    def _answer(self, error: MySQLError, *, close: bool = False, origin: str = "router") -> None:
        self._services.counters.errors[origin, error.code] += 1
        self._plan = None
        self._client.fail(error, close=close)

    def _finish(self) -> None:
        self._plan = None
        self._frame = b""
        if not self._blocked:
            self._client.finished()

    def _running(self) -> Relay:
        plan = self._plan
        if plan is None:
            raise AssertionError("no statement is running")
        return plan

    # -- what the client's connection tells --------------------------------------------------------------------

    def client_paused(self) -> None:
        """The client reads slowly: stop the server."""
        self._paused = True
        if self._backend is not None and self._backend.busy:
            self._backend.transport.pause_reading()

    def client_resumed(self) -> None:
        """The client has caught up."""
        self._paused = False
        if self._backend is not None and not self._backend.closed:
            self._backend.transport.resume_reading()

    def client_lost(self) -> None:
        """The client is gone: end what runs for it, and leave nothing of it behind."""
        self._closed = True
        if self._waiting and self._server is not None:
            self._server.pool.cancel(self._waiter)
        if self._sticky is not None:
            self._give_up_sticky()
        backend, server = self._backend, self._server
        if backend is None or server is None:
            return
        self._backend = self._server = None
        if backend.busy:
            backend.close()
            server.pool.discard(backend)
            spawn(self._kill_on(server, backend.thread_id, query_only=False), "kill for a lost client")
        elif self.session.holds:
            server.pool.release_dirty(backend)
        else:
            server.pool.release(backend)

    def kill_query(self) -> None:
        """KILL QUERY for this session: the statement that runs now, and never the next owner of its connection."""
        backend, server = self._backend, self._server
        if backend is None or server is None or not backend.busy or self._killing:
            return
        self._killing = True
        spawn(self._kill_query(server, backend), "kill query")

    async def _kill_query(self, server: Server, backend: BackendConnection) -> None:
        try:
            await self._kill_on(server, backend.thread_id, query_only=True)
        finally:
            self._killing = False

    async def _kill_on(self, server: Server, thread_id: int, *, query_only: bool) -> None:
        try:
            await server.connector.kill(self.user, thread_id, query_only=query_only)
        except BackendError:
            # The thread has ended by itself (1094), or the server is gone and the statement with it.
            self._services.counters.errors["router", 1094] += 1

    def reset(self) -> None:
        """COM_RESET_CONNECTION: give every connection back, forget everything but user and schema."""
        self.session.last_insert_id = 0
        if self._sticky is not None:
            self._give_up_sticky()
        self.leave()
        self.statements.clear()
        self.session.reset()

    def leave(self) -> None:
        """Give the held connection back, reset if it carries state."""
        backend, server = self._backend, self._server
        self._backend = self._server = self._last_on = None
        if backend is None or server is None:
            return
        if backend.closed:
            server.pool.discard(backend)
        elif self.session.holds:
            server.pool.release_dirty(backend)
        else:
            server.pool.release(backend)

    def statement_closed(self, statement_id: int, frame: bytes) -> None:
        """COM_STMT_CLOSE: has no reply; with the last statement the pin goes."""
        session = self.session
        backend = self._backend
        if self.statements.pop(statement_id, None) is None or backend is None:
            return
        if not backend.closed:
            backend.write(frame)
        if not self.statements:
            session.pins.discard(PinReason.PREPARED_STATEMENT)
            if not session.holds:
                self.leave()

    def reshape(self, shape: int, frame: bytes) -> None:
        """COM_SET_OPTION: the session's connections now are of another ``shape``."""
        self.session.last_insert_id = self.session.last_insert_id or 0
        self.shape = shape
        self.key = (self.key[0], shape, self.key[2])
        if self._sticky is not None:
            self._give_up_sticky()
        backend = self._backend
        if backend is not None and not backend.closed:
            backend.key = (backend.key[0], shape, backend.key[2])
            self._blocked += 1
            backend.send(Capture(lambda payload, error: self._unblock(), lambda error: self._unblock()), frame)
