"""A new router takes over from the one that runs: it gets its listening sockets, so that nobody is turned away.

The old one waits at a socket of Linux' abstract namespace (unix(7)) whose name is made of the user and ``admin.http``,
by which commands find a running router too. Both look who the other is (SO_PEERCRED): it must be the same user, or
root. The new one says when it serves; only then the old one stops listening, and serves those it has to their ends.
When the new one goes away before that, nothing has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable

import structlog

from router.backend.listening import Copies, Sockets
from router.config.models import Admin
from router.errors import OperationFailed
from router.process.channel import receive_sockets, send_sockets
from router.tasks import spawn

log = structlog.get_logger(__name__)

_HELLO = b"mysql-query-router takeover 1\n"
_SERVING = b"serving\n"
_LEFT = b"left\n"
_LARGEST = 2**20
# Seconds that the other one has to say something that needs no thought.
_PATIENCE = 10.0
_AGAIN = 0.1


def _name(admin: Admin) -> str:
    where = hashlib.sha256(str(admin.http).encode()).hexdigest()[:16]
    return f"\0mysql-query-router/{os.geteuid()}/{where}"


def _peer(connection: socket.socket) -> tuple[int, int]:
    """The other side's process and user."""
    size = struct.calcsize("3i")
    process, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return process, user


def _is_ours(connection: socket.socket) -> bool:
    """Whether the other side is run by the same user, or by root."""
    _, user = _peer(connection)
    return user in (os.geteuid(), 0)


class Takeover:
    """The new router's side: ``sockets`` by the names of their addresses."""

    def __init__(self, connection: socket.socket, sockets: dict[str, Copies]) -> None:
        self._connection = connection
        self.sockets = sockets

    @classmethod
    async def begin(cls, admin: Admin) -> Takeover:
        """Get the sockets of the router that runs. Raises OperationFailed."""
        return await asyncio.to_thread(cls._begin, admin)

    @classmethod
    def _begin(cls, admin: Admin) -> Takeover:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(_name(admin))
            if not _is_ours(connection):
                raise OperationFailed("the router that runs is another user's")
            connection.sendall(_HELLO)
            return cls(connection, _receive(connection))
        except OperationFailed:
            connection.close()
            raise
        except (OSError, ValueError) as error:
            connection.close()
            message = f"no router with admin.http {admin.http} can be taken over: {error}"
            raise OperationFailed(message) from error

    async def serving(self) -> None:
        """This router serves: the old one may stop listening. Returns when it does."""
        await asyncio.to_thread(self._serving)

    def _serving(self) -> None:
        with contextlib.closing(self._connection) as connection:
            try:
                connection.sendall(_SERVING)
                connection.recv(len(_LEFT))
            except OSError as error:
                log.warning("the old router does not say that it has stopped listening", reason=str(error))

    def abandon(self) -> None:
        """The old router shall go on."""
        self._connection.close()


class Handover:
    """The old router's side: waits for a new one."""

    def __init__(self, admin: Admin, sockets: Sockets, succeeded_by: Callable[[int], None]) -> None:
        """``succeeded_by`` hears the process that serves, before that one goes on."""
        self._name = _name(admin)
        self._sockets = sockets
        self._succeeded_by = succeeded_by
        self._listener: socket.socket | None = None
        self._waiting: asyncio.Task[None] | None = None
        self.done = asyncio.Event()  # a new router serves

    async def start(self, *, patience: float = 0.0) -> None:
        """Wait for a new one; for ``patience`` seconds the name may still be the old one's."""
        if sys.platform != "linux":
            return
        deadline = asyncio.get_running_loop().time() + patience
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        while True:
            try:
                listener.bind(self._name)
                break
            except OSError as error:
                if asyncio.get_running_loop().time() >= deadline:
                    listener.close()
                    log.warning("nobody will be able to take over from this router", reason=str(error))
                    return
            await asyncio.sleep(_AGAIN)
        listener.listen(1)
        self._listener = listener
        self._waiting = spawn(self._wait(listener), "wait for a new router")

    def stop(self) -> None:
        """Nobody takes over any more."""
        if self._waiting is not None:
            self._waiting.cancel()
        if self._listener is not None:
            self._listener.close()

    async def _wait(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while not self.done.is_set():
            connection, _ = await loop.sock_accept(listener)
            with contextlib.closing(connection):
                if not _is_ours(connection):
                    log.warning("another user wants to take over; refused")
                    continue
                try:
                    await self._hand_over(connection)
                except (OSError, ValueError, TimeoutError) as error:
                    log.warning("a new router has not taken over", reason=str(error) or "it says nothing")

    async def _hand_over(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        async with asyncio.timeout(_PATIENCE):
            if await loop.sock_recv(connection, len(_HELLO)) != _HELLO:
                raise ValueError("it speaks another protocol")
        log.info("a new router begins to take over")
        await _send(connection, self._sockets)
        # It starts now, which takes as long as its servers let it wait.
        if await loop.sock_recv(connection, len(_SERVING)) != _SERVING:
            raise ValueError("it went away before it served")
        if self._listener is not None:
            self._listener.close()  # the name is the new one's
        process, _ = _peer(connection)
        self._succeeded_by(process)
        self.done.set()
        with contextlib.suppress(OSError):
            await loop.sock_sendall(connection, _LEFT)


async def _send(connection: socket.socket, sockets: Iterable[tuple[str, Copies]]) -> None:
    loop = asyncio.get_running_loop()
    found = list(sockets)
    shape = json.dumps([[key, [len(copy) for copy in copies]] for key, copies in found]).encode()
    await loop.sock_sendall(connection, len(shape).to_bytes(4, "big") + shape)
    send_sockets(connection, [each for _, copies in found for copy in copies for each in copy])


def _receive(connection: socket.socket) -> dict[str, Copies]:
    """Raises OSError, ValueError."""
    size = int.from_bytes(_exactly(connection, 4), "big")
    if size > _LARGEST:
        raise ValueError("it speaks another protocol")
    shape = json.loads(_exactly(connection, size))
    found = iter(receive_sockets(connection, sum(sum(copies) for _, copies in shape)))
    return {key: [[next(found) for _ in range(count)] for count in copies] for key, copies in shape}


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ValueError("it went away")
        data += more
    return data
