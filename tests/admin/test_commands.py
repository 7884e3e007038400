"""Commands of operators."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from router.admin.commands import COMMANDS, Commands, Interpreter, check_assignments
from router.errors import ConfigError, MySQLError, Problem
from tests.admin.inside import World


class House(World):
    """One operator's interpreter. ``ended``: operators that were killed, as (id, query only)."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.ended: list[tuple[int, bool]] = []
        self.commands = Commands(self.inside, "8.4.0-x", self._end)
        self.operator = Interpreter(self.commands, connection_id=5, user="ops", host="here")

    def _end(self, connection_id: int, query_only: bool) -> bool:
        self.ended.append((connection_id, query_only))
        return connection_id == 5

    async def say(self, sql: str) -> Sequence[Any] | None:
        """The rows of the answer."""
        result = await self.operator.run(sql)
        return None if result is None else list(result.rows)

    async def refused(self, sql: str) -> MySQLError:
        """The error of a command."""
        with pytest.raises(MySQLError) as refusal:
            await self.operator.run(sql)
        return refusal.value


async def test_looking() -> None:
    house = House()
    assert await house.say("/* x */ SELECT server FROM servers ORDER BY 1;") == [("a",), ("b",)]
    assert await house.say("show servers like 'a'")
    assert await house.say("DESC servers server") == [("server", "text", "YES", "", None, "")]
    assert await house.say("SELECT(1)") == [(1,)]
    assert await house.say("SELECT CONNECTION_ID(), USER(), VERSION(), @@version") == [
        (5, "ops@here", "8.4.0-x", "8.4.0-x")
    ]
    assert len(await house.say("help") or ()) == len(COMMANDS)
    house.commands.close()


async def test_databases() -> None:
    house = House()
    assert await house.say("SELECT DATABASE()") == [("stats",)]
    assert await house.say("USE `main`") is None
    assert await house.say("SELECT SCHEMA()") == [("main",)]
    assert (await house.refused("USE shop")).code == 1049
    assert await house.say("SELECT DATABASE()") == [("main",)]


async def test_literals_are_shown_on_request() -> None:
    house = House()
    query = "SELECT statement FROM sessions WHERE connection_id = 8"
    assert await house.say(query) == [("SELECT ?",)]
    await house.say("SET STATEMENT_TEXT ON")
    assert await house.say(query) == [("SELECT 'x'",)]
    other = Interpreter(house.commands, connection_id=6, user="ops", host="here")
    result = await other.run(query)
    assert result is not None
    assert result.rows == [("SELECT ?",)]
    await house.say("SET statement_text = off")
    assert await house.say(query) == [("SELECT ?",)]


async def test_kill() -> None:
    house = House()
    await house.say("KILL 7")
    await house.say("KILL CONNECTION 8")
    await house.say("kill query 8")
    assert house.killed == [(7, False), (8, False), (8, True)]
    await house.say("KILL QUERY 5")
    assert house.ended == [(5, True)]
    assert (await house.refused("KILL 99")).code == 1094
    for wrong in ("KILL", "KILL x", "KILL 7 8", "KILL -1", "KILL QUERY"):
        assert (await house.refused(wrong)).code == 1064
    assert len(house.killed) == 3


async def test_drain_and_undrain() -> None:
    house = House()
    assert await house.say("DRAIN main/b WAIT 1 second") == [("main", "b", 1, 0, 0, 1)]
    assert await house.say("SELECT server FROM servers WHERE draining") == [("b",)]
    assert await house.say("UNDRAIN 'main/b'") == [("main", "b", 0, 0, 0, 1)]
    assert "did you mean" in (await house.refused("DRAIN mani/b")).message
    for wrong in ("DRAIN", "DRAIN main", "DRAIN /b", "DRAIN main/b WAIT", "DRAIN main/b 5", "UNDRAIN main/b WAIT 5"):
        assert (await house.refused(wrong)).code == 1064
    assert "until UNDRAIN" in (await house.refused("DRAIN main/b FOR 30")).message
    assert await house.say("SELECT server FROM servers WHERE draining") == []


