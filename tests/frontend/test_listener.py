"""The doors: sockets that open and close cleanly, logins that become sessions, sessions that end and give way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.backend.connection import BackendConnection
from router.backend.connector import BackendUser
from router.backend.pool import BackendPool
from router.cluster.describing import Descriptions
from router.cluster.topology import Group, Server, Topology
from router.config.models import RouterConfig
from router.engine.admission import Admission
from router.engine.services import Services
from router.errors import BackendUnavailable
from router.frontend.dispatch import Dispatcher, Shared
from router.frontend.listener import Frontend, _nonce
from router.frontend.login import CAPABILITIES
from router.metrics import Counters
from router.planner.cache import PlanCache
from router.planner.catalog import Catalog
from router.planner.plan import Role
from router.planner.planner import Planner
from router.sandbox.tls import make_certificates
from router.session.registry import SessionRegistry
from router.wire.constants import Capability
from router.wire.framing import frame
from router.wire.packets import Greeting, HandshakeResponse
from router.wire.scramble import sha2_scramble
from tests.fakes import PROFILE, FakeConnector, WaitingSession, err, ok, payloads, quiet, until, wire
from tests.frontend.house import Run

PASSWORD = "secret"
SHAPING = (
    Capability.FOUND_ROWS,
    Capability.LOCAL_FILES,
    Capability.IGNORE_SPACE,
    Capability.INTERACTIVE,
    Capability.MULTI_STATEMENTS,
    Capability.DEPRECATE_EOF,
    Capability.SESSION_TRACK,
)


class Answering(FakeConnector):
    """A server that answers every command with OK, or as ``answers`` says for one; b"" is no answer."""

    def __init__(self, name: str) -> None:
        super().__init__(name, willing=True)
        self.answers: dict[bytes, bytes] = {}
        self.asked: list[bytes] = []
        self.ignored = asyncio.Event()

    async def open(self, user: BackendUser, shape: int) -> BackendConnection:
        connection = await super().open(user, shape)
        transport = wire(connection)

        def write(data: bytes | bytearray | memoryview) -> None:
            commands = payloads(bytes(data))
            self.asked += commands
            replies = b"".join(self.answers.get(command, ok()) for command in commands)
            asyncio.get_running_loop().call_soon(self._reply, connection, replies)

        transport.write = write  # type: ignore[method-assign]
        return connection

    def _reply(self, connection: BackendConnection, data: bytes) -> None:
        if not data:
            self.ignored.set()
        elif connection.busy:
            connection.data_received(data)


class House:
    """A frontend before one server."""

    def __init__(self, *listeners: Any, connector: FakeConnector | None = None, **limits: Any) -> None:
        self.config = RouterConfig.model_validate(
            {
                "listeners": list(listeners) or ["127.0.0.1:0"],
                "groups": {"main": {"servers": [{"address": "h:1", "name": "db"}]}},
                "users": {
                    "app": {"password": PASSWORD},
                    "other": {"password": PASSWORD, "max_connections": 1},
                    "shop": {"password": PASSWORD, "schemas": ["shop"]},
                },
                "limits": limits,
            }
        )
        self.db = Answering("db")
        group_config = self.config.groups["main"]
        pool = BackendPool(connector or self.db, max_connections=5, queue_timeout=1.0, max_age=3600.0)
        self.server = Server(group_config.servers[0], pool, "main")
        self.server.role, self.server.up = Role.PRIMARY, True
        self.group = Group("main", group_config, [self.server])
        catalog = Catalog.build(self.config, generation=1)
        self.sessions: SessionRegistry[Dispatcher] = SessionRegistry()
        self.counters = Counters()
        topology = Topology({"main": self.group})
        self.shared = Shared(
            plans=PlanCache(Planner(catalog)),
            services=Services(topology, self.counters, lambda server: None, catalog.group_of, Admission({})),
            sessions=self.sessions,
            on_lost=lambda session: self.frontend.session_lost(session),
            change_user=lambda session, payload: self.frontend.change_user(session, payload),
            descriptions=Descriptions(topology),
        )
        self.frontend = Frontend(self.config, catalog, self.shared)
        self.addresses: list[str] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        self.addresses = await self.frontend.start()
        try:
            yield self
        finally:
            self.frontend.stop_listening()
            for session in self.sessions:
                session.client.abort()
            await self.empty()

    async def empty(self) -> None:
        """Wait until nobody is connected any more."""
        async with asyncio.timeout(5):
            while self.frontend.open_connections:  # noqa: ASYNC110 there is nothing to wait for but the number
                await asyncio.sleep(0.005)
        assert len(self.sessions) == 0

    @property
    def port(self) -> int:
        return int(self.addresses[0].rpartition(":")[2])

    async def connect(self, user: str = "app", **options: Any) -> Connection:
        wanted: dict[str, Any] = {"connect_timeout": 10, "read_timeout": 10, "autocommit": None}
        if "unix_socket" not in options:
            wanted |= {"host": "127.0.0.1", "port": self.port}
        return await asyncio.to_thread(lambda: pymysql.connect(user=user, password=PASSWORD, **wanted | options))

    async def refused(self, user: str = "app", **options: Any) -> tuple[int, str]:
        with pytest.raises(pymysql.MySQLError) as error:
            await self.connect(user, **options)
        return error.value.args[0], error.value.args[1]


async def query(connection: Connection, sql: str) -> int:
    return await asyncio.to_thread(connection.query, sql)


async def close(connection: Connection) -> None:
    await asyncio.to_thread(connection.close)


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_client_comes_asks_and_goes(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            connection = await house.connect()
            assert connection.server_version == PROFILE.version
            assert house.frontend.open_connections == len(house.sessions) == 1
            assert await query(connection, "DELETE FROM t") == 0
            assert b"\x03DELETE FROM t" in house.db.asked
            (session,) = house.sessions
            assert session.user == "app"
            assert session.connection_id == connection.thread_id()
            await close(connection)
            await house.empty()
            assert house.server.pool.in_use == 0

    run(test())


def test_the_schema_of_a_login_is_asked_for_and_remembered(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            for _ in range(3):
                connection = await house.connect(database="shop")
                (session,) = house.sessions
                assert session.session.schema == "shop"
                await close(connection)
                await house.empty()
            assert house.db.asked.count(b"\x02shop") == 1
            assert house.server.pool.in_use == 0

    run(test())


def test_a_schema_the_server_refuses(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            house.db.answers[b"\x02nowhere"] = err(1049, "Unknown database 'nowhere'")
            for _ in range(2):
                assert await house.refused(database="nowhere") == (1049, "Unknown database 'nowhere'")
            await house.empty()
            assert house.db.asked.count(b"\x02nowhere") == 2, "a refusal is not remembered"
            assert house.server.pool.in_use == 0
            assert (await house.refused("shop", database="secret"))[0] == 1044
            assert b"\x02secret" not in house.db.asked

    run(test())


def test_a_schema_that_cannot_be_asked_for(run: Run) -> None:
    async def test() -> None:
        class Refusing(FakeConnector):
            async def open(self, user: BackendUser, shape: int) -> BackendConnection:
                raise BackendUnavailable("server db: connection refused")

        async with House(connector=Refusing()).open() as house:
            code, text = await house.refused(database="shop")
            assert code == 2003
            assert "connection refused" in text

    run(test())


def test_a_full_pool_is_too_many_connections_at_the_login_too(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            taken = [WaitingSession(house.server.pool).wait() for _ in range(5)]
            assert (await house.refused(database="shop"))[0] == 1040
            for session in taken:
                house.server.pool.discard(session.connection)

    run(test())


def test_a_login_does_not_wait_for_a_server_that_drains(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            taken = [WaitingSession(house.server.pool).wait() for _ in range(5)]
            await quiet()
            coming = asyncio.create_task(house.connect(database="shop"))
            async with asyncio.timeout(5):
                while not house.server.pool.waiting:  # noqa: ASYNC110 there is nothing to wait for but the number
                    await asyncio.sleep(0.005)
            house.group.drain(house.server)
            async with asyncio.timeout(5):
                while not len(house.sessions):  # noqa: ASYNC110 as above
                    await asyncio.sleep(0.005)
            house.group.undrain(house.server)
            for session in taken:
                house.server.pool.discard(session.connection)
            await close(await coming)

    run(test())


def test_a_login_in_a_character_set_that_sql_cannot_be_written_in(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            number = next(key for key, (_, charset) in PROFILE.collations.items() if charset == "utf16")
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            header = await reader.readexactly(4)
            nonce = Greeting.decode(await reader.readexactly(header[0])).nonce
            response = HandshakeResponse(
                capabilities=int(CAPABILITIES & ~Capability.COMPRESS & ~Capability.CONNECT_WITH_DB),
                max_packet=0,
                collation_id=number,
                username=b"app",
                auth_response=sha2_scramble(PASSWORD.encode(), nonce),
                auth_plugin=b"caching_sha2_password",
            )
            writer.write(frame(response.encode(), 1))
            answer = await reader.read()
            assert b"can't be set to the value of 'utf16'" in answer
            writer.close()

    run(test())


@pytest.mark.parametrize("capability", SHAPING, ids=[str(each.name) for each in SHAPING])
def test_a_client_shares_connections_only_with_those_of_its_capabilities(run: Run, capability: Capability) -> None:
    async def test() -> None:
        async with House().open() as house:
            house.db.profile = type(PROFILE)(**{**_fields(PROFILE), "capabilities": int(Capability.DEPRECATE_EOF)})
            for wanted in (capability, Capability(0)):
                reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
                header = await reader.readexactly(4)
                nonce = Greeting.decode(await reader.readexactly(header[0])).nonce
                optional = Capability.COMPRESS | Capability.CONNECT_WITH_DB
                for each in SHAPING:
                    optional |= each
                response = HandshakeResponse(
                    capabilities=int(CAPABILITIES & ~optional | wanted),
                    max_packet=0,
                    collation_id=45,
                    username=b"app",
                    auth_response=sha2_scramble(PASSWORD.encode(), nonce),
                    auth_plugin=b"caching_sha2_password",
                )
                writer.write(frame(response.encode(), 1))
                answer = b""
                while answer[:1] != b"\0":
                    header = await reader.readexactly(4)
                    answer = await reader.readexactly(header[0])
                writer.write(frame(b"\x03DELETE FROM t", 0))
                await reader.readexactly(4)
                writer.close()
                await house.empty()
            shapes = [Capability(attempt.key[1]) for attempt in house.db.attempts]
            assert shapes == [capability, Capability(0)]

    run(test())


def test_too_many_clients(run: Run) -> None:
    async def test() -> None:
        async with House(max_connections=2).open() as house:
            first, second = await house.connect(), await house.connect()
            assert await house.refused() == (1040, "Too many connections")
            assert house.frontend.open_connections == 2
            await close(first)
            async with asyncio.timeout(5):
                while house.frontend.open_connections > 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            third = await house.connect()
            await close(second)
            await close(third)

    run(test())


def test_silent_clients_are_sent_away(run: Run) -> None:
    async def test() -> None:
        async with House(idle_timeout="100s").open() as house:
            connection = await house.connect()
            now = asyncio.get_running_loop().time()
            house.frontend.sweep(now)
            house.frontend.sweep(now + 99)
            assert len(house.sessions) == 1
            await query(connection, "DELETE FROM t")
            house.frontend.sweep(now + 150)
            house.frontend.sweep(now + 249)
            assert len(house.sessions) == 1, "it has said something meanwhile"
            house.frontend.sweep(now + 251)
            await house.empty()
            with pytest.raises(pymysql.MySQLError):
                await query(connection, "DELETE FROM t")

    run(test())


def test_a_client_sets_its_own_wait_timeout(run: Run) -> None:
    async def test() -> None:
        async with House(idle_timeout="100s").open() as house:
            connection = await house.connect()
            (session,) = house.sessions
            now = asyncio.get_running_loop().time()
            session.session.variables = session.session.variables.with_changes({"wait_timeout": "200"})
            house.frontend.sweep(now)
            house.frontend.sweep(now + 99)
            session.session.variables = session.session.variables.with_changes({"wait_timeout": "3"})
            assert len(house.sessions) == 1
            house.frontend.sweep(now + 99)
            await house.empty()
            await close(connection)

    run(test())


def test_a_client_that_waits_for_an_answer_is_not_silent(run: Run) -> None:
    async def test() -> None:
        async with House(idle_timeout="100s").open() as house:
            house.db.answers[b"\x03DELETE FROM t"] = b""
            connection = await house.connect()
            asking = asyncio.create_task(query(connection, "DELETE FROM t"))
            await asyncio.wait_for(house.db.ignored.wait(), 5)
            now = asyncio.get_running_loop().time()
            for seconds in (0, 200, 400):
                house.frontend.sweep(now + seconds)
            assert len(house.sessions) == 1
            house.db.opened[0].data_received(ok())
            await asking
            await close(connection)

    run(test())


# --- the greeting -----------------------------------------------------------------------------------------------------


async def greeting(house: House) -> Greeting:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    try:
        header = await reader.readexactly(4)
        return Greeting.decode(await reader.readexactly(int.from_bytes(header[:3], "little")))
    finally:
        writer.close()


def test_the_greeting_is_that_of_the_server(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            first, second = await greeting(house), await greeting(house)
            assert first.server_version == PROFILE.version
            assert PROFILE.collations[first.collation_id][0] == PROFILE.collation
            assert first.auth_plugin == b"mysql_native_password", "as MariaDB says"
            assert not first.capabilities & (Capability.SSL | Capability.ZSTD_COMPRESSION_ALGORITHM)
            assert first.capabilities & Capability.COMPRESS
            assert first.nonce != second.nonce
            assert first.connection_id != second.connection_id

    run(test())


@pytest.mark.parametrize("known", [False, True])
def test_what_cannot_be_translated_is_offered_where_all_are_known_to_have_it(run: Run, known: bool) -> None:
    async def test() -> None:
        async with House().open() as house:
            bit = int(Capability.QUERY_ATTRIBUTES)
            able = type(PROFILE)(**{**_fields(PROFILE), "flavor": "mysql", "capabilities": bit})
            house.db.profile = able if known else None
            assert bool((await greeting(house)).capabilities & bit) is known
            house.db.profile = PROFILE
            assert not (await greeting(house)).capabilities & bit

    run(test())


def test_mariadbs_capabilities_are_announced_as_mariadb_does(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            assert (await greeting(house)).capabilities & Capability.LONG_PASSWORD
            able = int(Capability.MARIADB_STMT_BULK_OPERATIONS | Capability.MARIADB_CACHE_METADATA)
            house.db.profile = type(PROFILE)(**{**_fields(PROFILE), "capabilities": able})
            offered = await greeting(house)
            assert not offered.capabilities & Capability.LONG_PASSWORD
            assert offered.mariadb_capabilities == 4, "not what nobody has proven"

    run(test())


@pytest.mark.parametrize("known", [False, True])
def test_only_what_every_server_can_do_is_offered(run: Run, known: bool) -> None:
    async def test() -> None:
        async with House().open() as house:
            if known:
                bit = int(Capability.DEPRECATE_EOF)
                house.db.profile = type(PROFILE)(**{**_fields(PROFILE), "capabilities": bit})
                assert (await greeting(house)).capabilities & bit
                house.db.profile = PROFILE
                assert not (await greeting(house)).capabilities & bit
            else:
                house.db.profile = None
                assert (await greeting(house)).server_version.startswith("8.")

    run(test())


def _fields(profile: Any) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in profile.__slots__}


def test_nonces_are_what_old_clients_can_read() -> None:
    for _ in range(200):
        nonce = _nonce()
        assert len(nonce) == 20
        assert not set(nonce) & {0, 0x24}
        assert max(nonce) < 128


# --- sockets ----------------------------------------------------------------------------------------------------------


def test_a_unix_socket(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "router.sock"

    async def test() -> None:
        async with House(f"unix:{path}", "127.0.0.1:0").open() as house:
            assert house.addresses[0] == f"unix:{path}"
            assert house.addresses[1].startswith("127.0.0.1:")
            assert stat.S_IMODE(path.stat().st_mode) == 0o777
            connection = await house.connect(unix_socket=str(path))
            (session,) = house.sessions
            assert (session.host, session.address) == ("localhost", None)
            await close(connection)
        assert not path.exists()

    run(test())


def test_a_socket_nobody_listens_on_is_replaced(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))

    async def test() -> None:
        async with House(f"unix:{path}").open() as house:
            await close(await house.connect(unix_socket=str(path)))

    run(test())


def test_a_socket_somebody_listens_on_is_left_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "router.sock"

    async def test() -> None:
        async with House(f"unix:{path}").open() as house:
            intruder = House(f"unix:{path}")
            refused = False
            try:
                await intruder.frontend.start()
            except OSError:
                refused = True
            intruder.frontend.stop_listening()
            assert refused
            await close(await house.connect(unix_socket=str(path)))

    run(test())


def test_a_file_in_the_place_of_a_socket_is_left_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    path.write_text("precious")

    async def test() -> None:
        house = House(f"unix:{path}")
        with pytest.raises(OSError):
            await house.frontend.start()
        house.frontend.stop_listening()
        assert path.read_text() == "precious"

    run(test())


def test_an_address_of_another_machine(run: Run) -> None:
    async def test() -> None:
        house = House("192.0.2.1:0")
        with pytest.raises(OSError):
            await house.frontend.start()

    run(test())


def test_stop_listening_keeps_who_is_in(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            connection = await house.connect()
            house.frontend.stop_listening()
            assert (await house.refused())[0] == 2003
            await query(connection, "DELETE FROM t")
            await close(connection)

    run(test())


def test_tls_of_a_listener(run: Run, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)

    async def test() -> None:
        tls = {"certificate": str(made.certificate), "key": str(made.key), "mode": "required"}
        async with House({"address": "127.0.0.1:0", "tls": tls}).open() as house:
            assert (await greeting(house)).capabilities & Capability.SSL
            assert (await house.refused(ssl_disabled=True))[0] == 3159
            connection = await house.connect(ssl={"ca": str(made.ca)})
            await query(connection, "DELETE FROM t")
            await close(connection)

    run(test())


def test_clients_may_have_to_show_a_certificate(run: Run, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)

    async def test() -> None:
        tls = {"certificate": str(made.certificate), "key": str(made.key), "client_ca": str(made.ca)}
        async with House({"address": "127.0.0.1:0", "tls": tls}).open() as house:
            with pytest.raises((pymysql.MySQLError, OSError)):
                await close(await house.connect(ssl={"ca": str(made.ca)}))
            await house.empty()
            own = {"ca": str(made.ca), "cert": str(made.certificate), "key": str(made.key)}
            await close(await house.connect(ssl=own))

    run(test())


# --- change of user ---------------------------------------------------------------------------------------------------


async def change_user(house: House, connection: Connection, user: str, password: str = PASSWORD) -> bytes:
    """COM_CHANGE_USER by hand; the last packet of the router."""

    def talk() -> bytes:
        line = connection._sock
        command = b"\x11" + user.encode() + b"\0\0\0\x2d\0caching_sha2_password\0\0"
        line.sendall(frame(command, 0))
        sequence, request = _read(line)
        if request[0] != 0xFE:
            return request
        nonce = request.split(b"\0", 1)[1][:20]
        line.sendall(frame(sha2_scramble(password.encode(), nonce), sequence + 1))
        while True:
            sequence, answer = _read(line)
            if answer[0] != 1:
                return answer
            if answer == b"\1\4":  # what follows would be the password, encrypted
                line.sendall(frame(b"not encrypted", sequence + 1))

    return await asyncio.to_thread(talk)


def _read(line: Any) -> tuple[int, bytes]:
    header = _exactly(line, 4)
    return header[3], _exactly(line, int.from_bytes(header[:3], "little"))


def _exactly(line: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        assert piece, "the router hung up"
        data += piece
    return data


def test_a_client_becomes_another_user(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            connection = await house.connect()
            await query(connection, "SET @a = 1")
            assert (await change_user(house, connection, "other"))[0] == 0
            (session,) = house.sessions
            assert session.user == "other"
            assert session.connection_id == connection.thread_id()
            assert house.frontend.open_connections == 1
            await query(connection, "DELETE FROM t")
            assert (await house.refused("other"))[0] == 1226
            assert (await change_user(house, connection, "app"))[0] == 0
            await close(await house.connect("other"))
            await close(connection)
            await house.empty()
            assert house.server.pool.in_use == 0

    run(test())


def test_a_wrong_password_for_the_other_user_is_the_end(run: Run) -> None:
    async def test() -> None:
        async with House().open() as house:
            house.db.profile = replace(PROFILE, flavor="mysql")
            connection = await house.connect()
            answer = await change_user(house, connection, "other", "wrong")
            assert answer[0] == 0xFF
            assert int.from_bytes(answer[1:3], "little") == 1045
            await house.empty()
            await close(await house.connect("other"))
            connection._force_close()

    run(test())


def test_on_mariadb_the_client_stays_who_it_was(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.frontend.login._PENANCE", 0.01)

    async def test() -> None:
        async with House().open() as house:
            connection = await house.connect("other")
            connection_id = connection.thread_id()
            await query(connection, "SET @a = 1")
            answers = [
                await change_user(house, connection, user, password)
                for user, password in (("app", "wrong"), ("other", PASSWORD), ("nobody", "x"), ("other", "wrong"))
            ]
            assert [answer[0] for answer in answers] == [0xFF, 0, 0xFF, 0xFF]
            assert {int.from_bytes(answer[1:3], "little") for answer in answers if answer[0]} == {1045}
            tired = await change_user(house, connection, "other")
            assert int.from_bytes(tired[1:3], "little") == 1047, "whatever it says now"
            await query(connection, "DELETE FROM t")
            (session,) = house.sessions
            assert (session.user, session.connection_id) == ("other", connection_id)
            assert house.frontend.open_connections == 1
            assert (await house.refused("other"))[0] == 1226, "it has kept its place"
            await close(connection)
            await house.empty()
            await close(await house.connect("other"))

    run(test())


def test_who_leaves_while_waiting_for_the_refusal_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.frontend.login._PENANCE", 0.05)

    async def test() -> None:
        async with House().open() as house:
            connection = await house.connect("other")
            task = asyncio.create_task(change_user(house, connection, "app", "wrong"))
            await until(lambda: not list(house.sessions), rounds=1_000_000)
            connection._sock.shutdown(2)
            with contextlib.suppress(AssertionError, OSError):
                await task
            await house.empty()
            await close(await house.connect("other"))
            connection._force_close()

    run(test())
