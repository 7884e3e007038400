"""Spans of statements in front of servers: what a collector gets, whose children they are, and what is not in them."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mysql.connector
import pymysql
import pytest
from pymysql.connections import Connection
from structlog.testing import capture_logs

from router.sandbox import ReplicaSet, free_port
from router.wire.constants import Capability
from tests.collector import Collector, Span
from tests.fix_router import RunningRouter, settings_for
from tests.integration.bank import bank, fill, rows
from tests.integration.test_attributes import Attributed
from tests.integration.twins import STRING
from tests.process.processes import RouterProcess
from tests.wire.test_attributes import attributes

Start = Callable[[dict[str, Any]], RunningRouter]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b9c7c989f97918e1"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
# Only values have it.
SECRET = "hunter2"


def comment(value: str = SAMPLED) -> str:
    return f" /*traceparent='{value}'*/"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Spans come to it soon."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with Collector() as running:
        yield running
        assert not any(SECRET.encode() in body for body in running.bodies), "a value has been told"


def traced(settings: dict[str, Any], collector: Collector, **changes: Any) -> dict[str, Any]:
    settings["tracing"] = {"endpoint": collector.endpoint, "sample": 1, **changes}
    return settings


@pytest.fixture
def servers(server_set: ReplicaSet) -> Iterator[ReplicaSet]:
    """With database ``spans``, and a table of two rows in it."""
    primary = server_set.primary
    primary.execute("DROP DATABASE IF EXISTS spans")
    primary.execute("CREATE DATABASE spans")
    primary.execute("CREATE TABLE spans.people (id INT PRIMARY KEY, name VARCHAR(40) UNIQUE)")
    primary.execute(f"INSERT INTO spans.people VALUES (1, '{SECRET}'), (2, 'other')")
    server_set.wait_for_replicas()
    yield server_set
    primary.execute("DROP DATABASE spans")
    server_set.wait_for_replicas()


@pytest.fixture
def router(servers: ReplicaSet, tmp_path: Path, collector: Collector, start_router: Start) -> RunningRouter:
    """All statements are recorded."""
    return start_router(traced(settings_for(servers, tmp_path), collector))


@pytest.fixture
def session(router: RunningRouter, collector: Collector) -> Iterator[Connection]:
    """A session in ``spans``; what it has done for itself has been told."""
    with router.connect(database="spans") as connection:
        yield connection


def only(span: Span, *names: str) -> dict[str, Any]:
    return {name: span.attributes.get(name) for name in names}


def test_on_one_server(session: Connection, router: RunningRouter, collector: Collector, servers: ReplicaSet) -> None:
    assert collector.take()[0].name == "SET", "autocommit, of the driver"
    assert rows(session, f"SELECT id FROM people WHERE name = '{SECRET}' AND id < 77") == [(1,)]
    span, (client,) = collector.statement()
    assert span.name == client.name == "SELECT people"
    assert span.resource["service.name"] == "router"
    assert {"service.version", "service.instance.id", "telemetry.sdk.name"} <= set(span.resource)
    assert span.parent == ""
    assert len({span.trace_id, client.trace_id}) == 1
    flavor = session.get_server_info()
    number = span.attributes.pop("router.connection_id")
    assert number == session.thread_id()
    assert span.attributes == {
        "db.system.name": "mariadb" if "MariaDB" in flavor else "mysql",
        "db.namespace": "spans",
        "db.operation.name": "SELECT",
        "db.collection.name": "people",
        "db.query.summary": "SELECT people",
        "db.query.text": "SELECT id FROM people WHERE name = ? AND id < ?",
        "server.address": "127.0.0.1",
        "server.port": router.port,
        "client.address": "127.0.0.1",
        "router.user": "app",
        "router.prepared": False,
        "router.reason": "read",
        "router.servers": 1,
    }
    assert not span.failed
    assert client.attributes.pop("router.server_connection_id") > 0
    assert client.attributes.pop("router.response.bytes") > 0
    name = client.attributes["router.server"]
    (server,) = (each for each in servers.servers if each.name == name)
    assert client.attributes == {
        "db.system.name": span.attributes["db.system.name"],
        "db.namespace": "spans",
        "db.operation.name": "SELECT",
        "db.collection.name": "people",
        "db.query.summary": "SELECT people",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "router.group": "main",
        "router.server": name,
        "router.role": "replica",
        "router.reason": "read",
        "router.retries": 0,
        "router.response.rows": 1,
    }
    assert client.start <= client.event("first byte").at <= client.end
    with session.cursor() as cursor:
        cursor.execute(f"UPDATE people SET name = '{SECRET}!' WHERE id IN (1, 3)")
    span, (client,) = collector.statement()
    assert span.attributes["db.query.text"] == "UPDATE people SET name = ? WHERE id IN ( ? )"
    assert only(client, "router.role", "router.server", "router.response.affected_rows") == {
        "router.role": "primary",
        "router.server": "primary",
        "router.response.affected_rows": 1,
    }


def test_errors(session: Connection, collector: Collector) -> None:
    collector.take()
    with pytest.raises(pymysql.MySQLError):
        rows(session, f"INSERT INTO people VALUES (3, '{SECRET}')")
    span, (client,) = collector.statement()
    for each in (span, client):
        assert each.failed
        assert each.message == "", "the server's has the value in it"
        assert only(each, "db.response.status_code", "error.type", "router.sqlstate") == {
            "db.response.status_code": "1062",
            "error.type": "1062",
            "router.sqlstate": "23000",
        }
    with pytest.raises(pymysql.MySQLError):
        rows(session, f"SELECT '{SECRET}' FROM {'(' * 3}")
    assert collector.statement()[0].attributes["db.response.status_code"] == "1064"
    with pytest.raises(pymysql.MySQLError):
        rows(session, "/*+ router(group=nowhere) */ SELECT 1")
    span, clients = collector.statement()
    assert clients == []
    assert span.failed
    assert only(span, "db.response.status_code", "router.sqlstate", "router.reason", "router.servers") == {
        "db.response.status_code": "1235",
        "router.sqlstate": "42000",
        "router.reason": "bad_hint",
        "router.servers": 0,
    }
    assert span.name == "SELECT"


def test_what_the_router_answers_itself(session: Connection, collector: Collector) -> None:
    collector.take()
    for sql, name in (
        (f"EXPLAIN ROUTE SELECT '{SECRET}'", "EXPLAIN"),
        ("SHOW SESSION STATE", "SHOW"),
    ):
        rows(session, sql)
        span, clients = collector.statement()
        assert (span.name.split()[0], clients) == (name, [])


def test_waits_are_events(router: RunningRouter, session: Connection, collector: Collector) -> None:
    collector.take()
    router.call(lambda gateway: gateway.topology.groups["main"].pause())
    waiting = threading.Thread(target=rows, args=(session, "UPDATE people SET name = 'x' WHERE id = 9"))
    waiting.start()
    waiting.join(0.2)
    router.call(lambda gateway: gateway.topology.groups["main"].resume())
    waiting.join(10)
    _, (client,) = collector.statement()
    wait, sent = client.event("wait"), client.event("sent")
    assert wait.attributes["router.wait.for"] == "the end of a pause of group main"
    assert wait.attributes["router.wait.seconds"] > 0.1
    assert client.start == wait.at < sent.at


def test_a_comment_says_whose_child_it_is(session: Connection, collector: Collector) -> None:
    collector.take()
    for number in range(3):
        trace = f"{number + 1:032x}"
        rows(session, f"SELECT id FROM people WHERE id = {number}" + comment(f"00-{trace}-{SPAN}-01"))
        span, (client,) = collector.statement()
        assert (span.trace_id, span.parent) == (trace, SPAN)
        assert client.parent == span.span_id
        assert "traceparent" not in span.attributes["db.query.text"]
    rows(session, "SELECT 1" + comment(UNSAMPLED))
    rows(session, "SELECT 2" + comment("00-x-y-z"))
    span, _ = collector.statement()
    assert span.parent == "", "a malformed one is none; of one that is not recorded nothing is told"
    assert span.trace_id != TRACE


def test_the_plan_is_that_of_the_statement_without_it(
    session: Connection, router: RunningRouter, collector: Collector
) -> None:
    rows(session, "SELECT id FROM people WHERE id = 1" + comment())
    before = router.call(lambda gateway: (len(gateway.plans), gateway.plans.misses))
    for number in range(10):
        trace = f"{number + 1:032x}"
        rows(session, f"SELECT id FROM people WHERE id = {number}" + comment(f"00-{trace}-{SPAN}-01"))
    assert router.call(lambda gateway: (len(gateway.plans), gateway.plans.misses)) == before
    rows(session, "SELECT id FROM people WHERE id = 1 -- " + comment())
    assert router.call(lambda gateway: gateway.plans.misses) == before[1] + 1


def test_servers_get_what_the_client_has_sent(session: Connection, collector: Collector, router: RunningRouter) -> None:
    session.query("SET @@session.long_query_time = 10")
    text = "SELECT info FROM information_schema.processlist WHERE id = CONNECTION_ID()" + comment()
    assert rows(session, text) == [(text,)]


@pytest.mark.mysql
def test_an_attribute_says_it_too(
    mysql_set: ReplicaSet, tmp_path: Path, collector: Collector, start_router: Start
) -> None:
    router = start_router(traced(settings_for(mysql_set, tmp_path), collector, sample=0))
    given = (b"traceparent", STRING, b"\x37" + SAMPLED.encode())
    session = Attributed.__new__(Attributed)
    Connection.__init__(
        session, defer_connect=True, host="127.0.0.1", port=router.port, user="app", password=router.password
    )
    session.client_flag |= int(Capability.QUERY_ATTRIBUTES)
    session.connect()
    with session:
        for name in (b"other", b"traceparent"):
            session.front = attributes((b"number", 8, struct.pack("<q", 5)), (name, *given[1:]))
            assert rows(session, "SELECT 'a'" + comment(UNSAMPLED)) == [("a",)]
        span, (client,) = collector.statement()
        assert (span.trace_id, span.parent) == (TRACE, SPAN), "rather than the comment"
        assert client.parent == span.span_id
        session.front = attributes((b"traceparent", STRING, b"\x05wrong"))
        rows(session, "SELECT 'b'")
        session.front = attributes((b"traceparent", 8, struct.pack("<q", 5)))
        rows(session, "SELECT 'c'" + comment())
        span, _ = collector.statement()
        assert span.parent == SPAN


@pytest.mark.parametrize("flag", [0, 1])
def test_a_sample_of_0_records_what_clients_record(
    servers: ReplicaSet, tmp_path: Path, collector: Collector, start_router: Start, flag: int
) -> None:
    router = start_router(traced(settings_for(servers, tmp_path), collector, sample=0))
    with router.connect(database="spans") as session:
        for _ in range(5):
            rows(session, "SELECT 1")
        rows(session, "SELECT 2" + comment(SAMPLED if flag else UNSAMPLED))
        rows(session, "SELECT 3")
        rows(session, "SELECT id FROM people" + comment(f"00-{SPAN}{SPAN}-{SPAN}-01"))
        found = collector.take(lambda spans: any(span.trace_id == SPAN * 2 for span in spans))
    assert sum(span.trace_id == TRACE for span in found) == 2 * flag
    assert {span.trace_id for span in found} <= {TRACE, SPAN * 2}


def test_prepared(router: RunningRouter, servers: ReplicaSet, collector: Collector) -> None:
    options = {"host": "127.0.0.1", "port": router.port, "user": "app", "password": router.password}
    with mysql.connector.connect(**options, database="spans", use_pure=True, autocommit=True) as connection:
        with connection.cursor(prepared=True) as cursor:
            cursor.execute("SELECT id FROM people WHERE name = %s", ("before",))
            cursor.fetchall()
            collector.take(lambda spans: any(span.attributes.get("router.prepared") for span in spans))
            cursor.execute("SELECT id FROM people WHERE name = %s", (SECRET,))
            assert cursor.fetchall() == [(1,)]
            span, (client,) = collector.statement()
            assert only(span, "db.query.text", "router.prepared", "db.query.summary") == {
                "db.query.text": "SELECT id FROM people WHERE name = ?",
                "router.prepared": True,
                "db.query.summary": "SELECT people",
            }
            assert client.attributes["router.response.rows"] == 1
        with connection.cursor(prepared=True) as cursor:
            cursor.execute("SELECT id FROM people WHERE id = %s" + comment(), (2,))
            assert cursor.fetchall() == [(2,)]
        span = next(span for span in collector.take() if span.kind == "SERVER")
        assert (span.trace_id, span.parent) == (TRACE, SPAN)


@pytest.mark.mysql
def test_on_shards(
    mariadb_set: ReplicaSet, mysql_set: ReplicaSet, collector: Collector, start_router: Start, tmp_path: Path
) -> None:
    with bank(mariadb_set, mysql_set, tmp_path, "best_effort") as settings:
        router = start_router(traced(settings, collector, service_name="bank"))
        with router.connect(database="bank") as connection:
            fill(connection)
            collector.take(lambda spans: sum(span.name == "INSERT accounts" for span in spans) == 18)
            read = "SELECT id, amount FROM accounts WHERE amount < 4711 ORDER BY id"
            assert len(rows(connection, read + comment())) == 9
            span, clients = collector.statement()
            assert (span.trace_id, span.parent) == (TRACE, SPAN)
            assert span.resource["service.name"] == "bank"
            assert only(span, "router.servers", "db.namespace", "db.query.text") == {
                "router.servers": 3,
                "db.namespace": "bank",
                "db.query.text": "SELECT id , amount FROM accounts WHERE amount < ? ORDER BY id",
            }
            assert {
                (
                    client.attributes["router.shard"],
                    client.attributes["router.server"],
                    client.attributes["db.namespace"],
                    client.attributes["server.port"],
                    client.attributes["router.response.rows"],
                )
                for client in clients
            } == {
                ("s0", "primary", "bank", mariadb_set.primary.port, 3),
                ("s1", "mysql-primary", "bank", mysql_set.primary.port, 3),
                ("s2", "primary", "bank_2", mariadb_set.primary.port, 3),
            }
            rows(connection, "SELECT amount FROM accounts WHERE id = 4")
            span, (client,) = collector.statement()
            assert client.attributes["router.shard"] == "s1"
            for begin, end in (("DO 0", "DO 0"), ("BEGIN", "COMMIT")):
                rows(connection, begin)
                assert (collector.statement()[1] == []) is (begin == "BEGIN")
                with connection.cursor() as cursor:
                    assert cursor.execute("UPDATE accounts SET amount = amount + 4711") == 9
                span, clients = collector.statement()
                assert [client.attributes["router.response.affected_rows"] for client in clients] == [3, 3, 3]
                rows(connection, end)
                collector.statement()
            rows(connection, "SELECT amount FROM accounts WHERE id > (SELECT MIN(id) FROM accounts)")
            span, clients = collector.statement()
            assert len(clients) == 6
            assert not span.failed
            with pytest.raises(pymysql.MySQLError):
                rows(connection, "INSERT INTO accounts VALUES (0, 4711), (1, 4711)")
            span, clients = collector.statement()
            assert only(span, "db.response.status_code", "db.query.text") == {
                "db.response.status_code": "1062",
                "db.query.text": "INSERT INTO accounts VALUES ( ? )",
            }
            assert any(client.failed for client in clients)
            with pytest.raises(pymysql.MySQLError):
                rows(connection, "SELECT missing FROM accounts")
            span, clients = collector.statement()
            assert span.attributes["db.response.status_code"] == "1054"
            with pytest.raises(pymysql.MySQLError):
                rows(connection, "SELECT amount FROM accounts WHERE id > (SELECT id FROM accounts)")
            span, clients = collector.statement()
            assert span.failed
            assert span.attributes["db.response.status_code"] == "1242"
        options = {"host": "127.0.0.1", "port": router.port, "user": "app", "password": router.password}
        with mysql.connector.connect(**options, database="bank", use_pure=True, autocommit=True) as prepared:
            with prepared.cursor(prepared=True) as cursor:
                cursor.execute("SELECT id FROM accounts WHERE amount > %s", (4711,))
                assert len(cursor.fetchall()) == 9
            found = collector.take(lambda spans: sum(span.name == "SELECT accounts" for span in spans) == 4)
            (span,) = (each for each in found if each.name == "SELECT accounts" and each.kind == "SERVER")
            assert span.attributes["router.prepared"] is True
    assert not any(b"4711" in body for body in collector.bodies)


def test_a_client_that_leaves(router: RunningRouter, collector: Collector) -> None:
    connection = router.connect()
    collector.take()
    connection._execute_command(3, "SELECT SLEEP(30)")
    threading.Event().wait(0.3)
    connection._force_close()
    span, (client,) = collector.statement()
    assert span.failed
    assert span.attributes["error.type"] == "client_lost"
    assert client.attributes["error.type"] == "connection_lost"


def test_a_collector_that_is_not_there(
    servers: ReplicaSet, tmp_path: Path, collector: Collector, start_router: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    port = free_port()
    router = start_router(traced(settings_for(servers, tmp_path), collector, endpoint=f"http://127.0.0.1:{port}"))

    def count(result: str) -> int:
        return router.call(lambda gateway: gateway.counters.spans[result])

    def ask_until(enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not enough():
            assert rows(session, "SELECT id FROM people WHERE id = 1") == [(1,)]
            assert time.monotonic() < deadline
            time.sleep(0.01)

    with capture_logs() as lines, router.connect(database="spans") as session:
        ask_until(lambda: count("failed") > 0)
        failed = count("failed")
        ask_until(lambda: count("failed") > failed)
        with Collector(port) as late:
            ask_until(lambda: count("exported") > 0)
            late.take()
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "spans cannot be sent"),
        ("info", "spans are taken again"),
    ]
    assert "refused" in lines[0]["reason"] or "timeout" in lines[0]["reason"]


def test_another_configuration(servers: ReplicaSet, tmp_path: Path, collector: Collector, start_router: Start) -> None:
    file = tmp_path / "routes.yaml"
    settings = settings_for(servers, tmp_path)
    router = start_router(settings)
    router.gateway.reloads.path = file

    def reload(**changes: Any) -> list[str]:
        file.write_text(json.dumps(settings | changes))
        return [str(change) for change in router.wait_for(lambda gateway: gateway.reload())]

    with router.connect(database="spans") as session:
        rows(session, "SELECT 1")
        tracing = {"endpoint": collector.endpoint, "sample": 1, "headers": {"Authorization": f"Bearer {SECRET}"}}
        assert not any(SECRET in change for change in reload(tracing=tracing))
        rows(session, "SELECT 2")
        span, _ = collector.statement()
        assert span.attributes["db.query.text"] == "SELECT ?"
        assert collector.headers[-1]["Authorization"] == f"Bearer {SECRET}"
        assert collector.headers[-1]["Content-Type"] == "application/x-protobuf"
        with Collector() as other:
            reload(tracing={**tracing, "endpoint": other.endpoint})
            rows(session, "SELECT id FROM people")
            assert other.statement()[0].name == "SELECT people"
            assert reload() != []
        rows(session, "SELECT 3")
        rows(session, "SELECT 4" + comment())
        assert router.call(lambda gateway: gateway.counters.spans) == {"exported": 4, "failed": 0, "dropped": 0}
        reload(tracing=tracing)
        rows(session, "SELECT name FROM people")
        router.stop()
    assert [span.name for span in collector.take()] == ["SELECT people"] * 2, "what is left is sent at the end"


def test_workers_send_their_own(server_set: ReplicaSet, tmp_path: Path, collector: Collector) -> None:
    settings = traced(settings_for(server_set, tmp_path), collector, sample=0)
    settings["admin"]["http"] = f"127.0.0.1:{free_port()}"
    settings["workers"] = 2
    with RouterProcess(settings, tmp_path / "routes.yaml") as process:
        process.said("ready")
        found: list[Span] = []
        for worker in (0, 1):
            with process.client_of(worker) as session:
                rows(session, "SELECT 'a'" + comment(f"00-{worker + 1:032x}-{SPAN}-01"))
            found += collector.take()
        assert {span.trace_id for span in found} == {f"{worker:032x}" for worker in (1, 2)}
        assert len({span.resource["service.instance.id"] for span in found}) == 2
        deadline = time.monotonic() + 20
        while 'router_spans_total{result="exported"} 4.0' not in metrics_of(settings):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with process.client_of(1) as session:
            rows(session, "SELECT 'b'" + comment())
        process.process.terminate()
        assert process.ended() == 0
        assert process.failures() == []
    assert len(collector.take()) == 2


def metrics_of(settings: dict[str, Any]) -> str:
    with urllib.request.urlopen(f"http://{settings['admin']['http']}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_without_the_extra(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    text = "groups: {main: {servers: ['127.0.0.1:1']}}\nusers: {app: {password: x}}\n"

    def router(*words: str) -> subprocess.CompletedProcess[str]:
        gone = "import sys; sys.modules['opentelemetry'] = None; import router.process.worker, router.process.fleet\n"
        code = f"{gone}sys.argv = {['router', *words]}; from router.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
        )

    file.write_text(text)
    done = router("check", "--config", "routes.yaml")
    assert done.returncode == 0, done.stderr
    file.write_text(text + "logging: {level: info}\ntracing: {sample: 1}\n")
    for command in ("check", "run"):
        done = router(command, "--config", "routes.yaml")
        assert done.returncode != 0
        assert "routes.yaml:4:1: tracing: needs the extra otel, which is not installed: pip install" in (
            done.stdout + done.stderr
        )


def test_it_is_loaded_only_where_it_is_used() -> None:
    code = "import sys, router.cli, router.process.worker, router.process.fleet; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
