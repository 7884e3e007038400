"""Finding a server and a connection: roles, tries, patience."""

from __future__ import annotations

import asyncio

from router.backend.connection import BackendConnection
from router.cluster.topology import Group, Server, Topology
from router.config.models import Group as GroupConfig
from router.engine.admission import Admission
from router.engine.leasing import TRIES, Leasing
from router.engine.services import Services
from router.errors import BackendError, BackendUnavailable, PoolTimeout
from router.metrics import Counters
from router.planner.plan import Relay, Role
from router.sql.facts import Assignment, Reason, StatementFacts, StatementKind
from tests.fakes import KEY, USER, FakeConnector, make_pool, quiet, virtually

SELECT = StatementFacts(StatementKind.SELECT, True, Reason.READ)
INSERT = StatementFacts(StatementKind.INSERT, False, Reason.WRITE)


class House:
    """A group of servers with fake connectors, and a leasing that notes what it got."""

    def __init__(self, *roles: Role, patience: float = 1.0) -> None:
        config = GroupConfig.model_validate(
            {"servers": [f"db{n}:3306" for n in range(len(roles))], "failover_timeout": patience}
        )
        self.connectors = [FakeConnector(f"db{n}") for n in range(len(roles))]
        self.servers = []
        for server_config, connector, role in zip(config.servers, self.connectors, roles, strict=True):
            pool, _ = make_pool(connector, most=1)
            server = Server(server_config, pool, "main")
            server.role = role
            server.up = True
            self.servers.append(server)
        self.group = Group("main", config, self.servers)
        self.suspects: list[Server] = []
        self.granted: list[tuple[BackendConnection, Server]] = []
        self.errors: list[BackendError] = []
        services = Services(
            Topology({"main": self.group}), Counters(), self.suspects.append, lambda schema: "main", Admission({})
        )
        self.leasing = Leasing(services, USER, lambda c, s: self.granted.append((c, s)), self.errors.append)

    def lease(self, facts: StatementFacts, role: Role, *, primary: bool = False) -> None:
        self.leasing.lease(Relay("main", role, facts.reason, facts), KEY, primary=primary)

    @property
    def server(self) -> Server:
        ((_, server),) = self.granted
        return server


@virtually
async def test_writes_go_to_the_primary_and_reads_to_a_replica() -> None:
    for role, expected in ((Role.PRIMARY, 0), (Role.REPLICA, 1)):
        house = House(Role.PRIMARY, Role.REPLICA)
        house.lease(SELECT if role is Role.REPLICA else INSERT, role)
        await quiet()
        house.connectors[expected].pending[0].succeed()
        await quiet()
        assert house.server is house.servers[expected]


@virtually
async def test_a_read_of_a_transaction_goes_to_the_primary() -> None:
    house = House(Role.PRIMARY, Role.REPLICA)
    house.lease(SELECT, Role.REPLICA, primary=True)
    await quiet()
    house.connectors[0].pending[0].succeed()
    await quiet()
    assert house.server is house.servers[0]


@virtually
async def test_a_read_tries_another_server_and_the_first_is_suspected() -> None:
    house = House(Role.PRIMARY, Role.REPLICA)
    house.lease(SELECT, Role.REPLICA)
    await quiet()
    house.connectors[1].pending[0].fail(BackendUnavailable("refused"))
    await quiet()
    house.connectors[0].pending[0].succeed()
    await quiet()
    assert house.server is house.servers[0]
    assert house.suspects == [house.servers[1]]


@virtually
async def test_tries_are_bounded() -> None:
    house = House(Role.PRIMARY)
    house.lease(INSERT, Role.PRIMARY)
    for _ in range(TRIES):
        await asyncio.sleep(0.5)  # the pool lets a refusing server rest before it asks again
        assert house.errors == []
        house.connectors[0].pending[0].fail(BackendUnavailable("refused"))
    await quiet()
    assert [str(error) for error in house.errors] == ["refused"]
    assert len(house.connectors[0].attempts) == TRIES


@virtually
async def test_a_full_pool_is_not_a_reason_to_go_elsewhere() -> None:
    house = House(Role.PRIMARY, Role.REPLICA)
    house.lease(SELECT, Role.REPLICA)
    await asyncio.sleep(house.servers[1].pool.queue_timeout + 0.1)
    assert [type(error) for error in house.errors] == [PoolTimeout]
    assert house.suspects == []


@virtually
async def test_a_write_waits_for_a_primary() -> None:
    house = House(Role.REPLICA, patience=1.0)
    house.lease(INSERT, Role.PRIMARY)
    await asyncio.sleep(0.5)
    house.servers[0].role = Role.PRIMARY
    house.group.refresh()
    await asyncio.sleep(0.2)
    house.connectors[0].pending[0].succeed()
    await quiet()
    assert house.server is house.servers[0]


@virtually
async def test_and_gives_up_after_the_failover_timeout() -> None:
    house = House(Role.REPLICA, patience=1.0)
    house.lease(INSERT, Role.PRIMARY)
    await asyncio.sleep(0.9)
    assert house.errors == []
    await asyncio.sleep(0.2)
    (error,) = house.errors
    assert "no primary of group 'main'" in str(error)


@virtually
async def test_set_needs_no_primary_unless_it_is_global() -> None:
    for scope, served in (("session", True), ("global", False)):
        house = House(Role.REPLICA)
        facts = StatementFacts(StatementKind.SET, False, Reason.SET, assignments=(Assignment(scope, "time_zone"),))
        house.lease(facts, Role.PRIMARY)
        await quiet()
        assert bool(house.connectors[0].pending) is served
        house.leasing.cancel()


@virtually
async def test_a_cancelled_search_ends_in_nothing() -> None:
    for roles in ((Role.PRIMARY,), (Role.REPLICA,)):
        house = House(*roles, patience=0.3)
        house.lease(INSERT, Role.PRIMARY)
        house.leasing.cancel()
        await asyncio.sleep(10)
        assert house.granted == []
        assert house.errors == []
        assert house.servers[0].pool.waiting == 0
