"""Query attributes of MySQL's clients: on their way to the server, in front of statements and among parameters.

Where the packets are odd, what a direct connection says is the truth; see tests/wire/test_attributes.py for why.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from router.wire.constants import Capability, Command
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark_all, statements_by_server
from tests.integration.test_statements import STATEMENTS, wander
from tests.integration.twins import LONG, STRING, Answer, Session, Twins, Value
from tests.wire.test_attributes import ODD, attributes

pytestmark = pytest.mark.mysql

QUERY_ATTRIBUTES = int(Capability.QUERY_ATTRIBUTES)
PARAMETER_COUNT = 8
ASK = "SELECT mysql_query_attribute_string('trace')"


class Attributed(Connection):  # type: ignore[misc]
    """PyMySQL with query attributes: what ``front`` says stands in front of every statement."""

    front = b"\0\1"

    def _execute_command(self, command: int, sql: str | bytes) -> None:
        if command == Command.QUERY:
            sql = self.front + (sql.encode() if isinstance(sql, str) else sql)
        super()._execute_command(command, sql)


class NamedSession(Session):
    """Prepared statements as a client with query attributes sends them; some executions carry one."""

    dice: random.Random | None = None

    def execute(self, name: str, *values: Value, flags: int = 0, bind: bool = False) -> Answer:
        trace = self.dice is not None and self.dice.random() < 0.3
        if not values and not trace:
            return super().execute(name, flags=flags)
        given: tuple[Value, ...] = (*values, f"trace of {name}") if trace else values
        types = [LONG if isinstance(value, int) else STRING for value in given]
        own = b"".join(struct.pack("<H", kind) for kind in types[: len(values)])
        nulls = sum(1 << number for number, value in enumerate(given) if value is None)
        data = struct.pack("<IBI", self.ids[name], flags | PARAMETER_COUNT, 1) + bytes([len(given)])
        data += nulls.to_bytes((len(given) + 7) // 8, "little")
        if bind or trace or self.bound.get(name) != own:
            names = [b""] * len(values) + [b"trace"] * trace
            data += b"\1" + b"".join(
                struct.pack("<HB", kind, len(name)) + name for kind, name in zip(types, names, strict=True)
            )
        else:
            data += b"\0"
        self.bound[name] = own
        for value in given:
            if isinstance(value, int):
                data += struct.pack("<i", value)
            elif value is not None:
                data += bytes([len(value.encode())]) + value.encode()
        self.send(Command.STMT_EXECUTE, data)
        return self.result()


@pytest.fixture(scope="module", autouse=True)
def component(mysql_set: ReplicaSet) -> Iterator[None]:
    """The functions that show attributes; on the primary, where statements with such functions run."""
    mysql_set.primary.execute("INSTALL COMPONENT 'file://component_query_attributes'")
    yield
    mysql_set.primary.execute("UNINSTALL COMPONENT 'file://component_query_attributes'")


@pytest.fixture
def narrow(
    mysql_set: ReplicaSet, fresh_database: str, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> RunningRouter:
    """A router with few connections, that reads where it writes."""
    return start_router(settings_for(mysql_set, tmp_path, pool={"max_connections": 3}, reads={"from": "primary"}))


def connect(port: int, **options: Any) -> Attributed:
    """A client with query attributes."""
    wanted = {"user": "app", "password": "app-secret", "autocommit": True, "read_timeout": 30}
    return Attributed(host="127.0.0.1", port=port, client_flag=QUERY_ATTRIBUTES, **wanted | options)


@pytest.fixture
def both(mysql_set: ReplicaSet, router: RunningRouter) -> Iterator[list[Attributed]]:
    """A client of the router and its direct twin."""
    made = [connect(router.port), connect(mysql_set.primary.port)]
    yield made
    for connection in made:
        with suppress(pymysql.MySQLError):
            connection.close()


def say(connection: Attributed, front: bytes, sql: str) -> Any:
    """The answer to a statement behind ``front``."""
    connection.front = front
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
    except pymysql.MySQLError as error:
        return error.args
    finally:
        connection.front = Attributed.front


def test_it_is_offered(both: list[Attributed]) -> None:
    assert all(connection.server_capabilities & QUERY_ATTRIBUTES for connection in both)


def test_attributes_arrive_with_their_statement_only(both: list[Attributed]) -> None:
    for connection in both:
        for value in (b"one", b"two", b"x" * 300):
            front = attributes((b"trace", STRING, struct.pack("<BH", 0xFC, len(value)) + value))
            assert say(connection, front, ASK) == ((value.decode(),),)
            assert say(connection, b"\0\1", ASK) == ((None,),)
        front = attributes((b"trace", STRING, b"\3row"), (b"", LONG, bytes(4)), (b"other", STRING, None))
        assert say(connection, front, "SELECT 1") == ((1,),)
        assert say(connection, front, ASK) == (("row",),)


@pytest.mark.parametrize(("front", "runs"), ODD)
def test_odd_ones(both: list[Attributed], front: bytes, runs: str | None) -> None:
    ours, truth = (say(connection, front, "SELECT 1" if front else "") for connection in both)
    assert ours == truth
    assert (truth == (1835, "Malformed communication packet.")) is (runs is None)
    assert [say(connection, b"\0\1", "SELECT 'alive'") for connection in both] == [(("alive",),)] * 2


def test_a_statement_of_several_packets(both: list[Attributed]) -> None:
    value = b"y" * (1 << 24)
    front = attributes((b"trace", STRING, b"\xfe" + struct.pack("<Q", len(value)) + value))
    ours, truth = (say(connection, front, f"{ASK} LIKE 'yyy%', LENGTH('{'z' * (1 << 24)}')") for connection in both)
    assert ours == truth == ((1, 1 << 24),)


def test_reads_go_to_replicas_as_ever(mysql_set: ReplicaSet, router: RunningRouter, fresh_database: str) -> None:
    mysql_set.primary.execute(f"CREATE TABLE {fresh_database}.t (a INT)")
    mysql_set.wait_for_replicas()
    connection = connect(router.port, database=fresh_database)
    since = mark_all(mysql_set)
    for front in (b"\0\1", attributes((b"trace", STRING, b"\1x"))):
        assert say(connection, front, "SELECT * FROM t") == ()
    say(connection, attributes((b"trace", STRING, b"\1x")), "INSERT INTO t VALUES (1)")
    seen = statements_by_server(mysql_set, since)
    assert [sql for sql in seen.pop("primary") if sql.endswith(("t", "(1)"))] == ["INSERT INTO t VALUES (1)"]
    assert sum(log.count("SELECT * FROM t") for log in seen.values()) == 2
    connection.close()


def test_the_routers_own_statements(narrow: RunningRouter, fresh_database: str) -> None:
    """SET, USE and questions go in front of and behind those of clients, on connections that change hands."""
    clients = [connect(narrow.port, database=fresh_database) for _ in range(4)]
    plain = narrow.connect(database=fresh_database)
    for number, client in enumerate(clients):
        say(client, b"\0\1", f"SET time_zone = '+0{number}:00', sql_mode = 'ANSI_QUOTES'")
        say(client, b"\0\1", "SET NAMES latin1")
    say(clients[0], b"\0\1", "CREATE TABLE t (a INT AUTO_INCREMENT PRIMARY KEY)")
    for number, client in enumerate(clients):
        say(client, b"\0\1", "INSERT INTO t VALUES ()")
        plain.cursor().execute("SELECT @@time_zone")
        expected = (f"+0{number}:00", number + 1, "latin1", fresh_database)
        ask = "SELECT @@time_zone, LAST_INSERT_ID(), @@character_set_results, DATABASE()"
        assert say(client, b"\0\1", ask) == (expected,)
        say(client, b"\0\1", "SET @a = 1")
        client.close()
    plain.close()


def test_what_the_router_reads_in_sql(narrow: RunningRouter, fresh_database: str) -> None:
    """Values of user variables, and questions about the statement before, which its connection need not answer."""
    clients = [connect(narrow.port, database=fresh_database) for _ in range(5)]
    front = attributes((b"trace", STRING, b"\x06SET @a"), (b"row_count", LONG, bytes(4)))
    for number, client in enumerate(clients):
        say(client, front, f"SET @a = {number}, @b = 'b{number}'")
    for number, client in enumerate(clients):
        assert say(client, front, "SELECT @a, @b") == ((number, f"b{number}"),)
        assert say(client, front, "SELECT CAST('x' AS SIGNED)") == ((0,),)
        assert not narrow.call(lambda gateway: [pins for pins in gateway.sessions.pinned().values() if pins])
    warning = (("Warning", 1292, "Truncated incorrect INTEGER value: 'x'"),)
    for client in clients:
        assert say(client, front, "SHOW WARNINGS") == warning
        client.close()


@pytest.mark.parametrize("seed", range(3))
def test_prepared_statements_wander(
    mysql_set: ReplicaSet, narrow: RunningRouter, fresh_database: str, seed: int
) -> None:
    dice = random.Random(seed)
    every = []
    for number in range(5):
        twins = Twins(
            connect(narrow.port, database=fresh_database),
            connect(mysql_set.primary.port, database=fresh_database),
            number,
        )
        seeds = seed * 100 + number
        for name in ("ours", "truth"):
            session = NamedSession(getattr(twins, name).connection)
            session.dice = random.Random(seeds)
            setattr(twins, name, session)
        twins.text("CREATE TABLE {t} (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40), b LONGBLOB)")
        twins.text("INSERT INTO {t} (v) VALUES ('one'), ('two'), ('three'), ('four')")
        for name, sql in STATEMENTS.items():
            twins.prepare(name, sql)
        every.append(twins)
    for _ in range(40):
        twins = dice.choice(every)
        for _ in range(dice.randrange(1, 6)):
            wander(twins, dice)
        twins.text("COMMIT")
        twins.text("SET autocommit = 1")
    for twins in every:
        twins.ours.connection.close()
        twins.truth.connection.close()


EXECUTIONS = [
    (8, b"\3\0\1\xfd\0\0\xfd\0\0\xfd\0\5trace\1a\1b\1c"),
    (0, b"\3\0\1\xfd\0\0\xfd\0\0\xfd\0\5trace\1a\1b\1c"),
    (8, b"\2\0\0\1a\1b"),
    (8, b"\3\0\0\1a\1b\1c"),
    (8, b"\1\0\1\xfd\0\0\1a"),
    (8, b"\1\0\0\1a"),
    (8, b"\2\0\0\1c\1d"),
    (8, b"\0"),
    (8, b""),
    (8, b"\2\0\1\xfd\0\5trace\xfd\0\0\1a\1b"),
    (8, b"\2\0\0\1a\1b"),
    (8, b"\2\0\7\3\0\5trace\xfd\0\0\1\0\0\0\1b"),
    (8, b"\2\0\0\1\0\0\0\1b"),
    (8, b"\2\1\0\1b"),
]


def test_executions_of_all_kinds(mysql_set: ReplicaSet, narrow: RunningRouter, fresh_database: str) -> None:
    """On connections that other sessions have executed the same statement on, with other types."""
    makers = (narrow.port, mysql_set.primary.port)
    twins = Twins(*(connect(port, database=fresh_database) for port in makers))
    others = [NamedSession(connect(narrow.port, database=fresh_database)) for _ in range(2)]
    sql = f"SELECT ?, ?, ({ASK})"
    twins.prepare("two", sql)
    twins.prepare("none", ASK)
    for number, other in enumerate(others):
        other.prepare("two", sql)
        other.execute("two", number, number)

    def raw(name: str, flags: int, rest: bytes) -> None:
        def run(session: Session, table: str) -> Answer:
            session.send(Command.STMT_EXECUTE, struct.pack("<IBI", session.ids[name], flags, 1) + rest)
            return session.result()

        twins.do(run)

    for number, (flags, rest) in enumerate(EXECUTIONS):
        others[number % 2].execute("two", number, number)
        raw("two", flags, rest)
    for flags, rest in ((8, b"\1\0\1\xfd\0\5trace\1c"), (0, b"\1\0\1\xfd\0\5trace\1c"), (0, b""), (8, b""), (8, b"\0")):
        raw("none", flags, rest)
    for session in (twins.ours, twins.truth, *others):
        session.connection.close()
