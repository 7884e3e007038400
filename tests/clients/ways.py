"""Two ways to the same data, and the rule that a client must not see which one it took.

A scenario is a generator that works through a ``Way`` with some client library or program and yields what it saw,
step by step. ``Ways.compare`` runs it straight against the primary, then through the router, each time in the same
empty database, and wants equal steps. The direct run is the truth.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from router.sandbox import Flavor, MySQL97, ReplicaSet, SandboxUnavailable, mysql97

if TYPE_CHECKING:
    from tests.fix_router import RunningRouter

DATABASE = "clients"
ROOT = Path(__file__).parents[2]
LONG = 2000
SHOWN_DIFFERENCES = 8
PROGRAM_TIMEOUT = 60.0

Step = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Way:
    """Where a client connects to. ``through`` is ``direct`` or ``router``; ``ca`` verifies the certificate of both."""

    through: str
    port: int
    flavor: Flavor
    password: str
    ca: str
    settle: Callable[[], None] = field(repr=False)
    host: str = "127.0.0.1"
    user: str = "app"
    database: str = DATABASE

    def as_json(self) -> str:
        """All of it that another process can use."""
        names = ("through", "port", "flavor", "password", "ca", "host", "user", "database")
        return json.dumps({name: getattr(self, name) for name in names})


Scenario = Callable[[Way], Iterable[Step]]


@dataclass(frozen=True, slots=True)
class Ways:
    """Both ways to one replica set."""

    servers: ReplicaSet
    direct: Way
    router: Way

    @classmethod
    def to(cls, servers: ReplicaSet, router: RunningRouter) -> Ways:
        """The ways to ``servers``: its primary's port and the router's."""
        ways = [
            Way(
                through=through,
                port=port,
                flavor=servers.flavor,
                password=servers.app_password,
                ca=str(servers.certificates.ca) if servers.certificates else "",
                settle=servers.wait_for_replicas,
            )
            for through, port in (("direct", servers.primary.port), ("router", router.port))
        ]
        return cls(servers, *ways)

    def compare(self, scenario: Scenario) -> None:
        """Run the scenario both ways and compare what it yields, values with their types."""
        truth = self.run(self.direct, scenario)
        assert truth, "a scenario that sees nothing proves nothing"
        ours = self.run(self.router, scenario)
        pairs = enumerate(zip_longest(truth, ours))
        different = [(number, expected, actual) for number, (expected, actual) in pairs if expected != actual]
        assert not different, "".join(
            f"\nstep {number} differs\ndirect: {expected}\nrouter: {actual}"
            for number, expected, actual in different[:SHOWN_DIFFERENCES]
        )

    def run(self, way: Way, scenario: Scenario) -> list[tuple[str, str]]:
        """The scenario's steps in an empty database, as text that keeps types apart."""
        for name in (DATABASE, f"{DATABASE}_b"):
            self.servers.primary.execute(f"DROP DATABASE IF EXISTS {name}")
        self.servers.primary.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        way.settle()
        seen: list[tuple[str, str]] = []
        try:
            seen.extend((label, exact(value)) for label, value in scenario(way))
        except Exception as error:
            error.add_note(f"{way.through}, after step {seen[-1] if seen else 'none'}")
            raise
        return seen


def exact(value: Any) -> str:
    """``repr``, in which 1, True, '1' and Decimal('1') differ; the middle of long texts becomes a digest."""
    text = repr(value)
    if len(text) <= LONG:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{text[: LONG // 2]} … {len(text)} characters, sha256 {digest} … {text[-200:]}"


# --- clients that may be missing --------------------------------------------------------------------------------------


def missing(what: str) -> NoReturn:
    """Skip the test for want of a client; in CI, where everything must be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI must have it", pytrace=False)
    pytest.skip(what)


def library(name: str) -> ModuleType:
    """Import a driver."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing(f"no {name}: {error}")


def program(name: str) -> str:
    """Path of a program."""
    return shutil.which(name) or missing(f"{name} is not installed")


def mysql_tree() -> MySQL97:
    """The programs of MySQL 9.7."""
    try:
        return mysql97()
    except SandboxUnavailable as unavailable:
        missing(f"no MySQL 9.7: {unavailable}")


# --- programs ---------------------------------------------------------------------------------------------------------


def connect_options(way: Way, *, password: str | None = None) -> list[str]:
    """What every command line client of MySQL and MariaDB wants to hear first."""
    secret = way.password if password is None else password
    return [
        "--no-defaults",
        f"--host={way.host}",
        f"--port={way.port}",
        "--protocol=tcp",
        f"--user={way.user}",
        f"--password={secret}",
    ]


def run_program(
    command: Sequence[str], *, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a client program to its end with nothing of this machine's settings."""
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        timeout=PROGRAM_TIMEOUT,
        check=False,
        env={"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **(environment or {})},
    )


def python_program(module: str, way: Way) -> Iterator[Step]:
    """The steps that a module of ours prints as lines of JSON when it is run as a program for ``way``."""
    done = subprocess.run(
        [sys.executable, "-m", module, way.as_json()],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},  # a SET column prints the same way in both runs
        capture_output=True,
        text=True,
        timeout=PROGRAM_TIMEOUT,
        check=False,
    )
    yield from printed_steps(done.stdout)
    assert done.returncode == 0, done.stderr


def printed_steps(output: str) -> Iterator[Step]:
    """Lines of JSON, each a label and a value."""
    for line in output.splitlines():
        label, value = json.loads(line)
        yield label, value


def outcome_of(done: subprocess.CompletedProcess[bytes]) -> tuple[int, str, str]:
    """Exit code, output and error output."""
    return done.returncode, done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode("utf-8", "replace")


def lines(text: str) -> Iterator[str]:
    """The lines of an output that are not empty."""
    return (line for line in text.splitlines() if line.strip())
