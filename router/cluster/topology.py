"""The servers as groups: who is primary, who is a replica, who is up.

``Topology`` is built once from the configuration; the monitor changes what it knows of each server. Sessions ask
``Group.primary`` and ``Group.reader()``; both are attribute-cheap because they are recomputed only on a change.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog

from router.backend.connector import Connector, Endpoint
from router.backend.pool import BackendPool
from router.cluster.balancer import Balancer, policy_for
from router.cluster.electing import Candidate, Outcome, elect, stay
from router.cluster.gate import Gate
from router.config.models import Group as GroupConfig
from router.config.models import RouterConfig, ServerTls
from router.config.models import Server as ServerConfig
from router.errors import BackendUnavailable, TurnedAway
from router.metrics import Histogram
from router.planner.plan import Role
from router.session.gtids import NOTHING, Reached, Token
from router.session.profile import ServerProfile

log = structlog.get_logger(__name__)

# Seconds between two looks for a primary.
_AGAIN = 0.05

# The identity, the host and the port of a server.
Source = tuple[str, str, int]


class Server:
    """One server: its pool and what is known of it.

    ``role`` is None while nobody has asked it; ``up`` whether it answers; ``commands`` counts answers by command byte,
    ``durations`` how long they took, ``failures`` connections lost. ``reached`` is how far it has come in the stream of
    writes, ``ordered`` whether it applies those of one source in their order, ``missed`` what a read has waited for
    here in vain, ``names_writes`` whether what is written here has GTIDs.

    ``sources`` are whose writes it applies, ``follows`` those of them that are in the group; ``clustered`` whether it
    is in a cluster in which any can be written, ``executed`` and ``identity`` its GTIDs and what is in those of its own
    writes. ``lag`` in seconds was found at ``lag_at`` (None: not known); ``lagging``, ``stale``: more than may be
    (``LagState``). ``rests``: it goes up and down. ``fenced``: it could be written, and is not the primary: it takes
    nothing. ``draining``: so does it, because somebody wants it so; who is there may finish.

    ``near``: it is in the router's zone. ``delay``: seconds it takes for a short question, on average; None: not known.
    ``turn`` is the balancer's.
    """

    __slots__ = (
        "clustered",
        "commands",
        "configured_role",
        "delay",
        "durations",
        "executed",
        "failures",
        "fenced",
        "follows",
        "group",
        "identity",
        "lag",
        "lag_at",
        "lagging",
        "missed",
        "name",
        "names_writes",
        "near",
        "ordered",
        "pool",
        "reached",
        "rests",
        "role",
        "sources",
        "stale",
        "turn",
        "up",
        "weight",
    )

    def __init__(self, config: ServerConfig, pool: BackendPool, group: str, zone: str | None = None) -> None:
        """``zone``: the router's."""
        self.name = pool.name
        self.group = group
        self.configured_role = config.role
        self.role: Role | None = None if config.role == "auto" else Role(config.role)
        self.weight = config.weight
        self.near = zone is not None and config.zone == zone
        self.delay: float | None = None
        self.turn = 0
        self.pool = pool
        self.up = False
        self.commands = [0] * 256
        self.durations = Histogram()
        self.failures = 0
        self.reached = Reached()
        self.ordered = True
        self.names_writes = True
        self.missed: Token | None = None
        self.sources: frozenset[Source] = frozenset()
        self.follows: frozenset[str] = frozenset()
        self.clustered = False
        self.executed = ""
        self.identity = ""
        self.lag: float | None = None
        self.lag_at = 0.0
        self.lagging = False
        self.stale = False
        self.rests = False
        self.fenced = False

    def configure(self, other: Server, *, reconnect: bool) -> None:
        """Be as ``other``, the same server in another configuration; ``reconnect`` when it is reached otherwise."""
        self.weight, self.near = other.weight, other.near
        if self.configured_role != other.configured_role:
            self.configured_role = other.configured_role
            self.role = other.role or self.role
        self.pool.resize(other.pool)
        if reconnect:
            self.pool.expire()

    def feeds(self, other: Server) -> bool:
        """Whether ``other`` applies its writes."""
        address = self.connector.endpoint.address
        return any(
            (identity == self.identity != "") or (host, port) == (address.host, address.port)
            for identity, host, port in other.sources
        )

    @property
    def draining(self) -> bool:
        """Whether it takes nothing new."""
        return self.pool.draining

    @property
    def connector(self) -> Connector:
        """How to reach it."""
        return self.pool.connector

    @property
    def profile(self) -> ServerProfile | None:
        """What is known of its variables and collations; None before the first contact."""
        return self.pool.connector.profile


