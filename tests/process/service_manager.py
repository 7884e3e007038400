"""A service manager as a router meets it: what systemd does with the notifications of a ``Type=notify`` service."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.process.processes import PATIENCE

_CREDENTIALS = struct.Struct("3i")  # of unix(7): process, user, group


def _environment(process: int) -> list[bytes]:
    return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")


class ServiceManager:
    """With ``NotifyAccess=main``: it hears the main process only, which may name another one (sd_notify(3)).

    A context manager; whoever has ever spoken to it ends with it.
    """

    def __init__(self, path: Path, watchdog: float = 1.0) -> None:
        self.main: int | None = None  # the first that speaks
        self.heard: list[tuple[int, str]] = []  # process and line, of the main process of the time
        self._spoke: set[int] = set()
        self._news = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(path))
        setting = f'WATCHDOG_PID=$$ WATCHDOG_USEC={watchdog * 1e6:.0f} NOTIFY_SOCKET={path} "$@"'
        self.starts = ["sh", "-c", f"exec env {setting}", "sh"]  # in front of the service's command
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            data, (*_, (_, _, credentials)), _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
            if not data:
                return
            process, _, _ = _CREDENTIALS.unpack(credentials)
            with self._news:
                self._spoke.add(process)
                self.main = self.main or process
                if process == self.main:
                    self._obey(process, data.decode().split("\n"))
                    self._news.notify_all()

    def _obey(self, process: int, lines: list[str]) -> None:
        for line in lines:
            self.heard.append((process, line))
            if line.startswith("MAINPID="):
                self.main = int(line.partition("=")[2])

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until what was heard makes it true."""
        with self._news:
            assert self._news.wait_for(condition, PATIENCE), self.heard

    def from_main(self, line: str) -> int:
        """How often the main process has said it."""
        return self.heard.count((self.main or 0, line))

    def __enter__(self) -> ServiceManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._spoke:
            # Its number may be another process's by now.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if f"NOTIFY_SOCKET={self._socket.getsockname()}".encode() in _environment(process):
                    os.kill(process, signal.SIGKILL)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self._socket.getsockname())
        self._reader.join(PATIENCE)
        self._socket.close()
