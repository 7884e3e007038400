"""One operator over the MySQL protocol: login, then one command after the other.

Exactly one packet is read at a time, in the login and behind it: TLS gets its own bytes, limits hold from a packet's
header on, and who sends without waiting for answers is not listened to for long. Each command is a task, SELECT runs in
a thread.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import structlog

from router.admin.commands import Commands, Interpreter, Result
from router.admin.sql import Answer
from router.admin.tables import Value
from router.admin.variables import COLLATION_ID, MAX_PACKET
from router.errors import MySQLError, PacketTooLarge, ProtocolError
from router.metrics import Counters
from router.tasks import spawn
from router.wire.commands import ComInitDb, ComProcessKill, ComQuery, ComSetOption, parse_command
from router.wire.constants import Capability, ColumnFlag, ColumnType, ServerStatus
from router.wire.constants import Command as Code
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.exact import ExactReader
from router.wire.framing import frame
from router.wire.handshake import Accepted, Credential, Effect, Refused, RsaKey, Send, ServerHandshake, StartTls
from router.wire.packets import ColumnDefinition, EofPacket, ErrPacket, OkPacket, encode_ok
from router.wire.rows import encode_text_result

log = structlog.get_logger(__name__)

_MAX_LOGIN_PACKET = 1 << 16
_BINARY = 63
# Rows that are encoded without asking a thread.
_FEW = 200
_STATUS = int(ServerStatus.AUTOCOMMIT)
# Commands of the protocol that have no answer.
_SILENT = (Code.STMT_CLOSE, Code.STMT_SEND_LONG_DATA)
CAPABILITIES = (
    Capability.LONG_PASSWORD
    | Capability.FOUND_ROWS
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.ODBC
    | Capability.PROTOCOL_41
    | Capability.INTERACTIVE
    | Capability.IGNORE_SIGPIPE
    | Capability.TRANSACTIONS
    | Capability.RESERVED
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
    | Capability.DEPRECATE_EOF
)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What all sessions share. ``timeout`` and ``idle`` are seconds: for the login, and between two commands.

    ``enter`` takes a place and gives a connection id, None when there is no room; ``leave`` gives it back.
    """

    commands: Commands
    counters: Counters
    lookup: Callable[[str], Credential | None]
    rsa: RsaKey | None
    nonce: Callable[[], bytes]
    decoy: bytes
    tls: ssl.SSLContext | None
    tls_required: bool
    timeout: float
    idle: float
    enter: Callable[[AdminSession], int | None]
    leave: Callable[[AdminSession], None]


