"""Prepared statements of a client, from bytes to answers."""

from __future__ import annotations

import pytest

from router.frontend import prepared as module
from router.frontend.dispatch import Dispatcher
from router.planner.plan import Role
from router.wire.constants import ServerStatus
from router.wire.framing import frame
from tests.engine.bench import ROW
from tests.fakes import (
    AUTOCOMMIT,
    FakeTransport,
    eof,
    error_of,
    ok,
    prepared,
    rows,
    virtually,
)
from tests.frontend.desk import Desk

EXECUTE = b"\x17\1\0\0\0\0\1\0\0\0"
IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)


async def with_statement(desk: Desk) -> tuple[Dispatcher, FakeTransport]:
    """A client with a statement open: 1 to the client, 7 to the server."""
    client, out = desk.client()
    await desk.say(client, b"\x16INSERT INTO t VALUES (?)")
    await desk.answer(prepared(7, parameters=1))
    assert out.take() == prepared(1, parameters=1)
    desk.to_servers()
    return client, out


@virtually
async def test_a_prepared_statement() -> None:
    desk = Desk()
    client, out = await with_statement(desk)
    await desk.say(client, b"\x18\1\0\0\0\0\0data")
    assert desk.to_servers() == b"", "kept until it is needed"
    assert client.client.idle
    execute = b"\0\1\0\0\0\0\1\xfd\0"
    await desk.say(client, b"\x17\1\0\0\0" + execute)
    assert desk.to_servers() == frame(b"\x18\7\0\0\0\0\0data", 0) + frame(b"\x17\7\0\0\0" + execute, 0)
    await desk.answer(ok(affected_rows=1))
    assert out.take() == ok(affected_rows=1)
    await desk.say(client, b"\x19\1\0\0\0")
    assert out.take() == b"", "COM_STMT_CLOSE has no answer"
    assert client.client.idle
    await desk.say(client, b"\x17\1\0\0\0" + execute)
    assert error_of(out.take())[0] == 1243
    assert desk.to_servers() == b""


@virtually
async def test_resetting_a_statement_forgets_its_long_data() -> None:
    desk = Desk()
    client, out = await with_statement(desk)
    await desk.say(client, b"\x18\1\0\0\0\0\0data")
    await desk.say(client, b"\x1a\1\0\0\0")
    assert out.take() == ok()
    assert desk.to_servers() == b""
    execute = b"\0\1\0\0\0\0\1\x03\0\5\0\0\0"
    await desk.say(client, b"\x17\1\0\0\0" + execute)
    assert desk.to_servers() == frame(b"\x17\7\0\0\0" + execute, 0)


@virtually
async def test_too_much_long_data_is_refused_when_it_would_be_used() -> None:
    desk = Desk()
    client, out = await with_statement(desk)
    client.client.max_packet = 100
    for _ in range(3):
        await desk.say(client, b"\x18\1\0\0\0\0\0" + b"x" * 40)
    assert out.take() == b""
    execute = b"\x17\1\0\0\0\0\1\0\0\0\0\1\xfd\0"
    await desk.say(client, execute)
    assert error_of(out.take())[:2] == (1105, "HY000")
    assert desk.to_servers() == b""
    await desk.say(client, execute)
    assert desk.to_servers() != b"", "the next execution starts anew"


@virtually
async def test_fetching_without_a_cursor() -> None:
    desk = Desk()
    client, out = await with_statement(desk)
    await desk.say(client, b"\x1c\1\0\0\0\1\0\0\0")
    assert error_of(out.take()) == (1421, "HY000", "The statement (1) has no open cursor.")
    assert desk.to_servers() == b""


@virtually
async def test_fetching_from_a_cursor_and_closing_it() -> None:
    desk = Desk()
    client, out = await with_statement(desk)
    await desk.say(client, b"\x17\1\0\0\0\1\1\0\0\0\0\1\x03\0\5\0\0\0")
    desk.to_servers()
    cursor = rows(status=AUTOCOMMIT | int(ServerStatus.CURSOR_EXISTS))[: -len(eof(1))]
    await desk.answer(cursor)
    assert out.take() == cursor
    assert client.pin_reasons() == ["cursor"]
    await desk.say(client, b"\x1c\1\0\0\0\1\0\0\0")
    assert desk.to_servers() == frame(b"\x1c\7\0\0\0\1\0\0\0", 0)
    await desk.answer(eof(1, status=AUTOCOMMIT | int(ServerStatus.CURSOR_EXISTS)))
    await desk.say(client, b"\x1a\1\0\0\0")
    assert desk.to_servers() == frame(b"\x1a\7\0\0\0", 0)
    await desk.answer(ok())
    assert client.pin_reasons() == []


