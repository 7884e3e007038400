"""``router demo``: a private primary with two replicas, two shards, the router in front, and a DSN to play with.

In the foreground it lives until Ctrl-C and leaves nothing behind. With ``--detach`` a background process holds it,
named by a state file in the user's cache directory, until ``--down`` ends it. What it shows of writes and reads is
what happened: the router is asked why (EXPLAIN ROUTE) and the servers' own logs are asked where.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pymysql

from router.sandbox import (
    MariaDBServer,
    ReplicaSet,
    SandboxError,
    Server,
    free_port,
    spawn,
    start_replica_set,
    stop_process,
    wait_ready,
)
from router.sandbox.process import cache_directory, file_lock, remove_directory, scratch_directory
from router.sandbox.replica_set import create_accounts

DATABASE = "shop"
_SCHEMA = (
    f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4",
    f"""CREATE TABLE {DATABASE}.orders (
        id INT PRIMARY KEY AUTO_INCREMENT, customer VARCHAR(40) NOT NULL, total DECIMAL(8,2) NOT NULL,
        created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, KEY (customer))""",
    "INSERT INTO shop.orders (customer, total) VALUES"
    " ('Ada', 12.50), ('Grace', 99.00), ('Edsger', 7.25), ('Barbara', 41.80)",
)
SHARDED_DATABASE = "sharded_shop"
_SHARDS = ("shard0", "shard1")
# Through the router: each table is made on both shards, each row goes where it belongs.
_SHARDED_SCHEMA = (
    "CREATE TABLE regions (code CHAR(2) PRIMARY KEY, name VARCHAR(40) NOT NULL)",
    "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, region CHAR(2) NOT NULL)",
    """CREATE TABLE orders (
        customer_id INT NOT NULL, id INT NOT NULL, placed_at DATETIME NOT NULL, PRIMARY KEY (customer_id, id))""",
    """CREATE TABLE order_items (
        customer_id INT NOT NULL, order_id INT NOT NULL, line INT NOT NULL, article VARCHAR(40) NOT NULL,
        price DECIMAL(8,2) NOT NULL, PRIMARY KEY (customer_id, order_id, line))""",
    "INSERT INTO regions VALUES ('GB', 'Great Britain'), ('NL', 'Netherlands'), ('US', 'United States')",
    "INSERT INTO customers VALUES (1, 'Ada', 'GB'), (2, 'Grace', 'US'), (3, 'Edsger', 'NL'), (4, 'Barbara', 'US')",
    "INSERT INTO orders VALUES (1, 1, NOW()), (2, 2, NOW()), (3, 3, NOW()), (4, 4, NOW()), (4, 5, NOW())",
    "INSERT INTO order_items VALUES (1, 1, 1, 'punched cards', 12.50), (2, 2, 1, 'moths', 99.00),"
    " (3, 3, 1, 'paper', 7.25), (4, 4, 1, 'tea', 41.80), (4, 5, 1, 'chalk', 1.90), (4, 5, 2, 'a board', 60.00)",
)
_SHOWN = (
    ("a write", DATABASE, "INSERT INTO orders (customer, total) VALUES ('Linus', 42.00)"),
    ("a read", DATABASE, "SELECT customer, SUM(total) FROM orders GROUP BY customer ORDER BY customer"),
    ("a write of one shard", SHARDED_DATABASE, "INSERT INTO orders VALUES (2, 6, NOW())"),
    (
        "a read of one shard",
        SHARDED_DATABASE,
        "SELECT r.name, SUM(price) FROM customers c JOIN regions r ON r.code = c.region"
        " JOIN order_items i ON i.customer_id = c.id WHERE c.id = 3 GROUP BY r.name",
    ),
)
_SCATTERED = "SELECT COUNT(*), AVG(price) FROM order_items"
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of a statement: the servers that got it, the router's reason and parts, and the rows."""

    servers: list[str]
    reason: str
    parts: list[tuple[str, str]]
    rows: list[tuple[object, ...]]

    @property
    def where(self) -> str:
        """The servers in words."""
        return ", ".join(self.servers) or "no server"


