"""What is asked of a running router."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.sandbox import ReplicaSet, free_port
from tests.cli.ground import GOOD, ROOT, router
from tests.fix_router import settings_for
from tests.process.processes import RouterProcess


def test_operations_need_names_and_a_router(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        path = tmp_path / "routes.yaml"
        path.write_text(f"{GOOD}admin: {{http: '127.0.0.1:{nobody.getsockname()[1]}'}}\n")
        for words, status, text in (
            (["server", "drain", "db1"], 2, "Give GROUP/SERVER"),
            (["server", "drain", "main/db1", "--timeout", "soon"], 2, "'soon' must be a duration"),
            (["server", "list"], 1, "no router answers at 127.0.0.1:"),
            (["group", "pause"], 1, "no router answers at 127.0.0.1:"),
        ):
            result = router("--config", str(path), *words)
            assert (result.returncode, result.stdout) == (status, "")
            assert text in result.stderr


@pytest.fixture(scope="module")
def running(mariadb_set: ReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """A router of two workers, with a client that is in a transaction."""
    directory = tmp_path_factory.mktemp("running")
    settings = settings_for(mariadb_set, directory) | {"workers": 2}
    settings["admin"] = {"http": f"127.0.0.1:{free_port()}", "users": {"ops": {"password": "o"}}}
    with RouterProcess(settings, directory / "routes.yaml") as process:
        process.said("ready")
        with process.connect() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 12345")
            yield process


def test_status(running: RouterProcess) -> None:
    result = router("status", "--config", str(running.file))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("ready  up ")
    assert "2 workers" in result.stdout
    assert [line.split()[:3] for line in result.stdout.splitlines() if line.strip().startswith("main/")] == [
        ["main/primary", "primary", "up"],
        ["main/replica1", "replica", "up"],
        ["main/replica2", "replica", "up"],
    ]
    told = json.loads(router("status", "--json", "--config", str(running.file)).stdout)
    assert (told["ready"], told["reason"], told["workers"], told["clients"]) == (True, None, 2, 1)


def test_status_of_one_that_cannot_serve(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    settings = {
        "listeners": ["127.0.0.1:0"],
        "admin": {"http": f"127.0.0.1:{free_port()}"},
        "groups": {"main": {"servers": ["127.0.0.1:1"]}},
        "users": {"app": {"password": "x"}},
    }
    with RouterProcess(settings, file) as process:
        process.said("ready")
        result = router("status", "--config", str(file))
        assert result.returncode == 1
        assert "not ready: no server of group 'main' answers" in result.stdout
    result = router("status", "--config", str(file))
    assert (result.returncode, result.stdout) == (1, "")
    assert "no router answers at 127.0.0.1" in result.stderr


def test_top(running: RouterProcess) -> None:
    result = router("top", "--once", "--interval", "200ms", "--config", str(running.file), env={"COLUMNS": "140"})
    assert result.returncode == 0, result.stderr
    assert "1 clients" in result.stdout
    assert "in transaction" in result.stdout
    assert router("top", "--interval", "soon", "--config", str(running.file)).returncode == 2


def test_top_in_a_terminal_goes_on_until_it_is_interrupted(running: RouterProcess) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "router", "top", "--interval", "100ms", "--config", str(running.file)]
    with subprocess.Popen(command, stdout=theirs, stdin=theirs, stderr=subprocess.PIPE, cwd=ROOT) as process:
        os.close(theirs)
        text = b""
        while text.count(b"statements/s") < 6:  # twice on each of three screens
            text += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        # It leaves the screen as it was.
        while b"\x1b[?1049l" not in text:
            text += os.read(ours, 65536)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, b"")
    os.close(ours)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("router sta", ["status"]),
        ("router server drain --config {file} main/b", ["main/b"]),
        ("router --config {file} group pause ", ["main", "other"]),
        ("router server drain --config {file}.gone ", []),
    ],
)
def test_the_shell_completes_commands_and_names(words: str, expected: list[str], tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(
        "groups: {main: {servers: [{name: a, address: a:1}, {name: b, address: b:1}]}, other: {servers: [c:1]}}\n"
        "users: {app: {password: x}}\nschemas: {s: {group: main}}\n"
    )
    given = words.format(file=file)
    env = {"_ROUTER_COMPLETE": "complete_bash", "COMP_WORDS": given, "COMP_CWORD": str(len(given.split(" ")) - 1)}
    command = [str(Path(sys.executable).with_name("router"))]
    result = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout.split(), result.stderr) == (expected, "")
