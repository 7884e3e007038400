"""Who may use several server connections at once.

A statement on several shards holds the connections it has while it waits for the others. If two of them could each hold
some of a pool, neither would ever end: so each is admitted only when all it needs fits in, in the order of arrival.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping

Needs = Counter[str]


class Admission:
    """``capacity``: group → connections there may be to each of its servers."""

    def __init__(self, capacity: Mapping[str, int]) -> None:
        self._capacity = capacity
        self._used: Counter[str] = Counter()
        self._queue: deque[tuple[Needs, Callable[[], None]]] = deque()

    def fits(self, needs: Needs) -> bool:
        """Whether it could ever be admitted."""
        return all(count <= self._capacity[group] for group, count in needs.items())

    def enter(self, needs: Needs, admitted: Callable[[], None]) -> None:
        """Call ``admitted`` when there is room, perhaps at once; ``leave`` afterwards, or ``withdraw`` before."""
        if not self._queue and self._has_room(needs):
            self._used += needs
            admitted()
        else:
            self._queue.append((needs, admitted))

    def withdraw(self, admitted: Callable[[], None]) -> bool:
        """Stop waiting; False when it was admitted already."""
        for entry in self._queue:
            if entry[1] == admitted:
                self._queue.remove(entry)
                return True
        return False

    def leave(self, needs: Needs) -> None:
        """The connections are not needed any more: whoever is first in the queue may get in."""
        self._used -= needs
        while self._queue and self._has_room(self._queue[0][0]):
            following, admitted = self._queue.popleft()
            self._used += following
            admitted()

    def _has_room(self, needs: Needs) -> bool:
        return all(self._used[group] + count <= self._capacity[group] for group, count in needs.items())
