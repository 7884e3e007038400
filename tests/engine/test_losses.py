"""Servers that turn statements away: what is about the server, the client does not hear."""

from __future__ import annotations

import asyncio

import pytest

from router.engine.refusals import OUTCOME_UNKNOWN
from router.planner.plan import Role
from router.wire.constants import ServerStatus
from tests.engine.bench import ROW, Bench
from tests.fakes import AUTOCOMMIT, err, ok, query, quiet, rows, virtually, wire

P, R = Role.PRIMARY, Role.REPLICA
IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
WRITE = "INSERT INTO t VALUES (1)"
READ_ONLY = err(1290, "The MariaDB server is running with the --read-only option so it cannot execute this", "HY000")
SHUTDOWN = err(1053, "Server shutdown in progress", "08S01")
KILLED = err(1927, "Connection was killed", "70100")
SILENT = err(4031, "The client was disconnected by the server because of inactivity", "HY000")


def promote(bench: Bench, number: int) -> None:
    bench.main.servers[number].role = P
    bench.main.refresh()


@virtually
async def test_a_write_that_a_read_only_primary_refuses_goes_to_the_next_one() -> None:
    bench = Bench(P, R)
    first = await bench.start(WRITE)
    first.data_received(READ_ONLY)
    await quiet()
    assert bench.main.primary is None
    assert bench.suspects == ["db1"], "it is asked at once"
    assert bench.client.data == b""
    promote(bench, 1)
    await asyncio.sleep(0.1)
    second = bench.executor.connection
    assert second is not None
    assert bench.server_of(second) == "db2"
    second.data_received(ok())
    assert bench.client.data == ok()
    assert bench.finished


@pytest.mark.parametrize("deferred", [False, True])
@virtually
async def test_so_does_the_first_statement_of_a_transaction(deferred: bool) -> None:
    bench = Bench(P, R)
    if deferred:
        bench.session.open_later(b"BEGIN")
    else:
        await bench.do("BEGIN", ok(status=IN_TRANSACTION))
    first = await bench.start(WRITE)
    if deferred:
        first.data_received(ok(status=IN_TRANSACTION))
    first.data_received(READ_ONLY)
    await quiet()
    promote(bench, 1)
    await asyncio.sleep(0.1)
    second = bench.executor.connection
    assert second is not None
    assert bench.server_of(second) == "db2"
    assert bench.sent(second).endswith(query("BEGIN"))
    second.data_received(ok(status=IN_TRANSACTION))
    assert bench.sent(second) == query(WRITE)
    second.data_received(ok(status=IN_TRANSACTION))
    assert bench.client.errors == []
    assert bench.session.transaction


@virtually
async def test_so_does_a_transaction_that_may_not_begin_there() -> None:
    bench = Bench(P, R)
    bench.session.open_later(b"START TRANSACTION READ WRITE")
    first = await bench.start(WRITE)
    first.data_received(READ_ONLY)
    await quiet()
    assert bench.main.primary is None
    promote(bench, 1)
    await asyncio.sleep(0.1)
    second = bench.executor.connection
    assert second is not None
    assert bench.sent(second).endswith(query("START TRANSACTION READ WRITE"))


@virtually
async def test_but_not_for_ever() -> None:
    bench = Bench(P, R, patience=1.0)
    first = await bench.start(WRITE)
    first.data_received(READ_ONLY)
    await asyncio.sleep(1.5)
    assert bench.error.code == 2003
    assert "no primary of group 'main' is available" in bench.error.message


@virtually
async def test_inside_a_transaction_it_is_the_clients_business() -> None:
    bench = Bench(P, R)
    await bench.do("BEGIN", ok(status=IN_TRANSACTION))
    await bench.do("SELECT a FROM t", rows([b"1"], status=IN_TRANSACTION))
    connection = await bench.start(WRITE)
    connection.data_received(READ_ONLY)
    await quiet()
    assert bench.client.data.endswith(READ_ONLY)
    assert bench.session.holds
    assert bench.main.primary is None, "but others need not try"


