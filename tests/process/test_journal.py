"""Lines of several logs."""

from __future__ import annotations

from router.log import KEPT, LogLine
from router.process.journal import Journal


def line(number: int, ts: str, event: str = "x") -> LogLine:
    return LogLine(number, ts, "info", "router", event, {"a": "b"})


def test_lines_in_the_order_of_their_times() -> None:
    journal = Journal()
    journal.add(
        [("own", "", [line(1, "10:00", "one"), line(2, "10:02", "three")]), ("w", "7", [line(1, "10:01", "two")])]
    )
    assert [(each.number, each.event) for each in journal.lines()] == [(1, "one"), (2, "two"), (3, "three")]
    assert [each.fields.get("worker") for each in journal.lines()] == [None, "7", None]
    assert (journal.seen("own"), journal.seen("w"), journal.seen("nobody")) == (2, 1, 0)


def test_known_lines_come_once() -> None:
    journal = Journal()
    for _ in range(2):
        journal.add([("own", "", [line(1, "10:00"), line(2, "10:01")])])
    assert [each.number for each in journal.lines()] == [1, 2]
    journal.forget("own")
    journal.add([("own", "", [line(1, "10:02")])])
    assert [each.number for each in journal.lines()] == [1, 2, 3]


def test_the_newest_stay() -> None:
    journal = Journal()
    journal.add([("own", "", [line(number, f"{number:09}") for number in range(1, KEPT + 11)])])
    assert [journal.lines()[0].number, len(journal.lines())] == [11, KEPT]
