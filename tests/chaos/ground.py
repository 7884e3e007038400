"""Where it happens: a replica set, a line to each of its servers, the router as a process of its own, and its clients'
line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from router.sandbox import Flavor, ReplicaSet, Server, free_port, spawn, start_replica_set, stop_process, wait_ready
from router.sandbox.process import remove_directory, scratch_directory
from router.sandbox.replica_set import wait_until
from tests.chaos.line import Line

DATABASE = "chaos"
ACCOUNTS = 40
INITIAL = 1000
# Fewer connections than clients: that they wait for one another is the rule here.
POOL = 6
# A crashed replica fetches again what its relay log may have lost.
OPTIONS = ["--relay-log-recovery=ON", "--innodb-lock-wait-timeout=3"]
_COLUMNS = (
    "(id INT AUTO_INCREMENT PRIMARY KEY, entry VARCHAR(24) NOT NULL, client INT NOT NULL, turn INT NOT NULL,"
    " source INT NOT NULL, target INT NOT NULL, amount INT NOT NULL, KEY (client, turn), KEY (entry))"
)
# An order is a transfer in one statement: the trigger moves the money and writes the ledger.
_TABLES = (
    "CREATE TABLE chaos.accounts (id INT PRIMARY KEY, amount INT NOT NULL)",
    f"CREATE TABLE chaos.ledger {_COLUMNS}",
    f"CREATE TABLE chaos.orders {_COLUMNS}",
    "CREATE TRIGGER chaos.carry_out AFTER INSERT ON chaos.orders FOR EACH ROW BEGIN"
    " UPDATE chaos.accounts SET amount = amount + IF(id = NEW.source, -NEW.amount, NEW.amount)"
    " WHERE id IN (NEW.source, NEW.target);"
    " INSERT INTO chaos.ledger (entry, client, turn, source, target, amount)"
    " VALUES (NEW.entry, NEW.client, NEW.turn, NEW.source, NEW.target, NEW.amount); END",
)


REPLAYING = "replaying"
# Seconds that clients have after a takeover, and those that do not go then.
STAY, DRAIN = 4.0, 2.0
Settings = dict[str, Any]


class Ground:
    """``lines``: to each server, by its name; ``front``: the line that some of the clients use; ``process``: the router
    that takes new clients, with its ``log``; ``workers``: how many serve; ``shared``: reads are to see all writes."""

    def __init__(self, servers: ReplicaSet, lines: dict[str, Line], directory: Path, *, workers: int) -> None:
        self.servers = servers
        self.lines = lines
        self.workers = workers
        self.port, self.admin = free_port(), free_port()
        self.front: Line
        self.process: subprocess.Popen[bytes]
        self.log: Path
        # Connection ids, as the router gave them, of the clients that are connected.
        self.sessions: dict[int, int] = {}
        self.shared = False
        self._directory = directory
        self._config = directory / "routes.yaml"
        self._settings: Settings = {}
        self._changing = threading.Lock()
        self._logs: list[Path] = []
        self.former: list[subprocess.Popen[bytes]] = []
        # Messages of errors that a fault is expected to cause.
        self.expected: set[str] = set()

    def start(self, settings: Settings) -> None:
        """Start the router with these settings."""
        self._settings = settings
        self._config.write_text(json.dumps(settings), encoding="utf-8")
        self.shared = settings["groups"]["main"].get("reads", {}).get("consistency") == "global"
        self._spawn()
        url = f"http://127.0.0.1:{self.admin}/readyz"
        wait_ready(self.process, self.port, name="router", log=self.log, url=url, timeout=30)

    def _spawn(self, *options: str) -> None:
        self.log = self._directory / f"router{len(self._logs)}.log"
        self._logs.append(self.log)
        with self.log.open("wb") as output:
            command = [sys.executable, "-m", "router", "run", "--config", str(self._config), *options]
            self.process = spawn(command, stdout=output, stderr=output)

    def stop(self) -> None:
        """End every router."""
        for each in (*self.former, self.process):
            stop_process(each)

    def take_over(self) -> None:
        """Another router takes the clients that come from now on."""
        with self._changing:
            self.former.append(self.process)
            self._spawn("--takeover")
            wait_until(lambda: self.process.poll() is not None or bool(self._said("has taken over")), 90, "a takeover")

    def reload(self, change: Callable[[Settings], None]) -> None:
        """Have the router go by a changed configuration."""
        with self._changing:
            change(self._settings["groups"]["main"])
            self._config.write_text(json.dumps(self._settings), encoding="utf-8")
            told = self.operate("reload")
            assert "error" not in told, told

    def _said(self, event: str) -> list[dict[str, Any]]:
        """The entries of this event in the log of the router that takes new clients."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [json.loads(line) for line in lines if f'"event": "{event}"' in line]

    def worker_pids(self) -> list[int]:
        """Of those that serve now, if there are workers."""
        return list({entry["worker"]: int(entry["pid"]) for entry in self._said("worker serves")}.values())

    @property
    def primary(self) -> Server:
        """The server that takes writes now."""
        return self.servers.primary

    def connect(self, port: int | None = None, **options: Any) -> Connection:
        """PyMySQL through the router, as ``app``."""
        wanted: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port or self.port,
            "user": "app",
            "password": self.servers.app_password,
            "database": DATABASE,
            "autocommit": True,
            "connect_timeout": 30,
            "read_timeout": 60,
            "ssl_disabled": True,
        }
        return pymysql.connect(**(wanted | options))

    def metrics(self) -> str:
        """What the router tells of itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def operate(self, path: str) -> dict[str, Any]:
        """An operation of the router's API; what it answers."""
        url = f"http://127.0.0.1:{self.admin}/api/v1/{path}"
        request = urllib.request.Request(url, b"", {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.loads(answer.read()))

    def gauge(self, name: str, *labels: str) -> float:
        """The sum of a metric over all series with these labels."""
        pattern = re.compile(rf"^{name}(?:{{(.*)}})? (\S+)$", re.MULTILINE)
        found = pattern.findall(self.metrics())
        return sum(float(value) for shown, value in found if all(label in shown for label in labels))

    def quiet(self) -> bool:
        """Whether nothing runs for anybody any more: no client, and no connection in use."""
        busy = self.gauge("router_backend_connections", 'state="in_use"')
        return busy == 0 and self.gauge("router_client_connections") == 0 and self.gauge("router_pool_waiters") == 0

    def complaints(self) -> list[str]:
        """What the router logged that no fault explains."""
        text = "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in self._logs)
        words = ("Traceback", "exception", '"level": "error"', '"level":"error"', "critical")
        found = [line[:2000] for line in text.splitlines() if any(word in line for word in words)]
        return [line for line in found if not any(each in line for each in self.expected)]

    def settle(self, timeout: float = 30.0) -> None:
        """Wait until the primary runs nothing of the clients any more."""
        deadline = time.monotonic() + timeout
        running = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app' AND command <> 'Sleep'"
        while self.primary.value(running) and time.monotonic() < deadline:
            time.sleep(0.05)


@contextmanager
def ground(flavor: Flavor, *, workers: int = 1, **group: Any) -> Iterator[Ground]:
    """Servers of their own (they will be killed), filled, with the router in front; ``group`` adds to its settings."""
    directory = scratch_directory()
    with ExitStack() as stack:
        stack.callback(remove_directory, directory)
        servers = stack.enter_context(start_replica_set(flavor, 2, directory / "s", options=OPTIONS))
        _fill(servers)
        lines = {each.name: stack.enter_context(Line(("127.0.0.1", each.port))) for each in servers.servers}
        made = Ground(servers, lines, directory, workers=workers)
        made.front = stack.enter_context(Line(("127.0.0.1", made.port)))
        stack.callback(made.stop)
        made.start(_settings(made, group))
        yield made


def _fill(servers: ReplicaSet) -> None:
    primary = servers.primary
    primary.execute(f"CREATE DATABASE {DATABASE}")
    for statement in _TABLES:
        primary.execute(statement)
    rows = ", ".join(f"({number}, {INITIAL})" for number in range(ACCOUNTS))
    primary.execute(f"INSERT INTO {DATABASE}.accounts VALUES {rows}")
    servers.wait_for_replicas()


def _settings(made: Ground, group: dict[str, Any]) -> Settings:
    servers = made.servers
    addresses = [{"name": name, "address": f"127.0.0.1:{line.port}"} for name, line in made.lines.items()]
    return {
        "listeners": [f"127.0.0.1:{made.port}"],
        "admin": {"http": f"127.0.0.1:{made.admin}"},
        "workers": made.workers,
        "limits": {"takeover_timeout": STAY, "drain_timeout": DRAIN},
        "logging": {"level": "info", "format": "json"},
        "groups": {
            "main": {
                "servers": addresses,
                # In clear, so that the lines see packets.
                "tls": {"mode": "disabled"},
                "monitor": {"interval": "200ms", "user": "router", "password": servers.monitor_password},
                "pool": {"max_connections": POOL, "queue_timeout": "2s"},
                **group,
            }
        },
        "users": {
            "app": {"password": servers.app_password},
            # The same account, whose transactions are run again when their server is lost.
            REPLAYING: {
                "password": servers.app_password,
                "backend": {"user": "app"},
                "transaction_replay": "1MiB",
            },
        },
    }
