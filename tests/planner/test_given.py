"""What queries gave, as SQL where they stood and as values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from router.planner.clauses import Span
from router.planner.given import Result, charset_of, instead, values_of
from router.planner.keys import Value
from router.planner.merging import Cell
from router.planner.plan import Answers, Sharded, Step, Use
from router.planner.routes import Unplannable
from router.planner.steps import MOST_VALUES
from router.wire.constants import ColumnFlag, ColumnType
from router.wire.packets import ColumnDefinition
from tests.planner.fix_shards import shop_context, shop_planner

SPAN = Span(3, 9)
T = ColumnType


def step(answers: Answers, use: Use, compared: str | None = None, collation: str | None = None, head: str = "") -> Step:
    plan = shop_planner().plan(b"SELECT MAX(id) FROM orders", shop_context())
    assert isinstance(plan, Sharded)
    return Step(answers, SPAN, SPAN, b"", plan, use, None, collation, compared, head)


def result(kind: int, *cells: Cell, charset: str | None = "utf8mb4", **more: Any) -> Result:
    text = kind in (T.VAR_STRING, T.BLOB) and "collation_id" not in more
    column = ColumnDefinition(b"x", kind, **({"collation_id": 45} | more if text else more))
    return Result([column], [[cell] for cell in cells], charset)


COMPARED = step(Answers.VALUE, Use.COMPARED, "number")
DATED = step(Answers.VALUE, Use.COMPARED, "date")
NAMED = step(Answers.VALUE, Use.COMPARED, "utf8mb4_bin", "utf8mb4_bin")
COMPUTED = step(Answers.VALUE, Use.COMPUTED)
LIST = step(Answers.LIST, Use.COMPARED, "number")


@pytest.mark.parametrize(
    ("it", "gave", "text"),
    [
        (COMPARED, result(T.LONG, b"-5"), "(-5)"),
        (COMPARED, result(T.LONG, None), "(NULL)"),
        (COMPARED, result(T.LONG), "(NULL)"),
        (COMPARED, result(T.NEWDECIMAL, b"1.50", decimals=2), "(1.50)"),
        (COMPARED, result(T.DOUBLE, b"1.5"), "(1.5e0)"),
        (COMPARED, result(T.DOUBLE, b"1e100"), "(1e100)"),
        (COMPARED, result(T.LONG, b"1", b"2"), "(SELECT 1 FROM DUAL UNION ALL SELECT 2 FROM DUAL)"),
        (DATED, result(T.DATE, b"2024-02-29"), "(DATE'2024-02-29')"),
        (DATED, result(T.DATETIME, b"2024-02-29 10:00:00.50", decimals=2), "(TIMESTAMP'2024-02-29 10:00:00.50')"),
        (NAMED, result(T.VAR_STRING, "é'".encode()), "(_utf8mb4 x'c3a927')"),
        (NAMED, result(T.VAR_STRING, b""), "(_utf8mb4'')"),
        (step(Answers.VALUE, Use.COMPARED, "binary"), result(T.VAR_STRING, b"\0'", collation_id=63), "(x'0027')"),
        (COMPUTED, result(T.LONG, b"5"), "(CAST(5 AS SIGNED))"),
        (COMPUTED, result(T.LONG, b"5", flags=ColumnFlag.UNSIGNED), "(CAST(5 AS UNSIGNED))"),
        (COMPUTED, result(T.NEWDECIMAL, b"1.50", decimals=2, length=12), "(CAST(1.50 AS DECIMAL(10,2)))"),
        (COMPUTED, result(T.NEWDECIMAL, None, decimals=0, length=11), "(CAST(NULL AS DECIMAL(10,0)))"),
        (COMPUTED, result(T.DATETIME, None, decimals=3), "(CAST(NULL AS DATETIME(3)))"),
        (COMPUTED, result(T.TIME, b"-10:00:00"), "(TIME'-10:00:00')"),
        (step(Answers.VALUE, Use.SHOWN), result(T.JSON, b"{}"), "NULL"),
        (LIST, result(T.LONG, b"3", None, b"3", b"-1"), "(3,NULL,-1)"),
        (LIST, result(T.LONG), "(SELECT 1 FROM DUAL WHERE 1 = 0)"),
        (step(Answers.LIST, Use.COMPARED, "number", head=" NOT IN "), result(T.LONG, b"3"), " NOT IN (3)"),
        (step(Answers.EXISTS, Use.COMPUTED), result(T.LONG), "(1 = 0)"),
        (step(Answers.EXISTS, Use.COMPUTED), result(T.BIT, b"\1"), "(1 = 1)"),
    ],
)
def test_what_stands_for_a_query(it: Step, gave: Result, text: str) -> None:
    assert instead(it, gave) == (SPAN, text.encode())


@pytest.mark.parametrize(
    ("it", "gave", "construct"),
    [
        (COMPARED, result(T.VAR_STRING, b"5"), "of text"),
        (NAMED, result(T.VAR_STRING, b"5", charset=None), "character set"),
        (step(Answers.VALUE, Use.COMPARED, "utf8mb4_bin", "latin1_bin"), result(T.VAR_STRING, b"5"), "collation"),
        (NAMED, result(T.LONG, b"5"), "another type"),
        (COMPARED, result(T.YEAR, b"2024"), "type year"),
        (COMPARED, result(T.FLOAT, b"0.1"), "type float"),
        (COMPARED, result(T.STRING, b"gold", flags=ColumnFlag.ENUM), "type string"),
        (DATED, result(T.TIMESTAMP, b"2024-01-01 00:00:00"), "type timestamp"),
        (DATED, result(T.DATE, b"0000-00-00"), "zeros"),
        (DATED, result(T.DATE, b"2024-00-01"), "zeros"),
        (COMPUTED, result(T.NEWDECIMAL, b"1", flags=ColumnFlag.UNSIGNED, length=10), "UNSIGNED"),
        (COMPUTED, result(T.VAR_STRING, b"1"), "of text"),
        (LIST, result(T.LONG, *[b"%d" % number for number in range(MOST_VALUES + 1)]), "10,000 values"),
        (
            step(Answers.LIST, Use.COMPARED, "utf8mb4_bin", "utf8mb4_bin"),
            result(T.VAR_STRING, *[b"%d" % number + b"x" * 999 for number in range(600)]),
            "bytes",
        ),
    ],
)
def test_what_might_mean_something_else_is_refused(it: Step, gave: Result, construct: str) -> None:
    with pytest.raises(Unplannable, match=construct):
        instead(it, gave)


@pytest.mark.parametrize(
    ("it", "gave", "values"),
    [
        (COMPARED, result(T.LONG, b"5"), (5,)),
        (COMPARED, result(T.LONG), (None,)),
        (COMPARED, result(T.LONG, b"5", b"6"), None),
        (LIST, result(T.NEWDECIMAL, b"5.0", None), (Decimal("5.0"), None)),
        (LIST, result(T.LONG), ()),
        (DATED, result(T.DATE, b"2024-01-01"), ("2024-01-01",)),
        (NAMED, result(T.VAR_STRING, "é".encode()), ("é",)),
        (NAMED, result(T.VAR_STRING, b"\xff"), None),
        (COMPARED, result(T.DOUBLE, b"5"), None),
        (step(Answers.EXISTS, Use.COMPUTED), result(T.LONG, b"5"), None),
    ],
)
def test_values_that_shards_are_told_by(it: Step, gave: Result, values: tuple[Value, ...] | None) -> None:
    assert values_of(it, gave) == values


def test_text_must_go_as_it_comes() -> None:
    assert charset_of("utf8mb4", "utf8mb4") == "utf8mb4"
    assert charset_of("utf8mb4", "latin1") is None
    assert charset_of("gbk", "gbk") is None
    assert charset_of("binary", "binary") is None
