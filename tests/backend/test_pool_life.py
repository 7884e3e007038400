"""The life of pooled connections: lingering, ageing, expiring, closing; and all of it at random against a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.backend.connection import BackendConnection, PoolKey
from router.backend.pool import BackendPool
from router.errors import BackendUnavailable, TurnedAway
from router.wire.framing import frame
from tests.fakes import (
    KEY,
    FakeConnector,
    VirtualLoop,
    WaitingSession,
    accounts,
    err,
    leased,
    make_pool,
    ok,
    quiet,
    virtually,
    wire,
)

OTHER: PoolKey = ("reports", 0, False)
QUIT = frame(b"\x01", 0)


# --- lingering --------------------------------------------------------------------------------------------------------


def reclaim(pool: BackendPool, connection: BackendConnection) -> Callable[[], None]:
    """What a session does when its lingering connection is asked for."""

    def give_up() -> None:
        pool.unlinger(connection)
        pool.release(connection)

    return give_up


@virtually
async def test_a_lingering_connection_is_in_use_until_somebody_waits() -> None:
    pool, connector = make_pool(most=1)
    lingering = await leased(pool)
    pool.linger(lingering, reclaim(pool, lingering))
    assert accounts(pool) == (1, 1, 0, 0)
    session = WaitingSession(pool).wait()
    assert session.connection is lingering
    assert len(connector.attempts) == 1


@virtually
async def test_who_lingers_while_others_wait_is_asked_at_once() -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    session = WaitingSession(pool).wait()
    pool.linger(held, reclaim(pool, held))
    assert session.connection is held


@virtually
async def test_no_lingering_connection_is_asked_for_while_there_is_room() -> None:
    pool, _ = make_pool(most=2)
    lingering = await leased(pool)
    pool.linger(lingering, reclaim(pool, lingering))
    session = WaitingSession(pool).wait()
    await quiet()
    assert session.connection is not lingering
    assert lingering.lingering is not None


@virtually
async def test_only_as_many_are_asked_as_are_wanted() -> None:
    pool, _ = make_pool(most=3)
    connections = [await leased(pool) for _ in range(3)]
    for connection in connections:
        pool.linger(connection, reclaim(pool, connection))
    first, second = WaitingSession(pool).wait(), WaitingSession(pool).wait()
    assert {first.connection, second.connection} == set(connections[:2]), "those that linger longest"
    assert connections[2].lingering is not None


@virtually
async def test_a_connection_used_again_is_not_asked_for() -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    pool.linger(held, reclaim(pool, held))
    pool.unlinger(held)
    session = WaitingSession(pool).wait()
    assert session.granted == []
    pool.release(held)
    assert session.connection is held


@pytest.mark.parametrize("how", [BackendPool.release, BackendPool.release_dirty, BackendPool.discard])
@virtually
async def test_a_lingering_connection_that_is_given_back_is_not_asked_for(
    how: Callable[[BackendPool, BackendConnection], None],
) -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    asked: list[int] = []
    pool.linger(held, lambda: asked.append(1))
    how(pool, held)
    if held.busy:
        held.data_received(ok() * 3)
    WaitingSession(pool).wait()
    WaitingSession(pool).wait()
    await quiet()
    assert asked == []
    assert held.lingering is None


@virtually
async def test_who_does_not_give_up_yet_does_not_stand_before_who_would() -> None:
    """A session may keep its connection a moment longer; another one that lingers then has to give way."""
    pool, _ = make_pool(most=2)
    firm, soft = await leased(pool), await leased(pool)

    def later() -> None:
        firm.lingering = None  # what the executor does: asked once is enough

    pool.linger(firm, later)
    pool.linger(soft, reclaim(pool, soft))
    session = WaitingSession(pool).wait()
    assert session.granted == [soft]


@virtually
async def test_a_lingering_connection_may_end() -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    pool.linger(held, reclaim(pool, held))
    held.connection_lost(None)
    session = WaitingSession(pool).wait()
    await quiet()
    assert session.connection is not held
    assert accounts(pool) == (1, 1, 0, 0)


# --- ageing and expiring ----------------------------------------------------------------------------------------------


@virtually
async def test_expire_retires_idle_connections_now_and_others_when_they_come_back() -> None:
    pool, _ = make_pool(most=3)
    idle, held, lingering = [await leased(pool) for _ in range(3)]
    pool.release(idle)
    pool.linger(lingering, reclaim(pool, lingering))
    pool.expire()
    assert wire(idle).written.endswith(QUIT)
    assert wire(idle).closed
    assert not held.closed, "it may be inside a transaction"
    assert accounts(pool) == (2, 2, 0, 0)
    pool.release(held)
    reclaim(pool, lingering)()
    assert held.closed
    assert lingering.closed
    assert accounts(pool) == (0, 0, 0, 0)


@virtually
async def test_expire_makes_room_for_who_waits() -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    session = WaitingSession(pool).wait()
    pool.expire()
    pool.release(held)
    await quiet()
    assert session.connection is not held
    assert accounts(pool) == (1, 1, 0, 0)


@virtually
async def test_a_connection_opened_before_expire_and_ready_after_it_is_not_used() -> None:
    pool, connector = make_pool(FakeConnector(), most=1)
    session = WaitingSession(pool).wait()
    await quiet()
    pool.expire()
    stale = connector.attempts[0].succeed()
    await quiet()
    assert stale.closed
    assert session.granted == []
    fresh = connector.attempts[1].succeed()
    await quiet()
    assert session.connection is fresh
    assert accounts(pool) == (1, 1, 0, 0)


@virtually
async def test_a_connection_past_its_age_is_replaced_when_it_comes_back() -> None:
    loop = asyncio.get_running_loop()
    pool, _ = make_pool(most=1, max_age=60)
    old = await leased(pool)
    await asyncio.sleep(59)
    pool.trim(loop.time(), keep_idle=1000)
    pool.release(old)
    assert pool.take(KEY) is old
    await asyncio.sleep(2)
    pool.trim(loop.time(), keep_idle=1000)
    session = WaitingSession(pool).wait()
    pool.release(old)
    await quiet()
    assert old.closed
    assert session.connection is not old
    assert accounts(pool) == (1, 1, 0, 0)


@virtually
async def test_trim_closes_what_was_idle_for_too_long() -> None:
    loop = asyncio.get_running_loop()
    pool, _ = make_pool(most=3)
    used, forgotten, held = [await leased(pool) for _ in range(3)]
    pool.release(forgotten)
    await asyncio.sleep(50)
    pool.trim(loop.time(), keep_idle=60)
    pool.release(used)
    await asyncio.sleep(20)
    pool.trim(loop.time(), keep_idle=60)
    assert (forgotten.closed, used.closed, held.closed) == (True, False, False)
    assert wire(forgotten).written.endswith(QUIT)
    assert accounts(pool) == (2, 1, 1, 0)
    assert pool.take(KEY) is used


@virtually
async def test_trim_keeps_min_idle_but_nothing_past_its_age() -> None:
    loop = asyncio.get_running_loop()
    pool, _ = make_pool(most=4, min_idle=2, max_age=1000)
    for connection in [await leased(pool) for _ in range(3)]:
        pool.release(connection)
    await asyncio.sleep(100)
    pool.trim(loop.time(), keep_idle=60)
    assert accounts(pool) == (2, 0, 2, 0)
    await asyncio.sleep(1000)
    pool.trim(loop.time(), keep_idle=60)
    assert accounts(pool) == (0, 0, 0, 0)


# --- closing ----------------------------------------------------------------------------------------------------------


@virtually
async def test_close_ends_everything_in_its_time() -> None:
    pool, connector = make_pool(FakeConnector(), most=3)
    for _ in range(2):
        WaitingSession(pool).wait()
    await quiet()
    idle = connector.attempts[0].succeed()
    held = connector.attempts[1].succeed()
    await quiet()
    pool.release(idle)
    late = WaitingSession(pool, OTHER).wait()
    await quiet()
    pool.close()
    assert isinstance(late.errors[0], BackendUnavailable)
    assert "stopping" in str(late.errors[0])
    assert idle.closed
    assert not held.closed
    opening = connector.pending[0].succeed()
    await quiet()
    assert opening.closed
    pool.release(held)
    assert held.closed
    while connector.pending:
        connector.pending[0].succeed()
        await quiet()
    assert accounts(pool) == (0, 0, 0, 0)
    for connection in connector.opened:
        connection.connection_lost(None)
    assert pool.alive == 0


@virtually
async def test_a_closed_pool_opens_nothing() -> None:
    pool, connector = make_pool(most=1)
    held = await leased(pool)
    WaitingSession(pool).wait()
    pool.close()
    pool.release(held)
    late = WaitingSession(pool).wait()
    await asyncio.sleep(10)
    assert len(connector.attempts) == 1
    assert late.granted == []
    assert len(late.errors) == 1


@virtually
async def test_alive_counts_transports_not_yet_gone() -> None:
    pool, _ = make_pool()
    first, second = await leased(pool), await leased(pool)
    assert pool.alive == 2
    pool.discard(first)
    assert pool.alive == 2
    first.connection_lost(None)
    assert pool.alive == 1
    pool.release(second)
    second.connection_lost(None)
    assert pool.alive == 0


# --- at random --------------------------------------------------------------------------------------------------------

MOST = 3


class _Waiting(WaitingSession):
    """A session of the model."""

    cancelled = False

    @property
    def over(self) -> bool:
        return bool(self.granted or self.errors or self.cancelled)


class PoolMachine(RuleBasedStateMachine):
    """Sessions, servers and time do what they like; the pool's accounts must always hold."""

    @initialize()
    def start(self) -> None:
        self.loop = VirtualLoop()
        self.connector = FakeConnector()
        self.pool, _ = make_pool(self.connector, most=MOST, queue_timeout=10)
        self.sessions: list[_Waiting] = []
        self.held: list[BackendConnection] = []
        self.resetting: list[BackendConnection] = []
        self.gone: set[BackendConnection] = set()
        self._served: set[_Waiting] = set()

    def run(self, work: Callable[[], object], seconds: float = 0.0) -> None:
        """Do ``work`` inside the loop and let everything settle that follows from it."""

        async def inside() -> None:
            work()
            await quiet()
            if seconds:
                await asyncio.sleep(seconds)

        self.loop.run_until_complete(inside())
        for session in self.sessions:
            if session.granted and session not in self._served:
                self._served.add(session)
                self.held.append(session.connection)

    @rule(key=st.sampled_from([KEY, OTHER]))
    def come(self, key: PoolKey) -> None:
        def work() -> None:
            connection = self.pool.take(key)
            if connection is not None:
                assert not connection.closed
                assert connection.key == key
                self.held.append(connection)
                return
            session = _Waiting(self.pool, key)
            self.sessions.append(session)
            session.wait()

        self.run(work)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(["release", "dirty", "discard", "lost", "linger"]))
    def give_back(self, data: st.DataObject, how: str) -> None:
        connection = data.draw(st.sampled_from(self.held))
        if connection.lingering is not None:
            self.run(lambda: self.pool.unlinger(connection))

        def give_up() -> None:
            self.held.remove(connection)
            reclaim(self.pool, connection)()

        def work() -> None:
            if how == "linger":
                self.pool.linger(connection, give_up)
                return
            self.held.remove(connection)
            match how:
                case "release":
                    self.pool.release(connection)
                case "dirty":
                    if not connection.closed and connection.generation == self.pool.generation:
                        self.resetting.append(connection)
                    self.pool.release_dirty(connection)
                case "discard":
                    self.pool.discard(connection)
                case "lost":
                    self.lose(connection)
                    self.pool.release(connection)

        self.run(work)

    @precondition(lambda self: self.resetting)
    @rule(outcome=st.sampled_from(["ok", "refused", "lost"]))
    def reset(self, outcome: str) -> None:
        connection = self.resetting.pop(0)
        match outcome:
            case "ok":
                self.run(lambda: connection.data_received(ok() * 3))
            case "refused":
                self.run(lambda: connection.data_received(ok() * 2 + err()))
            case "lost":
                self.run(lambda: self.lose(connection))

    @precondition(lambda self: self.connector.pending)
    @rule(data=st.data(), succeeds=st.booleans())
    def connect(self, data: st.DataObject, succeeds: bool) -> None:
        attempt = data.draw(st.sampled_from(self.connector.pending))
        self.run(lambda: attempt.succeed() if succeeds else attempt.fail(BackendUnavailable("no")))

    @rule(data=st.data())
    def server_closes(self, data: st.DataObject) -> None:
        busy = {*self.held, *self.resetting, *self.gone}
        idle = [connection for connection in self.connector.opened if connection not in busy]
        if idle:
            connection = data.draw(st.sampled_from(idle))
            self.run(lambda: self.lose(connection))

    @precondition(lambda self: any(not session.over for session in self.sessions))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from([session for session in self.sessions if not session.over]))
        session.cancelled = True
        self.run(lambda: self.pool.cancel(session.waiter))

    @rule(seconds=st.sampled_from([0.1, 3, 11]))
    def time_passes(self, seconds: float) -> None:
        self.run(lambda: None, seconds)

    @rule()
    def expire(self) -> None:
        self.run(self.pool.expire)

    @rule(keep=st.sampled_from([1.0, 100.0]))
    def trim(self, keep: float) -> None:
        self.run(lambda: self.pool.trim(self.loop.time(), keep))

    def lose(self, connection: BackendConnection) -> None:
        self.gone.add(connection)
        connection.connection_lost(None)

    @invariant()
    def the_accounts_hold(self) -> None:
        accounts(self.pool)
        assert self.pool.in_use == len(self.held) + len(self.resetting)
        assert self.pool.opening == len(self.connector.pending)
        assert len(set(self.held)) == len(self.held), "two sessions have the same connection"
        open_now = [connection for connection in self.connector.opened if not connection.closed]
        assert len(open_now) + self.pool.opening <= MOST

    @invariant()
    def everybody_has_one_answer(self) -> None:
        for session in self.sessions:
            assert len(session.granted) + len(session.errors) <= 1
            assert not (session.cancelled and session.granted)
            if session.granted:
                assert session.connection.key == session.waiter.key
        assert self.pool.waiting == sum(not session.over for session in self.sessions)

    @invariant()
    def nobody_waits_without_hope(self) -> None:
        """Who waits is due a connection that is being opened, used or reset, or the next try after a failure."""
        if self.pool.waiting and not self.pool.opening and self.pool.size < MOST:
            self.run(lambda: None, 1.0)
            assert self.pool.opening or not self.pool.waiting

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.run(self.pool.close)
        for connection in [*self.held]:
            self.run(lambda it=connection: self.pool.discard(it))  # type: ignore[misc]
        for connection in [*self.resetting]:
            self.run(lambda it=connection: self.lose(it))  # type: ignore[misc]
        while self.connector.pending:
            self.run(lambda: self.connector.pending[0].fail(BackendUnavailable("stopped")))
        for connection in set(self.connector.opened) - self.gone:
            self.run(lambda it=connection: self.lose(it))  # type: ignore[misc]
        assert accounts(self.pool) == (0, 0, 0, 0)
        assert self.pool.alive == 0
        self.loop.close()


