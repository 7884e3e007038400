"""One session's statements on their servers: state goes along, answers come back, connections go where they belong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.backend.reset import query as own_query
from router.backend.reset import settle_commands, use_schema
from router.engine import questions
from router.session.variables import VariableSet
from router.sql.facts import PinReason
from router.wire.constants import Capability, ServerStatus
from router.wire.framing import frame
from tests.engine.bench import ROW, Bench, P, R
from tests.fakes import AUTOCOMMIT, PROFILE, changed, eof, err, ok, query, quiet, rows, virtually, wire

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
BEGUN = ok(status=IN_TRANSACTION, changes=changed(transaction_characteristics="START TRANSACTION;"))
PING = frame(b"\x0e", 0)
LATIN1 = rows([b"latin1", b"latin1", b"latin1_swedish_ci"], names=("a", "b", "c"))


# --- the simple life --------------------------------------------------------------------------------------------------


@virtually
async def test_a_read_goes_to_a_replica_and_comes_back_unchanged() -> None:
    bench = Bench()
    connection = await bench.start("SELECT a FROM t WHERE id = 7")
    assert bench.server_of(connection) == "db2"
    assert bench.sent(connection) == query("SELECT a FROM t WHERE id = 7")
    assert not bench.finished
    connection.data_received(ROW)
    assert bench.client.data == ROW
    assert bench.finished
    assert bench.pool_of("db2") == (0, 1, 0)
    assert not bench.executor.held
    assert bench.counters.decisions["read"] == 1


@virtually
async def test_a_write_goes_to_the_primary() -> None:
    bench = Bench()
    connection = await bench.do("UPDATE t SET a = 1", ok(affected_rows=0))
    assert bench.server_of(connection) == "db1"
    assert bench.client.data == ok()
    assert bench.finished
    assert bench.pool_of("db1") == (0, 1, 0)
    server = bench.main.servers[0]
    assert server.commands[3] == 1
    assert sum(server.durations.counts) == 1


@virtually
async def test_the_servers_errors_are_the_clients() -> None:
    bench = Bench()
    await bench.do("SELECT nonsense FROM t", err(1054, "Unknown column 'nonsense'", "42S22"))
    assert bench.client.data == err(1054, "Unknown column 'nonsense'", "42S22")
    assert bench.client.errors == []
    assert bench.finished
    assert bench.counters.errors == {("backend", 1054): 1}


@virtually
async def test_one_connection_serves_one_statement_after_the_other() -> None:
    bench = Bench()
    first = await bench.do("SELECT a FROM t")
    assert await bench.do("SELECT b FROM t") is first
    assert len(bench.connectors["db2"].opened) == 1


@virtually
async def test_another_group_for_another_database() -> None:
    bench = Bench()
    assert bench.server_of(await bench.do("SELECT * FROM blog.posts")) == "other"
    assert bench.server_of(await bench.do("SELECT * FROM shop.items")) == "db2"


# --- state goes along -------------------------------------------------------------------------------------------------


@virtually
async def test_a_read_carries_its_session_in_front() -> None:
    bench = Bench(schema="shop", collation_id=8)
    connection = await bench.start("SELECT a FROM t")
    assert bench.sent(connection) == (
        use_schema("shop") + own_query("SET NAMES latin1 COLLATE latin1_swedish_ci") + query("SELECT a FROM t")
    )
    connection.data_received(ok() + ok() + ROW)
    assert bench.client.data == ROW
    assert await bench.start("SELECT b FROM t") is connection
    assert bench.sent(connection) == query("SELECT b FROM t"), "the connection is there already"


@virtually
async def test_a_write_waits_until_its_session_is_there() -> None:
    bench = Bench(schema="shop", collation_id=8)
    connection = await bench.start("DELETE FROM t")
    assert bench.sent(connection) == use_schema("shop") + own_query("SET NAMES latin1 COLLATE latin1_swedish_ci")
    connection.data_received(ok())
    assert bench.sent(connection) == b""
    connection.data_received(ok())
    assert bench.sent(connection) == query("DELETE FROM t")
    connection.data_received(ok())
    assert bench.client.data == ok()


@virtually
async def test_variables_go_from_connection_to_connection() -> None:
    bench = Bench()
    primary = await bench.do("SET time_zone = '+02:00'", ok(changes=changed({"time_zone": "+02:00"})))
    assert bench.client.data == ok(), "the client did not ask for trackers"
    assert primary.variables is bench.session.variables
    replica = await bench.start("SELECT a FROM t")
    assert bench.server_of(replica) == "db2"
    assert bench.sent(replica) == own_query("SET time_zone = '+02:00'") + query("SELECT a FROM t")


@virtually
async def test_a_connection_forgets_what_another_session_had_set() -> None:
    bench = Bench()
    connection = await bench.do("SELECT a FROM t")
    connection.variables = connection.variables.with_changes({"sql_mode": "ANSI"})
    bench.sent(connection)
    assert await bench.start("SELECT a FROM t") is connection
    assert bench.sent(connection) == own_query("SET sql_mode = DEFAULT") + query("SELECT a FROM t")


@pytest.mark.parametrize("sql", ["SELECT a FROM t", "DELETE FROM t"])
@pytest.mark.parametrize("refused", [0, 1])
@virtually
async def test_a_session_that_cannot_be_applied_is_the_clients_error(sql: str, refused: int) -> None:
    bench = Bench(schema="gone", collation_id=8)
    connection = await bench.start(sql)
    replies = [ok(), ok(), ROW if sql.startswith("SELECT") else b""]
    replies[refused] = err(1049, "Unknown database 'gone'")
    connection.data_received(b"".join(replies))
    assert (bench.error.code, bench.error.message) == (1049, "Unknown database 'gone'")
    assert bench.client.data == b""
    assert bench.client.events == ["fail"]
    assert connection.closed
    assert not bench.executor.held
    assert bench.pool_of(bench.server_of(connection)) == (0, 0, 0)


@virtually
async def test_a_session_can_leave_a_database_that_is_gone() -> None:
    """Somebody else dropped it. A server lets its clients USE another one."""
    bench = Bench(schema="gone")
    connection = await bench.start("USE shop")
    assert use_schema("gone") not in bench.sent(connection)
    connection.data_received(ok(changes=changed(schema="shop")))
    assert bench.session.schema == "shop"
    assert bench.finished


@virtually
async def test_the_schema_follows_the_servers_reports() -> None:
    bench = Bench()
    connection = await bench.do("USE shop", ok(changes=changed(schema="shop")))
    assert bench.session.schema == connection.schema == "shop"
    assert bench.executor.key == ("app", 0, True)
    again = await bench.do("DROP DATABASE shop", ok(changes=changed(schema="")), prefix=0)
    assert again.schema is None
    assert bench.executor.key == ("app", 0, False)


@virtually
async def test_the_schema_of_another_group_is_not_sent_along() -> None:
    bench = Bench(schema="blog")
    connection = await bench.start("SELECT * FROM shop.items")
    assert bench.sent(connection) == query("SELECT * FROM shop.items")


# --- character sets ---------------------------------------------------------------------------------------------------


@virtually
async def test_a_new_charset_is_read_back_before_the_connection_may_leave() -> None:
    bench = Bench()
    connection = await bench.start("SET NAMES latin1")
    bench.sent(connection)
    connection.data_received(ok(changes=changed({"character_set_client": "latin1"})))
    assert bench.client.data == ok()
    assert not bench.finished
    assert bench.sent(connection) == own_query(questions.ASK_CHARSET)
    connection.data_received(LATIN1)
    if bench.sent(connection) == PING:
        connection.data_received(ok())
    assert bench.finished
    assert bench.session.variables is VariableSet.of(PROFILE.charset_of(8))
    assert connection.variables is bench.session.variables
    assert bench.client.data == ok()


@virtually
async def test_what_set_names_does_is_asked_once() -> None:
    bench = Bench()
    for _ in range(2):
        connection = await bench.start("SET NAMES latin1")
        connection.data_received(ok(changes=changed({"character_set_client": "latin1"})))
        while connection.busy:
            asked = bench.sent(connection)
            connection.data_received(LATIN1 if asked.endswith(own_query(questions.ASK_CHARSET)) else ok())
        assert bench.finished
        bench.sent(connection)
    connection = await bench.start("SET NAMES latin1")
    connection.data_received(ok(changes=changed({"character_set_client": "latin1"})))
    assert bench.finished
    assert bench.session.variables is VariableSet.of(PROFILE.charset_of(8))


# --- transactions and pins --------------------------------------------------------------------------------------------


@virtually
async def test_a_transaction_stays_on_its_connection() -> None:
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    assert bench.executor.held
    assert await bench.do("SELECT a FROM t", rows([b"1"], status=IN_TRANSACTION)) is connection
    assert await bench.do("UPDATE t SET a = 1", ok(status=IN_TRANSACTION)) is connection
    assert bench.pool_of("db1") == (1, 0, 0)
    assert bench.pool_of("db2") == (0, 0, 0)
    await bench.do("COMMIT", ok(changes=changed(transaction_characteristics="")))
    assert not bench.executor.held
    assert bench.server_of(await bench.do("SELECT a FROM t")) == "db2"


@virtually
async def test_a_statement_of_another_group_inside_a_transaction_is_refused() -> None:
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    bench.sent(connection)
    bench.executor.run(bench.plan("SELECT * FROM blog.posts"), query("SELECT * FROM blog.posts"))
    assert bench.error.code == 1235
    assert bench.sent(connection) == b""
    assert bench.session.transaction


@virtually
async def test_without_autocommit_reads_go_to_the_primary() -> None:
    bench = Bench()
    off = ok(status=0, changes=changed({"autocommit": "OFF"}))
    await bench.do("SET autocommit = 0", off)
    connection = await bench.start("SELECT a FROM t")
    assert bench.server_of(connection) == "db1"


@virtually
async def test_the_transaction_that_a_read_opens_without_autocommit_holds() -> None:
    bench = Bench()
    await bench.do("SET autocommit = 0", ok(status=0, changes=changed({"autocommit": "OFF"})))
    connection = await bench.do("SELECT a FROM t", rows([b"1"], status=int(ServerStatus.IN_TRANS)))
    assert bench.session.transaction
    assert bench.executor.connection is connection


@pytest.mark.parametrize(
    ("sql", "pin"),
    [
        ("SET @a = NOW()", PinReason.USER_VARIABLE),
        ("SELECT GET_LOCK('a', 1)", PinReason.NAMED_LOCK),
        ("SELECT @a := 1", PinReason.USER_VARIABLE),
        ("LOCK TABLES t READ", PinReason.LOCK_TABLES),
        ("CALL p()", PinReason.ROUTINE),
        ("HANDLER t OPEN", PinReason.HANDLER),
        ("SET timestamp = 1", PinReason.UNTRACKED_VARIABLE),
    ],
)
@virtually
async def test_what_no_tracker_reports_pins(sql: str, pin: PinReason) -> None:
    bench = Bench()
    connection = await bench.do(sql)
    assert pin in bench.session.pins
    assert bench.executor.held
    assert await bench.do("SELECT a FROM t") is connection


@virtually
async def test_a_temporary_table_pins_by_its_tracker() -> None:
    bench = Bench()
    connection = await bench.do("CREATE TEMPORARY TABLE x (a INT)", ok(changes=changed(state_changed=True)))
    assert bench.executor.held
    assert await bench.do("SELECT a FROM x") is connection


@virtually
async def test_what_did_not_end_in_an_ok_is_followed_by_a_ping() -> None:
    """Only OK packets carry trackers; what a statement with rows has changed comes with the next one."""
    bench = Bench()
    connection = await bench.start("INSERT INTO t VALUES (1) RETURNING a")
    bench.sent(connection)
    connection.data_received(ROW)
    assert bench.client.data == ROW
    assert bench.sent(connection) == PING
    assert not bench.finished
    connection.data_received(ok(changes=changed({"time_zone": "+05:00"})))
    assert bench.finished
    assert bench.client.data == ROW
    assert bench.session.variables.values["time_zone"] == "+05:00"


@virtually
async def test_a_failed_multi_statement_is_followed_by_a_ping() -> None:
    bench = Bench(shape=int(Capability.MULTI_STATEMENTS))
    connection = await bench.start("SET time_zone = '+05:00'; SELECT nonsense")
    connection.data_received(
        ok(status=AUTOCOMMIT | 8, changes=changed({"time_zone": "+05:00"})) + err(1054, sequence=2)
    )
    assert bench.session.variables.values["time_zone"] == "+05:00"
    if connection.busy:
        connection.data_received(ok())
    assert bench.finished


# --- other commands ---------------------------------------------------------------------------------------------------


@virtually
async def test_reset_forgets_and_cleans_up() -> None:
    bench = Bench()
    connection = await bench.do("SET @a = 1", ok(changes=changed(state_changed=True)))
    bench.sent(connection)
    bench.executor.reset()
    assert not bench.session.holds
    assert not bench.executor.held
    assert bench.sent(connection) == settle_commands(PROFILE, 0, reset=True)
    assert bench.pool_of("db1") == (1, 0, 0)
    connection.data_received(ok() * 3)
    assert bench.pool_of("db1") == (0, 1, 0)


@virtually
async def test_a_new_shape_is_another_kind_of_connection() -> None:
    bench = Bench()
    old = await bench.do("SELECT a FROM t")
    done: list[bool] = []
    bench.executor.reshape(int(Capability.MULTI_STATEMENTS), b"option", lambda: done.append(True))
    assert done == [True]
    new = await bench.start("SELECT a FROM t")
    assert new is not old
    assert new.key[1] == Capability.MULTI_STATEMENTS


@virtually
async def test_a_held_connection_is_reshaped_where_it_is() -> None:
    bench = Bench()
    connection = await bench.do("BEGIN", BEGUN)
    bench.sent(connection)
    done: list[bool] = []
    bench.executor.reshape(int(Capability.MULTI_STATEMENTS), b"option", lambda: done.append(True))
    assert bench.sent(connection) == b"option"
    assert done == []
    connection.data_received(eof(1))
    assert done == [True]
    assert connection.key[1] == Capability.MULTI_STATEMENTS


# --- flow control -----------------------------------------------------------------------------------------------------


@virtually
async def test_a_slow_client_stops_its_server() -> None:
    bench = Bench()
    connection = await bench.start("SELECT a FROM t")
    connection.data_received(ROW[:20])
    bench.executor.client_paused()
    assert not wire(connection).reading
    bench.executor.client_resumed()
    assert wire(connection).reading


@pytest.mark.parametrize("transaction", [False, True])
@virtually
async def test_a_slow_client_that_pipelines_does_not_fill_our_memory(transaction: bool) -> None:
    """asyncio says "pause" once; the answers to its other commands must be held back as well."""
    bench = Bench()
    status = AUTOCOMMIT
    if transaction:
        await bench.do("BEGIN", BEGUN)
        status = IN_TRANSACTION
    first = await bench.start("SELECT a FROM t")
    bench.executor.client_paused()
    first.data_received(rows([b"1"], status=status))
    if not bench.finished:
        return  # the next command does not come before the client has read
    second = await bench.start("SELECT b FROM t")
    assert not wire(second).reading
    bench.executor.client_resumed()
    assert wire(second).reading


@virtually
async def test_nobody_inherits_a_paused_connection() -> None:
    bench = Bench()
    connection = await bench.start("SELECT a FROM t")
    bench.executor.client_paused()
    connection.data_received(ROW)
    bench.executor.client_lost()
    other = bench.crowd("db2", ("app", 0, False))
    assert other.connection is connection
    assert wire(connection).reading


@virtually
async def test_a_slow_server_stops_its_client() -> None:
    bench = Bench()
    connection = await bench.start("INSERT INTO t VALUES (1)")
    connection.pause_writing()
    assert not bench.client.reading
    connection.resume_writing()
    assert bench.client.reading


@virtually
async def test_a_file_is_asked_for() -> None:
    bench = Bench(shape=int(Capability.LOCAL_FILES))
    connection = await bench.start("LOAD DATA LOCAL INFILE 'f' INTO TABLE t")
    connection.data_received(frame(b"\xfbf", 1))
    assert bench.client.events == ["file"]
    assert bench.client.data == frame(b"\xfbf", 1)
    connection.scanner.file_sent()
    connection.data_received(ok(4, affected_rows=2))
    assert bench.finished


# --- many sessions ----------------------------------------------------------------------------------------------------


@virtually
async def test_who_waits_is_served_when_the_connection_comes_back() -> None:
    bench = Bench(P, R, most=1)
    connection = await bench.start("SELECT a FROM t")
    other = bench.crowd("db2", ("app", 0, False))
    assert other.granted == []
    connection.data_received(ROW)
    assert other.connection is connection
    assert bench.finished


@virtually
async def test_reads_from_the_primary_if_the_group_says_so() -> None:
    bench = Bench(reads="primary")
    assert bench.server_of(await bench.do("SELECT a FROM t")) == "db1"


@virtually
async def test_a_mysql_session_begins_with_the_servers_charset() -> None:
    bench = Bench(profile=replace(PROFILE, flavor="mysql"))
    connection = await bench.start("SELECT a FROM t")
    assert bench.sent(connection) == query("SELECT a FROM t")


@virtually
async def test_who_has_asked_for_counts_is_given_time_to_ask_again() -> None:
    bench = Bench(P, most=1)
    await bench.do("UPDATE t SET a = 1", ok(affected_rows=3))
    await bench.do("SELECT ROW_COUNT() + 0")
    kept = await bench.do("UPDATE t SET a = 2", ok(affected_rows=2))
    bench.sent(kept)
    crowd = bench.crowd("db1", bench.executor.key)
    await quiet()
    assert not crowd.granted, "the answer is worth a moment"
    assert await bench.do("SELECT ROW_COUNT() + 0") is kept
    assert bench.client.errors == []


# --- transactions that wait for their group ---------------------------------------------------------------------------


@virtually
async def test_the_first_statement_with_a_group_opens_the_transaction() -> None:
    bench = Bench(P, R)
    bench.session.open_later(b"START TRANSACTION")
    nameless = replace(bench.plan("SELECT 1"), anywhere=True)
    bench.executor.run(nameless, query("SELECT 1"))
    await quiet()
    (elsewhere,) = bench.busy()
    assert b"START" not in bench.sent(elsewhere)
    elsewhere.data_received(ROW)
    assert bench.session.transaction
    assert bench.executor.connection is None

    bench.executor.run(bench.plan("SELECT a FROM blog.t"), query("SELECT a FROM blog.t"))
    await quiet()
    (connection,) = bench.busy()
    assert bench.server_of(connection) == "other"
    assert query("START TRANSACTION") in bench.sent(connection)
    connection.data_received(BEGUN + ROW)
    assert bench.executor.connection is connection
    assert bench.session.opening is None

    commit = replace(bench.plan("COMMIT"), anywhere=True)
    bench.executor.run(commit, query("COMMIT"))
    assert bench.sent(connection) == query("COMMIT"), "it follows the transaction"
    connection.data_received(ok())
    assert bench.executor.connection is None
    assert bench.client.errors == []


@virtually
async def test_a_transaction_that_cannot_be_opened_is_rolled_back() -> None:
    bench = Bench(P, R)
    bench.session.open_later(b"BEGIN")
    connection = await bench.start("UPDATE t SET a = 1")
    connection.data_received(err(1205, "cannot"))
    assert bench.error.code == 1213
    assert connection.closed
    assert not bench.session.transaction


@virtually
async def test_a_question_about_the_past_goes_to_the_group_that_knows() -> None:
    bench = Bench(P, R)
    knows = await bench.do("INSERT INTO blog.t VALUES (NULL)", ok(affected_rows=1, last_insert_id=7))
    bench.sent(knows)
    asks = replace(bench.plan("SELECT LAST_INSERT_ID()"), anywhere=True)
    bench.executor.run(asks, query("SELECT LAST_INSERT_ID()"))
    await quiet()
    assert bench.sent(knows) == query("SELECT LAST_INSERT_ID()")
    knows.data_received(ROW)
    bench.executor.run(bench.plan("INSERT INTO t VALUES (LAST_INSERT_ID())"), query("INSERT"))
    await quiet()
    assert bench.sent(knows) == b"", "never on a server of another group"
