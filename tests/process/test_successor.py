"""A router that has another one started: the same command, beside it, for the same service manager."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from router.errors import OperationFailed
from router.process.successor import start_successor
from router.sandbox import ReplicaSet
from router.sandbox.replica_set import wait_until
from tests.fix_router import settings_for
from tests.process.processes import RouterProcess, at_fixed_addresses, repeat
from tests.process.service_manager import ServiceManager

# What a successor would be told, written where the first argument says.
TELL = """
import json, os, sys
from pathlib import Path
told = {"words": sys.argv[2:], "parent": os.getppid(), "environ": dict(os.environ)}
Path(sys.argv[1] + ".new").write_text(json.dumps(told))
os.rename(sys.argv[1] + ".new", sys.argv[1])
"""


@pytest.fixture
def manager(tmp_path: Path) -> ServiceManager:
    return ServiceManager(tmp_path / "notify")


@pytest.fixture
def settings(mariadb_set: ReplicaSet, tmp_path: Path) -> dict[str, Any]:
    return at_fixed_addresses(settings_for(mariadb_set, tmp_path))


def told_to(process: int) -> list[str]:
    """Its command line."""
    return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def test_it_is_the_same_command_on_its_own(tmp_path: Path) -> None:
    for given in ([], ["--takeover"]):
        file = tmp_path / f"told{len(given)}"
        environ = {"WATCHDOG_PID": "1", "WATCHDOG_USEC": "5", "NOTIFY_SOCKET": "/run/x"}
        start_successor(["python3", "-c", TELL, str(file), *given, "--log-format", "a b; $HOME"], environ)
        wait_until(file.exists, 20, "that a successor runs")
        told = json.loads(file.read_text())
        assert told["words"] == ["--log-format", "a b; $HOME", "--takeover"]
        assert told["parent"] != os.getpid()
        assert told["environ"].items() >= {"WATCHDOG_USEC": "5", "NOTIFY_SOCKET": "/run/x"}.items()
        assert "WATCHDOG_PID" not in told["environ"]


def test_a_container_ends_with_its_first_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(OperationFailed, match="process 1"):
        start_successor([sys.executable, "-c", "raise SystemExit"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_is_renewed_under_load(
    settings: dict[str, Any], manager: ServiceManager, tmp_path: Path, workers: int
) -> None:
    """The manager watches the new one from then on, and hears from it in time; nobody's connection is lost."""
    file = tmp_path / "routes.yaml"
    with RouterProcess(settings | {"workers": workers}, file, under=manager.starts) as router, manager:
        router.said("ready")
        first = router.process.pid
        manager.wait_for(lambda: manager.from_main("READY=1") > 0 and manager.main == first)
        clients = [router.connect() for _ in range(3)]

        def work(number: int) -> None:
            clients[number].query("SELECT 1")
            router.connect().close()

        stop, errors = repeat(work, 3)
        second = renewed(manager, router, 1)
        assert parent_of(second) != first, "the manager sees how it ends"
        assert min(stop()) > 0
        assert errors == []
        for client in clients:
            client.close()
        assert router.ended() == 0
        command = told_to(second)
        third = renewed(manager, router, 2)
        assert told_to(third) == command, "--takeover is said once"
        router.connect().close()
        assert not [line for _, line in manager.heard if line.startswith("STOPPING")]
        os.kill(third, signal.SIGTERM)
        manager.wait_for(lambda: manager.from_main("STOPPING=1") > 0)


def test_only_one_that_serves_starts_another(settings: dict[str, Any], tmp_path: Path) -> None:
    with RouterProcess(settings, tmp_path / "routes.yaml") as router:
        with router.connect() as client:
            client.query("BEGIN")
            client.query("SELECT 1")
            router.process.send_signal(signal.SIGTERM)
            router.said("stopping")
            router.process.send_signal(signal.SIGUSR2)
            router.said("no new router is started: this one does not serve yet, or leaves already")
        assert router.ended() == 0


def renewed(manager: ServiceManager, router: RouterProcess, times: int) -> int:
    """The process that serves after the main one was asked to leave to another."""
    before = manager.main
    assert before is not None
    os.kill(before, signal.SIGUSR2)
    manager.wait_for(lambda: manager.main != before and manager.from_main("WATCHDOG=1") > 1)
    router.said("has taken over", times)
    assert manager.main is not None
    return manager.main


def test_one_that_cannot_start_changes_nothing(
    settings: dict[str, Any], manager: ServiceManager, tmp_path: Path
) -> None:
    with RouterProcess(settings, tmp_path / "routes.yaml", under=manager.starts) as router, manager:
        router.said("ready")
        wrong = settings | {"listeners": [*settings["listeners"], "192.0.2.1:3307"]}
        router.file.write_text(json.dumps(wrong))
        router.process.send_signal(signal.SIGUSR2)
        assert "192.0.2.1" in router.said("cannot start")["reason"]
        router.said("a new router has not taken over")
        router.file.write_text("nonsense")
        router.process.send_signal(signal.SIGUSR2)
        router.said("a new router is started, to take over", 2)
        pings = manager.from_main("WATCHDOG=1")
        manager.wait_for(lambda: manager.from_main("WATCHDOG=1") > pings + 1)
        assert manager.main == router.process.pid
        router.connect().close()
