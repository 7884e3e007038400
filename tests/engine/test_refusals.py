"""Errors of the router's own: numbers drivers act on, words people can act on."""

from __future__ import annotations

import pytest

from router.engine import refusals
from router.errors import BackendUnavailable, MySQLError, PoolTimeout, Unsupported
from router.sql.analyze import analyze
from router.sql.lexer import LexMode
from router.wire.packets import ErrPacket


@pytest.mark.parametrize(
    ("error", "code", "sqlstate", "words"),
    [
        (refusals.other_group("b", "a", ["user_variable"]), 1235, "42000", ["'a'", "'b'", "user_variable"]),
        (refusals.other_group("b", "a", []), 1235, "42000", ["an open transaction"]),
        (refusals.past_forgotten(), 1235, "42000", ["max_connections"]),
        (refusals.not_sent(PoolTimeout("8 of 8 in use")), 1040, "08004", ["too many connections", "8 of 8 in use"]),
        (refusals.not_sent(BackendUnavailable("refused")), 2003, "08S01", ["refused"]),
        (refusals.lost("gone"), 2013, "08S01", ["gone"]),
        (refusals.lost("gone", refusals.OUTCOME_UNKNOWN), 2013, "08S01", ["gone; the outcome", "unknown"]),
        (refusals.rolled_back("gone"), 1213, "40001", ["gone", "rolled back"]),
    ],
)
def test_each_names_its_case(error: MySQLError, code: int, sqlstate: str, words: list[str]) -> None:
    assert (error.code, error.sqlstate) == (code, sqlstate)
    assert error.message.startswith("router: ")
    assert all(word in error.message for word in words)


def test_what_is_not_supported_says_so_by_its_class() -> None:
    assert isinstance(refusals.other_group("b", "a", []), Unsupported)


def test_a_servers_error_is_passed_on_as_it_is() -> None:
    error = refusals.from_server(ErrPacket(1049, "42000", b"Unknown database 'x'").encode())
    assert (error.code, error.sqlstate, error.message) == (1049, "42000", "Unknown database 'x'")


def test_killed_in_the_words_of_a_server() -> None:
    error = refusals.killed()
    assert (error.code, error.sqlstate, error.message) == (1317, "70100", "Query execution was interrupted")


@pytest.mark.parametrize(
    ("sql", "stays"),
    [
        ("SET NAMES latin1", True),
        ("SET @a = 1, sql_mode = ''", True),
        ("USE shop", True),
        ("SET autocommit = 1", False),
        ("SET @a = 1, completion_type = 2", False),
        ("SET PASSWORD = 'x'", False),
        ("SET DEFAULT ROLE r TO u", False),
        ("SET STATEMENT max_statement_time = 1 FOR COMMIT", False),
        ("ROLLBACK TO a", True),
        ("COMMIT", False),
        ("CREATE TABLE t (a INT)", False),
    ],
)
def test_what_leaves_a_transaction_open(sql: str, stays: bool) -> None:
    assert refusals.stays_inside(analyze(sql.encode(), LexMode())) is stays
