"""What clients know of their writes, what the primary knows, and whether the two agree."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

# What servers say to one of two transactions that wait for each other: nobody's fault.
_DEADLOCK = "Deadlock found"


class Fate(Enum):
    """What a client was told about a write."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a book; ``at``: seconds since the beginning."""

    at: float
    entry: str
    fate: Fate
    how: str

    def __str__(self) -> str:
        return f"{self.at:8.3f} {self.entry:>9} {self.fate.value:12} {self.how}"


class Book:
    """One client's book. Of an entry that was tried several times the last line counts."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.notes: list[Note] = []

    def fates(self) -> dict[str, Fate]:
        """Every entry with what became of it."""
        return {note.entry: note.fate for note in self.notes}

    def around(self, entry: str, lines: int = 6) -> list[str]:
        """The lines next to those of an entry."""
        places = [place for place, note in enumerate(self.notes) if note.entry == entry]
        if not places:
            return []
        return [str(note) for note in self.notes[max(0, places[0] - lines) : places[-1] + lines]]


class Journal:
    """What happened to all clients: counts, the longest time in which nobody succeeded, and whatever was wrong."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.statements = 0
        self.errors: Counter[str] = Counter()
        self.wrong: list[tuple[str, float, str]] = []
        self.longest: dict[str, tuple[float, float]] = {}
        # Those that a fault must explain, and when the last of them was.
        self.failures = 0
        self.failed_at = 0.0
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def succeeded(self, kind: str) -> None:
        """A write or a read was answered."""
        with self._lock:
            self.statements += 1
            now = self.now()
            gap = now - self._last.get(kind, now)
            self._last[kind] = now
            if gap > self.longest.get(kind, (0.0, 0.0))[0]:
                self.longest[kind] = gap, now - gap

    def failed(self, kind: str, code: int, text: str) -> None:
        """A statement ended with an error."""
        with self._lock:
            self.statements += 1
            if _DEADLOCK not in text:
                self.failures += 1
                self.failed_at = self.now()
            self.errors[f"{kind} {code} {text[:70]}"] += 1

    def is_wrong(self, kind: str, what: str) -> None:
        """``stale``, ``desynchronised``, ``torn``, ``stuck`` or ``refused``: none of them may happen."""
        with self._lock:
            self.wrong.append((kind, self.now(), what))


@dataclass(slots=True)
class Verdict:
    """The books against the primary. Each list must be empty, ``settled`` says how unknown outcomes turned out."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    undead: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    balances: list[str] = field(default_factory=list)
    told: Counter[Fate] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)

    @property
    def fine(self) -> bool:
        """Whether the books agree."""
        return not (self.lost or self.doubled or self.undead or self.strangers or self.balances)

    def entries(self) -> list[str]:
        """Those that something is wrong with."""
        return [*self.lost, *self.doubled, *self.undead, *self.strangers]


# Entry, source, target, amount.
Line = tuple[str, int, int, int]


def compare(
    books: Iterable[Book], never: Iterable[str], ledger: Iterable[Line], amounts: Mapping[int, int], initial: int
) -> Verdict:
    """``never``: entries whose transactions were left open; ``ledger`` and ``amounts``: what the primary has now."""
    verdict = Verdict()
    fates = {entry: fate for book in books for entry, fate in book.fates().items()}
    fates |= dict.fromkeys(never, Fate.REFUSED)
    lines = list(ledger)
    present = Counter(line[0] for line in lines)
    verdict.told = Counter(fates.values())
    for entry, fate in fates.items():
        if fate is Fate.ACKNOWLEDGED and not present[entry]:
            verdict.lost.append(entry)
        elif fate is Fate.REFUSED and present[entry]:
            verdict.undead.append(entry)
        elif fate is Fate.UNKNOWN:
            verdict.settled["done" if present[entry] else "not done"] += 1
    verdict.doubled = [entry for entry, count in present.items() if count > 1]
    verdict.strangers = [entry for entry in present if entry not in fates]
    expected = dict.fromkeys(amounts, initial)
    for _, source, target, amount in lines:
        expected[source] -= amount
        expected[target] += amount
    verdict.balances = [
        f"account {number}: {amounts[number]}, but {expected[number]} by the ledger"
        for number in amounts
        if amounts[number] != expected[number]
    ]
    return verdict
