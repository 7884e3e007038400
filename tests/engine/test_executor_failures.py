"""What a session sees when servers, connections and clients go away: the failure contract, and looking back."""

from __future__ import annotations

import asyncio

import pytest

from router.backend.reset import query as own_query
from router.backend.reset import settle_commands
from router.engine import questions
from router.errors import BackendUnavailable
from router.wire.constants import ServerStatus
from tests.engine.bench import ROW, Bench, P, R
from tests.fakes import AUTOCOMMIT, KEY, PROFILE, changed, err, ok, query, quiet, rows, virtually, wire

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
BEGUN = ok(status=IN_TRANSACTION, changes=changed(transaction_characteristics="START TRANSACTION;"))
RESET = settle_commands(PROFILE, 0, reset=True)


def code(bench: Bench) -> tuple[int, str, str]:
    """The only error: its number, SQLSTATE, and whether the client's connection ends with it."""
    return bench.error.code, bench.error.sqlstate, bench.client.events[-1]


# --- the server goes --------------------------------------------------------------------------------------------------


@virtually
async def test_a_read_of_which_nothing_was_forwarded_is_repeated_elsewhere() -> None:
    bench = Bench(P, R, R)
    first = await bench.start("SELECT a FROM t")
    first.connection_lost(None)
    await quiet()
    second = bench.executor.connection
    assert second is not None
    assert bench.server_of(second) not in (bench.server_of(first), "db1")
    assert bench.sent(second) == query("SELECT a FROM t")
    second.data_received(ROW)
    assert bench.client.data == ROW
    assert bench.client.events == ["finished"]
    assert bench.counters.retries == 1
    assert bench.suspects == [bench.server_of(first)]


@virtually
async def test_a_read_is_not_repeated_for_ever() -> None:
    bench = Bench(P, R, R)
    await bench.start("SELECT a FROM t")
    losses = 0
    while (connection := bench.executor.connection) is not None:
        losses += 1
        assert losses < 10
        connection.connection_lost(None)
        await quiet()
    assert losses > 1
    assert code(bench) == (2013, "08S01", "fail")
    assert sum(bench.pool_of(name)[0] for name in ("db1", "db2", "db3")) == 0


@virtually
async def test_an_answer_that_was_cut_short_ends_the_client() -> None:
    bench = Bench(P, R, R)
    connection = await bench.start("SELECT a FROM t")
    connection.data_received(ROW[:-3])
    connection.connection_lost(None)
    await quiet()
    assert bench.client.events == ["abort"]
    assert bench.client.errors == []
    assert bench.counters.retries == 0
    assert bench.pool_of(bench.server_of(connection)) == (0, 0, 0)


@virtually
async def test_nonsense_from_the_server_is_a_loss() -> None:
    bench = Bench(P, R, R)
    connection = await bench.start("SELECT a FROM t")
    connection.data_received(b"\0\0\0\x01")
    await quiet()
    assert bench.executor.connection is not connection
    assert bench.counters.retries == 1


@virtually
async def test_a_write_is_never_sent_twice() -> None:
    bench = Bench()
    connection = await bench.start("INSERT INTO t VALUES (1)")
    assert bench.sent(connection) == query("INSERT INTO t VALUES (1)")
    connection.connection_lost(ConnectionResetError("reset by peer"))
    await quiet()
    assert code(bench) == (2013, "08S01", "fail and close")
    assert "outcome of this statement is unknown" in bench.error.message
    assert "db1" in bench.error.message
    assert len(bench.connectors["db1"].attempts) == 1


@pytest.mark.parametrize("autocommit", [True, False])
@virtually
async def test_what_only_changes_the_session_is_repeated_with_the_session_as_it_was(autocommit: bool) -> None:
    bench = Bench()
    await bench.do("SET time_zone = '+01:00'", ok(changes=changed({"time_zone": "+01:00"})))
    if not autocommit:
        await bench.do("SET autocommit = 0", ok(status=0, changes=changed({"autocommit": "OFF"})))
    connection = await bench.start("SET sql_mode = CONCAT(@@sql_mode, ',ANSI')")
    connection.connection_lost(ConnectionResetError("reset by peer"))
    await quiet()
    assert bench.client.errors == []
    again = bench.executor.connection
    assert again is not None
    assert again is not connection
    assert b"+01:00" in bench.sent(again)
    again.data_received(ok())
    assert bench.sent(again).endswith(query("SET sql_mode = CONCAT(@@sql_mode, ',ANSI')"))


