"""One command of a client, from its bytes to its answer: the story of a query.

::

    COM_QUERY ─ PlanScope.lookup ─► Relay    Executor.run: the same bytes to a server, its answer to the client
                                    Local    answered here
                                    Refused  an error that says why

Other commands are either the same story with another response shape (prepare, execute, field list), or concern the
router's own session (ping, reset, change user, kill).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from router.backend.reset import query
from router.cluster.describing import Descriptions
from router.engine.executor import Executor
from router.engine.services import Services
from router.engine.trace import Trace
from router.engine.transactions import Transactions
from router.errors import MySQLError, ProtocolError
from router.frontend.auth import Account
from router.frontend.connection import ClientConnection
from router.frontend.describing import Describing
from router.frontend.explaining import explained
from router.frontend.limits import Limits
from router.frontend.local import about_session, learn_gtids, result
from router.frontend.prepared import FAULTS, Prepared
from router.frontend.recording import Recorded, Recorder, Recording
from router.frontend.several import Several, malformed, provide
from router.frontend.tracing import Tracing
from router.frontend.watching import Watch
from router.planner.cache import PlanCache, PlanScope
from router.planner.lookup import NeedsKeys
from router.planner.plan import Bound, Described, Local, Plan, Refused, Relay, Scattered, Sharded, Spread, Staged
from router.planner.spreading import NoIds
from router.session.registry import Killed, SessionRegistry
from router.session.state import SessionState
from router.sql.facts import TRANSACTIONAL, StatementKind
from router.sql.lexer import LexMode
from router.tasks import spawn
from router.wire.commands import ComProcessKill, ComSetOption, parse_command
from router.wire.constants import Capability, Command, ServerStatus
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.framing import frame
from router.wire.packets import EofPacket, OkPacket, encode_ok
from router.wire.scanner import CURSOR, QUERY, ROWS, SINGLE

log = structlog.get_logger(__name__)

_QUERY = int(Command.QUERY)


@dataclass(slots=True)
class Shared:
    """What all dispatchers of this process share. ``plans`` is replaced as a whole when the configuration changes."""

    plans: PlanCache
    services: Services
    sessions: SessionRegistry[Dispatcher]
    on_lost: Callable[[Dispatcher], None]
    change_user: Callable[[Dispatcher, bytes], None]
    descriptions: Descriptions
    # KILL in another process: (connection id, user, whether only the statement).
    kill_elsewhere: Callable[[int, str, bool], Awaitable[Killed]] | None = None
    # Takes recordings of statements: none are made without it.
    recorder: Recorder | None = None


# How no session's SQL is lexed: that of one which must look anew.
_ANOTHER = LexMode()


class Dispatcher:
    """The commands of one logged-in client."""

    __slots__ = (
        "_attributes",
        "_client",
        "_mode",
        "_schema",
        "_shared",
        "_stale",
        "account",
        "address",
        "capabilities",
        "connection_id",
        "describing",
        "executor",
        "host",
        "limits",
        "plans",
        "prepared",
        "recording",
        "scope",
        "session",
        "several",
        "tracing",
        "transactions",
        "write",
    )

    def __init__(
        self,
        client: ClientConnection,
        shared: Shared,
        account: Account,
        session: SessionState,
        *,
        connection_id: int,
        capabilities: int,
        shape: int,
        host: str,
        address: str | None,
        attributes: Mapping[str, str],
    ) -> None:
        self._client = client
        self._shared = shared
        self.account = account
        self.session = session
        self.connection_id = connection_id
        self.capabilities = capabilities
        self.host = host
        self.address = address
        self._attributes = attributes
        self._stale = False
        self.plans: PlanCache = shared.plans
        self.tracing: Tracing | None = None
        user = account.backend.on_behalf_of(attributes, address)
        self.recording: Recording | None = None  # of the statement that runs
        self.executor = Executor(client, session, user, shape, shared.services, account.replay)
        self.write = self.executor.forward  # where answers go, whoever looks at them on their way
        copy = partial(shared.services.copies.begin, self.executor)
        self.limits = Limits(lambda: self.kill(lambda: None, query_only=True), copy)
        self.transactions = Transactions(session, self.executor, self._ended)
        self.describing = Describing(self.executor, shared.descriptions, self._alive, self.refuse)
        self._join()
        self.prepared = Prepared(self)
        self.rescope()

    def _join(self) -> None:
        """Statements on several servers are run by somebody else."""
        client, services, told = self._client, self._shared.services, (self._scattered, self._written, self.refuse)
        self.several = Several(client, self.executor, services, self.capabilities, *told, self._traced)

    def reloaded(self) -> None:
        """The configuration has changed: the session goes by it from its next statement on that begins something."""
        self._stale = True
        self._mode = _ANOTHER

    def listen(self) -> None:
        """The client's commands come here; by way of who records them, if they are recorded."""
        recorder = self.recorder
        self._client.start(self if recorder is None else Recorded(self, recorder))

    @property
    def recorder(self) -> Recorder | None:
        """Who takes what was recorded of statements."""
        return self._shared.recorder

    def _catch_up(self) -> None:
        """Go by the configuration as it is now."""
        self._stale = False
        user = self.account.backend.on_behalf_of(self._attributes, self.address)
        if user != self.executor.user:
            self.executor.use(user)
            self._join()

    def rescope(self) -> None:
        """Plans depend on the user, the schema and how SQL is lexed, and on the configuration.

        A transaction goes on by the one it has begun with.
        """
        session = self.session
        if self._stale and session.transaction and session.opening is None:
            self.scope = self._scope()
            return
        if self._stale:
            self._catch_up()
        self._schema = session.schema
        self._mode = session.mode
        self.plans = self.executor.statements.made_by = self._shared.plans
        self.scope = self._scope()

    def _scope(self) -> PlanScope:
        session = self.session
        return self.plans.scope(self.account.name, session.schema, session.mode, self.address)

    @property
    def user(self) -> str:
        """Name of the router's user."""
        return self.account.name

    # -- commands ----------------------------------------------------------------------------------------------

    def command(self, frames: bytes, payload: bytes | None) -> None:
        """Run one command; ``frames`` go to a server unchanged."""
        session = self.session
        if session.schema is not self._schema or session.mode is not self._mode:
            self.rescope()
        if self.limits.handle is not None:
            self.limits.end()
        code = frames[4]
        if code == _QUERY:
            sql = frames[5:] if payload is None else payload[1:]
            try:
                plan: Plan | Bound = self.scope.lookup(sql)
            except FAULTS:
                self.cannot_plan()
                return
            if not isinstance(plan, Relay) and isinstance(plan, Sharded):
                try:
                    plan = self.several.bound(plan, sql)
                except (NoIds, NeedsKeys) as missing:
                    self._provide(missing, lambda: self.command(frames, payload))
                    return
            if isinstance(plan, Relay) and not plan.special:
                self.executor.run(plan if self.recording is None else self.traced(plan, frames, sql), frames)
            else:
                self._special(plan, frames, sql)
            return
        if payload is None:
            payload = frames[4:]
        if code == Command.STMT_EXECUTE:
            try:
                self.prepared.execute(frames, payload)
            except (NoIds, NeedsKeys) as missing:
                self._provide(missing, lambda: self.command(frames, payload))
            return
        run = _COMMANDS.get(code)
        if run is None:
            self._client.fail(mysql_error(ErrorCode.UNKNOWN_COM, "Unknown command"))
            return
        try:
            run(self, frames, payload)
        except ProtocolError:
            self.malformed()

    def cannot_plan(self) -> None:
        """A fault of the planner must not cost the client its connection. (Not the SQL: it may hold secrets.)"""
        log.exception("a statement cannot be planned", connection_id=self.connection_id)
        self.refuse(MySQLError(1105, "HY000", "router: this statement cannot be planned; the router's log says why"))

    def _provide(self, missing: NoIds | NeedsKeys, again: Callable[[], None]) -> None:
        """Rows need ids that are not at hand, or keys their shards: do it again when they are there."""
        provide(self._shared.services, missing, self._alive, again, self.refuse)

    def _alive(self) -> bool:
        return self._shared.sessions.get(self.connection_id) is self

    def _special(self, plan: Plan | Bound, frames: bytes, sql: bytes) -> None:
        """A query that is not simply relayed."""
        if self.tracing is not None and self.tracing.shown(frames, sql):
            return
        self.limits.begin(plan, frames)
        if self.recording is not None:
            self.recording.planned(plan)
        if isinstance(plan, Relay):
            plan = self.traced(plan, frames, sql)
        match plan:
            case Scattered() | Spread() | Staged():
                self.several.run(plan)
            case Described(relay):
                self.describing.run(plan, sql, lambda text: self._described(relay, sql, text))
            case Relay():
                if plan.anywhere and (plan.facts.kind in TRANSACTIONAL or plan.facts.assignments):
                    self.transactions.run(plan, sql, lambda: self.executor.run(plan, frames))
                elif plan.facts.kind is StatementKind.KILL:
                    self._kill_statement(plan)
                elif plan.facts.function == "CONNECTION_ID":
                    self.executor.run(plan, frames, CURSOR, self.connection_id)
                else:
                    self.executor.run(plan, frames)
            case Refused():
                if plan.rule is not None:
                    self._shared.services.counters.rule_hits[plan.rule] += 1
                self.refuse(plan.error)
            case Local() if plan.told is not None:
                self._ended(learn_gtids(self.session, plan.told, self._shared.services.topology.groups))
            case Local() if plan.sql:
                self._explain(plan)
            case Local():
                self._answer_rows(*about_session(self, plan))

    def traced(self, plan: Relay, frames: bytes, sql: bytes, prepared: bool = False) -> Relay:
        """The plan to be run instead, for a statement that is to be traced; others keep theirs."""
        trace = None
        if plan.facts.hints.trace:
            if self.tracing is None:
                self.tracing = Tracing(self, self._shared.services)
            trace = self.tracing.relayed(plan, frames, sql, prepared)
        if self.recording is not None:
            return self.recording.relayed(plan, frames, trace)
        return plan if trace is None else Watch(self.executor, trace, plan, frames, self.write).plan

    def _traced(self, plan: Scattered | Spread | Staged, prepared: bool) -> Trace | None:
        """A statement on several servers begins."""
        trace = None
        if plan.facts.hints.trace:
            if self.tracing is None:
                self.tracing = Tracing(self, self._shared.services)
            trace = self.tracing.several(plan, prepared)
        elif self.tracing is not None:
            self.tracing.forget()
        return trace if self.recording is None else self.recording.several(plan, trace)

    def _described(self, plan: Relay, sql: bytes, text: bytes) -> None:
        """What a statement about tables has become."""
        frames = query(text, self.executor.shape)
        self.executor.run(self.traced(plan, frames, sql), frames)

    def _ended(self, error: MySQLError | None, close: bool = False) -> None:
        """A statement has been dealt with that no single server answers."""
        if error is None:
            self.ok()
        else:
            self._shared.services.counters.errors["router", error.code] += 1
            self._client.fail(error, close=close)

    def malformed(self) -> None:
        """Answer that the command cannot be read, in the server's words."""
        self._client.fail(malformed(self.session.profile.flavor))

    def _scattered(self, warned: bool) -> None:
        """A statement on several shards has been answered; nothing of it is left on any connection."""
        self.executor.look.elsewhere(read=True, warned=warned)
        self._client.finished()

    def _written(self, ok: OkPacket | None, error: MySQLError | None, close: bool) -> None:
        """A write on several shards has been done, or not at all."""
        if ok is None:
            self.executor.look.wrote_elsewhere(-1, warned=True)
            self._ended(error, close)
            return
        self.executor.look.wrote_elsewhere(ok.affected_rows, warned=ok.warnings > 0)
        self._client.answer(encode_ok(replace(ok, status=self.status), self.capabilities))
        self._client.finished()

    def refuse(self, error: MySQLError) -> None:
        self._shared.services.counters.errors["router", error.code] += 1
        self._client.fail(error)

    def _explain(self, plan: Local) -> None:
        """EXPLAIN ROUTE."""
        try:
            names, rows = explained(self, self._shared.services, plan)
        except NeedsKeys as missing:
            self._provide(missing, lambda: self._explain(plan))
            return
        self._answer_rows(names, rows)

    def _answer_rows(self, names: tuple[str, ...], values: Sequence[Sequence[object]]) -> None:
        self._client.write(result(names, values, self.capabilities, self.status))
        self._client.finished()

    @property
    def status(self) -> int:
        """Status flags for answers made here; clients escape strings by NO_BACKSLASH_ESCAPES."""
        session = self.session
        status = session.status
        if session.mode.no_backslash_escapes:
            status |= ServerStatus.NO_BACKSLASH_ESCAPES
        if session.mode.ansi_quotes and session.profile.flavor == "mariadb":
            status |= ServerStatus.ANSI_QUOTES
        return int(status)

    @property
    def patience(self) -> float:
        """Seconds the client itself wants to be allowed to be silent (wait_timeout), infinite if it never said so."""
        wanted = self.session.variables.values.get("wait_timeout", "")
        return float(wanted) if wanted.isdecimal() else float("inf")

    def ok(self, last_sequence: int = 0) -> None:
        payload = encode_ok(OkPacket(status=self.status), self.capabilities)
        self._client.write(frame(payload, last_sequence + 1))
        self._client.finished()

    def _quit(self, frames: bytes, payload: bytes) -> None:
        self._client.end()

    def _ping(self, frames: bytes, payload: bytes) -> None:
        """Answered here, unless a held connection may have died."""
        if self.executor.held:
            self._on_server(frames, b"DO 0", QUERY)
        else:
            self.executor.look.elsewhere(read=False, warned=False)
            self.ok()

    def _init_db(self, frames: bytes, payload: bytes) -> None:
        name = payload[1:]
        self._on_server(frames, b"USE `" + name.replace(b"`", b"``") + b"`", QUERY)

    def _statistics(self, frames: bytes, payload: bytes) -> None:
        self._on_server(frames, b"SHOW STATUS", SINGLE)

    def _refresh(self, frames: bytes, payload: bytes) -> None:
        """``mysqladmin refresh`` and its like; a server that does not know the command says so."""
        self._on_server(frames, b"FLUSH PRIVILEGES", QUERY)

    def _debug(self, frames: bytes, payload: bytes) -> None:
        self._on_server(frames, b"SHOW STATUS", QUERY)

    def _process_info(self, frames: bytes, payload: bytes) -> None:
        self._on_server(frames, b"SHOW PROCESSLIST", QUERY)

    def _field_list(self, frames: bytes, payload: bytes) -> None:
        table = payload[1:].split(b"\0", 1)[0]
        self._on_server(frames, b"SHOW COLUMNS FROM `" + table.replace(b"`", b"``") + b"`", ROWS)

    def _on_server(self, frames: bytes, same_as: bytes, kind: int) -> None:
        """A command that is not SQL, planned like the statement it stands for."""
        plan = self.scope.lookup(same_as)
        match plan:
            case Relay():
                self.executor.run(plan, frames, kind)
            case Refused():
                self.refuse(plan.error)
            case _:
                self._client.fail(mysql_error(ErrorCode.UNKNOWN_COM, "Unknown command"))

    # -- the session -------------------------------------------------------------------------------------------

    def _set_option(self, frames: bytes, payload: bytes) -> None:
        command = parse_command(payload, self.capabilities)
        if not isinstance(command, ComSetOption) or command.option not in (0, 1):
            self._client.fail(mysql_error(ErrorCode.UNKNOWN_COM, "Unknown command"))
            return
        bit = Capability.MULTI_STATEMENTS
        shape = self.executor.shape
        self.executor.reshape(shape | bit if command.option == 0 else shape & ~bit, frames, self._option_is_set)

    def _option_is_set(self) -> None:
        if self.capabilities & Capability.DEPRECATE_EOF:
            answer = encode_ok(OkPacket(status=self.status, header=0xFE), self.capabilities)
        else:
            answer = EofPacket(status=self.status).encode()
        self._client.write(frame(answer, 1))
        self._client.finished()

    def _reset_connection(self, frames: bytes, payload: bytes) -> None:
        self.executor.reset()
        if self.tracing is not None:
            self.tracing.forget()
        self.ok()

    def _change_user(self, frames: bytes, payload: bytes) -> None:
        self._shared.change_user(self, payload)

    def _process_kill(self, frames: bytes, payload: bytes) -> None:
        command = parse_command(payload, self.capabilities)
        if isinstance(command, ComProcessKill):
            self._kill(command.connection_id, query_only=False)

    def _kill_statement(self, plan: Relay) -> None:
        if plan.facts.kill is None:
            message = "router: KILL takes a connection id as a plain number"
            self.refuse(mysql_error(ErrorCode.NOT_SUPPORTED_YET, message))
            return
        what, connection_id = plan.facts.kill
        self._kill(connection_id, query_only=what == "query")

    def _kill(self, connection_id: int, *, query_only: bool) -> None:
        """KILL by the router's connection ids: a client may kill sessions of its own user."""
        target, elsewhere = self._shared.sessions.get(connection_id), self._shared.kill_elsewhere
        if target is None and elsewhere is not None:
            spawn(self._kill_elsewhere(elsewhere(connection_id, self.user, query_only), connection_id), "kill")
        elif target is None:
            self._killed(Killed.UNKNOWN, connection_id)
        elif target.user != self.user:
            self._killed(Killed.DENIED, connection_id)
        elif target is self:
            self._kill_self(query_only=query_only)
        else:
            target.kill(self.ok, query_only=query_only)

    async def _kill_elsewhere(self, outcome: Awaitable[Killed], connection_id: int) -> None:
        self._killed(await outcome, connection_id)

    def _killed(self, outcome: Killed, connection_id: int) -> None:
        if outcome is Killed.UNKNOWN:
            self.refuse(mysql_error(ErrorCode.NO_SUCH_THREAD, f"Unknown thread id: {connection_id}"))
        elif outcome is Killed.DENIED:
            self.refuse(mysql_error(ErrorCode.KILL_DENIED, f"You are not owner of thread {connection_id}"))
        else:
            self.ok()

    def _kill_self(self, *, query_only: bool) -> None:
        self._client.fail(
            mysql_error(ErrorCode.QUERY_INTERRUPTED, "Query execution was interrupted"), close=not query_only
        )

    def kill(self, done: Callable[[], None], *, query_only: bool) -> None:
        """KILL of this session by another, who is told by ``done``."""
        if query_only:
            self.several.kill(lambda: self.executor.kill_query(done))
        else:
            self._client.abort()
            done()

    def pin_reasons(self) -> list[str]:
        """Why this session keeps a server connection beyond the transaction."""
        return [str(reason.value) for reason in self.session.pins]

    # -- the client's connection -------------------------------------------------------------------------------

    def paused(self) -> None:
        """The client reads slowly."""
        self.executor.client_paused()
        self.several.client_paused()

    def resumed(self) -> None:
        """The client has caught up."""
        self.executor.client_resumed()
        self.several.client_resumed()

    def file_data(self, data: bytes, complete: bool) -> None:
        """LOCAL INFILE bytes."""
        if self.several.file_data(data, complete):
            return
        connection = self.executor.connection
        if connection is not None and not connection.closed:
            if complete:
                connection.scanner.file_sent()
            connection.write(data)

    def lost(self) -> None:
        """The client is gone."""
        self._shared.sessions.remove(self.connection_id)
        self.limits.end()
        self.executor.client_lost()
        self.several.cancel()
        self._shared.on_lost(self)

    def close(self) -> None:
        """End the client's connection politely: the router is stopping or the client was idle too long."""
        self._client.end()

    def shut_down(self) -> None:
        """The router is stopping: say so and end the connection."""
        self._client.fail(mysql_error(ErrorCode.SERVER_SHUTDOWN, "Server shutdown in progress"), close=True)

    @property
    def client(self) -> ClientConnection:
        """The client's connection."""
        return self._client


