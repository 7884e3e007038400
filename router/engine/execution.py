"""One execution of a prepared statement, for statements that the router makes of the client's: prepared, run, closed.

What a server has derived from earlier executions plays no part: each of these is the first of its statement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from router.backend.connection import BackendConnection, Capture, Sink
from router.errors import ConnectionLost
from router.planner.plan import Part
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

    def commands(self, statement_id: int, numbers: tuple[int, ...] | None) -> bytes:
        """What runs a statement with the parameters of these ``numbers`` (None: all), and closes it; one reply."""
        head = statement_id.to_bytes(4, "little")
        wanted = range(len(self.values)) if numbers is None else numbers
        out = []
        bitmap = bytearray((len(wanted) + 7) // 8)
        types, values = [], []
        for place, number in enumerate(wanted):
            types.append(self.types[number] + b"\0" * self.named)
            value = self.values[number]
            if number in self.long_data:
                at = place.to_bytes(2, "little")
                for piece in self.long_data[number]:
                    out.append(frame(bytes([Command.STMT_SEND_LONG_DATA]) + head + at + piece, 0))
            elif value is None:
                bitmap[place >> 3] |= 1 << (place & 7)
            else:
                values.append(value)
        payload = bytes([Command.STMT_EXECUTE]) + head + b"\0\1\0\0\0"
        if wanted:
            count = push_lenenc_int(len(wanted)) if self.named else b""
            payload += count + bytes(bitmap) + b"\1" + b"".join((*types, *values))
        return b"".join((*out, frame(payload, 0), frame(bytes([Command.STMT_CLOSE]) + head, 0)))


def send(
    connection: BackendConnection,
    part: Part,
    execution: Execution | None,
    sink: Sink,
    before: list[bytes],
    refused: Callable[[bytes], None],
    lost: Callable[[ConnectionLost], None],
) -> None:
    """Ask a shard its part, behind the commands ``before`` (one reply each); the answer goes to ``sink``.

    With an ``execution`` it is prepared first: ``refused`` gets the error if that fails, ``lost`` is called when the
    connection breaks meanwhile.
    """
    if execution is None:
        connection.send(sink, b"".join((*before, connection.query(part.sql))), QUERY, len(before))
        return

    def prepared(payload: bytes, error: bytes | None) -> None:
        if error is not None:
            refused(error)
        else:
            connection.send(sink, execution.commands(connection.scanner.statement_id, part.parameters), QUERY)

    preparing = frame(bytes([Command.STMT_PREPARE]) + part.sql, 0)
    connection.send(Capture(prepared, lost), b"".join((*before, preparing)), PREPARE, len(before))
