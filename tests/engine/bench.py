"""One session's executor between a recording client and servers made of fake connectors; plans come from real SQL."""

from __future__ import annotations

from copy import copy

from router.backend.connection import BackendConnection
from router.cluster.topology import Group, Server, Topology
from router.config.models import RouterConfig
from router.engine.admission import Admission
from router.engine.executor import Executor
from router.engine.services import Services
from router.errors import MySQLError
from router.metrics import Counters
from router.planner.cache import PlanCache
from router.planner.catalog import Catalog
from router.planner.plan import Relay, Role
from router.planner.planner import Planner
from router.session.profile import ServerProfile
from router.session.state import SessionState
from router.wire.framing import frame
from tests.fakes import (
    PROFILE,
    USER,
    FakeClient,
    FakeConnector,
    WaitingSession,
    make_pool,
    ok,
    prepared,
    query,
    quiet,
    rows,
    wire,
)

P, R = Role.PRIMARY, Role.REPLICA
ROW = rows([b"1"])


class Bench:
    """A group ``main`` (db0 the primary, then replicas), and optionally ``other`` with one primary for database blog.

    ``most`` connections per server; servers are willing unless told otherwise.
    """

    def __init__(
        self,
        *roles: Role,
        schema: str | None = None,
        most: int = 2,
        shape: int = 0,
        collation_id: int = 45,
        profile: ServerProfile = PROFILE,
        patience: float = 1.0,
        reads: str = "replicas",
        users: dict[str, dict[str, object]] | None = None,
        replay: int = 0,
        shares: bool = False,
    ) -> None:
        roles = roles or (P, R)
        settings = {
            "groups": {
                "main": {
                    "servers": [{"address": f"h:{n}", "name": f"db{n}"} for n in range(1, len(roles) + 1)],
                    "failover_timeout": patience,
                    "reads": {"from": reads, "read_only_transactions": "replicas" if shares else "primary"},
                },
                "other": {"servers": [{"address": "h:99", "name": "other"}]},
            },
            "schemas": {"blog": {"group": "other"}},
            "users": users or {"app": {"password": "x"}},
        }
        config = RouterConfig.model_validate(settings)
        catalog = Catalog.build(config, generation=1)
        groups = {}
        self.connectors: dict[str, FakeConnector] = {}
        for name, group in config.groups.items():
            servers = []
            for server_config in group.servers:
                connector = self.connectors[server_config.name] = FakeConnector(
                    server_config.name, willing=True, profile=profile
                )
                servers.append(Server(server_config, make_pool(connector, most=most)[0], name))
            groups[name] = Group(name, group, servers)
        for server, role in zip([*groups["main"].servers, *groups["other"].servers], [*roles, P], strict=True):
            server.role, server.up = role, True
        for made in groups.values():
            made.refresh()
        self.main = groups["main"]
        self.suspects: list[str] = []
        self.counters = Counters()
        services = Services(
            Topology(groups),
            self.counters,
            lambda server: self.suspects.append(server.name),
            catalog.group_of,
            Admission(dict.fromkeys(groups, most), {name: group.gate for name, group in groups.items()}),
        )
        self.services = services
        self.plans = PlanCache(Planner(catalog))
        self.client = FakeClient()
        self.config = config
        self.session = SessionState(profile, collation_id, schema)
        self.executor = Executor(self.client, self.session, USER, shape, services, replay)

    def another(self) -> Bench:
        """Another session of the same user on the same servers."""
        other = copy(self)
        other.client = FakeClient()
        other.session = SessionState(self.session.profile, 45, None)
        other.executor = Executor(other.client, other.session, USER, self.executor.shape, self.services)
        return other

    def plan(self, sql: str) -> Relay:
        scope = self.plans.scope("app", self.session.schema, self.session.mode, None)
        plan = scope.lookup(sql.encode())
        assert isinstance(plan, Relay), plan
        return plan

    async def start(self, sql: str) -> BackendConnection:
        """Run ``sql`` as far as it goes without a server's answer; the connection it is on."""
        self.executor.run(self.plan(sql), query(sql))
        await quiet()
        connection = self.executor.connection
        assert connection is not None, self.client.errors
        return connection

    async def prepare(self, sql: str) -> BackendConnection:
        """COM_STMT_PREPARE, as far as it goes without a server's answer; the connection it is on."""
        self.executor.prepare(self.plan(sql), frame(b"\x16" + sql.encode(), 0))
        await quiet()
        connection = self.executor.connection
        assert connection is not None
        return connection

    async def execute(self, statement_id: int, flags: int = 0) -> BackendConnection:
        """COM_STMT_EXECUTE without parameters, in the same way."""
        command = b"\x17" + statement_id.to_bytes(4, "little") + bytes([flags]) + b"\1\0\0\0"
        self.executor.execute(self.executor.statements.by_id[statement_id], frame(command, 0))
        await quiet()
        connection = self.executor.connection
        assert connection is not None, self.client.errors
        return connection

    async def do(self, sql: str, answer: bytes = b"", prefix: int = 0) -> BackendConnection:
        """Run ``sql``, swallow ``prefix`` replies in front, and answer it (OK for a write, a row for a read)."""
        connection = await self.start(sql)
        if prefix:
            connection.data_received(ok() * prefix)
        if not answer:
            answer = ROW if sql.startswith(("SELECT", "SHOW")) else ok()
        connection.data_received(answer)
        await quiet()
        return connection

    def server_of(self, connection: BackendConnection) -> str:
        (name,) = [name for name, connector in self.connectors.items() if connection in connector.opened]
        return name

    def sent(self, connection: BackendConnection) -> bytes:
        """What has been written to the server since last asked."""
        return wire(connection).take()

    def busy(self) -> list[BackendConnection]:
        """The connections that owe an answer."""
        return [it for connector in self.connectors.values() for it in connector.opened if it.busy and not it.closed]

    async def answer_prepare(self, statement_id: int) -> None:
        """If a connection is being told of a statement with one parameter, it is ``statement_id`` there."""
        await quiet()
        (connection,) = self.busy()
        if b"\x16SELECT" in wire(connection).written:
            wire(connection).take()
            connection.data_received(prepared(statement_id, parameters=1))

    async def answer_all(self, answer: bytes) -> None:
        """Answer whatever any server has been asked, until there is nothing more."""
        while busy := [it for connector in self.connectors.values() for it in connector.opened if it.busy]:
            busy[0].data_received(answer)
            await quiet()

    def pool_of(self, name: str) -> tuple[int, int, int]:
        """(in use, idle, waiting) of a server's pool."""
        for group in self.services.topology.groups.values():
            for server in group.servers:
                if server.name == name:
                    return server.pool.in_use, server.pool.idle, server.pool.waiting
        raise LookupError(name)

    def crowd(self, name: str, key: tuple[str, int, bool]) -> WaitingSession:
        """Another session that waits for a connection to the server."""
        for server in self.main.servers:
            if server.name == name:
                return WaitingSession(server.pool, key).wait()
        raise LookupError(name)

    @property
    def finished(self) -> bool:
        """Whether the last command is done and the next may come."""
        return self.client.events[-1:] in (["finished"], ["fail"])

    @property
    def error(self) -> MySQLError:
        """The only error the client got."""
        (error,) = self.client.errors
        return error
