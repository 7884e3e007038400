"""The monitor in virtual time: who is up, who is what, and that nothing ends its watch."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from router.backend.connector import BackendUser
from router.cluster.monitor import HealthMonitor
from router.cluster.topology import Group, Topology
from router.errors import BackendUnavailable
from router.planner.plan import Role
from router.session.gtids import NOTHING
from tests.cluster.houses import DOWN, Probed, make_group
from tests.fakes import KEY, leased, virtually

WATCHER = BackendUser("watcher", "x")


class House:
    """A watched group; ``db[n]`` are its servers' connectors."""

    def __init__(self, *db: Probed, roles: tuple[str, ...] = ()) -> None:
        self.db = db
        servers = [
            {"name": connector.endpoint.name, "role": roles[n] if roles else "auto"} for n, connector in enumerate(db)
        ]
        self.group: Group = make_group(*servers, connectors=list(db), monitor={"interval": "1s"})
        self.monitor = HealthMonitor(Topology({"main": self.group}), {"main": WATCHER})

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[House]:
        await self.monitor.start()
        try:
            yield self
        finally:
            await self.monitor.stop()

    @property
    def primary(self) -> str | None:
        return self.group.primary.name if self.group.primary else None

    @property
    def readers(self) -> set[str]:
        return {server.name for server in self.group.readers}


@virtually
async def test_everything_is_known_before_the_first_client() -> None:
    async with House(Probed("a"), Probed("b", read_only=1), Probed("c", trouble=DOWN)).watched() as house:
        assert house.primary == "a"
        assert house.readers == {"b"}
        assert [server.up for server in house.group.servers] == [True, True, False]
        assert house.group.profile is not None
        assert house.db[0].users == {"watcher"}


@virtually
async def test_a_hung_server_keeps_nobody_else_waiting() -> None:
    class Hung(Probed):
        async def load_profile(self, user: BackendUser):  # type: ignore[no-untyped-def]
            await asyncio.sleep(5)
            raise DOWN

    house = House(Hung("a"), Probed("b", read_only=1))
    starting = asyncio.create_task(house.monitor.start())
    await asyncio.sleep(1)
    assert house.readers == {"b"}
    await starting
    probes = house.db[1].probes
    await asyncio.sleep(4.5)
    assert house.db[1].probes >= probes + 4
    await house.monitor.stop()


@virtually
async def test_one_lost_probe_is_a_hiccup_and_two_are_not() -> None:
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        house.db[1].trouble = DOWN
        await asyncio.sleep(1.5)
        assert house.readers == {"b"}
        await asyncio.sleep(1)
        assert house.readers == {"a"}
        house.db[1].trouble = None
        await asyncio.sleep(1)
        assert house.readers == {"b"}


@virtually
async def test_a_suspect_has_one_miss_already() -> None:
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        house.monitor.suspect(house.group.servers[1])
        assert house.readers == {"b"}
        house.db[1].trouble = DOWN
        await asyncio.sleep(1.5)
        assert house.readers == {"a"}


@virtually
async def test_connections_to_a_server_that_went_down_are_not_used_again() -> None:
    async with House(Probed("a")).watched() as house:
        pool = house.group.servers[0].pool
        connection = await leased(pool)
        pool.release(connection)
        house.db[0].trouble = DOWN
        await asyncio.sleep(3)
        assert house.primary is None
        assert connection.closed
        assert pool.take(KEY) is None


@virtually
async def test_a_switchover() -> None:
    """The old primary is made read-only, then the replica writable; old connections are of the wrong kind."""
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        kept = await leased(house.group.servers[0].pool)
        house.group.servers[0].pool.release(kept)
        house.db[0].read_only = 1
        await asyncio.sleep(1.5)
        assert house.primary is None
        assert house.readers == {"a", "b"}
        assert kept.closed
        house.db[1].read_only = 0
        await asyncio.sleep(1)
        assert house.primary == "b"
        assert house.readers == {"a"}


@virtually
async def test_a_failover() -> None:
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        house.db[0].trouble = DOWN
        await asyncio.sleep(2.5)
        house.db[1].read_only = 0
        await asyncio.sleep(1)
        assert house.primary == "b"
        house.db[0].trouble = None
        await asyncio.sleep(2)
        assert house.primary == "b", "the old one is writable too, but it is not ours any more"