@pytest.mark.parametrize("sql", ["INSERT INTO t VALUES (1)", "CREATE TEMPORARY TABLE x (a INT)", "SELECT @a := 1"])
@virtually
async def test_what_was_not_sent_yet_is_tried_again(sql: str) -> None:
    """The connection breaks while it is being taken to the session's state."""
    bench = Bench(schema="shop")
    connection = await bench.start(sql)
    assert query(sql) not in bench.sent(connection)
    connection.connection_lost(None)
    await quiet()
    assert bench.client.errors == []
    again = bench.executor.connection
    assert again is not None
    again.data_received(ok())
    assert bench.sent(again).endswith(query(sql))


@virtually
async def test_a_transaction_that_was_lost_may_be_repeated() -> None:
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    await bench.start("UPDATE t SET a = 1")
    connection.connection_lost(None)
    assert code(bench) == (1213, "40001", "fail")
    assert not bench.session.holds
    fresh = await bench.start("UPDATE t SET a = 1")
    assert fresh is not connection


@virtually
async def test_a_read_inside_a_transaction_is_not_repeated_elsewhere() -> None:
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    await bench.do("SELECT a FROM t", rows([b"1"], status=IN_TRANSACTION))
    await bench.start("SELECT a FROM t")
    connection.connection_lost(None)
    await quiet()
    assert code(bench) == (1213, "40001", "fail")


@pytest.mark.parametrize("sql", ["SELECT a FROM t", "UPDATE t SET a = 1", "COMMIT"])
@virtually
async def test_a_transaction_in_which_nothing_has_been_done_begins_elsewhere(sql: str) -> None:
    """BEGIN has been answered, and its connection ends while the client thinks."""
    bench = Bench()
    first = await bench.do("BEGIN", BEGUN)
    first.connection_lost(None)
    second = await bench.start(sql)
    if sql.startswith("SELECT"):
        assert bench.sent(second).endswith(query("BEGIN") + query(sql))
        second.data_received(BEGUN + rows([b"1"], status=IN_TRANSACTION))
    else:
        assert bench.sent(second).endswith(query("BEGIN"))
        second.data_received(BEGUN)
        assert bench.sent(second) == query(sql)
        second.data_received(BEGUN)
    assert bench.client.errors == []
    assert bench.finished


@virtually
async def test_a_write_that_may_have_begun_does_not_begin_elsewhere() -> None:
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    await bench.start("UPDATE t SET a = 1")
    connection.connection_lost(None)
    await quiet()
    assert code(bench) == (1213, "40001", "fail")


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "CREATE TABLE x (a INT)",
        "TRUNCATE t",
        "BEGIN",
        "START TRANSACTION READ ONLY",
        "SET autocommit = 1",
        "ANALYZE TABLE t",
        "OPTIMIZE TABLE t",
        "LOCK TABLES t READ",
        "FLUSH TABLES",
        "GRANT SELECT ON *.* TO u",
        "CALL may_commit()",
        "XA START 'x'",
        "EXECUTE may_be_a_commit",
    ],
)
@virtually
async def test_whether_a_statement_that_commits_has_committed_is_unknown(sql: str) -> None:
    """An implicit commit too (manual, "Statements That Cause an Implicit Commit"): 40001 would mean "do it again"."""
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    await bench.do("UPDATE t SET a = 1", ok(status=IN_TRANSACTION))
    await bench.start(sql)
    connection.connection_lost(None)
    await quiet()
    assert code(bench) == (2013, "08S01", "fail and close")


@virtually
async def test_a_transaction_lost_before_its_commit_was_sent_is_rolled_back() -> None:
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    await bench.do("UPDATE t SET a = 1", BEGUN)
    connection.connection_lost(None)
    bench.executor.run(bench.plan("COMMIT"), query("COMMIT"))
    assert code(bench) == (1213, "40001", "fail")
    assert bench.pool_of("db1") == (0, 0, 0)


