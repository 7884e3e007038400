"""Opening connections: against real servers, and against servers that want what they must not get."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.backend.connection import BackendConnection, Capture
from router.backend.connector import BackendUser, Connector, Endpoint, _GuardedConnection
from router.backend.reset import BASELINE
from router.backend.sockets import SILENCE
from router.config.values import Address
from router.errors import BackendUnavailable
from router.sandbox import ReplicaSet, Server, free_port
from router.session.profile import CHARSET_GROUP, VOLATILE_VARIABLES
from router.wire.constants import Capability
from router.wire.ed25519 import check_ed25519, ed25519_key
from router.wire.packets import HandshakeResponse, decode_session_changes
from tests.fakes import PROFILE, payloads

PASSWORD = "pässwörd-✓-中"


def connector_to(server: Server, **options: object) -> Connector:
    address = Address(host="127.0.0.1", port=server.port)
    return Connector(replace(Endpoint(server.name, address), **options))  # type: ignore[arg-type]


def app(servers: ReplicaSet) -> BackendUser:
    return BackendUser("app", servers.app_password)


@contextlib.asynccontextmanager
async def opened(connector: Connector, user: BackendUser, shape: int = 0) -> AsyncIterator[BackendConnection]:
    connection = await connector.open(user, shape)
    try:
        yield connection
    finally:
        gone = asyncio.Event()
        connection.when_closed(lambda it: gone.set())
        if not connection.closed:
            connection.close()
            await asyncio.wait_for(gone.wait(), 5)


async def ask(connection: BackendConnection, sql: str) -> bytes:
    """The framed answer to a statement, errors included."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    capture = Capture(lambda payload, error: answer.set_result(payload), answer.set_exception)
    connection.send(capture, connection.query(sql))
    return await asyncio.wait_for(answer, 10)


# --- real servers -----------------------------------------------------------------------------------------------------


async def test_a_connection_is_ready_for_its_first_statement(server_set: ReplicaSet) -> None:
    async with opened(connector_to(server_set.primary), app(server_set)) as connection:
        assert not connection.busy
        assert connection.key == ("app", 0, False)
        assert connection.variables is BASELINE
        assert connection.schema is None
        assert connection.thread_id > 0
        answer = await ask(connection, "SELECT CONNECTION_ID(), CURRENT_USER(), DATABASE()")
        row = payloads(answer)[-2]
        assert str(connection.thread_id).encode() in row
        assert b"app@%" in row
        assert row.endswith(b"\xfb")


async def test_the_profile_is_read_from_the_server(server_set: ReplicaSet) -> None:
    connector = connector_to(server_set.primary)
    assert connector.profile is None
    async with opened(connector, app(server_set)) as connection:
        profile = connector.profile
        assert profile is not None
        assert connection.profile is profile
        assert profile.flavor == server_set.flavor
        assert {"sql_mode", "time_zone", "autocommit", "wait_timeout"} <= profile.tracked
        assert profile.tracked >= CHARSET_GROUP
        assert profile.tracked.isdisjoint(VOLATILE_VARIABLES)
        assert "wait_timeout" in profile.numeric
        assert profile.numeric.isdisjoint({"sql_mode", "time_zone", "character_set_client"})
        assert profile.collations[45] == ("utf8mb4_general_ci", "utf8mb4")
        assert "STRICT_TRANS_TABLES" in profile.sql_mode
        assert profile.character_set == "utf8mb4"
        assert profile.autocommit
        assert profile.capabilities & Capability.SESSION_TRACK


async def test_a_line_asks_again_and_again(server_set: ReplicaSet) -> None:
    line = connector_to(server_set.primary).line(app(server_set))
    who = "SELECT CONNECTION_ID() AS Who"

    async def answers(*queries: str) -> list[Any]:
        return list((await line.ask(queries, 5.0)).values())

    ((first,), wrong, (empty,)) = await answers(who, "SELECT nonsense", "SELECT NULL AS a, 1.5 AS b")
    assert list(first) == ["who"]
    assert "nonsense" in wrong, "it says what is wrong, and goes on"
    assert (empty["a"], float(empty["b"])) == (None, 1.5)
    assert await answers(who) == [[first]], "over the same connection"
    server_set.primary.execute(f"KILL {first['who']}")
    ((second,),) = await answers(who)
    assert second != first
    with pytest.raises(BackendUnavailable, match="nonsense"):
        await answers("SELECT nonsense", who)
    with pytest.raises(BackendUnavailable, match=r"no answer within 0\.1 s"):
        await line.ask(["SELECT SLEEP(5)"], 0.1)
    ((third,),) = await answers(who)
    assert third["who"] > second["who"]
    line.close()


