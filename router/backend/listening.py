"""The sockets that clients come to: opened once, kept by address, and handed on.

``Sockets`` keeps what it has opened, and gives out duplicates: whatever becomes of a server that listens on one, the
socket, and who waits in its queue, stays until ``close``. So a worker that has died loses only its own clients, and
another process can take the sockets over.

Several workers have a TCP socket each with SO_REUSEPORT (socket(7)), among which the kernel divides those who come.
A unix socket has one queue for all of them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from router.backend.sockets import bind_unix_socket
from router.config.values import Address

BACKLOG = 1024

Copies = list[list[socket.socket]]
"""The sockets of one address for each worker: several where a host's name means several addresses."""


class Sockets:
    """By address; for ``workers`` processes. ``given`` are those of another process; they are used before new ones."""

    def __init__(self, workers: int = 1, given: Mapping[str, Copies] | None = None) -> None:
        self._workers = workers
        self._given = dict(given or {})
        self._open: dict[str, Copies] = {}
        self._divided: set[str] = set()
        # Whether the files of unix sockets are this process's to remove.
        self._files_are_ours = not self._given

    async def open(self, key: str, address: Address, mode: int = 0o600) -> list[socket.socket]:
        """Listen at ``address`` in this process, or go on doing so; duplicates. Raises OSError.

        ``key`` names the address among all; ``mode`` is that of a unix socket's file.
        """
        await self._ensure(key, address, mode, 1)
        return [each.dup() for each in self.share(key, 0)]

    async def open_for_workers(self, key: str, address: Address, mode: int = 0o600) -> None:
        """As ``open``, for what each worker has its ``share`` of."""
        await self._ensure(key, address, mode, self._workers)
        self._divided.add(key)

    @property
    def divided(self) -> frozenset[str]:
        """What is open for workers."""
        return frozenset(self._divided)

    async def _ensure(self, key: str, address: Address, mode: int, workers: int) -> None:
        if key not in self._open:
            given = self._given.pop(key, None)
            self._open[key] = given if given is not None else await _bind(address, mode, workers)

    def give(self, key: str, sockets: Sequence[socket.socket]) -> None:
        """These are there for when the address will be asked for."""
        self._given[key] = [list(sockets)]

    def take_over(self) -> None:
        """The process that has given sockets listens no more; those that nobody has asked for are closed."""
        self._files_are_ours = True
        for copies in self._given.values():
            for copy in copies:
                for each in copy:
                    _close(each)
        self._given = {}

    def share(self, key: str, worker: int) -> list[socket.socket]:
        """Those of one worker. When there are fewer than workers they share, when there are more some have several."""
        copies = self._open[key]
        if len(copies) <= self._workers:
            return copies[worker % len(copies)]
        return [each for copy in copies[worker :: self._workers] for each in copy]

    def close(self, key: str) -> None:
        """Listen there no more, if anybody did."""
        self._divided.discard(key)
        for path in {_close(each) for copy in self._open.pop(key, []) for each in copy} - {None}:
            if path is not None and self._files_are_ours:
                Path(path).unlink(missing_ok=True)

    def close_all(self) -> None:
        """Listen nowhere."""
        for key in list(self._open):
            self.close(key)

    def hand_on(self) -> None:
        """Another process listens on the same sockets from now on: their files stay when they are closed here."""
        self._files_are_ours = False

    def __iter__(self) -> Iterator[tuple[str, Copies]]:
        """All that are open."""
        return iter(list(self._open.items()))


async def _bind(address: Address, mode: int, workers: int) -> Copies:
    if address.path is not None:
        return [[_listening(bind_unix_socket(Path(address.path), mode))]]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places = list(dict.fromkeys((family, place) for family, _, _, _, place in found))
    copies: Copies = [[] for _ in range(workers)]
    try:
        for family, place in places:
            if workers > 1:
                _bound(family, place, shared=False).close()  # somebody else's would not be noticed below
            for copy in copies:
                copy.append(_bound(family, place, shared=workers > 1))
                place = copy[-1].getsockname()  # the port that was had, where any would do
        for copy in copies:
            for each in copy:
                _listening(each)
    except OSError:
        for copy in copies:
            for each in copy:
                each.close()
        raise
    return copies


def shown(sockets: Iterable[socket.socket]) -> str:
    """The address of the first, with its real port."""
    first = next(iter(sockets))
    if first.family == socket.AF_UNIX:
        return f"unix:{first.getsockname()}"
    host, port = first.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bound(family: int, place: tuple[object, ...], *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(place)
    except OSError as error:
        bound.close()
        number = error.errno or errno.EINVAL
        raise OSError(number, f"cannot listen at {place[0]}:{place[1]}: {os.strerror(number).lower()}") from None
    return bound


def _listening(bound: socket.socket) -> socket.socket:
    bound.setblocking(False)
    bound.listen(BACKLOG)
    return bound


def _close(each: socket.socket) -> str | None:
    """The path of its file, if it has one."""
    path = str(each.getsockname()) if each.family == socket.AF_UNIX else None
    each.close()
    return path
