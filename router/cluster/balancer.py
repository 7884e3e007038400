"""Which of several servers answers a read: a policy picks, ``Balancer`` says among whom.

A server of the router's own zone that has room comes before one that is elsewhere, and one that has room before one
where the read would have to queue. A weight is a share of the reads; one of 0 takes none while any other server can,
whoever has room.

What ``fastest`` goes by is the time a server takes for the first question of every probe: the same for all of them,
short, and asked whether or not anybody reads there. So a replica that gets reports only is not taken for a slow one,
one that was slow is noticed when it is not any more, and no statement pays for a measurement. The load of the moment
is known without measuring: the statements in progress. The cost of a server is the product of both, as in Finagle's
"peak EWMA"; and it is the better one of two drawn at random that gets the read (Mitzenmacher, "The power of two choices
in randomized load balancing"), so that several routers do not all run to the same server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from router.cluster.topology import Server

# How much of the average the newest measurement is. One that is less is worth more: nothing can be faster than it is.
_MORE, _LESS = 0.3, 0.6
# A hiccup, the server's or the router's own, counts as this many times the average at most.
_RISE = 2.0
# Seconds that a statement takes besides: smaller differences between servers are none.
_FLOOR = 0.0005


def smoothed(average: float | None, seconds: float) -> float:
    """The moving average of what a server took (None: never measured), after one more measurement."""
    if average is None:
        return seconds
    if seconds < average:
        return average + _LESS * (seconds - average)
    return average + _MORE * (min(seconds, _RISE * average + _FLOOR) - average)


class Policy(Protocol):
    """Picks one of servers between which nothing but their load, weight and speed makes a difference."""

    def pick(self, candidates: Sequence[Server]) -> Server:
        """One of at least one; a weight of 0 only if all are."""

    def keep(self, servers: Sequence[Server]) -> Callable[[], None]:
        """What undoes the turns that ``pick`` takes from now on, among these servers."""


class LeastBusy:
    """The one with the fewest statements in progress for its weight; equals take turns."""

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn = 0

    def pick(self, candidates: Sequence[Server]) -> Server:
        """See ``Policy``."""
        self._turn += 1
        count = len(candidates)
        best: Server | None = None
        best_load = 0.0
        for offset in range(count):
            server = candidates[(self._turn + offset) % count]
            if server.weight == 0:
                continue
            pool = server.pool
            load = (pool.in_use + pool.opening) / server.weight
            if best is None or load < best_load:
                best, best_load = server, load
        return best if best is not None else candidates[self._turn % count]

    def keep(self, servers: Sequence[Server]) -> Callable[[], None]:
        """See ``Policy``."""
        turn = self._turn

        def undo() -> None:
            self._turn = turn

        return undo


class RoundRobin:
    """Turns in proportion to the weights, as evenly spread as can be: 5, 1, 1 is a a b a c a a (as nginx has it).

    Everybody earns its weight, the richest pays what all have earned.
    """

    __slots__ = ()

    def pick(self, candidates: Sequence[Server]) -> Server:
        """See ``Policy``."""
        total = 0
        best: Server | None = None
        for server in candidates:
            weight = server.weight
            if weight:
                total += weight
                server.turn += weight
                if best is None or server.turn > best.turn:
                    best = server
        if best is None:
            best, total = max(candidates, key=lambda each: each.turn), 1
        best.turn -= total
        return best

    def keep(self, servers: Sequence[Server]) -> Callable[[], None]:
        """See ``Policy``."""
        turns = [server.turn for server in servers]

        def undo() -> None:
            for server, turn in zip(servers, turns, strict=True):
                server.turn = turn

        return undo


class Fastest:
    """The better one of two: the time it takes, by what is in progress there, for its weight."""

    __slots__ = ("_random",)

    def __init__(self, random: Callable[[], float]) -> None:
        """``random``: a number from 0 to below 1."""
        self._random = random

    def pick(self, candidates: Sequence[Server]) -> Server:
        """See ``Policy``."""
        able = [server for server in candidates if server.weight] or candidates
        count = len(able)
        if count == 1:
            return able[0]
        first = int(self._random() * count)
        second = int(self._random() * (count - 1))
        one, other = able[first], able[second + (second >= first)]
        return one if _cost(one) <= _cost(other) else other

    def keep(self, servers: Sequence[Server]) -> Callable[[], None]:
        """See ``Policy``: who is drawn next is not known, and nobody has a turn."""
        return lambda: None


def _cost(server: Server) -> float:
    pool = server.pool
    return ((server.delay or 0.0) + _FLOOR) * (pool.in_use + pool.opening + 1) / (server.weight or 1)


class Balancer:
    """Chooses among the readers of a group; ``zoned``: some of its servers are in the router's zone, others are not."""

    __slots__ = ("_pick", "_zoned", "keep")

    def __init__(self, policy: Policy, *, zoned: bool = False) -> None:
        self._pick = policy.pick
        self._zoned = zoned
        self.keep = policy.keep

    def choose(self, candidates: Sequence[Server]) -> Server | None:
        """The server to use, None when there is none."""
        if len(candidates) <= 1:
            return candidates[0] if candidates else None
        if self._zoned:
            near = [server for server in candidates if server.near and server.weight and server.pool.has_room]
            candidates = near or candidates
        server = self._pick(candidates)
        if server.pool.has_room:
            return server
        weighty = server.weight > 0
        others = [each for each in candidates if each.pool.has_room and (each.weight > 0) is weighty]
        return self._pick(others) if others else server


def policy_for(
    name: Literal["least_busy", "round_robin", "fastest"], random: Callable[[], float] | None = None
) -> Policy:
    """The policy of ``reads.balance``."""
    match name:
        case "least_busy":
            return LeastBusy()
        case "round_robin":
            return RoundRobin()
        case "fastest":
            # Of its own: others may count on theirs.
            return Fastest(random or Random().random)
