"""Rows of the text and of the binary protocol as lists of cells: the text of each value, None for NULL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from router.planner.merging import Cell
from router.planner.plan import Shown
from router.wire.constants import ColumnType
from router.wire.packets import ColumnDefinition
from router.wire.rows import (
    INTEGERS,
    UNSIGNED,
    BinaryValue,
    binary_type,
    decode_binary_row,
    decode_text_row,
    encode_binary_row,
    encode_text_row,
)

_PLAIN = 1e15
_ALL_DIGITS = 31
_FLOATS = frozenset({ColumnType.FLOAT, ColumnType.DOUBLE})


class Form(Protocol):
    """How rows of certain columns are written."""

    def read(self, payload: bytes) -> list[Cell]:
        """A shard's row. Raises ProtocolError."""

    def write(self, row: Sequence[Cell]) -> bytes:
        """A row for the client; it may have fewer columns. Raises ValueError for what a column cannot hold."""


class TextForm:
    """Rows of ``columns``, as queries answer."""

    def __init__(self, columns: Sequence[ColumnDefinition]) -> None:
        self._count = len(columns)

    def read(self, payload: bytes) -> list[Cell]:
        """A shard's row. Raises ProtocolError."""
        return decode_text_row(payload, self._count)

    def write(self, row: Sequence[Cell]) -> bytes:
        """A row for the client."""
        return encode_text_row(row)


class BinaryForm:
    """Rows of ``columns``, as prepared statements answer. A number's text is exact: FLOAT is not rounded."""

    def __init__(self, columns: Sequence[ColumnDefinition]) -> None:
        self._types = [binary_type(column) for column in columns]

    def read(self, payload: bytes) -> list[Cell]:
        """A shard's row. Raises ProtocolError."""
        return [
            value if value is None or isinstance(value, bytes) else _text(value)
            for value in decode_binary_row(payload, self._types)
        ]

    def write(self, row: Sequence[Cell]) -> bytes:
        """A row for the client. Raises ValueError for what a column cannot hold."""
        types = self._types[: len(row)]
        return encode_binary_row([_number(cell, code) for cell, code in zip(row, types, strict=True)], types)


def shown_as(
    columns: Sequence[ColumnDefinition], shown: Sequence[Shown]
) -> tuple[list[ColumnDefinition], dict[int, Cell]]:
    """The columns as clients see them, and the values of those that are not the shards'."""
    found = list(columns)
    cells: dict[int, Cell] = {}
    for each in shown:
        position = each.position if each.position >= 0 else len(found) + each.position
        name = found[position].name if each.name is None else each.name
        found[position] = replace(found[position] if each.column is None else each.column, name=name)
        if each.column is not None:
            cells[position] = each.cell
    return found, cells


def unrounded(columns: Sequence[ColumnDefinition]) -> list[ColumnDefinition]:
    """The columns as the binary protocol writes them: doubles with all their digits."""
    return [replace(each, decimals=_ALL_DIGITS) if each.type == ColumnType.DOUBLE else each for each in columns]


def in_places(write: Callable[[Sequence[Cell]], bytes], cells: dict[int, Cell]) -> Callable[[Sequence[Cell]], bytes]:
    """As ``write``, for rows that get the values in ``cells`` by their positions."""

    def put(row: Sequence[Cell]) -> bytes:
        whole = list(row)
        for position, cell in cells.items():
            whole[position] = cell
        return write(whole)

    return put


def _text(value: int | float) -> bytes:
    """A number as servers print it, but for the digits they leave out: 1 and not 1.0."""
    return (
        b"%d" % value
        if isinstance(value, int) or (value.is_integer() and abs(value) < _PLAIN)
        else repr(value).encode()
    )


def _number(cell: Cell, code: int) -> BinaryValue:
    kind = code & ~UNSIGNED
    if cell is None:
        return None
    if kind in INTEGERS:
        return int(cell)
    return float(cell) if kind in _FLOATS else cell