async def test_the_profile_is_read_once(server_set: ReplicaSet) -> None:
    connector = connector_to(server_set.primary)
    async with opened(connector, app(server_set)):
        first = connector.profile
    async with opened(connector, app(server_set)) as connection:
        assert connection.profile is first


@pytest.mark.parametrize(
    ("sql", "name", "value"),
    [
        ("SET sql_mode = 'ANSI_QUOTES'", "sql_mode", "ANSI_QUOTES"),
        ("SET time_zone = '+02:00'", "time_zone", "+02:00"),
        ("SET wait_timeout = 77", "wait_timeout", "77"),
        ("SET NAMES latin1", "character_set_client", "latin1"),
    ],
)
async def test_trackers_report_variables(server_set: ReplicaSet, sql: str, name: str, value: str) -> None:
    async with opened(connector_to(server_set.primary), app(server_set)) as connection:
        await ask(connection, sql)
        changes = [decode_session_changes(blob) for blob in connection.scanner.changes]
        assert changes[0].variables[name] == value


async def test_trackers_report_the_rest(server_set: ReplicaSet) -> None:
    async with opened(connector_to(server_set.primary), app(server_set)) as connection:
        await ask(connection, "USE information_schema")
        assert decode_session_changes(connection.scanner.changes[0]).schema == "information_schema"
        await ask(connection, "SET @a = 1")
        assert decode_session_changes(connection.scanner.changes[0]).state_changed
        await ask(connection, "BEGIN")
        assert decode_session_changes(connection.scanner.changes[0]).transaction_characteristics


async def test_every_tracked_variable_can_be_taken_back_to_its_default(server_set: ReplicaSet) -> None:
    """A connection loses a variable that its next session does not have by SET … = DEFAULT."""
    connector = connector_to(server_set.primary)
    async with opened(connector, app(server_set)) as connection:
        assert connector.profile is not None
        for sql, name in (("SET sql_mode = 'ANSI'", "sql_mode"), ("SET time_zone = '+02:00'", "time_zone")):
            before = await ask(connection, f"SELECT @@{name}")
            await ask(connection, sql)
            await ask(connection, f"SET {name} = DEFAULT")
            assert await ask(connection, f"SELECT @@{name}") == before


@pytest.mark.parametrize("tls", [False, True])
async def test_mariadbs_capabilities_are_as_asked(mariadb_set: ReplicaSet, tls: bool) -> None:
    assert mariadb_set.certificates is not None
    context = ssl.create_default_context(cafile=str(mariadb_set.certificates.ca)) if tls else None
    connector = connector_to(mariadb_set.primary, tls=context, tls_required=tls)
    for shape in (0, int(Capability.MARIADB_EXTENDED_METADATA)):
        async with opened(connector, app(mariadb_set), shape) as connection:
            assert (b"\6\1\4json" in await ask(connection, "SELECT JSON_COMPACT('{}')")) is bool(shape)
    assert connector.profile is not None
    assert connector.profile.capabilities & Capability.MARIADB_STMT_BULK_OPERATIONS


