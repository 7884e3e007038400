"""Commands that are watched: what is told of them, and that nothing else is different."""

from __future__ import annotations

from router.engine.trace import Trace
from router.frontend.watching import Watch
from tests.engine.bench import ROW, Bench, P, R
from tests.fakes import query, quiet, virtually

SQL = "SELECT a FROM t"


def watch(bench: Bench, frames: bytes) -> tuple[Trace, Watch]:
    trace = Trace([])
    return trace, Watch(bench.executor, trace, bench.plan(SQL), frames, bench.client.write)


async def sent(bench: Bench) -> tuple[Trace, Watch]:
    """A watched statement that is with its server."""
    frames = query(SQL)
    trace, watched = watch(bench, frames)
    bench.executor.run(watched.plan, frames)
    await quiet()
    return trace, watched


@virtually
async def test_an_answer() -> None:
    bench = Bench(P, R)
    trace, watched = await sent(bench)
    connection = bench.executor.connection
    assert connection is not None
    connection.data_received(ROW)
    (leg,) = trace.legs
    assert leg.server is bench.main.servers[1]
    assert leg.thread_id == connection.thread_id
    assert (leg.rows, leg.size, leg.error) == (1, len(ROW), None)
    assert 0 < leg.sent <= leg.first <= leg.last
    assert bench.executor.leasing.trace is None
    assert bench.executor.forward == bench.client.write
    watched.end()
    assert leg.last


@virtually
async def test_what_never_came_to_a_server() -> None:
    bench = Bench(P, R)
    trace, watched = watch(bench, query(SQL))
    watched.end()
    watched.end()
    assert trace.legs[0].server is None
    assert trace.legs[0].sent == 0.0
    assert bench.executor.leasing.trace is None


@virtually
async def test_what_is_under_way_when_nobody_waits_any_more() -> None:
    bench = Bench(P, R)
    trace, watched = await sent(bench)
    watched.end()
    (leg,) = trace.legs
    assert leg.server is bench.main.servers[1]
    assert leg.broken
    assert leg.sent
    assert not leg.last


@virtually
async def test_a_later_watch_is_left_alone() -> None:
    bench = Bench(P, R)
    _, one = watch(bench, query(SQL))
    trace, _ = watch(bench, query(SQL))
    one.end()
    assert bench.executor.leasing.trace is trace.legs[0]
