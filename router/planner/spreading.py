"""How a statement is written on several shards, the same for every execution of its shape.

Rows are looked for in the very text of an execution (others of the same plan have other literals in them), so that
nothing here holds a value or an offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from router.planner.keys import Value
from router.planner.routes import Reference, Unplaced, Values
from router.sql.inserts import RowList, rows_of
from router.sql.lexer import LexMode, Token, TokenKind, tokens_of


@dataclass(frozen=True, slots=True)
class Given:
    """The values that each row of an INSERT gives to AUTO_INCREMENT column ``column``: of several shards, none may
    make up one of its own. None stands for what is no plain value, such as DEFAULT."""

    column: str
    values: tuple[Reference | None, ...]

    def hold(self, values: Values) -> bool:
        """Whether no row of this execution leaves its value to the server."""
        try:
            return all(each is not None and _is_given(values.value(each)) for each in self.values)
        except Unplaced:
            return False


def _is_given(value: Value) -> bool:
    """Whether a server would store the value itself: for NULL and 0 it makes up one."""
    match value:
        case int():
            return value != 0
        case Decimal():
            return value != 0 and value == value.to_integral_value()
        case str() | bytes():
            return value.isdigit() and int(value) != 0
    return False


@dataclass(frozen=True, slots=True)
class Spreading:
    """``split``: each shard gets its own rows of an INSERT; otherwise all concerned get the statement as it is.

    ``copies``: a table that all of ``shards`` (numbers in the schema's order) hold a copy of. ``clock``: as in Spread.
    ``given``: what must hold for it.
    """

    split: bool = False
    copies: bool = False
    clock: bool = False
    given: Given | None = None
    shards: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """What one shard is asked; ``parameters`` as in Part."""

    sql: bytes
    parameters: tuple[int, ...] | None


def pieces_of(sql: bytes, mode: LexMode, shards: list[int]) -> dict[int, Piece]:
    """An INSERT cut up: ``shards`` has the one of each row; by shard, in their order. Raises LookupError."""
    tokens = tokens_of(sql, mode)
    rows = rows_of(tokens)
    if rows is None or len(rows.spans) != len(shards):
        raise LookupError("these are not the rows that were planned")
    before, behind = sql[: tokens[rows.whole[0]].start], sql[tokens[rows.whole[1] - 1].end :]
    texts: dict[int, list[bytes]] = {number: [] for number in sorted(set(shards))}
    for (first, end), shard in zip(rows.spans, shards, strict=True):
        texts[shard].append(sql[tokens[first].start : tokens[end - 1].end])
    parameters = _parameters(tokens, rows, shards)
    return {
        shard: Piece(before + b", ".join(own) + behind, None if parameters is None else parameters[shard])
        for shard, own in texts.items()
    }


def _parameters(tokens: list[Token], rows: RowList, shards: list[int]) -> dict[int, tuple[int, ...]] | None:
    """The numbers of the parameters that stand in each shard's text; None without any."""
    places = [index for index, token in enumerate(tokens) if token.kind is TokenKind.PARAM]
    if not places:
        return None
    first, rest = rows.whole
    before = [number for number, index in enumerate(places) if index < first]
    behind = [number for number, index in enumerate(places) if index >= rest]
    found: dict[int, list[int]] = {shard: list(before) for shard in set(shards)}
    row = 0
    for number in range(len(before), len(places) - len(behind)):
        while places[number] >= rows.spans[row][1]:
            row += 1
        found[shards[row]].append(number)
    return {shard: (*numbers, *behind) for shard, numbers in found.items()}