class AdminSession(asyncio.BufferedProtocol):
    """One connection of an operator."""

    def __init__(self, entrance: Entrance, *, unix: bool) -> None:
        self._entrance = entrance
        self._unix = unix
        self._reader = ExactReader(_MAX_LOGIN_PACKET)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._handshake: ServerHandshake | None = None
        self._interpreter: Interpreter | None = None
        self._capabilities = 0
        self._task: asyncio.Task[None] | None = None
        self._full = False  # the client does not read what it has asked for
        self._next: tuple[int, bytes] | None = None  # came before the last command was answered
        self._host = "localhost"
        self._barred = False
        self.connection_id = 0
        self.user: str | None = None  # who has logged in

    # -- asyncio protocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or say that there is no room."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._transport = transport
        entrance = self._entrance
        if not self._unix and (peer := transport.get_extra_info("peername")):
            self._host = str(peer[0])
        connection_id = entrance.enter(self)
        if connection_id is None:
            # The client expects a greeting: no SQLSTATE yet, sequence 0.
            transport.write(frame(ErrPacket(ErrorCode.CON_COUNT, "", b"Too many connections").encode(), 0))
            self._close()
            return
        self.connection_id = connection_id
        self._wait(entrance.timeout)
        self._handshake = ServerHandshake(
            connection_id=connection_id,
            server_version=entrance.commands.version,
            nonce=entrance.nonce(),
            capabilities=int(CAPABILITIES),
            collation_id=COLLATION_ID,
            status=_STATUS,
            tls_available=entrance.tls is not None and not self._unix,
            tls_required=entrance.tls_required and not self._unix,
            secure_transport=self._unix,
            lookup=entrance.lookup,
            rsa=entrance.rsa,
            client_host=self._host,
            decoy_nonce=entrance.decoy,
        )
        transport.write(self._handshake.greeting())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Not a byte more than belongs to the current packet: what is behind may be for TLS."""
        return self._reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Some of them have come."""
        try:
            packet = self._reader.filled(nbytes)
        except PacketTooLarge:
            self._break(ErrorCode.NET_PACKET_TOO_LARGE, "Got a packet bigger than 'max_allowed_packet' bytes")
            return
        if packet is not None:
            self._received(packet.sequence, packet.payload)

    def eof_received(self) -> bool:
        """The client has gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for the answer any more."""
        self._stop_waiting()
        if self._task is not None:
            self._task.cancel()
        if self.connection_id:
            self._entrance.leave(self)
        self._transport = self._handshake = self._interpreter = None

    def pause_writing(self) -> None:
        """The client does not read: it need not ask for more either."""
        self._full = True

    def resume_writing(self) -> None:
        """It has read."""
        self._full = False
        self._go_on()

    # -- packets -----------------------------------------------------------------------------------------------

    def _received(self, sequence: int, payload: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._interpreter is None:
            if self._handshake is not None:
                self._apply(self._handshake.receive(sequence, payload))
        elif self._task is not None or self._full:
            # One packet ahead and no more: that the client goes is noticed while it waits.
            self._next = sequence, payload
            transport.pause_reading()
        else:
            self._take(self._interpreter, sequence, payload)

    def _take(self, interpreter: Interpreter, sequence: int, payload: bytes) -> None:
        """Run a command."""
        if sequence != 0:
            self._break(ErrorCode.NET_PACKETS_OUT_OF_ORDER, "Got packets out of order")
        elif not payload:
            self._break(ErrorCode.MALFORMED_PACKET, "Malformed communication packet")
        elif payload[0] == Code.QUIT:
            self._close()
        elif payload[0] in _SILENT:
            self._wait(self._entrance.idle)
        else:
            self._stop_waiting()
            self._task = spawn(self._command(interpreter, payload), "admin command")

    def _go_on(self) -> None:
        """The last command has been answered and the answer has gone: the next one."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._full or self._task is not None:
            return
        if self._next is None or self._interpreter is None:
            self._wait(self._entrance.timeout if self._interpreter is None else self._entrance.idle)
            return
        (sequence, payload), self._next = self._next, None
        transport.resume_reading()
        self._take(self._interpreter, sequence, payload)

    def _break(self, code: ErrorCode, message: str) -> None:
        if self._transport is not None:
            error = ErrPacket.of(mysql_error(code, message)).encode()
            self._transport.write(frame(error, self._reader.sequence + 1 & 0xFF))
        self._close()

    def _close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._transport.close()
            self._wait(self._entrance.timeout)  # for what has been written to go

    def _wait(self, seconds: float) -> None:
        """For the next packet."""
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.end)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- login -------------------------------------------------------------------------------------------------

    def _apply(self, effects: list[Effect]) -> None:
        transport, handshake = self._transport, self._handshake
        if transport is None or handshake is None:
            return
        for effect in effects:
            match effect:
                case Send(data):
                    transport.write(data)
                case StartTls():
                    transport.pause_reading()
                    spawn(self._start_tls(transport), "TLS with an operator")
                case Accepted(login):
                    interpreter = Interpreter(
                        self._entrance.commands,
                        connection_id=self.connection_id,
                        user=login.username,
                        host=self._host,
                    )
                    try:
                        if login.database:
                            interpreter.use(login.database)
                    except MySQLError as error:
                        self._apply(handshake.refuse(error, "no such database"))
                        return
                    self._interpreter = interpreter
                    self._reader.limit = MAX_PACKET
                    self.user = login.username
                    self._capabilities = login.capabilities
                    self._wait(self._entrance.idle)
                    transport.write(handshake.welcome(_STATUS))
                    log.info("operator", user=login.username, host=self._host, connection_id=self.connection_id)
                case Refused(error, cause):
                    reason = cause if error.code == ErrorCode.ACCESS_DENIED else f"error {error.code}"
                    self._entrance.counters.auth_failures[f"admin: {reason}"] += 1
                    log.warning("login of an operator refused", host=self._host, code=error.code, cause=cause)
                    self._close()

    async def _start_tls(self, transport: asyncio.Transport) -> None:
        context = self._entrance.tls
        assert context is not None
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=self._entrance.timeout
            )
        except (OSError, ssl.SSLError) as error:
            log.info("TLS with an operator failed", host=self._host, reason=str(error))
            transport.abort()
            return
        if upgraded is None or self._handshake is None:
            transport.abort()
            return
        self._transport = upgraded
        self._handshake.tls_established()

    # -- commands ----------------------------------------------------------------------------------------------

    async def _command(self, interpreter: Interpreter, payload: bytes) -> None:
        try:
            data = await self._encoded(await self._run(interpreter, payload))
        except MySQLError as error:
            data = _failed(error)
        except ProtocolError:
            data = _failed(mysql_error(ErrorCode.MALFORMED_PACKET, "Malformed communication packet"))
        except asyncio.CancelledError:
            data = _failed(mysql_error(ErrorCode.QUERY_INTERRUPTED, "Query execution was interrupted"))
        except Exception:
            # An operator must be able to go on where the router has a fault.
            log.exception("an admin command has failed", connection_id=self.connection_id)
            data = _failed(mysql_error(ErrorCode.UNKNOWN_ERROR, "router: this has failed; the router's log says why"))
        self._task = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            if self._barred:
                self._close()
            self._go_on()

    async def _run(self, interpreter: Interpreter, payload: bytes) -> Result | bytes:
        """The answer; bytes are one packet of it."""
        match parse_command(payload, self._capabilities):
            case ComQuery(sql):
                return await interpreter.run(sql.decode("utf-8", "replace"))
            case ComInitDb(schema):
                interpreter.use(schema.decode("utf-8", "replace"))
                return None
            case ComProcessKill(connection_id):
                await interpreter.kill(connection_id, query_only=False)
                return None
            case ComSetOption():
                deprecated = self._capabilities & Capability.DEPRECATE_EOF
                ok = encode_ok(OkPacket(status=_STATUS, header=0xFE), self._capabilities)
                return ok if deprecated else EofPacket(status=_STATUS).encode()
        match payload[0]:
            case Code.PING | Code.RESET_CONNECTION:
                return None
            case Code.STATISTICS:
                return f"Uptime: {int(self._entrance.commands.state.uptime)}".encode()
            case Code.PROCESS_INFO:
                return await interpreter.run("SHOW PROCESSLIST")
            case Code.STMT_PREPARE:
                message = "router: no prepared statements on the server here; let the driver put the values in"
                raise mysql_error(ErrorCode.UNSUPPORTED_PS, message)
        raise mysql_error(ErrorCode.UNKNOWN_COM, "Unknown command")

    async def _encoded(self, result: Result | bytes) -> bytes:
        if isinstance(result, bytes):
            return frame(result, 1)
        if result is None:
            return frame(encode_ok(OkPacket(status=_STATUS), self._capabilities), 1)
        if len(result.rows) <= _FEW:
            return encoded(result, self._capabilities)
        return await self._entrance.commands.aside(lambda: encoded(result, self._capabilities))

    # -- from outside ------------------------------------------------------------------------------------------

    def bar(self) -> None:
        """This operator may not be here any more: he gets the answer to what runs, and no other."""
        self._barred = True
        if self._task is None:
            self._close()

    def end(self, *, query_only: bool = False) -> None:
        """End what runs, or the whole session."""
        if self._task is not None:
            self._task.cancel()
        if not query_only and self._transport is not None:
            self._transport.abort()


def encoded(result: Answer, capabilities: int) -> bytes:
    """A whole answer in the text protocol."""
    columns = [_definition(name, kind) for name, kind in result.columns]
    rows = [[None if value is None else _spelled(value) for value in row] for row in result.rows]
    return encode_text_result(columns, rows, capabilities=capabilities, status=_STATUS)


def _definition(name: str, kind: ColumnType) -> ColumnDefinition:
    number = kind in (ColumnType.LONGLONG, ColumnType.DOUBLE)
    return ColumnDefinition(
        name=name.encode(),
        type=kind,
        collation_id=_BINARY if number else COLLATION_ID,
        length=22 if number else 4096,
        flags=int(ColumnFlag.BINARY) if number else 0,
        decimals=31 if kind is ColumnType.DOUBLE else 0,
    )


def _spelled(value: Value) -> bytes:
    return (repr(value) if isinstance(value, float) else str(value)).encode("utf-8", "replace")


def _failed(error: MySQLError) -> bytes:
    return frame(ErrPacket.of(error).encode(), 1)


def only_these(passwords: Mapping[str, str]) -> Callable[[str], Credential | None]:
    """Who may log in. Without users it is whoever reaches the address, by any name and without a password: the
    configuration allows that for addresses of this machine only, as for ``admin.http``."""
    if not passwords:
        open_ = Credential(password=b"")
        return lambda name: open_
    known = {name: Credential(password=password.encode()) for name, password in passwords.items()}
    return known.get
