"""A router in front of the servers of ``fix_servers``: in a thread of the test process, on ports of its own.

``router`` fronts the replica set that the test asked for (``server_set``, ``mariadb_set`` or ``mysql_set``) with one
primary and its replicas. ``start_router`` makes others, from any configuration.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pymysql
import pytest
import uvloop
from pymysql.connections import Connection

from router.config.loader import loads
from router.frontend.auth import RsaKeyPair
from router.gateway import Gateway
from router.sandbox import ReplicaSet, Server
from tests.fix_servers import set_of

T = TypeVar("T")


class RunningRouter:
    """A gateway that runs in a thread; a context manager."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.config = loads(json.dumps(settings), "routes.yaml", {})
        self.password = ""
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.gateway: Gateway
        self._thread = threading.Thread(target=self._run, name="router", daemon=True)

    def __enter__(self) -> RunningRouter:
        self._thread.start()
        assert self._started.wait(30), "the router did not start in 30 s"
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            self.gateway = Gateway(self.config)
            await self.gateway.start()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self._failure = error
            self._started.set()
            return
        self._started.set()
        await self._stop.wait()
        await self.gateway.stop(drain_timeout=0)

    def stop(self) -> None:
        """Stop the router and wait for it."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the router did not stop in 30 s"

    def call(self, function: Callable[[Gateway], T]) -> T:
        """Run ``function`` of the gateway inside the router's loop and return its result."""
        assert self._loop is not None

        async def work() -> T:
            return function(self.gateway)

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)

    def wait_for(self, function: Callable[[Gateway], Awaitable[T]]) -> T:
        """As ``call``, for what takes its time."""
        assert self._loop is not None

        async def work() -> T:
            return await function(self.gateway)

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(60)

    @property
    def admin_mysql(self) -> str:
        """The address where operators speak SQL."""
        interfaces = self.gateway.admin
        assert interfaces is not None
        assert interfaces.mysql is not None
        return interfaces.mysql

    @property
    def port(self) -> int:
        """TCP port of the first listener that has one."""
        return next(
            int(address.rpartition(":")[2]) for address in self.gateway.addresses if not address.startswith("unix:")
        )

    @property
    def unix_socket(self) -> str:
        """Path of the first unix listener."""
        return next(address.removeprefix("unix:") for address in self.gateway.addresses if address.startswith("unix:"))

    def connect(self, **options: Any) -> Connection:
        """PyMySQL as ``app``, autocommit on unless told otherwise."""
        wanted: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "app",
            "password": self.password,
            "autocommit": True,
            "connect_timeout": 10,
            "read_timeout": 30,
        }
        return pymysql.connect(**(wanted | options))


def settings_for(servers: ReplicaSet, directory: Path, **group: Any) -> dict[str, Any]:
    """A configuration for ``servers``: TCP and unix listeners on free places, user ``app``, quick monitoring."""
    return {
        "listeners": ["127.0.0.1:0", f"unix:{directory}/router.sock"],
        "admin": {"http": "127.0.0.1:0"},
        "groups": {
            "main": {
                "servers": [{"name": server.name, "address": f"127.0.0.1:{server.port}"} for server in servers.servers],
                "monitor": {"interval": "200ms", "user": "router", "password": servers.monitor_password},
                "pool": {"max_connections": 8},
                **group,
            }
        },
        "users": {"app": {"password": servers.app_password}},
    }


@pytest.fixture(scope="session", autouse=True)
def one_rsa_key() -> Iterator[None]:
    """All routers of a process share the key they would make at their start: it takes as long as all the rest of it."""
    made = RsaKeyPair()

    def copy(pair: RsaKeyPair) -> None:
        pair.__dict__.update(made.__dict__)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RsaKeyPair, "__init__", copy)
        yield


@pytest.fixture
def start_router() -> Iterator[Callable[[dict[str, Any]], RunningRouter]]:
    """Start routers from settings; they stop with the test."""
    running: list[RunningRouter] = []

    def start(settings: dict[str, Any]) -> RunningRouter:
        router = RunningRouter(settings)
        router.password = str(next(iter(settings["users"].values())).get("password", ""))
        running.append(router)
        return router.__enter__()

    yield start
    for router in running:
        router.stop()


@pytest.fixture
def router(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> RunningRouter:
    """A router in front of the test's replica set."""
    return start_router(settings_for(set_of(request), tmp_path))


def direct(server: Server, servers: ReplicaSet, **options: Any) -> Connection:
    """The oracle: the same client as ``RunningRouter.connect``, straight to ``server``."""
    wanted: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": "app",
        "password": servers.app_password,
        "autocommit": True,
        "connect_timeout": 10,
        "read_timeout": 30,
    }
    return pymysql.connect(**(wanted | options))
