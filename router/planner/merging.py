"""What each shard is asked, and how their rows become one result: the specification, and how values are compared.

Values are those of the text protocol: bytes, None for NULL. Text is never compared here but through the weights that
the servers give for it (``WEIGHT_STRING``); numbers are compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from router.planner.routes import Reference, Route
from router.sql.lexer import LexMode, TokenKind, tokens_of

Cell = bytes | None


class Compare(StrEnum):
    """What values of a column are, for comparing them."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BYTES = "bytes"  # weights; binary strings; dates, which are written so that their bytes compare
    BY_TYPE = "by_type"  # one of these, as the result's own column says


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A column of the shards' rows (perhaps one that clients do not see) by which rows are ordered."""

    column: int
    compare: Compare
    descending: bool = False


class Fold(StrEnum):
    """How partial aggregates become one."""

    SUM = "sum"  # COUNT too; empty groups add nothing
    MIN = "min"
    MAX = "max"
    AVG = "avg"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A visible ``column`` made of the shards' partial ones. ``compare`` and ``by`` (the column with the weights, or
    the column itself) are for MIN and MAX; ``total`` and ``count`` are the columns an AVG is computed from."""

    column: int
    fold: Fold
    compare: Compare = Compare.DECIMAL
    by: int = 0
    total: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class MergeSpec:
    """The last ``hidden`` columns of each row are not the client's; columns are counted from the end as -1, -2 ….

    Shards send their rows in the order of ``order``; they are merged in it (without one, as they come). ``distinct``:
    rows equal in all keys of ``order`` are one. ``groups``: rows equal in these keys, by which the shards' rows are
    ordered, are one group, folded by ``aggregates``; an empty tuple is one group of all rows, None no grouping. Groups
    are then put into ``final`` order. ``limit`` and ``offset`` count what comes out.
    """

    hidden: int = 0
    order: tuple[OrderKey, ...] = ()
    distinct: bool = False
    groups: tuple[OrderKey, ...] | None = None
    aggregates: tuple[Aggregate, ...] = ()
    final: tuple[OrderKey, ...] = ()
    limit: Reference | None = None
    offset: Reference | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Offsets into a SELECT's text: the end of its select list, of what stands before ORDER BY, and before LIMIT."""

    items: int
    body: int
    order: int


@dataclass(frozen=True, slots=True)
class Scatter:
    """The statement for every shard: ``extras`` go to the end of the select list, ``order`` stands for its ORDER BY
    (None: it stays), LIMIT is counted anew; and how to merge.

    ``pushes_limit``: each shard need send no more rows than LIMIT and OFFSET together.
    """

    route: Route
    extras: str
    order: str | None
    merge: MergeSpec
    pushes_limit: bool

    def text(self, sql: bytes, mode: LexMode, limit: int | None) -> bytes:
        """The statement for a shard; ``limit`` is the number of rows that can matter, None without a bound.

        Clauses are looked for in this very text: others of the same plan have other literals in them.
        """
        places = places_of(sql, mode)
        order = sql[places.body : places.order] if self.order is None else self.order.encode()
        pieces = [sql[: places.items], self.extras.encode(), b" ", sql[places.items : places.body], b" ", order]
        if limit is not None and limit <= _MOST_ROWS and self.pushes_limit:
            pieces.append(b" LIMIT %d" % limit)
        return b"".join(pieces)


# As many rows LIMIT can be asked for.
_MOST_ROWS = 2**64 - 1


def places_of(sql: bytes, mode: LexMode) -> Places:
    """Where columns and clauses may be put in a SELECT. Raises LookupError for one without FROM."""
    tokens = tokens_of(sql, mode)
    depth = 0
    found: dict[str, int] = {}
    for index, (kind, start, _, word) in enumerate(tokens):
        if kind is TokenKind.PUNCT:
            depth += (word == "(") - (word == ")")
        elif depth or kind is not TokenKind.WORD or (index and tokens[index - 1].text == "."):
            continue
        elif (
            word == "SELECT"
            or ("SELECT" in found and word in ("FROM", "LIMIT"))
            or (word == "ORDER" and index + 1 < len(tokens) and tokens[index + 1].text == "BY")
        ):
            found.setdefault(word, start)
    order_end = found.get("LIMIT", tokens[-1].end if tokens else 0)
    return Places(found["FROM"], found.get("ORDER", order_end), order_end)


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
_READ: dict[Compare, Callable[[bytes], Any]] = {
    Compare.INTEGER: int,
    Compare.DECIMAL: lambda cell: Decimal(cell.decode()),
    Compare.FLOAT: float,
    Compare.BYTES: bytes,
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
