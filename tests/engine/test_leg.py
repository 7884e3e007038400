"""One shard's part of a SELECT: as text or prepared, alone or on a connection of the transaction."""

from __future__ import annotations

from router.backend.connection import BackendConnection
from router.engine.execution import Execution
from router.engine.scatter import Scatter
from router.planner.merging import MergeSpec
from router.planner.plan import Part, Relay, Role, Scattered
from router.sql.facts import Reason, StatementFacts, StatementKind
from router.wire.constants import Capability, ColumnType, ServerStatus
from router.wire.framing import frame
from router.wire.packets import ColumnDefinition, EofPacket, encode_column
from router.wire.rows import encode_binary_row
from tests.engine.bench import Bench
from tests.fakes import AUTOCOMMIT, err, ok, payloads, prepared, quiet, rows, virtually, wire

READ = StatementFacts(StatementKind.SELECT, read=True, reason=Reason.READ)
IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)


class Desk:
    """A session's scatter over the groups ``main`` and ``other``."""

    def __init__(self, capabilities: int = 0) -> None:
        self.bench = Bench(Role.PRIMARY)
        self.client = self.bench.client
        self.session = self.bench.session
        self.ended: list[bool] = []
        self.scatter = Scatter(self.client, self.bench.executor, self.bench.services, capabilities, self.ended.append)

    async def ask(self, *groups: str, limit: int | None = None, execution: Execution | None = None) -> None:
        parts = tuple(Part(Relay(group, Role.PRIMARY, Reason.READ, READ), b"SELECT n") for group in groups)
        self.scatter.run(Scattered(parts, MergeSpec(), limit, 0, READ), self.bench.executor.key, execution)
        await quiet()

    def connection(self, group: str) -> BackendConnection:
        (connection,) = self.bench.connectors["db1" if group == "main" else "other"].opened
        return connection

    def said(self, group: str) -> list[bytes]:
        return [payload for payload in payloads(wire(self.connection(group)).take()) if payload[:1] != b"\x02"]


def inside(*values: bytes) -> bytes:
    """Rows, sent inside a transaction."""
    return rows(*[[value] for value in values], status=IN_TRANSACTION)


@virtually
async def test_a_prepared_statement_is_prepared_on_each_shard() -> None:
    desk = Desk()
    await desk.ask("main", "other", execution=Execution((), (), {}))
    column = encode_column(ColumnDefinition(b"n", ColumnType.LONG))
    eof = EofPacket(0, AUTOCOMMIT).encode()
    for number, group in enumerate(("main", "other"), 1):
        assert desk.said(group)[-1] == b"\x16SELECT n"
        desk.connection(group).data_received(prepared(number, columns=1))
        assert [payload[:5] for payload in desk.said(group)] == [bytes([0x17, number, 0, 0, 0])]
        row = encode_binary_row([number], [ColumnType.LONG])
        desk.connection(group).data_received(
            b"".join(frame(payload, at) for at, payload in enumerate([b"\1", column, eof, row, eof], 1))
        )
    assert [payload[-4:] for payload in payloads(desk.client.data)[3:5]] == [b"\1\0\0\0", b"\2\0\0\0"]
    assert desk.ended == [False]


@virtually
async def test_what_a_shard_does_not_prepare_is_the_answer() -> None:
    desk = Desk()
    await desk.ask("main", "other", execution=Execution((), (), {}))
    desk.connection("main").data_received(err(1146, "no such table"))
    assert b"no such table" in desk.client.data
    assert desk.bench.pool_of("db1") == (0, 1, 0), "its connection is fine"


@virtually
async def test_inside_a_transaction_the_connections_are_kept() -> None:
    desk = Desk()
    desk.session.open_later(b"BEGIN")
    await desk.ask("main", "other")
    for group in ("main", "other"):
        assert desk.said(group)[-2:] == [b"\x03BEGIN", b"\x03SELECT n"]
        desk.connection(group).data_received(ok(status=IN_TRANSACTION) + inside(b"1"))
    assert desk.ended == [False]
    assert desk.session.transaction
    assert desk.session.opening is None
    assert desk.bench.executor.held
    assert len(desk.bench.executor.branches) == 1
    await desk.ask("main", "other")
    for group in ("main", "other"):
        assert desk.said(group) == [b"\x03SELECT n"], "BEGIN only once"
        desk.connection(group).data_received(inside(b"1"))
    assert desk.ended == [False, False]


