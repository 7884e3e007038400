"""What the executor is given: the client it answers, and what all sessions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import structlog

from router.backend.connection import BackendConnection
from router.cluster.topology import Server, Topology
from router.engine.admission import Admission
from router.engine.copying import Copies
from router.errors import MySQLError
from router.metrics import Counters, bucket_of
from router.planner.lookup import NeedsKeys
from router.planner.observed import Observed
from router.planner.plan import Relay
from router.session.state import SessionState
from router.wire.errcodes import code_of
from router.wire.packets import decode_session_changes
from router.wire.scanner import ResponseScanner


class Ids(Protocol):
    """Ids for new rows."""

    def take(self, table: str, count: int) -> list[int]:
        """So many for a table (``schema.table``), ascending. Raises NoIds."""

    async def fetch(self, table: str, count: int) -> bool:
        """Wait until there are so many, as there were not; False if they cannot be had now."""


class Keys(Protocol):
    """Where the shards of keys are looked up."""

    async def fetch(self, wanted: NeedsKeys) -> None:
        """Have the function learn them. Raises BackendError."""


class Client(Protocol):
    """What the executor needs of the client's connection."""

    def write(self, data: bytes) -> None:
        """Send bytes of the answer."""

    def fail(self, error: MySQLError, *, close: bool = False) -> None:
        """Answer the current command with an error; ``close`` ends the connection behind it."""

    def finished(self) -> None:
        """The current command is done and settled: the next may come."""

    def ask_for_file(self) -> None:
        """Pass what the client sends on as LOCAL INFILE data."""

    def abort(self) -> None:
        """End the connection now: the answer cannot be completed."""

    def pause_reading(self) -> None:
        """Take no more bytes from the client for now."""

    def resume_reading(self) -> None:
        """Take bytes from the client again."""


log = structlog.get_logger(__name__)


def _slow(observed: Observed, seconds: float, rows: int, server: str) -> None:
    """Say so, without values: they may be anything."""
    kind = observed.kind
    log.warning(
        "slow statement",
        seconds=round(seconds, 6),
        digest=kind.text,
        digest_id=kind.id,
        user=kind.user,
        schema=kind.schema,
        route=kind.route,
        server=server,
        rows=rows,
    )


@dataclass(slots=True)
class Services:
    """What all sessions share below the frontend.

    ``suspect`` tells the monitor that a server failed a session. ``group_of`` gives the group where a schema lives.
    ``admission`` lets statements on several shards in. ``ids`` makes ids for new rows, ``keys`` looks keys up.
    ``tables_changed`` has sharded tables looked at again, and calls back when that is done. ``set_names`` remembers
    what a literal SET NAMES does on a server: (server version and default collation, text) → the three charset
    variables. ``copies`` are of statements that rules mirror.
    """

    topology: Topology
    counters: Counters
    suspect: Callable[[Server], None]
    group_of: Callable[[str | None], str]
    admission: Admission
    ids: Ids | None = None
    keys: Keys | None = None
    tables_changed: Callable[[Callable[[], None]], None] = lambda done: done()
    set_names: dict[tuple[str, bytes] | None, tuple[str, str, str]] = field(default_factory=dict)
    copies: Copies = field(init=False)

    def __post_init__(self) -> None:
        """``copies`` need no more than the others have."""
        self.copies = Copies(self.topology, self.counters)

    def answered(self, plan: Relay, server: Server, connection: BackendConnection, started: float) -> None:
        """A server has answered a statement that was ``started`` then: count it."""
        counters, scanner = self.counters, connection.scanner
        counters.decisions[plan.reason] += 1
        counters.client_bytes_out += connection.bytes_relayed
        if plan.rule is not None:
            counters.rule_hits[plan.rule] += 1
        now = perf_counter()
        bucket = server.durations.observe(now - started)
        if (observed := plan.observed) is not None:
            observed.add(bucket, now - started, now, scanner.rows, failed=scanner.error is not None)
            if now - started > observed.slow:
                _slow(observed, now - started, scanner.rows, server.name)

    def answered_over_shards(self, observed: Observed, started: float, rows: int, *, failed: bool) -> None:
        """A statement on several shards has ended that was ``started`` then: count it."""
        now = perf_counter()
        observed.add(bucket_of(now - started), now - started, now, rows, failed=failed)
        if now - started > observed.slow:
            _slow(observed, now - started, rows, "")

    def server_refused(self, error: bytes) -> int:
        """Count an ERR packet's payload; returns its code."""
        code = code_of(error)
        self.counters.errors["backend", code] += 1
        return code

    def committed(self, session: SessionState, group: str, scanner: ResponseScanner) -> None:
        """A session has committed on a server of ``group``, whose answer says which writes."""
        for blob in scanner.changes:
            if (gtids := decode_session_changes(blob).gtids) is not None:
                self.topology.groups[group].wrote(session.written, gtids)
