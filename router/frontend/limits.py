"""Statements whose time is limited by a rule: the one that runs is ended on its server when the time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.planner.plan import Bound, Plan, Relay, Scattered, Sharded, Spread, Staged


class Limits:
    """One session's. ``end`` is called with each of its commands while ``handle`` is set; ``kill`` as KILL QUERY."""

    __slots__ = ("_kill", "handle")

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self.handle: asyncio.TimerHandle | None = None

    def begin(self, plan: Plan | Bound) -> None:
        """A statement begins, perhaps with a limit."""
        match plan:
            case Relay():
                timeout = plan.timeout
            case Scattered() | Spread():
                timeout = plan.parts[0].relay.timeout
            case Staged():
                timeout = plan.plan.relays[0].timeout
            case Sharded():
                timeout = plan.relays[0].timeout
            case _:
                return
        if timeout is not None:
            self.handle = asyncio.get_running_loop().call_later(timeout, self._over)

    def end(self) -> None:
        """Another command begins, or the session ends."""
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None

    def _over(self) -> None:
        self.handle = None
        self._kill()
