"""Runs the plans of one session: finds a server connection, takes it to the session's state, relays, settles.

The executor is the ``Sink`` of the connection it uses. Everything is callbacks; a Task exists only where a new
connection has to be opened. What is asked of a connection behind a response is in ``settling``; where it goes then:

- *held*: inside a transaction, or pinned – the session's state lives there;
- *lingering* (``lookback``): a later statement may ask what the last one did;
- *released* to the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

from router.backend.connection import BackendConnection, Capture, PoolKey
from router.backend.connector import BackendUser
from router.cluster.topology import Server
from router.engine import refusals
from router.engine.branches import Branches
from router.engine.failure import verdict_on
from router.engine.kill import Killer
from router.engine.leasing import Leasing
from router.engine.lookback import AFTER_READ, LookBack
from router.engine.matching import at_home, commands_for, patience, schema_of
from router.engine.preparing import Preparing, about, to_prepare
from router.engine.services import Client, Services
from router.engine.settling import Settling
from router.engine.statements import Statement, Statements, wants_cursor
from router.errors import BackendError, ConnectionLost, MySQLError
from router.planner.plan import Relay, Role, Sharded
from router.session.state import SessionState
from router.sql.facts import StatementFacts
from router.wire.attributes import without_attributes
from router.wire.framing import frame as framed
from router.wire.scanner import CURSOR, PREPARE, QUERY


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
        "_paused",
        "_plan",
        "_preparing",
        "_server",
        "_services",
        "_settling",
        "_started",
        "_statement",
        "_substitute",
        "branches",
        "forward",
        "key",
        "look",
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
        self.statements = Statements(session, shape)
        # The statement whose EXECUTE, FETCH or RESET is running.
        self._statement: Statement | None = None
        self._plan: Relay | None = None
        self._frame = b""
        self._kind = QUERY
        self._started = 0.0
        self._backend: BackendConnection | None = None
        self._server: Server | None = None
        self._preparing = Preparing(
            session, self.statements, lambda it: self._apply(self._running(), it), self._not_prepared, self._lost_unsent
        )
        self.branches = Branches(session, services)
        self.look = LookBack(session, self._unblocked)
        self._leasing = Leasing(services, user, self._granted, self._fail_unsent)
        self._killer = Killer(user, services.counters)
        self._settling = Settling(session, services, self._adopted, self._settled, self._lose_session)
        self._substitute: int | None = None
        self._paused = False
        self._closed = False

    # -- running a plan ----------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the next command may be run."""
        return self._plan is None and not self.look.asking

    @property
    def held(self) -> Server | None:
        """The server to which a connection is kept by a transaction or a pin."""
        return self._server if self._backend is not None else None

    @property
    def connection(self) -> BackendConnection | None:
        """The connection in use or held."""
        return self._backend

    def run(self, plan: Relay, frame: bytes, kind: int = QUERY, substitute: int | None = None) -> None:
        """Send ``frame`` (a whole command) where ``plan`` says; its response of ``kind`` goes to the client.

        ``substitute``: a number to stand in the only row, for ``kind`` CURSOR.
        """
        self._plan = plan
        self._substitute = substitute
        self._frame = frame
        self._kind = kind
        self._started = perf_counter()
        self._leasing.awaits = None
        backend, server = self._backend, self._server
        if backend is not None and server is not None:
            if server.group != plan.group and not plan.anywhere and not backend.closed:
                self._elsewhere(plan, server)
            elif self.branches and not refusals.stays_inside(plan.facts):
                self._answer(refusals.may_end_spanning())
            else:
                self._use(plan, backend, server)
        elif self.look.connection is None or (again := self.look.again(plan, self._primary_of(plan))) is None:
            self._leasing.lease(plan, self.key, primary=self._primary_only, written=self.session.written)
        else:
            self._use(plan, *again)

    def _use(self, plan: Relay, backend: BackendConnection, server: Server) -> None:
        self._backend, self._server = backend, server
        if plan.anywhere:
            self._plan = plan = replace(plan, group=server.group, database=backend.schema)
        if backend.closed:
            self._lost(None, sent=False)
        else:
            self._apply(plan, backend)

    def _primary_of(self, plan: Relay) -> Server | None:
        """The primary, if that is where the plan goes now."""
        to_primary = plan.role is Role.PRIMARY or self._primary_only
        return self._services.topology.groups[plan.group].primary if to_primary else None

    def _elsewhere(self, plan: Relay, server: Server) -> None:
        """The statement is for another group than the one where the session is kept: can its transaction go there?"""
        if (error := self.branches.refusal(plan, server)) is not None:
            self._answer(error)
            return
        self.spare()
        if (branch := self.branches.take(plan.group)) is None:
            self.session.opening = list(self.session.begun or ())
            self._leasing.lease(plan, self.key, primary=True)
            return
        self._use(plan, *branch)

    def spare(self) -> None:
        """Park the connection that the transaction is on, so that all of them are with the ``branches``."""
        backend, server = self._backend, self._server
        self._backend = self._server = self.look.last_on = None
        if backend is not None and server is not None:
            self.branches.park(backend, server)

    def regain(self) -> None:
        """Have a connection of the transaction again, if there still is one."""
        if self._backend is None and (branch := self.branches.take()) is not None:
            self._backend, self._server = branch
            self.session.opening = None
        elif self._backend is None and self.session.begun:
            self.session.opening = list(self.session.begun)

    @property
    def _primary_only(self) -> bool:
        """Whether even a proven read must not go to a replica: a cursor pins, and the session may want to write."""
        return not self.session.autocommit or self._kind == CURSOR or self.session.opening is not None

    def prepare(self, plan: Relay, frame: bytes, sharded: Sharded | None = None) -> None:
        """COM_STMT_PREPARE of the statement that ``plan`` is for; ``sharded`` if executions may be for other shards."""
        self._preparing.begin(plan, sharded)
        self.run(to_prepare(plan), frame, PREPARE)

    def execute(self, statement: Statement, frame: bytes, substitute: int | None = None) -> None:
        """COM_STMT_EXECUTE; ``substitute`` as for ``run``."""
        self._statement = statement
        self.run(statement.plan, frame, CURSOR if substitute is not None or wants_cursor(frame) else QUERY, substitute)

    def about(self, statement: Statement, frame: bytes, kind: int) -> None:
        """COM_STMT_FETCH or COM_STMT_RESET of a statement with an open cursor."""
        self._statement = statement
        self.run(about(statement.plan), frame, kind)

    @property
    def _text(self) -> bytes:
        """The command with the SQL in it, and nothing in front of it."""
        statement = self._statement
        return without_attributes(self._frame, self.shape) if statement is None else statement.text.frame

    def _granted(self, backend: BackendConnection, server: Server) -> None:
        self._backend = backend
        self._server = server
        self._apply(self._running(), backend)

    def _fail_unsent(self, error: BackendError) -> None:
        """The statement was never sent; the session goes on."""
        self.regain()
        self._answer(refusals.not_sent(error))

    # -- taking the connection to the session's state ----------------------------------------------------------

    def _apply(self, plan: Relay, backend: BackendConnection) -> None:
        statement = self._statement
        if statement is not None:
            prepared = backend.statements.get(statement.text)
            if prepared is None or not statement.fits(prepared, self._frame):
                self._preparing.again(statement, backend, at_home(plan, statement.text.schema, self._services))
                return
        facts = plan.facts
        session = self.session
        if facts.looks_back and not self._answers(backend, facts):
            self._look_back(backend)
        elif not facts.read and self.look.untold(backend, facts):
            self._match(backend, self.look.tell(backend))
        elif (
            backend.variables is session.variables
            and backend.schema == schema_of(plan, statement, session)
            and session.opening is None
            and self._leasing.awaits is None
        ):
            self._send(plan, backend)
        else:
            self._match(backend, [])

    def _answers(self, backend: BackendConnection, facts: StatementFacts) -> bool:
        """Whether the connection can be asked about the statement before; numbers the router knows, it fills in."""
        count = self.look.count(facts)
        if count is not None and self._kind == QUERY:
            self._kind, self._substitute = CURSOR, count
            return True
        return self.look.remembers(backend, self._text) and self.session.is_set(backend.variables, facts)

    def _send(self, plan: Relay, backend: BackendConnection, prefix: Sequence[bytes] = ()) -> None:
        if not plan.facts.read and plan.role is Role.PRIMARY:
            # What a hint sends to a replica, its author vouches for: it leaves nothing behind.
            self.session.before(plan.facts, self._text)
        data = self._frame
        if (statement := self._statement) is not None:
            prepared = backend.statements.get(statement.text)
            assert prepared is not None
            data = statement.command(data, prepared)
        elif self._kind == PREPARE:
            backend.scanner.renumber = self.statements.next_id
        if prefix:
            waits = self._leasing.awaits is not None
            backend.send(self, b"".join((*prefix, data)), self._kind, len(prefix), waits=waits)
        else:
            backend.send(self, data, self._kind)
        if self._substitute is not None:
            backend.scanner.substitute, backend.scanner.binary = self._substitute, statement is not None
        if self._paused:
            backend.transport.pause_reading()

    def _match(self, backend: BackendConnection, also: list[str]) -> None:
        """Send only what differs, in front of the statement.

        A proven read goes out in the same segment: if the prefix fails, its answer is thrown away. Anything else
        waits for the verdict, because it must not run in the wrong schema or mode.
        """
        plan = self._running()
        commands = commands_for(plan, self._statement, backend, self.session, self._services, also)
        if (awaits := self._leasing.awaits) is not None:
            commands.insert(0, patience(backend, awaits))
        if not commands or (plan.facts.read and self._kind in (QUERY, CURSOR, PREPARE)):
            self._send(plan, backend, commands)
        else:
            capture = Capture(self._matched, self._lost_unsent)
            backend.send(capture, b"".join(commands), prefix_replies=len(commands) - 1)

    def _not_prepared(self, backend: BackendConnection, error: bytes) -> None:
        """What the server says now, it would have said to the execution."""
        if backend.closed:
            self.prefix_failed(backend, error)
            return
        self._services.server_refused(error)
        self.forward(framed(error, 1))
        self._conclude(backend, keep=True)
        self._finish()

    def _matched(self, payload: bytes, error: bytes | None) -> None:
        backend = self._backend
        if backend is None:
            return
        if error is None:
            self._send(self._running(), backend)
        else:
            self.prefix_failed(backend, error)

    def _lost_unsent(self, error: ConnectionLost) -> None:
        """The connection broke before the statement was on it."""
        self._lost(error, sent=False)

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """The server refused the session's state; the statement did not count, and what was held there is lost."""
        if connection.behind:
            self._behind(connection, error)
        elif self.session.holds:
            self._lost(ConnectionLost(str(refusals.from_server(error))), sent=False)
        else:
            self._drop_backend(connection)
            self._answer(refusals.from_server(error), origin="backend")

    def _behind(self, connection: BackendConnection, error: bytes) -> None:
        """The replica did not get what the session has written in time."""
        server = self._server
        self._conclude(connection, keep=False)
        if server is None or self._killer.pending or not self._leasing.behind(server):
            self._answer(refusals.from_server(error), origin="backend")

    def _look_back(self, backend: BackendConnection) -> None:
        """The statement asks about a past this connection does not know: tell it what can be told."""
        look = self.look
        told = look.told(backend, self._text, self.session.is_set(backend.variables, self._running().facts))
        if told is not None:
            self._match(backend, told)
            return
        past = look.last_on
        self._conclude(backend, keep=True)
        look.last_on = past
        if warnings := look.shown(self._text):
            self.forward(warnings)
            self._finish()
        else:
            self._answer(refusals.past_forgotten())

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
        if self._statement is not None:
            self.statements.ran(self._statement, scanner, cursor=self._kind != QUERY)
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
        if self._leasing.awaits is not None:
            self._leasing.arrived(server)
        look = self.look
        if look.past is not AFTER_READ:
            look.read_ended(facts)
        if scanner.status & 3 != session.status:
            session.after_status(scanner.status)
        if (
            session.transaction
            or session.pins
            or look.knows is connection
            or look.firm
            or self._paused
            or connection.variables.personal
        ):
            self._conclude(connection, keep=True)
        else:
            self._backend = look.last_on = None
            server.pool.release(connection)
        self._plan = self._statement = None
        self._done()

    def _settle(self, connection: BackendConnection) -> None:
        plan = self._running()
        if self._kind == PREPARE:
            if (error := self._preparing.ended(self._frame, connection)) is not None:
                self._services.server_refused(error)
            self._settled(connection)
            return
        self.look.ran(connection, plan.facts, self._text)
        self._settling.settle(connection, plan, self._text)

    def _settled(self, connection: BackendConnection) -> None:
        self._conclude(connection, keep=True)
        self._finish()

    def _adopted(self, connection: BackendConnection) -> None:
        """What the session has become, its connection is already."""
        session = self.session
        variables = session.variables
        connection.variables = variables if connection.variables.personal else variables.shared
        if self.key[2] != (session.schema is not None):
            self.key = (self.key[0], self.key[1], session.schema is not None)

    def _lose_session(self, reason: str) -> None:
        """The answer was sent but the state behind it is lost: the session cannot go on."""
        if self._backend is not None:
            self._drop_backend(self._backend)
        self._plan = self._statement = None
        self._client.abort()

    # -- where the connection goes -----------------------------------------------------------------------------

    def _conclude(self, connection: BackendConnection, *, keep: bool) -> None:
        """Hold, linger or release; ``keep`` False when there is nothing to look back at."""
        if self._killer.pending:
            # A KILL for this connection is on its way: not even the session itself should meet it again.
            self.look.last_on = None
            if not self.session.holds:
                self._drop_backend(connection)
            return
        if self._paused:
            connection.transport.resume_reading()
        session = self.session
        if session.holds:
            self.look.last_on = connection
            return
        self.branches.abandon()  # the server has rolled back, and said so
        server, self._server = self._server, None
        self._backend = None
        if server is None:
            return
        self.look.let_go(connection, server, self._plan.facts if self._plan is not None else None, keep=keep)

    def _unblocked(self) -> None:
        if self.ready and self.look.owed and not self._closed:
            self._done()

    # -- failures ----------------------------------------------------------------------------------------------

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        """The connection broke while an answer was owed."""
        if self._server is not None:
            self._services.suspect(self._server)
        self._lost(error, sent=True, forwarded=connection.forwarded)

    def _lost(self, error: ConnectionLost | None, *, sent: bool, forwarded: bool = False) -> None:
        """The connection of the statement is gone (without an ``error``: it ended between two statements)."""
        session = self.session
        server = self._server
        verdict = verdict_on(self._running().facts, server, session, error, sent=sent, forwarded=forwarded)
        if self._backend is not None:
            self._drop_backend(self._backend)
        if verdict.error is None:
            self._plan = self._statement = None
            self._client.abort()
        elif verdict.retry and self._leasing.again(server if sent else None):
            self._services.counters.retries += sent
        else:
            if session.opening is None:
                session.ended()
                self.branches.abandon()
            self._answer(verdict.error, close=verdict.close)

    def _drop_backend(self, connection: BackendConnection) -> None:
        server = self._server
        self._backend = self._server = None
        self.look.forget(connection)
        if server is not None:
            server.pool.discard(connection)

    def _answer(self, error: MySQLError, *, close: bool = False, origin: str = "router") -> None:
        self._services.counters.errors[origin, error.code] += 1
        if self._statement is not None:
            self._statement.forget_long_data()
        self._plan = self._statement = None
        self._client.fail(error, close=close)

    def _finish(self) -> None:
        self._plan = self._statement = None
        self._done()

    def _done(self) -> None:
        """The next command may come, once all that was to be asked has been answered."""
        self.look.owed = self.look.asking > 0
        if not self.look.owed:
            self._client.finished()

    def _running(self) -> Relay:
        assert self._plan is not None
        return self._plan

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
        self.look.give_up(silently=True)
        self.branches.client_lost()
        backend, server = self._backend, self._server
        if backend is not None and server is not None and backend.busy:
            self._backend = self._server = None
            backend.close()
            server.pool.discard(backend)
            self._killer.kill_connection(server, backend.thread_id)
        else:
            self.leave()

    def kill_query(self, done: Callable[[], None]) -> None:
        """KILL QUERY for this session: the statement that runs now; ``done`` is called when the server has done it."""
        if not self._killer.end_statement(self._backend, self._server, done):
            if self._backend is None and self._plan is not None:
                self._leasing.cancel()
                self._answer(refusals.killed())
            done()

    def reset(self) -> None:
        """COM_RESET_CONNECTION: give every connection back, forget everything but user and schema."""
        self.look.forget_all()
        self.leave()
        self.statements.clear()
        self.session.reset()

    def leave(self) -> None:
        """Give the held connection back, reset if it carries state."""
        backend, server = self._backend, self._server
        self._backend = self._server = None
        self.look.last_on = None
        self.branches.client_lost()
        if backend is None or server is None:
            return
        if self.session.holds:
            server.pool.release_dirty(backend)
        else:
            server.pool.release(backend)

    def statement_closed(self, statement_id: int) -> None:
        """COM_STMT_CLOSE: has no reply. The statement stays prepared for others, unless it has a cursor."""
        statement = self.statements.close(statement_id)
        backend = self._backend
        if statement is None or not statement.cursor or backend is None:
            return
        if (closing := backend.statements.remove(statement.text)) and not backend.closed:
            backend.write(closing)
        if not self.session.holds:
            self._conclude(backend, keep=self.look.knows is backend)

    def reshape(self, shape: int, frame: bytes, done: Callable[[], None]) -> None:
        """COM_SET_OPTION (``frame``): the session's connections are of another ``shape`` from now on."""
        self.shape = shape
        self.key = (self.key[0], shape, self.key[2])
        self.look.give_up()
        backend = self._backend
        if backend is not None and not backend.closed:
            backend.key = (backend.key[0], shape, backend.key[2])
            backend.send(Capture(lambda payload, error: done(), lambda error: done()), frame)
        else:
            done()
