"""The pool of one server: order, limits, accounts that always add up, and nobody waiting for ever."""

from __future__ import annotations

import asyncio

import pytest

from router.backend.connection import BackendConnection, PoolKey
from router.backend.pool import BackendPool, Waiter
from router.backend.reset import BASELINE, settle_commands
from router.errors import BackendUnavailable, PoolTimeout
from router.session.variables import VariableSet
from router.wire.constants import Capability
from tests.fakes import (
    KEY,
    PROFILE,
    USER,
    FakeConnector,
    RecordingSink,
    WaitingSession,
    accounts,
    err,
    leased,
    make_pool,
    ok,
    query,
    quiet,
    virtually,
    wire,
)

OTHER: PoolKey = ("reports", 0, False)
MULTI: PoolKey = ("app", int(Capability.MULTI_STATEMENTS), False)


# --- taking and giving back -------------------------------------------------------------------------------------------


@virtually
async def test_a_new_pool_has_nothing() -> None:
    pool, connector = make_pool()
    assert pool.take(KEY) is None
    assert accounts(pool) == (0, 0, 0, 0)
    assert connector.attempts == []


@virtually
async def test_who_waits_gets_a_new_connection() -> None:
    pool, connector = make_pool()
    session = WaitingSession(pool).wait()
    await quiet()
    assert session.connection is connector.opened[0]
    assert connector.attempts[0].key == KEY
    assert accounts(pool) == (1, 1, 0, 0)
    assert (pool.waits, pool.waiting) == (1, 0)


@virtually
async def test_a_released_connection_is_taken_again() -> None:
    pool, connector = make_pool()
    connection = await leased(pool)
    pool.release(connection)
    assert accounts(pool) == (1, 0, 1, 0)
    assert pool.take(KEY) is connection
    assert accounts(pool) == (1, 1, 0, 0)
    assert len(connector.attempts) == 1


@virtually
async def test_there_is_room_while_nobody_has_to_give_a_connection_back() -> None:
    pool, connector = make_pool(FakeConnector(), most=2)
    assert pool.has_room
    session, other = WaitingSession(pool).wait(), WaitingSession(pool, OTHER)
    await quiet()
    assert pool.has_room
    other.wait()
    await quiet()
    assert not pool.has_room, "both are being opened"
    for attempt in connector.pending:
        attempt.succeed()
    await quiet()
    assert not pool.has_room
    pool.release(other.connection)
    assert pool.has_room, "whatever its key is"
    assert session.connection is not other.connection


@virtually
async def test_there_is_none_where_connecting_fails() -> None:
    pool, connector = make_pool(FakeConnector(), most=3)
    sessions = [WaitingSession(pool).wait() for _ in range(2)]
    await quiet()
    connector.pending[0].fail(BackendUnavailable("connection refused"))
    await quiet()
    assert not pool.has_room
    connector.pending[0].succeed()
    await asyncio.sleep(1)
    assert pool.has_room
    assert [len(session.granted) for session in sessions] == [0, 1]


@virtually
async def test_keys_do_not_mix() -> None:
    pool, _ = make_pool()
    pool.release(await leased(pool))
    assert pool.take(OTHER) is None
    assert pool.take(MULTI) is None
    assert pool.take(("app", 0, True)) is None


@virtually
async def test_a_connection_with_a_schema_is_of_another_kind() -> None:
    pool, _ = make_pool()
    connection = await leased(pool)
    connection.schema = "shop"
    pool.release(connection)
    assert pool.take(KEY) is None
    assert pool.take(("app", 0, True)) is connection
    connection.schema = None
    pool.release(connection)
    assert pool.take(("app", 0, True)) is None
    assert pool.take(KEY) is connection


@virtually
async def test_a_connection_that_owes_a_reply_is_not_taken_back() -> None:
    pool, _ = make_pool()
    connection = await leased(pool)
    connection.send(RecordingSink(), b"command")
    with pytest.raises(AssertionError):
        pool.release(connection)


@virtually
async def test_a_connection_the_server_ended_while_idle_is_forgotten() -> None:
    pool, _ = make_pool()
    connection = await leased(pool)
    pool.release(connection)
    connection.connection_lost(None)
    assert accounts(pool) == (0, 0, 0, 0)
    assert pool.take(KEY) is None


