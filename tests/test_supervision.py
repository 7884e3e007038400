"""What a service manager hears from the router, over a real datagram socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from router.supervision import Supervisor
from tests.test_gateway import lonely


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def environ(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), **more}


def test_a_life(manager: socket.socket) -> None:
    supervisor = Supervisor(environ(manager))
    assert supervisor.listens
    supervisor.ready()
    assert heard(manager)[0] == "READY=1"
    with supervisor.reloading():
        told = heard(manager)
        assert told[0] == "RELOADING=1"
        assert told[1].startswith("MONOTONIC_USEC=")
        assert int(told[1].partition("=")[2]) > 0
    assert heard(manager)[0] == "READY=1"
    supervisor.stopping(30)
    assert heard(manager)[:2] == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=40000000"]
    supervisor.close()


def test_a_reload_that_fails_is_over_too(manager: socket.socket) -> None:
    supervisor = Supervisor(environ(manager))
    supervisor.ready()
    assert heard(manager)[0] == "READY=1"
    with pytest.raises(ValueError), supervisor.reloading():
        raise ValueError
    assert heard(manager)[0] == "RELOADING=1"
    assert heard(manager)[0] == "READY=1"
    supervisor.close()


def test_a_reload_does_not_make_it_ready(manager: socket.socket) -> None:
    supervisor = Supervisor(environ(manager))
    with supervisor.reloading():
        pass
    supervisor.stopping(1)
    assert heard(manager)[0] == "STOPPING=1"
    supervisor.close()


def test_the_abstract_namespace() -> None:
    name = f"router-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(10)
        supervisor = Supervisor({"NOTIFY_SOCKET": f"@{name}"})
        supervisor.ready()
        assert heard(listening)[0] == "READY=1"
        supervisor.close()


async def test_the_loop_shows_that_it_turns(manager: socket.socket) -> None:
    manager.setblocking(False)
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(environ(manager, WATCHDOG_USEC="100000", WATCHDOG_PID=str(os.getpid())))
    supervisor.ready()
    seen = [(await loop.sock_recv(manager, 4096)).split(b"\n")[0] for _ in range(4)]
    assert seen == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1"]
    supervisor.ready()
    assert supervisor._interval == 0.05, "half of the time"
    supervisor.close()
    assert supervisor._timer is None


@pytest.mark.parametrize(
    "wrong",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}],
)
def test_no_signs_of_life_that_nobody_waits_for(manager: socket.socket, wrong: dict[str, str]) -> None:
    supervisor = Supervisor(environ(manager, **wrong))
    supervisor.ready()  # without a loop: it would fail
    assert heard(manager)[0] == "READY=1"
    supervisor.close()


@pytest.mark.parametrize("address", ["", "vsock:2:1234"])
def test_nobody_listens(address: str) -> None:
    with capture_logs() as logs:
        supervisor = Supervisor({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"} if address else {})
        assert not supervisor.listens
        with supervisor.reloading():
            pass
        supervisor.stopping(1)
        supervisor.close()
    assert [entry["address"] for entry in logs] == ([address] if address else [])


def test_another_process_serves_from_now_on(manager: socket.socket) -> None:
    supervisor = Supervisor(environ(manager))
    supervisor.ready()
    assert heard(manager)[0] == "READY=1"
    supervisor.succeeded_by(os.getppid())
    assert heard(manager)[:2] == [f"MAINPID={os.getppid()}", "WATCHDOG=1"]
    supervisor.stopping(30)  # that is the other one's to tell
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(1)


def test_who_serves_from_now_on_is_of_another_service(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.supervision._service_of", str)
    supervisor = Supervisor(environ(manager))
    with capture_logs() as logs:
        supervisor.succeeded_by(os.getppid())
    assert "not of this one's service" in logs[0]["event"]
    supervisor.stopping(30)
    assert heard(manager)[0] == "STOPPING=1", "that service ends"
    supervisor.close()


def test_a_manager_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "nowhere")})
    with capture_logs() as logs:
        supervisor.stopping(1)
    assert [entry["what"] for entry in logs] == ["STOPPING=1"]
    supervisor.close()


def test_a_router_process(manager: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text(json.dumps(lonely()))
    command = [sys.executable, "-m", "router", "run", "--config", str(path)]
    given = {**os.environ, **environ(manager, WATCHDOG_USEC="200000")}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=given) as process:
        try:
            assert heard(manager)[0] == "READY=1"
            assert heard(manager) == ["WATCHDOG=1"]
            assert heard(manager) == ["WATCHDOG=1"]
            process.send_signal(signal.SIGTERM)
            while (told := heard(manager)) == ["WATCHDOG=1"]:
                pass
            assert told[0] == "STOPPING=1"
            assert process.wait(20) == 0
        finally:
            process.kill()