class Group:
    """A replica set. ``written``: the writes that this router knows of.

    ``primary`` and ``readers`` take new statements: nobody does while the group's ``gate`` is shut. ``elected`` is who
    takes what belongs to transactions under way: the primary also then, and while it drains and is not empty.

    ``kin``: groups of other names that have, or had, a server that this one has, or had (by its ``addresses``): what
    was written there may be read here.

    ``directed``: who is the primary is not decided here, but by the process that watches the servers.
    """

    __slots__ = (
        "_balancer",
        "_blind",
        "_freshness",
        "addresses",
        "config",
        "directed",
        "elected",
        "gate",
        "kin",
        "name",
        "primary",
        "readers",
        "servers",
        "written",
    )

    def __init__(self, name: str, config: GroupConfig, servers: list[Server]) -> None:
        self.name = name
        self.gate = Gate()
        self.elected: Server | None = None
        self.primary: Server | None = None
        self.readers: tuple[Server, ...] = ()
        self.addresses: set[str] = set()
        self.kin: tuple[Group, ...] = ()
        self.written = NOTHING
        self.directed: Outcome | None = None
        self._blind = False
        self.configure(config, servers)

    def configure(self, config: GroupConfig, servers: list[Server]) -> None:
        """Go by this configuration, with these servers, from now on."""
        self.config = config
        self.servers = servers
        self.addresses.update(str(server.connector.endpoint.address) for server in servers)
        # With one server there is nobody to be behind.
        self._freshness = config.reads.consistency if len(servers) > 1 else "eventual"
        zoned = len({server.near for server in servers}) > 1
        self._balancer = Balancer(policy_for(config.reads.balance), zoned=zoned)
        self.refresh()

    def refresh(self) -> None:
        """Recompute who takes what, after a server's role or health changed."""
        self._elect()
        elected = self.elected
        self.primary = None if elected is None or elected.draining or self.gate.shut else elected
        if self.gate.shut:
            self.readers = ()
            return
        replicas = [
            server
            for server in self.servers
            if server.up and not server.draining and self.role_of(server) is Role.REPLICA
        ]
        primary = [self.primary] if self.primary is not None else []
        source = "primary" if self._only_primary() else self.config.reads.from_
        match source:
            case "primary":
                readers = primary
            case "any":
                readers = [server for server in replicas if not server.lagging and not server.rests] + primary
            case _:
                # A weight of 0 keeps a replica for the time when nobody else can read.
                able = [server for server in replicas if server.weight and not server.rests]
                readers = [server for server in able if not server.lagging] or primary
        if not readers and source != "primary":
            # Nobody can write: who was not behind misses nothing.
            able = [server for server in replicas if not server.stale]
            readers = [server for server in able if server.weight and not server.rests] or able
        self.readers = tuple(readers)

    def role_of(self, server: Server) -> Role | None:
        """What the server is for this group; None: nothing, or not known."""
        if server is self.elected or not server.up or server.draining:
            return server.role
        # One that could be written and follows the primary is as good as a replica.
        return None if server.fenced or server.role is None else Role.REPLICA

    def _elect(self) -> None:
        """Choose the primary; fence who else could be written."""
        had = self.elected
        for server in self.servers:
            server.follows = frozenset(each.name for each in self.servers if each is not server and each.feeds(server))
        writable = {server.name: server for server in self.servers if server.up and server.role is Role.PRIMARY}
        outcome = self.directed or self._choose(writable, had)
        self.elected = writable.get(outcome.primary) if outcome.primary is not None else None
        for server in self.servers:
            fenced = server.name in outcome.fenced or (server.fenced and server.draining and server.name in writable)
            if fenced is not server.fenced:
                server.fenced = fenced
                self._fenced(server, outcome)
        if self.elected is not None and self.elected is not had:
            for server in self.servers:
                if not server.up:
                    # Nobody waits for what another server has taken over from.
                    server.pool.sever("it is down, and another server is the primary")
        if had is not None and had is not self.elected and had.name in writable:
            had.pool.expire()

    def _choose(self, writable: Mapping[str, Server], had: Server | None) -> Outcome:
        candidates = [_candidate(server) for server in writable.values()]
        if had is not None and had.draining and had.name in writable and had.pool.in_use:
            return stay(candidates, had.name)
        return elect(candidates, had.name if had else None, [server.name for server in self.servers if not server.up])

    def _fenced(self, server: Server, outcome: Outcome) -> None:
        """A server has been fenced, or is so no more."""
        waits = self.elected is not None and self.elected.draining
        if server.fenced and not waits:
            # What is written there will be lost: whoever has begun with it may not end it.
            server.pool.sever("it is not the primary")
        if self.directed is not None:
            return  # who decides that has told of it
        if not server.fenced:
            log.info("server is no longer fenced", group=self.name, server=server.name)
            return
        # The old primary may have become read-only since it was asked: whether it has not, the monitor says.
        text = "a second writable server: it takes nothing unless the primary turns out to be none any more"
        if waits:
            text = "a new primary takes nothing until nobody is held on the old one, which drains"
        log.warning(text, group=self.name, server=server.name, primary=outcome.primary, reason=outcome.reason)

    def refuses_writes(self, server: Server) -> bool:
        """A server has said that it is read-only: it is no primary until it is asked again.

        False when its role is not for it to say.
        """
        if server.configured_role != "auto":
            return False
        if server.role is Role.PRIMARY:
            log.info("the primary has become read-only", group=self.name, server=server.name)
            server.role = Role.REPLICA
            server.pool.expire()
            self.refresh()
        return True

    def _only_primary(self) -> bool:
        """Whether no other server may read: it could not be told to what it has come."""
        if self.primary is not None and self._blind is self.primary.names_writes and self._freshness != "eventual":
            self._blind = not self._blind
            if self._blind:
                log.warning(
                    "writes have no GTIDs: reads go to the primary (reads.consistency: eventual lets replicas read)",
                    group=self.name,
                    server=self.primary.name,
                )
        return self._blind or self.config.reads.consistency == "strong"

    def reader(self, without: Server | None = None) -> Server | None:
        """A server for a proven read: a replica, or the primary when no replica can."""
        readers = self.readers
        if len(readers) == 1 and without is None:
            return readers[0]
        if without is not None:
            readers = tuple(server for server in readers if server is not without)
            if not readers and self.primary is not without:
                return self.primary
        return self._balancer.choose(readers)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Who is found meanwhile is not taken: those who come afterwards find the same, as far as that can be said."""
        undo = self._balancer.keep(self.servers)
        try:
            yield
        finally:
            undo()

    def near_reader(
        self, bound: float, now: float, token: Token | None, without: Server | None = None
    ) -> tuple[Server | None, bool]:
        """A server for a read that may be ``bound`` seconds old at most, and whether it has to wait for ``token``.

        A replica is as far behind as it was when it was asked last, and what has passed since.
        """
        able = [
            server for server in self.readers if server.lag is not None and server.lag + now - server.lag_at <= bound
        ]
        return self._seeing(token or NOTHING, [server for server in able if server is not self.primary], without)

    def fresh_reader(self, token: Token, without: Server | None = None) -> tuple[Server | None, bool]:
        """A server for a read that must see ``token``, and whether it has to wait for that there.

        A replica on which others have waited in vain is left out, until it is known to have come further.
        """
        return self._seeing(token, self.readers, without)

    def _seeing(self, token: Token, readers: Sequence[Server], without: Server | None) -> tuple[Server | None, bool]:
        """One of ``readers`` that has ``token`` or may get it, else the primary; and whether to wait for it there."""
        able = [server for server in readers if server is not without and (not token or self._may_have(server, token))]
        server = self._balancer.choose(able) if able else self.primary
        if server is without:
            return None, False
        return server, server is not None and server is not self.primary and not server.reached.covers(token)

    def _may_have(self, server: Server, token: Token) -> bool:
        if server is self.primary:
            return True
        # One that has the last write of a source may still lack others, if it does not keep to their order.
        return server.ordered and (server.missed is None or server.reached.covers(token))

    def needs(self, written: Mapping[str, Token]) -> Token | None:
        """What a read of a session that has ``written`` that must see; None: nothing."""
        if self._freshness not in ("session", "global"):
            return None
        token = written.get(self.name, NOTHING)
        if self._freshness == "global":
            # A session may know more than this router: it has been told what it wrote elsewhere.
            token = self.written.joined(token)
        for group in self.kin:
            token = token.joined(written.get(group.name, NOTHING))
            if self._freshness == "global":
                token = token.joined(group.written)
        return token or None

    def wrote(self, written: dict[str, Token], gtids: str) -> None:
        """A session that has ``written`` that has committed writes, which have these GTIDs.

        Whatever reads have to see now: the configuration may ask for more, or have another server, before the next.
        """
        new = NOTHING.after(gtids)
        written[self.name] = written.get(self.name, NOTHING).joined(new)
        self.written = self.written.joined(new)

    def drain(self, server: Server) -> None:
        """Nothing new for a server of the group; who waits for it looks elsewhere."""
        server.pool.draining = True
        self.refresh()
        server.pool.drain()
        self.refresh()

    def undrain(self, server: Server) -> None:
        """As before."""
        server.pool.draining = False
        self.refresh()

    def pause(self) -> None:
        """Nothing new begins in the group; who waits for a connection waits for ``resume``."""
        self.gate.close()
        self.refresh()
        for server in self.servers:
            server.pool.recalls = True
            server.pool.recall()
            server.pool.fail_waiters(TurnedAway(f"group {self.name} is paused"))

    def resume(self) -> None:
        """Go on, in the order in which statements came."""
        for server in self.servers:
            server.pool.recalls = False
        self.gate.shut = False
        self.refresh()
        self.gate.open()

    async def writer(self) -> Server:
        """Who answers what the router itself has to ask for a statement, before it may begin: ``elected``.

        Transactions that are under way ask too, so a pause does not matter; but there may be nobody until it is over.
        Without one, waits up to ``failover_timeout``. Raises BackendUnavailable.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.config.failover_timeout
        while self.elected is None:
            if self.gate.shut:
                deadline = loop.time() + self.config.failover_timeout
            elif loop.time() >= deadline:
                raise BackendUnavailable(f"group {self.name} has no primary")
            await asyncio.sleep(_AGAIN)
        return self.elected

    @property
    def profile(self) -> ServerProfile | None:
        """The profile of the primary, or of any server that has been reached."""
        if self.primary is not None and self.primary.profile is not None:
            return self.primary.profile
        return next((server.profile for server in self.servers if server.profile is not None), None)


