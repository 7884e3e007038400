"""What EXPLAIN ROUTE foretells, where a server would be hard to bring into it; tests/integration has the rest."""

from __future__ import annotations

from dataclasses import replace

from router.engine.foresight import Foresight
from router.engine.transactions import Transactions
from router.planner.explain import Place
from router.planner.plan import Relay
from router.wire.constants import ServerStatus
from tests.engine.bench import Bench, P, R
from tests.fakes import AUTOCOMMIT, ok, query, quiet, virtually

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)


def foretold(bench: Bench, sql: str, **changes: object) -> Place:
    """Where the statement would go now."""
    transactions = Transactions(bench.session, bench.executor, lambda error, close: None)
    plan: Relay = replace(bench.plan(sql), **changes)  # type: ignore[arg-type]
    (place,) = Foresight(bench.executor, transactions, bench.services).places(plan, sql.encode())
    return place


@virtually
async def test_it_takes_no_turns() -> None:
    bench = Bench(P, R, R)
    for _ in range(4):
        told = [foretold(bench, "SELECT a FROM t").server for _ in range(3)]
        connection = await bench.do("SELECT a FROM t")
        assert told == [bench.server_of(connection)] * 3


@virtually
async def test_what_the_last_statement_left_is_asked_where_it_ran() -> None:
    bench = Bench(P, R, R)
    await bench.do("SELECT a FROM t")
    assert foretold(bench, "SHOW WARNINGS").role == "primary"
    connection = await bench.do("INSERT INTO t VALUES ()", answer=ok(affected_rows=1, last_insert_id=7))
    assert foretold(bench, "SELECT LAST_INSERT_ID()").server == bench.server_of(connection) == "db1"


@virtually
async def test_a_transaction_whose_server_has_gone() -> None:
    bench = Bench(P, R)
    connection = await bench.do("BEGIN", answer=ok(status=IN_TRANSACTION))
    assert foretold(bench, "SELECT a FROM t") == Place("db1", "primary", "transaction")
    assert foretold(bench, "UPDATE t SET a = 1") == Place("db1", "primary")
    assert foretold(bench, "SELECT a FROM blog.t").why == (
        "refused: router: this statement belongs to group 'other', but the session is kept on group 'main' by "
        "an open transaction. End the transaction, or use another connection"
    )
    connection.closed = True
    gone = foretold(bench, "SELECT a FROM t")
    assert (gone.server, gone.why) == (None, "refused: router: the connection to server db1 was lost")


@virtually
async def test_a_transaction_on_several_groups() -> None:
    bench = Bench(P, R)
    await bench.do("BEGIN", answer=ok(status=IN_TRANSACTION))
    bench.session.begun = [b"BEGIN"]
    read = "SELECT a FROM t"
    assert foretold(bench, read, group="other", spans=True) == Place("other", "primary", "transaction")
    write = "UPDATE t SET a = 1"
    bench.executor.run(replace(bench.plan(write), group="other", spans=True), query(write))
    await quiet()
    (there,) = bench.connectors["other"].opened
    while there.busy:
        there.data_received(ok(status=IN_TRANSACTION))
        await quiet()
    assert foretold(bench, read, group="other", spans=True) == Place("other", "primary", "transaction")
    assert foretold(bench, read, spans=True) == Place("db1", "primary", "transaction")
    ends = foretold(bench, "CREATE TABLE u (a INT)", group="other", spans=True)
    assert ends.why == "refused: router: not supported in a transaction on several shards: " + (
        "a statement that may end it; COMMIT or ROLLBACK first"
    )


@virtually
async def test_why_the_primary_reads() -> None:
    bench = Bench(P, R)
    replica = bench.main.servers[1]
    replica.up = False
    bench.main.refresh()
    assert foretold(bench, "SELECT a FROM t") == Place("db1", "primary", None, "no replica takes reads now")
    assert foretold(bench, "SELECT a FROM blog.t") == Place("other", "primary"), "there is none"
    replica.up = True
    bench.main.refresh()
    near = foretold(bench, "/*+ router(max_lag=1s) */ SELECT a FROM t")
    assert near == Place("db1", "primary", None, "no replica is known to be near enough")
    assert foretold(Bench(P, R, reads="any"), "SELECT a FROM t").note is None


@virtually
async def test_variables_can_be_set_without_a_primary() -> None:
    bench = Bench(P, R)
    bench.main.servers[0].up = False
    bench.main.refresh()
    waits = Place("group main", "primary", None, "it waits: no primary of group 'main' is available")
    assert foretold(bench, "SET sql_mode = ''") == Place("db2", "replica")
    assert foretold(bench, "SET @a = 1") == Place("db2", "replica")
    assert foretold(bench, "SET @a = NOW()") == waits, "the session would be kept there"
    assert bench.session.pins == set()
    assert foretold(bench, "UPDATE t SET a = 1") == waits
    bench.session.open_later(b"BEGIN")
    assert foretold(bench, "SET sql_mode = ''") == waits, "a transaction begins with it"
