"""Generated ids: unique, ascending, whatever clocks do."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from router.backend.connector import BackendUser
from router.cluster.ids import AHEAD, EPOCH, LEASE, SEQUENCE, WORKERS, IdSource, Segment, Snowflake
from router.cluster.topology import Group, Server, Topology
from router.config.loader import loads
from router.errors import BackendUnavailable
from router.planner.plan import Role
from router.planner.spreading import NoIds
from tests.fakes import make_pool

NOON = EPOCH + 1_000_000


class Clock:
    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def flake(clock: Clock, worker: int = 5, floor: int = 0, until: int = 2**60) -> Snowflake:
    made = Snowflake(clock)
    made.lease(worker, floor, until)
    return made


def parts(number: int) -> tuple[int, int, int]:
    """Milliseconds, worker and sequence of an id."""
    return EPOCH + number // (WORKERS * SEQUENCE), number // SEQUENCE % WORKERS, number % SEQUENCE


def taken(source: Snowflake | Segment, count: int) -> list[int]:
    ids = source.take(count)
    assert ids is not None
    return ids


def test_what_an_id_is_made_of() -> None:
    clock = Clock()
    source = flake(clock, 1023)
    assert [parts(each) for each in taken(source, 2)] == [(NOON, 1023, 0), (NOON, 1023, 1)]
    assert parts(taken(source, 1)[0]) == (NOON, 1023, 2)
    clock.now = EPOCH + 2**41 - 1
    assert taken(source, 1)[0] < 2**63


def test_ids_are_ascending_and_never_twice() -> None:
    clock = Clock()
    source = flake(clock)
    seen: list[int] = []
    for number in range(300):
        seen += taken(source, 1 + number % 50)
        clock.now += (0, 1, 7, -3)[number % 4]
    assert seen == sorted(set(seen))


def test_a_burst_borrows_from_the_future() -> None:
    source = flake(Clock())
    ids = taken(source, 3 * SEQUENCE)
    assert ids == sorted(set(ids))
    assert parts(ids[-1])[0] == NOON + 2
    assert source.take(SEQUENCE * (AHEAD + 1)) is None
    assert taken(source, 1)[0] > ids[-1], "nothing was used up by what was refused"


def test_a_clock_that_goes_back() -> None:
    clock = Clock()
    source = flake(clock)
    (first,) = taken(source, 1)
    clock.now -= AHEAD
    (second,) = taken(source, 1)
    assert second > first
    clock.now -= 1
    assert source.take(1) is None
    clock.now += 1
    assert taken(source, 1)[0] > second


def test_a_clock_before_the_epoch() -> None:
    assert flake(Clock(EPOCH - 5)).take(1) is None


def test_low_bits_are_spread() -> None:
    clock = Clock()
    source = flake(clock)
    counts = [0] * 4
    for _ in range(400):
        clock.now += 10
        counts[taken(source, 1)[0] % 4] += 1
    assert counts == [100] * 4


def test_a_lease_ends_and_the_next_holder_begins_behind() -> None:
    clock = Clock()
    source = Snowflake(clock)
    assert source.take(1) is None
    source.lease(7, 0, NOON + 10)
    first = taken(source, 1)
    clock.now = NOON + 11
    assert source.take(1) is None
    source.renew(NOON + 100)
    last = taken(source, 1)
    source.end()
    assert source.take(1) is None
    other = flake(Clock(NOON - 50), 7, floor=source.reached)
    assert first < last < taken(other, 1)


def test_segments() -> None:
    source = Segment(1000)
    assert (source.left, source.wanted) == (0, 1000)
    assert source.take(1) is None
    source.add(1, 1000)
    assert source.wanted == 0
    assert taken(source, 3) == [1, 2, 3]
    assert taken(source, 497)[-1] == 500
    assert source.wanted == 1000, "the next range comes before the end"
    source.add(7001, 1000)
    assert taken(source, 502) == [*range(501, 1001), 7001, 7002]
    assert source.take(5000) is None
    assert source.wanted == 5000 - 998 + 500
    source.add(8001, source.wanted)
    assert len(taken(source, 5000)) == 5000


# -- from servers --------------------------------------------------------------------------------------------------

CONFIG = """
groups: {main: {servers: ["h:1"]}, g1: {servers: ["h:2"]}}
users: {app: {password: x}}
schemas:
  shop:
    group: main
    shards: {s0: {group: main, database: shop_0}, s1: {group: g1}}
    tables: {carts: {shard_by: id, function: mod}, items: {shard_by: id, function: mod}}
    ids: {carts.id: {generator: snowflake}, items.id: {generator: segment, step: 2000}}
