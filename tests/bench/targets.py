"""What is compared: a server reached directly, through HAProxy, through MySQL Router, and through our router.

All of them are started by this process: same session, and so the same scheduling group of the kernel. Each proxy gets
one thread of work, no TLS, and as little to log as it can.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from router.sandbox import ReplicaSet, SandboxError, Server, free_port, mysql97, spawn, stop_process, wait_ready

READY_TIMEOUT = 20.0
# Connections of our router to the server: for most works, and for the one that shares them among many clients.
POOL = 64
FEW = 8
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Target:
    """A place sysbench connects to.

    ``pid`` is the proxy's process, None for the server itself; ``connections`` how many to the server it shares among
    its clients, None when it does not; ``sharded`` whether the table is spread over four databases to it.
    """

    name: str
    port: int
    pid: int | None
    connections: int | None = None
    sharded: bool = False

    def cpu_seconds(self) -> float:
        """CPU time the proxy has used so far, in user and kernel mode, with all its threads and children."""
        return sum(_cpu_seconds(pid) for pid in _family(self.pid)) if self.pid else 0.0

    def memory_mb(self) -> float:
        """Resident memory of the proxy now, in MiB."""
        return sum(_status_kb(pid, "VmRSS") for pid in _family(self.pid)) / 1024 if self.pid else 0.0

    def forget_peak_memory(self) -> None:
        """Let ``peak_memory_mb`` begin anew."""
        for pid in _family(self.pid) if self.pid else ():
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")

    def peak_memory_mb(self) -> float:
        """The most resident memory since ``forget_peak_memory``, in MiB."""
        return sum(_status_kb(pid, "VmHWM") for pid in _family(self.pid)) / 1024 if self.pid else 0.0


@dataclass(frozen=True, slots=True)
class Missing:
    """A target that could not be started, and why."""

    name: str
    reason: str


@contextlib.contextmanager
def running(servers: ReplicaSet, directory: Path) -> Iterator[tuple[list[Target], list[Missing]]]:
    """Start every target in front of the set's primary; what cannot be started is listed, not fatal."""
    targets = [Target("direct", servers.primary.port, None)]
    missing: list[Missing] = []
    with contextlib.ExitStack() as stack:
        ours = (("router", router), ("router", few), ("router", sharded))
        for name, start in (("haproxy", haproxy), ("mysqlrouter", mysqlrouter), *ours):
            try:
                targets.append(stack.enter_context(start(servers, directory)))
            except SandboxError as error:
                missing.append(Missing(name, str(error)))
        yield targets, missing


@contextlib.contextmanager
def haproxy(servers: ReplicaSet, directory: Path) -> Iterator[Target]:
    """HAProxy as a TCP relay with one thread: what not understanding the protocol costs."""
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SandboxError("haproxy is not installed: apt-get install haproxy")
    port = free_port()
    config = directory / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, server=servers.primary.port), encoding="ascii")
    with _process("haproxy", [program, "-db", "-f", str(config)], directory, port) as pid:
        yield Target("haproxy", port, pid)


@contextlib.contextmanager
def mysqlrouter(servers: ReplicaSet, directory: Path) -> Iterator[Target]:
    """MySQL Router 9.7 with one I/O thread, routing to one fixed destination."""
    tree = mysql97()
    port = free_port()
    config = directory / "mysqlrouter.conf"
    config.write_text(
        MYSQLROUTER.format(port=port, server=servers.primary.port, plugins=tree.router_plugins, folder=directory),
        encoding="ascii",
    )
    with _process("mysqlrouter", [*tree.mysqlrouter, "-c", str(config)], directory, port) as pid:
        yield Target("mysqlrouter", port, pid)


@contextlib.contextmanager
def router(
    servers: ReplicaSet,
    directory: Path,
    launcher: tuple[str, ...] = (),
    connections: int = POOL,
    *,
    shards: bool = False,
) -> Iterator[Target]:
    """Our router as a user runs it: one process, a pool of ``connections``, log level warning.

    ``launcher`` is put between the interpreter and the module, for a profiler; with ``shards`` the table is
    spread over four groups, each a database of the same server with a quarter of the connections.
    """
    port, admin = free_port(), free_port()
    config = directory / f"routes-{port}.yaml"
    config.write_text(router_config(servers.primary, port, admin, connections, shards=shards), encoding="ascii")
    command = [sys.executable, *launcher, "-m", "router", "run", "--config", str(config)]
    with _process("router", command, directory, port, ready_url=f"http://127.0.0.1:{admin}/readyz") as pid:
        yield Target("router", port, pid, connections, sharded=shards)


