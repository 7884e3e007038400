"""PREPARE on a connection that does not know the statement, and what becomes of the client's own."""

from __future__ import annotations

from router.sql.facts import PinReason
from tests.engine.bench import Bench
from tests.fakes import err, prepared, quiet, virtually, wire


@virtually
async def test_the_clients_statement_is_known_where_it_was_prepared() -> None:
    bench = Bench()
    connection = await bench.prepare("SELECT a FROM t WHERE id = ?")
    connection.data_received(prepared(7, parameters=1))
    (statement,) = bench.executor.statements.by_id.values()
    assert connection.statements.get(statement.text) is not None
    assert not bench.session.holds


@virtually
async def test_a_statement_with_user_variables_keeps_its_connection() -> None:
    """Their types become the statement's when it is prepared."""
    bench = Bench()
    connection = await bench.prepare("SELECT @a")
    connection.data_received(prepared(7))
    assert bench.session.pins == {PinReason.USER_VARIABLE}
    assert bench.executor.connection is connection


@virtually
async def test_user_variables_are_set_before_a_statement_that_names_them_is_prepared() -> None:
    bench = Bench()
    await bench.do("SET @a = 1")
    bench.executor.leave()
    bench.executor.look.give_up()
    connection = await bench.prepare("SELECT @a")
    assert b"SET " in wire(connection).written
    assert b"@a = 1" in wire(connection).written


@virtually
async def test_it_is_prepared_again_elsewhere() -> None:
    bench = Bench()
    connection = await bench.prepare("SELECT a FROM t")
    connection.data_received(prepared(7))
    connection.connection_lost(None)
    other = await bench.execute(1)
    assert other is not connection
    assert b"\x16SELECT a FROM t" in bench.sent(other)
    other.data_received(prepared(3))
    assert b"\x17\x03\0\0\0" in bench.sent(other)


@virtually
async def test_what_the_server_refuses_now_is_the_executions_answer() -> None:
    bench = Bench()
    connection = await bench.prepare("SELECT a FROM t")
    connection.data_received(prepared(7))
    connection.connection_lost(None)
    bench.client.data = b""
    other = await bench.execute(1)
    other.data_received(err(1146, "Table 'shop.t' doesn't exist", "42S02"))
    assert bench.client.data == err(1146, "Table 'shop.t' doesn't exist", "42S02")
    assert bench.finished
    assert not other.closed


@virtually
async def test_a_connection_lost_meanwhile_is_replaced() -> None:
    bench = Bench()
    connection = await bench.prepare("SELECT a FROM t")
    connection.data_received(prepared(7))
    connection.connection_lost(None)
    other = await bench.execute(1)
    other.connection_lost(ConnectionResetError())
    await quiet()
    assert bench.executor.connection not in (None, other)
    assert bench.client.errors == []
