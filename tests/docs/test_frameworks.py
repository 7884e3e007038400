"""The programs of docs/how-to/connect, as they stand there: what they print, and which servers were asked.

They run against the configuration of the folder's first page. What a page writes as ``router.example:3307`` is a router
in front of a primary with two replicas, whose general logs tell who was asked what.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from router.sandbox import Flavor, ReplicaSet, Server
from tests.clients.programs import build, install_node_packages
from tests.clients.test_java import CACHE, FETCH_TIMEOUT, JVM
from tests.clients.ways import library, missing, program, run_program
from tests.docs.blocks import ROOT, Block, blocks, commands, pages
from tests.docs.configurations import document_at, in_front_of
from tests.fix_router import RunningRouter
from tests.fix_servers import mark, mark_all, statements_by_server, statements_seen

FIRST_PAGE = "docs/how-to/connect/index.md"
FOLDER = FIRST_PAGE.removesuffix("index.md")
CLIENTS = ROOT / "tests" / "clients"
COMPILE_TIMEOUT = 110.0


@dataclass(frozen=True, slots=True)
class Program:
    """How a page's files are run; which statements (expressions) must have reached the primary only, or one replica."""

    files: tuple[str, ...]
    command: Callable[[Path], list[str]]
    primary: tuple[str, ...]
    replica: tuple[str, ...]
    flavor: Flavor = "mariadb"


def python(*drivers: str) -> Callable[[Path], list[str]]:
    """The interpreter of the tests, which has the framework."""

    def command(_folder: Path) -> list[str]:
        for name in drivers:
            library(name)
        return [sys.executable, "shop.py"]

    return command


def node(folder: Path) -> list[str]:
    """With the packages of the client tests."""
    found = program("node")
    install_node_packages(CLIENTS / "node")
    (folder / "node_modules").symlink_to(CLIENTS / "node" / "node_modules")
    return [found, "shop.mjs"]


def php(_folder: Path) -> list[str]:
    """As the distribution has it."""
    found = program("php")
    if run_program([found, "-r", "new ReflectionExtension('pdo_mysql');"]).returncode:
        missing("php has no pdo_mysql")
    return [found, "shop.php"]


def go(folder: Path) -> list[str]:
    """Built with the driver of the client tests."""
    for name in ("go.mod", "go.sum"):
        shutil.copy(CLIENTS / "go" / name, folder)
    command = [program("go"), "build", "-mod=readonly", "-buildvcs=false", "-o", "shop", "."]
    if problem := build(command, folder, COMPILE_TIMEOUT, {**os.environ, "CGO_ENABLED": "0"}):
        missing(problem)
    return [str(folder / "shop")]


