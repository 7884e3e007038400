"""Private MySQL and MariaDB servers for the demo, the tests and the benchmarks.

Nothing here touches a server that is already on the machine: every server gets its own data directory (copied from a
template that is made once and kept in the user's cache), its own free port on 127.0.0.1 and its own unix socket. It
works for root and for any other user, needs no container, and leaves nothing behind: the servers die with the process
that started them, even when that process is killed.

The calls are synchronous and every wait is bounded. ``python -m router.sandbox`` fills the cache beforehand.
"""

from __future__ import annotations

from router.sandbox.mysql97 import MySQL97, mysql97
from router.sandbox.process import SandboxError, SandboxUnavailable, free_port, spawn, stop_process, wait_ready
from router.sandbox.replica_set import ReplicaSet, start_replica_set
from router.sandbox.servers import Flavor, MariaDBServer, MySQLServer, Server, fill_cache

__all__ = [
    "Flavor",
    "MariaDBServer",
    "MySQL97",
    "MySQLServer",
    "ReplicaSet",
    "SandboxError",
    "SandboxUnavailable",
    "Server",
    "fill_cache",
    "free_port",
    "mysql97",
    "spawn",
    "start_replica_set",
    "stop_process",
    "wait_ready",
]