@pytest.mark.parametrize("tls", [False, True])
async def test_connection_attributes(server_set: ReplicaSet, tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_set.certificates is not None
    context = ssl.create_default_context(cafile=str(server_set.certificates.ca)) if tls else None
    sent: list[bytes] = []

    class Watched(_GuardedConnection):
        def _write_bytes(self, data: bytes) -> None:
            sent.append(data)
            super()._write_bytes(data)

    monkeypatch.setattr("router.backend.connector._GuardedConnection", Watched)
    program = {"program_name": "shöp", "_pid": "7", "long": "x" * 300}
    user = app(server_set).on_behalf_of(program, "10.0.0.9")
    async with opened(connector_to(server_set.primary, tls=context), user) as connection:
        assert b"app@%" in await ask(connection, "SELECT CURRENT_USER()")
    logins = [HandshakeResponse.decode(data[4:]).attributes for data in sent if len(data) > 300]
    assert logins
    expected = {b"_client_ip": b"10.0.0.9", **{name.encode(): value.encode() for name, value in program.items()}}
    for attributes in logins:
        assert attributes.items() >= expected.items()
        assert b"_client_version" in attributes, "what the client does not say of itself is ours"


def test_attributes_are_bounded_and_the_address_is_ours() -> None:
    user = BackendUser("app", "secret")
    given = {"_client_ip": "forged", **{str(number): "x" * 1000 for number in range(10)}}
    kept = dict(user.on_behalf_of(given, "10.0.0.9").attributes)
    assert list(kept) == ["_client_ip", "0", "1", "2", "3"]
    assert kept["_client_ip"] == "10.0.0.9"
    assert user.on_behalf_of({}, None) == user
    assert "xxx" not in repr(user.on_behalf_of(given, None))


async def test_a_server_without_mariadbs_capabilities_is_none_for_such_clients(mysql_set: ReplicaSet) -> None:
    with pytest.raises(BackendUnavailable, match="does not offer MARIADB_STMT_BULK_OPERATIONS"):
        await connector_to(mysql_set.primary).open(app(mysql_set), int(Capability.MARIADB_STMT_BULK_OPERATIONS))


async def test_query_attributes_are_as_asked(mysql_set: ReplicaSet) -> None:
    shape = int(Capability.QUERY_ATTRIBUTES)
    async with opened(connector_to(mysql_set.primary), app(mysql_set), shape) as connection:
        assert b"one" in await ask(connection, "SELECT 'one'")
        assert connection.scanner.error is None


async def test_a_server_without_query_attributes_is_none_for_such_clients(mariadb_set: ReplicaSet) -> None:
    with pytest.raises(BackendUnavailable, match="does not offer QUERY_ATTRIBUTES") as error:
        await connector_to(mariadb_set.primary).open(app(mariadb_set), int(Capability.QUERY_ATTRIBUTES))
    assert error.value.refused


@pytest.mark.parametrize("wanted", [False, True])
async def test_multi_statements_are_as_asked(server_set: ReplicaSet, wanted: bool) -> None:
    shape = int(Capability.MULTI_STATEMENTS) if wanted else 0
    async with opened(connector_to(server_set.primary), app(server_set), shape) as connection:
        assert connection.key == ("app", shape, False)
        await ask(connection, "SELECT 1; SELECT 2")
        assert (connection.scanner.error is None) is wanted


@pytest.mark.parametrize("wanted", [False, True])
async def test_deprecate_eof_is_as_asked(server_set: ReplicaSet, wanted: bool) -> None:
    shape = int(Capability.DEPRECATE_EOF) if wanted else 0
    async with opened(connector_to(server_set.primary), app(server_set), shape) as connection:
        assert connection.deprecate_eof is wanted
        answer = payloads(await ask(connection, "SELECT 1"))
        assert len(answer) == (4 if wanted else 5)


async def test_found_rows_is_as_asked(server_set: ReplicaSet, fresh_database: str) -> None:
    primary = server_set.primary
    primary.execute(f"CREATE TABLE {fresh_database}.t (a INT)")
    primary.execute(f"INSERT INTO {fresh_database}.t VALUES (1)")
    for shape, affected in ((0, 0), (int(Capability.FOUND_ROWS), 1)):
        async with opened(connector_to(primary), app(server_set), shape) as connection:
            await ask(connection, f"UPDATE {fresh_database}.t SET a = 1")
            assert connection.scanner.affected_rows == affected


@pytest.mark.parametrize("plugin", ["mysql_native_password", "caching_sha2_password"])
async def test_passwords_of_any_characters(request: pytest.FixtureRequest, plugin: str) -> None:
    native = plugin == "mysql_native_password"
    servers: ReplicaSet = request.getfixturevalue("mariadb_set" if native else "mysql_set")
    root = servers.primary
    by = f"VIA {plugin} USING PASSWORD('{PASSWORD}')" if native else f"WITH {plugin} BY '{PASSWORD}'"
    root.execute(f"CREATE USER strange@'%' IDENTIFIED {by}")
    try:
        for _ in range(2):  # MySQL asks for the password itself only the first time
            async with opened(connector_to(root), BackendUser("strange", PASSWORD)) as connection:
                assert b"strange@%" in await ask(connection, "SELECT CURRENT_USER()")
        with pytest.raises(BackendUnavailable, match="Access denied for user 'strange'"):
            await connector_to(root).open(BackendUser("strange", PASSWORD + "x"), 0)
    finally:
        root.execute("DROP USER strange@'%'")


async def test_a_machine_that_vanishes_is_noticed(server_set: ReplicaSet) -> None:
    async with opened(connector_to(server_set.primary), app(server_set)) as connection:
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        asked = [sock.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)]
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) + asked[0] * asked[1] == SILENCE