def java(folder: Path) -> list[str]:
    """Compiled with the jars that ``spring/pom.xml`` names, and theirs."""
    pom = ROOT / "tests" / "docs" / "spring" / "pom.xml"
    jars = CACHE / f"spring-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with pom.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (jars / ".fetched").exists():
            fetch = [program("mvn"), "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
            if problem := build([*fetch, f"-DoutputDirectory={jars}"], pom.parent, FETCH_TIMEOUT):
                missing(problem)
            (jars / ".fetched").touch()
    compiler = [program("javac"), "-encoding", "UTF-8", "-proc:none", "-parameters", "-cp", f"{jars}/*"]
    problem = build([*compiler, "-d", ".", "Shop.java"], folder, COMPILE_TIMEOUT)
    assert not problem, problem
    return [program("java"), *JVM, "-cp", f"{folder}:{jars}/*", "shop.Shop"]


INSERT, COUNT = r"INSERT INTO `?orders\b", r"SELECT COUNT\(\*\)"
PROGRAMS = {
    "django.md": Program(("shop.py",), python("django", "MySQLdb"), (INSERT, COUNT), (r"SELECT `orders`\.`id`",)),
    "sqlalchemy.md": Program(
        ("shop.py",), python("sqlalchemy"), (INSERT, r"SELECT count\("), (r"SELECT orders\.total",)
    ),
    "node.md": Program(("shop.mjs",), node, (INSERT, COUNT), ("SELECT total",)),
    "php.md": Program(("shop.php",), php, (INSERT, COUNT), ("SELECT total",)),
    "go.md": Program(("main.go",), go, (INSERT, COUNT), ("SELECT total", r"SELECT MAX\(total\)")),
    "spring.md": Program(
        ("application.yml", "Shop.java"), java, (INSERT, COUNT), ("SELECT total", r"SELECT MAX\(total\)"), "mysql"
    ),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """Servers, and the port of a router in front of them."""

    servers: ReplicaSet
    port: int


def _stage(servers: ReplicaSet) -> Iterator[Stage]:
    """With the configuration of the folder's first page."""
    [shown] = [block for block in blocks(FIRST_PAGE) if block.language == "yaml"]
    document = document_at(shown)
    document["users"]["app"]["password"] = servers.app_password
    here = in_front_of(document, {"main": servers.servers}, {"client": 0, "http": 0})
    assert servers.certificates is not None
    tls = {"certificate": str(servers.certificates.certificate), "key": str(servers.certificates.key)}
    here["listeners"] = [{"address": "127.0.0.1:0", "tls": tls}]
    with RunningRouter(here) as router:
        yield Stage(servers, router.port)


@pytest.fixture(scope="module")
def mariadb_stage(mariadb_set: ReplicaSet) -> Iterator[Stage]:
    """MariaDB."""
    yield from _stage(mariadb_set)


@pytest.fixture(scope="module")
def mysql_stage(mysql_set: ReplicaSet) -> Iterator[Stage]:
    """MySQL."""
    yield from _stage(mysql_set)


def shown_by(page: str) -> tuple[dict[str, Block], str]:
    """The files that a page shows, and what it says that the program prints."""
    files = {block.file: block for block in blocks(page) if block.file}
    printed = [command.printed for block in blocks(page) if block.language == "console" for command in commands(block)]
    printed += [block.text for block in blocks(page) if block.language == ""]
    return files, printed[-1]


def prepare(servers: ReplicaSet) -> None:
    """The page's table in an empty database. While table ``broken`` has a row, an INSERT ends as in a deadlock."""
    [table] = [block for block in blocks(FIRST_PAGE) if block.language == "sql"]
    with contextlib.closing(servers.primary.root()) as connection, connection.cursor() as cursor:
        for sql in (
            "DROP DATABASE IF EXISTS shop",
            "CREATE DATABASE shop CHARACTER SET utf8mb4",
            "USE shop",
            table.text,
            "CREATE TABLE broken (id INT PRIMARY KEY)",
            "INSERT INTO broken VALUES (1)",
            "CREATE TRIGGER orders_broken BEFORE INSERT ON orders FOR EACH ROW IF EXISTS (SELECT 1 FROM broken)"
            " THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found'; END IF",
        ):
            cursor.execute(sql)
        connection.commit()
    servers.wait_for_replicas()


@contextlib.contextmanager
def deadlock(primary: Server) -> Iterator[None]:
    """The first INSERT is refused; as soon as its transaction has been rolled back, the next one will do."""
    since, ended = mark(primary), threading.Event()

    def mend() -> None:
        while not ended.wait(0.01):
            asked = "\n".join(statements_seen(primary, since))
            if re.search(rf"{INSERT}.*^rollback", asked, re.IGNORECASE | re.DOTALL | re.MULTILINE):
                primary.execute("DELETE FROM shop.broken")
                return

    thread = threading.Thread(target=mend, name="mend")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def run(told: Program, page: str, stage: Stage, folder: Path) -> dict[str, list[str]]:
    """Run a page's program as it stands there; what each server was asked."""
    files, printed = shown_by(page)
    assert set(files) == set(told.files)
    for file, block in files.items():
        text = block.text.replace("router.example", "127.0.0.1").replace("3307", str(stage.port))
        (folder / file).write_text(text, encoding="utf-8")
    command = told.command(folder)
    servers = stage.servers
    prepare(servers)
    since = mark_all(servers)
    with deadlock(servers.primary):
        done = run_program(
            ["env", f"--chdir={folder}", *command],
            environment={"APP_PASSWORD": servers.app_password, "PYTHONWARNINGS": "error"},
        )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode("utf-8", "replace")
    assert done.stdout.decode() == printed, done.stderr.decode("utf-8", "replace")
    asked = statements_by_server(servers, since)
    servers.primary.execute("DROP DATABASE shop")
    return asked


def matching(pattern: str, texts: list[str]) -> list[str]:
    """The statements that begin with what the expression says, behind a comment or none."""
    return [text for text in texts if re.match(rf"(/\*.*?\*/)?\s*{pattern}", text)]


def check(told: Program, stage: Stage, asked: dict[str, list[str]]) -> None:
    """Writes, and reads beside them, reached the primary only; the others one replica only."""
    primary = stage.servers.primary.name
    for pattern in told.primary:
        assert [name for name, texts in asked.items() if matching(pattern, texts)] == [primary], (pattern, asked)
    assert len(matching(INSERT, asked[primary])) > 1, "the transaction was not repeated"
    for pattern in told.replica:
        found = [name for name, texts in asked.items() if matching(pattern, texts)]
        assert len(found) == 1, (pattern, asked)
        assert found != [primary], (pattern, asked)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, told in PROGRAMS.items() if told.flavor == "mariadb"])
def test_programs(name: str, mariadb_stage: Stage, tmp_path: Path) -> None:
    check(PROGRAMS[name], mariadb_stage, run(PROGRAMS[name], f"{FOLDER}{name}", mariadb_stage, tmp_path))


@pytest.mark.slow
@pytest.mark.mysql
@pytest.mark.parametrize("name", [name for name, told in PROGRAMS.items() if told.flavor == "mysql"])
def test_programs_on_mysql(name: str, mysql_stage: Stage, tmp_path: Path) -> None:
    check(PROGRAMS[name], mysql_stage, run(PROGRAMS[name], f"{FOLDER}{name}", mysql_stage, tmp_path))


def test_every_page_has_its_program() -> None:
    found = {page.removeprefix(FOLDER) for page in pages() if page.startswith(FOLDER)}
    assert found == {"index.md", *PROGRAMS}
