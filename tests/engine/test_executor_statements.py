"""Prepared statements on many connections: prepared where they are needed, and never anybody else's."""

from __future__ import annotations

from router.backend.reset import query as own_query
from router.backend.reset import settle_commands, use_schema
from router.sql.facts import PinReason
from router.wire.constants import ServerStatus
from router.wire.framing import frame
from tests.engine.bench import ROW, Bench, P, R
from tests.fakes import AUTOCOMMIT, KEY, PROFILE, changed, eof, err, ok, prepared, query, quiet, rows, virtually

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
BEGUN = ok(status=IN_TRANSACTION, changes=changed(transaction_characteristics="START TRANSACTION;"))
OPEN = AUTOCOMMIT | int(ServerStatus.CURSOR_EXISTS)
CURSOR = rows(status=OPEN)[: -len(eof(4))]
READ, WRITE = "SELECT a FROM t", "INSERT INTO t VALUES (NULL)"


def prepare(sql: str) -> bytes:
    """A framed COM_STMT_PREPARE."""
    return frame(b"\x16" + sql.encode(), 0)


def execute(statement_id: int, flags: int = 0) -> bytes:
    """A framed COM_STMT_EXECUTE without parameters."""
    return frame(b"\x17" + statement_id.to_bytes(4, "little") + bytes([flags]) + b"\1\0\0\0", 0)


def close(statement_id: int) -> bytes:
    """A framed COM_STMT_CLOSE."""
    return frame(b"\x19" + statement_id.to_bytes(4, "little"), 0)


@virtually
async def test_a_prepared_read_runs_on_replicas_and_holds_nothing() -> None:
    bench = Bench()
    connection = await bench.prepare(READ)
    assert bench.server_of(connection) == "db2"
    assert bench.sent(connection) == prepare(READ)
    connection.data_received(prepared(77))
    assert bench.client.data == prepared(1), "the client gets an id of ours"
    assert bench.finished
    assert not bench.executor.held
    assert await bench.execute(1) is connection
    assert bench.sent(connection) == execute(77)
    connection.data_received(ROW)
    assert bench.client.data == prepared(1) + ROW
    assert not bench.session.holds
    assert bench.pool_of("db2") == (0, 1, 0)


@virtually
async def test_a_connection_that_does_not_know_the_statement_is_told() -> None:
    bench = Bench(P, R, R)
    first = await bench.prepare(READ)
    first.data_received(prepared(77))
    second = await bench.execute(1)
    assert second is not first, "reads go round"
    assert bench.sent(second) == prepare(READ)
    second.data_received(prepared(5))
    assert bench.sent(second) == execute(5)
    second.data_received(ROW)
    assert bench.client.data == prepared(1) + ROW, "of the second PREPARE the client sees nothing"


@virtually
async def test_a_write_is_prepared_and_runs_on_the_primary() -> None:
    bench = Bench()
    connection = await bench.prepare(WRITE)
    assert bench.server_of(connection) == "db1"
    connection.data_received(prepared(3))
    assert bench.session.pins == set()
    assert await bench.execute(1) is connection
    connection.data_received(ok(affected_rows=1))
    assert bench.finished


@virtually
async def test_another_session_finds_it_prepared() -> None:
    bench = Bench()
    connection = await bench.prepare(READ)
    connection.data_received(prepared(77))
    other = bench.another()
    assert await other.prepare(READ) is connection
    assert bench.sent(connection) == prepare(READ) * 2, "a client's own PREPARE is always the server's to answer"
    connection.data_received(prepared(78))
    assert bench.sent(connection) == close(77), "the same text twice on one connection is once too many"
    await other.execute(1)
    assert bench.sent(connection) == execute(78)
    connection.data_received(ROW)
    await bench.execute(1)
    assert bench.sent(connection) == execute(78)


@virtually
async def test_closing_leaves_it_for_the_next() -> None:
    bench = Bench()
    connection = await bench.prepare(READ)
    connection.data_received(prepared(77))
    bench.sent(connection)
    bench.executor.statement_closed(1)
    assert bench.sent(connection) == b""
    assert len(bench.executor.statements) == 0
    bench.executor.statement_closed(1)
    bench.executor.statement_closed(99)
    assert len(connection.statements) == 1


@virtually
async def test_a_statement_that_cannot_be_prepared() -> None:
    bench = Bench()
    connection = await bench.prepare("SELECT nonsense FROM t")
    connection.data_received(err(1054))
    assert bench.client.data == err(1054)
    assert len(bench.executor.statements) == 0
    assert len(connection.statements) == 0
    assert (await bench.prepare(READ)) is connection
    connection.data_received(prepared(9))
    assert bench.client.data == err(1054) + prepared(1)


@virtually
async def test_a_statement_that_can_be_prepared_no_more() -> None:
    bench = Bench(P, R, R)
    first = await bench.prepare(READ)
    first.data_received(prepared(77))
    second = await bench.execute(1)
    second.data_received(err(1146, "Table 't' doesn't exist"))
    assert bench.client.data == prepared(1) + err(1146, "Table 't' doesn't exist")
    assert bench.finished
    assert bench.counters.errors["backend", 1146] == 1
    assert not second.closed


