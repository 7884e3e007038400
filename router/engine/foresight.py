"""Where a plan would go if it were run now: what ``Executor.run``, ``Scatter`` and ``Writing`` would find.

Whoever changes where they look changes it here as well; tests/integration/test_foresight.py compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from router.cluster.topology import Group, Server
from router.engine import refusals
from router.engine.executor import Executor
from router.engine.leasing import Leasing
from router.engine.matching import PATIENCE
from router.engine.services import Services
from router.engine.transactions import Transactions
from router.errors import MySQLError
from router.planner.explain import Place
from router.planner.plan import Relay, Role, Scattered, Spread
from router.session.gtids import Token
from router.sql.facts import TRANSACTIONAL, Reason, StatementKind
from router.wire.constants import Command
from router.wire.framing import frame

_QUERY = bytes([Command.QUERY])
_BY_ROUTER = "answered by the router"


class Foresight:
    """Of one session."""

    def __init__(self, executor: Executor, transactions: Transactions, services: Services) -> None:
        self._executor = executor
        self._transactions = transactions
        self._services = services

    def places(self, plan: Relay | Scattered | Spread, sql: bytes) -> list[Place]:
        """One for each part of a plan; ``sql`` is the statement."""
        with ExitStack() as rehearsals:
            for group in self._services.topology.groups.values():
                rehearsals.enter_context(group.rehearsal())
            return self._relayed(plan, sql) if isinstance(plan, Relay) else self._parts(plan)

    # -- on one server -----------------------------------------------------------------------------------------

    def _relayed(self, plan: Relay, sql: bytes) -> list[Place]:
        executor = self._executor
        held, kind = executor.held, plan.facts.kind
        if kind is StatementKind.KILL:
            return [Place(None, None, why=_BY_ROUTER)]
        ends = kind in TRANSACTIONAL or bool(plan.facts.assignments)
        if plan.anywhere and ends:
            if self._transactions.keeps(plan, sql):
                return [Place(None, None, why=f"{_BY_ROUTER}: a server hears of it with the first statement for one")]
            if executor.branches and kind in TRANSACTIONAL:
                servers = [*([held] if held else []), *(server for _, server in executor.branches.in_order())]
                return [self._kept(plan, server) for server in servers]
            if executor.beginning.confined and kind is StatementKind.BEGIN:
                held = None
        return [self._leased_or_looked_back(plan, sql) if held is None else self._from(plan, held)]

    def _from(self, plan: Relay, held: Server) -> Place:
        """The session is kept on a server."""
        executor, session = self._executor, self._executor.session
        if executor.connection is not None and executor.connection.closed:
            return _refused(refusals.lost(refusals.where_lost(held)))
        if executor.beginning.confined and session.transaction:
            refused = refusals.on_replica(plan.facts)
            return self._kept(plan, held) if refused is None else _refused(refused)
        if held.group == plan.group or plan.anywhere:
            if executor.branches and not refusals.stays_inside(plan.facts):
                return _refused(refusals.may_end_spanning())
            return self._kept(plan, held)
        refused = executor.branches.refusal(plan, held)
        if refused is not None:
            return _refused(refused)
        server = executor.branches.where(plan.group)
        return self._leased(plan, primary=True, joins=True) if server is None else self._kept(plan, server)

    def _leased_or_looked_back(self, plan: Relay, sql: bytes) -> Place:
        executor, session = self._executor, self._executor.session
        begins = not session.autocommit or session.opening is not None
        primary = begins and not executor.beginning.may_be_on_replica(plan)
        to_primary = primary or plan.role is Role.PRIMARY
        look = executor.look
        if look.connection is not None and not look.connection.closed:
            there = look.where(plan, self._group(plan.group).primary if to_primary else None)
            if there is not None:
                return self._at(plan, there)
        return self._leased(plan, primary=primary, written=session.written, sql=sql)

    # -- on several --------------------------------------------------------------------------------------------

    def _parts(self, plan: Scattered | Spread) -> list[Place]:
        executor, session = self._executor, self._executor.session
        held = executor.held
        spanning = session.transaction or not session.autocommit
        joins = spanning and (held is not None or bool(executor.branches))
        shut = [each for part in plan.parts if (each := part.relay.group) and self._group(each).gate.shut]
        found = []
        for part in plan.parts:
            relay = part.relay
            server = held if held is not None and held.group == relay.group else executor.branches.where(relay.group)
            if spanning and server is not None:
                found.append(self._kept(relay, server))
            elif shut and not joins:
                found.append(_waits(relay, f"group {shut[0]!r} is paused"))
            else:
                primary = spanning or isinstance(plan, Spread)
                written = session.written if isinstance(plan, Scattered) else None
                found.append(self._leased(relay, primary=primary, written=written, joins=joins))
        return found

    # -- places ------------------------------------------------------------------------------------------------

    def _leased(
        self,
        plan: Relay,
        *,
        primary: bool,
        written: Mapping[str, Token] | None = None,
        joins: bool = False,
        sql: bytes = b"",
    ) -> Place:
        executor = self._executor
        leasing = Leasing(
            self._services,
            executor.user,
            granted=lambda connection, server: None,
            failed=lambda error: None,
            pins=lambda: executor.session.would_pin(plan.facts, frame(_QUERY + sql, 0)),
        )
        server, waits = leasing.rehearse(plan, primary=primary, written=written, joins=joins)
        if server is None:
            return _waits(plan, waits)
        if primary and plan.role is Role.REPLICA:
            return self._at(plan, server, why=self._session_reason())
        note = None
        if waits:
            note = f"it waits there for {waits}, for {PATIENCE:g} s at most; then the primary answers"
        elif plan.role is Role.REPLICA and server is self._group(plan.group).primary:
            note = self._why_no_replica(plan)
        return self._at(plan, server, note=note)

    def _why_no_replica(self, plan: Relay) -> str | None:
        """Why the primary answers a read that could be a replica's."""
        group = self._group(plan.group)
        if len(group.servers) == 1 or group.config.reads.from_ == "any":
            return None
        if all(server is group.primary for server in group.readers):
            return "no replica takes reads now"
        if plan.max_lag is not None:
            return "no replica is known to be near enough"
        return "no replica is known to have what the session must see"

    def _kept(self, plan: Relay, server: Server) -> Place:
        """It goes where the session is kept, which the plan might not have chosen."""
        if plan.role is Role.PRIMARY and server is self._group(server.group).elected:
            return self._at(plan, server)
        return self._at(plan, server, why=self._session_reason())

    def _session_reason(self) -> str:
        session = self._executor.session
        if session.transaction:
            return Reason.TRANSACTION.value
        if session.pins:
            return f"{Reason.PINNED.value}: {', '.join(sorted(pin.value for pin in session.pins))}"
        return Reason.AUTOCOMMIT_OFF.value

    def _at(self, plan: Relay, server: Server, why: str | None = None, note: str | None = None) -> Place:
        group = self._group(server.group)
        role = group.role_of(server) or plan.role
        return Place(server.name, role.value, why, note)

    def _group(self, name: str) -> Group:
        return self._services.topology.groups[name]


def _refused(error: MySQLError) -> Place:
    return Place(None, None, why=f"refused: {error.message}")


def _waits(plan: Relay, what: str) -> Place:
    return Place(f"group {plan.group}", plan.role.value, note=f"it waits: {what}")
