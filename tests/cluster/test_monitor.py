"""The monitor in virtual time: who is up, who is what, and that nothing ends its watch."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from router.backend.connector import BackendUser
from router.cluster.monitor import HealthMonitor
from router.cluster.topology import Group, Topology
from router.errors import BackendUnavailable
from router.planner.plan import Role
from router.session.gtids import NOTHING
from tests.cluster.houses import DOWN, Probed, follows, make_group
from tests.fakes import KEY, USER, leased, virtually

WATCHER = BackendUser("watcher", "x")


class House:
    """A watched group; ``db[n]`` are its servers' connectors."""

    def __init__(self, *db: Probed, roles: tuple[str, ...] = (), **settings: Any) -> None:
        self.db = db
        servers = [
            {"name": connector.endpoint.name, "role": roles[n] if roles else "auto"} for n, connector in enumerate(db)
        ]
        self.group: Group = make_group(*servers, connectors=list(db), **{"monitor": {"interval": "1s"}, **settings})
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


# --- lag --------------------------------------------------------------------------------------------------------------


@virtually
async def test_a_replica_too_far_behind_takes_no_reads_until_it_has_caught_up() -> None:
    async with House(Probed("a"), Probed("b", read_only=1), Probed("c", read_only=1)).watched() as house:
        with capture_logs() as logs:
            house.db[1].status = [follows("a", 11)]
            await asyncio.sleep(1.5)
            assert house.readers == {"c"}
            assert house.group.servers[1].lag == 11
            house.db[1].status = [follows("a", 6)]
            await asyncio.sleep(3)
            assert house.readers == {"c"}
            house.db[1].status = [follows("a", 5)]
            await asyncio.sleep(2.5)
            assert house.readers == {"b", "c"}
        assert [entry["event"] for entry in logs] == [
            "replica takes no reads: it lags too far",
            "replica is near enough again",
        ]
        house.db[1].status, house.db[2].status = [follows("a", None, applies="No")], []
        await asyncio.sleep(1.5)
        assert house.readers == {"a"}, "nobody but the primary is current"


@virtually
async def test_without_a_bound_replicas_read_however_far_behind() -> None:
    house = House(Probed("a"), Probed("b", read_only=1), reads={"max_lag": "any"})
    house.db[1].status = [follows("a", None, applies="No")]
    async with house.watched():
        assert house.readers == {"b"}
        assert house.group.servers[1].lag == float("inf")


@virtually
async def test_replicas_that_were_current_go_on_reading_when_the_primary_is_lost() -> None:
    a, b, c = Probed("a"), Probed("b", read_only=1), Probed("c", read_only=1)
    c.status = [follows("a", 99)]
    async with House(a, b, c).watched() as house:
        assert house.readers == {"b"}
        b.status = c.status = [follows("a", None, receives="Connecting")]
        await asyncio.sleep(1.5)
        assert house.readers == {"a"}
        a.trouble = DOWN
        await asyncio.sleep(2.5)
        assert house.readers == {"b"}


@virtually
async def test_lag_that_may_not_be_asked_is_told_once_and_does_no_harm() -> None:
    a, b = Probed("a"), Probed("b", read_only=1)
    b.status = "you need the SLAVE MONITOR privilege"
    with capture_logs() as logs:
        async with House(a, b).watched() as house:
            await asyncio.sleep(9.5)
            assert house.readers == {"b"}
            assert house.group.servers[1].lag is None
            assert len(b.asked) == 1, "it is not asked for it every time"
            await asyncio.sleep(90)
    assert [entry["reason"] for entry in logs if entry["event"] == "replication lag is unknown"] == [b.status]


@virtually
async def test_a_heartbeat_table_tells_the_lag() -> None:
    a, b = Probed("a"), Probed("b", read_only=1)
    b.status, b.heartbeat = "denied", 30.5
    house = House(a, b, monitor={"interval": "1s", "heartbeat": "percona.heartbeat"})
    with capture_logs() as logs:
        async with house.watched():
            assert house.readers == {"a"}
            assert "`percona`.`heartbeat`" in b.asked[-1]
            b.heartbeat = 0
            await asyncio.sleep(2.5)
            assert house.readers == {"b"}
            assert house.group.servers[1].lag == 0
    assert "replication lag is unknown" not in [entry["event"] for entry in logs]


# --- roles ------------------------------------------------------------------------------------------------------------


