"""Copies of mirrored statements: what they run under, what is dropped, and that nobody is worse off for them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from router.backend.connection import BackendConnection
from router.engine.copying import Copies
from router.errors import BackendUnavailable
from router.planner.plan import Mirror, Relay
from router.wire.framing import frame
from tests.engine.bench import ROW, Bench
from tests.fakes import WaitingSession, changed, err, ok, prepared, query, quiet, rows, virtually

MIRROR = Mirror("m", "other", 100, 2, writes=True)
READ = "SELECT a FROM t"


class House(Bench):
    """A bench whose group ``other`` gets copies; by what is drawn, 0 to 1."""

    def __init__(self, *, most: int = 4, draws: float = 0.5, schema: str | None = None) -> None:
        super().__init__(most=most, schema=schema)
        self.copies = Copies(self.services.topology, self.counters, lambda: draws)
        (self.server,) = self.services.topology.groups["other"].servers

    def mirrored(self, sql: str, mirror: Mirror = MIRROR, timeout: float | None = None) -> Relay:
        return replace(self.plan(sql), mirror=mirror, timeout=timeout)

    async def copy(self, sql: str = READ, mirror: Mirror = MIRROR, limit: float | None = None) -> None:
        self.copies.begin(self.executor, self.mirrored(sql, mirror, limit), query(sql))
        await quiet()

    @property
    def connection(self) -> BackendConnection:
        (connection,) = self.connectors["other"].opened
        return connection

    async def answer(self, answer: bytes) -> None:
        self.connection.data_received(answer)
        await quiet()

    @property
    def results(self) -> dict[str, int]:
        return {result: count for (rule, result), count in self.counters.mirrored.items() if rule == "m"}

    @property
    def pool(self) -> tuple[int, int, int]:
        return self.pool_of("other")


@virtually
async def test_the_answer_is_nobodys_and_the_connection_goes_back() -> None:
    house = House(schema="shop")
    await house.copy()
    sent = house.sent(house.connection)
    assert sent.endswith(query(READ))
    assert b"shop" in sent
    await house.answer(ok() + rows([b"1"]))
    assert house.results == {"ok": 1}
    assert house.pool == (0, 1, 0)
    assert house.client.events == []
    await house.copy()
    assert house.sent(house.connection) == query(READ), "the connection is as it should be"
    await house.answer(err(1146, "no such table"))
    assert house.results == {"ok": 1, "error": 1}
    assert house.pool == (0, 1, 0)


@virtually
async def test_what_a_session_has_set_goes_along_as_it_was_then() -> None:
    house = House()
    house.session.variables = house.session.variables.with_changes({"sql_mode": "ANSI_QUOTES", "@a": "1"})
    house.copies.begin(house.executor, house.mirrored(READ), query(READ))
    house.session.variables = house.session.variables.with_changes({"sql_mode": ""})
    await quiet()
    sent = house.sent(house.connection)
    assert b"ANSI_QUOTES" in sent
    assert b"@a" not in sent, "a read that does not name it does without"


@virtually
async def test_a_write_waits_until_its_session_is_there_and_leaves_nothing_behind() -> None:
    house = House(schema="shop")
    sql = "INSERT INTO t VALUES (1)"
    await house.copy(sql)
    assert query(sql) not in house.sent(house.connection)
    await house.answer(ok())
    assert house.sent(house.connection) == query(sql)
    await house.answer(ok(last_insert_id=7, affected_rows=1))
    assert house.results == {"ok": 1}
    assert house.connection.busy, "it is being reset"


@pytest.mark.parametrize("answer", [ok(status=3), ok(changes=changed({"sql_mode": ""}))], ids=["transaction", "state"])
@virtually
async def test_what_a_read_leaves_behind_all_the_same_is_reset(answer: bytes) -> None:
    house = House()
    await house.copy()
    await house.answer(answer)
    assert house.connection.busy


@virtually
async def test_what_is_too_much_is_dropped_never_queued() -> None:
    house = House()
    await house.copy()
    await house.answer(ROW)
    for _ in range(5):
        await house.copy()
    assert house.results == {"ok": 1, "dropped": 3}
    assert house.pool == (2, 0, 0)
    for connection in house.connectors["other"].opened:
        connection.data_received(ROW)
    await quiet()
    assert house.results == {"ok": 3, "dropped": 3}
    await house.copy()
    assert house.pool[0] == 1, "there is room again"


@virtually
async def test_nor_does_it_stand_in_anybodys_way() -> None:
    house = House(most=1)
    session = WaitingSession(house.server.pool).wait()
    await quiet()
    await house.copy()
    assert house.results == {"dropped": 1}, "all connections are taken"
    other = WaitingSession(house.server.pool).wait()
    await house.copy()
    house.server.pool.release(session.connection)
    assert other.connection is session.connection
    assert house.results == {"dropped": 2}


@virtually
async def test_without_a_server_it_is_dropped() -> None:
    house = House()
    house.server.up = False
    house.services.topology.groups["other"].refresh()
    await house.copy()
    await house.copy("INSERT INTO t VALUES (1)")
    assert house.results == {"dropped": 2}


@virtually
async def test_sessions_that_are_somewhere_are_not_copied() -> None:
    house = House()
    await house.do("BEGIN", ok(status=3))
    await house.copy()
    await house.do("COMMIT")
    house.session.after_status(0)
    await house.copy()
    house.session.after_status(2)
    house.session.open_later(b"BEGIN")
    await house.copy()
    house.session.ended()
    assert house.results == {}
    assert house.connectors["other"].opened == []
    await house.copy()
    assert len(house.connectors["other"].opened) == 1


@virtually
async def test_a_share_of_them() -> None:
    for draws, percent, copied in ((0.099, 10, True), (0.1, 10, False), (0.999, 100, True)):
        house = House(draws=draws)
        await house.copy(mirror=replace(MIRROR, percent=percent))
        assert (house.pool[0] == 1) is copied
        assert house.results == {}, "what is not drawn is no copy"


@virtually
async def test_who_cannot_connect_is_left_alone_for_a_while() -> None:
    house = House()
    connector = house.connectors["other"]
    connector.willing = False
    await house.copy()
    connector.pending[0].fail(BackendUnavailable("access denied", refused=True))
    await quiet()
    await house.copy()
    assert house.results == {"error": 1, "dropped": 1}
    assert len(connector.attempts) == 1
    await asyncio.sleep(1.1)
    await house.copy()
    assert len(connector.attempts) == 2


@pytest.mark.parametrize("sql", [READ, "DELETE FROM t"])
@virtually
async def test_where_the_session_cannot_be_the_connection_is_not_kept(sql: str) -> None:
    house = House(schema="shop")
    await house.copy(sql)
    await house.answer(err(1049, "Unknown database") + (ROW if sql is READ else b""))
    assert house.results == {"error": 1}
    assert house.pool == (0, 0, 0)
    await house.copy(sql)
    assert house.results == {"error": 1, "dropped": 1}


@virtually
async def test_a_lost_connection_is_an_error_and_nothing_more() -> None:
    house = House()
    await house.copy()
    house.connection.connection_lost(None)
    await quiet()
    assert house.results == {"error": 1}
    assert house.pool == (0, 0, 0)
    assert house.client.events == []


@virtually
async def test_it_may_take_as_long_as_its_statement() -> None:
    house = House()
    await house.copy(limit=2.0)
    await asyncio.sleep(3)
    assert house.results == {"error": 1}
    assert house.connectors["other"].killed == [(house.connection.thread_id, False)]
    assert house.connection.closed
    await house.copy(limit=2.0)
    connection = house.connectors["other"].opened[1]
    connection.data_received(ROW)
    await asyncio.sleep(3)
    assert house.results == {"error": 1, "ok": 1}
    assert len(house.connectors["other"].killed) == 1


@virtually
async def test_the_end_of_the_router_is_theirs() -> None:
    house = House()
    connector = house.connectors["other"]
    await house.copy()
    connector.willing = False
    house.server.pool.max_connections = 9
    await house.copy()
    house.copies.close()
    await quiet()
    assert house.results == {"error": 2}
    connector.pending[0].succeed()
    await quiet()
    assert house.pool == (0, 1, 0), "nobody took it"
    house.copies.close()
    assert house.results == {"error": 2}


@virtually
async def test_a_prepared_statement_is_prepared_there_and_stays_as_it_is() -> None:
    house = House()
    connection = await house.prepare("SELECT a FROM t WHERE id = ?")
    connection.data_received(prepared(5, columns=1, parameters=1))
    await quiet()
    (statement,) = house.executor.statements.by_id.values()
    execute = frame(b"\x17" + statement.id.to_bytes(4, "little") + b"\0\1\0\0\0" + b"\0\1\x03\0\x2a\0\0\0", 0)
    before = statement.types, statement.derived
    house.copies.begin(house.executor, replace(statement.plan, mirror=MIRROR), execute, statement)
    await quiet()
    assert (statement.types, statement.derived) == before
    assert house.sent(house.connection).endswith(b"\x16SELECT a FROM t WHERE id = ?")
    await house.answer(prepared(9, columns=1, parameters=1))
    assert house.sent(house.connection)[4:] == b"\x17\x09\0\0\0" + b"\0\1\0\0\0" + b"\0\1\x03\0\x2a\0\0\0"
    await house.answer(ROW)
    assert house.results == {"ok": 1}
    house.copies.begin(house.executor, replace(statement.plan, mirror=MIRROR), execute[:-3], statement)
    bulk = execute[:4] + b"\xfa" + execute[5:]
    house.copies.begin(house.executor, replace(statement.plan, mirror=MIRROR), bulk, statement)
    assert house.results == {"ok": 1, "dropped": 2}


@virtually
async def test_what_cannot_be_prepared_there_is_an_error() -> None:
    house = House()
    connection = await house.prepare(READ)
    connection.data_received(prepared(5, columns=1))
    await quiet()
    (statement,) = house.executor.statements.by_id.values()
    execute = frame(b"\x17" + statement.id.to_bytes(4, "little") + b"\0\1\0\0\0", 0)
    house.copies.begin(house.executor, replace(statement.plan, mirror=MIRROR), execute, statement)
    await quiet()
    await house.answer(err(1146, "no such table"))
    assert house.results == {"error": 1}
    assert house.pool == (0, 1, 0)
