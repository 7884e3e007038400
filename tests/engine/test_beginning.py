"""Transactions that only read, on one replica for their whole life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.backend.connection import BackendConnection
from router.engine.transactions import Transactions
from router.planner.plan import Role
from router.session.gtids import NOTHING
from router.wire.constants import ServerStatus
from tests.engine.bench import Bench
from tests.fakes import AUTOCOMMIT, PROFILE, changed, err, ok, query, quiet, rows, virtually, wire

P, R = Role.PRIMARY, Role.REPLICA
READ, WRITE = "SELECT a FROM t", "UPDATE t SET a = 1"
IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
BEGUN = ok(status=IN_TRANSACTION)
ONE = rows([b"1"], status=IN_TRANSACTION)
READ_ONLY = "START TRANSACTION READ ONLY"


async def say(bench: Bench, sql: str) -> list[object]:
    """A statement about transactions; what the router answers itself, if it does."""
    answers: list[object] = []
    plan = bench.plan(sql)
    assert plan.anywhere, "it waits for the first statement"
    transactions = Transactions(bench.session, bench.executor, lambda error, close: answers.append(error))
    transactions.run(plan, sql.encode(), lambda: bench.executor.run(plan, query(sql)))
    await quiet()
    return answers


async def confined(bench: Bench) -> BackendConnection:
    """A session whose READ ONLY transaction is on the replica."""
    assert await say(bench, READ_ONLY) == [None]
    connection = await bench.start(READ)
    assert bench.server_of(connection) == "db2"
    assert bench.sent(connection).endswith(query(READ_ONLY) + query(READ))
    connection.data_received(BEGUN + ONE)
    await quiet()
    assert bench.session.transaction
    return connection


@virtually
async def test_it_stays_on_one_replica() -> None:
    bench = Bench(P, R, R, shares=True)
    assert await say(bench, READ_ONLY) == [None]
    connection = await bench.start(READ)
    assert bench.server_of(connection) != "db1"
    connection.data_received(BEGUN + ONE)
    for sql in (READ, "SHOW TABLES", "SELECT @@hostname", "SELECT b FROM t"):
        assert await bench.start(sql) is connection
        connection.data_received(ONE)
        await quiet()
    await say(bench, "COMMIT")
    connection.data_received(ok())
    await quiet()
    assert not bench.session.holds
    assert bench.server_of(await bench.start(WRITE)) == "db1"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        (WRITE, 1792),
        ("INSERT INTO t VALUES (1)", 1792),
        ("SELECT a FROM t FOR UPDATE", 1235),
        ("SELECT GET_LOCK('x', 1)", 1235),
        ("CALL p()", 1235),
        ("CREATE TEMPORARY TABLE x (a INT)", 1235),
        ("LOCK TABLES t WRITE", 1235),
        ("SET GLOBAL max_connections = 1", 1235),
    ],
)
@virtually
async def test_what_would_mean_something_else_there_is_refused(sql: str, code: int) -> None:
    bench = Bench(P, R, shares=True)
    connection = await confined(bench)
    bench.sent(connection)
    bench.executor.run(bench.plan(sql), query(sql))
    assert bench.error.code == code
    assert bench.sent(connection) == b""
    assert await bench.start(READ) is connection, "the transaction goes on"


@virtually
async def test_a_transaction_that_begins_otherwise_is_the_primarys() -> None:
    bench = Bench(P, R, shares=True)
    assert await say(bench, READ_ONLY) == [None]
    assert bench.server_of(await bench.start("SELECT a FROM t FOR UPDATE")) == "db1"


@pytest.mark.parametrize("sql", ["START TRANSACTION", "START TRANSACTION READ WRITE"])
@virtually
async def test_others_are_the_primarys(sql: str) -> None:
    bench = Bench(P, R, shares=True)
    assert await say(bench, sql) == [None]
    assert bench.server_of(await bench.start(READ)) == "db1"
    assert not bench.executor.beginning.confined


@virtually
async def test_without_being_asked_for_all_are_the_primarys() -> None:
    bench = Bench(P, R)
    assert bench.server_of(await bench.start(READ_ONLY)) == "db1"


@virtually
async def test_a_session_that_only_reads() -> None:
    """SET SESSION TRANSACTION READ ONLY, and autocommit off: what Spring's @Transactional(readOnly = true) says."""
    tracked = PROFILE.tracked | {"transaction_isolation", "transaction_read_only"}
    bench = Bench(P, R, shares=True, profile=replace(PROFILE, tracked=tracked))
    await bench.do("SET SESSION TRANSACTION READ ONLY", ok(changes=changed({"transaction_read_only": "ON"})))
    await bench.do("SET autocommit = 0", ok(status=0, changes=changed({"autocommit": "OFF"})))
    connection = await bench.start(READ)
    assert bench.server_of(connection) == "db2"
    sent = bench.sent(connection).count(b"\x03SET")
    connection.data_received(ok(status=0) * sent + rows([b"1"], status=int(ServerStatus.IN_TRANS)))
    await quiet()
    bench.executor.run(bench.plan(WRITE), query(WRITE))
    assert bench.error.code == 1792
    assert await bench.start(READ) is connection


@virtually
async def test_begin_ends_it() -> None:
    bench = Bench(P, R, shares=True)
    connection = await confined(bench)
    bench.sent(connection)
    assert await say(bench, "START TRANSACTION") == [None]
    assert query("START TRANSACTION") not in wire(connection).written
    assert bench.server_of(await bench.start(WRITE)) == "db1"


@virtually
async def test_a_replica_that_is_behind_leaves_nothing_open() -> None:
    """The transaction was begun behind the wait that failed."""
    bench = Bench(P, R, shares=True)
    bench.session.written["main"] = NOTHING.after("0-1-7")
    assert await say(bench, READ_ONLY) == [None]
    replica = await bench.start(READ)
    assert bench.server_of(replica) == "db2"
    bench.sent(replica)
    replica.data_received(err(1690, "DOUBLE value is out of range") + BEGUN + ONE)
    await quiet()
    primary = bench.executor.connection
    assert primary is not None
    assert bench.server_of(primary) == "db1"
    assert bench.sent(primary).endswith(query(READ_ONLY) + query(READ))
    assert wire(replica).written, "it is reset before anybody else has it"
    primary.data_received(BEGUN + ONE)
    await quiet()
    assert bench.client.data == ONE
    assert not bench.executor.beginning.confined