@virtually
async def test_a_connection_that_broke_is_never_handed_out() -> None:
    """Bytes nobody asked for: it is closed, and the loop has not told the pool yet."""
    pool, _ = make_pool()
    connection = await leased(pool)
    pool.release(connection)
    connection.data_received(ok())
    assert pool.take(KEY) is None
    assert accounts(pool) == (0, 0, 0, 0)
    connection.connection_lost(None)
    assert accounts(pool) == (0, 0, 0, 0)
    assert pool.alive == 0


@virtually
async def test_a_connection_that_closed_right_after_its_login_is_not_granted() -> None:
    pool, connector = make_pool(FakeConnector(), most=1)
    session = WaitingSession(pool).wait()
    await quiet()
    connector.attempts[0].succeed().connection_lost(None)
    await quiet()
    assert session.granted == []
    assert len(session.errors) == 1
    assert pool.connect_errors == 1
    assert accounts(pool) == (0, 0, 0, 0)


@virtually
async def test_a_connection_lost_in_use_is_discarded_once() -> None:
    pool, _ = make_pool()
    connection = await leased(pool)
    connection.connection_lost(None)
    assert accounts(pool) == (1, 1, 0, 0)
    pool.release(connection)
    assert accounts(pool) == (0, 0, 0, 0)
    assert pool.alive == 0


@virtually
async def test_discard_closes() -> None:
    pool, _ = make_pool()
    connection = await leased(pool)
    pool.discard(connection)
    assert connection.closed
    assert wire(connection).closed
    assert accounts(pool) == (0, 0, 0, 0)


# --- the queue --------------------------------------------------------------------------------------------------------


@virtually
async def test_waiters_are_served_in_order() -> None:
    pool, connector = make_pool(most=1)
    held = await leased(pool)
    sessions = [WaitingSession(pool).wait() for _ in range(3)]
    assert pool.waiting == 3
    for session in sessions:
        assert session.granted == []
        pool.release(held)
        assert session.connection is held
    assert len(connector.attempts) == 1
    assert pool.waits == 1 + 3
    assert accounts(pool) == (1, 1, 0, 0)


@virtually
async def test_nobody_overtakes_a_waiter() -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    first = WaitingSession(pool, OTHER).wait()
    pool.release(held)
    assert pool.take(KEY) is None, "an idle connection would make somebody else wait longer"
    await quiet()
    assert first.connection.key == OTHER
    assert accounts(pool) == (1, 1, 0, 0)


@virtually
async def test_waiters_of_several_keys_all_get_their_turn() -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    keys = [OTHER, KEY, MULTI, KEY, OTHER]
    sessions = [WaitingSession(pool, key).wait() for key in keys]
    for session in sessions:
        pool.release(held)
        await quiet()
        held = session.connection
        accounts(pool)
    assert [session.connection.key for session in sessions] == keys


@virtually
async def test_a_connection_that_comes_back_overtakes_a_slow_connect() -> None:
    pool, connector = make_pool(FakeConnector())
    first = WaitingSession(pool).wait()
    await quiet()
    held = connector.attempts[0].succeed()
    await quiet()
    second = WaitingSession(pool).wait()
    await quiet()
    assert accounts(pool) == (2, 1, 0, 1)
    pool.release(held)
    assert second.connection is held
    spare = connector.attempts[1].succeed()
    await quiet()
    assert first.connection is held
    assert accounts(pool) == (2, 1, 1, 0)
    assert pool.take(KEY) is spare


@virtually
async def test_a_slow_connect_of_one_kind_does_not_stop_the_others() -> None:
    """Who waits for a connection that is being opened loses nothing when an idle one of another kind is used."""
    pool, connector = make_pool(FakeConnector(), most=5)
    WaitingSession(pool).wait()
    await quiet()
    idle = connector.attempts[0].succeed()
    await quiet()
    pool.release(idle)
    slow = WaitingSession(pool, OTHER).wait()
    await quiet()
    assert len(connector.pending) == 1
    for _ in range(3):
        connection = pool.take(KEY)
        if connection is None:
            session = WaitingSession(pool).wait()
            assert session.granted == [idle], "it waits behind a connect that is none of its business"
            connection = idle
        pool.release(connection)
    connector.pending[0].succeed()
    await quiet()
    assert slow.connection.key == OTHER


