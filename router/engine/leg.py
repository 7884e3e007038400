"""One shard's part of a SELECT over several: a connection, and the rows that come over it."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from router.backend.connection import BackendConnection, PoolKey
from router.cluster.topology import Server
from router.engine import refusals
from router.engine.branches import Branch
from router.engine.execution import send
from router.engine.failure import meaning_of
from router.engine.kill import Killer
from router.engine.leasing import Leasing
from router.engine.matching import patience
from router.errors import BackendError, ConnectionLost, MySQLError, ProtocolError
from router.planner.plan import Part
from router.wire.constants import MAX_PAYLOAD, Command, ServerStatus
from router.wire.framing import PacketDecoder
from router.wire.packets import ColumnDefinition, decode_column

if TYPE_CHECKING:
    from router.engine.scatter import Scatter


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
        "part",
        "paused",
        "relay",
        "rows",
        "server",
        "spanning",
        "trace",
        "warnings",
        "was_in",
    )

    def __init__(self, scatter: Scatter, number: int, part: Part) -> None:
        self._scatter = scatter
        self.number = number
        self.part = part
        self.relay = part.relay
        self.leasing = Leasing(scatter.services, scatter.user, self._granted, self._not_granted)
        self.connection: BackendConnection | None = None
        self.server: Server | None = None
        self.paused = False
        self.spanning = scatter.spanning
        self.was_in = False  # the transaction, before this statement
        self._started = 0.0
        trace = scatter.trace
        self.trace = self.leasing.trace = None if trace is None else trace.leg(self.relay)
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

    def start(self, branch: Branch | None, key: PoolKey) -> None:
        """Ask the shard, on a connection of the transaction if it has one there."""
        relay = self.relay
        if branch is None:
            key = (key[0], key[1], relay.database is not None or key[2])
            scatter = self._scatter
            written = scatter.session.written
            self.leasing.lease(relay, key, primary=self.spanning, written=written, joins=scatter.joins, admitted=True)
        elif branch[0].closed:
            branch[1].pool.discard(branch[0])
            self._scatter.transaction_lost(self, branch[1], ConnectionLost("it ended between two statements"))
        else:
            self._ask(*branch, [])

    def _granted(self, connection: BackendConnection, server: Server) -> None:
        begun = self._scatter.session.begun if self.spanning else None
        self._ask(connection, server, begun or [])

    def _ask(self, connection: BackendConnection, server: Server, opening: list[bytes]) -> None:
        self._begin()
        self._started = perf_counter()
        self.connection, self.server = connection, server
        if self.trace is not None:
            self.trace.asked(server, connection)
            self.trace.behind = self.leasing.awaits is not None
        session = self._scatter.session
        relay = self.relay
        self.was_in = bool(opening) or bool(connection.scanner.status & ServerStatus.IN_TRANS)
        commands = connection.adapt(relay.database, session.wanted(connection.variables, relay.facts))
        commands.extend(map(connection.query, opening))
        if (awaits := self.leasing.awaits) is not None:
            commands.insert(0, patience(connection, awaits))
        waits = awaits is not None
        send(connection, self.part, self._scatter.execution, self, commands, self._refused, self._lost, waits=waits)
        self.paused = False
        self.hold(self._scatter.paused)

    def _refused(self, error: bytes) -> None:
        """The shard does not prepare the statement."""
        connection = self.connection
        if connection is None:
            return
        if connection.closed or connection.behind:
            self.prefix_failed(connection, error)
        else:
            connection.scanner.error = error
            self.response_ended(connection)

    def _lost(self, error: ConnectionLost) -> None:
        if self.connection is not None:
            self.connection_lost(self.connection, error)

    def _not_granted(self, error: BackendError) -> None:
        self._scatter.failed(refusals.not_sent(error))

    # -- sink --------------------------------------------------------------------------------------------------

    def forward(self, data: bytes) -> None:
        """Part of the shard's answer."""
        if self.trace is not None:
            self.trace.came()
        try:
            self._take(data)
        except ProtocolError as error:
            self._scatter.failed(MySQLError(2013, "08S01", f"router: a shard's answer cannot be read: {error}"))

    def _take(self, data: bytes) -> None:
        self._decoder.feed(data)
        payloads = self._decoder.payloads()
        at = 0
        while at < len(payloads) and (self._header or self._columns_left):
            payload = payloads[at]
            at += 1
            if not self._header:
                self.definitions.append(payload)
                self._columns_left -= 1
            elif payload[0] not in (0x00, 0xFB, 0xFF):  # an error is in the scanner; nothing else is without rows
                self._header = False
                self._columns_left = payload[0] if payload[0] < 0xFB else int.from_bytes(payload[1:3], "little")
        # An error, too, is in the scanner. Without DEPRECATE_EOF an EOF follows the definitions, and the rows.
        least = MAX_PAYLOAD if self._scatter.deprecate_eof else 9
        self.rows.extend([each for each in payloads[at:] if each[0] < 0xFE or (each[0] == 0xFE and len(each) >= least)])
        self._scatter.progress(self)

    def response_ended(self, connection: BackendConnection) -> None:
        """The shard has answered."""
        error, self.warnings = connection.scanner.error, connection.scanner.warnings
        if self.trace is not None:
            self.trace.ended(connection)
        self.hold(False)  # nobody else would
        self.ended = True
        server = self.server
        self.connection = self.server = None
        if server is not None:
            self.leasing.arrived(server)
            server.commands[Command.QUERY] += 1
            server.durations.observe(perf_counter() - self._started)
            self._scatter.give_back(self, connection, server, error)
        self._scatter.released(self)
        self._scatter.leg_ended(self, error)

    def withholds(self, connection: BackendConnection) -> bool:
        """Whether the server has but said that it ends the connection."""
        error = connection.scanner.error
        if error is None or not meaning_of(error, None).ends:
            return False
        self.connection_lost(connection, ConnectionLost(refusals.from_server(error).message))
        return True

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        """The connection broke; a shard of which nothing has been used yet is asked again."""
        server = self.server
        self.connection = self.server = None
        if self.trace is not None:
            self.trace.broke()
        if server is not None:
            server.pool.discard(connection)
            self._scatter.services.suspect(server)
        if server is not None and self.spanning:
            self._scatter.transaction_lost(self, server, error)
            return
        if self._scatter.answering or not self.leasing.again(server):
            self._scatter.failed(refusals.lost(refusals.where_lost(server, error)))

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        """The server refused the session's state."""
        server, self.server, self.connection = self.server, None, None
        if server is not None and connection.behind:
            server.pool.release(connection)
            if self.leasing.behind(server):
                return
        elif server is not None:
            server.pool.discard(connection)
            if self.spanning:
                self._scatter.transaction_lost(self, server, ConnectionLost(str(refusals.from_server(error))))
                return
        self._scatter.released(self)
        self._scatter.leg_ended(self, error)

    def file_requested(self, connection: BackendConnection) -> None:
        """A SELECT loads no files."""
        self._scatter.failed(refusals.from_server(b""))

    def pause(self) -> None:
        """The statement is short."""

    def resume(self) -> None:
        """The statement is short."""

    def columns(self) -> list[ColumnDefinition]:
        """The columns of its rows. Raises ProtocolError."""
        return [decode_column(payload, self._scatter.capabilities) for payload in self.definitions]

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
