"""Expressions of complete aggregates, computed as servers do: exact decimals, three-valued logic.

What servers compute with a limited number of digits (``/`` and AVG) is computed both ways that they are known to
handle it, all digits kept and rounded to those that are shown; should the results differ, nobody can tell what the
server would say, and the answer is Inexact. Grounds: decimal.cc (do_div_mod), Item_func_div of MySQL and MariaDB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

Cell = bytes | None
Row = Sequence[Cell]

# Decimals have at most 65 digits in MySQL, sums and products of them some more.
EXACT = Context(prec=400, rounding=ROUND_HALF_UP)
_TRUNCATING = Context(prec=400, rounding=ROUND_DOWN)
# Digits behind the point.
_MOST_DIGITS = 30


class Inexact(Exception):
    """The value cannot be told for certain."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column with an exact number."""

    column: int


@dataclass(frozen=True, slots=True)
class Mean:
    """An AVG in ``column``, of the sum in ``total`` and the number in ``count``."""

    column: int
    total: int
    count: int


@dataclass(frozen=True, slots=True)
class Constant:
    """The ``number``-th of the constants of this execution."""

    number: int


@dataclass(frozen=True, slots=True)
class Negated:
    """``-of``"""

    of: Formula


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``left`` + - or * ``right``"""

    operator: str
    left: Formula
    right: Formula


@dataclass(frozen=True, slots=True)
class Quotient:
    """``left / right``; ``step`` is the column that holds @@div_precision_increment."""

    left: Formula
    right: Formula
    step: int


@dataclass(frozen=True, slots=True)
class Rounded:
    """ROUND to ``digits`` (a constant; None: to an integer)"""

    of: Formula
    digits: Constant | None = None


@dataclass(frozen=True, slots=True)
class FirstKnown:
    """COALESCE, IFNULL"""

    parts: tuple[Formula, ...]


Formula = Field | Mean | Constant | Negated | Arithmetic | Quotient | Rounded | FirstKnown


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left`` = <> < <= > >= or <=> ``right``"""

    operator: str
    left: Formula
    right: Formula


@dataclass(frozen=True, slots=True)
class IsNull:
    """``of IS NULL``"""

    of: Formula


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT of``"""

    of: Condition


@dataclass(frozen=True, slots=True)
class Junction:
    """All of the parts hold, or ``either``."""

    either: bool
    parts: tuple[Condition, ...]


Condition = Comparison | IsNull | Not | Junction

Number = Decimal | None
Truth = bool | None


@dataclass(frozen=True, slots=True)
class Setting:
    """What formulas are computed with: the constants, and how many digits a column is shown with."""

    constants: tuple[Number, ...]
    digits: Callable[[int], int]


def numbers_of(formula: Formula, setting: Setting) -> tuple[Callable[[Row], Number], ...]:
    """Functions from a row to the formula's value, one for each way of servers to compute it."""
    ways = (False, True) if _inexact(formula) else (False,)
    return tuple(_Reading(setting, rounds=rounds).number(formula) for rounds in ways)


def truth_of(condition: Condition, setting: Setting) -> Callable[[Row], Truth]:
    """The function from a row to whether the condition holds (None: NULL). It raises Inexact."""
    exact = _Reading(setting, rounds=False).truth(condition)
    if not _inexact(condition):
        return exact
    rounded = _Reading(setting, rounds=True).truth(condition)

    def both(row: Row) -> Truth:
        found = exact(row)
        if found is not rounded(row):
            raise Inexact
        return found

    return both


def columns_of(formula: Formula | Condition) -> set[int]:
    """The columns whose type has to be an exact number."""
    match formula:
        case Field(column) | Mean(column):
            return {column}
        case Constant():
            return set()
    return set[int]().union(*(columns_of(each) for each in _parts(formula)))


def _parts(formula: Formula | Condition) -> tuple[Formula | Condition, ...]:
    match formula:
        case Negated(of) | Rounded(of) | IsNull(of) | Not(of):
            return (of,)
        case Arithmetic(_, left, right) | Comparison(_, left, right) | Quotient(left, right):
            return (left, right)
        case FirstKnown(parts) | Junction(_, parts):
            return parts
    return ()


def _inexact(formula: Formula | Condition) -> bool:
    return isinstance(formula, Mean | Quotient) or any(_inexact(each) for each in _parts(formula))


def divided(one: Decimal, other: Decimal, step: int) -> Decimal:
    """The quotient with as many digits as the servers compute: whole groups of nine behind the point."""
    shown, divisor = _digits(one), _digits(other)
    filled = _nines(shown) + _nines(divisor)
    digits = _nines(filled + max(0, step - (filled - shown - divisor)))
    return _TRUNCATING.quantize(_TRUNCATING.divide(one, other), Decimal(1).scaleb(-digits))


