"""Metrics and health over HTTP: what is open to all, what needs a password."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families as parse

from router.admin.http import AdminHttp
from router.config.models import Admin
from tests.admin.inside import World


class House:
    """A running admin server; ``reason`` is why the router is not ready."""

    def __init__(self, changes: dict[str, Any] | None = None, **config: Any) -> None:
        """``changes``: what the world gives."""
        self.registry = CollectorRegistry()
        self.counter = Counter("things", "Things.", registry=self.registry)
        self.reason: str | None = None
        self.world = World(
            **{"samples": self.registry.collect, "reload": self.reload, "refresh": self.refresh, **(changes or {})}
        )
        self.group = self.world.topology.groups["main"]
        self.refreshed = 0
        self.admin = AdminHttp(
            Admin.model_validate({"http": "127.0.0.1:0", **config}), self.world.inside, lambda: self.reason
        )
        self.changes: list[object] | Exception = []
        self.url = ""

    async def reload(self) -> list[object]:
        """The configuration is read again."""
        if isinstance(self.changes, Exception):
            raise self.changes
        return self.changes

    async def refresh(self, table: str) -> None:
        """The numbers are fetched."""
        self.refreshed += 1

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        self.url = await self.admin.start()
        try:
            yield self
        finally:
            await self.admin.stop()

    async def get(self, path: str, *, authorization: str | None = None) -> tuple[int, str, str]:
        """(status, content type, text)"""
        return await self.ask("GET", path, {} if authorization is None else {"Authorization": authorization})

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: str | bytes | None = None
    ) -> tuple[int, str, str]:
        """The same, with any method, headers and body."""
        if self.url.startswith("unix:"):
            connector: aiohttp.BaseConnector = aiohttp.UnixConnector(self.url.removeprefix("unix:"))
            base = "http://router"
        else:
            connector, base = aiohttp.TCPConnector(), self.url
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, base + path, headers=headers, data=body) as response,
        ):
            return response.status, response.headers.get("Content-Type", ""), await response.text()


def basic(name: str, password: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


USERS = {"users": {"admin": {"password": "pässwörd"}, "empty": {"password": ""}}}
ADMIN = basic("admin", "pässwörd")


async def test_metrics_are_what_prometheus_reads() -> None:
    async with House().open() as house:
        house.counter.inc()
        status, kind, text = await house.get("/metrics")
        assert status == 200
        assert kind.startswith("text/plain")
        (value,) = [
            sample.value for family in parse(text) for sample in family.samples if sample.name == "things_total"
        ]
        assert value == 1


async def test_alive_is_not_ready() -> None:
    async with House().open() as house:
        assert (await house.get("/livez"))[0] == 200
        assert (await house.get("/readyz"))[0] == 200
        house.reason = "no server of group 'main' answers"
        assert (await house.get("/livez"))[0] == 200
        status, _, text = await house.get("/readyz")
        assert (status, text) == (503, "no server of group 'main' answers\n")


@pytest.mark.parametrize("path", ["/metric", "/../etc/passwd", "/console/../http.py", "/console/none.js"])
async def test_nothing_else_is_there(path: str) -> None:
    async with House().open() as house:
        assert (await house.get(path))[0] == 404


async def test_with_users_metrics_need_a_password() -> None:
    async with House(**USERS).open() as house:
        assert (await house.get("/metrics"))[0] == 401
        assert (await house.get("/metrics", authorization=ADMIN))[0] == 200
        house.reason = "stopping"
        assert (await house.get("/livez"))[0] == 200
        assert (await house.get("/readyz"))[0] == 503, "load balancers have no password"


@pytest.mark.parametrize(
    "auth",
    [
        basic("admin", "wrong"),
        basic("admin", ""),
        basic("nobody", ""),
        basic("nobody", "\0"),
        basic("", ""),
    ],
)
async def test_wrong_passwords(auth: str) -> None:
    async with House(**USERS).open() as house:
        assert (await house.get("/metrics", authorization=auth))[0] == 401


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Basic /w==", "Bearer a", "Basic YWRtaW4=", "Basic Og=="])
async def test_what_is_no_password(header: str) -> None:
    async with House(**USERS).open() as house:
        assert (await house.get("/metrics", authorization=header))[0] == 401


async def test_an_empty_password_lets_nobody_in() -> None:
    """It is what ``${env:UNSET:-}`` leaves behind."""
    async with House(**USERS).open() as house:
        assert (await house.get("/metrics", authorization=basic("empty", "")))[0] == 401


async def test_a_password_may_hold_a_colon() -> None:
    async with House(users={"admin": {"password": "a:b:c"}}).open() as house:
        assert (await house.get("/metrics", authorization=basic("admin", "a:b:c")))[0] == 200


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with House(http=f"unix:{path}").open() as house:
        assert house.url == f"unix:{path}"
        assert (await house.get("/livez"))[0] == 200
    async with House(http=f"unix:{path}").open() as house:
        assert (await house.get("/livez"))[0] == 200, "again, in the same place"


async def test_a_file_in_the_place_of_a_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    path.write_text("precious")
    house = House(http=f"unix:{path}")
    with contextlib.suppress(OSError):
        await house.admin.start()
    await house.admin.stop()
    assert path.read_text() == "precious"


async def test_a_port_somebody_else_has() -> None:
    async with House().open() as house:
        intruder = House(http=house.url.removeprefix("http://"))
        with pytest.raises(OSError):
            await intruder.admin.start()
        await intruder.admin.stop()


async def test_stopping_what_was_not_started() -> None:
    await House().admin.stop()


async def test_numbers_of_elsewhere_are_fetched_first() -> None:
    async with House().open() as house:
        await house.get("/metrics")
        assert house.refreshed == 1
        await house.get("/livez")
        assert house.refreshed == 1
