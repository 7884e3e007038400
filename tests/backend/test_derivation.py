"""What a server has made of parameters: the same state means the same answers (seen on MySQL 9.7)."""

from __future__ import annotations

import struct

import pytest

from router.backend.derivation import derive
from router.wire.constants import ColumnType

TYPES = {
    "i": ColumnType.LONG,
    "I": ColumnType.LONGLONG | 0x8000,
    "s": ColumnType.VAR_STRING,
    "b": ColumnType.BLOB,
    "y": ColumnType.YEAR,
    "d": ColumnType.DOUBLE,
    "D": ColumnType.NEWDECIMAL,
    "t": ColumnType.DATETIME,
    "a": ColumnType.DATE,
    "m": ColumnType.TIME,
    "n": ColumnType.NULL,
}


def state(history: str) -> str:
    """The state of one parameter after executions with values of these kinds."""
    derived = None
    for kind in history:
        derived = derive(derived, struct.pack("<H", TYPES[kind]), b"\1" if kind == "n" else b"\0")
    assert derived is not None
    return derived[0]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("i", "i"),
        ("is", "i"),  # a string becomes an integer
        ("in", "i"),
        ("iI", "I"),
        ("id", "d"),
        ("ds", "d"),
        ("di", "d"),
        ("Dd", "d"),
        ("Di", "D"),
        ("s", "s"),
        ("b", "s"),
        ("y", "s"),
        ("n", "s"),
        ("si", "i"),  # a string only until something else comes
        ("ni", "i"),
        ("nn", "s"),
        ("it", "t"),
        ("ti", "t"),
        ("tt", "t"),
        ("ta", "ta"),  # what it is now depends on more than the last two
        ("tas", "ta"),
        ("tat", "tat"),
    ],
)
def test_the_state_of_a_parameter(history: str, expected: str) -> None:
    assert state(history) == expected


def test_parameters_are_told_apart() -> None:
    types = struct.pack("<10H", *[ColumnType.LONG] * 10)
    derived = derive(None, types, b"\x02\x02")
    assert derived == ("i", "s", *"iiiiiii", "s")
    assert derive(derived, types, b"\0\0") == ("i",) * 10
