"""A statement on several shards at once: asks them all, merges their rows, answers the client.

Each shard has a *leg*: a leased connection and the rows that come over it. Nothing is sent to the client before every
shard has answered with columns; then rows go out as soon as the merge gives them. A shard that is far ahead of the
others is paused, and all are when the client reads slowly. When one shard fails, the others are ended.

Inside a transaction the legs run on its connections, one after the other where shards share servers. Those must not be
closed: what nobody needs any more is read to its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from router.backend.connection import BackendConnection, PoolKey
from router.cluster.topology import Server
from router.engine import refusals
from router.engine.execution import Execution
from router.engine.executor import Executor
from router.engine.forms import BinaryForm, Form, TextForm, in_places, shown_as, unrounded
from router.engine.groups import alike
from router.engine.kill import Killer
from router.engine.leg import Leg
from router.engine.merge import Merge
from router.engine.services import Client, Services
from router.engine.trace import ADMISSION, Trace
from router.errors import ConnectionLost, MySQLError, ProtocolError
from router.planner.merging import Cell
from router.planner.plan import Scattered
from router.wire.codec import push_lenenc_int
from router.wire.constants import MAX_PAYLOAD, Capability, ColumnType, ServerStatus
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.framing import frame
from router.wire.packets import EOF_HEADER, ColumnDefinition, EofPacket, ErrPacket, OkPacket, encode_column, encode_ok

# Rows of one shard that may wait for those of others.
AHEAD = 2_000
# Inside a transaction, rows of one shard that may be kept while another of the same servers has not been asked.
MAX_KEPT = 1_000_000


class Scatter:
    """One session's statements on several shards, one at a time.

    ``ended(warned)`` is called when one has been answered, with warnings or an error perhaps.
    """

    def __init__(
        self,
        client: Client,
        executor: Executor,
        services: Services,
        capabilities: int,
        ended: Callable[[bool], None],
    ) -> None:
        self.session = executor.session
        self.user = executor.user
        self.services = services
        self.execution: Execution | None = None
        self.spanning = False  # the statement is part of a transaction
        self.rows = 0  # that the client has been sent
        self.refused = False  # it ended with an error
        self.joins = False  # one that is under way
        self.trace: Trace | None = None  # of the statement
        self._executor = executor
        self.deprecate_eof = bool(capabilities & Capability.DEPRECATE_EOF)
        self.paused = False
        self.answering = False
        self.capabilities = capabilities
        self._client = client
        self._ended = ended
        self._killer = Killer(executor.user, services.counters)
        self._legs: list[Leg] = []
        self._merge: Merge | None = None
        self._plan: Scattered | None = None
        self._forms: Sequence[Form] = ()
        self._written: Callable[[Sequence[Cell]], bytes] = lambda row: b""
        self._sequence = 1
        self._key: PoolKey = executor.key
        # Inside a transaction: who waits for the connection of a group, and how the statement ends.
        self._queued: dict[str, list[Leg]] = {}
        self._checks = 0
        self._kills = 0  # under way
        self._draining = False
        self._failure: bytes | None = None
        self._rolled_back = False

    @property
    def running(self) -> bool:
        """Whether a statement is under way."""
        return self._plan is not None

    def run(self, plan: Scattered, key: PoolKey, execution: Execution | None = None) -> None:
        """Ask all shards; connections are of ``key``. ``execution``: of a prepared statement, with these values."""
        self.execution = execution
        self.services.counters.scattered += 1
        self.services.counters.scattered_parts += len(plan.parts)
        self._plan = plan
        self._key = key
        self._merge = None
        self.rows, self.refused = 0, False
        self._sequence = 1
        self.answering = False
        self.spanning = self.session.transaction or not self.session.autocommit
        self.joins = False
        if self.trace is not None:
            self.trace.waits.begin(ADMISSION)
        if self.spanning:
            self._draining = self._rolled_back = False
            self._failure = None
            self._executor.spare()
            self.joins = bool(self._executor.branches)
            if self.joins:
                self._admitted()
            else:
                self.services.admission.enter(Counter({part.relay.group: 0 for part in plan.parts}), self._admitted)
            return
        needs = Counter(part.relay.group for part in plan.parts)
        if self.services.admission.fits(needs):
            self.services.admission.enter(needs, self._admitted)
        else:
            message = (
                f"router: the statement needs {max(needs.values())} connections to one group at a time; "
                "raise pool.max_connections"
            )
            self.failed(MySQLError(1040, "08004", message))

    def _admitted(self) -> None:
        plan = self._plan
        assert plan is not None
        if self.trace is not None:
            self.trace.waits.end()
        self._legs = [Leg(self, number, part) for number, part in enumerate(plan.parts)]
        self._queued = {}
        for leg in list(self._legs):
            if self.spanning and leg.relay.group in self._queued:
                self._queued[leg.relay.group].append(leg)
            elif self._plan is plan:
                self._queued[leg.relay.group] = []
                leg.start(self._executor.branches.take(leg.relay.group) if self.spanning else None, self._key)

    def released(self, leg: Leg) -> None:
        """A leg has no connection any more and wants none."""
        if not leg.spanning:
            self.services.admission.leave(Counter({leg.relay.group: 1}))

    # -- inside a transaction ----------------------------------------------------------------------------------

    def give_back(self, leg: Leg, connection: BackendConnection, server: Server, error: bytes | None) -> None:
        """A leg needs its connection no more."""
        if not leg.spanning:
            server.pool.release(connection)
            return
        branches = self._executor.branches
        branches.park(connection, server)
        if error is not None and leg.was_in:
            self._checks += 1
            branches.check(connection, self._checked)

    def _checked(self, still_in: bool) -> None:
        self._checks -= 1
        self._rolled_back = self._rolled_back or not still_in
        self._drained()

    def transaction_lost(self, leg: Leg, server: Server, error: ConnectionLost) -> None:
        """The transaction has lost one of its connections."""
        leg.ended = True
        self._rolled_back = True
        error_of_client = refusals.rolled_back(refusals.where_lost(server, error))
        self.services.counters.errors["router", error_of_client.code] += 1
        self._stop(ErrPacket.of(error_of_client).encode())

    def _drain(self) -> None:
        """Nothing more goes to the client; the connections of the transaction become free."""
        self._draining = True
        for leg in self._legs:
            leg.rows.clear()
            leg.hold(False)
            if leg.connection is None:
                leg.leasing.cancel()
                leg.ended = True
        self._drained()

    def _drained(self) -> None:
        if not self._draining or self._checks or self._kills or not all(leg.ended for leg in self._legs):
            return
        self._draining = False
        branches, session = self._executor.branches, self.session
        session.opening = None
        if self._rolled_back:
            branches.abandon()
            session.ended()
        elif branches.in_transaction:
            session.after_status(session.status | ServerStatus.IN_TRANS)
            self._executor.regain()
        else:
            branches.release()
        if self._failure is None:
            self._finish()
        else:
            self._refuse(self._failure)
            self._end(True)

    # -- what legs tell ----------------------------------------------------------------------------------------

    def progress(self, leg: Leg) -> None:
        """A leg has more columns or rows."""
        if self._plan is None or leg not in self._legs or self._draining:
            leg.rows.clear()
            return
        if self._merge is None and not self._start():
            self._wait(leg)
            return
        self._feed(leg)
        self._deliver()

    def leg_ended(self, leg: Leg, error: bytes | None) -> None:
        """A leg's answer is complete."""
        if self._plan is None or leg not in self._legs:
            return
        if self._draining:
            self._drained()
            return
        if error is not None:
            code = self.services.server_refused(error)
            self._stop(_of_a_constant(error) if self._plan.told and code == ErrorCode.WRONG_VALUE else error)
            return
        if self._queued[leg.relay.group]:
            following = self._queued[leg.relay.group].pop(0)
            following.start(self._executor.branches.take(following.relay.group), self._key)
        if self._merge is None and not self._start():
            return
        self._feed(leg)
        if self._merge is not None:
            self._merge.end(leg.number)
            self._deliver()

    def _wait(self, leg: Leg) -> None:
        """The leg is ahead of others; where another waits for its connection, it must not wait for that."""
        if not self._queued[leg.relay.group]:
            leg.hold(self.paused or len(leg.rows) > AHEAD)
        elif len(leg.rows) > MAX_KEPT:
            self.failed(refusals.not_spanning(f"more than {MAX_KEPT:,} rows from one of several shards on one server"))

    def failed(self, error: MySQLError) -> None:
        """The statement cannot be answered."""
        if self._plan is not None:
            self.services.counters.errors["router", error.code] += 1
            self._stop(ErrPacket.of(error).encode())

    # -- the answer --------------------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Once all shards have sent their columns: the client gets those of the first."""
        plan, legs = self._plan, self._legs
        assert plan is not None
        if not all(leg.has_columns for leg in legs):
            return False
        try:
            every = [leg.columns() for leg in legs]
            columns = every[0]
            if any(_shown(each) != _shown(columns) for each in every):
                raise ProtocolError("shards answer with different columns")
            shown = columns if self.execution is None else unrounded(columns)
            self._merge = Merge(plan.merge, shown, len(legs), plan.limit, plan.offset, plan.constants)
        except ProtocolError as error:
            self.failed(MySQLError(2013, "08S01", f"router: {error}"))
            return False
        except MySQLError as error:
            self.failed(error)
            return False
        form = TextForm if self.execution is None else BinaryForm
        self._forms = [form(each) for each in every]
        self.answering = True
        count = len(columns) - plan.merge.hidden
        visible = legs[0].definitions[:count]
        self._written = self._forms[0].write
        if plan.labelled:
            self._written = form([_SHARD, *columns]).write
            visible = [encode_column(_SHARD, self.capabilities), *legs[0].definitions]
        elif plan.shown:
            # What queries gave that were asked beforehand is put into the rows here.
            known, cells = shown_as(columns[:count], plan.shown)
            visible = [encode_column(each, self.capabilities) for each in known]
            self._written = in_places(form(known).write, cells)
        # Whether definitions follow is said where that has been agreed.
        follow = b"\1" if self.capabilities & Capability.OPTIONAL_RESULTSET_METADATA else b""
        head = [push_lenenc_int(len(visible)) + follow, *visible]
        if not self.deprecate_eof:
            head.append(EofPacket(0, self._status).encode())
        self._write(head)
        for leg in legs:
            self._feed(leg)
            if self._merge is None:
                return False  # a row could not be read
            if leg.ended:
                self._merge.end(leg.number)
        return True

    @property
    def _status(self) -> int:
        return self.session.status

    def _feed(self, leg: Leg) -> None:
        merge, plan = self._merge, self._plan
        if merge is None or plan is None:
            return
        rows, leg.rows = leg.rows, []
        read = self._forms[leg.number].read
        name = (leg.relay.shard or "").encode()
        try:
            for payload in rows:
                row = read(payload)
                merge.add(leg.number, [name, *row, b""] if plan.labelled else row)
        except (ProtocolError, ValueError, ArithmeticError) as error:
            self.failed(MySQLError(2013, "08S01", f"router: a shard's row cannot be read: {error}"))
            return
        leg.hold(self.paused or merge.held(leg.number) > AHEAD)

    def _deliver(self) -> None:
        merge = self._merge
        if merge is None:
            return
        try:
            self.rows += self._write(map(self._written, merge.take()))
        except MySQLError as error:
            self.failed(error)
            return
        except (ValueError, ArithmeticError) as error:
            self.failed(MySQLError(2013, "08S01", f"router: a shard's row does not fit the columns: {error}"))
            return
        if merge.done:
            if self.spanning:
                self._drain()
            else:
                self._finish()
            return
        for leg in self._legs:
            leg.hold(self.paused or merge.held(leg.number) > AHEAD)

    def _finish(self) -> None:
        plan = self._plan
        assert plan is not None
        warnings = min(sum(leg.warnings for leg in self._legs), 0xFFFF)
        if self.deprecate_eof:
            ok = OkPacket(header=EOF_HEADER, status=self._status, warnings=warnings)
            self._write([encode_ok(ok, self.capabilities)])
        else:
            self._write([EofPacket(warnings, self._status).encode()])
        self.services.counters.decisions[plan.reason] += 1
        self._end(warnings > 0)

    def _stop(self, error: bytes) -> None:
        """End with an ERR packet, wherever the answer is."""
        if self.services.admission.withdraw(self._admitted):
            self._executor.regain()
            self._refuse(error)
            self._end(True)
            return
        if self.spanning:
            self._failure = self._failure or error
            self._drain()
            return
        for leg in self._legs:
            leg.abandon(self._killer)
        self._refuse(error)
        self._end(True)

    def _refuse(self, error: bytes) -> None:
        self.refused = True
        if self.trace is not None:
            self.trace.error = error
        self._write([error])

    def _end(self, warned: bool) -> None:
        """Legs that still run (a LIMIT was reached) go on by themselves, and give their connections back."""
        for leg in self._legs:
            leg.hold(False)
        self._plan = self._merge = None
        self._legs = []
        self._ended(warned)

    def _write(self, payloads: Iterable[bytes]) -> int:
        """Send them; how many there were."""
        parts = []
        large = 0
        sequence = self._sequence
        for payload in payloads:
            if (size := len(payload)) < MAX_PAYLOAD:
                parts.append((size | sequence << 24).to_bytes(4, "little"))
                parts.append(payload)
                sequence = (sequence + 1) & 0xFF
            else:
                parts.append(frame(payload, sequence))
                large += 1
                sequence = (sequence + 1 + size // MAX_PAYLOAD) & 0xFF
        self._sequence = sequence
        if parts:
            self._client.write(b"".join(parts))
        return (len(parts) + large) // 2

    # -- what the client's connection tells --------------------------------------------------------------------

    def client_paused(self) -> None:
        """The client reads slowly: stop the shards."""
        self.paused = True
        for leg in self._legs:
            leg.hold(True)

    def client_resumed(self) -> None:
        """The client has caught up."""
        self.paused = False
        if self._merge is not None:
            self._deliver()
            return
        for leg in self._legs:
            leg.hold(len(leg.rows) > AHEAD)

    def cancel(self) -> None:
        """The client is gone."""
        self.services.admission.withdraw(self._admitted)
        for leg in self._legs:
            leg.abandon(self._killer)
        self._plan = self._merge = None
        self._legs = []

    def kill(self, done: Callable[[], None]) -> None:
        """KILL QUERY; ``done`` when servers on which the session's transaction is have done it."""
        if self._plan is None:
            done()
            return

        def killed() -> None:
            self._kills -= 1
            if self._kills == 0:
                done()
                self._drained()

        self._kills = 1
        for leg in self._legs if self.spanning else ():
            killer = Killer(self.user, self.services.counters)
            self._kills += killer.end_statement(leg.connection, leg.server, killed)
        self._stop(ErrPacket.of(refusals.killed()).encode())
        killed()


# In front of labelled rows; the collation is utf8mb4's.
_SHARD = ColumnDefinition(name=b"shard", type=ColumnType.VAR_STRING, collation_id=45, length=256)


def _of_a_constant(error: bytes) -> bytes:
    """MySQL converts constants before it looks at rows, and refuses what it would only have warned of in a query."""
    text = error[9:].decode("utf-8", "replace")
    message = f"router: not supported on sharded tables: a subquery whose value stands in an expression ({text})"
    return ErrPacket.of(mysql_error(ErrorCode.NOT_SUPPORTED_YET, message)).encode()


def _shown(columns: list[ColumnDefinition]) -> list[tuple[bytes, int]]:
    return [(each.name, alike(each.type)) for each in columns]
