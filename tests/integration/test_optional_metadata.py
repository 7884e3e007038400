"""MySQL's optional metadata: results without column definitions, for clients that know them already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from router.wire.constants import Capability, Command
from tests.fix_router import RunningRouter, settings_for

pytestmark = pytest.mark.mysql

OPTIONAL = int(Capability.OPTIONAL_RESULTSET_METADATA)
NO_EOF = int(Capability.DEPRECATE_EOF)


class Optional(Connection):  # type: ignore[misc]
    """A connection on which commands are sent and packets read; PyMySQL cannot read these results."""

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """PyMySQL would ask."""

    def say(self, command: int, argument: bytes, packets: int = 1) -> list[bytes]:
        """So many packets of the answer."""
        self._execute_command(command, argument)
        return [bytes(self._read_packet()._data) for _ in range(packets)]


def connect(port: int, flags: int, database: str) -> Optional:
    """A client for which definitions are optional."""
    options: dict[str, Any] = {"user": "app", "password": "app-secret", "database": database, "autocommit": None}
    return Optional(host="127.0.0.1", port=port, client_flag=OPTIONAL | flags, read_timeout=20, **options)


@pytest.mark.parametrize("flags", [0, NO_EOF])
def test_definitions_are_left_out_where_they_are_not_wanted(
    mysql_set: ReplicaSet,
    fresh_database: str,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
    flags: int,
) -> None:
    router = start_router(settings_for(mysql_set, tmp_path, pool={"max_connections": 1}, reads={"from": "primary"}))
    eof = 0 if flags else 1
    heard = []
    for port, table in ((router.port, b"t_route"), (mysql_set.primary.port, b"t_truth")):
        wanting = connect(port, flags, fresh_database)
        other = connect(port, flags, fresh_database)
        answers = [wanting.say(Command.QUERY, b"CREATE TABLE %s (a INT, b INT)" % table)]
        answers.append(wanting.say(Command.QUERY, b"SET resultset_metadata = NONE"))
        select = b"SELECT a, b, 1 FROM %s UNION SELECT 1, 2, 3" % table
        for _ in range(2):
            answers.append(wanting.say(Command.QUERY, select, 3 + eof))
            answers.append(other.say(Command.QUERY, select, 6 + eof))
        answers.append(wanting.say(Command.QUERY, b"SET sql_mode = 'ANSI', NAMES latin1"))
        answers.append(wanting.say(Command.QUERY, b"SELECT CAST('x' AS SIGNED), LAST_INSERT_ID()", 3 + eof))
        answers.append(other.say(Command.QUERY, b"SELECT @@sql_mode", 4 + eof))
        answers.append(wanting.say(Command.QUERY, b"SHOW WARNINGS", 3 + eof))
        prepared = wanting.say(Command.STMT_PREPARE, b"SELECT a + ?, b FROM %s" % table, 1 + 2 * eof)
        execution = b"\0\1\0\0\0\0\1\3\0\5\0\0\0"
        answers.append([prepared[0][5:], *prepared[1:]])
        for setting, count in ((b"NONE", 2), (b"FULL", 4), (b"NONE", 2)):
            answers.append(wanting.say(Command.QUERY, b"SET resultset_metadata = " + setting))
            answers.append(other.say(Command.QUERY, b"SELECT @@resultset_metadata", 4 + eof))
            answers.append(wanting.say(Command.STMT_EXECUTE, prepared[0][1:5] + execution, count + eof))
        answers.append(wanting.say(Command.FIELD_LIST, table + b"\0"))
        heard.append([[it.replace(table, b"t") for it in answer] for answer in answers])
        wanting.close()
        other.close()
    assert heard[0] == heard[1]


def test_answers_of_our_own(mysql_set: ReplicaSet, router: RunningRouter, fresh_database: str) -> None:
    connection = connect(router.port, 0, fresh_database)
    for setting in (b"NONE", b"FULL"):
        connection.say(Command.QUERY, b"SET resultset_metadata = " + setting)
        head, first = connection.say(Command.QUERY, b"EXPLAIN ROUTE SELECT 1", 10)[:2]
        assert head == b"\6\1"
        assert b"step" in first
    connection.close()
