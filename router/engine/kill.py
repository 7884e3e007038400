"""Ends a session's statement on its server, by KILL over a connection of its own.

The danger is the next owner: a KILL QUERY that arrives after the statement has ended hits whatever runs then. So the
connection is condemned to serve nobody else (``BackendPool.condemn``), and while a KILL is ``pending`` the executor
keeps it only for a session that cannot do without.
"""

from __future__ import annotations

from collections.abc import Callable

from router.backend.connection import BackendConnection
from router.backend.connector import BackendUser
from router.cluster.topology import Server
from router.errors import BackendError
from router.metrics import Counters
from router.tasks import spawn

_NO_SUCH_THREAD = 1094


class Killer:
    """KILL for one session. ``pending`` while a KILL QUERY is under way."""

    __slots__ = ("_counters", "pending", "user")

    def __init__(self, user: BackendUser, counters: Counters) -> None:
        self.user = user
        self._counters = counters
        self.pending = False

    def end_statement(
        self, connection: BackendConnection | None, server: Server | None, done: Callable[[], None]
    ) -> bool:
        """KILL QUERY, once at a time; ``done`` is called when the server has done it. False: nothing runs there."""
        if connection is None or server is None or not connection.busy:
            return False
        server.pool.condemn(connection)
        if self.pending:
            done()
        else:
            self.pending = True
            spawn(self._kill_query(server, connection.thread_id, done), "kill query")
        return True

    def kill_connection(self, server: Server, thread_id: int) -> None:
        """End the connection, and with it statement and transaction."""
        spawn(self._kill(server, thread_id, query_only=False), "kill for a lost client")

    async def _kill_query(self, server: Server, thread_id: int, done: Callable[[], None]) -> None:
        try:
            await self._kill(server, thread_id, query_only=True)
        finally:
            self.pending = False
            done()

    async def _kill(self, server: Server, thread_id: int, *, query_only: bool) -> None:
        try:
            await server.connector.kill(self.user, thread_id, query_only=query_only)
        except BackendError:
            # The thread has ended by itself, or the server is gone and the statement with it.
            self._counters.errors["router", _NO_SUCH_THREAD] += 1
