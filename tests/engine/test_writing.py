"""A write on several shards: begun, done and committed on all of them, or taken back."""

from __future__ import annotations

import asyncio

from router.backend.connection import BackendConnection
from router.engine.writing import Writing
from router.errors import MySQLError
from router.planner.plan import Part, Relay, Role, Spread
from router.sql.facts import Reason, StatementFacts, StatementKind
from router.wire.constants import ServerStatus
from router.wire.packets import OkPacket
from tests.engine.bench import Bench
from tests.fakes import AUTOCOMMIT, err, ok, payloads, quiet, virtually, wire

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
FACTS = StatementFacts(StatementKind.DELETE, read=False, reason=Reason.WRITE)
DONE = ok(affected_rows=1, status=IN_TRANSACTION)
OPEN = ok(status=IN_TRANSACTION)


class Desk:
    """A session that writes on the groups ``main`` and ``other``."""

    def __init__(self, *, most: int = 2) -> None:
        self.bench = Bench(Role.PRIMARY, most=most)
        self.session = self.bench.session
        self.told: list[tuple[OkPacket | None, MySQLError | None, bool]] = []
        self.writing = Writing(self.bench.executor, self.bench.services, self.answer)

    def answer(self, ok: OkPacket | None, error: MySQLError | None, close: bool) -> None:
        self.told.append((ok, error, close))

    async def write(self, *groups: str, copies: bool = False, clock: bool = False) -> None:
        parts = tuple(
            Part(Relay(group, Role.PRIMARY, Reason.WRITE, FACTS), b"DELETE %d" % number)
            for number, group in enumerate(groups or ("main", "other"))
        )
        self.writing.run(Spread(parts, FACTS, copies, clock), self.bench.executor.key)
        await quiet()

    def connection(self, group: str) -> BackendConnection:
        (connection,) = self.bench.connectors["db1" if group == "main" else "other"].opened
        return connection

    def said(self, group: str) -> list[bytes]:
        """The statements sent to a group since the last look."""
        return [payload[1:] for payload in payloads(wire(self.connection(group)).take()) if payload[:1] == b"\x03"]

    def begin(self) -> None:
        self.session.open_later(b"BEGIN")

    @property
    def error(self) -> MySQLError:
        [(_, error, _)] = self.told
        assert error is not None
        return error

    @property
    def ok(self) -> OkPacket:
        [(answer, _, _)] = self.told
        assert answer is not None
        return answer


@virtually
async def test_it_is_begun_done_and_committed_on_all() -> None:
    desk = Desk()
    await desk.write()
    for number, group in enumerate(("main", "other")):
        assert desk.said(group)[-1] == b"BEGIN"
        desk.connection(group).data_received(OPEN)
        assert desk.said(group) == [b"DELETE %d" % number]
    desk.connection("main").data_received(DONE)
    assert desk.said("main") == [], "nobody commits before all have done it"
    desk.connection("other").data_received(DONE)
    assert desk.said("main") == [b"COMMIT"]
    desk.connection("main").data_received(ok())
    desk.connection("other").data_received(ok())
    assert desk.ok.affected_rows == 2
    assert not desk.session.transaction
    assert desk.bench.pool_of("db1") == desk.bench.pool_of("other") == (0, 1, 0)


@virtually
async def test_what_one_refuses_all_take_back() -> None:
    desk = Desk()
    await desk.write()
    for group in ("main", "other"):
        desk.connection(group).data_received(OPEN)
    desk.connection("main").data_received(DONE)
    desk.connection("other").data_received(err(1062, "Duplicate entry", "23000"))
    for group in ("main", "other"):
        assert desk.said(group)[-1] == b"ROLLBACK"
        desk.connection(group).data_received(ok())
    assert desk.error.code == 1062
    assert not desk.session.transaction


