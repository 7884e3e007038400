"""What is wrong with a configuration, before it is known where in the file that is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

Loc: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake: the keys and list positions that lead to it, and a message.

    ``at_key`` places it at the key rather than at the key's value. ``depends`` are other places it was concluded from.
    """

    loc: Loc
    message: str
    at_key: bool = False
    depends: tuple[Loc, ...] = ()

    def rests_on(self, other: Finding) -> bool:
        """Whether this may only be a consequence of ``other``: it was concluded from a place at, above or below it."""
        return any(loc[: len(other.loc)] == other.loc[: len(loc)] for loc in (self.loc, *self.depends))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the most similar known word, else the list of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f" (known: {', '.join(names)})" if names else ""
