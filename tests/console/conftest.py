"""Chromium, and a router with traffic that the console shows.

The browser is the one of the system: nothing is downloaded. Whatever a test does, its pages must have logged no error,
run nothing that is not ours, and asked nobody but the router.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
import structlog
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from router import log
from router.sandbox import ReplicaSet
from tests.clients.ways import missing
from tests.fix_router import RunningRouter, settings_for

# A name that a DNS server of somebody's would have lead here.
REBOUND = "rebound.example"
FOREIGN = "http://elsewhere.example/"
DATABASES = ("console", "console_0", "console_1")
TABLES = (
    "CREATE TABLE console.t (id INT PRIMARY KEY AUTO_INCREMENT, n INT)",
    "INSERT INTO console.t (n) VALUES (1), (2)",
)
STATEMENTS = (
    "SELECT n FROM t WHERE id = 1",
    "UPDATE t SET n = n + 1 WHERE id = 2",
    "SELECT COUNT(*) FROM t",
    "SELECT nothing",
)

expect.set_options(timeout=8000)


class House:
    """The router, its file, and a client that keeps it busy."""

    def __init__(self, servers: ReplicaSet, directory: Path) -> None:
        self.file = directory / "routes.yaml"
        self.settings: dict[str, Any] = settings_for(servers, directory)
        self.settings["rules"] = [{"name": "counts", "when": {"regex": "COUNT"}, "send_to": {"role": "primary"}}]
        self.settings["schemas"] = {
            "sharded": {
                "group": "main",
                "shards": {f"s{number}": {"group": "main", "database": f"console_{number}"} for number in (0, 1)},
                "tables": {"orders": {"shard_by": "id", "function": "mod"}},
            }
        }
        self.router = RunningRouter(self.settings)
        self.router.password = servers.app_password
        self.over = threading.Event()
        self.client = threading.Thread(target=self._busy, daemon=True)

    @contextlib.contextmanager
    def open(self) -> Iterator[House]:
        self.write({})
        with self.router as router:
            router.gateway.reloads.path = self.file
            self.client.start()
            try:
                yield self
            finally:
                self.over.set()
                self.client.join(30)

    def write(self, changes: dict[str, Any]) -> None:
        """The file, with other sections."""
        self.file.write_text(json.dumps(self.settings | changes), encoding="utf-8")

    def _busy(self) -> None:
        with self.router.connect(database="console", program_name="busy") as connection, connection.cursor() as cursor:
            while not self.over.wait(0.005):
                for statement in STATEMENTS:
                    with contextlib.suppress(pymysql.MySQLError):
                        cursor.execute(statement)

    @property
    def url(self) -> str:
        """Where the console is."""
        admin = self.router.gateway.admin
        assert admin is not None
        return f"{admin.http}/"


@pytest.fixture(scope="module")
def logged() -> Iterator[None]:
    """The log, as the command line sets it up."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    log.setup("json", "info", io.StringIO())
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module")
def house(mariadb_set: ReplicaSet, tmp_path_factory: pytest.TempPathFactory, logged: None) -> Iterator[House]:
    """In front of a primary and two replicas."""
    primary = mariadb_set.primary
    for name in DATABASES:
        primary.execute(f"CREATE DATABASE {name}")
    for statement in TABLES:
        primary.execute(statement)
    for number in (0, 1):
        primary.execute(f"CREATE TABLE console_{number}.orders (id INT PRIMARY KEY, price INT)")
    mariadb_set.wait_for_replicas()
    with House(mariadb_set, tmp_path_factory.mktemp("console")).open() as house:
        yield house
    for name in DATABASES:
        primary.execute(f"DROP DATABASE {name}")
    mariadb_set.wait_for_replicas()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("there is no Chromium")
    # Root has no sandbox; what is visited is our own.
    # Walls of its own that only some browsers have, before ours, are off.
    options = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]
    options.append(f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


class Visit:
    """Pages of one browser context. ``allowed``: what the browser may complain about."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.allowed: tuple[str, ...] = ()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        context.set_default_timeout(8000)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._requested)
        context.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _requested(self, request: Request) -> None:
        self.asked.append(request.url)

    def page(self, view: str = "overview") -> Page:
        """The console, at a view."""
        page = self.context.new_page()
        page.goto(f"{self.url}#{view}")
        expect(page.locator("nav.views a[aria-current]")).to_have_count(1)
        return page

    def check(self) -> None:
        """Nothing has gone wrong."""
        odd = [each for each in self.complaints if not any(allowed in each for allowed in self.allowed)]
        assert not odd, odd
        origin = urlsplit(self.url).netloc
        assert {urlsplit(each).netloc for each in self.asked if not each.startswith("data:")} <= {origin}


@contextlib.contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Somebody who visits the console; ``options`` are those of the browser context."""
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
    try:
        visit = Visit(context, url)
        yield visit
        visit.check()
    finally:
        context.close()


@pytest.fixture
def visit(chromium: Browser, house: House) -> Iterator[Visit]:
    """Somebody who visits the console."""
    with visiting(chromium, house.url) as visit:
        yield visit