@virtually
async def test_inside_a_transaction_only_the_statement_is_taken_back() -> None:
    desk = Desk()
    desk.begin()
    await desk.write()
    for group in ("main", "other"):
        assert desk.said(group)[-2:] == [b"BEGIN", b"SAVEPOINT `router: statement`"]
        desk.connection(group).data_received(OPEN)
        desk.connection(group).data_received(OPEN)
    desk.connection("main").data_received(DONE)
    desk.connection("other").data_received(err(1062, "Duplicate entry", "23000"))
    desk.connection("other").data_received(OPEN)  # still in the transaction
    assert desk.said("main")[-1] == b"ROLLBACK TO SAVEPOINT `router: statement`"
    desk.connection("main").data_received(OPEN)
    assert desk.error.code == 1062
    assert desk.session.transaction
    assert desk.bench.executor.held


@virtually
async def test_a_server_that_has_rolled_back_ends_the_transaction() -> None:
    desk = Desk()
    desk.begin()
    await desk.write()
    for group in ("main", "other"):
        desk.connection(group).data_received(OPEN)
        desk.connection(group).data_received(OPEN)
    desk.connection("main").data_received(DONE)
    desk.connection("other").data_received(err(1213, "Deadlock", "40001"))
    desk.connection("other").data_received(ok())
    assert desk.error.code == 1213
    assert not desk.session.transaction
    assert not desk.bench.executor.held


@virtually
async def test_shards_of_one_group_take_turns() -> None:
    desk = Desk()
    desk.begin()
    await desk.write("main", "main", "main")
    desk.connection("main").data_received(OPEN)
    desk.connection("main").data_received(OPEN)
    for number in range(3):
        assert desk.said("main")[-1] == b"DELETE %d" % number, "and one savepoint for all of it"
        desk.connection("main").data_received(DONE)
    assert desk.ok.affected_rows == 3
    assert desk.session.transaction


@virtually
async def test_copies_are_written_on_the_first_shard_first() -> None:
    desk = Desk()
    await desk.write(copies=True)
    assert desk.bench.connectors["other"].opened == []
    desk.connection("main").data_received(OPEN)
    desk.connection("main").data_received(DONE)
    await quiet()
    desk.connection("other").data_received(OPEN)
    desk.connection("other").data_received(DONE)
    for group in ("main", "other"):
        desk.connection(group).data_received(ok())
    assert desk.ok.affected_rows == 1, "the rows are the same"


@virtually
async def test_copies_that_differ_are_not_written() -> None:
    desk = Desk()
    await desk.write(copies=True)
    desk.connection("main").data_received(OPEN)
    desk.connection("main").data_received(DONE)
    await quiet()
    desk.connection("other").data_received(OPEN)
    desk.connection("other").data_received(ok(affected_rows=0, status=IN_TRANSACTION))
    for group in ("main", "other"):
        assert desk.said(group)[-1] == b"ROLLBACK"
        desk.connection(group).data_received(ok())
    assert "differ" in desk.error.message


@virtually
async def test_all_see_the_same_time_and_then_their_own() -> None:
    desk = Desk()
    await desk.write(clock=True)
    times = [desk.said(group)[-1] for group in ("main", "other")]
    assert times[0] == times[1]
    assert times[0].startswith(b"SET timestamp = 1")
    for group in ("main", "other"):
        desk.connection(group).data_received(OPEN)
        desk.connection(group).data_received(OPEN)
        desk.connection(group).data_received(DONE)
        assert desk.said(group)[-1] == b"SET timestamp = DEFAULT"
    desk.connection("main").data_received(OPEN)
    desk.connection("other").data_received(err(1193, "Unknown system variable"))
    assert desk.error.code == 1213
    assert desk.connection("other").closed, "nobody else gets its time"


@virtually
async def test_a_lost_connection_takes_all_back() -> None:
    desk = Desk()
    await desk.write()
    for group in ("main", "other"):
        desk.connection(group).data_received(OPEN)
    desk.connection("other").connection_lost(None)
    desk.connection("main").data_received(DONE)
    assert desk.error.code == 1213
    assert b"COMMIT" not in desk.said("main")
    assert not desk.session.transaction