"""


class Servers:
    """Just enough of a server for the statements of ``router/cluster/ids.py``."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.workers: dict[int, dict[str, Any]] = {}
        self.ids: dict[str, int] = {}
        self.highest = {"h:1": 30, "h:2": 50}
        self.down = False

    def source(self) -> IdSource:
        config = loads(CONFIG, environ={})
        groups = {}
        for name, group in config.groups.items():
            server = Server(group.servers[0], make_pool()[0], name)
            server.role, server.up = Role.PRIMARY, True
            server.connector.ask = self._asker(str(group.servers[0].address))  # type: ignore[method-assign]
            groups[name] = Group(name, group, [server])
            groups[name].refresh()
        return IdSource(config, Topology(groups), {"shop": BackendUser("app", "x")}, self.clock)

    def _asker(self, address: str) -> Any:
        async def ask(user: BackendUser, *queries: str) -> list[list[tuple[Any, ...]]]:
            await asyncio.sleep(0)
            if self.down:
                raise BackendUnavailable("down")
            self.last = (0, 0)
            return [self._run(address, query) for query in queries]

        return ask

    def _run(self, address: str, query: str) -> list[tuple[Any, ...]]:
        owner = re.search(r"owner = '(\w*)'|\d+, '(\w*)', CAST", query)
        name = "" if owner is None else owner[1] or owner[2]
        now, end = self.clock.now, self.clock.now + LEASE
        numbers = [int(each) for each in re.findall(r"(?<!\w)\d+", re.sub(r"'\w*'", "", query))]
        if query.startswith("UPDATE `shop`.router_workers SET owner = ''"):
            self.workers[numbers[2]] = {"owner": "", "expires": 0, "reached": numbers[1]}
        elif query.startswith("UPDATE `shop`.router_workers SET owner"):
            free = [number for number, each in sorted(self.workers.items()) if each["expires"] < now]
            if free:
                self.workers[free[0]].update(owner=name, expires=end)
        elif query.startswith("UPDATE `shop`.router_workers SET expires"):
            if self.workers[numbers[-1]]["owner"] == name:
                self.workers[numbers[-1]].update(expires=end, reached=numbers[-2])
        elif query.startswith("INSERT INTO `shop`.router_workers"):
            self.workers.setdefault(numbers[0], {"owner": name, "expires": end, "reached": 0})
        elif query.startswith("SELECT worker"):
            return [(number, each["reached"]) for number, each in self.workers.items() if each["owner"] == name]
        elif query.startswith("SELECT COALESCE(MAX(worker)"):
            return [(max(self.workers, default=-1) + 1,)]
        elif query.startswith("SELECT COALESCE(MAX(`id`)"):
            assert query.endswith("FROM `shop_0`.`items`" if address == "h:1" else "FROM `shop`.`items`")
            return [(self.highest[address],)]
        elif query.startswith("INSERT INTO `shop`.router_ids"):
            self.ids.setdefault("items", numbers[-1])
        elif query.startswith("UPDATE `shop`.router_ids"):
            self.last = (int("items" in self.ids), self.ids.get("items", 0))
            if "items" in self.ids:
                self.ids["items"] += numbers[0]
        elif query.startswith("SELECT ROW_COUNT()"):
            return [self.last]
        else:
            assert query.startswith(("CREATE TABLE IF NOT EXISTS", "SET sql_notes", "COMMIT")), query
        return []


async def test_routers_have_workers_and_ranges_of_their_own() -> None:
    servers = Servers()
    one, other = servers.source(), servers.source()
    await one.start()
    await other.start()
    assert sorted(servers.workers) == [0, 1]
    assert one.take("shop.items", 2) == [51, 52], "behind what the shards have"
    assert other.take("shop.items", 1) == [2051]
    assert {parts(source.take("shop.carts", 1)[0])[1] for source in (one, other)} == {0, 1}
    await one.stop()
    assert servers.workers[0]["expires"] == 0
    third = servers.source()
    await third.start()
    assert parts(third.take("shop.carts", 1)[0])[1] == 0, "what is given back is leased again"
    await other.stop()
    await third.stop()
    with pytest.raises(NoIds):
        third.take("shop.carts", 1)


async def test_ranges_are_fetched_ahead_and_on_demand() -> None:
    servers = Servers()
    source = servers.source()
    await source.start()
    try:
        source.take("shop.items", 1001)
        async with asyncio.timeout(5):
            source._fetched.clear()
            await source._fetched.wait()
            assert servers.ids["items"] == 4051
            with pytest.raises(NoIds) as caught:
                source.take("shop.items", 10_000)
            assert await source.fetch(caught.value.table, caught.value.count)
        ids = source.take("shop.items", 10_000)
        assert len(set(ids)) == 10_000
        assert not await source.fetch("shop.carts", 1), "nothing to wait for"
    finally:
        await source.stop()


async def test_servers_that_are_down() -> None:
    servers = Servers()
    servers.down = True
    source = servers.source()
    assert not await source.refresh()
    for table in ("shop.items", "shop.carts", "shop.other"):
        with pytest.raises(NoIds):
            source.take(table, 1)
    servers.down = False
    assert await source.refresh()
    assert source.take("shop.items", 1)
    assert source.take("shop.carts", 1)


async def test_a_lease_that_somebody_else_has_taken_over() -> None:
    servers = Servers()
    source, other = servers.source(), servers.source()
    await source.refresh()
    (mine,) = source.take("shop.carts", 1)
    servers.clock.now += LEASE + 1
    with pytest.raises(NoIds):
        source.take("shop.carts", 1)
    await other.refresh()
    (theirs,) = other.take("shop.carts", 1)
    await source.refresh()
    (new,) = source.take("shop.carts", 1)
    assert [parts(each)[1] for each in (mine, theirs, new)] == [0, 0, 1]
    assert theirs > mine


async def test_a_lease_is_renewed() -> None:
    servers = Servers()
    source = servers.source()
    for _ in range(5):
        assert await source.refresh()
        assert parts(source.take("shop.carts", 1)[0])[1] == 0
        servers.clock.now += LEASE // 2
    assert list(servers.workers) == [0]
