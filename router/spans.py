"""Spans of statements, sent to a collector of OpenTelemetry. The only module that needs the extra ``otel``.

A recording becomes spans when its statement has ended: one of kind SERVER for the statement, and one of kind CLIENT
for each server that was asked. The SDK's ``BatchSpanProcessor`` takes them, and sends them from a thread of its own;
what finds no room in its queue is counted and forgotten. No value of a statement is in any of them: neither its text
nor a server's message is, but its digest and the number of the error.

Names are those of the semantic conventions for database spans, where they have one:
https://opentelemetry.io/docs/specs/semconv/database/mysql/
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from random import getrandbits
from uuid import uuid4

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from router.config.models import Tracing
from router.config.values import Address
from router.engine.trace import LegTrace, Wait
from router.frontend.recording import Recording
from router.metrics import Counters
from router.planner.plan import Relay
from router.reporting import version_of_router
from router.sql.facts import StatementFacts, StatementKind
from router.wire.errcodes import code_of, sqlstate_of

log = structlog.get_logger(__name__)

# Spans that wait, those that are being sent included.
QUEUE = 4096
_BATCH = 512
# What is left when the router stops has so many seconds to be sent.
PATIENCE = 3.0
_PATH = "/v1/traces"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_FAILED = Status(StatusCode.ERROR)
_FINE = Status(StatusCode.UNSET)
_INSTANCE = str(uuid4())
# Of a summary, and so of a span's name. Characters.
_LONGEST_NAME = 255
# Their first word says more than the name of the kind.
_VARIOUS = frozenset(
    {StatementKind.DDL, StatementKind.ADMIN, StatementKind.OTHER, StatementKind.SAVEPOINT, StatementKind.SESSION_STATE}
)

Attributes = dict[str, str | int | bool]


class _Reason(logging.Handler):
    """Keeps what the libraries complain of, so that it is told once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """One of their lines."""
        self._lines[record.levelno] = record.getMessage()[:500]

    def take(self) -> str:
        """Why it was tried again, rather than that it was tried for too long."""
        lines, self._lines = self._lines, {}
        return lines[min(lines)] if lines else ""


_reason = _Reason()
_libraries = logging.getLogger("opentelemetry")
_libraries.handlers[:] = [_reason]
_libraries.setLevel(logging.WARNING)
_libraries.propagate = False

# Of the counts of spans: several threads may add to them while one exporter follows another.
_counting = threading.Lock()


