"""A compressed connection is to its session a transport, and to its transport a protocol, like any other."""

from __future__ import annotations

import asyncio

import pytest

from router.frontend.compression import CompressedTransport
from router.wire.compression import Compression, Zlib
from router.wire.framing import frame
from tests.fakes import FakeTransport

PING = frame(b"\x0e", 0)


class Session:
    """The protocol on top: remembers what it is told."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.transport: CompressedTransport | None = None
        self.pauses = False

    def data_received(self, data: bytes) -> None:
        self.events.append(data)
        if self.pauses and self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self.events.append("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


class Login(asyncio.BufferedProtocol):
    """A protocol that takes three bytes at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray(3)
        self.taken = b""

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.taken += bytes(self.buffer[:nbytes])


@pytest.fixture
def line() -> tuple[FakeTransport, CompressedTransport, Session]:
    """The real transport, the compressed one, the session on top."""
    real, session = FakeTransport(), Session()
    transport = CompressedTransport(real, Compression(Zlib()))
    transport.set_protocol(session)  # type: ignore[arg-type]
    session.transport = transport
    return real, transport, session


Line = tuple[FakeTransport, CompressedTransport, Session]


def test_both_directions(line: Line) -> None:
    real, transport, session = line
    client = Compression(Zlib())
    answer = frame(b"x" * 5000, 1)
    transport.data_received(client.sent(PING))
    assert session.events == [PING]
    transport.write(answer[:100])
    assert real.take() == b"", "half a packet waits"
    transport.write(answer[100:])
    sent = real.take()
    assert len(sent) < 100
    assert client.received(sent) == answer


def test_what_is_paused_comes_later(line: Line) -> None:
    _, transport, session = line
    client = Compression(Zlib())
    session.pauses = True
    transport.data_received(client.sent(PING))
    transport.data_received(client.sent(PING) + client.sent(PING))
    assert session.events == [PING]
    session.pauses = False
    transport.resume_reading()
    assert session.events == [PING, PING + PING]


def test_a_login_takes_what_it_has_room_for(line: Line) -> None:
    _, transport, _ = line
    login = Login()
    transport.set_protocol(login)
    transport.data_received(Compression(Zlib()).sent(PING + PING))
    assert login.taken == PING + PING
    assert transport.get_protocol() is login


def test_nonsense_ends_the_connection(line: Line) -> None:
    real, transport, session = line
    transport.data_received(b"\x04\0\0\0\x10\0\0oops")
    assert real.aborted
    assert session.events == []


def test_the_rest_is_passed_on(line: Line) -> None:
    _, transport, session = line
    transport.pause_writing()
    transport.resume_writing()
    transport.eof_received()
    transport.connection_lost(None)
    assert session.events == ["pause", "resume", "eof", "lost"]
