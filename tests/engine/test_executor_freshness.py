"""Reads behind a wait for what their session has written."""

from __future__ import annotations

from router.planner.plan import Role
from router.session.gtids import NOTHING, Reached
from tests.engine.bench import ROW, Bench
from tests.fakes import changed, err, ok, query, quiet, rows, virtually

P, R = Role.PRIMARY, Role.REPLICA
WAIT = query("SELECT EXP(IF(MASTER_GTID_WAIT('0-1-7', 0.5) = 0, 0, 1000))")
READ = "SELECT v FROM t"
IN_VAIN = err(1690, "DOUBLE value is out of range")
ONE = rows([b"1"])


@virtually
async def test_a_write_is_followed_by_a_wait() -> None:
    bench = Bench(P, R)
    await bench.do("INSERT INTO t VALUES (1)", ok(changes=changed(gtids="0-1-7")))
    connection = await bench.start(READ)
    assert bench.server_of(connection) == "db2"
    assert bench.sent(connection) == WAIT + query(READ)
    connection.data_received(ONE + ROW)
    assert bench.finished
    assert bench.client.data.endswith(ROW)
    connection = await bench.start(READ)
    assert bench.sent(connection) == query(READ), "it has been seen there"
    connection.data_received(ROW)


@virtually
async def test_the_primary_answers_when_it_does_not_come() -> None:
    bench = Bench(P, R)
    bench.session.written["main"] = NOTHING.after("0-1-7")
    connection = await bench.start(READ)
    assert bench.server_of(connection) == "db2"
    connection.data_received(IN_VAIN + ROW)
    await quiet()
    primary = bench.executor.connection
    assert primary is not None
    assert bench.server_of(primary) == "db1"
    assert bench.sent(primary) == query(READ)
    primary.data_received(ROW)
    assert bench.client.data == ROW
    assert bench.finished
    assert bench.pool_of("db2") == (0, 1, 0), "its connection is as good as before"
    again = await bench.start(READ)
    assert bench.server_of(again) == "db1", "nobody waits a second time"
    again.data_received(ROW)
    bench.main.servers[1].reached = Reached("0-1-7")
    again = await bench.start(READ)
    assert bench.server_of(again) == "db2"
    again.data_received(ROW)


@virtually
async def test_a_wait_that_is_killed_ends_the_statement() -> None:
    bench = Bench(P, R)
    bench.session.written["main"] = NOTHING.after("0-1-7")
    connection = await bench.start(READ)
    bench.executor.kill_query(lambda: None)
    connection.data_received(err(1317, "Query execution was interrupted", "70100") + ROW)
    await quiet()
    assert [error.code for error in bench.client.errors] == [1317]
    assert bench.busy() == []


@virtually
async def test_what_runs_elsewhere_does_not_wait() -> None:
    bench = Bench(P, R)
    bench.session.written["main"] = NOTHING.after("0-1-7")
    for sql in ("BEGIN", READ, "COMMIT"):
        connection = await bench.start(sql)
        assert bench.sent(connection) == query(sql)
        connection.data_received(ok(status=3 if sql != "COMMIT" else 2) if sql != READ else rows([b"1"], status=3))
