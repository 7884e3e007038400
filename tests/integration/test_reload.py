"""The configuration changes under clients that go on."""

from __future__ import annotations

import asyncio
import copy
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pymysql
import pytest

from router.config.differences import Difference
from router.errors import ConfigError
from router.gateway import Gateway
from router.sandbox import ReplicaSet, free_port
from tests.fix_router import RunningRouter, settings_for
from tests.integration.bank import rows
from tests.integration.test_consistency import frozen

Start = Callable[[dict[str, Any]], RunningRouter]
Settings = dict[str, Any]


class House:
    """A router whose file can be written anew."""

    def __init__(self, servers: ReplicaSet, directory: Path, start: Start) -> None:
        self.file = directory / "routes.yaml"
        self.settings: Settings = settings_for(servers, directory)
        self.router = start(self.settings)
        self.router.gateway.reloads.path = self.file

    def reload(self, change: Callable[[Settings], None]) -> list[Difference]:
        """Change the settings, and have the router read them."""
        settings = copy.deepcopy(self.settings)
        change(settings)
        self.file.write_text(json.dumps(settings))
        changes = self.router.wait_for(lambda gateway: gateway.reload())
        self.settings = settings
        return changes


@pytest.fixture
def house(server_set: ReplicaSet, tmp_path: Path, start_router: Start) -> Iterator[House]:
    """In front of database ``house`` with accounts."""
    primary = server_set.primary
    primary.execute("DROP DATABASE IF EXISTS house")
    primary.execute("CREATE DATABASE house")
    primary.execute("CREATE TABLE house.t (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    primary.execute("INSERT INTO house.t (n) VALUES (0), (0), (0), (0), (0), (0), (0), (0)")
    server_set.wait_for_replicas()
    yield House(server_set, tmp_path, start_router)
    primary.execute("DROP DATABASE house")
    server_set.wait_for_replicas()


class Worker(threading.Thread):
    """Writes, reads what it has written, prepares, and is in transactions; all the time, and without an error."""

    def __init__(self, house: House, number: int) -> None:
        super().__init__(daemon=True)
        self.house = house
        self.number = number
        self.over = threading.Event()
        self.errors: list[BaseException] = []
        self.turns = 0

    def run(self) -> None:
        try:
            with self.house.router.connect(database="house") as connection, connection.cursor() as cursor:
                while not self.over.is_set():
                    cursor.execute("UPDATE t SET n = n + 1 WHERE id = %s", (self.number,))
                    self.turns += 1
                    cursor.execute("SELECT n FROM t WHERE id = %s", (self.number,))
                    assert cursor.fetchall() == ((self.turns,),)
                    connection.begin()
                    cursor.execute("SELECT n FROM t WHERE id = %s FOR UPDATE", (self.number,))
                    assert cursor.fetchall() == ((self.turns,),)
                    cursor.execute("UPDATE t SET n = n + 1 WHERE id = %s", (self.number,))
                    connection.commit()
                    self.turns += 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.errors.append(error)


def without(name: str) -> Callable[[Settings], None]:
    def change(settings: Settings) -> None:
        servers = settings["groups"]["main"]["servers"]
        settings["groups"]["main"]["servers"] = [each for each in servers if each["name"] != name]

    return change


def test_nobody_is_disturbed(house: House, server_set: ReplicaSet) -> None:
    everybody = copy.deepcopy(house.settings["groups"]["main"]["servers"])

    def all_again(settings: Settings) -> None:
        settings["groups"]["main"] |= {"servers": everybody, "pool": {"max_connections": 3}}

    def otherwise(settings: Settings) -> None:
        settings["groups"]["main"] |= {"reads": {"balance": "round_robin", "consistency": "global"}}
        settings["rules"] = [{"name": "r", "when": {"statement": "show"}, "send_to": {"role": "primary"}}]
        settings["groups"]["main"]["pool"] = {"max_connections": 12}

    workers = [Worker(house, number) for number in range(1, 9)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(4):
            for change in (without("replica1"), otherwise, all_again, without("replica2"), all_again):
                before = [worker.turns for worker in workers]
                house.reload(change)
                for worker, turns in zip(workers, before, strict=True):
                    while worker.turns < turns + 3 and worker.is_alive():
                        worker.join(0.01)
    finally:
        for worker in workers:
            worker.over.set()
        for worker in workers:
            worker.join(30)
    assert [error for worker in workers for error in worker.errors] == []
    written = server_set.primary.value("SELECT SUM(n) FROM house.t")
    assert int(str(written)) == sum(worker.turns for worker in workers)
    print(f"{sum(worker.turns for worker in workers)} writes during 20 reloads")
    pools = house.router.call(lambda gateway: [server.pool.in_use for server in gateway.topology.servers()])
    assert pools == [0, 0, 0]


def test_a_transaction_goes_on_as_it_has_begun(house: House) -> None:
    def rejects(settings: Settings) -> None:
        settings["rules"] = [{"name": "no", "when": {"regex": "FROM t"}, "reject": "not any more"}]

    with house.router.connect(database="house") as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT COUNT(*) FROM t")
        house.reload(rejects)
        cursor.execute("SELECT COUNT(*) FROM t")
        cursor.execute("COMMIT")
        with pytest.raises(pymysql.MySQLError, match="not any more"):
            cursor.execute("SELECT COUNT(*) FROM t")


def test_a_server_that_is_taken_out_while_it_is_held(house: House, server_set: ReplicaSet) -> None:
    with house.router.connect(database="house") as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE t SET n = 5 WHERE id = 1")
        house.reload(without("primary"))
        cursor.execute("UPDATE t SET n = 6 WHERE id = 2")
        cursor.execute("COMMIT")
        assert server_set.primary.value("SELECT GROUP_CONCAT(n ORDER BY id) FROM house.t WHERE id < 3") == "5,6"
        assert rows(connection, "SELECT n FROM t WHERE id = 1") == [(5,)]


def test_a_group_that_is_gone_while_it_is_held(house: House, server_set: ReplicaSet) -> None:
    def two_groups(settings: Settings) -> None:
        settings["groups"]["other"] = copy.deepcopy(settings["groups"]["main"])
        settings["schemas"] = {"house": {"group": "other"}}

    def one_group(settings: Settings) -> None:
        del settings["groups"]["other"], settings["schemas"]

    house.reload(two_groups)
    with house.router.connect(database="house") as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE t SET n = 7 WHERE id = 1")
        house.reload(one_group)
        cursor.execute("UPDATE t SET n = 8 WHERE id = 2")
        cursor.execute("COMMIT")
        cursor.execute("SELECT n FROM t WHERE id < 3 ORDER BY id")
        assert cursor.fetchall() == ((7,), (8,))
        house.reload(two_groups)
        cursor.execute("SELECT n FROM t WHERE id < 3 ORDER BY id")
        assert cursor.fetchall() == ((7,), (8,))


@pytest.mark.parametrize(("before", "after"), [("session", "global"), ("global", "session"), ("eventual", "session")])
def test_what_was_written_before_is_read(house: House, server_set: ReplicaSet, before: str, after: str) -> None:
    def reads(consistency: str) -> Callable[[Settings], None]:
        def change(settings: Settings) -> None:
            settings["groups"]["main"]["reads"] = {"consistency": consistency, "max_lag": "any"}

        return change

    house.reload(reads(before))
    with house.router.connect(database="house") as writer, frozen(server_set):
        rows(writer, "UPDATE t SET n = 9 WHERE id = 1")
        house.reload(reads(after))
        assert rows(writer, "SELECT n FROM t WHERE id = 1") == [(9,)]
        if after == "global":
            with house.router.connect(database="house") as reader:
                assert rows(reader, "SELECT n FROM t WHERE id = 1") == [(9,)]


def test_what_was_written_before_is_read_where_servers_have_come(house: House, server_set: ReplicaSet) -> None:
    everybody = copy.deepcopy(house.settings["groups"]["main"]["servers"])

    def alone(settings: Settings) -> None:
        settings["groups"]["main"]["servers"] = everybody[:1]

    def not_alone(settings: Settings) -> None:
        settings["groups"]["main"] |= {"servers": everybody, "reads": {"max_lag": "any"}}

    house.reload(alone)
    with house.router.connect(database="house") as connection, frozen(server_set):
        rows(connection, "UPDATE t SET n = 9 WHERE id = 1")
        house.reload(not_alone)
        house.router.wait_for(lambda gateway: gateway.monitor.look(gateway.topology.groups["main"]))
        assert rows(connection, "SELECT n FROM t WHERE id = 1") == [(9,)]


def test_what_was_written_before_is_read_by_another_name(house: House, server_set: ReplicaSet) -> None:
    def renamed(settings: Settings) -> None:
        group = settings["groups"].pop("main")
        settings["groups"] = {"new": group | {"reads": {"max_lag": "any"}}}

    with house.router.connect(database="house") as connection, frozen(server_set):
        rows(connection, "UPDATE t SET n = 9 WHERE id = 1")
        rows(connection, "BEGIN")
        rows(connection, "UPDATE t SET n = 8 WHERE id = 2")
        house.reload(renamed)
        rows(connection, "COMMIT")
        house.router.wait_for(lambda gateway: gateway.monitor.look(gateway.topology.groups["new"]))
        assert rows(connection, "SELECT n FROM t WHERE id IN (1, 2) ORDER BY id") == [(9,), (8,)]


@pytest.mark.parametrize(("before", "after"), [("strong", "session"), ("strong", "global"), ("eventual", "session")])
def test_what_was_written_before_is_read_by_who_waits(
    house: House, server_set: ReplicaSet, before: str, after: str
) -> None:
    """A read that has begun when only the primary could answer it, and is answered when replicas may."""
    alone = copy.deepcopy(house.settings["groups"]["main"]["servers"])[:1]
    everybody = house.settings["groups"]["main"]["servers"]

    def change(consistency: str, servers: list[Any]) -> Callable[[Settings], None]:
        reads = {"consistency": consistency, "max_lag": "any"}
        return lambda settings: settings["groups"]["main"].update(reads=reads, servers=servers)

    def waits(gateway: Gateway) -> bool:
        return any(each.state == "waiting" for each in gateway.frontend.glances())

    house.reload(change(before, alone if before == "eventual" else everybody))
    primary = server_set.primary.name
    with (
        house.router.connect(database="house", autocommit=True) as connection,
        frozen(server_set),
        ThreadPoolExecutor(1) as pool,
    ):
        rows(connection, "UPDATE t SET n = 9 WHERE id = 1")
        house.router.wait_for(lambda gateway: gateway.operations.drain("main", primary))
        reading = pool.submit(rows, connection, "SELECT n FROM t WHERE id = 1")
        patiently(lambda: house.router.call(waits), "that the read waits")
        house.reload(change(after, everybody))
        house.router.wait_for(lambda gateway: gateway.monitor.look(gateway.topology.groups["main"]))
        wait({reading}, 1.0)
        house.router.wait_for(lambda gateway: gateway.operations.undrain("main", primary))
        assert reading.result(20) == [(9,)]


def test_listeners_come_and_go_and_clients_stay(house: House, tmp_path: Path) -> None:
    new = tmp_path / "new.sock"

    def moved(settings: Settings) -> None:
        settings["listeners"][1] = f"unix:{new}"

    old = house.router.unix_socket
    with pymysql.connect(unix_socket=old, user="app", password=house.router.password) as connection:
        changes = house.reload(moved)
        assert [str(each) for each in changes] == [
            f"listeners.unix:{old}: {{address: unix:{old}}} (gone)",
            f"listeners.unix:{new}: {{address: unix:{new}}} (new)",
        ]
        assert rows(connection, "SELECT 1") == [(1,)]
    assert not Path(old).exists()
    with pymysql.connect(unix_socket=str(new), user="app", password=house.router.password) as connection:
        assert rows(connection, "SELECT 1") == [(1,)]


def test_users_come_and_go(house: House) -> None:
    def more(settings: Settings) -> None:
        password = settings["users"]["app"]["password"]
        settings["users"]["app"] = {"password": "changed", "backend": {"user": "app", "password": password}}
        settings["users"]["second"] = {"password": "two", "backend": {"user": "app", "password": password}}

    def less(settings: Settings) -> None:
        del settings["users"]["second"]

    with house.router.connect(database="house") as first:
        house.reload(more)
        assert rows(first, "SELECT COUNT(*) FROM t") == [(8,)]
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            house.router.connect(database="house")
        house.router.connect(database="house", password="changed").close()
        with house.router.connect(user="second", password="two", database="house") as second:
            assert rows(second, "SELECT COUNT(*) FROM t") == [(8,)]
            house.reload(less)
            with pytest.raises(pymysql.OperationalError, match="Access denied"):
                rows(second, "SELECT COUNT(*) FROM t")
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            house.router.connect(user="second", password="two", database="house")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{groups: {main: {servers: [127.0.0.1:1]}}, users: {app: {pasword: x}}}", "did you mean"),
        ("{groups: {main: {servers: [127.0.0.1:1", "routes.yaml"),
    ],
)
def test_a_bad_file_changes_nothing(house: House, text: str, problem: str) -> None:
    house.file.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        house.router.wait_for(lambda gateway: gateway.reload())
    with house.router.connect(database="house") as connection:
        assert rows(connection, "SELECT COUNT(*) FROM t") == [(8,)]


