"""Statements that take several steps: each query that is asked beforehand, then the statement with what they gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from router.planner.binding import TextValues, bind, rest
from router.planner.clauses import Instead
from router.planner.given import Result, instead, values_of
from router.planner.keys import Value
from router.planner.merging import MergeSpec
from router.planner.plan import Answers, Bound, First, Part, Refused, Relay, Scattered, Shown, Staged
from router.planner.routes import Parameter, Reference, Slot, Unplaced, Unplannable, Values, WithGiven
from router.planner.steps import text_of
from router.sql.lexer import TokenKind, tokens_of
from router.wire.constants import ColumnFlag
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.packets import ColumnDefinition

# What a column is that is read from no table.
_KEPT = ColumnFlag.UNSIGNED | ColumnFlag.ZEROFILL | ColumnFlag.BINARY | ColumnFlag.BLOB


class _Within:
    """The values of a query inside a statement: its literals, and the statement's parameters that stand in it."""

    __slots__ = ("_numbers", "_text", "_values")

    def __init__(self, values: Values, numbers: Sequence[int], text: Values) -> None:
        self._values = values
        self._numbers = numbers
        self._text = text

    def value(self, reference: Reference) -> Value:
        """What stands there. Raises Unplaced."""
        match reference:
            case Slot():
                return self._text.value(reference)
            case Parameter(number, negative):
                if number >= len(self._numbers):
                    raise Unplaced
                return self._values.value(Parameter(self._numbers[number], negative))
        raise Unplaced


def _first(staged: Staged) -> First:
    first = staged.plan.first
    assert first is not None
    return first


def steps_of(staged: Staged) -> int:
    """How many queries are asked beforehand."""
    return len(_first(staged).steps)


def step(staged: Staged, number: int, codec: str | None = None) -> Refused | Scattered | Staged:
    """What the query of this number asks. ``codec``: of the client's text."""
    it = _first(staged).steps[number]
    tokens = tokens_of(staged.sql, staged.mode)
    sql = text_of(staged.sql, tokens, it.query, it.behind)
    every = [index for index, token in enumerate(tokens) if token.kind is TokenKind.PARAM]
    numbers = tuple(place for place, index in enumerate(every) if it.query.first <= index < it.query.last)
    values = _Within(staged.values, numbers, TextValues(sql, staged.mode, codec))
    outer = numbers if staged.parameters is None else tuple(staged.parameters[each] for each in numbers)
    bound = bind(it.plan, values, sql, staged.mode)
    match bound:
        case Relay():
            return Scattered((Part(bound, sql, outer),), MergeSpec(), None, 0, bound.facts)
        case Scattered():
            parts = tuple(replace(part, parameters=_mapped(part.parameters, outer)) for part in bound.parts)
            limit = 1 if it.answers is Answers.EXISTS else bound.limit
            return replace(bound, parts=parts, limit=limit)
        case Staged():
            return replace(bound, parameters=outer)
        case Refused():
            return bound
    raise AssertionError("a query that writes")


def _mapped(own: tuple[int, ...] | None, outer: tuple[int, ...]) -> tuple[int, ...]:
    return outer if own is None else tuple(outer[each] for each in own)


def last(staged: Staged, results: Sequence[Result]) -> Refused | Scattered:
    """The statement itself, when all queries inside it have been asked."""
    first = _first(staged)
    try:
        given = [instead(it, result) for it, result in zip(first.steps, results, strict=True)]
    except Unplannable as error:
        message = f"router: not supported on sharded tables: {error.construct}"
        return replace(staged.plan.refused, error=mysql_error(ErrorCode.NOT_SUPPORTED_YET, message))
    values = WithGiven(
        staged.values, tuple(values_of(it, result) for it, result in zip(first.steps, results, strict=True))
    )
    bound = rest(first.then, values, staged.sql, staged.mode, given)
    if isinstance(bound, Refused):
        return bound
    shown = _shown(staged, results)
    parts = bound.parts
    if staged.parameters is not None:
        parts = tuple(replace(part, parameters=_mapped(part.parameters, staged.parameters)) for part in parts)
    return replace(bound, parts=parts, shown=shown)


def _shown(staged: Staged, results: Sequence[Result]) -> tuple[Shown, ...]:
    first, sql = _first(staged), staged.sql
    tokens = tokens_of(sql, staged.mode)
    names = {position: sql[tokens[span.first].start : tokens[span.last - 1].end] for position, span in first.named}
    found: list[Shown] = []
    for it, result in zip(first.steps, results, strict=True):
        if it.shown is not None and len(result.rows) < 2:
            cell = result.cells[0] if result.rows else None
            found.append(Shown(it.shown, names.pop(it.shown, None), _column(result.columns[0]), cell))
    return (*found, *(Shown(position, name) for position, name in names.items()))


def _column(column: ColumnDefinition) -> ColumnDefinition:
    """As it is shown where it is no table's."""
    return replace(column, schema=b"", table=b"", org_table=b"", org_name=b"", flags=column.flags & _KEPT)


def outlined(staged: Staged) -> tuple[list[Bound], Refused | Scattered]:
    """What is asked, for people: the steps, and the statement as far as it is known before they have been asked."""
    first = _first(staged)
    given = [Instead(it.span, b"(query %d)" % number) for number, it in enumerate(first.steps, start=1)]
    values = WithGiven(staged.values, (None,) * len(given))
    steps: list[Bound] = [step(staged, number) for number in range(len(first.steps))]
    return steps, rest(first.then, values, staged.sql, staged.mode, given)
