"""Much data, slow readers and long lives: what the router needs of memory does not depend on them.

The router is a process of its own here, so that its memory is its own.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from router.sandbox.process import remove_directory, scratch_directory
from router.sandbox.replica_set import wait_until
from router.wire.constants import Command
from router.wire.framing import frame
from tests.bench.targets import Target
from tests.bench.targets import router as router_process

MIB = 1 << 20
DATABASE = "scale"
CELL = MIB


@pytest.fixture
def target(mariadb_set: ReplicaSet) -> Iterator[Target]:
    """A router in front of the primary, and a table ``n`` of the numbers from 0 to 2,099 with 0 beside them."""
    primary = mariadb_set.primary
    primary.execute(f"CREATE DATABASE {DATABASE}")
    primary.execute(
        f"CREATE TABLE {DATABASE}.n (id INT PRIMARY KEY, v INT NOT NULL)"
        f" SELECT seq AS id, 0 AS v FROM {DATABASE}.seq_0_to_2099"
    )
    directory = scratch_directory()
    try:
        with router_process(mariadb_set, directory) as target:
            yield target
    finally:
        remove_directory(directory)
        primary.execute(f"DROP DATABASE {DATABASE}")


class Raw:
    """A client that sends bytes and looks at packets, not at rows."""

    def __init__(self, target: Target, receive_buffer: int = 0) -> None:
        self.connection: Connection = pymysql.connect(
            host="127.0.0.1",
            port=target.port,
            user="app",
            password=ReplicaSet.USERS["app"],
            database=DATABASE,
            autocommit=True,
            defer_connect=True,
        )
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", target.port))
        self.socket.settimeout(60)
        self.connection.connect(self.socket)
        self.buffer = bytearray()
        self.place = 0

    def send(self, *commands: bytes) -> None:
        """Commands, each with its byte in front."""
        self.socket.sendall(b"".join(frame(command, 0) for command in commands))

    def packet(self) -> bytes:
        """The payload of the next packet."""
        self.need(4)
        size = int.from_bytes(self.buffer[self.place : self.place + 3], "little")
        self.need(4 + size)
        payload = bytes(self.buffer[self.place + 4 : self.place + 4 + size])
        self.place += 4 + size
        return payload

    def need(self, size: int) -> None:
        """Wait for so many bytes."""
        while len(self.buffer) - self.place < size:
            del self.buffer[: self.place]
            self.place = 0
            data = self.socket.recv(1 << 18)
            assert data, "the router has closed the connection"
            self.buffer += data

    def head(self) -> None:
        """The beginning of a result of one column."""
        assert self.packet() == b"\1"
        self.packet()
        assert self.packet()[0] == 0xFE

    def cells(self, count: int) -> None:
        """So many rows of one cell of a MiB, and the end; none of them is kept."""
        buffer = memoryview(bytearray(MIB))
        wanted = b"\xfd" + CELL.to_bytes(3, "little")
        for _ in range(count):
            self.need(8)
            assert self.buffer[self.place + 4 : self.place + 8] == wanted
            rest = self.buffer[self.place + 8 : self.place + 8 + CELL]
            self.place += 8 + len(rest)
            letters, left = rest.count(b"x"), CELL - len(rest)
            while left:
                got = self.socket.recv_into(buffer[:left])
                assert got, "the router has closed the connection"
                letters += bytes(buffer[:got]).count(b"x")
                left -= got
            assert letters == CELL
        assert self.packet()[0] == 0xFE

    def close(self) -> None:
        """Hang up."""
        self.connection._force_close()
        self.socket.close()


def cells(count: int) -> bytes:
    """The statement for ``Raw.cells``."""
    return bytes([Command.QUERY]) + f"SELECT REPEAT('x', {CELL}) AS c FROM n LIMIT {count}".encode()


@pytest.mark.slow
def test_two_gibibytes_take_no_memory(target: Target) -> None:
    client = Raw(target)
    client.send(cells(8))
    client.head()
    client.cells(8)
    before = target.memory_mb()
    target.forget_peak_memory()
    client.send(cells(2100))
    client.head()
    client.cells(2100)
    assert target.peak_memory_mb() - before < 32
    assert target.memory_mb() - before < 32
    client.send(bytes([Command.PING]))
    assert client.packet()[0] == 0
    client.close()


def test_who_does_not_read_stops_the_server(target: Target, mariadb_set: ReplicaSet) -> None:
    """Of 256 MiB the server can send what sockets hold and no more, until the client goes on."""
    primary = mariadb_set.primary
    client = Raw(target, receive_buffer=1 << 16)
    before = target.memory_mb()
    target.forget_peak_memory()

    def sent() -> int:
        ((_, value),) = primary.execute("SHOW GLOBAL STATUS LIKE 'Bytes_sent'")
        return int(value)

    start = last = sent()
    client.send(cells(256))

    def stuck() -> bool:
        nonlocal last
        now = sent()
        moved, last = now - last, now
        return now - start > MIB and moved < MIB // 4

    wait_until(stuck, 20, "a server that stops")
    assert last - start < 64 * MIB
    client.head()
    client.cells(256)
    assert target.peak_memory_mb() - before < 16
    client.close()


# --- a long life ------------------------------------------------------------------------------------------------------

UNITS = 10_000
IN_ONE_GO = 25
OPEN = 40


class Worker:
    """Ten statements a turn: one is prepared and run four times, five are text; the oldest prepared one is closed."""

    def __init__(self, client: Raw) -> None:
        self.client = client
        self.open: list[int] = []
        self.turn = 0

    def go(self) -> None:
        """Send some turns together, then check all of their answers."""
        turns = range(self.turn, self.turn + IN_ONE_GO)
        self.client.send(*(command for turn in turns for command in self.commands(turn)))
        for turn in turns:
            self.check(turn)
        self.turn = turns.stop

    def commands(self, turn: int) -> Iterator[bytes]:
        """One turn. Ids of statements are numbers from 1 on."""
        row = turn % 2100
        yield b"\x16" + f"SELECT id + {turn} FROM n WHERE id = ?".encode()
        self.open.append(turn + 1)
        for number in range(4):
            yield b"\x17" + struct.pack("<IBI", turn + 1, 0, 1) + b"\0\1\3\0" + struct.pack("<i", (row + number) % 2100)
        yield b"\x03" + f"UPDATE n SET v = v + 1 WHERE id = {row}".encode()
        for number in range(4):
            yield b"\x03" + f"SELECT id FROM n WHERE id = {row} /* {number} */".encode()
        if len(self.open) > OPEN:
            yield b"\x19" + struct.pack("<I", self.open.pop(0))

    def check(self, turn: int) -> None:
        """The answers of one turn."""
        packet, row = self.client.packet, turn % 2100
        head = packet()
        assert head[:9] == b"\0" + struct.pack("<IHH", turn + 1, 1, 1), head
        for _ in range(4):
            packet()
        for number in range(4):
            self.client.head()
            value = (row + number) % 2100 + turn
            assert packet() in (b"\0\0" + struct.pack("<q", value), b"\0\0" + struct.pack("<i", value))
            assert packet()[0] == 0xFE
        assert packet()[:2] == b"\0\1"
        for _ in range(4):
            self.client.head()
            assert packet()[1:] == str(row).encode()
            assert packet()[0] == 0xFE


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_thousand_statements_of_one_client(target: Target, mariadb_set: ReplicaSet) -> None:
    """As text and prepared, 10,000 of them prepared in different words: nothing grows but the work done."""
    worker = Worker(Raw(target))
    while worker.turn < UNITS // 10:
        worker.go()
    before = target.memory_mb()
    while worker.turn < UNITS:
        worker.go()
    assert target.memory_mb() - before < 8
    ((_, prepared),) = mariadb_set.primary.execute("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")
    assert 0 < int(prepared) <= 2 * 128
    with worker.client.connection.cursor() as cursor:
        worker.client.connection._next_seq_id = 0
        cursor.execute("SHOW SESSION STATE")
        state = dict(cursor.fetchall())
    assert state["prepared_statements"] == str(OPEN)
    assert state["pinned_by"] is None
    (done,) = mariadb_set.primary.execute(f"SELECT SUM(v) FROM {DATABASE}.n")[0]
    assert int(done) == UNITS
    worker.client.close()