@virtually
async def test_other_state_that_was_lost_ends_the_client() -> None:
    bench = Bench()
    connection = await bench.do("SET @a = NOW()", ok(changes=changed(state_changed=True)))
    connection.connection_lost(None)
    bench.executor.run(bench.plan("SELECT a FROM t"), query("SELECT a FROM t"))
    assert code(bench) == (2013, "08S01", "fail and close")


@pytest.mark.parametrize("question", ["charset", "ping"])
@virtually
async def test_a_session_whose_state_cannot_be_read_back_ends(question: str) -> None:
    bench = Bench()
    if question == "charset":
        connection = await bench.start("SET NAMES latin1")
        connection.data_received(ok(changes=changed({"character_set_client": "latin1"})))
    else:
        connection = await bench.start("INSERT INTO t VALUES (1) RETURNING a")
        connection.data_received(ROW)
    assert not bench.finished
    connection.connection_lost(None)
    assert bench.client.events == ["abort"]
    assert bench.pool_of("db1") == (0, 0, 0)


# --- no server --------------------------------------------------------------------------------------------------------


@virtually
async def test_a_write_waits_for_a_primary() -> None:
    bench = Bench(R, R, patience=5)
    bench.executor.run(bench.plan("DELETE FROM t"), query("DELETE FROM t"))
    await asyncio.sleep(3)
    assert bench.client.errors == []
    bench.main.servers[0].role = P
    bench.main.refresh()
    await asyncio.sleep(0.2)
    connection = bench.executor.connection
    assert connection is not None
    assert bench.server_of(connection) == "db1"


@virtually
async def test_and_not_for_ever() -> None:
    bench = Bench(R, R, patience=5)
    bench.executor.run(bench.plan("DELETE FROM t"), query("DELETE FROM t"))
    await asyncio.sleep(5.2)
    assert code(bench) == (2003, "08S01", "fail")
    assert "primary" in bench.error.message
    assert bench.error.message.startswith("router: ")


@virtually
async def test_a_full_pool_is_too_many_connections() -> None:
    bench = Bench(P, R, most=1)
    busy = bench.crowd("db2", KEY)
    await quiet()
    assert busy.granted
    bench.executor.run(bench.plan("SELECT a FROM t"), query("SELECT a FROM t"))
    await asyncio.sleep(6)
    assert code(bench) == (1040, "08004", "fail")
    assert bench.pool_of("db2") == (1, 0, 0)


@virtually
async def test_a_server_that_cannot_be_reached() -> None:
    bench = Bench(P, R)
    for connector in bench.connectors.values():
        connector.willing = False
    bench.executor.run(bench.plan("DELETE FROM t"), query("DELETE FROM t"))
    for _ in range(20):
        await asyncio.sleep(0.5)
        for attempt in bench.connectors["db1"].pending:
            attempt.fail(BackendUnavailable("server db1: Access denied for user 'app'"))
    assert code(bench) == (2003, "08S01", "fail")
    assert "Access denied" in bench.error.message


# --- the client goes --------------------------------------------------------------------------------------------------


@virtually
async def test_who_leaves_while_waiting_gets_nothing() -> None:
    bench = Bench(P, R, most=1)
    busy = bench.crowd("db2", KEY)
    await quiet()
    bench.executor.run(bench.plan("SELECT a FROM t"), query("SELECT a FROM t"))
    assert bench.pool_of("db2")[2] == 1
    bench.executor.client_lost()
    assert bench.pool_of("db2") == (1, 0, 0)
    assert busy.granted


@virtually
async def test_the_statement_of_a_client_that_left_is_killed() -> None:
    bench = Bench()
    connection = await bench.start("SELECT SLEEP(1000)")
    bench.executor.client_lost()
    await quiet()
    assert connection.closed
    name = bench.server_of(connection)
    assert bench.connectors[name].killed == [(connection.thread_id, False)]
    assert bench.pool_of(name) == (0, 0, 0)
    assert bench.client.events == []


@virtually
async def test_the_transaction_of_a_client_that_left_is_rolled_back() -> None:
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    bench.sent(connection)
    bench.executor.client_lost()
    assert bench.sent(connection) == RESET
    connection.data_received(ok() * 3)
    assert bench.pool_of("db1") == (0, 1, 0)


