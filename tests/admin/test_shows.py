"""SHOW and DESCRIBE as SELECTs."""

from __future__ import annotations

import pytest

from router.admin.shows import SHOWN, describe, show
from router.admin.sql import Answer, Context, select, understand
from router.admin.state import RouterState
from router.admin.variables import variables
from router.admin.words import Words
from router.errors import MySQLError
from tests.admin.inside import World
from tests.fakes import virtually


async def run(text: str) -> Answer:
    words = Words(text)
    sql = describe(words) if words.take("DESCRIBE") else show(words, "stats")
    context = Context(variables("8.4.0", 1), {})
    question = understand(sql, context)
    state = RouterState(World().inside)
    own = [table for table in question.tables if table.source is None]
    rows = await state.rows(own, texts=False, variables=context.variables)
    return select(question, rows, {})


async def names(text: str) -> list[str]:
    return [name for name, _ in (await run(text)).columns]


@pytest.mark.parametrize("word", sorted({*SHOWN} - {"COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS"}))
@virtually
async def test_everything_can_be_shown(word: str) -> None:
    more = {"CREATE": " TABLE stats.servers", "TABLE": " STATUS", "CHARACTER": " SET"}.get(word, "")
    found = await run(word + more)
    assert found.columns
    if word != "CREATE":
        assert (await run(f"{word}{more} LIKE '%'")).columns == found.columns
        assert not (await run(f"{word}{more} LIKE 'no\\\\_such%'")).rows


@virtually
async def test_clauses() -> None:
    assert [row[1] for row in (await run("SERVERS")).rows] == ["a", "b"]
    assert [row[1] for row in (await run("servers like 'B'")).rows] == ["b"]
    assert [row[1] for row in (await run("SERVERS WHERE up = 1 ORDER BY server DESC LIMIT 1")).rows] == ["b"]
    assert [row[0] for row in (await run("VARIABLES LIKE 'lower\\_case\\_t%'")).rows] == ["lower_case_table_names"]
    assert (await run("GLOBAL VARIABLES WHERE Variable_name IN ('version', 'x') OR Variable_name = \"y\"")).rows == [
        ("version", "8.4.0")
    ]
    assert [row[0] for row in (await run("DATABASES")).rows] == ["information_schema", "main", "stats"]


@virtually
async def test_tables_and_columns() -> None:
    assert (await names("FULL TABLES FROM main LIKE 'runtime%'")) == ["Tables_in_main", "Table_type"]
    assert [row[0] for row in (await run("TABLES IN main WHERE Tables_in_main LIKE 'mysql%'")).rows] == [
        "mysql_servers"
    ]
    assert [row[0] for row in (await run("DESCRIBE stats.version")).rows] == [
        "version",
        "python",
        "started",
        "uptime_seconds",
        "maintenance",
    ]
    assert [row[0] for row in (await run("DESCRIBE version maintenance")).rows] == ["maintenance"]
    assert (await names("FULL COLUMNS FROM `servers` FROM `stats`"))[-1] == "Comment"
    assert (await run("INDEX FROM servers")).rows == []
    assert "ENGINE=MEMORY" in str((await run("CREATE TABLE servers")).rows[0][1])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SERVER", "1064.*did you mean 'SERVERS'"),
        ("", "1064.*SHOW is missing"),
        ("SERVERS HAVING 1", "1064.*clause 'HAVING'"),
        ("TABLES FROM shop", "1049.*known: information_schema, main, stats"),
        ("COLUMNS FROM server", "1146.*did you mean 'servers'"),
        ("COLUMNS", "1064.*missing"),
        ("CREATE VIEW x", "1064"),
        ("CREATE TABLE servers x", "1064.*not expected"),
        ("DESCRIBE shop.servers", "1049"),
        ("DESCRIBE", "1064.*the table is missing"),
        ("SERVERS LIKE 'x' UNION SELECT 1", "1064.*clause 'UNION'"),
        ("SERVERS WHERE 1; SELECT 2", "1064.*one statement"),
    ],
)
@virtually
async def test_mistakes(text: str, error: str) -> None:
    with pytest.raises(MySQLError, match=error):
        (await run(text))
