"""``python -m tests.guards``: takes every guard of ``traps.yaml`` out of the code and runs the tests that must notice.

A guard is a line of ours against a trap that other routers fell into. It is taken out in a copy of the code, one at a
time, and each of its tests must then fail: a guard that nobody misses is either not tested or not needed.

Starting an interpreter and importing what the code needs takes longer than most of these tests. One process in the copy
therefore imports the libraries, but nothing of ours, and forks for every guard.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import importlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[1]
# One guard's tests, in seconds: without and with servers.
PATIENCE, PATIENCE_WITH_SERVERS = 60, 150
_COPIED = ("router", "tests", "config", "pyproject.toml")
# Fixtures that import nearly everything, and checks that no test here is about.
_SPARED = [
    "-p",
    "no:tests.fix_router",
    "-p",
    "no:tests.fix_servers",
    "-p",
    "no:unraisableexception",
    "-p",
    "no:threadexception",
]
_LEFT_OUT = shutil.ignore_patterns("node_modules", "target", ".hypothesis", "__pycache__")
_LIBRARIES = (
    "_hypothesis_pytestplugin",
    "aiohttp.web",
    "aiomysql",
    "cryptography.x509",
    "hypothesis.strategies",
    "nacl.bindings",
    "pdb",
    "prometheus_client",
    "pydantic.dataclasses",
    "pydantic.json_schema",
    "pydantic.main",
    "pydantic.plugin._loader",
    "pymysql",
    "pytest",
    "pytest_asyncio.plugin",
    "pytest_timeout",
    "rich.table",
    "ruamel.yaml",
    "sqlglot.dialects.mysql",
    "structlog",
    "typer",
    "uvloop",
    "zstandard",
)


@dataclass(frozen=True, slots=True)
class Edit:
    """How a guard is taken out: ``old``, which stands once in ``file``, becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Guard:
    """``what`` the code does against ``trap``; ``tests`` are names for pytest; ``servers``: they need real ones."""

    trap: int
    what: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    servers: bool

    @property
    def name(self) -> str:
        """A short name for reports."""
        return f"{self.trap}: {self.what}"


@functools.cache
def table() -> list[dict[str, Any]]:
    """``traps.yaml`` as it is written."""
    from ruamel.yaml import YAML

    return list(YAML(typ="safe").load((ROOT / "tests/traps.yaml").read_text(encoding="utf-8")))


def guards() -> list[Guard]:
    """All guards, in the order of the table."""
    return [_guard(int(row["trap"]), entry) for row in table() for entry in row.get("guards", ())]


def _guard(trap: int, entry: dict[str, Any]) -> Guard:
    edits = [entry, *entry.get("and", ())]
    return Guard(
        trap,
        entry["what"],
        tuple(Edit(str(edit.get("file", entry["file"])), edit["old"], edit["new"]) for edit in edits),
        tuple(entry.get("tests", ())),
        bool(entry.get("servers")),
    )


