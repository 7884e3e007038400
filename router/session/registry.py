"""The sessions of this process by connection id: for KILL, for limits, for operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    """Connection id → session. Ids count up from 1 and come round after 2³²-1, as in MySQL."""

    def __init__(self) -> None:
        self._sessions: dict[int, S] = {}
        self._last = 0

    def next_id(self) -> int:
        """A connection id no session has."""
        while True:
            self._last = self._last % 0xFFFFFFFF + 1
            if self._last not in self._sessions:
                return self._last

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
