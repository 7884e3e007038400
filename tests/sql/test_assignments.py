"""What SET assigns."""

from __future__ import annotations

import pytest

from router.sql.assignments import literal_values, parse_set
from router.sql.lexer import LexMode, tokenize


def assigned(sql: str) -> list[str] | None:
    found = parse_set(sql.encode(), tokenize(sql.encode(), LexMode()))
    return None if found is None else [f"{each.scope} {each.name}" for each in found.assigned]


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SET a=1", ["session a"]),
        ("SET A := 1", ["session a"]),
        ("SET `a` = 1", ["session a"]),
        ("SET @@a = 1", ["session a"]),
        ("SET @@session.a = 1", ["session a"]),
        ("SET @@LOCAL.a = 1", ["session a"]),
        ("SET @@global.a = 1", ["global a"]),
        ("SET @@persist.a = 1, @@persist_only.b = 2", ["persist a", "persist_only b"]),
        ("SET SESSION a=1, LOCAL b=2", ["session a", "session b"]),
        ("SET GLOBAL a=1", ["global a"]),
        ("SET PERSIST a=1", ["persist a"]),
        ("SET @c=3", ["user @c"]),
        ("SET @C := 3, @`d e` = 4, @'f' = 5", ["user @c", "user @d e", "user @f"]),
        ("SET a=1, @@session.b=2, @c=3, GLOBAL d=4, @@global.e=1", None),
        ("SET a=(SELECT 1, 2), b=f(1, 2)", ["session a", "session b"]),
        ("SET GLOBAL a=1, b=2", ["global a", "session b", "global b"]),
        ("SET GLOBAL a=1, SESSION b=2, c=3", ["global a", "session b", "session c"]),
        ("SET hot_cache.key_buffer_size = 1", ["session hot_cache.key_buffer_size"]),
        ("SET NAMES utf8", ["session names"]),
        ("SET NAMES 'utf8' COLLATE 'utf8_bin', a=1", ["session names", "session a"]),
        ("SET names = 1", ["session names"]),
        ("SET CHARACTER SET utf8", ["session character set"]),
        ("SET CHARSET utf8", ["session character set"]),
        ("SET SESSION TRANSACTION READ ONLY", ["session transaction_isolation", "session transaction_read_only"]),
        ("SET GLOBAL TRANSACTION READ ONLY", ["global transaction_isolation", "global transaction_read_only"]),
        ("SET TRANSACTION READ ONLY", []),
        ("SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE", []),
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE",
            ["session transaction_isolation", "session transaction_read_only"],
        ),
        ("SET PASSWORD = 'x'", ["global password"]),
        ("SET PASSWORD FOR a = 'x'", ["global password"]),
        ("SET DEFAULT ROLE ALL TO a", ["global default role"]),
        ("SET ROLE ALL", []),
        ("SET autocommit=0", ["session autocommit"]),
        ("SET sql_mode=CONCAT(@@sql_mode,',X'), time_zone='+00:00'", ["session sql_mode", "session time_zone"]),
    ],
)
def test_assigned(sql: str, names: list[str] | None) -> None:
    if names is None:
        names = ["session a", "session b", "user @c", "global d", "global e"]
    assert assigned(sql) == names


@pytest.mark.parametrize(
    ("sql", "pin"),
    [
        ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "set_transaction"),
        ("SET ROLE NONE", "role"),
        ("SET RESOURCE GROUP g", "state_change"),
    ],
)
def test_state_that_nothing_reports(sql: str, pin: str) -> None:
    found = parse_set(sql.encode(), tokenize(sql.encode(), LexMode()))
    assert found is not None
    assert {each.value for each in found.pins} == {pin}


@pytest.mark.parametrize("sql", ["SET", "SET a", "SET =1", "SET a=", "SET a=1,", "SET 1=2", "SET (a)=1", "SET SESSION"])
def test_what_is_not_understood(sql: str) -> None:
    assert assigned(sql) is None


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SET @a = 1", {"@a": "1"}),
        ("set @A:=-1.50 , @b.c$=+2e-3;", {"@a": "-1.50", "@b.c$": "+2e-3"}),
        ("SET\t@a='plain, text; here' ", {"@a": "'plain, text; here'"}),
        ('SET @a = "twice", @b = TRUE', {"@a": "'twice'", "@b": "TRUE"}),
        ("SET @a = 1, @a = 2", {"@a": "2"}),
        ("SET @a = ''", {"@a": "''"}),
        ("SET @a = 1 + 1", None),
        ("SET @a = 1 1", None),
        ("SET @a = b", None),
        ("SET @a = 'x' 'y'", None),
        ("SET @a = 'x''y'", None),
        ("SET @a = 'x\\n'", None),
        ("SET @a = 'x\xe9'", None),
        ("SET @a = 'x', b = 1", None),
        ("SET @a = 0x41", None),
        ("SET @a = ?", None),
        ("SET @`a` = 1", None),
        ("SET @\xe9 = 1", None),
        ("SET @a = 1, ", None),
        ("SET @a = 1 /* comment */", None),
        ("SET @a = 1 -- comment", None),
        ("SET SESSION time_zone = '+01:00'", None),
        ("SELECT @a = 1", None),
        ("SET @a = 'x\ny'", None),
        ("SET @a = " + "1" * 31, None),
    ],
)
def test_literals_for_user_variables(sql: str, values: dict[str, str] | None) -> None:
    assert literal_values(sql.encode("latin-1"), ansi_quotes=False) == values


def test_double_quotes_are_names_where_the_mode_says_so() -> None:
    assert literal_values(b'SET @a = "x"', ansi_quotes=True) is None
    assert literal_values(b"SET @a = 'x'", ansi_quotes=True) == {"@a": "'x'"}