def test_an_address_that_is_taken_changes_nothing(house: House, tmp_path: Path) -> None:
    def taken(settings: Settings) -> None:
        settings["listeners"] = [
            f"unix:{tmp_path}/other.sock",
            f"127.0.0.1:{house.router.port}",
        ]
        settings["users"]["late"] = {"password": "late"}

    with pytest.raises(OSError, match="address already in use"):
        house.reload(taken)
    assert not (tmp_path / "other.sock").exists()
    with house.router.connect(database="house") as connection:
        assert rows(connection, "SELECT COUNT(*) FROM t") == [(8,)]


def test_reloads_do_not_overtake_one_another(house: House) -> None:
    house.file.write_text(json.dumps(house.settings))

    async def several(gateway: Any) -> list[list[Difference]]:
        return list(await asyncio.gather(*(gateway.reload() for _ in range(5))))

    assert house.router.wait_for(several) == [[]] * 5


# --- as a process -----------------------------------------------------------------------------------------------------


def patiently(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("way", ["signal", "command", "watch"])
def test_a_running_router_is_told(mariadb_set: ReplicaSet, tmp_path: Path, way: str) -> None:
    file = tmp_path / "routes.yaml"
    settings = settings_for(mariadb_set, tmp_path)
    port = free_port()
    settings |= {"listeners": [f"127.0.0.1:{port}"], "admin": {"http": f"unix:{tmp_path}/admin.sock"}}
    file.write_text(json.dumps(settings))
    router = [sys.executable, "-m", "router"]

    def rejected() -> bool:
        with pymysql.connect(host="127.0.0.1", port=port, user="app", password=mariadb_set.app_password) as connection:
            try:
                rows(connection, "SELECT 'unwanted'")
            except pymysql.MySQLError as error:
                assert "go away" in str(error)  # noqa: PT017 - until it says so, the query succeeds
                return True
        return False

    command = [*router, "run", "--config", str(file), *(["--watch"] if way == "watch" else [])]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "ready" in line:
                    break
            assert not rejected()
            settings["rules"] = [{"name": "no", "when": {"regex": "unwanted"}, "reject": "go away"}]
            file.write_text(json.dumps(settings))
            match way:
                case "signal":
                    process.send_signal(signal.SIGHUP)
                case "command":
                    told = subprocess.run(
                        [*router, "reload", "--config", str(file)],
                        capture_output=True,
                        text=True,
                        check=True,
                        timeout=30,
                    )
                    assert "rules.no" in told.stdout
            patiently(rejected, "the rule counts")
            file.write_text("{groups: nonsense}")
            if way == "command":
                again = subprocess.run(
                    [*router, "reload", "--config", str(file)], capture_output=True, text=True, check=False, timeout=30
                )
                assert again.returncode != 0
                assert "routes.yaml:1:" in again.stderr
            elif way == "signal":
                process.send_signal(signal.SIGHUP)
            assert rejected()
        finally:
            process.terminate()
            assert process.wait(40) == 0
