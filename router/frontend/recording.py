"""Statements that are recorded from their arrival to the end of their answer, to become spans.

``Recorded`` stands between a client's connection and its dispatcher while there is a ``Recorder``, and decides which
statements these are: all that belong to a trace which its client records, none of one that it does not, and of the
others a part chosen at random. Where nothing is recorded, it is not there.
"""

from __future__ import annotations

from random import random
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Protocol

import structlog

from router.engine.statements import id_of
from router.engine.trace import Trace
from router.errors import MySQLError, ProtocolError
from router.frontend.prepared import FAULTS
from router.frontend.watching import Watch
from router.planner.plan import Bound, Plan, Relay, Scattered, Sharded, Spread, Staged
from router.sql.comments import TAIL
from router.sql.facts import StatementFacts
from router.sql.fingerprint import digest_text
from router.sql.tracecontext import NAME, TraceParent, in_comment, parse_traceparent
from router.wire.attributes import sql_start, text_attribute
from router.wire.constants import Capability, Command

if TYPE_CHECKING:
    from router.frontend.dispatch import Dispatcher

log = structlog.get_logger(__name__)

_QUERY, _PREPARE = int(Command.QUERY), int(Command.STMT_PREPARE)
_EXECUTE = frozenset({int(Command.STMT_EXECUTE), int(Command.STMT_BULK_EXECUTE)})
_TEXTS = frozenset({_QUERY, _PREPARE})
# Attributes are looked for in so many bytes of a command.
_HEAD = 4096
# Where the text of a framed COM_STMT_PREPARE begins.
_STATEMENT = 5
# A statement whose digest nobody has made yet is told without one when it is longer. Bytes.
_LONGEST = 64 * 1024
_LONGEST_DIGEST = 4096


class Recorder(Protocol):
    """Takes recordings. ``sample``: the part of the statements that are recorded where no client has decided it."""

    sample: float

    def take(self, recording: Recording) -> None:
        """A statement has ended. Returns at once."""


class Recording:
    """One statement of a client.

    ``started`` is a time of ``perf_counter``, ``at`` the same moment in nanoseconds since 1970; ``ended`` as
    ``started``, 0.0 while it runs. ``parent`` is the client's span. ``plan`` is None for what could not be planned,
    ``trace`` for what no server was asked. ``error``: what the router has told the client itself.
    """

    __slots__ = (
        "_sql",
        "_watch",
        "at",
        "desk",
        "ended",
        "error",
        "lost",
        "parent",
        "plan",
        "prepared",
        "schema",
        "started",
        "trace",
    )

    def __init__(self, desk: Dispatcher, parent: TraceParent | None, sql: bytes, *, prepared: bool) -> None:
        self.started, self.at = perf_counter(), time_ns()
        self.ended = 0.0
        self.desk = desk
        self.parent = parent
        self.prepared = prepared
        self.schema = desk.session.schema
        self.plan: Plan | Bound | None = None
        self.trace: Trace | None = None
        self.error: MySQLError | None = None
        self.lost = False  # the client is gone, and has not heard all of the answer
        self._sql = sql
        self._watch: Watch | None = None

    # -- what is told while it runs ----------------------------------------------------------------------------

    def planned(self, plan: Plan | Bound) -> None:
        """What is to be done."""
        self.plan = plan

    def relayed(self, plan: Relay, frames: bytes, trace: Trace | None) -> Relay:
        """The command in ``frames`` is about to be run by a plan: the one to run instead. ``trace``: is there one?"""
        self.plan = plan
        self.trace = trace or Trace([])
        self._watch = Watch(self.desk.executor, self.trace, plan, frames, self.desk.write)
        return self._watch.plan

    def several(self, plan: Scattered | Spread | Staged, trace: Trace | None) -> Trace:
        """It is about to be run on several servers."""
        self.plan = plan
        self.trace = trace or Trace([])
        return self.trace

    def failed(self, error: MySQLError) -> None:
        """The client is told so by the router."""
        self.error = error

    def finished(self) -> None:
        """The client has its answer."""
        self.ended = perf_counter()
        desk = self.desk
        desk.recording = desk.client.watch = None
        if self._watch is not None:
            self._watch.end()
        if (recorder := desk.recorder) is None:
            return
        try:
            recorder.take(self)
        except FAULTS:
            log.exception("a statement cannot be made a span of", connection_id=desk.connection_id)

    # -- what it was -------------------------------------------------------------------------------------------

    @property
    def relay(self) -> Relay | None:
        """Its plan, or that of its first part; None if no server was to be asked."""
        match self.plan:
            case Relay() as relay:
                return relay
            case Scattered() | Spread():
                return self.plan.parts[0].relay
            case Staged():
                return self.plan.plan.relays[0]
            case Sharded():
                return self.plan.relays[0]
        return None

    @property
    def facts(self) -> StatementFacts | None:
        """What is known of the statement."""
        return None if self.plan is None else getattr(self.plan, "facts", None)

    @property
    def text(self) -> str:
        """Its digest, without values; empty where making one would take too long."""
        relay = self.relay
        if relay is not None and relay.observed is not None and (kind := relay.observed.kind) is not None:
            return kind.text
        if len(self._sql) > _LONGEST:
            return ""
        return digest_text(self._sql, self.desk.session.mode)[:_LONGEST_DIGEST]


