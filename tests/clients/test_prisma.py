"""Prisma without engines: its client with the adapter for the driver mariadb; the program is ``prisma/scenario.js``.

``prisma generate`` wants to fetch a schema engine that generating has no use for: it is told of another program.
Tables are made by hand, as migrations would need that engine.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.programs import install_node_packages, running
from tests.clients.ways import Ways, program

DIRECTORY = Path(__file__).parent / "prisma"
NEEDED = (20, 19)


@pytest.fixture(scope="session")
def node() -> str:
    """Path of node, with Prisma installed and its client generated."""
    found = program("node")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    if tuple(map(int, told.strip().lstrip("v").split(".")[:2])) < NEEDED:
        pytest.skip(f"Prisma needs node {NEEDED[0]}.{NEEDED[1]}, here is {told.strip()}")
    generate = [found, "node_modules/prisma/build/index.js", "generate", "--schema", "schema.prisma", "--no-hints"]
    no_engine = {**os.environ, "PRISMA_SCHEMA_ENGINE_BINARY": program("true"), "CHECKPOINT_DISABLE": "1"}
    install_node_packages(DIRECTORY, generate, environment=no_engine)
    return found


def test_prisma(ways_to_primary: Ways, node: str, tmp_path: Path) -> None:
    ways_to_primary.compare(running([node, str(DIRECTORY / "scenario.js")], tmp_path))
