"""Statements of one session that may be for several shards: their values meet their plan, and it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

from router.engine.execution import Execution
from router.engine.executor import Executor
from router.engine.parameters import ParameterValues
from router.engine.scatter import Scatter
from router.engine.services import Client, Services
from router.engine.stages import Outcome, Stages
from router.engine.statements import Statement
from router.engine.trace import Trace
from router.engine.writing import Answered, Writing
from router.errors import BackendError, MySQLError, ProtocolError
from router.planner.binding import Both, TextValues, bind
from router.planner.lookup import NeedsKeys
from router.planner.observed import Observed
from router.planner.plan import Bound, Refused, Relay, Scattered, Sharded, Spread, Staged
from router.planner.spreading import NoIds
from router.tasks import spawn
from router.wire.charset import python_codec
from router.wire.constants import Command
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.framing import frame
from router.wire.packets import OkPacket

# Variables that mean a statement as a whole, which no shard sees.
_ALONE = frozenset({"sql_select_limit", "resultset_metadata"})
# Where the text of a framed COM_STMT_PREPARE begins.
_STATEMENT = 5


def provide(
    services: Services,
    missing: NoIds | NeedsKeys,
    alive: Callable[[], bool],
    again: Callable[[], None],
    refuse: Callable[[MySQLError], None],
) -> None:
    """Fetch what a statement needs, and run it ``again`` or ``refuse`` it, if its client is still ``alive``."""

    async def fetch() -> None:
        error = await _fetched(services, missing)
        if alive():
            again() if error is None else refuse(error)
        if isinstance(missing, NeedsKeys):
            missing.function.bound()

    spawn(fetch(), "fetch ids or keys")


async def _fetched(services: Services, missing: NoIds | NeedsKeys) -> MySQLError | None:
    """Wait for what a statement needs; what went wrong, if it cannot be had."""
    if isinstance(missing, NoIds):
        if services.ids is not None and await services.ids.fetch(missing.table, missing.count):
            return None
        return MySQLError(1105, "HY000", f"router: no ids for table {missing.table} can be had now")
    try:
        if services.keys is None:
            raise BackendError("nobody can be asked")
        await services.keys.fetch(missing)
    except BackendError as error:
        table = missing.function.table.name
        return MySQLError(1105, "HY000", f"router: shards cannot be looked up in table {table}: {error}")
    return None


def malformed(flavor: str) -> MySQLError:
    """A command cannot be read, in the server's words."""
    stop = "." if flavor == "mysql" else ""
    return mysql_error(ErrorCode.MALFORMED_PACKET, f"Malformed communication packet{stop}")


