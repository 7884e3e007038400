"""One operator's connection: login, commands of the protocol, limits."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from router.admin.session import only_these
from router.cluster.topology import Server
from router.wire.constants import Command
from tests.admin.doors import Door, frames_of
from tests.fakes import error_of


async def test_a_session() -> None:
    async with Door().open() as door, door.visit() as client:
        assert await client.ask("SELECT server FROM servers ORDER BY 1") == [("a",), ("b",)]
        assert await client.ask("SET autocommit = 1") == []
        await client.do(lambda connection: connection.ping(reconnect=False))
        await client.do(lambda connection: connection.select_db("main"))
        assert await client.ask("SELECT DATABASE()") == [("main",)]
        assert (await client.refused("NONSENSE"))[0] == 1064
        assert await client.ask("SELECT 1") == [(1,)]


async def test_numbers_are_numbers() -> None:
    async with Door().open() as door, door.visit() as client:
        assert await client.ask("SELECT 1, 0.5, 'x', NULL, 9223372036854775807") == [(1, 0.5, "x", None, 2**63 - 1)]


@pytest.mark.parametrize("database", ["stats", "MAIN"])
async def test_the_database_of_a_login(database: str) -> None:
    async with Door().open() as door, door.visit(database=database) as client:
        assert await client.ask("SELECT DATABASE()") == [(database.lower(),)]


async def test_a_database_that_is_not_there() -> None:
    async with Door().open() as door:
        assert (await door.turned_away(database="shop"))[0] == 1049


async def test_wrong_passwords_are_counted() -> None:
    async with Door(users={"ops": "right"}).open() as door:
        async with door.visit(user="ops", password="right") as client:
            assert await client.ask("SELECT USER()") == [("ops@127.0.0.1",)]
        for user, password in (("ops", "wrong"), ("ops", ""), ("else", "right")):
            assert (await door.turned_away(user=user, password=password))[0] == 1045
        failures = door.world.counters.auth_failures
        assert failures.total() == 3
        assert all(reason.startswith("admin: ") for reason in failures)
        assert not door.world.counters.connections


async def test_without_users_a_password_is_a_mistake() -> None:
    assert only_these({})("anybody") == only_these({})("root")
    async with Door().open() as door:
        assert (await door.turned_away(password="some"))[0] == 1045


async def until_it_drains(server: Server) -> None:
    for _ in range(5000):
        if server.draining:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it does not drain")


async def test_killed_statements_and_sessions() -> None:
    """Of a client that never reads on: it waits for a drain."""
    async with Door().open() as door, door.visit() as client, door.visit() as other:
        server = door.world.topology.groups["main"].servers[0]
        server.pool.in_use += 1
        waits = asyncio.create_task(client.refused("DRAIN main/a WAIT 60"))
        await until_it_drains(server)
        await other.ask(f"KILL QUERY {client.connection_id}")
        assert (await waits)[0] == 1317
        assert await client.ask("SELECT 1") == [(1,)]
        await other.ask(f"KILL {client.connection_id}")
        assert (await client.refused("SELECT 1"))[0] in (2006, 2013)
        server.pool.in_use -= 1


async def test_a_client_that_goes_while_it_waits() -> None:
    async with Door().open() as door:
        server = door.world.topology.groups["main"].servers[0]
        server.pool.in_use += 1
        async with door.raw() as (_, writer):
            writer.write(frames_of(Command.QUERY, b"DRAIN main/a WAIT 60"))
            await until_it_drains(server)
        await door.until_empty()
        server.pool.in_use -= 1


@pytest.mark.parametrize(
    ("code", "data", "error"),
    [
        (Command.STMT_PREPARE, b"SELECT ?", 1295),
        (Command.FIELD_LIST, b"servers\0", 1047),
        (Command.CHANGE_USER, b"x", 1835),
        (Command.DEBUG, b"", 1047),
        (Command.PROCESS_KILL, b"\1", 1835),
        (Command.PROCESS_KILL, b"\xff\0\0\0", 1094),
        (Command.INIT_DB, b"shop", 1049),
        (Command.QUERY, b"\xff\xfe", 1064),
        (Command.QUERY, b"SELECT 'a\xff'", None),
        (Command.PING, b"", None),
        (Command.RESET_CONNECTION, b"", None),
        (Command.STATISTICS, b"", None),
        (Command.PROCESS_INFO, b"", None),
        (Command.SET_OPTION, b"\0\0", None),
    ],
)
async def test_commands_of_the_protocol(code: Command, data: bytes, error: int | None) -> None:
    async with Door().open() as door, door.raw() as (reader, writer):
        # What has no answer comes first and is not answered.
        writer.write(frames_of(Command.STMT_CLOSE, b"\1\0\0\0") + frames_of(code, data))
        header = await asyncio.wait_for(reader.readexactly(4), 5)
        assert header[3] == 1
        payload = await reader.readexactly(int.from_bytes(header[:3], "little"))
        if error is None:
            assert payload[0] != 0xFF
        else:
            assert error_of(header + payload)[0] == error


@pytest.mark.parametrize("data", [b"\xff\xff\xff\0", b"\x00\x00\x20\0\3", b"\1\0\0\5\3", b"\0\0\0\0"])
async def test_nonsense_ends_the_session(data: bytes) -> None:
    async with Door().open() as door, door.raw() as (reader, writer):
        writer.write(data)
        # Bytes that nobody has read make a reset of the end.
        with contextlib.suppress(ConnectionResetError):
            assert (await asyncio.wait_for(reader.read(), 5))[4] == 0xFF
    async with Door().open() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(data)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def test_who_does_not_log_in_is_sent_away() -> None:
    async with Door(connect_timeout=0.05).open() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        assert await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await door.until_empty()


async def test_who_says_nothing_is_sent_away() -> None:
    async with Door(idle_timeout=0.05).open() as door, door.raw() as (reader, _):
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_many_at_once() -> None:
    async with Door().open() as door, door.raw() as (reader, writer):
        writer.write(frames_of(Command.PING, b"") * 200)
        for _ in range(200):
            header = await asyncio.wait_for(reader.readexactly(4), 5)
            assert header[3] == 1
            await reader.readexactly(int.from_bytes(header[:3], "little"))


async def test_an_answer_that_nobody_reads() -> None:
    """The next command waits until the answer has gone."""
    async with Door().open() as door, door.visit() as client:
        big = (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 40000)"
            " SELECT CONCAT(x, '0123456789012345678901234567890123456789') FROM c"
        )
        rows = await client.ask(big)
        assert (len(rows), rows[-1]) == (40000, ("40000" + "0123456789" * 4,))
        assert await client.ask("SELECT 1") == [(1,)]


async def test_a_fault_of_ours_costs_nobody_the_connection() -> None:
    def broken() -> object:
        raise RuntimeError("a fault")

    async with Door(sessions=broken).open() as door, door.visit() as client:
        assert (await client.refused("SHOW SESSIONS"))[0] == 1105
        assert await client.ask("SELECT 1") == [(1,)]
