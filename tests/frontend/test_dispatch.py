"""Commands of a client, from bytes to answers: which are relayed, which are answered here, and who may kill whom."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.frontend.login import CAPABILITIES
from router.planner.cache import PlanScope
from router.planner.plan import Plan
from router.wire.constants import Capability, Command, ServerStatus
from router.wire.framing import frame
from router.wire.packets import decode_ok
from tests.engine.bench import ROW
from tests.fakes import (
    AUTOCOMMIT,
    LOOPS,
    changed,
    eof,
    error_of,
    ok,
    payloads,
    query,
    quiet,
    run_on,
    virtually,
)
from tests.frontend.desk import Desk

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)


def status_of(data: bytes) -> int:
    """The status flags of the only packet in ``data``, an OK."""
    (payload,) = payloads(data)
    return decode_ok(payload, 0).status


# --- queries ----------------------------------------------------------------------------------------------------------


@virtually
async def test_a_query_and_its_answer_pass_unchanged() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03SELECT a FROM t")
    assert desk.to_servers() == query("SELECT a FROM t")
    await desk.answer(ROW)
    assert out.take() == ROW
    assert client.client.idle


@virtually
async def test_pipelined_queries_are_answered_in_order() -> None:
    desk = Desk()
    client, out = desk.client()
    client.client.data_received(query("SELECT a FROM t") + frame(b"\x0e", 0) + query("UPDATE t SET a = 1"))
    await quiet()
    assert desk.to_servers() == query("SELECT a FROM t")
    assert out.take() == b""
    await desk.answer(ROW)
    assert out.take() == ROW + ok()
    assert desk.to_servers() == query("UPDATE t SET a = 1")
    await desk.answer(ok(affected_rows=1))
    assert out.take() == ok(affected_rows=1)


@virtually
async def test_a_refused_query_never_reaches_a_server() -> None:
    desk = Desk()
    client, out = desk.client("shop")
    await desk.say(client, b"\x03SELECT * FROM secret.t")
    code, state, text = error_of(out.take())
    assert (code, state) in ((1044, "42000"), (1142, "42000"))
    assert "secret" in text
    assert desk.to_servers() == b""
    assert desk.bench.counters.errors["router", code] == 1
    await desk.say(client, b"\x0e")
    assert out.take() == ok()


@virtually
async def test_the_plan_follows_the_sessions_schema_and_mode() -> None:
    desk = Desk()
    client, out = desk.client("app")
    await desk.say(client, b"\x03USE blog")
    await desk.answer(ok(changes=changed(schema="blog")))
    desk.to_servers()
    await desk.say(client, b"\x03SELECT a FROM posts")
    assert len(desk.bench.connectors["other"].opened) == 1, "blog lives in another group"
    await desk.answer(ok() + ROW if b"\x02blog" in desk.to_servers() else ROW)
    await desk.say(client, b"\x03SET sql_mode = 'ANSI_QUOTES'")
    await desk.answer(
        *([ok()] if b"blog" in desk.to_servers() else []), ok(changes=changed({"sql_mode": "ANSI_QUOTES"}))
    )
    out.take()
    assert client.session.mode.ansi_quotes
    await desk.say(client, b'\x03SELECT "a" FROM "posts"')
    assert client.executor.connection is not None


@virtually
async def test_a_long_query_goes_out_in_its_frames() -> None:
    desk = Desk()
    client, _ = desk.client()
    data = query("INSERT INTO t VALUES ('" + "x" * (1 << 24) + "')")
    client.client.data_received(data[: 1 << 20])
    client.client.data_received(data[1 << 20 :])
    await quiet()
    assert desk.to_servers() == data


@virtually
async def test_an_empty_query() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03")
    assert out.written or desk.to_servers() == query("")


# --- other commands ---------------------------------------------------------------------------------------------------


@virtually
async def test_ping_is_answered_here() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x0e")
    assert out.take() == ok()
    assert desk.to_servers() == b""


@virtually
async def test_ping_with_a_held_connection_asks_the_server() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03BEGIN")
    await desk.answer(ok(status=IN_TRANSACTION))
    desk.to_servers()
    out.take()
    await desk.say(client, b"\x0e")
    assert desk.to_servers() == frame(b"\x0e", 0)
    await desk.answer(ok(status=IN_TRANSACTION))
    assert out.take() == ok(status=IN_TRANSACTION)


@virtually
async def test_quit() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x01")
    assert out.closed
    assert not out.aborted
    assert out.written == b""


@pytest.mark.parametrize("code", [0x00, 0x05, 0x06, 0x08, 0x0B, 0x0F, 0x10, 0x12, 0x14, 0x15, 0x1E, 0x20, 0xFE])
@virtually
async def test_unknown_commands(code: int) -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, bytes([code]) + b"something")
    assert error_of(out.take())[:2] == (1047, "08S01")
    assert desk.to_servers() == b""
    assert client.client.idle


@pytest.mark.parametrize("name", ["shop", "we`ird"])
@virtually
async def test_init_db(name: str) -> None:
    desk = Desk()
    client, out = desk.client()
    command = bytes([Command.INIT_DB]) + name.encode()
    await desk.say(client, command)
    assert desk.to_servers() == frame(command, 0)
    await desk.answer(ok(changes=changed(schema=name)))
    assert out.take() == ok()
    assert client.session.schema == name


@virtually
async def test_init_db_of_what_the_user_may_not_use() -> None:
    desk = Desk()
    client, out = desk.client("shop")
    await desk.say(client, b"\x02secret")
    assert error_of(out.take())[0] == 1044
    assert desk.to_servers() == b""


@virtually
async def test_statistics_and_field_list() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x09")
    assert desk.to_servers() == frame(b"\x09", 0)
    await desk.answer(frame(b"Uptime: 1", 1))
    assert out.take() == frame(b"Uptime: 1", 1)
    await desk.say(client, b"\x04t\0%")
    assert desk.to_servers() == frame(b"\x04t\0%", 0)
    await desk.answer(eof(1))
    assert out.take() == eof(1)
    assert client.client.idle


@pytest.mark.parametrize("deprecate_eof", [False, True])
@virtually
async def test_set_option(deprecate_eof: bool) -> None:
    desk = Desk()
    bit = int(Capability.DEPRECATE_EOF) if deprecate_eof else 0
    client, out = desk.client(capabilities=int(CAPABILITIES) | bit)
    await desk.say(client, b"\x1b\0\0")
    (payload,) = payloads(out.take())
    assert payload[0] == 0xFE
    assert len(payload) == (7 if deprecate_eof else 5)
    assert client.executor.shape == Capability.MULTI_STATEMENTS
    await desk.say(client, b"\x1b\x01\0")
    assert client.executor.shape == 0
    out.take()
    await desk.say(client, b"\x1b\x07\0")
    assert error_of(out.take())[0] == 1047


@virtually
async def test_reset_connection() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03SET @a = NOW()")
    await desk.answer(ok(changes=changed(state_changed=True)))
    assert client.pin_reasons() == ["user_variable"]
    out.take()
    await desk.say(client, b"\x1f")
    assert out.take() == ok()
    assert client.pin_reasons() == []


@virtually
async def test_change_user_goes_to_the_door() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x11app\0\0\0")
    assert desk.changes == [b"\x11app\0\0\0"]
    assert out.written == b""


@virtually
async def test_status_flags_of_our_own_answers() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
    await desk.answer(ok(changes=changed({"sql_mode": "NO_BACKSLASH_ESCAPES"})))
    out.take()
    await desk.say(client, b"\x0e")
    assert status_of(out.take()) & ServerStatus.NO_BACKSLASH_ESCAPES, "clients escape strings by it"


@virtually
async def test_show_session_state_is_answered_here() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03SET @mine = NOW()")
    await desk.answer(ok(changes=changed(state_changed=True)))
    desk.to_servers()
    out.take()
    await desk.say(client, b"\x03show session state;")
    assert desk.to_servers() == b""
    answer = out.take()
    assert b"\x09pinned_by\x0duser_variable" in answer
    assert f"connection_id{chr(len(str(client.connection_id)))}{client.connection_id}".encode() in answer
    assert client.client.idle
    await desk.say(client, b"\x16SHOW SESSION STATE")
    assert error_of(out.take())[0] == 1295


# --- the end ----------------------------------------------------------------------------------------------------------


@virtually
async def test_a_lost_client_is_forgotten_once() -> None:
    desk = Desk()
    client, _ = desk.client()
    client.client.connection_lost(None)
    client.client.connection_lost(None)
    assert desk.lost == [client]
    assert len(desk.sessions) == 0


@virtually
async def test_shut_down_says_so_once() -> None:
    desk = Desk()
    client, out = desk.client()
    client.shut_down()
    client.shut_down()
    assert error_of(out.take())[:2] == (1053, "08S01")
    assert out.closed
    assert desk.lost == [client]


@virtually
async def test_back_pressure_passes_through() -> None:
    desk = Desk()
    client, _ = desk.client()
    await desk.say(client, b"\x03SELECT a FROM t")
    connection = client.executor.connection
    assert connection is not None
    client.client.pause_writing()
    assert not connection.transport.is_reading()
    client.client.resume_writing()
    assert connection.transport.is_reading()


@virtually
async def test_a_file_passes_through() -> None:
    desk = Desk()
    client, out = desk.client()
    await desk.say(client, b"\x03LOAD DATA LOCAL INFILE 'f' INTO TABLE t")
    await desk.answer(frame(b"\xfbf", 1))
    desk.to_servers()
    out.take()
    client.client.data_received(frame(b"1\n", 2) + frame(b"", 3)[:2])
    client.client.data_received(frame(b"", 3)[2:])
    assert desk.to_servers() == frame(b"1\n", 2) + frame(b"", 3)
    await desk.answer(ok(4, affected_rows=1))
    assert out.take() == ok(4, affected_rows=1)
    assert client.client.idle


# --- whatever a client says -------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 255) | st.sampled_from(sorted(Command)), st.binary(max_size=12))
def test_every_command_is_answered_relayed_or_ends_the_connection(code: int, rest: bytes) -> None:
    silent = {Command.STMT_CLOSE, Command.STMT_SEND_LONG_DATA}

    async def test() -> None:
        desk = Desk()
        client, out = desk.client()
        await desk.say(client, bytes([code]) + rest)
        answered = out.written != b""
        relayed = desk.to_servers() != b""
        assert answered or relayed or out.closed or desk.changes or code in silent, "the client waits for ever"
        assert client.client.idle or relayed or out.closed or desk.changes

    run_on(LOOPS[0], test())


@virtually
async def test_a_fault_of_the_planner_does_not_end_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    client, out = desk.client()

    def broken(scope: PlanScope, sql: bytes) -> Plan:
        raise KeyError("a secret")

    with monkeypatch.context() as patch:
        patch.setattr(PlanScope, "lookup", broken)
        for command in (b"\x03SELECT 1", b"\x16SELECT 1"):
            await desk.say(client, command)
            code, _, message = error_of(out.take())
            assert code == 1105
            assert "secret" not in message
    await desk.say(client, b"\x0e")
    assert out.take() == ok()
