"""How a statement is written on several shards, the same for every execution of its shape.

Rows are looked for in the very text of an execution (others of the same plan have other literals in them), so that
nothing here holds a value or an offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from router.planner.keys import Value
from router.planner.routes import Parameter, Reference, Unplaced, Values
from router.sql.inserts import RowList, Span, rows_of
from router.sql.lexer import LexMode, Token, TokenKind, tokens_of


@dataclass(frozen=True, slots=True)
class Given:
    """The values that each row of an INSERT gives to AUTO_INCREMENT column ``column``: of several shards, none may
    make up one of its own. None stands for what is no plain value, such as DEFAULT."""

    column: str
    values: tuple[Reference | None, ...]

    def hold(self, values: Values, ids: Mapping[int, int]) -> bool:
        """Whether no row of this execution leaves its value to the server; rows with ``ids`` of ours do not."""
        try:
            return all(
                number in ids or (each is not None and _is_given(values.value(each)))
                for number, each in enumerate(self.values)
            )
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
    ``given``: what must hold for it. ``ddl``: no rows, but the tables of ``shards``.
    """

    split: bool = False
    copies: bool = False
    ddl: bool = False
    clock: bool = False
    given: Given | None = None
    shards: tuple[int, ...] = ()


# -- generated ids -------------------------------------------------------------------------------------------------


class NoIds(Exception):
    """``count`` ids of ``table`` are not at hand."""

    def __init__(self, table: str, count: int) -> None:
        super().__init__(f"no ids for {table}")
        self.table = table
        self.count = count


class Ids(Protocol):
    """Where ids come from."""

    def take(self, table: str, count: int) -> list[int]:
        """So many new ids for a table (``schema.table``, as configured), ascending. Raises NoIds."""


@dataclass(frozen=True, slots=True)
class Made:
    """Ids that the router makes for ``column`` in the rows of an INSERT into ``table`` (``schema.table``).

    ``place`` is the column's in the list, None if it is not there. ``rows`` says for each row whether it lacks an id:
    always, never, or if there is a NULL (with ``zero``, also a 0, which is the same to AUTO_INCREMENT) at execution.
    """

    table: str
    column: str
    place: int | None
    rows: tuple[Reference | bool, ...]
    zero: bool = False

    def lacking(self, values: Values) -> list[int]:
        """The numbers of the rows that need an id in this execution. Raises Unplaced where that cannot be told."""
        return [number for number, each in enumerate(self.rows) if each is True or self._lacks(each, values)]

    def _lacks(self, row: Reference | bool, values: Values) -> bool:
        if isinstance(row, bool):
            return row
        try:
            value = values.value(row)
        except Unplaced:
            if isinstance(row, Parameter):
                raise
            return False
        return value is None or (self.zero and type(value) is int and value == 0)


# -- cutting up ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """What one shard is asked; ``parameters`` as in Part."""

    sql: bytes
    parameters: tuple[int, ...] | None


def pieces_of(
    sql: bytes,
    mode: LexMode,
    shards: list[int] | None,
    made: Made | None = None,
    ids: Mapping[int, int] | None = None,
) -> dict[int, Piece]:
    """An INSERT cut up, with ``ids`` by row. ``shards`` has the one of each row (None: all are in one piece, number 0).

    By shard, in their order. Raises LookupError.
    """
    tokens = tokens_of(sql, mode)
    rows = rows_of(tokens)
    if rows is None or (shards is not None and len(rows.spans) != len(shards)):
        raise LookupError("these are not the rows that were planned")
    places = [0] * len(rows.spans) if shards is None else shards
    cut = _Cut(sql, tokens, rows, made, ids or {})
    texts: dict[int, list[bytes]] = {number: [] for number in sorted(set(places))}
    for number, shard in enumerate(places):
        texts[shard].append(cut.row(number))
    before, behind = cut.before(), sql[tokens[rows.whole[1] - 1].end :]
    parameters = _parameters(tokens, rows, places, cut.replaced)
    return {
        shard: Piece(before + b", ".join(own) + behind, None if parameters is None else parameters[shard])
        for shard, own in texts.items()
    }


class _Cut:
    """The texts of a statement's rows, with ids in them; ``replaced`` are the values that ids stand for."""

    def __init__(
        self, sql: bytes, tokens: list[Token], rows: RowList, made: Made | None, ids: Mapping[int, int]
    ) -> None:
        self.sql = sql
        self.tokens = tokens
        self.rows = rows
        self.made = made
        self.ids = ids
        self.replaced: list[Span] = []

    def before(self) -> bytes:
        """What stands before the rows, with the column named that is to be filled."""
        sql, columns = self.sql, self.rows.columns
        end = self.tokens[self.rows.whole[0]].start
        made = self.made
        if made is None or made.place is not None or not self.ids or self.rows.assigned:
            return sql[:end]
        if columns < 0:
            raise LookupError("there is no list of columns")
        start = self.tokens[columns].end
        comma = b"" if self.tokens[columns + 1].text == ")" else b", "
        return sql[:start] + _quoted(made.column) + comma + sql[start:end]

    def row(self, number: int) -> bytes:
        """One row."""
        tokens, sql = self.tokens, self.sql
        first, rest = self.rows.spans[number]
        start, end = tokens[first].start, tokens[rest - 1].end
        given, made = self.ids.get(number), self.made
        if given is None or made is None:
            return sql[start:end]
        if made.place is not None:
            value = self.rows.rows[number][made.place]
            self.replaced.append(value)
            return sql[start : tokens[value[0]].start] + b"%d" % given + sql[tokens[value[1] - 1].end : end]
        if self.rows.assigned:
            return _quoted(made.column) + b" = %d, " % given + sql[start:end]
        comma = b", " if self.rows.rows[number] else b""
        return sql[start : tokens[first].end] + b"%d" % given + comma + sql[tokens[first].end : end]


def _quoted(name: str) -> bytes:
    return b"`" + name.encode().replace(b"`", b"``") + b"`"


def _parameters(
    tokens: list[Token], rows: RowList, shards: list[int], replaced: list[Span]
) -> dict[int, tuple[int, ...]] | None:
    """The numbers of the parameters that stand in each shard's text; None without any."""
    places = [index for index, token in enumerate(tokens) if token.kind is TokenKind.PARAM]
    if not places:
        return None
    gone = {index for first, rest in replaced for index in range(first, rest)}
    first, rest = rows.whole
    before = [number for number, index in enumerate(places) if index < first]
    behind = [number for number, index in enumerate(places) if index >= rest]
    found: dict[int, list[int]] = {shard: list(before) for shard in set(shards)}
    row = 0
    for number in range(len(before), len(places) - len(behind)):
        while places[number] >= rows.spans[row][1]:
            row += 1
        if places[number] not in gone:
            found[shards[row]].append(number)
    return {shard: (*numbers, *behind) for shard, numbers in found.items()}