async def test_a_wrong_password_fails_in_the_servers_words(server_set: ReplicaSet) -> None:
    with pytest.raises(BackendUnavailable) as error:
        await connector_to(server_set.primary).open(BackendUser("app", "wrong"), 0)
    text = str(error.value)
    assert error.value.refused
    assert text.startswith("server primary: Access denied for user 'app'@'")
    assert "wrong" not in text


async def test_a_unix_socket(server_set: ReplicaSet) -> None:
    address = Address(path=str(server_set.primary.socket))
    async with opened(Connector(Endpoint("primary", address, tls_required=True)), app(server_set)) as connection:
        assert b"app@%" in await ask(connection, "SELECT CURRENT_USER()")


@pytest.mark.parametrize("required", [False, True])
async def test_tls(server_set: ReplicaSet, required: bool) -> None:
    assert server_set.certificates is not None
    context = ssl.create_default_context(cafile=str(server_set.certificates.ca))
    connector = connector_to(server_set.primary, tls=context, tls_required=required)
    async with opened(connector, app(server_set)) as connection:
        assert b"TLS" in await ask(connection, "SHOW STATUS LIKE 'Ssl_version'")
        await ask(connection, "SET sql_mode = 'ANSI'")
        assert connection.scanner.changes


async def test_a_certificate_of_a_stranger(server_set: ReplicaSet) -> None:
    connector = connector_to(server_set.primary, tls=ssl.create_default_context(), tls_required=True)
    with pytest.raises(BackendUnavailable, match=r"(?i)certificate") as error:
        await connector.open(app(server_set), 0)
    assert error.value.refused


async def test_who_does_not_listen_has_not_refused() -> None:
    connector = Connector(Endpoint("nobody", Address(host="127.0.0.1", port=free_port())))
    with pytest.raises(BackendUnavailable) as error:
        await connector.open(BackendUser("app", ""), 0)
    assert not error.value.refused


async def test_asking(server_set: ReplicaSet) -> None:
    connector = connector_to(server_set.primary)
    assert await connector.ask(app(server_set), "SELECT 1, 'a'", "SELECT 2") == [[(1, "a")], [(2,)]]
    with pytest.raises(BackendUnavailable, match="nonsense"):
        await connector.ask(app(server_set), "SELECT nonsense")


async def test_kill(server_set: ReplicaSet) -> None:
    connector = connector_to(server_set.primary)
    async with opened(connector, app(server_set)) as connection:
        gone = asyncio.Event()
        connection.when_closed(lambda it: gone.set())
        sleeping = asyncio.create_task(ask(connection, "SELECT SLEEP(30)"))
        running = False
        while not running:
            processes = await asyncio.to_thread(server_set.primary.execute, "SHOW PROCESSLIST")
            running = any(row[0] == connection.thread_id and "SLEEP" in str(row[7]) for row in processes)
        await connector.kill(app(server_set), connection.thread_id, query_only=True)
        await sleeping
        assert not connection.closed
        await connector.kill(app(server_set), connection.thread_id, query_only=False)
        await asyncio.wait_for(gone.wait(), 5)
        assert connection.closed
    with pytest.raises(BackendUnavailable, match="Unknown thread id"):
        await connector.kill(app(server_set), connection.thread_id, query_only=True)


# --- hostile servers --------------------------------------------------------------------------------------------------

NONCE = b"a" * 20
BASIC = (
    Capability.LONG_PASSWORD
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
)


def greeting(capabilities: int = int(BASIC), plugin: bytes = b"caching_sha2_password") -> bytes:
    payload = (
        b"\x0a8.0.99\0"
        + struct.pack("<I", 1)
        + NONCE[:8]
        + b"\0"
        + struct.pack("<HBHH", capabilities & 0xFFFF, 45, 2, capabilities >> 16)
        + bytes([21])
        + bytes(10)
        + NONCE[8:]
        + b"\0"
        + plugin
        + b"\0"
    )
    return packet(payload, 0)


