"""Who may use several server connections at once.

A statement on several shards holds the connections it has while it waits for the others. If two of them could each hold
some of a pool, neither would ever end: so each is admitted only when all it needs fits in, in the order of arrival. And
none is half begun: it waits until no group that it needs is paused, and does not keep those waiting that need others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from router.cluster.gate import Gate

Needs = Counter[str]
Entry = tuple[Needs, Callable[[], None]]


class Admission:
    """``capacity``: group → connections there may be to each of its servers; ``gates``: group → whether it is open."""

    def __init__(self, capacity: Mapping[str, int], gates: Mapping[str, Gate] | None = None) -> None:
        self._capacity = capacity
        self._gates = gates or {}
        self._used: Counter[str] = Counter()
        self._queue: list[Entry] = []

    def adopt(self, capacity: Mapping[str, int], gates: Mapping[str, Gate]) -> None:
        """The configuration has changed; what a group that has gone could have is still known."""
        self._capacity = {**self._capacity, **capacity}
        self._gates = {**self._gates, **gates}
        self._admit()

    @property
    def waiting(self) -> int:
        """Statements that are not admitted yet."""
        return len(self._queue)

    def fits(self, needs: Needs) -> bool:
        """Whether it could ever be admitted."""
        return all(count <= self._capacity[group] for group, count in needs.items())

    def enter(self, needs: Needs, admitted: Callable[[], None]) -> None:
        """Call ``admitted`` when there is room, perhaps at once; ``leave`` afterwards, or ``withdraw`` before.

        A group that is needed zero times (the connection is not counted) must only be open.
        """
        entry = (needs, admitted)
        if self._may_enter(entry, self._queue):
            self._used += needs
            admitted()
            return
        self._queue.append(entry)
        self._wait_for_gates(needs)

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
        if self._queue:
            self._admit()

    def _admit(self) -> None:
        """Let in all who may, in order."""
        while (entry := self._first()) is not None:
            self._queue.remove(entry)
            self._used += entry[0]
            entry[1]()

    def _first(self) -> Entry | None:
        for place, entry in enumerate(self._queue):
            if self._may_enter(entry, self._queue[:place]):
                return entry
        return None

    def _may_enter(self, entry: Entry, before: list[Entry]) -> bool:
        needs = entry[0]
        if self._shut(needs):
            return False
        if not any(needs.values()):
            return True
        if any(any(other.values()) and not self._shut(other) for other, _ in before):
            return False  # nobody overtakes who waits for room
        return all(self._used[group] + count <= self._capacity[group] for group, count in needs.items())

    def _shut(self, needs: Needs) -> bool:
        return any(gate.shut for group in needs if (gate := self._gates.get(group)) is not None)

    def _wait_for_gates(self, needs: Needs) -> None:
        for group in needs:
            if (gate := self._gates.get(group)) is not None and gate.shut:
                gate.wait(self._gate_opened)

    def _gate_opened(self) -> None:
        for needs, _ in self._queue:
            self._wait_for_gates(needs)
        self._admit()
