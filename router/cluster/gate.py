"""Whether new statements may begin in a group of servers.

A group is *paused* by shutting its gate: what is under way goes on to its end, whoever comes waits, and is let in, in
order, when the gate is opened.
"""

from __future__ import annotations

from collections.abc import Callable


class Gate:
    """One group's. ``shut`` is changed by ``close`` and ``open`` only."""

    __slots__ = ("_waiting", "shut")

    def __init__(self) -> None:
        self.shut = False
        self._waiting: dict[Callable[[], None], None] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def wait(self, go: Callable[[], None]) -> None:
        """Call ``go`` when the gate opens; once, however often it is said."""
        self._waiting.setdefault(go)

    def forget(self, go: Callable[[], None]) -> None:
        """Do not call ``go``."""
        self._waiting.pop(go, None)

    def close(self) -> None:
        """Nobody may begin."""
        self.shut = True

    def open(self) -> None:
        """Let all in who wait, in the order in which they came; they may wait again."""
        self.shut = False
        for go in list(self._waiting):
            if go in self._waiting:
                del self._waiting[go]
                go()
