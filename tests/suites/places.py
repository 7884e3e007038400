"""Where a foreign test suite runs: straight at a server, and at a router in front of that server.

The suites create accounts, change global variables and drop databases as they please: they get servers of their own and
the account ``root``. Everything goes to the primary (``reads: {from: primary}``): the suites read what they have just
written, and replicas may lag.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pydantic import SecretStr
from pymysql.connections import Connection

from router.gateway import Gateway
from router.sandbox import Flavor, ReplicaSet, SandboxUnavailable, start_replica_set
from tests.clients.ways import missing
from tests.fix_router import RunningRouter, settings_for

KEPT_DATABASES = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
KEPT_USERS = frozenset({"root", "app", "router", "repl", "mariadb.sys", "mysql.sys", "mysql.session"})
KEPT_USERS |= {"mysql.infoschema"}


@dataclass(frozen=True, slots=True)
class Place:
    """What a suite connects to as ``root``: by TCP on 127.0.0.1 or through a unix socket."""

    through: str
    port: int
    socket: str
    password: str


@dataclass(frozen=True, slots=True)
class Places:
    """One replica set, directly and through a router."""

    servers: ReplicaSet
    direct: Place
    router: Place
    password: str = field(repr=False)
    retire: Callable[[], None] = field(repr=False)
    """Have the router open new connections: those it has keep the global variables of when they were opened."""

    @property
    def both(self) -> tuple[Place, Place]:
        """The truth first."""
        return self.direct, self.router

    def admin(self) -> Connection:
        """A connection as ``root`` to the primary."""
        return pymysql.connect(
            unix_socket=str(self.servers.primary.socket), user="root", password=self.password, autocommit=True
        )

    def clean(self, databases: Iterable[str] = ()) -> None:
        """``clean`` on a connection of its own."""
        with contextlib.closing(self.admin()) as connection:
            clean(connection, databases)


def clean(connection: Connection, databases: Iterable[str]) -> None:
    """Leave nothing of what a suite made, then create empty ``databases``."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_wait_timeout = 10")
        cursor.execute("SHOW DATABASES")
        for (name,) in cursor.fetchall():
            if name not in KEPT_DATABASES:
                cursor.execute(f"DROP DATABASE `{name}`")
        cursor.execute("SELECT user, host FROM mysql.user")
        for user, host in cursor.fetchall():
            if user not in KEPT_USERS:
                cursor.execute("DROP USER %s@%s", (user, host))
        for name in databases:
            cursor.execute(f"CREATE DATABASE `{name}`")


def start(flavor: Flavor, options: Sequence[str], *, environment: Mapping[str, str] | None = None) -> ReplicaSet:
    """A primary and a replica with the suite's ``options``; skips without the server, fails in CI."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        try:
            return start_replica_set(flavor, 1, options=options)
        except SandboxUnavailable as unavailable:
            missing(f"no {flavor} server: {unavailable}")


@contextlib.contextmanager
def in_front_of(
    servers: ReplicaSet,
    directory: Path,
    *,
    accounts: Mapping[str, str],
    tls: Mapping[str, str] | None = None,
) -> Iterator[Places]:
    """Run a router that knows ``accounts`` (name to password) and give both places of ``root``.

    With ``tls`` (certificate and key of the listener) the router uses TLS towards the servers too. Otherwise it uses
    their unix sockets, so that ``root`` is ``root@localhost`` both ways.
    """
    password = accounts["root"]
    settings = settings_for(servers, directory, reads={"from": "primary"})
    group = settings["groups"]["main"]
    if tls is None:
        group["servers"] = [{"name": server.name, "address": f"unix:{server.socket}"} for server in servers.servers]
    else:
        group["tls"] = {"mode": "required", "verify": "none"}
        settings["listeners"][0] = {"address": "127.0.0.1:0", "tls": dict(tls)}
    group["pool"]["max_connections"] = 100
    settings["limits"] = {"max_allowed_packet": "64MiB"}
    settings["users"] = {name: {"password": secret or "none"} for name, secret in accounts.items()}
    router = RunningRouter(settings)
    for name, secret in accounts.items():
        if not secret:
            _without_password(router.config.users[name])
    primary = servers.primary

    def expire(gateway: Gateway) -> None:
        for server in gateway.topology.servers():
            server.pool.expire()

    with router:
        yield Places(
            servers,
            Place("direct", primary.port, str(primary.socket), password),
            Place("router", router.port, router.unix_socket, password),
            password,
            lambda: router.call(expire),
        )


def _without_password(user: Any) -> None:
    """The configuration file refuses empty passwords; MariaDB's suites have nothing else."""
    user.__dict__["password"] = SecretStr("")


def new_password(servers: ReplicaSet) -> str:
    """Give ``root`` a password, also over TCP from this machine; returns it."""
    password = secrets.token_hex(8)
    with contextlib.closing(servers.primary.root()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER root@'127.0.0.1' IDENTIFIED BY %s", (password,))
        cursor.execute("GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION")
        cursor.execute("ALTER USER root@localhost IDENTIFIED BY %s", (password,))
    return password


def compare(
    direct: Mapping[str, Any], router: Mapping[str, Any], known: Mapping[str, str], *, flaky: frozenset[str]
) -> None:
    """The outcomes of a suite's tests by name must be equal, but for those that are ``known`` to differ (name → why).

    One that is known and does not differ any more is an error too: the list must stay true. What is ``flaky``, against
    a server alone, is not looked at.
    """
    names = (set(direct) | set(router)) - flaky
    different = {name for name in names if direct.get(name) != router.get(name)}
    problems = [
        f"{name}\n  direct: {direct.get(name)}\n  router: {router.get(name)}" for name in different - set(known)
    ]
    problems += [f"{name} does not differ any more: take it off the list" for name in set(known) - different]
    assert not problems, "\n".join(sorted(problems))


def clean_environment() -> dict[str, str]:
    """Nothing of this machine's settings for clients."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
