"""Rows of several shards become one result: merged, folded, sorted, counted. No sockets: rows in, rows out.

``Merge`` holds as few rows as the order allows: it gives a row out as soon as no shard can send one that comes before
it. Only groups that are to be sorted after they are complete are kept, up to ``MAX_GROUPS``.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from router.errors import Unsupported
from router.planner.merging import Aggregate, Cell, Compare, Fold, MergeSpec, OrderKey, comparable, sort_key
from router.wire.constants import ColumnType
from router.wire.packets import ColumnDefinition
from router.wire.rows import INTEGERS

Row = list[Cell]

MAX_GROUPS = 1_000_000
# Decimals have at most 65 digits in MySQL.
_EXACT = Context(prec=200, rounding=ROUND_HALF_UP)

_BY_TYPE: dict[int, Compare] = {
    **dict.fromkeys(INTEGERS, Compare.INTEGER),
    ColumnType.NEWDECIMAL: Compare.DECIMAL,
    ColumnType.DOUBLE: Compare.FLOAT,
    ColumnType.DATE: Compare.BYTES,
    ColumnType.DATETIME: Compare.BYTES,
}


class Merge:
    """Merges the rows of ``legs`` shards. ``columns`` are those of the shards' rows, the hidden ones included.

    Feed rows with ``add``, say ``end`` when a shard has no more, and take what is ready from ``take``.
    """

    def __init__(
        self, spec: MergeSpec, columns: list[ColumnDefinition], legs: int, limit: int | None, offset: int
    ) -> None:
        """Raises Unsupported where a column's type cannot be merged exactly."""
        self._spec = spec
        self._columns = columns
        keys = spec.groups if spec.groups is not None else spec.order
        self._keys = tuple(_typed(key, columns) for key in keys)
        self._ordered = bool(self._keys)
        self._key = sort_key(self._keys)
        self._waiting: list[deque[Row]] = [deque() for _ in range(legs)]
        self._open = [True] * legs
        self._heap: list[tuple[Any, int, Row]] = []
        self._missing = set(range(legs))
        self._left = limit
        self._skip = offset
        self._last: Any = None
        self._groups = None if spec.groups is None else _Groups(spec, columns)
        self.full = limit == 0

    def add(self, leg: int, row: Row) -> None:
        """A row of a shard, in the order in which the shard sends them."""
        if self._ordered and leg in self._missing:
            self._missing.discard(leg)
            heapq.heappush(self._heap, (self._key(row), leg, row))
        else:
            self._waiting[leg].append(row)

    def end(self, leg: int) -> None:
        """The shard has sent all its rows."""
        self._open[leg] = False
        self._missing.discard(leg)

    def held(self, leg: int) -> int:
        """Rows of a shard that wait for those of others."""
        return len(self._waiting[leg])

    @property
    def done(self) -> bool:
        """Whether no more rows will come out."""
        return self.full or not (any(self._open) or self._heap or any(self._waiting))

    def take(self) -> Iterator[Row]:
        """The rows that are ready, without the hidden columns."""
        hidden = self._spec.hidden
        for row in self._counted(self._folded(self._distinct(self._merged()))):
            yield row[:-hidden] if hidden else row

    # -- stages ------------------------------------------------------------------------------------------------

    def _merged(self) -> Iterator[Row]:
        if not self._ordered:
            for rows in self._waiting:
                while rows:
                    yield rows.popleft()
            return
        heap, waiting = self._heap, self._waiting
        while heap and not self._missing:
            _, leg, row = heap[0]
            rows = waiting[leg]
            if rows:
                after = rows.popleft()
                heapq.heapreplace(heap, (self._key(after), leg, after))
            else:
                heapq.heappop(heap)
                if self._open[leg]:
                    self._missing.add(leg)
            yield row

    def _distinct(self, rows: Iterator[Row]) -> Iterator[Row]:
        if not self._spec.distinct:
            yield from rows
            return
        for row in rows:
            key = self._key(row)
            if key != self._last:
                self._last = key
                yield row

    def _folded(self, rows: Iterator[Row]) -> Iterator[Row]:
        groups = self._groups
        if groups is None:
            yield from rows
            return
        for row in rows:
            groups.add(self._key(row) if self._keys else (), row)
        if not (any(self._open) or self._heap or any(self._waiting)):
            yield from groups.finish()

    def _counted(self, rows: Iterator[Row]) -> Iterator[Row]:
        if self.full:
            return
        for row in rows:
            if self._skip:
                self._skip -= 1
                continue
            if self._left is not None:
                self._left -= 1
                self.full = self._left <= 0
            yield row
            if self.full:
                return


