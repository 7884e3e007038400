"""A listening admin interface without a router behind it, and who visits it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pymysql
from pymysql.connections import Connection

from router.admin.mysql import AdminMysql
from router.admin.session import CAPABILITIES
from router.config.models import Admin, Limits
from router.wire.constants import Capability
from router.wire.framing import frame
from router.wire.packets import HandshakeResponse
from tests.admin.inside import World


def frames_of(code: int, data: bytes) -> bytes:
    """A command."""
    return frame(bytes([code]) + data, 0)


class Client:
    """PyMySQL in a thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.connection_id = connection.thread_id()

    async def do(self, work: Callable[[Connection], Any]) -> Any:
        """Something with the connection."""
        return await asyncio.to_thread(work, self._connection)

    async def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows."""

        def run(connection: Connection) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

        found: list[tuple[Any, ...]] = await self.do(run)
        return found

    async def refused(self, sql: str) -> tuple[int, str]:
        """The error."""
        try:
            rows = await self.ask(sql)
        except pymysql.MySQLError as error:
            return error.args[0], error.args[1]
        raise AssertionError(f"{sql}: {rows}")


class Door:
    """``admin.mysql`` on a free port; ``changes`` are what the world gives, or limits."""

    def __init__(self, users: dict[str, str] | None = None, address: str = "127.0.0.1:0", **changes: Any) -> None:
        limits = {name: changes.pop(name) for name in ("connect_timeout", "idle_timeout") if name in changes}
        tls = changes.pop("tls", None)
        self.world = World(**changes)
        self._last = 0
        config = {"mysql": address, "users": {name: {"password": word} for name, word in (users or {}).items()}}
        self.admin = AdminMysql(
            Admin.model_validate(config), Limits.model_validate(limits), self.world.inside, self._next_id, tls
        )
        self.address = ""

    def _next_id(self) -> int:
        self._last += 1
        return self._last

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Door]:
        self.address = await self.admin.start() or ""
        try:
            yield self
        finally:
            self.admin.stop()
            await self.until_empty()

    async def until_empty(self) -> None:
        """Until nobody is inside."""
        for _ in range(5000):
            if not self.admin._sessions:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("somebody is inside")

    @contextlib.asynccontextmanager
    async def visit(self, **options: Any) -> AsyncIterator[Client]:
        """Somebody who gets in."""
        wanted = {"host": "127.0.0.1", "user": "me", "connect_timeout": 10, "read_timeout": 10}
        if not self.address.startswith("unix:"):
            wanted["port"] = self.port
        connection = await asyncio.to_thread(lambda: pymysql.connect(**(wanted | options)))
        try:
            yield Client(connection)
        finally:
            with contextlib.suppress(pymysql.MySQLError):
                await asyncio.to_thread(connection.close)

    async def turned_away(self, **options: Any) -> tuple[int, str]:
        """Somebody who does not, and why."""
        try:
            async with self.visit(**options):
                pass
        except pymysql.MySQLError as error:
            return error.args[0], error.args[1]
        raise AssertionError("let in")

    @contextlib.asynccontextmanager
    async def raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A logged-in socket."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await self._packet(reader)
            capabilities = CAPABILITIES & ~(
                Capability.CONNECT_WITH_DB | Capability.CONNECT_ATTRS | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
            )
            response = HandshakeResponse(
                capabilities=int(capabilities),
                max_packet=1 << 24,
                collation_id=45,
                username=b"me",
                auth_response=b"",
                auth_plugin=b"caching_sha2_password",
            )
            writer.write(frame(response.encode(), 1))
            assert (await self._packet(reader))[0] == 0
            yield reader, writer
        finally:
            writer.close()

    async def _packet(self, reader: asyncio.StreamReader) -> bytes:
        header = await asyncio.wait_for(reader.readexactly(4), 5)
        return await reader.readexactly(int.from_bytes(header[:3], "little"))
