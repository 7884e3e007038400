"""What a trace says of waits and of servers."""

from __future__ import annotations

import re

from router.engine.trace import Trace, Wait
from router.planner.plan import Relay, Role
from router.sql.facts import Reason, StatementFacts, StatementKind
from tests.engine.bench import ROW, Bench, P, R
from tests.fakes import err, virtually

UNKNOWN = StatementFacts(StatementKind.SELECT, True, Reason.READ)
MAIN = Relay("main", Role.REPLICA, Reason.READ, UNKNOWN)
TIME = re.compile(r"\d+\.\d{3} ms")


def lines(trace: Trace) -> list[str]:
    return [TIME.sub("T", line) for line in trace.lines()]


def test_without_servers() -> None:
    trace = Trace(["a decision"])
    trace.waits.begin("room")
    trace.waits.end()
    assert lines(trace) == ["a decision"], "what was there was not waited for"
    trace.waits.found += [Wait("room", 0.0, 0.5), Wait("a server", 0.0, 0.25), Wait("room", 0.0, 1.0)]
    shard = Relay("main", Role.REPLICA, Reason.READ, UNKNOWN, shard="s1")
    trace.leg(shard).waits.in_vain("a connection", 0.001)
    trace.end()
    assert trace.lines()[:4] == [
        "a decision",
        "waited 1500.000 ms for room",
        "waited 250.000 ms for a server",
        "shard s1: waited 1.000 ms for a connection",
    ]
    assert lines(trace)[4:] == ["shard s1: not sent", "total T"]


@virtually
async def test_of_servers() -> None:
    bench = Bench(P, R)
    trace = Trace([])
    connection = await bench.do("SELECT a FROM t", ROW)
    leg = trace.leg(MAIN)
    leg.asked(bench.main.servers[1], connection)
    assert lines(trace) == [f"group main: db2, connection {connection.thread_id}: sent at T, no answer"]
    leg.came()
    leg.ended(connection)
    leg.behind, leg.retries = True, 1
    size = connection.bytes_relayed
    assert lines(trace)[0].partition(": sent")[2] == (
        " at T, behind a question for what the session must see, "
        f"first byte at T, last at T, 1 rows, {size} bytes, 1 retry"
    )
    connection = await bench.do("UPDATE t SET a = 1", err(1064))
    leg = trace.leg(MAIN)
    leg.asked(bench.main.servers[0], connection)
    leg.ended(connection, 17)
    trace.end()
    assert lines(trace)[1].endswith("sent at T, last at T, error 1064, 17 bytes")
    assert lines(trace)[2:] == ["put together T after the last of them", "total T"]
