"""Commands as words."""

from __future__ import annotations

import pytest

from router.admin.words import Words, without_comments
from router.errors import MySQLError


def test_one_after_the_other() -> None:
    words = Words("drain main/db-a.x:3306 WAIT 1.5s ; ")
    assert words.any_of("command", ("DRAIN", "PAUSE")) == "DRAIN"
    assert words.name("the server") == "main/db-a.x:3306"
    assert words.take("FOR") is None
    assert words.take("WAIT", "FOR") == "WAIT"
    assert words.seconds("WAIT") == 1.5
    with pytest.raises(MySQLError, match="';' is not expected"):
        words.end()


@pytest.mark.parametrize("quoted", ["'a b'", '"a b"', "`a b`"])
def test_quotes(quoted: str) -> None:
    words = Words(f"  {quoted} 10 seconds")
    assert words.name("x") == "a b"
    assert words.seconds("x") == 10
    words.end()


@pytest.mark.parametrize("text", ["", "x", "-1", "1e3", "٣", "9" * 21, "'"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(MySQLError, match="1064"):
        Words(text).number("the id")


@pytest.mark.parametrize("text", ["", "soon", "25h", "-1", "nan", "1 week"])
def test_what_is_no_duration(text: str) -> None:
    words = Words(text)

    def read() -> None:
        words.seconds("WAIT")
        words.end()

    with pytest.raises(MySQLError, match="1064"):
        read()


def test_wrong_words_are_told_what_is_possible() -> None:
    with pytest.raises(MySQLError, match=r"SHOW 'SERVER' is not known here; did you mean 'SERVERS'"):
        Words("server").any_of("SHOW", ("SERVERS", "POOLS"))
    with pytest.raises(MySQLError, match=r"SHOW is missing .known: POOLS, SERVERS"):
        Words("").any_of("SHOW", ("SERVERS", "POOLS"))


@pytest.mark.parametrize(
    "sql", ["SHOW X", " /* a */ SHOW X ; ", "-- a\nSHOW X;;", "# a\n/* b\n */SHOW X", "/* mysql-connector */SHOW X"]
)
def test_comments_and_semicolons(sql: str) -> None:
    assert without_comments(sql) == "SHOW X"


def test_a_comment_and_nothing_else() -> None:
    assert without_comments("-- nothing") == without_comments("/* */") == ""
