"""What is counted of the statements of one kind. It hangs on their plans; ``digests`` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from math import inf


@dataclass(frozen=True, slots=True)
class Kind:
    """``route``: the group and role, or `shards`; ``id`` names the digest, whoever sends it."""

    text: str
    user: str
    schema: str
    route: str

    @property
    def id(self) -> str:
        """16 hexadecimal digits."""
        return blake2b(self.text.encode(), digest_size=8).hexdigest()


class Observed:
    """What is counted of a ``kind``.

    ``seconds``, ``least`` and ``most`` are those of the whole statement; ``buckets`` count them by time, as the caller
    divides it; ``first`` and ``last`` are the caller's times, 0.0 for never. ``example``: one of them as it was sent.
    What takes longer than ``slow`` is to be told of.
    """

    __slots__ = (
        "buckets",
        "errors",
        "example",
        "first",
        "kind",
        "last",
        "least",
        "most",
        "rows",
        "seconds",
        "slow",
    )

    def __init__(self, kind: Kind, buckets: int, slow: float = inf) -> None:
        self.kind = kind
        self.errors = 0
        self.rows = 0
        self.seconds = 0.0
        self.least = inf
        self.most = 0.0
        self.first = 0.0
        self.last = 0.0
        self.buckets = [0] * buckets
        self.example = ""
        self.slow = slow

    def add(self, bucket: int, seconds: float, now: float, rows: int, *, failed: bool) -> None:
        """A statement of the kind has ended ``now``."""
        self.rows += rows
        self.seconds += seconds
        self.last = now
        self.buckets[bucket] += 1
        if failed:
            self.errors += 1
        if seconds > self.most:
            self.most = seconds
        if seconds < self.least:
            self.least = seconds
            if self.first == 0.0:  # as it is only the first time, when all is less than ``least``
                self.first = now

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)
