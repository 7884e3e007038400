"""The mysql command line client of MySQL 9.7: it asks every server what it makes of ``select $$``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.clients import cli
from tests.clients.ways import Step, Way, Ways, mysql_tree


@pytest.fixture(scope="module")
def client() -> cli.Client:
    """The program, or a skip."""
    tree = mysql_tree()
    # MariaDB knows only the old passwords, for which this client wants a plugin; commands such as `source` are off
    # unless asked for.
    return cli.Client(tree.mysql, f"--plugin-dir={tree.plugins}", "--commands")


@pytest.mark.parametrize("scenario", cli.SCENARIOS)
def test_scenario(ways: Ways, client: cli.Client, scenario: Callable[..., Iterator[Step]]) -> None:
    ways.compare(partial(scenario, client))


def test_sources(ways: Ways, client: cli.Client, tmp_path: Path) -> None:
    ways.compare(partial(cli.sources, client, tmp_path))


def test_tls(ways: Ways, client: cli.Client) -> None:
    def scenario(way: Way) -> Iterator[Step]:
        for mode in ("DISABLED", "REQUIRED", "VERIFY_IDENTITY"):
            yield (
                mode,
                client.run(
                    way, f"--ssl-mode={mode}", f"--ssl-ca={way.ca}", "--get-server-public-key", "-e", "SELECT 1"
                ),
            )

    ways.compare(scenario)
