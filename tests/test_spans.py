"""Recordings as spans: what is sent, what is counted, and what happens when nobody takes them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from router import spans
from router.config.models import Tracing
from router.metrics import Counters
from router.spans import Spans
from tests.engine.bench import ROW
from tests.fakes import err, virtually
from tests.frontend.desk import Desk

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b9c7c989f97918e1"


class Kept(SpanExporter):
    """Keeps what it is to send; ``result`` is what becomes of it. ``may`` is awaited before."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.result: SpanExportResult | Exception = SpanExportResult.SUCCESS
        self.may = threading.Event()
        self.may.set()
        self.over = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.may.wait(10)
        self.spans += spans
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def shutdown(self) -> None:
        self.over += 1
        self.may.set()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")


class House:
    """A desk whose statements become spans."""

    def __init__(self, **tracing: object) -> None:
        self.kept = Kept()
        self.counters = Counters()
        self.spans = Spans(Tracing.model_validate({"sample": 1, **tracing}), self.counters, self.kept)
        self.desk = Desk()
        self.desk.shared.recorder = self.spans
        self.client, self.out = self.desk.client()
        self.client.listen()

    async def run(self, sql: str, answer: bytes = ROW) -> None:
        await self.desk.say(self.client, b"\x03" + sql.encode())
        await self.desk.answer(answer)

    def wait(self, enough: Callable[[], bool]) -> None:
        for _ in range(1000):
            if enough():
                return
            threading.Event().wait(0.01)
        raise AssertionError(self.counters.spans)


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


@virtually
async def test_spans_of_a_statement() -> None:
    house = House(service_name="shop")
    await house.run(f"SELECT a FROM t WHERE a = 'secret' /*traceparent='00-{TRACE}-{SPAN}-01'*/")
    house.wait(lambda: len(house.kept.spans) == 2)
    client, server = house.kept.spans
    assert (client.kind, server.kind) == (SpanKind.CLIENT, SpanKind.SERVER)
    assert server.parent is not None
    assert (f"{server.parent.trace_id:032x}", f"{server.parent.span_id:016x}") == (TRACE, SPAN)
    assert server.parent.is_remote
    assert client.parent == server.context
    assert server.context is not None
    assert server.context.trace_flags.sampled
    assert server.resource.attributes["service.name"] == "shop"
    assert attributes(server)["db.query.text"] == "SELECT a FROM t WHERE a = ?"
    assert attributes(client)["server.address"] == "db.example"
    assert attributes(client)["server.port"] == 3306
    assert server.status.status_code is StatusCode.UNSET
    assert [event.name for event in client.events] == ["wait", "first byte"][-len(client.events) :] or client.events
    assert server.start_time is not None
    assert server.end_time is not None
    assert client.start_time is not None
    assert client.end_time is not None
    assert server.start_time <= client.start_time <= client.end_time <= server.end_time
    house.wait(lambda: house.counters.spans["exported"] == 2)
    house.wait(lambda: house.counters.spans == {"exported": 2, "failed": 0, "dropped": 0})


@virtually
async def test_errors_have_numbers_and_no_words() -> None:
    house = House()
    await house.run("SELECT 'secret'", err(1062))
    house.wait(lambda: len(house.kept.spans) == 2)
    for span in house.kept.spans:
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert attributes(span)["db.response.status_code"] == attributes(span)["error.type"] == "1062"
        assert "secret" not in repr(attributes(span))


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT 1", "SELECT"),
        ("SELECT * FROM t, blog.u, t AS v", "SELECT t blog.u"),
        ("INSERT INTO t VALUES (1)", "INSERT t"),
        ("CREATE TABLE t (a INT)", "CREATE"),
        ("drop table t", "DROP"),
        ("WITH c AS (SELECT 1) SELECT * FROM c", "SELECT"),
        ("(SELECT 1)", "SELECT"),
        ("LOAD DATA INFILE 'x' INTO TABLE t", "LOAD DATA"),
        ("? what", "OTHER"),
        ("SELECT * FROM " + ", ".join(f"a_table_with_a_long_name_{n}" for n in range(30)), "SELECT"),
        ("SELECT * FROM `grüße`", "SELECT grüße"),
    ],
)
@virtually
async def test_names(sql: str, name: str) -> None:
    house = House()
    await house.desk.say(house.client, b"\x03" + sql.encode())
    if not house.kept.spans and not house.client.client.idle:
        await house.desk.answer(err(1064))
    house.wait(lambda: any(span.kind is SpanKind.SERVER for span in house.kept.spans))
    found = house.kept.spans[-1]
    assert found.name.startswith(name)
    assert len(found.name) <= 255
    assert attributes(found)["db.operation.name"] == ("LOAD DATA" if name == "LOAD DATA" else name.split()[0])


@virtually
async def test_what_finds_no_room_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "QUEUE", 5)
    monkeypatch.setattr(spans, "_BATCH", 2)
    house = House()
    house.kept.may.clear()
    for _ in range(4):
        await house.run("SELECT a FROM t")
    assert house.counters.spans["dropped"] == 4, "all of a statement, or nothing"
    house.kept.may.set()
    house.wait(lambda: house.counters.spans["exported"] == 4)
    await house.run("SELECT a FROM t")
    house.wait(lambda: house.counters.spans["exported"] == 6)


@virtually
async def test_a_failure_is_told_once() -> None:
    house = House()
    with capture_logs() as lines:
        for result in (SpanExportResult.FAILURE, ValueError("so be it"), SpanExportResult.FAILURE):
            house.kept.result = result
            done = house.counters.spans["failed"]
            await house.run("SELECT a FROM t")
            house.wait(lambda done=done: house.counters.spans["failed"] == done + 2)  # type: ignore[misc]
        for _ in range(2):
            house.kept.result = SpanExportResult.SUCCESS
            done = house.counters.spans["exported"]
            await house.run("SELECT a FROM t")
            house.wait(lambda done=done: house.counters.spans["exported"] == done + 2)  # type: ignore[misc]
        house.wait(lambda: len(lines) == 2)
    assert [line["event"] for line in lines] == ["spans cannot be sent", "spans are taken again"]


async def test_the_end_has_its_time() -> None:
    house = House()
    await house.run("SELECT a FROM t")
    await house.spans.stop()
    assert house.counters.spans["exported"] == 2
    assert house.kept.over == 1
    house = House()
    house.kept.may.clear()
    await house.run("SELECT a FROM t")
    before = asyncio.get_running_loop().time()
    with capture_logs() as lines:
        await house.spans.stop(0.1)
    assert asyncio.get_running_loop().time() - before < 2
    assert house.kept.over == 1
    assert [line["event"] for line in lines][-1] == "the last spans could not be sent"
