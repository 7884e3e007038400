"""Statements as prepared ones: what they answer in the binary protocol, as ``compare`` has it."""

from __future__ import annotations

from pymysql.connections import Connection

from router.wire.constants import ColumnType
from router.wire.packets import decode_column
from router.wire.rows import binary_type, decode_binary_row
from tests.differential.compare import Answer, Column, plain
from tests.integration.twins import Session

_EOF = 5  # bytes


def ask_prepared(connection: Connection, sql: str) -> Answer:
    """Prepare a statement, execute and close it; errors are answers too."""
    session = Session(connection)
    head = session.prepare("it", sql)
    if "it" not in session.ids:
        return _error(head[0])
    packets = session.execute("it")
    session.close("it")
    if len(packets) == 1:
        return _error(packets[0]) if packets[0][:1] == b"(" else Answer(affected=packets[0][1])
    count = packets[0][0]
    definitions = [decode_column(packet) for packet in packets[1 : count + 1]]
    if packets[-1][:1] == b"(":
        return _error(packets[-1])
    types = [binary_type(each) for each in definitions]
    columns = tuple(Column(each.name.decode(), _kind(each.type), 0, 0, 0, 0) for each in definitions)
    rows = [
        tuple(each if each is None or isinstance(each, bytes) else repr(each) for each in decode_binary_row(row, types))
        for row in packets[count + 2 : -1]
    ]
    return Answer(columns, tuple(plain(row, columns) for row in rows))


def _kind(kind: int) -> int:
    """What a computed column is depends on how the server runs the statement; its values do not."""
    return int(kind) if kind in (ColumnType.DOUBLE, ColumnType.FLOAT) else 0


def _error(packet: bytes) -> Answer:
    """The words of PyMySQL's exception, as ``Session`` gives errors."""
    number, _, message = packet.decode().strip("()").partition(", ")
    return Answer(error=int(number), message=message.strip("'\""))