class _Groups(dict[str, Group]):
    """``retired``: groups that the configuration does not have any more."""

    def __init__(self, groups: dict[str, Group]) -> None:
        super().__init__(groups)
        self.retired: dict[str, Group] = {}

    def __missing__(self, name: str) -> Group:
        return self.retired[name]


class Topology:
    """All groups by name."""

    __slots__ = ("groups", "shared")

    def __init__(self, groups: dict[str, Group]) -> None:
        self.groups = _Groups(groups)
        # Whether reads of a group must see what other sessions have written.
        self.shared = any(group.config.reads.consistency == "global" for group in groups.values())
        self._find_kin()

    @classmethod
    def build(cls, config: RouterConfig) -> Topology:
        """Servers with empty pools; nothing is connected yet."""
        return cls({name: _group(name, group, config) for name, group in config.groups.items()})

    def adopt(self, other: Topology) -> None:
        """Become as ``other``, which another configuration makes; servers that stay keep all that is known of them.

        Groups that have gone can still be found by who is in the middle of a statement.
        """
        for name in [name for name in self.groups if name not in other.groups]:
            group = self.groups.retired[name] = self.groups.pop(name)
            for server in group.servers:
                server.pool.retire()
        for name, wanted in other.groups.items():
            if name in self.groups:
                self._merge(self.groups[name], wanted)
                continue
            if (before := self.groups.retired.pop(name, None)) is not None:
                wanted.addresses |= before.addresses
                wanted.written = before.written
            self.groups[name] = wanted
        self.shared = other.shared
        self._find_kin()

    def _find_kin(self) -> None:
        groups = [*self.groups.values(), *self.groups.retired.values()]
        for group in groups:
            group.kin = tuple(each for each in groups if each is not group and each.addresses & group.addresses)

    def _merge(self, group: Group, wanted: Group) -> None:
        known = {(server.name, server.connector.endpoint.address): server for server in group.servers}
        servers = []
        for new in wanted.servers:
            server = known.pop((new.name, new.connector.endpoint.address), None)
            if server is not None:
                server.configure(new, reconnect=group.config.tls != wanted.config.tls)
            servers.append(server or new)
        group.configure(wanted.config, servers)
        for gone in known.values():
            gone.pool.retire()

    def servers(self) -> Iterator[Server]:
        """Every server of every group."""
        for group in self.groups.values():
            yield from group.servers

    def close(self) -> None:
        """Close all pools."""
        for server in self.servers():
            server.pool.close()