@pytest.mark.parametrize("sql", ["CALL p()", "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)"])
@virtually
async def test_what_may_have_begun_is_the_clients_business(sql: str) -> None:
    bench = Bench(P, R)
    connection = await bench.start(sql)
    connection.data_received(READ_ONLY)
    assert bench.client.data == READ_ONLY


@virtually
async def test_who_is_declared_the_primary_stays_it() -> None:
    bench = Bench(P, R)
    bench.main.servers[0].configured_role = "primary"
    connection = await bench.start(WRITE)
    connection.data_received(READ_ONLY)
    assert bench.client.data == READ_ONLY
    assert bench.main.primary is bench.main.servers[0]


@virtually
async def test_other_options_that_prevent_a_statement() -> None:
    bench = Bench(P, R)
    refusal = err(1290, "The MySQL server is running with the --secure-file-priv option", "HY000")
    connection = await bench.start(WRITE)
    connection.data_received(refusal)
    assert bench.client.data == refusal
    assert bench.main.primary is not None


@pytest.mark.parametrize("leaving", [SHUTDOWN, KILLED, SILENT])
@virtually
async def test_a_read_on_a_server_that_shuts_down_is_repeated_elsewhere(leaving: bytes) -> None:
    bench = Bench(P, R, R)
    first = await bench.start("SELECT a FROM t")
    first.data_received(leaving)
    await quiet()
    second = bench.executor.connection
    assert second is not None
    assert second is not first
    assert first.closed
    second.data_received(ROW)
    assert bench.client.data == ROW
    assert bench.client.errors == []


@pytest.mark.parametrize("leaving", [SHUTDOWN, KILLED])
@virtually
async def test_a_write_on_a_server_that_shuts_down_may_have_been_done(leaving: bytes) -> None:
    bench = Bench(P, R)
    connection = await bench.start(WRITE)
    connection.data_received(leaving)
    assert bench.error.code == 2013
    assert OUTCOME_UNKNOWN in bench.error.message
    assert bench.client.events[-1] == "fail and close"


@virtually
async def test_a_write_that_the_server_did_not_read_is_sent_again() -> None:
    """It had ended the connection for its silence when the statement came."""
    bench = Bench(P, R)
    first = await bench.start(WRITE)
    first.data_received(SILENT)
    await quiet()
    second = bench.executor.connection
    assert second is not None
    assert wire(second).written.endswith(query(WRITE))
    second.data_received(ok())
    assert bench.client.data == ok()


@virtually
async def test_an_error_behind_rows_is_forwarded() -> None:
    bench = Bench(P, R)
    connection = await bench.start("SELECT a FROM t")
    head = ROW[: ROW.index(b"\x01\x00\x00\x04")] if b"\x01\x00\x00\x04" in ROW else ROW[:-9]
    connection.data_received(head)
    shutdown = err(1053, "Server shutdown in progress", "08S01", sequence=5)
    connection.data_received(shutdown)
    assert bench.client.data == head + shutdown


@virtually
async def test_a_transaction_on_a_server_that_is_fenced_may_not_end_there() -> None:
    """Somebody else is the primary: what this one would commit is lost."""
    bench = Bench(P, R)
    open_there = await bench.do("BEGIN", ok(status=IN_TRANSACTION))
    await bench.do("UPDATE t SET a = 1", ok(status=IN_TRANSACTION))
    bench.main.servers[1].configured_role = "primary"
    promote(bench, 1)
    assert bench.main.servers[0].fenced
    await quiet()
    bench.executor.run(bench.plan("COMMIT"), query("COMMIT"))
    assert (bench.error.code, bench.error.sqlstate) == (1213, "40001")
    assert query("COMMIT") not in wire(open_there).written


@virtually
async def test_nobody_waits_for_a_server_that_is_down_when_another_has_taken_over() -> None:
    bench = Bench(P, R)
    frozen = await bench.start(WRITE)
    bench.main.servers[0].up = False
    bench.main.refresh()
    await quiet()
    assert frozen.busy, "it may come back"
    promote(bench, 1)
    await quiet()
    assert bench.error.code == 2013
    assert OUTCOME_UNKNOWN in bench.error.message
