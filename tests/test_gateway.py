"""A whole router process: starts without servers, counts what it does, and stops without breaking anything off."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pymysql
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from pymysql.connections import Connection

from router.config.loader import loads
from router.errors import ConfigError
from router.gateway import Gateway
from router.sandbox import ReplicaSet, free_port
from tests.fix_router import settings_for


class House:
    """A gateway in the test's own loop."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.password = str(settings["users"]["app"]["password"])
        self.admin_port = free_port()
        settings["admin"] = {"http": f"127.0.0.1:{self.admin_port}"}
        self.gateway = Gateway(loads(json.dumps(settings), "routes.yaml", {}))
        self._stopped = False

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        await self.gateway.start()
        try:
            yield self
        finally:
            await self.stop(0)

    async def stop(self, drain_timeout: float) -> None:
        if not self._stopped:
            self._stopped = True
            await self.gateway.stop(drain_timeout)

    async def connect(self, **options: Any) -> Connection:
        port = int(self.gateway.addresses[0].rpartition(":")[2])
        wanted = {"host": "127.0.0.1", "port": port, "autocommit": True, "connect_timeout": 10, "read_timeout": 10}
        return await asyncio.to_thread(lambda: pymysql.connect(user="app", password=self.password, **wanted | options))

    async def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        _, text = await self.get("/metrics")
        return sum(
            sample.value
            for family in parse(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


async def run(connection: Connection, sql: str) -> Any:
    def work() -> Any:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    return await asyncio.to_thread(work)


def lonely(**main: Any) -> dict[str, Any]:
    """A configuration whose only server does not exist."""
    return {
        "listeners": ["127.0.0.1:0"],
        "admin": {"http": "127.0.0.1:0"},
        "groups": {"main": {"servers": [{"name": "db", "address": f"127.0.0.1:{free_port()}"}], **main}},
        "users": {"app": {"password": "x"}},
    }


# --- starting ---------------------------------------------------------------------------------------------------------


async def test_it_starts_without_its_servers() -> None:
    async with House(lonely(failover_timeout="100ms")).open() as house:
        assert (await house.get("/livez"))[0] == 200
        assert await house.get("/readyz") == (503, "no server of group 'main' answers\n")
        with pytest.raises(pymysql.OperationalError, match="no primary of group 'main'"):
            await house.connect()  # PyMySQL sends SET NAMES
        assert await house.metric("router_backend_up", backend="db") == 0
        assert await house.metric("router_ready") == 0
        assert await house.metric("router_group_has_primary", group="main") == 0


async def test_it_does_not_start_where_it_cannot_listen() -> None:
    settings = lonely()
    settings["listeners"] = ["192.0.2.1:3307"]
    house = House(settings)
    with pytest.raises(OSError):
        await house.gateway.start()
    await house.stop(0)


async def test_stopping_twice_is_harmless() -> None:
    house = House(lonely())
    await house.gateway.start()
    await house.gateway.stop(0)
    await house.gateway.stop(0)


# --- counting ---------------------------------------------------------------------------------------------------------


async def test_metrics_tell_what_happened(mariadb_set: ReplicaSet, tmp_path: Path) -> None:
    async with House(settings_for(mariadb_set, tmp_path)).open() as house:
        assert (await house.get("/readyz"))[0] == 200
        connection = await house.connect()
        for _ in range(3):
            assert await run(connection, "SELECT 40 + 2") == ((42,),)
        with pytest.raises(pymysql.MySQLError):
            await run(connection, "DELETE FROM nowhere.t")
        assert await house.metric("router_client_connections") == 1
        assert await house.metric("router_client_connections_total", result="accepted") == 1
        assert await house.metric("router_queries_total", command="query", role="replica") >= 3
        assert await house.metric("router_queries_total", command="query", role="primary", backend="primary") >= 1
        assert await house.metric("router_query_duration_seconds_count") >= 4
        assert await house.metric("router_route_decisions_total", reason="read") >= 3
        assert await house.metric("router_errors_total", origin="backend") == 1
        assert await house.metric("router_plan_cache_hits_total") >= 2
        assert await house.metric("router_backend_up") == 3
        assert await house.metric("router_bytes_total", direction="in") > 50
        assert await house.metric("router_ready") == 1
        assert await house.metric("router_group_has_primary", group="main") == 1
        assert await house.metric("router_group_readers", group="main") == 2
        assert await house.metric("router_server_lagging", group="main") == 0
        assert await house.metric("router_client_connections_limit") == 10_000
        assert await house.metric("router_pool_connections_limit", backend="primary") == 8
        assert await house.metric("router_backend_connect_duration_seconds_count") >= 2
        assert await house.metric("router_sessions", state="idle") == 1
        await run(connection, "BEGIN")
        await run(connection, "SELECT 1")
        assert await house.metric("router_sessions", state="idle_in_transaction") == 1
        await run(connection, "COMMIT")
        async with asyncio.timeout(5):
            while await house.metric("router_event_loop_lag_seconds_count") == 0:
                pass
        await run(connection, "SET @a = NOW()")
        assert await house.metric("router_sessions_pinned", reason="user_variable") == 1
        await asyncio.to_thread(connection.close)


async def test_reloads_are_counted(tmp_path: Path) -> None:
    settings = lonely()
    async with House(settings).open() as house:
        assert await house.metric("router_config_last_reload_successful") == 1
        house.gateway.reloads.path = file = tmp_path / "routes.yaml"
        file.write_text("groups: nonsense")
        with pytest.raises(ConfigError):
            await house.gateway.reload()
        assert await house.metric("router_config_last_reload_successful") == 0
        file.write_text(json.dumps(settings))
        await house.gateway.reload()
        assert await house.metric("router_config_last_reload_successful") == 1
        assert await house.metric("router_config_reloads_total", result="refused") == 1
        assert await house.metric("router_config_reloads_total", result="done") == 1


# --- stopping ---------------------------------------------------------------------------------------------------------


async def test_who_is_idle_is_told_at_once(mariadb_set: ReplicaSet, tmp_path: Path) -> None:
    async with House(settings_for(mariadb_set, tmp_path)).open() as house:
        connection = await house.connect()
        await house.stop(10)
        with pytest.raises(pymysql.MySQLError) as error:
            await run(connection, "SELECT 1")
        assert error.value.args[0] in (1053, 2006, 2013)
        with pytest.raises(pymysql.MySQLError):
            await house.connect()


async def test_a_transaction_may_finish(mariadb_set: ReplicaSet, tmp_path: Path, fresh_database: str) -> None:
    mariadb_set.primary.execute(f"CREATE TABLE {fresh_database}.t (a INT)")
    async with House(settings_for(mariadb_set, tmp_path)).open() as house:
        connection = await house.connect()
        await run(connection, "BEGIN")
        stopping = asyncio.create_task(house.stop(20))
        await asyncio.sleep(0)
        assert house.gateway._not_ready() == "stopping"
        await run(connection, f"INSERT INTO {fresh_database}.t VALUES (1)")
        await run(connection, "COMMIT")
        await asyncio.wait_for(stopping, 10)
        assert mariadb_set.primary.value(f"SELECT COUNT(*) FROM {fresh_database}.t") == 1


async def test_a_transaction_that_does_not_end_is_told(mariadb_set: ReplicaSet, tmp_path: Path) -> None:
    """The failure contract: after ``drain_timeout``, ERR 1053 and not just a broken line."""
    async with House(settings_for(mariadb_set, tmp_path)).open() as house:
        connection = await house.connect()
        await run(connection, "BEGIN")
        await house.stop(0.2)
        received = await asyncio.to_thread(connection._sock.recv, 1000)
        assert received[4:7] == b"\xff" + (1053).to_bytes(2, "little")
        connection._force_close()


async def test_nothing_is_left_on_the_servers(mariadb_set: ReplicaSet, tmp_path: Path) -> None:
    async with House(settings_for(mariadb_set, tmp_path)).open() as house:
        connections = [await house.connect() for _ in range(4)]
        for connection in connections:
            await run(connection, "SELECT 1")
            await run(connection, "DO 1")
        await house.stop(0)
        async with asyncio.timeout(5):
            left = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app'"
            while any([await asyncio.to_thread(server.value, left) for server in mariadb_set.servers]):
                pass
        for connection in connections:
            connection._force_close()
