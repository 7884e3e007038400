"""Session fixtures: real servers for integration tests, and what they say they were asked.

``mariadb_set`` and ``mysql_set`` are a primary with two replicas each, started once per test run; ``server_set`` runs a
test against both. Every server keeps a general log: ``mark`` and ``statements_seen`` turn it into the list of
statements that ``app`` sent, which is what routing tests compare with.
"""

from __future__ import annotations

import os
import re
import ssl
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from router.sandbox import Flavor, ReplicaSet, SandboxUnavailable, Server, start_replica_set

FLAVORS = ["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)]


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """PyMySQL's connections share a TLS context, unless a test asks for a special one.

    It would make one for each, for which it reads all authorities of this machine, 30 ms of computing every time, and
    then verifies nothing.
    """
    make: Callable[[Connection, Mapping[str, Any]], ssl.SSLContext] = Connection._create_ssl_ctx
    made: list[ssl.SSLContext] = []

    def once(connection: Connection, wanted: Mapping[str, Any]) -> ssl.SSLContext:
        if wanted:
            return make(connection, wanted)
        if not made:
            made.append(make(connection, wanted))
        return made[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_create_ssl_ctx", once)
        yield


@pytest.fixture(scope="session")
def mariadb_set() -> Iterator[ReplicaSet]:
    """MariaDB, one primary and two replicas."""
    yield from _replica_set("mariadb")


@pytest.fixture(scope="session")
def mysql_set() -> Iterator[ReplicaSet]:
    """MySQL 9.7, one primary and two replicas; without it tests are skipped, but fail when ``CI`` is set."""
    yield from _replica_set("mysql")


@pytest.fixture(scope="session", params=FLAVORS)
def server_set(request: pytest.FixtureRequest) -> ReplicaSet:
    """Both, one after the other."""
    found = request.getfixturevalue(f"{request.param}_set")
    assert isinstance(found, ReplicaSet)
    return found


def _replica_set(flavor: Flavor) -> Iterator[ReplicaSet]:
    with start_or_skip(flavor) as servers:
        yield servers


def start_or_skip(flavor: Flavor, *, replicas: int = 2, tls: bool = True) -> ReplicaSet:
    """Start a replica set with its general log on; skip the test where that cannot be had, fail in CI."""
    try:
        return start_replica_set(flavor, replicas, tls=tls, general_log=True)
    except SandboxUnavailable as unavailable:
        if os.environ.get("CI"):
            pytest.fail(f"no {flavor} server, and CI must have one: {unavailable}", pytrace=False)
        pytest.skip(f"no {flavor} server: {unavailable}")


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an empty database on the set the test uses, present on all of its servers; dropped afterwards."""
    servers = set_of(request)
    name = f"t_{uuid.uuid4().hex[:12]}"
    servers.primary.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    servers.wait_for_replicas()
    yield name
    if servers.primary.alive:
        servers.primary.execute(f"DROP DATABASE IF EXISTS {name}")


def set_of(request: pytest.FixtureRequest) -> ReplicaSet:
    """The replica set among the fixtures a test asked for."""
    for name in ("server_set", "mariadb_set", "mysql_set"):
        if name in request.fixturenames:
            found = request.getfixturevalue(name)
            assert isinstance(found, ReplicaSet)
            return found
    raise LookupError("ask for server_set, mariadb_set or mysql_set as well")


# --- what a server was asked ------------------------------------------------------------------------------------------

# The general log is a table of the CSV engine. Its file is read directly: every statement is in it before the server
# begins to run it, and a place in the file is a marker that costs nothing, also on a server that refuses writes.
_TEXT = rb'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(rb"%s,%s,(\d+),\d+,%s,%s\n" % ((_TEXT,) * 4))
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One line of a server's general log: its connection, the kind of command and its text.

    ``command`` is the server's name of it: Query, Prepare, Execute, Init DB, Connect, Quit, Reset Connection...
    (COM_PING is not logged).
    """

    connection: int
    command: str
    text: str


def mark(server: Server) -> int:
    """The present end of what the server was asked, to be given to ``log_since`` and ``statements_seen``."""
    return _log_file(server).stat().st_size


def mark_all(servers: ReplicaSet) -> dict[str, int]:
    """``mark`` of every server, by the server's name."""
    return {server.name: mark(server) for server in servers.servers}


def log_since(server: Server, since: int, user: str = "app") -> list[Seen]:
    """Everything ``user`` sent to the server after the mark, in the order the server began to run it."""
    with _log_file(server).open("rb") as file:
        file.seek(since)
        lines = file.read()
    # "app[app] @  [127.0.0.1]"; while logging in, the part before the bracket is still empty.
    owner = re.compile(rb"(?:%s)?\[%s\]" % ((re.escape(user.encode()),) * 2))
    return [
        Seen(int(connection), command.decode(), _unescape(text))
        for _, host, connection, command, text in _LINE.findall(lines)
        if owner.match(host)
    ]


def statements_seen(server: Server, since: int, user: str = "app") -> list[str]:
    """The texts of the statements ``user`` sent after the mark, as text or executed after being prepared."""
    return [seen.text for seen in log_since(server, since, user) if seen.command in ("Query", "Execute")]


def statements_by_server(servers: ReplicaSet, since: dict[str, int], user: str = "app") -> dict[str, list[str]]:
    """``statements_seen`` of every server, by its name."""
    return {server.name: statements_seen(server, since[server.name], user) for server in servers.servers}


def _log_file(server: Server) -> Path:
    return server.data / "mysql" / "general_log.CSV"


def _unescape(text: bytes) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text).decode("utf-8", "replace")