@virtually
async def test_a_writable_server_that_replicates_is_no_primary() -> None:
    a, b = Probed("a"), Probed("b")
    b.status = [follows("a", 0)]
    async with House(b, a).watched() as house:
        assert house.primary == "a"
        assert house.readers == {"b"}
        a.trouble = DOWN
        await asyncio.sleep(2.5)
        assert house.primary is None, "its source may be written still"
        b.status = [follows("a", None, receives="No", applies="No")]
        await asyncio.sleep(1)
        assert house.primary == "b"


@virtually
async def test_an_old_primary_that_comes_back_writable_is_fenced() -> None:
    async with House(Probed("a"), Probed("b", read_only=1), reads={"from": "any"}).watched() as house:
        house.db[0].trouble = DOWN
        await asyncio.sleep(2.5)
        house.db[1].read_only = 0
        await asyncio.sleep(0.3)
        assert house.primary == "b"
        house.db[0].trouble = None
        with capture_logs() as logs:
            await asyncio.sleep(2)
        assert (house.primary, house.readers) == ("b", {"b"})
        assert house.group.servers[0].fenced
        (entry,) = (entry for entry in logs if entry["log_level"] == "error")
        assert (entry["server"], entry["primary"]) == ("a", "b")
        house.db[0].read_only, house.db[0].status = 1, [follows("b", 0)]
        await asyncio.sleep(1.5)
        assert not house.group.servers[0].fenced
        assert house.readers == {"a", "b"}


@virtually
async def test_the_newer_epoch_takes_over() -> None:
    """Somebody has promoted b although a is alive."""
    source, other = "aaaaaaaa-0000-0000-0000-00000000000a", "aaaaaaaa-0000-0000-0000-00000000000b"
    a, b = Probed(source), Probed(other, read_only=1)
    a.executed = a.reached = b.executed = b.reached = f"{source}:1-9"
    async with House(a, b).watched() as house:
        kept = await leased(house.group.servers[0].pool)
        house.group.servers[0].pool.release(kept)
        b.executed = b.reached = f"{source}:1-9,{other}:1"
        b.read_only = 0
        await asyncio.sleep(1.5)
        assert house.primary == other
        assert house.group.servers[0].fenced
        assert kept.closed


@virtually
async def test_group_replication() -> None:
    def member(name: str, state: str, role: str) -> dict[str, str]:
        return {"member_id": name, "member_state": state, "member_role": role}

    a, b = Probed("a"), Probed("b", read_only=1)
    a.flavor = b.flavor = "mysql"
    a.status = b.status = []
    a.members = [
        member("a", "ONLINE", "PRIMARY"),
        member("b", "ONLINE", "SECONDARY"),
        member("c", "ONLINE", "SECONDARY"),
    ]
    b.members = a.members
    async with House(a, b).watched() as house:
        assert (house.primary, house.readers) == ("a", {"b"})
        b.members = [each | {"member_state": "RECOVERING"} if each["member_id"] == "b" else each for each in a.members]
        await asyncio.sleep(2.5)
        assert house.readers == {"a"}


# --- how often --------------------------------------------------------------------------------------------------------


@virtually
async def test_probes_are_quick_while_there_is_no_primary_but_not_for_ever() -> None:
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        house.db[0].trouble = DOWN
        await asyncio.sleep(3)
        since = house.db[1].probes
        await asyncio.sleep(2)
        assert 18 <= house.db[1].probes - since <= 24
        await asyncio.sleep(100)
        since = house.db[1].probes
        await asyncio.sleep(10)
        assert 9 <= house.db[1].probes - since <= 12
        house.db[1].read_only = 0
        await asyncio.sleep(1.1)
        assert house.primary == "b"


@virtually
async def test_a_group_of_replicas_is_not_in_a_hurry() -> None:
    async with House(Probed("a", read_only=1), roles=("replica",)).watched() as house:
        since = house.db[0].probes
        await asyncio.sleep(10)
        assert house.db[0].probes - since <= 12


@virtually
async def test_a_suspect_is_asked_at_once_and_not_more_often_than_that() -> None:
    async with House(Probed("a"), Probed("b", read_only=1), monitor={"interval": "10s"}).watched() as house:
        house.db[1].trouble = DOWN
        since = house.db[1].probes
        for _ in range(1000):
            house.monitor.suspect(house.group.servers[1])
            await asyncio.sleep(0.001)
        assert house.readers == {"a"}
        assert 5 <= house.db[1].probes - since <= 12


