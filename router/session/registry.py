"""The sessions of this process by connection id: for KILL, for limits, for operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar


class Registered(Protocol):
    """What the registry knows of a session."""

    @property
    def user(self) -> str:
        """Name of the router's user."""

    def kill(self, done: Callable[[], None], *, query_only: bool) -> None:
        """End the running statement, or the whole session, and then call ``done``."""

    def pin_reasons(self) -> list[str]:
        """Why it keeps a server connection beyond the transaction, if it does."""


S = TypeVar("S", bound=Registered)

_MOST = 0xFFFFFFFF
# Ids that a process may give out before the one which takes its place is thought to begin.
_LIFE = 1_000_000


@dataclass(frozen=True, slots=True)
class Numbering:
    """Which connection ids one process of several gives out: an id tells whose session it is."""

    number: int = 0
    processes: int = 1
    lives: int = 0

    @property
    def step(self) -> int:
        """From one id to the next."""
        return self.processes

    @property
    def residue(self) -> int:
        """The least id."""
        return self.number + 1

    @property
    def first(self) -> int:
        """The first id; another one for a process that takes the place of one that has ended."""
        return self.residue + self.lives * _LIFE * self.step % (_MOST - _MOST % self.step - self.step)

    def owner(self, connection_id: int) -> int:
        """The number of the process that has given out this id."""
        return (connection_id - 1) % self.processes


ALL = Numbering()


class Killed(Enum):
    """What has become of a KILL."""

    DONE = "done"
    UNKNOWN = "there is no such session"
    DENIED = "it is another user's"


@dataclass(frozen=True, slots=True)
class Glance:
    """What operators see of a session.

    ``state`` is idle, running or waiting (for a connection), since ``seconds`` (None: not known). ``servers`` are those
    it has connections to, as (group, server, id there). ``statement`` is the one that runs, None: not known; ``digest``
    is it without literals.
    """

    connection_id: int
    user: str
    host: str
    schema: str | None
    state: str
    seconds: float | None
    servers: tuple[tuple[str, str, int], ...]
    transaction: bool
    pinned_by: tuple[str, ...]
    program: str | None
    tls: bool
    statement: str | None
    digest: str | None


class SessionRegistry(Generic[S]):
    """Connection id → session. Ids count up and come round after 2³²-1, as in MySQL.

    ``numbering`` says which ids are given out here.
    """

    def __init__(self, numbering: Numbering = ALL) -> None:
        self._sessions: dict[int, S] = {}
        self._numbering = numbering
        self._next = numbering.first

    def next_id(self) -> int:
        """A connection id no session has."""
        while True:
            found, self._next = self._next, self._next + self._numbering.step
            if self._next > _MOST:
                self._next = self._numbering.residue
            if found not in self._sessions:
                return found

    def add(self, connection_id: int, session: S) -> None:
        """A client has logged in."""
        self._sessions[connection_id] = session

    def remove(self, connection_id: int) -> None:
        """A client is gone."""
        self._sessions.pop(connection_id, None)

    def get(self, connection_id: int) -> S | None:
        """The session of that id, if there is one."""
        return self._sessions.get(connection_id)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[S]:
        return iter(list(self._sessions.values()))

    def pinned(self) -> dict[str, int]:
        """How many sessions are pinned, by reason."""
        counts: Counter[str] = Counter()
        for session in self:
            counts.update(session.pin_reasons())
        return dict(counts)