def _about_statements(run: Callable[[Prepared, bytes, bytes], None]) -> Callable[[Dispatcher, bytes, bytes], None]:
    return lambda desk, frames, payload: run(desk.prepared, frames, payload)


_COMMANDS: dict[int, Callable[[Dispatcher, bytes, bytes], None]] = {
    Command.QUIT: Dispatcher._quit,
    Command.INIT_DB: Dispatcher._init_db,
    Command.FIELD_LIST: Dispatcher._field_list,
    Command.REFRESH: Dispatcher._refresh,
    Command.STATISTICS: Dispatcher._statistics,
    Command.PROCESS_INFO: Dispatcher._process_info,
    Command.DEBUG: Dispatcher._debug,
    Command.PROCESS_KILL: Dispatcher._process_kill,
    Command.PING: Dispatcher._ping,
    Command.CHANGE_USER: Dispatcher._change_user,
    Command.STMT_PREPARE: _about_statements(Prepared.prepare),
    Command.STMT_SEND_LONG_DATA: _about_statements(Prepared.long_data),
    Command.STMT_CLOSE: _about_statements(Prepared.close),
    Command.STMT_RESET: _about_statements(Prepared.reset),
    Command.STMT_FETCH: _about_statements(Prepared.fetch),
    Command.STMT_BULK_EXECUTE: _about_statements(Prepared.bulk_execute),
    Command.SET_OPTION: Dispatcher._set_option,
    Command.RESET_CONNECTION: Dispatcher._reset_connection,
}