class Several:
    """``scattered`` and ``written`` are called when a read or a write has been done, ``refuse`` answers an error."""

    __slots__ = (
        "_answered",
        "_client",
        "_executor",
        "_observed",
        "_refuse",
        "_scatter",
        "_scattered",
        "_services",
        "_session",
        "_stages",
        "_started",
        "_trace",
        "_traced",
        "_writing",
    )

    def __init__(
        self,
        client: Client,
        executor: Executor,
        services: Services,
        capabilities: int,
        scattered: Callable[[bool], None],
        written: Answered,
        refuse: Callable[[MySQLError], None],
        traced: Callable[[Scattered | Spread | Staged, bool], Trace | None] = lambda plan, prepared: None,
    ) -> None:
        """``traced`` is asked for the trace of a statement that begins."""
        self._client = client
        self._traced = traced
        self._trace: Trace | None = None
        self._scattered = scattered
        self._executor = executor
        self._stages = Stages(executor, services, capabilities)
        self._session = executor.session
        self._services = services
        self._refuse = refuse
        self._scatter = Scatter(client, executor, services, capabilities, self._read)
        self._writing = Writing(executor, services, self._wrote, client)
        self._answered = written
        self._observed: Observed | None = None
        self._started = 0.0

    def bound(self, plan: Sharded, sql: bytes) -> Bound:
        """The plan for the values of this statement. Raises NoIds."""
        if (straight := plan.placement.straight) is not None and (found := straight.shard_of(sql)) is not None:
            return plan.relays[found]
        session = self._session
        codec = python_codec(session.variables.values["character_set_client"])
        values = TextValues(sql, session.mode, codec)
        return self._allowed(plan, bind(plan, values, sql, session.mode, self._services.ids))

    def _allowed(self, plan: Sharded, bound: Bound) -> Bound:
        """Refuses what the session's state would have on several shards."""
        session = self._session
        if not isinstance(bound, Scattered | Spread | Staged):
            return bound
        if isinstance(bound, Spread) and bound.ddl:
            together = not session.transaction
        else:
            together = plan.relays[0].spans and session.spans
            together = together or (not session.transaction and session.autocommit)
            together = together or (isinstance(bound, Spread) and self._at_hand(bound))
        return bound if together and not session.pins and _ALONE.isdisjoint(session.variables.values) else plan.refused

    def _at_hand(self, plan: Spread) -> bool:
        """Whether it is for one shard, where the transaction is already, or may begin."""
        held = self._executor.held
        return len(plan.parts) == 1 and (held is None or held.group == plan.parts[0].relay.group)

    def run(self, plan: Scattered | Spread | Staged, execution: Execution | None = None) -> None:
        """Run it; ``execution``: of a prepared statement, with these values."""
        relay = plan.plan.relays[0] if isinstance(plan, Staged) else plan.parts[0].relay
        trace = self._trace = self._traced(plan, execution is not None)
        self._scatter.trace = self._writing.trace = self._stages.trace = trace
        self._observed, self._started = relay.observed, perf_counter()
        if isinstance(plan, Staged):
            self._stages.run(plan, self._executor.key, execution, lambda outcome: self._staged(outcome, execution))
        elif isinstance(plan, Scattered):
            self._scatter.run(plan, self._executor.key, execution)
        else:
            self._writing.run(plan, self._executor.key, execution)

    def _read(self, warned: bool) -> None:
        self._count(self._scatter.rows, failed=self._scatter.refused)
        self._scattered(warned)

    def _wrote(self, ok: OkPacket | None, error: MySQLError | None, close: bool) -> None:
        self._count(0, failed=ok is None)
        self._answered(ok, error, close)

    def _count(self, rows: int, *, failed: bool) -> None:
        if self._trace is not None:
            self._trace.end()
        observed, self._observed = self._observed, None
        if observed is not None:
            self._services.answered_over_shards(observed, self._started, rows, failed=failed)

    def _staged(self, outcome: Outcome, execution: Execution | None) -> None:
        """All queries inside a statement have been asked, or one could not be."""
        if isinstance(outcome, Scattered):
            self._scatter.run(replace(outcome, told=True), self._executor.key, execution)
            return
        self._count(0, failed=True)
        if isinstance(outcome, Refused):
            self._refuse(outcome.error)
        else:
            if self._trace is not None:
                self._trace.error = outcome
            self._client.write(frame(outcome, 1))
            self._scattered(True)

    def place(
        self,
        statement: Statement,
        plan: Sharded,
        frames: bytes,
        limit: Callable[[Bound], object],
    ) -> bool:
        """Find the shard of this execution; False when it is not one, and somebody else answers. Raises NoIds.

        ``limit`` is told of what begins on several.
        """
        values = statement.values(frames, python_codec(self._session.variables.values["character_set_client"]))
        text = statement.text
        sql = text.frame[_STATEMENT:]
        literals = TextValues(sql, statement.mode, python_codec(text.variables.values["character_set_client"]))
        bound = bind(plan, Both(values, literals), sql, statement.mode, self._services.ids)
        if isinstance(bound, Relay):
            statement.place(bound)
            return True
        limit(bound)
        try:
            self._execute(statement, self._allowed(plan, bound), frames, values)
        except ProtocolError:
            self._refuse(malformed(self._session.profile.flavor))
        except MySQLError as error:
            self._refuse(error)
        statement.forget_long_data()
        return False

    def _execute(self, statement: Statement, plan: Bound, frames: bytes, values: ParameterValues) -> None:
        bulk = frames[4] == Command.STMT_BULK_EXECUTE
        if isinstance(plan, Refused):
            raise plan.error
        if bulk or statement.mode != self._session.mode:
            what = (
                "bulk execution on several shards" if bulk else "a statement that was prepared under another sql_mode"
            )
            message = f"router: not supported on sharded tables: {what}"
            raise mysql_error(ErrorCode.NOT_SUPPORTED_YET, message)
        assert isinstance(plan, Scattered | Spread | Staged)
        if isinstance(plan, Scattered) and plan.labelled:
            # The columns have been told when it was prepared: those of one shard.
            message = "router: not supported on sharded tables: EXPLAIN of several shards as a prepared statement"
            raise mysql_error(ErrorCode.NOT_SUPPORTED_YET, message)
        self.run(plan, statement.execution(frames, values))

    def file_data(self, data: bytes, complete: bool) -> bool:
        """Packets of a file for several shards; False if it is for one."""
        loading = self._writing.loading
        if loading is not None:
            loading.data(data, complete)
        return loading is not None

    # -- what the client's connection tells --------------------------------------------------------------------

    def client_paused(self) -> None:
        """The client reads slowly."""
        self._scatter.client_paused()

    def client_resumed(self) -> None:
        """The client has caught up."""
        self._scatter.client_resumed()

    def cancel(self) -> None:
        """The client is gone."""
        self._stages.cancel()
        self._scatter.cancel()
        self._writing.cancel()

    def kill(self, done: Callable[[], None]) -> None:
        """KILL QUERY; ``done`` when servers that go on with the session's transaction have done it."""
        self._stages.kill(lambda: self._scatter.kill(lambda: self._writing.kill(done)))
