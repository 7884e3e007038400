"""What one process knows of the servers, and others are told."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from router.cluster.electing import Outcome
from router.cluster.following import Follower, GroupNews, news_of
from router.cluster.topology import Group, Topology
from router.errors import BackendError
from router.planner.plan import Role
from router.session.gtids import NOTHING, Reached
from tests.cluster.houses import bring_up, make_group
from tests.fakes import PROFILE


class House:
    """``group`` is known by the one that asks; ``told`` is that of a follower."""

    def __init__(self) -> None:
        self.group, self.told = make_group("a", "b", "c"), make_group("a", "b", "c")
        bring_up(self.group, Role.PRIMARY, Role.REPLICA, Role.REPLICA)
        for server in self.group.servers:
            server.connector.profile = PROFILE
        self.suspected: list[tuple[str, str]] = []
        self.looked: list[str] = []
        self.follower = Follower(
            Topology({"main": self.told}), lambda group, server: self.suspected.append((group, server)), self.look
        )

    async def look(self, group: str) -> None:
        self.looked.append(group)
        self.hear()

    def hear(self) -> None:
        """Tell, as it comes out of a pipe."""
        news: GroupNews = pickle.loads(pickle.dumps(news_of(self.group)))
        self.follower.hear([news])


def roles(group: Group) -> Any:
    primary = None if group.primary is None else group.primary.name
    return primary, [server.name for server in group.readers], [server.fenced for server in group.servers]


async def test_it_knows_what_it_is_told() -> None:
    house = House()
    assert roles(house.told) == (None, [], [False] * 3)
    house.group.servers[1].reached = Reached("0-1-7")
    house.group.servers[2].lag, house.group.servers[2].lag_at = 3.5, 12.0
    house.hear()
    assert roles(house.told) == roles(house.group) == ("a", ["b", "c"], [False] * 3)
    assert house.told.servers[1].reached.covers(NOTHING.after("0-1-7"))
    assert (house.told.servers[2].lag, house.told.servers[2].lag_at) == (3.5, 12.0)
    assert house.told.profile == PROFILE


async def test_it_does_not_decide_who_is_the_primary() -> None:
    """A worker may see a server refuse a write, or lack the memory of who was there first."""
    house = House()
    house.group.servers[1].role = Role.PRIMARY
    house.group.refresh()
    house.hear()
    assert roles(house.told) == roles(house.group)
    assert house.told.directed is not None
    assert house.told.directed.primary == roles(house.group)[0]
    # What it finds out itself holds until it is told otherwise.
    primary = house.told.servers[[server.name for server in house.told.servers].index(str(roles(house.told)[0]))]
    assert house.told.refuses_writes(primary)
    assert house.told.primary is None
    house.hear()
    assert roles(house.told) == roles(house.group)


async def test_what_is_decided_elsewhere_holds() -> None:
    """Two servers can be written; the supervisor, which knows who was there before, has chosen the second."""
    house = House()
    for server in house.group.servers[:2]:
        server.role = Role.PRIMARY
    house.group.refresh()
    news = news_of(house.group)
    house.follower.hear([replace(news, outcome=Outcome("b", frozenset("a")))])
    assert roles(house.told) == ("b", ["c"], [True, False, False])


async def test_a_server_that_goes_down_sends_those_away_who_wait() -> None:
    house = House()
    house.hear()
    failed: list[BackendError] = []
    pool = house.told.servers[0].pool
    pool.fail_waiters = failed.append  # type: ignore[method-assign, assignment]
    generation = pool.generation
    house.group.servers[0].up = False
    house.group.refresh()
    house.hear()
    assert house.told.primary is None
    assert [str(error) for error in failed] == ["server a is down"]
    assert pool.generation > generation
    house.hear()
    assert len(failed) == 1


@pytest.mark.parametrize("change", ["role", "sql_mode"])
async def test_connections_of_another_time_are_not_used(change: str) -> None:
    house = House()
    house.hear()
    server, told = house.group.servers[1], house.told.servers[1]
    generation = told.pool.generation
    house.hear()
    assert told.pool.generation == generation
    if change == "role":
        server.role = Role.PRIMARY
    else:
        server.connector.profile = replace(PROFILE, sql_mode="ANSI")
    house.group.refresh()
    house.hear()
    assert told.pool.generation > generation


async def test_who_waited_in_vain_is_forgiven() -> None:
    house = House()
    house.hear()
    told = house.told.servers[1]
    told.missed = NOTHING.after("0-1-9")
    house.hear()
    assert told.missed is not None
    house.group.servers[1].reached = Reached("0-1-9")
    house.hear()
    assert told.missed is None
    told.missed = NOTHING.after("0-1-99")
    for _ in range(20):
        house.hear()
    assert told.missed is None


async def test_news_of_another_configuration() -> None:
    house = House()
    other = make_group("a", "z")
    bring_up(other, Role.PRIMARY, Role.REPLICA)
    for server in other.servers:
        server.connector.profile = PROFILE
    house.follower.hear([GroupNews("gone", Outcome(), ()), news_of(other)])
    assert roles(house.told)[0] == "a"
    assert not house.told.servers[1].up
    # A topology that is built later is as it was told.
    await house.follower.adopt({})
    assert roles(house.told)[0] == "a"


async def test_what_it_wants_to_know_is_asked() -> None:
    house = House()
    house.follower.suspect(house.told.servers[1])
    assert house.suspected == [("main", "b")]
    await house.follower.look(house.told)
    assert house.looked == ["main"]
    assert roles(house.told)[0] == "a"
    await house.follower.stop()
