"""Finding a server and a connection: roles, tries, patience."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from router.backend.connection import BackendConnection
from router.cluster.topology import Group, Server, Topology
from router.config.models import Group as GroupConfig
from router.engine.admission import Admission
from router.engine.leasing import NO_WRITES, TRIES, Leasing
from router.engine.services import Services
from router.errors import BackendError, BackendUnavailable, PoolTimeout
from router.metrics import Counters
from router.planner.plan import Relay, Role
from router.session.gtids import NOTHING, Reached, Token
from router.sql.facts import Assignment, Reason, StatementFacts, StatementKind
from tests.fakes import KEY, USER, FakeConnector, make_pool, quiet, virtually

SELECT = StatementFacts(StatementKind.SELECT, True, Reason.READ)
SET = StatementFacts(StatementKind.SET, False, Reason.SET, tables=(), assignments=(Assignment("session", "time_zone"),))
INSERT = StatementFacts(StatementKind.INSERT, False, Reason.WRITE)


class House:
    """A group of servers with fake connectors, and a leasing that notes what it got."""

    def __init__(self, *roles: Role, patience: float = 1.0, consistency: str = "session") -> None:
        config = GroupConfig.model_validate(
            {
                "servers": [f"db{n}:3306" for n in range(len(roles))],
                "failover_timeout": patience,
                "reads": {"consistency": consistency},
            }
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
        self.counters = Counters()
        self.services = Services(
            Topology({"main": self.group}), self.counters, self.suspects.append, lambda schema: "main", Admission({})
        )
        self.leasing = Leasing(self.services, USER, lambda c, s: self.granted.append((c, s)), self.errors.append)

    def lease(self, facts: StatementFacts, role: Role, *, primary: bool = False) -> None:
        self.leasing.lease(Relay("main", role, facts.reason, facts), KEY, primary=primary)

    def begin(self, facts: StatementFacts, role: Role) -> None:
        """As ``lease``, for what is no part of anything under way."""
        self.leasing.lease(Relay("main", role, facts.reason, facts), KEY, primary=False, written=NO_WRITES)

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
async def test_a_read_that_has_nowhere_else_to_go_comes_back() -> None:
    for written in (NO_WRITES, WRITTEN):
        house = Followers("session")
        for replica in house.servers[1:]:
            replica.up = False
        house.group.refresh()
        read = Relay("main", Role.REPLICA, Reason.READ, SELECT)
        house.leasing.lease(read, KEY, primary=False, written=written)
        await quiet()
        ((connection, server),) = house.granted
        house.granted.clear()
        server.pool.discard(connection)
        assert house.leasing.again(server), "its connection was lost"
        await asyncio.sleep(0.2)
        assert house.server is house.servers[0]
        assert house.errors == []


@virtually
async def test_tries_are_bounded() -> None:
    house = House(Role.PRIMARY)
    house.lease(INSERT, Role.PRIMARY)
    for _ in range(TRIES):
        await asyncio.sleep(0.5)  # the pool lets a refusing server rest before it asks again
        assert house.errors == []
        house.connectors[0].pending[0].fail(BackendUnavailable("refused", refused=True))
    await quiet()
    assert [str(error) for error in house.errors] == ["refused"]
    assert len(house.connectors[0].attempts) == TRIES


@virtually
async def test_who_cannot_be_reached_may_come_back_within_the_failover_timeout() -> None:
    for back in (True, False):
        house = House(Role.PRIMARY, patience=3.0)
        house.lease(INSERT, Role.PRIMARY)
        for _ in range(TRIES + 1):
            await asyncio.sleep(0.5)
            house.connectors[0].pending[0].fail(BackendUnavailable("connection refused"))
            await quiet()
            assert house.errors == []
        await asyncio.sleep(0.1)
        if back:
            house.connectors[0].pending[0].succeed()
            await quiet()
            assert house.server is house.servers[0]
        else:
            await asyncio.sleep(3)
            house.connectors[0].pending[0].fail(BackendUnavailable("connection refused"))
            await quiet()
            assert [str(error) for error in house.errors] == ["connection refused"]


@virtually
async def test_a_full_pool_is_not_a_reason_to_go_elsewhere() -> None:
    house = House(Role.PRIMARY, Role.REPLICA)
    house.lease(SELECT, Role.REPLICA)
    await asyncio.sleep(house.servers[1].pool.queue_timeout + 0.1)
    assert [type(error) for error in house.errors] == [PoolTimeout]
    assert house.suspects == []


async def queued_behind_a_full_pool(*roles: Role) -> House:
    """A read waits at a server whose only connection is taken; nobody else had room then."""
    house = House(*roles)
    for connector in house.connectors:
        connector.willing = True
    for _ in house.group.readers:
        house.lease(SELECT, Role.REPLICA)
        await quiet()
    house.lease(SELECT, Role.REPLICA)
    await quiet()
    return house


@virtually
async def test_a_read_goes_where_there_is_room() -> None:
    house = await queued_behind_a_full_pool(Role.PRIMARY, Role.REPLICA, Role.REPLICA, Role.REPLICA)
    assert {server.name for _, server in house.granted} == {"db1", "db2", "db3"}
    assert sum(server.pool.waiting for server in house.servers) == 1


@virtually
async def test_a_read_that_has_waited_in_vain_goes_where_there_is_room_by_now() -> None:
    house = await queued_behind_a_full_pool(Role.PRIMARY, Role.REPLICA, Role.REPLICA)
    (full,) = [server for server in house.servers if server.pool.waiting]
    connection, other = next((it, server) for it, server in house.granted if server is not full)
    other.pool.release(connection)
    await asyncio.sleep(5.5)
    assert house.errors == []
    assert house.granted[2:] == [(connection, other)]


@virtually
async def test_if_there_is_none_its_patience_is_over() -> None:
    house = await queued_behind_a_full_pool(Role.PRIMARY, Role.REPLICA, Role.REPLICA)
    await asyncio.sleep(5.5)
    assert [type(error) for error in house.errors] == [PoolTimeout]


@virtually
async def test_the_primary_is_spared_what_is_too_much_for_its_replicas() -> None:
    house = await queued_behind_a_full_pool(Role.PRIMARY, Role.REPLICA)
    await asyncio.sleep(5.5)
    assert [type(error) for error in house.errors] == [PoolTimeout]
    assert house.servers[0].pool.size == 0


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
    for scope, tables, served in (("session", (), True), ("global", (), False), ("session", None, False)):
        house = House(Role.REPLICA)
        facts = replace(SET, tables=tables, assignments=(Assignment(scope, "time_zone"),))
        house.lease(facts, Role.PRIMARY)
        await quiet()
        assert bool(house.connectors[0].pending) is served
        house.leasing.cancel()


@virtually
async def test_set_does_not_wait_for_room_on_the_primary() -> None:
    house = House(Role.PRIMARY, Role.REPLICA)
    for connector in house.connectors:
        connector.willing = True
    house.begin(INSERT, Role.PRIMARY)
    await quiet()
    house.begin(SET, Role.PRIMARY)
    await quiet()
    assert [server.name for _, server in house.granted] == ["db0", "db1"]
    house.begin(SET, Role.PRIMARY)
    await quiet()
    assert [server.pool.waiting for server in house.servers] == [1, 0], "there is no room anywhere"


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


# --- reads that must see writes ---------------------------------------------------------------------------------------

WRITTEN = {"main": NOTHING.after("0-1-7")}


class Followers(House):
    """A primary and two replicas, the first of which is behind."""

    def __init__(self, consistency: str = "session") -> None:
        super().__init__(Role.PRIMARY, Role.REPLICA, Role.REPLICA, consistency=consistency)
        for connector in self.connectors:
            connector.willing = True
        self.servers[1].reached = Reached("0-1-6")
        self.servers[2].reached = Reached("0-1-7")

    async def read(self, written: Mapping[str, Token] = WRITTEN) -> tuple[str, str | None]:
        """Where a read goes, and what it waits for there."""
        self.granted.clear()
        self.leasing.lease(Relay("main", Role.REPLICA, Reason.READ, SELECT), KEY, primary=False, written=written)
        await quiet()
        ((connection, server),) = self.granted
        server.pool.release(connection)
        awaits = self.leasing.awaits
        return server.name, None if awaits is None else str(awaits)

    async def read_on(self, name: str) -> None:
        """The last read is on this server."""
        places = [(await self.read())[0], (await self.read())[0]]
        if places[1] != name:
            places.append((await self.read())[0])
        assert places[-1] == name


@virtually
async def test_a_read_waits_where_its_sessions_writes_may_not_be() -> None:
    house = Followers()
    places = {await house.read() for _ in range(4)}
    assert places == {("db1", "0-1-7"), ("db2", None)}
    assert {await house.read({}) for _ in range(4)} == {("db1", None), ("db2", None)}
    assert {await house.read({"other": NOTHING.after("0-1-9")}) for _ in range(4)} == {
        ("db1", None),
        ("db2", None),
    }


@virtually
async def test_where_it_has_arrived_the_next_does_not_wait() -> None:
    house = Followers()
    await house.read_on("db1")
    house.leasing.arrived(house.servers[1])
    assert house.leasing.awaits is None
    assert {await house.read() for _ in range(4)} == {("db1", None), ("db2", None)}


@virtually
async def test_where_one_has_waited_in_vain_nobody_waits_again() -> None:
    house = Followers()
    await house.read_on("db1")
    house.granted.clear()
    assert house.leasing.behind(house.servers[1])
    await quiet()
    assert house.server is house.servers[0], "now the primary answers"
    house.granted[0][1].pool.release(house.granted[0][0])
    assert {await house.read() for _ in range(4)} == {("db2", None)}
    house.servers[2].ordered = False
    assert await house.read() == ("db0", None), "one write of a source says nothing of the others there"
    assert house.counters.waits_in_vain == 1


@virtually
async def test_writes_of_all_sessions() -> None:
    house = Followers("global")
    assert {await house.read({}) for _ in range(4)} == {("db1", None), ("db2", None)}
    house.group.wrote({}, "0-1-7")
    assert {await house.read({}) for _ in range(4)} == {("db1", "0-1-7"), ("db2", None)}
    told = {"main": NOTHING.after("0-1-8")}
    assert {await house.read(told) for _ in range(4)} == {("db1", "0-1-8"), ("db2", "0-1-8")}


@virtually
async def test_a_read_that_waits_sees_its_sessions_writes_whatever_was_promised_when_it_began() -> None:
    for before, after in (("strong", "session"), ("strong", "global"), ("session", "global"), ("eventual", "session")):
        house = Followers(before)
        house.group.wrote({}, "0-1-8")
        for server in house.servers:
            server.up = False
        house.group.refresh()
        house.granted.clear()
        house.leasing.lease(Relay("main", Role.REPLICA, Reason.READ, SELECT), KEY, primary=False, written=WRITTEN)
        await asyncio.sleep(0.1)
        assert house.granted == []
        house.servers[1].up = True
        config = house.group.config
        reads = config.reads.model_copy(update={"consistency": after})
        house.group.configure(config.model_copy(update={"reads": reads}), house.servers)
        house.services.topology.shared = after == "global"
        await asyncio.sleep(0.1)
        assert house.server is house.servers[1]
        assert str(house.leasing.awaits) == ("0-1-8" if after == "global" else "0-1-7")


@virtually
async def test_other_promises() -> None:
    assert (await Followers("strong").read())[0] == "db0"
    assert {await house.read() for house in [Followers("eventual")] for _ in range(4)} == {
        ("db1", None),
        ("db2", None),
    }


@virtually
async def test_writes_are_noted_by_group() -> None:
    written: dict[str, Token] = {}
    house = Followers()
    house.group.wrote(written, "0-1-8")
    house.group.wrote(written, "0-1-7")
    assert str(written["main"]) == "0-1-8"
    alone = House(Role.PRIMARY)
    alone.group.wrote(written := {}, "0-1-8")
    assert str(written["main"]) == "0-1-8", "there may be another server before the next read"
    assert alone.group.needs(written) is None, "there is nobody to be behind"


# --- lag, and servers that go -----------------------------------------------------------------------------------------


@virtually
async def test_a_read_that_may_only_be_so_old_goes_where_that_is_known() -> None:
    house = Followers()
    loop = asyncio.get_running_loop()
    for server, lag in zip(house.servers[1:], (0.0, 3.0), strict=True):
        server.lag, server.lag_at = lag, loop.time()

    async def places(max_lag: float, written: Mapping[str, Token] = NO_WRITES) -> set[str]:
        found = set()
        for _ in range(6):
            house.granted.clear()
            relay = Relay("main", Role.REPLICA, Reason.READ, SELECT, max_lag=max_lag)
            house.leasing.lease(relay, KEY, primary=False, written=written)
            await quiet()
            ((connection, server),) = house.granted
            server.pool.release(connection)
            found.add(server.name if house.leasing.awaits is None else f"{server.name} waits")
        return found

    assert await places(5) == {"db1", "db2"}
    assert await places(1) == {"db1"}
    assert await places(0) == {"db0"}, "now is known of the primary alone"
    assert await places(5, WRITTEN) == {"db1 waits", "db2"}
    await asyncio.sleep(2)
    assert await places(1) == {"db0"}, "it was asked two seconds ago"
    house.servers[1].lag = None
    assert await places(100) == {"db2"}


@virtually
async def test_who_finds_no_replica_near_enough_is_told_so() -> None:
    house = Followers()
    house.servers[0].up = False
    house.group.refresh()
    relay = Relay("main", Role.REPLICA, Reason.READ, SELECT, max_lag=0.5)
    house.leasing.lease(relay, KEY, primary=False)
    await asyncio.sleep(2)
    for server in house.servers[1:]:
        server.lagging = server.stale = True
    house.group.refresh()
    house.lease(SELECT, Role.REPLICA)
    await asyncio.sleep(2)
    nobody = "no primary of group 'main' is available"
    assert [str(error) for error in house.errors] == [
        f"{nobody}, and no replica is known to be less than 0.5 s behind (waited 1 s)",
        f"{nobody}, and its replicas are more than 10 s behind (reads.max_lag), or do not replicate (waited 1 s)",
    ]


@virtually
async def test_a_server_known_to_be_down_is_no_try() -> None:
    """Who has met its end waits for the next primary like everybody else."""
    house = House(Role.PRIMARY, Role.REPLICA, patience=5.0)
    house.lease(INSERT, Role.PRIMARY)
    for _ in range(TRIES - 1):
        await asyncio.sleep(0.5)
        house.connectors[0].pending[0].fail(BackendUnavailable("refused"))
    await asyncio.sleep(0.5)
    house.servers[0].up = False
    house.group.refresh()
    house.connectors[0].pending[0].fail(BackendUnavailable("refused"))
    await asyncio.sleep(2)
    assert house.errors == []
    house.servers[1].role = Role.PRIMARY
    house.group.refresh()
    await asyncio.sleep(0.2)
    house.connectors[1].pending[0].succeed()
    await quiet()
    assert house.server is house.servers[1]


@virtually
async def test_but_not_for_longer_than_the_failover_timeout() -> None:
    house = House(Role.PRIMARY, patience=2.0)
    house.lease(INSERT, Role.PRIMARY)
    await quiet()
    house.servers[0].up = False
    house.group.refresh()
    house.connectors[0].pending[0].fail(BackendUnavailable("refused"))
    await asyncio.sleep(1.9)
    assert house.errors == []
    await asyncio.sleep(0.2)
    assert "no primary" in str(house.errors[0])


# --- drain and pause --------------------------------------------------------------------------------------------------


@virtually
async def test_who_waits_for_a_server_that_drains_looks_elsewhere() -> None:
    house = House(Role.PRIMARY, Role.REPLICA)
    house.lease(SELECT, Role.REPLICA)
    await quiet()
    house.group.drain(house.servers[1])
    await quiet()
    house.connectors[0].pending[0].succeed()
    await quiet()
    assert house.server is house.servers[0]
    assert house.suspects == [], "nothing is wrong with it"


@virtually
async def test_a_write_waits_while_the_primary_drains() -> None:
    house = House(Role.PRIMARY, Role.REPLICA, patience=2.0)
    house.group.drain(house.servers[0])
    house.begin(INSERT, Role.PRIMARY)
    await asyncio.sleep(1)
    assert not house.granted
    assert not house.errors
    house.servers[0].role, house.servers[1].role = Role.REPLICA, Role.PRIMARY
    house.group.refresh()
    await asyncio.sleep(0.1)
    house.connectors[1].pending[0].succeed()
    await quiet()
    assert house.server is house.servers[1]


@virtually
async def test_a_write_waits_for_a_draining_primary_no_longer_than_for_a_lost_one() -> None:
    house = House(Role.PRIMARY, patience=2.0)
    house.group.drain(house.servers[0])
    house.begin(INSERT, Role.PRIMARY)
    await asyncio.sleep(2.1)
    assert "no primary" in str(house.errors[0])


@virtually
async def test_a_transaction_under_way_may_come_to_a_draining_primary_while_others_are_there() -> None:
    house = House(Role.PRIMARY)
    house.connectors[0].willing = True
    house.lease(INSERT, Role.PRIMARY)
    await quiet()
    house.group.drain(house.servers[0])
    (connection, server) = house.granted.pop()
    house.begin(INSERT, Role.PRIMARY)
    await asyncio.sleep(0.2)
    assert house.granted == [], "what begins now is something new"
    house.leasing.cancel()
    house.lease(INSERT, Role.PRIMARY)
    await quiet()
    server.pool.release(connection)
    await quiet()
    assert house.server is server


@virtually
async def test_a_paused_group_keeps_what_begins_waiting_beyond_the_failover_timeout() -> None:
    for facts, role in ((INSERT, Role.PRIMARY), (SELECT, Role.REPLICA), (SET, Role.REPLICA)):
        house = House(Role.PRIMARY, Role.REPLICA, patience=1.0)
        for connector in house.connectors:
            connector.willing = True
        house.group.pause()
        house.begin(facts, role)
        await asyncio.sleep(30)
        assert not house.granted
        assert not house.errors
        house.group.resume()
        await quiet()
        assert house.server is house.servers[role is Role.REPLICA]


@virtually
async def test_who_waited_in_a_queue_waits_for_the_end_of_the_pause() -> None:
    house = House(Role.PRIMARY)
    house.begin(INSERT, Role.PRIMARY)
    await quiet()
    house.group.pause()
    house.connectors[0].pending[0].succeed()
    await quiet()
    assert house.granted == []
    house.group.resume()
    await quiet()
    assert house.server is house.servers[0]
    assert house.suspects == []


@virtually
async def test_after_a_pause_the_failover_timeout_begins_anew() -> None:
    house = House(Role.REPLICA, patience=2.0)
    house.begin(INSERT, Role.PRIMARY)
    await asyncio.sleep(1.5)
    house.group.pause()
    await asyncio.sleep(5)
    house.group.resume()
    await asyncio.sleep(1.5)
    assert house.errors == []
    await asyncio.sleep(0.6)
    assert "no primary" in str(house.errors[0])


@virtually
async def test_what_is_under_way_goes_on_in_a_paused_group() -> None:
    """A transaction that is on other groups already, and a statement on several shards that was let in."""
    for joins, admitted in ((None, False), (True, False), (False, True)):
        house = House(Role.PRIMARY)
        house.connectors[0].willing = True
        house.group.pause()
        relay = Relay("main", Role.PRIMARY, INSERT.reason, INSERT)
        house.leasing.lease(relay, KEY, primary=True, joins=joins, admitted=admitted)
        await quiet()
        assert house.server is house.servers[0]


@virtually
async def test_a_statement_that_was_let_in_does_not_go_to_a_primary_that_drains() -> None:
    """Statement after statement on several shards would keep it from ever being empty."""
    house = House(Role.PRIMARY)
    house.connectors[0].willing = True
    house.lease(INSERT, Role.PRIMARY)
    await quiet()
    house.group.drain(house.servers[0])
    house.granted.clear()
    relay = Relay("main", Role.PRIMARY, INSERT.reason, INSERT)
    house.leasing.lease(relay, KEY, primary=True, joins=False, admitted=True)
    await asyncio.sleep(0.2)
    assert house.granted == []


@virtually
async def test_who_gives_up_does_not_wait_for_the_end_of_a_pause() -> None:
    house = House(Role.PRIMARY)
    house.connectors[0].willing = True
    house.group.pause()
    house.begin(INSERT, Role.PRIMARY)
    assert len(house.group.gate) == 1
    house.leasing.cancel()
    assert len(house.group.gate) == 0
    house.group.resume()
    await quiet()
    assert house.granted == []
