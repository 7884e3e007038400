"""KILL on a server: one at a time, and never in the way of an error."""

from __future__ import annotations

from router.backend.connection import Capture
from router.backend.connector import BackendUser
from router.cluster.topology import Server
from router.config.models import Server as ServerConfig
from router.engine.kill import Killer
from router.errors import BackendUnavailable
from router.metrics import Counters
from tests.fakes import USER, FakeConnector, make_pool, new_connection, query, quiet, virtually


class RefusingConnector(FakeConnector):
    """A server on which every KILL fails."""

    async def kill(self, user: BackendUser, thread_id: int, *, query_only: bool) -> None:
        raise BackendUnavailable("Unknown thread id: 7")


def server_with(connector: FakeConnector) -> Server:
    pool, _ = make_pool(connector)
    return Server(ServerConfig.model_validate("db.example:3306"), pool, "main")


@virtually
async def test_a_query_is_killed_once() -> None:
    connector = FakeConnector()
    server = server_with(connector)
    killer = Killer(USER, Counters())
    told: list[str] = []
    connection = new_connection(thread_id=7)
    assert not killer.end_statement(connection, server, lambda: told.append("nothing runs"))
    assert not killer.end_statement(None, None, lambda: told.append("nothing is there"))
    connection.send(Capture(lambda payload, error: None), query("SELECT 1"))
    assert killer.end_statement(connection, server, lambda: told.append("first"))
    assert killer.end_statement(connection, server, lambda: told.append("second"))
    assert connection.generation != server.pool.generation, "nobody else may have it"
    assert killer.pending
    assert told == ["second"], "the first only when it is done"
    await quiet()
    assert told == ["second", "first"]
    assert connector.killed == [(7, True)]
    assert not killer.pending


@virtually
async def test_a_connection_is_killed() -> None:
    connector = FakeConnector()
    killer = Killer(USER, Counters())
    killer.kill_connection(server_with(connector), 7)
    assert not killer.pending
    await quiet()
    assert connector.killed == [(7, False)]


@virtually
async def test_a_kill_that_fails_is_counted_and_over() -> None:
    counters = Counters()
    killer = Killer(USER, counters)
    told: list[str] = []
    connection = new_connection()
    connection.send(Capture(lambda payload, error: None), query("SELECT 1"))
    killer.end_statement(connection, server_with(RefusingConnector()), lambda: told.append("done"))
    await quiet()
    assert told == ["done"]
    assert not killer.pending
    assert counters.errors["router", 1094] == 1
