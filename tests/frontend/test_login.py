"""Logins over real sockets: who gets in, who does not and what they are told, and that no place is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pymysql
import pytest

from router.errors import MySQLError
from router.frontend.login import CAPABILITIES
from router.sandbox.tls import Certificates, make_certificates
from router.wire.constants import Capability
from router.wire.framing import PacketDecoder, frame
from router.wire.packets import HandshakeResponse, SslRequest
from router.wire.scramble import sha2_scramble
from tests.fakes import error_of, payloads
from tests.frontend.house import NONCE, PASSWORD, House, Run

LOGIN = CAPABILITIES & ~(
    Capability.CONNECT_WITH_DB | Capability.CONNECT_ATTRS | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


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


def test_nobody_during_maintenance(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            house.closed = True
            house.empty.set()
            code, text = await house.refused("app", PASSWORD)
            assert (code, "maintenance" in text) == (3032, True)
            assert house.counters.connections == {"refused": 1}
            assert house.inside == 0
            house.closed = False
            await house.visit("app")

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
        asked, gate = asyncio.Event(), asyncio.Event()

        async def prepare(schema: str | None) -> None:
            assert schema == "blog"
            asked.set()
            await gate.wait()

        async with House(prepare=prepare).open() as house:
            visit = asyncio.create_task(house.visit(database="blog"))
            await asyncio.wait_for(asked.wait(), 5)
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


@pytest.mark.parametrize("user", ["app", "native", "sha2", "empty"])
def test_a_greeting_with_the_other_plugin(run: Run, user: str) -> None:
    """In front of MariaDB the greeting names mysql_native_password, whatever the users have."""

    async def test() -> None:
        async with House(plugin="mysql_native_password").open() as house:
            await house.visit(user, "" if user == "empty" else PASSWORD)
            assert (await house.refused(user, "wrong"))[0] == 1045

    run(test())


def test_a_client_that_does_not_know_the_greetings_plugin_is_asked_again(run: Run) -> None:
    """MySQL 9 knows mysql_native_password no more: it answers with its own plugin, an empty response, and waits."""

    async def test() -> None:
        async with House(plugin="mysql_native_password").open() as house, house.dial() as (reader, writer):
            response = HandshakeResponse(
                capabilities=int(LOGIN),
                max_packet=0,
                collation_id=45,
                username=b"app",
                auth_response=b"",
                database=None,
                auth_plugin=b"caching_sha2_password",
                attributes={},
            )
            writer.write(frame(response.encode(), 1))
            head = await reader.readexactly(4)
            payload = await reader.readexactly(head[0])
            assert payload == b"\xfecaching_sha2_password\0" + NONCE + b"\0"
            writer.write(frame(sha2_scramble(PASSWORD.encode(), NONCE), 3))
            assert await reader.readexactly(6) == frame(b"\1\3", 4)
            assert (await reader.readexactly(5))[4] == 0

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
            assert (await house.refused("careful", ssl_disabled=True))[0] == 1045

    run(test())


def test_a_listener_that_requires_tls(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with House(tls=server_context(certificates), tls_required=True).open() as house:
            assert (await house.refused(ssl_disabled=True))[0] == 3159
            await house.visit(ssl=client_context(certificates.ca))

    run(test())


def test_a_client_that_breaks_off_tls(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with House(tls=server_context(certificates)).open() as house:
            async with house.dial() as (reader, writer):
                writer.write(frame(SslRequest(int(LOGIN | Capability.SSL), 0, 45).encode(), 1))
                writer.write(b"this is no ClientHello")
                assert not payloads_or_nothing(await reader.read())
            await house.left()
            assert house.counters.connections == {"aborted": 1}

    run(test())


def test_a_response_right_behind_the_end_of_the_tls_handshake(run: Run, certificates: Certificates) -> None:
    """In TLS 1.3 the client speaks last: its Finished and its first data may come in one segment."""

    async def test() -> None:
        async with House(tls=server_context(certificates)).open() as house:
            async with house.dial() as (reader, writer):
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
                tls.write(frame(response(Capability.SSL).encode(), 2))
                writer.write(outgoing.read())
                answer = b""
                while len(answer) < 6 + 11:  # "fast authentication is enough", OK
                    try:
                        answer += tls.read(65536)
                    except ssl.SSLWantReadError:
                        data = await asyncio.wait_for(reader.read(65536), 5)
                        assert data, "the router hung up"
                        incoming.write(data)
                assert payloads(answer)[-1][0] == 0
            await house.left()

    run(test())


# --- limits and nonsense ----------------------------------------------------------------------------------------------


def response(more: int = 0) -> HandshakeResponse:
    return HandshakeResponse(
        capabilities=int(LOGIN | more),
        max_packet=0,
        collation_id=45,
        username=b"app",
        auth_response=sha2_scramble(PASSWORD.encode(), NONCE),
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
            async with house.dial() as (reader, _):
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), 5) == b""
            await house.left()
            assert house.counters.connections == {"timeout": 1}

    run(test())


def test_who_stops_half_way_through_tls_is_sent_away(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with House(tls=server_context(certificates), timeout=0.2).open() as house:
            async with house.dial() as (reader, writer):
                writer.write(frame(SslRequest(int(LOGIN | Capability.SSL), 0, 45).encode(), 1))
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), 5) == b""
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
            async with house.dial() as (reader, writer):
                writer.write(b"\xff\xff\xff\x01")
                assert error_of(await asyncio.wait_for(reader.read(), 5))[0] == 1153
            await house.left()

    run(test())


@pytest.mark.parametrize("rest", [b"", b"x" * 100], ids=["header", "more"])
def test_a_login_packet_that_is_too_large_inside_tls(run: Run, certificates: Certificates, rest: bytes) -> None:
    async def test() -> None:
        async with House(tls=server_context(certificates)).open() as house:
            async with house.dial() as (reader, writer):
                writer.write(frame(SslRequest(int(LOGIN | Capability.SSL), 0, 45).encode(), 1))
                await writer.start_tls(client_context(certificates.ca), server_hostname="localhost")
                await asyncio.sleep(0.05)  # another test is about data right behind the handshake
                writer.write(b"\xff\xff\xff\x02" + rest)
                with contextlib.suppress(ConnectionResetError):
                    assert error_of(await asyncio.wait_for(reader.read(), 5))[0] == 1153
            await house.left()

    run(test())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"", 1), 1043),
        (frame(b"\x85\xa6", 1), 1043),
        (frame(b"GET / HTTP/1.1", 1), None),
        (frame(b"\x05\0\0\0\0root\0", 1), 1251),
        (frame(response().encode(), 7), 1156),
        (frame(response().encode()[:40], 1), 1043),
    ],
    ids=["empty", "short", "http", "old", "sequence", "cut"],
)
def test_nonsense(run: Run, data: bytes, code: int | None) -> None:
    async def test() -> None:
        async with House().open() as house:
            async with house.dial() as (reader, writer):
                writer.write(data)
                answer = await asyncio.wait_for(reader.read(), 5)
                assert payloads(answer)[0][0] == 0xFF
                if code is not None:
                    (payload,) = payloads(answer)
                    assert int.from_bytes(payload[1:3], "little") == code
            await house.left()
            await house.visit()

    run(test())


def test_who_leaves_before_the_end(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            async with house.dial() as (_, writer):
                writer.write(b"\x20\0\0")
            await house.left()
            assert house.counters.connections == {"aborted": 1}

    run(test())
