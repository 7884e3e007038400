"""Drain and pause of several workers, with workers that answer as told."""

from __future__ import annotations

from typing import Any

import pytest

from router.cluster.operations import Drained, Paused
from router.cluster.topology import Group, Topology
from router.errors import NoSuchName
from router.planner.plan import Role
from router.process.messages import Drain, Pause, Resume, Undrain
from router.process.operations import FleetOperations
from tests.cluster.houses import bring_up, make_group


class House:
    """Two workers; ``held`` is what each has at the server that drains."""

    def __init__(self) -> None:
        self.group = make_group("a", "b")
        bring_up(self.group, Role.PRIMARY, Role.REPLICA)
        self.held = [0, 0]
        self.asked: list[Any] = []
        self.published: list[str | None] = []
        self.operations = FleetOperations(Topology({"main": self.group}), self.look, self.ask, lambda: (), self.publish)

    async def look(self, group: Group) -> None:
        self.asked.append("look")

    def publish(self, group: Group) -> None:
        self.published.append(None if group.elected is None else group.elected.name)

    async def ask(self, message: object) -> list[object]:
        self.asked.append(message)
        match message:
            case Drain(group, server, _):
                return [Drained(group, server, True, held, 0) for held in self.held]
            case Undrain(group, server):
                return [Drained(group, server, False, held, 0) for held in self.held]
            case Pause(groups, _, _):
                return [[Paused(name, True, held, 1, 0, 2) for name in groups] for held in self.held]
            case Resume(groups):
                return [[Paused(name, False, 0, 0, 0, 0) for name in groups] for _ in self.held]
        raise AssertionError(message)


async def test_drain_is_done_when_nobody_is_held_by_any_worker() -> None:
    house = House()
    house.held = [0, 2]
    found = await house.operations.drain("main", "b", 1.0)
    assert (found.draining, found.in_use, found.done) == (True, 2, False)
    house.held = [0, 0]
    assert (await house.operations.drain("main", "b", 1.0)).done
    assert house.operations.draining() == [("main", "b")]
    found = await house.operations.undrain("main", "b")
    assert not found.draining
    assert house.asked[-2:] == ["look", Undrain("main", "b")]
    assert house.operations.draining() == []


async def test_a_primary_that_drains_stays_until_every_worker_has_left_it() -> None:
    house = House()
    house.group.servers[1].role = Role.PRIMARY
    house.held = [1, 0]
    await house.operations.drain("main", "a", 0)
    assert house.group.elected is house.group.servers[0]
    house.operations.held_there(house.group, "a", 1)
    assert house.group.elected is house.group.servers[0]
    house.operations.held_there(house.group, "a", 0)
    assert house.group.elected is house.group.servers[1]
    assert house.published[-1] == "b"


async def test_pause_and_resume_are_sums() -> None:
    house = House()
    house.held = [1, 2]
    (paused,) = await house.operations.pause(None, 30.0, 5.0)
    assert (paused.paused, paused.active, paused.pinned, paused.waiting, paused.done) == (True, 3, 2, 4, False)
    assert house.group.gate.shut
    left = house.operations.paused()
    assert list(left) == ["main"]
    assert 29 < left["main"] <= 30
    (resumed,) = await house.operations.resume("main")
    assert (resumed.paused, resumed.active) == (False, 0)
    assert house.operations.paused() == {}
    assert not house.group.gate.shut
    house.operations.stop()


async def test_names_are_looked_at_first() -> None:
    house = House()
    for wrong in (
        house.operations.drain("main", "z"),
        house.operations.undrain("mian", "a"),
        house.operations.pause("mian"),
        house.operations.resume("mian"),
    ):
        with pytest.raises(NoSuchName):
            await wrong
    assert house.asked == []
