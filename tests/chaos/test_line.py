"""Cuts come exactly where they were ordered."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from router.wire.framing import frame
from tests.chaos.line import Cut, Line, PacketCounter

PACKETS = [frame(bytes([65 + number]) * (number * 7), 0) for number in range(6)]
STREAM = b"".join(PACKETS)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 11, 1000])
def test_packets_are_found_however_they_come(size: int) -> None:
    counter, found = PacketCounter(), []
    for place in range(0, len(STREAM), size):
        found += [place + start for start in counter.starts(STREAM[place : place + size])]
    assert found == [sum(map(len, PACKETS[:number])) for number in range(6)]


@pytest.mark.parametrize("inside", [0, 2, 5])
@pytest.mark.parametrize("packets", range(5))
def test_a_cut_leaves_so_many_packets(packets: int, inside: int) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Line(server.getsockname()) as line,
        socket.create_connection(("127.0.0.1", line.port)) as client,
    ):
        line.cut_at(Cut(packets, forward=True, inside=inside))
        accepted, _ = server.accept()
        with accepted:
            client.sendall(STREAM)
            got = b""
            with suppress(ConnectionError):
                while data := accepted.recv(4096):
                    got += data
    # A reset may overtake what was on its way.
    assert STREAM.startswith(got)
    assert len(got) <= sum(map(len, PACKETS[:packets])) + inside
    assert line.cuts == 1
    assert not line.armed
