"""Query attributes stand in front of the SQL: they go along, and are no part of what is planned."""

from __future__ import annotations

from router.frontend.login import CAPABILITIES
from router.wire.constants import Capability, ServerStatus
from router.wire.framing import frame
from tests.engine.bench import ROW
from tests.fakes import (
    AUTOCOMMIT,
    error_of,
    virtually,
)
from tests.frontend.desk import Desk

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)


@virtually
async def test_attributes_go_along_and_are_no_sql() -> None:
    desk = Desk()
    client, out = desk.client(capabilities=int(CAPABILITIES | Capability.QUERY_ATTRIBUTES))
    front = b"\x03\1\1\0\1\xfd\0\1a\6DELETE"
    for number in range(3):
        await desk.say(client, front + b"SELECT a FROM t")
        assert desk.to_servers() == frame(front + b"SELECT a FROM t", 0)
        await desk.answer(ROW)
        assert out.take() == ROW
        assert desk.shared.plans.hits == number
    await desk.say(client, b"\x03\0\1EXPLAIN ROUTE SELECT a FROM t")
    assert b"SELECT a FROM t" in out.take()
    await desk.say(client, b"\x03\1\1SELECT 1")
    assert desk.to_servers() == b""
    assert error_of(out.take())[0] == 1835
    assert client.client.idle
