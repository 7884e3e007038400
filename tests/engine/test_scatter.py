"""One statement on several servers: all are asked, the client gets one answer, and nothing is left behind."""

from __future__ import annotations

from collections import Counter

import pytest

from router.backend.connection import BackendConnection
from router.engine.admission import Admission
from router.engine.scatter import AHEAD, Scatter
from router.planner.merging import Aggregate, Compare, Fold, MergeSpec, OrderKey
from router.planner.plan import Part, Relay, Role, Scattered
from router.sql.facts import Reason, StatementFacts, StatementKind
from tests.engine.bench import Bench
from tests.fakes import eof, err, quiet, rows, virtually, wire

READ = StatementFacts(StatementKind.SELECT, True, Reason.READ)
BY_NUMBER = MergeSpec(order=(OrderKey(0, Compare.INTEGER),))


class Desk:
    """A session's scatter over the groups ``main`` and ``other``, whose servers are fakes."""

    def __init__(self, *, most: int = 2) -> None:
        self.bench = Bench(Role.PRIMARY, most=most)
        self.client = self.bench.client
        self.warned: list[bool] = []
        self.scatter = Scatter(self.client, self.bench.executor, self.bench.services, 0, self.warned.append)

    async def ask(self, merge: MergeSpec = BY_NUMBER, *, limit: int | None = None, twice: bool = False) -> None:
        groups = ["main", "main"] if twice else ["main", "other"]
        parts = tuple(Part(Relay(group, Role.PRIMARY, Reason.READ, READ), b"SELECT n") for group in groups)
        self.scatter.run(Scattered(parts, merge, limit, 0, READ), self.bench.executor.key)
        await quiet()

    def connection(self, name: str) -> BackendConnection:
        (connection,) = [it for it in self.bench.connectors[name].opened if it.busy]
        return connection

    def pools(self) -> list[tuple[int, int, int]]:
        return [self.bench.pool_of(name) for name in ("db1", "other")]


def table(*numbers: int) -> bytes:
    return rows(*[[b"%d" % number] for number in numbers])


@virtually
async def test_rows_of_both_in_one_answer() -> None:
    desk = Desk()
    await desk.ask()
    one, other = desk.connection("db1"), desk.connection("other")
    assert b"\x03SELECT n" in wire(one).written
    one.data_received(table(1, 4))
    assert desk.client.data == b"", "nothing before all have answered"
    other.data_received(table(2, 3))
    assert desk.client.data == table(1, 2, 3, 4)
    assert desk.bench.main.servers[0].commands[3] == 1
    assert desk.warned == [False]
    assert desk.pools() == [(0, 1, 0), (0, 1, 0)]
    assert not desk.scatter.running
    assert desk.bench.services.admission.fits(Counter(main=2))
    counters = desk.bench.services.counters
    assert (counters.scattered, counters.scattered_parts) == (1, 2)


@virtually
async def test_rows_behind_the_names_of_their_shards() -> None:
    desk = Desk()
    parts = tuple(
        Part(Relay(group, Role.PRIMARY, Reason.READ, READ, shard=shard), b"EXPLAIN SELECT n")
        for group, shard in (("main", "b"), ("other", "a"))
    )
    merge = MergeSpec(hidden=1, order=(OrderKey(-1, Compare.BYTES),))
    desk.scatter.run(Scattered(parts, merge, None, 0, READ, labelled=True), desk.bench.executor.key)
    await quiet()
    one, other = desk.connection("db1"), desk.connection("other")
    other.data_received(table(9, 2))
    one.data_received(table(4))
    answer = desk.client.data
    cells = [b"\x01b\x014", b"\x01a\x019", b"\x01a\x012"]
    places = [answer.index(cell) for cell in cells]
    assert places == sorted(places), "in the order of the shards, whoever is first"
    assert answer[4] == 2
    assert b"\x05shard" in answer


@virtually
async def test_an_answer_in_small_pieces() -> None:
    desk = Desk()
    await desk.ask()
    data = {"db1": table(1, 4), "other": table(2, 3)}
    for start in range(0, max(map(len, data.values())), 3):
        for name in data:
            if piece := data[name][start : start + 3]:
                desk.connection(name).data_received(piece)
    assert desk.client.data == table(1, 2, 3, 4)


