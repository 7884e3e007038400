"""Every command of the protocol through the router, compared with the server where the server answers."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import CLIENT

from router.sandbox import ReplicaSet, Server
from router.wire.constants import Command
from tests.fix_router import RunningRouter, direct, settings_for


def send(connection: Connection, command: int, argument: bytes = b"") -> bytes:
    """Send one raw command and return the first packet of its answer; raises what an ERR packet says."""
    connection._execute_command(command, argument)
    return bytes(connection._read_packet()._data)


def rows(connection: Connection, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll until ``condition`` holds, at most 15 seconds."""
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def running(server: Server, marker: str) -> list[Any]:
    """Threads of ``app`` on the server that run a statement containing ``marker``."""
    found = server.execute("SELECT id, info FROM information_schema.processlist WHERE user = 'app'")
    return [row[0] for row in found if row[1] and marker in str(row[1])]


@pytest.fixture
def pair(server_set: ReplicaSet, router: RunningRouter) -> Iterator[tuple[Connection, Connection]]:
    """(direct, through the router), both in database ``commands`` with a table of three rows."""
    primary = server_set.primary
    primary.execute("DROP DATABASE IF EXISTS commands")
    primary.execute("CREATE DATABASE commands")
    primary.execute("CREATE TABLE commands.t (id INT PRIMARY KEY, v VARCHAR(20) DEFAULT 'none')")
    primary.execute("INSERT INTO commands.t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    server_set.wait_for_replicas()
    options: dict[str, Any] = {"database": "commands", "local_infile": True, "client_flag": CLIENT.MULTI_STATEMENTS}
    truth, ours = direct(primary, server_set, **options), router.connect(**options)
    yield truth, ours
    for connection in (truth, ours):
        with suppress(pymysql.MySQLError):
            connection.close()
    primary.execute("DROP DATABASE commands")


def test_a_procedure_with_a_cursor_of_its_own(pair: tuple[Connection, Connection]) -> None:
    """MariaDB then sets the flag for cursors, although the rows follow."""
    for connection in pair:
        with connection.cursor() as cursor:
            cursor.execute("DROP PROCEDURE IF EXISTS p1")
            cursor.execute(
                "CREATE PROCEDURE p1() BEGIN DECLARE a INT; DECLARE c CURSOR FOR SELECT 1; OPEN c; FETCH c INTO a; "
                "SELECT a, 'row'; SELECT 2; END"
            )
            cursor.execute("CALL p1()")
            assert cursor.fetchall() == ((1, "row"),)
            assert cursor.nextset()
            assert cursor.fetchall() == ((2,),)


def test_connection_id_is_the_one_of_the_login(pair: tuple[Connection, Connection]) -> None:
    truth, ours = pair
    for sql in ("SELECT CONNECTION_ID()", "select connection_id ( ) AS `id` from dual", "SELECT connection_id() x;"):
        for connection in pair:
            assert rows(connection, sql) == ((connection.thread_id(),),)
        metadata = []
        for connection in pair:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                metadata.append(cursor.description)
        assert metadata[0] == metadata[1]
    truth.commit()
    ours.commit()


def test_a_silent_client_keeps_to_its_own_wait_timeout(server_set: ReplicaSet, router: RunningRouter) -> None:
    connection = router.connect()
    rows(connection, "SET wait_timeout = 1")

    def gone() -> bool:
        return not len(router.call(lambda gateway: gateway.sessions))

    wait_until(gone, "the end of the silent session")
    with pytest.raises(pymysql.MySQLError):
        rows(connection, "SELECT 1")


def test_ping_with_and_without_a_held_connection(pair: tuple[Connection, Connection]) -> None:
    for connection in pair:
        assert send(connection, Command.PING) == b"\x00\x00\x00\x02\x00\x00\x00"
        connection.query("BEGIN")
        answer = send(connection, Command.PING)
        assert answer[3] & 1, "the transaction flag"
        connection.query("ROLLBACK")


def test_init_db(pair: tuple[Connection, Connection]) -> None:
    for connection in pair:
        assert send(connection, Command.INIT_DB, b"information_schema")[0] == 0
        assert rows(connection, "SELECT DATABASE()") == (("information_schema",),)
        with pytest.raises(pymysql.MySQLError) as caught:
            send(connection, Command.INIT_DB, b"no `such`")
        assert caught.value.args == (1049, "Unknown database 'no `such`'")
        assert rows(connection, "SELECT DATABASE()") == (("information_schema",),)


def test_unknown_schema_at_login(server_set: ReplicaSet, router: RunningRouter) -> None:
    with pytest.raises(pymysql.MySQLError) as truth:
        direct(server_set.primary, server_set, database="no_such_database")
    with pytest.raises(pymysql.MySQLError) as ours:
        router.connect(database="no_such_database")
    assert ours.value.args == truth.value.args


def test_field_list(pair: tuple[Connection, Connection]) -> None:
    packets: list[list[bytes]] = []
    for connection in pair:
        first = send(connection, Command.FIELD_LIST, b"t\x00%")
        seen = [first]
        while seen[-1][:1] != b"\xfe":
            seen.append(bytes(connection._read_packet()._data))
        packets.append(seen)
    assert packets[0] == packets[1]
    assert len(packets[0]) == 3


def test_statistics(pair: tuple[Connection, Connection]) -> None:
    for connection in pair:
        assert send(connection, Command.STATISTICS).startswith(b"Uptime:")
        assert rows(connection, "SELECT 1") == ((1,),)


@pytest.mark.parametrize("command", [Command.REFRESH, Command.DEBUG, Command.PROCESS_INFO])
def test_commands_of_mysqladmin(pair: tuple[Connection, Connection], command: Command) -> None:
    answers = []
    for connection in pair:
        try:
            first = send(connection, command, b"\x04" if command is Command.REFRESH else b"")
            answers.append(first[:1])
            ends = 0 if command is not Command.PROCESS_INFO else 2
            while ends:
                packet = bytes(connection._read_packet()._data)
                ends -= packet[:1] == b"\xfe" and len(packet) < 9
        except pymysql.MySQLError as error:
            answers.append(error.args)
        assert rows(connection, "SELECT COUNT(*) FROM t") == ((3,),)
    assert answers[0] == answers[1]


def test_unknown_commands_are_refused(pair: tuple[Connection, Connection]) -> None:
    _, ours = pair
    for command in (Command.BINLOG_DUMP, Command.REGISTER_SLAVE, Command.SHUTDOWN, 0x7F):
        with pytest.raises(pymysql.MySQLError) as caught:
            send(ours, command, b"\x00" * 10)
        assert caught.value.args[0] == 1047
        assert rows(ours, "SELECT 1") == ((1,),)


def test_set_option_turns_multi_statements_off_and_on(pair: tuple[Connection, Connection]) -> None:
    for connection in pair:
        connection.query("SELECT 1; SELECT 2")
        assert connection.next_result() is not None
        assert send(connection, Command.SET_OPTION, b"\x01\x00")[0] == 0xFE
        with pytest.raises(pymysql.err.ProgrammingError):
            connection.query("SELECT 1; SELECT 2")
        assert send(connection, Command.SET_OPTION, b"\x00\x00")[0] == 0xFE
        connection.query("SELECT 1; SELECT 2")
        connection.next_result()


def test_multi_statements_are_off_unless_asked_for(server_set: ReplicaSet, router: RunningRouter) -> None:
    with router.connect() as connection:
        connection.client_flag &= ~CLIENT.MULTI_STATEMENTS
        with pytest.raises(pymysql.err.ProgrammingError):
            connection.query("SELECT 1; SELECT 2")


def test_multi_statement_with_an_error_in_the_middle(pair: tuple[Connection, Connection]) -> None:
    for connection in pair:
        connection.query(
            "INSERT INTO t VALUES (10, 'x'); SELECT nothing FROM t; SELECT 3"
            if connection is pair[0]
            else "INSERT INTO t VALUES (11, 'x'); SELECT nothing FROM t; SELECT 3"
        )
        with pytest.raises(pymysql.MySQLError) as caught:
            connection.next_result()
        assert caught.value.args[0] == 1054
        assert rows(connection, "SELECT 1") == ((1,),)


def test_reset_connection(pair: tuple[Connection, Connection]) -> None:
    seen = []
    for connection in pair:
        connection.query("SET @a = 1, sql_mode = 'ANSI'")
        connection.query("SET NAMES latin1")
        connection.query("CREATE TEMPORARY TABLE tt (a INT)")
        connection.query("BEGIN")
        assert send(connection, Command.RESET_CONNECTION)[0] == 0
        state = rows(connection, "SELECT @a, @@sql_mode, DATABASE(), @@character_set_client, @@collation_connection")
        with pytest.raises(pymysql.MySQLError) as caught:
            connection.query("SELECT * FROM tt")
        seen.append((state, caught.value.args))
    assert seen[0] == seen[1]


def test_change_user(pair: tuple[Connection, Connection], router: RunningRouter) -> None:
    """As libmysqlclient does it; the password goes through the plugin the server asks for."""
    _, ours = pair
    ours.query("SET @a = 5")
    change_user(ours, b"app", router.password.encode(), b"information_schema")
    assert rows(ours, "SELECT @a, DATABASE()") == ((None, "information_schema"),)


def change_user(connection: Connection, user: bytes, password: bytes, schema: bytes) -> None:
    from pymysql import _auth

    argument = user + b"\0" + b"\0" + schema + b"\0" + b"\x2d\x00" + b"mysql_native_password\0" + b"\0"
    connection._execute_command(Command.CHANGE_USER, argument)
    packet = connection._read_packet()
    assert packet.is_auth_switch_request()
    packet.read_uint8()
    plugin, nonce = packet.read_string(), packet.read_all().rstrip(b"\0")
    scramble = {
        b"mysql_native_password": _auth.scramble_native_password,
        b"caching_sha2_password": _auth.scramble_caching_sha2,
    }[plugin]
    connection.write_packet(scramble(password, nonce))
    packet = connection._read_packet()
    while packet.is_extra_auth_data():
        if packet._data == b"\1\4":  # full authentication: what follows would be the password, encrypted
            connection.write_packet(b"not encrypted")
        packet = connection._read_packet()
    assert packet.is_ok_packet()


def test_a_refused_change_of_user(server_set: ReplicaSet, pair: tuple[Connection, Connection]) -> None:
    """MariaDB goes on as the old user, in a session that is new; MySQL hangs up."""
    heard = []
    for connection in pair:
        for sql in ("SET @a = 1, sql_mode = 'ANSI', NAMES latin1", "CREATE TEMPORARY TABLE tmp (a INT)", "USE mysql"):
            rows(connection, sql)
        mode = rows(connection, "SELECT @@global.sql_mode")
        answers = []
        for user, password, schema in ((b"app", b"x", b""), (b"nobody", b"x", b""), (b"app", b"app-secret", b"none")):
            try:
                change_user(connection, user, password, schema)
            except pymysql.MySQLError as error:
                answers.append(error.args)
            if server_set.flavor == "mysql":
                with pytest.raises(pymysql.MySQLError):
                    rows(connection, "SELECT 1")
                break
            state = rows(connection, "SELECT USER(), DATABASE(), @a, @@sql_mode, @@character_set_client, @@autocommit")
            assert state[0][3] == mode[0][0]
            answers.append(state)
        else:
            with pytest.raises(pymysql.MySQLError) as tired:
                change_user(connection, b"app", b"app-secret", b"")
            answers.append(tired.value.args)
            with pytest.raises(pymysql.MySQLError, match="1146"):
                rows(connection, "SELECT * FROM commands.tmp")
        # MySQL says NO after a password that cannot be decrypted.
        heard.append(str(answers).replace("password: NO", "password: YES"))
    assert heard[0] == heard[1]


def test_load_data_local(server_set: ReplicaSet, pair: tuple[Connection, Connection], tmp_path: Path) -> None:
    small, large, missing = tmp_path / "small.csv", tmp_path / "large.csv", tmp_path / "missing.csv"
    small.write_text("100\tone\n101\ttwo\n")
    large.write_text("".join(f"{number}\t{'x' * 15}\n" for number in range(1000, 120_000)))
    seen = []
    for connection in pair:
        counts = []
        for path in (small, large):
            connection.query(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE t")
            counts.append(connection.affected_rows())
            connection.query("DELETE FROM t WHERE id >= 100")
        with pytest.raises(pymysql.MySQLError) as caught:
            connection.query(f"LOAD DATA LOCAL INFILE '{missing}' INTO TABLE t")
        server_set.wait_for_replicas()
        assert rows(connection, "SELECT count(*) FROM t") == ((3,),)
        seen.append((counts, caught.value.args))
    assert seen[0] == seen[1]


def test_load_data_local_is_refused_unless_the_client_offers_it(
    server_set: ReplicaSet, router: RunningRouter, tmp_path: Path
) -> None:
    file = tmp_path / "x.csv"
    file.write_text("1\n")
    with router.connect() as connection, pytest.raises(pymysql.MySQLError):
        connection.query(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE mysql.nothing")


@pytest.mark.parametrize("how", ["KILL QUERY {}", "KILL {}", "process_kill"])
def test_kill_by_the_routers_connection_id(
    pair: tuple[Connection, Connection], server_set: ReplicaSet, router: RunningRouter, how: str
) -> None:
    _, ours = pair
    victim = router.connect(database="commands")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            victim.query("SELECT SLEEP(30), 'to be killed' FROM t FOR UPDATE")
        except pymysql.MySQLError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: bool(running(server_set.primary, "to be killed")), "the statement does not run")
    started = time.monotonic()
    if how == "process_kill":
        assert send(ours, Command.PROCESS_KILL, struct.pack("<I", victim.thread_id()))[0] == 0
    else:
        ours.query(how.format(victim.thread_id()))
    thread.join(15)
    assert time.monotonic() - started < 10
    wait_until(lambda: not running(server_set.primary, "to be killed"), "the statement still runs on the server")
    if how == "KILL QUERY {}":
        assert not errors or errors[0].args[0] == 1317
        assert rows(victim, "SELECT 1") == ((1,),)
        victim.close()
    else:
        assert errors
        assert errors[0].args[0] in (2013, 0)


def test_kill_of_nobody_and_of_others(
    pair: tuple[Connection, Connection],
    server_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> None:
    settings = settings_for(server_set, tmp_path)
    settings["listeners"] = ["127.0.0.1:0"]
    settings["users"]["other"] = {
        "password": "other-secret",
        "backend": {"user": "app", "password": server_set.app_password},
    }
    router = start_router(settings)
    other = router.connect(user="other", password="other-secret")
    with router.connect() as ours:
        for sql, code in (
            ("KILL 4000000", 1094),
            (f"KILL {other.thread_id()}", 1095),
            (f"KILL QUERY {other.thread_id()}", 1095),
        ):
            with pytest.raises(pymysql.MySQLError) as caught:
                ours.query(sql)
            assert caught.value.args[0] == code
        assert rows(other, "SELECT 1") == ((1,),)
    other.close()


def test_a_vanished_clients_statement_is_killed(
    pair: tuple[Connection, Connection], server_set: ReplicaSet, router: RunningRouter
) -> None:
    victim = router.connect(database="commands")
    victim._execute_command(Command.QUERY, "SELECT SLEEP(30), 'orphan' FROM t FOR UPDATE")
    wait_until(lambda: bool(running(server_set.primary, "orphan")), "the statement does not run")
    victim._force_close()
    wait_until(lambda: not running(server_set.primary, "orphan"), "the statement outlives its client")


def test_commands_that_arrive_together(pair: tuple[Connection, Connection]) -> None:
    """A client may send ahead; answers come in order."""
    _, ours = pair
    queries = [f"SELECT {number}".encode() for number in range(50)]
    ours._write_bytes(b"".join(struct.pack("<I", len(sql) + 1)[:3] + b"\0\x03" + sql for sql in queries))
    for number in range(50):
        ours._next_seq_id = 1
        ours._result = None
        assert ours._read_query_result() == 1
        assert ours._result is not None
        assert ours._result.rows == ((number,),)


def test_large_packets_both_ways(pair: tuple[Connection, Connection]) -> None:
    """Statements and rows over 16 MiB, at the sizes where frames are cut."""
    limit = 0xFFFFFF
    for connection in pair:
        connection.max_allowed_packet = 40 << 20
        for size in (limit - 20, limit - 1, limit, limit + 1, 2 * limit, 2 * limit + 5):
            head = "SELECT LENGTH('"
            text = head + "x" * (size - 1 - len(head) - 2) + "')"
            assert len(text) + 1 == size
            assert rows(connection, text) == ((size - 1 - len(head) - 2,),)
        for size in (limit - 10, limit - 4, limit, limit + 1):
            ((value,),) = rows(connection, f"SELECT REPEAT('y', {size})")
            assert len(value) == size
