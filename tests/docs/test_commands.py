"""Commands of the pages: those of ``router`` and of MySQL's clients are run, with the file of the page."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from typer.testing import CliRunner

from router import cli
from router.sandbox import ReplicaSet, free_port, spawn, stop_process, wait_ready
from tests.clients.ways import program
from tests.docs.blocks import ROOT, Command, all_blocks, blocks, commands, looks_like, pages
from tests.docs.configurations import BASE, ENVIRON, Document, document_at, in_front_of, is_whole, read, with_files

CHECKOUT = "it changes this checkout or its machine; the target itself is what `make test` and CI run"
ENGINE = "it needs a container engine; tests/deploy looks at the Dockerfile and the compose file"
# What is not run, by how it begins, and why.
NOT_RUN = {
    r"make demo": "tests/test_demo.py and test_statements.py run `router demo`, which is all it does",
    r"make test": CHECKOUT,
    r"make setup && . .venv/bin/activate": CHECKOUT,
    r"export ": "the environment of all commands here has these variables",
    r"(python3 -m venv|install|cp|systemctl) ": "it needs root and systemd; tests/deploy looks at the unit",
    r"docker ": ENGINE,
    r"pip install": "it loads packages; tests/integration/test_spans.py runs with the extra, and without it",
    r"ssh ": "it needs another machine",
    r"cp deploy/compose/env.example": ENGINE,
    r"(python|node|php|go) (shop|run)": "test_frameworks.py runs the programs",
    r"helm install": "it needs a cluster; tests/deploy renders the chart",
    r"mysqldump .* main > proxysql.sql": "it asks a running ProxySQL; tests/importing reads such dumps",
}
OFFLINE = ("check", "explain", "schema", "import")
PROXYSQL = """
CREATE TABLE mysql_servers (hostgroup_id INT, hostname VARCHAR, port INT, max_replication_lag INT);
INSERT INTO mysql_servers VALUES (10, '10.0.0.1', 3306, 10);
INSERT INTO mysql_servers VALUES (20, '10.0.0.2', 3306, 10);
CREATE TABLE mysql_replication_hostgroups (writer_hostgroup INT, reader_hostgroup INT);
INSERT INTO mysql_replication_hostgroups VALUES (10, 20);
CREATE TABLE mysql_users (username VARCHAR, password VARCHAR, default_hostgroup INT, default_schema VARCHAR);
INSERT INTO mysql_users VALUES ('app', 'app-secret', 10, 'shop');
"""
MYCAT = {
    "schema.xml": """<schema>
 <schema name="shop" dataNode="dn1"/><dataNode name="dn1" dataHost="h1" database="shop"/>
 <dataHost name="h1" balance="3" maxCon="50"><writeHost host="m1" url="10.0.0.1:3306" user="app" password="x">
 <readHost host="s1" url="10.0.0.2:3306" user="app" password="x"/></writeHost></dataHost></schema>""",
    "server.xml": """<server><user name="app"><property name="password">x</property>
 <property name="schemas">shop</property></user></server>""",
    "rule.xml": "<rule/>",
}


class Reader:
    """Somebody who follows a page: a folder with its file, and a router that runs once he has started it."""

    def __init__(self, page: str, folder: Path, servers: ReplicaSet) -> None:
        self.page = page
        self.folder = folder
        self.servers = servers
        self.environment = {**os.environ, **ENVIRON, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
        self.ports = {"client": free_port(), "http": free_port(), "mysql": free_port()}
        self.running: subprocess.Popen[bytes] | None = None
        self._write_files()

    def _write_files(self) -> None:
        shown = [block for block in blocks(self.page) if block.language == "yaml" and not block.file]
        document: Document = document_at(shown[-1]) if shown else read(BASE)
        whole = [block.text for block in shown if is_whole(block)]
        (self.folder / "routes.yaml").write_text(
            with_files(whole[-1] if whole else json.dumps(document), self.folder), encoding="utf-8"
        )
        here = in_front_of(document, {"main": self.servers.servers}, self.ports)
        here.pop("rules", None)  # they may name groups that are not here
        here.pop("schemas", None)
        (self.folder / "here").mkdir()
        (self.folder / "here" / "routes.yaml").write_text(with_files(json.dumps(here), self.folder), encoding="utf-8")
        (self.folder / "proxysql.sql").write_text(PROXYSQL, encoding="utf-8")
        (self.folder / "conf").mkdir()
        for name, text in MYCAT.items():
            (self.folder / "conf" / name).write_text(text, encoding="utf-8")

    def start(self, *options: str) -> None:
        """``router --config routes.yaml``, until ``stop``."""
        if self.running is not None:
            return
        log = self.folder / "router.log"
        with log.open("wb") as output:
            self.running = spawn(
                [str(ROOT / ".venv/bin/router"), "--config", "routes.yaml", *options],
                stdout=output,
                stderr=output,
                cwd=self.folder / "here",
                env=self.environment,
            )
        wait_ready(
            self.running,
            self.ports["client"],
            name="router",
            log=log,
            url=f"http://127.0.0.1:{self.ports['http']}/readyz",
        )

    def take_over(self) -> None:
        """Another router takes over from the one that runs."""
        self.start()
        before, self.running = self.running, None
        assert before is not None
        self.start("--takeover")
        assert before.wait(30) == 0

    def stop(self) -> None:
        """End it."""
        if self.running is not None:
            stop_process(self.running, grace=5)

    def run(self, command: Command) -> None:
        """Run the command, and compare what it prints with what the page says."""
        words = command.text.split()
        match words:
            case ["router", "hash-password", *_]:
                printed = self.type_password(command.text)
            case ["router", "--config", *_, "--takeover"]:
                self.take_over()
                return
            case ["router", "--config", *_] | ["router", "run", *_]:
                self.start()
                return
            case ["router", *_] if words[1] in OFFLINE and "--online" not in words:
                printed = self.tell(command.text.replace("/usr/local/mycat/conf", "conf"), self.folder)
            case ["router", *_]:
                self.start()
                printed = self.tell(command.text, self.folder / "here")
            case ["curl", *_]:
                self.start()
                printed = self.fetch(command.text)
            case ["mariadb" | "mysql", *_]:
                self.start()
                self.connect(command.text)
                return
            case _:
                pytest.fail(f"{command.block}: {command.text!r} is not run; say why in NOT_RUN")
        if command.printed:
            assert looks_like(command.printed, printed), printed

    def tell(self, text: str, folder: Path) -> str:
        """A command of ``router`` that ends: in this process, which has it loaded, unless it needs a shell."""
        words = shlex.split(text, comments=True)
        if ">" in words:
            return self.shell(text, folder)
        with contextlib.chdir(folder):
            result = CliRunner().invoke(cli.app, words[1:], env=self.environment)
        assert result.exit_code == 0, f"{text}\n{result.output}"
        return result.stdout

    def shell(self, text: str, folder: Path) -> str:
        """What a command prints that ends well."""
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def type_password(self, text: str) -> str:
        """What somebody sees who types a password twice."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(text.split("#")[0].split(), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
                              env=self.environment, start_new_session=True) as process:  # fmt: skip
            os.close(theirs)
            seen = b""
            for prompt in (b"Password: ", b"Again: "):
                while not seen.endswith(prompt):
                    seen += os.read(ours, 1000)
                os.write(ours, b"correct horse\n")
            while True:
                try:
                    seen += os.read(ours, 1000)
                except OSError:  # the other end is closed: all is said
                    break
        os.close(ours)
        assert process.returncode == 0
        return seen.decode()

    def fetch(self, text: str) -> str:
        """What is served at ``admin.http``; session 42 of the page is one that is there."""
        text = re.sub(r"(localhost|127\.0\.0\.1):8307", f"127.0.0.1:{self.ports['http']}", text)
        password = self.servers.app_password
        with pymysql.connect(host="127.0.0.1", port=self.ports["client"], user="app", password=password) as session:
            text = text.replace("/sessions/42/", f"/sessions/{session.thread_id()}/")
            return self.shell(text.replace("curl ", f"{program('curl')} --silent --show-error --fail ", 1), self.folder)

    def connect(self, text: str) -> None:
        """A client of the command line at the page's address, which is another one here."""
        admin = bool(re.search(r"-P ?6307", text))
        port = self.ports["mysql" if admin else "client"]
        secret = ENVIRON["OPS_PASSWORD" if admin else "APP_PASSWORD"]
        text = re.sub(r"-P ?\d+", f"-P {port}", text).replace("router.example", "127.0.0.1")
        text = re.sub(r" -p\b", f" -p{secret}", text)
        text = text.replace(text.split()[0], program("mariadb"), 1)
        self.servers.primary.execute("CREATE DATABASE IF NOT EXISTS shop")
        self.servers.wait_for_replicas()
        printed = self.shell(f"echo 'SELECT 40 + 2 AS n' | {text} --skip-column-names --batch", self.folder)
        assert printed.split() == ["42"], printed


