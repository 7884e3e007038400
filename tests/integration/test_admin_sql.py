"""The admin interface over the MySQL protocol, from the programs that people have, with real servers behind."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiomysql
import mysql.connector
import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from router.sandbox import ReplicaSet
from router.sandbox.tls import make_certificates
from tests.clients.ways import mysql_tree
from tests.fix_router import RunningRouter, settings_for

Start = Callable[[dict[str, Any]], RunningRouter]
LOGIN = {"user": "ops", "password": "open, sesame"}


@pytest.fixture
def router(mariadb_set: ReplicaSet, tmp_path: Path, start_router: Start) -> RunningRouter:
    """With an admin interface, and one rule."""
    settings = settings_for(mariadb_set, tmp_path)
    settings["admin"] |= {"mysql": "127.0.0.1:0", "users": {"ops": {"password": LOGIN["password"]}}}
    settings["rules"] = [{"name": "no-drop", "when": {"regex": "DROP"}, "reject": "not here"}]
    return start_router(settings)


def port_of(router: RunningRouter) -> int:
    return int(router.admin_mysql.rpartition(":")[2])


@contextmanager
def admin(router: RunningRouter, **options: Any) -> Iterator[Connection]:
    wanted: dict[str, Any] = {"host": "127.0.0.1", "port": port_of(router), "read_timeout": 30, **LOGIN}
    connection = pymysql.connect(**(wanted | options))
    try:
        yield connection
    finally:
        connection.close()


def rows(connection: Connection, sql: str) -> list[dict[str, Any]]:
    with connection.cursor(DictCursor) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def test_looking(router: RunningRouter) -> None:
    with admin(router, database="stats") as ops, router.connect(program_name="shop") as client:
        servers = rows(ops, "SHOW SERVERS")
        assert [(each["role"], each["up"]) for each in servers] == [("primary", 1), ("replica", 1), ("replica", 1)]
        assert {type(each["in_use"]) for each in servers} == {int}
        (found,) = rows(
            ops, "SELECT server, timeouts FROM stats.pools WHERE server LIKE 'prim%' ORDER BY server LIMIT 1"
        )
        assert found == {"server": "primary", "timeouts": 0}
        joined = "SELECT s.role, COUNT(*) AS n FROM servers s JOIN pools p USING (group_name, server) GROUP BY s.role"
        assert {each["role"]: each["n"] for each in rows(ops, joined)} == {"primary": 1, "replica": 2}
        assert rows(ops, "SELECT status, hostgroup_id FROM runtime_mysql_servers LIMIT 1") == [
            {"status": "ONLINE", "hostgroup_id": "main"}
        ]
        with client.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1")
        (session,) = rows(ops, "SHOW SESSIONS")
        assert (session["user"], session["state"], session["in_transaction"]) == ("app", "idle", 1)
        assert (session["server"], session["program_name"]) == ("primary", "shop")
        (process,) = rows(ops, "SHOW PROCESSLIST")
        assert (process["Id"], process["Command"]) == (session["connection_id"], "Sleep")
        with pytest.raises(pymysql.MySQLError), client.cursor() as cursor:
            cursor.execute("DROP TABLE x")
        assert rows(ops, "SHOW RULES") == [
            {"position": 1, "name": "no-drop", "hits": 1, "conditions": "regex DROP", "effect": "reject: not here"}
        ]
        secrets = rows(ops, "SELECT * FROM config WHERE value LIKE '%sesame%' OR path LIKE '%password'")
        assert {each["value"] for each in secrets} == {"**********"}


@contextmanager
def running(router: RunningRouter, sql: str) -> Iterator[list[BaseException | None]]:
    """A client that runs ``sql``; afterwards there is what came of it."""
    outcome: list[BaseException | None] = []

    def work() -> None:
        with router.connect() as client, client.cursor() as cursor:
            try:
                cursor.execute(sql)
                outcome.append(None)
            except pymysql.MySQLError as error:
                outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield outcome
    finally:
        thread.join(30)


def wait_for(connection: Connection, sql: str) -> dict[str, Any]:
    """The first row of ``sql``, when there is one."""
    for _ in range(2000):
        if found := rows(connection, sql):
            return found[0]
    raise AssertionError(sql)


@pytest.mark.parametrize("what", ["QUERY", "CONNECTION"])
def test_kill(router: RunningRouter, what: str) -> None:
    with admin(router) as ops, running(router, "SELECT SLEEP(20), 'geheim' /* now */") as outcome:
        busy = "SELECT * FROM sessions WHERE state = 'running' AND statement LIKE '%sleep%' AND server IS NOT NULL"
        found = wait_for(ops, busy)
        assert found["statement"] == "SELECT SLEEP ( ? ) , ?"
        assert found["state_seconds"] >= 0
        rows(ops, "SET STATEMENT_TEXT ON")
        assert "geheim" in wait_for(ops, busy)["statement"]
        rows(ops, f"KILL {what} {found['connection_id']}")
    (error,) = outcome
    # The server says of SLEEP that it was interrupted by an error, or by a 1.
    assert error is None or error.args[0] == (1317 if what == "QUERY" else 2013)
    with admin(router) as ops, pytest.raises(pymysql.MySQLError, match="Unknown thread id: 999"):
        rows(ops, "KILL 999")


def test_pause_and_resume(router: RunningRouter) -> None:
    with admin(router) as ops:
        (paused,) = rows(ops, "PAUSE main FOR 30 WAIT 5s")
        assert (paused["paused"], paused["done"]) == (1, 1)
        with running(router, "SELECT 1") as outcome:
            wait_for(ops, "SELECT 1 FROM sessions WHERE state = 'waiting'")
            assert not outcome
            (resumed,) = rows(ops, "RESUME")
            assert resumed["paused"] == 0
        assert outcome == [None]
        with pytest.raises(pymysql.MySQLError, match="did you mean 'main'"):
            rows(ops, "PAUSE man")


def test_drain(router: RunningRouter) -> None:
    with admin(router) as ops, router.connect() as client:
        assert rows(ops, "DRAIN main/replica1 WAIT 5")[0]["done"] == 1
        assert rows(ops, "SELECT server FROM servers WHERE draining") == [{"server": "replica1"}]
        client.query("BEGIN")
        client.query("SELECT 1")
        (found,) = rows(ops, "DRAIN main/primary WAIT 10ms")
        assert (found["done"], found["in_use"]) == (0, 1)
        assert rows(ops, "UNDRAIN main/primary")[0]["draining"] == 0
        assert rows(ops, "UNDRAIN main/replica1")[0]["draining"] == 0


def test_maintenance(router: RunningRouter) -> None:
    with router.connect() as client, admin(router) as ops:
        rows(ops, "SET MAINTENANCE ON")
        with pytest.raises(pymysql.MySQLError) as refusal:
            router.connect()
        assert refusal.value.args[0] == 3032
        assert router.call(lambda gateway: gateway._not_ready()) == "maintenance"
        with client.cursor() as cursor:
            assert cursor.execute("SELECT 1") == 1
        with admin(router) as another:
            assert rows(another, "SHOW VERSION")[0]["maintenance"] == 1
        rows(ops, "SET MAINTENANCE = off")
        router.connect().close()


@pytest.mark.parametrize("user", ["ops", "app", "root", ""])
def test_wrong_passwords(router: RunningRouter, user: str) -> None:
    with pytest.raises(pymysql.MySQLError) as refusal, admin(router, user=user, password="guess"):
        pass
    assert refusal.value.args[0] == 1045
    failures = router.call(lambda gateway: dict(gateway.counters.auth_failures))
    assert sum(count for reason, count in failures.items() if reason.startswith("admin: ")) == 1
    assert router.call(lambda gateway: gateway.frontend.open_connections) == 0


def test_without_users_by_any_name_and_no_password(
    mariadb_set: ReplicaSet, tmp_path: Path, start_router: Start
) -> None:
    settings = settings_for(mariadb_set, tmp_path)
    settings["admin"] |= {"mysql": f"unix:{tmp_path}/admin.sock"}
    router = start_router(settings)
    assert router.admin_mysql == f"unix:{tmp_path}/admin.sock"
    with pymysql.connect(unix_socket=f"{tmp_path}/admin.sock", user="me") as ops:
        assert rows(ops, "SELECT USER(), DATABASE()") == [{"USER()": "me@localhost", "DATABASE()": "stats"}]
    with pytest.raises(pymysql.MySQLError, match="Access denied"):
        pymysql.connect(unix_socket=f"{tmp_path}/admin.sock", user="me", password="some")
    router.stop()
    assert not (tmp_path / "admin.sock").exists()


def test_tls_is_that_of_the_listeners(mariadb_set: ReplicaSet, tmp_path: Path, start_router: Start) -> None:
    certificates = make_certificates(tmp_path)
    tls = {"certificate": str(certificates.certificate), "key": str(certificates.key), "mode": "required"}
    settings = settings_for(mariadb_set, tmp_path)
    settings["listeners"] += [{"address": "127.0.0.1:0", "tls": tls}]
    settings["admin"] |= {"mysql": "127.0.0.1:0", "users": {"ops": {"password": LOGIN["password"]}}}
    router = start_router(settings)
    with admin(router, ssl={"ca": str(certificates.ca), "check_hostname": False}) as ops:
        assert rows(ops, "SELECT 1 AS one") == [{"one": 1}]
    # Nobody listens in on this machine.
    with admin(router, ssl_disabled=True) as ops:
        assert rows(ops, "SELECT 1 AS one") == [{"one": 1}]


HOSTILE = (
    "SELECT load_extension('/tmp/x.so')",
    "ATTACH DATABASE '/tmp/x' AS x",
    "PRAGMA writable_schema = 1",
    "SELECT * FROM pragma_database_list",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c",
    "SELECT zeroblob(100000000)",
    "WITH RECURSIVE c(x) AS (SELECT 'aaaaaaaa' UNION ALL SELECT x || x FROM c) SELECT MAX(LENGTH(x)) FROM c",
    "INSERT INTO servers (server) VALUES ('x')",
    "DELETE FROM config",
    "SELECT 1; SELECT 2",
    "SELECT '" + "x" * 100_000 + "'",
    "SELECT 'open",
    "SELECT * FROM sqlite_master",
    "EXPLODE",
    "KILL -1",
)


def test_hostile_statements(router: RunningRouter) -> None:
    with admin(router) as ops, admin(router) as other:
        for sql in HOSTILE:
            with pytest.raises(pymysql.MySQLError) as refusal:
                rows(ops, sql)
            assert refusal.value.args[0] in (1041, 1064, 1142, 1193, 1227, 1235, 3024), sql
            assert rows(other, "SELECT 1 AS one") == [{"one": 1}]
        with pytest.raises(pymysql.MySQLError):
            rows(ops, "SELECT '" + "x" * (1 << 21) + "'")
        assert rows(other, "SELECT 1 AS one") == [{"one": 1}]


# -- programs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["mysql", "mariadb"])
def test_command_line_clients(router: RunningRouter, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    command = [program, "-h127.0.0.1", f"-P{port_of(router)}", "-uops", f"-p{LOGIN['password']}", "-t", "stats"]
    script = "SHOW SERVERS;\nUSE main\nSELECT DATABASE();\nSHOW TABLES;\nDESCRIBE servers;\nSTATUS;\nSHOW WARNINGS;\n"
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "| primary" in done.stdout
    assert "| runtime_mysql_servers" in done.stdout
    assert "| lag_seconds" in done.stdout


@pytest.mark.mysql
def test_mysqls_own_client(router: RunningRouter) -> None:
    """It asks every server for ``select $$`` first, and wants an error."""
    tree = mysql_tree()
    command = [*tree.mysql, f"--plugin-dir={tree.plugins}", "--commands", "-h127.0.0.1", f"-P{port_of(router)}"]
    command += ["-uops", f"-p{LOGIN['password']}", "-t", "stats"]
    script = "status\nSHOW SERVERS;\nUSE main\nSELECT DATABASE();\nSHOW PROCESSLIST;\nresetconnection\nSHOW VERSION;\n"
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "| primary" in done.stdout
    assert "| maintenance" in done.stdout


def test_mysql_connector(router: RunningRouter) -> None:
    options: dict[str, Any] = {"host": "127.0.0.1", "port": port_of(router), "database": "stats", **LOGIN}
    with mysql.connector.connect(**options, use_pure=True) as ops:
        cursor = ops.cursor(dictionary=True)
        cursor.execute("SELECT server FROM servers WHERE role = %s", ("primary",))
        assert cursor.fetchall() == [{"server": "primary"}]
        ops.reset_session()
        ops.commit()


def test_aiomysql(router: RunningRouter) -> None:
    async def look() -> Any:
        async with (
            aiomysql.connect(host="127.0.0.1", port=port_of(router), **LOGIN) as ops,
            ops.cursor() as cursor,
        ):
            await cursor.execute("SELECT COUNT(*) FROM stats.servers")
            return await cursor.fetchone()

    assert asyncio.run(look()) == (3,)


# What drivers ask for when they log in.
QUESTIONS = (
    "SELECT @@version_comment LIMIT 1",
    "/* mysql-connector-j-9.1.0 */SELECT  @@session.auto_increment_increment AS auto_increment_increment, "
    "@@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, "
    "@@character_set_results AS character_set_results, @@character_set_server AS character_set_server, "
    "@@collation_server AS collation_server, @@collation_connection AS collation_connection, "
    "@@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, "
    "@@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, "
    "@@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, @@sql_mode AS sql_mode, "
    "@@system_time_zone AS system_time_zone, @@time_zone AS time_zone, "
    "@@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout",
    "SET NAMES utf8mb4",
    "SET character_set_results = NULL",
    "SET autocommit=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES')",
    "set session_track_schema=1",
    "SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment",
    "SHOW VARIABLES LIKE 'lower_case_%'",
    "SHOW VARIABLES WHERE Variable_name = 'version' OR Variable_name in ('max_allowed_packet')",
    "SHOW SESSION VARIABLES LIKE 'sql_mode'",
    "SHOW WARNINGS",
    "SELECT DATABASE()",
    "SHOW FULL TABLES FROM `stats` WHERE Table_type != 'VIEW'",
    "SHOW FULL PROCESSLIST",
    "SHOW COLLATION",
    "SHOW CHARACTER SET",
    "SHOW ENGINES",
    "SHOW PLUGINS",
    "SHOW TABLE STATUS FROM stats",
    "SHOW CREATE TABLE stats.servers",
    "SHOW FULL COLUMNS FROM `servers` FROM `stats`",
    "SHOW INDEX FROM servers",
    "SELECT * FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'stats'",
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'stats'",
    "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_NAME = 'servers' ORDER BY ORDINAL_POSITION",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SELECT CONNECTION_ID(), VERSION(), CURRENT_USER()",
    "USE information_schema",
    "START TRANSACTION",
    "ROLLBACK",
)


def test_what_drivers_ask_for(router: RunningRouter) -> None:
    with admin(router) as ops:
        for sql in QUESTIONS:
            rows(ops, sql)
        ops.ping()
        ops.select_db("main")
        with pytest.raises(pymysql.MySQLError, match="did you mean 'stats'"):
            ops.select_db("stat")
        with pytest.raises(pymysql.MySQLError, match="Unknown system variable 'nothing'"):
            rows(ops, "SELECT @@nothing")
        with pytest.raises(pymysql.MySQLError, match="did you mean 'maintenance'"):
            rows(ops, "SET maintenanc = ON")
