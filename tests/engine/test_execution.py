"""A statement of the router's own with the values of a client's EXECUTE."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.backend.connection import BackendConnection, Capture
from router.engine.execution import Execution, send
from router.errors import ConnectionLost
from router.planner.plan import Part, Relay, Role
from router.sql.facts import Reason, StatementFacts, StatementKind
from router.wire.constants import Command
from tests.fakes import PROFILE, err, new_connection, ok, payloads, prepared, query, virtually, wire

LONG, STRING, BLOB = b"\x03\0", b"\xfd\0", b"\xfc\0"
READ = StatementFacts(StatementKind.SELECT, read=True, reason=Reason.READ)
PART = Part(Relay("main", Role.PRIMARY, Reason.READ, READ), b"SELECT ?")


def test_all_parameters_as_they_came() -> None:
    execution = Execution((LONG, STRING, LONG), (b"\1\0\0\0", b"\2ab", None), {})
    (run,) = payloads(execution.commands(7, None))
    assert run == b"\x17\7\0\0\0\0\1\0\0\0" + b"\x04\1" + LONG + STRING + LONG + b"\1\0\0\0\2ab"


def test_some_of_them_in_another_order() -> None:
    execution = Execution((LONG, STRING, LONG), (b"\1\0\0\0", None, b"\3\0\0\0"), {})
    (run,) = payloads(execution.commands(7, (2, 1, 2)))
    assert run[10:] == b"\x02\1" + LONG + STRING + LONG + b"\3\0\0\0\3\0\0\0"
    (run,) = payloads(execution.commands(7, ()))
    assert run == b"\x17\7\0\0\0\0\1\0\0\0"


def test_long_data_comes_first_and_keeps_its_parameter() -> None:
    execution = Execution((LONG, BLOB), (b"\1\0\0\0", None), {1: (b"ab", b"c")})
    first, second, run = payloads(execution.commands(7, (1,)))
    assert first == b"\x18\7\0\0\0\0\0ab"
    assert second == b"\x18\7\0\0\0\0\0c"
    assert run[10:] == b"\0\1" + BLOB, "not NULL"


def test_names_of_query_attributes_are_empty() -> None:
    (run,) = payloads(Execution((LONG,), (b"\1\0\0\0",), {}, named=True).commands(7, None))
    assert run[10:] == b"\1\0\1" + LONG + b"\0" + b"\1\0\0\0"


@virtually
async def test_text_goes_out_with_what_comes_before() -> None:
    connection = new_connection()
    got: list[bytes] = []
    send(connection, PART, None, Capture(lambda payload, error: got.append(payload)), [query("SET a = 1")], fail, lose)
    assert wire(connection).take() == query("SET a = 1") + query("SELECT ?")
    connection.data_received(ok() + ok())
    assert got == [ok()]


def ask(connection: BackendConnection, execution: Execution, part: Part = PART) -> list[int]:
    """The commands that are sent, up to the answer."""
    got: list[bytes] = []
    sent: list[bytes] = []
    send(connection, part, execution, Capture(lambda payload, error: got.append(payload)), [], fail, lose)
    while not got:
        taken = payloads(wire(connection).take())
        sent.extend(taken)
        preparing = taken[-1][0] == Command.STMT_PREPARE
        connection.data_received(prepared(9, parameters=len(execution.types)) if preparing else ok())
    return [payload[0] for payload in [*sent, *payloads(wire(connection).take())]]


@virtually
async def test_it_is_prepared_once() -> None:
    connection = new_connection()
    got: list[bytes] = []
    execution = Execution((LONG,), (b"\1\0\0\0",), {})
    send(connection, PART, execution, Capture(lambda payload, error: got.append(payload)), [query("USE x")], fail, lose)
    assert [payload[:1] for payload in payloads(wire(connection).take())] == [b"\x03", b"\x16"]
    connection.data_received(ok() + prepared(9, parameters=1))
    assert [payload[:5] for payload in payloads(wire(connection).take())] == [b"\x17\x09\0\0\0"]
    connection.data_received(ok())
    assert got == [ok()]
    assert ask(connection, execution) == [Command.STMT_EXECUTE]


@virtually
async def test_what_earlier_executions_have_left_is_not_felt() -> None:
    """MySQL reads a string as a number where numbers came before."""
    connection = new_connection(profile=replace(PROFILE, flavor="mysql"))
    number, text = Execution((LONG,), (b"\1\0\0\0",), {}), Execution((STRING,), (b"\1a",), {})
    assert ask(connection, text) == [Command.STMT_PREPARE, Command.STMT_EXECUTE]
    assert ask(connection, number) == [Command.STMT_EXECUTE]
    assert ask(connection, text) == [Command.STMT_PREPARE, Command.STMT_EXECUTE, Command.STMT_CLOSE]
    assert ask(connection, text) == [Command.STMT_EXECUTE]


@pytest.mark.parametrize(
    ("kind", "sql", "long_data"),
    [
        (StatementKind.INSERT, b"INSERT INTO t VALUES (?)", {}),
        (StatementKind.SELECT, b"SELECT ? + @x", {}),
        (StatementKind.SELECT, b"SELECT ?", {0: (b"a",)}),
    ],
)
@virtually
async def test_what_is_of_no_use_again_is_closed(
    kind: StatementKind, sql: bytes, long_data: dict[int, tuple[bytes, ...]]
) -> None:
    connection = new_connection()
    part = Part(replace(PART.relay, facts=replace(READ, kind=kind)), sql)
    for _ in range(2):
        commands = ask(connection, Execution((BLOB,), (b"\1a",), long_data), part)
        assert [commands[0], commands[-1]] == [Command.STMT_PREPARE, Command.STMT_CLOSE]


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
