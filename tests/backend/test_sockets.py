"""Stale unix sockets go, everything else stays."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from router.backend.sockets import bind_unix_socket, remove_stale_socket


def test_a_socket_nobody_listens_on_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
    assert path.exists()
    remove_stale_socket(path)
    assert not path.exists()


def test_a_socket_that_answers_stays(tmp_path: Path) -> None:
    path = tmp_path / "live.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        remove_stale_socket(path)
        assert path.exists()


def test_a_file_stays_and_nothing_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data", encoding="ascii")
    remove_stale_socket(path)
    assert path.read_text(encoding="ascii") == "data"
    remove_stale_socket(tmp_path / "absent")


def test_binding_sets_the_mode_and_respects_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new.sock"
    with bind_unix_socket(path, 0o600) as bound:
        bound.listen()
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(OSError, match="in use"):
            bind_unix_socket(path, 0o600)
    with bind_unix_socket(path, 0o777):
        assert path.stat().st_mode & 0o777 == 0o777
