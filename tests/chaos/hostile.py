"""Clients that mean harm, or are badly broken. Each is a function that does its worst for some seconds."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from random import Random

import pymysql
from pymysql.connections import Connection

from router.wire.constants import Command
from router.wire.framing import frame

SIZE = 150_000
# More take longer than every test run should: HOSTILE_CONNECTIONS=10000 tries them.
CONNECTIONS = int(os.environ.get("HOSTILE_CONNECTIONS", "3000"))
_ERRORS = (pymysql.MySQLError, OSError, IndexError, struct.error)


@dataclass(slots=True)
class Victim:
    """Where to connect, as whom; ``most``: how many connections there were at once."""

    port: int
    password: str
    database: str
    most: int = 0

    def connect(self) -> Connection:
        """A proper login."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="app",
            password=self.password,
            database=self.database,
            autocommit=True,
            connect_timeout=20,
            read_timeout=20,
            # PyMySQL would read all authorities of this machine first, which takes ten times as long as the rest.
            ssl_disabled=True,
        )

    def raw(self) -> socket.socket:
        """A socket that says nothing by itself."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


def malformed_packets(victim: Victim, random: Random, until: float) -> None:
    """Noise before the login and after it: wrong lengths, wrong sequence, commands cut short or unknown."""
    while time.monotonic() < until:
        with suppress(*_ERRORS), victim.raw() as noise:
            noise.sendall(random.randbytes(random.choice((1, 3, 4, 40, 5000))))
            noise.settimeout(0.05)
            noise.recv(4096)
        with suppress(*_ERRORS), _logged_in(victim) as sock:
            sock.sendall(random.choice(list(_nonsense(random))))
            sock.settimeout(0.05)
            sock.recv(65536)


def _nonsense(random: Random) -> Iterator[bytes]:
    yield frame(bytes([random.randrange(256)]) + random.randbytes(random.randrange(40)), 0)
    yield frame(b"\3SELECT 1", random.randrange(1, 256))  # out of sequence
    yield b"\xff\xff\xff\0" + random.randbytes(2000)  # a length that never comes
    yield frame(b"", 0)
    yield frame(bytes([Command.STMT_EXECUTE]) + random.randbytes(random.randrange(12)), 0)
    yield frame(bytes([Command.STMT_SEND_LONG_DATA]) + random.randbytes(3), 0)
    yield frame(bytes([Command.CHANGE_USER]) + random.randbytes(random.randrange(60)), 0)
    yield frame(b"\3" + random.randbytes(300), 0)
    yield frame(b"\3SELECT 1", 0) * 200 + b"\1"


@contextmanager
def _logged_in(victim: Victim) -> Iterator[socket.socket]:
    connection = victim.connect()
    try:
        yield connection._sock
    finally:
        connection._force_close()


def slow_logins(victim: Victim, random: Random, until: float) -> None:
    """Three hundred that send their login byte by byte, and one after the other give up."""
    login = frame(struct.pack("<IIB23x", 0x000FA68D, 1 << 24, 45) + b"app\0\x14" + bytes(20) + b"\0", 1)
    with ExitStack() as stack:
        sockets = [stack.enter_context(victim.raw()) for _ in range(300)]
        for place in range(len(login)):
            if time.monotonic() > until:
                return
            for sock in sockets:
                with suppress(OSError):
                    sock.sendall(login[place : place + 1])
            time.sleep(0.05)


def half_open_sockets(victim: Victim, random: Random, until: float) -> None:
    """A thousand that connect and are silent, and then are gone by a reset."""
    with ExitStack() as stack:
        for _ in range(1000):
            sock = stack.enter_context(victim.raw())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        _wait(until)


def thousands_of_connections(victim: Victim, random: Random, until: float) -> None:
    """Logged in properly, as fast as it goes, and idle from then on."""
    with ExitStack() as stack:
        while victim.most < CONNECTIONS and time.monotonic() < until:
            with suppress(*_ERRORS):
                stack.callback(victim.connect()._force_close)
                victim.most += 1
        _wait(until)


def nested_statements(victim: Victim, random: Random, until: float) -> None:
    """150 KB of parentheses, subqueries, operators and lists, never twice the same."""
    while time.monotonic() < until:
        with suppress(*_ERRORS):
            connection = victim.connect()
            with connection.cursor() as cursor:
                for sql in _deep(random):
                    with suppress(pymysql.err.ProgrammingError, pymysql.err.NotSupportedError):
                        cursor.execute(sql)
                        cursor.fetchall()
            connection.close()


def _deep(random: Random) -> Iterator[str]:
    half = SIZE // 2
    yield "SELECT " + "(" * half + str(random.random()) + ")" * half
    count = SIZE // 12
    yield "SELECT (" * count + str(random.random()) + ")" * count
    yield "SELECT * FROM " + "(SELECT * FROM " * (SIZE // 20) + "witness" + ") t" * (SIZE // 20)
    yield "SELECT " + "NOT " * (SIZE // 4) + str(random.random())
    yield "SELECT id FROM witness WHERE " + " OR ".join(f"n = {random.random()}" for _ in range(SIZE // 30))
    yield "SELECT id FROM witness WHERE id IN (" + ",".join(str(random.random()) for _ in range(SIZE // 20)) + ")"
    yield "SELECT " + "/*" * half
    yield "SELECT '" + "\\'" * half
    yield ";" * SIZE


def huge_prepared_statements(victim: Victim, random: Random, until: float) -> None:
    """Statements of 8 MB, thousands of small ones that are never closed, and long data nobody executes."""
    while time.monotonic() < until:
        with suppress(*_ERRORS):
            connection = victim.connect()
            connection._execute_command(Command.STMT_PREPARE, "SELECT '" + "x" * (8 << 20) + str(random.random()) + "'")
            connection._read_packet()
            connection._force_close()
        with suppress(*_ERRORS), _logged_in(victim) as sock:
            for _ in range(500):
                sock.sendall(frame(bytes([Command.STMT_PREPARE]) + f"SELECT ?, {random.random()}".encode(), 0))
            for _ in range(8):
                sock.sendall(frame(struct.pack("<BIH", Command.STMT_SEND_LONG_DATA, 1, 0) + bytes(1 << 20), 0))
            sock.settimeout(0.5)
            while time.monotonic() < until and sock.recv(1 << 20):
                pass


def clients_that_never_read(victim: Victim, random: Random, until: float) -> None:
    """They ask for much, ask on and on, and take nothing."""
    many = frame(b"\3SELECT REPEAT('x', 100000) FROM witness a, witness b, witness c, witness d", 0)
    with ExitStack() as stack:
        for _ in range(8):
            with suppress(*_ERRORS):
                sock = stack.enter_context(_logged_in(victim))
                sock.settimeout(0.2)
                with suppress(TimeoutError):
                    sock.sendall(many * 2000)
        _wait(until)


def _wait(until: float) -> None:
    time.sleep(max(0.0, until - time.monotonic()))


WAYS: list[Callable[[Victim, Random, float], None]] = [
    malformed_packets,
    slow_logins,
    half_open_sockets,
    thousands_of_connections,
    nested_statements,
    huge_prepared_statements,
    clients_that_never_read,
]
