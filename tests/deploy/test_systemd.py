"""The unit of systemd, by systemd's own checks."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.ways import program
from tests.deploy.tools import DEPLOY

UNIT = DEPLOY / "systemd/router.service"
TEXT = UNIT.read_text(encoding="utf-8")
PROGRAM = "/opt/router/bin/router"
# On a scale up to 10; what is left is that it uses the network.
EXPOSURE = 1.5


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        [program("systemd-analyze"), *arguments], capture_output=True, text=True, timeout=60, env={"LC_ALL": "C.UTF-8"}
    )
    return done.stdout + done.stderr


def settings() -> dict[str, str]:
    """The last value of each."""
    return dict(re.findall(r"^(\w+)=(.*)$", TEXT, re.MULTILINE))


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit for a program that is there."""
    path = tmp_path / "router.service"
    path.write_text(TEXT.replace(PROGRAM, "/bin/true"), encoding="utf-8")
    return path


def test_systemd_has_nothing_to_say_against_it(unit: Path) -> None:
    assert analyze("verify", str(unit)) == ""


def test_mistakes_would_be_told(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("LockPersonality", "LockPersonalty"), encoding="utf-8")
    assert "LockPersonalty" in analyze("verify", str(unit))


def test_little_is_exposed(unit: Path) -> None:
    told = analyze("security", "--offline=true", str(unit))
    found = re.search(r"Overall exposure level for router.service: ([\d.]+)", told)
    assert found, told
    assert float(found[1]) <= EXPOSURE, told


def test_it_is_what_the_router_does() -> None:
    found = settings()
    assert found["Type"] == "notify"
    assert found["WatchdogSec"]
    assert found["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert found["RestartPreventExitStatus"] == "78"
    assert found["ExecStart"].startswith(f"{PROGRAM} run --config ")
    # The metrics of the process read /proc/stat.
    assert "ProcSubset" not in found