@pytest.mark.parametrize(
    ("command", "caller"), [(0x17, "mysqld_stmt_execute"), (0x1C, "mysqld_stmt_fetch"), (0x1A, "mysqld_stmt_reset")]
)
@virtually
async def test_a_statement_nobody_has_prepared(command: int, caller: str) -> None:
    desk = Desk()
    client, out = await with_statement(desk)
    await desk.say(client, bytes([command]) + b"\x63\0\0\0" + bytes(5))
    code, state, text = error_of(out.take())
    assert (code, state) == (1243, "HY000")
    assert text == f"Unknown prepared statement handler (99) given to {caller}"
    assert desk.to_servers() == b""


@virtually
async def test_more_statements_than_a_server_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", 1)
    desk = Desk()
    client, out = await with_statement(desk)
    await desk.say(client, b"\x16SELECT 1")
    assert error_of(out.take())[:2] == (1461, "42000")
    assert desk.to_servers() == b""


@pytest.mark.parametrize("sql", [b"KILL 5", b"KILL ?", b"EXPLAIN ROUTE SELECT 1"])
@virtually
async def test_what_the_router_does_itself_cannot_be_prepared(sql: bytes) -> None:
    """A prepared KILL would reach a server, where the number is another session's."""
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x16" + sql)
    assert error_of(out.take())[0] == 1295
    assert desk.to_servers() == b""


@pytest.mark.parametrize("command", [b"\x17\1", b"\x1a\1", b"\x1c\1", b"\x17\1\0\0\0", b"\x17\1\0\0\0\0\1\0\0"])
@virtually
async def test_half_a_head_has_one_answer(command: bytes) -> None:
    desk = Desk()
    client, out = await with_statement(desk)
    await desk.say(client, command)
    assert error_of(out.take())[0] == 1835
    assert desk.to_servers() == b""


@pytest.mark.parametrize(
    "command", [b"\x19", b"\x19\1", b"\x18", b"\x18\1", b"\x18\1\0\0\0\0", b"\x18\x63\0\0\0\0\0data"]
)
@virtually
async def test_nothing_wrong_with_a_command_without_answer_gets_one(command: bytes) -> None:
    desk = Desk()
    client, out = await with_statement(desk)
    await desk.say(client, command)
    assert desk.to_servers() == b""
    assert out.take() == b""
    assert client.client.idle


# --- the configuration changes ---------------------------------------------------------------------------------------


@virtually
async def test_a_statement_is_planned_anew_when_plans_are() -> None:
    desk = Desk()
    client, _ = desk.client()
    await desk.say(client, b"\x16SELECT a FROM t")
    await desk.answer(prepared(7))
    statement = client.executor.statements.by_id[1]
    before = statement.plan.role
    desk.plan_anew(reads="primary")
    client.rescope()
    await desk.say(client, EXECUTE)
    assert (before, statement.plan.role) == (Role.REPLICA, Role.PRIMARY)
    (busy,) = desk.bench.busy()
    assert desk.bench.server_of(busy) == "db1"
    made_by = statement.made_by
    await desk.answer(prepared(9))
    await desk.answer(ROW)
    await desk.say(client, EXECUTE)
    assert statement.made_by is made_by is desk.shared.plans


@virtually
async def test_a_statement_that_is_refused_now() -> None:
    desk = Desk()
    client, out = desk.client("shop", schema="shop")
    await desk.say(client, b"\x16SELECT a FROM t")
    await desk.answer(ok() + prepared(7))  # it has been taken to its database
    out.take()
    desk.plan_anew(users={"shop": {"password": "x", "schemas": ["other"]}})
    client.rescope()
    await desk.say(client, EXECUTE)
    assert error_of(out.take())[0] == 1044
