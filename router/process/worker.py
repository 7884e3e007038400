"""A worker: one gateway, without admin interfaces and probes of its own, that a supervisor tells what to do.

``python -m router.process.worker MESSAGES SOCKETS`` is given two socket pairs by their numbers. It ends when it is told
to, or when the supervisor is gone: a worker that nobody tells how the servers are must not go on for long.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
import uvloop
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from router import log as logging
from router.backend.listening import Sockets
from router.cluster.following import Follower, GroupNews
from router.cluster.operations import Drained, Paused
from router.errors import OperationFailed
from router.gateway import Gateway, Others
from router.log import LogLine
from router.planner.explaining import Explained
from router.process.channel import Channel, receive_sockets
from router.process.messages import (
    Begin,
    Drain,
    Explain,
    GoBy,
    Kill,
    Leave,
    Lines,
    Look,
    Maintain,
    News,
    Pause,
    Resume,
    Stop,
    Suspect,
    TablesChanged,
    Tell,
    Told,
    Undrain,
)
from router.session.registry import Killed
from router.tasks import spawn

log = structlog.get_logger(__name__)


class Worker:
    """Its side of the channel."""

    def __init__(self, sockets: socket.socket) -> None:
        """``sockets`` is the end through which sockets come."""
        self._end = sockets
        self._sockets = Sockets()
        self.channel = Channel(self._hear, self._asked, self._lost)
        self._gateway: Gateway | None = None
        self._news: dict[str, GroupNews] = {}
        self._maintenance: bool | None = None
        self._over: asyncio.Queue[Leave | Stop] = asyncio.Queue()
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        GCCollector(registry=self._process)

    async def run(self) -> None:
        """Serve until told otherwise."""
        message = await self._over.get()
        if self._gateway is None:
            return
        if isinstance(message, Leave):
            leaving = spawn(self._gateway.leave(message.patience), "leave")
            stop = spawn(self._over.get(), "stop")
            await asyncio.wait({leaving, stop}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            timeout = self._gateway.config.limits.drain_timeout
            message = stop.result() if stop.done() else Stop(timeout)
            stop.cancel()
        if isinstance(message, Stop):
            await self._gateway.stop(message.drain_timeout)
        self.channel.close()

    # -- the channel -------------------------------------------------------------------------------------------

    def _hear(self, message: Any) -> None:
        match message:
            case News(group):
                self._news[group.name] = group
                if self._gateway is not None:
                    _follower(self._gateway).hear([group])
            case Maintain(on):
                self._maintenance = on
                if self._gateway is not None:
                    self._gateway.maintenance.on = on
            case Leave() | Stop():
                self._over.put_nowait(message)
            case _:
                log.error("a message that nobody knows", message=type(message).__name__)

    def _lost(self) -> None:
        """The supervisor is gone, or has let go."""
        timeout = 0.0 if self._gateway is None else self._gateway.config.limits.drain_timeout
        self._over.put_nowait(Stop(timeout))

    async def _asked(self, message: Any) -> Any:
        return await _ANSWERS[type(message)](self, message)

    @property
    def _running(self) -> Gateway:
        if self._gateway is None:
            raise OperationFailed("this worker has not begun")
        return self._gateway

    def _take_sockets(self, counts: Mapping[str, int]) -> None:
        received = iter(receive_sockets(self._end, sum(counts.values())))
        for key, count in counts.items():
            self._sockets.give(key, [next(received) for _ in range(count)])

    # -- what it is asked --------------------------------------------------------------------------------------

    async def _begin(self, message: Begin) -> list[str]:
        logging.setup(message.logging.format, message.logging.level, worker=message.numbering.number)
        self._take_sockets(message.sockets)
        others = Others(message.numbering, self._follow, self._kill_elsewhere, self._tables_changed)
        gateway = Gateway(message.config, sockets=self._sockets, others=others)
        # What is told behind the first message may be heard ahead of it.
        gateway.maintenance.on = message.maintenance if self._maintenance is None else self._maintenance
        _follower(gateway).hear([*message.news, *self._news.values()])
        self._gateway = gateway
        for group, server in message.draining:
            place = gateway.topology.groups[group]
            place.drain(next(each for each in place.servers if each.name == server))
        for group, seconds in message.paused.items():
            await gateway.operations.pause(group, seconds, 0)
        await gateway.start()
        return gateway.addresses

    def _follow(self, topology: Any) -> Follower:
        return Follower(
            topology,
            lambda group, server: self.channel.tell(Suspect(group, server)),
            lambda group: self.channel.ask(Look(group)),
        )

    async def _kill_elsewhere(self, connection_id: int, user: str, query_only: bool) -> Killed:
        try:
            found = await self.channel.ask(Kill(connection_id, query_only, user))
        except OperationFailed:
            return Killed.UNKNOWN  # its worker has ended meanwhile, and the session with it
        assert isinstance(found, Killed)
        return found

    async def _tables_changed(self) -> None:
        await self.channel.ask(TablesChanged())

    async def _go_by(self, message: GoBy) -> list[str]:
        self._take_sockets(message.sockets)
        for each in message.news:
            self._news[each.name] = each
        _follower(self._running).hear(message.news)
        await self._running.reloads.go_by(message.config)
        return self._running.addresses

    async def _tell(self, message: Tell) -> Told:
        gateway = self._running
        return Told(
            counters=gateway.counters,
            gauges=gateway.gauges(),
            sessions=tuple(gateway.frontend.glances()) if message.sessions else (),
            standing=tuple(gateway.operations.standing()),
            process=tuple(self._process.collect()),
            digests=tuple(gateway.digests) if message.digests else (),
        )

    async def _lines(self, message: Lines) -> list[LogLine]:
        return [each for each in logging.recent() if each.number > message.after]

    async def _explain(self, message: Explain) -> Explained:
        return await self._running.explain(message.sql, message.user, message.schema, message.client)

    async def _drain(self, message: Drain) -> Drained:
        return await self._running.operations.drain(message.group, message.server, message.wait)

    async def _undrain(self, message: Undrain) -> Drained:
        return self._running.operations.use_again(message.group, message.server)

    async def _pause(self, message: Pause) -> list[Paused]:
        return await self._running.operations.pause_all(message.groups, message.longest, message.wait)

    async def _resume(self, message: Resume) -> list[Paused]:
        return self._running.operations.go_on(message.groups)

    async def _kill(self, message: Kill) -> Killed:
        return await self._running.kill(message.connection_id, message.query_only, message.user)

    async def _look_at_tables(self, message: TablesChanged) -> None:
        await self._running.look_at_tables()


_ANSWERS: dict[type[object], Callable[[Worker, Any], Awaitable[Any]]] = {
    Begin: Worker._begin,
    GoBy: Worker._go_by,
    Tell: Worker._tell,
    Lines: Worker._lines,
    Explain: Worker._explain,
    Drain: Worker._drain,
    Undrain: Worker._undrain,
    Pause: Worker._pause,
    Resume: Worker._resume,
    Kill: Worker._kill,
    TablesChanged: Worker._look_at_tables,
}


def _follower(gateway: Gateway) -> Follower:
    assert isinstance(gateway.monitor, Follower)
    return gateway.monitor


async def _main(messages: socket.socket, sockets: socket.socket) -> None:
    worker = Worker(sockets)
    await worker.channel.start(messages)
    await worker.run()


def main(arguments: Sequence[str]) -> None:
    """Run as the process that a supervisor has started."""
    # They are for the supervisor, which tells its workers; a terminal, or a service manager, sends them to all.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    messages, sockets = (socket.socket(fileno=int(each)) for each in arguments)
    messages.setblocking(False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(messages, sockets))


def command(ends: Iterable[socket.socket]) -> list[str]:
    """What to start."""
    return [sys.executable, "-P", "-m", "router.process.worker", *(str(each.fileno()) for each in ends)]


if __name__ == "__main__":
    main(sys.argv[1:])
