"""What a statement answers, whether two answers are the same, and the count of what came out.

Values are compared as the server prints them, so that 1.0 and 1.00 differ; only doubles may differ in the last digits,
as their sum depends on the order of the rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pymysql
from pymysql.connections import Connection

from router.wire.constants import ColumnFlag, ColumnType

_TEXTS = (ColumnType.VAR_STRING, ColumnType.STRING, ColumnType.BLOB)
# Which of them, and how long, depends on how the server happens to run a GROUP_CONCAT.
_LONG_TEXTS = (ColumnType.TINY_BLOB, ColumnType.MEDIUM_BLOB, ColumnType.LONG_BLOB, ColumnType.BLOB)
_INEXACT = (ColumnType.DOUBLE, ColumnType.FLOAT)
# A number the server prints with up to 17 digits; fewer are the same in any order of addition.
_DIGITS = 12
_REFUSED = (1235, 1526)
# Others depend on how the server happens to run the statement, and differ between two tables of different size too.
_LISTS = ColumnFlag.ENUM | ColumnFlag.SET
_FLAGS = ColumnFlag.UNSIGNED | ColumnFlag.ZEROFILL | ColumnFlag.ENUM | ColumnFlag.SET


class Outcome(StrEnum):
    """What a statement came to."""

    SAME = "same"
    REFUSED = "refused"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Column:
    """What a client learns of a column, without the names of tables and databases."""

    name: str
    type: int
    charset: int
    length: int
    decimals: int
    flags: int


Row = tuple[str | bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows and columns, or the number of affected rows, or an error."""

    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    affected: int = 0
    warnings: int = 0
    error: int = 0
    message: str = ""

    @property
    def refused(self) -> bool:
        """Whether the router says that it does not run this."""
        return self.error in _REFUSED and self.message.startswith("router:")


