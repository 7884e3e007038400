"""Which statements are recorded, what is told of them, and that servers get what the client has sent."""

from __future__ import annotations

import struct

from structlog.testing import capture_logs

from router.frontend.recording import Recorded, Recording
from router.sql.tracecontext import TraceParent
from router.wire.constants import Capability
from tests.engine.bench import ROW
from tests.fakes import err, ok, prepared, query, virtually
from tests.frontend.desk import Desk
from tests.wire.test_attributes import attributes

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b9c7c989f97918e1"
PARENT = TraceParent(int(TRACE, 16), int(SPAN, 16), True)
VALUE = f"00-{TRACE}-{SPAN}-01"
COMMENT = f" /*traceparent='{VALUE}'*/"
UNSAMPLED = COMMENT.replace("-01'", "-00'")
READ = "SELECT a FROM t"


class Kept:
    """A recorder that keeps what it is given."""

    def __init__(self, sample: float = 1.0) -> None:
        self.sample = sample
        self.all: list[Recording] = []

    def take(self, recording: Recording) -> None:
        self.all.append(recording)

    def only(self) -> Recording:
        (found,) = self.all
        self.all.clear()
        return found


def house(sample: float = 1.0) -> tuple[Desk, Kept]:
    desk, kept = Desk(), Kept(sample)
    desk.shared.recorder = kept
    return desk, kept


@virtually
async def test_a_statement() -> None:
    desk, kept = house()
    client, out = desk.client(schema="blog")
    client.listen()
    await desk.say(client, b"\x03SELECT a FROM t WHERE b = 'secret'")
    assert desk.to_servers().endswith(query("SELECT a FROM t WHERE b = 'secret'"))
    assert kept.all == []
    await desk.answer(ok(), ROW)
    assert out.take() == ROW
    found = kept.only()
    assert found.text == "SELECT a FROM t WHERE b = ?"
    assert found.schema == "blog"
    assert found.parent is None
    assert found.error is None
    assert found.trace is not None
    (leg,) = found.trace.legs
    assert leg.server is not None
    assert 0 < found.started <= leg.sent <= leg.last <= found.ended
    assert client.recording is client.client.watch is None


@virtually
async def test_without_a_recorder_the_client_comes_straight_to_its_desk() -> None:
    desk, kept = house()
    client, _ = desk.client()
    client.listen()
    assert isinstance(client.client._session, Recorded)
    desk.shared.recorder = None
    client.listen()
    assert id(client.client._session) == id(client)
    desk.shared.recorder = kept
    client.listen()
    await desk.say(client, b"\x03" + READ.encode())
    desk.shared.recorder = None
    await desk.answer(ROW)
    assert kept.all == [], "nobody wants it any more"


@virtually
async def test_whose_child_it_is() -> None:
    desk, kept = house(sample=0.0)
    client, _ = desk.client()
    client.listen()
    for sql, parent in (
        (READ, None),
        (READ + UNSAMPLED, None),
        (READ + " /*traceparent='wrong'*/", None),
        (READ + COMMENT, PARENT),
        (READ + COMMENT + ";", PARENT),
        ("SELECT ROUTER_NOTHING(1)" + COMMENT, PARENT),
    ):
        await desk.say(client, b"\x03" + sql.encode())
        assert desk.to_servers().endswith(query(sql)), "servers get what the client has sent"
        await desk.answer(ROW)
        assert [each.parent for each in kept.all] == ([] if parent is None else [parent])
        kept.all.clear()
    kept.sample = 1.0
    await desk.say(client, b"\x03" + (READ + UNSAMPLED).encode())
    await desk.answer(ROW)
    assert kept.all == [], "the client does not record the trace"


@virtually
async def test_plans_are_kept_without_the_comment() -> None:
    desk, _ = house(sample=0.0)
    client, _ = desk.client()
    client.listen()
    for number in range(5):
        await desk.say(client, f"\x03{READ} WHERE a = {number}{COMMENT.replace(SPAN, f'{number + 1:016x}')}".encode())
        await desk.answer(ROW)
    assert len(desk.shared.plans) == 1
    command = f"\x16{READ} WHERE a = 1{COMMENT}".encode()
    await desk.say(client, command)
    assert command in desk.to_servers()
    await desk.answer(prepared(7))
    assert len(desk.shared.plans) == 1


