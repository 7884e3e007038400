"""Formulas give what servers give; where these do not agree, they say so. Expected values are MySQL's and MariaDB's."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.planner.formulas import (
    Arithmetic,
    Comparison,
    Condition,
    Constant,
    Field,
    FirstKnown,
    Formula,
    Inexact,
    IsNull,
    Junction,
    Mean,
    Negated,
    Not,
    Quotient,
    Rounded,
    Setting,
    average,
    columns_of,
    divided,
    numbers_of,
    rounded,
    truth_of,
)

# Columns: a sum, a count, NULL, div_precision_increment, an AVG of the first two.
ROW = [b"2.00", b"3", None, b"4", b"0.666667"]
TWO, THREE, NULL, MEAN = Field(0), Field(1), Field(2), Mean(4, 0, 1)
SETTING = Setting((Decimal(1), Decimal("0.5"), Decimal(31)), lambda column: 6)
ONE, HALF, MANY = Constant(0), Constant(1), Constant(2)


def values(formula: Formula) -> list[str | None]:
    found = [way(ROW) for way in numbers_of(formula, SETTING)]
    return [None if each is None else str(each) for each in found]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (TWO, ["2.00"]),
        (NULL, [None]),
        (Negated(TWO), ["-2.00"]),
        (Negated(NULL), [None]),
        (Arithmetic("+", TWO, THREE), ["5.00"]),
        (Arithmetic("-", TWO, THREE), ["-1.00"]),
        (Arithmetic("*", TWO, HALF), ["1.000"]),
        (Arithmetic("+", TWO, NULL), [None]),
        (Quotient(TWO, THREE, 3), ["0.666666666", "0.666667"]),
        (Quotient(TWO, NULL, 3), [None, None]),
        (Quotient(TWO, Arithmetic("-", THREE, THREE), 3), [None, None]),
        (MEAN, ["0.666666666", "0.666667"]),
        (Rounded(MEAN, ONE), ["0.7", "0.7"]),
        (Rounded(HALF), ["1"]),
        (Rounded(Negated(HALF)), ["-1"]),
        (Rounded(THREE, ONE), ["3"]),
        (FirstKnown((NULL, THREE, TWO)), ["3"]),
        (FirstKnown((NULL, NULL)), [None]),
    ],
)
def test_numbers(formula: Formula, expected: list[str | None]) -> None:
    assert values(formula) == expected


def test_too_many_digits() -> None:
    product: Formula = TWO
    for _ in range(4):
        product = Arithmetic("*", product, product)
    with pytest.raises(Inexact):
        values(product)
    with pytest.raises(Inexact):
        numbers_of(Rounded(TWO, MANY), SETTING)


@pytest.mark.parametrize(
    ("one", "other", "step", "expected"),
    [
        ("2", "3", 4, "0.666666666"),
        ("0.00002", "3", 4, "0.000006666"),
        ("-2", "3", 4, "-0.666666666"),
        ("1.0000000001", "1", 4, "1.000000000100000000"),
        ("1", "3.5", 4, "0.285714285"),
        ("1", "3", 10, "0.333333333333333333"),
    ],
)
def test_digits_of_quotients(one: str, other: str, step: int, expected: str) -> None:
    assert str(divided(Decimal(one), Decimal(other), step)) == expected


def test_averages() -> None:
    # AVG of a DECIMAL(10,5) shows nine digits, and its last is cut off, not rounded.
    assert str(rounded(average(b"0.00002", b"3", 9), 9)) == "0.000006666"
    assert str(rounded(average(b"2", b"3", 4), 4)) == "0.6667"
    assert str(rounded(Decimal("-0.5"), 0)) == "-1"


TRUE, FALSE = Comparison("=", ONE, ONE), Comparison("<", ONE, ONE)
UNKNOWN = Comparison("=", ONE, NULL)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        *(
            (Comparison(operator, TWO, THREE), operator in ("<", "<=", "<>"))
            for operator in ("=", "<>", "<", "<=", ">")
        ),
        (Comparison(">=", TWO, TWO), True),
        (Comparison("<>", ONE, NULL), None),
        (Comparison("<=>", NULL, NULL), True),
        (Comparison("<=>", NULL, ONE), False),
        (IsNull(NULL), True),
        (IsNull(ONE), False),
        (Not(TRUE), False),
        (Not(UNKNOWN), None),
        (Junction(False, (TRUE, UNKNOWN)), None),
        (Junction(False, (FALSE, UNKNOWN)), False),
        (Junction(False, (TRUE, TRUE)), True),
        (Junction(True, (FALSE, UNKNOWN)), None),
        (Junction(True, (TRUE, UNKNOWN)), True),
        (Junction(True, (FALSE, FALSE)), False),
        (Comparison(">", MEAN, HALF), True),
        (Comparison("<", Quotient(TWO, THREE, 3), HALF), False),
    ],
)
def test_truth(condition: Condition, expected: bool | None) -> None:
    assert truth_of(condition, SETTING)(ROW) is expected


def test_what_depends_on_rounding() -> None:
    setting = Setting((Decimal("0.666667"),), lambda column: 6)
    with pytest.raises(Inexact):
        truth_of(Comparison("=", MEAN, Constant(0)), setting)(ROW)
    with pytest.raises(Inexact):
        truth_of(Comparison("<", Quotient(TWO, THREE, 3), Constant(0)), setting)(ROW)


def test_columns() -> None:
    condition = Junction(True, (Comparison("=", MEAN, ONE), Not(IsNull(Rounded(FirstKnown((TWO, Negated(THREE))))))))
    assert columns_of(condition) == {0, 1, 4}
    assert columns_of(Quotient(NULL, ONE, 3)) == {2}


@given(st.integers(-(10**12), 10**12), st.integers(0, 6), st.integers(1, 10**6))
def test_an_average_is_within_its_digits(total: int, scale: int, count: int) -> None:
    number = Decimal(total).scaleb(-scale)
    found = average(f"{number:f}".encode(), b"%d" % count, scale + 4)
    assert abs(found * count - number) < Decimal(count).scaleb(-(scale + 4))