@virtually
async def test_when_one_fails_the_other_is_ended() -> None:
    desk = Desk()
    await desk.ask()
    one, other = desk.connection("db1"), desk.connection("other")
    one.data_received(err(1146, "no such table"))
    assert desk.client.data == err(1146, "no such table")
    assert other.closed
    await quiet()
    assert desk.bench.connectors["other"].killed == [(other.thread_id, False)]
    assert desk.pools() == [(0, 1, 0), (0, 0, 0)]
    assert desk.warned == [True]


@virtually
async def test_the_error_of_one_is_the_answer_whichever_comes_first() -> None:
    desk = Desk()
    await desk.ask()
    one, other = desk.connection("db1"), desk.connection("other")
    one.data_received(table(1)[: -len(eof(1))])
    other.data_received(err(1146, "no such table"))
    assert desk.client.data == err(1146, "no such table")


@virtually
async def test_an_error_behind_rows_ends_the_answer() -> None:
    desk = Desk()
    await desk.ask(MergeSpec())
    one, other = desk.connection("db1"), desk.connection("other")
    whole = table(1, 2)
    one.data_received(whole[: -len(eof(1))])
    other.data_received(table(3)[: -len(eof(1))])
    before = desk.client.data
    one.data_received(err(1317, "killed", sequence=6))
    assert desk.client.data.startswith(before)
    assert b"killed" in desk.client.data[len(before) :]
    assert other.closed


@virtually
async def test_a_shard_of_which_nothing_was_used_is_asked_again() -> None:
    desk = Desk()
    await desk.ask()
    desk.connection("db1").connection_lost(None)
    await quiet()
    desk.connection("db1").data_received(table(1))
    desk.connection("other").data_received(table(2))
    assert desk.client.data == table(1, 2)


@virtually
async def test_a_client_that_is_gone_leaves_nothing_behind() -> None:
    desk = Desk()
    await desk.ask()
    desk.scatter.cancel()
    await quiet()
    assert desk.pools() == [(0, 0, 0), (0, 0, 0)]
    assert desk.client.data == b""
    await desk.ask()
    desk.connection("db1").data_received(table(1))
    desk.connection("other").data_received(table())
    assert desk.client.data == table(1)


@virtually
async def test_kill_query() -> None:
    desk = Desk()
    await desk.ask()
    told: list[str] = []
    desk.scatter.kill(lambda: told.append("killed"))
    assert desk.client.data == err(1317, "Query execution was interrupted", "70100")
    desk.scatter.kill(lambda: told.append("nothing to kill"))
    assert desk.warned == [True]
    assert told == ["killed", "nothing to kill"]


@virtually
async def test_a_limit_is_reached_before_all_have_ended() -> None:
    desk = Desk()
    await desk.ask(MergeSpec(), limit=1)
    one, other = desk.connection("db1"), desk.connection("other")
    one.data_received(table(1, 2)[: -len(eof(1))])
    other.data_received(table(3)[: -len(eof(1))])
    assert desk.client.data == table(1)
    one.data_received(eof(7))
    other.data_received(eof(6))
    assert desk.pools() == [(0, 1, 0), (0, 1, 0)], "they went on by themselves"
    assert desk.warned == [False]


@virtually
async def test_who_is_far_ahead_waits() -> None:
    desk = Desk()
    await desk.ask()
    one, other = desk.connection("db1"), desk.connection("other")
    other.data_received(table(5)[: -len(eof(1))])
    one.data_received(table(*range(10, 10 + AHEAD + 50))[: -len(eof(1))])
    assert not wire(one).is_reading()
    assert wire(other).is_reading()
    other.data_received(eof(6))
    assert wire(one).is_reading()


@virtually
async def test_a_connection_is_given_back_reading() -> None:
    """The last bytes of a shard may be what makes it wait for the others."""
    desk = Desk()
    await desk.ask()
    one, other = desk.connection("db1"), desk.connection("other")
    other.data_received(table(5)[: -len(eof(1))])
    one.data_received(table(*range(10, 10 + AHEAD + 50)))
    assert not one.busy
    assert wire(one).is_reading()
    other.data_received(eof(6))
    assert desk.client.data.endswith(eof(6 + AHEAD + 50)) or not desk.scatter.running
    assert not desk.scatter.running


