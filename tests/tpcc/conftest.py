"""One server of each kind for these loads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.sandbox import Flavor, ReplicaSet
from tests.fix_servers import FLAVORS, start_or_skip


@pytest.fixture(scope="session", params=FLAVORS)
def server(request: pytest.FixtureRequest) -> Iterator[ReplicaSet]:
    """A primary alone; who waits for a lock gives up soon."""
    flavor: Flavor = request.param
    with start_or_skip(flavor, replicas=0, tls=False) as servers:
        servers.primary.execute("SET GLOBAL innodb_lock_wait_timeout = 3")
        yield servers
