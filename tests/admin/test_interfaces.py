"""Both interfaces for operators as one: who may come in changes with the configuration."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.admin.interfaces import Interfaces
from router.backend.listening import Sockets
from router.config.models import RouterConfig
from router.frontend.auth import RsaKeyPair
from tests.admin.inside import SETTINGS, World


def config_of(mysql: str | None = "127.0.0.1:0", **users: str) -> RouterConfig:
    """These users, by their passwords."""
    known = {name: {"password": password} for name, password in users.items()}
    admin: dict[str, Any] = {"http": "127.0.0.1:0", "users": known}
    return RouterConfig.model_validate(SETTINGS | {"admin": admin | ({"mysql": mysql} if mysql else {})})


class House:
    """Interfaces on free ports."""

    def __init__(self, config: RouterConfig) -> None:
        numbers = iter(range(1, 1000))
        rsa, sockets = RsaKeyPair(), Sockets()
        self.interfaces = Interfaces(
            config, World().inside, lambda: None, lambda: next(numbers), lambda config: None, rsa, sockets
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        await self.interfaces.start()
        try:
            yield self
        finally:
            await self.interfaces.stop()

    async def login(self, user: str, password: str) -> Connection:
        port = int(str(self.interfaces.mysql).rpartition(":")[2])
        options = {"host": "127.0.0.1", "port": port, "connect_timeout": 10, "read_timeout": 10}
        return await asyncio.to_thread(lambda: pymysql.connect(user=user, password=password, **options))

    async def scrape(self, user: str, password: str) -> int:
        """The status of the metrics."""
        token = b64encode(f"{user}:{password}".encode()).decode()
        request = urllib.request.Request(f"{self.interfaces.http}/metrics", headers={"Authorization": f"Basic {token}"})

        def ask() -> int:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code

        return await asyncio.to_thread(ask)


async def ask(connection: Connection) -> object:
    def run() -> object:
        with connection.cursor() as cursor:
            cursor.execute("SELECT USER()")
            return cursor.fetchone()

    return await asyncio.to_thread(run)


async def test_who_may_come_in_changes_with_the_configuration() -> None:
    async with House(config_of(stays="s", changes="old", goes="g")).open() as house:
        stays, changes, goes = [await house.login(*who) for who in (("stays", "s"), ("changes", "old"), ("goes", "g"))]
        house.interfaces.adopt(config_of(stays="s", changes="new", comes="c"))
        assert await ask(stays) == ("stays@127.0.0.1",)
        for each in (changes, goes):
            with pytest.raises(pymysql.OperationalError):
                await ask(each)
        for name, password, status in (
            ("stays", "s", 200),
            ("changes", "old", 401),
            ("changes", "new", 200),
            ("goes", "g", 401),
            ("comes", "c", 200),
        ):
            assert await house.scrape(name, password) == status, name
            if status == 200:
                (await house.login(name, password)).close()
            else:
                with pytest.raises(pymysql.OperationalError, match="Access denied"):
                    await house.login(name, password)


async def test_who_has_not_logged_in_yet_begins_again() -> None:
    async with House(config_of(ops="o")).open() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(str(house.interfaces.mysql).rpartition(":")[2]))
        assert await reader.read(1)
        house.interfaces.adopt(config_of(other="o"))
        async with asyncio.timeout(10):
            while await reader.read(1000):
                pass
        writer.close()


async def test_the_end_of_sql_is_not_the_end_of_metrics() -> None:
    async with House(config_of(ops="o")).open() as house:
        house.interfaces.stop_sql()
        with pytest.raises(pymysql.OperationalError):
            await house.login("ops", "o")
        assert await house.scrape("ops", "o") == 200


async def test_only_http() -> None:
    async with House(config_of(None)).open() as house:
        assert house.interfaces.mysql is None
        house.interfaces.adopt(config_of(None, ops="o"))
        assert await house.scrape("ops", "o") == 200
        assert await house.scrape("ops", "wrong") == 401
