"""A router as a process: signals, and what it cannot start with."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import ReplicaSet, free_port
from tests.fix_router import settings_for
from tests.process.processes import RouterProcess


def lonely(**more: Any) -> dict[str, Any]:
    """A configuration whose only server does not exist."""
    return {
        "listeners": ["127.0.0.1:0"],
        "admin": {"http": f"127.0.0.1:{free_port()}"},
        "groups": {"main": {"servers": [{"name": "db", "address": f"127.0.0.1:{free_port()}"}]}},
        "users": {"app": {"password": "x"}},
        **more,
    }


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(tmp_path: Path, number: signal.Signals, workers: int) -> None:
    with RouterProcess(lonely(workers=workers), tmp_path / "routes.yaml") as router:
        router.said("ready")
        router.process.send_signal(number)
        assert router.ended() == 0
        router.said("stopped")
        assert router.failures() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_does_not_wait(mariadb_set: ReplicaSet, tmp_path: Path, workers: int) -> None:
    settings = settings_for(mariadb_set, tmp_path) | {"limits": {"drain_timeout": "1h"}, "workers": workers}
    settings["admin"] = {"http": f"127.0.0.1:{free_port()}"}
    with RouterProcess(settings, tmp_path / "routes.yaml") as router:
        connection = router.connect()
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            router.process.send_signal(signal.SIGTERM)
            router.said("stopping")
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == ((1,),), "the transaction goes on"
        router.process.send_signal(signal.SIGTERM)
        assert router.ended() == 0
        router.said("stopped")
        connection._force_close()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_address_that_cannot_be_had_ends_it(tmp_path: Path, workers: int) -> None:
    settings = lonely(workers=workers) | {"listeners": ["192.0.2.1:3307"]}
    with RouterProcess(settings, tmp_path / "routes.yaml") as router:
        assert router.ended() == 1
        assert "cannot listen at 192.0.2.1:3307" in router.said("cannot start")["reason"]


def test_a_hangup_reloads_and_a_wrong_file_is_told(tmp_path: Path) -> None:
    settings = lonely()
    with RouterProcess(settings, tmp_path / "routes.yaml") as router:
        router.said("ready")
        router.file.write_text("groups: 1")
        router.process.send_signal(signal.SIGHUP)
        assert (
            "routes.yaml:1:1: users: is required"
            in router.said("configuration refused; the old one goes on")["problem"]
        )
