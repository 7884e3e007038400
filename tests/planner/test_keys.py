"""Values that MySQL calls equal become the same key."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.planner.keys import Canonical, KeyKind, KeyType, Value, canonical, encoded, storable
from tests.planner.fix_shards import FOLDED, INT, TEXT

MONEY = KeyType(KeyKind.DECIMAL, high=10**8 - 1, scale=2)
MOMENT = KeyType(KeyKind.DATETIME, scale=3)


@pytest.mark.parametrize(
    ("value", "of", "key"),
    [
        (5, INT, 5),
        (-5, INT, -5),
        (True, INT, 1),
        (Decimal("5.00"), INT, 5),
        (Decimal("5.5"), INT, None),
        ("5", INT, 5),
        (" +05\n", INT, 5),
        ("5abc", INT, None),
        ("5.0", INT, None),
        ("", INT, None),
        ("9007199254740993", INT, None),
        (b"5", INT, None),
        (None, INT, None),
        (5, MONEY, Decimal(5)),
        (Decimal("5.10"), MONEY, Decimal("5.1")),
        (Decimal("-0.00"), MONEY, Decimal(0)),
        ("5", MONEY, Decimal(5)),
        ("5.1", MONEY, None),
        (Decimal("1E+2"), MONEY, Decimal(100)),
        ("abc  ", TEXT, "abc"),
        ("Abc", TEXT, "Abc"),
        ("äbc", TEXT, "äbc"),
        (b"abc", TEXT, "abc"),
        (b"\xff", TEXT, None),
        (5, TEXT, None),
        ("ABC ", FOLDED, "abc"),
        ("ä", FOLDED, None),
        ("a\tb", FOLDED, None),
        ("abc\0\0", KeyType(KeyKind.BINARY), b"abc"),
        (b"\xff", KeyType(KeyKind.BINARY), b"\xff"),
        (5, KeyType(KeyKind.BINARY), None),
        ("2024-02-29", KeyType(KeyKind.DATE), date(2024, 2, 29)),
        ("2024-02-30", KeyType(KeyKind.DATE), None),
        ("24-02-29", KeyType(KeyKind.DATE), None),
        (20240229, KeyType(KeyKind.DATE), None),
        (datetime(2024, 2, 29), KeyType(KeyKind.DATE), date(2024, 2, 29)),
        (datetime(2024, 2, 29, 1), KeyType(KeyKind.DATE), None),
        (date(2024, 2, 29), MOMENT, datetime(2024, 2, 29)),
        ("2024-02-29", MOMENT, datetime(2024, 2, 29)),
        ("2024-02-29 12:00:01", MOMENT, datetime(2024, 2, 29, 12, 0, 1)),
        ("2024-02-29T12:00:01.500", MOMENT, datetime(2024, 2, 29, 12, 0, 1, 500_000)),
        ("2024-02-29 23:59:59.9996", MOMENT, None),
        ("2024-02-29 25:00:00", MOMENT, None),
        ("2024-02-29 12:00", MOMENT, None),
    ],
)
def test_values(value: Value, of: KeyType, key: Canonical | None) -> None:
    found = canonical(value, of)
    assert found == key
    assert type(found) is type(key)


@pytest.mark.parametrize(
    ("key", "of", "kept"),
    [
        (2**31 - 1, INT, True),
        (2**31, INT, False),
        (-(2**31) - 1, INT, False),
        (Decimal("1.25"), MONEY, True),
        (Decimal("1.255"), MONEY, False),
        (Decimal(10**8), MONEY, False),
        ("any", TEXT, True),
        ("x" * 40, TEXT, True),
        ("x" * 41, TEXT, False),
        (b"xxx", KeyType(KeyKind.BINARY, high=2), False),
        (0, INT, True),
        (0, replace(INT, generates=True), False),
    ],
)
def test_what_a_column_stores_as_it_is(key: Canonical, of: KeyType, kept: bool) -> None:
    assert storable(key, of) is kept


@given(st.integers(-(10**15), 10**15), st.sampled_from([str, "+{}".format, "0{}".format, " {} ".format, "{}.0".format]))
def test_spellings_of_an_integer_meet(number: int, spell: object) -> None:
    text = spell(abs(number))  # type: ignore[operator]
    spelled: Value = Decimal(text) if "." in text else text
    assert canonical(spelled, INT) == abs(number)
    assert encoded((abs(number),)) == encoded((canonical(spelled, MONEY),))  # type: ignore[arg-type]


def test_numbers_of_all_kinds_meet_and_texts_by_collation() -> None:
    assert INT.meets(MONEY)
    assert TEXT.meets(TEXT)
    assert not TEXT.meets(FOLDED)
    assert not INT.meets(TEXT)


def test_keys_are_hashed_as_they_are_printed() -> None:
    assert encoded((5, "a", Decimal("1.50").normalize(), datetime(2024, 1, 2), b"\xff")) == (
        b"5\0a\x001.5\x002024-01-02 00:00:00\0\xff"
    )
