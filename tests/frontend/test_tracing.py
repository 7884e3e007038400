"""Traced statements of a client: the server's answer is untouched, and SHOW WARNINGS has notes."""

from __future__ import annotations

from router.wire.rows import decode_text_row
from tests.engine.bench import ROW
from tests.fakes import err, ok, payloads, query, quiet, rows, virtually
from tests.frontend.desk import Desk

TRACED = b"\x03/*+ router(trace) */ SELECT a FROM t"
SHOW = b"\x03SHOW WARNINGS"


def notes(answer: bytes) -> list[str]:
    """The messages of an answer to SHOW WARNINGS of three columns; other rows as they are."""
    found = []
    for payload in payloads(answer)[4:-1]:
        if payload[0] == 0xFE:
            continue
        level, code, message = decode_text_row(payload, 3)
        assert (level, code) == (b"Note", b"1003")
        found.append((message or b"").decode())
    return found


@virtually
async def test_the_answer_is_the_servers_and_the_notes_come_behind() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, TRACED)
    assert desk.to_servers() == query(TRACED[1:].decode())
    await desk.answer(ROW)
    assert out.take() == ROW
    for _ in range(2):
        await desk.say(client, SHOW)
        found = notes(out.take())
        assert found[:2] == ["router: planned anew", "router: replica: read"]
        assert found[-1].startswith("router: total ")
        assert desk.to_servers() == b""
    await desk.say(client, TRACED)
    desk.to_servers()
    await desk.answer(ROW)
    out.take()
    await desk.say(client, b"\x03EXPLAIN ROUTE SELECT 1")
    out.take()
    await desk.say(client, SHOW)
    assert desk.to_servers() != b"", "it is not about the statement before any more"
    await desk.answer(ok(), ok(), rows())
    await desk.say(client, TRACED)
    await desk.answer(ROW)
    await desk.say(client, b"\x1f")  # COM_RESET_CONNECTION
    desk.to_servers()
    await desk.say(client, SHOW)
    assert desk.to_servers() != b"", "nor about what was before a reset"


@virtually
async def test_notes_stand_in_front_of_what_the_server_says() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, TRACED)
    await desk.answer(err(1146))
    assert out.take() == err(1146)
    desk.to_servers()
    await desk.say(client, SHOW)
    assert desk.to_servers() == query("SHOW WARNINGS")
    await desk.answer(rows([b"Error", b"1146", b"no such table"]))
    answer = payloads(out.take())
    texts = [payload for payload in answer if b"router: " in payload]
    assert any(b"error 1146" in text for text in texts)
    assert b"no such table" in answer[answer.index(texts[-1]) + 1]
    await desk.say(client, b"\x03SELECT a FROM t")
    await quiet()
    await desk.answer(ROW)
    assert out.take().endswith(ROW), "nothing is put into other answers"
