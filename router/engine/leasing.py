"""Finds the server for a statement, and a connection to it.

A statement that has not been sent may be tried elsewhere: when a server cannot be reached, when a connection breaks
before the statement is on it, and, for proven reads, when it breaks before a byte of the answer has been forwarded.
``TRIES`` bounds that. While a group has no primary the statement waits, up to ``failover_timeout``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.backend.connection import BackendConnection, PoolKey
from router.backend.connector import BackendUser
from router.backend.pool import Waiter
from router.cluster.topology import Server
from router.engine.services import Services
from router.errors import BackendError, BackendUnavailable
from router.planner.plan import Relay, Role
from router.sql.facts import StatementKind

TRIES = 3
# How often a statement that has no server looks for one, in seconds.
RETRY_INTERVAL = 0.05


def _only_touches_the_session(plan: Relay) -> bool:
    """SET and USE without global effect: any server can do them, or clients could not log in without a primary."""
    facts = plan.facts
    return facts.kind in (StatementKind.SET, StatementKind.USE) and all(
        assignment.scope in ("session", "user") for assignment in facts.assignments
    )


class Leasing:
    """One search at a time; it ends in ``granted`` (perhaps at once) or ``failed``, unless it is cancelled."""

    __slots__ = (
        "_deadline",
        "_failed",
        "_granted",
        "_key",
        "_plan",
        "_primary",
        "_retry",
        "_server",
        "_services",
        "_tries",
        "_waiter",
        "_without",
    )

    def __init__(
        self,
        services: Services,
        user: BackendUser,
        granted: Callable[[BackendConnection, Server], None],
        failed: Callable[[BackendError], None],
    ) -> None:
        self._services = services
        self._granted = granted
        self._failed = failed
        self._key: PoolKey = (user.name, 0, False)
        self._waiter = Waiter(self._key, user, self._pool_granted, self._pool_failed)
        self._plan: Relay | None = None
        self._primary = False
        self._server: Server | None = None
        self._without: Server | None = None
        self._tries = 0
        self._deadline = 0.0
        self._retry: asyncio.TimerHandle | None = None

    def lease(self, plan: Relay, key: PoolKey, *, primary: bool) -> None:
        """Find a connection of ``key`` for ``plan``; ``primary``: not even a read may go elsewhere."""
        self._plan = plan
        self._key = key
        self._primary = primary or plan.role is Role.PRIMARY
        self._without = None
        self._tries = 1
        self._deadline = 0.0
        self._look(plan)

    def again(self, without: Server | None) -> bool:
        """Try once more, on another server than ``without`` if there is one; False when there were enough tries."""
        plan = self._plan
        if plan is None or self._tries >= TRIES:
            return False
        self._tries += 1
        self._without = without
        self._look(plan)
        return True

    def cancel(self) -> None:
        """Nobody needs the connection any more."""
        self._plan = None
        if self._retry is not None:
            self._retry.cancel()
        if self._server is not None:
            self._server.pool.cancel(self._waiter)

    def _look(self, plan: Relay) -> None:
        group = self._services.topology.groups[plan.group]
        server = group.primary if self._primary else group.reader(self._without)
        if server is None and _only_touches_the_session(plan):
            server = group.reader()
        if server is None:
            self._wait_for_server(plan, group.config.failover_timeout)
            return
        connection = server.pool.take(self._key)
        if connection is not None:
            self._granted(connection, server)
            return
        self._server = server
        self._waiter.key = self._key
        server.pool.wait(self._waiter)

    def _wait_for_server(self, plan: Relay, patience: float) -> None:
        """No server can take the statement now: look again until ``failover_timeout`` is over."""
        loop = asyncio.get_running_loop()
        if not self._deadline:
            self._deadline = loop.time() + patience
        if loop.time() < self._deadline:
            self._retry = loop.call_later(RETRY_INTERVAL, self._look_again)
            return
        role = "primary" if self._primary else "server"
        self._failed(BackendUnavailable(f"no {role} of group {plan.group!r} is available (waited {patience:g} s)"))

    def _look_again(self) -> None:
        self._retry = None
        if self._plan is not None:
            self._look(self._plan)

    def _pool_granted(self, connection: BackendConnection) -> None:
        server, self._server = self._server, None
        if server is not None:
            self._granted(connection, server)

    def _pool_failed(self, error: BackendError) -> None:
        server, self._server = self._server, None
        if isinstance(error, BackendUnavailable) and server is not None:
            self._services.suspect(server)
            if self.again(server):
                return
        self._failed(error)
