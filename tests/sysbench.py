"""sysbench's mix of reads and writes through the router; without the program tests are skipped, in CI they fail."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

_OPTIONS = {
    "db-driver": "mysql",
    "mysql-host": "127.0.0.1",
    "mysql-user": "app",
    "mysql-ssl": "off",
    "tables": "2",
    "threads": "4",
}


def command(port: int, password: str, database: str, *arguments: str, **options: str) -> list[str]:
    """The command line of oltp_read_write; ``options`` with underscores for hyphens, ``arguments`` as they are."""
    program = shutil.which("sysbench")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("sysbench is not installed, and CI must have it", pytrace=False)
        pytest.skip("sysbench is not installed")
    place = {"mysql-port": str(port), "mysql-password": password, "mysql-db": database}
    chosen = _OPTIONS | place | {name.replace("_", "-"): value for name, value in options.items()}
    return [program, "oltp_read_write", *(f"--{name}={value}" for name, value in chosen.items()), *arguments]


def run(line: list[str], timeout: float) -> str:
    """What a command line printed; a failure shows all of that."""
    done = subprocess.run(line, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
