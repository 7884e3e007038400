"""A primary with replicas, and the accounts an application, the replicas and the router's monitor log in with."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from router.sandbox.process import SandboxError, remove_directory, scratch_directory
from router.sandbox.servers import Flavor, MariaDBServer, MySQLServer, Server
from router.sandbox.tls import Certificates, make_certificates


@dataclass(slots=True)
class ReplicaSet:
    """Running servers: one primary and any number of replicas that follow it by GTID.

    Accounts, the same everywhere: ``app`` may do everything inside databases but nothing to the server, so it is
    stopped by ``read_only``; ``router`` may look at replication; ``repl`` is what the replicas use.
    """

    USERS: ClassVar[dict[str, str]] = {"app": "app-secret", "router": "router-secret", "repl": "repl-secret"}

    flavor: Flavor
    primary: Server
    replicas: list[Server]
    directory: Path
    certificates: Certificates | None
    owns_directory: bool

    app_user: ClassVar[str] = "app"
    monitor_user: ClassVar[str] = "router"

    @property
    def app_password(self) -> str:
        """The password of ``app``."""
        return self.USERS["app"]

    @property
    def monitor_password(self) -> str:
        """The password of ``router``."""
        return self.USERS["router"]

    @property
    def servers(self) -> list[Server]:
        """The primary first, then the replicas."""
        return [self.primary, *self.replicas]

    def wait_for_replicas(self, timeout: float = 10.0) -> None:
        """Wait until the replicas have applied everything the primary has executed.

        Raises SandboxError with the replication error of the one that does not get there within ``timeout`` seconds.
        """
        gtids = self.primary.gtids()
        deadline = time.monotonic() + timeout
        for replica in self.replicas:
            if not replica.wait_for_gtids(gtids, max(0.1, deadline - time.monotonic())):
                raise SandboxError(f"{replica.name} did not reach {gtids} in {timeout:g} s: {_complaint(replica)}")

    def promote(self, new: Server) -> None:
        """Make ``new`` the primary, and the others that run its replicas; all must have the same writes.

        One that is down must be told by ``replicate_from`` when it is up again; it starts as it should.
        """
        others = [server for server in self.servers if server is not new]
        read_only = read_only_options(self.flavor)
        new.options = [option for option in new.options if option not in read_only]
        new.make_writable()
        for server in others:
            server.options = [*(option for option in server.options if option not in read_only), *read_only]
            if server.alive:
                server.make_read_only()
                server.replicate_from(new, "repl", self.USERS["repl"])
        self.primary, self.replicas = new, others

    def close(self) -> None:
        """Kill all servers and remove their data."""
        for server in reversed(self.servers):
            server.close()
        if self.owns_directory:
            remove_directory(self.directory)

    def __enter__(self) -> ReplicaSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_replica_set(
    flavor: Flavor = "mariadb",
    replicas: int = 2,
    directory: Path | None = None,
    *,
    performance_schema: bool = False,
    general_log: bool = False,
    tls: bool = False,
    options: Sequence[str] = (),
) -> ReplicaSet:
    """Start a primary and its replicas side by side and return when all replicas have caught up.

    ``directory`` (default: a temporary one) receives one folder per server; ``tls`` gives every server a certificate
    for 127.0.0.1 from an authority of its own (MySQL offers TLS without it too, with a certificate nobody can verify).
    """
    home = directory or scratch_directory()
    certificates = make_certificates(home / "tls") if tls else None
    kind: type[Server] = MariaDBServer if flavor == "mariadb" else MySQLServer
    names = ["primary", *(f"replica{number}" for number in range(1, replicas + 1))]
    servers = [
        kind(
            home,
            server_id=number,
            name=name,
            performance_schema=performance_schema,
            general_log=general_log,
            certificates=certificates,
            # From the start, not by SET: a replica that comes back from a crash must still be one.
            options=[*options, *(read_only_options(flavor) if number > 1 else [])],
        )
        for number, name in enumerate(names, start=1)
    ]
    made = ReplicaSet(flavor, servers[0], servers[1:], home, certificates, owns_directory=directory is None)
    try:
        _start(made)
    except BaseException:
        made.close()
        raise
    return made


def read_only_options(flavor: Flavor) -> list[str]:
    """What a replica is started with."""
    return ["--read-only=ON"] if flavor == "mariadb" else ["--read-only=ON", "--super-read-only=ON"]


def _start(made: ReplicaSet) -> None:
    for server in made.servers:
        server.launch()
    for server in made.servers:
        server.wait_ready()
    create_accounts(made.primary)
    for replica in made.replicas:
        replica.replicate_from(made.primary, "repl", made.USERS["repl"])
    made.wait_for_replicas(20.0)


def create_accounts(server: Server) -> None:
    """Create the accounts of ``ReplicaSet.USERS``; replicas get them from their primary."""
    monitor = "REPLICATION CLIENT, SLAVE MONITOR" if server.flavor == "mariadb" else "REPLICATION CLIENT"
    # `%` as a database name is a pattern: every right a database can give, and none over the server.
    grants = {
        "app": ["ALL ON `%`.*", "SHOW DATABASES, PROCESS, RELOAD ON *.*"],
        "router": [f"{monitor} ON *.*"],
        "repl": ["REPLICATION SLAVE ON *.*"],
    }
    with contextlib.closing(server.root()) as connection, connection.cursor() as cursor:
        for user, password in ReplicaSet.USERS.items():
            cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s", (user, password))
            for grant in grants[user]:
                cursor.execute(f"GRANT {grant} TO {user}@'%'")


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Look every 20 ms until ``condition`` holds; raises SandboxError naming ``what`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise SandboxError(f"{what} did not happen within {timeout:g} s")
        time.sleep(0.02)


def _complaint(replica: Server) -> str:
    status = replica.replica_status()
    if not status:
        return "it does not replicate"
    errors = [str(status[key]) for key in ("Last_IO_Error", "Last_SQL_Error") if status.get(key)]
    return "; ".join(errors) or "it is only slow"
