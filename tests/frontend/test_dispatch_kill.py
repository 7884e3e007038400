"""KILL, as a statement and as a command: by the router's connection ids, among sessions of one user."""

from __future__ import annotations

import pytest

from router.wire.constants import ServerStatus
from router.wire.framing import frame
from tests.engine.bench import ROW
from tests.fakes import AUTOCOMMIT, eof, error_of, ok, prepared, quiet, rows, virtually
from tests.frontend.desk import Desk

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)


def kill_commands(connection_id: int) -> list[bytes]:
    return [
        b"\x03KILL %d" % connection_id,
        b"\x03KILL CONNECTION %d" % connection_id,
        b"\x0c" + connection_id.to_bytes(4, "little"),
    ]


@pytest.mark.parametrize("way", [0, 1, 2])
@virtually
async def test_kill_of_another_session_of_the_same_user(way: int) -> None:
    desk = Desk()
    client, out = desk.client()
    target, gone = desk.client()
    await desk.say(target, b"\x03BEGIN")
    await desk.answer(ok(status=IN_TRANSACTION))
    await desk.say(client, kill_commands(target.connection_id)[way])
    assert out.take() == ok()
    assert gone.aborted
    target.client.connection_lost(None)
    assert desk.lost == [target]
    assert desk.sessions.get(target.connection_id) is None


@virtually
async def test_kill_query() -> None:
    desk = Desk()
    client, out = desk.client()
    target, gone = desk.client()
    await desk.say(target, b"\x03SELECT SLEEP(1000)")
    connection = target.executor.connection
    assert connection is not None
    await desk.say(client, b"\x03KILL QUERY %d" % target.connection_id)
    assert out.take() == ok()
    assert not gone.closed
    assert (connection.thread_id, True) in desk.bench.connectors[desk.bench.server_of(connection)].killed


@virtually
async def test_kill_query_is_answered_when_the_server_has_done_it() -> None:
    desk = Desk()
    client, out = desk.client()
    target, _ = desk.client()
    await desk.say(target, b"\x03SELECT SLEEP(1000)")
    connection = target.executor.connection
    assert connection is not None
    connector = desk.bench.connectors[desk.bench.server_of(connection)]
    connector.reachable.clear()
    await desk.say(client, b"\x03KILL QUERY %d" % target.connection_id)
    assert out.take() == b""
    connector.reachable.set()
    await quiet()
    assert out.take() == ok()


@pytest.mark.parametrize("way", [0, 1, 2])
@virtually
async def test_kill_of_another_users_session(way: int) -> None:
    desk = Desk()
    client, out = desk.client()
    target, alive = desk.client("other")
    await desk.say(client, kill_commands(target.connection_id)[way])
    assert error_of(out.take())[:2] == (1095, "HY000")
    assert not alive.closed


@pytest.mark.parametrize("way", [0, 1, 2])
@virtually
async def test_kill_of_nobody(way: int) -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, kill_commands(4711)[way])
    assert error_of(out.take()) == (1094, "HY000", "Unknown thread id: 4711")
    assert desk.to_servers() == b"", "a server's thread of that number is somebody else's"


@virtually
async def test_kill_of_oneself() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03KILL QUERY %d" % client.connection_id)
    assert error_of(out.take())[0] == 1317
    assert not out.closed
    await desk.say(client, b"\x03KILL %d" % client.connection_id)
    assert error_of(out.take())[0] == 1317
    assert out.closed


@virtually
async def test_kill_of_something_that_is_no_number() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03KILL @id")
    assert error_of(out.take())[0] == 1235
    assert desk.to_servers() == b""


@virtually
async def test_a_session_killed_in_the_middle_of_its_answer() -> None:
    """Its server may send more before the loop has told anybody that the client is gone."""
    desk = Desk()
    client, _ = desk.client()
    target, gone = desk.client()
    await desk.say(target, b"\x03SELECT a FROM t")
    connection = target.executor.connection
    assert connection is not None
    connection.data_received(ROW[:20])
    await desk.say(client, b"\x03KILL %d" % target.connection_id)
    assert gone.aborted
    connection.data_received(ROW[20:])
    target.client.connection_lost(None)
    assert target.executor.connection is None
    assert connection.closed


# --- whose id it is ---------------------------------------------------------------------------------------------------


@virtually
async def test_connection_id_is_the_routers() -> None:
    desk = Desk()
    client, out = desk.client()
    answer = rows([b"19"], names=("CONNECTION_ID()",))
    await desk.say(client, b"\x03SELECT CONNECTION_ID()")
    await desk.answer(answer)
    number = str(client.connection_id).encode()
    assert out.take() == rows([number], names=("CONNECTION_ID()",))
    await desk.say(client, b"\x03SELECT CONNECTION_ID() + 1")
    await desk.answer(answer)
    assert out.take() == answer, "in an expression it is the server's, as in its process list"


@virtually
async def test_connection_id_as_a_prepared_statement() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x16SELECT CONNECTION_ID()")
    await desk.answer(prepared(7, columns=1))
    out.take()
    await desk.say(client, b"\x17\1\0\0\0\0\1\0\0\0")
    head = rows()[: -len(eof(4))]
    await desk.answer(head + frame(b"\0\0\x13\0\0\0", 4) + eof(5))
    assert out.take() == head + frame(b"\0\0" + client.connection_id.to_bytes(4, "little"), 4) + eof(5)
