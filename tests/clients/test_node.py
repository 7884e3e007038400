"""node: mysql2 and mariadb; the programs are ``node/mysql2.js`` and ``node/mariadb.js``."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.clients.programs import running
from tests.clients.ways import Ways, missing, program

DIRECTORY = Path(__file__).parent / "node"
INSTALL_TIMEOUT = 120.0


@pytest.fixture(scope="session")
def node() -> str:
    """Path of node, with the packages of ``package-lock.json`` installed."""
    found = program("node")
    installed = DIRECTORY / "node_modules" / ".installed"
    locked = hashlib.sha256((DIRECTORY / "package-lock.json").read_bytes()).hexdigest()
    with (DIRECTORY / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_text(encoding="ascii") != locked:
            install(program("npm"))
            installed.write_text(locked, encoding="ascii")
    return found


def install(npm: str) -> None:
    """What ``package-lock.json`` says, without running anybody's scripts."""
    command = [npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        subprocess.run(command, cwd=DIRECTORY, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=True)
    except subprocess.TimeoutExpired:
        missing(f"npm ci did not end in {INSTALL_TIMEOUT:g} s")
    except subprocess.CalledProcessError as error:
        missing(f"npm ci could not install the drivers: {error.stderr.strip()[-500:]}")


@pytest.mark.parametrize("driver", ["mysql2", "mariadb"])
def test_node(ways_to_primary: Ways, node: str, driver: str, tmp_path: Path) -> None:
    ways_to_primary.compare(running([node, str(DIRECTORY / f"{driver}.js")], tmp_path))
