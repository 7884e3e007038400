"""PURE: which server of a group is the primary when several say that they can be written.

Never two: a write that went to the wrong one is lost when they are brought together again. A server that can be
written, is not the primary and follows nobody is *fenced*: what it holds may be anything, so it takes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from router.session.gtids import History


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that answers and can be written.

    ``declared``: the configuration says that it is the primary. ``follows``: the servers of the group whose writes it
    applies. ``clustered``: it is a member of a cluster in which all can be written. ``executed``: its GTIDs, and
    ``identity`` what is in those of its own writes. ``draining``: it is to be left.
    """

    name: str
    declared: bool = False
    follows: frozenset[str] = frozenset()
    clustered: bool = False
    executed: str = ""
    identity: str = ""
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Names: the ``primary``, if there is one, and who is ``fenced``; ``reason`` for the log."""

    primary: str | None = None
    fenced: frozenset[str] = frozenset()
    reason: str = ""


def elect(writable: Sequence[Candidate], had: str | None, down: Collection[str] = ()) -> Outcome:
    """The declared one; else the one with the newer epoch; else the one we ``had``; else the first.

    A server that follows another one is no primary, unless that one is read-only, or follows it in turn. When its
    source is ``down`` it may become one only when somebody stops its replication: the source may be written still.
    One that drains is none, and is not fenced: whoever drained it knows that it can be written.
    """
    if not writable:
        return Outcome()
    able = [
        each
        for each in writable
        if not each.draining and (each.declared or not _belongs(each, writable, () if each.name == had else down))
    ]
    declared = [each for each in able if each.declared]
    primary, reason = _first(declared or able, had)
    return Outcome(primary.name if primary else None, _fenced(writable, primary), reason)


def stay(writable: Sequence[Candidate], had: str) -> Outcome:
    """The primary we ``had`` drains, but has sessions in transactions still: nobody takes over before they end."""
    primary = next(each for each in writable if each.name == had)
    return Outcome(had, _fenced(writable, primary), "sessions are held there")


def _fenced(writable: Sequence[Candidate], primary: Candidate | None) -> frozenset[str]:
    alone = [each for each in writable if not each.follows and not each.clustered and not each.draining]
    return frozenset(each.name for each in alone if each is not primary)


def _belongs(server: Candidate, writable: Sequence[Candidate], down: Collection[str]) -> bool:
    """Whether another server has the say."""
    sources = [each for each in writable if each.name in server.follows and server.name not in each.follows]
    return bool(sources) or any(name in down for name in server.follows)


def _first(able: Sequence[Candidate], had: str | None) -> tuple[Candidate | None, str]:
    if len(able) <= 1:
        return (able[0], "the only one") if able else (None, "each follows another server")
    known = next((each for each in able if each.name == had), None)
    alone = [each for each in able if not each.follows and not each.clustered]
    if len(alone) == len(able):
        histories = {each.name: History(each.executed) for each in able}
        for each in able:
            if all(other is each or _newer(each, histories[each.name], histories[other.name]) for other in able):
                return each, "it has all writes of the others, and newer ones of its own"
        if known is None and not _comparable(list(histories.values())):
            return None, "each has writes that the others lack; say which with role: primary"
    if known is not None:
        return known, "it was the primary before"
    return able[0], "the first of the configuration"


def _newer(server: Candidate, history: History, other: History) -> bool:
    return bool(server.identity) and history.contains(other) and not other.contains(history.of(server.identity))


def _comparable(histories: Sequence[History]) -> bool:
    return all(one.contains(other) or other.contains(one) for one in histories for other in histories)
