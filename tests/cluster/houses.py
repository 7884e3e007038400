"""Groups of servers that exist only as fake connectors, for the tests of the cluster."""

from __future__ import annotations

from typing import Any

from router.backend.connector import BackendUser
from router.cluster.topology import Group, Server
from router.config.models import Group as GroupConfig
from router.errors import BackendUnavailable
from router.planner.plan import Role
from router.session.profile import ServerProfile
from tests.fakes import PROFILE, FakeConnector, make_pool


class Probed(FakeConnector):
    """A server as the monitor sees it: it answers as its attributes say, or raises ``trouble``."""

    def __init__(self, name: str, *, read_only: int = 0, trouble: Exception | None = None) -> None:
        super().__init__(name, willing=True, profile=None)
        self.read_only = read_only
        self.reached = ""
        self.ordered = 1
        self.names = 1
        self.sql_mode = PROFILE.sql_mode
        self.trouble = trouble
        self.probes = 0
        self.profiles = 0
        self.users: set[str] = set()

    async def load_profile(self, user: BackendUser) -> ServerProfile:
        self.users.add(user.name)
        if self.trouble is not None:
            self.probes += 1
            raise self.trouble
        self.profiles += 1
        self.profile = PROFILE
        return self.profile

    async def ask(self, user: BackendUser, *queries: str) -> list[list[tuple[Any, ...]]]:
        self.users.add(user.name)
        self.probes += 1
        if self.trouble is not None:
            raise self.trouble
        return [[(self.read_only, self.sql_mode, self.reached, self.ordered, self.names)] for _ in queries]


DOWN = BackendUnavailable("connection refused")


def make_group(
    *servers: str | dict[str, Any], connectors: list[Probed] | None = None, name: str = "main", **settings: Any
) -> Group:
    """A group of ``servers`` as in the configuration, none of which has been probed."""
    named = [{"address": "h:1", "name": server} if isinstance(server, str) else server for server in servers]
    addressed = [{"address": "h:1", **server} for server in named]
    config = GroupConfig.model_validate({"servers": addressed, **settings})
    made = []
    for position, server in enumerate(config.servers):
        connector = connectors[position] if connectors else Probed(server.name)
        pool, _ = make_pool(connector, most=10)
        made.append(Server(server, pool, name))
    return Group(name, config, made)


def bring_up(group: Group, *roles: Role | None) -> None:
    """Give each server its role; None leaves it down."""
    for server, role in zip(group.servers, roles, strict=True):
        server.up = role is not None
        if role is not None:
            server.role = role
    group.refresh()
