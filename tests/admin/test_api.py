"""The API for operators over HTTP: what it does and answers, and who must not come through a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.config.differences import Difference
from router.errors import ConfigError, Problem
from tests.admin.test_http import ADMIN, USERS, House

JSON = {"Content-Type": "application/json"}


async def call(house: House, method: str, path: str, **headers: str) -> tuple[int, Any]:
    """(status, what the body says)"""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, kind, text = await house.ask(method, f"/api/v1/{path}", {**(JSON if method == "POST" else {}), **named})
    assert kind.startswith("application/json")
    return status, json.loads(text)


async def test_servers() -> None:
    async with House().open() as house:
        status, body = await call(house, "GET", "servers")
        assert status == 200
        first, second = body["servers"]
        assert first == {
            "group": "main",
            "server": "a",
            "address": "db.example:3306",
            "role": "primary",
            "primary": True,
            "up": True,
            "draining": False,
            "fenced": False,
            "paused": False,
            "lag": None,
            "in_use": 0,
            "pinned": 0,
            "idle": 0,
            "opening": 0,
            "waiting": 0,
        }
        assert second["role"] == "replica"


async def test_drain_and_undrain() -> None:
    async with House().open() as house:
        status, body = await call(house, "POST", "servers/main/a/drain?timeout=100ms")
        assert (status, body["done"]) == (200, True)
        assert body["found"] == [{"group": "main", "server": "a", "draining": True, "in_use": 0, "pinned": 0}]
        assert house.group.primary is None
        status, body = await call(house, "POST", "servers/main/a/undrain")
        assert (status, body["done"]) == (200, True)
        assert house.group.primary is house.group.servers[0]


@pytest.mark.parametrize("place", ["groups/main", "groups"])
async def test_pause_and_resume(place: str) -> None:
    async with House().open() as house:
        house.group.servers[0].pool.in_use += 1
        status, body = await call(house, "POST", f"{place}/pause?timeout=5s&wait=50ms")
        assert (status, body["done"]) == (200, False)
        assert body["found"] == [
            {"group": "main", "paused": True, "active": 1, "pinned": 0, "elsewhere": 0, "waiting": 0}
        ]
        status, body = await call(house, "POST", f"{place}/resume")
        assert (status, body["done"]) == (200, True)
        assert not house.group.gate.shut


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("servers/main/c/drain", 404, "no server in group 'main' is called 'c' (known: a, b)"),
        ("groups/mani/pause", 404, "no group is called 'mani'; did you mean 'main'?"),
        ("groups/main/pause?timeout=soon", 400, "timeout must be a duration"),
        ("groups/main/pause?timeout=-1s", 400, "timeout must be a duration"),
        ("groups/main/pause?wait=9999h", 400, "wait must be a day at most"),
    ],
)
async def test_mistakes(path: str, status: int, text: str) -> None:
    async with House().open() as house:
        found, body = await call(house, "POST", path)
        assert found == status
        assert text in body["error"]
        assert not house.group.gate.shut


async def test_changes_are_not_for_get() -> None:
    async with House().open() as house:
        assert (await house.ask("GET", "/api/v1/groups/main/pause", {}))[0] == 405
        assert not house.group.gate.shut


async def test_with_users_it_needs_a_password() -> None:
    async with House(**USERS).open() as house:
        for method, path in (("GET", "servers"), ("POST", "groups/main/pause")):
            assert (await house.ask(method, f"/api/v1/{path}", JSON))[0] == 401
        assert not house.group.gate.shut
        assert (await call(house, "POST", "groups/main/resume", Authorization=ADMIN))[0] == 200


# --- browsers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # What a form or a script of another page can send without asking first.
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": ""}, 415),
        # What browsers say.
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ({**JSON, "Origin": "https://evil.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Content-Type": "application/json; charset=utf-8", "Sec-Fetch-Site": "none"}, 200),
    ],
)
async def test_another_page_changes_nothing(headers: dict[str, str], status: int) -> None:
    async with House().open() as house:
        assert (await house.ask("POST", "/api/v1/groups/main/pause?wait=0", headers))[0] == status
        assert house.group.gate.shut is (status == 200)


async def test_a_page_of_its_own_may() -> None:
    async with House().open() as house:
        assert (await call(house, "POST", "groups/main/pause", Origin=house.url))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:8307", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("[::1", 403),
        ("router.internal", 403),
        ("localhost:8307", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("10.1.2.3:8307", 200),
        ("[::1]:8307", 200),
    ],
)
async def test_a_name_made_to_resolve_here_gets_nothing(host: str, status: int) -> None:
    async with House().open() as house:
        assert (await call(house, "GET", "servers", Host=host))[0] == status
        assert (await call(house, "POST", "groups/main/pause", Host=host))[0] == status
        assert (await house.ask("GET", "/metrics", {"Host": host}))[0] == 200, "a scraper may use any name"


async def test_the_name_of_the_configuration_is_ours() -> None:
    async with House(http="localhost:0").open() as house:
        assert (await call(house, "GET", "servers", Host="localhost"))[0] == 200


async def test_browsers_do_not_reach_a_unix_socket(tmp_path: Path) -> None:
    async with House(http=f"unix:{tmp_path}/admin.sock").open() as house:
        assert (await call(house, "GET", "servers", Host="router"))[0] == 200
        assert (await house.ask("POST", "/api/v1/groups/main/pause", {}))[0] == 415, "the same for everybody"


# --- reload -----------------------------------------------------------------------------------------------------------


async def test_reload_says_what_is_different() -> None:
    async with House().open() as house:
        house.changes = [Difference("groups.main.servers.a.weight", "1", "2")]
        status, body = await call(house, "POST", "reload")
        assert (status, body) == (200, {"changes": ["groups.main.servers.a.weight: 1 → 2"]})


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ConfigError([Problem("routes.yaml", 3, 7, "users.app", "is required")]), 422, "routes.yaml:3:7"),
        (OSError(98, "Address already in use"), 409, "Address already in use"),
    ],
)
async def test_reload_says_what_is_wrong(error: Exception, status: int, words: str) -> None:
    async with House().open() as house:
        house.changes = error
        found, body = await call(house, "POST", "reload")
        assert found == status
        assert words in json.dumps(body)