class _Groups:
    """Groups that come one after the other, each folded into its first row."""

    def __init__(self, spec: MergeSpec, columns: list[ColumnDefinition]) -> None:
        self._spec = spec
        self._folds = [(each, _folding(each, columns)) for each in spec.aggregates]
        self._digits = {each.column: columns[each.column].decimals for each in spec.aggregates}
        self._final = sort_key(tuple(_typed(key, columns) for key in spec.final))
        self._key: Any = None
        self._row: Row | None = None
        self._finished: list[Row] = []
        self._delivered = False

    def add(self, key: Any, row: Row) -> None:
        """A row of a shard: a partial group."""
        current = self._row
        if current is None or key != self._key:
            self._close()
            self._key, self._row = key, row
            return
        for aggregate, fold in self._folds:
            fold(aggregate, current, row)

    def _close(self) -> None:
        if self._row is not None:
            if len(self._finished) >= MAX_GROUPS:
                message = (
                    f"router: not supported on sharded tables: more than {MAX_GROUPS:,} groups over several shards"
                )
                raise Unsupported(1235, "42000", message)
            self._finished.append(self._row)

    def finish(self) -> Iterator[Row]:
        """All groups, in their final order; once."""
        if self._delivered:
            return
        self._delivered = True
        self._close()
        for row in self._finished:
            for aggregate, _ in self._folds:
                if aggregate.fold is Fold.AVG:
                    row[aggregate.column] = _average(
                        row[aggregate.total], row[aggregate.count], self._digits[aggregate.column]
                    )
        if self._spec.final:
            self._finished.sort(key=self._final)
        yield from self._finished


# -- folding -------------------------------------------------------------------------------------------------------

_Folding = Callable[[Aggregate, Row, Row], None]


def _folding(aggregate: Aggregate, columns: list[ColumnDefinition]) -> _Folding:
    """The function that folds a row into another; Unsupported where it would not be exact."""
    match aggregate.fold:
        case Fold.SUM:
            _check_exact(columns[aggregate.column])
            return _sum
        case Fold.AVG:
            _check_exact(columns[aggregate.total])
            return _partial_average
        case Fold.MIN | Fold.MAX:
            compare = _compare_of(aggregate.compare, columns[aggregate.by])
            least = aggregate.fold is Fold.MIN

            def extreme(each: Aggregate, current: Row, row: Row) -> None:
                mine, other = current[each.by], row[each.by]
                if other is None:
                    return
                if mine is None or (comparable(other, compare) < comparable(mine, compare)) is least:
                    if mine is not None and comparable(other, compare) == comparable(mine, compare):
                        return
                    current[each.column], current[each.by] = row[each.column], other

            return extreme


def _sum(aggregate: Aggregate, current: Row, row: Row) -> None:
    current[aggregate.column] = _added(current[aggregate.column], row[aggregate.column])


def _partial_average(aggregate: Aggregate, current: Row, row: Row) -> None:
    for column in (aggregate.total, aggregate.count):
        current[column] = _added(current[column], row[column])


def _added(one: Cell, other: Cell) -> Cell:
    if one is None or other is None:
        return one if other is None else other
    if b"." not in one and b"." not in other:
        return b"%d" % (int(one) + int(other))
    return f"{_EXACT.add(Decimal(one.decode()), Decimal(other.decode())):f}".encode()


def _average(total: Cell, count: Cell, digits: int) -> Cell:
    """SUM / COUNT with as many digits as the servers' own AVG has."""
    if total is None or count is None:
        return None
    quotient = _EXACT.divide(Decimal(total.decode()), Decimal(count.decode()))
    return f"{quotient.quantize(Decimal(1).scaleb(-digits), context=_EXACT):f}".encode()


# -- types ---------------------------------------------------------------------------------------------------------


def _typed(key: OrderKey, columns: list[ColumnDefinition]) -> OrderKey:
    return OrderKey(key.column, _compare_of(key.compare, columns[key.column]), key.descending)


def _compare_of(compare: Compare, column: ColumnDefinition) -> Compare:
    if compare is not Compare.BY_TYPE:
        return compare
    found = _BY_TYPE.get(column.type)
    if found is None:
        raise _inexact(column, "ordered or compared")
    return found


def _check_exact(column: ColumnDefinition) -> None:
    if column.type not in INTEGERS and column.type != ColumnType.NEWDECIMAL:
        raise _inexact(column, "summed")


def _inexact(column: ColumnDefinition, what: str) -> Unsupported:
    name = column.name.decode("utf-8", "replace")
    kind = ColumnType(column.type).name.lower()
    message = (
        f"router: not supported on sharded tables: '{name}' of type {kind} cannot be {what} exactly over several shards"
    )
    return Unsupported(1235, "42000", message)
