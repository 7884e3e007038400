"""Processes, ports and directories of the sandbox.

The goal is that nothing outlives us: a server we start gets SIGKILL from the kernel when our process ends, however it
ends, and a directory whose owner is gone is removed by the next sandbox that starts.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import fcntl
import os
import queue
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

from router.errors import RouterError

_PREFIX = "mqr-"
_LOCK = ".owner"
# A unix socket path must fit into 108 bytes (unix(7)); what is left is for the server's own folder and file name.
_LONGEST_PARENT = 60


class SandboxError(RouterError):
    """A private server could not be started or did not do what was asked; the text ends with its error log."""


class SandboxUnavailable(SandboxError):
    """A program the sandbox needs is not on this machine; the text says what to install."""


# --- processes --------------------------------------------------------------------------------------------------------

_Job = tuple[Callable[[], "subprocess.Popen[bytes]"], "Future[subprocess.Popen[bytes]]"]
_jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
_starter: tuple[int, threading.Thread] | None = None
_starter_lock = threading.Lock()
# We may have died before the death signal was asked for, and then it never comes (prctl(2)).
_UNLESS_ORPHANED = ["sh", "-c", 'test "$PPID" = "$0" || exit 1; exec "$@"']


def spawn(
    argv: Sequence[str],
    *,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | int | None = None,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that the kernel kills when this process ends.

    It stays in our session (and so in our scheduling group) but gets a process group of its own: Ctrl-C in the
    terminal reaches us, who then stop it in order.

    The kernel ties the death signal to the *thread* that forked (prctl(2), PR_SET_PDEATHSIG). All processes are
    therefore started by one thread that lives as long as the process, whichever thread asks.

    Raises SandboxError when there is no such program.
    """
    if shutil.which(argv[0]) is None:
        raise SandboxError(f"there is no program {argv[0]}")
    setpriv = shutil.which("setpriv")
    wrapped = [setpriv, "--pdeathsig", "KILL", "--", *_UNLESS_ORPHANED, str(os.getpid()), *argv] if setpriv else argv

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            wrapped, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=cwd, env=env, process_group=0
        )

    future: Future[subprocess.Popen[bytes]] = Future()
    _ensure_starter()
    _jobs.put((start, future))
    return future.result(timeout=30)


def _ensure_starter() -> None:
    global _starter
    with _starter_lock:
        if _starter is None or _starter[0] != os.getpid():
            thread = threading.Thread(target=_start_processes, name="sandbox-starter", daemon=True)
            thread.start()
            _starter = (os.getpid(), thread)


def _start_processes() -> None:
    while True:
        job, future = _jobs.get()
        try:
            future.set_result(job())
        except OSError as error:
            future.set_exception(error)


def stop_process(process: subprocess.Popen[bytes], grace: float = 10.0) -> int:
    """Ask a process to end (SIGTERM), kill it after ``grace`` seconds, return its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(10)


def wait_ready(
    process: subprocess.Popen[bytes], port: int, *, name: str, log: Path, url: str | None = None, timeout: float = 20.0
) -> None:
    """Wait until a process listens on 127.0.0.1:``port`` and, if ``url`` is given, answers it with status 200.

    Raises SandboxError with the end of its ``log`` when it ends or ``timeout`` seconds pass.
    """
    deadline = time.monotonic() + timeout
    while not (_listens(port) and (url is None or _answers(url))):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            what = f"ended with status {process.returncode}" if ended else f"was not ready after {timeout:g} s"
            text = log.read_text(encoding="utf-8", errors="replace")
            raise SandboxError(f"{name} {what}\n{last_lines(text, 12)}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as knock:
        knock.settimeout(1)
        return knock.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


def run(argv: Sequence[str], *, timeout: float, what: str) -> str:
    """Run a program to its end and return what it printed.

    Raises SandboxError with the end of that output when it fails or takes longer than ``timeout`` seconds.
    """
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace")
        raise SandboxError(f"{what} took longer than {timeout:g} s\n{last_lines(output)}") from error
    except OSError as error:
        raise SandboxError(f"{what} could not be started: {error}") from error
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise SandboxError(f"{what} failed with status {done.returncode}\n{last_lines(output)}")
    return output


def last_lines(text: str, count: int = 25) -> str:
    """The end of a log, indented, for an error message."""
    lines = text.strip().splitlines()[-count:]
    return "\n".join(f"    {line}" for line in lines)


# --- ports ------------------------------------------------------------------------------------------------------------


_random = random.SystemRandom()  # whoever seeds the shared generator in two processes would get the same ports in both
_claims: collections.deque[int] = collections.deque()  # open files
_MOST_CLAIMS = 32


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now and that was not given to anybody else just before.

    It lies below the range the kernel takes for outgoing connections (``ip_local_port_range``, from 32768): nobody's
    connection takes it before its server listens, nor while that server is down for a moment.
    """
    for _ in range(200):
        port = _random.randint(15000, 32000)
        if not _claimed(port):
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SandboxError("no free TCP port found between 15000 and 32000 on 127.0.0.1")


def _claimed(port: int) -> bool:
    """Whether the port is ours among all sandboxes here, until 32 others were claimed or this process ends."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0{_PREFIX}port-{port}")  # an abstract name (unix(7)): it leaves nothing behind
    except OSError:
        claim.close()
        return False
    _claims.append(claim.detach())
    if len(_claims) > _MOST_CLAIMS:
        os.close(_claims.popleft())
    return True


# --- directories ------------------------------------------------------------------------------------------------------

_held: dict[Path, IO[bytes]] = {}


def scratch_directory(parent: Path | None = None) -> Path:
    """Make a private directory for servers; it disappears when this process ends.

    A lock inside it tells the living from the dead: leftovers of processes that were killed are removed here.
    """
    base = parent or _temporary()
    base.mkdir(parents=True, exist_ok=True)
    _sweep(base)
    # Born under a name that the sweep does not look at, until the lock is held.
    unlocked = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=base))
    lock = (unlocked / _LOCK).open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    directory = unlocked.rename(base / unlocked.name.removeprefix("."))
    _held[directory] = lock
    return directory


def remove_directory(directory: Path) -> None:
    """Remove a directory made by ``scratch_directory``; its servers must be stopped."""
    lock = _held.pop(directory, None)
    if lock is not None:
        lock.close()
    shutil.rmtree(directory, ignore_errors=True)


def _temporary() -> Path:
    wanted = Path(tempfile.gettempdir())
    return wanted if len(str(wanted)) <= _LONGEST_PARENT else Path("/tmp")


def _sweep(base: Path) -> None:
    for directory in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (directory / _LOCK).open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)


@atexit.register
def _remove_scratch_directories() -> None:
    for directory in list(_held):
        remove_directory(directory)


def cache_directory() -> Path:
    """Where templates and unpacked packages are kept: ``$XDG_CACHE_HOME/mysql-query-router``."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        directory = (Path(base) if base else Path.home() / ".cache") / "mysql-query-router"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise SandboxError(f"no cache directory ({error}): set XDG_CACHE_HOME to a directory you can write") from error
    return directory


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; waits for the one who has it."""
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Return ``target``, making it with ``make(temporary directory)`` if it does not exist yet.

    Two processes may race: one makes it, the other waits. A half-made directory is never seen under the final name.
    """
    if target.exists():
        return target
    with file_lock(target.with_name(f"{target.name}.lock")):
        if target.exists():
            return target
        for leftover in target.parent.glob(f"{target.name}.part-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f"{target.name}.part-", dir=target.parent))
        try:
            make(part)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target
