"""The rows of an INSERT cut up for the shards."""

from __future__ import annotations

from decimal import Decimal
from time import process_time

import pytest

from router.planner.keys import Value
from router.planner.routes import Reference, Slot, Unplaced
from router.planner.spreading import Given, Piece, pieces_of
from router.sql.lexer import LexMode

MODE = LexMode()


class _Values:
    def __init__(self, *values: Value) -> None:
        self.values = values

    def value(self, reference: Reference) -> Value:
        if reference.number >= len(self.values):
            raise Unplaced
        return self.values[reference.number]


def test_each_shard_gets_its_rows_in_their_order() -> None:
    sql = b"INSERT INTO t (a, b) VALUES (1,'x') , (2, 'y'),(3, f(1, 2)) ON DUPLICATE KEY UPDATE b = VALUES(b);"
    assert pieces_of(sql, MODE, [1, 0, 1]) == {
        0: Piece(b"INSERT INTO t (a, b) VALUES (2, 'y') ON DUPLICATE KEY UPDATE b = VALUES(b);", None),
        1: Piece(b"INSERT INTO t (a, b) VALUES (1,'x'), (3, f(1, 2)) ON DUPLICATE KEY UPDATE b = VALUES(b);", None),
    }


def test_parameters_keep_their_numbers() -> None:
    sql = b"INSERT INTO t VALUES (?, 1), (2, ?), (?, ?), (5, 6) ON DUPLICATE KEY UPDATE a = ?"
    found = pieces_of(sql, MODE, [0, 1, 0, 2])
    assert {shard: piece.parameters for shard, piece in found.items()} == {0: (0, 2, 3, 4), 1: (1, 4), 2: (4,)}
    assert found[0].sql == b"INSERT INTO t VALUES (?, 1), (?, ?) ON DUPLICATE KEY UPDATE a = ?"


def test_other_rows_than_were_planned() -> None:
    with pytest.raises(LookupError):
        pieces_of(b"INSERT INTO t VALUES (1), (2)", MODE, [0])
    with pytest.raises(LookupError):
        pieces_of(b"INSERT INTO t SELECT 1", MODE, [0])


def test_many_rows_take_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        sql = b"INSERT INTO t VALUES " + b",".join(b"(%d, ?)" % number for number in range(count))
        start = process_time()
        found = pieces_of(sql, MODE, [number % 4 for number in range(count)])
        assert sum(len(piece.parameters or ()) for piece in found.values()) == count
        return process_time() - start

    small, large = min(seconds(1000) for _ in range(5)), min(seconds(10_000) for _ in range(5))
    assert large < 40 * small


@pytest.mark.parametrize("value", [5, -5, "7", Decimal("5.0"), b"7"])
def test_ids_that_are_given(value: Value) -> None:
    assert Given("id", (Slot(0),)).hold(_Values(value), {})


@pytest.mark.parametrize("value", [0, None, "0", "00", "", "x", "7x", Decimal("0.4"), Decimal(0)])
def test_ids_that_a_server_would_make_up(value: Value) -> None:
    assert not Given("id", (Slot(0), Slot(1))).hold(_Values(1, value), {})


def test_ids_that_are_no_plain_value() -> None:
    assert not Given("id", (Slot(0), None)).hold(_Values(5), {})
    assert not Given("id", (Slot(3),)).hold(_Values(5), {})
