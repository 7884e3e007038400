"""One private server: MariaDB from this machine's packages, or MySQL 9.7.

A server is small (16 MB buffer pool), durable against its own crash but not against the machine's, writes a binary log
with GTIDs, and listens on 127.0.0.1 and on a unix socket. ``root`` has no password and can log in through the socket
only, which lies in a directory that only its owner can enter.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
import uuid
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from router.sandbox.mysql97 import MySQL97, mysql97
from router.sandbox.process import (
    SandboxError,
    SandboxUnavailable,
    cache_directory,
    free_port,
    last_lines,
    made_once,
    remove_directory,
    run,
    scratch_directory,
    spawn,
    stop_process,
)
from router.sandbox.tls import Certificates

Flavor = Literal["mariadb", "mysql"]
Row = tuple[Any, ...]

_POLL = 0.02
_PORT_ATTEMPTS = 5
_PORT_TAKEN = re.compile(r"address already in use|bind on tcp/ip port", re.IGNORECASE)
# Raised when what a template contains changes, so that old ones are not used.
_TEMPLATE = 1

_MARIADB_OPTIONS = (
    "--log-slave-updates",
    "--gtid-domain-id=0",
    "--aria-pagecache-buffer-size=1M",
    "--innodb-log-file-size=16M",
)
_MYSQL_OPTIONS = (
    "--mysqlx=OFF",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--innodb-redo-log-capacity=16M",
    "--innodb-doublewrite=OFF",
    "--secure-file-priv=",
)
_COMMON_OPTIONS = (
    "--bind-address=127.0.0.1",
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--sync-binlog=0",
    "--relay-log=relay",
    "--innodb-buffer-pool-size=16M",
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=2",
    "--key-buffer-size=1M",
    "--skip-name-resolve",
    "--max-connections=400",
    "--max-allowed-packet=64M",
    "--character-set-server=utf8mb4",
    "--local-infile=ON",
)

_DUMP_THREADS = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"


class Server(ABC):
    """A private server; ``start`` before use, ``close`` when done (or leave it to the end of the process)."""

    flavor: Flavor
    host = "127.0.0.1"
    start_timeout = 30.0
    stop_timeout = 15.0

    def __init__(
        self,
        directory: Path | None = None,
        *,
        server_id: int = 1,
        name: str = "server",
        performance_schema: bool = False,
        general_log: bool = False,
        certificates: Certificates | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """Prepare a server below ``directory`` (default: a temporary one of its own).

        ``general_log`` sends every statement to the table ``mysql.general_log``; ``options`` are appended to the
        command line and so win over ours; they may be changed for the next start.
        """
        self._owned = None if directory else scratch_directory()
        self.directory = (directory or self._owned or Path()) / name
        self.name = name
        self.server_id = server_id
        self.port = 0
        self.data = self.directory / "data"
        self.socket = self.directory / "sock"
        self.error_log = self.directory / "error.log"
        self._output = self.directory / "output.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._switches = self._optional(performance_schema, general_log, certificates)
        self.options = list(options)
        if len(str(self.socket)) >= 100:
            raise SandboxError(f"the path of the unix socket is too long, use a shorter directory: {self.socket}")
        _live.add(self)

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the process without waiting; several servers can come up side by side."""
        if self.alive:
            return
        if not self.data.exists():
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.directory / "tmp").mkdir(exist_ok=True)
            copy = ["cp", "-a", "--reflink=auto", f"{self._template()}/.", str(self.data)]
            run(copy, timeout=60, what=f"copying the template of {self.name}")
        self.port = self.port or free_port()
        with self._output.open("ab") as output:
            self._process = spawn(self._command(), stdout=output, stderr=output)

    def wait_ready(self) -> None:
        """Wait until the server answers through its socket; raises SandboxError with the end of its error log."""
        deadline = time.monotonic() + self.start_timeout
        attempts = 1
        while True:
            if not self.alive:
                # The port was free when we looked; somebody else was faster.
                if attempts >= _PORT_ATTEMPTS or not _PORT_TAKEN.search(self._log_text()):
                    raise SandboxError(f"{self.name} ended while starting\n{self.log_tail()}")
                attempts += 1
                self.error_log.unlink(missing_ok=True)
                self._reap()
                self.port = free_port()
                self.launch()
            if self._answers():
                return
            if time.monotonic() > deadline:
                self.kill()
                raise SandboxError(f"{self.name} was not ready after {self.start_timeout:g} s\n{self.log_tail()}")
            time.sleep(_POLL)

    def _answers(self) -> bool:
        # PyMySQL leaves its socket open when nobody listens: knock first.
        with socket.socket(socket.AF_UNIX) as knock:
            if knock.connect_ex(str(self.socket)) != 0:
                return False
        try:
            self.root().close()
        except pymysql.err.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Shut down in order; does nothing when it is down already."""
        if self._process is not None:
            stop_process(self._process, self.stop_timeout)
            self._reap()

    def kill(self) -> None:
        """Crash: SIGKILL, as the out-of-memory killer would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._reap()

    def restart(self) -> None:
        """Stop if needed and start again on the same port with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill the server and remove its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._owned is not None:
            remove_directory(self._owned)
            self._owned = None
        _live.discard(self)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reap(self) -> None:
        self._process = None
        self.socket.unlink(missing_ok=True)

    # --- questions ----------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id; raises SandboxError when the server is down."""
        if self._process is None or not self.alive:
            raise SandboxError(f"{self.name} is not running")
        return self._process.pid

    def root(self) -> Connection:
        """A new connection as ``root`` through the unix socket, with autocommit."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=10,
            read_timeout=60,
            # PyMySQL would first read every authority of this machine, which takes ten times as long as the rest.
            ssl_disabled=True,
        )

    def execute(self, sql: str, args: Sequence[object] | None = None) -> list[Row]:
        """Run one statement as ``root`` on a connection of its own and return its rows."""
        with contextlib.closing(self.root()) as connection, connection.cursor() as cursor:
            cursor.execute(sql, args)
            return list(cursor.fetchall())

    def value(self, sql: str, args: Sequence[object] | None = None) -> Any:
        """The first column of the only row."""
        [row] = self.execute(sql, args)
        return row[0]

    def records(self, sql: str) -> list[dict[str, Any]]:
        """Like ``execute``, each row as a dictionary."""
        with contextlib.closing(self.root()) as connection, connection.cursor(DictCursor) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def log_tail(self) -> str:
        """The end of what the server logged."""
        return last_lines(self._log_text()) or "    (its log is empty)"

    def _log_text(self) -> str:
        paths = [path for path in (self._output, self.error_log) if path.exists()]
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)

    # --- replication: what differs between the two ------------------------------------------------------------------

    @abstractmethod
    def replicate_from(self, primary: Server, user: str, password: str) -> None:
        """Become a replica of ``primary`` by GTID, from where we are, and start applying."""

    @abstractmethod
    def make_read_only(self) -> None:
        """Refuse writes of ordinary users."""

    @abstractmethod
    def make_writable(self) -> None:
        """Follow nobody, and take writes."""

    @abstractmethod
    def gtids(self) -> str:
        """What has been executed here, to be waited for elsewhere."""

    @abstractmethod
    def wait_for_gtids(self, gtids: str, timeout: float) -> bool:
        """Wait until ``gtids`` are applied here; False after ``timeout`` seconds."""

    def replica_status(self) -> dict[str, Any]:
        """The only row of SHOW REPLICA STATUS; empty on a server that replicates from nobody."""
        rows = self.records("SHOW REPLICA STATUS")
        return rows[0] if rows else {}

    # --- command line -------------------------------------------------------------------------------------------------

    def _command(self) -> list[str]:
        here = [
            f"--user={user_name()}",
            f"--server-id={self.server_id}",
            f"--port={self.port}",
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--pid-file={self.directory / 'pid'}",
            f"--tmpdir={self.directory / 'tmp'}",
            f"--log-error={self.error_log}",
        ]
        return [*self._program(), *here, *_COMMON_OPTIONS, *self._switches, *self.options]

    @staticmethod
    def _optional(performance_schema: bool, general_log: bool, certificates: Certificates | None) -> list[str]:
        switches = [f"--performance-schema={'ON' if performance_schema else 'OFF'}"]
        if general_log:
            switches += ["--general-log=ON", "--log-output=TABLE"]
        if certificates is not None:
            switches += [
                f"--ssl-ca={certificates.ca}",
                f"--ssl-cert={certificates.certificate}",
                f"--ssl-key={certificates.key}",
            ]
        return switches

    @abstractmethod
    def _program(self) -> list[str]:
        """The server program with the options of its flavour."""

    @abstractmethod
    def _template(self) -> Path:
        """The data directory to copy; made the first time."""


class MariaDBServer(Server):
    """MariaDB as this machine's packages install it."""

    flavor: Flavor = "mariadb"

    def _program(self) -> list[str]:
        return [mariadbd(), "--no-defaults", *_MARIADB_OPTIONS]

    def _template(self) -> Path:
        return mariadb_template()

    def replicate_from(self, primary: Server, user: str, password: str) -> None:
        self.execute("STOP SLAVE")
        self.execute(
            "CHANGE MASTER TO master_host=%s, master_port=%s, master_user=%s, master_password=%s,"
            " master_use_gtid=slave_pos, master_connect_retry=1",
            (primary.host, primary.port, user, password),
        )
        self.execute("START SLAVE")

    def make_read_only(self) -> None:
        self.execute("SET GLOBAL read_only = 1")

    def make_writable(self) -> None:
        for statement in ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"):
            self.execute(statement)

    def gtids(self) -> str:
        return str(self.value("SELECT @@global.gtid_current_pos"))

    def wait_for_gtids(self, gtids: str, timeout: float) -> bool:
        return bool(self.value("SELECT MASTER_GTID_WAIT(%s, %s)", (gtids, timeout)) == 0)


