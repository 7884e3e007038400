"""A statement of the router's own with the values of a client's EXECUTE."""

from __future__ import annotations

from router.backend.connection import Capture
from router.engine.execution import Execution, send
from router.errors import ConnectionLost
from router.planner.plan import Part, Relay, Role
from router.sql.facts import Reason, StatementFacts, StatementKind
from tests.fakes import err, new_connection, ok, payloads, prepared, query, virtually, wire

LONG, STRING, BLOB = b"\x03\0", b"\xfd\0", b"\xfc\0"
READ = StatementFacts(StatementKind.SELECT, read=True, reason=Reason.READ)
PART = Part(Relay("main", Role.PRIMARY, Reason.READ, READ), b"SELECT ?")


def test_all_parameters_as_they_came() -> None:
    execution = Execution((LONG, STRING, LONG), (b"\1\0\0\0", b"\2ab", None), {})
    run, close = payloads(execution.commands(7, None))
    assert run == b"\x17\7\0\0\0\0\1\0\0\0" + b"\x04\1" + LONG + STRING + LONG + b"\1\0\0\0\2ab"
    assert close == b"\x19\7\0\0\0"


def test_some_of_them_in_another_order() -> None:
    execution = Execution((LONG, STRING, LONG), (b"\1\0\0\0", None, b"\3\0\0\0"), {})
    run, _ = payloads(execution.commands(7, (2, 1, 2)))
    assert run[10:] == b"\x02\1" + LONG + STRING + LONG + b"\3\0\0\0\3\0\0\0"
    run, _ = payloads(execution.commands(7, ()))
    assert run == b"\x17\7\0\0\0\0\1\0\0\0"


def test_long_data_comes_first_and_keeps_its_parameter() -> None:
    execution = Execution((LONG, BLOB), (b"\1\0\0\0", None), {1: (b"ab", b"c")})
    first, second, run, _ = payloads(execution.commands(7, (1,)))
    assert first == b"\x18\7\0\0\0\0\0ab"
    assert second == b"\x18\7\0\0\0\0\0c"
    assert run[10:] == b"\0\1" + BLOB, "not NULL"


def test_names_of_query_attributes_are_empty() -> None:
    run, _ = payloads(Execution((LONG,), (b"\1\0\0\0",), {}, named=True).commands(7, None))
    assert run[10:] == b"\1\0\1" + LONG + b"\0" + b"\1\0\0\0"


@virtually
async def test_text_goes_out_with_what_comes_before() -> None:
    connection = new_connection()
    got: list[bytes] = []
    send(connection, PART, None, Capture(lambda payload, error: got.append(payload)), [query("SET a = 1")], fail, lose)
    assert wire(connection).take() == query("SET a = 1") + query("SELECT ?")
    connection.data_received(ok() + ok())
    assert got == [ok()]


@virtually
async def test_it_is_prepared_run_and_closed() -> None:
    connection = new_connection()
    got: list[bytes] = []
    execution = Execution((LONG,), (b"\1\0\0\0",), {})
    send(connection, PART, execution, Capture(lambda payload, error: got.append(payload)), [query("USE x")], fail, lose)
    assert [payload[:1] for payload in payloads(wire(connection).take())] == [b"\x03", b"\x16"]
    connection.data_received(ok() + prepared(9, parameters=1))
    assert [payload[:5] for payload in payloads(wire(connection).take())] == [b"\x17\x09\0\0\0", b"\x19\x09\0\0\0"]
    connection.data_received(ok())
    assert got == [ok()]


@virtually
async def test_what_cannot_be_prepared_is_said() -> None:
    connection = new_connection()
    errors: list[bytes] = []
    send(connection, PART, Execution((), (), {}), Capture(lambda payload, error: None), [], errors.append, lose)
    connection.data_received(err(1146, "no such table"))
    assert b"no such table" in errors[0]
    lost: list[ConnectionLost] = []
    send(connection, PART, Execution((), (), {}), Capture(lambda payload, error: None), [], fail, lost.append)
    connection.connection_lost(None)
    assert len(lost) == 1


def fail(error: bytes) -> None:
    raise AssertionError(error)


def lose(error: ConnectionLost) -> None:
    raise AssertionError(error)
