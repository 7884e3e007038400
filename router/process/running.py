"""Runs a router, of one process or several, until a signal says stop, or another one has taken over."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Protocol

import structlog
import uvloop

from router.backend.listening import Sockets
from router.config.differences import Difference
from router.config.models import RouterConfig
from router.config.watching import watch
from router.errors import ConfigError, OperationFailed, RouterError
from router.gateway import Gateway
from router.process.fleet import Fleet
from router.process.shares import worker_count
from router.process.successor import start_successor
from router.process.takeover import Handover, Takeover
from router.supervision import Supervisor
from router.tasks import spawn

log = structlog.get_logger(__name__)

_FAILED = 1
# Seconds after which the old router has given up its name, at the latest.
_NAME_FREE = 10.0


class Router(Protocol):
    """A ``Gateway`` or a ``Fleet``."""

    config: RouterConfig

    async def start(self) -> None:
        """Begin to serve."""

    async def reload(self) -> list[Difference]:
        """Read the configuration again."""

    async def leave(self, patience: float) -> None:
        """Serve who is there to their ends, and nobody else."""

    async def stop(self, drain_timeout: float | None = None) -> None:
        """End it."""


def run(path: Path, config: RouterConfig, *, watching: bool = False, takeover: bool = False) -> int:
    """Run; returns the exit status.

    ``watching``: reload whenever the file has changed. ``takeover``: take the sockets of the router that runs.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Run(path, config, watching=watching).run(takeover=takeover))


class _Run:
    def __init__(self, path: Path, config: RouterConfig, *, watching: bool) -> None:
        self._path = path
        self._config = config
        self._watching = watching
        self._manager = Supervisor()
        self._signals: asyncio.Queue[int] = asyncio.Queue()
        self._router: Router | None = None
        self._serves = False

    async def run(self, *, takeover: bool) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signals.put_nowait, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: spawn(self._reload(), "reload"))
        loop.add_signal_handler(signal.SIGUSR2, lambda: spawn(self._renew(), "start a new router"))
        log.info("starting", config=str(self._path))
        try:
            before = await Takeover.begin(self._config.admin) if takeover else None
        except OperationFailed as error:
            log.error("cannot take over", reason=str(error))
            return _FAILED
        count = worker_count(self._config)
        sockets = Sockets(count, before.sockets if before is not None else None)
        router = self._router = (
            Gateway(self._config, self._path, sockets)
            if count == 1
            else Fleet(self._config, self._path, count, sockets)
        )
        try:
            await router.start()
        except (OSError, RouterError) as error:
            log.error("cannot start", reason=str(error))
            await router.stop(drain_timeout=0)
            return _FAILED
        if before is not None:
            await before.serving()
            sockets.take_over()
            log.info("has taken over")
        handover = Handover(self._config.admin, sockets, self._manager.succeeded_by)
        await handover.start(patience=_NAME_FREE if before is not None else 0.0)
        self._manager.ready()
        self._serves = True
        await self._serve(router, handover)
        self._manager.close()
        log.info("stopped")
        return 0

    async def _serve(self, router: Router, handover: Handover) -> None:
        """Until it is told to stop, or another router serves."""
        watcher = spawn(watch(self._path, self._reload), "watch the configuration") if self._watching else None
        told, taken = spawn(self._signals.get(), "signal"), spawn(handover.done.wait(), "another router")
        await asyncio.wait({told, taken}, return_when=asyncio.FIRST_COMPLETED)
        if watcher is not None:
            watcher.cancel()
        handover.stop()
        taken.cancel()
        self._serves = False
        if not told.done():
            patience = router.config.limits.takeover_timeout
            log.info("another router has taken over; those who are here may stay until they leave", longest=patience)
            self._manager.stopping(patience)
            leaving = spawn(router.leave(patience), "leave")
            await asyncio.wait({told, leaving}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
        told.cancel()
        await self._stop(router)

    async def _stop(self, router: Router) -> None:
        drain_timeout = router.config.limits.drain_timeout
        self._manager.stopping(drain_timeout)
        log.info("stopping", drain_timeout=drain_timeout)
        stopping = spawn(router.stop(), "stop")
        again = spawn(self._signals.get(), "second signal")
        await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            log.warning("stopping now")
            stopping.cancel()
            await router.stop(drain_timeout=0)
        again.cancel()

    async def _renew(self) -> None:
        """Have another router take over, of what is installed by now; until it does, nothing changes."""
        if not self._serves:
            log.warning("no new router is started: this one does not serve yet, or leaves already")
            return
        try:
            command = await asyncio.to_thread(start_successor)
        except OperationFailed as error:
            log.error("a new router cannot be started", reason=str(error))
        else:
            log.info("a new router is started, to take over", command=command)

    async def _reload(self) -> None:
        """Whatever is wrong with the new file, the old configuration goes on."""
        if self._router is None:
            return
        with self._manager.reloading():
            try:
                await self._router.reload()
            except ConfigError as error:
                for problem in error.problems:
                    log.error("configuration refused; the old one goes on", problem=str(problem))
            except OSError as error:
                log.error("configuration refused; the old one goes on", problem=str(error))
