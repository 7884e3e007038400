"""Opens connections to one server: aiomysql does TCP, TLS and authentication, then we take the transport over.

Traps of aiomysql 0.3 that are closed here:

- with ``ssl=`` given it goes on in plain text when the server's greeting lacks CLIENT_SSL (TLS stripping): refused
  unless TLS is only ``preferred``;
- it answers a request for ``mysql_clear_password`` on any transport: allowed over TLS or a unix socket only;
- ``connect_timeout`` covers the TCP connect alone: the whole login runs under one deadline;
- passwords are encoded as latin-1: they are handed over as UTF-8 bytes in latin-1 clothing;
- ``StreamWriter.__del__`` closes the transport: the writer is kept as long as the connection;
- it does not know client_ed25519;
- MULTI_STATEMENTS is always negotiated: switched off per connection unless the client has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, TypeVar

import aiomysql
import pymysql
from pymysql.protocol import MysqlPacket

from router.backend.connection import BackendConnection, Capture, PoolKey
from router.backend.reset import BASELINE, SETTLED_REPLIES, settle_commands
from router.backend.sockets import notice_silence
from router.config.values import Address
from router.errors import BackendUnavailable, ConnectionLost
from router.session.profile import CHARSET_GROUP, VOLATILE_VARIABLES, ServerProfile, parse_version
from router.wire.constants import EXTENDED, Capability
from router.wire.ed25519 import ED25519, ED25519_NONCE_SIZE, ed25519_sign
from router.wire.packets import Greeting, HandshakeResponse, SslRequest

# What changes how packets are written: a client must not be promised one of these and then not be given it.
FRAMING = (
    Capability.DEPRECATE_EOF
    | Capability.QUERY_ATTRIBUTES
    | Capability.OPTIONAL_RESULTSET_METADATA
    | Capability.MARIADB_STMT_BULK_OPERATIONS
    | Capability.MARIADB_EXTENDED_METADATA
)
# What shapes a connection for its client; anything else is the same for all connections (architecture D7).
SHAPE = (
    Capability.FOUND_ROWS
    | Capability.LOCAL_FILES
    | Capability.IGNORE_SPACE
    | Capability.INTERACTIVE
    | Capability.MULTI_STATEMENTS
    | Capability.SESSION_TRACK
    | FRAMING
)
_ALWAYS = Capability.SESSION_TRACK | Capability.MULTI_RESULTS | Capability.PS_MULTI_RESULTS
_PLUGINS = frozenset({b"mysql_native_password", b"caching_sha2_password", b"sha256_password"})
T = TypeVar("T")
# Of a client's connection attributes, names and values together; servers keep 512 bytes unless told otherwise.
_MAX_ATTRIBUTES = 4096
_TLS_REQUIRED_ERROR = 2026  # CR_SSL_CONNECTION_ERROR
_CLEAR_TEXT = "refused to send the password in clear text"
_PLUGIN_ERROR = 2059  # CR_AUTH_PLUGIN_CANNOT_LOAD
_CLIENT_ERRORS = range(2000, 3000)
# ER_SERVER_SHUTDOWN, CR_CONN_HOST_ERROR, CR_SERVER_GONE_ERROR, CR_SERVER_LOST.
_LOST = (1053, 2003, 2006, 2013)


@dataclass(frozen=True, slots=True)
class BackendUser:
    """An account on the servers; ``name`` also names the pool's connections.

    ``attributes`` are the connection attributes of the client for which a connection is opened.
    """

    name: str
    password: str
    attributes: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"BackendUser({self.name!r})"

    def on_behalf_of(self, attributes: Mapping[str, str], address: str | None) -> BackendUser:
        """The same account for a client at IP ``address``: so that servers can name programs (MySQL Router's names)."""
        kept: dict[str, str] = {} if address is None else {"_client_ip": address}
        size = 0
        for name, value in attributes.items():
            size += len(name.encode()) + len(value.encode())
            if size > _MAX_ATTRIBUTES:
                break
            kept.setdefault(name, value)
        return replace(self, attributes=tuple(kept.items()))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is and how to reach it; ``tls`` None means plain text."""

    name: str
    address: Address
    tls: ssl.SSLContext | None = None
    tls_required: bool = False
    connect_timeout: float = 5.0


class _GuardedConnection(aiomysql.Connection):  # type: ignore[misc]
    """aiomysql's connection with the two doors closed through which a password could leave, and MariaDB's extensions.

    ``server_capabilities`` and ``client_flag`` have them from bit 32 on.
    """

    client_flag: int
    _tls_required = False
    _extended = 0  # of the client flags
    _answered = False  # the greeting, by the login
    _attributes: tuple[tuple[str, str], ...] = ()
    _first: bytes | None = None

    async def _read_packet(self, packet_type: Any = MysqlPacket) -> Any:
        packet = await super()._read_packet(packet_type)
        if self._first is None:
            self._first = packet.get_all_data()
        return packet

    def write_packet(self, payload: bytes) -> None:
        """Write a packet; in those of the login, what aiomysql has no place for."""
        if self._extended and not self._answered:
            payload = payload[:28] + self._extended.to_bytes(4, "little") + payload[32:]
        if not self._answered and len(payload) > SslRequest.SIZE:
            self._answered = True
            if self._attributes and self.server_capabilities & Capability.CONNECT_ATTRS:
                response = HandshakeResponse.decode(payload, self.server_capabilities)
                attributes = {name.encode(): value.encode() for name, value in self._attributes}
                # What the client does not say of itself, is ours.
                payload = replace(response, attributes=response.attributes | attributes).encode()
        super().write_packet(payload)

    async def _get_server_information(self) -> None:
        await super()._get_server_information()
        self.server_capabilities |= Greeting.decode(self._first or b"").mariadb_capabilities << EXTENDED
        if self._tls_required and not self.server_capabilities & Capability.SSL:
            raise pymysql.OperationalError(_TLS_REQUIRED_ERROR, "the server does not offer TLS, which is required")
        if not self.server_capabilities & Capability.PLUGIN_AUTH:
            raise pymysql.OperationalError(_PLUGIN_ERROR, "the server is too old to name its authentication plugin")
        encrypted = self._unix_socket or (self._ssl_context and self.server_capabilities & Capability.SSL)
        if self._server_auth_plugin == "mysql_clear_password" and not encrypted:
            # aiomysql would answer the greeting with the password.
            raise pymysql.OperationalError(_PLUGIN_ERROR, _CLEAR_TEXT)
        # Only what both sides know; the flags were chosen before the greeting was seen.
        optional = SHAPE | _ALWAYS
        self.client_flag &= ~int(optional) | self.server_capabilities
        self._extended = self.client_flag >> EXTENDED
        if self._extended:
            self.client_flag &= ~int(Capability.LONG_PASSWORD)

    async def _request_authentication(self) -> None:
        flags = self.client_flag
        self.client_flag = flags & 0xFFFFFFFF
        await super()._request_authentication()
        self.client_flag |= flags >> EXTENDED << EXTENDED

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        if plugin_name == b"mysql_clear_password":
            if not self._secure:
                raise pymysql.OperationalError(_PLUGIN_ERROR, _CLEAR_TEXT)
        elif plugin_name == ED25519.encode():
            return await self._sign(auth_packet.read_all())
        elif plugin_name not in _PLUGINS:
            name = plugin_name.decode("latin1")
            raise pymysql.OperationalError(_PLUGIN_ERROR, f"authentication plugin {name!r} is not supported")
        return await super()._process_auth(plugin_name, auth_packet)

    async def _sign(self, nonce: bytes) -> Any:
        """MariaDB's ed25519, which aiomysql does not know."""
        if len(nonce) != ED25519_NONCE_SIZE:
            raise pymysql.OperationalError(_PLUGIN_ERROR, f"a nonce of {len(nonce)} bytes for {ED25519}")
        self.write_packet(ed25519_sign(self._password.encode("latin1"), nonce))
        packet = await self._read_packet()
        packet.check_error()
        return packet


class Connector:
    """Opens connections to one endpoint; learns the server's profile from the first."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.profile: ServerProfile | None = None

    async def open(self, user: BackendUser, shape: int) -> BackendConnection:
        """A connection ready for its first statement: authenticated, trackers on, multi-statements as asked.

        Raises BackendUnavailable with the server's own words.
        """
        return await self._bounded(self._open(user, shape))

    async def _bounded(self, work: Coroutine[Any, Any, T], within: float | None = None) -> T:
        """Run ``work`` under the connect timeout; every way to fail becomes BackendUnavailable."""
        name = self.endpoint.name
        seconds = self.endpoint.connect_timeout if within is None else within
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            raise BackendUnavailable(f"server {name}: no answer within {seconds:g} s") from None
        except Exception as error:
            # Not only MySQL and socket errors: aiomysql trips over malformed packets in every way Python has.
            raise BackendUnavailable(f"server {name}: {_words(error)}", refused=_is_refusal(error)) from error

    async def _open(self, user: BackendUser, shape: int) -> BackendConnection:
        profile = self.profile or await self._load_profile(user)
        raw = await self._login(user, client_flag=shape | _ALWAYS)
        connection = _adopt(raw, (user.name, shape, False), profile)
        if missing := Capability((raw.client_flag ^ shape) & FRAMING):
            connection.close()
            raise pymysql.NotSupportedError(f"the server does not offer {missing.name}, which the client was promised")
        await _settled(connection, profile)
        return connection

    async def _login(self, user: BackendUser, client_flag: int = 0) -> _GuardedConnection:
        endpoint = self.endpoint
        address = endpoint.address
        raw = _GuardedConnection(
            host=address.host or "localhost",
            port=address.port or 0,
            unix_socket=address.path,
            user=user.name,
            password=user.password.encode().decode("latin1"),
            charset="utf8mb4",
            autocommit=None,
            client_flag=int(client_flag),
            ssl=None if address.is_unix else endpoint.tls,
            program_name="mysql-query-router",
        )
        raw._attributes = user.attributes
        raw._tls_required = endpoint.tls_required and not address.is_unix
        try:
            await raw._connect()
        except BaseException:
            # aiomysql closes its socket after errors, but not when it is cancelled.
            raw.close()
            raise
        return raw

    async def ask(self, user: BackendUser, *queries: str) -> list[list[tuple[Any, ...]]]:
        """Rows of each query, over a connection of its own. Raises BackendUnavailable, on SQL errors too."""
        return await self._bounded(self._ask(user, queries))

    async def _ask(self, user: BackendUser, queries: tuple[str, ...]) -> list[list[tuple[Any, ...]]]:
        raw = await self._login(user)
        try:
            return [await _rows(raw, query) for query in queries]
        finally:
            raw.close()

    async def load_profile(self, user: BackendUser) -> ServerProfile:
        """Read and keep the server's profile. Raises BackendUnavailable."""
        return await self._bounded(self._load_profile(user))

    async def _load_profile(self, user: BackendUser) -> ServerProfile:
        raw = await self._login(user)
        try:
            self.profile = await _read_profile(raw)
        finally:
            raw.close()
        return self.profile

    def line(self, user: BackendUser) -> Line:
        """A line to ask the server again and again."""
        return Line(self, user)

    async def kill(self, user: BackendUser, thread_id: int, *, query_only: bool) -> None:
        """KILL [QUERY] a connection of ``user`` on this server."""
        await self.ask(user, f"KILL {'QUERY' if query_only else 'CONNECTION'} {int(thread_id)}")


class Line:
    """A connection that asks the server again and again: opened when it is needed, kept while it works.

    ``took``: seconds until the first of its latest questions was answered.
    """

    def __init__(self, connector: Connector, user: BackendUser) -> None:
        self._connector = connector
        self._user = user
        self._raw: _GuardedConnection | None = None
        self.took: float | None = None

    async def ask(self, queries: Sequence[str], within: float) -> dict[str, list[dict[str, Any]] | str]:
        """For each query its records (lower-case column → value), or in words what the server has against it.

        The first must be answered. Raises BackendUnavailable, when ``within`` seconds are over too.
        """
        return await self._connector._bounded(self._ask(queries), within)

    def close(self) -> None:
        """Close the connection; the next question opens another one."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    async def _ask(self, queries: Sequence[str]) -> dict[str, list[dict[str, Any]] | str]:
        if self._raw is not None:
            # The server may have ended a connection that was idle; whether it is alive, a new one tells.
            with contextlib.suppress(Exception):
                return await self._answers(self._raw, queries)
        self._raw = await self._connector._login(self._user)
        return await self._answers(self._raw, queries)

    async def _answers(self, raw: _GuardedConnection, queries: Sequence[str]) -> dict[str, list[dict[str, Any]] | str]:
        try:
            began = perf_counter()
            answers = {queries[0]: await _records(raw, queries[0], needed=True)}
            self.took = perf_counter() - began
            for query in queries[1:]:
                answers[query] = await _records(raw, query, needed=False)
            return answers
        except BaseException:
            self.close()
            raise


async def _records(raw: _GuardedConnection, query: str, *, needed: bool) -> list[dict[str, Any]] | str:
    try:
        async with raw.cursor() as cursor:
            await cursor.execute(query)
            names = [str(column[0]).lower() for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
    except pymysql.MySQLError as error:
        # From 2000 on: the client's own errors, of the connection.
        if needed or not error.args or not isinstance(error.args[0], int) or error.args[0] in _CLIENT_ERRORS:
            raise
        return _words(error)


def _adopt(raw: _GuardedConnection, key: PoolKey, profile: ServerProfile) -> BackendConnection:
    """Take the transport from aiomysql (recipe and proof: research on aiomysql, "adopt the transport")."""
    writer, reader = raw._writer, raw._reader
    transport = writer.transport
    transport.pause_reading()
    notice_silence(transport.get_extra_info("socket"))
    connection = BackendConnection(
        transport,
        key=key,
        thread_id=raw.thread_id(),
        deprecate_eof=bool(raw.client_flag & Capability.DEPRECATE_EOF),
        profile=profile,
        now=asyncio.get_running_loop().time(),
        keep=writer,
    )
    left = bytes(reader._buffer)
    transport.set_protocol(connection)
    raw._reader = raw._writer = None
    if left:
        transport.abort()
        raise ConnectionLost("the server sent bytes before the first command")
    transport.resume_reading()
    return connection


async def _settled(connection: BackendConnection, profile: ServerProfile) -> None:
    """Turn trackers on and set the baseline; wait until the server has agreed."""
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()

    def done(payload: bytes, error: bytes | None) -> None:
        if finished.done():
            return
        if error is not None:
            finished.set_exception(ConnectionLost(f"cannot set up the session: {error[9:].decode('utf-8', 'replace')}"))
        else:
            finished.set_result(None)

    def lost(error: ConnectionLost) -> None:
        if not finished.done():
            finished.set_exception(error)

    data = settle_commands(profile, connection.key[1], reset=False)
    connection.send(Capture(done, lost), data, prefix_replies=SETTLED_REPLIES - 1)
    try:
        await finished
    except BaseException:
        connection.close()
        raise
    connection.variables = BASELINE


async def _rows(raw: _GuardedConnection, query: str) -> list[tuple[Any, ...]]:
    async with raw.cursor() as cursor:
        await cursor.execute(query)
        return list(await cursor.fetchall())


async def _read_profile(raw: _GuardedConnection) -> ServerProfile:
    version: str = raw.server_version
    flavor, _ = parse_version(version)
    variables = {str(name).lower(): str(value) for name, value in await _rows(raw, "SHOW SESSION VARIABLES")}
    if flavor == "mariadb":
        known = await _rows(
            raw,
            "SELECT LOWER(VARIABLE_NAME), VARIABLE_TYPE FROM information_schema.SYSTEM_VARIABLES "
            "WHERE VARIABLE_SCOPE LIKE 'SESSION%' AND READ_ONLY = 'NO'",
        )
        types = {name: kind.split()[0] in ("BIGINT", "INT", "DOUBLE") for name, kind in known}
    else:
        types = await _mysql_types(raw, variables)
    tracked = frozenset(types) - VOLATILE_VARIABLES | CHARSET_GROUP
    collations = await _rows(
        raw,
        "SELECT ID, COLLATION_NAME, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL",
    )
    return ServerProfile(
        flavor=flavor,
        version=version,
        tracked=tracked & frozenset(variables),
        numeric=frozenset(name for name, numeric in types.items() if numeric),
        collations={int(number): (name, charset) for number, name, charset in collations if charset},
        sql_mode=variables.get("sql_mode", ""),
        character_set=variables.get("character_set_server", "utf8mb4"),
        collation=variables.get("collation_server", "utf8mb4_general_ci"),
        autocommit=variables.get("autocommit", "ON") == "ON",
        capabilities=int(raw.server_capabilities),
    )


async def _mysql_types(raw: _GuardedConnection, variables: dict[str, str]) -> dict[str, bool]:
    """Session variables of a MySQL server and whether they are numbers.

    ``performance_schema.variables_metadata`` says so from 9.1 on; before that, the value's look decides.
    """
    try:
        known = await _rows(
            raw,
            "SELECT VARIABLE_NAME, DATA_TYPE FROM performance_schema.variables_metadata "
            "WHERE VARIABLE_SCOPE LIKE 'SESSION%'",
        )
    except pymysql.MySQLError:
        return {name: value.replace(".", "", 1).lstrip("-").isdigit() for name, value in variables.items()}
    return {name: kind in ("Integer", "Numeric") for name, kind in known if name in variables}


def _is_refusal(error: BaseException) -> bool:
    """Whether somebody said no, and would again: not a lost line, nor a server that shuts down."""
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return True
    return isinstance(error, pymysql.MySQLError) and bool(error.args) and error.args[0] not in _LOST


def _words(error: BaseException) -> str:
    """The server's or the system's own words, without Python's dressing."""
    cause = error.__cause__
    if isinstance(error, pymysql.MySQLError) and len(error.args) > 1:
        text = str(error.args[1])
        return f"{text} ({cause})" if isinstance(cause, OSError) and str(cause) else text
    return str(error) or type(error).__name__