@virtually
async def test_an_idle_connection_serves_who_waited_behind_another_kind() -> None:
    pool, connector = make_pool(FakeConnector(), most=3)
    WaitingSession(pool).wait()
    await quiet()
    idle = connector.attempts[0].succeed()
    await quiet()
    pool.release(idle)
    first = WaitingSession(pool, OTHER).wait()
    await quiet()
    second = WaitingSession(pool).wait()
    connector.attempts[1].succeed()
    await quiet()
    assert first.connection.key == OTHER
    assert second.connection is idle
    accounts(pool)


@virtually
async def test_one_attempt_for_each_waiter_and_not_more() -> None:
    pool, connector = make_pool(FakeConnector(), most=10)
    sessions = [WaitingSession(pool).wait() for _ in range(3)]
    await quiet()
    assert len(connector.attempts) == 3
    assert accounts(pool) == (3, 0, 0, 3)
    for attempt in reversed(connector.attempts):
        attempt.succeed()
        await quiet()
    assert all(len(session.granted) == 1 for session in sessions)
    assert len(connector.attempts) == 3


@virtually
async def test_no_more_than_max_connections_are_opened() -> None:
    pool, connector = make_pool(FakeConnector(), most=2)
    for _ in range(5):
        WaitingSession(pool).wait()
    await quiet()
    assert len(connector.attempts) == 2
    assert accounts(pool) == (2, 0, 0, 2)


@virtually
async def test_an_idle_connection_of_another_key_makes_room() -> None:
    pool, _ = make_pool(most=2)
    old, newer = await leased(pool), await leased(pool)
    pool.release(old)
    pool.release(newer)
    session = WaitingSession(pool, OTHER).wait()
    assert old.closed, "the one longest idle goes"
    assert not newer.closed
    await quiet()
    assert session.connection.key == OTHER
    assert accounts(pool) == (2, 1, 1, 0)


@virtually
async def test_who_cancels_gets_nothing() -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    first, second = WaitingSession(pool).wait(), WaitingSession(pool).wait()
    pool.cancel(first.waiter)
    pool.cancel(first.waiter)
    pool.release(held)
    assert first.granted == []
    assert second.connection is held


@virtually
async def test_a_connection_opened_for_who_cancelled_stays() -> None:
    pool, connector = make_pool(FakeConnector())
    session = WaitingSession(pool).wait()
    await quiet()
    pool.cancel(session.waiter)
    opened = connector.attempts[0].succeed()
    await quiet()
    assert accounts(pool) == (1, 0, 1, 0)
    assert pool.take(KEY) is opened


@virtually
async def test_a_waiter_may_be_used_again() -> None:
    pool, _ = make_pool(most=1)
    session = WaitingSession(pool).wait()
    await quiet()
    pool.release(session.connection)
    pool.discard(pool.take(KEY) or session.connection)
    session.wait()
    await quiet()
    assert len(session.granted) == 2


# --- time-outs --------------------------------------------------------------------------------------------------------


@virtually
async def test_waiting_ends_after_queue_timeout() -> None:
    loop = asyncio.get_running_loop()
    pool, _ = make_pool(most=1, queue_timeout=5)
    await leased(pool)
    start = loop.time()
    session = WaitingSession(pool).wait()
    await asyncio.sleep(4.9)
    assert session.errors == []
    await asyncio.sleep(0.2)
    (error,) = session.errors
    assert isinstance(error, PoolTimeout)
    assert "db1" in str(error)
    assert "5 s" in str(error)
    assert loop.time() - start < 6
    assert (pool.timeouts, pool.waiting) == (1, 0)


@virtually
async def test_every_waiter_has_its_own_time() -> None:
    pool, _ = make_pool(most=1, queue_timeout=5)
    held = await leased(pool)
    first = WaitingSession(pool).wait()
    await asyncio.sleep(3)
    second, third = WaitingSession(pool).wait(), WaitingSession(pool).wait()
    await asyncio.sleep(2.1)
    assert (len(first.errors), len(second.errors)) == (1, 0)
    pool.release(held)
    assert second.connection is held
    await asyncio.sleep(3)
    assert second.errors == []
    assert len(third.errors) == 1


