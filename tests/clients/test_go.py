"""go-sql-driver/mysql by way of database/sql; the program is ``go/main.go``."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.programs import build, running
from tests.clients.ways import Ways, missing, program

DIRECTORY = Path(__file__).parent / "go"
BUILD_TIMEOUT = 110.0


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program, built; Go keeps modules and what it compiled in caches of its own."""
    go = program("go")
    needed, present = go_version((DIRECTORY / "go.mod").read_text(encoding="ascii")), go_version(version_of(go))
    if present < needed:
        pytest.skip(f"the driver needs Go {needed[0]}.{needed[1]}, here is {present[0]}.{present[1]}")
    target = tmp_path_factory.mktemp("go") / "scenario"
    command = [go, "build", "-mod=readonly", "-buildvcs=false", "-o", str(target), "."]
    if problem := build(command, DIRECTORY, BUILD_TIMEOUT, {**os.environ, "CGO_ENABLED": "0"}):
        missing(problem)
    return str(target)


def version_of(go: str) -> str:
    """What ``go version`` says, in the form of a line of go.mod."""
    told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=30, check=True).stdout
    return told.replace("go", "go ", 1)


def go_version(text: str) -> tuple[int, int]:
    """The version that a line such as ``go 1.24.0`` names."""
    found = re.search(r"^go (\d+)\.(\d+)", text, re.MULTILINE)
    assert found, text
    return int(found[1]), int(found[2])


@pytest.mark.slow
def test_go_sql_driver(ways_to_primary: Ways, binary: str, tmp_path: Path) -> None:
    ways_to_primary.compare(running([binary], tmp_path))
