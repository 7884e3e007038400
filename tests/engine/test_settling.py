"""What is asked behind a response, before the connection may be anybody else's."""

from __future__ import annotations

from router.backend.connection import Capture
from router.backend.reset import query as own_query
from router.engine import questions
from router.engine.settling import Settling
from router.session.state import SessionState
from router.wire.constants import Capability
from router.wire.framing import frame
from tests.engine.bench import Bench
from tests.fakes import PROFILE, changed, err, new_connection, ok, query, rows, virtually, wire

PING = frame(b"\x0e", 0)
LATIN1 = rows([b"latin1", b"latin1", b"latin1_swedish_ci"], names=("a", "b", "c"))


class Settled:
    """A session whose statements are settled on one connection."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.session = SessionState(PROFILE, 45, None)
        self.connection = new_connection(("app", int(Capability.MULTI_STATEMENTS), False))
        self.events: list[str] = []
        self.settling = Settling(
            self.session,
            self.bench.services,
            lambda connection: self.events.append("adopt"),
            lambda connection: self.events.append("done"),
            lambda reason: self.events.append(f"lost: {reason}"),
        )

    def run(self, sql: str, answer: bytes) -> bytes:
        """Answer ``sql`` and settle it; what is asked then."""
        self.connection.send(Capture(lambda payload, error: None), query(sql))
        wire(self.connection).take()
        self.connection.data_received(answer)
        self.settling.settle(self.connection, self.bench.plan(sql), query(sql))
        return wire(self.connection).take()


@virtually
async def test_an_ok_says_it_all() -> None:
    it = Settled()
    assert it.run("SET time_zone = '+01:00'", ok(changes=changed({"time_zone": "+01:00"}))) == b""
    assert it.session.variables.values["time_zone"] == "+01:00"
    assert it.events == ["adopt", "done"]


@virtually
async def test_a_character_set_is_asked_for_once() -> None:
    it = Settled()
    answer = ok(changes=changed({"character_set_client": "latin1"}))
    assert it.run("SET NAMES latin1", answer) == own_query(questions.ASK_CHARSET)
    assert it.events == ["adopt"]
    it.connection.data_received(LATIN1)
    assert it.session.variables.values["collation_connection"] == "latin1_swedish_ci"
    it.connection.data_received(ok())
    assert it.events[-1] == "done"
    assert it.run("SET NAMES latin1", answer) == b"", "the same text does the same again"


@virtually
async def test_rows_of_a_statement_that_may_have_changed_something_are_followed_by_a_ping() -> None:
    it = Settled()
    assert it.run("INSERT INTO t VALUES (1) RETURNING a", rows([b"1"], warnings=3)) == PING
    it.connection.data_received(ok(changes=changed({"time_zone": "+02:00"})))
    assert it.session.variables.values["time_zone"] == "+02:00"
    assert it.connection.scanner.warnings == 3, "SHOW WARNINGS is about the statement, not the ping"
    assert it.events[-1] == "done"


@virtually
async def test_a_plain_failure_needs_no_question() -> None:
    it = Settled()
    assert it.run("UPDATE t SET a = 1", err(1062)) == b""
    assert it.bench.counters.errors["backend", 1062] == 1
    assert it.events == ["adopt", "done"]


@virtually
async def test_a_failure_with_autocommit_off_is_followed_by_a_ping() -> None:
    it = Settled()
    it.run("SET autocommit = 0", ok(status=0, changes=changed({"autocommit": "OFF"})))
    assert it.run("UPDATE t SET a = 1", err(1062)) == PING
    it.connection.data_received(ok(status=0))
    assert it.events[-1] == "done"


@virtually
async def test_what_could_not_be_parsed_has_left_nothing_behind() -> None:
    it = Settled()
    facts = it.bench.plan("SET @a = nonsense nonsense").facts
    it.session.before(facts, query("SET @a = nonsense nonsense"))
    assert it.session.pins
    it.run("SET @a = nonsense nonsense", err(1064))
    assert not it.session.pins


@virtually
async def test_a_connection_that_breaks_under_a_question_is_the_sessions_end() -> None:
    for answer in (err(1105), None):
        it = Settled()
        it.run("SET NAMES latin1", ok(changes=changed({"character_set_client": "latin1"})))
        if answer is None:
            it.connection.connection_lost(None)
        else:
            it.connection.data_received(answer)
        assert it.events[0] == "adopt"
        assert it.events[-1].startswith("lost: ")


@virtually
async def test_a_variable_that_no_tracker_speaks_of_is_asked_for() -> None:
    """MariaDB does not report SET @@x: the next session on the connection would have the value."""
    it = Settled()
    assert it.run("SET @@time_zone = '+01:00', @@autocommit = 0", ok(status=0)) == own_query(
        "SELECT @@SESSION.autocommit, @@SESSION.time_zone"
    )
    it.connection.data_received(rows([b"0", b"+01:00"], names=("a", "b"), status=0))
    if it.connection.busy:
        it.connection.data_received(ok(status=0))
    assert it.events[-1] == "done"
    values = it.session.variables.values
    assert (values["time_zone"], values["autocommit"]) == ("+01:00", "OFF")


@virtually
async def test_what_a_tracker_speaks_of_is_not_asked_for() -> None:
    it = Settled()
    answer = ok(changes=changed({"time_zone": "+01:00"}))
    assert it.run("SET SESSION time_zone = '+01:00', @@GLOBAL.sql_mode = ''", answer) == b""
