"""The comparison finds every kind of difference, and only differences; the corpus is read as its comments say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential import corpus, data
from tests.differential.compare import Answer, Column, Order, Outcome, Tally, construct, difference

COLUMNS = (Column("a", 3, 63, 11, 0, 0), Column("b", 253, 255, 40, 0, 0))
ROWS = Answer(COLUMNS, (("1", "x"), ("2", "y"), ("2", "z")))


@pytest.mark.parametrize(
    ("actual", "order", "words"),
    [
        (ROWS, Order(total=True), None),
        (Answer(COLUMNS, ROWS.rows[::-1]), Order(), None),
        (Answer(COLUMNS, ROWS.rows[::-1]), Order(total=True), "order"),
        (Answer(COLUMNS, (ROWS.rows[0], ROWS.rows[2], ROWS.rows[1])), Order(columns=(0,)), None),
        (Answer(COLUMNS, (ROWS.rows[1], ROWS.rows[0], ROWS.rows[2])), Order(columns=(0,)), "order"),
        (Answer(COLUMNS, ROWS.rows[:2]), Order(), "2 rows instead of 3"),
        (Answer(COLUMNS, (*ROWS.rows[:2], ("2", "Z"))), Order(), "missing"),
        (Answer(COLUMNS, (*ROWS.rows[:2], ("2", None))), Order(), "missing"),
        (Answer(COLUMNS[:1], (("1",), ("2",), ("2",))), Order(), "columns"),
        (Answer((COLUMNS[0], Column("b", 253, 255, 44, 0, 0)), ROWS.rows), Order(), "columns"),
        (Answer(error=1054, message="Unknown column"), Order(), "error 1054"),
        (Answer(COLUMNS, ROWS.rows, warnings=1), Order(), "1 warnings instead of 0"),
    ],
)
def test_differences(actual: Answer, order: Order, words: str | None) -> None:
    found = difference(ROWS, actual, order)
    assert found is None if words is None else words in (found or "")


def test_affected_rows_and_errors() -> None:
    assert difference(Answer(affected=1), Answer(affected=2), Order()) == "2 affected rows instead of 1"
    assert difference(Answer(error=1062, message="a"), Answer(error=1062, message="b"), Order()) is None
    assert difference(ROWS, Answer(COLUMNS, (("3", "q"),) * 3), Order(), count_only=True) is None


def test_refused_is_what_the_router_says_it_is() -> None:
    tally = Tally()
    refused = Answer(error=1235, message="router: not supported on sharded tables: HAVING over 'x'; compare y")
    assert tally.add("SELECT 1", refused, None) is Outcome.REFUSED
    assert tally.add("SELECT 1", Answer(error=1235, message="This version does not"), "error") is Outcome.WRONG
    assert tally.add("SELECT 1", Answer(), None) is Outcome.SAME
    assert construct(refused.message) == "HAVING over ……"
    assert str(tally).startswith("1 same / 1 refused / 1 wrong")


def test_the_corpus_is_read_with_its_directives(tmp_path: Path) -> None:
    file = tmp_path / "x.sql"
    file.write_text(
        "-- A comment\nSELECT 1;\n-- only: mysql\n-- ties: 2 1\nSELECT a, b\nFROM t ORDER BY b;\n"
        "SELECT (SELECT 1 ORDER BY 1);\n-- count\nDELETE FROM t;\nSELECT 'ORDER BY', \"order by\";\n"
    )
    one, two, three, four, five = corpus.read(file)
    assert (one.sql, one.order, one.place) == ("SELECT 1", Order(), "x.sql:2")
    assert (two.sql, two.order, two.only) == ("SELECT a, b\nFROM t ORDER BY b", Order(columns=(1, 0)), "mysql")
    assert not three.order.total
    assert not three.writes
    assert four.writes
    assert four.count_only
    assert not five.order.total


def test_rows_are_the_same_every_time_and_spread_over_shards() -> None:
    rows, again = data.make_rows(), data.make_rows()
    assert rows.tables == again.tables
    for table, all_rows in rows.tables.items():
        if data.shard_of_row(table, all_rows[0], 4) is not None:
            parts = [rows.of_shard(table, number, 4) for number in range(4)]
            assert all(parts)
            assert sorted(map(repr, all_rows)) == sorted(repr(row) for part in parts for row in part)
