"""Plans that depend on literals: on which of them say the same, and on the positions in ORDER BY and GROUP BY.

``ORDER BY 2`` and ``ORDER BY 3`` are statements of one shape, and one plan is for both; so are ``GROUP BY n % 10``
of what is selected as ``n % 10``, and of what is selected as ``n % 7``. What follows is found when the values are
known, once for each combination.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from router.planner.merging import Scatter
from router.planner.routes import Unplannable

# More combinations than this are not remembered.
_MOST_MADE = 64


@dataclass(frozen=True, slots=True)
class Literals:
    """What a plan knows of literals: equal ones have one label; ``positions`` are the numbers that are columns'."""

    labels: Mapping[int, int]
    positions: Mapping[int, int]


NONE = Literals({}, {})


@dataclass(slots=True, eq=False)
class Variants:
    """The plans of a shape, for the labels of the literals ``slots`` and the values of those in ``positional``.

    ``build`` raises Unplannable.
    """

    slots: tuple[int, ...]
    positional: tuple[int, ...]
    build: Callable[[Literals], Scatter]
    _made: dict[tuple[tuple[int, ...], tuple[int, ...]], Scatter | Unplannable] = field(default_factory=dict)

    def of(self, raw: Sequence[bytes]) -> Scatter | Unplannable:
        """The plan for a statement with these literals."""
        try:
            found = [raw[slot] for slot in self.slots]
            positions = tuple(int(raw[slot]) if raw[slot].isdigit() else -1 for slot in self.positional)
        except IndexError:
            return Unplannable("literals that cannot be told apart")
        labels = tuple(found.index(each) for each in found)
        if any(not 0 < each < 5000 for each in positions):
            return Unplannable("ORDER BY or GROUP BY a constant")
        key = (labels, positions)
        if key not in self._made:
            if len(self._made) >= _MOST_MADE:
                self._made.clear()
            self._made[key] = self._built(labels, positions)
        return self._made[key]

    def _built(self, labels: tuple[int, ...], positions: tuple[int, ...]) -> Scatter | Unplannable:
        known = Literals(dict(zip(self.slots, labels, strict=True)), dict(zip(self.positional, positions, strict=True)))
        try:
            return self.build(known)
        except Unplannable as error:
            return error