@dataclass(frozen=True, slots=True)
class Running:
    """What a running demo is known by; the state file of a detached one holds exactly this.

    ``pid`` and ``started`` (clock ticks since boot, so that a process that merely got the same number is not mistaken
    for it) name the process that holds it; ``sockets`` are the servers' unix sockets by name.
    """

    pid: int
    started: int
    port: int
    admin: int
    operators: int
    user: str
    password: str
    sockets: dict[str, str]

    @property
    def dsn(self) -> str:
        """The URL any client understands."""
        return f"mysql://{self.user}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of ``router demo``; the exit status."""
    parser = argparse.ArgumentParser(
        prog="router demo", description="A primary, two replicas, two shards and the router."
    )
    parser.add_argument("--detach", action="store_true", help="leave it running in the background")
    parser.add_argument("--load", action="store_true", help="keep some statements going")
    parser.add_argument("--down", action="store_true", help="stop the one left running")
    parser.add_argument("--hold", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        if options.hold:
            return _hold(load=options.load)
        return demo(detach=options.detach, down=options.down, load=options.load)
    except (SandboxError, pymysql.err.MySQLError) as error:
        _say(f"router demo: {error}")
        return 1


def demo(*, detach: bool = False, down: bool = False, load: bool = False) -> int:
    """Run the demo in the foreground, or start (``detach``) or stop (``down``) one in the background.

    ``load``: some clients use it all the time.
    """
    if down:
        return _down()
    if detach:
        return _detach(load=load)
    return _foreground(load=load)


def _say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# --- running it -------------------------------------------------------------------------------------------------------


def _foreground(*, load: bool) -> int:
    began = time.monotonic()
    _say("starting a primary, two replicas, two shards and the router ...")
    with _signals_as_exceptions(), contextlib.suppress(_Told), _everything() as (running, router):
        show(running, time.monotonic() - began)
        _load(running, load)
        _say("\nCtrl-C stops everything and removes the data.")
        status = router.wait()
        _say(f"the router ended by itself with status {status}")
        return 1
    _say("\nstopped, nothing is left behind.")
    return 0


def _hold(*, load: bool) -> int:
    """What the background process does: the same, and a state file instead of words."""
    state = _state_file()
    with _signals_as_exceptions(), contextlib.suppress(_Told), _everything() as (running, router):
        part = state.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(asdict(running)), encoding="utf-8")
        part.rename(state)
        _load(running, load)
        try:
            status = router.wait()
        finally:
            state.unlink(missing_ok=True)
        _say(f"the router ended by itself with status {status}")
        return 1
    return 0


@contextlib.contextmanager
def _everything() -> Iterator[tuple[Running, subprocess.Popen[bytes]]]:
    directory = scratch_directory()
    try:
        with contextlib.ExitStack() as stack:
            shards = [_launched(stack, directory, name) for name in _SHARDS]
            servers = stack.enter_context(start_replica_set("mariadb", 2, directory))
            _fill(servers, shards)
            running, router = stack.enter_context(_router(servers, shards, directory))
            _fill_shards(running)
            yield running, router
    finally:
        _ignore_signals()
        remove_directory(directory)


def _launched(stack: contextlib.ExitStack, directory: Path, name: str) -> Server:
    """A server that comes up beside the others."""
    server = MariaDBServer(directory, name=name)
    stack.callback(server.close)
    server.launch()
    return server


def _fill(servers: ReplicaSet, shards: Sequence[Server]) -> None:
    for statement in _SCHEMA:
        servers.primary.execute(statement)
    for server in (servers.primary, *shards):
        if server is not servers.primary:
            server.wait_ready()
            create_accounts(server)
        server.execute(f"CREATE DATABASE {SHARDED_DATABASE} CHARACTER SET utf8mb4")
    servers.wait_for_replicas()


