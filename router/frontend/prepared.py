"""The commands about prepared statements of one client: prepare, execute, fetch, reset, close."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.engine import refusals
from router.engine.statements import MAX_OPEN, Statement, id_of
from router.planner.plan import Described, Refused, Relay, Sharded
from router.sql.facts import TRANSACTIONAL, StatementKind
from router.wire.constants import Capability, Command
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.framing import frame
from router.wire.scanner import QUERY, ROWS

if TYPE_CHECKING:
    from router.frontend.dispatch import Dispatcher

# What a program error of the planner raises.
FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
# Where the text of a framed COM_STMT_PREPARE begins.
_STATEMENT = 5
# Command byte and statement id; with flags and iterations.
_STATEMENT_HEAD = 5
_EXECUTE_HEAD = 10
_BULK_HEAD = 7


class Prepared:
    """Part of a client's ``desk``: what of it is about prepared statements."""

    __slots__ = ("_client", "_desk", "_executor", "_session")

    def __init__(self, desk: Dispatcher) -> None:
        self._desk = desk
        self._client = desk.client
        self._executor = desk.executor
        self._session = desk.session

    def prepare(self, frames: bytes, payload: bytes) -> None:
        """COM_STMT_PREPARE."""
        try:
            plan = self._desk.scope.lookup(payload[1:])
        except FAULTS:
            self._desk.cannot_plan()
            return
        match plan:
            case Relay() if plan.facts.kind is not StatementKind.KILL:
                self._prepare_as(plan, frames, None)
            case Sharded():
                self._prepare_as(plan.relays[0], frames, plan)
            case Described(relay):
                head = payload[:1]
                self._desk.describing.run(
                    plan, payload[1:], lambda text: self._prepare_as(relay, frame(head + text, 0), None)
                )
            case Refused():
                self._desk.refuse(plan.error)
            case _:
                message = "This command is not supported in the prepared statement protocol yet"
                self._client.fail(mysql_error(ErrorCode.UNSUPPORTED_PS, message))

    def _prepare_as(self, plan: Relay, frames: bytes, sharded: Sharded | None) -> None:
        if len(self._executor.statements) < MAX_OPEN:
            self._executor.prepare(plan, frames, sharded)
            return
        message = (
            f"Can't create more than max_prepared_stmt_count statements (current value: {MAX_OPEN}, for one session)"
        )
        self._desk.refuse(mysql_error(ErrorCode.MAX_PREPARED_STMT_COUNT_REACHED, message))

    def execute(self, frames: bytes, payload: bytes) -> None:
        """COM_STMT_EXECUTE. Raises NoIds and NeedsKeys, as binding does."""
        desk = self._desk
        statement = self._statement(payload, "mysqld_stmt_execute")
        if statement is None or (statement.made_by is not desk.plans and not self._planned_anew(statement)):
            return
        bulk = payload[0] == Command.STMT_BULK_EXECUTE
        if len(payload) < (_BULK_HEAD if bulk else _EXECUTE_HEAD):
            desk.malformed()
        elif statement.long_size > self._client.max_packet:
            statement.forget_long_data()
            message = (
                "Parameter of prepared statement which is set through mysql_send_long_data() is longer than "
                "'max_allowed_packet' bytes"
            )
            desk.refuse(mysql_error(ErrorCode.UNKNOWN_ERROR, message))
        elif (plan := statement.plan).anywhere and (plan.facts.kind in TRANSACTIONAL or plan.facts.assignments):
            sql = statement.text.frame[_STATEMENT:]
            desk.transactions.run(plan, sql, lambda: self._traced(statement, frames))
        elif statement.sharded is None or self._placed(statement, statement.sharded, frames):
            if statement.plan.special:
                self._special(statement, frames, bulk=bulk)
            elif desk.recording is None:
                self._executor.execute(statement, frames)
            else:
                self._traced(statement, frames)

    def _special(self, statement: Statement, frames: bytes, *, bulk: bool) -> None:
        """An execution that is not simply passed on."""
        desk, plan = self._desk, statement.plan
        desk.limits.begin(plan, frames, statement)
        asks = plan.facts.function == "CONNECTION_ID" and not bulk
        self._traced(statement, frames, desk.connection_id if asks else None)

    def _traced(self, statement: Statement, frames: bytes, substitute: int | None = None) -> None:
        """Execute it; somebody may want to know what happens."""
        plan = statement.plan
        statement.plan = self._desk.traced(plan, frames, statement.text.frame[_STATEMENT:], prepared=True)
        self._executor.execute(statement, frames, substitute)
        statement.plan = plan

    def _placed(self, statement: Statement, sharded: Sharded, frames: bytes) -> bool:
        return self._desk.several.place(statement, sharded, frames, self._desk.limits.limit)

    def _planned_anew(self, statement: Statement) -> bool:
        """Since it was prepared the configuration has changed, or tables have; False when the client has been told."""
        desk, text = self._desk, statement.text
        if statement.cursor:
            return True  # it stays where its rows are
        scope = desk.plans.scope(desk.user, statement.home, statement.mode, desk.address)
        try:
            plan = scope.lookup(text.frame[_STATEMENT:])
        except FAULTS:
            desk.cannot_plan()
            return False
        match plan:
            case Relay():
                statement.sharded = None
                statement.place(plan)
            case Sharded():
                statement.sharded = plan
                statement.place(plan.relays[0])
            case Refused():
                desk.refuse(plan.error)
                return False
            case _:
                desk.refuse(refusals.prepare_anew())
                return False
        statement.made_by = desk.plans
        return True

    def bulk_execute(self, frames: bytes, payload: bytes) -> None:
        """MariaDB's COM_STMT_BULK_EXECUTE."""
        if self._desk.capabilities & Capability.MARIADB_STMT_BULK_OPERATIONS:
            self.execute(frames, payload)
        elif self._session.profile.flavor == "mysql":
            self._client.fail(mysql_error(ErrorCode.UNKNOWN_COM, "Unknown command"))
        else:
            message = "This command is not supported in the prepared statement protocol yet"
            self._client.fail(mysql_error(ErrorCode.UNSUPPORTED_PS, message))

    def _statement(self, payload: bytes, caller: str) -> Statement | None:
        """The statement a command is about; None when the client has been told that there is none."""
        if len(payload) < _STATEMENT_HEAD:
            self._desk.malformed()
            return None
        statement_id = id_of(payload)
        statement = self._executor.statements.find(statement_id)
        if statement is None:
            if self._session.profile.flavor == "mysql":
                caller = "mysql_stmt_precheck"
            message = f"Unknown prepared statement handler ({statement_id}) given to {caller}"
            self._client.fail(mysql_error(ErrorCode.UNKNOWN_STMT_HANDLER, message))
        return statement

    def reset(self, frames: bytes, payload: bytes) -> None:
        """COM_STMT_RESET."""
        statement = self._statement(payload, "mysqld_stmt_reset")
        if statement is None:
            return
        statement.forget_long_data()
        if statement.cursor:
            self._executor.about(statement, frames, QUERY)
        else:
            self._desk.ok()

    def fetch(self, frames: bytes, payload: bytes) -> None:
        """COM_STMT_FETCH."""
        statement = self._statement(payload, "mysqld_stmt_fetch")
        if statement is None:
            return
        if statement.cursor:
            self._executor.about(statement, frames, ROWS)
        else:
            message = f"The statement ({statement.id}) has no open cursor."
            self._client.fail(mysql_error(ErrorCode.STMT_HAS_NO_OPEN_CURSOR, message))

    def long_data(self, frames: bytes, payload: bytes) -> None:
        """COM_STMT_SEND_LONG_DATA. Has no reply, not even an error: what is wrong with it, the execution says."""
        statement = self._executor.statements.find(id_of(payload))
        if statement is not None and len(payload) >= _STATEMENT_HEAD + 2:
            statement.add_long_data(frames, self._client.max_packet)
        self._client.finished()

    def close(self, frames: bytes, payload: bytes) -> None:
        """COM_STMT_CLOSE. Has no reply."""
        if len(payload) >= _STATEMENT_HEAD:
            self._executor.statement_closed(id_of(payload))
        self._client.finished()