@virtually
async def test_a_client_that_left_leaves_nothing_behind() -> None:
    bench = Bench()
    await bench.do("UPDATE t SET a = 1", ok(affected_rows=5))
    await bench.do("SELECT a FROM t")
    bench.executor.client_lost()
    assert bench.pool_of("db1")[0] == bench.pool_of("db2")[0] == 0


# --- KILL -------------------------------------------------------------------------------------------------------------


@virtually
async def test_kill_query_ends_what_runs_now() -> None:
    bench = Bench()
    connection = await bench.start("SELECT SLEEP(1000)")
    name = bench.server_of(connection)
    bench.executor.kill_query(lambda: None)
    await quiet()
    assert bench.connectors[name].killed == [(connection.thread_id, True)]
    connection.data_received(err(1317, "Query execution was interrupted", "70100"))
    assert bench.finished


@virtually
async def test_a_kill_under_way_hits_nobody_else() -> None:
    bench = Bench()
    connection = await bench.start("SELECT SLEEP(1000)")
    bench.executor.kill_query(lambda: None)
    connection.data_received(ROW)
    assert bench.finished
    assert connection.closed, "the KILL may still come"
    assert bench.pool_of(bench.server_of(connection)) == (0, 0, 0)


@virtually
async def test_a_kill_under_way_hits_not_even_the_session() -> None:
    bench = Bench(P)
    connection = await bench.start("UPDATE t SET a = 1")
    bench.executor.kill_query(lambda: None)
    connection.data_received(ok(affected_rows=1))
    assert bench.finished
    assert connection.closed, "otherwise kept for a while, should the session ask for what it affected"


@virtually
async def test_a_kill_that_comes_late_hits_nobody_else() -> None:
    bench = Bench()
    connection = await bench.start("SELECT SLEEP(1000)")
    bench.executor.kill_query(lambda: None)
    await quiet()
    connection.data_received(ROW)
    assert bench.finished, "the server had ended the statement before it knew of the KILL"
    assert connection.closed
    assert bench.pool_of(bench.server_of(connection)) == (0, 0, 0)


@virtually
async def test_a_killed_transaction_leaves_no_connection_to_others() -> None:
    bench = Bench()
    await bench.do("BEGIN", BEGUN)
    connection = await bench.start("SELECT SLEEP(1000)")
    bench.executor.kill_query(lambda: None)
    connection.data_received(rows([b"1"], status=IN_TRANSACTION))
    assert bench.finished
    assert not connection.closed, "the transaction goes on"
    bench.executor.leave()
    await quiet()
    assert connection.closed
    assert bench.pool_of("db1") == (0, 0, 0)


@virtually
async def test_kill_query_of_a_statement_that_still_waits() -> None:
    bench = Bench(P, most=1)
    crowd = bench.crowd("db1", bench.executor.key)
    await quiet()
    bench.executor.run(bench.plan("UPDATE t SET a = 1"), query("UPDATE t SET a = 1"))
    assert bench.client.events == []
    bench.executor.kill_query(lambda: None)
    assert bench.error.code == 1317
    crowd.pool.release(crowd.connection)
    assert bench.pool_of("db1") == (0, 1, 0)
    await bench.do("UPDATE t SET a = 2")
    assert bench.finished


@virtually
async def test_kill_query_of_who_runs_nothing() -> None:
    bench = Bench()
    await bench.do("BEGIN", BEGUN)
    bench.executor.kill_query(lambda: None)
    await quiet()
    assert bench.connectors["db1"].killed == []


# --- looking back -----------------------------------------------------------------------------------------------------


@virtually
async def test_the_insert_id_is_asked_on_the_connection_that_knows_it() -> None:
    bench = Bench()
    connection = await bench.do("INSERT INTO t VALUES (NULL)", ok(last_insert_id=41, affected_rows=1))
    assert not bench.executor.held
    assert bench.pool_of("db1") == (1, 0, 0), "it lingers"
    assert await bench.start("SELECT LAST_INSERT_ID()") is connection


