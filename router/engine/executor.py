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
from router.engine.beginning import Beginning
from router.engine.branches import Branches
from router.engine.kill import Killer
from router.engine.leasing import Leasing
from router.engine.lookback import AFTER_READ, LookBack
from router.engine.losses import Losses
from router.engine.matching import at_home, commands_for, patience, schema_of
from router.engine.preparing import Preparing, about, to_prepare
from router.engine.replay import Command, Replay
from router.engine.services import Client, Services
from router.engine.settling import Settling
from router.engine.statements import Statement, Statements, wants_cursor
from router.errors import BackendError, ConnectionLost, MySQLError
from router.planner.plan import Relay, Role, Sharded
from router.session.state import SessionState
from router.sql.facts import StatementFacts, StatementKind
from router.wire.attributes import without_attributes
from router.wire.framing import frame as framed
from router.wire.scanner import CURSOR, PREPARE, QUERY

_TEXT = 5  # where it begins in a framed COM_QUERY


class Executor:
    """One session's way to the servers; runs one command at a time."""

    __slots__ = (
        "_backend",
        "_client",
        "_closed",
        "_killer",
        "_kind",
        "_losses",
        "_paused",
        "_preparing",
        "_replay",
        "_server",
        "_services",
        "_settling",
        "_statement",
        "_substitute",
        "beginning",
        "branches",
        "connection_lost",
        "forward",
        "frame",
        "give_up",
        "key",
        "kill_query",
        "leasing",
        "look",
        "pause",
        "plan",
        "prefix_failed",
        "resume",
        "session",
        "shape",
        "started",
        "statements",
        "user",
        "withholds",
    )

    def __init__(
        self, client: Client, session: SessionState, user: BackendUser, shape: int, services: Services, replay: int = 0
    ) -> None:
        """``replay``: bytes of a transaction that are kept in order to run it again when its server is lost."""
        self._replay = Replay(self, client, session, services.counters, replay) if replay else None
        self._client = client = self._replay or client
        # Bytes of a response go straight to the client's transport; a server that reads slowly slows the client.
        self.forward = client.write
        self.pause, self.resume = client.pause_reading, client.resume_reading
        self._services = services
        self.session: SessionState = session
        self.user: BackendUser = user
        self.shape = shape
        self.key: PoolKey = (user.name, shape, session.schema is not None)
        self.statements = Statements(session, shape)
        self._statement: Statement | None = None  # whose EXECUTE, FETCH or RESET is running
        self.plan: Relay | None = None  # of the command that runs
        self.frame, self._kind, self.started = b"", QUERY, 0.0
        self._backend: BackendConnection | None = None
        self._server: Server | None = None
        self._preparing = Preparing(
            session, self.statements, lambda it: self._apply(self.running(), it), self._not_prepared, self._lost_unsent
        )
        self.branches = Branches(session, services)
        self.look = LookBack(session, self._unblocked)
        self.leasing = Leasing(services, user, self._granted, self._fail_unsent, self._pins)
        self._killer = Killer(user, services.counters)
        self._settling = Settling(session, services, self._adopted, self._settled, self.lose)
        self._losses = losses = Losses(self, session, services, self.leasing, self._killer, self._replay)
        self.give_up = losses.give_up
        self.kill_query = losses.kill_query
        self.connection_lost = losses.connection_lost
        self.prefix_failed = losses.prefix_failed
        self.withholds = losses.withholds
        self._substitute: int | None = None
        self.beginning = Beginning(session, services)
        self._paused = self._closed = False

    # -- running a plan ----------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the next command may be run."""
        return self.plan is None and not self.look.asking

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
        self.plan = plan
        self._substitute = substitute
        self.frame = frame
        self._kind = kind
        self.started = perf_counter()
        self.leasing.awaits = None
        backend, server = self._backend, self._server
        if backend is not None and server is not None:
            beginning = self.beginning
            if (beginning.begun or beginning.confined) and (error := beginning.goes_on(plan, frame)) is not None:
                self.answer(error)
            elif server.group != plan.group and not plan.anywhere and not backend.closed:
                self._elsewhere(plan, server)
            elif self.branches and not refusals.stays_inside(plan.facts):
                self.answer(refusals.may_end_spanning())
            else:
                self._use(plan, backend, server)
        elif self.look.connection is None or (again := self.look.again(plan, self._primary_of(plan))) is None:
            self.leasing.lease(plan, self.key, primary=self._primary_only(plan), written=self.session.written)
        else:
            self._use(plan, *again)

    def _use(self, plan: Relay, backend: BackendConnection, server: Server) -> None:
        self._backend, self._server = backend, server
        if plan.anywhere:
            self.plan = plan = replace(plan, group=server.group, database=backend.schema)
        if backend.closed:
            self._losses.lost(None, sent=False)
        else:
            self._apply(plan, backend)

    def _primary_of(self, plan: Relay) -> Server | None:
        """The primary, if that is where the plan goes now."""
        to_primary = plan.role is Role.PRIMARY or self._primary_only(plan)
        return self._services.topology.groups[plan.group].primary if to_primary else None

    def _elsewhere(self, plan: Relay, server: Server) -> None:
        """The statement is for another group than the one where the session is kept: can its transaction go there?"""
        if (error := self.branches.refusal(plan, server)) is not None:
            self.answer(error)
            return
        self.spare()
        if (branch := self.branches.take(plan.group)) is None:
            self.session.opening = list(self.session.begun or ())
            self.leasing.lease(plan, self.key, primary=True)
            return
        self._use(plan, *branch)

    def spare(self) -> None:
        """Park the connection that the transaction is on, so that all of them are with the ``branches``."""
        backend, server = self._backend, self._server
        self._backend = self._server = self.look.last_on = None
        self.beginning.forget()
        if self._replay is not None:
            self._replay.stop()
        if backend is not None and server is not None:
            self.branches.park(backend, server)

    def regain(self) -> None:
        """Have a connection of the transaction again, if there still is one."""
        if self._backend is None and (branch := self.branches.take()) is not None:
            self._backend, self._server = branch
            self.session.opening = None
        elif self._backend is None and self.session.begun:
            self.session.opening = list(self.session.begun)

    def _primary_only(self, plan: Relay) -> bool:
        """Whether not even a proven read may go to a replica: a cursor pins, and the session may want to write."""
        if self._kind == CURSOR:
            return True
        begins = not self.session.autocommit or self.session.opening is not None
        return begins and not self.beginning.may_be_on_replica(plan)

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
        return without_attributes(self.frame, self.shape) if statement is None else statement.text.frame

    def _pins(self) -> bool:
        return self.session.would_pin(self.running().facts, self._text)

    def command(self) -> Command:
        """What runs."""
        return Command.of(self.running(), self.frame, self._kind, self._substitute, self._statement)

    def repeat(self, command: Command, opening: list[bytes]) -> None:
        """Run a command again, in a transaction that ``opening`` opens."""
        self.session.open_later(*opening)
        self._statement = command.statement
        self.run(command.plan, command.frame, command.kind, command.substitute)

    def _granted(self, backend: BackendConnection, server: Server) -> None:
        self._backend = backend
        self._server = server
        self._apply(self.running(), backend)

    def _fail_unsent(self, error: BackendError) -> None:
        """The statement was never sent; the session goes on."""
        self.regain()
        self.answer(refusals.not_sent(error))

    # -- taking the connection to the session's state ----------------------------------------------------------

    def _apply(self, plan: Relay, backend: BackendConnection) -> None:
        statement = self._statement
        if statement is not None:
            prepared = backend.statements.get(statement.text)
            if prepared is None or not statement.fits(prepared, self.frame):
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
            and self.leasing.awaits is None
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
        data = self.frame
        if (statement := self._statement) is not None:
            prepared = backend.statements.get(statement.text)
            assert prepared is not None
            data = statement.command(data, prepared)
        elif self._kind == PREPARE:
            backend.scanner.renumber = self.statements.next_id
        if prefix:
            waits = self.leasing.awaits is not None
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
        plan = self.running()
        if self.session.opening is not None and not plan.anywhere:
            self.beginning.opens(self.frame, self._server)
        commands = commands_for(plan, self._statement, backend, self.session, self._services, also)
        if (awaits := self.leasing.awaits) is not None:
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
        self.conclude(backend, keep=True)
        self._finish()

    def _matched(self, payload: bytes, error: bytes | None) -> None:
        if (backend := self._backend) is None:
            return
        if error is None:
            self._send(self.running(), backend)
        else:
            self.prefix_failed(backend, error)

    def _lost_unsent(self, error: ConnectionLost) -> None:
        """The connection broke before the statement was on it."""
        self._losses.lost(error, sent=False)

    def _look_back(self, backend: BackendConnection) -> None:
        """The statement asks about a past this connection does not know: tell it what can be told."""
        look = self.look
        set_there = self.session.is_set(backend.variables, self.running().facts)
        if (told := look.told(backend, self._text, set_there)) is not None:
            self._match(backend, told)
            return
        past = look.last_on
        self.conclude(backend, keep=True)
        look.last_on = past
        if warnings := look.shown(self._text):
            self.forward(warnings)
            self._finish()
        else:
            self.answer(refusals.past_forgotten())

    # -- sink: the response ------------------------------------------------------------------------------------

    def file_requested(self, connection: BackendConnection) -> None:
        """LOCAL INFILE: what the client sends next is for the server."""
        self._client.ask_for_file()

    def response_ended(self, connection: BackendConnection) -> None:
        """The answer is with the client; now for the connection."""
        plan = self.plan
        server = self._server
        assert plan is not None
        assert server is not None
        scanner = connection.scanner
        session = self.session
        if self._replay is not None:
            self._replay.ran(self.command(), self.beginning.of(self.frame))
        server.commands[self.frame[4]] += 1
        self._services.answered(plan, server, connection, self.started)
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
        if self.leasing.awaits is not None:
            self.leasing.arrived(server)
        look = self.look
        if look.past is not AFTER_READ:
            look.read_ended(facts)
        if scanner.status & 3 != session.status:
            session.after_status(scanner.status)
            if session.transaction:
                self.beginning.settles(server)
        if (
            session.transaction
            or session.pins
            or look.knows is connection
            or look.firm
            or self._paused
            or connection.variables.personal
        ):
            self.conclude(connection, keep=True)
        else:
            self._backend = look.last_on = None
            server.pool.release(connection)
        self.plan = self._statement = None
        self._done()

    def _settle(self, connection: BackendConnection) -> None:
        plan = self.running()
        if self._kind == PREPARE:
            if (error := self._preparing.ended(self.frame, connection)) is not None:
                self._services.server_refused(error)
            self._settled(connection)
            return
        self.look.ran(connection, plan.facts, self._text)
        if plan.facts.kind is StatementKind.BEGIN and connection.scanner.error is None:
            self.beginning.begun = self._text[_TEXT:]
        self._settling.settle(connection, plan, self._text)

    def _settled(self, connection: BackendConnection) -> None:
        self.conclude(connection, keep=True)
        self._finish()

    def _adopted(self, connection: BackendConnection) -> None:
        """What the session has become, its connection is already."""
        session = self.session
        variables = session.variables
        connection.variables = variables if connection.variables.personal else variables.shared
        if self.key[2] != (session.schema is not None):
            self.key = (self.key[0], self.key[1], session.schema is not None)

    def lose(self, reason: str) -> None:
        """The answer was sent but the state behind it is lost: the session cannot go on."""
        if self._backend is not None:
            self.drop(self._backend)
        self.plan = self._statement = None
        self._client.abort()

    # -- where the connection goes -----------------------------------------------------------------------------

    def conclude(self, connection: BackendConnection, *, keep: bool) -> None:
        """Hold, linger or release; ``keep`` False when there is nothing to look back at."""
        if self._killer.pending:
            # A KILL for this connection is on its way: not even the session itself should meet it again.
            self.look.last_on = None
            if not self.session.holds:
                self.drop(connection)
            return
        if self._paused:
            connection.transport.resume_reading()
        if self.session.holds:
            self.look.last_on = connection
            return
        self.branches.abandon()  # the server has rolled back, and said so
        server, self._server = self._server, None
        self._backend = None
        if server is None:
            return
        self.look.let_go(connection, server, self.plan.facts if self.plan is not None else None, keep=keep)

    def _unblocked(self) -> None:
        if self.ready and self.look.owed and not self._closed:
            self._done()

    # -- failures (``losses``) ---------------------------------------------------------------------------------

    def detach(self, connection: BackendConnection) -> Server | None:
        """The connection is no more this session's; whose it was."""
        server, self._server = self._server, None
        self._backend = None
        self.beginning.forget()
        self.look.forget(connection)
        return server

    def drop(self, connection: BackendConnection) -> None:
        """Close the connection."""
        if (server := self.detach(connection)) is not None:
            server.pool.discard(connection)

    def answer(self, error: MySQLError, *, close: bool = False, origin: str = "router") -> None:
        """Tell the client that the command has failed."""
        self._services.counters.errors[origin, error.code] += 1
        if self._statement is not None:
            self._statement.forget_long_data()
        self.plan = self._statement = None
        self._client.fail(error, close=close)

    def _finish(self) -> None:
        self.plan = self._statement = None
        self._done()

    def _done(self) -> None:
        """The next command may come, once all that was to be asked has been answered."""
        self.look.owed = self.look.asking > 0
        if not self.look.owed:
            self._client.finished()

    def running(self) -> Relay:
        """The plan of the command that runs."""
        assert self.plan is not None
        return self.plan

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
        self.leasing.cancel()
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

    def use(self, user: BackendUser) -> None:
        """The session's account on the servers is another one from now on, or has another password."""
        self.user = self._killer.user = user
        self.key = (user.name, self.key[1], self.key[2])
        self.leasing.use(user)

    def reset(self) -> None:
        """COM_RESET_CONNECTION: give every connection back, forget everything but user and schema."""
        self.look.forget_all()
        self.leave()
        self.statements.clear()
        self.session.reset()

    def leave(self) -> None:
        """Give the held connection back, reset if it carries state."""
        backend, server = self._backend, self._server
        self._backend = self._server = self.look.last_on = None
        self.beginning.forget()
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
            self.conclude(backend, keep=self.look.knows is backend)

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