@virtually
async def test_configured_roles_are_not_asked_for() -> None:
    house = House(Probed("a", read_only=1), Probed("b", read_only=0), roles=("primary", "replica"))
    async with house.watched():
        assert house.primary == "a"
        assert house.readers == {"b"}
        await asyncio.sleep(2)
        assert [server.role for server in house.group.servers] == [Role.PRIMARY, Role.REPLICA]


@virtually
async def test_a_server_that_comes_back_is_read_again() -> None:
    """It may be another version."""
    async with House(Probed("a")).watched() as house:
        assert house.db[0].profiles == 1
        await asyncio.sleep(5)
        assert house.db[0].profiles == 1
        house.db[0].trouble = DOWN
        await asyncio.sleep(3)
        house.db[0].trouble = None
        await asyncio.sleep(1.5)
        assert house.db[0].profiles == 2


@virtually
async def test_a_new_global_sql_mode_retires_connections() -> None:
    async with House(Probed("a")).watched() as house:
        pool = house.group.servers[0].pool
        connection = await leased(pool)
        pool.release(connection)
        await asyncio.sleep(2)
        assert not connection.closed
        house.db[0].sql_mode = "ANSI"
        await asyncio.sleep(1.5)
        assert connection.closed
        assert house.db[0].profiles >= 2


@virtually
async def test_idle_connections_are_trimmed() -> None:
    async with House(Probed("a")).watched() as house:
        pool = house.group.servers[0].pool
        connection = await leased(pool)
        pool.release(connection)
        await asyncio.sleep(30)
        assert not connection.closed
        await asyncio.sleep(60)
        assert connection.closed


@pytest.mark.parametrize("trouble", [ValueError("what?"), AssertionError(), KeyError("x"), IndexError()])
@virtually
async def test_nothing_a_server_does_ends_its_watch(trouble: Exception) -> None:
    async with House(Probed("a", trouble=trouble), Probed("b", read_only=1)).watched() as house:
        assert house.readers == {"b"}
        house.db[0].trouble = None
        await asyncio.sleep(1.5)
        assert house.primary == "a"
        house.db[0].trouble = trouble
        await asyncio.sleep(3)
        assert house.primary is None
        house.db[0].trouble = None
        await asyncio.sleep(1.5)
        assert house.primary == "a"


@virtually
async def test_what_happens_is_logged_once() -> None:
    with capture_logs() as logs:
        async with House(Probed("a"), Probed("b", trouble=DOWN)).watched() as house:
            await asyncio.sleep(10)
            house.db[0].trouble = BackendUnavailable("server a: connection refused")
            await asyncio.sleep(10)
    events = [(entry["event"], entry["server"]) for entry in logs]
    assert sorted(events) == [("server cannot be reached", "b"), ("server is down", "a"), ("server is up", "a")]


@virtually
async def test_stop_ends_the_watch() -> None:
    async with House(Probed("a")).watched() as house:
        pass
    probes = house.db[0].probes
    await asyncio.sleep(10)
    assert house.db[0].probes == probes


@virtually
async def test_how_far_a_server_has_come_is_asked_every_time() -> None:
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        replica = house.group.servers[1]
        token = NOTHING.after("0-1-7")
        replica.missed = token
        assert not replica.reached.covers(token)
        house.db[1].reached = "0-1-6"
        await asyncio.sleep(1.5)
        assert replica.missed is token
        house.db[1].reached = "0-1-7"
        house.db[1].ordered = 0
        await asyncio.sleep(1)
        assert replica.reached.covers(token)
        assert replica.missed is None
        assert not replica.ordered
        house.db[1].reached = "nonsense"
        await asyncio.sleep(2.5)
        assert not replica.up, "it is not known what it has"


@virtually
async def test_without_gtids_only_the_primary_reads() -> None:
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        assert house.readers == {"b"}
        house.db[0].names = 0
        with capture_logs() as logs:
            await asyncio.sleep(2.5)
        assert house.readers == {"a"}
        assert [entry["event"].partition(":")[0] for entry in logs] == ["writes have no GTIDs"]
        house.db[0].trouble = DOWN
        await asyncio.sleep(2.5)
        assert house.readers == set(), "nobody else is known to have them"
        house.db[0].trouble, house.db[0].names = None, 1
        await asyncio.sleep(1.5)
        assert house.readers == {"b"}