TestPoolAtRandom = PoolMachine.TestCase
TestPoolAtRandom.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# --- drain ------------------------------------------------------------------------------------------------------------


@virtually
async def test_a_drained_pool_ends_with_who_is_there() -> None:
    pool, _ = make_pool(most=2, min_idle=2)
    held, idle = await leased(pool), await leased(pool)
    pool.release(idle)
    pool.drain()
    assert idle.closed
    assert accounts(pool) == (1, 1, 0, 0)
    assert not held.closed
    pool.release(held)
    assert held.closed
    assert accounts(pool) == (0, 0, 0, 0)


@virtually
async def test_who_waits_for_a_drained_server_is_turned_away() -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    first, second = WaitingSession(pool).wait(), WaitingSession(pool).wait()
    pool.drain()
    assert [type(each) for each in first.errors + second.errors] == [TurnedAway, TurnedAway]
    pool.discard(held)


@virtually
async def test_who_waits_again_at_once_is_told_once() -> None:
    """Transactions may have to."""
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    session = WaitingSession(pool)
    session.waiter.failed = session.wait_instead
    session.wait()
    pool.drain()
    assert pool.waiting == 1
    pool.release(held)
    await quiet()
    assert session.connection is not held


@virtually
async def test_nothing_lingers_on_a_drained_server() -> None:
    pool, _ = make_pool(most=2)
    before, after = await leased(pool), await leased(pool)
    asked: list[str] = []

    def give_back(name: str, connection: BackendConnection) -> None:
        asked.append(name)
        pool.unlinger(connection)
        pool.release(connection)

    pool.linger(before, lambda: give_back("before", before))
    assert asked == []
    pool.drain()
    assert asked == ["before"]
    pool.linger(after, lambda: give_back("after", after))
    assert asked == ["before", "after"]
    assert accounts(pool) == (0, 0, 0, 0)


@virtually
async def test_a_connection_opened_for_a_transaction_does_not_stay() -> None:
    """The draining primary may have to take another branch of a transaction; min_idle is not for that."""
    pool, _ = make_pool(most=1, min_idle=1)
    pool.drain()
    connection = await leased(pool)
    pool.release(connection)
    pool.trim(asyncio.get_running_loop().time(), 60)
    assert connection.closed
    pool.draining = False
    connection = await leased(pool)
    pool.release(connection)
    pool.trim(asyncio.get_running_loop().time(), 0)
    assert not connection.closed