def _fill_shards(running: Running) -> None:
    with contextlib.closing(_client(running, SHARDED_DATABASE)) as connection, connection.cursor() as cursor:
        for statement in _SHARDED_SCHEMA:
            cursor.execute(statement)


@contextlib.contextmanager
def _router(
    servers: ReplicaSet, shards: Sequence[Server], directory: Path
) -> Iterator[tuple[Running, subprocess.Popen[bytes]]]:
    port, admin, operators = free_port(), free_port(), free_port()
    config = directory / "routes.yaml"
    config.touch(mode=0o600)
    config.write_text(routes(servers.servers, shards, port, admin, operators), encoding="utf-8")
    log = directory / "router.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "router", "run", "--config", str(config)]
        process = spawn(command, stdout=output, stderr=output)
    try:
        wait_ready(process, port, name="the router", log=log, url=f"http://127.0.0.1:{admin}/readyz")
        sockets = {server.name: str(server.socket) for server in (*servers.servers, *shards)}
        me = os.getpid()
        user, password = servers.app_user, servers.app_password
        yield Running(me, _start_time(me), port, admin, operators, user, password, sockets), process
    finally:
        _ignore_signals()
        stop_process(process, grace=5)


def routes(servers: Sequence[Server], shards: Sequence[Server], port: int, admin: int, operators: int) -> str:
    """The configuration the demo's router runs with; the router finds out itself which server is the primary."""
    groups = "\n".join(
        f"""\
  {server.name}:
    servers: [{{name: {server.name}, address: {server.host}:{server.port}}}]
    monitor: {{user: {ReplicaSet.monitor_user}, password: {ReplicaSet.USERS[ReplicaSet.monitor_user]}}}"""
        for server in shards
    )
    places = ", ".join(f"{server.name}: {{group: {server.name}}}" for server in shards)
    addresses = "\n".join(
        f"      - {{name: {server.name}, address: {server.host}:{server.port}}}" for server in servers
    )
    monitor, app = ReplicaSet.monitor_user, ReplicaSet.app_user
    return f"""\
listeners:
  - address: 127.0.0.1:{port}
admin:
  http: 127.0.0.1:{admin}
  mysql: 127.0.0.1:{operators}
limits:
  drain_timeout: 1s
groups:
  main:
    servers:                       # roles are found out by asking them
{addresses}
    monitor: {{user: {monitor}, password: {ReplicaSet.USERS[monitor]}}}
{groups}
users:
  {app}: {{password: {ReplicaSet.USERS[app]}, default_schema: {DATABASE}}}
schemas:
  {DATABASE}: {{group: main}}
  {SHARDED_DATABASE}:
    group: main
    shards: {{{places}}}
    transactions: best_effort
    tables:
      customers: {{shard_by: id, function: mod}}
      orders: {{shard_by: customer_id, with: customers}}
      order_items: {{shard_by: customer_id, with: customers}}
      regions: {{broadcast: true}}
"""


# --- showing it -------------------------------------------------------------------------------------------------------


def show(running: Running, seconds: float | None = None) -> None:
    """Print the DSN, then writes and reads with where they went."""
    ready = "ready" if seconds is None else f"ready in {seconds:.1f} s"
    _say(f"{ready}: {running.dsn}")
    _say(f"  mariadb -h127.0.0.1 -P{running.port} -u{running.user} -p{running.password} {DATABASE}")
    _say(f"  console: http://127.0.0.1:{running.admin}/")
    _say(f"  for operators: mariadb -h127.0.0.1 -P{running.operators} stats")
    _say(f"  metrics: http://127.0.0.1:{running.admin}/metrics\n")
    with _logging(running):
        _show_statements(running)