class MySQLServer(Server):
    """MySQL 9.7 from the sandbox's own tree."""

    flavor: Flavor = "mysql"
    start_timeout = 60.0

    def _program(self) -> list[str]:
        tree = mysql97()
        folders = (
            f"--lc-messages-dir={tree.messages}",
            f"--character-sets-dir={tree.charsets}",
            f"--plugin-dir={tree.plugins}",
        )
        return [*tree.mysqld, "--no-defaults", *_MYSQL_OPTIONS, *folders]

    def _template(self) -> Path:
        return mysql_template(mysql97())

    def stop(self) -> None:
        # A primary waits ten seconds for its dump threads, unless they are told to go.
        if self.alive:
            with contextlib.suppress(pymysql.err.MySQLError):
                for (thread,) in self.execute(_DUMP_THREADS):
                    self.execute("KILL %s", (thread,))
        super().stop()

    def replicate_from(self, primary: Server, user: str, password: str) -> None:
        self.execute("STOP REPLICA")
        self.execute(
            "CHANGE REPLICATION SOURCE TO source_host=%s, source_port=%s, source_user=%s, source_password=%s,"
            " source_auto_position=1, get_source_public_key=1, source_connect_retry=1, source_retry_count=86400",
            (primary.host, primary.port, user, password),
        )
        self.execute("START REPLICA")

    def make_read_only(self) -> None:
        self.execute("SET GLOBAL super_read_only = 1")

    def make_writable(self) -> None:
        for statement in ("STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL read_only = 0"):
            self.execute(statement)

    def gtids(self) -> str:
        return str(self.value("SELECT @@global.gtid_executed"))

    def wait_for_gtids(self, gtids: str, timeout: float) -> bool:
        return bool(self.value("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (gtids, timeout)) == 0)


# Servers that were not closed are stopped with the process; see also ``spawn``.
_live: weakref.WeakSet[Server] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for server in list(_live):
        server.close()


def user_name() -> str:
    """The name of the user we run as; the servers refuse to run as root unless told to."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


# --- templates --------------------------------------------------------------------------------------------------------


def fill_cache(flavor: Flavor) -> Path:
    """Make the template data directory of a flavour (for MySQL: unpack the server first); returns where it is."""
    return mariadb_template() if flavor == "mariadb" else mysql_template(mysql97())


def mariadbd() -> str:
    """The path of MariaDB's server program; raises SandboxUnavailable when it is not installed."""
    path = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise SandboxUnavailable("mariadbd is not installed: apt-get install mariadb-server-core mariadb-client")
    return path


def mariadb_template() -> Path:
    """An empty data directory of the installed MariaDB (about 34 MB)."""
    version = re.search(r"Ver (\S+)", run([mariadbd(), "--no-defaults", "--version"], timeout=30, what="mariadbd"))
    if version is None:
        raise SandboxError("mariadbd --version did not name a version")
    return made_once(_template_path("mariadb", version[1]), _install_mariadb)


def _install_mariadb(directory: Path) -> None:
    install = shutil.which("mariadb-install-db")
    if install is None:
        raise SandboxUnavailable("mariadb-install-db is not installed: apt-get install mariadb-server-core")
    # Without name resolution root@127.0.0.1 could log in over TCP without a password.
    extra = directory.with_name(f"{directory.name}.{uuid.uuid4().hex}.sql")
    extra.write_text("DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';\n", encoding="ascii")
    options = [
        "--no-defaults",
        f"--user={user_name()}",
        f"--datadir={directory}",
        f"--extra-file={extra}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        "--force",  # a machine whose own name nobody can look up is fine: nothing here goes by name
        # A small redo log: 34 MB to copy instead of 114.
        "--innodb-log-file-size=16M",
        "--innodb-flush-method=nosync",
        "--aria-log-file-size=8388608",
    ]
    try:
        run([install, *options], timeout=120, what="mariadb-install-db")
    finally:
        extra.unlink()


def mysql_template(tree: MySQL97) -> Path:
    """An empty data directory of MySQL 9.7 (about 98 MB), with the certificates and RSA keys it made itself."""
    return made_once(_template_path("mysql", tree.version), lambda directory: _initialize_mysql(tree, directory))


def _initialize_mysql(tree: MySQL97, directory: Path) -> None:
    options = [
        "--no-defaults",
        "--initialize-insecure",
        f"--user={user_name()}",
        f"--datadir={directory}",
        f"--lc-messages-dir={tree.messages}",
        f"--character-sets-dir={tree.charsets}",
        "--secure-file-priv=",
        "--innodb-redo-log-capacity=16M",
        "--innodb-flush-method=nosync",
    ]
    run([*tree.mysqld, *options], timeout=180, what="mysqld --initialize-insecure")
    # The server's UUID: every copy makes its own.
    (directory / "auto.cnf").unlink(missing_ok=True)


def _template_path(flavor: Flavor, version: str) -> Path:
    safe = re.sub(r"[^A-Za-z0-9.+-]", "_", version)
    return cache_directory() / f"{flavor}-{safe}-template{_TEMPLATE}-uid{os.geteuid()}"
