"""The SQLSTATE table."""

from __future__ import annotations

import pytest

from router.errors import AccessDenied, MySQLError, Unsupported
from router.wire.errcodes import ErrorCode, code_of, mysql_error, sqlstate_of
from router.wire.packets import ErrPacket


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (1040, "08004"),
        (1044, "42000"),
        (1045, "28000"),
        (1046, "3D000"),
        (1047, "08S01"),
        (1049, "42000"),
        (1053, "08S01"),
        (1054, "42S22"),
        (1062, "23000"),
        (1064, "42000"),
        (1105, "HY000"),
        (1146, "42S02"),
        (1153, "08S01"),
        (1161, "08S01"),
        (1162, "42000"),
        (1205, "HY000"),
        (1213, "40001"),
        (1235, "42000"),
        (1317, "70100"),
        (1792, "25006"),
        (3159, "HY000"),
        (6574, "42000"),
        (6575, "HY000"),
        (0, "HY000"),
        (-1, "HY000"),
        (99999, "HY000"),
    ],
)
def test_sqlstate_of(code: int, state: str) -> None:
    assert sqlstate_of(code) == state


def test_every_state_has_five_characters() -> None:
    assert all(len(sqlstate_of(code)) == 5 for code in range(20_000))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (ErrorCode.ACCESS_DENIED, AccessDenied),
        (ErrorCode.NOT_SUPPORTED_YET, Unsupported),
        (ErrorCode.PARSE_ERROR, MySQLError),
    ],
)
def test_mysql_error_has_the_class_its_catchers_look_for(code: ErrorCode, kind: type[MySQLError]) -> None:
    error = mysql_error(code, "no")
    assert type(error) is kind
    assert (error.code, error.sqlstate, error.message) == (code, sqlstate_of(code), "no")


def test_the_number_of_an_error() -> None:
    assert code_of(ErrPacket(1290, "HY000", b"read-only").encode()) == 1290
