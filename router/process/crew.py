"""The worker processes: started, asked and told together, and started again when one has ended."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from router.errors import OperationFailed, RouterError
from router.process.channel import Channel, send_sockets
from router.process.messages import Begin, Leave, Stop
from router.process.worker import command
from router.tasks import spawn

log = structlog.get_logger(__name__)

# Seconds: a worker that has lived so long is started again at once, another one after a pause that doubles.
_LIVED = 10.0
_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
# Seconds that a worker has to begin: its servers may let it wait.
_BEGINNING = 120.0
# Seconds that a worker has to end beyond what it was given.
_LAST_STEPS = 5.0


class Member:
    """One worker process; ``lives``: how many there have been in its place before."""

    def __init__(
        self,
        number: int,
        lives: int,
        hear: Callable[[Member, Any], None],
        asked: Callable[[Member, Any], Awaitable[Any]],
    ) -> None:
        self.number = number
        self.lives = lives
        self.hears = False
        self.serves = False
        self.addresses: list[str] = []
        self.channel = Channel(lambda message: hear(self, message), lambda message: asked(self, message), _nothing)
        self._process: asyncio.subprocess.Process | None = None
        self._sockets: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Its process, if there is one."""
        return None if self._process is None else self._process.pid

    async def launch(self) -> None:
        """Start the process. Raises OSError."""
        (ours, theirs), (sockets, their_sockets) = socket.socketpair(), socket.socketpair()
        with theirs, their_sockets:
            self._sockets = sockets
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *command((theirs, their_sockets)),
                    pass_fds=(theirs.fileno(), their_sockets.fileno()),
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
            except OSError:
                ours.close()
                sockets.close()
                raise
        ours.setblocking(False)
        await self.channel.start(ours)

    def send_sockets(self, sockets: list[socket.socket]) -> None:
        """They go ahead of the message that speaks of them. Raises OSError."""
        if self._sockets is None:
            raise OperationFailed("the worker has ended")
        send_sockets(self._sockets, sockets)

    async def wait(self) -> int:
        """Its exit status, once it has ended; negative: the signal that has killed it."""
        assert self._process is not None
        status = await self._process.wait()
        self.serves = False
        self.channel.close()
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None
        return status

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


class Crew:
    """All workers.

    ``begin(member)`` gives what a worker is told first, once its sockets have been sent; ``begun(member)`` tells it
    what has become different meanwhile. ``ended(member)`` is called when one has ended that was not to.
    """

    def __init__(
        self,
        count: int,
        begin: Callable[[Member], Begin],
        begun: Callable[[Member], Awaitable[None]],
        hear: Callable[[Member, Any], None],
        asked: Callable[[Member, Any], Awaitable[Any]],
        ended: Callable[[Member], None],
    ) -> None:
        self._begin = begin
        self._begun = begun
        self._hear = hear
        self._asked = asked
        self._ended = ended
        self._ending = False
        self.members = [Member(number, 0, hear, asked) for number in range(count)]
        self._keepers: list[asyncio.Task[None]] = []
        self.restarts = 0

    @property
    def serving(self) -> list[Member]:
        """Those that serve now."""
        return [each for each in self.members if each.serves]

    async def start(self) -> None:
        """Start all, and wait until they serve. Raises OSError, RouterError."""
        started = await asyncio.gather(*(self._start(each) for each in self.members), return_exceptions=True)
        for failure in started:
            if isinstance(failure, BaseException):
                await self.stop(0)
                raise failure
        self._keepers = [spawn(self._keep(each.number), f"keep worker {each.number}") for each in self.members]

    async def _start(self, member: Member) -> None:
        await member.launch()
        begin = self._begin(member)
        member.hears = True
        member.addresses = await member.channel.ask(begin, _BEGINNING)
        await self._begun(member)
        member.serves = True
        log.info("worker serves", worker=member.number, pid=member.pid)

    async def _keep(self, number: int) -> None:
        """See to it that there is such a worker."""
        loop = asyncio.get_running_loop()
        pause, since = _PAUSE, loop.time()
        while True:
            member = self.members[number]
            if member.pid is not None:
                status = await member.wait()
                if self._ending:
                    return
                self._ended(member)
                text = "a worker has ended: its clients are lost; another takes its place"
                log.error(text, worker=number, status=status)
            if loop.time() - since < _LIVED:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = _PAUSE
            if self._ending:
                return
            self.restarts += 1
            since = loop.time()
            self.members[number] = member = Member(number, member.lives + 1, self._hear, self._asked)
            try:
                await self._start(member)
            except (OSError, RouterError) as error:
                log.error("a worker cannot begin", worker=number, reason=str(error))
                member.kill()

    async def ask(self, message: object, within: float | None = None) -> list[Any]:
        """The answers of all that serve; of one that ends meanwhile there is none. Raises what they raise."""
        answers = await asyncio.gather(
            *(each.channel.ask(message, within) for each in self.serving), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, OperationFailed):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    def tell(self, message: object) -> None:
        """Tell all, also those that begin: what they were told first is older."""
        for each in self.members:
            if each.hears:
                each.channel.tell(message)

    async def leave(self, patience: float) -> None:
        """Have all serve those who are there to their ends, and wait for that."""
        self._ending = True
        for each in self.members:
            each.channel.tell(Leave(patience))
        await asyncio.gather(*(each.wait() for each in self.members if each.pid is not None))

    async def stop(self, drain_timeout: float) -> None:
        """End all, within so many seconds."""
        self._ending = True
        for each in self.members:
            each.channel.tell(Stop(drain_timeout))
        ends = [spawn(each.wait(), "worker ends") for each in self.members if each.pid is not None]
        if ends:
            _, late = await asyncio.wait(ends, timeout=drain_timeout + _LAST_STEPS)
            if late:
                log.error("workers do not end, and are killed", workers=len(late))
                for each in self.members:
                    each.kill()
                await asyncio.wait(late)
        for keeper in self._keepers:
            keeper.cancel()


def _nothing() -> None:
    """That the process has ended is noticed otherwise."""