@virtually
async def test_it_is_prepared_under_the_schema_and_mode_of_its_day() -> None:
    bench = Bench(P, R, R, schema="shop")
    first = await bench.prepare(READ)
    first.data_received(ok() + prepared(77))
    bench.session.schema = "attic"
    bench.session.variables = bench.session.variables.with_changes({"sql_mode": "ANSI_QUOTES"})
    second = await bench.execute(1)
    assert bench.sent(second) == use_schema("shop") + prepare(READ)
    second.data_received(ok() + prepared(5))
    assert bench.sent(second) == own_query("SET sql_mode = 'ANSI_QUOTES'") + execute(5)
    second.data_received(ok() + ROW)
    assert bench.client.data == prepared(1) + ROW
    assert second.schema == "shop", "where it belongs; only the rest is as the session is now"
    third = await bench.start("SELECT a FROM t")
    assert use_schema("attic") in bench.sent(third)


@virtually
async def test_a_schema_that_is_gone_is_the_executions_error() -> None:
    bench = Bench(P, R, R, schema="shop")
    first = await bench.prepare(READ)
    first.data_received(ok() + prepared(77))
    second = await bench.execute(1)
    second.data_received(err(1049) + prepared(5))
    assert second.closed, "its state is not what it is taken for"
    assert [error.code for error in bench.client.errors] == [1049]
    assert bench.pool_of(bench.server_of(second)) == (0, 0, 0)


@virtually
async def test_preparing_inside_a_transaction_does_not_end_it() -> None:
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    assert await bench.prepare(READ) is connection
    connection.data_received(prepared(7))
    assert bench.session.transaction
    assert await bench.execute(1) is connection
    connection.data_received(rows([b"1"], status=IN_TRANSACTION))
    bench.sent(connection)
    bench.executor.statement_closed(1)
    assert bench.executor.connection is connection
    assert bench.sent(connection) == b"", "others find it prepared"
    assert len(connection.statements) == 1


@virtually
async def test_a_connection_lost_while_a_transaction_prepares_again_ends_the_transaction() -> None:
    bench = Bench()
    replica = await bench.prepare(READ)
    replica.data_received(prepared(7))
    primary = await bench.do("BEGIN", BEGUN)
    await bench.do("UPDATE t SET a = 1", BEGUN)
    bench.sent(primary)
    assert await bench.execute(1) is primary
    assert bench.sent(primary) == prepare(READ)
    primary.connection_lost(None)
    await quiet()
    assert (bench.error.code, bench.client.events[-1]) == (1213, "fail")
    assert not bench.executor.held
    assert not bench.session.transaction


@virtually
async def test_a_prepared_begin_holds_and_a_prepared_commit_releases() -> None:
    bench = Bench()
    for number, (sql, answer) in enumerate((("BEGIN", BEGUN), ("COMMIT", ok())), 1):
        connection = await bench.prepare(sql)
        connection.data_received(prepared(number))
        assert await bench.execute(number) is connection
        connection.data_received(answer)
        assert (bench.executor.held is not None) == (sql == "BEGIN")


@virtually
async def test_the_insert_id_of_a_prepared_statement_survives_its_close() -> None:
    """PREPARE, EXECUTE, CLOSE, SELECT LAST_INSERT_ID(): what drivers do for one INSERT."""
    bench = Bench()
    connection = await bench.prepare(WRITE)
    connection.data_received(prepared(7))
    await bench.execute(1)
    connection.data_received(ok(last_insert_id=41, affected_rows=1))
    bench.executor.statement_closed(1)
    bench.executor.run(bench.plan("SELECT LAST_INSERT_ID()"), query("SELECT LAST_INSERT_ID()"))
    assert bench.executor.connection is connection
    assert bench.client.errors == []


@virtually
async def test_a_prepared_look_back_asks_the_connection_that_knows() -> None:
    bench = Bench()
    asker = "SELECT ROW_COUNT()"
    connection = await bench.prepare(asker)
    connection.data_received(prepared(7))
    writer = await bench.do("UPDATE t SET a = 1", ok(affected_rows=3))
    bench.sent(writer)
    assert await bench.execute(1) is writer
    sent = bench.sent(writer)
    if writer is not connection:
        assert sent == prepare(asker), "which changes nothing of what it knows (measured on both servers)"
        writer.data_received(prepared(8))
        sent = bench.sent(writer)
    assert sent[4] == 0x17
    assert bench.client.errors == []


@virtually
async def test_prepared_counts_cannot_go_along() -> None:
    bench = Bench(P, R, most=1)
    asker = "SELECT ROW_COUNT() + 1"
    connection = await bench.prepare(asker)
    connection.data_received(prepared(7))
    writer = await bench.do("UPDATE t SET a = 1", ok(affected_rows=3))
    other = bench.crowd("db1", KEY)
    assert other.connection is writer
    bench.main.servers[0].pool.release(writer)
    bench.executor.execute(bench.executor.statements.by_id[1], execute(1))
    await quiet()
    assert bench.error.code == 1235
    assert not bench.executor.held


