"""The topology as another process tells of it: of several workers none asks the servers, one process asks for all.

``news_of`` is what that one knows of a group, ``Follower`` takes the place of the monitor in the others. Who is the
primary is told as well, so that no two workers can disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from router.backend.connector import BackendUser
from router.cluster.electing import Outcome
from router.cluster.monitor import KEEP_IDLE, forgive
from router.cluster.topology import Group, Server, Source, Topology
from router.errors import BackendUnavailable
from router.planner.plan import Role
from router.session.gtids import Reached
from router.session.profile import ServerProfile


@dataclass(frozen=True, slots=True)
class ServerNews:
    """A server as it was found; the names are those of ``Server``."""

    name: str
    address: str
    up: bool
    role: Role | None
    profile: ServerProfile | None
    delay: float | None
    lag: float | None
    lag_at: float
    lagging: bool
    stale: bool
    rests: bool
    reached: Reached
    ordered: bool
    names_writes: bool
    executed: str
    identity: str
    sources: frozenset[Source]
    clustered: bool


@dataclass(frozen=True, slots=True)
class GroupNews:
    """A group: its servers, and who is the primary."""

    name: str
    outcome: Outcome
    servers: tuple[ServerNews, ...]


# What ``ServerNews`` and ``Server`` have in common, and is only kept.
_KEPT = (
    *("delay", "lag", "lag_at", "lagging", "stale", "rests", "reached", "ordered", "names_writes"),
    *("executed", "identity", "sources", "clustered"),
)


def news_of(group: Group) -> GroupNews:
    """What is known of the group now."""
    fenced = frozenset(server.name for server in group.servers if server.fenced)
    outcome = Outcome(group.elected.name if group.elected is not None else None, fenced)
    return GroupNews(group.name, outcome, tuple(_news_of(server) for server in group.servers))


def _news_of(server: Server) -> ServerNews:
    return ServerNews(
        name=server.name,
        address=str(server.connector.endpoint.address),
        up=server.up,
        role=server.role,
        profile=server.profile,
        **{name: getattr(server, name) for name in _KEPT},
    )


class Follower:
    """Keeps a ``Topology`` as it is told; its face is that of ``HealthMonitor``."""

    def __init__(
        self,
        topology: Topology,
        suspect: Callable[[str, str], None],
        look: Callable[[str], Awaitable[None]],
    ) -> None:
        """``suspect(group, server)`` tells that a server has failed a session; ``look(group)`` has a group asked."""
        self._topology = topology
        self._suspect = suspect
        self._look = look
        self._latest: dict[str, GroupNews] = {}
        self._probes: dict[Server, int] = {}

    async def start(self) -> None:
        """What has been told already holds."""
        for news in self._latest.values():
            self._apply(news)

    async def adopt(self, accounts: Mapping[str, BackendUser]) -> None:
        """The topology has other servers now: of those something may have been told as well."""
        self._probes = {server: self._probes.get(server, 0) for server in self._topology.servers()}
        await self.start()

    async def stop(self) -> None:
        """Nothing goes on here by itself."""

    def suspect(self, server: Server) -> None:
        """A session has met a failure of this server."""
        self._suspect(server.group, server.name)

    async def look(self, group: Group) -> None:
        """Have all servers of the group asked, and wait until that has been told."""
        await self._look(group.name)

    def hear(self, news: Iterable[GroupNews]) -> None:
        """This is how it is."""
        for each in news:
            self._latest[each.name] = each
            self._apply(each)

    def _apply(self, news: GroupNews) -> None:
        group = self._topology.groups.get(news.name)
        if group is None:
            return  # of another configuration
        known = {(server.name, str(server.connector.endpoint.address)): server for server in group.servers}
        gone = []
        for each in news.servers:
            if (server := known.get((each.name, each.address))) is not None:
                if server.up and not each.up:
                    gone.append(server)
                self._take(server, each)
        group.directed = news.outcome
        group.refresh()
        for server in gone:
            # Who waits for it looks elsewhere.
            server.pool.fail_waiters(BackendUnavailable(f"server {server.name} is down"))

    def _take(self, server: Server, news: ServerNews) -> None:
        had = server.profile
        changed = server.up and (not news.up or (server.role is not None and server.role is not news.role))
        for name in _KEPT:
            setattr(server, name, getattr(news, name))
        server.up = news.up
        if server.configured_role == "auto" or server.role is None:
            server.role = news.role
        if news.profile is not None:
            server.connector.profile = news.profile
            changed = changed or (had is not None and had.sql_mode != news.profile.sql_mode)
        self._probes[server] = forgive(server, self._probes.get(server, 0))
        if changed:
            server.pool.expire()
        server.pool.trim(asyncio.get_running_loop().time(), KEEP_IDLE)
