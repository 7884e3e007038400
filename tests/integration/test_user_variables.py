"""User variables of many sessions on few connections: every answer is that of a session with its own connection."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from router.wire.constants import Command
from tests.fix_router import RunningRouter, direct, settings_for
from tests.integration.twins import Twins

NAMES = ["@a", "@B", "@c.d", "@e$1"]
LITERALS = [
    "1",
    "-7",
    "0",
    "12345678901234567890",
    "1.50",
    "-0.001",
    "2e3",
    "''",
    "'text'",
    '"quoted"',
    "'%_#;--'",
    "TRUE",
]
OTHERS = [
    "NULL",
    "NOW() IS NULL",
    "'it''s'",
    "@a",
    "CONCAT('x', @B)",
    "X'41'",
    "_latin1'x'",
    "(SELECT MAX(id) FROM {t})",
]
QUESTIONS = [
    "SELECT @a, @B, @c.d, @e$1, @never",
    "SELECT COLLATION(@a), CHARSET(@a), COERCIBILITY(@a), COLLATION(@e$1), @a + 1, CONCAT(@B, 'x'), @a = 'TEXT'",
    "SELECT id, v FROM {t} WHERE v = @a OR id < 3 ORDER BY id",
    "SELECT COUNT(*) FROM {t}",
    "INSERT INTO {t} (v) VALUES (@a), (@B)",
    "INSERT INTO {t} (v) VALUES ('from a trigger')",
    "SELECT v FROM {t} ORDER BY id DESC LIMIT 2",
    "UPDATE {t} SET v = @c.d WHERE id = 1",
    "SELECT CAST('12abc' AS SIGNED), 'a read that warns' FROM {t} LIMIT 1",
    "SHOW WARNINGS",
    "SELECT @@warning_count",
    "SELECT LAST_INSERT_ID() > 0, @a",
    "SELECT ROW_COUNT()",
    "SELECT nonsense FROM {t}",
]
MODES = ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT"]
CHARSETS = ["utf8mb4 COLLATE utf8mb4_bin", "latin1", "utf8mb4", "gbk"]


@pytest.fixture
def make_twins(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> Iterator[Callable[[int], Twins]]:
    """Makes twins on three connections, each with a table whose trigger writes down what ``@a`` is."""
    for statement in ("DROP DATABASE IF EXISTS uservars", "CREATE DATABASE uservars"):
        server_set.primary.execute(statement)
    server_set.wait_for_replicas()
    router = start_router(settings_for(server_set, tmp_path, pool={"max_connections": 3}, reads={"from": "primary"}))
    made: list[Connection] = []

    def make(number: int) -> Twins:
        ours = router.connect(database="uservars", autocommit=True)
        truth = direct(server_set.primary, server_set, database="uservars", autocommit=True)
        made.extend((ours, truth))
        twins = Twins(ours, truth, number)
        twins.text("CREATE TABLE {t} (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(60))")
        twins.text("INSERT INTO {t} (v) VALUES ('text'), ('b'), ('c')")
        twins.text(
            "CREATE TRIGGER {t}_note BEFORE INSERT ON {t} FOR EACH ROW SET NEW.v = CONCAT(NEW.v, COALESCE(@a, '-'))"
        )
        return twins

    yield make
    for connection in made:
        with suppress(pymysql.MySQLError):
            connection.close()
    server_set.primary.execute("DROP DATABASE uservars")


def pinned(twins: Twins) -> str | None:
    """Why the router keeps the session's connection, if it does."""
    reasons: str | None = dict(twins.ours.text("SHOW SESSION STATE")[1])["pinned_by"]
    return reasons


def packets(twins: Twins, sql: str) -> Any:
    """A statement, compared packet by packet with its metadata."""
    return twins.do(lambda session, table: session.query(sql.format(t=table)))


def literals(dice: random.Random) -> str:
    """SET of one or several user variables to literals."""
    chosen = dice.sample(NAMES, dice.randrange(1, 4))
    return "SET " + ", ".join(f"{name} {dice.choice(['=', ':='])} {dice.choice(LITERALS)}" for name in chosen)