@virtually
async def test_attributes() -> None:
    desk, kept = house(sample=0.0)
    client, _ = desk.client(capabilities=int(Capability.QUERY_ATTRIBUTES | Capability.PROTOCOL_41))
    client.listen()
    text = bytes([len(VALUE)]) + VALUE.encode()
    for given, sql, parent in (
        (attributes(), READ, None),
        (attributes((b"traceparent", 253, text)), READ, PARENT),
        (attributes((b"x", 8, b"12345678"), (b"y", 3, None), (b"traceparent", 253, text)), READ + UNSAMPLED, PARENT),
        (attributes((b"other", 253, text)), READ, None),
        (attributes((b"traceparent", 253, b"\2ab")), READ + COMMENT, None),
        (attributes((b"x", 8, b"12345678")), READ + COMMENT, PARENT),
        (attributes((b"traceparent", 8, b"12345678")), READ + COMMENT, PARENT),
    ):
        await desk.say(client, b"\x03" + given + sql.encode())
        assert desk.to_servers().endswith(given + sql.encode())
        await desk.answer(ROW)
        assert [(each.parent, each.text) for each in kept.all] == ([] if parent is None else [(parent, READ)])
        kept.all.clear()
    await desk.say(client, b"\x03\x01traceparent")
    assert kept.all == [], "malformed"


@virtually
async def test_executions() -> None:
    desk, kept = house(sample=0.0)
    client, _ = desk.client(capabilities=int(Capability.QUERY_ATTRIBUTES | Capability.PROTOCOL_41))
    client.listen()
    for number, (sql, parent) in enumerate(((READ, None), (READ + COMMENT, PARENT)), start=1):
        await desk.say(client, b"\x16" + sql.encode())
        await desk.answer(prepared(number + 10))
        execute = struct.pack("<BIBI", 0x17, number, 8, 1)
        await desk.say(client, execute + b"\0\0\0")
        await desk.answer(ROW)
        assert [(each.parent, each.text, each.prepared) for each in kept.all] == (
            [] if parent is None else [(parent, READ, True)]
        )
        kept.all.clear()
        given = b"\1\0\1" + struct.pack("<H", 253) + b"\x0btraceparent" + bytes([len(VALUE)]) + VALUE.encode()
        await desk.say(client, execute + given)
        await desk.answer(ROW)
        found = kept.only()
        assert found.parent == PARENT
        assert found.trace is not None
        assert found.trace.legs[0].rows == 1
    await desk.say(client, struct.pack("<BIBI", 0x17, 99, 8, 1) + b"\0\0\0")
    assert kept.all == [], "there is none such"


@virtually
async def test_what_the_router_answers() -> None:
    desk, kept = house()
    client, _ = desk.client("shop")
    client.listen()
    await desk.say(client, b"\x03/*+ router(group=nowhere) */ SELECT 1")
    found = kept.only()
    assert found.error is not None
    assert found.error.code == 1235
    assert found.trace is None
    assert found.relay is None
    assert found.facts is not None
    await desk.say(client, b"\x03SHOW SESSION STATE")
    found = kept.only()
    assert (found.error, found.trace) == (None, None)
    for command in (b"\x0e", b"\x1f", b"\x02blog"):
        await desk.say(client, command)
    assert kept.all == [], "they are no statements"


@virtually
async def test_errors_of_servers() -> None:
    desk, kept = house()
    client, _ = desk.client()
    client.listen()
    await desk.say(client, b"\x03" + READ.encode())
    await desk.answer(err(1146))
    found = kept.only()
    assert found.error is None
    assert found.trace is not None
    assert found.trace.legs[0].error is not None
    assert found.trace.legs[0].error[1:3] == (1146).to_bytes(2, "little")


@virtually
async def test_a_client_that_leaves() -> None:
    desk, kept = house()
    client, _ = desk.client()
    client.listen()
    await desk.say(client, b"\x03" + READ.encode())
    client.client.abort()
    found = kept.only()
    assert found.lost
    assert found.trace is not None
    assert found.trace.legs[0].broken
    assert desk.lost == [client]


@virtually
async def test_together_with_the_hint() -> None:
    desk, kept = house()
    client, out = desk.client()
    client.listen()
    await desk.say(client, b"\x03/*+ router(trace) */ " + READ.encode())
    await desk.answer(ROW)
    assert kept.only().trace is not None
    out.take()
    await desk.say(client, b"\x03SHOW WARNINGS")
    assert b"router: total" in out.take()


@virtually
async def test_a_recorder_that_fails_is_no_harm() -> None:
    desk, kept = house()
    client, out = desk.client()
    client.listen()

    def fail(recording: Recording) -> None:
        raise ValueError("so be it")

    kept.take = fail  # type: ignore[method-assign]
    with capture_logs() as lines:
        await desk.say(client, b"\x03" + READ.encode())
        await desk.answer(ROW)
    assert out.take() == ROW
    assert client.client.idle
    assert [line["event"] for line in lines] == ["a statement cannot be made a span of"]


@virtually
async def test_long_statements_have_no_digest() -> None:
    desk, kept = house()
    client, _ = desk.client()
    client.listen()
    await desk.say(client, b"\x03INSERT INTO t VALUES " + b",".join([b"(1)"] * 30_000))
    await desk.answer(err(1146))
    assert kept.only().text == ""
