"""A stage of each kind of server for the differential tests, and the counts at their end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import Flavor
from tests.differential.stage import Stage, build
from tests.fix_router import RunningRouter
from tests.fix_servers import FLAVORS, start_or_skip


@pytest.fixture(scope="session", params=FLAVORS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server with the same rows in one database and over 1, 2 and 4 shards, and a router."""
    flavor: Flavor = request.param
    routers: list[RunningRouter] = []

    def start(settings: dict[str, Any]) -> RunningRouter:
        router = RunningRouter(settings)
        router.password = str(settings["users"]["app"]["password"])
        routers.append(router)
        return router.__enter__()

    directory: Path = tmp_path_factory.mktemp("differential")
    with start_or_skip(flavor, replicas=0, tls=False) as servers:
        made = build(flavor, servers, directory, start)
        yield made
        for count, tally in made.tallies.items():
            if tally.outcomes:
                print(f"\n{flavor}, {count} shards, all files: {tally}")
        for router in routers:
            router.stop()
