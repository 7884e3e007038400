"""What the service manager is told: that the router is ready, reloads, stops, and that its event loop still turns.

systemd gives a service of ``Type=notify`` a datagram socket in ``NOTIFY_SOCKET`` (sd_notify(3)), and with
``WatchdogSec=`` the time in ``WATCHDOG_USEC`` after which silence means that it hangs (sd_watchdog_enabled(3)). Without
these variables nothing is sent. Telling never fails the router and never waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

# Beyond the time to drain: closing connections, writing the last log lines.
_LAST_STEPS = 10.0


class Supervisor:
    """The service manager, if there is one that listens."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._interval = _watchdog_interval(environ)
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ready = False
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return self._socket is not None

    def ready(self) -> None:
        """The router serves. From now on the event loop shows that it turns, twice in the time that it has for that."""
        self._ready = True
        self._tell("READY=1", "STATUS=Serving clients")
        if self._interval is not None and self._timer is None:
            self._alive()

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Around a change of the configuration, however it ends; nothing to tell before the router is ready."""
        if not self._ready:
            yield
            return
        # The monotonic clock is how systemd tells this reload's answer from an earlier one's.
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=Reading the configuration")
        try:
            yield
        finally:
            self._tell("READY=1", "STATUS=Serving clients")

    def stopping(self, drain_timeout: float) -> None:
        """The router lets clients finish for so many seconds: it is not to be killed meanwhile."""
        patience = int((drain_timeout + _LAST_STEPS) * 1_000_000)
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={patience}", "STATUS=Waiting for transactions to finish")

    def succeeded_by(self, process: int) -> None:
        """Another process serves from now on; if it is of the same service, that is whom the manager watches."""
        if self._socket is None:
            return
        if _service_of(process) != _service_of(os.getpid()):
            log.warning(
                "the new router is not of this one's service, which ends with this one; SIGUSR2 starts one that is",
                process=process,
            )
            return
        # With a sign of life: the other one's have not counted yet.
        self._tell(f"MAINPID={process}", "WATCHDOG=1", "STATUS=Serving clients")
        self.close()

    def close(self) -> None:
        """The router has stopped, or is nobody that the manager listens to."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _alive(self) -> None:
        assert self._interval is not None
        self._tell("WATCHDOG=1")
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._alive)

    def _tell(self, *lines: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("the service manager cannot be told", what=lines[0], reason=str(error))


def _address(text: str) -> str | None:
    """The socket's address for ``sendto``; a leading @ stands for the NUL of the abstract namespace (unix(7))."""
    if text.startswith("/"):
        return text
    if text.startswith("@"):
        return "\0" + text[1:]
    if text:
        log.warning("NOTIFY_SOCKET is of a kind that the router does not know", address=text)
    return None


def _service_of(process: int) -> str | None:
    """What systemd knows a service's processes by: their control groups (proc(5))."""
    try:
        return Path(f"/proc/{process}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return None


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Seconds between two signs of life; None: nobody waits for them from this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None