class Recorded:
    """A client's session, some of whose statements are recorded."""

    __slots__ = ("_attributes", "_command", "_desk", "_recorder", "file_data", "paused", "resumed")

    def __init__(self, desk: Dispatcher, recorder: Recorder) -> None:
        self._desk = desk
        self._recorder = recorder
        self._command = desk.command
        self._attributes = bool(desk.capabilities & Capability.QUERY_ATTRIBUTES)
        self.paused, self.resumed, self.file_data = desk.paused, desk.resumed, desk.file_data

    def command(self, frames: bytes, payload: bytes | None) -> None:
        """Run one command."""
        code = frames[4]
        sql: bytes | None = None
        parent: TraceParent | None = None
        if code in _TEXTS:
            if frames.find(NAME, -TAIL) > 0 or (self._attributes and frames.find(NAME, 0, _HEAD) > 0):
                payload = frames[4:] if payload is None else payload
                sql, parent = self._in_text(payload)
            if code == _PREPARE:
                self._command(frames, payload)
                return
        elif code in _EXECUTE:
            statement = self._desk.executor.statements.find(id_of(frames[4:9]))
            if statement is None:
                self._command(frames, payload)
                return
            sql = statement.text.frame
            value = statement.text_attribute(frames, NAME) if frames.find(NAME, 0, _HEAD) > 0 else None
            if value is None and sql.find(NAME, -TAIL) > 0:
                value = in_comment(sql[_STATEMENT:])
            parent = None if value is None else parse_traceparent(value)
        else:
            self._command(frames, payload)
            return
        if random() < self._recorder.sample if parent is None else parent.sampled:
            self._record(frames, payload, parent, sql)
        self._command(frames, payload)

    def _record(self, frames: bytes, payload: bytes | None, parent: TraceParent | None, sql: bytes | None) -> None:
        """The command is recorded; ``sql``: its text, if it has been looked at, or that which was prepared."""
        desk = self._desk
        if frames[4] == _QUERY:
            if sql is None:
                payload = frames[4:] if payload is None else payload
                sql = payload[self._sql_start(payload) :]
            recording = Recording(desk, parent, sql, prepared=False)
        else:
            recording = Recording(desk, parent, (sql or b"")[_STATEMENT:], prepared=True)
            statement = desk.executor.statements.find(id_of(frames[4:9]))
            if statement is not None:
                recording.planned(statement.plan)
        desk.recording = desk.client.watch = recording

    def _in_text(self, payload: bytes) -> tuple[bytes, TraceParent | None]:
        """Of a COM_QUERY or COM_STMT_PREPARE: its text, and the client's span; an attribute counts before a comment."""
        start = self._sql_start(payload)
        sql = payload[start:]
        value = None
        if start > 1:
            try:
                value = text_attribute(payload, NAME)
            except ProtocolError:
                return sql, None
        if value is None:
            value = in_comment(sql)
        return sql, None if value is None else parse_traceparent(value)

    def _sql_start(self, payload: bytes) -> int:
        if not self._attributes or payload[0] != _QUERY:
            return 1
        try:
            return sql_start(payload)
        except ProtocolError:
            return 1

    def lost(self) -> None:
        """The client is gone."""
        desk = self._desk
        if (recording := desk.recording) is not None:
            recording.lost = True
            recording.finished()
        desk.lost()
