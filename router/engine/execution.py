"""One execution of a prepared statement, for statements that the router makes of the client's.

A connection keeps them prepared, as it does the clients' own. What a server has derived from earlier executions plays
no part: where it would be felt, the statement is prepared anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from router.backend.connection import BackendConnection, Capture, Sink
from router.backend.derivation import derive
from router.backend.statements import ServerStatement, StatementText, close
from router.errors import ConnectionLost
from router.planner.plan import Part
from router.sql.facts import StatementKind
from router.wire.codec import push_lenenc_int
from router.wire.constants import Command
from router.wire.framing import frame
from router.wire.scanner import PREPARE, QUERY


@dataclass(frozen=True, slots=True)
class Execution:
    """The values a client gives, each as it stands in its packet (None: NULL), with two bytes of type each.

    ``long_data``: what came for a parameter beforehand, in pieces. ``named``: the connection has query attributes.
    """

    types: tuple[bytes, ...]
    values: tuple[bytes | None, ...]
    long_data: Mapping[int, tuple[bytes, ...]]
    named: bool = False

    def bound(self, numbers: tuple[int, ...] | None) -> tuple[bytes, bytes]:
        """Types of the parameters of these ``numbers`` (None: all), two bytes each, and which are NULL: a bitmap."""
        wanted = range(len(self.values)) if numbers is None else numbers
        bitmap = bytearray((len(wanted) + 7) // 8)
        for place, number in enumerate(wanted):
            if self.values[number] is None and number not in self.long_data:
                bitmap[place >> 3] |= 1 << (place & 7)
        return b"".join(self.types[number] for number in wanted), bytes(bitmap)

    def commands(self, statement_id: int, numbers: tuple[int, ...] | None) -> bytes:
        """What runs a statement with the parameters of these ``numbers`` (None: all); one reply."""
        head = statement_id.to_bytes(4, "little")
        wanted = range(len(self.values)) if numbers is None else numbers
        out = []
        types, values = [], []
        for place, number in enumerate(wanted):
            types.append(self.types[number] + b"\0" * self.named)
            value = self.values[number]
            if number in self.long_data:
                at = place.to_bytes(2, "little")
                for piece in self.long_data[number]:
                    out.append(frame(bytes([Command.STMT_SEND_LONG_DATA]) + head + at + piece, 0))
            elif value is not None:
                values.append(value)
        payload = bytes([Command.STMT_EXECUTE]) + head + b"\0\1\0\0\0"
        if wanted:
            count = push_lenenc_int(len(wanted)) if self.named else b""
            payload += count + self.bound(numbers)[1] + b"\1" + b"".join((*types, *values))
        return b"".join((*out, frame(payload, 0)))


def send(
    connection: BackendConnection,
    part: Part,
    execution: Execution | None,
    sink: Sink,
    before: list[bytes],
    refused: Callable[[bytes], None],
    lost: Callable[[ConnectionLost], None],
    *,
    waits: bool = False,
) -> None:
    """Ask a shard its part, behind the commands ``before`` (one reply each); the answer goes to ``sink``.

    ``waits``: the first of those only waits for something (``BackendConnection.send``). With an ``execution`` it is
    prepared first: ``refused`` gets the error if that fails, ``lost`` is called when the connection breaks meanwhile.
    """
    if execution is None:
        connection.send(sink, b"".join((*before, connection.query(part.sql))), QUERY, len(before), waits=waits)
        return
    text = StatementText.of(frame(bytes([Command.STMT_PREPARE]) + part.sql, 0), connection.schema, connection.variables)
    types, nulls = execution.bound(part.parameters)
    derives = connection.profile.flavor == "mysql"

    def run(statement: ServerStatement, before: list[bytes]) -> None:
        data = execution.commands(statement.id, part.parameters)
        statement.types = types
        if derives:
            statement.derived = derive(statement.derived, types, nulls)
        connection.send(sink, b"".join((*before, data)), QUERY, len(before), waits=waits and bool(before))

    def prepared(payload: bytes, error: bytes | None) -> None:
        if error is not None:
            refused(error)
            return
        statement = ServerStatement(connection.scanner.statement_id)
        run(statement, [])
        if closing := connection.statements.put(text, statement) if _stays(part, execution) else close(statement):
            connection.write(closing)

    known = connection.statements.get(text)
    # Whether an execution would find nothing that earlier ones have left.
    if (
        known is not None
        and not execution.long_data
        and (not derives or derive(known.derived, types, nulls) == derive(None, types, nulls))
    ):
        run(known, before)
    else:
        connection.send(Capture(prepared, lost), b"".join((*before, text.frame)), PREPARE, len(before), waits=waits)


def _stays(part: Part, execution: Execution) -> bool:
    """Whether it may be of use again: rows are another statement each time, variables are resolved when it is prepared,
    and data sent beforehand would be there still if it was refused."""
    inserts = part.relay.facts.kind in (StatementKind.INSERT, StatementKind.REPLACE)
    return not inserts and not execution.long_data and b"@" not in part.sql
