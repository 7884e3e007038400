"""What queries gave that were asked beforehand: as SQL in the statement they stand in, and as values that place it.

A literal has to mean what the query would have meant there. Where it is compared with a column, types of one family
compare as their literals do, and text by the column's collation. Inside expressions it is cast to the very type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from router.planner.clauses import Instead
from router.planner.keys import Value
from router.planner.merging import Cell
from router.planner.plan import Answers, Step, Use
from router.planner.routes import Unplannable
from router.planner.steps import MOST_BYTES, MOST_VALUES
from router.wire.charset import BINARY, MULTIBYTE_UNSAFE, python_codec
from router.wire.constants import ColumnFlag, ColumnType
from router.wire.packets import ColumnDefinition
from router.wire.rows import INTEGERS

_TEXTS = frozenset(
    {
        *(ColumnType.VAR_STRING, ColumnType.STRING, ColumnType.VARCHAR),
        *(ColumnType.TINY_BLOB, ColumnType.BLOB, ColumnType.MEDIUM_BLOB, ColumnType.LONG_BLOB),
    }
)
# Its own column for a value, more than one row of which is an error that the server finds when it looks for it.
_SEVERAL = b"(SELECT 1 FROM DUAL UNION ALL SELECT 2 FROM DUAL)"
_NONE = b"(SELECT 1 FROM DUAL WHERE 1 = 0)"
_MOST_DIGITS = 65


@dataclass(frozen=True, slots=True)
class Result:
    """Columns and rows that a query gave; ``charset`` is that of text, if statements may be written in it."""

    columns: Sequence[ColumnDefinition]
    rows: Sequence[Sequence[Cell]]
    charset: str | None = None

    @property
    def cells(self) -> list[Cell]:
        """Its first column."""
        return [row[0] for row in self.rows]


def charset_of(client: str, results: str) -> str | None:
    """The character set in which text comes and goes alike; None if there is none."""
    return client if client == results and client not in MULTIBYTE_UNSAFE and client != "binary" else None


def instead(step: Step, result: Result) -> Instead:
    """What stands for the query. Raises Unplannable."""
    if step.answers is Answers.EXISTS:
        return Instead(step.span, b"(1 = 1)" if result.rows else b"(1 = 0)")
    if step.answers is Answers.LIST:
        return Instead(step.span, step.head.encode() + _list(step, result))
    if len(result.rows) > 1:
        return Instead(step.span, _SEVERAL)
    cell = result.cells[0] if result.rows else None
    if step.use is Use.SHOWN:
        return Instead(step.span, b"NULL")
    written = _spelling(step, result)
    text = b"NULL" if cell is None else written(cell)
    if step.use is Use.COMPUTED:
        text = _cast(text, result.columns[0])
    return Instead(step.span, b"(" + text + b")")


def _list(step: Step, result: Result) -> bytes:
    written = _spelling(step, result)  # what cannot be compared cannot be compared with nothing either
    if not result.rows:
        return _NONE
    if len(result.rows) > MOST_VALUES:
        raise Unplannable(f"a subquery of more than {MOST_VALUES:,} values over several shards")
    text = b",".join([b"NULL" if cell is None else written(cell) for cell in dict.fromkeys(result.cells)])
    if len(text) > MOST_BYTES:
        raise Unplannable(f"a subquery of more than {MOST_BYTES:,} bytes over several shards")
    return b"(" + text + b")"


def _spelling(step: Step, result: Result) -> Callable[[bytes], bytes]:
    """How values are written. Raises Unplannable for types whose literals may mean something else there."""
    column = result.columns[0]
    kind = _family(column)
    if kind == "text":
        if step.use is not Use.COMPARED or step.collation is None or step.compared != step.collation:
            raise Unplannable(
                "a subquery of text, of another collation or not compared with a column, over several shards"
            )
        if result.charset is None:
            raise Unplannable(
                "a subquery of text in a character set that does not come as it goes, over several shards"
            )
        introducer = b"_" + result.charset.encode()
        return lambda cell: introducer + b" x'" + cell.hex().encode() + b"'" if cell else introducer + b"''"
    if kind is None or (kind == "binary" and step.use is not Use.COMPARED):
        raise Unplannable(f"a subquery of type {ColumnType(column.type).name.lower()} over several shards")
    if step.use is Use.COMPARED and step.compared != kind:
        raise Unplannable("a subquery compared with a column of another type, over several shards")
    if column.type in (ColumnType.DATE, ColumnType.DATETIME, ColumnType.TIME):
        return _PREFIXED[column.type]
    if kind == "binary":
        return lambda cell: b"x'" + cell.hex().encode() + b"'"
    return _double if column.type == ColumnType.DOUBLE else bytes


def _family(column: ColumnDefinition) -> str | None:
    kind = column.type
    if column.flags & (ColumnFlag.ENUM | ColumnFlag.SET):
        return None
    if (kind in INTEGERS and kind != ColumnType.YEAR) or kind in (ColumnType.NEWDECIMAL, ColumnType.DOUBLE):
        return "number"
    if kind in _TEXTS:
        return "binary" if column.collation_id == BINARY else "text"
    if kind in (ColumnType.DATE, ColumnType.DATETIME):
        return "date"
    if kind == ColumnType.TIME:
        return "time"
    # As a literal has no type, it takes that of what it meets.
    return "number" if kind == ColumnType.NULL else None


def _double(cell: bytes) -> bytes:
    return cell if b"e" in cell.lower() else cell + b"e0"


def _dated(word: bytes) -> Callable[[bytes], bytes]:
    def write(cell: bytes) -> bytes:
        if cell.startswith(b"0000") or b"-00" in cell:
            raise Unplannable("a subquery of a date with zeros over several shards")
        return word + b"'" + cell + b"'"

    return write


_PREFIXED: dict[int, Callable[[bytes], bytes]] = {
    ColumnType.DATE: _dated(b"DATE"),
    ColumnType.DATETIME: _dated(b"TIMESTAMP"),
    ColumnType.TIME: lambda cell: b"TIME'" + cell + b"'",
}


def _cast(text: bytes, column: ColumnDefinition) -> bytes:
    """The value as of the type that the query has."""
    unsigned = bool(column.flags & ColumnFlag.UNSIGNED)
    if column.type in INTEGERS:
        return b"CAST(%b AS %b)" % (text, b"UNSIGNED" if unsigned else b"SIGNED")
    if column.type == ColumnType.NEWDECIMAL:
        if unsigned:
            raise Unplannable("a subquery of type DECIMAL UNSIGNED in an expression, over several shards")
        scale = column.decimals
        digits = min(column.length - (scale > 0) - 1, _MOST_DIGITS)
        return b"CAST(%b AS DECIMAL(%d,%d))" % (text, digits, scale)
    if text != b"NULL":
        return text
    match column.type:
        case ColumnType.DOUBLE:
            return b"(NULL + 0e0)"
        case ColumnType.DATE:
            return b"CAST(NULL AS DATE)"
        case ColumnType.DATETIME:
            return b"CAST(NULL AS DATETIME(%d))" % min(column.decimals, 6)
        case ColumnType.TIME:
            return b"CAST(NULL AS TIME(%d))" % min(column.decimals, 6)
    return text


# -- values --------------------------------------------------------------------------------------------------------


def values_of(step: Step, result: Result) -> tuple[Value, ...] | None:
    """What the query gave, as far as shards can be told by it; None for what has no plain values."""
    if step.answers is Answers.EXISTS or (step.answers is Answers.VALUE and len(result.rows) > 1):
        return None
    read = _reading(result)
    if read is None:
        return None
    try:
        found = tuple(None if cell is None else read(cell) for cell in result.cells)
    except (UnicodeDecodeError, ValueError):
        return None
    return found if found or step.answers is Answers.LIST else (None,)


def _reading(result: Result) -> Callable[[bytes], Value] | None:
    column = result.columns[0]
    kind = _family(column)
    if column.type in INTEGERS and kind is not None:
        return int
    if column.type == ColumnType.NEWDECIMAL:
        return lambda cell: Decimal(cell.decode())
    if kind == "date":
        return bytes.decode
    codec = python_codec(result.charset) if result.charset is not None and kind == "text" else None
    return None if codec is None else lambda cell: cell.decode(codec)
