"""node: mysql2 and mariadb; the programs are ``node/mysql2.js`` and ``node/mariadb.js``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.programs import install_node_packages, running
from tests.clients.ways import Ways, program

DIRECTORY = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node() -> str:
    """Path of node, with the packages of ``package-lock.json`` installed."""
    found = program("node")
    install_node_packages(DIRECTORY)
    return found


@pytest.mark.parametrize("driver", ["mysql2", "mariadb"])
def test_node(ways_to_primary: Ways, node: str, driver: str, tmp_path: Path) -> None:
    ways_to_primary.compare(running([node, str(DIRECTORY / f"{driver}.js")], tmp_path))
