"""Sessions as operators see them."""

from __future__ import annotations

import asyncio

import pytest

from router.frontend.glance import LONGEST, glance, without_literals
from router.sql.lexer import LexMode
from router.wire.constants import Capability
from tests.fakes import virtually
from tests.frontend.desk import Desk


def now() -> float:
    return asyncio.get_running_loop().time()


@virtually
async def test_idle() -> None:
    dispatcher, _ = Desk().client(schema="shop")
    dispatcher.client.active = False
    dispatcher.client.last_activity = now() - 5
    found = glance(dispatcher, {"program_name": "x"}, now())
    assert (found.state, found.seconds, found.servers, found.statement) == ("idle", 5, (), None)
    assert (found.user, found.schema, found.program, found.tls) == ("app", "shop", "x", False)


@virtually
async def test_running() -> None:
    desk = Desk()
    dispatcher, _ = desk.client()
    await desk.say(dispatcher, b"\x03SELECT SLEEP(1000), 'secret'")
    found = glance(dispatcher, {}, now())
    assert (found.state, found.statement, found.digest) == (
        "running",
        "SELECT SLEEP(1000), 'secret'",
        "SELECT SLEEP ( ? ) , ?",
    )
    connection = dispatcher.executor.connection
    assert connection is not None
    assert [place[2] for place in found.servers] == [connection.thread_id]


@virtually
async def test_what_runs_on_several_shards() -> None:
    dispatcher, _ = Desk().client()
    dispatcher.client._idle = False
    found = glance(dispatcher, {}, now())
    assert (found.state, found.seconds, found.statement) == ("running", None, None)


@virtually
async def test_waiting_for_a_connection() -> None:
    desk = Desk()
    dispatcher, _ = desk.client()
    desk.bench.services.topology.groups["main"].pause()
    await desk.say(dispatcher, b"\x03SELECT 1")
    found = glance(dispatcher, {}, now())
    assert (found.state, found.digest, found.servers) == ("waiting", "SELECT ?", ())


@virtually
async def test_attributes_of_a_query_are_not_its_text() -> None:
    desk = Desk()
    dispatcher, _ = desk.client(capabilities=int(Capability.QUERY_ATTRIBUTES | Capability.PROTOCOL_41))
    await desk.say(dispatcher, b"\x03\x01\x01\x00\x01\xfd\x00\x03key\x05valueSELECT SLEEP(1000)")
    assert glance(dispatcher, {}, now()).statement == "SELECT SLEEP(1000)"


@pytest.mark.parametrize(
    ("sql", "digest"),
    [
        (b"SELECT 'secret' FROM t", "SELECT ? FROM t"),
        (b"SELECT 'open secret", "SELECT …"),
        (b"'open secret", "…"),
        (b"INSERT INTO t VALUES ('" + b"s" * LONGEST, "INSERT INTO t VALUES ( …"),
    ],
)
def test_nothing_is_shown_that_may_be_a_literal(sql: bytes, digest: str) -> None:
    assert without_literals(sql[:LONGEST], LexMode()) == digest
