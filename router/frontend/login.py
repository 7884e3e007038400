"""A client from its first byte to its welcome.

Reads exactly one packet at a time: what follows an SSLRequest in the same segment belongs to TLS and must not be read
here (asyncio's ``start_tls`` cannot be given bytes back). Limits hold before anything is known of the client: time,
packet size, number of connections.

After the welcome the transport changes hands to ``ClientConnection``; a refused client has no way there.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import cast

import structlog

from router.backend.connector import BackendUser
from router.config.values import is_within
from router.errors import MySQLError, PacketTooLarge, ProtocolError
from router.frontend.auth import Account, Directory, RsaKeyPair
from router.metrics import Counters
from router.tasks import spawn
from router.wire.constants import Capability, ServerStatus
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.exact import ExactReader
from router.wire.framing import frame
from router.wire.handshake import Accepted, Effect, Login, Refused, Send, ServerHandshake, StartTls
from router.wire.packets import ErrPacket
from router.wire.proxy_header import ProxyHeader

log = structlog.get_logger(__name__)

# The largest packet of a login: names, a scramble, attributes.
_MAX_LOGIN_PACKET = 1 << 16
# MariaDB: seconds that a wrong change of user takes, and how many a client has.
_PENANCE = 1.0
_MAX_FAILURES = 3
# A client that breaks the protocol is not understood any more.
_UNFORGIVABLE = (ErrorCode.HANDSHAKE, ErrorCode.NET_PACKETS_OUT_OF_ORDER, ErrorCode.NET_PACKET_TOO_LARGE)

CAPABILITIES = (
    Capability.LONG_PASSWORD
    | Capability.FOUND_ROWS
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.COMPRESS
    | Capability.ODBC
    | Capability.LOCAL_FILES
    | Capability.IGNORE_SPACE
    | Capability.PROTOCOL_41
    | Capability.INTERACTIVE
    | Capability.IGNORE_SIGPIPE
    | Capability.TRANSACTIONS
    | Capability.RESERVED
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
    | Capability.SESSION_TRACK
    | Capability.ZSTD_COMPRESSION_ALGORITHM
)


@dataclass(frozen=True, slots=True)
class Welcome:
    """A client that has proven itself and holds a place: what a session is made of."""

    login: Login
    account: Account
    schema: str | None
    client_host: str
    client_address: str | None
    connection_id: int
    handshake: ServerHandshake
    door: Door
    failures: int = 0  # to change the user


@dataclass(slots=True)
class Door:
    """What all logins of one listener share.

    ``balancers`` are the networks from which every connection begins with a PROXY header; ``closed``: nobody may begin
    a session, by request. ``greeting`` gives (server version, capabilities, collation id, plugin); ``prepare`` checks
    the schema on a server, and with it that a server can be reached, and raises MySQLError; ``enter`` makes the
    session.
    """

    directory: Directory
    counters: Counters
    rsa: RsaKeyPair
    balancers: list[IPv4Network | IPv6Network]
    tls: ssl.SSLContext | None
    tls_required: bool
    timeout: float
    greeting: Callable[[], tuple[str, int, int, str]]
    nonce: Callable[[], bytes]
    decoy: bytes
    next_id: Callable[[], int]
    closed: Callable[[], bool]
    full: Callable[[], bool]
    prepare: Callable[[BackendUser, str | None, Login], asyncio.Future[None] | None]
    enter: Callable[[asyncio.Transport, Welcome], int]
    leave: Callable[[], None]


class LoginConnection(asyncio.BufferedProtocol):
    """One login."""

    def __init__(self, door: Door, *, unix: bool) -> None:
        self._door = door
        self._unix = unix
        self._reader = ExactReader(_MAX_LOGIN_PACKET)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._handshake: ServerHandshake | None = None
        self._host = "localhost"
        self._address: str | None = None
        self._connection_id = 0
        self._over = False
        self._proxy: ProxyHeader | None = None
        self._inside = False
        # Who the client is while it changes; whether it may stay so when it is refused.
        self._old: Welcome | None = None
        self._failures = 0
        self._forgiving = False

    # -- asyncio protocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or turn away when the house is full."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._transport = transport
        door = self._door
        if not self._unix:
            peer = transport.get_extra_info("peername")
            self._address = str(peer[0]) if peer else None
            self._host = self._address or "?"
            connected = transport.get_extra_info("socket")
            if connected is not None:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if door.closed():
            self._turn_away(transport, ErrorCode.SERVER_OFFLINE_MODE, b"router: no new sessions during maintenance")
            return
        if door.full():
            self._turn_away(transport, ErrorCode.CON_COUNT, b"Too many connections")
            return
        self._inside = True
        self._timer = asyncio.get_running_loop().call_later(door.timeout, self._timed_out)
        if self._address is not None and door.balancers and is_within(self._address, door.balancers):
            self._proxy = ProxyHeader()
            self._reader.expect(self._proxy.need)
        else:
            self._greet(transport)

    def _turn_away(self, transport: asyncio.Transport, code: ErrorCode, message: bytes) -> None:
        self._door.counters.connections["refused"] += 1
        # The client expects a greeting: no SQLSTATE yet, sequence 0.
        transport.write(frame(ErrPacket(code, "", message).encode(), 0))
        self._over = True
        transport.close()

    def _greet(self, transport: asyncio.Transport) -> None:
        door = self._door
        self._connection_id = door.next_id()
        version, capabilities, collation_id, plugin = door.greeting()
        self._handshake = ServerHandshake(
            connection_id=self._connection_id,
            server_version=version,
            nonce=door.nonce(),
            capabilities=capabilities,
            collation_id=collation_id,
            status=ServerStatus.AUTOCOMMIT,
            tls_available=door.tls is not None and not self._unix,
            tls_required=door.tls_required and not self._unix,
            secure_transport=self._unix,
            lookup=lambda name: door.directory.lookup(name, self._address),
            rsa=door.rsa,
            client_host=self._host,
            default_plugin=plugin,
            decoy_nonce=door.decoy,
        )
        transport.write(self._handshake.greeting())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Not a byte more than belongs to the login: what is behind is for TLS, or the session."""
        return self._reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Some of them have come."""
        if self._over:
            return
        try:
            packet = self._reader.filled(nbytes)
        except PacketTooLarge:
            self._refuse(mysql_error(ErrorCode.NET_PACKET_TOO_LARGE, "Login packet too large"), "packet too large")
            return
        if packet is None:
            return
        if self._proxy is not None:
            self._introduced(self._proxy, packet.payload)
        elif self._handshake is not None:
            self._apply(self._handshake.receive(packet.sequence, packet.payload))

    def _introduced(self, header: ProxyHeader, data: bytes) -> None:
        """Some of the PROXY header has come."""
        transport = self._transport
        assert transport is not None
        try:
            header.feed(data)
        except ProtocolError as error:
            log.warning("not a PROXY header", host=self._host, reason=str(error))
            self._abort("aborted")
            return
        if header.need:
            self._reader.expect(header.need)
            return
        self._proxy = None
        if header.source is not None:
            self._host = self._address = header.source
        self._greet(transport)

    def eof_received(self) -> bool:
        """The client gave up."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone before the welcome."""
        if not self._over:
            self._door.counters.connections["aborted"] += 1
        self._end()

    def change_user(
        self, transport: asyncio.Transport, welcome: Welcome, payload: bytes, *, forgiving: bool = False
    ) -> None:
        """COM_CHANGE_USER (``payload``): the logged-in client of ``welcome`` proves itself again, as somebody else.

        ``forgiving``: as in MariaDB, a refusal takes a second and leaves the client who it was; but not for ever.
        """
        self._old = welcome
        self._failures = welcome.failures
        self._forgiving = forgiving
        self._transport = transport
        self._inside = True
        self._handshake = welcome.handshake
        self._host = welcome.client_host
        self._address = welcome.client_address
        self._connection_id = welcome.connection_id
        self._timer = asyncio.get_running_loop().call_later(self._door.timeout, self._timed_out)
        transport.resume_reading()
        tired = forgiving and welcome.failures >= _MAX_FAILURES
        self._apply(self._handshake.change_user(payload, 0, self._door.nonce(), tired=tired))

    # -- effects -----------------------------------------------------------------------------------------------

    def _apply(self, effects: list[Effect]) -> None:
        transport = self._transport
        if transport is None:
            return
        match effects:
            case [Send(data), Refused(error, cause)] if self._forgiving and error.code not in _UNFORGIVABLE:
                transport.pause_reading()
                self._count(error, cause)
                asyncio.get_running_loop().call_later(_PENANCE, self._go_on, data)
                return
        for effect in effects:
            match effect:
                case Send(data):
                    transport.write(data)
                case StartTls():
                    transport.pause_reading()
                    spawn(self._start_tls(transport), "TLS with a client")
                case Accepted(login):
                    transport.pause_reading()
                    spawn(self._admit(login), "admit a client")
                case Refused(error, cause):
                    self._denied(error, cause)

    def _count(self, error: MySQLError, cause: str) -> None:
        counters = self._door.counters
        counters.connections["denied"] += 1
        counters.auth_failures[cause if error.code == ErrorCode.ACCESS_DENIED else f"error {error.code}"] += 1
        log.info("login refused", host=self._host, code=error.code, cause=cause)

    def _go_on(self, refusal: bytes) -> None:
        """The client hears that it cannot be somebody else, and goes on in a new session of its own."""
        transport, handshake, old = self._transport, self._handshake, self._old
        if self._over or transport is None or transport.is_closing() or handshake is None or old is None:
            return
        handshake.resume()
        self._old = None
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._door.enter(transport, replace(old, failures=old.failures + 1))
        transport.write(refusal)
        transport.resume_reading()

    def _denied(self, error: MySQLError, cause: str) -> None:
        self._count(error, cause)
        self._over = True
        self._end()
        if self._transport is not None:
            self._transport.close()

    async def _start_tls(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        context = self._door.tls
        assert context is not None
        try:
            upgraded = await loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=self._door.timeout
            )
        except (OSError, ssl.SSLError) as error:
            log.info("TLS with a client failed", host=self._host, reason=str(error))
            self._abort("aborted")
            return
        if upgraded is None or self._handshake is None or self._over:
            transport.abort()
            return
        self._transport = upgraded
        self._handshake.tls_established()

    async def _admit(self, login: Login) -> None:
        """The password is proven; is there a place, and does the schema exist?"""
        door = self._door
        handshake = self._handshake
        assert handshake is not None
        account = door.directory.account(login.username)
        if login.password is not None:
            door.directory.remember(login.username, login.password)
        try:
            schema = login.database or account.default_schema
            if schema is not None:
                account.check_schema(schema, self._host)
            user = account.backend.on_behalf_of(login.attributes, self._address)
            if (pending := door.prepare(user, schema, login)) is not None:
                await pending
            self._exchange(account)
        except MySQLError as error:
            self._refuse(error, "admission")
            return
        if self._over or self._transport is None or self._transport.is_closing():
            account.leave()
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        door.counters.connections["accepted"] += 1
        here = (self._host, self._address, self._connection_id)
        welcome = Welcome(login, account, schema, *here, handshake, door, self._failures)
        status = door.enter(self._transport, welcome)
        self._transport.write(handshake.welcome(status))
        self._transport.resume_reading()

    def _exchange(self, account: Account) -> None:
        """Take a place of ``account``, for that of who the client was. Raises MySQLError when there is none."""
        old = self._old
        if old is None:
            account.enter()
            return
        old.account.leave()
        try:
            account.enter()
        except MySQLError:
            old.account.enter()
            raise
        self._old = None

    def _refuse(self, error: MySQLError, cause: str) -> None:
        if self._handshake is not None and not self._over:
            self._apply(self._handshake.refuse(error, cause))

    def _timed_out(self) -> None:
        if not self._over:
            log.info("login timed out", host=self._host)
            self._abort("timeout")

    def _abort(self, outcome: str) -> None:
        """Nothing can be said to this client any more; ``outcome`` is what it is counted as."""
        self._door.counters.connections[outcome] += 1
        self._over = True
        self._end()
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._handshake = None
        if self._old is not None:
            self._old.account.leave()
            self._old = None
        if self._inside:
            self._inside = False
            self._door.leave()
