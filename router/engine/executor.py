"""Runs the plans of one session: finds a server connection, takes it to the session's state, relays, settles.

The executor is the ``Sink`` of the connection it uses. Everything is callbacks; a Task exists only where a new
connection has to be opened. After the last byte of a response three things may still have to be asked on the same
connection before it is anybody else's: the character set (after a SET that touched it), a PING whose OK carries the
trackers (after a statement that may have changed state but did not end in an OK), and LAST_INSERT_ID().

Where a connection goes then:

- *held*: inside a transaction, or pinned – the session's state lives there;
- *lingering* (``lookback``): a later statement may ask what the last one did;
- *released* to the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from router.backend.connection import BackendConnection, Capture, PoolKey
from router.backend.connector import BackendUser
from router.backend.reset import query, use_schema
from router.cluster.topology import Server
from router.engine import questions, refusals
from router.engine.kill import Killer
from router.engine.leasing import Leasing
from router.engine.lookback import LookBack
from router.engine.services import Client, Services
from router.errors import BackendError, ConnectionLost, MySQLError
from router.planner.plan import Relay, Role
from router.session.state import SessionState
from router.session.variables import assignments
from router.sql.facts import PinReason, StatementFacts, StatementKind
from router.wire.constants import Command
from router.wire.errcodes import ErrorCode
from router.wire.framing import frame as framed
from router.wire.packets import decode_session_changes
from router.wire.scanner import PREPARE, QUERY

_PING = framed(bytes([Command.PING]), 0)
_UNCHANGING = frozenset({StatementKind.SHOW, StatementKind.EXPLAIN, StatementKind.SELECT})


class Executor:
    """One session's way to the servers; runs one command at a time."""

    __slots__ = (
        "_backend",
        "_client",
        "_closed",
        "_frame",
        "_killer",
        "_kind",
        "_leasing",
        "_look",
        "_paused",
        "_plan",
        "_server",
        "_services",
        "_started",
        "forward",
        "key",
        "pause",
        "resume",
        "session",
        "shape",
        "statements",
        "user",
    )

    def __init__(
        self, client: Client, session: SessionState, user: BackendUser, shape: int, services: Services
    ) -> None:
        self._client = client
        # Bytes of a response go straight to the client's transport; a server that reads slowly slows the client.
        self.forward = client.write
        self.pause = client.pause_reading
        self.resume = client.resume_reading
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
        self._started = 0.0
        self._backend: BackendConnection | None = None
        self._server: Server | None = None
        self._look = LookBack(session, self._unblocked)
        self._leasing = Leasing(services, user, self._granted, self._fail_unsent)
        self._killer = Killer(user, services.counters)
        self._paused = False
        self._closed = False

    # -- running a plan ----------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the next command may be run."""
        return self._plan is None and not self._look.asking

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
        self._started = perf_counter()
        backend = self._backend
        if backend is not None:
            if backend.closed:
                self._held_connection_lost()
            elif self._server is not None and self._server.group != plan.group:
                self._answer(refusals.other_group(plan.group, self._server.group, self.session.pins))
            else:
                self._apply(plan, backend)
        elif self._look.connection is None or not self._linger_again(plan):
            # A prepared statement pins its session, which must then be able to write.
            primary = kind == PREPARE or not self.session.autocommit
            self._leasing.lease(plan, self.key, primary=primary)

    def _granted(self, backend: BackendConnection, server: Server) -> None:
        self._backend = backend
        self._server = server
        self._apply(self._running(), backend)

    def _fail_unsent(self, error: BackendError) -> None:
        """The statement was never sent; the session goes on."""
        self._answer(refusals.not_sent(error))

    # -- taking the connection to the session's state ----------------------------------------------------------

    def _apply(self, plan: Relay, backend: BackendConnection) -> None:
        facts = plan.facts
        session = self.session
        if facts.looks_back and not self._look.remembers(backend, self._frame):
            self._look_back(backend)
        elif not facts.read and self._look.untold(backend, facts):
            self._match(backend, self._tell(backend))
        elif backend.variables is session.variables and backend.schema == session.schema:
            self._send(plan, backend, self._frame)
        else:
            self._match(backend, [])

    def _send(self, plan: Relay, backend: BackendConnection, data: bytes, prefix_replies: int = 0) -> None:
        if not plan.facts.read and plan.role is Role.PRIMARY:
            # What a hint sends to a replica, its author vouches for: it leaves nothing behind.
            self.session.before(plan.facts)
        backend.send(self, data, self._kind, prefix_replies)
        if self._paused:
            backend.transport.pause_reading()

    def _match(self, backend: BackendConnection, also: list[str]) -> None:
        """Send only what differs, in front of the statement.

        A proven read goes out in the same segment: if the prefix fails, its answer is thrown away. Anything else
        waits for the verdict, because it must not run in the wrong schema or mode.
        """
        session = self.session
        plan = self._running()
        commands = []
        schema = session.schema
        leaves = plan.facts.kind is StatementKind.USE  # perhaps because the schema is gone
        if backend.schema != schema and schema is not None and self._is_at_home(schema) and not leaves:
            commands.append(use_schema(schema))
            backend.schema = schema
        terms = assignments(session.variables, backend.variables, backend.profile)
        if terms:
            commands.append(query("SET " + ", ".join(terms)))
        commands.extend(query(sql) for sql in also)
        backend.variables = session.variables
        if not commands:
            self._send(plan, backend, self._frame)
        elif plan.facts.read and self._kind == QUERY:
            self._send(plan, backend, b"".join(commands) + self._frame, len(commands))
        else:
            capture = Capture(self._matched, self._lost_unsent)
            backend.send(capture, b"".join(commands), prefix_replies=len(commands) - 1)

    def _is_at_home(self, schema: str) -> bool:
        """Whether the default schema lives in the group of the statement; if not, the statement names its own."""
        return self._services.group_of(schema) == self._running().group

    def _matched(self, payload: bytes, error: bytes | None) -> None:
        backend = self._backend
        if backend is None:
            return
        if error is None:
            self._send(self._running(), backend, self._frame)
        else:
            self.prefix_failed(backend, error)

    def _lost_unsent(self, error: ConnectionLost) -> None:
        """The connection broke before the statement was on it."""
        server = self._server
        held = self.session.holds
        if self._backend is not None:
            self._drop_backend(self._backend)
        if held:
            where = f"the connection to server {server.name if server else '?'} was lost ({error})"
            self._session_state_lost(where, sent=False)
        elif not self._leasing.again(None):
            self._fail_unsent(error)

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """The server refused the session's state; the statement did not count."""
        self._drop_backend(connection)
        self._answer(refusals.from_server(error), origin="backend")

    def _look_back(self, backend: BackendConnection) -> None:
        """The statement asks about a past this connection does not know: tell it what can be told."""
        look, known = self._look, self.session.last_insert_id
        lost = known is None and look.knows is not backend
        if questions.asks_for_counts(self._frame) or (lost and questions.asks_for_insert_id(self._frame)):
            past = look.last_on
            self._conclude(backend, keep=True)
            look.last_on = past
            self._answer(refusals.past_forgotten())
            return
        tell = self._tell(backend)
        self._match(backend, tell if backend is look.last_on else [*tell, questions.CLEAR_WARNINGS])

    def _tell(self, backend: BackendConnection) -> list[str]:
        known = backend.insert_id = self.session.last_insert_id
        return [] if known is None else [f"SET last_insert_id = {known}"]

    # -- sink: the response ------------------------------------------------------------------------------------

    def file_requested(self, connection: BackendConnection) -> None:
        """LOCAL INFILE: what the client sends next is for the server."""
        self._client.ask_for_file()

    def response_ended(self, connection: BackendConnection) -> None:
        """The answer is with the client; now for the connection."""
        plan = self._plan
        server = self._server
        assert plan is not None
        assert server is not None
        scanner = connection.scanner
        session = self.session
        counters = self._services.counters
        counters.decisions[plan.reason] += 1
        counters.client_bytes_out += connection.bytes_relayed
        if plan.rule is not None:
            counters.rule_hits[plan.rule] += 1
        server.commands[self._frame[4]] += 1
        server.durations.observe(perf_counter() - self._started)
        facts = plan.facts
        if (
            not facts.read
            or scanner.error is not None
            or scanner.changes
            or scanner.warnings
            or facts.found_rows
            or self._kind == PREPARE
        ):
            self._settle(connection)
            return
        # A proven read that left nothing behind.
        if scanner.status & 3 != session.status:
            session.after_status(scanner.status)
        if (
            session.transaction
            or session.pins
            or self._look.knows is connection
            or self._look.firm
            or self._killer.pending
            or self._paused
        ):
            self._conclude(connection, keep=True)
        else:
            self._backend = self._look.last_on = None
            server.pool.release(connection)
        self._plan = None
        if not self._look.asking:
            self._client.finished()

    def _settle(self, connection: BackendConnection) -> None:
        """Take over what the response says of the session's state; ask what it does not say."""
        plan = self._running()
        facts: StatementFacts | None = plan.facts
        scanner = connection.scanner
        session = self.session
        failed = scanner.error is not None
        if failed and scanner.error is not None:
            code = int.from_bytes(scanner.error[1:3], "little")
            self._services.counters.errors["backend", code] += 1
            if code == ErrorCode.PARSE_ERROR and not plan.facts.multi:
                session.never_ran()
        else:
            session.after_status(scanner.status)
        if self._kind == PREPARE:
            self._prepared(scanner.statement_id, failed=failed)
            facts = None
        changes = [decode_session_changes(blob) for blob in scanner.changes]
        ask_charset = session.after(facts, changes, failed=failed)
        self._adopted(connection)
        self._look.ran(connection, plan.facts, self._frame)
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
        if session.schema is None or self._is_at_home(session.schema):
            connection.schema = session.schema
        if self.key[2] != (session.schema is not None):
            self.key = (self.key[0], self.key[1], session.schema is not None)

    def _ask_charset(self, connection: BackendConnection) -> None:
        """The server does not report all of a character set change."""
        names = self._services.set_names
        question = questions.set_names_key(self._frame, connection.profile, self.session.variables)
        if question in names:
            self._charset_is(connection, names[question])
            return

        def done(payload: bytes, error: bytes | None) -> None:
            if error is not None:
                self._lose_session(connection, "its character set cannot be read")
                return
            client, results, collation = map(questions.plain_text, questions.single_row(payload))
            if question is not None and len(names) < 1000:
                names[question] = (client, results, collation)
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
        if self._killer.pending:
            # A KILL for this connection is on its way; nobody else may get it.
            self._look.last_on = None
            if not self.session.holds:
                self._drop_backend(connection)
            return
        if self._paused:
            connection.transport.resume_reading()
        session = self.session
        if session.holds:
            self._look.last_on = connection
            return
        server, self._server = self._server, None
        self._backend = None
        if server is None:
            return
        plan = self._plan
        scanner = connection.scanner
        firm = keep and (
            scanner.error is not None
            or scanner.warnings > 0
            or (
                plan is not None and (plan.facts.found_rows or plan.facts.looks_back or self._look.outlasts(plan.facts))
            )
        )
        soft = keep and (self._look.knows is connection or scanner.affected_rows > 0)
        if firm or soft:
            self._look.keep(connection, server, firm=firm)
        else:
            self._look.last_on = None
            self._look.firm = self._look.firm and self._look.connection is not None
            server.pool.release(connection)

    def _linger_again(self, plan: Relay) -> bool:
        """Run on the lingering connection when it is the right server, or the only one that knows the answer."""
        look = self._look
        primary = self._services.topology.groups[plan.group].primary
        to_primary = plan.role is Role.PRIMARY or not self.session.autocommit or self._kind == PREPARE
        asks = plan.facts.looks_back or look.outlasts(plan.facts)
        if not asks and not (to_primary and look.is_on(primary)):
            return False
        taken = look.take()
        if taken is None:
            return False
        connection, server = taken
        self._backend, self._server = connection, server
        self._apply(plan, connection)
        return True

    def _unblocked(self) -> None:
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
        elif plan.facts.read and not held and self._leasing.again(server):
            self._services.counters.retries += 1
        elif held:
            self._session_state_lost(where, sent=True)
        elif plan.facts.read:
            self._answer(refusals.lost(where))
        else:
            self._answer(refusals.lost(where, refusals.OUTCOME_UNKNOWN), close=True)

    def _held_connection_lost(self) -> None:
        """The connection that held the session's state ended between two statements; nothing was sent."""
        backend, server = self._backend, self._server
        if backend is not None:
            self._drop_backend(backend)
        self._session_state_lost(f"the connection to server {server.name if server else '?'} was lost", sent=False)

    def _session_state_lost(self, where: str, *, sent: bool) -> None:
        """A transaction may be repeated, unless its COMMIT was under way; other state cannot be had back."""
        session = self.session
        committing = sent and refusals.may_commit(self._running().facts)
        only_transaction = session.transaction and not session.pins
        session.transaction = False
        if only_transaction and not committing:
            self._answer(refusals.rolled_back(where))
        else:
            self._answer(
                refusals.lost(where, refusals.OUTCOME_UNKNOWN if committing else refusals.STATE_GONE), close=True
            )

    def _drop_backend(self, connection: BackendConnection) -> None:
        server = self._server
        self._backend = self._server = None
        self._look.forget(connection)
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
        if not self._look.asking:
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
        self._leasing.cancel()
        self._look.give_up(silently=True)
        backend, server = self._backend, self._server
        if backend is not None and server is not None and backend.busy:
            self._backend = self._server = None
            backend.close()
            server.pool.discard(backend)
            self._killer.kill_connection(server, backend.thread_id)
        else:
            self.leave()

    def kill_query(self) -> None:
        """KILL QUERY for this session: the statement that runs now, and never the next owner of its connection."""
        backend, server = self._backend, self._server
        if backend is not None and server is not None and backend.busy:
            self._killer.kill_query(server, backend.thread_id)

    def reset(self) -> None:
        """COM_RESET_CONNECTION: give every connection back, forget everything but user and schema."""
        self._look.give_up(silently=True)
        self._look.knows = None
        self.leave()
        self.statements.clear()
        self.session.reset()

    def leave(self) -> None:
        """Give the held connection back, reset if it carries state."""
        backend, server = self._backend, self._server
        self._backend = self._server = None
        self._look.last_on = None
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
            if not session.holds and self._look.knows is backend and self._server is not None:
                self._look.keep(backend, self._server, firm=False)
                self._backend = self._server = None
            elif not session.holds:
                self.leave()

    def reshape(self, shape: int, frame: bytes, done: Callable[[], None]) -> None:
        """COM_SET_OPTION (``frame``): the session's connections are of another ``shape`` from now on."""
        self.shape = shape
        self.key = (self.key[0], shape, self.key[2])
        self._look.give_up()
        backend = self._backend
        if backend is not None and not backend.closed:
            backend.key = (backend.key[0], shape, backend.key[2])
            backend.send(Capture(lambda payload, error: done(), lambda error: done()), frame)
        else:
            done()