class _Counted(SpanExporter):
    """Sends by ``real``, counts, and says once that it fails; called in the processor's thread."""

    def __init__(self, real: SpanExporter, counters: Counters, endpoint: str) -> None:
        self._real = real
        self._counters = counters
        self._endpoint = endpoint
        self._fails = self._over = False
        self.done = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them."""
        result = SpanExportResult.FAILURE
        try:
            result = self._real.export(spans)
        finally:
            self.done += len(spans)
            sent = result is SpanExportResult.SUCCESS
            with _counting:
                self._counters.spans["exported" if sent else "failed"] += len(spans)
            if sent and self._fails:
                log.info("spans are taken again", endpoint=self._endpoint)
            elif not sent and not self._fails:
                log.warning("spans cannot be sent", endpoint=self._endpoint, reason=_reason.take())
            self._fails = not sent
        return result

    def shutdown(self) -> None:
        """No more, and what is being tried is given up."""
        if not self._over:
            self._over = True
            self._real.shutdown()


class Spans:
    """Takes recordings, and sends spans where the configuration says."""

    def __init__(self, config: Tracing, counters: Counters, exporter: SpanExporter | None = None) -> None:
        """``exporter`` is for tests."""
        self.sample = config.sample
        self._counters = counters
        for result in ("exported", "failed", "dropped"):
            counters.spans[result] += 0
        headers = {name: value.get_secret_value() for name, value in config.headers.items()}
        endpoint = config.endpoint.rstrip("/") + _PATH
        self._exporter = _Counted(
            exporter or OTLPSpanExporter(endpoint=endpoint, headers=headers), counters, config.endpoint
        )
        self._processor = BatchSpanProcessor(self._exporter, max_queue_size=QUEUE, max_export_batch_size=_BATCH)
        version = version_of_router()
        self._resource = Resource.create(
            {"service.name": config.service_name, "service.version": version, "service.instance.id": _INSTANCE}
        )
        self._scope = InstrumentationScope("router", version)
        self._given = 0

    def take(self, recording: Recording) -> None:
        """A statement has ended. Returns at once; without room for all of its spans there are none."""
        asked = [] if recording.trace is None else [leg for leg in recording.trace.legs if leg.server is not None]
        count = 1 + len(asked)
        if self._given - self._exporter.done + count > QUEUE:
            with _counting:
                self._counters.spans["dropped"] += count
            return
        self._given += count
        told = _Told(recording)
        parent = recording.parent
        trace_id = parent.trace_id if parent is not None else getrandbits(128) or 1
        own = self._context(trace_id)
        for leg in asked:
            self._hand_on(self._client(told, leg, own, self._context(trace_id)))
        came_from = None if parent is None else SpanContext(trace_id, parent.span_id, is_remote=True)
        self._hand_on(self._server(told, own, came_from))

    def _hand_on(self, span: ReadableSpan) -> None:
        self._processor.on_end(span)

    @staticmethod
    def _context(trace_id: int) -> SpanContext:
        return SpanContext(trace_id, getrandbits(64) or 1, is_remote=False, trace_flags=_SAMPLED)

    def _server(self, told: _Told, own: SpanContext, parent: SpanContext | None) -> ReadableSpan:
        """The span of the statement."""
        recording = told.recording
        attributes, waits = told.of_all(), told.waits()
        if told.text:
            attributes["db.query.text"] = told.text
        if told.schema is not None:
            attributes["db.namespace"] = told.schema
        attributes |= told.of_router()
        return ReadableSpan(
            told.name,
            context=own,
            parent=parent,
            resource=self._resource,
            attributes=attributes | told.error,
            events=[told.event(wait) for wait in waits],
            kind=SpanKind.SERVER,
            instrumentation_scope=self._scope,
            status=_FAILED if told.error else _FINE,
            start_time=recording.at,
            end_time=told.when(recording.ended),
        )

    def _client(self, told: _Told, leg: LegTrace, parent: SpanContext, own: SpanContext) -> ReadableSpan:
        """The span of what a server was asked."""
        error = _error_in(leg.error)
        if leg.broken:
            error = {"error.type": "connection_lost"}
        namespace = leg.relay.database or told.schema
        attributes = told.of_all()
        if namespace is not None:
            attributes["db.namespace"] = namespace
        waits = leg.waits.found
        start = min([leg.sent, *(wait.since for wait in waits)])
        events = [told.event(wait) for wait in waits]
        if waits or leg.behind:
            events.append(Event("sent", {"router.behind_question": leg.behind}, told.when(leg.sent)))
        if leg.first:
            events.append(Event("first byte", None, told.when(leg.first)))
        return ReadableSpan(
            told.name,
            context=own,
            parent=parent,
            resource=self._resource,
            attributes=attributes | _of_leg(leg) | error,
            events=events,
            kind=SpanKind.CLIENT,
            instrumentation_scope=self._scope,
            status=_FAILED if error else _FINE,
            start_time=told.when(start),
            end_time=told.when(leg.last or told.recording.ended),
        )

    async def stop(self, patience: float = PATIENCE) -> None:
        """Send what is left, and no more; what cannot be sent within so many seconds is lost."""
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def shut_down() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            with contextlib.suppress(RuntimeError):  # nobody waits any more, and the loop is gone
                loop.call_soon_threadsafe(over.set)

        # Not one of the loop's threads: the process would wait for those at its end.
        threading.Thread(target=shut_down, name="last spans", daemon=True).start()
        try:
            await asyncio.wait_for(over.wait(), patience)
        except TimeoutError:
            self._exporter.shutdown()  # it waits for its next attempt no longer
            log.warning("the last spans could not be sent", spans=self._given - self._exporter.done)


class _Told:
    """What the spans of one recording have in common."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.text = _clean(recording.text)
        self.schema = None if recording.schema is None else _clean(recording.schema)
        facts = recording.facts
        self._operation = _operation(facts, self.text)
        tables = dict.fromkeys(_tables(facts))
        self._table = next(iter(tables)) if len(tables) == 1 else None
        self.name = " ".join([self._operation, *tables])
        if len(self.name) > _LONGEST_NAME:
            self.name = self.name[:_LONGEST_NAME].rpartition(" ")[0] or self._operation[:_LONGEST_NAME]
        self.error = self._error()

    def when(self, moment: float) -> int:
        """A time of ``perf_counter`` in nanoseconds since 1970."""
        return self.recording.at + int((moment - self.recording.started) * 1e9)

    def event(self, wait: Wait) -> Event:
        """A wait, at its beginning."""
        return Event(
            "wait", {"router.wait.for": wait.what, "router.wait.seconds": round(wait.seconds, 6)}, self.when(wait.since)
        )

    def waits(self) -> list[Wait]:
        """Those of the statement as a whole, and of servers that were never found."""
        trace = self.recording.trace
        if trace is None:
            return []
        trace.waits.end()
        return [*trace.waits.found, *(wait for leg in trace.legs if leg.server is None for wait in leg.waits.found)]

    def of_all(self) -> Attributes:
        """What each of its spans has."""
        found: Attributes = {
            "db.system.name": self.recording.desk.session.profile.flavor,
            "db.operation.name": self._operation,
            "db.query.summary": self.name,
        }
        if self._table is not None:
            found["db.collection.name"] = self._table
        return found

    def of_router(self) -> Attributes:
        """Where the statement came in, whose it was, and what the router made of it."""
        recording = self.recording
        desk, plan = recording.desk, recording.plan
        found = _place(_listener(desk.client.transport.get_extra_info("sockname")))
        if desk.address is not None:
            found["client.address"] = desk.address
        found["router.user"] = _clean(desk.user)
        found["router.connection_id"] = desk.connection_id
        found["router.prepared"] = recording.prepared
        relay = recording.relay
        reason = relay.reason if relay is not None else getattr(plan, "reason", None)
        if reason is not None:
            found["router.reason"] = str(reason)
        rule = relay.rule if relay is not None else getattr(plan, "rule", None)
        if rule is not None:
            found["router.rule"] = rule
        found["router.servers"] = (
            0 if recording.trace is None else sum(leg.server is not None for leg in recording.trace.legs)
        )
        return found

    def _error(self) -> Attributes:
        """What the client was told."""
        recording = self.recording
        if (error := recording.error) is not None:
            return _error(error.code, error.sqlstate)
        trace = recording.trace
        if trace is not None and trace.error is not None:
            return _error_in(trace.error)
        if trace is not None and isinstance(recording.plan, Relay) and trace.legs and trace.legs[-1].error is not None:
            return _error_in(trace.legs[-1].error)
        return {"error.type": "client_lost"} if recording.lost else {}


