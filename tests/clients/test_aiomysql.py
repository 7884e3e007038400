"""aiomysql: the scenarios of every driver through a blocking front, and what only it has: pools and concurrency."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import isawaitable
from typing import Any

import aiomysql
import pytest

from tests.clients import dbapi
from tests.clients.ways import Step, Way, Ways


class Blocking:
    """A connection or cursor of aiomysql whose methods wait for their result."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            return self._wait(found(*arguments, **options))

        return call

    def _wait(self, result: Any) -> Any:
        async def work() -> Any:
            return await result

        return self._runner.run(work()) if isawaitable(result) else result

    def cursor(self, *arguments: Any) -> Blocking:
        return Blocking(self._wait(self._inner.cursor(*arguments)), self._runner)

    def close(self) -> None:
        if isinstance(self._inner, aiomysql.Cursor):
            self._wait(self._inner.close())
        else:
            self._wait(self._inner.ensure_closed())


class AioMySQL:
    """The driver, on an event loop of its own."""

    error = aiomysql.MySQLError

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def connect(self, way: Way, **options: Any) -> Any:
        return Blocking(self._runner.run(open_connection(way, **options)), self._runner)

    def stream(self, connection: Any) -> Any:
        return connection.cursor(aiomysql.SSCursor)

    def problem(self, error: Any) -> Any:
        return error.args


def options_for(way: Way, **options: Any) -> dict[str, Any]:
    """The arguments of aiomysql's ``connect`` and ``create_pool``."""
    options["db"] = options.pop("database", way.database)
    wanted: dict[str, Any] = {"host": way.host, "port": way.port, "user": way.user, "password": way.password}
    return wanted | {"charset": "utf8mb4", "connect_timeout": 10} | options


async def open_connection(way: Way, **options: Any) -> Any:
    """Log in."""
    return await aiomysql.connect(**options_for(way, **options))


@contextmanager
def driver() -> Iterator[AioMySQL]:
    """The driver; aiomysql warns with the server's warnings, which would be errors here."""
    with asyncio.Runner() as runner, warnings.catch_warnings():
        warnings.simplefilter("ignore", aiomysql.Warning)
        yield AioMySQL(runner)


@pytest.mark.usefixtures("aiomysql_bytes")
@pytest.mark.parametrize("scenario", dbapi.SCENARIOS)
def test_scenario(ways: Ways, scenario: Callable[..., Iterator[Step]]) -> None:
    with driver() as aio:
        ways.compare(partial(scenario, aio))


def in_a_loop(work: Callable[[Way], Coroutine[Any, Any, list[Step]]]) -> Callable[[Way], list[Step]]:
    """A scenario from a coroutine that returns its steps."""
    return lambda way: asyncio.run(work(way))


async def ask(connection: Any, sql: str, arguments: Any = None) -> Any:
    async with connection.cursor() as cursor:
        await cursor.execute(sql, arguments)
        return await cursor.fetchall()


async def pooled(way: Way) -> list[Step]:
    """Forty tasks over a pool of five connections, each with a transaction of its own."""
    async with aiomysql.create_pool(minsize=1, maxsize=5, **options_for(way)) as pool:
        async with pool.acquire() as connection:
            await ask(connection, "CREATE TABLE t (worker INT, step INT, PRIMARY KEY (worker, step))")

        async def worker(number: int) -> Any:
            async with pool.acquire() as connection:
                await connection.begin()
                for step in range(3):
                    await ask(connection, "INSERT INTO t VALUES (%s, %s)", (number, step))
                own = await ask(connection, "SELECT COUNT(*) FROM t WHERE worker = %s", (number,))
                await (connection.commit() if number % 2 else connection.rollback())
                return number, own

        seen = await asyncio.gather(*(worker(number) for number in range(40)))
        async with pool.acquire() as connection:
            rows = await ask(connection, "SELECT worker, COUNT(*) FROM t GROUP BY worker ORDER BY worker")
    return [("workers", sorted(seen)), ("committed", rows)]


def test_pool(ways: Ways) -> None:
    ways.compare(in_a_loop(pooled))


async def more_clients_than_connections(way: Way) -> list[Step]:
    """Thirty connections at once, more than the router's pool has to a server, with reads, writes and transactions."""
    first = await open_connection(way, autocommit=True)
    await ask(first, "CREATE TABLE t (id INT PRIMARY KEY, n INT)")
    await ask(first, "INSERT INTO t VALUES (1, 0)")
    way.settle()

    async def client(number: int) -> Any:
        connection = await open_connection(way, autocommit=True)
        seen = []
        for _ in range(5):
            seen.append(await ask(connection, "SELECT id, %s FROM t", (number,)))
            await connection.begin()
            await ask(connection, "UPDATE t SET n = n + 1 WHERE id = 1")
            await connection.commit()
        await connection.ensure_closed()
        return seen

    seen = await asyncio.gather(*(client(number) for number in range(30)))
    total = await ask(first, "SELECT n FROM t WHERE id = 1 FOR UPDATE")
    await first.ensure_closed()
    assert total == ((150,),)
    return [("reads", seen), ("total", total)]


def test_more_clients_than_connections(ways: Ways) -> None:
    ways.compare(in_a_loop(more_clients_than_connections))


async def cancelled(way: Way) -> list[Step]:
    """A cancelled query closes the connection, and only that one."""
    async with aiomysql.create_pool(minsize=1, maxsize=2, **options_for(way)) as pool:
        connection = await pool.acquire()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(connection, "SELECT SLEEP(20)"), 0.2)
        closed = connection.closed
        await pool.release(connection)
        async with pool.acquire() as other:
            return [("closed", closed), ("another", await ask(other, "SELECT 'answer'"))]


def test_a_cancelled_query(ways: Ways) -> None:
    ways.compare(in_a_loop(cancelled))
