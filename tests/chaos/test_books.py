"""The comparison finds what it is there for."""

from __future__ import annotations

import pytest

from tests.chaos.books import Book, Fate, Line, Note, Verdict, compare

AMOUNTS = {1: 95, 2: 105}
DONE: Line = ("1-1", 1, 2, 5)


def verdict_on(fate: Fate, ledger: list[Line], amounts: dict[int, int], never: tuple[str, ...] = ()) -> Verdict:
    """One entry that was first unknown, then ``fate``."""
    book = Book("client 1")
    book.notes += [Note(0.0, "1-1", Fate.UNKNOWN, "sent"), Note(0.1, "1-1", fate, "answered")]
    return compare([book], never, ledger, amounts, 100)


@pytest.mark.parametrize("fate", [Fate.ACKNOWLEDGED, Fate.UNKNOWN])
def test_what_is_done_once_is_fine(fate: Fate) -> None:
    assert verdict_on(fate, [DONE], AMOUNTS).fine


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.UNKNOWN])
def test_what_is_not_done_is_fine(fate: Fate) -> None:
    assert verdict_on(fate, [], {1: 100, 2: 100}, never=("held-1",)).fine


def test_what_is_wrong_is_found() -> None:
    assert verdict_on(Fate.ACKNOWLEDGED, [], {1: 100, 2: 100}).lost == ["1-1"]
    assert verdict_on(Fate.ACKNOWLEDGED, [DONE, DONE], {1: 90, 2: 110}).doubled == ["1-1"]
    assert verdict_on(Fate.REFUSED, [DONE], AMOUNTS).undead == ["1-1"]
    assert verdict_on(Fate.REFUSED, [("held-1", 1, 2, 5)], AMOUNTS, never=("held-1",)).undead == ["held-1"]
    assert verdict_on(Fate.ACKNOWLEDGED, [DONE, ("9-9", 1, 2, 0)], AMOUNTS).strangers == ["9-9"]
    assert len(verdict_on(Fate.ACKNOWLEDGED, [DONE], {1: 95, 2: 100}).balances) == 1


def test_the_book_is_shown_around_an_entry() -> None:
    book = Book("client 1")
    book.notes += [Note(float(number), f"1-{number}", Fate.ACKNOWLEDGED, "order") for number in range(100)]
    shown = book.around("1-50", lines=2)
    assert [line.split()[1] for line in shown] == ["1-48", "1-49", "1-50", "1-51"]
