"""Messages between a supervisor and its worker over a socket pair: in their order, and some are questions.

They are pickled objects, which is as safe as the socket pair is private: it is made for a process of our own, and has
no name. Sockets for the worker go through a second pair (``send_sockets``), ahead of the message that speaks of them.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import structlog

from router.errors import OperationFailed, RouterError
from router.tasks import spawn

log = structlog.get_logger(__name__)

_HEADER = 4
# File descriptors in one message; Linux takes 253 (SCM_MAX_FD).
_AT_ONCE = 64

_TELL, _ASK, _ANSWER, _FAILED = range(4)


class Channel(asyncio.Protocol):
    """One end.

    ``hear(message)`` is called with what the other end tells; ``asked(message)`` with what it asks, and is awaited for
    the answer; ``lost()`` when the other end is gone.
    """

    def __init__(
        self,
        hear: Callable[[Any], None],
        asked: Callable[[Any], Awaitable[Any]],
        lost: Callable[[], None],
    ) -> None:
        self._hear = hear
        self._asked = asked
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._last = 0

    async def start(self, end: socket.socket) -> None:
        """Begin, over this socket."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)

    def tell(self, message: object) -> None:
        """Tell it; when the other end is gone nobody hears."""
        self._send(_TELL, 0, message)

    async def ask(self, message: object, within: float | None = None) -> Any:
        """What it answers. Raises what it raises there, and OperationFailed when there is no answer."""
        if self._transport is None:
            raise OperationFailed("the other process is gone")
        self._last += 1
        future = self._questions[self._last] = asyncio.get_running_loop().create_future()
        number = self._last
        self._send(_ASK, number, message)
        try:
            return await asyncio.wait_for(future, within)
        except TimeoutError:
            raise OperationFailed("the other process does not answer") from None
        finally:
            self._questions.pop(number, None)

    def close(self) -> None:
        """Say no more."""
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.Protocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def connection_lost(self, error: Exception | None) -> None:
        """The other end is gone."""
        self._transport = None
        for future in self._questions.values():
            if not future.done():
                future.set_exception(OperationFailed("the other process has ended"))
        self._questions.clear()
        self._lost()

    def data_received(self, data: bytes) -> None:
        """Bytes have come: take the whole messages among them."""
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            end = _HEADER + int.from_bytes(self._buffer[:_HEADER], "big")
            if len(self._buffer) < end:
                return
            kind, number, message = pickle.loads(self._buffer[_HEADER:end])
            del self._buffer[:end]
            self._take(kind, number, message)

    def _take(self, kind: int, number: int, message: Any) -> None:
        if kind == _TELL:
            self._hear(message)
        elif kind == _ASK:
            spawn(self._answer(number, message), "answer another process")
        elif (future := self._questions.get(number)) is not None and not future.done():
            if kind == _ANSWER:
                future.set_result(message)
            else:
                future.set_exception(message)

    async def _answer(self, number: int, message: Any) -> None:
        try:
            self._send(_ANSWER, number, await self._asked(message))
        except (RouterError, OSError) as error:
            self._send(_FAILED, number, error)
        except Exception:
            log.exception("a question of another process cannot be answered", question=type(message).__name__)
            self._send(_FAILED, number, OperationFailed("the other process has failed; its log tells why"))

    def _send(self, kind: int, number: int, message: object) -> None:
        if self._transport is not None:
            body = pickle.dumps((kind, number, message), pickle.HIGHEST_PROTOCOL)
            self._transport.write(len(body).to_bytes(_HEADER, "big") + body)


def send_sockets(end: socket.socket, sockets: Sequence[socket.socket]) -> None:
    """Pass sockets on, through a pair of their own."""
    for start in range(0, len(sockets), _AT_ONCE):
        socket.send_fds(end, [b"+"], [each.fileno() for each in sockets[start : start + _AT_ONCE]])


def receive_sockets(end: socket.socket, count: int) -> list[socket.socket]:
    """As many as a message has announced; they are there already. Raises OSError."""
    numbers: list[int] = []
    while len(numbers) < count:
        data, received, _, _ = socket.recv_fds(end, 1, _AT_ONCE, socket.MSG_CMSG_CLOEXEC)
        numbers += received
        if not data:
            for number in numbers:
                os.close(number)
            raise OSError("the other process is gone")
    return [socket.socket(fileno=number) for number in numbers]
