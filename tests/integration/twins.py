"""Sessions with a twin on a direct connection: both get the same commands, packet by packet, and must answer alike."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pymysql
from pymysql.connections import Connection

from router.wire.constants import Command

LONG, STRING, BLOB = 3, 253, 252
CURSOR = 1
EXISTS, LAST_ROW = 0x40, 0x80
Answer = list[bytes]
Value = int | str | None


class Session:
    """The raw protocol of prepared statements on a PyMySQL connection; answers are lists of payloads."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.ids: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.bound: dict[str, bytes] = {}

    def read(self) -> bytes:
        """One packet; errors are answers too."""
        try:
            return bytes(self.connection._read_packet()._data)
        except pymysql.MySQLError as error:
            return repr(error.args).encode()

    def send(self, command: int, argument: bytes) -> None:
        """A command."""
        self.connection._execute_command(command, argument)

    def text(self, sql: str) -> Any:
        """A statement as text."""
        with self.connection.cursor() as cursor:
            try:
                cursor.execute(sql)
            except pymysql.MySQLError as error:
                return error.args
            return cursor.rowcount, cursor.fetchall()

    def command(self, command: int) -> Answer:
        """A command without an argument."""
        self.send(command, b"")
        return self.result()

    def query(self, sql: str) -> Answer:
        """COM_QUERY of one statement, as packets."""
        self.send(Command.QUERY, sql.encode())
        return self.result()

    def prepare(self, name: str, sql: str) -> Answer:
        """COM_STMT_PREPARE; the id is taken out of the answer."""
        self.send(Command.STMT_PREPARE, sql.encode())
        head = self.read()
        if head[:1] != b"\0":
            self.ids.pop(name, None)
            return [head]
        statement_id, columns, parameters = struct.unpack("<IHH", head[1:9])
        self.ids[name] = statement_id
        self.counts[name] = parameters
        self.bound.pop(name, None)
        rest = [self.read() for count in (parameters, columns) if count for _ in range(count + 1)]
        return [head[:1] + head[5:], *rest]

    def execute(self, name: str, *values: Value, flags: int = 0, bind: bool = False) -> Answer:
        """COM_STMT_EXECUTE; types are sent the first time only, as clients do, or when they change."""
        data = struct.pack("<IBI", self.ids[name], flags, 1)
        if values:
            types = b"".join(struct.pack("<H", LONG if isinstance(value, int) else STRING) for value in values)
            nulls = sum(1 << number for number, value in enumerate(values) if value is None)
            data += nulls.to_bytes((len(values) + 7) // 8, "little")
            new = bind or self.bound.get(name) != types
            data += b"\1" + types if new else b"\0"
            self.bound[name] = types
            for value in values:
                if isinstance(value, int):
                    data += struct.pack("<i", value)
                elif value is not None:
                    data += bytes([len(value.encode())]) + value.encode()
        self.send(Command.STMT_EXECUTE, data)
        return self.result()

    def execute_long(self, name: str, parameter: int, other: str) -> Answer:
        """COM_STMT_EXECUTE with one parameter's value sent as long data before, and a string as the other."""
        types = struct.pack("<HH", BLOB, STRING)
        assert parameter == 0
        data = struct.pack("<IBI", self.ids[name], 0, 1) + b"\0\1" + types + bytes([len(other)]) + other.encode()
        self.bound.pop(name, None)
        self.send(Command.STMT_EXECUTE, data)
        return self.result()

    def result(self) -> Answer:
        """A result set, or an OK, or an error."""
        first = self.read()
        if first[:1] in (b"\0", b"("):
            return [first]
        answer = [first, *(self.read() for _ in range(first[0] + 1))]
        if struct.unpack("<H", answer[-1][3:5])[0] & EXISTS:
            return answer
        return answer + self.rows()

    def rows(self) -> Answer:
        """Rows up to the EOF."""
        answer = [self.read()]
        while not (answer[-1][:1] == b"\xfe" and len(answer[-1]) < 9) and answer[-1][:1] != b"(":
            answer.append(self.read())
        return answer

    def fetch(self, name: str, count: int) -> Answer:
        """COM_STMT_FETCH."""
        self.send(Command.STMT_FETCH, struct.pack("<II", self.ids[name], count))
        return self.rows()

    def reset(self, name: str) -> Answer:
        """COM_STMT_RESET."""
        self.send(Command.STMT_RESET, struct.pack("<I", self.ids[name]))
        return [self.read()]

    def close(self, name: str) -> None:
        """COM_STMT_CLOSE."""
        self.send(Command.STMT_CLOSE, struct.pack("<I", self.ids.pop(name)))

    def long_data(self, name: str, parameter: int, data: bytes) -> None:
        """COM_STMT_SEND_LONG_DATA."""
        self.send(Command.STMT_SEND_LONG_DATA, struct.pack("<IH", self.ids[name], parameter) + data)


class Twins:
    """A session through the router and one on a direct connection, doing the same on tables of their own."""

    def __init__(self, ours: Connection, truth: Connection, number: int = 0) -> None:
        self.ours, self.truth = Session(ours), Session(truth)
        self.number = number

    def do(self, action: Callable[[Session, str], Any]) -> Any:
        """Both do it (to table ``t_…``); the answers must be equal."""
        expected = action(self.truth, f"t_truth_{self.number}")
        actual = action(self.ours, f"t_route_{self.number}")
        assert plain(actual) == plain(expected), (plain(actual), plain(expected))
        return actual

    def prepare(self, name: str, sql: str) -> Any:
        """PREPARE with the table's name for ``{t}``."""
        return self.do(lambda session, table: session.prepare(name, sql.format(t=table)))

    def execute(self, name: str, *values: Value, **options: Any) -> Any:
        """EXECUTE."""
        return self.do(lambda session, table: session.execute(name, *values, **options))

    def text(self, sql: str) -> Any:
        """A statement as text."""
        return self.do(lambda session, table: session.text(sql.format(t=table)))


def plain(answer: Any) -> str:
    """An answer without what differs by design: the names of the tables, and the flag for trackers in EOF packets."""
    if isinstance(answer, list):
        eof = (b"\xfe", 5)
        answer = [it[:4] + bytes([it[4] & 0xBF]) if (it[:1], len(it)) == eof else it for it in answer]
    return repr(answer).replace("t_truth_", "t_any_").replace("t_route_", "t_any_")
