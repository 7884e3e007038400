"""Where literals and parameters stand."""

from __future__ import annotations

import pytest

from router.planner.routes import Parameter, Reference, Slot
from router.planner.text import Text
from router.sql.lexer import LexMode


@pytest.mark.parametrize(
    ("sql", "reference"),
    [
        ("5", Slot(0)),
        ("'x'", Slot(0)),
        ("?", Parameter(0)),
        ("-5", Slot(0, negative=True)),
        ("+5", Slot(0)),
        ("((-?))", Parameter(0, negative=True)),
        ("- -5", None),
        ("(1) + (2)", None),
        ("NULL", None),
        ("_utf8mb4'x'", None),
        ("'a' 'b'", None),
        ("", None),
    ],
)
def test_what_a_value_is(sql: str, reference: Reference | None) -> None:
    text = Text(sql.encode(), LexMode())
    assert text.written(0, len(text.tokens)) == reference


def test_they_are_counted_through_the_statement() -> None:
    text = Text(b"SELECT 1, ?, 'x', ?", LexMode())
    assert [text.standing(index) for index in (1, 3, 5, 7)] == [Slot(0), Parameter(0), Slot(1), Parameter(1)]
