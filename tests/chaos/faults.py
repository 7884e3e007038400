"""What goes wrong: every kind of fault is a context, begun by entering it and undone by leaving it.

A kind claims what it breaks, so that two faults at a time never break the same thing; everything else may overlap.
A new kind is a function with ``@kind``. Promotions leave another server as ``ground.servers.primary``, which is whom
everybody asks.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import pymysql
from pymysql.connections import Connection

from router.sandbox import Server
from tests.chaos.ground import DRAIN, POOL, STAY, Ground
from tests.chaos.line import Cut, Line

STOP = {"mysql": "STOP REPLICA SQL_THREAD", "mariadb": "STOP SLAVE SQL_THREAD"}
START = {"mysql": "START REPLICA SQL_THREAD", "mariadb": "START SLAVE SQL_THREAD"}
# A client's packets that are seen in one exchange; the cut comes somewhere in them.
PACKETS = 14
_INSERT = "INSERT INTO ledger (entry, client, turn, source, target, amount) VALUES (%s, 0, 0, 1, 2, 0)"


@dataclass(slots=True)
class Scene:
    """What a fault may use. ``server``: the one it was given, if it breaks one; ``detail``: told to the log;
    ``never``: entries that no transaction commits."""

    ground: Ground
    random: Random
    server: Server | None = None
    detail: str = ""
    never: list[str] | None = None

    @property
    def target(self) -> Server:
        """The server to break."""
        assert self.server is not None
        return self.server

    @property
    def line(self) -> Line:
        """The line to it."""
        return self.ground.lines[self.target.name]

    def entry(self, prefix: str) -> str:
        """A new entry that must never be found."""
        assert self.never is not None
        self.never.append(f"{prefix}-{len(self.never)}-{self.random.getrandbits(24):x}")
        return self.never[-1]


Act = Callable[[Scene], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """``breaks``: ``replica``, ``primary``, ``any`` server, ``all`` of them, the clients' ``front`` line, or
    ``nothing`` that others could not break as well; ``peace``: it is no fault at all, comes alone, and no client may
    get an error by it. ``seconds``: shortest and longest time until it is undone; ``where``: not on every ground."""

    name: str
    act: Callable[[Scene], AbstractContextManager[None]]
    breaks: str
    seconds: tuple[float, float]
    weight: int
    long: bool
    where: Callable[[Ground], bool]


KINDS: list[Kind] = []


def _everywhere(ground: Ground) -> bool:
    return True


def kind(
    breaks: str,
    seconds: tuple[float, float],
    weight: int = 2,
    *,
    long: bool = False,
    where: Callable[[Ground], bool] = _everywhere,
) -> Callable[[Act], Callable[[Scene], AbstractContextManager[None]]]:
    """Register a kind; ``long``: not in the short form."""

    def register(act: Act) -> Callable[[Scene], AbstractContextManager[None]]:
        context = contextmanager(act)
        KINDS.append(Kind(act.__name__.replace("_", " "), context, breaks, seconds, weight, long, where))
        return context

    return register


# --- servers ----------------------------------------------------------------------------------------------------------


@kind("replica", (0.2, 2))
def replica_killed(scene: Scene) -> Iterator[None]:
    """kill -9, and up again."""
    scene.target.kill()
    yield
    scene.target.start()


@kind("primary", (0.1, 1), 1)
def primary_killed(scene: Scene) -> Iterator[None]:
    """kill -9; it comes back as the primary."""
    scene.target.kill()
    yield
    scene.target.start()


@kind("primary", (0.1, 0.5), 1)
def primary_restarted(scene: Scene) -> Iterator[None]:
    """Shut down in order; it comes back as the primary."""
    scene.target.stop()
    yield
    scene.target.start()


@kind("any", (0.2, 2.5))
def server_frozen(scene: Scene) -> Iterator[None]:
    """SIGSTOP: connections stay, nothing is answered."""
    yield from _frozen(scene)


@kind("any", (11, 14), 1, long=True)
def server_frozen_longer_than_probes_wait(scene: Scene) -> Iterator[None]:
    """The same, until it is declared down, and comes back."""
    yield from _frozen(scene)


def _frozen(scene: Scene) -> Iterator[None]:
    pid = scene.target.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@kind("replica", (0.5, 3))
def replica_behind(scene: Scene) -> Iterator[None]:
    """It goes on receiving, but applies nothing."""
    scene.target.execute(STOP[scene.target.flavor])
    yield
    scene.target.execute(START[scene.target.flavor])


@kind("primary", (0.3, 2), 1)
def primary_read_only(scene: Scene) -> Iterator[None]:
    """As in the middle of a planned switch: writes have to wait."""
    scene.target.execute("SET GLOBAL read_only = 1")
    yield
    scene.target.execute("SET GLOBAL read_only = 0")


# --- promotions -------------------------------------------------------------------------------------------------------


@kind("peace", (0, 0), 2, long=True)
def planned_switchover(scene: Scene) -> Iterator[None]:
    """Drain the primary, make a replica the primary when that has all writes, and use the old one again."""
    ground, servers = scene.ground, scene.ground.servers
    old, new = servers.primary, scene.random.choice(servers.replicas)
    paused = scene.random.random() < 0.3
    scene.detail = f"from {old.name} to {new.name}{', paused' if paused else ''}"
    began = time.monotonic()
    told = ground.operate("groups/main/pause" if paused else f"servers/main/{old.name}/drain")
    assert told["done"], told
    old.make_read_only()
    servers.wait_for_replicas(20)
    servers.promote(new)
    told = ground.operate("groups/main/resume" if paused else f"servers/main/{old.name}/undrain")
    assert told["done"], told
    scene.detail += f", {time.monotonic() - began:.1f} s"
    yield


@kind("all", (0.1, 2), 3, long=True)
def primary_lost_and_replica_promoted(scene: Scene) -> Iterator[None]:
    """kill -9, and another becomes the primary; the old one comes back as a replica.

    Replication is asynchronous: so that nothing acknowledged is lost, nobody reaches the primary any more from a while
    before, in which the replicas get everything.
    """
    ground, servers = scene.ground, scene.ground.servers
    old, new = servers.primary, scene.random.choice(servers.replicas)
    scene.detail = f"from {old.name} to {new.name}"
    line = ground.lines[old.name]
    line.flowing.clear()
    for _ in range(2):
        # What had passed before may only now begin.
        time.sleep(0.1)
        ground.settle()
    servers.wait_for_replicas(20)
    old.kill()
    line.cut_all()
    line.flowing.set()
    servers.promote(new)
    yield
    old.start()
    old.replicate_from(new, "repl", servers.USERS["repl"])
    servers.wait_for_replicas(20)


@kind("all", (0.1, 1), 2, long=True)
def primary_made_read_only_and_replica_promoted(scene: Scene) -> Iterator[None]:
    """A switchover of which nobody tells the router."""
    servers = scene.ground.servers
    old, new = servers.primary, scene.random.choice(servers.replicas)
    scene.detail = f"from {old.name} to {new.name}"
    old.make_read_only()
    servers.wait_for_replicas(20)
    servers.promote(new)
    yield


# --- the router -------------------------------------------------------------------------------------------------------


@kind("nothing", (0, 0), 4)
def configuration_changed(scene: Scene) -> Iterator[None]:
    """Read again, with other ways for the same promises."""
    random = scene.random
    promises = ["global"] if scene.ground.shared else ["session", "global", "strong"]
    reads = {"consistency": random.choice(promises), "balance": random.choice(["least_busy", "round_robin", "fastest"])}
    pool = {"max_connections": random.randint(POOL - 2, POOL), "queue_timeout": "2s"}
    scene.detail = f"{reads}, {pool}"
    scene.ground.reload(lambda group: group.update(reads=reads, pool=pool))
    yield


@kind("replica", (0.2, 2), 2)
def replica_not_configured(scene: Scene) -> Iterator[None]:
    """The configuration has it no more, then again."""

    def without(group: dict[str, Any]) -> None:
        group["servers"].remove(server)

    server = {"name": scene.target.name, "address": f"127.0.0.1:{scene.line.port}"}
    scene.ground.reload(without)
    yield
    scene.ground.reload(lambda group: group["servers"].append(server))


@kind("nothing", (STAY + DRAIN, STAY + DRAIN + 1), 1, long=True, where=lambda ground: not ground.shared)
def taken_over(scene: Scene) -> Iterator[None]:
    """Another router takes over; clients of the old one are turned out after a while."""
    scene.ground.take_over()
    yield


@kind("nothing", (0, 0), 2, where=lambda ground: ground.workers > 1)
def worker_killed(scene: Scene) -> Iterator[None]:
    """kill -9 of one of those that serve."""
    scene.ground.expected.add("a worker has ended")
    worker = scene.random.choice(scene.ground.worker_pids())
    with suppress(ProcessLookupError):  # killed before, and nobody is in its place yet
        os.kill(worker, signal.SIGKILL)
    yield


# --- connections and statements ---------------------------------------------------------------------------------------


def _threads(server: Server, condition: str) -> list[int]:
    sql = f"SELECT id FROM information_schema.processlist WHERE user = 'app' AND {condition}"
    return sorted(int(row[0]) for row in server.execute(sql))


def _kill(scene: Scene, what: str, condition: str) -> None:
    threads = _threads(scene.target, condition)
    chosen = scene.random.sample(threads, min(len(threads), scene.random.randint(1, 4)))
    scene.detail = f"{len(chosen)} of {len(threads)}"
    for thread in chosen:
        with suppress(pymysql.MySQLError):  # it may have ended by itself
            scene.target.execute(f"KILL {what} {thread}")


@kind("any", (0, 0), 4)
def connections_killed(scene: Scene) -> Iterator[None]:
    """KILL of some of the router's connections, busy or idle."""
    _kill(scene, "CONNECTION", "1 = 1")
    yield