@virtually
async def test_an_insert_id_goes_along_when_the_connection_is_wanted() -> None:
    bench = Bench(P, R, most=1)
    connection = await bench.do("INSERT INTO t VALUES (NULL)", ok(last_insert_id=41, affected_rows=1))
    bench.sent(connection)
    other = bench.crowd("db1", KEY)
    assert bench.sent(connection) == own_query(questions.ASK_IDENTITY)
    connection.data_received(rows([b"41", b"0"], names=("a", "b")))
    assert other.connection is connection
    assert bench.session.last_insert_id == 41
    bench.main.servers[0].pool.discard(connection)
    fresh = await bench.start("SELECT LAST_INSERT_ID()")
    assert own_query("SET last_insert_id = 41") in bench.sent(fresh)


@virtually
async def test_counts_cannot_go_along_into_expressions() -> None:
    bench = Bench(P, R, most=1)
    connection = await bench.do("UPDATE t SET a = 1", ok(affected_rows=3))
    other = bench.crowd("db1", KEY)
    assert other.connection is connection
    bench.main.servers[0].pool.release(connection)
    bench.executor.run(bench.plan("SELECT ROW_COUNT() + 1"), query("SELECT ROW_COUNT() + 1"))
    await quiet()
    assert bench.error.code == 1235
    assert bench.client.events[-1] == "fail"
    assert bench.client.data == ok(affected_rows=3), "no wrong number"
    assert not bench.executor.held


@pytest.mark.parametrize(
    ("sql", "answer", "count"),
    [
        ("UPDATE t SET a = 1", ok(affected_rows=3), b"3"),
        ("SELECT a FROM t", ROW, b"-1"),
        ("SET time_zone = '+01:00'", ok(changes=changed({"time_zone": "+01:00"})), b"0"),
        ("UPDATE t SET a = 1", err(1062), b"-1"),
    ],
)
@virtually
async def test_a_count_alone_is_filled_in(sql: str, answer: bytes, count: bytes) -> None:
    bench = Bench(P, R, most=1)
    await bench.do(sql, answer)
    bench.executor.leave()
    if bench.executor.look.connection is not None:
        other = bench.crowd("db1", KEY)
        await asyncio.sleep(1)
        bench.main.servers[0].pool.release(other.connection)
    assert bench.executor.look.connection is None
    bench.client.data = b""
    await bench.do("SELECT ROW_COUNT()", rows([b"99"]))
    assert bench.client.data == rows([count])
    await bench.do("SELECT ROW_COUNT()", rows([b"99"]))
    assert bench.client.data == rows([count]) + rows([b"-1"]), "after a SELECT"


@virtually
async def test_found_rows_are_asked_for_when_the_connection_is_wanted() -> None:
    bench = Bench(P, R, most=1)
    connection = await bench.do("SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1", ROW)
    other = bench.crowd("db1", KEY)
    await asyncio.sleep(1)
    connection.data_received(rows([b"0", b"17"], names=("a", "b")))
    bench.main.servers[0].pool.release(other.connection)
    bench.client.data = b""
    await bench.do("SELECT FOUND_ROWS()", rows([b"1"]))
    assert bench.client.data == rows([b"17"])


@virtually
async def test_a_ping_counts_as_a_statement() -> None:
    bench = Bench()
    await bench.do("SELECT a FROM t")
    bench.executor.look.elsewhere(read=False, warned=False)
    bench.client.data = b""
    await bench.do("SELECT ROW_COUNT()", rows([b"99"]))
    assert bench.client.data == rows([b"0"])


@virtually
async def test_counts_are_asked_on_the_connection_that_knows_them() -> None:
    bench = Bench()
    connection = await bench.do("UPDATE t SET a = 1", ok(affected_rows=3))
    assert await bench.start("SELECT ROW_COUNT()") is connection
    assert bench.client.errors == []


@pytest.mark.parametrize(
    "answer",
    [ok(warnings=2), err(1062, "Duplicate entry", "23000"), rows([b"1"], warnings=1)],
    ids=["ok", "err", "row"],
)
@virtually
async def test_warnings_are_shown_by_the_connection_that_has_them(answer: bytes) -> None:
    bench = Bench()
    sql = "SELECT 1 / 0" if answer[4] == 1 else "INSERT INTO t VALUES (1)"
    connection = await bench.do(sql, answer)
    bench.sent(connection)
    assert await bench.start("SHOW WARNINGS") is connection
    assert bench.sent(connection) == query("SHOW WARNINGS")