@virtually
async def test_a_shard_that_is_asked_while_the_client_reads_slowly() -> None:
    desk = Desk()
    desk.scatter.client_paused()
    await desk.ask()
    assert not wire(desk.connection("db1")).is_reading()
    desk.scatter.client_resumed()
    assert wire(desk.connection("db1")).is_reading()
    desk.connection("db1").data_received(table(1))
    desk.connection("other").data_received(table(2))
    assert desk.client.data == table(1, 2)


@virtually
async def test_so_do_all_when_the_client_reads_slowly() -> None:
    desk = Desk()
    await desk.ask()
    desk.scatter.client_paused()
    assert not any(wire(desk.connection(name)).is_reading() for name in ("db1", "other"))
    desk.scatter.client_resumed()
    desk.connection("db1").data_received(table(1)[: -len(eof(1))])
    desk.connection("other").data_received(table(2)[: -len(eof(1))])
    desk.scatter.client_paused()
    desk.scatter.client_resumed()
    assert all(wire(desk.connection(name)).is_reading() for name in ("db1", "other"))


@virtually
async def test_more_connections_than_there_may_be() -> None:
    desk = Desk(most=1)
    await desk.ask(twice=True)
    assert b"max_connections" in desk.client.data
    assert desk.pools() == [(0, 0, 0), (0, 0, 0)]


@virtually
async def test_two_that_do_not_fit_together() -> None:
    desk = Desk(most=2)
    second = desk.bench.another()
    scatter = Scatter(second.client, second.executor, desk.bench.services, 0, lambda warned: None)
    await desk.ask(twice=True)
    first = [it for it in desk.bench.connectors["db1"].opened if it.busy]
    assert len(first) == 2
    parts = tuple(Part(Relay("main", Role.PRIMARY, Reason.READ, READ), b"SELECT n") for _ in range(2))
    scatter.run(Scattered(parts, BY_NUMBER, None, 0, READ), desk.bench.executor.key)
    await quiet()
    assert desk.bench.pool_of("db1") == (2, 0, 0), "the second has not even asked"
    for connection in first:
        connection.data_received(table(1))
    await quiet()
    for connection in [it for it in desk.bench.connectors["db1"].opened if it.busy]:
        connection.data_received(table(2))
    assert second.client.data == table(2, 2)


@pytest.mark.parametrize("kind", ["columns", "types"])
@virtually
async def test_shards_that_answer_differently(kind: str) -> None:
    desk = Desk()
    await desk.ask(MergeSpec(groups=(), aggregates=(Aggregate(0, Fold.SUM),)) if kind == "types" else BY_NUMBER)
    desk.connection("db1").data_received(table(1))
    desk.connection("other").data_received(rows([b"1", b"2"], names=("a", "b")) if kind == "columns" else table(1))
    assert b"router: " in desk.client.data


def test_admission_is_the_services() -> None:
    assert isinstance(Desk().bench.services.admission, Admission)


# --- paused groups ----------------------------------------------------------------------------------------------------


@virtually
async def test_nothing_is_asked_while_one_of_the_groups_is_paused() -> None:
    desk = Desk()
    other = desk.bench.services.topology.groups["other"]
    other.pause()
    await desk.ask()
    assert [it.opened for it in desk.bench.connectors.values()] == [[], []]
    other.resume()
    await quiet()
    desk.connection("db1").data_received(table(1))
    desk.connection("other").data_received(table(2))
    assert desk.client.data == table(1, 2)


@virtually
async def test_a_shard_that_breaks_is_asked_again_although_its_group_is_paused_by_now() -> None:
    desk = Desk()
    await desk.ask()
    desk.bench.services.topology.groups["other"].pause()
    desk.connection("db1").data_received(table(1))
    desk.connection("other").connection_lost(None)
    await quiet()
    desk.connection("other").data_received(table(2))
    assert desk.client.data == table(1, 2)


@virtually
async def test_a_transaction_begins_after_the_pause() -> None:
    desk = Desk()
    desk.bench.session.open_later(b"BEGIN")
    desk.bench.main.pause()
    await desk.ask()
    assert [it.opened for it in desk.bench.connectors.values()] == [[], []]
    desk.scatter.kill(lambda: None)
    assert b"interrupted" in desk.client.data
    assert desk.bench.session.opening == [b"BEGIN"], "it is open still"
    desk.client.data = b""
    await desk.ask()
    desk.bench.main.resume()
    await quiet()
    assert [it.busy for name in ("db1", "other") for it in desk.bench.connectors[name].opened] == [True, True]