def _show_statements(running: Running) -> None:
    shown = DATABASE
    for title, database, statement in _SHOWN:
        if database != shown:
            shown = database
            _say(f"\ndatabase {database}: customers, orders and order_items are spread over two shards by customer")
        _say(f"{title}: {statement}")
        trace = follow(running, database, statement)
        _say(f"  went to {trace.where} (reason: {trace.reason})")
    _say(f"a read of both shards: {_SCATTERED}")
    trace = follow(running, SHARDED_DATABASE, _SCATTERED)
    _say(f"  went to {trace.where}; EXPLAIN ROUTE says:")
    for shard, sql in trace.parts:
        _say(f"    {shard}: {sql}")
    _say("  the answer: " + ", ".join(" ".join(map(str, row)) for row in trace.rows))


def follow(running: Running, database: str, statement: str) -> Trace:
    """Run a statement that nobody has run before: who got it (or its parts) by the servers' own logs, and the answer.

    The servers must be logging.
    """
    with contextlib.closing(_client(running, database)) as connection, connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ROUTE {statement}")
        columns = [column[0] for column in cursor.description]
        steps = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        texts = {statement, *(str(step["sql"]) for step in steps)}
        cursor.execute(statement)
        rows = list(cursor.fetchall())
    got = [name for name, socket in running.sockets.items() if any(_received(socket, text) for text in texts)]
    parts = [(str(step["shard"]), str(step["sql"])) for step in steps]
    return Trace(got, str(steps[0]["reason"]), parts, rows)


# --- keeping it busy --------------------------------------------------------------------------------------------------

# Seconds between two statements of a client, on average.
_PACE = 0.05
_CLIENTS = 4
_BUSY = {
    DATABASE: (
        "SELECT * FROM orders WHERE id = {number}",
        "SELECT customer, SUM(total) FROM orders GROUP BY customer",
        "UPDATE orders SET total = total + 1 WHERE id = {number}",
    ),
    SHARDED_DATABASE: (
        "SELECT name FROM customers WHERE id = {number}",
        _SCATTERED,
        "SELECT * FROM order_items WHERE customer_id = {number} ORDER BY line",
    ),
}
# What a server refuses, and what the router does; of all they do, so much is that, or a login with a wrong password.
_WRONG = {
    DATABASE: ("SELECT nothing FROM orders WHERE id = {number}",),
    SHARDED_DATABASE: ("SELECT product, COUNT(*) FROM order_items GROUP BY product WITH ROLLUP",),
}
_REFUSED, _MISTAKES = 0.005, 0.03


def _load(running: Running, wanted: bool) -> None:
    """Clients that use it until this process ends."""
    for number in range(_CLIENTS if wanted else 0):
        threading.Thread(target=_busy, args=(running, number), daemon=True).start()


def _busy(running: Running, number: int) -> None:
    """One client: whatever it is told, it goes on. The first holds a lock, and so a connection."""
    while True:
        with (
            contextlib.suppress(pymysql.err.MySQLError),
            contextlib.closing(_client(running, DATABASE)) as connection,
            connection.cursor() as cursor,
        ):
            if number == 0:
                cursor.execute("SELECT GET_LOCK('demo', 0)")
            while True:
                # Who holds something keeps to one group.
                _do_something(running, cursor, random.choice(list(_BUSY)) if number else DATABASE)
                time.sleep(random.expovariate(1 / _PACE))
        time.sleep(1)


def _do_something(running: Running, cursor: pymysql.cursors.Cursor, database: str) -> None:
    chance = random.random()
    if chance < _REFUSED:
        with contextlib.suppress(pymysql.err.MySQLError):
            _client(running, DATABASE, password="wrong").close()
        return
    statement = random.choice((_WRONG if chance < _MISTAKES else _BUSY)[database])
    cursor.execute(f"USE {database}")
    with contextlib.suppress(pymysql.err.ProgrammingError, pymysql.err.NotSupportedError, pymysql.err.OperationalError):
        cursor.execute(statement.format(number=random.randint(1, 4)))