def packet(payload: bytes, sequence: int) -> bytes:
    return struct.pack("<I", len(payload))[:3] + bytes([sequence]) + payload


class Line:
    """The server's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.received = b""

    async def read(self) -> tuple[int, bytes]:
        header = await self._reader.readexactly(4)
        payload = await self._reader.readexactly(int.from_bytes(header[:3], "little"))
        self.received += header + payload
        return header[3], payload


class FakeServer:
    """A server that behaves as ``script`` says and remembers everything it was told."""

    def __init__(self, script: Callable[[Line], Awaitable[None]]) -> None:
        self._script = script
        self.lines: list[Line] = []
        self._tasks: set[asyncio.Task[None] | None] = set()
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        self.lines.append(line)
        self._tasks.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._script(line)
            while data := await reader.read(65536):
                line.received += data
        writer.close()

    @property
    def received(self) -> bytes:
        return b"".join(line.received for line in self.lines)

    @contextlib.asynccontextmanager
    async def open(self, **options: object) -> AsyncIterator[Connector]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint("fake", Address(host="127.0.0.1", port=self.port), connect_timeout=2.0)
        try:
            yield Connector(replace(endpoint, **options))  # type: ignore[arg-type]
        finally:
            server.close()
            for line in self.lines:
                line.writer.transport.abort()
            await asyncio.gather(*(task for task in self._tasks if task is not None))
            await server.wait_closed()


USER = BackendUser("app", "TopSecret")


async def refused(server: FakeServer, **options: object) -> str:
    """Why no connection could be opened; nothing secret has been told."""
    async with server.open(**options) as connector:
        with pytest.raises(BackendUnavailable) as error:
            async with asyncio.timeout(3):
                await connector.open(USER, 0)
    assert b"TopSecret" not in server.received
    assert "TopSecret" not in str(error.value)
    assert str(error.value).startswith("server fake: ")
    return str(error.value)


async def ask_for_full_authentication(line: Line) -> None:
    line.writer.write(greeting())
    sequence, _ = await line.read()
    line.writer.write(packet(b"\x01\x04", sequence + 1))
    await line.read()


async def test_tls_cannot_be_stripped() -> None:
    """A greeting without CLIENT_SSL is no reason to go on in clear text when TLS is required."""
    server = FakeServer(ask_for_full_authentication)
    text = await refused(server, tls=ssl.create_default_context(), tls_required=True)
    assert "TLS" in text
    assert server.received == b"", "not even the user's name may be told"


@pytest.mark.parametrize("switch", [False, True], ids=["greeting", "switch"])
async def test_a_password_in_clear_is_refused(switch: bool) -> None:
    async def script(line: Line) -> None:
        line.writer.write(greeting(plugin=b"caching_sha2_password" if switch else b"mysql_clear_password"))
        sequence, _ = await line.read()
        line.writer.write(packet(b"\xfemysql_clear_password\0", sequence + 1))

    assert "clear" in await refused(FakeServer(script))


async def test_ed25519() -> None:
    nonce = NONCE + bytes(12)

    async def script(line: Line) -> None:
        line.writer.write(greeting(plugin=b"mysql_native_password"))
        sequence, _ = await line.read()
        line.writer.write(packet(b"\xfeclient_ed25519\0" + nonce, sequence + 1))
        sequence, signature = await line.read()
        right = check_ed25519(ed25519_key(b"TopSecret"), nonce, signature)
        verdict = b"\xff\x15\x04#28000It was right" if right else b"\xff\x15\x04#28000It was wrong"
        line.writer.write(packet(verdict, sequence + 1))

    assert "It was right" in await refused(FakeServer(script))


@pytest.mark.parametrize("plugin", [b"dialog", b"mysql_old_password", b"client_ed25519", b"\xff\xfe", b""])
async def test_plugins_nobody_has_proven_are_refused(plugin: bytes) -> None:
    async def script(line: Line) -> None:
        line.writer.write(greeting())
        sequence, _ = await line.read()
        line.writer.write(packet(b"\xfe" + plugin + b"\0" + NONCE + b"\0", sequence + 1))

    await refused(FakeServer(script))


async def test_an_old_server_is_refused() -> None:
    async def script(line: Line) -> None:
        line.writer.write(greeting(int(BASIC & ~Capability.PLUGIN_AUTH)))

    assert "plugin" in await refused(FakeServer(script))


async def test_a_black_hole_times_out() -> None:
    server = FakeServer(lambda line: asyncio.sleep(0))
    assert "no answer within 0.2 s" in await refused(server, connect_timeout=0.2)


async def test_a_server_that_falls_silent_after_its_greeting_times_out() -> None:
    async def script(line: Line) -> None:
        line.writer.write(greeting())

    assert "no answer within 0.2 s" in await refused(FakeServer(script), connect_timeout=0.2)


async def test_a_server_that_falls_silent_after_the_login_times_out() -> None:
    async def script(line: Line) -> None:
        line.writer.write(greeting())
        sequence, _ = await line.read()
        line.writer.write(packet(b"\0\0\0\2\0\0\0", sequence + 1))

    assert "no answer within 0.2 s" in await refused(FakeServer(script), connect_timeout=0.2)


async def test_bytes_behind_the_login_belong_to_nobody() -> None:
    async def script(line: Line) -> None:
        line.writer.write(greeting())
        sequence, _ = await line.read()
        welcome = packet(b"\0\0\0\2\0\0\0", sequence + 1)
        line.writer.write(welcome + packet(b"\0\1\1\2\0\0\0", 1) * 3)

    server = FakeServer(script)
    async with server.open() as connector:
        connector.profile = PROFILE
        with pytest.raises(BackendUnavailable, match="before the first command"):
            await connector.open(USER, 0)


async def test_a_login_that_nobody_waits_for_any_more_is_hung_up() -> None:
    silent = asyncio.Event()
    hung_up = asyncio.Event()

    async def script(line: Line) -> None:
        line.writer.write(greeting())
        await line.read()
        silent.set()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await line.read()
        hung_up.set()

    async with FakeServer(script).open() as connector:
        connector.profile = PROFILE
        login = asyncio.ensure_future(connector.open(USER, 0))
        await silent.wait()
        login.cancel()
        with pytest.raises(asyncio.CancelledError):
            await login
        await asyncio.wait_for(hung_up.wait(), 1)


async def test_nobody_listens() -> None:
    server = FakeServer(lambda line: asyncio.sleep(0))
    async with server.open() as connector:
        pass
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1"):
        await connector.open(USER, 0)


async def test_a_full_server_says_so() -> None:
    async def script(line: Line) -> None:
        line.writer.write(packet(b"\xff\x10\x04Too many connections", 0))
        line.writer.close()

    assert "Too many connections" in await refused(FakeServer(script))


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" * 400_000,
        packet(b"", 0),
        packet(b"\x0a", 0),
        packet(b"\x0a8.0.99\0\1", 0),
        packet(b"\x0a" + b"x" * 5, 0),
        packet(b"\x09old\0" + bytes(40), 0),
        packet(b"\xff", 0),
        greeting()[:30],
        greeting()[:3] + b"\x05" + greeting()[4:],
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["http", "empty", "one", "cut", "endless", "old", "error", "half", "sequence", "ssh"],
)
async def test_a_greeting_that_makes_no_sense(nonsense: bytes) -> None:
    """Whatever the bytes are, the pool is told in the one way it understands."""

    async def script(line: Line) -> None:
        line.writer.write(nonsense)
        line.writer.write_eof()

    await refused(FakeServer(script), connect_timeout=1.0)


@pytest.mark.parametrize("answer", [b"", b"\x01", b"\x01\x05", b"\xfe", b"\xff", b"\x00", b"\x07what"], ids=range(7))
async def test_an_answer_to_the_login_that_makes_no_sense(answer: bytes) -> None:
    async def script(line: Line) -> None:
        line.writer.write(greeting())
        sequence, _ = await line.read()
        line.writer.write(packet(answer, sequence + 1))
        line.writer.write_eof()

    await refused(FakeServer(script), connect_timeout=1.0)


async def test_the_account_does_not_show_its_password(tmp_path: Path) -> None:
    assert "TopSecret" not in repr(USER)
    assert "TopSecret" not in repr(Endpoint("db", Address(path=str(tmp_path / "sock"))))
