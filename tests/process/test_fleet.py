"""Several workers are one router: for clients, for operators, and when one of them dies."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymysql
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from pymysql.connections import Connection

from router.sandbox import ReplicaSet, free_port
from tests.fix_router import settings_for
from tests.process.processes import RouterProcess, repeat


def settings_of(server_set: ReplicaSet, directory: Path) -> dict[str, Any]:
    """Two workers, with both admin interfaces."""
    settings = settings_for(server_set, directory)
    settings["workers"] = 2
    settings["admin"] = {
        "http": f"127.0.0.1:{free_port()}",
        "mysql": f"127.0.0.1:{free_port()}",
        "users": {"ops": {"password": "o"}},
    }
    return settings


@pytest.fixture
def settings(server_set: ReplicaSet, tmp_path: Path) -> dict[str, Any]:
    """For a router of the test's own."""
    return settings_of(server_set, tmp_path)


@pytest.fixture
def fleet(settings: dict[str, Any], tmp_path: Path) -> Iterator[RouterProcess]:
    """It serves, and the test may do with it what it wants."""
    with RouterProcess(settings, tmp_path / "routes.yaml") as process:
        process.said("ready")
        yield process


@pytest.fixture(scope="module")
def shared(server_set: ReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """It serves, for tests after which it is what it was."""
    directory = tmp_path_factory.mktemp("fleet")
    with RouterProcess(settings_of(server_set, directory), directory / "routes.yaml") as process:
        process.said("ready")
        yield process


def admin(fleet: RouterProcess) -> Connection:
    port = int(fleet.settings["admin"]["mysql"].rpartition(":")[2])
    return pymysql.connect(host="127.0.0.1", port=port, user="ops", password="o", autocommit=True)


def ask(connection: Connection, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def http(fleet: RouterProcess, method: str, path: str, given: object = None) -> tuple[int, str]:
    word = base64.b64encode(b"ops:o").decode()
    headers = {"Authorization": f"Basic {word}", "Content-Type": "application/json"}
    url = f"http://{fleet.settings['admin']['http']}{path}"
    body = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metric(fleet: RouterProcess, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in parse(http(fleet, "GET", "/metrics")[1])
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def until(what: Any, seconds: float = 30) -> None:
    """Wait for something that nobody announces."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- serving ----------------------------------------------------------------------------------------------------------


def test_both_serve_and_none_asks_the_servers_but_the_supervisor(shared: RouterProcess, server_set: ReplicaSet) -> None:
    clients = [shared.client_of(worker) for worker in (0, 1)]
    assert len({client.thread_id() for client in clients}) == 2
    for number, client in enumerate(clients):
        assert ask(client, "SELECT 1") == ((1,),)
        assert shared.worker_of(client) == number
    with pymysql.connect(
        unix_socket=f"{shared.file.parent}/router.sock", user="app", password=clients[0].password
    ) as c:
        assert ask(c, "SELECT 2") == ((2,),)
    watchers = server_set.primary.value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'router'")
    assert int(str(watchers)) == 1
    for client in clients:
        client.close()


def test_the_same_address_cannot_be_had_twice(shared: RouterProcess, tmp_path: Path) -> None:
    settings = shared.settings | {
        "listeners": [f"127.0.0.1:{shared.port}"],
        "admin": {"http": f"127.0.0.1:{free_port()}"},
    }
    with RouterProcess(settings, tmp_path / "other.yaml") as other:
        assert "address already in use" in other.said("cannot start")["reason"]
        assert other.ended() == 1


def test_pools_are_divided(shared: RouterProcess, server_set: ReplicaSet) -> None:
    """8 connections to a server: 4 for each worker, and a fifth statement there waits for one of them."""
    clients = [shared.client_of(0) for _ in range(5)]
    for client in clients[:4]:
        ask(client, "BEGIN")
        ask(client, "SELECT 1")
    rows = ask(admin(shared), "SELECT max_connections, in_use FROM pools ORDER BY in_use DESC")
    assert rows[0] == (8, 4)
    with pytest.raises(pymysql.MySQLError, match="4 of 4 in use"), clients[4].cursor() as cursor:
        cursor.execute("INSERT INTO nowhere.t VALUES (1)")
    for client in clients:
        client.close()


# --- operators --------------------------------------------------------------------------------------------------------


def test_sessions_of_all_workers_are_shown_and_can_be_killed(shared: RouterProcess) -> None:
    first, second = (shared.client_of(worker) for worker in (0, 1))
    with admin(shared) as operator:
        shown = {row[0] for row in ask(operator, "SELECT connection_id FROM sessions")}
        assert {first.thread_id(), second.thread_id()} <= shown
        assert operator.thread_id() % 3 == 0, "the supervisor's own"
        ask(operator, f"KILL {second.thread_id()}")
        with pytest.raises(pymysql.MySQLError):
            ask(second, "SELECT 1")
        with pytest.raises(pymysql.MySQLError, match="Unknown thread id"):
            ask(operator, f"KILL {second.thread_id()}")
    first.close()


def test_the_api_is_of_all_workers(fleet: RouterProcess) -> None:
    clients = [fleet.client_of(worker) for worker in (0, 1)]
    for client in clients:
        ask(client, "SELECT 1 + 1")

    def sessions() -> set[int]:
        return {row[0] for row in json.loads(http(fleet, "GET", snapshot)[1])["tables"]["sessions"]["rows"]}

    snapshot = "/api/v1/snapshot?tables=sessions,digests,servers"
    # Those who came to the wrong worker leave in their own time.
    until(lambda: sessions() == {client.thread_id() for client in clients})
    status, text = http(fleet, "GET", snapshot)
    assert status == 200
    tables = json.loads(text)["tables"]
    assert sum(row[5] for row in tables["digests"]["rows"] if row[1] == "SELECT ? + ?") == 2
    status, text = http(fleet, "POST", "/api/v1/explain", {"sql": "SELECT 1", "user": "app"})
    assert (status, json.loads(text)["rows"][0][1]) == (200, "group main")
    assert http(fleet, "POST", "/api/v1/explain", {"sql": "SELECT 1", "user": "nobody"})[0] == 404
    assert http(fleet, "POST", "/api/v1/explain", {"sql": "SELECT 1", "user": "app", "client": "x"})[0] == 400
    status, text = http(fleet, "GET", "/api/v1/config/changes")
    assert (status, json.loads(text)) == (200, {"changes": []})
    with pytest.raises(pymysql.MySQLError):
        pymysql.connect(host="127.0.0.1", port=fleet.port, user="nobody")
    lines = json.loads(http(fleet, "GET", "/api/v1/log")[1])["lines"]
    assert [each["number"] for each in lines] == list(range(1, len(lines) + 1))
    assert {each["event"] for each in lines if "worker" not in each["fields"]} >= {"starting", "ready"}
    (refused,) = [each for each in lines if each["event"] == "login refused"]
    assert refused["fields"]["worker"] in "01"
    status, text = http(fleet, "POST", f"/api/v1/sessions/{clients[1].thread_id()}/kill", {})
    assert (status, json.loads(text)) == (200, {"killed": clients[1].thread_id()})
    with pytest.raises(pymysql.MySQLError):
        ask(clients[1], "SELECT 1")
    for client in clients:
        client._force_close()


def test_clients_kill_in_another_worker(shared: RouterProcess) -> None:
    first, second = (shared.client_of(worker) for worker in (0, 1))
    with ThreadPoolExecutor(1) as thread, admin(shared) as operator:
        slept = thread.submit(ask, second, "SELECT SLEEP(20)")
        asked = f"SELECT state FROM sessions WHERE connection_id = {second.thread_id()}"
        until(lambda: ask(operator, asked) == (("running",),))
        ask(first, f"KILL QUERY {second.thread_id()}")
        # MariaDB makes an error of it, MySQL a 1.
        error = slept.exception(60)
        assert slept.result() == ((1,),) if error is None else error.args[0] == 1317
    ask(first, f"KILL {second.thread_id()}")
    with pytest.raises(pymysql.MySQLError, match="Unknown thread id"):
        ask(first, "KILL 4000000000")
    with pytest.raises(pymysql.MySQLError):
        ask(second, "SELECT 1")
    first.close()


def test_numbers_are_those_of_all(fleet: RouterProcess) -> None:
    clients = [fleet.client_of(worker) for worker in (0, 1, 1)]
    before = metric(fleet, "router_queries_total", command="query")
    for client in clients:
        for _ in range(10):
            ask(client, "SELECT 12345")
    assert metric(fleet, "router_queries_total", command="query") >= before + 30
    assert metric(fleet, "router_client_connections") == 3
    assert metric(fleet, "router_workers") == 2
    assert metric(fleet, "process_resident_memory_bytes") > 3 * 30_000_000
    with admin(fleet) as operator:
        ((count, least, most),) = ask(
            operator, "SELECT `count`, min_seconds, max_seconds FROM digests WHERE digest_text = 'SELECT ?'"
        )
        assert count == 30
        assert 0 < least <= most
    for client in clients:
        client.close()


def test_drain_is_of_all_workers(fleet: RouterProcess, server_set: ReplicaSet) -> None:
    holder = fleet.client_of(1)
    ask(holder, "START TRANSACTION READ WRITE")
    ask(holder, "SELECT 1")
    primary = server_set.primary.name
    status, body = http(fleet, "POST", f"/api/v1/servers/main/{primary}/drain?timeout=200ms")
    assert (status, json.loads(body)["done"]) == (200, False)
    other = fleet.client_of(0)
    with ThreadPoolExecutor(1) as thread:
        # Nobody takes over from it: what is new waits.
        written = thread.submit(ask, other, "SELECT 1 FOR UPDATE")
        ask(holder, "COMMIT")
        until(lambda: json.loads(http(fleet, "POST", f"/api/v1/servers/main/{primary}/drain")[1])["done"])
        assert not written.done()
        assert json.loads(http(fleet, "POST", f"/api/v1/servers/main/{primary}/undrain")[1])["done"]
        assert written.result(60) == ((1,),)
    for client in (holder, other):
        client.close()


def test_a_pause_is_of_all_workers(fleet: RouterProcess) -> None:
    clients = [fleet.client_of(worker) for worker in (0, 1)]
    status, body = http(fleet, "POST", "/api/v1/groups/main/pause?timeout=30s")
    assert (status, json.loads(body)["done"]) == (200, True)
    with ThreadPoolExecutor(2) as threads, admin(fleet) as operator:
        answers = [threads.submit(ask, client, "SELECT 1") for client in clients]
        until(lambda: ask(operator, "SELECT paused, in_use, waiting FROM groups") == ((1, 0, 0),))
        until(lambda: ask(operator, "SELECT COUNT(*) FROM sessions WHERE state <> 'idle'") == ((2,),))
        assert not any(answer.done() for answer in answers)
        status, body = http(fleet, "POST", "/api/v1/groups/main/resume")
        assert (status, json.loads(body)["done"]) == (200, True)
        assert [answer.result(10) for answer in answers] == [((1,),)] * 2
    for client in clients:
        client.close()


def test_maintenance_is_of_all_workers(fleet: RouterProcess) -> None:
    with admin(fleet) as operator:
        ask(operator, "SET MAINTENANCE ON")
        for _ in range(8):
            with pytest.raises(pymysql.MySQLError, match="maintenance"):
                fleet.connect()
        assert http(fleet, "GET", "/readyz")[0] == 503
        ask(operator, "SET MAINTENANCE OFF")
    fleet.connect().close()


# --- the configuration ------------------------------------------------------------------------------------------------


def test_a_reload_reaches_all_workers_and_disturbs_nobody(fleet: RouterProcess) -> None:
    clients = [fleet.client_of(worker) for worker in (0, 1, 0, 1)]
    stop, errors = repeat(lambda number: ask(clients[number], "SELECT 1"), 4)
    more = free_port()
    fleet.file.write_text(
        json.dumps(
            fleet.settings
            | {
                "listeners": [*fleet.settings["listeners"], f"127.0.0.1:{more}"],
                "rules": [{"name": "no", "when": {"regex": "forbidden"}, "reject": "no"}],
            }
        )
    )
    status, body = http(fleet, "POST", "/api/v1/reload")
    assert status == 200, body
    changes = [change.partition(": ")[0] for change in json.loads(body)["changes"]]
    assert changes == [f"listeners.127.0.0.1:{more}", "rules.no"]
    assert min(stop()) > 0
    assert errors == []
    for client in clients:
        with pytest.raises(pymysql.MySQLError, match="no"):
            ask(client, "SELECT 'forbidden'")
    workers = set()
    for _ in range(40):
        with fleet.connect(port=more) as client:
            workers.add(fleet.worker_of(client))
    assert workers == {0, 1}
    fleet.file.write_text(json.dumps(fleet.settings | {"listeners": ["192.0.2.1:3307"]}))
    assert http(fleet, "POST", "/api/v1/reload")[0] == 409
    fleet.file.write_text(json.dumps(fleet.settings))
    assert http(fleet, "POST", "/api/v1/reload")[0] == 200
    with pytest.raises(pymysql.MySQLError, match="refused"):
        fleet.connect(port=more)
    for client in clients:
        client.close()


# --- the end of a worker ----------------------------------------------------------------------------------------------


def test_a_worker_that_dies_loses_its_own_clients_only(fleet: RouterProcess) -> None:
    survivors = [fleet.client_of(0) for _ in range(4)]
    lost = fleet.client_of(1)
    ask(lost, "SELECT 1")
    counted = metric(fleet, "router_queries_total", command="query")
    stop, errors = repeat(lambda number: ask(survivors[number], "SELECT 1"), 4)
    os.kill(fleet.workers[1], signal.SIGKILL)
    with pytest.raises(pymysql.MySQLError):
        ask(lost, "SELECT 1")
    fleet.said("worker serves", 3)
    # Whoever comes meanwhile waits in the queue of a socket that has not gone.
    newcomer = fleet.client_of(1)
    assert ask(newcomer, "SELECT 1") == ((1,),)
    assert newcomer.thread_id() > 1_000_000, "no id means two sessions in a row"
    assert min(stop()) > 0
    assert errors == []
    assert metric(fleet, "router_worker_restarts_total") == 1
    assert metric(fleet, "router_queries_total", command="query") >= counted, "what counts up never goes down"
    for client in (*survivors, newcomer):
        client.close()


def test_who_comes_while_a_worker_is_dead_waits(fleet: RouterProcess) -> None:
    fleet.connect().close()
    os.kill(fleet.workers[0], signal.SIGKILL)
    os.kill(fleet.workers[1], signal.SIGKILL)
    for _ in range(8):
        fleet.connect().close()
    fleet.said("worker serves", 4)


def test_a_restarted_worker_knows_what_was_ordered(fleet: RouterProcess, server_set: ReplicaSet) -> None:
    replica = next(server.name for server in server_set.servers if server is not server_set.primary)
    assert http(fleet, "POST", f"/api/v1/servers/main/{replica}/drain")[0] == 200
    with admin(fleet) as operator:
        ask(operator, "SET MAINTENANCE ON")
        os.kill(fleet.workers[1], signal.SIGKILL)
        fleet.said("worker serves", 3)
        for _ in range(20):
            with pytest.raises(pymysql.MySQLError, match="maintenance"):
                fleet.connect()
        ask(operator, "SET MAINTENANCE OFF")
        with fleet.client_of(1) as client:
            for _ in range(20):
                ask(client, "SELECT 1")
        drained = f"SELECT in_use + idle FROM servers WHERE server = '{replica}'"
        assert ask(operator, drained) == ((0,),)


def test_what_is_ordered_while_a_worker_begins_reaches_it(fleet: RouterProcess, server_set: ReplicaSet) -> None:
    replica = next(server.name for server in server_set.servers if server is not server_set.primary)
    place = f"/api/v1/servers/main/{replica}"
    assert http(fleet, "POST", f"{place}/drain")[0] == 200
    os.kill(fleet.workers[1], signal.SIGKILL)
    fleet.said("a worker has ended: its clients are lost; another takes its place")
    # It is being started now, with orders that do not hold any more when it serves.
    assert http(fleet, "POST", f"{place}/undrain")[0] == 200
    rules = [{"name": "no", "when": {"regex": "forbidden"}, "reject": "no"}]
    fleet.file.write_text(json.dumps(fleet.settings | {"rules": rules}))
    assert http(fleet, "POST", "/api/v1/reload")[0] == 200
    fleet.said("worker serves", 3)
    with fleet.client_of(1) as client:
        with pytest.raises(pymysql.MySQLError, match="no"):
            ask(client, "SELECT 'forbidden'")
        for _ in range(20):
            ask(client, "SELECT 1")
    with admin(fleet) as operator:
        served = f"SELECT draining, statements > 0 FROM servers WHERE server = '{replica}'"
        assert ask(operator, served) == ((0, 1),)


def test_without_a_supervisor_the_workers_end(fleet: RouterProcess) -> None:
    workers = fleet.workers
    fleet.process.kill()
    fleet.ended()
    until(lambda: not any(alive(pid) for pid in workers.values()))
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", fleet.port))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all(fleet: RouterProcess, number: signal.Signals) -> None:
    with fleet.client_of(1) as client:
        ask(client, "BEGIN")
        ask(client, "SELECT 1")
        fleet.process.send_signal(number)
        fleet.said("stopping")
        ask(client, "SELECT 2")
        ask(client, "COMMIT")
    assert fleet.ended() == 0
    assert not any(alive(pid) for pid in fleet.workers.values())
    assert fleet.failures() == []
