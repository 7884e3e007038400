"""SELECT by SQLite: what is read, what is bounded, what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from router.admin import sql as module
from router.admin.sql import MAX_SECONDS, Answer, Context, answer, select, understand
from router.admin.tables import TABLES, Value
from router.errors import MySQLError
from router.wire.constants import ColumnType

CONTEXT = Context({"version_comment": "us", "autocommit": 1}, {"database": "stats", "user": "me@here"})
SERVERS = [
    tuple({"server": name, "lag_seconds": lag, "weight": 1}.get(column.name) for column in TABLES["servers"].columns)
    for name, lag in (("a", None), ("b", 0.5), ("c", float("inf")))
]


def ask(text: str, **rows: Any) -> Answer:
    question = understand(text, CONTEXT)
    known: dict[str, Any] = {table.name: [] for table in question.tables if table.source is None}
    return select(question, known | {"servers": SERVERS} | rows, CONTEXT.functions)


def refused(text: str) -> MySQLError:
    with pytest.raises(MySQLError) as refusal:
        ask(text)
    return refusal.value


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("SELECT server FROM servers WHERE lag_seconds < 1", [("b",)]),
        ("select `server` from stats.servers order by server desc limit 1, 1", [("b",)]),
        ('SELECT COUNT(*) FROM servers WHERE server IN ("a", \'b\') # end', [(2,)]),
        ("SELECT x.server FROM servers x JOIN servers y ON y.server = x.server AND y.lag_seconds > 1", [("c",)]),
        ("WITH c AS (SELECT server FROM servers) SELECT COUNT(*) FROM c", [(3,)]),
        ("SELECT weight, COUNT(*) FROM servers GROUP BY weight HAVING COUNT(*) > 1", [(1, 3)]),
        ("SELECT server, ROW_NUMBER() OVER (ORDER BY server DESC) FROM servers ORDER BY 2 LIMIT 1", [("c", 1)]),
        ("SELECT 'it''s', 'a\\'b', \"say \"\"x\"\"\"", [("it's", "a'b", 'say "x"')]),
        ("SELECT 'back\\\\slash', 'tab\\t'", [("back\\slash", "tab\t")]),
        ("SELECT CONCAT('a', 1), CONCAT('a', NULL)", [("a1", None)]),
        ("SELECT CONCAT_WS('-', 1, NULL, 2), IF(1 > 2, 'x', 'y')", [("1-2", "y")]),
        ("SELECT FROM_UNIXTIME(0), FROM_UNIXTIME('x'), FROM_UNIXTIME(1e300)", [("1970-01-01 00:00:00", None, None)]),
        ("SELECT CONVERT('12.5x', UNSIGNED INTEGER), CONVERT(2.5, SIGNED), CONVERT(NULL, SIGNED)", [(0, 2, None)]),
        ("SELECT CAST('12' AS SIGNED INTEGER), CAST(1 AS CHAR)", [(12, "1")]),
        ("SELECT LOCATE('B', 'abc'), LOCATE('x', 'abc'), LEAST(2, 1), GREATEST(2, NULL)", [(2, 0, 1, None)]),
        ("SELECT UCASE('a'), LCASE('A')", [("A", "a")]),
        ("SELECT 'a' = 'A' COLLATE utf8mb4_general_ci, 'a' = 'A' COLLATE utf8mb3_bin", [(1, 0)]),
        ("SELECT DATABASE(), user()", [("stats", "me@here")]),
        ("SELECT 1 FROM DUAL", [(1,)]),
        ("SELECT 'servers', 'größe 🐬'", [("servers", "größe 🐬")]),
        ("/*!40001 SELECT */ 1", [(1,)]),
    ],
)  # fmt: skip
def test_queries(text: str, rows: list[tuple[Any, ...]]) -> None:
    assert ask(text, dual=[("X",)]).rows == rows


def test_columns_are_named_as_they_are_written() -> None:
    found = ask("SELECT @@version_comment, @@SESSION.autocommit, @@global.autocommit + 1, @@`autocommit` AS x")
    assert [name for name, _ in found.columns] == [
        "@@version_comment",
        "@@SESSION.autocommit",
        "@@global.autocommit + 1",
        "x",
    ]
    assert found.rows == [("us", 1, 2, 1)]


def test_types_are_those_of_values() -> None:
    rows: list[tuple[Value, ...]] = [(1, 0.5, "x", None, 1, float("inf")), (2, 1, None, None, "y", 1.0)]
    assert [kind for _, kind in answer("abcdef", rows).columns] == [
        ColumnType.LONGLONG,
        ColumnType.DOUBLE,
        ColumnType.VAR_STRING,
        ColumnType.VAR_STRING,
        ColumnType.VAR_STRING,
        ColumnType.VAR_STRING,
    ]


def test_derived_tables_and_aliases() -> None:
    pools = [tuple({"server": "a", "group_name": "g"}.get(each.name) for each in TABLES["pools"].columns)]
    given = {"server": "a", "group_name": "g", "host": "h", "up": 1, "fenced": 0, "draining": 0, "paused": 0}
    servers = [tuple(given.get(each.name) for each in TABLES["servers"].columns)]
    found = ask("SELECT hostname, status FROM main.runtime_mysql_servers", pools=pools, servers=servers)
    assert found.rows == [("h", "ONLINE")]
    sessions = [(7, *[None] * (len(TABLES["sessions"].columns) - 1))]
    assert ask("SELECT connection_id FROM Clients", sessions=sessions).rows == [(7,)]


def test_types_without_values_are_those_of_the_table() -> None:
    found = ask("SELECT server, weight, lag_seconds, 1 AS one FROM servers WHERE 0")
    assert [kind for _, kind in found.columns] == [
        ColumnType.VAR_STRING,
        ColumnType.LONGLONG,
        ColumnType.DOUBLE,
        ColumnType.VAR_STRING,
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT load_extension('/tmp/x')", 1227),
        ("ATTACH ':memory:' AS x", 1227),
        ("DETACH stats", 1227),
        ("PRAGMA table_info(servers)", 1227),
        ("SELECT * FROM pragma_table_info('servers')", 1227),
        ("SELECT * FROM sqlite_master", 1227),
        ("INSERT INTO servers (server) VALUES (1)", 1227),
        ("CREATE TABLE x (a)", 1227),
        ("UPDATE servers SET server = 1", 1227),
        ("BEGIN", 1227),
        ("SELECT randomblob(10)", 1227),
        ("SELECT zeroblob(1000000000)", 1227),
        ("SELECT printf('%.*c', 1000000000, 'x')", 1227),
        ("SELECT writefile('/tmp/x', 'y')", 1064),
        ("SELECT 1; SELECT 2", 1064),
        ("SELECT 'open", 1064),
        ("SELECT /* open", 1064),
        ("SELECT 'a\\0b'", 1064),
        ("SELECT @x", 1235),
        ("SELECT $$", 1054),
        ("SELECT :v0, @@autocommit, :v1", 1064),
        ("SELECT ?", 1235),
        ("SELECT @@nothing", 1193),
        ("SELECT absent FROM servers", 1054),
        ("SELECT * FROM absent", 1146),
        ("SELECT '" + "x" * 70_000 + "'", 1041),
        ("SELECT " + "(" * 300 + "1" + ")" * 300, 1064),
    ],
)
def test_what_is_refused(text: str, code: int) -> None:
    assert refused(text).code == code


def test_errors_say_what_may_have_been_meant() -> None:
    assert "did you mean 'servers'" in refused("SELECT * FROM server").message
    assert "did you mean 'lag_seconds'" in refused("SELECT lag_second FROM servers").message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c", 3024),
        ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c", 1041),
        ("WITH RECURSIVE c(x) AS (SELECT 'aaaa' UNION ALL SELECT x || x FROM c) SELECT LENGTH(x) FROM c", 1041),
        (
            "WITH RECURSIVE c(x, y) AS (SELECT 'aaaaaaaaaaaaaaaaaaaaaaaa', 1 UNION ALL"
            " SELECT SUBSTR(x || x, 1, 500000), y + 1 FROM c WHERE y < 100000) SELECT y FROM c ORDER BY x",
            1041,
        ),
    ],
)
def test_everything_is_bounded(text: str, code: int) -> None:
    began = time.monotonic()
    assert refused(text).code == code
    assert time.monotonic() - began < MAX_SECONDS + 8  # of a busy machine


def test_size_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    assert refused("SELECT server || '0123456789012345678901234567890123456789' FROM servers").code == 1041
    assert ask("SELECT server FROM servers").rows