@kind("any", (0, 0), 4)
def queries_killed(scene: Scene) -> Iterator[None]:
    """KILL QUERY by somebody at the server."""
    for _ in range(5):
        _kill(scene, "QUERY", "command <> 'Sleep'")
        time.sleep(0.01)
    yield


@kind("nothing", (0, 0), 4)
def queries_killed_through_the_router(scene: Scene) -> Iterator[None]:
    """KILL QUERY and KILL of sessions by another session."""
    connection = scene.ground.connect()
    try:
        with connection.cursor() as cursor:
            for _ in range(4):
                ids = list(scene.ground.sessions.values())
                if ids:
                    what = "QUERY" if scene.random.random() < 0.8 else "CONNECTION"
                    with suppress(pymysql.err.OperationalError):  # no such session any more
                        cursor.execute(f"KILL {what} {scene.random.choice(ids)}")
                        scene.detail += f"{what.lower()} "
    finally:
        with suppress(pymysql.MySQLError):
            connection.close()
    yield


# --- lines ------------------------------------------------------------------------------------------------------------


@kind("any", (0, 0), 4)
def line_broken(scene: Scene) -> Iterator[None]:
    """Every connection to a server is reset."""
    scene.line.cut_all()
    yield


@kind("primary", (0.02, 0.3), 8)
def answers_lost(scene: Scene) -> Iterator[None]:
    """Statements arrive and are carried out, but no answer comes before all lines break."""
    scene.line.mute = True
    yield
    scene.line.cut_all()
    scene.line.mute = False
    # Whoever connected in between has missed the beginning.
    scene.line.cut_all()