@virtually
async def test_who_waits_again_at_once_does_not_prolong_the_others() -> None:
    """A client's next pipelined command waits from inside the callback that refused the one before."""
    loop = asyncio.get_running_loop()
    pool, _ = make_pool(most=1, queue_timeout=5)
    await leased(pool)
    again = WaitingSession(pool)
    first = Waiter(KEY, USER, lambda connection: None, again.wait_instead)
    pool.wait(first)
    await asyncio.sleep(4)
    second = WaitingSession(pool).wait()
    start = loop.time()
    await asyncio.sleep(5.5)
    assert len(second.errors) == 1, f"still waiting after {loop.time() - start:g} of 5 seconds"
    await asyncio.sleep(1)
    assert len(again.errors) == 1


@virtually
async def test_waiting_is_measured() -> None:
    pool, _ = make_pool(most=1)
    held = await leased(pool)
    before = pool.wait_seconds
    WaitingSession(pool).wait()
    await asyncio.sleep(2)
    pool.release(held)
    assert pool.wait_seconds - before == pytest.approx(2)


@virtually
async def test_connecting_is_measured() -> None:
    pool, connector = make_pool(FakeConnector(), most=2)
    WaitingSession(pool).wait()
    await quiet()
    await asyncio.sleep(3)
    connector.attempts[0].succeed()
    await quiet()
    assert sum(pool.connects.counts) == 1
    assert pool.connects.total == pytest.approx(3)


# --- connecting fails -------------------------------------------------------------------------------------------------


@virtually
async def test_a_failed_connect_fails_one_waiter_and_the_others_try_again() -> None:
    pool, connector = make_pool(FakeConnector(), most=1)
    first, second = WaitingSession(pool).wait(), WaitingSession(pool).wait()
    await quiet()
    refused = BackendUnavailable("server db1: Access denied")
    connector.attempts[0].fail(refused)
    await quiet()
    assert first.errors == [refused]
    assert second.errors == []
    assert accounts(pool) == (0, 0, 0, 0)
    assert pool.connect_errors == 1
    assert len(connector.attempts) == 1, "not at once: the server has just refused"
    await asyncio.sleep(1)
    connector.attempts[1].succeed()
    await quiet()
    assert len(second.granted) == 1


@virtually
async def test_a_failed_connect_whose_waiter_was_served_harms_nobody() -> None:
    pool, connector = make_pool(FakeConnector())
    WaitingSession(pool).wait()
    await quiet()
    held = connector.attempts[0].succeed()
    await quiet()
    second = WaitingSession(pool).wait()
    await quiet()
    pool.release(held)
    connector.attempts[1].fail(BackendUnavailable("no"))
    await quiet()
    assert second.connection is held
    assert second.errors == []
    assert accounts(pool) == (1, 1, 0, 0)


@virtually
async def test_a_waiter_may_wait_again_from_its_failure() -> None:
    pool, connector = make_pool(FakeConnector(), most=1)
    again = WaitingSession(pool)
    pool.wait(Waiter(KEY, USER, lambda connection: None, again.wait_instead))
    await quiet()
    connector.attempts[0].fail(BackendUnavailable("no"))
    await asyncio.sleep(1)
    connector.attempts[1].succeed()
    await quiet()
    assert len(again.granted) == 1
    accounts(pool)


@virtually
async def test_any_failure_to_connect_frees_its_place() -> None:
    """Also one that nobody thought of: a place that is never given back makes the pool smaller for ever."""
    pool, connector = make_pool(FakeConnector(), most=1)
    session = WaitingSession(pool).wait()
    await quiet()
    connector.attempts[0].outcome.set_exception(ValueError("the server's greeting makes no sense"))
    await quiet()
    assert pool.opening == 0
    assert accounts(pool)[0] <= 1
    await asyncio.sleep(1)
    if not session.errors:
        connector.pending[0].succeed()
        await quiet()
        assert len(session.granted) == 1