@contextlib.contextmanager
def reader(page: str, folder: Path, servers: ReplicaSet) -> Iterator[Reader]:
    """A reader of a page, whose router is stopped in the end."""
    found = Reader(page, folder, servers)
    try:
        yield found
    finally:
        found.stop()


def reason_not_to(text: str) -> str:
    """Why a command is not run; empty if it is."""
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, text)), "")


def commands_to_run(page: str) -> list[Command]:
    """The commands of a page that have no reason not to be."""
    found = [command for block in blocks(page) if block.language in ("sh", "console") for command in commands(block)]
    return [command for command in found if not reason_not_to(command.text)]


@pytest.mark.parametrize("page", [page for page in pages() if commands_to_run(page)])
def test_commands(page: str, mariadb_set: ReplicaSet, tmp_path: Path) -> None:
    with reader(page, tmp_path, mariadb_set) as follower:
        for command in commands_to_run(page):
            try:
                follower.run(command)
            except BaseException as error:
                error.add_note(f"{command.block}: {command.text}")
                raise


def test_what_is_not_run_is_there() -> None:
    texts = [command.text for block in all_blocks("sh", "console") for command in commands(block)]
    for pattern in NOT_RUN:
        assert any(reason_not_to(text) == NOT_RUN[pattern] for text in texts), pattern
