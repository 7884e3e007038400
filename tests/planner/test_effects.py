"""What several shards cannot say alike."""

from __future__ import annotations

import pytest

from router.planner import effects
from router.planner.blocks import Unplannable
from router.planner.text import Text
from router.sql.builtins import READ_FUNCTIONS
from router.sql.facts import StatementKind
from router.sql.lexer import LexMode


def checked(values: str, *, copies: bool) -> bool:
    return effects.check(
        Text(f"INSERT INTO t VALUES ({values})".encode(), LexMode()), StatementKind.INSERT, copies=copies
    )


@pytest.mark.parametrize(
    ("values", "construct"),
    [
        ("@x", "user variables"),
        ("@x := 1", "user variables"),
        ("LAST_INSERT_ID()", "LAST_INSERT_ID()"),
        ("@@last_insert_id", "@@last_insert_id"),
        ("@@hostname", "@@hostname"),
        ("CONNECTION_ID()", "CONNECTION_ID()"),
        ("GET_LOCK('x', 1)", "GET_LOCK()"),
        ("my_function(1)", "MY_FUNCTION()"),
        ("db.my_function(1)", "DB.MY_FUNCTION()"),
        ("NEXT VALUE FOR s", "a sequence"),
        ("NEXTVAL(s)", "a sequence"),
        ("DATABASE()", "DATABASE()"),
        ("`schema`()", "`SCHEMA`()"),
        ("DEFAULT(a)", "DEFAULT()"),
    ],
)
@pytest.mark.parametrize("copies", [False, True])
def test_what_belongs_to_one_connection(values: str, construct: str, copies: bool) -> None:
    with pytest.raises(Unplannable) as caught:
        checked(values, copies=copies)
    assert construct in caught.value.construct


@pytest.mark.parametrize(
    "values",
    [
        "RAND()",
        "UUID()",
        "uuid_short()",
        "SLEEP(1)",
        "SYSDATE()",
        "USER()",
        "CURRENT_USER",
        "VERSION()",
        "RANDOM_BYTES(4)",
    ],
)
def test_what_copies_would_not_agree_about(values: str) -> None:
    assert not checked(values, copies=False)
    with pytest.raises(Unplannable, match="every copy"):
        checked(values, copies=True)


@pytest.mark.parametrize("values", ["NOW()", "CURRENT_TIMESTAMP", "UNIX_TIMESTAMP()", "curdate()", "UTC_TIMESTAMP"])
def test_the_time_is_that_of_the_statement(values: str) -> None:
    assert checked(values, copies=True)
    assert checked(values, copies=False)


@pytest.mark.parametrize("values", ["1", "'RAND()'", "`user`", "MD5('x')", "CONCAT('a', 1 + 2)", "uuid"])
def test_what_is_the_same_everywhere(values: str) -> None:
    assert not checked(values, copies=True)


def test_long_statements_are_looked_at_as_well() -> None:
    rows = ", ".join(f"({number}, 'x')" for number in range(10_000))
    text = Text(f"INSERT INTO t VALUES {rows}, (1, my_function())".encode(), LexMode())
    with pytest.raises(Unplannable, match="MY_FUNCTION"):
        effects.check(text, StatementKind.INSERT, copies=False)


def test_names_are_those_of_functions() -> None:
    assert effects._WATCHED <= READ_FUNCTIONS