@kind("any", (0.5, 1.5), 10)
def line_cut_at_a_packet(scene: Scene) -> Iterator[None]:
    """After so many packets, between two or inside one, towards the server or back."""
    yield from _cut(scene, scene.line)


@kind("front", (0.5, 1.5), 6)
def clients_line_cut_at_a_packet(scene: Scene) -> Iterator[None]:
    """The same between clients and router."""
    yield from _cut(scene, scene.ground.front)


def _cut(scene: Scene, line: Line) -> Iterator[None]:
    cut = Cut(
        scene.random.randrange(PACKETS), forward=scene.random.random() < 0.5, inside=scene.random.choice((0, 0, 2, 5))
    )
    scene.detail = f"{cut.packets} packets {'to' if cut.forward else 'from'} there, {cut.inside} bytes"
    line.cut_at(cut)
    yield
    line.cut_at(None)


@kind("any", (0.5, 2))
def line_slow(scene: Scene) -> Iterator[None]:
    """Every piece takes its time."""
    scene.line.delay = scene.random.uniform(0.01, 0.08)
    scene.detail = f"{scene.line.delay * 1000:.0f} ms"
    yield
    scene.line.delay = 0.0


@kind("any", (0.3, 2.5))
def line_silent(scene: Scene) -> Iterator[None]:
    """Nothing passes, and nobody is told; then it is broken or goes on."""
    scene.line.flowing.clear()
    yield
    if scene.random.random() < 0.5:
        scene.line.cut_all()
    scene.line.flowing.set()


@kind("any", (0.3, 2))
def line_refused(scene: Scene) -> Iterator[None]:
    """Every connection is reset, and every new one as well."""
    scene.line.refusing = True
    scene.line.cut_all()
    yield
    scene.line.refusing = False


# --- clients ----------------------------------------------------------------------------------------------------------


def _vanish(connection: Connection) -> None:
    """Hang up with a reset."""
    sock = connection._sock
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection._force_close()


@kind("nothing", (0, 0), 4)
def client_vanishes_in_a_transaction(scene: Scene) -> Iterator[None]:
    """What it has written must not be found, nor its locks."""
    connection = scene.ground.connect()
    with suppress(pymysql.MySQLError), connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(_INSERT, (scene.entry("gone"),))
    _vanish(connection)
    yield


@kind("nothing", (0, 0.5), 4)
def client_vanishes_in_a_result(scene: Scene) -> Iterator[None]:
    """Having read a little of a large one."""
    connection = scene.ground.connect()
    connection._execute_command(3, "SELECT a.id, b.id, REPEAT('y', 2000) FROM accounts a, accounts b, accounts c")
    with suppress(OSError):
        connection._sock.settimeout(5)
        connection._sock.recv(1 << scene.random.randint(4, 16))
    yield
    _vanish(connection)


@kind("nothing", (0.5, 2.5))
def pool_full(scene: Scene) -> Iterator[None]:
    """Every connection to the primary is held by a transaction that does nothing, and is rolled back."""
    with ExitStack() as stack:
        for _ in range(POOL):
            with suppress(pymysql.MySQLError):
                connection = scene.ground.connect()
                stack.callback(_close, connection)
                with connection.cursor() as cursor:
                    cursor.execute("BEGIN")
                    cursor.execute(_INSERT, (scene.entry("held"),))
        yield


def _close(connection: Connection) -> None:
    with suppress(pymysql.MySQLError):
        connection.rollback()
    with suppress(pymysql.MySQLError):
        connection.close()
