"""Logins over real sockets: who gets in, who does not and what they are told, and that no place is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.config.models import RouterConfig
from router.errors import MySQLError
from router.frontend.auth import Account, Directory, RsaKeyPair
from router.frontend.connection import ClientConnection
from router.frontend.login import CAPABILITIES, Door, LoginConnection, Welcome
from router.metrics import Counters
from router.sandbox.tls import Certificates, make_certificates
from router.wire.constants import Capability
from router.wire.framing import PacketDecoder, frame
from router.wire.handshake import Login
from router.wire.packets import Greeting, HandshakeResponse, SslRequest
from router.wire.scramble import make_sha2_crypt, native_hash, sha2_scramble
from tests.fakes import AUTOCOMMIT, LOOPS, error_of, ok, payloads, run_on

PASSWORD = "sécret✓"
CRYPT = make_sha2_crypt(PASSWORD.encode(), b"saltsaltsaltsaltsalt", 5000)
NATIVE = "*" + native_hash(PASSWORD.encode()).hex().upper()
USERS: dict[str, dict[str, Any]] = {
    "app": {"password": PASSWORD},
    "empty": {},
    "native": {"password_hash": NATIVE},
    "sha2": {"password_hash": CRYPT},
    "careful": {"password": PASSWORD, "tls": "required"},
    "elsewhere": {"password": PASSWORD, "hosts": ["10.0.0.0/8"]},
    "here": {"password": PASSWORD, "hosts": ["127.0.0.0/8"]},
    "shop": {"password": PASSWORD, "schemas": ["shop"], "default_schema": "shop"},
    "single": {"password": PASSWORD, "max_connections": 1},
}
LOGIN = CAPABILITIES & ~(
    Capability.CONNECT_WITH_DB | Capability.CONNECT_ATTRS | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


class Echo:
    """A session that answers OK to everything but COM_QUIT."""

    def __init__(self, client: ClientConnection, lost: Callable[[], None]) -> None:
        self._client = client
        self.lost = lost

    def command(self, frames: bytes, payload: bytes | None) -> None:
        if frames[4] == 1:
            self._client.end()
        else:
            self._client.write(ok())
            self._client.finished()

    def paused(self) -> None: ...

    def resumed(self) -> None: ...

    def file_data(self, data: bytes, complete: bool) -> None: ...


class House:
    """A listener around one ``Door``, with a count of who is inside."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        tls_required: bool = False,
        timeout: float = 5.0,
        places: int = 10,
        prepare: Callable[[str | None], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        settings = {"groups": {"main": {"servers": ["127.0.0.1:3306"]}}, "users": USERS}
        self.counters = Counters()
        self.directory = Directory(RouterConfig.model_validate(settings))
        self.places = places
        self.inside = 0
        self.empty = asyncio.Event()
        self.welcomes: list[Welcome] = []
        self.port = 0
        self._prepare = prepare
        self._ids = 0
        self.door = Door(
            directory=self.directory,
            counters=self.counters,
            rsa=RsaKeyPair(),
            tls=tls,
            tls_required=tls_required,
            timeout=timeout,
            greeting=lambda: ("9.7.0-router", int(CAPABILITIES | Capability.DEPRECATE_EOF), 255),
            nonce=lambda: bytes(range(65, 85)),
            decoy=b"decoy",
            next_id=self._next_id,
            full=self._full,
            prepare=self._prepared,
            enter=self._enter,
            leave=self._left,
        )

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids

    def _full(self) -> bool:
        if self.inside >= self.places:
            return True
        self.inside += 1
        self.empty.clear()
        return False

    def _left(self) -> None:
        self.inside -= 1
        assert self.inside >= 0, "a place was given back twice"
        if not self.inside:
            self.empty.set()

    def _prepared(self, account: Account, schema: str | None, login: Login) -> asyncio.Future[None] | None:
        if self._prepare is None:
            return None
        return asyncio.get_running_loop().create_task(self._prepare(schema))

    def _enter(self, transport: asyncio.Transport, welcome: Welcome) -> int:
        self.welcomes.append(welcome)
        client = ClientConnection(transport, 1 << 20, self.counters, 0.0)

        def lost() -> None:
            welcome.account.leave()
            self._left()

        client.start(Echo(client, lost))
        transport.set_protocol(client)  # type: ignore[arg-type]
        return AUTOCOMMIT

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: LoginConnection(self.door, unix=False), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def connect(self, user: str = "app", password: str = PASSWORD, **options: Any) -> Connection:
        """PyMySQL in a thread."""
        wanted: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "connect_timeout": 10, "read_timeout": 10}
        return await asyncio.to_thread(lambda: pymysql.connect(user=user, password=password, **wanted | options))

    async def visit(self, user: str = "app", password: str = PASSWORD, **options: Any) -> None:
        """Log in, run a command, leave; the house is empty afterwards."""
        connection = await self.connect(user, password, **options)
        await asyncio.to_thread(connection.ping, reconnect=False)
        await asyncio.to_thread(connection.close)
        await self.left()

    async def refused(self, user: str = "app", password: str = PASSWORD, **options: Any) -> tuple[int, str]:
        """The error that a login ends in; nobody is inside afterwards."""
        before = self.inside
        with pytest.raises(pymysql.MySQLError) as error:
            await self.connect(user, password, **options)
        if not before:
            await self.left()
        return error.value.args[0], error.value.args[1]

    async def left(self) -> None:
        await asyncio.wait_for(self.empty.wait(), 5)


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a test's coroutine on each kind of loop."""
    return lambda work: run_on(request.param, work)


