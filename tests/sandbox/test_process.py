"""Processes, ports and directories: nothing outlives its owner, and nobody sees a half-made thing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from router.sandbox.process import (
    SandboxError,
    free_port,
    made_once,
    remove_directory,
    run,
    scratch_directory,
    spawn,
    stop_process,
)
from router.sandbox.replica_set import wait_until

PARENT = """
import sys
from pathlib import Path
from router.sandbox.process import scratch_directory, spawn
directory = scratch_directory(Path(sys.argv[1]))
child = spawn(["sleep", "600"])
print(child.pid, directory, flush=True)
sys.stdin.read()
"""


def start_parent(base: Path) -> tuple[subprocess.Popen[str], int, Path]:
    """A process that owns a child and a directory; returns it with both."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid, directory = parent.stdout.readline().split()
    parent.stdout.close()
    return parent, int(pid), Path(directory)


def gone(pid: int) -> bool:
    """True when a process ended, reaped or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_die_with_their_parent_however_it_ends(tmp_path: Path, deadly: signal.Signals) -> None:
    parent, child, directory = start_parent(tmp_path)
    assert not gone(child)
    assert directory.is_dir()
    with parent:
        parent.send_signal(deadly)
    wait_until(lambda: gone(child), 20, "the end of the child")
    # What a killed process could not tidy up, the next one does.
    mine = scratch_directory(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]
    remove_directory(mine)
    assert list(tmp_path.iterdir()) == []


def test_directories_of_the_living_are_left_alone(tmp_path: Path) -> None:
    parent, _, directory = start_parent(tmp_path)
    with parent:
        remove_directory(scratch_directory(tmp_path))
        assert directory.is_dir()
        assert parent.stdin is not None
        parent.stdin.close()
        parent.wait(10)
    assert not directory.exists()


def test_a_process_started_by_a_thread_outlives_the_thread() -> None:
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: started.append(spawn(["sleep", "600"])))
    thread.start()
    thread.join()
    [child] = started
    assert child.poll() is None
    assert os.getsid(child.pid) == os.getsid(0)
    assert os.getpgid(child.pid) == child.pid
    assert stop_process(child) == -signal.SIGTERM


def test_a_deaf_process_is_killed() -> None:
    child = spawn(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    assert stop_process(child, grace=0.1) == -signal.SIGKILL


def test_a_program_that_does_not_exist_is_named() -> None:
    with pytest.raises(SandboxError, match="there is no program /nonexistent"):
        spawn(["/nonexistent"])


def test_free_ports_are_free_and_below_those_of_outgoing_connections() -> None:
    port = free_port()
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    assert 1024 < port < lowest
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


def test_two_processes_do_not_get_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = "import sys; from router.sandbox import free_port; print(free_port(), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs, ours = int(other.stdout.readline()), free_port()
        drawn = iter([theirs, ours, theirs + 1, theirs + 2])
        monkeypatch.setattr("router.sandbox.process._random.randint", lambda *_: next(drawn))
        assert free_port() not in (theirs, ours)


def test_a_failed_program_shows_the_end_of_its_output() -> None:
    with pytest.raises(SandboxError, match=r"the thing failed with status 3\n    one\n    two"):
        run(["sh", "-c", "echo one; echo two; exit 3"], timeout=5, what="the thing")
    with pytest.raises(SandboxError, match=r"the thing took longer than 0.2 s\n    begun"):
        run(["sh", "-c", "echo begun; exec sleep 60"], timeout=0.2, what="the thing")


def test_a_thing_is_made_once_however_many_ask(tmp_path: Path) -> None:
    made: list[Path] = []
    inside = threading.Event()
    may_finish = threading.Event()

    def make(directory: Path) -> None:
        made.append(directory)
        inside.set()
        may_finish.wait(10)
        (directory / "content").write_text("whole", encoding="ascii")

    target = tmp_path / "template"
    results: list[str] = []

    def ask() -> None:
        results.append((made_once(target, make) / "content").read_text(encoding="ascii"))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert inside.wait(10)
    assert not target.exists()
    may_finish.set()
    for thread in threads:
        thread.join(10)
    assert results == ["whole"] * 3
    assert len(made) == 1


def test_a_failed_making_leaves_nothing(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise SandboxError("no")

    with pytest.raises(SandboxError, match="no"):
        made_once(tmp_path / "template", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["template.lock"]
