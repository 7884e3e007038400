"""An executor against servers that answer anything: every command ends exactly once, and no connection is ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from router.backend.connection import BackendConnection
from router.engine import questions
from router.wire.constants import Capability, ServerStatus
from router.wire.framing import frame
from router.wire.scanner import ROWS
from tests.engine.bench import Bench, P, R
from tests.fakes import (
    AUTOCOMMIT,
    VirtualLoop,
    WaitingSession,
    accounts,
    changed,
    eof,
    err,
    ok,
    prepared,
    query,
    quiet,
    rows,
    run_on,
    wire,
)
from tests.fakes import payloads as split

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
STATEMENTS = [
    "SELECT a FROM t",
    "SELECT 1",
    "UPDATE t SET a = 1",
    "INSERT INTO t VALUES (1)",
    "BEGIN",
    "COMMIT",
    "SET NAMES latin1",
    "SET time_zone = '+01:00'",
    "SET @a = 1",
    "USE shop",
    "SHOW WARNINGS",
    "SELECT LAST_INSERT_ID()",
    "SELECT ROW_COUNT()",
    "CREATE TEMPORARY TABLE x (a INT)",
    "CALL p()",
    "SELECT GET_LOCK('a', 1)",
    "INSERT INTO t VALUES (1) RETURNING a",
    "SET time_zone = '+01:00'; SELECT nonsense",
]
ANSWERS = {
    "ok": ok(),
    "affected": ok(affected_rows=2, last_insert_id=9),
    "warned": ok(warnings=1),
    "row": rows([b"1"]),
    "row in transaction": rows([b"1"], status=IN_TRANSACTION),
    "in transaction": ok(status=IN_TRANSACTION),
    "variable": ok(changes=changed({"time_zone": "+01:00"})),
    "charset": ok(changes=changed({"character_set_client": "latin1"})),
    "schema": ok(changes=changed(schema="shop")),
    "state": ok(changes=changed(state_changed=True)),
    "error": err(1064),
    "deadlock": err(1213, "Deadlock found", "40001"),
    "read-only": err(1290, "running with the --read-only option", "HY000"),
    "shutdown": err(1053, "Server shutdown in progress", "08S01"),
}
CURSOR_EXISTS, LAST_ROW = int(ServerStatus.CURSOR_EXISTS), int(ServerStatus.LAST_ROW_SENT)
CURSOR = rows(status=AUTOCOMMIT | CURSOR_EXISTS)[: -len(eof(1))]
LATIN1 = rows([b"latin1", b"latin1", b"latin1_swedish_ci"], names=("a", "b", "c"))
OUTCOMES = st.sampled_from([*ANSWERS, "lost", "cut", "out of step"])
ENDINGS = {"finished", "fail", "fail and close", "abort"}


@dataclass
class Step:
    """A command of the client, what its servers answer in turn, and what others do meanwhile."""

    sql: str
    outcomes: list[str]
    crowd: str | None
    event: str | None


STEPS = st.builds(
    Step,
    st.sampled_from(STATEMENTS),
    st.lists(OUTCOMES, min_size=1, max_size=4),
    st.sampled_from([None, None, "db1", "db2"]),
    st.sampled_from([None] * 6 + ["reset", "kill", "pause", "reshape", "leave", "prepare", "prepare"]),
)


@dataclass
class Random:
    """One example on its way."""

    bench: Bench
    others: list[WaitingSession] = field(default_factory=list)
    over: bool = False
    ids: Iterator[int] = field(default_factory=lambda: count(1))

    async def run(self, steps: list[Step]) -> None:
        for step in steps:
            if self.over:
                break
            await self.command(step)
        self.bench.executor.client_lost()
        await self.settle()
        for group in self.bench.services.topology.groups.values():
            for server in group.servers:
                assert server.pool.in_use == 0, f"a connection to {server.name} is lost"
                assert server.pool.waiting == 0
                accounts(server.pool)

    async def command(self, step: Step) -> None:
        bench = self.bench
        if step.crowd is not None:
            self.others.append(bench.crowd(step.crowd, bench.executor.key))
        if step.event == "reset":
            bench.executor.reset()
        if step.event == "reshape":
            await self.reshape()
        if step.event == "prepare":
            await self.prepare(step)
            return
        await self.until_done(step, lambda: bench.executor.run(bench.plan(step.sql), query(step.sql)))

    async def prepare(self, step: Step) -> None:
        """PREPARE, long data, EXECUTE (maybe with a cursor), FETCH, CLOSE, as far as it gets."""
        executor = self.bench.executor
        command = frame(b"\x16" + step.sql.encode(), 0)
        await self.until_done(step, lambda: executor.prepare(self.bench.plan(step.sql), command))
        statement = next(reversed(executor.statements.by_id.values()), None)
        if statement is None or self.over:
            return
        statement_id = statement.id.to_bytes(4, "little")
        statement.add_long_data(frame(b"\x18" + statement_id + b"\0\0data", 0), 100)
        execute = frame(b"\x17" + statement_id + bytes([len(step.outcomes) > 2]) + b"\1\0\0\0", 0)
        await self.until_done(step, lambda: executor.execute(statement, execute))
        if not self.over and statement.cursor:
            fetch = frame(b"\x1c" + statement_id + b"\1\0\0\0", 0)
            await self.until_done(step, lambda: executor.about(statement, fetch, ROWS))
        if not self.over and len(step.outcomes) % 2:
            executor.statement_closed(statement.id)
            await self.settle()

    async def until_done(self, step: Step, start: Callable[[], None]) -> None:
        bench = self.bench
        before = len(bench.client.events)
        start()
        if step.event == "pause":
            bench.executor.client_paused()
        if step.event == "kill":
            bench.executor.kill_query(lambda: None)
        if step.event == "leave":
            self.over = True
            return
        outcomes = iter(step.outcomes)
        for _ in range(200):
            await quiet()
            self.serve_others()
            if bench.client.events[before:] and bench.executor.ready:
                break
            busy = self.busy()
            if busy:
                self.answer(busy[0], next(outcomes, "ok"))
            else:
                await asyncio.sleep(0.3)
        else:
            raise AssertionError(f"{step.sql!r} does not end")
        ending = [event for event in bench.client.events[before:] if event in ENDINGS]
        assert len(ending) == 1, f"{step.sql!r} has ended {len(ending)} times: {ending}"
        self.over = ending[0] in ("abort", "fail and close")
        if step.event == "pause":
            bench.executor.client_resumed()

    async def reshape(self) -> None:
        done: list[bool] = []
        shape = self.bench.executor.shape ^ int(Capability.MULTI_STATEMENTS)
        self.bench.executor.reshape(shape, frame(b"\x1b\0\0", 0), lambda: done.append(True))
        await self.settle()
        assert done == [True]

    def busy(self) -> list[BackendConnection]:
        return [
            connection
            for connector in self.bench.connectors.values()
            for connection in connector.opened
            if connection.busy and not connection.closed
        ]

    def answer(self, connection: BackendConnection, outcome: str) -> None:
        unanswered = (0x18, 0x19)
        commands = [command for command in split(wire(connection).take()) if command[0] not in unanswered]
        if outcome == "lost":
            connection.connection_lost(None)
            return
        if outcome == "out of step":
            # To a FETCH an OK would be a row.
            first = eof(1, status=AUTOCOMMIT | LAST_ROW) if commands[-1][0] == 0x1C else b""
            connection.data_received(first + ok() * (len(commands) + 1))
            return
        last = ANSWERS.get(outcome, ANSWERS["row"])
        if commands[-1] == b"\x03" + questions.ASK_CHARSET.encode():
            last = LATIN1
        elif commands[-1].startswith(b"\x03SELECT @@SESSION."):
            last = rows([b"+01:00"])
        elif commands[-1] == b"\x03" + questions.ASK_IDENTITY.encode():
            last = rows([b"9", b"1"], names=("a", "b"))
        elif commands[-1][0] == 0x16:
            last = err(1064) if outcome == "error" else prepared(next(self.ids))
        elif commands[-1][0] == 0x17 and commands[-1][5] and outcome == "row":
            last = CURSOR
        elif commands[-1][0] == 0x1C:
            last = eof(1, status=AUTOCOMMIT | (LAST_ROW if outcome == "ok" else CURSOR_EXISTS))
        elif commands[-1][0] not in (3, 0x17):
            last = ok()
        data = ok() * (len(commands) - 1) + last
        if outcome == "cut":
            connection.data_received(data[:-2])
            connection.connection_lost(None)
        else:
            connection.data_received(data)

    def serve_others(self) -> None:
        """Everybody else is done with a connection at once."""
        for other in self.others:
            for connection in other.granted:
                other.pool.release(connection)
            other.granted.clear()

    async def settle(self) -> None:
        """Let everything end that goes on without the client."""
        for _ in range(50):
            await quiet()
            self.serve_others()
            for connection in self.busy():
                self.answer(connection, "ok")
            await asyncio.sleep(0.3)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(STEPS, min_size=1, max_size=8),
    st.sampled_from([1, 2]),
    st.sampled_from([None, "shop"]),
    st.sampled_from([0, 100_000]),
)
def test_every_command_ends_once_and_every_connection_comes_back(
    steps: list[Step], most: int, schema: str | None, replay: int
) -> None:
    async def test() -> None:
        shape = int(Capability.MULTI_STATEMENTS)
        bench = Bench(P, R, most=most, schema=schema, shape=shape, collation_id=8, replay=replay)
        await Random(bench).run(steps)

    run_on(VirtualLoop, test())
