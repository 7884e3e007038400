"""``/*+ router(trace) */``: what happened to a statement, as notes in front of the server's own in SHOW WARNINGS.

The statement runs as always, and its answer is the same. Only SHOW WARNINGS right behind it, as text, has more rows.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from router.engine.foresight import Foresight
from router.engine.questions import is_show_warnings_text
from router.engine.services import Services
from router.engine.trace import Trace
from router.frontend.watching import take_answer
from router.planner.explain import explain_rows
from router.planner.plan import Bound, Relay, Scattered, Spread, Staged
from router.wire.constants import Capability, ColumnType
from router.wire.framing import PacketDecoder, frame
from router.wire.packets import ColumnDefinition
from router.wire.rows import encode_text_result, encode_text_row

if TYPE_CHECKING:
    from router.frontend.dispatch import Dispatcher

# Of notes that explain something: ER_YES, as EXPLAIN has it.
_CODE = b"1003"
NOBODY = "no server"
_COLUMNS = [
    ColumnDefinition(name=b"Level", type=ColumnType.VAR_STRING, collation_id=45, length=28),
    ColumnDefinition(name=b"Code", type=ColumnType.LONG, collation_id=63, length=4, flags=0x20),
    ColumnDefinition(name=b"Message", type=ColumnType.VAR_STRING, collation_id=45, length=2048),
]


class Tracing:
    """Of one session, from its first traced statement on."""

    def __init__(self, desk: Dispatcher, services: Services) -> None:
        self._desk = desk
        self._services = services
        self._trace: Trace | None = None
        # The last command that servers have seen, when the trace was made.
        self._frame = b""
        self._write = desk.write

    def forget(self) -> None:
        """Another statement comes."""
        self._trace = None

    # -- recording ---------------------------------------------------------------------------------------------

    def relayed(self, plan: Relay, frames: bytes, sql: bytes, prepared: bool = False) -> Trace:
        """The command in ``frames`` is about to be run by ``plan``."""
        self._frame = frames
        return self._begin(plan, sql, prepared=prepared)

    def several(self, plan: Scattered | Spread | Staged, prepared: bool) -> Trace:
        """A statement on several servers begins."""
        self._frame = self._desk.executor.frame
        return self._begin(plan, b"", prepared=prepared)

    def _begin(self, plan: Bound, sql: bytes, *, prepared: bool) -> Trace:
        desk = self._desk
        foresight = Foresight(desk.executor, desk.transactions, self._services)
        rows = explain_rows(plan, lambda part: foresight.places(part, sql))
        desk.executor.forward = self._write
        self._trace = trace = Trace(
            [self._origin(plan, prepared=prepared), *dict.fromkeys(f"{row[2] or NOBODY}: {row[5]}" for row in rows)]
        )
        trace.started = perf_counter()
        return trace

    def _origin(self, plan: Bound, *, prepared: bool) -> str:
        if prepared:
            return "plan of the prepared statement"
        fresh, self._desk.scope.fresh = self._desk.scope.fresh, None
        return "planned anew" if fresh is not None and fresh.facts.hints is plan.facts.hints else "plan from the cache"

    # -- showing -----------------------------------------------------------------------------------------------

    def shown(self, frames: bytes, sql: bytes) -> bool:
        """Whether the statement is SHOW WARNINGS right behind a traced one, and has been answered.

        False also when the server is to be asked: then its answer gets the notes on its way.
        """
        trace, executor = self._trace, self._desk.executor
        if trace is None or executor.frame is not self._frame or not is_show_warnings_text(sql):
            self._trace = None
            return False
        look = executor.look
        warnings = look.past[2]
        here = executor.connection or look.connection
        notes = [b"router: " + line.encode() for line in trace.lines()]
        if warnings is None and here is not None and here is look.last_on:
            self._frame = frames
            noted = _Noted(self._desk.capabilities, notes, self._write)
            take_answer(executor, frames, self._write, noted.forward)
            return False
        write = self._desk.client.write  # no server is asked: a replay would not hear it either
        if warnings:
            _Noted(self._desk.capabilities, notes, write).forward(warnings)
        else:
            if warnings is None:
                notes.append(b"router: what the servers have warned of is not known here")
            rows = [[b"Note", _CODE, note] for note in notes]
            capabilities, status = self._desk.capabilities, self._desk.status
            write(encode_text_result(_COLUMNS, rows, capabilities=capabilities, status=status))
        self._desk.client.finished()
        return True


class _Noted:
    """Puts rows in front of those of a server's answer to SHOW WARNINGS."""

    def __init__(self, capabilities: int, notes: list[bytes], write: Callable[[bytes], None]) -> None:
        self._decoder = PacketDecoder(2**31)
        self._rows = [encode_text_row([b"Note", _CODE, note]) for note in notes]
        self._write = write
        self._eof = not capabilities & Capability.DEPRECATE_EOF
        self._left: int | None = None  # packets in front of the rows, once that is known
        self._sequence = 1

    def forward(self, data: bytes) -> None:
        """A part of the answer."""
        self._decoder.feed(data)
        payloads: list[bytes] = []
        for payload in self._decoder.payloads():
            payloads.append(payload)
            if self._left is None:
                if payload[0] in (0x00, 0xFF):
                    self._left = -1
                    continue
                # Definitions may have been left out, where that has been agreed.
                columns = 0 if payload[1:] == b"\0" else payload[0]
                self._left = columns + self._eof
            elif self._left > 0:
                self._left -= 1
            if self._left == 0:
                payloads += self._rows
                self._left = -1
        out = []
        for payload in payloads:
            out.append(frame(payload, self._sequence))
            self._sequence = (self._sequence + 1) & 0xFF
        self._write(b"".join(out))
