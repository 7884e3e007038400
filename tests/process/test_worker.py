"""A worker's side of the channel, without a process. (With one: ``test_fleet``.)"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from router.backend.listening import Sockets
from router.cluster.following import news_of
from router.cluster.topology import Group, Topology
from router.config.models import RouterConfig
from router.config.values import Address
from router.errors import OperationFailed
from router.log import Setting
from router.planner.plan import Role
from router.process.channel import Channel, send_sockets
from router.process.messages import Begin, GoBy, Kill, Maintain, News, Stop, Tell, Told
from router.process.worker import Worker
from router.session.registry import Killed, Numbering

CONFIG = RouterConfig.model_validate(
    {
        "listeners": ["127.0.0.1:0"],
        "groups": {"main": {"servers": [{"name": "db", "address": "127.0.0.1:1"}]}},
        "users": {"app": {"password": "x"}},
    }
)
KEY = "127.0.0.1:0 (0)"


class House:
    """The supervisor's side."""

    def __init__(self) -> None:
        self.channel = Channel(lambda message: None, self._asked, lambda: None)
        self.topology = Topology.build(CONFIG)
        self.sockets = Sockets()
        self.ours, self.theirs = socket.socketpair()
        self.worker = Worker(self.theirs)
        self.over: asyncio.Task[None]

    async def _asked(self, message: Any) -> Any:
        raise AssertionError(message)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
        await self.channel.start(ends[0])
        await self.worker.channel.start(ends[1])
        self.over = asyncio.create_task(self.worker.run())
        try:
            yield self
        finally:
            self.channel.tell(Stop(0.0))
            await asyncio.wait_for(self.over, 20)
            self.channel.close()
            self.sockets.close_all()
            self.ours.close()
            self.theirs.close()

    async def begin(self, **changes: Any) -> Any:
        for each in await self.sockets.open(KEY, Address("127.0.0.1", 0)):
            send_sockets(self.ours, [each])
            each.close()
        news = tuple(map(news_of, self.topology.groups.values()))
        message = Begin(CONFIG, Numbering(1, 3), news, {KEY: 1}, (), {}, False, Setting("json", "error"))
        return await self.channel.ask(replace(message, **changes))


async def test_it_serves_where_it_is_told() -> None:
    async with House().open() as house:
        (address,) = await house.begin()
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        greeting = await reader.readexactly(4)
        assert greeting[3] == 0
        writer.close()


async def test_it_tells_its_numbers() -> None:
    async with House().open() as house:
        await house.begin()
        told = await house.channel.ask(Tell(sessions=True, digests=True))
        assert isinstance(told, Told)
        assert [each.server for each in told.gauges.servers] == ["db"]
        assert "process_resident_memory_bytes" in {metric.name for metric in told.process}
        assert not told.gauges.servers[0].up
        group = house.topology.groups["main"]
        group.servers[0].up, group.servers[0].role = True, Role.PRIMARY
        group.refresh()
        house.channel.tell(News(news_of(group)))
        told = await house.channel.ask(Tell())
        assert (told.gauges.servers[0].up, told.gauges.servers[0].role) == (True, "primary")


async def test_it_begins_as_it_was_ordered() -> None:
    async with House().open() as house:
        await house.begin(draining=(("main", "db"),), paused={"main": 30.0}, maintenance=True)
        told = await house.channel.ask(Tell())
        assert (told.standing[0].draining, told.standing[0].paused) == (True, True)
        assert not told.gauges.ready
        house.channel.tell(Maintain(False))
        assert await house.channel.ask(Kill(2, query_only=True)) is Killed.UNKNOWN


async def test_it_goes_by_another_configuration() -> None:
    async with House().open() as house:
        await house.begin()
        limits = CONFIG.limits.model_copy(update={"max_connections": 7})
        await house.channel.ask(GoBy(CONFIG.model_copy(update={"limits": limits}), (), {}))
        assert (await house.channel.ask(Tell())).gauges.max_connections == 7


async def test_before_it_has_begun_it_knows_nothing() -> None:
    async with House().open() as house:
        with pytest.raises(OperationFailed, match="has not begun"):
            await house.channel.ask(Tell())
        house.channel.tell(News(news_of(house.topology.groups["main"])))


async def test_what_it_hears_before_it_has_begun_holds() -> None:
    async with House().open() as house:
        group = house.topology.groups["main"]
        early = await asyncio.gather(house.begin(), told(house, group))
        assert early[0]
        found = await house.channel.ask(Tell())
        assert found.gauges.servers[0].up
        assert house.worker._running.maintenance.on


async def told(house: House, group: Group) -> None:
    """What becomes known while a worker begins."""
    await asyncio.sleep(0)
    group.servers[0].up, group.servers[0].role = True, Role.PRIMARY
    group.refresh()
    house.channel.tell(News(news_of(group)))
    house.channel.tell(Maintain(True))
