"""BEGIN waits for the first statement; what ends a transaction ends it on every group that takes part."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.backend.connection import BackendConnection
from router.engine.transactions import Transactions
from router.errors import MySQLError
from router.planner.plan import Relay
from router.wire.constants import ServerStatus
from tests.engine.bench import Bench, P
from tests.fakes import AUTOCOMMIT, err, ok, query, quiet, virtually, wire

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)


class Desk:
    """A session that may be on ``main`` and ``other`` in one transaction."""

    def __init__(self) -> None:
        self.bench = Bench(P, schema="shop")
        self.session = self.bench.session
        self.executor = self.bench.executor
        self.told: list[MySQLError | None] = []
        self.sent: list[str] = []
        self.transactions = Transactions(self.session, self.executor, lambda error, close: self.told.append(error))

    def say(self, sql: str) -> None:
        self.transactions.run(self.plan(sql), sql.encode(), lambda: self.sent.append(sql))

    def plan(self, sql: str, group: str = "main") -> Relay:
        return replace(self.bench.plan(sql), group=group, spans=True)

    async def write(self, group: str, answer: bytes = ok(affected_rows=1, status=IN_TRANSACTION)) -> BackendConnection:
        """An UPDATE on a group, answered."""
        sql = "UPDATE t SET a = 1"
        self.executor.run(self.plan(sql, group), query(sql))
        await quiet()
        connection = self.connection(group)
        while connection.busy:
            asked = wire(connection).written.count(b"\x03UPDATE")
            for _ in range(wire(connection).written.count(b"\x03BEGIN") + wire(connection).written.count(b"\x02")):
                if connection.busy and asked == wire(connection).written.count(b"\x03UPDATE"):
                    connection.data_received(ok(status=IN_TRANSACTION))
            if connection.busy:
                connection.data_received(answer)
        return connection

    def connection(self, group: str) -> BackendConnection:
        (connection,) = self.bench.connectors["db1" if group == "main" else "other"].opened
        return connection


@virtually
async def test_begin_waits_for_a_statement_that_says_where() -> None:
    desk = Desk()
    desk.say("BEGIN")
    desk.say("SAVEPOINT a")
    assert desk.told == [None, None]
    assert desk.session.opening == desk.session.begun == [b"BEGIN", b"SAVEPOINT a"]
    desk.say("COMMIT")
    assert not desk.session.transaction
    assert desk.sent == []
    assert desk.bench.pool_of("db1") == (0, 0, 0)


@virtually
async def test_what_says_more_than_begin_goes_to_a_server() -> None:
    desk = Desk()
    for sql in ("START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT", "ROLLBACK", "SAVEPOINT a"):
        desk.say(sql)
    assert desk.sent == ["START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT", "ROLLBACK", "SAVEPOINT a"]
    desk.say("BEGIN")
    desk.say("COMMIT AND CHAIN")
    assert desk.sent[4:] == ["COMMIT AND CHAIN"]


async def spread() -> tuple[Desk, BackendConnection, BackendConnection]:
    desk = Desk()
    desk.say("BEGIN")
    desk.told.clear()
    main = await desk.write("main")
    other = await desk.write("other")
    assert len(desk.executor.branches) == 1
    assert b"\x03BEGIN" in wire(main).written
    assert b"\x03BEGIN" in wire(other).written
    return desk, main, other


@virtually
async def test_commit_is_for_both() -> None:
    desk, main, other = await spread()
    desk.say("COMMIT")
    assert desk.told == []
    main.data_received(ok())
    other.data_received(ok())
    assert desk.told == [None]
    assert desk.bench.pool_of("db1") == desk.bench.pool_of("other") == (0, 1, 0)
    assert desk.executor.branches.in_order() == []


@virtually
async def test_begin_commits_and_waits_again() -> None:
    desk, main, other = await spread()
    desk.say("BEGIN")
    main.data_received(ok())
    other.data_received(ok())
    assert desk.told == [None]
    assert desk.session.opening == [b"BEGIN"]


@virtually
async def test_a_savepoint_is_for_both_and_the_session_goes_on() -> None:
    desk, main, other = await spread()
    desk.say("SAVEPOINT a")
    main.data_received(ok(status=IN_TRANSACTION))
    other.data_received(ok(status=IN_TRANSACTION))
    assert desk.told == [None]
    assert desk.session.begun == [b"BEGIN", b"SAVEPOINT a"], "for a third group"
    await desk.write("main")
    assert len(desk.executor.branches) == 1


@pytest.mark.parametrize("sql", ["COMMIT AND CHAIN", "ROLLBACK RELEASE", "START TRANSACTION WITH CONSISTENT SNAPSHOT"])
@virtually
async def test_what_groups_cannot_do_together_is_refused(sql: str) -> None:
    desk, _, _ = await spread()
    desk.say(sql)
    [error] = desk.told
    assert error is not None
    assert error.code == 1235
    assert desk.executor.held
    assert desk.session.transaction


@virtually
async def test_a_deadlock_on_one_rolls_the_other_back() -> None:
    desk, main, other = await spread()
    sql = "UPDATE t SET a = 2"
    desk.executor.run(desk.plan(sql, "other"), query(sql))
    other.data_received(err(1213, "Deadlock found", "40001"))
    assert desk.bench.client.events.count("finished") == 2, "has the server rolled back?"
    other.data_received(ok())
    assert not desk.session.transaction
    assert desk.bench.client.events.count("finished") == 3
    assert b"\x01\0\0\0\x1f" in wire(main).written, "reset"
    assert len(desk.executor.branches) == 0


@pytest.mark.parametrize(
    "sql", ["SET autocommit=1", "set @@session.autocommit = ON", "SET SESSION AUTOCOMMIT := TRUE;"]
)
@virtually
async def test_switching_autocommit_on_commits(sql: str) -> None:
    desk, main, other = await spread()
    desk.session.autocommit = False
    desk.say(sql)
    assert desk.sent == []
    main.data_received(ok())
    other.data_received(ok())
    assert desk.sent == [sql]
    assert desk.told == []


@virtually
async def test_other_settings_are_not_looked_at() -> None:
    desk, _, _ = await spread()
    for sql in ("SET autocommit = 0", "SET autocommit = 1"):
        desk.say(sql)
    assert desk.sent == ["SET autocommit = 0", "SET autocommit = 1"], "the executor refuses what it must"
