"""What is measured: sysbench's own scripts, one large result, and prepared statements whose rows are checked.

Some of it is asked of the same table spread over four databases of the same server by a hash of its key, each of them
a group of servers to the router.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from router.sandbox import ReplicaSet, SandboxError
from tests.bench.targets import FEW, POOL, Target

DATABASE = "sbtest"
TABLE_ROWS = 100_000
LARGE_ROWS = 300_000
SHARDS = range(4)
PATIENCE = 45
_SCRIPTS = {
    "point_select": ("oltp_point_select", "--skip-trx=on", "--db-ps-mode=disable"),
    "read_only": ("oltp_read_only", "--db-ps-mode=disable"),
    "read_write": ("oltp_read_write", "--db-ps-mode=disable"),
    "large_result": (str(Path(__file__).with_name("large_result.lua")),),
    "prepared": (str(Path(__file__).with_name("prepared.lua")),),
    "sharded_point_select": ("oltp_point_select", "--skip-trx=on", "--db-ps-mode=disable"),
    "scatter_order_by": (
        str(Path(__file__).with_name("large_result.lua")),
        "--statement=SELECT id, k, c, pad FROM sbtest1 ORDER BY id",
    ),
}


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of load, how many clients put it on, and how many connections to the server the router has for them.

    ``sharded`` works are for the router in front of the shards only.
    """

    name: str
    clients: int
    connections: int = POOL
    sharded: bool = False


WORKS = (
    Work("point_select", 1),
    Work("point_select", 16),
    Work("point_select", 64),
    Work("point_select", 512),
    Work("read_only", 16),
    Work("read_write", 16),
    Work("prepared", 200, FEW),
    Work("large_result", 1),
    Work("sharded_point_select", 16, sharded=True),
    Work("scatter_order_by", 1, sharded=True),
)
# Rows of one result, where the size of results is the point.
ROWS = {"large_result": LARGE_ROWS, "scatter_order_by": TABLE_ROWS}


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one work against one target.

    ``qps`` queries per second; ``p95_ms`` 95th percentile of the latency of a query (of a transaction where the work
    has them); ``cpu_us`` CPU time of the proxy per query in microseconds, None without a proxy; ``memory_mb`` and
    ``peak_mb`` the proxy's resident memory before and at most.
    """

    qps: float
    p95_ms: float
    cpu_us: float | None
    memory_mb: float
    peak_mb: float


def sysbench() -> str:
    """The program; raises SandboxError when it is not installed."""
    path = shutil.which("sysbench")
    if path is None:
        raise SandboxError("sysbench is not installed: apt-get install sysbench")
    return path


def prepare(servers: ReplicaSet) -> None:
    """Fill the tables on the primary."""
    primary = servers.primary
    primary.execute(f"CREATE DATABASE {DATABASE}")
    options = ["--tables=1", f"--table-size={TABLE_ROWS}", f"--mysql-socket={primary.socket}", "--mysql-user=root"]
    done = subprocess.run(
        [sysbench(), "oltp_common", "--db-driver=mysql", f"--mysql-db={DATABASE}", *options, "prepare"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise SandboxError(f"sysbench could not fill its table: {done.stdout}{done.stderr}")
    primary.execute(
        f"CREATE TABLE {DATABASE}.big (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(60) NOT NULL, pad VARCHAR(60))"
        " SELECT seq AS id, seq * 7919 % 100003 AS k, SHA1(seq) AS c, CONCAT('row number ', seq) AS pad"
        f" FROM {DATABASE}.seq_1_to_{LARGE_ROWS}"
    )
    for shard in SHARDS:
        database = shard_database(shard)
        primary.execute(f"CREATE DATABASE {database}")
        primary.execute(f"CREATE TABLE {database}.sbtest1 LIKE {DATABASE}.sbtest1")
        # docs/explanation/sharding.md, "Where a row lives".
        primary.execute(
            f"INSERT INTO {database}.sbtest1 SELECT * FROM {DATABASE}.sbtest1"
            f" WHERE CAST(CONV(LEFT(MD5(id), 16), 16, 10) AS UNSIGNED) % 1024 * {len(SHARDS)} DIV 1024 = {shard}"
        )
        primary.execute(f"ANALYZE TABLE {database}.sbtest1")
        primary.execute(f"SELECT COUNT(pad) FROM {database}.sbtest1")
    # The table is in the buffer pool, and its statistics are settled, before the first client comes.
    primary.execute(f"ANALYZE TABLE {DATABASE}.big, {DATABASE}.sbtest1")
    primary.execute(f"SELECT COUNT(pad) FROM {DATABASE}.big")
    primary.execute(f"SELECT COUNT(pad) FROM {DATABASE}.sbtest1")


def shard_database(shard: int) -> str:
    """The database of a shard."""
    return f"{DATABASE}_{shard}"


def command(work: Work, port: int, seconds: int) -> list[str]:
    """The sysbench call for a work against a port on 127.0.0.1."""
    script, *options = _SCRIPTS[work.name]
    tables = [] if work.name in ROWS else ["--tables=1", f"--table-size={TABLE_ROWS}"]
    return [
        sysbench(),
        script,
        "--db-driver=mysql",
        "--mysql-host=127.0.0.1",
        f"--mysql-port={port}",
        f"--mysql-user={ReplicaSet.app_user}",
        f"--mysql-password={ReplicaSet.USERS['app']}",
        f"--mysql-db={DATABASE}",
        "--mysql-ssl=off",
        f"--threads={work.clients}",
        f"--time={seconds}",
        "--events=0",
        *tables,
        *options,
        "run",
    ]


def measure(work: Work, target: Target, seconds: int) -> Sample:
    """Run once. CPU time is counted from the moment all clients are connected until the load ends."""
    target.forget_peak_memory()
    memory = target.memory_mb()
    process = subprocess.Popen(
        command(work, target.port, seconds), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: list[str] = []
    began = ended = 0.0
    too_long = threading.Timer(seconds + PATIENCE, process.kill)
    with process, _running(too_long):
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Threads started!"):
                began = target.cpu_seconds()
            elif line.startswith(("SQL statistics", "General statistics")):
                ended = ended or target.cpu_seconds()
    text = "".join(lines)
    if process.returncode != 0:
        late = f"it hung and was killed {PATIENCE} s late: " if process.returncode == -signal.SIGKILL else ""
        raise SandboxError(f"sysbench failed: {late}{_complaint(lines)}")
    queries, qps = _queries(text)
    return Sample(
        qps=qps,
        p95_ms=_number(r"95th percentile:\s+([\d.]+)", text),
        cpu_us=(ended - began) * 1e6 / queries if target.pid and queries else None,
        memory_mb=memory,
        peak_mb=target.peak_memory_mb(),
    )


@contextlib.contextmanager
def _running(timer: threading.Timer) -> Iterator[None]:
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _queries(report: str) -> tuple[float, float]:
    """How many queries there were, and how many in a second.

    A script that does not ask through sysbench's driver has none to sysbench: its events are single queries.
    """
    if "SQL statistics" in report:
        return _number(r"queries:\s+(\d+)", report), _number(r"queries:\s+\d+\s+\(([\d.]+) per sec", report)
    events = _number(r"total number of events:\s+(\d+)", report)
    return events, events / _number(r"total time:\s+([\d.]+)s", report)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise SandboxError(f"sysbench printed something unexpected: {text[-500:]}")
    return float(found[1])


def _complaint(lines: Sequence[str]) -> str:
    fatal = [line.strip() for line in lines if "FATAL" in line or "rror" in line]
    return " | ".join(fatal[:3]) or "".join(lines[-5:])