@virtually
async def test_a_server_known_to_be_down_fails_all_waiters() -> None:
    pool, _ = make_pool(most=1)
    await leased(pool)
    sessions = [WaitingSession(pool).wait() for _ in range(3)]
    down = BackendUnavailable("down")
    pool.fail_waiters(down)
    assert [session.errors for session in sessions] == [[down]] * 3
    assert pool.waiting == 0


# --- reset ------------------------------------------------------------------------------------------------------------

RESET = settle_commands(PROFILE, 0, reset=True)


async def dirty(most: int = 2, key: PoolKey = KEY) -> tuple[BackendPool, BackendConnection]:
    """A connection on which a session has left state, given back."""
    pool, _ = make_pool(most=most)
    connection = await leased(pool, key)
    connection.insert_id = 41
    connection.variables = VariableSet.of({"sql_mode": "ANSI"})
    wire(connection).take()
    pool.release_dirty(connection)
    return pool, connection


@virtually
async def test_a_dirty_connection_is_reset_before_anybody_gets_it() -> None:
    pool, connection = await dirty()
    assert wire(connection).written == RESET
    assert pool.take(KEY) is None
    assert accounts(pool) == (1, 1, 0, 0)
    connection.data_received(ok() + ok())
    assert pool.take(KEY) is None
    connection.data_received(ok())
    assert accounts(pool) == (1, 0, 1, 0)
    assert pool.take(KEY) is connection
    assert connection.variables is BASELINE
    assert connection.insert_id == 0


@virtually
async def test_a_reset_serves_who_waits() -> None:
    pool, connection = await dirty(most=1)
    session = WaitingSession(pool).wait()
    connection.data_received(ok() * 3)
    assert session.connection is connection


@pytest.mark.parametrize("refused", [0, 1, 2])
@virtually
async def test_a_refused_reset_costs_the_connection_and_nothing_else(refused: int) -> None:
    pool, connection = await dirty(most=1)
    session = WaitingSession(pool).wait()
    replies = [ok(), ok(), ok()]
    replies[refused] = err(1227, "no")
    connection.data_received(b"".join(replies))
    assert connection.closed
    await quiet()
    assert len(session.granted) == 1, "the place was not given back"
    assert session.connection is not connection
    assert accounts(pool) == (1, 1, 0, 0)


@virtually
async def test_a_connection_lost_during_its_reset_is_forgotten() -> None:
    pool, connection = await dirty()
    connection.connection_lost(None)
    assert accounts(pool) == (0, 0, 0, 0)


@virtually
async def test_multi_statements_stay_as_the_key_says() -> None:
    _, connection = await dirty(key=MULTI)
    assert wire(connection).written == settle_commands(PROFILE, int(Capability.MULTI_STATEMENTS), reset=True)


@pytest.mark.parametrize("state", ["closed", "busy", "expired", "interactive"])
@virtually
async def test_what_cannot_be_reset_is_discarded(state: str) -> None:
    """COM_RESET_CONNECTION takes back what CLIENT_INTERACTIVE and CLIENT_IGNORE_SPACE did at the login."""
    pool, _ = make_pool()
    key = ("app", int(Capability.INTERACTIVE), False) if state == "interactive" else KEY
    connection = await leased(pool, key)
    match state:
        case "closed":
            connection.connection_lost(None)
        case "busy":
            connection.send(RecordingSink(), query("SELECT SLEEP(10)"))
        case "expired":
            pool.expire()
    pool.release_dirty(connection)
    assert connection.closed
    assert accounts(pool) == (0, 0, 0, 0)


# --- cutting off ------------------------------------------------------------------------------------------------------


@virtually
async def test_who_is_cut_off_hears_of_it() -> None:
    pool, connector = make_pool(most=3)
    busy, held, idle = [await leased(pool) for _ in range(3)]
    sink = RecordingSink()
    busy.send(sink, query("UPDATE t SET a = 1"))
    pool.release(idle)
    pool.sever("somebody else is the primary")
    await quiet()
    assert all(connection.closed for connection in connector.opened)
    assert sink.events == ["lost"]
    assert str(sink.error) == "somebody else is the primary"
    for connection in (busy, held):
        pool.discard(connection)
    assert accounts(pool) == (0, 0, 0, 0)
    assert (await leased(pool)).generation == pool.generation, "who comes later is not concerned"