def wander(twins: Twins, dice: random.Random) -> None:
    """One random step."""
    kind = dice.randrange(24)
    if kind < 6:
        packets(twins, literals(dice))
    elif kind == 6:
        packets(twins, f"SET sql_mode = '{dice.choice(MODES)}'")
    elif kind == 7:
        packets(twins, f"SET NAMES {dice.choice(CHARSETS)}")
    elif kind == 8 and dice.random() < 0.2:
        packets(twins, f"SET {dice.choice(NAMES)} = {dice.choice(OTHERS)}")
    elif kind == 9:
        for sql in ("BEGIN", literals(dice), dice.choice(QUESTIONS), "ROLLBACK"):
            packets(twins, sql)
    elif kind == 10:
        twins.prepare("named", "SELECT @a, ? FROM {t} LIMIT 1")
        twins.execute("named", "x")
        twins.do(lambda session, table: session.close("named"))
    elif kind == 11:
        twins.prepare("unnamed", "INSERT INTO {t} (v) VALUES (?)")
        twins.execute("unnamed", "prepared")
    else:
        packets(twins, dice.choice(QUESTIONS))


@pytest.mark.parametrize("seed", range(2))
def test_sessions_wander_on_few_connections(make_twins: Callable[[int], Twins], seed: int) -> None:
    dice = random.Random(seed)
    sessions = [make_twins(number) for number in range(6)]
    carried = 0
    for _ in range(40):
        twins = dice.choice(sessions)
        # What a statement has left is asked for in the same turn: later, others need the connection.
        packets(twins, "SELECT COUNT(*) FROM {t}")
        for _ in range(dice.randrange(1, 8)):
            wander(twins, dice)
        if pinned(twins) is None:
            carried += 1
        else:
            twins.do(lambda session, table: session.command(Command.RESET_CONNECTION))
    assert carried > 5


def test_they_do_not_pin(make_twins: Callable[[int], Twins]) -> None:
    """Nine sessions with user variables on three connections, none kept waiting."""
    sessions = [make_twins(number) for number in range(9)]
    for number, twins in enumerate(sessions):
        packets(twins, f"SET @a = {number}, @b = 'of {number}'")
        assert pinned(twins) is None
    for _ in range(3):
        for twins in sessions:
            packets(twins, "SELECT @a, @b")
            packets(twins, "INSERT INTO {t} (v) VALUES ('x')")
            packets(twins, "SELECT v FROM {t} ORDER BY id DESC LIMIT 1")


def test_nobody_else_sees_them(make_twins: Callable[[int], Twins]) -> None:
    sessions = [make_twins(number) for number in range(6)]
    for twins in sessions[:3]:
        packets(twins, "SET @a = 'secret'")
    for twins in sessions[3:]:
        packets(twins, "SELECT @a")
        packets(twins, "INSERT INTO {t} (v) VALUES ('x')")
        packets(twins, "SELECT v FROM {t} ORDER BY id DESC LIMIT 1")


@pytest.mark.parametrize(
    "sql",
    [
        "SET @a = @a + 1",
        "SELECT @a := 5",
        "SELECT 5 INTO @a",
        "SET @a = 1, time_zone = '+01:00'",
        "DO @a := 5",
        "INSERT INTO {t} (v) VALUES (@a := 'x')",
        "CALL uservars.assign()",
        "INSERT INTO assigns VALUES (1)",
    ],
)
def test_values_that_are_no_literals_pin(make_twins: Callable[[int], Twins], server_set: ReplicaSet, sql: str) -> None:
    for statement in (
        "CREATE PROCEDURE uservars.assign() SET @a = 'by a routine'",
        "CREATE TABLE uservars.assigns (id INT)",
        "CREATE TRIGGER uservars.assigning AFTER INSERT ON uservars.assigns FOR EACH ROW SET @a = 'by a trigger'",
    ):
        server_set.primary.execute(statement)
    twins = make_twins(0)
    packets(twins, "SET @a = 1")
    assert pinned(twins) is None
    packets(twins, sql)
    assert pinned(twins) is not None
    packets(twins, "SELECT @a")
