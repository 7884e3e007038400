"""Drain, undrain, pause and resume as operators call them: by name, with patience, and what they answer."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from router.cluster.operations import Held, Operations
from router.cluster.topology import Group, Topology
from router.errors import NoSuchName
from router.planner.plan import Role
from tests.cluster.houses import bring_up, make_group
from tests.fakes import leased, quiet, virtually

P, R = Role.PRIMARY, Role.REPLICA


class House:
    """Two groups of two; ``held`` is what sessions keep, ``looked`` who has been asked."""

    def __init__(self) -> None:
        self.main = make_group("a", "b")
        self.other = make_group("c", "d", name="other")
        for group in (self.main, self.other):
            bring_up(group, P, R)
        self.held: list[Held] = []
        self.looked: list[str] = []
        topology = Topology({"main": self.main, "other": self.other})
        self.operations = Operations(topology, self.look, lambda: self.held)

    async def look(self, group: Group) -> None:
        self.looked.append(group.name)
        await asyncio.sleep(0.1)


@virtually
async def test_a_server_is_drained_when_nobody_is_held_there() -> None:
    house = House()
    server = house.main.servers[0]
    held = await leased(server.pool)
    draining = asyncio.create_task(house.operations.drain("main", "a", 5))
    await asyncio.sleep(1)
    assert not draining.done()
    assert house.main.primary is None
    bring_up(house.main, P, P)
    assert house.main.primary is None
    server.pool.release(held)
    outcome = await draining
    assert outcome.done
    assert (outcome.in_use, outcome.pinned) == (0, 0)
    assert house.main.primary is house.main.servers[1], "it need not be probed for that"


@virtually
async def test_how_many_are_held_there_still() -> None:
    house = House()
    server = house.main.servers[1]
    await leased(server.pool)
    await leased(server.pool)
    house.held = [Held(server, active=True), Held(server, active=False)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome = await house.operations.drain("main", "b", 3)
    assert 3 <= loop.time() - began < 3.1
    assert (outcome.done, outcome.draining, outcome.in_use, outcome.pinned) == (False, True, 2, 1)
    assert (await house.operations.undrain("main", "b")).draining is False


@virtually
async def test_a_server_is_asked_before_it_is_used_again() -> None:
    """It was the primary when it was probed last, perhaps."""
    house = House()
    await house.operations.drain("main", "a")
    undraining = asyncio.create_task(house.operations.undrain("main", "a"))
    await quiet()
    assert house.main.primary is None
    await undraining
    assert house.looked == ["main"]
    assert house.main.primary is house.main.servers[0]


@virtually
async def test_a_group_is_paused_when_all_is_quiet() -> None:
    house = House()
    busy, pinned = [await leased(server.pool) for server in house.main.servers]
    house.held = [Held(house.main.servers[1], active=False), Held(house.other.servers[0], active=True, spans=True)]
    pausing = asyncio.create_task(house.operations.pause("main"))
    await asyncio.sleep(1)
    assert not pausing.done()
    house.main.servers[0].pool.release(busy)
    (outcome,) = await pausing
    assert outcome.done
    assert (outcome.active, outcome.pinned, outcome.elsewhere) == (0, 1, 1)
    assert house.other.primary is not None, "the other group goes on"
    assert not pinned.closed
    house.operations.stop()


@virtually
async def test_how_many_are_under_way_still() -> None:
    house = House()
    await leased(house.main.servers[0].pool)
    (outcome,) = await house.operations.pause("main", wait=2)
    assert (outcome.done, outcome.paused, outcome.active) == (False, True, 1)
    (outcome,) = await house.operations.resume("main")
    assert (outcome.done, outcome.paused) == (False, False)


@virtually
async def test_servers_are_asked_before_a_group_goes_on() -> None:
    house = House()
    await house.operations.pause("main")
    house.main.gate.wait(lambda: house.looked.append("goes on"))
    (outcome,) = await house.operations.resume("main")
    assert house.looked == ["main", "goes on"]
    assert outcome.waiting == 0
    await house.operations.resume("main")
    assert len(house.looked) == 2, "it was not paused"


@virtually
async def test_a_pause_ends_by_itself() -> None:
    house = House()
    with capture_logs() as logs:
        await house.operations.pause("main", longest=20)
        await house.operations.pause("main", longest=30)
        await asyncio.sleep(25)
        assert house.main.gate.shut, "the later word counts"
        await asyncio.sleep(6)
        assert not house.main.gate.shut
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "the pause was too long: the group goes on by itself"
    ]


@virtually
async def test_who_went_on_is_not_ended_again() -> None:
    house = House()
    await house.operations.pause("main", longest=20)
    await house.operations.resume("main")
    await asyncio.sleep(10)
    await house.operations.pause("main", longest=20)
    await asyncio.sleep(15)
    assert house.main.gate.shut
    house.operations.stop()
    await asyncio.sleep(15)
    assert house.main.gate.shut


@virtually
async def test_all_groups_at_once() -> None:
    house = House()
    house.held = [Held(house.other.servers[0], active=True, spans=True)]
    outcomes = await house.operations.pause()
    assert [(each.group, each.done, each.elsewhere) for each in outcomes] == [("main", True, 0), ("other", True, 0)]
    assert house.main.primary is house.other.primary is None
    await house.operations.resume()
    assert None not in (house.main.primary, house.other.primary)


@virtually
async def test_names_must_be_right() -> None:
    house = House()
    house.main.servers[0].name = "primary-1"
    with pytest.raises(NoSuchName, match=r"no group is called 'mian'; did you mean 'main'\?"):
        await house.operations.pause("mian")
    with pytest.raises(NoSuchName, match=r"no server in group 'main' is called 'primary1'; did you mean 'primary-1'\?"):
        await house.operations.drain("main", "primary1")
    with pytest.raises(NoSuchName, match=r"known: main, other"):
        await house.operations.undrain("zzz", "a")


@virtually
async def test_how_servers_stand() -> None:
    house = House()
    await leased(house.main.servers[1].pool)
    house.held = [Held(house.main.servers[1], active=False)]
    await house.operations.drain("main", "b", 0)
    await house.operations.pause("other")
    found = {each.server: each for each in house.operations.standing()}
    assert list(found) == ["a", "b", "c", "d"]
    assert (found["b"].draining, found["b"].in_use, found["b"].pinned, found["b"].paused) == (True, 1, 1, False)
    assert (found["c"].primary, found["c"].paused, found["c"].role, found["d"].role) == (
        True,
        True,
        "primary",
        "replica",
    )
    assert found["a"].address == "db.example:3306"
    house.operations.stop()
