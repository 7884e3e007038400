"""Sums of several shards: of exact numbers exactly; of doubles as near as the order in which they are added lets."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from decimal import Context, Decimal
from math import isfinite, sqrt

from router.planner.formulas import EXACT, Inexact
from router.planner.merging import Aggregate, Cell
from router.wire.constants import ColumnType
from router.wire.packets import ColumnDefinition

Row = MutableSequence[Cell]

# Digits behind the point that are not fixed: 31 to MySQL, 39 in some places to MariaDB.
_NOT_FIXED = 31
# Further digits than these are written with an exponent.
_PLAIN_DIGITS = 15
_ROOTS = Context(prec=60)
# A sum of decimals with more digits than these may have been cut.
_CERTAIN_DIGITS = 60


def added(one: Cell, other: Cell) -> Cell:
    """The sum of two exact numbers; NULL adds nothing."""
    if one is None or other is None:
        return one if other is None else other
    if b"." not in one and b"." not in other:
        return b"%d" % (int(one) + int(other))
    return f"{EXACT.add(Decimal(one.decode()), Decimal(other.decode())):f}".encode()


def added_doubles(one: Cell, other: Cell) -> Cell:
    """The sum of two doubles; NULL adds nothing. To be shown it has to be ``printed``."""
    if one is None or other is None:
        return one if other is None else other
    return repr(float(one) + float(other)).encode()


def adding(column: ColumnDefinition) -> Callable[[Cell, Cell], Cell]:
    """How values of a column are added."""
    return added_doubles if column.type == ColumnType.DOUBLE else added


def printed(value: float, decimals: int) -> bytes:
    """A double as servers print it. Raises Inexact for what is none."""
    if not isfinite(value):
        raise Inexact
    if decimals < _NOT_FIXED:
        return f"{value:.{decimals}f}".encode()
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    point = len(digits) + exponent
    if abs(point) <= _PLAIN_DIGITS or not value:
        return f"{Decimal(repr(value)).normalize() + 0:f}".encode()
    first, *rest = (str(digit) for digit in digits)
    return f"{'-' * sign}{first}{'.' * bool(rest)}{''.join(rest)}e{point - 1}".encode()


def mean_of_doubles(aggregate: Aggregate, columns: list[ColumnDefinition]) -> Callable[[Row], None]:
    """The function that puts an AVG of doubles into its column."""
    decimals = columns[aggregate.column].decimals

    def finish(row: Row) -> None:
        total, count = row[aggregate.total], row[aggregate.count]
        known = total is not None and count not in (None, b"0")
        row[aggregate.column] = printed(float(total or 0) / int(count or 1), decimals) if known else None

    return finish


class Spread:
    """A variance or a standard deviation, of a number, a sum, and a sum of squares or the shards' own variances.

    Of exact numbers it is rounded once. Doubles come with a variance from each shard, which are put together without
    subtracting anything large: the difference to a single server's is that of another order of its rows.
    """

    def __init__(self, aggregate: Aggregate, columns: list[ColumnDefinition]) -> None:
        self._it = aggregate
        self._decimals = columns[aggregate.column].decimals
        total, squares = columns[aggregate.total], columns[aggregate.squares]
        self._exact = total.type == ColumnType.NEWDECIMAL and squares.decimals == 2 * max(total.decimals, 1)
        if not self._exact and total.type not in (ColumnType.DOUBLE, ColumnType.NEWDECIMAL):
            raise Inexact

    def fold(self, current: Row, row: Row) -> None:
        """Add what a shard sends."""
        it = self._it
        if self._exact:
            current[it.squares] = added(current[it.squares], row[it.squares])
        else:
            current[it.spread] = self._joined(current, row)
        current[it.total] = (added if self._exact else added_doubles)(current[it.total], row[it.total])
        current[it.count] = added(current[it.count], row[it.count])

    def _joined(self, one: Row, other: Row) -> Cell:
        it = self._it
        counts = [int(row[it.count] or b"0") for row in (one, other)]
        if 0 in counts:
            return one[it.spread] if counts[0] else other[it.spread]
        means = [float(row[it.total] or b"0") / count for row, count in zip((one, other), counts, strict=True)]
        inner = sum(float(row[it.spread] or b"0") * count for row, count in zip((one, other), counts, strict=True))
        whole = sum(counts)
        return repr((inner + (means[1] - means[0]) ** 2 * counts[0] * counts[1] / whole) / whole).encode()

    def finish(self, row: Row) -> None:
        """Put the value into its column. Raises Inexact."""
        it = self._it
        count = int(row[it.count] or b"0")
        divisor = count - it.sample
        if divisor <= 0:
            row[it.column] = None
            return
        value = self._of_exact(row, count, divisor) if self._exact else self._of_doubles(row, count, divisor)
        row[it.column] = printed(value, self._decimals)

    def _of_exact(self, row: Row, count: int, divisor: int) -> float:
        total, squares = (Decimal((row[each] or b"0").decode()) for each in (self._it.total, self._it.squares))
        if len(squares.as_tuple().digits) > _CERTAIN_DIGITS:
            raise Inexact
        apart = EXACT.subtract(EXACT.multiply(squares, count), EXACT.multiply(total, total))
        value = EXACT.divide(apart, Decimal(count * divisor))
        return float(_ROOTS.sqrt(value) if self._it.root else value)

    def _of_doubles(self, row: Row, count: int, divisor: int) -> float:
        value = float(row[self._it.spread] or b"0")
        value = value * count / divisor if self._it.sample else value
        return sqrt(value) if self._it.root else value
