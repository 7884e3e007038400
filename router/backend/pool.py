"""The connections to one server, shared by all sessions of this process.

``take`` is the hot path: a dictionary look-up and a ``list.pop``. When nothing is idle the session leaves a
``Waiter``; waiters are served strictly in order, whatever key they wait for, so that nobody starves.

Opening happens in the background, one attempt for each waiter that is not covered yet; a slow connect therefore
never stands in the way of a connection that has just come back (the fault of a pool that connects under a lock).

Who may be closed for whom: when the pool is full, an idle connection of another key makes room, and a *lingering*
connection – kept by a session only because a later statement might ask what the last one did – is asked for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from router.backend.connection import BackendConnection, Capture, PoolKey
from router.backend.connector import BackendUser, Connector
from router.backend.reset import BASELINE, SETTLED_REPLIES, settle_commands
from router.errors import BackendError, BackendUnavailable, PoolTimeout, TurnedAway
from router.metrics import Histogram
from router.tasks import spawn
from router.wire.constants import Capability

log = structlog.get_logger(__name__)

# A server that refuses connections is asked again by the next waiter after this many seconds.
_RETRY_AFTER = 0.2
# Timers fire within a millisecond of their time; a waiter so close to its end is at its end.
_TICK = 0.001
# A generation that no pool ever has.
_CONDEMNED = -1

# Capabilities of a login that act by setting session variables, which COM_RESET_CONNECTION takes back.
_LOST_BY_RESET = int(Capability.IGNORE_SPACE | Capability.INTERACTIVE)


class Waiter:
    """A session waiting for a connection; exactly one of ``granted`` and ``failed`` is called, unless cancelled."""

    __slots__ = ("failed", "granted", "key", "since", "user")

    def __init__(
        self,
        key: PoolKey,
        user: BackendUser,
        granted: Callable[[BackendConnection], None],
        failed: Callable[[BackendError], None],
    ) -> None:
        self.key = key
        self.user = user
        self.granted = granted
        self.failed = failed
        self.since = 0.0


class BackendPool:
    """All connections to one server.

    ``max_connections`` bounds open and opening ones together; ``queue_timeout`` and ``max_age`` are seconds.
    ``expire()`` retires every connection that exists now, when it comes back or at once if it is idle. ``draining``:
    nobody is to come, who is here may finish; ``recalls``: sessions are asked for lingering connections at once.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        max_connections: int,
        queue_timeout: float,
        max_age: float,
        min_idle: int = 0,
    ) -> None:
        self.connector = connector
        self.name = connector.endpoint.name
        self.max_connections = max_connections
        self.queue_timeout = queue_timeout
        self.max_age = max_age
        self.min_idle = min_idle
        self.generation = 0
        self.size = 0
        # Those whose transports are not yet gone; ``size`` is what counts against the limit.
        self._connections: set[BackendConnection] = set()
        self.opening = 0
        self.in_use = 0
        self.timeouts = 0
        self.wait_seconds = 0.0
        self.waits = 0
        self.connect_errors = 0
        self.connects = Histogram()
        self.closing = False
        self.draining = False
        self.recalls = False
        self._idle: dict[PoolKey, list[BackendConnection]] = {}
        self._waiters: deque[Waiter] = deque()
        self._lingering: dict[BackendConnection, None] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Loop time to the second or so, kept by ``trim``: ages do not need a clock call for every statement.
        self.clock = 0.0

    # -- taking ------------------------------------------------------------------------------------------------

    def take(self, key: PoolKey) -> BackendConnection | None:
        """An idle connection of ``key``, or None: then ``wait``."""
        if len(self._waiters) > self.opening:
            return None
        connection = self._pop_idle(key)
        if connection is not None:
            self.in_use += 1
        return connection

    def _pop_idle(self, key: PoolKey) -> BackendConnection | None:
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
            self.size -= 1  # the server ended it and the loop has not told us yet
        return None

    def wait(self, waiter: Waiter) -> None:
        """Queue for a connection; the same waiter may be used again once it has been served."""
        if self.closing:
            waiter.failed(BackendUnavailable(f"server {self.name}: the router is stopping", refused=True))
            return
        waiter.since = asyncio.get_running_loop().time()
        self._waiters.append(waiter)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.queue_timeout, self._expire_waiters)
        if self._idle or self._lingering or self.size < self.max_connections:
            self._serve()

    def cancel(self, waiter: Waiter) -> None:
        """The session does not want a connection any more."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    @property
    def waiting(self) -> int:
        """Sessions in the queue."""
        return len(self._waiters)

    @property
    def alive(self) -> int:
        """Connections whose transports are not yet gone."""
        return len(self._connections)

    @property
    def has_room(self) -> bool:
        """Whether a connection can be had, idle or new, that nobody has to give back for it."""
        return self.in_use + self.opening < self.max_connections and self._retry is None

    @property
    def idle(self) -> int:
        """Connections nobody uses."""
        return sum(len(connections) for connections in self._idle.values())

    # -- giving back -------------------------------------------------------------------------------------------

    def release(self, connection: BackendConnection) -> None:
        """Take back a connection that owes nothing, and carries nothing but variables."""
        if connection.lingering is not None:
            self.unlinger(connection)
        if connection.busy:
            raise AssertionError("a connection was released while a reply is owed")
        if connection.closed or connection.generation != self.generation:
            self.discard(connection)
            return
        if connection.variables.personal:
            self.release_dirty(connection)
            return
        key = connection.key
        if key[2] is not (connection.schema is not None):
            connection.key = key = (key[0], key[1], connection.schema is not None)
        waiters = self._waiters
        if waiters and waiters[0].key == key and self.clock - connection.created <= self.max_age:
            # From hand to hand: the common case when sessions wait.
            waiter = waiters.popleft()
            self.waits += 1
            self.wait_seconds += asyncio.get_running_loop().time() - waiter.since
            waiter.granted(connection)
            return
        self.in_use -= 1
        connection.used = self.clock
        if self.clock - connection.created > self.max_age:
            self._close(connection)
        else:
            idle = self._idle.get(key)
            if idle is None:
                idle = self._idle[key] = []
            idle.append(connection)
        if waiters:
            self._serve()

    def release_dirty(self, connection: BackendConnection) -> None:
        """Take back a connection whose session left state on it: reset it first, off everybody's path."""
        self.unlinger(connection)
        unusable = connection.closed or connection.busy or connection.generation != self.generation
        if unusable or connection.key[1] & _LOST_BY_RESET:
            self.discard(connection)
            return

        def done(payload: bytes, error: bytes | None) -> None:
            if error is not None:
                self.discard(connection)
                return
            connection.insert_id = 0
            connection.variables = BASELINE
            connection.statements.clear()
            self.release(connection)

        data = settle_commands(connection.profile, connection.key[1], reset=True)
        capture = Capture(done, lambda error: self.discard(connection))
        connection.send(capture, data, prefix_replies=SETTLED_REPLIES)

    def discard(self, connection: BackendConnection) -> None:
        """Close a connection that is in use and cannot be used again."""
        self.unlinger(connection)
        self.in_use -= 1
        self._close(connection)
        self._serve()

    def condemn(self, connection: BackendConnection) -> None:
        """A KILL QUERY is on its way to ``connection``, in use now: nobody else may have it, whenever it comes back."""
        connection.generation = _CONDEMNED

    def linger(self, connection: BackendConnection, reclaim: Callable[[], None]) -> None:
        """The session keeps ``connection`` for the time being, but gives it up when ``reclaim`` is called."""
        connection.lingering = reclaim
        self._lingering[connection] = None
        if self._waiters:
            self._serve()
        elif self.recalls or self.draining:
            self._ask_lingering(1)

    def unlinger(self, connection: BackendConnection) -> None:
        """The session uses its lingering connection again."""
        connection.lingering = None
        self._lingering.pop(connection, None)

    # -- life cycle --------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Retire all connections there are now."""
        self.generation += 1
        for connections in self._idle.values():
            while connections:
                self._close(connections.pop())
        self._serve()

    def sever(self, reason: str) -> None:
        """End all connections there are now, soon, whoever uses them: they hear that theirs was lost."""
        self.expire()
        if self._connections:
            loop = asyncio.get_running_loop()
            for connection in self._connections:
                loop.call_soon(connection.lose, reason)

    def retire(self) -> None:
        """Nobody comes any more: who has a connection may finish with it, then it is closed."""
        self.max_age, self.min_idle = -1.0, 0
        self.expire()
        self.fail_waiters(TurnedAway(f"server {self.name} is not in the configuration any more"))

    def resize(self, other: BackendPool) -> None:
        """Take over the settings of another pool to the same server, and how it is reached."""
        self.max_connections, self.queue_timeout = other.max_connections, other.queue_timeout
        self.max_age, self.min_idle = other.max_age, other.min_idle
        self.connector.endpoint = other.connector.endpoint
        self._serve()

    def trim(self, now: float, keep_idle: float) -> None:
        """Close idle connections unused for ``keep_idle`` seconds or past their age, down to ``min_idle``."""
        self.clock = now
        spare = self.idle
        if self.draining:
            keep_idle = -1.0
        else:
            spare -= self.min_idle
        for connections in self._idle.values():
            for connection in list(connections):
                too_old = now - connection.created > self.max_age
                if too_old or (spare > 0 and now - connection.used > keep_idle):
                    connections.remove(connection)
                    spare -= 1
                    self._close(connection)
        self._idle = {key: connections for key, connections in self._idle.items() if connections}

    def drain(self) -> None:
        """Nobody is to come any more; who waits or lingers goes, who has a connection may finish."""
        self.draining = True
        self.expire()
        self.recall()
        self.fail_waiters(TurnedAway(f"server {self.name} is draining"))

    def recall(self) -> None:
        """Ask sessions for all lingering connections."""
        self._ask_lingering(len(self._lingering))

    def close(self) -> None:
        """Close what is idle, fail who waits, and let the rest close when it comes back."""
        self.closing = True
        self.expire()
        for timer in (self._retry, self._timer):
            if timer is not None:
                timer.cancel()
        self._fail_all(BackendUnavailable(f"server {self.name}: the router is stopping", refused=True))

    def fail_waiters(self, error: BackendError) -> None:
        """Nobody should wait for the server; whoever waits again at once may."""
        self._fail_all(error)

    # -- inside ------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Give connections to waiters in order; open or make room for those that are left."""
        position = 0
        while position < len(self._waiters):
            waiter = self._waiters[position]
            connection = self._pop_idle(waiter.key)
            if connection is not None:
                self._waiters.remove(waiter)
                self._grant(waiter, connection)
            elif position < self.opening:
                position += 1  # a connection is being opened for this one: the next need not wait for that
            else:
                break
        while self.opening < len(self._waiters) and not self.closing and self._retry is None:
            if not self._room():
                break
            self.size += 1
            self.opening += 1
            spawn(self._open(self._waiters[self.opening - 1]), f"connect to {self.name}")
        if len(self._waiters) > self.opening:
            self._ask_lingering(len(self._waiters) - self.opening)

    def _room(self) -> bool:
        """Whether one more may be opened, closing an idle connection of another key if that helps."""
        if self.size < self.max_connections:
            return True
        for connections in self._idle.values():
            if connections:
                self._close(connections.pop(0))
                return True
        return False

    def _ask_lingering(self, wanted: int) -> None:
        """Ask sessions for their lingering connections, oldest first; one may decline for the moment."""
        for connection in list(self._lingering):
            if wanted <= 0:
                return
            if (reclaim := connection.lingering) is not None:
                reclaim()
                wanted -= connection not in self._lingering

    def _grant(self, waiter: Waiter, connection: BackendConnection) -> None:
        self.in_use += 1
        self.waits += 1
        self.wait_seconds += asyncio.get_running_loop().time() - waiter.since
        waiter.granted(connection)

    async def _open(self, waiter: Waiter) -> None:
        """Open one connection with the key of ``waiter``; whoever is first in the queue by then gets it."""
        key, user = waiter.key, waiter.user
        generation = self.generation
        began = asyncio.get_running_loop().time()
        try:
            connection = await self.connector.open(user, key[1])
        except BaseException as error:
            self.size -= 1
            self.opening -= 1
            self.connect_errors += 1
            if not isinstance(error, Exception):
                raise
            if not isinstance(error, BackendError):
                log.exception("connecting failed in a way it should not", server=self.name)
                error = BackendUnavailable(f"server {self.name}: {error!r}")
            self._open_failed(waiter, error)
            return
        self.opening -= 1
        self.connects.observe(asyncio.get_running_loop().time() - began)
        connection.generation = generation
        connection.key = key
        self.clock = max(self.clock, connection.created)
        connection.when_closed(self._connection_closed)
        self._connections.add(connection)
        if connection.closed:
            self.size -= 1
            self.connect_errors += 1
            self._open_failed(waiter, BackendUnavailable(f"server {self.name}: closed the connection after the login"))
            return
        self.in_use += 1
        self._opened(connection)

    def _opened(self, connection: BackendConnection) -> None:
        if connection.generation != self.generation or self.closing:
            self.discard(connection)
            return
        for waiter in self._waiters:
            if waiter.key == connection.key:
                self._waiters.remove(waiter)
                self.in_use -= 1
                self._grant(waiter, connection)
                break
        else:
            self.in_use -= 1
            self._idle.setdefault(connection.key, []).append(connection)
        if self._waiters:
            self._serve()

    def _open_failed(self, waiter: Waiter, error: BackendError) -> None:
        """The waiter learns why; the others try again a little later, not all at once."""
        log.warning("cannot connect", server=self.name, reason=str(error))
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            waiter.failed(error)
        if self._waiters and self._retry is None and not self.closing:
            self._retry = asyncio.get_running_loop().call_later(_RETRY_AFTER, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._serve()

    def _expire_waiters(self) -> None:
        """The queue is in order of time: one timer, for its head, serves all."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        while self._waiters and self._waiters[0].since + self.queue_timeout < now + _TICK:
            self.timeouts += 1
            self._waiters.popleft().failed(
                PoolTimeout(
                    f"no connection to server {self.name} became free within {self.queue_timeout:g} s "
                    f"({self.in_use} of {self.max_connections} in use, {len(self._waiters)} more waiting)"
                )
            )
        if self._waiters:
            if self._timer is not None:  # somebody who was refused waits again already
                self._timer.cancel()
            left = self._waiters[0].since + self.queue_timeout - now
            self._timer = loop.call_later(left, self._expire_waiters)  # more than a tick away

    def _fail_all(self, error: BackendError) -> None:
        for _ in range(len(self._waiters)):  # who is told may wait again, or have others cancel
            if self._waiters:
                self._waiters.popleft().failed(error)

    def _connection_closed(self, connection: BackendConnection) -> None:
        """A transport is gone; if the server ended it while it was idle, nobody else knows."""
        self._connections.discard(connection)
        if self._remove_idle(connection):
            self.size -= 1
            self._serve()

    def _remove_idle(self, connection: BackendConnection) -> bool:
        idle = self._idle.get(connection.key)
        if idle and connection in idle:
            idle.remove(connection)
            return True
        return False

    def _close(self, connection: BackendConnection) -> None:
        self.size -= 1
        if connection.closed:
            return
        connection.quit()
