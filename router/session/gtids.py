"""Places in a server's stream of writes: what a session has written, and how far a server has come.

MySQL numbers the transactions of each source (``uuid:7``, with a tag ``uuid:tag:7``; a set of them has intervals,
``uuid:1-5:7``), MariaDB those of each replication domain (``domain-server-7``). Sources and domains are ``keys`` here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_SOURCE = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
# Key, first and last number, the last one as the server writes it.
_Entry = tuple[str, int, int, str]


def _entries(text: str) -> Iterator[_Entry]:
    """Raises ValueError for what is neither a GTID set nor a GTID list."""
    for part in text.replace("\n", "").split(","):
        part = part.strip()
        if not part:
            continue
        key, *rest = part.split(":")
        if not rest:
            domain, server, sequence = map(int, part.split("-"))
            yield str(domain), 1, sequence, f"{domain}-{server}-{sequence}"
            continue
        source = key = key.strip()
        if _SOURCE.fullmatch(source) is None:
            raise ValueError(f"no GTID: {part[:80]!r}")
        for each in rest:
            first, _, last = each.strip().partition("-")
            if first.isdecimal():
                number = int(last or first)
                yield key, int(first), number, f"{key}:{number}"
            elif _TAG.fullmatch(first) is not None:
                key = f"{source}:{first}"
            else:
                raise ValueError(f"no GTID: {part[:80]!r}")


@dataclass(frozen=True, slots=True)
class Token:
    """The last write of each key that somebody knows of: its number, and how the server calls it."""

    latest: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.latest)

    def after(self, text: str) -> Token:
        """With the writes of ``text``, as a server reports them. Raises ValueError."""
        latest = dict(self.latest)
        for key, _, number, name in _entries(text):
            if key not in latest or latest[key][0] < number:
                latest[key] = number, name
        return Token(latest)

    def joined(self, other: Token) -> Token:
        """With the writes of ``other``."""
        latest = self.latest
        newer = {key: value for key, value in other.latest.items() if key not in latest or latest[key][0] < value[0]}
        return Token({**latest, **newer}) if newer else self

    def without(self, keys: frozenset[str]) -> Token:
        """Only what is not of these keys."""
        return Token({key: value for key, value in self.latest.items() if key not in keys})

    def __str__(self) -> str:
        """As servers read it."""
        return ",".join(name for _, name in self.latest.values())


NOTHING = Token()


class Reached:
    """How far a server has come: what it said last, and what has been seen of it since.

    A server that applies the writes of one source in their order has all up to the last that was seen.
    """

    __slots__ = ("_intervals", "_seen")

    def __init__(self, text: str = "") -> None:
        """``text``: the server's own. Raises ValueError."""
        intervals: dict[str, list[tuple[int, int]]] = {}
        for key, first, last, _ in _entries(text):
            intervals.setdefault(key, []).append((first, last))
        self._intervals = {key: sorted(found) for key, found in intervals.items()}
        self._seen: dict[str, int] = {}

    def covers(self, token: Token) -> bool:
        """Whether all of it is there."""
        return all(self._has(key, number) for key, (number, _) in token.latest.items())

    def _has(self, key: str, number: int) -> bool:
        if self._seen.get(key, 0) >= number:
            return True
        intervals = self._intervals.get(key, ())
        place = bisect_right(intervals, number, key=lambda interval: interval[0]) - 1
        return place >= 0 and intervals[place][1] >= number

    def lacking(self, token: Token) -> frozenset[str]:
        """The keys of whose last write this server knows nothing."""
        return frozenset(key for key, (number, _) in token.latest.items() if not self._has(key, number))

    def seen(self, token: Token) -> None:
        """The server has shown that it has all of it."""
        for key, (number, _) in token.latest.items():
            if self._seen.get(key, 0) < number:
                self._seen[key] = number


class History:
    """All writes that a server has, each by the server that made it: MySQL's GTID set, MariaDB's binlog state."""

    __slots__ = ("_intervals",)

    def __init__(self, text: str = "") -> None:
        """``text``: the server's own. Raises ValueError."""
        self._intervals: dict[str, list[tuple[int, int]]] = {}
        for key, first, last, name in _entries(text):
            # 0-7-100: of domain 0, by server 7.
            made = name.rpartition("-")[0] if ":" not in name else key
            self._intervals.setdefault(made, []).append((first, last))

    def contains(self, other: History) -> bool:
        """Whether it has all writes of ``other``."""
        return all(
            any(first <= start and end <= last for first, last in self._intervals.get(key, ()))
            for key, intervals in other._intervals.items()
            for start, end in intervals
        )

    def of(self, server: str) -> History:
        """The writes made by this server: a UUID of MySQL, a server_id of MariaDB."""
        own = History()
        own._intervals = {
            key: intervals
            for key, intervals in self._intervals.items()
            if key.partition(":")[0] == server or key.partition("-")[2] == server
        }
        return own


def wait_for(token: Token, seconds: float, flavor: str) -> str:
    """A SELECT that is answered when the server has it, and fails (1690: out of range) when that takes longer."""
    names = str(token)
    if flavor == "mysql":
        waited = f"WAIT_FOR_EXECUTED_GTID_SET('{names}', {seconds:g})"
    else:
        waited = f"MASTER_GTID_WAIT('{names}', {seconds:g})"
    return f"SELECT EXP(IF({waited} = 0, 0, 1000))"
