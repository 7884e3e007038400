"""Answers of the router itself."""

from __future__ import annotations

from router.frontend.local import STATE_COLUMNS, result, state_rows
from router.wire.constants import Capability
from tests.fakes import AUTOCOMMIT, payloads, virtually
from tests.frontend.desk import Desk


@virtually
async def test_what_is_kept_for_a_session() -> None:
    desk = Desk()
    dispatcher, _ = desk.client()
    state = dict(state_rows(dispatcher))
    assert state["connection_id"] == str(dispatcher.connection_id)
    assert state["transaction"] == "no"
    assert state["server_connection"] is state["other_connections"] is state["pinned_by"] is None
    await desk.say(dispatcher, b"\x03SELECT SLEEP(1000)")
    connection = dispatcher.executor.connection
    assert connection is not None
    assert dict(state_rows(dispatcher))["server_connection"] == str(connection.thread_id)


def test_everything_is_text() -> None:
    data = result(STATE_COLUMNS, [("a", None), ("b", 7)], int(Capability.DEPRECATE_EOF), AUTOCOMMIT)
    count, _, _, first, second, _ = payloads(data)
    assert count == b"\2"
    assert first == b"\1a\xfb"
    assert second == b"\1b\1" + b"7"
