"""The servers as groups: who is primary, who is a replica, who is up.

``Topology`` is built once from the configuration; the monitor changes what it knows of each server. Sessions ask
``Group.primary`` and ``Group.reader()``; both are attribute-cheap because they are recomputed only on a change.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import structlog

from router.backend.connector import Connector, Endpoint
from router.backend.pool import BackendPool
from router.cluster.balancer import LeastBusy
from router.config.models import Group as GroupConfig
from router.config.models import RouterConfig, ServerTls
from router.config.models import Server as ServerConfig
from router.metrics import Histogram
from router.planner.plan import Role
from router.session.profile import ServerProfile

log = structlog.get_logger(__name__)


class Server:
    """One server: its pool and what is known of it.

    ``role`` is None while nobody has asked it; ``up`` whether it answers; ``commands`` counts answers by command byte,
    ``durations`` how long they took, ``failures`` connections lost.
    """

    __slots__ = (
        "commands",
        "configured_role",
        "durations",
        "failures",
        "group",
        "name",
        "pool",
        "role",
        "up",
        "weight",
    )

    def __init__(self, config: ServerConfig, pool: BackendPool, group: str) -> None:
        self.name = pool.name
        self.group = group
        self.configured_role = config.role
        self.role: Role | None = None if config.role == "auto" else Role(config.role)
        self.weight = config.weight
        self.pool = pool
        self.up = False
        self.commands = [0] * 256
        self.durations = Histogram()
        self.failures = 0

    @property
    def connector(self) -> Connector:
        """How to reach it."""
        return self.pool.connector

    @property
    def profile(self) -> ServerProfile | None:
        """What is known of its variables and collations; None before the first contact."""
        return self.pool.connector.profile


class Group:
    """A replica set."""

    __slots__ = ("_balancer", "config", "name", "primary", "readers", "servers")

    def __init__(self, name: str, config: GroupConfig, servers: list[Server]) -> None:
        self.name = name
        self.config = config
        self.servers = servers
        self.primary: Server | None = None
        self.readers: tuple[Server, ...] = ()
        self._balancer = LeastBusy()
        self.refresh()

    def refresh(self) -> None:
        """Recompute who takes what, after a server's role or health changed."""
        up = [server for server in self.servers if server.up]
        writable = [server for server in up if server.role is Role.PRIMARY]
        # Two servers that both say they are writable: stay with the one we had, never write to both.
        if self.primary not in writable:
            self.primary = writable[0] if writable else None
        elif len(writable) > 1:
            names = ", ".join(server.name for server in writable)
            log.warning("more than one writable server", group=self.name, servers=names, primary=self.primary.name)
        replicas = [server for server in up if server.role is Role.REPLICA]
        primary = [self.primary] if self.primary is not None else []
        match self.config.reads.from_:
            case "primary":
                readers = primary
            case "any":
                readers = replicas + primary
            case _:
                # A weight of 0 keeps a replica for the time when nobody else can read.
                readers = [server for server in replicas if server.weight] or primary or replicas
        self.readers = tuple(readers)

    def reader(self, without: Server | None = None) -> Server | None:
        """A server for a proven read: a replica, or the primary when no replica is up."""
        readers = self.readers
        if len(readers) == 1 and without is None:
            return readers[0]
        if without is not None:
            readers = tuple(server for server in readers if server is not without)
            if not readers and self.primary is not without:
                return self.primary
        return self._balancer.choose(readers)

    @property
    def profile(self) -> ServerProfile | None:
        """The profile of the primary, or of any server that has been reached."""
        if self.primary is not None and self.primary.profile is not None:
            return self.primary.profile
        return next((server.profile for server in self.servers if server.profile is not None), None)


class Topology:
    """All groups by name."""

    __slots__ = ("groups",)

    def __init__(self, groups: dict[str, Group]) -> None:
        self.groups = groups

    @classmethod
    def build(cls, config: RouterConfig) -> Topology:
        """Servers with empty pools; nothing is connected yet."""
        return cls({name: _group(name, group, config) for name, group in config.groups.items()})

    def servers(self) -> Iterator[Server]:
        """Every server of every group."""
        for group in self.groups.values():
            yield from group.servers

    def close(self) -> None:
        """Close all pools."""
        for server in self.servers():
            server.pool.close()


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
        servers.append(Server(server, pool, name))
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