def _candidate(server: Server) -> Candidate:
    return Candidate(
        server.name,
        server.configured_role == "primary",
        server.follows,
        server.clustered,
        server.executed,
        server.identity,
        server.draining,
    )


def _group(name: str, config: GroupConfig, router: RouterConfig) -> Group:
    servers = []
    for server in config.servers:
        endpoint = Endpoint(
            name=server.name or str(server.address),
            address=server.address,
            tls=_tls_context(config.tls, loopback=server.address.is_loopback),
            tls_required=config.tls.mode == "required",
            connect_timeout=router.limits.connect_timeout,
        )
        pool = BackendPool(
            Connector(endpoint),
            max_connections=config.pool.max_connections,
            queue_timeout=config.pool.queue_timeout,
            max_age=config.pool.max_age,
            min_idle=config.pool.min_idle,
        )
        servers.append(Server(server, pool, name, router.zone))
    return Group(name, config, servers)


def _tls_context(config: ServerTls, *, loopback: bool) -> ssl.SSLContext | None:
    """TLS towards a server; ``preferred`` leaves it out where nobody can listen: on this very machine."""
    if config.mode == "disabled" or (config.mode == "preferred" and loopback):
        return None
    context = ssl.create_default_context(cafile=str(config.ca) if config.ca else None)
    if config.verify != "full":
        context.check_hostname = False
    if config.verify == "none":
        context.verify_mode = ssl.CERT_NONE
    if config.certificate is not None:
        context.load_cert_chain(str(config.certificate), str(config.key) if config.key else None)
    return context