Run = Callable[[Coroutine[Any, Any, None]], None]


def server_context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


def client_context(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


# --- who gets in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["app", "native", "sha2", "here", "shop", "single"])
def test_the_right_password(run: Run, user: str) -> None:
    async def test() -> None:
        async with House().open() as house:
            await house.visit(user)
            assert house.counters.connections == {"accepted": 1}
            (welcome,) = house.welcomes
            assert welcome.account.name == user
            assert welcome.client_host == welcome.client_address == "127.0.0.1"
            assert welcome.connection_id == 1
            assert welcome.account.active == 0

    run(test())


def test_no_password(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            await house.visit("empty", "")
            code, text = await house.refused("empty", "guess")
            assert code == 1045
            assert "using password: YES" in text

    run(test())


def test_a_stored_hash_is_asked_for_once(run: Run) -> None:
    """Full authentication over RSA; then its digest is known and the fast path is enough."""

    async def test() -> None:
        async with House().open() as house:
            await house.visit("sha2")
            assert house.welcomes[0].login.password == PASSWORD.encode()
            await house.visit("sha2")
            assert house.welcomes[1].login.password is None
            assert (await house.refused("sha2", "wrong"))[0] == 1045

    run(test())


def test_the_schema_of_a_login(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            await house.visit("app")
            await house.visit("app", database="blog")
            await house.visit("shop")
            await house.visit("shop", database="shop")
            assert [welcome.schema for welcome in house.welcomes] == [None, "blog", "shop", "shop"]

    run(test())


def test_a_session_begins_only_when_its_schema_is_known(run: Run) -> None:
    async def test() -> None:
        gate = asyncio.Event()

        async def prepare(schema: str | None) -> None:
            assert schema == "blog"
            await gate.wait()

        async with House(prepare=prepare).open() as house:
            visit = asyncio.create_task(house.visit(database="blog"))
            while not house.inside:
                await asyncio.sleep(0.001)
            assert house.welcomes == []
            gate.set()
            await visit
            assert len(house.welcomes) == 1

    run(test())


# --- who does not -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["app", "native", "sha2", "nobody", "elsewhere"])
@pytest.mark.parametrize("password", ["wrong", ""])
def test_all_wrong_passwords_get_the_same_words(run: Run, user: str, password: str) -> None:
    async def test() -> None:
        async with House().open() as house:
            using = "YES" if password else "NO"
            expected = f"Access denied for user '{user}'@'127.0.0.1' (using password: {using})"
            assert await house.refused(user, password) == (1045, expected)
            assert house.counters.connections == {"denied": 1}
            assert sum(house.counters.auth_failures.values()) == 1

    run(test())


@pytest.mark.parametrize("user", ["nobody", "elsewhere"])
def test_no_password_is_right_for_a_stranger(run: Run, user: str) -> None:
    async def test() -> None:
        async with House().open() as house:
            assert (await house.refused(user))[0] == 1045

    run(test())


def test_a_schema_the_user_may_not_use(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            code, text = await house.refused("shop", database="secret")
            assert (code, text) == (1044, "Access denied for user 'shop'@'127.0.0.1' to database 'secret'")
            assert house.directory.account("shop").active == 0

    run(test())


def test_a_schema_the_server_does_not_know(run: Run) -> None:
    async def test() -> None:
        async def prepare(schema: str | None) -> None:
            raise MySQLError(1049, "42000", f"Unknown database '{schema}'")

        async with House(prepare=prepare).open() as house:
            assert await house.refused(database="nowhere") == (1049, "Unknown database 'nowhere'")
            assert house.directory.account("app").active == 0

    run(test())


def test_too_many_sessions_of_one_user(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            first = await house.connect("single")
            assert (await house.refused("single"))[0] == 1226
            await asyncio.to_thread(first.close)
            await house.left()
            await house.visit("single")

    run(test())


def test_a_full_house(run: Run) -> None:
    async def test() -> None:
        async with House(places=1).open() as house:
            first = await house.connect()
            assert await house.refused() == (1040, "Too many connections")
            assert house.counters.connections == {"accepted": 1, "refused": 1}
            await asyncio.to_thread(first.close)
            await house.left()
            await house.visit()

    run(test())


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["app", "native", "sha2", "careful"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls(run: Run, certificates: Certificates, user: str, version: ssl.TLSVersion) -> None:
    async def test() -> None:
        context = client_context(certificates.ca)
        context.minimum_version = context.maximum_version = version
        async with House(tls=server_context(certificates)).open() as house:
            await house.visit(user, ssl=context)
            assert (await house.refused(user, "wrong", ssl=context))[0] == 1045

    run(test())


def test_a_user_who_must_come_by_tls(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with House(tls=server_context(certificates)).open() as house:
            assert (await house.refused("careful"))[0] == 1045

    run(test())


def test_a_listener_that_requires_tls(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with House(tls=server_context(certificates), tls_required=True).open() as house:
            assert (await house.refused())[0] == 3159
            await house.visit(ssl=client_context(certificates.ca))

    run(test())


def test_a_client_that_breaks_off_tls(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with House(tls=server_context(certificates)).open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            await greeting(reader)
            writer.write(frame(SslRequest(int(LOGIN | Capability.SSL), 0, 45).encode(), 1))
            writer.write(b"this is no ClientHello")
            assert not payloads_or_nothing(await reader.read())
            writer.close()
            await house.left()
            assert house.counters.connections == {"aborted": 1}

    run(test())


def test_a_response_right_behind_the_end_of_the_tls_handshake(run: Run, certificates: Certificates) -> None:
    """In TLS 1.3 the client speaks last: its Finished and its first data may come in one segment."""

    async def test() -> None:
        async with House(tls=server_context(certificates)).open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            nonce = (await greeting(reader)).nonce
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = client_context(certificates.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
            first = frame(SslRequest(int(LOGIN | Capability.SSL), 0, 45).encode(), 1)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(first + outgoing.read())
                    first = b""
                    incoming.write(await reader.read(65536))
            tls.write(frame(response(nonce, Capability.SSL).encode(), 2))
            writer.write(outgoing.read())
            answer = b""
            while len(answer) < 7 + 11:
                try:
                    answer += tls.read(65536)
                except ssl.SSLWantReadError:
                    data = await asyncio.wait_for(reader.read(65536), 5)
                    assert data, "the router hung up"
                    incoming.write(data)
            assert payloads(answer)[-1][0] == 0
            writer.close()
            await house.left()

    run(test())


# --- limits and nonsense ----------------------------------------------------------------------------------------------


async def greeting(reader: asyncio.StreamReader) -> Greeting:
    header = await reader.readexactly(4)
    return Greeting.decode(await reader.readexactly(int.from_bytes(header[:3], "little")))


def response(nonce: bytes, more: Capability = Capability(0)) -> HandshakeResponse:
    return HandshakeResponse(
        capabilities=int(LOGIN | more),
        max_packet=0,
        collation_id=45,
        username=b"app",
        auth_response=sha2_scramble(PASSWORD.encode(), nonce),
        auth_plugin=b"caching_sha2_password",
    )


def payloads_or_nothing(data: bytes) -> list[bytes]:
    """Whole packets in ``data``, which may be something else."""
    decoder = PacketDecoder(1 << 16)
    decoder.feed(data)
    packet = decoder.next_packet()
    return [packet.payload] if packet is not None and packet.payload[:1] == b"\0" else []


def test_who_says_nothing_is_sent_away(run: Run) -> None:
    async def test() -> None:
        async with House(timeout=0.2).open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            await greeting(reader)
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            await house.left()
            assert house.counters.connections == {"timeout": 1}

    run(test())


def test_who_stops_half_way_through_tls_is_sent_away(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with House(tls=server_context(certificates), timeout=0.2).open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            await greeting(reader)
            writer.write(frame(SslRequest(int(LOGIN | Capability.SSL), 0, 45).encode(), 1))
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            await house.left()
            assert sum(house.counters.connections.values()) == 1

    run(test())


def test_a_login_that_takes_too_long_behind_the_password_gives_its_place_back(run: Run) -> None:
    async def test() -> None:
        gate = asyncio.Event()

        async def prepare(schema: str | None) -> None:
            await gate.wait()

        async with House(timeout=0.2, prepare=prepare).open() as house:
            with pytest.raises(pymysql.OperationalError):
                await house.connect(database="slow")
            await house.left()
            gate.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert house.welcomes == []
            assert house.directory.account("app").active == 0

    run(test())


def test_time_does_not_run_for_who_is_in(run: Run) -> None:
    async def test() -> None:
        async with House(timeout=0.1).open() as house:
            connection = await house.connect()
            await asyncio.sleep(0.2)
            await asyncio.to_thread(connection.ping, reconnect=False)
            await asyncio.to_thread(connection.close)
            await house.left()

    run(test())


def test_a_login_packet_that_is_too_large(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            await greeting(reader)
            writer.write(b"\xff\xff\xff\x01")
            assert error_of(await asyncio.wait_for(reader.read(), 5))[0] == 1153
            writer.close()
            await house.left()

    run(test())


@pytest.mark.parametrize("rest", [b"", b"x" * 100], ids=["header", "more"])
def test_a_login_packet_that_is_too_large_inside_tls(run: Run, certificates: Certificates, rest: bytes) -> None:
    async def test() -> None:
        async with House(tls=server_context(certificates)).open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            await greeting(reader)
            writer.write(frame(SslRequest(int(LOGIN | Capability.SSL), 0, 45).encode(), 1))
            await writer.start_tls(client_context(certificates.ca), server_hostname="localhost")
            await asyncio.sleep(0.05)  # another test is about data right behind the handshake
            writer.write(b"\xff\xff\xff\x02" + rest)
            with contextlib.suppress(ConnectionResetError):
                assert error_of(await asyncio.wait_for(reader.read(), 5))[0] == 1153
            writer.close()
            await house.left()

    run(test())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"", 1), 1043),
        (frame(b"\x85\xa6", 1), 1043),
        (frame(b"GET / HTTP/1.1", 1), None),
        (frame(b"\x05\0\0\0\0root\0", 1), 1251),
        (frame(response(bytes(range(65, 85))).encode(), 7), 1156),
        (frame(response(bytes(range(65, 85))).encode()[:40], 1), 1043),
    ],
    ids=["empty", "short", "http", "old", "sequence", "cut"],
)
def test_nonsense(run: Run, data: bytes, code: int | None) -> None:
    async def test() -> None:
        async with House().open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            await greeting(reader)
            writer.write(data)
            answer = await asyncio.wait_for(reader.read(), 5)
            assert payloads(answer)[0][0] == 0xFF
            if code is not None:
                (payload,) = payloads(answer)
                assert int.from_bytes(payload[1:3], "little") == code
            writer.close()
            await house.left()
            await house.visit()

    run(test())


def test_who_leaves_before_the_end(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            await greeting(reader)
            writer.write(b"\x20\0\0")
            writer.close()
            await house.left()
            assert house.counters.connections == {"aborted": 1}

    run(test())
