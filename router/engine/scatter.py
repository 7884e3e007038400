"""A statement on several shards at once: asks them all, merges their rows, answers the client.

Each shard has a *leg*: a leased connection and the rows that come over it. Nothing is sent to the client before every
shard has answered with columns; then rows go out as soon as the merge gives them. A shard that is far ahead of the
others is paused, and all are when the client reads slowly. When one shard fails, the others are ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from time import perf_counter

from router.backend.connection import BackendConnection, PoolKey
from router.backend.connector import BackendUser
from router.cluster.topology import Server
from router.engine import refusals
from router.engine.groups import alike
from router.engine.kill import Killer
from router.engine.leasing import Leasing
from router.engine.merge import Merge
from router.engine.services import Client, Services
from router.errors import BackendError, ConnectionLost, MySQLError, ProtocolError
from router.planner.plan import Part, Scattered
from router.session.state import SessionState
from router.wire.codec import push_lenenc_int
from router.wire.constants import MAX_PAYLOAD, Capability, Command
from router.wire.framing import PacketDecoder, frame
from router.wire.packets import EOF_HEADER, ColumnDefinition, EofPacket, ErrPacket, OkPacket, decode_column, encode_ok
from router.wire.rows import decode_text_row, encode_text_row
from router.wire.scanner import QUERY

# Rows of one shard that may wait for those of others.
AHEAD = 2_000


class Leg:
    """One shard's part: a ``Sink`` of the connection it is given."""

    __slots__ = (
        "_columns_left",
        "_decoder",
        "_header",
        "_scatter",
        "_started",
        "connection",
        "definitions",
        "ended",
        "leasing",
        "number",
        "paused",
        "relay",
        "rows",
        "server",
        "sql",
        "warnings",
    )

    def __init__(self, scatter: Scatter, number: int, part: Part) -> None:
        self._scatter = scatter
        self.number = number
        self.relay = part.relay
        self.sql = part.sql
        self.leasing = Leasing(scatter.services, scatter.user, self._granted, self._not_granted)
        self.connection: BackendConnection | None = None
        self.server: Server | None = None
        self.paused = False
        self._started = 0.0
        self._begin()

    def _begin(self) -> None:
        self._decoder = PacketDecoder(2**31)
        self._header = True
        self._columns_left = 0
        self.definitions: list[bytes] = []
        self.rows: list[bytes] = []
        self.ended = False
        self.warnings = 0

    @property
    def has_columns(self) -> bool:
        """Whether all column definitions have come."""
        return not self._header and self._columns_left == 0

    def _granted(self, connection: BackendConnection, server: Server) -> None:
        self._begin()
        self._started = perf_counter()
        self.connection, self.server = connection, server
        session = self._scatter.session
        relay = self.relay
        commands = connection.adapt(relay.database, session.wanted(connection.variables, relay.facts))
        connection.send(self, b"".join((*commands, connection.query(self.sql))), QUERY, len(commands))
        self.paused = False
        self.hold(self._scatter.paused)

    def _not_granted(self, error: BackendError) -> None:
        self._scatter.failed(refusals.not_sent(error))

    # -- sink --------------------------------------------------------------------------------------------------

    def forward(self, data: bytes) -> None:
        """Part of the shard's answer."""
        decoder = self._decoder
        decoder.feed(data)
        # Without DEPRECATE_EOF an EOF follows the definitions.
        while (packet := decoder.next_packet()) is not None:
            payload = packet.payload
            if self._header:
                if payload[0] in (0x00, 0xFB, 0xFF):
                    continue  # an error is in the scanner; nothing else answers a SELECT without rows
                self._header = False
                self._columns_left = payload[0] if payload[0] < 0xFB else int.from_bytes(payload[1:3], "little")
            elif self._columns_left:
                self.definitions.append(payload)
                self._columns_left -= 1
            elif payload[0] == 0xFF:
                continue  # as above
            elif payload[0] != 0xFE or len(payload) >= (MAX_PAYLOAD if self._scatter.deprecate_eof else 9):
                self.rows.append(payload)
        self._scatter.progress(self)

    def response_ended(self, connection: BackendConnection) -> None:
        """The shard has answered."""
        error, self.warnings = connection.scanner.error, connection.scanner.warnings
        self.hold(False)  # nobody else would
        self.ended = True
        server = self.server
        self.connection = self.server = None
        if server is not None:
            server.commands[Command.QUERY] += 1
            server.durations.observe(perf_counter() - self._started)
            server.pool.release(connection)
        self._scatter.released(self)
        self._scatter.leg_ended(self, error)

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        """The connection broke; a shard of which nothing has been used yet is asked again."""
        server = self.server
        self.connection = self.server = None
        if server is not None:
            server.pool.discard(connection)
            self._scatter.services.suspect(server)
        where = f"the connection to server {server.name if server else '?'} was lost ({error})"
        if self._scatter.answering or not self.leasing.again(server):
            self._scatter.failed(refusals.lost(where))

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """The server refused the session's state."""
        if self.server is not None:
            self.server.pool.discard(connection)
        self.connection = self.server = None
        self._scatter.released(self)
        self._scatter.leg_ended(self, error)

    def file_requested(self, connection: BackendConnection) -> None:
        """A SELECT loads no files."""
        self._scatter.failed(refusals.from_server(b""))

    def pause(self) -> None:
        """The statement is short."""

    def resume(self) -> None:
        """The statement is short."""

    # -- flow --------------------------------------------------------------------------------------------------

    def hold(self, paused: bool) -> None:
        """Stop or go on reading from the shard."""
        if self.connection is None or self.connection.closed or self.paused is paused:
            return
        self.paused = paused
        if paused:
            self.connection.transport.pause_reading()
        else:
            self.connection.transport.resume_reading()

    def abandon(self, killer: Killer) -> None:
        """Nobody needs the rest: end the statement on its server."""
        if self.ended:
            return
        self.ended = True
        self._scatter.released(self)
        self.leasing.cancel()
        connection, server = self.connection, self.server
        self.connection = self.server = None
        if connection is not None and server is not None:
            connection.close()
            server.pool.discard(connection)
            killer.kill_connection(server, connection.thread_id)


