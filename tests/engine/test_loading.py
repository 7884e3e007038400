"""LOAD DATA LOCAL on several servers: an empty file first, then each line where it belongs, all or nothing."""

from __future__ import annotations

import pytest

from router.backend.connection import BackendConnection
from router.engine import loading
from router.engine.writing import Writing
from router.errors import MySQLError
from router.planner.keys import KeyKind, KeyType
from router.planner.loading import Load, Loads
from router.planner.plan import Part, Relay, Role, Spread
from router.planner.sharding import Mod
from router.planner.tables import Column, Definition, ShardedTable
from router.sql.facts import Reason, StatementFacts, StatementKind
from router.sql.infile import Format
from router.wire.constants import ServerStatus
from router.wire.framing import frame
from router.wire.packets import OkPacket
from tests.engine.bench import Bench
from tests.fakes import AUTOCOMMIT, err, ok, payloads, quiet, virtually, wire

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
FACTS = StatementFacts(StatementKind.LOAD_DATA, read=False, reason=Reason.WRITE)
OPEN = ok(status=IN_TRANSACTION)
REQUEST = frame(b"\xfbfile", 1)
KEY = KeyType(KeyKind.INTEGER, -100, 100)
TABLE = ShardedTable(
    "t", (0, 1), columns=("id",), function=Mod(2), definition=Definition({"id": Column("id", "int", KEY)})
)


class Desk:
    """A session that loads a file into the groups ``main`` and ``other``."""

    def __init__(self) -> None:
        self.bench = Bench(Role.PRIMARY, most=2)
        self.told: list[tuple[OkPacket | None, MySQLError | None, bool]] = []
        self.writing = Writing(self.bench.executor, self.bench.services, self.answer, self.bench.client)

    def answer(self, ok: OkPacket | None, error: MySQLError | None, close: bool) -> None:
        self.told.append((ok, error, close))

    async def load(self) -> None:
        parts = tuple(
            Part(Relay(group, Role.PRIMARY, Reason.WRITE, FACTS, shard=group), b"LOAD") for group in ("main", "other")
        )
        load = Load(Loads(TABLE, 1, (0,), ()), Format(), "utf8mb4", {0: 0, 1: 1})
        self.writing.run(Spread(parts, FACTS, load=load), self.bench.executor.key)
        await quiet()
        for group in ("main", "other"):
            assert self.said(group)[-1] == b"\x03BEGIN"
            self.connection(group).data_received(OPEN)

    def connection(self, group: str) -> BackendConnection:
        (connection,) = self.bench.connectors["db1" if group == "main" else "other"].opened
        return connection

    def said(self, group: str) -> list[bytes]:
        return payloads(wire(self.connection(group)).take())

    def loads(self, group: str, lines: list[bytes], answer: bytes) -> None:
        """The server is asked to load these lines, and answers."""
        assert self.said(group) == [b"\x03LOAD"]
        self.connection(group).data_received(REQUEST)
        assert self.said(group) == [*lines, b""]
        self.connection(group).data_received(answer)

    def file(self, content: bytes) -> None:
        assert self.writing.loading is not None
        self.writing.loading.data(frame(content, 2), False)
        self.writing.loading.data(frame(b"", 3), True)


def loaded(count: int, sequence: int = 3) -> bytes:
    info = b"Records: %d  Deleted: 0  Skipped: 0  Warnings: 0" % count
    return ok(affected_rows=count, status=IN_TRANSACTION, info=info)


@virtually
async def test_each_line_goes_to_its_shard() -> None:
    desk = Desk()
    await desk.load()
    desk.loads("main", [], loaded(0))
    assert desk.bench.client.data == b"", "not before all have said that they want the file"
    desk.loads("other", [], loaded(0))
    assert desk.bench.client.data == REQUEST
    desk.file(b"1\n2\n3\n4")
    desk.loads("main", [b"2\n4"], loaded(2))
    desk.loads("other", [b"1\n3\n"], loaded(2))
    for group in ("main", "other"):
        assert desk.said(group) == [b"\x03COMMIT"]
        desk.connection(group).data_received(ok())
    ((answer, error, _),) = desk.told
    assert error is None
    assert answer is not None
    assert (answer.affected_rows, answer.info) == (4, b"Records: 4  Deleted: 0  Skipped: 0  Warnings: 0")
    assert desk.writing.loading is None


@virtually
async def test_warnings_that_every_piece_gets_count_once() -> None:
    desk = Desk()
    await desk.load()
    info = b"Records: %d  Deleted: 0  Skipped: 0  Warnings: %d"
    for group in ("main", "other"):
        desk.loads(group, [], ok(status=IN_TRANSACTION, warnings=1, info=info % (0, 1)))
    desk.file(b"1\n2\n")
    desk.loads("main", [b"2\n"], ok(affected_rows=1, status=IN_TRANSACTION, warnings=3, info=info % (1, 3)))
    desk.loads("other", [b"1\n"], ok(affected_rows=1, status=IN_TRANSACTION, warnings=1, info=info % (1, 1)))
    for group in ("main", "other"):
        desk.connection(group).data_received(ok())
    ((answer, _, _),) = desk.told
    assert answer is not None
    assert (answer.affected_rows, answer.warnings, answer.info) == (2, 3, info % (2, 3))


def rolled_back(desk: Desk) -> MySQLError:
    for group in ("main", "other"):
        assert desk.said(group) == [b"\x03ROLLBACK"]
        desk.connection(group).data_received(ok())
    ((_, error, _),) = desk.told
    assert error is not None
    return error


@virtually
async def test_an_error_before_the_file_is_asked_for() -> None:
    desk = Desk()
    await desk.load()
    assert desk.said("main") == [b"\x03LOAD"]
    desk.connection("main").data_received(err(1146, "no such table"))
    desk.loads("other", [], loaded(0))
    assert rolled_back(desk).code == 1146
    assert desk.bench.client.data == b""


@pytest.mark.parametrize(
    ("content", "code", "answer"),
    [(b"2\nx\n", 1526, None), (b"2\n4\n", 1062, err(1062, "duplicate"))],
)
def test_errors_are_told_at_the_end_of_the_file(content: bytes, code: int, answer: bytes | None) -> None:
    @virtually
    async def run() -> None:
        desk = Desk()
        await desk.load()
        for group in ("main", "other"):
            desk.loads(group, [], loaded(0))
        desk.file(content)
        if answer is not None:
            desk.loads("main", [content], answer)
        assert rolled_back(desk).code == code

    run()


@virtually
async def test_a_server_that_is_lost() -> None:
    desk = Desk()
    await desk.load()
    for group in ("main", "other"):
        desk.loads(group, [], loaded(0))
    desk.connection("main").connection_lost(None)
    assert desk.told == [], "the client is still sending"
    desk.file(b"1\n2\n")
    desk.loads("other", [b"1\n"], loaded(1))
    ((_, error, _),) = desk.told
    assert error is not None
    assert error.code == 1213


@virtually
async def test_a_client_that_sends_faster_than_shards_take() -> None:
    desk = Desk()
    await desk.load()
    for group in ("main", "other"):
        desk.loads(group, [], loaded(0))
    assert desk.writing.loading is not None
    line = b"2" + b" " * 60_000 + b"\n"
    for number in range(80):
        desk.writing.loading.data(frame(line, number & 0xFF), False)
    assert not desk.bench.client.reading
    while not desk.bench.client.reading:
        assert desk.said("main") == [b"\x03LOAD"]
        desk.connection("main").data_received(REQUEST)
        desk.said("main")
        desk.connection("main").data_received(loaded(1))
    assert desk.writing.loading._waiting <= loading.WAITING // 2