@virtually
async def test_a_cursor_holds_its_connection_on_the_primary() -> None:
    bench = Bench()
    replica = await bench.prepare(READ)
    replica.data_received(prepared(7))
    connection = await bench.execute(1, flags=1)
    assert bench.server_of(connection) == "db1", "its session must be able to write"
    assert bench.sent(connection) == prepare(READ)
    connection.data_received(prepared(8))
    assert bench.sent(connection) == execute(8, flags=1)
    connection.data_received(CURSOR)
    assert bench.session.pins == {PinReason.CURSOR}
    statement = bench.executor.statements.by_id[1]
    fetch = b"\x1c\1\0\0\0\1\0\0\0"
    bench.executor.about(statement, frame(fetch, 0), 2)
    assert bench.sent(connection) == frame(b"\x1c\x08\0\0\0\1\0\0\0", 0)
    connection.data_received(frame(b"\0\0\1a", 1) + eof(2, status=OPEN))
    assert bench.executor.connection is connection
    bench.executor.about(statement, frame(fetch, 0), 2)
    connection.data_received(eof(1, status=OPEN | int(ServerStatus.LAST_ROW_SENT)))
    assert not bench.session.holds
    assert not bench.executor.held
    assert bench.pool_of("db1") == (0, 1, 0)


@virtually
async def test_closing_a_statement_closes_its_cursor() -> None:
    bench = Bench()
    connection = await bench.prepare("SELECT a FROM t FOR UPDATE")
    connection.data_received(prepared(7))
    await bench.execute(1, flags=1)
    connection.data_received(CURSOR)
    bench.sent(connection)
    bench.executor.statement_closed(1)
    assert bench.sent(connection) == close(7)
    assert not bench.session.holds
    assert bench.pool_of("db1") == (0, 1, 0)
    assert len(connection.statements) == 0


@virtually
async def test_a_lost_prepared_read_is_repeated_elsewhere_with_its_long_data() -> None:
    bench = Bench(P, R, R)
    first = await bench.prepare("SELECT a FROM t WHERE b = ?")
    first.data_received(prepared(7, parameters=1))
    bench.sent(first)
    statement = bench.executor.statements.by_id[1]
    statement.add_long_data(frame(b"\x18\1\0\0\0\0\0long", 0), 1 << 20)
    bench.executor.execute(statement, frame(b"\x17\1\0\0\0\0\1\0\0\0\0\1\xfd\0", 0))
    await bench.answer_prepare(9)
    (connection,) = bench.busy()
    connection.connection_lost(None)
    await bench.answer_prepare(11)
    (connection,) = bench.busy()
    sent = bench.sent(connection)
    server_id = sent[5:6]
    assert sent == frame(b"\x18" + server_id + b"\0\0\0\0\0long", 0) + frame(
        b"\x17" + server_id + b"\0\0\0\0\1\0\0\0\0\1\xfd\0", 0
    )
    connection.data_received(ROW)
    assert bench.client.errors == []
    assert statement.long_size == 0


@virtually
async def test_a_reset_forgets_the_sessions_statements_not_the_connections() -> None:
    bench = Bench()
    connection = await bench.prepare(READ)
    connection.data_received(prepared(7))
    bench.executor.reset()
    assert len(bench.executor.statements) == 0
    assert len(connection.statements) == 1


@virtually
async def test_a_reset_connection_has_no_statements() -> None:
    bench = Bench()
    connection = await bench.prepare(WRITE)
    connection.data_received(prepared(7))
    assert await bench.do("SET @a = 1", ok(changes=changed(state_changed=True))) is connection
    bench.sent(connection)
    bench.executor.client_lost()
    assert bench.sent(connection) == settle_commands(PROFILE, 0, reset=True)
    connection.data_received(ok() * 3)
    assert len(connection.statements) == 0


@virtually
async def test_types_of_another_session_are_never_used() -> None:
    """A client that sends no types at all must hear of it from the server, not run with a stranger's."""
    bench = Bench()
    sql = "SELECT a FROM t WHERE b = ?"
    connection = await bench.prepare(sql)
    connection.data_received(prepared(7, parameters=1))
    bench.executor.execute(bench.executor.statements.by_id[1], frame(b"\x17\1\0\0\0\0\1\0\0\0\0\1\3\0\5\0\0\0", 0))
    connection.data_received(ROW)
    other = bench.another()
    assert await other.prepare(sql) is connection
    connection.data_received(prepared(8, parameters=1))
    other.executor.execute(other.executor.statements.by_id[1], frame(b"\x17\1\0\0\0\0\1\0\0\0\0\1\3\0\5\0\0\0", 0))
    connection.data_received(ROW)
    other.executor.statements.by_id[1].types = None
    bench.sent(connection)
    other.executor.execute(other.executor.statements.by_id[1], frame(b"\x17\1\0\0\0\0\1\0\0\0\0\0\5\0\0\0", 0))
    assert bench.sent(connection) == prepare(sql)
