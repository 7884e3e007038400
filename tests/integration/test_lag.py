"""Reads that may only be so old, while a replica is delayed on purpose: by a hint, by a rule, and over shards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from router.gateway import Gateway
from router.sandbox import ReplicaSet, Server
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark_all, statements_by_server
from tests.integration.bank import rows
from tests.integration.spread import spread

Start = Callable[[dict[str, Any]], RunningRouter]
DELAY = {
    "mysql": ("STOP REPLICA SQL_THREAD", "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {}", "START REPLICA SQL_THREAD"),
    "mariadb": ("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = {}", "START SLAVE"),
}
HINT = "/*+ router(max_lag=1500ms) */ "
# However late a replica is, it reads, unless a statement asks for less.
READS = {"consistency": "eventual", "max_lag": "any"}


@pytest.fixture
def late(server_set: ReplicaSet) -> Iterator[Server]:
    """The first replica, which applies what it gets an hour later; afterwards it does not any more."""
    yield server_set.replicas[0]
    _delay(server_set, 0)
    server_set.wait_for_replicas()


def _delay(servers: ReplicaSet, seconds: int) -> None:
    for sql in DELAY[servers.flavor]:
        servers.replicas[0].execute(sql.format(seconds))


def until_late(router: RunningRouter, servers: ReplicaSet, since: float) -> None:
    """Until the first replica is known to be two seconds behind what was written at ``since``, and the others have it.

    What it says before that is so old may be of an earlier write: a replica counts from what it has applied last.
    """
    written = servers.primary.gtids()
    for other in servers.replicas[1:]:
        assert other.wait_for_gtids(written, 20)
    _until(router, servers.replicas[0], lambda lag, at: at - since >= 2 and 2 <= lag < math.inf)


def until_near(router: RunningRouter, server: Server) -> None:
    """Until the router knows nothing any more of a delay that was there before."""
    _until(router, server, lambda lag, at: lag == 0)


def _until(router: RunningRouter, server: Server, wanted: Callable[[float, float], bool]) -> None:
    """Until what the router was told last, how far behind the server is and when that was, is as ``wanted``."""
    deadline = time.monotonic() + 20

    def told(gateway: Gateway) -> tuple[float, float]:
        (found,) = (each for each in gateway.topology.servers() if each.name == server.name)
        return found.lag or 0.0, found.lag_at

    while not wanted(*router.call(told)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def asked(servers: ReplicaSet, since: dict[str, int]) -> dict[str, int]:
    """How many counts each server was asked for."""
    seen = statements_by_server(servers, since)
    return {name: sum("COUNT(" in sql for sql in found) for name, found in seen.items()}


@pytest.mark.parametrize("way", ["hint", "rule"])
def test_only_replicas_that_are_near_enough_read(
    server_set: ReplicaSet, late: Server, fresh_database: str, tmp_path: Path, start_router: Start, way: str
) -> None:
    server_set.primary.execute(f"CREATE TABLE {fresh_database}.t (id INT PRIMARY KEY)")
    server_set.wait_for_replicas()
    settings = settings_for(server_set, tmp_path, reads=READS)
    settings["rules"] = [{"when": {"regex": "fresh"}, "send_to": {"role": "replica", "max_lag": "1500ms"}}]
    router = start_router(settings)
    _delay(server_set, 3600)
    since = time.monotonic()
    server_set.primary.execute(f"INSERT INTO {fresh_database}.t VALUES (1)")
    until_late(router, server_set, since)
    mark = HINT if way == "hint" else "/* fresh */ "
    before = mark_all(server_set)
    with router.connect(database=fresh_database) as connection:
        for _ in range(10):
            assert rows(connection, f"{mark}SELECT COUNT(*) FROM t") == [(1,)]
        assert asked(server_set, before) == {"primary": 0, late.name: 0, "replica2": 10}
        found = {rows(connection, "SELECT COUNT(*) FROM t")[0][0] for _ in range(10)}
        assert found == {0, 1}, "what asks for nothing goes to both"


@pytest.mark.parametrize("way", ["hint", "rule"])
def test_nor_do_others_read_for_statements_on_shards(
    server_set: ReplicaSet, late: Server, tmp_path: Path, start_router: Start, way: str
) -> None:
    tables = {"t": {"shard_by": "id", "function": "mod"}}
    columns = {"t": "id INT PRIMARY KEY"}
    with spread(server_set, tmp_path, "aged", ("aged_0", "aged_1"), "aged_truth", columns, tables) as settings:
        settings["groups"]["main"]["reads"] = READS
        settings["rules"] = [{"when": {"regex": "fresh"}, "send_to": {"role": "replica", "max_lag": "1500ms"}}]
        router = start_router(settings)
        _delay(server_set, 3600)
        with router.connect(database="aged") as connection:
            since = time.monotonic()
            rows(connection, "INSERT INTO t VALUES (0), (1), (2)")
            until_late(router, server_set, since)
            mark = HINT if way == "hint" else "/* fresh */ "
            before = mark_all(server_set)
            for number in range(6):
                assert rows(connection, f"{mark}SELECT COUNT(*) FROM t") == [(3,)]
                assert rows(connection, f"{mark}SELECT COUNT(*) FROM t WHERE id = {number % 3}") == [(1,)]
            assert asked(server_set, before) == {"primary": 0, late.name: 0, "replica2": 18}


@pytest.mark.parametrize(
    ("bound", "sql", "message"),
    [
        ("any", HINT + "SELECT 1", "no replica is known to be less than 1.5 s behind"),
        ("1500ms", "SELECT 1", r"its replicas are more than 1.5 s behind \(reads.max_lag\)"),
    ],
)
def test_while_there_is_no_primary_the_error_says_that_it_is_lag(
    server_set: ReplicaSet,
    late: Server,
    fresh_database: str,
    tmp_path: Path,
    start_router: Start,
    bound: str,
    sql: str,
    message: str,
) -> None:
    settings = settings_for(server_set, tmp_path, reads={**READS, "max_lag": bound}, failover_timeout="300ms")
    main = settings["groups"]["main"]
    main["servers"] = [each for each in main["servers"] if each["name"] == late.name]
    router = start_router(settings)
    until_near(router, late)
    with router.connect() as connection:  # what a driver says at its login needs a server, too
        _delay(server_set, 3600)
        since = time.monotonic()
        server_set.primary.execute(f"CREATE TABLE {fresh_database}.t (id INT PRIMARY KEY)")
        until_late(router, server_set, since)
        with pytest.raises(
            pymysql.MySQLError, match=f"no primary of group 'main' is available, and {message}"
        ) as caught:
            rows(connection, sql)
        assert caught.value.args[0] == 2003
