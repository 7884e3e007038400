"""Which of several servers answers a read.

``least_busy``: the one with the fewest statements in progress for its weight; equals take turns. A weight of 0 takes
no reads while any other server can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.cluster.topology import Server


class LeastBusy:
    """Chooses among candidates; keeps only a turn counter."""

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, candidates: Sequence[Server]) -> Server | None:
        """The server to use, None when there is none."""
        count = len(candidates)
        if count <= 1:
            return candidates[0] if count else None
        self._turn += 1
        best: Server | None = None
        best_load = 0.0
        for offset in range(count):
            server = candidates[(self._turn + offset) % count]
            if server.weight == 0:
                continue
            load = server.pool.in_use / server.weight
            if best is None or load < best_load:
                best, best_load = server, load
        return best if best is not None else candidates[self._turn % count]