@virtually
async def test_a_replica_that_goes_up_and_down_rests() -> None:
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        for _ in range(3):
            assert house.readers == {"b"}
            house.db[1].trouble = DOWN
            await asyncio.sleep(3)
            house.db[1].trouble = None
            await asyncio.sleep(1)
        assert house.group.servers[1].up
        assert house.readers == {"a"}
        house.db[0].trouble = DOWN
        await asyncio.sleep(2.5)
        assert house.readers == {"b"}, "better than nobody"


@virtually
async def test_a_wait_in_vain_is_forgiven() -> None:
    """The write may be lost for good; the replica is none the worse for it."""
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        replica = house.group.servers[1]
        replica.missed = NOTHING.after("0-1-7")
        await asyncio.sleep(8)
        assert replica.missed is not None
        await asyncio.sleep(4)
        assert replica.missed is None


@virtually
async def test_how_long_the_first_question_takes_is_averaged() -> None:
    house = House(Probed("a"), Probed("b", read_only=1))
    house.db[1].took = 0.001
    async with house.watched():
        a, b = house.group.servers
        assert (a.delay, b.delay) == (None, 0.001)
        house.db[1].took = 0.002
        await asyncio.sleep(10)
        assert b.delay is not None
        assert 0.0015 < b.delay < 0.002


# --- at once ----------------------------------------------------------------------------------------------------------


@virtually
async def test_servers_are_asked_when_somebody_wants_to_know() -> None:
    async with House(Probed("a"), Probed("b", read_only=1), monitor={"interval": "1h"}).watched() as house:
        await asyncio.sleep(10)
        house.db[0].read_only, house.db[1].read_only = 1, 0
        await house.monitor.look(house.group)
        assert house.primary == "b"


@virtually
async def test_a_hung_server_is_not_waited_for_long() -> None:
    async with House(Probed("a"), Probed("b", read_only=1), monitor={"timeout": "2s"}).watched() as house:

        async def hang(queries: Sequence[str], within: float) -> dict[str, list[dict[str, Any]] | str]:
            await asyncio.sleep(60)
            raise DOWN

        house.monitor._watched[house.group.servers[1]].line.ask = hang  # type: ignore[method-assign]
        loop = asyncio.get_running_loop()
        began = loop.time()
        await house.monitor.look(house.group)
        assert loop.time() - began < 2.2


@virtually
async def test_a_primary_that_drains_is_left_when_it_is_empty() -> None:
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        old = house.group.servers[0]
        held = await leased(old.pool)
        house.group.drain(old)
        house.db[1].read_only = 0
        await asyncio.sleep(1)
        assert house.primary is None
        old.pool.discard(held)
        await asyncio.sleep(1)
        assert house.primary == "b"


# --- another configuration --------------------------------------------------------------------------------------------


@virtually
async def test_who_comes_is_watched_and_who_goes_is_not() -> None:
    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        a, b = house.group.servers
        house.group.configure(house.group.config, [a])
        await house.monitor.adopt({"main": USER})
        house.monitor.suspect(b)
        a.up = b.up = False
        await asyncio.sleep(5)
        assert (a.up, b.up) == (True, False)
        house.group.configure(house.group.config, [a, b])
        await house.monitor.adopt({"main": USER})
        assert b.up, "it has been asked before anybody is sent there"


@virtually
async def test_two_that_can_be_written_are_told_of_once_it_is_certain() -> None:
    def errors(lines: list[Any]) -> list[str]:
        return [line["server"] for line in lines if line["log_level"] == "error"]

    async with House(Probed("a"), Probed("b", read_only=1)).watched() as house:
        with capture_logs() as lines:
            # In the middle of a switchover: the old one was asked before, the new one behind it.
            house.db[1].read_only = 0
            await house.monitor._probe(house.group, house.group.servers[1])
            assert house.group.servers[1].fenced
            house.db[0].read_only = 1
            await asyncio.sleep(1.5)
            assert house.primary == "b"
        assert errors(lines) == []
        with capture_logs() as lines:
            house.db[0].read_only = 0
            await asyncio.sleep(5)
        assert errors(lines) == ["a"], "once"
        with capture_logs() as lines:
            house.db[0].read_only = 1
            await asyncio.sleep(2)
            house.db[0].read_only = 0
            await asyncio.sleep(5)
        assert errors(lines) == ["a"], "and once more"
