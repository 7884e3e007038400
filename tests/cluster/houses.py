"""Groups of servers that exist only as fake connectors, for the tests of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from router.backend.connector import BackendUser, Line
from router.cluster.topology import Group, Server
from router.config.models import Group as GroupConfig
from router.errors import BackendUnavailable
from router.planner.plan import Role
from router.session.profile import Flavor, ServerProfile
from tests.fakes import PROFILE, FakeConnector, make_pool


class Probed(FakeConnector):
    """A server as the monitor sees it: it answers as its attributes say, or raises ``trouble``."""

    def __init__(self, name: str, *, read_only: int = 0, trouble: Exception | None = None) -> None:
        super().__init__(name, willing=True, profile=None)
        self.read_only = read_only
        self.reached = ""
        self.ordered = 1
        self.names = 1
        self.flavor: Flavor = PROFILE.flavor
        self.executed = ""
        # SHOW REPLICA STATUS; None: as it should be. A text: what the server has against the question.
        self.status: list[dict[str, Any]] | str | None = None
        self.members: list[dict[str, Any]] = []
        self.heartbeat: float | str | None = None
        self.asked: list[str] = []
        self.sql_mode = PROFILE.sql_mode
        self.trouble = trouble
        self.probes = 0
        self.profiles = 0
        self.users: set[str] = set()
        self.took: float | None = None

    async def load_profile(self, user: BackendUser) -> ServerProfile:
        self.users.add(user.name)
        if self.trouble is not None:
            self.probes += 1
            raise self.trouble
        self.profiles += 1
        self.profile = replace(PROFILE, flavor=self.flavor)
        return self.profile

    def line(self, user: BackendUser) -> Line:
        return ProbedLine(self, user)

    def answer(self, query: str) -> list[dict[str, Any]] | str:
        if "read_only" in query:
            return [
                {
                    "read_only": self.read_only,
                    "sql_mode": self.sql_mode,
                    "reached": self.reached,
                    "ordered": self.ordered,
                    "names": self.names,
                    "executed": self.executed,
                    "identity": self.endpoint.name,
                }
            ]
        if "STATUS" in query and "wsrep" not in query:
            return self.status if self.status is not None else [follows("elsewhere")] if self.read_only else []
        if "late" in query:
            return self.heartbeat if isinstance(self.heartbeat, str) else [{"late": self.heartbeat}]
        return self.members if "replication_group_members" in query else []


class ProbedLine(Line):
    """The monitor's line to a ``Probed``."""

    def __init__(self, server: Probed, user: BackendUser) -> None:
        super().__init__(server, user)
        self.server = server
        self.user = user

    async def ask(self, queries: Sequence[str], within: float) -> dict[str, list[dict[str, Any]] | str]:
        server = self.server
        server.users.add(self.user.name)
        server.probes += 1
        if server.trouble is not None:
            raise server.trouble
        server.asked = list(queries)
        self.took = server.took
        return {query: server.answer(query) for query in queries}


def follows(
    source: str, behind: float | None = 0, *, receives: str = "Yes", applies: str = "Yes", host: str = "far.example"
) -> dict[str, Any]:
    """A row of SHOW REPLICA STATUS."""
    return {
        "source_uuid": source,
        "source_host": host,
        "source_port": 3306,
        "replica_io_running": receives,
        "replica_sql_running": applies,
        "seconds_behind_source": behind,
        "channel_name": "",
    }


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
