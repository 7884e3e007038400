"""One shard's part of a write on several: its connection, what is said before, the part, and its answer."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from router.backend.connection import BackendConnection, Capture, PoolKey
from router.cluster.topology import Server
from router.engine import refusals
from router.engine.branches import Branch
from router.engine.execution import send
from router.engine.leasing import Leasing
from router.engine.services import Services
from router.errors import BackendError, ConnectionLost, MySQLError
from router.planner.plan import Part
from router.wire.constants import Capability, Command, ServerStatus
from router.wire.packets import OkPacket, decode_ok
from router.wire.scanner import QUERY

if TYPE_CHECKING:
    from router.engine.writing import Writing


class Share:
    """One shard's part."""

    __slots__ = (
        "_writing",
        "answer",
        "connection",
        "error",
        "first",
        "leasing",
        "part",
        "server",
        "started",
        "trace",
        "waits",
        "was_in",
    )

    def __init__(self, writing: Writing, part: Part, services: Services) -> None:
        self._writing = writing
        self.part = part
        self.leasing = Leasing(services, writing.executor.user, self._granted, self._not_granted)
        trace = writing.trace
        self.trace = self.leasing.trace = None if trace is None else trace.leg(part.relay)
        self.connection: BackendConnection | None = None
        self.server: Server | None = None
        self.answer: OkPacket | None = None
        self.error: MySQLError | None = None
        self.first = True  # of this statement on its connection
        self.was_in = False
        self.waits = False  # for a connection
        self.started = 0.0

    def start(self, branch: Branch | None, key: PoolKey) -> None:
        """Run on a connection of the transaction; None: there is none yet."""
        relay = self.part.relay
        if branch is None:
            self.waits = True
            key = (key[0], key[1], relay.database is not None or key[2])
            self.leasing.lease(relay, key, primary=True, joins=self._writing.joins, admitted=True)
            return
        if branch[0].closed:
            self.server = branch[1]
            branch[1].pool.discard(branch[0])
            self._lost(ConnectionLost("it ended between two statements"))
            return
        self._open(*branch, [])

    def _granted(self, connection: BackendConnection, server: Server) -> None:
        self.waits = False
        self._open(connection, server, self._writing.session.begun or [])

    def _not_granted(self, error: BackendError) -> None:
        self.waits = False
        self.error = refusals.not_sent(error)
        self._writing.ended(self)

    def _open(self, connection: BackendConnection, server: Server, opening: list[bytes]) -> None:
        """What comes before the statement; it waits for the verdict, as it must not run in the wrong place."""
        self.connection, self.server = connection, server
        self.started = perf_counter()
        if self.trace is not None:
            self.trace.asked(server, connection)
        self.was_in = bool(opening) or bool(connection.scanner.status & ServerStatus.IN_TRANS)
        session, relay = self._writing.session, self.part.relay
        commands = connection.adapt(relay.database, session.wanted(connection.variables, relay.facts))
        commands.extend(map(connection.query, opening))
        commands.extend(map(connection.query, self._writing.before(first=self.first)))
        if commands:
            connection.send(Capture(self._opened, self._lost), b"".join(commands), QUERY, len(commands) - 1)
        else:
            self._opened(b"", None)

    def _opened(self, payload: bytes, error: bytes | None) -> None:
        connection = self.connection
        if connection is None:
            return
        if error is not None:
            self._answered(payload, error)
        elif self._writing.killed:
            self.error = refusals.killed()
            self._done(b"", None)
        else:
            answer = Capture(self._answered, self._lost)
            send(connection, self.part, self._writing.execution, answer, [], self._refused, self._lost)

    def _refused(self, error: bytes) -> None:
        """It cannot be prepared."""
        self._answered(b"", error)

    def _answered(self, payload: bytes, error: bytes | None) -> None:
        connection, server = self.connection, self.server
        if connection is None or server is None:
            return
        if self.trace is not None:
            self.trace.ended(connection, len(payload))
        server.commands[Command.QUERY] += 1
        server.durations.observe(perf_counter() - self.started)
        if error is not None:
            self._writing.services.server_refused(error)
            self.error = refusals.from_server(error)
        elif connection.scanner.has_rows:
            self.error = refusals.not_spanning("a statement that writes and returns rows")
        else:
            self._writing.services.committed(self._writing.session, server.group, connection.scanner)
            self.answer = self._ok(connection, payload)
        if connection.closed:
            self._lost(ConnectionLost(self.error.message if self.error else "its state was refused"))
        elif self._writing.sets_clock:
            connection.send(Capture(self._done, self._lost), connection.query("SET timestamp = DEFAULT"))
        else:
            self._done(b"", None)

    @staticmethod
    def _ok(connection: BackendConnection, payload: bytes) -> OkPacket:
        tracking = Capability.SESSION_TRACK if connection.scanner.tracking else Capability(0)
        return decode_ok(payload[4:], Capability.PROTOCOL_41 | tracking)

    def _done(self, payload: bytes, error: bytes | None) -> None:
        connection, server = self.connection, self.server
        if connection is None or server is None:
            return
        if error is not None:
            connection.close()
            self._lost(ConnectionLost("its clock was not set right again"))
            return
        self.connection = None
        self._writing.executor.branches.park(connection, server)
        self._writing.ended(self)

    def _lost(self, error: ConnectionLost) -> None:
        connection, server = self.connection, self.server
        self.connection = None
        if self.trace is not None:
            self.trace.broke()
        if connection is not None and server is not None:
            server.pool.discard(connection)
            self._writing.services.suspect(server)
        self.error = self._writing.lost(refusals.where_lost(server, error))
        self._writing.ended(self)

    def cancel(self) -> None:
        """The client is gone, or nothing has been sent yet."""
        self.waits = False
        self.leasing.cancel()
        connection, server = self.connection, self.server
        self.connection = None
        if connection is not None and server is not None:
            connection.close()
            server.pool.discard(connection)