@virtually
async def test_shards_on_one_server_take_turns_on_its_connection() -> None:
    desk = Desk()
    desk.session.open_later(b"BEGIN")
    await desk.ask("main", "main")
    desk.connection("main").data_received(ok(status=IN_TRANSACTION) + inside(b"1", b"2"))
    assert desk.client.data == b"", "the columns of the second have not come"
    desk.connection("main").data_received(inside(b"3"))
    assert desk.client.data.count(b"\1" + b"1") == desk.client.data.count(b"\1" + b"3") == 1
    assert desk.ended == [False]


@virtually
async def test_behind_a_limit_the_rest_is_read_before_the_next_statement() -> None:
    desk = Desk()
    desk.session.open_later(b"BEGIN")
    await desk.ask("main", "other", limit=1)
    for group in ("main", "other"):
        desk.connection(group).data_received(ok(status=IN_TRANSACTION))
    answer = inside(b"1", b"2")
    desk.connection("main").data_received(answer[:-9])
    desk.connection("other").data_received(answer)
    assert desk.ended == []
    desk.connection("main").data_received(answer[-9:])
    assert desk.ended == [False]
    assert not desk.connection("main").closed


@virtually
async def test_an_error_ends_the_statement_and_not_the_transaction() -> None:
    desk = Desk()
    desk.session.open_later(b"BEGIN")
    await desk.ask("main", "other")
    desk.connection("main").data_received(ok(status=IN_TRANSACTION) + err(1054, "no such column"))
    desk.connection("main").data_received(ok(status=IN_TRANSACTION))  # still in it
    assert desk.ended == [], "the other is not to be disturbed"
    desk.connection("other").data_received(ok(status=IN_TRANSACTION) + inside(b"1"))
    assert b"no such column" in desk.client.data
    assert desk.session.transaction
    assert len(desk.bench.executor.branches) == 1


@virtually
async def test_a_server_that_has_rolled_back_ends_the_transaction() -> None:
    desk = Desk()
    desk.session.open_later(b"BEGIN")
    await desk.ask("main", "other")
    desk.connection("other").data_received(ok(status=IN_TRANSACTION) + inside(b"1"))
    desk.connection("main").data_received(ok(status=IN_TRANSACTION) + err(1213, "Deadlock", "40001"))
    desk.connection("main").data_received(ok())
    assert b"Deadlock" in desk.client.data
    assert not desk.session.transaction
    assert not desk.bench.executor.held


@virtually
async def test_a_lost_connection_ends_the_transaction() -> None:
    desk = Desk()
    desk.session.open_later(b"BEGIN")
    await desk.ask("main", "other")
    desk.connection("other").data_received(ok(status=IN_TRANSACTION) + inside(b"1"))
    desk.connection("main").connection_lost(None)
    assert b"the transaction was rolled back" in desk.client.data
    assert not desk.session.transaction
    assert desk.bench.pool_of("db1") == (0, 0, 0)


@virtually
async def test_definitions_with_extended_metadata() -> None:
    extended = int(Capability.MARIADB_EXTENDED_METADATA)
    desk = Desk(extended)
    await desk.ask("main", "other")
    column = encode_column(ColumnDefinition(b"n", ColumnType.VAR_STRING), extended)
    eof = EofPacket(0, AUTOCOMMIT).encode()
    for group, value in (("main", b"\1a"), ("other", b"\1b")):
        answer = [b"\1", column, eof, value, eof]
        desk.connection(group).data_received(b"".join(frame(payload, at) for at, payload in enumerate(answer, 1)))
    assert payloads(desk.client.data) == [b"\1", column, eof, b"\1a", b"\1b", eof]


@virtually
async def test_an_answer_that_cannot_be_read_is_an_error() -> None:
    desk = Desk()
    await desk.ask("main", "other")
    column = encode_column(ColumnDefinition(b"n", ColumnType.VAR_STRING))
    eof = EofPacket(0, AUTOCOMMIT).encode()
    for group, definition in (("main", column), ("other", column[:-4])):
        answer = [b"\1", definition, eof, b"\1a", eof]
        desk.connection(group).data_received(b"".join(frame(payload, at) for at, payload in enumerate(answer, 1)))
    assert b"08S01" in desk.client.data
    assert desk.ended == [True]


@virtually
async def test_a_row_that_cannot_be_read_is_an_error() -> None:
    desk = Desk()
    await desk.ask("main", "other")
    for group in ("main", "other"):
        desk.connection(group).data_received(rows([b"1", b"2"], names=["n"]))
    assert b"08S01" in desk.client.data
    assert desk.ended == [True]
