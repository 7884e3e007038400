"""Messages between two processes: both ends in this one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from router.errors import NoSuchName, OperationFailed
from router.process.channel import Channel, receive_sockets, send_sockets


class End:
    """What one end has heard; it answers as ``answers`` says."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.answers: dict[Any, Any] = {}
        self.lost = asyncio.Event()
        self.channel = Channel(self.heard.append, self._asked, self.lost.set)

    async def _asked(self, question: Any) -> Any:
        answer = self.answers[question]
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextlib.asynccontextmanager
async def ends() -> AsyncIterator[tuple[End, End]]:
    one, other = End(), End()
    for end, sock in zip((one, other), socket.socketpair(), strict=True):
        sock.setblocking(False)
        await end.channel.start(sock)
    try:
        yield one, other
    finally:
        one.channel.close()
        other.channel.close()
        await asyncio.gather(one.lost.wait(), other.lost.wait())


async def test_what_is_told_comes_in_order() -> None:
    async with ends() as (one, other):
        for number in range(1000):
            one.channel.tell({"number": number, "much": "x" * number * 10})
        other.answers["and then?"] = "nothing"
        assert await one.channel.ask("and then?") == "nothing"
        assert [message["number"] for message in other.heard] == list(range(1000))


async def test_questions_do_not_wait_for_each_other() -> None:
    async with ends() as (one, other):
        other.answers |= {"slow": asyncio.Event(), "fast": 1}
        slow = asyncio.create_task(one.channel.ask("slow"))
        assert await one.channel.ask("fast") == 1
        assert not slow.done()
        other.answers["slow"].set()
        await slow


async def test_errors_come_back_as_they_are() -> None:
    async with ends() as (one, other):
        other.answers |= {"name": NoSuchName("who?"), "address": OSError(98, "in use"), "bug": ValueError("secret")}
        with pytest.raises(NoSuchName, match=r"who\?"):
            await one.channel.ask("name")
        with pytest.raises(OSError, match="in use"):
            await one.channel.ask("address")
        with pytest.raises(OperationFailed, match="its log tells why"):
            await one.channel.ask("bug")
        with pytest.raises(OperationFailed, match="its log tells why"):
            await one.channel.ask("nobody knows this")


async def test_who_does_not_answer_is_not_waited_for() -> None:
    async with ends() as (one, other):
        other.answers["never"] = asyncio.Event()
        with pytest.raises(OperationFailed, match="does not answer"):
            await one.channel.ask("never", 0.01)


async def test_the_end_of_the_other_ends_all_questions() -> None:
    async with ends() as (one, other):
        other.answers["never"] = asyncio.Event()
        question = asyncio.create_task(one.channel.ask("never"))
        await asyncio.sleep(0)
        other.channel.close()
        with pytest.raises(OperationFailed, match="has ended"):
            await question
        await one.lost.wait()
        with pytest.raises(OperationFailed, match="is gone"):
            await one.channel.ask("never")
        one.channel.tell("nobody hears this")


async def test_sockets_are_passed_on() -> None:
    given, taken = socket.socketpair()
    many = [socket.socket() for _ in range(150)]
    with given, taken:
        for each in many:
            each.bind(("127.0.0.1", 0))
        send_sockets(given, many[:3])
        send_sockets(given, many[3:])
        received = receive_sockets(taken, 3) + receive_sockets(taken, 147)
        assert [each.getsockname() for each in received] == [each.getsockname() for each in many]
        for each in received + many:
            each.close()
        given.close()
        with pytest.raises(OSError, match="gone"):
            receive_sockets(taken, 1)
