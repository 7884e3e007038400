"""MariaDB's extensions, bulk execution and extended metadata: byte for byte as on a direct connection."""

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
from router.wire.constants import EXTENDED, Capability, Command
from tests.fix_router import RunningRouter, settings_for
from tests.fix_servers import mark_all, statements_by_server
from tests.integration.test_statements import STATEMENTS, wander
from tests.integration.twins import LONG, STRING, Answer, Session, Twins, Value

BULK = int(Capability.MARIADB_STMT_BULK_OPERATIONS)
METADATA = int(Capability.MARIADB_EXTENDED_METADATA)
SEND_TYPES = 0x80
NONE, NULL, DEFAULT, IGNORE = range(4)
Cell = Value | tuple[int]  # a tuple is an indicator


class Extended(Connection):  # type: ignore[misc]
    """PyMySQL with some of MariaDB's capabilities, as MariaDB's own clients announce them."""

    def __init__(self, extended: int, **options: Any) -> None:
        self.extended = extended >> EXTENDED
        super().__init__(**options, defer_connect=True)
        self.client_flag &= ~int(Capability.LONG_PASSWORD)
        self.connect()

    def write_packet(self, payload: bytes) -> None:
        if self.extended:
            payload = payload[:28] + self.extended.to_bytes(4, "little") + payload[32:]
            if len(payload) > 32:
                self.extended = 0
        super().write_packet(payload)


class BulkSession(Session):
    """Prepared statements of such a client."""

    def bulk(self, name: str, *rows: tuple[Cell, ...], bind: bool = False, flags: int = 0) -> Answer:
        """COM_STMT_BULK_EXECUTE; types as in ``execute``."""
        types = b"".join(struct.pack("<H", LONG if isinstance(value, int) else STRING) for value in rows[0])
        new = bind or self.bound.get(name) != types
        data = struct.pack("<IH", self.ids[name], flags | (SEND_TYPES if new else 0)) + (types if new else b"")
        self.bound[name] = types
        for row in rows:
            for value in row:
                if value is None or isinstance(value, tuple):
                    data += bytes([NULL if value is None else value[0]])
                elif isinstance(value, int):
                    data += struct.pack("<Bi", NONE, value)
                else:
                    data += bytes([NONE, len(value.encode())]) + value.encode()
        self.send(Command.STMT_BULK_EXECUTE, data)
        return self.result()


class BulkTwins(Twins):
    """A session through the router and one on a direct connection, with bulk execution."""

    def __init__(self, ours: Connection, truth: Connection, number: int = 0) -> None:
        super().__init__(ours, truth, number)
        self.ours, self.truth = BulkSession(ours), BulkSession(truth)

    def bulk(self, name: str, *rows: tuple[Cell, ...], **options: Any) -> Any:
        """COM_STMT_BULK_EXECUTE by both."""

        def run(session: Session, table: str) -> Answer:
            assert isinstance(session, BulkSession)
            return session.bulk(name, *rows, **options)

        return self.do(run)


@pytest.fixture
def database(mariadb_set: ReplicaSet) -> Iterator[str]:
    """Two empty databases on all servers."""
    for name in ("statements", "statements_b"):
        mariadb_set.primary.execute(f"DROP DATABASE IF EXISTS {name}")
        mariadb_set.primary.execute(f"CREATE DATABASE {name}")
    mariadb_set.wait_for_replicas()
    yield "statements"
    for name in ("statements", "statements_b"):
        mariadb_set.primary.execute(f"DROP DATABASE {name}")