def _client(running: Running, database: str, password: str | None = None) -> pymysql.Connection:
    return pymysql.connect(
        host="127.0.0.1",
        port=running.port,
        user=running.user,
        password=running.password if password is None else password,
        database=database,
        autocommit=True,
        charset="utf8mb4",
        read_timeout=10,
        program_name="demo",
    )


@contextlib.contextmanager
def _logging(running: Running) -> Iterator[None]:
    """Let the servers note every statement in ``mysql.general_log`` for a moment."""
    for socket in running.sockets.values():
        _ask(socket, "SET GLOBAL log_output = 'TABLE'")
        _ask(socket, "SET GLOBAL general_log = ON")
    try:
        yield
    finally:
        for socket in running.sockets.values():
            _ask(socket, "SET GLOBAL general_log = OFF")


def _received(socket: str, statement: str) -> bool:
    found = "SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Query' AND argument = %s"
    [(count,)] = _ask(socket, found, statement)
    return bool(count)


def _ask(socket: str, sql: str, *args: object) -> Sequence[tuple[object, ...]]:
    connection = pymysql.connect(
        unix_socket=socket, user="root", autocommit=True, charset="utf8mb4", read_timeout=10, ssl_disabled=True
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(sql, args)
        return list(cursor.fetchall())


# --- in the background ------------------------------------------------------------------------------------------------


def _detach(*, load: bool) -> int:
    state = _state_file()
    with file_lock(state.with_suffix(".lock")):
        running = _read(state)
        if running is not None:
            _say(f"it is running already: {running.dsn}\nrouter demo --down stops it")
            return 0
        began = time.monotonic()
        _say("starting a primary, two replicas, two shards and the router in the background ...")
        log = state.with_suffix(".log")
        with log.open("wb") as output:
            holder = subprocess.Popen(
                [sys.executable, "-m", "router.demo", "--hold", *(["--load"] if load else [])],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            running = _wait_for_state(holder, state, log)
        except BaseException:
            stop_process(holder)
            raise
    show(running, time.monotonic() - began)
    _say("\nit runs in the background; stop it with: router demo --down   (in a checkout: make demo-down)")
    # It is meant to outlive us, which Popen would warn about.
    holder.returncode = 0
    return 0


def _wait_for_state(holder: subprocess.Popen[bytes], state: Path, log: Path) -> Running:
    deadline = time.monotonic() + _START_TIMEOUT
    while (running := _read(state)) is None:
        if holder.poll() is not None:
            raise SandboxError(f"it did not start:\n{log.read_text(encoding='utf-8', errors='replace').strip()}")
        if time.monotonic() > deadline:
            raise SandboxError(f"it was not ready after {_START_TIMEOUT:g} s")
        time.sleep(0.05)
    return running


def _down() -> int:
    state = _state_file()
    running = _read(state)
    if running is None:
        _say("no demo is running in the background")
        return 0
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT
    while _start_time(running.pid) == running.started:
        if time.monotonic() > deadline:
            # The servers and the router die with it.
            os.kill(running.pid, signal.SIGKILL)
            deadline += _STOP_TIMEOUT
        time.sleep(0.05)
    state.unlink(missing_ok=True)
    _say("stopped, nothing is left behind.")
    return 0


def _state_file() -> Path:
    return cache_directory() / "demo.json"


def _read(state: Path) -> Running | None:
    """The demo that runs in the background; None when there is none, or its process is gone."""
    try:
        running = Running(**json.loads(state.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return running if _start_time(running.pid) == running.started else None


def _start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (field 22 of proc(5)); 0 when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


# --- signals ----------------------------------------------------------------------------------------------------------

_DEADLY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Told(BaseException):
    """We were told to stop."""


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        _ignore_signals()
        raise _Told

    before = {number: signal.signal(number, stop) for number in _DEADLY}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """The first signal ends the demo; a second must not end the tidying up."""
    for number in _DEADLY:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
