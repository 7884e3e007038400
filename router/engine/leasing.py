"""Finds the server for a statement, and a connection to it.

A statement that has not been sent may be tried elsewhere: when a server cannot be reached, when a connection breaks
before the statement is on it, and, for proven reads, when it breaks before a byte of the answer has been forwarded.
``TRIES`` bounds that. While a group has no primary, or nobody can be reached, the statement waits, up to
``failover_timeout``. While it is paused, what has not begun waits for its end; what belongs to something under way –
a transaction, a statement on several shards – must be let in, or that would wait for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from router.backend.connection import BackendConnection, PoolKey
from router.backend.connector import BackendUser
from router.backend.pool import Waiter
from router.cluster.topology import Group, Server
from router.engine.matching import PATIENCE
from router.engine.services import Services
from router.engine.trace import LegTrace
from router.errors import BackendError, BackendUnavailable, PoolTimeout, TurnedAway
from router.planner.plan import Relay, Role
from router.session.gtids import Token
from router.sql.facts import StatementKind

TRIES = 3
NO_WRITES: Mapping[str, Token] = {}
# How often a statement that has no server looks for one, in seconds.
RETRY_INTERVAL = 0.05


def _never() -> bool:
    return False


def _only_touches_the_session(plan: Relay) -> bool:
    """SET and USE without global effect, and without a look at tables."""
    facts = plan.facts
    if facts.kind is StatementKind.SET:
        return facts.tables == () and all(each.scope in ("session", "user") for each in facts.assignments)
    return facts.kind is StatementKind.USE


class Leasing:
    """One search at a time; it ends in ``granted`` (perhaps at once) or ``failed``, unless it is cancelled.

    ``awaits``: what the statement must wait for on the server that was found, which may be behind. ``trace`` is told
    what is waited for.
    """

    __slots__ = (
        "_admitted",
        "_deadline",
        "_failed",
        "_granted",
        "_joins",
        "_key",
        "_needs",
        "_pins",
        "_plan",
        "_primary",
        "_retry",
        "_server",
        "_services",
        "_tries",
        "_waiter",
        "_without",
        "_written",
        "awaits",
        "trace",
    )

    def __init__(
        self,
        services: Services,
        user: BackendUser,
        granted: Callable[[BackendConnection, Server], None],
        failed: Callable[[BackendError], None],
        pins: Callable[[], bool] = _never,
    ) -> None:
        """``pins``: whether the session will be kept where the statement that looks for a server is run."""
        self._services = services
        self._granted = granted
        self._failed = failed
        self._pins = pins
        self._key: PoolKey = (user.name, 0, False)
        self._waiter = Waiter(self._key, user, self._pool_granted, self._pool_failed)
        self._plan: Relay | None = None
        self._written = NO_WRITES
        self._needs: Token | None = None
        self.awaits: Token | None = None
        self.trace: LegTrace | None = None
        self._primary = False
        self._joins = self._admitted = False
        self._server: Server | None = None
        self._without: Server | None = None
        self._tries = 0
        self._deadline = 0.0
        self._retry: asyncio.TimerHandle | None = None

    def use(self, user: BackendUser) -> None:
        """Connections are this account's from now on."""
        self._waiter.user = user

    def lease(
        self,
        plan: Relay,
        key: PoolKey,
        *,
        primary: bool,
        written: Mapping[str, Token] | None = None,
        joins: bool | None = None,
        admitted: bool = False,
    ) -> None:
        """Find a connection of ``key`` for ``plan``; ``primary``: not even a read may go elsewhere.

        ``written``: by group, what the session has written; that matters to what begins here. ``joins``: it is for a
        transaction that is under way on other groups (so it is, unless said, where ``written`` is not). ``admitted``:
        for a statement on several shards that has begun.
        """
        self._joins = written is None if joins is None else joins
        self._admitted = admitted
        self._plan = plan
        self._written = written or NO_WRITES
        self.awaits = None
        self._key = key
        self._primary = primary or plan.role is Role.PRIMARY or plan.max_lag == 0
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
        if self.trace is not None:
            self.trace.retries += 1
        self._without = without
        self._look(plan)
        return True

    def arrived(self, server: Server) -> None:
        """The server has shown that it has what the statement ``awaits``."""
        if self.awaits is not None:
            server.reached.seen(self.awaits)
            self.awaits = None

    def behind(self, server: Server) -> bool:
        """The server did not come as far in time as the statement ``awaits``: try the primary; False: no more tries."""
        if self.trace is not None:
            self.trace.waits.in_vain(f"what the session must see, in vain, on {server.name}", PATIENCE)
        server.missed, self.awaits = self.awaits, None
        self._services.counters.waits_in_vain += 1
        self._primary = True
        return self.again(None)

    def cancel(self) -> None:
        """Nobody needs the connection any more."""
        if self._plan is not None:
            self._services.topology.groups[self._plan.group].gate.forget(self._let_in)
        self._plan = None
        if self._retry is not None:
            self._retry.cancel()
        if self._server is not None:
            self._server.pool.cancel(self._waiter)

    def _look(self, plan: Relay) -> None:
        topology = self._services.topology
        group = topology.groups[plan.group]
        # At each look: while the statement waits, the configuration may come to ask for more, or to have more servers.
        needs = plan.facts.read and (self._written or topology.shared)
        self._needs = group.needs(self._written) if needs else None
        server = self._choose(group, plan)
        if server is None:
            server = self._elected(group, plan)
            if server is None:
                return
        connection = server.pool.take(self._key)
        if connection is None and not server.pool.has_room and (other := self._with_room(group, plan)) is not None:
            server, connection = other, other.pool.take(self._key)
        if connection is not None:
            self._granted(connection, server)
            return
        self._server = server
        self._waiter.key = self._key
        if self.trace is not None:
            what = "a new connection" if server.pool.has_room else "a connection that others use"
            self._waits(f"{what} to {server.name}")
        server.pool.wait(self._waiter)

    def _choose(self, group: Group, plan: Relay) -> Server | None:
        """The server for a new statement; None when nobody takes it."""
        if self._primary:
            return group.primary
        if plan.max_lag is not None:
            now = asyncio.get_running_loop().time()
            server, waits = group.near_reader(plan.max_lag, now, self._needs, self._without)
        elif self._needs is None:
            return group.reader(self._without)
        else:
            server, waits = group.fresh_reader(self._needs, self._without)
        self.awaits = self._needs if waits else None
        return server

    def rehearse(
        self,
        plan: Relay,
        *,
        primary: bool,
        written: Mapping[str, Token] | None = None,
        joins: bool = False,
    ) -> tuple[Server | None, str]:
        """Who would get the statement if ``lease`` were called now, and what it would wait for; nothing is done.

        For a ``Leasing`` of its own. Without a server, the statement waits until there is one.
        """
        group = self._services.topology.groups[plan.group]
        self._primary = primary or plan.role is Role.PRIMARY or plan.max_lag == 0
        self.awaits = None
        self._needs = group.needs(written or NO_WRITES) if plan.facts.read else None
        server = self._choose(group, plan)
        if server is None and joins:
            server = group.elected
        if server is None and not group.gate.shut and self._goes_anywhere(plan):
            server = group.reader()
        if server is None:
            return None, f"group {plan.group!r} is paused" if group.gate.shut and not joins else self._nobody(plan)
        return server, "" if self.awaits is None else "what the session must see"

    def _goes_anywhere(self, plan: Relay) -> bool:
        """Any server can do it: clients could not log in otherwise while there is no primary, or no room there.

        Not where it pins the session: what that writes then belongs to the primary.
        """
        return _only_touches_the_session(plan) and not self._pins()

    def _with_room(self, group: Group, plan: Relay) -> Server | None:
        """Who takes what any server can do while the primary is full."""
        if self._joins or not self._goes_anywhere(plan):
            return None
        server = group.reader()
        return server if server is not None and server.pool.has_room else None

    def _elected(self, group: Group, plan: Relay) -> Server | None:
        """Who takes the statement although nobody takes new ones; None: it waits."""
        joins = self._joins or (self._admitted and group.gate.shut)
        if group.gate.shut and not joins:
            self._waits(f"the end of a pause of group {group.name}")
            group.gate.wait(self._let_in)
            return None
        server = group.elected if joins else None
        if server is None and self._goes_anywhere(plan):
            server = group.reader()
        if server is None:
            self._wait_for_server(plan)
        return server

    def _waits(self, what: str | None) -> None:
        """A wait begins; None: it is over."""
        if self.trace is None:
            return
        if what is None:
            self.trace.waits.end()
        else:
            self.trace.waits.begin(what)

    def _let_in(self) -> None:
        """The group is paused no more; ``failover_timeout`` begins anew."""
        self._waits(None)
        self._deadline = 0.0
        if self._plan is not None:
            self._look(self._plan)

    def _wait_for_server(self, plan: Relay, error: BackendError | None = None) -> None:
        """No server can take the statement now: look again until ``failover_timeout`` is over, then say ``error``."""
        if self._has_time(plan):
            self._waits(f"a server of group {plan.group}")
            self._retry = asyncio.get_running_loop().call_later(RETRY_INTERVAL, self._look_again)
            return
        self._failed(error or BackendUnavailable(f"{self._nobody(plan)} (waited {self._patience(plan):g} s)"))

    def _nobody(self, plan: Relay) -> str:
        """Who was looked for."""
        group = self._services.topology.groups[plan.group]
        if self._primary:
            return f"no primary of group {plan.group!r} is available"
        if plan.max_lag is not None and group.readers:
            near = f"no replica is known to be less than {plan.max_lag:g} s behind"
            return f"no primary of group {plan.group!r} is available, and {near}"
        if any(server.up and server.stale for server in group.servers):
            bound = group.config.reads.max_lag
            far = f"its replicas are more than {bound:g} s behind (reads.max_lag), or do not replicate"
            return f"no primary of group {plan.group!r} is available, and {far}"
        return f"no server of group {plan.group!r} is available"

    def _has_time(self, plan: Relay) -> bool:
        """Whether ``failover_timeout`` is not over; it begins with the first question."""
        now = asyncio.get_running_loop().time()
        if not self._deadline:
            self._deadline = now + self._patience(plan)
        return now < self._deadline

    def _patience(self, plan: Relay) -> float:
        return self._services.topology.groups[plan.group].config.failover_timeout

    def _look_again(self) -> None:
        # Where it has failed before, it may be well again by now, and nobody else may be able to.
        self._retry = self._without = None
        self._waits(None)
        if self._plan is not None:
            self._look(self._plan)

    def _pool_granted(self, connection: BackendConnection) -> None:
        server, self._server = self._server, None
        if server is not None:
            self._waits(None)
            self._granted(connection, server)

    def _pool_failed(self, error: BackendError) -> None:
        server, self._server = self._server, None
        self._waits(None)
        if isinstance(error, TurnedAway) and self._plan is not None:
            self._look(self._plan)
            return
        if isinstance(error, BackendUnavailable) and server is not None:
            self._services.suspect(server)
            if not server.up and self._plan is not None and self._has_time(self._plan):
                # That it is down is known by now: no try, and others may take the statement, or will.
                self._look(self._plan)
                return
            if self.again(server):
                return
            if self._plan is not None and not error.refused:
                # It may be the primary that is lost, and the monitor has not seen it yet.
                self._wait_for_server(self._plan, error)
                return
        elif isinstance(error, PoolTimeout) and self._others_have_room(server) and self.again(server):
            return
        self._failed(error)

    def _others_have_room(self, server: Server | None) -> bool:
        """Whether a read that has waited at ``server`` in vain need not wait at another one."""
        if self._primary or self._plan is None:
            return False
        readers = self._services.topology.groups[self._plan.group].readers
        return any(each.pool.has_room for each in readers if each is not server)