def _operation(facts: StatementFacts | None, text: str) -> str:
    """SELECT, CREATE …"""
    if facts is not None and facts.kind not in _VARIOUS:
        return facts.kind.value.upper().replace("_", " ")
    first = text.partition(" ")[0]
    return first.upper() if first.isidentifier() else "OTHER"


def _tables(facts: StatementFacts | None) -> list[str]:
    if facts is None:
        return []
    return [_clean(each.name if each.schema is None else f"{each.schema}.{each.name}") for each in facts.tables or ()]


def _clean(text: str) -> str:
    """What can be written as UTF-8: one span with something else in it would have a whole batch refused."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _of_leg(leg: LegTrace) -> Attributes:
    """Who was asked, and what came of it."""
    server, relay = leg.server, leg.relay
    assert server is not None
    found = _place(server.connector.endpoint.address)
    found["router.group"] = server.group
    if relay.shard is not None:
        found["router.shard"] = relay.shard
    found["router.server"] = server.name
    found["router.role"] = str(relay.role)
    found["router.reason"] = str(relay.reason)
    found["router.retries"] = leg.retries
    found["router.server_connection_id"] = leg.thread_id
    if leg.last and leg.error is None:
        found["router.response.bytes"] = leg.size
        if leg.rows is None:
            found["router.response.affected_rows"] = leg.affected
        else:
            found["router.response.rows"] = leg.rows
    return found


def _place(address: Address | None) -> Attributes:
    if address is None:
        return {}
    if address.host is None or address.port is None:
        return {"server.address": address.path or ""}
    return {"server.address": address.host, "server.port": address.port}


def _listener(name: object) -> Address | None:
    """Of what a socket is called."""
    if isinstance(name, tuple):
        return Address(host=name[0], port=name[1])
    return Address(path=name) if isinstance(name, str) and name else None


def _error(code: int, sqlstate: str) -> Attributes:
    return {"db.response.status_code": str(code), "error.type": str(code), "router.sqlstate": sqlstate}


def _error_in(payload: bytes | None) -> Attributes:
    """Of an ERR packet."""
    if payload is None:
        return {}
    code = code_of(payload)
    state = payload[4:9].decode("ascii", "replace") if payload[3:4] == b"#" else sqlstate_of(code)
    return _error(code, state)
