"""EXPLAIN ROUTE as a client sees it."""

from __future__ import annotations

import json

from router.wire.rows import decode_text_row
from tests.fakes import changed, ok, payloads, virtually
from tests.frontend.desk import Desk


@virtually
async def test_explain_route_is_answered_here() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03EXPLAIN ROUTE SELECT a FROM t")
    answer = payloads(out.take())
    assert answer[0] == b"\x06", "step, server, role, shard, sql, reason"
    (row,) = answer[8:-1]
    for value in (b"db2", b"replica", b"read", b"SELECT a FROM t"):
        assert value in row
    assert desk.to_servers() == b""
    await desk.say(client, b"\x03EXPLAIN ROUTE DELETE FROM t")
    assert b"db1" in out.take()


@virtually
async def test_explain_route_as_json() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03EXPLAIN ROUTE FORMAT=JSON SELECT a FROM t WHERE b = 5")
    answer = payloads(out.take())
    assert answer[0] == b"\1"
    (row,) = answer[3:-1]
    ((text,)) = decode_text_row(row, 1)
    assert text is not None
    found = json.loads(text)
    assert (found["plan"]["plan"], found["plan"]["role"]) == ("relay", "replica")
    (step,) = found["steps"]
    assert (step["server"], step["sql"]) == ("db2", "SELECT a FROM t WHERE b = 5")


@virtually
async def test_explain_route_knows_that_reads_without_autocommit_go_to_the_primary() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03SET autocommit = 0")
    await desk.answer(ok(status=0, changes=changed({"autocommit": "OFF"})))
    out.take()
    await desk.say(client, b"\x03EXPLAIN ROUTE SELECT a FROM t")
    answer = out.take()
    assert b"db1" in answer
    assert b"db2" not in answer


@virtually
async def test_explain_route_knows_of_hints() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03EXPLAIN ROUTE /*+ router(primary) */ SELECT a FROM t")
    answer = out.take()
    assert b"db1" in answer
    assert b"hint" in answer
