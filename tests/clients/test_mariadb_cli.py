"""The mariadb command line client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.clients import cli
from tests.clients.ways import Step, Way, Ways, program


@pytest.fixture(scope="module")
def client() -> cli.Client:
    """The program, or a skip."""
    return cli.Client([program("mariadb")])


@pytest.mark.parametrize("scenario", cli.SCENARIOS)
def test_scenario(ways: Ways, client: cli.Client, scenario: Callable[..., Iterator[Step]]) -> None:
    ways.compare(partial(scenario, client))


def test_sources(ways: Ways, client: cli.Client, tmp_path: Path) -> None:
    ways.compare(partial(cli.sources, client, tmp_path))


def test_tls(ways: Ways, client: cli.Client) -> None:
    def scenario(way: Way) -> Iterator[Step]:
        yield "verified", client.run(way, "--ssl-verify-server-cert", f"--ssl-ca={way.ca}", "-e", "SELECT 1")
        yield "encrypted", client.run(way, "--ssl", "-e", "SELECT 1")

    ways.compare(scenario)
