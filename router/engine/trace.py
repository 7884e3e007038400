"""What happened to one statement: recorded where somebody has asked for it with ``/*+ router(trace) */``, and for
spans.

A ``Trace`` has a ``LegTrace`` for each server that was asked. Both are told by who runs the statement, in places that
are reached only when there is something to tell; times are of ``perf_counter``, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from router.backend.connection import BackendConnection
from router.cluster.topology import Server
from router.planner.plan import Relay
from router.wire.errcodes import code_of

# The wait for room on all servers that a statement needs, and for the end of their pauses.
ADMISSION = "admission to all groups that it needs"
# What took less is no wait: a connection that was there, a gate that was open. Seconds.
_NO_WAIT = 0.00005


@dataclass(frozen=True, slots=True)
class Wait:
    """For ``what``, from ``since`` on, for so many ``seconds``."""

    what: str
    since: float
    seconds: float


class Waits:
    """What was waited for, and how long: one thing at a time."""

    __slots__ = ("_since", "_what", "found")

    def __init__(self) -> None:
        self.found: list[Wait] = []
        self._what = ""
        self._since = 0.0

    def begin(self, what: str) -> None:
        """A wait for ``what`` begins, or goes on."""
        if self._what != what:
            self.end()
            self._what, self._since = what, perf_counter()

    def end(self) -> None:
        """It is over, if there was one."""
        if self._what:
            seconds = perf_counter() - self._since
            if seconds >= _NO_WAIT:
                self.found.append(Wait(self._what, self._since, seconds))
            self._what = ""

    def in_vain(self, what: str, seconds: float) -> None:
        """A wait has just ended without what was waited for."""
        self.found.append(Wait(what, perf_counter() - seconds, seconds))

    def lines(self) -> list[str]:
        """Each as a text; one that goes on still is over."""
        self.end()
        total: dict[str, float] = {}
        for wait in self.found:
            total[wait.what] = total.get(wait.what, 0.0) + wait.seconds
        return [f"waited {_ms(seconds)} for {what}" for what, seconds in total.items()]


class LegTrace:
    """One server's part of the statement, which goes where ``relay`` says.

    ``sent`` is when the router began to send: the session's state first, where the connection's differs; ``first`` and
    ``last`` when the answer began and was complete; 0.0: not (yet). ``retries`` counts further attempts, ``behind``
    says that it was sent behind a question for what the session must see. ``server`` is where it ran, on the connection
    ``thread_id``; ``error`` the payload of the ERR packet that it has answered with, ``broken``: it did not, and the
    connection is gone. The answer had so many ``rows`` (None: it has none) and changed so many (``affected``).
    """

    __slots__ = (
        "_place",
        "_started",
        "affected",
        "behind",
        "broken",
        "error",
        "first",
        "last",
        "relay",
        "retries",
        "rows",
        "sent",
        "server",
        "size",
        "thread_id",
        "waits",
    )

    def __init__(self, started: float, relay: Relay) -> None:
        self._started = started
        self._place = f"group {relay.group}" if relay.shard is None else f"shard {relay.shard}"
        self.relay = relay
        self.waits = Waits()
        self.retries = 0
        self.behind = self.broken = False
        self.server: Server | None = None
        self.thread_id = 0
        self.sent = self.first = self.last = 0.0
        self.rows: int | None = None
        self.affected = 0
        self.size = 0
        self.error: bytes | None = None

    def asked(self, server: Server, connection: BackendConnection) -> None:
        """The statement is on its way to a server."""
        self.waits.end()
        self.sent, self.first = perf_counter(), 0.0
        self.on(server, connection)

    def on(self, server: Server, connection: BackendConnection) -> None:
        """Where it runs."""
        self.server, self.thread_id, self.broken = server, connection.thread_id, False

    def came(self) -> None:
        """Bytes of the answer have come."""
        if not self.first:
            self.first = perf_counter()

    def ended(self, connection: BackendConnection, size: int = 0) -> None:
        """The answer is complete; it had ``size`` bytes, if they were not relayed."""
        self.last = perf_counter()
        scanner = connection.scanner
        self.size = size or connection.bytes_relayed
        self.error = scanner.error
        self.rows = scanner.rows if scanner.has_rows else None
        self.affected = scanner.affected_rows

    def broke(self) -> None:
        """The connection is gone, and the answer with it."""
        self.broken = self.server is not None

    @property
    def where(self) -> str:
        """Its place; the server, once there is one."""
        if self.server is None:
            return self._place
        return f"{self._place}: {self.server.name}, connection {self.thread_id}"

    def lines(self) -> list[str]:
        """What it was, for people."""
        found = [f"{self._place}: {each}" for each in self.waits.lines()]
        if not self.sent:
            return [*found, f"{self.where}: not sent"]
        parts = [f"sent at {_ms(self.sent - self._started)}"]
        if self.behind:
            parts.append("behind a question for what the session must see")
        if self.first:
            parts.append(f"first byte at {_ms(self.first - self._started)}")
        if self.last:
            parts.append(f"last at {_ms(self.last - self._started)}")
            parts.append(self._outcome)
            parts.append(f"{self.size} bytes")
        else:
            parts.append("no answer")
        if self.retries:
            parts.append(f"{self.retries} {'retry' if self.retries == 1 else 'retries'}")
        return [*found, f"{self.where}: {', '.join(parts)}"]

    @property
    def _outcome(self) -> str:
        if self.error is not None:
            return f"error {code_of(self.error)}"
        return f"{self.affected} rows affected" if self.rows is None else f"{self.rows} rows"


class Trace:
    """Of one statement. ``decision``: where it was to go, and why.

    ``error``: the payload of the ERR packet that it was answered with by whoever put several answers together.
    """

    def __init__(self, decision: list[str]) -> None:
        self.started = perf_counter()
        self.waits = Waits()
        self.legs: list[LegTrace] = []
        self.error: bytes | None = None
        self._decision = decision
        self._ended = 0.0

    def leg(self, relay: Relay) -> LegTrace:
        """Another server is to be asked."""
        leg = LegTrace(self.started, relay)
        self.legs.append(leg)
        return leg

    def end(self) -> None:
        """The client has its answer."""
        self._ended = perf_counter()

    def lines(self) -> list[str]:
        """What happened, in its order."""
        found = [*self._decision, *self.waits.lines()]
        for leg in self.legs:
            found += leg.lines()
        last = max((leg.last for leg in self.legs), default=0.0)
        if self._ended and len(self.legs) > 1 and last:
            found.append(f"put together {_ms(max(self._ended - last, 0.0))} after the last of them")
        if self._ended:
            found.append(f"total {_ms(self._ended - self.started)}")
        return found


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3f} ms"