@pytest.mark.parametrize("sql", ["UPDATE t SET a = 1", "SELECT a FROM t"])
@virtually
async def test_an_error_is_shown_by_the_connection_that_has_it(sql: str) -> None:
    bench = Bench()
    connection = await bench.do(sql, err(1054, "Unknown column", "42S22"))
    bench.sent(connection)
    assert await bench.start("SHOW ERRORS") is connection
    assert bench.sent(connection) == query("SHOW ERRORS")


@virtually
async def test_on_mariadb_warnings_outlast_a_read_without_a_table() -> None:
    bench = Bench()
    connection = await bench.do("UPDATE t SET a = 1", ok(warnings=2))
    assert await bench.do("SELECT 1") is connection
    bench.sent(connection)
    assert await bench.start("SHOW WARNINGS") is connection
    assert bench.sent(connection) == query("SHOW WARNINGS")


@virtually
async def test_warnings_of_an_older_statement_are_not_shown() -> None:
    bench = Bench()
    connection = await bench.do("INSERT INTO t VALUES (NULL)", ok(last_insert_id=41, warnings=1))
    bench.sent(connection)
    read = await bench.do("SELECT a FROM t")
    shown = await bench.start("SHOW WARNINGS")
    if shown is connection:
        assert own_query(questions.CLEAR_WARNINGS) in bench.sent(connection)
    else:
        assert shown is read


@virtually
async def test_a_refused_question_does_not_lose_the_insert_id() -> None:
    """ROW_COUNT() of a statement that ran elsewhere may be refused; LAST_INSERT_ID() is still known."""
    bench = Bench()
    await bench.do("INSERT INTO t VALUES (NULL)", ok(last_insert_id=41, affected_rows=1))
    for sql in ("SELECT a FROM t", "SELECT ROW_COUNT()"):
        bench.executor.run(bench.plan(sql), query(sql))
        await quiet()
        await bench.answer_all(rows([b"41", b"0"], names=("a", "b")))
        assert bench.finished
    before = len(bench.client.errors)
    bench.executor.run(bench.plan("SELECT LAST_INSERT_ID()"), query("SELECT LAST_INSERT_ID()"))
    await quiet()
    assert len(bench.client.errors) == before


@virtually
async def test_the_next_command_waits_for_the_answer_about_the_last() -> None:
    bench = Bench(P, R, most=1)
    connection = await bench.do("INSERT INTO t VALUES (NULL)", ok(last_insert_id=41, affected_rows=1))
    bench.crowd("db1", KEY)
    assert not bench.executor.ready
    connection.data_received(rows([b"41", b"0"], names=("a", "b")))
    assert bench.executor.ready


@virtually
async def test_a_lingering_connection_that_ended_is_not_used() -> None:
    bench = Bench()
    connection = await bench.do("UPDATE t SET a = 1", ok(affected_rows=3))
    connection.connection_lost(None)
    fresh = await bench.start("UPDATE t SET a = 2")
    assert fresh is not connection
    assert wire(fresh).written == query("UPDATE t SET a = 2")
    assert bench.pool_of("db1") == (1, 0, 0)


@pytest.mark.parametrize(
    ("sql", "waits"),
    [("SET NAMES utf8mb4", False), ("SET @a = 1", False), ("SET @a = NOW()", True), ("SET insert_id = 5", True)],
)
@virtually
async def test_without_a_primary_nobody_is_pinned_to_a_replica(sql: str, waits: bool) -> None:
    """Or what the session writes later would be refused there."""
    bench = Bench(R)
    bench.executor.run(bench.plan(sql), query(sql))
    await quiet()
    assert (bench.executor.connection is None) is waits
    assert bench.session.pins == set()
    begun = Bench(R)
    begun.session.open_later(b"BEGIN")
    begun.executor.run(begun.plan(sql), query(sql))
    await quiet()
    assert begun.executor.connection is None, "a transaction begins with it"
    if waits:
        (server,) = bench.main.servers
        server.role = P
        bench.main.refresh()
        await asyncio.sleep(0.1)
        assert bench.executor.connection is not None
        assert bench.session.pins