def rounded(value: Decimal, digits: int) -> Decimal:
    """Halves go away from zero."""
    return value.quantize(Decimal(1).scaleb(-digits), context=EXACT)


def _digits(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _nines(digits: int) -> int:
    return -(-digits // 9) * 9


class _Reading:
    """One of the ways to compute: ``rounds`` intermediate quotients to the digits they would be shown with."""

    def __init__(self, setting: Setting, *, rounds: bool) -> None:
        self._setting = setting
        self._rounds = rounds

    def number(self, formula: Formula) -> Callable[[Row], Number]:
        match formula:
            case Field(column):
                return lambda row: None if (cell := row[column]) is None else Decimal(cell.decode())
            case Mean():
                return self._mean(formula, rounds=self._rounds)
            case Constant(number):
                value = self._setting.constants[number]
                return lambda row: value
            case Negated(of):
                inner = self.number(of)
                return lambda row: None if (value := inner(row)) is None else -value
            case Arithmetic():
                return self._arithmetic(formula)
            case Quotient():
                return self._quotient(formula)
            case Rounded():
                return self._rounded(formula)
            case FirstKnown(parts):
                found = [self.number(each) for each in parts]
                return lambda row: next((value for each in found if (value := each(row)) is not None), None)

    def _mean(self, formula: Mean, *, rounds: bool) -> Callable[[Row], Number]:
        digits = self._setting.digits(formula.column)

        def mean(row: Row) -> Number:
            total, count = row[formula.total], row[formula.count]
            if total is None or count is None or count == b"0":
                return None
            value = average(total, count, digits)
            return rounded(value, digits) if rounds else value

        return mean

    def _arithmetic(self, formula: Arithmetic) -> Callable[[Row], Number]:
        left, right = self.number(formula.left), self.number(formula.right)
        do = {"+": EXACT.add, "-": EXACT.subtract, "*": EXACT.multiply}[formula.operator]

        def compute(row: Row) -> Number:
            one, other = left(row), right(row)
            if one is None or other is None:
                return None
            value = do(one, other)
            if _digits(value) > _MOST_DIGITS:
                raise Inexact
            return value

        return compute

    def _quotient(self, formula: Quotient) -> Callable[[Row], Number]:
        left, right = self.number(formula.left), self.number(formula.right)

        def compute(row: Row) -> Number:
            one, other = left(row), right(row)
            step = int(row[formula.step] or b"4")
            if one is None or other is None or not other:
                return None
            value = divided(one, other, step)
            return rounded(value, min(_digits(one) + step, _MOST_DIGITS)) if self._rounds else value

        return compute

    def _rounded(self, formula: Rounded) -> Callable[[Row], Number]:
        # Both kinds of server round an AVG with all its digits, but not a quotient.
        of = formula.of
        inner = self._mean(of, rounds=False) if isinstance(of, Mean) else self.number(of)
        constant = Decimal(0) if formula.digits is None else self._setting.constants[formula.digits.number]
        digits = -1 if constant is None else int(constant)
        if not 0 <= digits <= _MOST_DIGITS:
            raise Inexact

        def compute(row: Row) -> Number:
            value = inner(row)
            return value if value is None or _digits(value) <= digits else rounded(value, digits)

        return compute

    # -- conditions --------------------------------------------------------------------------------------------

    def truth(self, condition: Condition) -> Callable[[Row], Truth]:
        match condition:
            case Comparison():
                return self._comparison(condition)
            case IsNull(of):
                inner = self.number(of)
                return lambda row: inner(row) is None
            case Not(of):
                held = self.truth(of)
                return lambda row: None if (found := held(row)) is None else not found
            case Junction(either, parts):
                return _junction(either, [self.truth(each) for each in parts])

    def _comparison(self, condition: Comparison) -> Callable[[Row], Truth]:
        left, right = self.number(condition.left), self.number(condition.right)
        operator = condition.operator

        def compare(row: Row) -> Truth:
            one, other = left(row), right(row)
            if operator == "<=>":
                return one == other
            if one is None or other is None:
                return None
            return _COMPARED[operator](one, other)

        return compare


_COMPARED: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "=": lambda one, other: one == other,
    "<>": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def _junction(either: bool, parts: list[Callable[[Row], Truth]]) -> Callable[[Row], Truth]:
    """AND and OR with NULL: what decides is a part that is FALSE (TRUE for OR); else NULL if there is one."""

    def compute(row: Row) -> Truth:
        found = [part(row) for part in parts]
        if either in found:
            return either
        return None if None in found else not either

    return compute


def average(total: bytes, count: bytes, digits: int) -> Decimal:
    """SUM / COUNT as AVG computes it: with more digits than the ``digits`` that it is shown with."""
    one = Decimal(total.decode())
    return divided(one, Decimal(count.decode()), max(0, digits - _digits(one)))
