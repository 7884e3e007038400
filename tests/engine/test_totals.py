"""What several shards say of a write, added up to what one server would say."""

from __future__ import annotations

from router.engine.totals import total
from router.sql.facts import StatementKind
from router.wire.packets import OkPacket

UPDATE = StatementKind.UPDATE
INSERT = StatementKind.INSERT


def test_numbers_are_added_up() -> None:
    answers = [
        OkPacket(affected_rows=1, warnings=1, info=b"Rows matched: 2  Changed: 1  Warnings: 1"),
        OkPacket(affected_rows=30, info=b"Rows matched: 40  Changed: 30  Warnings: 0"),
    ]
    answer = total(answers, UPDATE, b"UPDATE", last=0)
    assert (answer.affected_rows, answer.warnings) == (31, 1)
    assert answer.info == b"Rows matched: 42  Changed: 31  Warnings: 1"


def test_the_id_is_that_of_the_last_row() -> None:
    answers = [OkPacket(affected_rows=1, last_insert_id=9), OkPacket(affected_rows=1, last_insert_id=5)]
    assert total(answers, INSERT, b"INSERT", last=1).last_insert_id == 5


def test_single_rows_count_too() -> None:
    many = OkPacket(affected_rows=2, info=b"Records: 2  Duplicates: 0  Warnings: 0")
    one = OkPacket(affected_rows=1)
    assert total([many, one], INSERT, b"INSERT INTO t", last=0).info == b"Records: 3  Duplicates: 0  Warnings: 0"
    replaced = OkPacket(affected_rows=2)
    answer = total([replaced, one], StatementKind.REPLACE, b"REPLACE INTO t", last=0)
    assert answer.info == b"Records: 2  Duplicates: 1  Warnings: 0"
    unchanged = OkPacket(affected_rows=0)
    assert total([unchanged, one], INSERT, b"INSERT INTO t", last=0).info == b"Records: 2  Duplicates: 0  Warnings: 0"
    ignored = OkPacket(affected_rows=0, warnings=1)
    answer = total([ignored, one], INSERT, b" insert low_priority ignore INTO t", last=0)
    assert answer.info == b"Records: 2  Duplicates: 1  Warnings: 1"


def test_one_answer_stays_as_it_is() -> None:
    alone = OkPacket(affected_rows=1, last_insert_id=3)
    assert total([alone], INSERT, b"INSERT", last=0).info == b""


def test_many_warnings_are_as_many_as_can_be_said() -> None:
    answers = [OkPacket(warnings=60_000), OkPacket(warnings=60_000)]
    assert total(answers, StatementKind.DELETE, b"DELETE", last=0).warnings == 0xFFFF
