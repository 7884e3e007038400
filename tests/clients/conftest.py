"""Fixtures of the client tests: a router as an application would find it, and both ways to the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiomysql.connection
import pytest
from pymysql.converters import escape_bytes

from router.sandbox import ReplicaSet
from tests.clients.ways import Ways
from tests.fix_router import RunningRouter, settings_for


@pytest.fixture(scope="module")
def ways(server_set: ReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    """Reads go to replicas: a scenario calls ``settle`` between a write and an autocommitted read."""
    yield from _ways(server_set, tmp_path_factory)


@pytest.fixture(scope="module")
def ways_to_primary(server_set: ReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    """Everything goes to the primary: for programs that read their own writes."""
    yield from _ways(server_set, tmp_path_factory, reads={"from": "primary"})


def _ways(servers: ReplicaSet, directories: pytest.TempPathFactory, **group: Any) -> Iterator[Ways]:
    settings = settings_for(servers, directories.mktemp("clients"), **group)
    assert servers.certificates is not None
    tls = {"certificate": str(servers.certificates.certificate), "key": str(servers.certificates.key)}
    # TLS is offered, as servers do: clients that prefer it use it both ways.
    settings["listeners"] = [{"address": "127.0.0.1:0", "tls": tls}]
    router = RunningRouter(settings)
    router.password = servers.app_password
    with router:
        yield Ways.to(servers, router)


@pytest.fixture
def aiomysql_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiomysql 0.3 cannot escape ``bytes``: PyMySQL 1.2 has left it a placeholder of the function it uses for that."""
    monkeypatch.setattr(aiomysql.connection, "escape_bytes_prefixed", escape_bytes)
