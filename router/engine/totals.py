"""The OK packet of a statement that several shards have run: what each of them says, added up."""

from __future__ import annotations

import re
from collections.abc import Sequence

from router.sql.facts import StatementKind
from router.wire.packets import OkPacket

_NUMBER = re.compile(rb"\d+")
_ROWS = frozenset({StatementKind.INSERT, StatementKind.REPLACE})
_IGNORES = re.compile(rb"\s*INSERT\s+(?:(?:LOW_PRIORITY|HIGH_PRIORITY|DELAYED)\s+)?IGNORE\b", re.IGNORECASE)


def total(answers: Sequence[OkPacket], kind: StatementKind, sql: bytes, *, last: int) -> OkPacket:
    """One answer out of those of all parts; ``last`` wrote the statement's last row, ``sql`` is the text of a part."""
    warnings = min(sum(each.warnings for each in answers), 0xFFFF)
    infos = [each.info for each in answers]
    if kind in _ROWS and len(answers) > 1:
        infos = [each.info or _one_row(each, ignores=_IGNORES.match(sql) is not None) for each in answers]
    return OkPacket(
        affected_rows=sum(each.affected_rows for each in answers),
        last_insert_id=answers[last].last_insert_id,
        warnings=warnings,
        info=_added(infos),
    )


def added(answers: Sequence[OkPacket]) -> OkPacket:
    """One answer out of those of parts that are alike."""
    return OkPacket(
        affected_rows=sum(each.affected_rows for each in answers),
        warnings=min(sum(each.warnings for each in answers), 0xFFFF),
        info=_added([each.info for each in answers]) if answers else b"",
    )


def _one_row(answer: OkPacket, *, ignores: bool) -> bytes:
    """What a server would say of one row among several (for one alone it says nothing)."""
    copies = 1 - answer.affected_rows if ignores else answer.affected_rows - 1
    return b"Records: 1  Duplicates: %d  Warnings: %d" % (max(copies, 0), answer.warnings)


def _added(infos: Sequence[bytes]) -> bytes:
    """``Rows matched: 1  Changed: 1  Warnings: 0``, its numbers added up."""
    numbers = [[int(number) for number in _NUMBER.findall(info)] for info in infos]
    sums = iter([sum(column) for column in zip(*numbers, strict=True)])
    return _NUMBER.sub(lambda _: b"%d" % next(sums), infos[0])