class Workshop:
    """A copy of the code in which guards are taken out; a context manager."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="guards-"))
        self._process: subprocess.Popen[str] | None = None
        self._clock = 1

    def __enter__(self) -> Workshop:
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.place / name, ignore=_LEFT_OUT)
            else:
                shutil.copy2(source, self.place / name)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.guards", "--forks"],
            cwd=self.place,
            env={**os.environ, "PYTHONPATH": str(self.place), "PYTHONDONTWRITEBYTECODE": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(BrokenPipeError):
                process.communicate(timeout=PATIENCE)
        shutil.rmtree(self.place, ignore_errors=True)

    def outcomes(self, tests: Sequence[str], patience: int, *, servers: bool = False) -> dict[str, str]:
        """Run ``tests`` in the copy as it is: name → passed, failed, skipped or error; "" → what went wrong at all."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        options = [] if servers else _SPARED
        process.stdin.write(json.dumps([patience, [*options, *(["-x"] if len(tests) == 1 else []), *tests]]) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, "the process in the copy has ended"
        found: dict[str, str] = json.loads(answer)
        return found

    def without(self, guard: Guard) -> list[str]:
        """Take ``guard`` out and run its tests: what is wrong with that, nothing if every one of them fails."""
        with self._taken_out(guard):
            patience = PATIENCE_WITH_SERVERS if guard.servers else PATIENCE
            found = self.outcomes(guard.tests, patience, servers=guard.servers)
        problems = [found[""]] if "" in found else []
        for test in guard.tests:
            results = {result for node, result in found.items() if node == test or node.startswith(f"{test}[")}
            if "failed" not in results:
                problems.append(f"{test}: {', '.join(sorted(results)) or 'was not run'}")
        return problems

    @contextlib.contextmanager
    def _taken_out(self, guard: Guard) -> Iterator[None]:
        paths = [self.place / edit.file for edit in guard.edits]
        before = {path: (path.read_text(encoding="utf-8"), path.stat().st_mtime) for path in paths}
        try:
            for path, edit in zip(paths, guard.edits, strict=True):
                self._write(path, path.read_text(encoding="utf-8").replace(edit.old, edit.new))
            yield
        finally:
            for path, (text, modified) in before.items():
                self._write(path, text, modified)
            # What property tests have found there is not to be tried on the others.
            shutil.rmtree(self.place / ".hypothesis", ignore_errors=True)

    def _write(self, path: Path, text: str, modified: float | None = None) -> None:
        """Python knows what it has compiled by the second of the last change: every change gets one of its own."""
        path.write_text(text, encoding="utf-8")
        self._clock += 1
        os.utime(path, (0, self._clock if modified is None else modified))


# --- in the copy ------------------------------------------------------------------------------------------------------


class _Recorder:
    """A pytest plugin: the outcome of every test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            outcome = "error" if report.when != "call" and report.failed else report.outcome
            if self.outcomes.get(report.nodeid) != "failed":
                self.outcomes[report.nodeid] = outcome

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.outcomes[""] = f"cannot be collected: {str(report.longrepr)[-1500:]}"


def _forks() -> None:
    """Serve ``Workshop``: a line of JSON says what pytest is to run, a line of JSON answers."""
    from _pytest.config import builtin_plugins

    for library in (*_LIBRARIES, *(f"_pytest.{plugin}" for plugin in sorted(builtin_plugins))):
        importlib.import_module(library)
    # A child does not live long enough to gain from looking for what can be freed.
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        patience, arguments = json.loads(line)
        inward, outward = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(inward)
                with os.fdopen(outward, "w") as answer:
                    json.dump(_run(arguments), answer)
            finally:
                os._exit(0)
        os.close(outward)
        print(_answer_of(child, inward, patience), flush=True)


def _answer_of(child: int, pipe: int, patience: int) -> str:
    """The outcomes, as JSON. Code without its guard may run for ever, and take all the memory."""
    parts = []
    deadline = time.monotonic() + patience
    late = False
    with os.fdopen(pipe, "rb", buffering=0) as answer:
        while True:
            late = not select.select([answer], [], [], max(0.0, deadline - time.monotonic()))[0]
            part = b"" if late else answer.read(1 << 16)
            if not part:
                break
            parts.append(part)
    if late:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if late:
        return json.dumps({"": f"took longer than {patience} s"})
    return b"".join(parts).decode() or json.dumps({"": "died"})


def _run(arguments: list[str]) -> dict[str, str]:
    import pytest

    # What pytest prints is of no interest, and standard output is the answer's.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    recorder = _Recorder()
    early = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of libraries that are imported already
    pytest.main([*early, "-p", "no:xdist", "--tb=no", "--no-header", *arguments], plugins=[recorder])
    return recorder.outcomes


# --- by hand ----------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Take out every guard, those whose tests need servers too; 1 when one of them is not missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.guards", description=__doc__)
    parser.add_argument("--forks", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("pattern", nargs="?", default="", help="only guards whose name matches, such as '^3:' or KILL")
    options = parser.parse_args(arguments)
    if options.forks:
        _forks()
        return 0
    chosen = [guard for guard in guards() if re.search(options.pattern, guard.name, re.IGNORECASE)]
    began = time.monotonic()
    with Workshop() as workshop:
        unnoticed = _untouched(workshop, chosen)
        for guard in chosen:
            problems = workshop.without(guard)
            print(f"{'NOT MISSED' if problems else 'missed':10} {guard.name}", flush=True)
            unnoticed += bool(problems)
            for problem in problems:
                print(f"           {problem}")
    print(f"{len(chosen)} guards taken out, {unnoticed} problems, {time.monotonic() - began:.0f} s")
    return 1 if unnoticed else 0


def _untouched(workshop: Workshop, chosen: Sequence[Guard]) -> int:
    """Run the tests of all guards while those are there; how many do not pass."""
    tests = sorted({test for guard in chosen for test in guard.tests})
    found = workshop.outcomes(tests, 10 * PATIENCE_WITH_SERVERS, servers=any(guard.servers for guard in chosen))
    wrong = [f"{name or 'all'}: {outcome}" for name, outcome in found.items() if outcome != "passed"]
    for line in wrong:
        print(f"with all guards: {line}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
