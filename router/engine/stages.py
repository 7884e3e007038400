"""Queries that are asked before the statement they stand in: one after the other, their rows kept for what follows."""

from __future__ import annotations

from collections.abc import Callable

from router.backend.connection import PoolKey
from router.engine.execution import Execution
from router.engine.executor import Executor
from router.engine.forms import BinaryForm, TextForm
from router.engine.scatter import Scatter
from router.engine.services import Services
from router.engine.trace import Trace
from router.errors import MySQLError, ProtocolError
from router.planner.given import Result, charset_of
from router.planner.plan import Refused, Scattered, Staged
from router.planner.staging import last, step, steps_of
from router.wire.charset import python_codec
from router.wire.constants import Capability
from router.wire.framing import PacketDecoder
from router.wire.packets import ColumnDefinition, ErrPacket, decode_column

# Bytes of one query's answer; what is made of it is smaller.
MOST_BYTES = 4 * 1024 * 1024

Outcome = Scattered | Refused | bytes
"""The last step, why there is none, or an ERR packet's payload."""


class Collector:
    """Takes what a ``Scatter`` answers, in a client's place. ``full`` is called when that is too much."""

    def __init__(self, capabilities: int, binary: bool, full: Callable[[], None]) -> None:
        self._decoder = PacketDecoder(2**31)
        self._capabilities = capabilities
        self._binary = binary
        self._full = full
        self._size = 0
        self._payloads: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Bytes of the answer."""
        self._size += len(data)
        if self._size > MOST_BYTES:
            full, self._full = self._full, lambda: None
            full()
            if self._size > 2 * MOST_BYTES:
                return
        self._decoder.feed(data)
        self._payloads += self._decoder.payloads()

    @property
    def error(self) -> bytes | None:
        """The ERR packet that is the end of the answer."""
        found = self._payloads[-1] if self._payloads else ErrPacket.of(MySQLError(2013, "08S01", "router: no answer"))
        payload = found if isinstance(found, bytes) else found.encode()
        return payload if payload[0] == 0xFF else None

    def result(self, charset: str | None) -> Result:
        """Columns and rows. Raises ProtocolError."""
        count = self._payloads[0][0]  # more columns than one byte tells has no subquery
        columns: list[ColumnDefinition] = [
            decode_column(payload, self._capabilities) for payload in self._payloads[1 : count + 1]
        ]
        first = count + 1 + (not self._capabilities & Capability.DEPRECATE_EOF)
        read = (BinaryForm if self._binary else TextForm)(columns).read
        return Result(columns, [read(payload) for payload in self._payloads[first:-1]], charset)

    # -- a client's other side ---------------------------------------------------------------------------------

    def fail(self, error: MySQLError, *, close: bool = False) -> None:
        """An error of the router."""
        self._payloads.append(ErrPacket.of(error).encode())

    def finished(self) -> None:
        """Told by the statement."""

    def ask_for_file(self) -> None:
        """Reads load no files."""

    def abort(self) -> None:
        """Told by the statement."""

    def pause_reading(self) -> None:
        """There is nobody to be slow."""

    def resume_reading(self) -> None:
        """As above."""


class Stages:
    """One session's statements that take several steps, one at a time."""

    def __init__(self, executor: Executor, services: Services, capabilities: int) -> None:
        self._executor = executor
        self._services = services
        self._capabilities = capabilities
        self._running: Scatter | None = None
        self._inner: Stages | None = None
        self.trace: Trace | None = None  # of the statement

    def run(self, plan: Staged, key: PoolKey, execution: Execution | None, done: Callable[[Outcome], None]) -> None:
        """Ask the queries, and tell ``done`` what is to be run then."""
        results: list[Result] = []
        codec = python_codec(self._variable("character_set_client"))

        def following() -> None:
            if len(results) == steps_of(plan):
                done(last(plan, results))
                return
            asked(step(plan, len(results), codec))

        def asked(outcome: Outcome | Staged) -> None:
            match outcome:
                case Staged():
                    self._inner = Stages(self._executor, self._services, self._capabilities)
                    self._inner.trace = self.trace
                    self._inner.run(outcome, key, execution, asked)
                case Scattered():
                    self._inner = None
                    self._ask(outcome, key, execution, answered)
                case _:
                    done(outcome)

        def answered(found: Result | bytes) -> None:
            if isinstance(found, bytes):
                done(found)
                return
            results.append(found)
            following()

        following()

    def _variable(self, name: str) -> str:
        return self._executor.session.variables.values.get(name, "")

    def _ask(
        self, plan: Scattered, key: PoolKey, execution: Execution | None, answered: Callable[[Result | bytes], None]
    ) -> None:
        def full() -> None:
            message = f"router: not supported on sharded tables: a subquery that answers more than {MOST_BYTES:,} bytes"
            scatter.failed(MySQLError(1235, "42000", message))

        def ended(warned: bool) -> None:
            self._running = None
            if (error := collector.error) is not None:
                answered(error)
                return
            charset = charset_of(self._variable("character_set_client"), self._variable("character_set_results"))
            try:
                found = collector.result(charset)
            except (ProtocolError, ValueError) as error:
                answered(ErrPacket.of(MySQLError(2013, "08S01", f"router: an answer cannot be read: {error}")).encode())
                return
            answered(found)

        collector = Collector(self._capabilities, execution is not None, full)
        scatter = Scatter(collector, self._executor, self._services, self._capabilities, ended)
        scatter.trace = self.trace
        self._running = scatter
        scatter.run(plan, key, execution)

    # -- what the client's connection tells --------------------------------------------------------------------

    def cancel(self) -> None:
        """The client is gone."""
        for each in (self._inner, self._running):
            if each is not None:
                each.cancel()

    def kill(self, done: Callable[[], None]) -> None:
        """KILL QUERY, of the query that is being asked; ``done`` as ``Scatter`` tells it."""
        running = self._inner or self._running
        if running is None:
            done()
        else:
            running.kill(done)
