"""Transactions whose server is lost, and which nobody has to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from router.backend.connection import BackendConnection
from router.planner.plan import Role
from router.wire.constants import ServerStatus
from tests.engine.bench import Bench
from tests.fakes import AUTOCOMMIT, changed, err, ok, prepared, query, quiet, rows, virtually, wire

P, R = Role.PRIMARY, Role.REPLICA
BEGIN, READ, WRITE = "BEGIN", "SELECT a FROM t WHERE b = 1 FOR UPDATE", "UPDATE t SET a = 2"
IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
BEGUN = ok(status=IN_TRANSACTION)
ONE, TWO = rows([b"1"], status=IN_TRANSACTION), rows([b"2"], status=IN_TRANSACTION)
DONE = ok(affected_rows=1, status=IN_TRANSACTION)
LOST = (1213, "40001")


async def begun(bench: Bench) -> BackendConnection:
    """A transaction that has read, and whose write has been sent."""
    bench.session.open_later(b"BEGIN")
    connection = await bench.start(READ)
    connection.data_received(BEGUN)
    connection.data_received(ONE)
    await quiet()
    assert bench.client.data == ONE
    await bench.start(WRITE)
    bench.sent(connection)
    return connection


async def other(bench: Bench, lost: BackendConnection) -> BackendConnection:
    """The connection that is used now."""
    await quiet()
    connection = bench.executor.connection
    assert connection is not None, bench.client.errors
    assert connection is not lost
    return connection


@virtually
async def test_it_goes_on_where_it_was() -> None:
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.connection_lost(None)
    second = await other(bench, first)
    second.data_received(BEGUN)
    assert bench.sent(second).endswith(query(READ))
    second.data_received(ONE)
    await quiet()
    assert bench.client.data == ONE, "what is repeated, the client does not hear"
    assert bench.sent(second) == query(WRITE)
    second.data_received(DONE)
    await quiet()
    assert bench.client.data == ONE + DONE
    assert bench.client.errors == []
    assert bench.counters.replays == {"continued": 1}
    await bench.start("COMMIT")
    assert bench.sent(second) == query("COMMIT")
    second.data_received(ok())
    assert bench.finished
    assert not bench.session.holds


@virtually
async def test_it_ends_when_an_answer_differs() -> None:
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.connection_lost(None)
    second = await other(bench, first)
    second.data_received(BEGUN)
    second.data_received(TWO)
    await quiet()
    assert (bench.error.code, bench.error.sqlstate) == LOST
    assert "not replayed: its statement 1 is answered otherwise now" in bench.error.message
    assert query(WRITE) not in wire(second).written
    assert not bench.session.holds
    assert bench.counters.replays == {"failed": 1}
    assert b"COM" not in wire(second).written


@virtually
async def test_without_it_the_client_repeats_it() -> None:
    bench = Bench(P, R)
    first = await begun(bench)
    first.connection_lost(None)
    assert (bench.error.code, bench.error.sqlstate) == LOST


@virtually
async def test_never_across_commit() -> None:
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.data_received(DONE)
    await bench.start("COMMIT")
    first.connection_lost(None)
    assert bench.error.code == 2013
    assert "outcome of this statement is unknown" in bench.error.message
    assert bench.counters.replays == {}


@virtually
async def test_a_commit_that_was_not_sent_is_sent_once() -> None:
    """The connection ends between two statements."""
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.data_received(DONE)
    first.connection_lost(None)
    bench.executor.run(bench.plan("COMMIT"), query("COMMIT"))
    second = await other(bench, first)
    for answer in (BEGUN, ONE, DONE, ok()):
        second.data_received(answer)
        await quiet()
    assert wire(second).written.count(query("COMMIT")) == 1
    assert bench.client.data == ONE + DONE + ok()
    assert bench.client.errors == []


@virtually
async def test_nothing_follows_part_of_an_answer() -> None:
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.data_received(DONE)
    await bench.start(READ)
    first.data_received(ONE[:-3])
    first.connection_lost(None)
    assert bench.client.events[-1] == "abort"


@virtually
async def test_the_next_server_is_lost_too() -> None:
    bench = Bench(P, R, replay=10_000)
    connection = await begun(bench)
    for _ in range(5):
        connection.connection_lost(None)
        lost, connection = connection, await other(bench, connection)
        assert lost.closed
        connection.data_received(BEGUN)
    connection.connection_lost(None)
    await quiet()
    assert (bench.error.code, bench.error.sqlstate) == LOST
    assert bench.client.data == ONE


@virtually
async def test_errors_are_answers_like_others() -> None:
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.data_received(err(1062, "Duplicate entry"))
    await bench.start(WRITE)
    first.connection_lost(None)
    second = await other(bench, first)
    for answer in (BEGUN, ONE, err(1062, "Duplicate entry"), DONE):
        second.data_received(answer)
        await quiet()
    assert bench.client.errors == []
    assert bench.client.data == ONE + err(1062, "Duplicate entry") + DONE


@virtually
async def test_a_transaction_that_the_server_has_ended_is_not_kept() -> None:
    """After a deadlock every statement stands for itself: what was sent may have been committed."""
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.data_received(err(1213, "Deadlock found", "40001"))
    first.data_received(ok())  # it has been asked
    await quiet()
    assert not bench.session.transaction
    last = await bench.start(WRITE)
    last.connection_lost(None)
    assert bench.error.code == 2013
    assert "outcome of this statement is unknown" in bench.error.message


def other_mode(bench: Bench) -> None:
    bench.session.variables = bench.session.variables.with_changes({"sql_mode": "ANSI"})


def elsewhere(bench: Bench) -> None:
    bench.session.schema = "shop"


def over_groups(bench: Bench) -> None:
    bench.executor.spare()
    bench.executor.regain()


@pytest.mark.parametrize("change", [other_mode, elsewhere, over_groups])
@virtually
async def test_what_cannot_be_repeated_from_its_bytes(change: Callable[[Bench], None]) -> None:
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.data_received(DONE)
    change(bench)
    bench.session.opening = None
    assert bench.executor.connection is first
    await bench.start(WRITE)
    first.connection_lost(None)
    assert (bench.error.code, bench.error.sqlstate) == LOST
    assert bench.counters.replays == {}


@virtually
async def test_a_transaction_larger_than_may_be_kept() -> None:
    bench = Bench(P, R, replay=300)
    first = await begun(bench)
    first.data_received(DONE)
    await bench.start(WRITE)
    first.connection_lost(None)
    assert (bench.error.code, bench.error.sqlstate) == LOST
    bench.client.errors.clear()
    bench.client.data = b""
    again = await begun(bench)
    again.connection_lost(None)
    await quiet()
    assert bench.client.errors == [], "the next one may be small"


@virtually
async def test_a_transaction_behind_another() -> None:
    """BEGIN commits what was before it."""
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.data_received(DONE)
    await bench.do("START TRANSACTION WITH CONSISTENT SNAPSHOT", BEGUN)
    await bench.start(READ)
    first.connection_lost(None)
    second = await other(bench, first)
    assert bench.sent(second).endswith(query("START TRANSACTION WITH CONSISTENT SNAPSHOT"))
    second.data_received(BEGUN)
    await quiet()
    assert bench.sent(second) == query(READ)


@virtually
async def test_prepared_statements() -> None:
    bench = Bench(P, R, replay=10_000)
    (await bench.prepare(READ)).data_received(prepared(7))
    bench.session.open_later(b"BEGIN")
    first = await bench.execute(1)
    first.data_received(BEGUN)
    first.data_received(ONE)
    await bench.execute(1)
    first.connection_lost(None)
    second = await other(bench, first)
    for answer in (prepared(9), BEGUN, ONE):
        second.data_received(answer)
        await quiet()
    assert bench.sent(second).count(b"\x17\x09\0\0\0") == 2, "the one that was answered, and the one under way"
    second.data_received(ONE)
    await quiet()
    assert bench.client.data.endswith(ONE + ONE)
    assert bench.client.errors == []


@virtually
async def test_a_client_that_leaves_meanwhile() -> None:
    bench = Bench(P, R, replay=10_000)
    first = await begun(bench)
    first.connection_lost(None)
    second = await other(bench, first)
    bench.executor.client_lost()
    assert second.closed
    assert bench.client.data == ONE
    assert bench.client.errors == []


@virtually
async def test_the_old_primary_has_become_read_only() -> None:
    """It refuses the write: the transaction is rolled back there, and runs again on the next primary."""
    bench = Bench(P, R, replay=10_000)
    for server in bench.main.servers:
        server.configured_role = "auto"
    first = await begun(bench)
    first.data_received(err(1290, "The MySQL server is running with the --read-only option", "HY000"))
    await quiet()
    assert bench.client.data == ONE
    bench.main.servers[1].role = P
    bench.main.refresh()
    await asyncio.sleep(0.1)
    second = await other(bench, first)
    for answer in (BEGUN, ONE, DONE):
        second.data_received(answer)
        await quiet()
    assert bench.server_of(second) == "db2"
    assert bench.client.data == ONE + DONE
    assert first.closed


@virtually
async def test_autocommit_off() -> None:
    bench = Bench(P, R, replay=10_000)
    off = changed(variables={"autocommit": "OFF"})
    await bench.do("SET autocommit = 0", ok(status=0, changes=off))
    first = await bench.start(WRITE)
    first.connection_lost(None)
    second = await other(bench, first)
    second.data_received(ok())
    await quiet()
    assert bench.sent(second).endswith(query(WRITE))
    assert bench.client.errors == []
