"""The demo as a user runs it: a DSN that works, what it shows is true, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from pymysql.cursors import Cursor

from router.config.loader import loads
from router.demo import Running, main, routes
from router.sandbox import MariaDBServer
from router.sandbox.process import cache_directory, remove_directory, scratch_directory
from router.sandbox.replica_set import wait_until

DEMO = [sys.executable, "-m", "router", "demo"]
# The primary, two replicas, two shards and the router.
PROCESSES = 6
DSN = re.compile(r"mysql://(?P<user>\w+):(?P<password>[^@]+)@127\.0\.0\.1:(?P<port>\d+)/(?P<database>\w+)")


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Temporary files and the state file in directories of this test's own; templates come from the real cache.

    Afterwards no process of the demo lives on, and no file.
    """
    cache = tmp_path / "cache" / "mysql-query-router"
    cache.mkdir(parents=True)
    for template in cache_directory().glob("mariadb-*-template*"):
        (cache / template.name).symlink_to(template)
    # A socket path must be short: not below pytest's directory.
    temporary = Path(tempfile.mkdtemp(prefix="demo-", dir="/tmp"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    monkeypatch.setenv("TMPDIR", str(temporary))
    yield temporary
    wait_until(lambda: not processes_in(temporary), 10, "the end of the demo's processes")
    left = list(temporary.iterdir())
    shutil.rmtree(temporary)
    assert left == []


def processes_in(directory: Path) -> list[int]:
    """The processes that have a directory on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(directory).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def connect(text: str) -> pymysql.Connection:
    """A connection to the DSN in what the demo printed."""
    found = DSN.search(text)
    assert found is not None, text
    return pymysql.connect(
        host="127.0.0.1",
        port=int(found["port"]),
        user=found["user"],
        password=found["password"],
        database=found["database"],
        autocommit=True,
    )


@contextlib.contextmanager
def started() -> Iterator[subprocess.Popen[str]]:
    """The demo in the foreground; a test that fails does not wait for its end."""
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def customers(cursor: Cursor, hint: str) -> tuple[int, ...]:
    """The customers of one shard, or of both; their orders and the orders' items are there too."""
    cursor.execute(
        f"SELECT {hint} DISTINCT id FROM sharded_shop.customers c JOIN sharded_shop.order_items i ON customer_id = c.id"
        " JOIN sharded_shop.regions r ON r.code = c.region ORDER BY id"
    )
    return tuple(key for (key,) in cursor.fetchall())


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process printed up to a line with these words."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if words in line:
            return text
    raise AssertionError(f"the demo ended without saying {words!r}:\n{text}")


@pytest.mark.parametrize("deadly", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_serves_and_cleans_up(private: Path, deadly: signal.Signals) -> None:
    with started() as process:
        text = read_until(process, "Ctrl-C")
        # In the servers' own words: the write on the primary only, the read on one replica only.
        assert re.search(r"a write: INSERT .*\n  went to primary \(reason: write\)", text), text
        assert re.search(r"a read: SELECT .*\n  went to replica[12] \(reason: read\)", text), text
        # Customers of even numbers are on the first shard.
        assert re.search(r"a write of one shard: INSERT .*\n  went to shard0 \(reason: write\)", text), text
        assert re.search(r"a read of one shard: SELECT .*\n  went to shard1 \(reason: read\)", text), text
        assert re.search(r"a read of both shards: SELECT COUNT.*\n  went to shard0, shard1; EXPLAIN ROUTE", text), text
        for shard in ("shard0", "shard1"):
            assert re.search(rf"\n    {shard}: SELECT COUNT\(\*\), .*FROM order_items\n", text), text
        assert "the answer: 6 37.075000\n" in text
        with contextlib.closing(connect(text)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM orders WHERE customer = 'Linus'")
            assert cursor.fetchall() == ((1,),)
            assert [customers(cursor, f"/*+ router(shard={shard}) */") for shard in ("shard0", "shard1")] == [
                (2, 4),
                (1, 3),
            ]
            assert customers(cursor, "") == (1, 2, 3, 4)
        # As the terminal does: to the whole group.
        process.send_signal(deadly)
        assert process.stdout is not None
        assert "nothing is left behind" in process.stdout.read()
        assert process.wait(20) == 0


def test_the_demo_dies_with_a_kill(private: Path) -> None:
    with started() as process:
        read_until(process, "Ctrl-C")
        assert len(processes_in(private)) == PROCESSES
        process.kill()
    wait_until(lambda: not processes_in(private), 10, "the end of the demo's processes")
    # Its files are removed by the next one.
    assert len(list(private.iterdir())) == 1
    remove_directory(scratch_directory(private))


def look_at_the_console(printed: str) -> None:
    """It is where the demo says, and shows the clients that keep it busy; the other door for operators is open."""
    console = re.search(r"console: (http://\S+/)", printed)
    assert console is not None
    assert "Router console" in get(console[1])
    wait_until(
        lambda: json.loads(get(f"{console[1]}api/v1/tables/sessions?program_name=demo"))["total"] >= 4, 10, "the load"
    )
    operators = re.search(r"for operators: mariadb -h127.0.0.1 -P(\d+)", printed)
    assert operators is not None
    with contextlib.closing(pymysql.connect(host="127.0.0.1", port=int(operators[1]), user="me")) as connection:
        connection.ping(reconnect=False)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_detached_it_lives_on_until_it_is_told(private: Path) -> None:
    command = [*DEMO, "--detach", "--load"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    try:
        assert "demo --down" in printed
        assert len(processes_in(private)) == PROCESSES
        with contextlib.closing(connect(printed)) as connection:
            connection.ping(reconnect=False)
        look_at_the_console(printed)
        again = subprocess.run([*DEMO, "--detach"], capture_output=True, text=True, timeout=60, check=True).stdout
        assert "running already" in again
        assert DSN.search(again)
    finally:
        stopped = subprocess.run([*DEMO, "--down"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "nothing is left behind" in stopped
    with pytest.raises(pymysql.err.OperationalError):
        connect(printed)


@pytest.mark.usefixtures("private")
def test_down_without_a_demo_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--down"]) == 0
    assert "no demo is running" in capsys.readouterr().out


@pytest.mark.usefixtures("private")
def test_a_state_file_of_a_dead_process_is_not_believed(capsys: pytest.CaptureFixture[str]) -> None:
    state = cache_directory() / "demo.json"
    # Our own process, but not started then: a number that was given again.
    state.write_text(
        f'{{"pid": {os.getpid()}, "started": 1, "port": 1, "admin": 1, "user": "u", "password": "p", "sockets": {{}}}}',
        encoding="ascii",
    )
    assert main(["--down"]) == 0
    assert "no demo is running" in capsys.readouterr().out


def test_without_mariadb_it_says_what_to_install(
    private: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("router.sandbox.servers.shutil.which", lambda *_, **__: None)
    assert main([]) == 1
    assert "apt-get install mariadb-server-core" in capsys.readouterr().out


def test_its_configuration_is_valid(tmp_path: Path) -> None:
    servers = [MariaDBServer(tmp_path, name=name) for name in ("primary", "replica1", "replica2", "shard0", "shard1")]
    for number, server in enumerate(servers):
        server.port = 20000 + number
    config = loads(routes(servers[:3], servers[3:], 3307, 8307, 6307), "routes.yaml", {})
    assert [str(server.address) for server in config.groups["main"].servers] == [
        "127.0.0.1:20000",
        "127.0.0.1:20001",
        "127.0.0.1:20002",
    ]
    assert {server.role for server in config.groups["main"].servers} == {"auto"}
    assert [[str(each.address) for each in config.groups[name].servers] for name in ("shard0", "shard1")] == [
        ["127.0.0.1:20003"],
        ["127.0.0.1:20004"],
    ]
    assert config.users["app"].default_schema == "shop"
    assert set(config.schemas["sharded_shop"].tables) == {"customers", "orders", "order_items", "regions"}


def test_the_dsn_is_a_url() -> None:
    running = Running(1, 1, 3307, 8307, 6307, "app", "secret", {})
    assert running.dsn == "mysql://app:secret@127.0.0.1:3307/shop"
