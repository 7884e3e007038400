"""What rules say of a statement besides where it goes: its time is limited, or a copy of it is sent elsewhere.

The one that runs is ended on its server when its time is up; copies are ``engine/copying``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.engine.statements import Statement
from router.planner.plan import Bound, Plan, Relay, Scattered, Sharded, Spread, Staged


class Limits:
    """One session's. ``end`` is called with each of its commands while ``handle`` is set; ``kill`` as KILL QUERY."""

    __slots__ = ("_copy", "_kill", "handle")

    def __init__(self, kill: Callable[[], None], copy: Callable[[Relay, bytes, Statement | None], None]) -> None:
        self._kill = kill
        self._copy = copy
        self.handle: asyncio.TimerHandle | None = None

    def begin(self, plan: Plan | Bound, frame: bytes, statement: Statement | None = None) -> None:
        """A statement begins, perhaps with a limit or a copy: of ``frame``, which may execute a prepared one."""
        relay = self.limit(plan)
        if relay is not None and relay.mirror is not None:
            self._copy(relay, frame, statement)

    def limit(self, plan: Plan | Bound) -> Relay | None:
        """A statement begins, perhaps with a limit; its plan, or that of its first part."""
        match plan:
            case Relay():
                relay = plan
            case Scattered() | Spread():
                relay = plan.parts[0].relay
            case Staged():
                relay = plan.plan.relays[0]
            case Sharded():
                relay = plan.relays[0]
            case _:
                return None
        if relay.timeout is not None:
            self.handle = asyncio.get_running_loop().call_later(relay.timeout, self._over)
        return relay

    def end(self) -> None:
        """Another command begins, or the session ends."""
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None

    def _over(self) -> None:
        self.handle = None
        self._kill()
