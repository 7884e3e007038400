"""The configuration is read again while the router runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog

from router.admin import asking
from router.config.differences import Difference, differences
from router.config.models import RouterConfig
from router.errors import ConfigError
from router.metrics import Counters

log = structlog.get_logger(__name__)

# Read once, when a router begins.
_AT_THE_START = ("workers", "admin.http", "admin.mysql", "logging.format", "logging.level")


class Reloads:
    """One after the other, all or nothing. ``refused``: the last one was; ``stopping``: there will be no more."""

    def __init__(
        self,
        path: Path | None,
        counters: Counters,
        config: Callable[[], RouterConfig],
        go_by: Callable[[RouterConfig], Awaitable[None]],
    ) -> None:
        """``config`` is what holds now; ``go_by`` another one, or raises OSError and leaves it."""
        self.path = path
        self.refused = False
        self.stopping = False
        self._counters = counters
        self._config = config
        self._go_by = go_by
        self._lock = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether one is under way."""
        return self._lock.locked()

    async def read_again(self) -> list[Difference]:
        """Go by the file as it is now; what is different. No client is dropped, no statement interrupted.

        Raises ConfigError, or OSError when an address, a certificate or the like cannot be had: nothing has changed.
        """
        try:
            changes = await self._read_again()
        except (ConfigError, OSError):
            self._counters.reloads["refused"] += 1
            self.refused = True
            raise
        self._counters.reloads["done"] += 1
        self.refused = False
        return changes

    async def _read_again(self) -> list[Difference]:
        async with self._lock:
            if self.stopping:
                return []
            config = await asking.read_again(self.path)
            changes = differences(self._config(), config)
            await self._go_by(config)
        _tell(self.path, changes)
        return changes

    async def go_by(self, config: RouterConfig) -> None:
        """Go by what somebody else has read. Raises OSError, and then nothing has changed."""
        async with self._lock:
            if not self.stopping:
                await self._go_by(config)


def _tell(path: Path | None, changes: Iterable[Difference]) -> None:
    changes = list(changes)
    for change in changes:
        log.info("configuration changed", change=str(change))
    log.info("configuration reloaded", config=str(path), changes=len(changes))
    for key in _AT_THE_START:
        if any(change.path == key or change.path.startswith(f"{key}.") for change in changes):
            log.warning("this takes effect when the router is started again", key=key)
