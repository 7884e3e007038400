"""The doors of the router: sockets, TLS, limits, and what happens when a login has succeeded.

``Frontend`` owns the listening sockets and makes a ``Dispatcher`` for each client that gets in. Unix sockets are
created with mode 0777, as servers do (who may log in is decided by password), and stale ones are replaced.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic

import structlog

from router.backend.connection import BackendConnection, Capture
from router.backend.connector import FRAMING, SHAPE, BackendUser
from router.backend.listening import BACKLOG, Sockets, shown
from router.backend.pool import Waiter
from router.backend.reset import use_schema
from router.cluster.topology import Group
from router.config.models import Listener, RouterConfig
from router.engine import refusals
from router.errors import BackendError, ConnectionLost, TurnedAway
from router.frontend.attributed import AttributesDispatcher
from router.frontend.auth import Directory, RsaKeyPair
from router.frontend.compression import CompressedTransport
from router.frontend.connection import ClientConnection
from router.frontend.dispatch import Dispatcher, Shared
from router.frontend.glance import glance
from router.frontend.login import CAPABILITIES, Door, LoginConnection, Welcome
from router.planner.catalog import Catalog
from router.session.profile import UNKNOWN, ServerProfile
from router.session.registry import Glance
from router.session.state import SessionState
from router.wire.compression import Compression, Zlib, Zstd
from router.wire.constants import EXTENDED, NONCE_SIZE, Capability
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.handshake import Login
from router.wire.scramble import CACHING_SHA2, NATIVE_PASSWORD

log = structlog.get_logger(__name__)

# A schema that a server has accepted is not asked for again at the next login, for this many seconds.
_SCHEMA_MEMORY = 30.0
# Only where every server is known to have it: what a client then sends cannot be translated for one that has not.
_IF_ALL_OFFER = FRAMING & ~Capability.DEPRECATE_EOF
# SQL cannot be written in these.
_NOT_FOR_CLIENTS = frozenset({"ucs2", "utf16", "utf16le", "utf32"})


class Entrance:
    """A socket that listens, and the ``door`` that leads from it: as configured now."""

    __slots__ = ("door", "servers", "shown")

    def __init__(self, door: Door, other: Entrance | None = None) -> None:
        """With the sockets of the ``other``, if there is one."""
        self.door = door
        self.servers: list[asyncio.Server] = [] if other is None else other.servers
        # The address, with the real port.
        self.shown: str = "" if other is None else other.shown

    def close(self) -> None:
        """Take nobody any more."""
        for server in self.servers:
            server.close()


class Frontend:
    """All listeners of one process."""

    def __init__(
        self,
        config: RouterConfig,
        catalog: Catalog,
        shared: Shared,
        closed: Callable[[], bool] = lambda: False,
        sockets: Sockets | None = None,
    ) -> None:
        """``closed``: whether new sessions are refused, by request; ``sockets`` are what it listens on."""
        self._closed = closed
        self._sockets = sockets or Sockets()
        self._config = config
        self._catalog = catalog
        self._shared = shared
        self._directory = Directory(config)
        self.rsa = RsaKeyPair()
        self._decoy = secrets.token_bytes(32)
        self._entrances: dict[str, Entrance] = {}
        self._schemas: dict[tuple[str, str], float] = {}
        self._open = 0
        self._stopping = False
        self._welcomes: dict[int, Welcome] = {}

    @property
    def open_connections(self) -> int:
        """Clients connected, logged in or not."""
        return self._open

    # -- sockets -----------------------------------------------------------------------------------------------

    async def start(self) -> list[str]:
        """Listen everywhere; returns the addresses, with real ports. Raises OSError."""
        self._entrances = await self.prepare(self._config)
        return [entrance.shown for entrance in self._entrances.values()]

    async def prepare(self, config: RouterConfig) -> dict[str, Entrance]:
        """Where to listen by this configuration, by address; sockets that are open already go on.

        Raises OSError (of which ssl.SSLError is one) when one cannot be had; then nothing has changed.
        """
        made: dict[str, Entrance] = {}
        try:
            for key, listener in listener_keys(config):
                door = self._door(listener, config)
                known = self._entrances.get(key)
                made[key] = Entrance(door, known) if known is not None else await self._listen(key, listener, door)
        except OSError:
            for key, entrance in made.items():
                if key not in self._entrances:
                    self._close(key, entrance)
            raise
        return made

    def adopt(self, config: RouterConfig, catalog: Catalog, prepared: dict[str, Entrance]) -> None:
        """Go by this configuration from now on. Who is connected stays, through whichever door they came."""
        self._config = config
        self._catalog = catalog
        self._directory.adopt(config)
        self._schemas.clear()
        for key, entrance in self._entrances.items():
            if key in prepared:
                entrance.door = prepared[key].door
                prepared[key] = entrance
            else:
                self._close(key, entrance)
        self._entrances = prepared

    async def _listen(self, key: str, listener: Listener, door: Door) -> Entrance:
        loop = asyncio.get_running_loop()
        entrance = Entrance(door)
        sockets = await self._sockets.open(key, listener.address, 0o777)
        entrance.shown = shown(sockets)
        for each in sockets:
            if each.family == socket.AF_UNIX:
                server = await loop.create_unix_server(
                    lambda: LoginConnection(entrance.door, unix=True), sock=each, backlog=BACKLOG
                )
            else:
                server = await loop.create_server(
                    lambda: LoginConnection(entrance.door, unix=False), sock=each, backlog=BACKLOG
                )
            entrance.servers.append(server)
        return entrance

    def _close(self, key: str, entrance: Entrance) -> None:
        entrance.close()
        self._sockets.close(key)

    def stop_listening(self) -> None:
        """Take no new clients, not even those that are logging in."""
        self._stopping = True
        self.leave()

    def leave(self) -> None:
        """Take no new clients; who is logging in may finish."""
        for key, entrance in self._entrances.items():
            self._close(key, entrance)
        self._entrances = {}

    def _door(self, listener: Listener, config: RouterConfig) -> Door:
        tls = listener.tls
        context = tls_context(listener)
        return Door(
            directory=self._directory,
            counters=self._shared.services.counters,
            rsa=self.rsa,
            balancers=listener.proxy_protocol,
            tls=context,
            tls_required=tls is not None and tls.mode == "required",
            timeout=config.limits.connect_timeout,
            greeting=self._greeting,
            nonce=_nonce,
            decoy=self._decoy,
            next_id=self._shared.sessions.next_id,
            closed=self._closed,
            full=self._full,
            prepare=self._prepare,
            enter=self._enter,
            leave=self._left,
        )

    def _full(self) -> bool:
        """Whether there is no room for one more; takes the place if there is."""
        if self._open >= self._config.limits.max_connections:
            return True
        self._open += 1
        return False

    def _left(self) -> None:
        self._open -= 1

    # -- what a login needs to know ----------------------------------------------------------------------------

    def _profile(self) -> ServerProfile:
        """The server a new client believes to talk to: that of the default group."""
        group = self._shared.services.topology.groups[self._catalog.default_group]
        return group.profile or UNKNOWN

    def _greeting(self) -> tuple[str, int, int, str]:
        profile = self._profile()
        capabilities = CAPABILITIES
        if profile.flavor == "mariadb":
            capabilities &= ~Capability.ZSTD_COMPRESSION_ALGORITHM  # a bit that means nothing there
        profiles = [server.profile for server in self._shared.services.topology.servers()]
        if all(known is None or known.capabilities & Capability.DEPRECATE_EOF for known in profiles):
            capabilities |= Capability.DEPRECATE_EOF
        for capability in _IF_ALL_OFFER:
            if all(known is not None and known.capabilities & capability for known in profiles):
                capabilities |= capability
        if capabilities >> EXTENDED:
            capabilities &= ~Capability.LONG_PASSWORD  # or clients take the extension for reserved bytes
        collation_id = next(
            (number for number, (name, _) in profile.collations.items() if name == profile.collation and number < 256),
            255 if profile.flavor == "mysql" else 45,
        )
        # What clients of such a server expect: Connector/J reads answers by the version that MariaDB pretends to have.
        plugin = NATIVE_PASSWORD if profile.flavor == "mariadb" else CACHING_SHA2
        return profile.version, int(capabilities), collation_id, plugin

    def _prepare(self, user: BackendUser, schema: str | None, login: Login) -> asyncio.Future[None] | None:
        """Ask a server whether the schema of a login exists, unless it said so a moment ago."""
        if self._stopping:
            raise mysql_error(ErrorCode.SERVER_SHUTDOWN, "Server shutdown in progress")
        charset = self._profile().charset_of(login.collation_id)["character_set_client"]
        if charset in _NOT_FOR_CLIENTS:
            message = f"Variable 'character_set_client' can't be set to the value of '{charset}'"
            raise mysql_error(ErrorCode.WRONG_VALUE_FOR_VAR, message)
        if schema is None:
            return None
        known = self._schemas.get((user.name, schema))
        if known is not None and monotonic() - known < _SCHEMA_MEMORY:
            return None
        group = self._shared.services.topology.groups[self._catalog.group_of(schema)]
        if (server := group.primary or group.reader()) is None:
            return None  # the first statement will wait for one
        verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pool = server.pool

        def failed(error: BackendError) -> None:
            if verdict.done():
                return
            if isinstance(error, TurnedAway):
                # The first statement will find another one.
                verdict.set_result(None)
            else:
                verdict.set_exception(refusals.not_sent(error))

        def granted(connection: BackendConnection) -> None:
            def done(payload: bytes, error: bytes | None) -> None:
                if error is None:
                    connection.schema = schema
                    self._schemas[user.name, schema] = monotonic()
                    pool.release(connection)
                    if not verdict.done():
                        verdict.set_result(None)
                    return
                pool.release(connection)
                if not verdict.done():
                    verdict.set_exception(refusals.from_server(error))

            def lost(error: ConnectionLost) -> None:
                pool.discard(connection)
                failed(error)

            connection.send(Capture(done, lost), use_schema(schema))

        key = (user.name, login.capabilities & int(SHAPE), True)
        connection = pool.take(key)
        if connection is not None:
            granted(connection)
        else:
            pool.wait(Waiter(key, user, granted, failed))
        return verdict

    # -- sessions ----------------------------------------------------------------------------------------------

    def _enter(self, transport: asyncio.Transport, welcome: Welcome) -> int:
        """A client is in: give the transport its command phase. Returns the status flags for the welcome."""
        if not isinstance(transport, CompressedTransport) and (compression := _compression(welcome.login)) is not None:
            line, transport = transport, CompressedTransport(transport, compression)
            line.set_protocol(transport)  # type: ignore[arg-type]
        limits = self._config.limits
        now = asyncio.get_running_loop().time()
        client = ClientConnection(transport, limits.max_allowed_packet, self._shared.services.counters, now)
        profile = self._group(welcome.schema).profile or UNKNOWN
        session = SessionState(
            profile,
            welcome.login.collation_id,
            welcome.schema,
            ignore_space=bool(welcome.login.capabilities & Capability.IGNORE_SPACE),
        )
        attributes = welcome.login.capabilities & Capability.QUERY_ATTRIBUTES
        dispatcher = (AttributesDispatcher if attributes else Dispatcher)(
            client,
            self._shared,
            welcome.account,
            session,
            connection_id=welcome.connection_id,
            capabilities=welcome.login.capabilities,
            shape=welcome.login.capabilities & int(SHAPE),
            host=welcome.client_host,
            address=welcome.client_address,
            attributes=welcome.login.attributes,
        )
        dispatcher.listen()
        transport.set_protocol(client)  # type: ignore[arg-type]
        self._shared.sessions.add(welcome.connection_id, dispatcher)
        self._welcomes[welcome.connection_id] = welcome
        return dispatcher.status

    def _group(self, schema: str | None) -> Group:
        name = self._catalog.default_group if schema is None else self._catalog.group_of(schema)
        return self._shared.services.topology.groups[name]

    def session_lost(self, dispatcher: Dispatcher) -> None:
        """A logged-in client is gone."""
        dispatcher.account.leave()
        self._welcomes.pop(dispatcher.connection_id, None)
        self._left()

    def change_user(self, dispatcher: Dispatcher, payload: bytes) -> None:
        """COM_CHANGE_USER: the session ends, and its connection goes through the door again."""
        welcome = self._welcomes.pop(dispatcher.connection_id)
        schema = dispatcher.session.schema
        dispatcher.executor.reset()
        self._shared.sessions.remove(dispatcher.connection_id)
        transport = dispatcher.client.transport
        transport.pause_reading()
        login = LoginConnection(welcome.door, unix=welcome.client_address is None)
        transport.set_protocol(login)
        forgiving = dispatcher.session.profile.flavor == "mariadb"
        login.change_user(transport, replace(welcome, schema=schema), payload, forgiving=forgiving)

    def glances(self) -> Iterator[Glance]:
        """All sessions, for operators."""
        now = asyncio.get_running_loop().time()
        for session in self._shared.sessions:
            if (welcome := self._welcomes.get(session.connection_id)) is not None:
                yield glance(session, welcome.login.attributes, now)

    def sweep(self, now: float) -> None:
        """Disconnect clients that have been silent for ``limits.idle_timeout``, or their own wait_timeout."""
        limit = self._config.limits.idle_timeout
        for session in self._shared.sessions:
            client = session.client
            if client.active or not client.idle:
                client.active = False
                client.last_activity = now
            elif now - client.last_activity > min(limit, session.patience):
                session.close()


def listener_keys(config: RouterConfig) -> Iterator[tuple[str, Listener]]:
    """The listeners, each with what its sockets are known by."""
    for number, listener in enumerate(config.listeners):
        # Any port: another one for each.
        yield f"{listener.address} ({number})" if listener.address.port == 0 else str(listener.address), listener


def _nonce() -> bytes:
    """20 unpredictable bytes without NUL and '$' (old clients end at NUL; servers avoid both)."""
    alphabet = bytes(byte for byte in range(1, 128) if byte != 0x24)
    return bytes(secrets.choice(alphabet) for _ in range(NONCE_SIZE))


def tls_context(listener: Listener) -> ssl.SSLContext | None:
    """TLS as the listener has it; None without a certificate."""
    tls = listener.tls
    if tls is None or tls.mode == "disabled" or tls.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(tls.certificate), str(tls.key) if tls.key else None)
    if tls.client_ca is not None:
        context.load_verify_locations(str(tls.client_ca))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _compression(login: Login) -> Compression | None:
    """What the client asked for; zlib when it knows both, as servers prefer it."""
    if login.capabilities & Capability.COMPRESS:
        return Compression(Zlib())
    if login.capabilities & Capability.ZSTD_COMPRESSION_ALGORITHM:
        return Compression(Zstd(login.zstd_level))
    return None