@pytest.fixture
def narrow(
    mariadb_set: ReplicaSet, database: str, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> RunningRouter:
    """A router with few connections, that reads where it writes."""
    return start_router(settings_for(mariadb_set, tmp_path, pool={"max_connections": 3}, reads={"from": "primary"}))


def connect(port: int, extended: int = BULK, **options: Any) -> Extended:
    """A client with these extensions. (PyMySQL cannot read extended metadata: packets only.)"""
    wanted = {"user": "app", "password": "app-secret", "autocommit": True, "read_timeout": 30}
    return Extended(extended, host="127.0.0.1", port=port, **wanted | options)


@pytest.fixture
def make_twins(mariadb_set: ReplicaSet, narrow: RunningRouter, database: str) -> Iterator[Callable[[int], BulkTwins]]:
    """Makes twins, each with tables of their own."""
    made: list[Connection] = []

    def make(number: int) -> BulkTwins:
        ports = (narrow.port, mariadb_set.primary.port)
        ours, truth = (connect(port, database=database) for port in ports)
        made.extend((ours, truth))
        twins = BulkTwins(ours, truth, number)
        for schema in ("statements", "statements_b"):
            columns = "id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40) DEFAULT 'default', b LONGBLOB"
            twins.text(f"CREATE TABLE {schema}.{{t}} ({columns})")
            twins.text(f"INSERT INTO {schema}.{{t}} (v) VALUES ('one of {schema}'), ('two'), ('three'), ('four')")
        return twins

    yield make
    for connection in made:
        with suppress(pymysql.MySQLError):
            connection.close()


def rows_of(twins: BulkTwins) -> None:
    """What both have in their tables is equal."""
    twins.text("SELECT id, v FROM {t} ORDER BY id")


def test_bulk(make_twins: Callable[[int], BulkTwins]) -> None:
    twins, other = make_twins(0), make_twins(1)
    for each in (twins, other):
        each.prepare("insert", "INSERT INTO {t} (v) VALUES (?)")
        each.prepare("update", "UPDATE {t} SET v = ? WHERE id = ?")
        each.prepare("delete", "DELETE FROM {t} WHERE id = ?")
        each.prepare("select", "SELECT v FROM {t} WHERE id = ?")
        each.prepare("nothing", "SELECT 1")
        each.prepare("returning", "INSERT INTO {t} (v) VALUES (?) RETURNING id, v")
    twins.bulk("insert", ("a",), ("b",), (None,), ((DEFAULT,),), ((IGNORE,),))
    twins.text("SELECT LAST_INSERT_ID(), ROW_COUNT()")
    other.bulk("insert", (1,), (2,))
    twins.bulk("insert", ("c",), ("d",))
    other.execute("insert", 7)
    twins.execute("insert", "e")
    other.bulk("insert", (3,), (4,))
    twins.bulk("update", ("x", 1), ("y", 2), ((IGNORE,), 3))
    twins.bulk("delete", (2,), (3,), (99,))
    for name in ("select", "delete"):
        twins.bulk(name, (1,), bind=True)
        twins.bulk(name, ("1",))
    twins.bulk("returning", ("r",), ("s",))
    twins.text("SHOW WARNINGS")
    twins.text("BEGIN")
    twins.bulk("insert", ("in a transaction",), ("two",))
    other.bulk("insert", (5,), (6,))
    twins.text("ROLLBACK")
    rows_of(twins)
    rows_of(other)


def test_what_is_refused(make_twins: Callable[[int], BulkTwins]) -> None:
    twins, other = make_twins(0), make_twins(1)
    for each in (twins, other):
        each.prepare("insert", "INSERT INTO {t} (id, v) VALUES (?, ?)")
        each.prepare("nothing", "INSERT INTO {t} () VALUES ()")
    other.bulk("insert", ("10", 1), ("20", 2))
    twins.bulk("insert", (10, "a"), (11, "b"), (10, "twice"))
    twins.bulk("insert", (12, "a" * 50))
    twins.bulk("nothing", ())
    for flags in (1, 0x40, 0x41, 0x100):
        twins.bulk("insert", (30 + flags, "x"), flags=flags)

    def raw(rest: bytes) -> Callable[[Session, str], Answer]:
        def run(session: Session, table: str) -> Answer:
            session.send(Command.STMT_BULK_EXECUTE, struct.pack("<I", session.ids["insert"]) + rest)
            return session.result()

        return run

    long_string = struct.pack("<HH", LONG, STRING)
    for rest in (
        b"",
        b"\0",
        b"\x80\0",
        b"\x80\0" + long_string[:3],
        b"\x80\0" + long_string,
        b"\x80\0" + long_string + b"\0\1\0",
        b"\x80\0" + long_string + b"\0\x32\0\0\0",
        b"\x80\0" + long_string + b"\0\x33\0\0\0\0\5ab",
        b"\x80\0" + long_string + b"\7\x34\0\0\0\0\2ab",
        b"\0\0\0\x35\0\0\0\0\2ab",
    ):
        other.bulk("insert", ("10", 1), ("20", 2), bind=True)
        twins.do(raw(rest))
    twins.bulk("insert", (70, "after"))
    rows_of(twins)
    missing = struct.pack("<IH", 4711, 0)
    for session in (twins.ours, twins.truth):
        session.send(Command.STMT_BULK_EXECUTE, missing)
        assert "Unknown prepared statement handler (4711) given to mysqld_stmt_execute" in str(session.result())


def wander_in_bulk(twins: BulkTwins, dice: random.Random) -> None:
    """One random bulk execution."""
    words: list[Cell] = ["a", "", None, (DEFAULT,), (IGNORE,), "lo\0ng"]
    name = dice.choice(["insert", "insert", "update", "delete"])
    if name not in twins.ours.ids:
        return
    rows: list[tuple[Cell, ...]] = []
    numbers = dice.random() < 0.3
    for _ in range(dice.randint(1, 4)):
        if name == "insert":
            rows.append((dice.randint(1, 9) if numbers else dice.choice(words),))
        elif name == "update":
            rows.append((dice.choice(words), dice.randint(1, 9)))
        else:
            rows.append((dice.randint(5, 40),))
    twins.bulk(name, *rows)
    twins.text("SELECT LAST_INSERT_ID()")


@pytest.mark.parametrize("seed", range(3))
def test_sessions_wander_with_bulk(make_twins: Callable[[int], BulkTwins], seed: int) -> None:
    dice = random.Random(seed)
    every = [make_twins(number) for number in range(5)]
    for twins in every:
        for name, sql in STATEMENTS.items():
            twins.prepare(name, sql)
    for _ in range(60):
        twins = dice.choice(every)
        for _ in range(dice.randrange(1, 6)):
            if dice.random() < 0.4:
                wander_in_bulk(twins, dice)
            else:
                wander(twins, dice)
        twins.text("COMMIT")
        twins.text("SET autocommit = 1")
    for twins in every:
        rows_of(twins)


def test_malformed_executions_leave_no_types_behind(make_twins: Callable[[int], BulkTwins]) -> None:
    """The server has not taken the types of a command that it refused: who comes next must not build on them."""
    twins, others = make_twins(0), [make_twins(number) for number in (1, 2, 3)]
    for each in (twins, *others):
        each.prepare("two", "SELECT ?, ?")
    for each in others:
        each.execute("two", "a", "b")
    for each in others:
        twins.execute("two", 1, 2, bind=True)

        def cut(session: Session, table: str) -> Answer:
            data = struct.pack("<IBI", session.ids["two"], 0, 1) + b"\0\1" + struct.pack("<H", STRING)
            session.send(Command.STMT_EXECUTE, data)
            return session.result()

        twins.do(cut)
        each.execute("two", "c", "d")
        twins.execute("two", 3, 4)


def test_writes_go_to_the_primary(mariadb_set: ReplicaSet, router: RunningRouter, database: str) -> None:
    mariadb_set.primary.execute("CREATE TABLE statements.t (id INT PRIMARY KEY)")
    mariadb_set.wait_for_replicas()
    session = BulkSession(connect(router.port, database=database))
    session.prepare("insert", "INSERT INTO t VALUES (?)")
    since = mark_all(mariadb_set)
    session.bulk("insert", (1,), (2,))
    session.bulk("insert", (3,), (4,))
    seen = statements_by_server(mariadb_set, since)
    assert [sql for sql in seen.pop("primary") if "INSERT" in sql]
    assert not [sql for log in seen.values() for sql in log if "INSERT" in sql]
    assert mariadb_set.primary.value("SELECT COUNT(*) FROM statements.t") == 4
    session.connection.close()


def test_bulk_is_for_those_who_have_asked_for_it(router: RunningRouter, mariadb_set: ReplicaSet, database: str) -> None:
    for port in (router.port, mariadb_set.primary.port):
        session = BulkSession(connect(port, 0, database=database))
        session.prepare("one", "DO ?")
        assert "1295" in str(session.bulk("one", (1,)))
        assert session.text("SELECT 1") == (1, ((1,),))
        session.connection.close()


COLUMNS = "j JSON, u UUID, i INET6, p POINT, t TEXT, n INT"


@pytest.mark.parametrize("extended", [0, METADATA, BULK])
@pytest.mark.parametrize("flag", [0, int(Capability.DEPRECATE_EOF)])
def test_metadata(narrow: RunningRouter, mariadb_set: ReplicaSet, database: str, extended: int, flag: int) -> None:
    def say(session: Session, command: int, argument: bytes, packets: int) -> Answer:
        session.send(command, argument)
        return [session.read() for _ in range(packets)]

    answers = []
    for port, table in ((narrow.port, "t_route_0"), (mariadb_set.primary.port, "t_truth_0")):
        session = Session(connect(port, extended, database=database, client_flag=flag))
        eof = 0 if flag else 1
        session.text(f"CREATE TABLE {table} ({COLUMNS})")
        session.text(f"INSERT INTO {table} VALUES ('[1]', UUID(), '::1', POINT(1, 2), 'x', 5)")
        told = [say(session, Command.QUERY, f"SELECT j, i, p, t, n FROM {table} AS a".encode(), 8 + eof)]
        told[0][-1] = b""  # flags of the trackers
        told.append(say(session, Command.FIELD_LIST, f"{table}\0".encode(), 7)[:-1])
        prepared = say(
            session, Command.STMT_PREPARE, f"SELECT u, j FROM {table} AS a WHERE n = ?".encode(), 4 + 2 * eof
        )
        told.append([packet for packet in prepared[1:] if packet[:1] != b"\xfe"])
        told.append(say(session, Command.QUERY, b"SELECT 5 AS id, CAST('{}' AS JSON) FROM nowhere", 1))
        answers.append([[packet.replace(table.encode(), b"t") for packet in answer] for answer in told])
        assert any(b"json" in packet for packet in answers[-1][0]) is bool(extended == METADATA)
        session.connection.close()
    assert answers[0] == answers[1]


def test_answers_of_our_own(router: RunningRouter, mariadb_set: ReplicaSet) -> None:
    session = Session(connect(router.port, METADATA))
    session.send(Command.QUERY, b"SHOW SESSION STATE")
    count, first = session.read(), session.read()
    assert count == b"\2"
    assert first.startswith(b"\3def\0\0\0\4name\0\0\x0c"), "an empty extension in front of the fixed part"
    while session.read()[:1] != b"\xfe":
        pass
    while session.read()[:1] != b"\xfe":
        pass
    session.send(Command.QUERY, b"SELECT CONNECTION_ID()")
    row = [session.read() for _ in range(5)][3]
    assert int(row[1:]) == session.connection.thread_id()
    session.connection.close()
