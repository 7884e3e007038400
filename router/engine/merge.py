"""Rows of several shards become one result: merged, folded, sorted, counted. No sockets: rows in, rows out.

``Merge`` holds as few rows as the order allows: it gives a row out as soon as no shard can send one that comes before
it. Only groups are kept until all are complete (``engine/groups``).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Any

from router.engine.groups import Groups, Row, typed, unsorted
from router.planner.formulas import Number
from router.planner.merging import MergeSpec, sort_key
from router.wire.packets import ColumnDefinition

__all__ = ["Merge", "Row"]


class Merge:
    """Merges the rows of ``legs`` shards. ``columns`` are those of the shards' rows, the hidden ones included.

    Feed rows with ``add``, say ``end`` when a shard has no more, and take what is ready from ``take``.
    """

    def __init__(
        self,
        spec: MergeSpec,
        columns: list[ColumnDefinition],
        legs: int,
        limit: int | None,
        offset: int,
        constants: tuple[Number, ...] = (),
    ) -> None:
        """Raises Unsupported where a column's type cannot be merged exactly."""
        self._spec = spec
        keys = spec.order if spec.groups is None else (*spec.groups, *spec.pairs)
        self._keys = tuple(typed(key, columns) for key in keys)
        self._ordered = bool(self._keys)
        self._key = sort_key(self._keys)
        self._waiting: list[deque[Row]] = [deque() for _ in range(legs)]
        self._open = [True] * legs
        self._heap: list[tuple[Any, int, Row]] = []
        self._missing = set(range(legs))
        self._left = limit
        self._skip = offset
        self._last: Any = None
        self._groups = None if spec.groups is None else Groups(spec, columns, constants)
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
                if self._last is not None and key < self._last:
                    raise unsorted()
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
