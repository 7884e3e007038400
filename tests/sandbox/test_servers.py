"""One server: errors that show its log, ports that are taken, options that win."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from router.sandbox import MariaDBServer, SandboxError
from router.sandbox import servers as module
from router.sandbox.process import SandboxUnavailable, free_port


def test_a_server_lives_and_leaves_nothing(tmp_path: Path) -> None:
    with MariaDBServer(tmp_path, name="one", options=["--max-connections=77"]) as server:
        assert server.alive
        assert server.host == "127.0.0.1"
        assert server.value("SELECT @@port") == server.port
        assert server.value("SELECT @@max_connections") == 77
        assert server.records("SELECT 1 AS a, 'x' AS b") == [{"a": 1, "b": "x"}]
        assert server.execute("SELECT %s", ("it's",)) == [("it's",)]
    assert not server.alive
    assert list(tmp_path.iterdir()) == []


def test_a_server_keeps_data_and_port_over_a_restart(tmp_path: Path) -> None:
    with MariaDBServer(tmp_path) as server:
        port = server.port
        server.execute("CREATE DATABASE kept")
        server.restart()
        assert server.port == port
        assert server.execute("SHOW DATABASES LIKE 'kept'") == [("kept",)]
        server.stop()
        server.stop()
        with pytest.raises(SandboxError, match="server is not running"):
            _ = server.pid


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    server = MariaDBServer(tmp_path, options=["--no-such-option=1"])
    with pytest.raises(SandboxError, match=r"server ended while starting\n(.*\n)*.*no-such-option"):
        server.start()
    server.close()


def test_a_port_lost_to_somebody_else_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = int(other.getsockname()[1])
        ports = iter([taken, free_port()])
        monkeypatch.setattr(module, "free_port", lambda: next(ports))
        with MariaDBServer(tmp_path) as server:
            assert server.port != taken
            assert server.value("SELECT 1") == 1


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="too long"):
        MariaDBServer(tmp_path / ("x" * 100))


def test_a_missing_mariadb_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailable, match="apt-get install mariadb-server-core"):
        module.mariadbd()
