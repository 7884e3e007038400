"""The web server for operators: what it shows, when it is ready, and to whom."""

from __future__ import annotations

import base64
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from router.admin.http import AdminHttp
from router.config.models import Admin

USERS = {"ops": "s3cret", "müller": "pässword", "grafana": "with:colon"}


class House:
    """An admin server on a free port; ``trouble`` is why the router is not ready."""

    def __init__(self, users: Mapping[str, str] | None = None, address: str = "127.0.0.1:0") -> None:
        passwords = {name: {"password": password} for name, password in (users or {}).items()}
        self.trouble: str | None = None
        self.registry = CollectorRegistry()
        config = Admin.model_validate({"http": address, "users": passwords})
        self.admin = AdminHttp(config, self.registry, lambda: self.trouble)
        self.url = ""
        self.client: aiohttp.ClientSession

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[House]:
        self.url = await self.admin.start()
        connector: aiohttp.BaseConnector = aiohttp.TCPConnector()
        if self.url.startswith("unix:"):
            await connector.close()
            connector = aiohttp.UnixConnector(self.url.removeprefix("unix:"))
            self.url = "http://localhost"
        try:
            async with aiohttp.ClientSession(connector=connector) as self.client:
                yield self
        finally:
            await self.admin.stop()

    async def get(self, path: str, authorization: str | None = None) -> tuple[int, str]:
        """Status and text."""
        headers = {} if authorization is None else {"Authorization": authorization}
        async with self.client.get(self.url + path, headers=headers) as response:
            return response.status, await response.text()


def basic(name: str, password: str, scheme: str = "Basic") -> str:
    """The value of an Authorization header (RFC 7617)."""
    return f"{scheme} {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


# --- pages ------------------------------------------------------------------------------------------------------------


async def test_metrics_are_what_prometheus_reads() -> None:
    async with House().serving() as house:
        counter = Counter("apples", "Apples so far.", ["colour"], registry=house.registry)
        for colour, count in (("red", 3), ("green", 1)):
            counter.labels(colour).inc(count)
        async with house.client.get(house.url + "/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == CONTENT_TYPE_LATEST
            (family,) = text_string_to_metric_families(await response.text())
        values = {sample.labels["colour"]: sample.value for sample in family.samples if sample.name == "apples_total"}
        assert (family.documentation, values) == ("Apples so far.", {"red": 3.0, "green": 1.0})
        counter.labels("red").inc()
        assert 'apples_total{colour="red"} 4.0' in (await house.get("/metrics"))[1], "every scrape looks anew"


async def test_ready_or_why_not() -> None:
    async with House().serving() as house:
        assert await house.get("/readyz") == (200, "ok\n")
        house.trouble = "no server of group 'main' answers"
        assert await house.get("/readyz") == (503, "no server of group 'main' answers\n")
        assert await house.get("/livez") == (200, "ok\n"), "a restart would not help"
        house.trouble = None
        assert await house.get("/readyz") == (200, "ok\n")


async def test_there_is_nothing_else() -> None:
    async with House().serving() as house:
        assert (await house.get("/"))[0] == 404
        async with house.client.post(house.url + "/metrics", data=b"x") as response:
            assert response.status == 405


# --- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "password"), USERS.items())
async def test_users_get_in_with_their_password(name: str, password: str) -> None:
    async with House(USERS).serving() as house:
        assert (await house.get("/metrics", basic(name, password)))[0] == 200
        assert (await house.get("/metrics", basic(name, password, "bASIC")))[0] == 200
        assert (await house.get("/other", basic(name, password)))[0] == 404


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic " + base64.b64encode(b"ops").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:s3cret").decode(),
        "Basic ops:s3cret",
        basic("ops", ""),
        basic("ops", "S3CRET"),
        basic("ops", "s3cret "),
        basic("ops", "pässword"),
        basic("OPS", "s3cret"),
        basic("", "s3cret"),
        basic("grafana", "with"),
        basic("eve", "s3cret"),
        basic("eve", ""),
        basic("eve", "\0"),
        basic("ops", "s3cret", "Bearer"),
    ],
)
async def test_nobody_else_does(authorization: str | None) -> None:
    async with House(USERS).serving() as house:
        headers = {} if authorization is None else {"Authorization": authorization}
        for path in ("/metrics", "/", "/no-such-page"):
            async with house.client.get(house.url + path, headers=headers) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == 'Basic realm="router"'
                assert "python_info" not in await response.text()


async def test_health_is_open_to_all() -> None:
    async with House(USERS).serving() as house:
        for path in ("/livez", "/readyz"):
            for authorization in (None, basic("ops", "wrong")):
                assert await house.get(path, authorization) == (200, "ok\n")


async def test_without_users_nobody_is_asked() -> None:
    async with House().serving() as house:
        assert (await house.get("/metrics"))[0] == 200


# --- addresses --------------------------------------------------------------------------------------------------------


async def test_a_unix_socket_takes_the_place_of_a_stale_one(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    house = House(address=f"unix:{path}")
    async with house.serving():
        assert await house.get("/livez") == (200, "ok\n")


async def test_a_taken_port_is_an_error_and_stop_is_harmless() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        house = House(address=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(OSError, match="address already in use"):
            await house.admin.start()
        await house.admin.stop()


async def test_stop_frees_the_port() -> None:
    house = House()
    await house.admin.stop()  # never started
    async with house.serving():
        host, _, port = house.url.removeprefix("http://").rpartition(":")
    with socket.create_server((host, int(port))):
        pass
