"""The router's own questions: what they ask for, and how answers are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine import questions
from router.errors import ProtocolError
from router.wire.constants import Capability, ColumnType
from router.wire.framing import frame
from router.wire.packets import ColumnDefinition
from router.wire.rows import encode_text_result
from tests.fakes import err, ok, rows

NO_EOF = int(Capability.DEPRECATE_EOF)


def answer(values: list[bytes | None], *, deprecate_eof: bool) -> bytes:
    columns = [ColumnDefinition(b"c%d" % number, ColumnType.VAR_STRING) for number in range(len(values))]
    return encode_text_result(columns, [values], capabilities=NO_EOF * deprecate_eof, status=2)


@given(st.lists(st.none() | st.binary(max_size=300), min_size=1, max_size=5), st.booleans())
def test_a_row_is_read_as_it_was_written(values: list[bytes | None], deprecate_eof: bool) -> None:
    assert questions.single_row(answer(values, deprecate_eof=deprecate_eof)) == values


@pytest.mark.parametrize("data", [b"\2\0\0\1\1\0\2\0\0\2\0015", b"\2\0\0\1\1\0\5\0\0\2\xfe\0\0\2\0\2\0\0\3\0015"])
def test_a_row_whose_definitions_are_left_out(data: bytes) -> None:
    assert questions.single_row(data) == [b"5"]


def test_a_row_of_a_server() -> None:
    assert questions.single_row(rows([b"utf8mb4", b"latin1"], names=("a", "b"))) == [b"utf8mb4", b"latin1"]


@pytest.mark.parametrize(
    "data", [b"", ok(), err(), frame(b"\xfbfile", 1), answer([b"x"], deprecate_eof=True)[:30]], ids=range(5)
)
def test_what_is_no_row(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        questions.single_row(data)


@pytest.mark.parametrize("deprecate_eof", [False, True])
def test_no_row_is_no_row(deprecate_eof: bool) -> None:
    columns = [ColumnDefinition(b"a", ColumnType.VAR_STRING)]
    with pytest.raises(ProtocolError):
        questions.single_row(encode_text_result(columns, [], capabilities=NO_EOF * deprecate_eof, status=2))


@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_names_in_wide_character_sets(encoding: str) -> None:
    assert questions.plain_text("utf16_general_ci".encode(encoding)) == "utf16_general_ci"
    assert questions.plain_text("18446744073709551615".encode(encoding)) == "18446744073709551615"


def test_null_is_the_empty_text() -> None:
    assert questions.plain_text(None) == ""


@pytest.mark.parametrize(
    "sql",
    [
        b"SET NAMES utf8mb4",
        b"set names 'latin1'",
        b"  SET\tNAMES\n'utf8mb4' COLLATE 'utf8mb4_bin' ; ",
        b"SET NAMES gbk COLLATE gbk_bin",
        b"SET NAMES DEFAULT",
    ],
)
def test_set_names_that_means_the_same_every_time(sql: bytes) -> None:
    assert questions.is_plain_set_names(sql)


@pytest.mark.parametrize(
    "sql",
    [
        b"SET NAMES utf8mb4, time_zone = 'UTC'",
        b"SET NAMES utf8mb4; SET time_zone = 'UTC'",
        b"SET NAMES @charset",
        b"SET NAMES 'utf8mb4",
        b"SET NAMES CONCAT('utf', '8')",
        b"SET NAMES /* x */ utf8mb4",
        b"SET character_set_results = NULL",
        b"SET NAMES",
        b"SET CHARACTER SET utf8mb4",
        b"",
    ],
)
def test_set_names_that_may_mean_something_else(sql: bytes) -> None:
    assert not questions.is_plain_set_names(sql)


@pytest.mark.parametrize("sql", [b"SELECT ROW_COUNT()", b"select found_rows( )", b"SELECT Found_Rows() + 1"])
def test_counts_are_asked_for(sql: bytes) -> None:
    assert questions.asks_for_counts(sql)


@pytest.mark.parametrize("sql", [b"SHOW WARNINGS", b"SELECT LAST_INSERT_ID()", b"SELECT @@warning_count"])
def test_counts_are_not_asked_for(sql: bytes) -> None:
    assert not questions.asks_for_counts(sql)


@pytest.mark.parametrize("sql", [b"SELECT LAST_INSERT_ID()", b"select @@identity", b"SELECT @@Last_Insert_Id"])
def test_the_insert_id_is_asked_for(sql: bytes) -> None:
    assert questions.asks_for_insert_id(sql)


def test_the_insert_id_is_not_asked_for() -> None:
    assert not questions.asks_for_insert_id(b"SHOW WARNINGS")


@pytest.mark.parametrize(
    "sql", [b"SHOW WARNINGS", b"show count(*) errors", b"SELECT @@warning_count", b"GET DIAGNOSTICS @a"]
)
def test_warnings_are_asked_for(sql: bytes) -> None:
    assert questions.asks_for_warnings(sql)


@pytest.mark.parametrize(
    ("command", "plain"),
    [
        (b"\x03SHOW WARNINGS", True),
        (b"\x03 show\twarnings ; ", True),
        (b"\x03SHOW WARNINGS LIMIT 1", False),
        (b"\x03SHOW ERRORS", False),
        (b"\x16SHOW WARNINGS", False),
    ],
)
def test_show_warnings_in_full(command: bytes, plain: bool) -> None:
    assert questions.is_show_warnings(frame(command, 0)) is plain
