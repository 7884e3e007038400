"""Asking a running router: who asks, what goes wrong, and how answers read."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from router.admin.client import ask, path_of, server_rows, told
from router.config.models import Admin
from router.errors import OperationFailed
from tests.admin.test_http import USERS, House

DRAIN = path_of("servers", "main", "a", "drain")


def admin_of(house: House, **more: Any) -> Admin:
    """The configuration of somebody who asks it."""
    return Admin.model_validate({"http": house.url.removeprefix("http://"), **more})


async def asked(admin: Admin, method: str, path: str, **options: str) -> dict[str, Any]:
    return await asyncio.to_thread(ask, admin, method, path, 5, **options)


async def test_operations_by_name() -> None:
    async with House().open() as house:
        found = await asked(admin_of(house), "POST", DRAIN, timeout="1s")
        assert found["done"] is True
        assert told(found["found"][0]) == "main/a is drained: nobody is held there"
        heading, first, second = server_rows(await asked(admin_of(house), "GET", path_of("servers")))
        assert dict(zip(heading, first, strict=True)) == {
            "group": "main",
            "server": "a",
            "address": "db.example:3306",
            "role": "primary",
            "state": "draining",
            "lag": "",
            "in use": "0",
            "pinned": "0",
            "idle": "0",
            "waiting": "0",
        }
        assert second[3:5] == ["replica", "up"]
        house.group.servers[1].lag = float("inf")
        assert server_rows(await asked(admin_of(house), "GET", path_of("servers")))[2][5] == "inf s"


async def test_a_name_is_one_piece_of_the_path() -> None:
    assert path_of("servers", "main", "unix:/run/db.sock", "drain").count("/") == 6
    async with House().open() as house:
        house.group.servers[0].name = "unix:/run/db.sock"
        path = path_of("servers", "main", "unix:/run/db.sock", "drain")
        assert (await asked(admin_of(house), "POST", path))["done"] is True


async def test_over_a_unix_socket_and_with_a_password(tmp_path: Path) -> None:
    async with House(http=f"unix:{tmp_path}/admin.sock", **USERS).open() as house:
        assert (await asked(admin_of(house, **USERS), "POST", DRAIN))["done"] is True
        with pytest.raises(OperationFailed, match="other credentials"):
            await asked(admin_of(house), "POST", DRAIN)


async def test_what_the_router_has_against_it() -> None:
    async with House().open() as house:
        with pytest.raises(OperationFailed, match=r"no group is called 'mian'; did you mean 'main'\?"):
            await asked(admin_of(house), "POST", path_of("groups", "mian", "pause"))
        with pytest.raises(OperationFailed, match="no router of this version"):
            await asked(admin_of(house), "GET", "/metrics")


def test_nobody_is_there() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        admin = Admin.model_validate({"http": f"127.0.0.1:{listener.getsockname()[1]}"})
        with pytest.raises(OperationFailed, match="no router answers at"):
            ask(admin, "GET", path_of("servers"), 5)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('{"group": "g", "server": "s", "draining": false, "in_use": 0, "pinned": 0}', "g/s is in use"),
        (
            '{"group": "g", "server": "s", "draining": true, "in_use": 3, "pinned": 1}',
            "g/s is draining: 3 connections in use, 1 of them by idle sessions",
        ),
        ('{"group": "g", "paused": false, "active": 0, "pinned": 0, "elsewhere": 0, "waiting": 0}', "g goes on"),
        (
            '{"group": "g", "paused": true, "active": 0, "pinned": 2, "elsewhere": 0, "waiting": 4}',
            "g is paused: nothing is under way, 2 kept by idle sessions",
        ),
        (
            '{"group": "g", "paused": true, "active": 5, "pinned": 0, "elsewhere": 1, "waiting": 4}',
            "g is paused, but 5 connections are busy or in transactions, 1 transactions on other groups may still come",
        ),
    ],
)
def test_one_line_for_each(answer: str, text: str) -> None:
    assert told(json.loads(answer)) == text
