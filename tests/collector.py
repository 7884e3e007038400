"""A collector of OpenTelemetry for tests: takes OTLP over HTTP, and keeps the spans."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Event:
    """Of a span."""

    name: str
    at: int
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """As it came. ``resource`` are the attributes of what it is of."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    start: int
    end: int
    attributes: dict[str, Any]
    events: tuple[Event, ...]
    failed: bool
    message: str
    resource: dict[str, Any]

    def event(self, name: str) -> Event:
        """The only one of the name."""
        (found,) = (each for each in self.events if each.name == name)
        return found


def _attributes(pairs: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in pairs}


def a_statement(spans: list[Span]) -> bool:
    """Whether there is one among them: those of its servers come before."""
    return any(span.kind == "SERVER" for span in spans)


def spans_in(body: bytes) -> list[Span]:
    """Those of a request."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            name=span.name,
            kind=type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            attributes=_attributes(span.attributes),
            events=tuple(Event(each.name, each.time_unix_nano, _attributes(each.attributes)) for each in span.events),
            failed=span.status.code == 2,
            message=span.status.message,
            resource=_attributes(of.resource.attributes),
        )
        for of in request.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]


class Collector:
    """In a thread; a context manager. ``status`` is what it answers; ``bodies`` and ``headers`` are what came."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.status = 200
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    @property
    def endpoint(self) -> str:
        """For the configuration."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Collector:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        async def serve() -> web.AppRunner:
            app = web.Application(client_max_size=1 << 26)
            app.router.add_post("/v1/traces", self._take)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            return runner

        runner = self._loop.run_until_complete(serve())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers.append(dict(request.headers))
        if self.status == 200:
            self.bodies.append(body)
            self.spans += spans_in(body)
        return web.Response(status=self.status)

    def take(self, enough: Callable[[list[Span]], bool] = a_statement) -> list[Span]:
        """What has come since, the oldest first, once that is ``enough``."""
        deadline = time.monotonic() + 15
        while not enough(self.spans):
            assert time.monotonic() < deadline, self.spans
            time.sleep(0.02)
        found, self.spans = self.spans, []
        return sorted(found, key=lambda span: span.start)

    def statement(self) -> tuple[Span, list[Span]]:
        """The span of the only statement, and those of its servers."""
        found = self.take()
        (server,) = (span for span in found if span.kind == "SERVER")
        clients = [span for span in found if span is not server]
        assert {(span.kind, span.parent, span.trace_id) for span in clients} <= {
            ("CLIENT", server.span_id, server.trace_id)
        }
        assert all(server.start <= span.start <= span.end <= server.end for span in clients)
        return server, clients