def ask(connection: Connection, sql: str) -> Answer:
    """Run a statement; errors are answers too."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            result = cursor._result
            assert result is not None
            if cursor.description is None:
                return Answer(affected=result.affected_rows, warnings=result.warning_count)
            columns = tuple(_column(each, sql) for each in result.fields)
            rows = tuple(plain(row, columns) for row in cursor.fetchall())
            return Answer(columns, rows, warnings=result.warning_count)
    except pymysql.MySQLError as error:
        number, *words = error.args
        return Answer(error=int(number), message=str(words[0]) if words else "")


def _column(shown: Any, sql: str) -> Column:
    kind = ColumnType.BLOB if shown.type_code in _LONG_TEXTS else shown.type_code
    if kind == ColumnType.LONG and not shown.org_table:
        kind = ColumnType.LONGLONG  # what is computed is one or the other, as the server happens to run the statement
    if kind == ColumnType.STRING and not shown.org_table:
        kind = ColumnType.VAR_STRING  # as above
    # An integer that is computed from a subquery's is as wide as that, or as its digits.
    any_width = kind == ColumnType.LONGLONG and not shown.org_table and sql.upper().count("SELECT") > 1
    return Column(
        shown.name,
        kind,
        shown.charsetnr,
        # 22 or 23, as the server happens to run the statement.
        0 if kind in _INEXACT or kind == ColumnType.BLOB or any_width else shown.length,
        # Of text: none, or 31 or 39 for "not fixed".
        0 if kind in _TEXTS else shown.scale,
        # MIN of a SET is one or not (MySQL), again as the server happens to run the statement.
        shown.flags & (_FLAGS if shown.org_table else _FLAGS & ~_LISTS),
    )


def plain(row: Sequence[str | bytes | None], columns: Sequence[Column]) -> Row:
    """A row with its doubles cut to the digits that do not depend on the order of an addition."""
    return tuple(
        f"{float(cell):.{_DIGITS}g}" if cell is not None and column.type in _INEXACT else cell
        for cell, column in zip(row, columns, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Order:
    """What is fixed of the order of rows: all of it (``total``), or that of some columns (positions from 0)."""

    total: bool = False
    columns: tuple[int, ...] = ()


def difference(
    expected: Answer, actual: Answer, order: Order, *, count_only: bool = False, warnings: bool = True
) -> str | None:
    """In what two answers differ; None if in nothing."""
    if expected.error != actual.error:
        return f"error {actual.error} {actual.message!r} instead of {expected.error} {expected.message!r}"
    if expected.affected != actual.affected:
        return f"{actual.affected} affected rows instead of {expected.affected}"
    if warnings and bool(expected.warnings) is not bool(actual.warnings):
        # How many there are depends on how many shards are asked: each warns of what is odd in the statement itself.
        return f"{actual.warnings} warnings instead of {expected.warnings}"
    if expected.columns != actual.columns:
        pairs = zip(expected.columns, actual.columns, strict=False)
        odd = [f"{here} instead of {there}" for there, here in pairs if here != there]
        return f"columns: {'; '.join(odd) or f'{len(actual.columns)} instead of {len(expected.columns)}'}"
    if len(expected.rows) != len(actual.rows):
        return f"{len(actual.rows)} rows instead of {len(expected.rows)}{_odd(expected, actual)}"
    if count_only:
        return None
    if Counter(expected.rows) != Counter(actual.rows):
        return f"rows{_odd(expected, actual)}"
    if order.total and expected.rows != actual.rows:
        return f"order{_first(expected.rows, actual.rows)}"
    keys = [[tuple(row[column] for column in order.columns) for row in each.rows] for each in (expected, actual)]
    return f"order{_first(keys[0], keys[1])}" if keys[0] != keys[1] else None


def _odd(expected: Answer, actual: Answer) -> str:
    missing = Counter(expected.rows) - Counter(actual.rows)
    extra = Counter(actual.rows) - Counter(expected.rows)
    return f": missing {list(missing.elements())[:3]}, too many {list(extra.elements())[:3]}"


def _first(expected: Sequence[object], actual: Sequence[object]) -> str:
    for number, (there, here) in enumerate(zip(expected, actual, strict=True)):
        if there != here:
            return f": row {number} is {here} instead of {there}"
    return ""


_ADVICE = re.compile(r"; .*|'[^']*'|\([^)]*\)")
_CONSTRUCT = re.compile(r"not supported (?:on sharded tables|there): (.*)", re.DOTALL)


def construct(message: str) -> str:
    """What stood in the way, without names and advice."""
    found = _CONSTRUCT.search(message)
    words = found[1] if found is not None else message.removeprefix("router: ")
    return " ".join(_ADVICE.sub("…", words).split())


@dataclass(slots=True)
class Tally:
    """How many statements came to what, with what was refused and why; and where the server was at odds with itself."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    constructs: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    at_odds: list[str] = field(default_factory=list)

    def add(self, sql: str, actual: Answer, found: str | None) -> Outcome:
        """Count a statement whose difference was ``found``. Refusing what the server does not know is refusing too."""
        if actual.refused:
            outcome = Outcome.REFUSED
            self.constructs[construct(actual.message)] += 1
        elif found is not None:
            outcome = Outcome.WRONG
            self.wrong.append(f"{sql}\n    {found}")
        else:
            outcome = Outcome.SAME
        self.outcomes[outcome] += 1
        return outcome

    def merge(self, other: Tally) -> None:
        """Add another's counts."""
        self.outcomes += other.outcomes
        self.constructs += other.constructs
        self.wrong += other.wrong

    def __str__(self) -> str:
        numbers = " / ".join(f"{self.outcomes[outcome]} {outcome}" for outcome in Outcome)
        refused = "".join(f"\n  {count:5}  {words}" for words, count in self.constructs.most_common())
        odds = f" / {len(self.at_odds)} of the server at odds with itself" if self.at_odds else ""
        return f"{numbers}{odds}{refused}"
