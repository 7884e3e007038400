"""The newest lines of the logs of several processes as those of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from router.log import KEPT, LogLine


class Journal:
    """Each process counts its lines from 1 on; here they are counted as they come."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=KEPT)
        self._numbers = count(1)
        self._seen: dict[object, int] = {}

    def seen(self, process: object) -> int:
        """The number of the newest line that is known of a process; 0: none is."""
        return self._seen.get(process, 0)

    def add(self, told: Iterable[tuple[object, str, Iterable[LogLine]]]) -> None:
        """Lines that have come: (process, what its lines are marked with, lines); known ones are left out."""
        fresh: list[LogLine] = []
        for process, mark, lines in told:
            new = [each for each in lines if each.number > self.seen(process)]
            if new:
                self._seen[process] = new[-1].number
            fresh += [replace(each, fields={**each.fields, "worker": mark}) if mark else each for each in new]
        fresh.sort(key=lambda each: each.ts)
        self._lines += [replace(each, number=next(self._numbers)) for each in fresh]

    def forget(self, process: object) -> None:
        """It has ended; its lines stay."""
        self._seen.pop(process, None)

    def lines(self) -> list[LogLine]:
        """The oldest first."""
        return list(self._lines)