async def test_pause_and_resume() -> None:
    house = House()
    assert await house.say("PAUSE WAIT 0.1 FOR 30") == [("main", 1, 0, 0, 0, 0, 1)]
    assert await house.say("SELECT paused FROM groups") == [(1,)]
    assert await house.say("RESUME main") == [("main", 0, 0, 0, 0, 0, 1)]
    assert (await house.refused("PAUSE nobody")).code == 1105
    for wrong in ("PAUSE main 5", "PAUSE main FOR", "PAUSE FOR x", "RESUME main now", "PAUSE main FOR 2d"):
        assert (await house.refused(wrong)).code == 1064
    assert await house.say("SELECT paused FROM groups") == [(0,)]


async def test_a_pause_ends_by_itself() -> None:
    house = House()
    await house.say("PAUSE main FOR 10ms WAIT 1ms")
    for _ in range(500):
        if await house.say("SELECT paused FROM groups") == [(0,)]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it is paused still")


async def test_reload() -> None:
    async def reload() -> list[str]:
        return ["limits.digests: 1000 → 10"]

    async def wrong() -> list[str]:
        raise ConfigError([Problem("routes.yaml", 3, 7, "users.app", "is required")])

    assert await House(reload=reload).say("RELOAD") == [("limits.digests: 1000 → 10",)]
    assert "routes.yaml:3:7" in (await House(reload=wrong).refused("RELOAD")).message
    assert "is not from a file" in (await House().refused("RELOAD")).message


async def test_maintenance() -> None:
    house = House()
    await house.say("SET MAINTENANCE ON")
    assert house.inside.maintenance.on
    assert (await house.refused("SET MAINTENANCE maybe")).code == 1064
    await house.say("set maintenance = 0")
    assert not house.inside.maintenance.on


@pytest.mark.parametrize("sql", ["BEGIN", "START TRANSACTION", "COMMIT", "rollback", "SET NAMES utf8mb4"])
async def test_what_drivers_say(sql: str) -> None:
    assert await House().say(sql) is None


@pytest.mark.parametrize(
    "text",
    [
        "NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'",
        "autocommit=1, session sql_mode = 'A,B'",
        "@@session.time_zone='+00:00'",
        "@@sql_mode := concat(@@sql_mode, ',x')",
        "SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "CHARACTER SET utf8mb4",
        "@x = 1",
    ],
)
def test_settings_that_mean_nothing(text: str) -> None:
    check_assignments(text, {"autocommit": 1, "sql_mode": "", "time_zone": ""})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("maintenence = 1", 1193),
        ("GLOBAL autocommit = 0", 1227),
        ("@@global.autocommit=0", 1227),
        ("", 1064),
        ("x", 1064),
    ],
)
def test_settings_that_are_refused(text: str, code: int) -> None:
    with pytest.raises(MySQLError) as refusal:
        check_assignments(text, {"autocommit": 1})
    assert refusal.value.code == code


async def test_unknown_words() -> None:
    house = House()
    error = await house.refused("PAUS main")
    assert (error.code, "did you mean 'PAUSE'" in error.message) == (1064, True)
    assert (await house.refused("  ;")).code == 1065
    assert (await house.refused("DROP TABLE x")).code == 1064
    assert (await house.refused("EXPLAIN SELECT 1")).code == 1064


async def test_looking_only() -> None:
    house = House()
    assert (await house.operator.look("SHOW SERVERS LIKE 'a'", texts=False)).rows
    assert (await house.operator.look("HELP", texts=False)).rows
    statement = "SELECT statement FROM sessions WHERE state = 'running'"
    assert (await house.operator.look(statement, texts=False)).rows == [("SELECT ?",)]
    assert (await house.operator.look(statement, texts=True)).rows == [("SELECT 'x'",)]
    for sql in ("KILL 7", "/* x */ RELOAD", "SET MAINTENANCE ON", "USE main", "BEGIN", "DRAIN main/a", "PAUSE", ""):
        with pytest.raises(MySQLError):
            await house.operator.look(sql, texts=False)
    assert not house.killed
    assert not house.inside.maintenance.on
    house.commands.close()
