"""Routers as processes of their own, with what they log."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pymysql
from pymysql.connections import Connection

from router.sandbox import free_port

PATIENCE = 60.0
# Seconds between two turns of a client: what starts meanwhile needs the machine.
_REST = 0.01


def at_fixed_addresses(settings: dict[str, Any]) -> dict[str, Any]:
    """``settings`` with TCP ports that the next router with them has as well."""
    settings["listeners"][0] = f"127.0.0.1:{free_port()}"
    settings["admin"] = {"http": f"127.0.0.1:{free_port()}", "mysql": f"127.0.0.1:{free_port()}"}
    return settings


class RouterProcess:
    """``router run`` with a configuration file; a context manager, which ends it if it has not ended."""

    def __init__(self, settings: dict[str, Any], file: Path, *options: str, under: Sequence[str] = ()) -> None:
        """``under``: a command that runs another one."""
        self.settings = settings
        self.file = file
        self.entries: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._over = False
        file.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "router", "run", "--config", str(file), "--log-format", "json", *options]
        self.process = subprocess.Popen([*under, *command], stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                # What is no entry is a failure.
                self.entries.append(json.loads(line) if line.startswith("{") else {"event": line, "level": "error"})
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def __enter__(self) -> RouterProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stderr is not None:
            self.process.stderr.close()

    def said(self, event: str, count: int = 1) -> dict[str, Any]:
        """The log entry of this event, or the ``count``-th of them, once it is there."""

        def found() -> list[dict[str, Any]]:
            return [entry for entry in self.entries if entry["event"] == event]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= count or self._over, PATIENCE)
            assert len(found()) >= count, f"not said: {event}; but {self.entries}"
            return found()[count - 1]

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(PATIENCE)

    def failures(self) -> list[dict[str, Any]]:
        """What has gone wrong by its log."""
        return [entry for entry in self.entries if entry["level"] == "error" or "exception" in entry]

    @property
    def port(self) -> int:
        """The TCP port of the first listener."""
        return int(self.said("ready")["listeners"][0].rpartition(":")[2])

    @property
    def workers(self) -> dict[int, int]:
        """Number → process of the workers that were last said to serve."""
        return {entry["worker"]: entry["pid"] for entry in self.entries if entry["event"] == "worker serves"}

    def connect(self, **options: Any) -> Connection:
        """PyMySQL as ``app``."""
        user, settings = next(iter(self.settings["users"].items()))
        wanted = {"host": "127.0.0.1", "port": self.port, "autocommit": True, "connect_timeout": 30, "read_timeout": 30}
        return pymysql.connect(user=user, password=settings["password"], **(wanted | options))

    def client_of(self, worker: int, tries: int = 200, **options: Any) -> Connection:
        """A client whom the kernel has given to this worker."""
        for _ in range(tries):
            connection = self.connect(**options)
            if self.worker_of(connection) == worker:
                return connection
            connection.close()
        raise AssertionError(f"no connection came to worker {worker}")

    def worker_of(self, connection: Connection) -> int:
        """The number of the worker that serves it."""
        count = int(self.settings.get("workers", 1))
        return (int(connection.thread_id()) - 1) % (count + 1 if count > 1 else 1)


def repeat(work: Callable[[int], None], clients: int) -> tuple[Callable[[], list[int]], list[BaseException]]:
    """Run ``work(number)`` over and over in so many threads; what stops them and gives their turns, and the errors."""
    over = threading.Event()
    errors: list[BaseException] = []
    turns = [0] * clients

    def run(number: int) -> None:
        try:
            while not over.is_set():
                work(number)
                turns[number] += 1
                over.wait(_REST)
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()

    def stop() -> list[int]:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)
        return turns

    return stop, errors
