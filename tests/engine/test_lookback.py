"""The lingering connection: kept for questions about the past, given up when others wait."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Literal

import pytest

from router.backend.connection import BackendConnection, Capture
from router.cluster.topology import Server
from router.config.models import Server as ServerConfig
from router.engine import lookback
from router.engine.lookback import LookBack
from router.session.profile import ServerProfile
from router.session.state import SessionState
from router.sql.facts import Reason, StatementFacts, StatementKind, TableRef
from tests.fakes import (
    KEY,
    PROFILE,
    WaitingSession,
    accounts,
    err,
    leased,
    make_pool,
    ok,
    query,
    quiet,
    rows,
    virtually,
    wire,
)


class Desk:
    """A session with a lingering connection and the server it belongs to."""

    def __init__(self, connection: BackendConnection, server: Server) -> None:
        self.session = SessionState(PROFILE, 45, None)
        self.answers = 0
        self.connection = connection
        self.server = server
        self.look = LookBack(self.session, self.answered)

    def answered(self) -> None:
        self.answers += 1


async def desk(most: int = 1) -> Desk:
    pool, _ = make_pool(most=most)
    connection = await leased(pool)
    server = Server(ServerConfig.model_validate("db.example:3306"), pool, "main")
    return Desk(connection, server)


@virtually
async def test_a_kept_connection_is_used_again() -> None:
    at = await desk()
    at.look.keep(at.connection, at.server, firm=False)
    assert at.look.last_on is at.connection
    assert at.look.take() == (at.connection, at.server)
    assert at.look.connection is None
    assert at.look.take() is None
    assert accounts(at.server.pool) == (1, 1, 0, 0)


@virtually
async def test_a_connection_that_has_ended_is_not_used_again() -> None:
    at = await desk()
    at.look.keep(at.connection, at.server, firm=False)
    at.connection.connection_lost(None)
    assert at.look.take() is None
    assert at.look.last_on is None
    assert at.server.pool.size == 0


@virtually
async def test_it_goes_to_whoever_waits() -> None:
    at = await desk()
    at.look.keep(at.connection, at.server, firm=False)
    other = WaitingSession(at.server.pool, KEY).wait()
    assert other.connection is at.connection
    assert at.look.connection is None
    assert at.look.last_on is None


@virtually
async def test_what_only_it_knows_is_asked_first() -> None:
    at = await desk()
    at.session.last_insert_id = None
    at.look.knows = at.connection
    at.look.keep(at.connection, at.server, firm=False)
    other = WaitingSession(at.server.pool, KEY).wait()
    assert at.look.asking == 1
    assert other.granted == []
    assert b"SELECT LAST_INSERT_ID()" in wire(at.connection).take()
    at.connection.data_received(rows([b"4711", b"0"], names=("a", "b")))
    assert at.session.last_insert_id == 4711
    assert (at.look.asking, at.answers) == (0, 1)
    assert other.connection is at.connection


@virtually
async def test_a_question_that_fails_costs_the_connection_and_leaves_the_id_unknown() -> None:
    at = await desk()
    at.session.last_insert_id = None
    at.look.knows = at.connection
    at.look.keep(at.connection, at.server, firm=False)
    at.look.give_up()
    at.connection.data_received(err(1317, "interrupted", "70100"))
    assert at.session.last_insert_id is None
    assert (at.look.asking, at.answers) == (0, 1)
    assert at.server.pool.size == 0


@virtually
async def test_a_connection_lost_while_asked_is_discarded() -> None:
    at = await desk()
    at.session.last_insert_id = None
    at.look.knows = at.connection
    at.look.keep(at.connection, at.server, firm=False)
    at.look.give_up()
    at.connection.connection_lost(None)
    assert (at.look.asking, at.answers) == (0, 1)
    assert at.server.pool.size == 0


@virtually
async def test_at_the_end_of_a_session_nothing_is_asked() -> None:
    at = await desk()
    at.session.last_insert_id = None
    at.look.knows = at.connection
    at.look.keep(at.connection, at.server, firm=False)
    wire(at.connection).take()
    at.look.give_up(silently=True)
    assert wire(at.connection).take() == b""
    assert accounts(at.server.pool) == (1, 0, 1, 0)


INSERT = StatementFacts(StatementKind.INSERT, read=False, reason=Reason.WRITE)
SELECT = StatementFacts(StatementKind.SELECT, read=False, reason=Reason.LOOKS_BACK, looks_back=True)
UPDATE = StatementFacts(StatementKind.UPDATE, read=False, reason=Reason.WRITE)


@pytest.mark.parametrize(
    ("facts", "outcome", "command"),
    [
        (INSERT, {"last_insert_id": 41}, "INSERT INTO t VALUES (NULL)"),
        (INSERT, {"has_rows": True}, "INSERT INTO t VALUES (NULL) RETURNING id"),
        (INSERT, {"error": b"\xff"}, "INSERT INTO t VALUES (NULL), (1)"),
        (replace(INSERT, multi=True), {}, "INSERT INTO t VALUES (NULL); DO 1"),
        (SELECT, {"has_rows": True}, "SELECT LAST_INSERT_ID(7)"),
    ],
    ids=["its OK says so", "rows in place of an OK", "a failure half way", "several statements", "set by a function"],
)
@virtually
async def test_after_what_may_have_set_the_insert_id_only_its_connection_knows_it(
    facts: StatementFacts, outcome: dict[str, Any], command: str
) -> None:
    at = await desk()
    for name, value in outcome.items():
        setattr(at.connection.scanner, name, value)
    at.look.ran(at.connection, facts, query(command))
    assert at.session.last_insert_id is None
    assert at.connection.insert_id is None
    assert at.look.knows is at.connection


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [(INSERT, {}), (UPDATE, {"error": b"\xff"}), (UPDATE, {"has_rows": True}), (SELECT, {"has_rows": True})],
    ids=["an OK without an id", "a failed UPDATE", "UPDATE … RETURNING", "another question"],
)
@virtually
async def test_what_leaves_the_insert_id_alone(facts: StatementFacts, outcome: dict[str, Any]) -> None:
    at = await desk()
    for name, value in outcome.items():
        setattr(at.connection.scanner, name, value)
    at.look.ran(at.connection, facts, query("SELECT ROW_COUNT()"))
    assert at.session.last_insert_id == 0
    assert at.look.knows is None


@virtually
async def test_a_connection_that_remembers_anothers_insert_id_is_told_the_sessions_first() -> None:
    at = await desk()
    assert not at.look.untold(at.connection, INSERT)
    at.connection.insert_id = 41
    assert at.look.untold(at.connection, INSERT)
    assert not at.look.untold(at.connection, UPDATE)
    assert at.look.tell(at.connection) == ["SET last_insert_id = 0"]
    assert not at.look.untold(at.connection, INSERT)


@virtually
async def test_warnings_are_left_to_the_session_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    at = await desk()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(lookback, "perf_counter", loop.time)
    at.look.keep(at.connection, at.server, firm=True)
    other = WaitingSession(at.server.pool, KEY).wait()
    await asyncio.sleep(lookback.FIRM * 0.9)
    assert other.granted == []
    await asyncio.sleep(lookback.FIRM * 0.2)
    await quiet()
    assert other.connection is at.connection


@virtually
async def test_keeping_another_gives_the_first_back() -> None:
    at = await desk(most=2)
    second = await leased(at.server.pool)
    at.look.keep(at.connection, at.server, firm=False)
    at.look.keep(second, at.server, firm=False)
    assert at.look.connection is second
    assert accounts(at.server.pool) == (2, 1, 1, 0)


# --- warnings that go along -------------------------------------------------------------------------------------------

SHOW = query("SHOW WARNINGS")
SHOWN = rows([b"Note", b"1", b"text"], names=("Level", "Code", "Message"))


async def warned(profile: ServerProfile = PROFILE) -> Desk:
    """A session whose last statement had a warning; its connection is wanted by another."""
    at = await desk()
    at.session.profile = profile
    facts = StatementFacts(StatementKind.INSERT, False, Reason.WRITE)
    at.connection.send(Capture(lambda payload, error: None), query("INSERT"))
    at.connection.data_received(ok(warnings=1))
    wire(at.connection).take()
    at.look.ran(at.connection, facts, query("INSERT"))
    at.look.keep(at.connection, at.server, firm=True)
    WaitingSession(at.server.pool, KEY).wait()
    await asyncio.sleep(lookback.FIRM + 0.1)
    return at


@virtually
async def test_warnings_are_fetched_before_the_connection_goes() -> None:
    at = await warned()
    assert wire(at.connection).take() == SHOW
    at.connection.data_received(SHOWN)
    assert at.look.shown(SHOW) == SHOWN
    assert at.look.shown(query("SHOW ERRORS")) == b""
    assert at.answers == 1
    fresh = await leased(make_pool()[0])
    assert at.look.told(fresh, SHOW) is None, "not empty, as another connection would say"
    assert at.look.told(fresh, query("SELECT LAST_INSERT_ID()")) is not None


@virtually
async def test_too_many_warnings_are_not_taken_along() -> None:
    at = await warned()
    at.connection.data_received(rows(*[[b"x" * 200]] * 400))
    assert at.look.shown(SHOW) == b""
    assert at.look.told(await leased(make_pool()[0]), SHOW) is None, "not known is not none"


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
@virtually
async def test_until_when_they_are_shown(flavor: Literal["mysql", "mariadb"]) -> None:
    at = await warned(replace(PROFILE, flavor=flavor))
    at.connection.data_received(SHOWN)
    at.look.read_ended(StatementFacts(StatementKind.SELECT, True, Reason.READ, tables=()))
    assert bool(at.look.shown(SHOW)) is (flavor == "mariadb")
    at.look.read_ended(StatementFacts(StatementKind.SELECT, True, Reason.READ, tables=(TableRef(None, "t"),)))
    assert at.look.shown(SHOW) == b""


@virtually
async def test_a_connection_that_ran_something_since_does_not_remember_them() -> None:
    at = await warned(replace(PROFILE, flavor="mariadb"))
    at.connection.data_received(SHOWN)
    fresh = await leased(make_pool()[0])
    fresh.scanner.warnings = 0
    at.look.ran(fresh, StatementFacts(StatementKind.COMMIT, False, Reason.TRANSACTION), query("COMMIT"))
    at.look.last_on = fresh
    assert not at.look.remembers(fresh, SHOW)
    assert at.look.shown(SHOW) == SHOWN


@virtually
async def test_an_older_connection_is_not_asked_about_a_newer_statement() -> None:
    """The session goes on elsewhere, and warns there: what the first connection knows is of no interest any more."""
    at = await warned()
    wire(at.connection).take()
    at.connection.data_received(SHOWN)
    at.look.keep(at.connection, at.server, firm=True)
    pool, _ = make_pool()
    fresh = await leased(pool)
    fresh.send(Capture(lambda payload, error: None), query("INSERT"))
    fresh.data_received(ok(warnings=2))
    at.look.ran(fresh, StatementFacts(StatementKind.INSERT, False, Reason.WRITE), query("INSERT"))
    at.look.keep(fresh, Server(ServerConfig.model_validate("db.example:3306"), pool, "main"), firm=True)
    assert wire(at.connection).take() == b""
    assert at.look.past[2] is None
    assert at.look.remembers(fresh, SHOW)


# --- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "answer", "count"),
    [
        (StatementKind.UPDATE, ok(affected_rows=3), 3),
        (StatementKind.SET, ok(), 0),
        (StatementKind.SELECT, rows([b"1"]), -1),
        (StatementKind.SELECT, ok(affected_rows=1), 1),  # INTO @a
        (StatementKind.SHOW, rows([b"1"]), -1),
        (StatementKind.DELETE, err(1146), -1),
        (StatementKind.DELETE, rows([b"1"]), None),  # RETURNING
        (StatementKind.CALL, ok(), None),
        (StatementKind.EXECUTE_TEXT, ok(), None),
        (StatementKind.MULTI, ok(), None),
    ],
)
@virtually
async def test_what_row_count_would_return(kind: StatementKind, answer: bytes, count: int | None) -> None:
    at = await desk()
    at.connection.send(Capture(lambda payload, error: None), query("x"))
    at.connection.data_received(answer)
    at.look.ran(at.connection, StatementFacts(kind, False, Reason.WRITE), query("x"))
    asks = StatementFacts(StatementKind.SELECT, False, Reason.LOOKS_BACK, function="ROW_COUNT")
    assert at.look.count(asks) == count
    assert at.look.count(replace(asks, function="")) is None
