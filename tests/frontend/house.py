"""A listener around one ``Door`` for the tests of logins, with a count of who is inside."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from ipaddress import IPv4Network, IPv6Network
from typing import Any, cast

import pymysql
import pytest
from pymysql.connections import Connection

from router.backend.connector import BackendUser
from router.config.models import RouterConfig
from router.frontend.auth import Directory, RsaKeyPair
from router.frontend.connection import ClientConnection
from router.frontend.login import CAPABILITIES, Door, LoginConnection, Welcome
from router.metrics import Counters
from router.wire.constants import Capability
from router.wire.handshake import Login
from router.wire.packets import Greeting
from router.wire.scramble import make_sha2_crypt, native_hash
from tests.fakes import AUTOCOMMIT, ok

PASSWORD = "sécret✓"
Run = Callable[[Coroutine[Any, Any, None]], None]
NONCE = bytes(range(65, 85))
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


@functools.cache
def _key_pair() -> RsaKeyPair:
    """Making one takes as long as a dozen logins."""
    return RsaKeyPair()


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
        plugin: str = "caching_sha2_password",
        balancers: list[IPv4Network | IPv6Network] | None = None,
        prepare: Callable[[str | None], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        settings = {"groups": {"main": {"servers": ["127.0.0.1:3306"]}}, "users": USERS}
        self.counters = Counters()
        self.directory = Directory(RouterConfig.model_validate(settings))
        self.places = places
        self.inside = 0
        self.closed = False
        self.empty = asyncio.Event()
        self.welcomes: list[Welcome] = []
        self.port = 0
        self.transports: list[asyncio.Transport] = []
        self._prepare = prepare
        self._ids = 0
        self.door = Door(
            directory=self.directory,
            counters=self.counters,
            rsa=_key_pair(),
            balancers=balancers or [],
            tls=tls,
            tls_required=tls_required,
            timeout=timeout,
            greeting=lambda: ("9.7.0-router", int(CAPABILITIES | Capability.DEPRECATE_EOF), 255, plugin),
            nonce=lambda: NONCE,
            decoy=b"decoy",
            next_id=self._next_id,
            closed=lambda: self.closed,
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

    def _prepared(self, user: BackendUser, schema: str | None, login: Login) -> asyncio.Future[None] | None:
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
        server = await loop.create_server(lambda: Tracked(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for transport in self.transports:
                transport.abort()
            await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def dial(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A client that speaks bytes and has just been greeted."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            header = await reader.readexactly(4)
            greeting = Greeting.decode(await reader.readexactly(int.from_bytes(header[:3], "little")))
            assert (greeting.nonce, greeting.server_version) == (NONCE, "9.7.0-router")
            yield reader, writer
        finally:
            writer.close()

    async def connect(self, user: str = "app", password: str = PASSWORD, **options: Any) -> Connection:
        """PyMySQL in a thread."""
        wanted: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "connect_timeout": 10, "read_timeout": 10}
        return await asyncio.to_thread(
            lambda: pymysql.connect(user=user, password=password.encode(), **wanted | options)
        )

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


class Tracked(LoginConnection):
    """A login whose transport the house knows, to end it when a test has failed."""

    def __init__(self, house: House) -> None:
        super().__init__(house.door, unix=False)
        self._house = house

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._house.transports.append(cast("asyncio.Transport", transport))
        super().connection_made(transport)