def few(servers: ReplicaSet, directory: Path) -> contextlib.AbstractContextManager[Target]:
    """Our router with hardly any connections to the server."""
    return router(servers, directory, connections=FEW)


def sharded(servers: ReplicaSet, directory: Path) -> contextlib.AbstractContextManager[Target]:
    """Our router, to which the table is spread over four databases of the server."""
    return router(servers, directory, shards=True)


def router_config(server: Server, port: int, admin: int, connections: int, *, shards: bool = False) -> str:
    """The router's configuration: one group of one server, and maybe four more of it."""
    monitor = ReplicaSet.USERS["router"]
    groups = [GROUP.format(name="main", server=server.port, pool=connections, monitor=monitor)]
    if shards:
        each = connections // 4
        groups += [GROUP.format(name=f"g{n}", server=server.port, pool=each, monitor=monitor) for n in range(4)]
    routes = ROUTES.format(port=port, admin=admin, groups="".join(groups), app=ReplicaSet.USERS["app"])
    return routes + SHARDED if shards else routes


HAPROXY = """\
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen mysql
    bind 127.0.0.1:{port}
    server primary 127.0.0.1:{server}
"""

MYSQLROUTER = """\
[DEFAULT]
logging_folder = {folder}
runtime_folder = {folder}
data_folder = {folder}
plugin_folder = {plugins}
max_total_connections = 4000
[logger]
level = WARNING
filename = mysqlrouter.log
[io]
threads = 1
[routing:bench]
bind_address = 127.0.0.1
bind_port = {port}
destinations = 127.0.0.1:{server}
routing_strategy = first-available
protocol = classic
max_connections = 4000
connection_sharing = 0
client_ssl_mode = PASSTHROUGH
server_ssl_mode = AS_CLIENT
"""

ROUTES = """\
listeners: ["127.0.0.1:{port}"]
admin: {{http: "127.0.0.1:{admin}"}}
logging: {{level: warning}}
groups:
{groups}users:
  app: {{password: "{app}"}}
"""

GROUP = """\
  {name}:
    servers: [{{address: "127.0.0.1:{server}", role: primary}}]
    monitor: {{user: router, password: "{monitor}"}}
    pool: {{max_connections: {pool}}}
"""

SHARDED = """\
schemas:
  sbtest:
    group: main
    shards:
      s0: {group: g0, database: sbtest_0}
      s1: {group: g1, database: sbtest_1}
      s2: {group: g2, database: sbtest_2}
      s3: {group: g3, database: sbtest_3}
    tables:
      sbtest1: {shard_by: id, function: hash}
"""


@contextlib.contextmanager
def _process(
    name: str, command: list[str], directory: Path, port: int, *, ready_url: str | None = None
) -> Iterator[int]:
    log = directory / f"{name}.out"
    with log.open("wb") as output:
        process = spawn(command, stdout=output, stderr=output)
    try:
        wait_ready(process, port, name=name, log=log, url=ready_url, timeout=READY_TIMEOUT)
        yield process.pid
    finally:
        stop_process(process)


# --- /proc ------------------------------------------------------------------------------------------------------------


def scheduling_group(pid: int) -> str:
    """The kernel's group that shares CPU time with other groups; empty where the kernel has none or it is off."""
    with contextlib.suppress(OSError):
        if Path("/proc/sys/kernel/sched_autogroup_enabled").read_text(encoding="ascii").strip() == "1":
            return Path(f"/proc/{pid}/autogroup").read_text(encoding="ascii").split()[0]
    return ""


def _family(pid: int | None) -> list[int]:
    """A process and everything below it."""
    if pid is None:
        return []
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(_after_name(path)[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def _cpu_seconds(pid: int) -> float:
    fields = _after_name(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _after_name(path: Path) -> list[str]:
    # The name is in parentheses and may hold blanks; what follows begins with the state, field 3 of proc(5).
    return path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _status_kb(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    return 0
