"""A session's prepared statements: ids of ours outside, the server's inside; what a server has not seen goes along."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.backend.statements import ServerStatement, StatementText
from router.engine.statements import LAST_PREPARED, Statement, Statements, wants_cursor
from router.planner.plan import Relay, Role
from router.session.profile import ServerProfile
from router.session.state import SessionState
from router.session.variables import EMPTY
from router.sql.facts import PinReason, Reason, StatementFacts, StatementKind
from router.wire.constants import Capability
from router.wire.framing import frame
from router.wire.scanner import ResponseScanner
from tests.fakes import PROFILE

PLAN = Relay("main", Role.REPLICA, Reason.READ, StatementFacts(StatementKind.SELECT, read=True, reason=Reason.READ))
MYSQL_PROFILE = replace(PROFILE, flavor="mysql")
LONG, STRING = b"\x03\x00", b"\xfd\x00"
CURSOR_EXISTS, LAST_ROW_SENT = 0x40, 0x80
BIG = 1 << 30


def session(profile: ServerProfile = PROFILE) -> SessionState:
    """A fresh session."""
    return SessionState(profile, 45, None)


def opened(statements: Statements, parameters: int = 0, sql: bytes = b"SELECT 1") -> Statement:
    """A statement the client has prepared."""
    return statements.opened(PLAN, StatementText.of(frame(b"\x16" + sql, 0), None, EMPTY), parameters)


def execute(statement_id: int, *values: bytes, types: bytes | None = None, parameters: int = 0) -> bytes:
    """A framed COM_STMT_EXECUTE."""
    head = b"\x17" + statement_id.to_bytes(4, "little") + b"\0\1\0\0\0"
    if parameters:
        head += bytes((parameters + 7) // 8) + (b"\0" if types is None else b"\1" + types)
    return frame(head + b"".join(values), 0)


def ended(status: int, *, failed: bool = False) -> ResponseScanner:
    """A response that has ended."""
    scanner = ResponseScanner()
    scanner.status = status
    scanner.error = b"\xff" if failed else None
    return scanner


# --- ids --------------------------------------------------------------------------------------------------------------


def test_ids_are_the_sessions_own_and_never_come_twice() -> None:
    ours = Statements(session())
    assert ours.next_id == 1
    assert [opened(ours).id for _ in range(3)] == [1, 2, 3]
    assert ours.close(2) is not None
    assert ours.close(2) is None
    assert ours.find(2) is None
    assert opened(ours).id == 4
    ours.clear()
    assert len(ours) == 0
    assert opened(ours).id == 5


def test_ids_start_over_before_they_mean_something_else() -> None:
    ours = Statements(session())
    opened(ours)
    ours._next = LAST_PREPARED - 1
    assert opened(ours).id == LAST_PREPARED - 1
    assert opened(ours).id == 2, "1 is still open"


def test_the_last_prepared_one_has_another_name_on_mariadb() -> None:
    ours = Statements(session())
    assert ours.find(LAST_PREPARED) is None
    first, second = opened(ours), opened(ours)
    assert ours.find(LAST_PREPARED) is second
    ours.failed()
    assert ours.find(LAST_PREPARED) is None
    assert ours.find(first.id) is first
    third = opened(ours)
    assert ours.close(LAST_PREPARED) is third
    assert ours.find(third.id) is None
    assert ours.find(LAST_PREPARED) is None


def test_mysql_knows_no_last_prepared_one() -> None:
    ours = Statements(session(MYSQL_PROFILE))
    opened(ours)
    assert ours.find(LAST_PREPARED) is None


# --- what goes to the server ------------------------------------------------------------------------------------------


def test_only_the_id_is_exchanged() -> None:
    statement = opened(Statements(session()), parameters=1)
    types = LONG
    ours = execute(statement.id, b"\5\0\0\0", types=types, parameters=1)
    assert statement.command(ours, ServerStatement(77)) == execute(77, b"\5\0\0\0", types=types, parameters=1)
    fetch = frame(b"\x1c\1\0\0\0\x10\0\0\0", 0)
    assert statement.command(fetch, ServerStatement(258)) == frame(b"\x1c\2\1\0\0\x10\0\0\0", 0)


@pytest.mark.parametrize("parameters", [1, 8, 9, 300])
def test_types_come_along_where_they_have_not_been(parameters: int) -> None:
    statement = opened(Statements(session()), parameters)
    here, there = ServerStatement(1), ServerStatement(2)
    types = LONG * parameters
    values = [b"\5\0\0\0"] * parameters
    statement.command(execute(1, *values, types=types, parameters=parameters), here)
    again = execute(1, *values, parameters=parameters)
    assert statement.command(again, here) == again, "this connection knows them"
    assert statement.command(again, there) == execute(2, *values, types=types, parameters=parameters)
    assert statement.command(again, there) == execute(2, *values, parameters=parameters)


def bulk(statement_id: int, *rows: bytes, types: bytes | None = None) -> bytes:
    """A framed COM_STMT_BULK_EXECUTE."""
    head = b"\xfa" + statement_id.to_bytes(4, "little") + (b"\0\0" if types is None else b"\x80\0" + types)
    return frame(head + b"".join(rows), 0)


def test_types_of_bulk_executions() -> None:
    statement = opened(Statements(session()), 2)
    here, there, used = ServerStatement(1), ServerStatement(2), ServerStatement(3)
    used.types = STRING + STRING
    row = b"\0\5\0\0\0\1"
    untyped = bulk(1, row)
    assert not statement.fits(used, untyped), "never with types that another session has sent"
    assert statement.command(bulk(1, row, row, types=LONG + STRING), here) == bulk(1, row, row, types=LONG + STRING)
    assert statement.command(untyped, here) == untyped
    assert statement.fits(used, untyped)
    assert statement.command(untyped, there) == bulk(2, row, types=LONG + STRING)
    assert statement.command(untyped, used) == bulk(3, row, types=LONG + STRING)
    single = execute(1, b"\5\0\0\0\1x", parameters=2)
    assert statement.command(single, there) == execute(2, b"\5\0\0\0\1x", parameters=2), "one memory for both"
    big = b"\0" * (1 << 24)
    assert statement.command(bulk(1, big), ServerStatement(4)) == bulk(4, big, types=LONG + STRING)


def test_types_of_a_malformed_command_were_never_taken() -> None:
    ours = Statements(session(MYSQL_PROFILE))
    statement, server = opened(ours, 1), ServerStatement(1)
    statement.command(execute(1, b"\5\0\0\0", types=LONG, parameters=1), server)
    ours.ran(statement, ended(0), cursor=False)
    before = (server.types, server.derived, statement.derived)
    statement.command(execute(1, b"\xfe", types=STRING, parameters=1), server)
    assert server.types == STRING
    malformed = ended(0)
    malformed.error = b"\xff\x2b\x07#HY000Malformed communication packet"
    for _ in range(2):
        ours.ran(statement, malformed, cursor=False)
        assert (server.types, server.derived, statement.derived) == before
        assert statement.types == LONG
        cut = execute(1, parameters=1)[:15]
        assert statement.command(cut, server) == cut, "nothing of it can be read: nothing is to be taken back"


def named(statement_id: int, given: bytes, flags: int = 8) -> bytes:
    """A framed COM_STMT_EXECUTE of a client with query attributes."""
    return frame(b"\x17" + statement_id.to_bytes(4, "little") + bytes([flags]) + b"\1\0\0\0" + given, 0)


def test_types_have_names_where_there_are_attributes() -> None:
    statement = opened(Statements(session(MYSQL_PROFILE), int(Capability.QUERY_ATTRIBUTES)), 2)
    here, there = ServerStatement(1), ServerStatement(2)
    with_attribute = b"\3\0\1" + LONG + b"\0" + STRING + b"\2me" + STRING + b"\5trace" + b"\5\0\0\0\1x\2tr"
    assert statement.command(named(1, with_attribute), here) == named(1, with_attribute)
    assert statement.types == here.types == LONG + STRING, "an attribute is no parameter"
    again = b"\2\1\0\1x"
    assert statement.fits(there, named(1, again))
    assert statement.command(named(1, again), here) == named(1, again)
    given = b"\2\1\1" + LONG + b"\0" + STRING + b"\0" + b"\1x"
    assert statement.command(named(1, again), there) == named(2, given), "names last for one execution"
    assert there.types == LONG + STRING


def test_names_in_a_command_of_several_packets() -> None:
    statement = opened(Statements(session(MYSQL_PROFILE), int(Capability.QUERY_ATTRIBUTES)), 1)
    value = b"\xfe" + (1 << 24).to_bytes(8, "little") + b"z" * (1 << 24)
    name = b"\xfe" + (1 << 24).to_bytes(8, "little") + b"n" * (1 << 24)
    statement.command(named(1, b"\2\0\1" + LONG + name + STRING + b"\0" + b"\5\0\0\0\1x"), ServerStatement(1))
    assert statement.types == LONG
    statement.command(named(1, b"\1\0\1" + STRING + b"\0" + value), ServerStatement(1))
    there = statement.command(named(1, b"\1\0\0" + value), ServerStatement(2))
    assert there == named(2, b"\1\0\1" + STRING + b"\0" + value)


@pytest.mark.parametrize(
    "given",
    [b"", b"\2", b"\2\0", b"\1\0\1" + LONG + b"\0", b"\3\0\0\1x", b"\2\0\1" + LONG + b"\5me", b"\xfb\0\1", b"\0"],
)
def test_what_the_server_will_refuse_leaves_nothing(given: bytes) -> None:
    statement = opened(Statements(session(MYSQL_PROFILE), int(Capability.QUERY_ATTRIBUTES)), 2)
    server = ServerStatement(7)
    server.types = LONG + LONG
    assert statement.fits(server, named(1, given))
    assert statement.command(named(1, given), server) == named(7, given)
    assert statement.types is None
    assert server.types == LONG + LONG


def test_types_of_another_session_are_replaced() -> None:
    shared = ServerStatement(1)
    one, other = opened(Statements(session()), 1), opened(Statements(session()), 1)
    one.command(execute(1, b"\5\0\0\0", types=LONG, parameters=1), shared)
    other.command(execute(1, b"\1x", types=STRING, parameters=1), shared)
    assert one.command(execute(1, b"\6\0\0\0", parameters=1), shared) == execute(
        1, b"\6\0\0\0", types=LONG, parameters=1
    )


def test_a_statement_without_types_never_runs_with_anothers() -> None:
    used, fresh = ServerStatement(1), ServerStatement(2)
    used.types = LONG
    statement = opened(Statements(session()), 1)
    bare = execute(1, b"\5\0\0\0", parameters=1)
    assert not statement.fits(used, bare)
    assert statement.fits(fresh, bare)
    assert statement.fits(used, execute(1, b"\1x", types=STRING, parameters=1))
    statement.types = STRING
    assert statement.fits(used, bare), "it has its own to send"
    assert opened(Statements(session()), 0).fits(used, execute(1))


def test_a_command_of_several_packets_gets_its_types_too() -> None:
    statement = opened(Statements(session()), 1)
    statement.types = STRING
    value = b"\xfe" + (1 << 24).to_bytes(8, "little") + b"v" * (1 << 24)
    command = execute(1, value, parameters=1)
    assert statement.command(command, ServerStatement(9)) == execute(9, value, types=STRING, parameters=1)


@pytest.mark.parametrize("length", range(14, 16))
def test_half_a_command_is_left_to_the_server(length: int) -> None:
    statement = opened(Statements(session()), 9)
    statement.types = LONG * 9
    command = execute(1, parameters=9)[:length]
    assert statement.command(command, ServerStatement(2)) == command[:5] + b"\2" + command[6:]


def test_long_data_goes_in_front_and_is_used_up() -> None:
    ours = Statements(session())
    statement = opened(ours, 1)
    pieces = [frame(b"\x18\1\0\0\0\0\0" + piece, 0) for piece in (b"one", b"two")]
    for piece in pieces:
        statement.add_long_data(piece, BIG)
    command = execute(1, types=STRING, parameters=1)
    expected = [frame(b"\x18\5\0\0\0\0\0" + piece, 0) for piece in (b"one", b"two")]
    assert statement.command(command, ServerStatement(5)) == b"".join(expected) + execute(5, types=STRING, parameters=1)
    assert statement.long_data == pieces, "kept until there is an answer: a read may be sent elsewhere"
    ours.ran(statement, ended(0, failed=True), cursor=True)
    assert statement.long_size == 0
    assert statement.command(command, ServerStatement(5)) == execute(5, types=STRING, parameters=1)


def test_too_much_long_data_is_counted_not_kept() -> None:
    statement = opened(Statements(session()), 1)
    for _ in range(3):
        statement.add_long_data(bytes(40), limit=100)
    assert statement.long_data == []
    assert statement.long_size == 120


# --- cursors ----------------------------------------------------------------------------------------------------------


def test_who_wants_a_cursor() -> None:
    assert not wants_cursor(frame(b"\x17\1\0\0\0\0\1\0\0\0", 0))
    assert wants_cursor(frame(b"\x17\1\0\0\0\1\1\0\0\0", 0))


def test_a_cursor_pins_until_its_last_row() -> None:
    state = session()
    ours = Statements(state)
    one, other = opened(ours), opened(ours)
    ours.ran(one, ended(CURSOR_EXISTS, failed=False), cursor=True)
    ours.ran(other, ended(CURSOR_EXISTS, failed=False), cursor=True)
    assert state.pins == {PinReason.CURSOR}
    ours.ran(one, ended(CURSOR_EXISTS, failed=False), cursor=True)
    assert one.cursor
    ours.ran(one, ended(CURSOR_EXISTS | LAST_ROW_SENT, failed=False), cursor=True)
    assert not one.cursor
    assert state.pins == {PinReason.CURSOR}, "the other one is still open"
    ours.close(other.id)
    assert state.pins == set()


def test_a_fetch_leaves_the_warnings_of_the_execution() -> None:
    ours = Statements(session())
    one = opened(ours)
    first = ended(CURSOR_EXISTS)
    first.warnings = 2
    ours.ran(one, first, cursor=True)
    for status in (CURSOR_EXISTS, CURSOR_EXISTS | LAST_ROW_SENT):
        fetched = ended(status)
        ours.ran(one, fetched, cursor=True)
        assert fetched.warnings == 2


def test_a_cursor_inside_a_procedure_is_not_the_clients() -> None:
    state = session()
    ours = Statements(state)
    ours.ran(opened(ours), ended(CURSOR_EXISTS), cursor=False)
    assert state.pins == set()


def test_a_failed_fetch_leaves_the_cursor_to_the_client() -> None:
    state = session()
    ours = Statements(state)
    one = opened(ours)
    ours.ran(one, ended(CURSOR_EXISTS, failed=False), cursor=True)
    ours.ran(one, ended(0, failed=True), cursor=True)
    assert one.cursor
    assert state.pins == {PinReason.CURSOR}
    ours.ran(one, ended(2, failed=False), cursor=True)
    assert state.pins == set()


# --- parameters that MySQL has made something of ----------------------------------------------------------------------


def test_executions_of_another_session_are_not_felt_on_mysql() -> None:
    """After an integer, MySQL makes an integer of a string; the session that sends the string must not meet that."""
    shared = ServerStatement(1)
    one, other = (opened(Statements(session(MYSQL_PROFILE)), 1) for _ in range(2))
    number = execute(1, b"\5\0\0\0", types=LONG, parameters=1)
    string = execute(1, b"\1x", types=STRING, parameters=1)
    one.command(number, shared)
    assert not other.fits(shared, string)
    assert other.fits(shared, number)
    assert one.fits(shared, string), "its own past is its own"
    other.command(string, fresh := ServerStatement(2))
    assert other.fits(fresh, number)
    assert one.fits(fresh, number), "after a string an integer makes it an integer, whoever comes"


def test_on_mariadb_only_the_values_matter() -> None:
    shared = ServerStatement(1)
    one, other = (opened(Statements(session()), 1) for _ in range(2))
    one.command(execute(1, b"\5\0\0\0", types=LONG, parameters=1), shared)
    assert other.fits(shared, execute(1, b"\1x", types=STRING, parameters=1))


def test_half_a_command_fits_anywhere() -> None:
    """It is the server that says what is wrong with it."""
    shared = ServerStatement(1)
    shared.types = LONG
    assert opened(Statements(session()), 1).fits(shared, execute(1, parameters=1)[:14])


def test_a_text_among_the_attributes_of_an_execution() -> None:
    statement = Statement(1, PLAN, StatementText(b"", None, EMPTY), 1, named=True)
    name, value = b"\x03own", b"\2hi"
    assert (
        statement.text_attribute(named(1, b"\2\0\1" + LONG + b"\0" + STRING + name + b"\5\0\0\0" + value), b"own")
        == b"hi"
    )
    assert statement.text_attribute(named(1, b"\2\1\1" + LONG + b"\0" + STRING + name + value), b"own") == b"hi"
    assert statement.text_attribute(named(1, b"\1\0\1" + LONG + name + b"\5\0\0\0"), b"own") is None
    assert statement.text_attribute(named(1, b"\2\0\0\5\0\0\0" + value), b"own") is None
    assert statement.text_attribute(named(1, b"\2\0"), b"own") is None
    statement.add_long_data(frame(b"\x18\1\0\0\0\0\0abc", 0), 1000)
    assert statement.text_attribute(named(1, b"\2\0\1" + STRING + b"\0" + STRING + name + value), b"own") == b"hi"
    assert Statement(1, PLAN, StatementText(b"", None, EMPTY), 1).text_attribute(named(1, b"\2\0\1"), b"own") is None