@virtually
async def test_without_a_server_nothing_is_done() -> None:
    desk = Desk()
    desk.begin()
    desk.bench.services.topology.groups["other"].servers[0].up = False
    desk.bench.services.topology.groups["other"].refresh()
    await desk.write("other")
    await asyncio.sleep(60)  # of the loop's own time: its patience is shorter
    assert desk.error.code == 2003
    assert desk.session.opening == [b"BEGIN"], "the transaction waits for its first server again"


@virtually
async def test_a_client_that_leaves_leaves_nothing() -> None:
    desk = Desk()
    await desk.write()
    desk.bench.executor.client_lost()
    desk.writing.cancel()
    assert desk.told == []
    assert desk.bench.pool_of("db1") == desk.bench.pool_of("other") == (0, 0, 0)
    await desk.write()
    assert len(desk.bench.connectors["other"].opened) == 2, "the next is let in"


@virtually
async def test_kill_query_takes_all_of_it_back() -> None:
    desk = Desk()
    await desk.write()
    for group in ("main", "other"):
        desk.connection(group).data_received(OPEN)
    desk.connection("main").data_received(DONE)
    told: list[str] = []
    desk.writing.kill(lambda: told.append("killed"))
    desk.said("other")
    desk.connection("other").data_received(err(1317, "Query execution was interrupted", "70100"))
    assert not told
    assert desk.said("main")[-1:] != [b"ROLLBACK"], "the KILL could hit it"
    await quiet()
    assert told == ["killed"]
    assert len(desk.bench.connectors["other"].killed) == 1
    assert desk.bench.connectors["db1"].killed == []
    for group in ("main", "other"):
        assert desk.said(group)[-1] == b"ROLLBACK"
        desk.connection(group).data_received(ok())
    assert desk.error.code == 1317
    assert desk.bench.pool_of("other") == (0, 0, 0), "the connection is nobody else's"


@virtually
async def test_kill_query_before_anything_was_done() -> None:
    desk = Desk()
    await desk.write()
    told: list[str] = []
    desk.writing.kill(lambda: told.append("killed"))
    await quiet()
    for group in ("main", "other"):
        desk.said(group)
        desk.connection(group).data_received(OPEN)
    for group in ("main", "other"):
        assert desk.said(group) == [b"ROLLBACK"]
        desk.connection(group).data_received(ok())
    assert (told, desk.error.code) == (["killed"], 1317)


@virtually
async def test_kill_query_of_what_is_done_comes_too_late() -> None:
    desk = Desk()
    await desk.write()
    for group in ("main", "other"):
        desk.connection(group).data_received(OPEN)
        desk.connection(group).data_received(DONE)
    told: list[str] = []
    desk.writing.kill(lambda: told.append("killed"))
    assert told == ["killed"]
    for group in ("main", "other"):
        assert desk.said(group)[-1] == b"COMMIT" or group == "other"
        desk.connection(group).data_received(ok())
    assert desk.ok.affected_rows == 2


@virtually
async def test_kill_query_of_what_waits_for_a_connection() -> None:
    desk = Desk()
    crowd = [desk.bench.crowd("db1", desk.bench.executor.key) for _ in range(2)]
    await quiet()
    assert all(waiting.granted for waiting in crowd)
    await desk.write()
    desk.connection("other").data_received(OPEN)
    desk.said("other")
    told: list[str] = []
    desk.writing.kill(lambda: told.append("killed"))
    await quiet()
    desk.connection("other").data_received(err(1317, "Query execution was interrupted", "70100"))
    assert desk.said("other") == [b"ROLLBACK"]
    desk.connection("other").data_received(ok())
    assert (told, desk.error.code) == (["killed"], 1317)
    assert desk.bench.pool_of("db1") == (2, 0, 0), "nobody waits any more"
