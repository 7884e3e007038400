"""A new router takes over: nobody is turned away, nobody is thrown out, and nothing happens if it cannot."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.config.models import Admin
from router.process.takeover import _name
from router.sandbox import ReplicaSet, free_port
from tests.fix_router import settings_for
from tests.process.processes import RouterProcess, at_fixed_addresses, repeat

Start = Callable[..., RouterProcess]


@pytest.fixture
def settings(mariadb_set: ReplicaSet, tmp_path: Path) -> dict[str, Any]:
    return at_fixed_addresses(settings_for(mariadb_set, tmp_path))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start routers; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(settings: dict[str, Any], *options: str) -> RouterProcess:
            file = tmp_path / f"routes{len(os.listdir(tmp_path))}.yaml"
            return stack.enter_context(RouterProcess(settings, file, *options))

        yield start


def ask(connection: Connection, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (1, 2), (3, 1), (2, 3)])
def test_nobody_is_turned_away_and_nobody_thrown_out(
    settings: dict[str, Any], start: Start, before: int, after: int
) -> None:
    old = start(settings | {"workers": before})
    old.said("ready")
    stay = [old.connect() for _ in range(4)]
    ask(stay[0], "SET @mine = 5")
    ask(stay[1], "BEGIN")
    staying, errors = repeat(lambda number: ask(stay[number], "SELECT 1"), 4)

    def comes(number: int) -> None:
        where: dict[str, Any] = {} if number else {"unix_socket": settings["listeners"][1].removeprefix("unix:")}
        with pymysql.connect(
            user="app",
            password=settings["users"]["app"]["password"],
            port=int(settings["listeners"][0].rpartition(":")[2]),
            **({"host": "127.0.0.1"} | where),
        ) as connection:
            assert ask(connection, "SELECT 2") == ((2,),)

    coming, refused = repeat(comes, 3)
    new = start(settings | {"workers": after}, "--takeover")
    new.said("has taken over")
    old.said("another router has taken over; those who are here may stay until they leave")
    with new.connect() as connection:
        assert ask(connection, "SELECT 3") == ((3,),)
    with socket.create_connection(("127.0.0.1", int(settings["admin"]["http"].rpartition(":")[2]))) as http:
        http.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert http.recv(100).startswith(b"HTTP/1.1 200")
    assert min(coming()) > 0
    assert min(staying()) > 0
    assert (errors, refused) == ([], [])
    assert ask(stay[0], "SELECT @mine") == ((5,),)
    for connection in stay:
        connection.close()
    assert old.ended() == 0
    comes(0)
    comes(1)
    assert old.failures() + new.failures() == []


def test_again_and_again(settings: dict[str, Any], start: Start) -> None:
    routers = [start(settings)]
    routers[0].said("ready")
    for _ in range(3):
        routers.append(start(settings, "--takeover"))
        routers[-1].said("has taken over")
        assert routers[-2].ended() == 0
    with routers[-1].connect() as connection:
        assert ask(connection, "SELECT 1") == ((1,),)


def test_addresses_that_are_not_wanted_any_more_are_closed(settings: dict[str, Any], start: Start) -> None:
    more = f"127.0.0.1:{free_port()}"
    old = start(settings | {"listeners": [*settings["listeners"], more]})
    old.said("ready")
    new = start(settings, "--takeover")
    new.said("has taken over")
    assert old.ended() == 0
    with pytest.raises(pymysql.MySQLError, match="refused"):
        new.connect(port=int(more.rpartition(":")[2]))
    new.connect().close()


def test_one_that_cannot_start_changes_nothing(settings: dict[str, Any], start: Start) -> None:
    old = start(settings)
    old.said("ready")
    new = start(settings | {"listeners": [*settings["listeners"], "192.0.2.1:3307"]}, "--takeover")
    assert new.ended() == 1
    old.said("a new router has not taken over")
    with old.connect() as connection:
        assert ask(connection, "SELECT 1") == ((1,),)
    with pymysql.connect(
        unix_socket=settings["listeners"][1].removeprefix("unix:"),
        user="app",
        password=settings["users"]["app"]["password"],
    ) as connection:
        assert ask(connection, "SELECT 1") == ((1,),)
    start(settings, "--takeover").said("has taken over")


def test_without_one_that_runs_it_is_told(settings: dict[str, Any], start: Start) -> None:
    router = start(settings, "--takeover")
    assert router.ended() == 1
    assert "no router with admin.http" in router.said("cannot take over")["reason"]


def test_whoever_stays_too_long_is_ended_between_two_statements(settings: dict[str, Any], start: Start) -> None:
    old = start(settings | {"limits": {"takeover_timeout": "300ms", "drain_timeout": "10s"}})
    old.said("ready")
    idle, busy = old.connect(), old.connect()
    ask(busy, "BEGIN")
    start(settings, "--takeover").said("has taken over")
    old.said("stopping")
    assert idle._sock.recv(1) != b"", "it is told why"
    with pytest.raises(pymysql.MySQLError):
        ask(idle, "DO 1")
    ask(busy, "SELECT 1")
    ask(busy, "COMMIT")
    assert old.ended() == 0


def test_a_signal_ends_the_waiting(settings: dict[str, Any], start: Start) -> None:
    old = start(settings)
    old.said("ready")
    idle = old.connect()
    new = start(settings, "--takeover")
    new.said("has taken over")
    old.said("another router has taken over; those who are here may stay until they leave")
    old.process.send_signal(signal.SIGTERM)
    assert old.ended() == 0
    idle._force_close()
    new.connect().close()


def reach(connection: socket.socket, name: str) -> None:
    """A router waits for another one a moment after it is ready."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return connection.connect(name)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def refused(connection: socket.socket) -> bool:
    """It hangs up, without a word."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:  # it has not read all of ours
        return True


def test_strangers_get_nothing(settings: dict[str, Any], start: Start) -> None:
    router = start(settings)
    router.said("ready")
    name = _name(Admin.model_validate(settings["admin"]))
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"", b"mysql-query-router takeover 9\n"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            reach(connection, name)
            with contextlib.suppress(BrokenPipeError):  # it may have hung up already
                connection.sendall(words)
            connection.shutdown(socket.SHUT_WR)
            assert refused(connection)
    if os.geteuid() == 0:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            os.seteuid(65534)
            try:
                connection.connect(name)
            finally:
                os.seteuid(0)
            with contextlib.suppress(BrokenPipeError):  # it may have hung up already
                connection.sendall(b"mysql-query-router takeover 1\n")
            assert refused(connection)
        router.said("another user wants to take over; refused")
    router.connect().close()
