"""What each shard is asked, and how their rows become one result: the specification, and how values are compared.

Values are those of the text protocol: bytes, None for NULL. Text is never compared here but through the weights that
the servers give for it (``WEIGHT_STRING``); numbers are compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from router.planner.clauses import Instead, Template, parameters, render
from router.planner.formulas import Condition, Formula
from router.planner.routes import Reference, Route, Values
from router.sql.lexer import LexMode, TokenKind, tokens_of

Cell = bytes | None

# Characters of a text expression that count for its order; longer ones are refused when a server reports their length.
LONGEST_TEXT = 128


class Compare(StrEnum):
    """What values of a column are, for comparing them."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BYTES = "bytes"  # weights; binary strings; dates, which are written so that their bytes compare
    TIME = "time"
    BY_TYPE = "by_type"  # one of these, as the result's own column says


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A column of the shards' rows (perhaps one that clients do not see) by which rows are ordered.

    ``weights`` is the column to compare by should a column BY_TYPE turn out to be text; None if it cannot be.
    """

    column: int
    compare: Compare
    descending: bool = False
    weights: int | None = None


class Fold(StrEnum):
    """How partial aggregates become one."""

    SUM = "sum"  # COUNT too; empty groups add nothing
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    BIT_AND = "bit_and"
    BIT_OR = "bit_or"
    BIT_XOR = "bit_xor"
    CONCAT = "concat"
    VARIANCE = "variance"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A ``column`` made of the shards' partial ones. ``by`` is for MIN and MAX: the column they compare by, and how;
    ``total`` and ``count`` are the columns an AVG is computed from, ``separator`` and ``longest`` those with what a
    GROUP_CONCAT puts between values (None: a comma) and how many bytes it may have. ``distinct``: each pair of group
    and value counts once; if there are several of them, ``among`` are the ``pairs`` that are its value. ``empty`` is
    the value for no rows at all. A VARIANCE needs ``squares``, the sum of them, and ``spread``, the variance of each
    shard; it may be that of a ``sample``, and its square ``root``."""

    column: int
    fold: Fold
    by: OrderKey | None = None
    total: int = 0
    count: int = 0
    separator: int | None = None
    longest: int = 0
    distinct: bool = False
    among: tuple[int, ...] = ()
    empty: Cell = None
    squares: int = 0
    spread: int = 0
    sample: bool = False
    root: bool = False


@dataclass(frozen=True, slots=True)
class Computed:
    """A ``column`` that is computed from aggregates when they are complete."""

    column: int
    formula: Formula


@dataclass(frozen=True, slots=True)
class MergeSpec:
    """The last ``hidden`` columns of each row are not the client's; columns are counted from the end as -1, -2 ….

    Shards send their rows in the order of ``order``; they are merged in it (without one, as they come). ``distinct``:
    rows equal in all keys of ``order`` are one. ``groups``: rows equal in these keys, by which the shards' rows are
    ordered, are one group, folded by ``aggregates``; an empty tuple is one group of all rows, None no grouping. Within
    a group rows are ordered by ``pairs``, the value of aggregates that are DISTINCT. ``computed`` and ``having`` are
    for groups that are complete; ``constants`` are the values they use. Groups are then put into ``final`` order.
    ``limit`` and ``offset`` count what comes out.
    """

    hidden: int = 0
    order: tuple[OrderKey, ...] = ()
    distinct: bool = False
    groups: tuple[OrderKey, ...] | None = None
    pairs: tuple[OrderKey, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    computed: tuple[Computed, ...] = ()
    having: Condition | None = None
    constants: tuple[Reference, ...] = ()
    final: tuple[OrderKey, ...] = ()
    limit: Reference | None = None
    offset: Reference | None = None


@dataclass(frozen=True, slots=True)
class Scatter:
    """The statement for every shard, without LIMIT, and how to merge.

    ``pushes_limit``: each shard need send no more rows than LIMIT and OFFSET together. LIMIT 0 is always said to
    them: servers then compute nothing, and some describe the columns otherwise.
    """

    routes: tuple[Route, ...]
    asks: Template
    merge: MergeSpec
    pushes_limit: bool

    def text(self, sql: bytes, mode: LexMode, limit: int | None, given: Sequence[Instead] = ()) -> bytes:
        """The statement for a shard; ``limit`` is the number of rows that can matter, None without a bound.

        ``given`` texts stand for some of its tokens.
        """
        text = render(self.asks, sql, tokens_of(sql, mode), given)
        if limit is not None and limit <= _MOST_ROWS and (self.pushes_limit or limit == 0):
            text += b" LIMIT %d" % limit
        return text

    def parameters(self, sql: bytes, mode: LexMode, given: Sequence[Instead] = ()) -> tuple[int, ...] | None:
        """The parameters that stand in ``text``; None: there are none."""
        tokens = tokens_of(sql, mode)
        if all(token.kind is not TokenKind.PARAM for token in tokens):
            return None
        return tuple(parameters(self.asks, tokens, given))

    def shards(self, values: Values) -> list[int]:
        """The numbers of the shards to ask."""
        return sorted(frozenset[int]().union(*(route.shards(values) for route in self.routes)))


# As many rows LIMIT can be asked for.
_MOST_ROWS = 2**64 - 1


class _Backwards:
    """A key that sorts the other way round."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __lt__(self, other: _Backwards) -> bool:
        return bool(other.key < self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and bool(self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)


# NULL comes before everything else.
_NULL: tuple[int] = (0,)
_SECOND = 1_000_000


def _microseconds(cell: bytes) -> int:
    """A TIME, which has up to three digits of hours and perhaps a sign."""
    hours, minutes, seconds = cell.lstrip(b"-").split(b":")
    whole, _, fraction = seconds.partition(b".")
    found = (int(hours) * 3600 + int(minutes) * 60 + int(whole)) * _SECOND + int(fraction.ljust(6, b"0"))
    return -found if cell.startswith(b"-") else found


_READ: dict[Compare, Callable[[bytes], Any]] = {
    Compare.INTEGER: int,
    Compare.DECIMAL: lambda cell: Decimal(cell.decode()),
    Compare.FLOAT: float,
    Compare.BYTES: bytes,
    Compare.TIME: _microseconds,
}


def comparable(cell: Cell, compare: Compare) -> tuple[Any, ...]:
    """A value in a form that Python compares as the server does."""
    return _NULL if cell is None else (1, _READ[compare](cell))


def sort_key(keys: tuple[OrderKey, ...]) -> Callable[[list[Cell]], tuple[Any, ...]]:
    """The function from a row's cells to what it is ordered by."""
    if len(keys) == 1 and not keys[0].descending:
        column, compare = keys[0].column, keys[0].compare
        return lambda row: comparable(row[column], compare)

    def key(row: list[Cell]) -> tuple[Any, ...]:
        return tuple(
            _Backwards(comparable(row[each.column], each.compare))
            if each.descending
            else comparable(row[each.column], each.compare)
            for each in keys
        )

    return key