class Scatter:
    """One session's statements on several shards, one at a time.

    ``ended(warned)`` is called when one has been answered, with warnings or an error perhaps."""

    def __init__(
        self,
        client: Client,
        session: SessionState,
        user: BackendUser,
        services: Services,
        capabilities: int,
        ended: Callable[[bool], None],
    ) -> None:
        self.session = session
        self.user = user
        self.services = services
        self.deprecate_eof = bool(capabilities & Capability.DEPRECATE_EOF)
        self.paused = False
        self.answering = False
        self._capabilities = capabilities
        self._client = client
        self._ended = ended
        self._killer = Killer(user, services.counters)
        self._legs: list[Leg] = []
        self._merge: Merge | None = None
        self._plan: Scattered | None = None
        self._columns: list[ColumnDefinition] = []
        self._sequence = 1
        self._key: PoolKey = (user.name, 0, False)
        self._running: set[Leg] = set()

    @property
    def running(self) -> bool:
        """Whether a statement is under way."""
        return self._plan is not None

    def run(self, plan: Scattered, key: PoolKey) -> None:
        """Ask all shards; connections are of ``key``."""
        self._plan = plan
        self._key = key
        self._merge = None
        self._sequence = 1
        self.answering = False
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
        plan, key = self._plan, self._key
        assert plan is not None
        self._legs = [Leg(self, number, part) for number, part in enumerate(plan.parts)]
        self._running = set(self._legs)
        for leg in list(self._legs):
            if self._plan is plan:
                leg.leasing.lease(leg.relay, (key[0], key[1], leg.relay.database is not None or key[2]), primary=False)

    def released(self, leg: Leg) -> None:
        """A leg has no connection any more and wants none."""
        self._running.discard(leg)
        self.services.admission.leave(Counter({leg.relay.group: 1}))

    # -- what legs tell ----------------------------------------------------------------------------------------

    def progress(self, leg: Leg) -> None:
        """A leg has more columns or rows."""
        if self._plan is None or leg not in self._legs:
            leg.rows.clear()
            return
        if self._merge is None and not self._start():
            leg.hold(self.paused or len(leg.rows) > AHEAD)
            return
        self._feed(leg)
        self._deliver()

    def leg_ended(self, leg: Leg, error: bytes | None) -> None:
        """A leg's answer is complete."""
        if self._plan is None or leg not in self._legs:
            return
        if error is not None:
            self.services.server_refused(error)
            self._stop(error)
            return
        if self._merge is None and not self._start():
            return
        self._feed(leg)
        if self._merge is not None:
            self._merge.end(leg.number)
            self._deliver()

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
        columns = [decode_column(payload) for payload in legs[0].definitions]
        try:
            if any(_shown(legs[0]) != _shown(leg) for leg in legs[1:]):
                raise ProtocolError("shards answer with different columns")
            self._merge = Merge(plan.merge, columns, len(legs), plan.limit, plan.offset, plan.constants)
        except ProtocolError as error:
            self.failed(MySQLError(2013, "08S01", f"router: {error}"))
            return False
        except MySQLError as error:
            self.failed(error)
            return False
        self._columns = columns
        self.answering = True
        visible = legs[0].definitions[: len(columns) - plan.merge.hidden]
        # Whether definitions follow is said where that has been agreed.
        follow = b"\1" if self._capabilities & Capability.OPTIONAL_RESULTSET_METADATA else b""
        head = [push_lenenc_int(len(visible)) + follow, *visible]
        if not self.deprecate_eof:
            head.append(EofPacket(0, self._status).encode())
        self._write(head)
        for leg in legs:
            self._feed(leg)
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
        count = len(self._columns)
        try:
            for payload in rows:
                merge.add(leg.number, decode_text_row(payload, count))
        except (ProtocolError, ValueError, ArithmeticError) as error:
            self.failed(MySQLError(2013, "08S01", f"router: a shard's row cannot be read: {error}"))
            return
        leg.hold(self.paused or merge.held(leg.number) > AHEAD)

    def _deliver(self) -> None:
        merge = self._merge
        if merge is None:
            return
        try:
            self._write(encode_text_row(row) for row in merge.take())
        except MySQLError as error:
            self.failed(error)
            return
        if merge.done:
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
            self._write([encode_ok(ok, self._capabilities)])
        else:
            self._write([EofPacket(warnings, self._status).encode()])
        self.services.counters.decisions[plan.reason] += 1
        self._end(warnings > 0)

    def _stop(self, error: bytes) -> None:
        """End with an ERR packet, wherever the answer is."""
        self.services.admission.withdraw(self._admitted)
        for leg in self._legs:
            leg.abandon(self._killer)
        self._write([error])
        self._end(True)

    def _end(self, warned: bool) -> None:
        """Legs that still run (a LIMIT was reached) go on by themselves, and give their connections back."""
        for leg in self._legs:
            leg.hold(False)
        self._plan = self._merge = None
        self._legs = []
        self._ended(warned)

    def _write(self, payloads: list[bytes] | Iterator[bytes]) -> None:
        parts = []
        sequence = self._sequence
        for payload in payloads:
            parts.append(frame(payload, sequence))
            sequence = (sequence + 1 + len(payload) // MAX_PAYLOAD) & 0xFF
        self._sequence = sequence
        if parts:
            self._client.write(b"".join(parts))

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

    def kill(self) -> None:
        """KILL QUERY."""
        if self._plan is not None:
            self._stop(ErrPacket.of(refusals.killed()).encode())


def _shown(leg: Leg) -> list[tuple[bytes, int]]:
    return [(each.name, alike(each.type)) for each in map(decode_column, leg.definitions)]
