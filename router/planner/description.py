"""Views of information_schema that also tell of sharded tables: how a statement about them is written anew.

The own group of a schema is asked a text in which each view is a derived table: its own rows, and as literals those of
the tables that live on shards. Joins, conditions, order and limits stay the server's. A text is a template without
literals of the statement, as in ``planner/clauses``; rows come in when it is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from router.planner.clauses import Span
from router.sql.lexer import LexMode, Token, tokens_of

Cell = int | float | Decimal | str | bytes | date | None


@dataclass(frozen=True, slots=True)
class View:
    """Where a view of information_schema stands (its name in upper case). With ``status`` its columns are those of SHOW
    TABLE STATUS, of the tables of that schema."""

    name: str
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """The quoted name of a column; the token of number ``pattern``, a string, is part of it."""

    name: str
    pattern: int | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """Behind a column of a view, its name there in upper case: MySQL heads it so, however it is written."""

    name: str


@dataclass(frozen=True, slots=True)
class Only:
    """A piece for servers of one flavor."""

    flavor: str
    piece: str | Span


Piece = str | Span | View | Heading | Named | Only
Asks = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What sharded tables add to a view: its ``columns`` on the server that is asked, those of them that are
    ``unsigned``, and ``rows``. ``without`` is the condition that rows of that server must meet."""

    columns: tuple[str, ...]
    unsigned: frozenset[str]
    rows: tuple[tuple[Cell, ...], ...]
    without: str


def text_of(asks: Asks, sql: bytes, mode: LexMode, listings: Mapping[str, Listing], flavor: str) -> bytes:
    """The statement for the server, which is of this ``flavor``; ``listings`` by view."""
    tokens = tokens_of(sql, mode)
    pieces = []
    for piece in asks:
        if isinstance(piece, Only):
            if piece.flavor != flavor:
                continue
            piece = piece.piece
        match piece:
            case Span(first, last):
                pieces.append(sql[tokens[first].start : tokens[last - 1].end] if last > first else b"")
            case View(name, None):
                pieces.append(derived(name, listings[name], flavor).encode())
            case View(name, str(schema)):
                pieces.append(_status(schema, derived(name, listings[name], flavor), listings[name]).encode())
            case Named(name):
                known = flavor == "mysql" and any(name in listing.columns for listing in listings.values())
                pieces.append(f"AS `{name}`".encode() if known else b"")
            case Heading():
                pieces.append(_heading(piece, sql, tokens, mode))
            case str():
                pieces.append(piece.encode())
    return b" ".join(pieces)


def _heading(heading: Heading, sql: bytes, tokens: Sequence[Token], mode: LexMode) -> bytes:
    name = heading.name.encode()
    if heading.pattern is not None:
        token = tokens[heading.pattern]
        raw = sql[token.start : token.end]
        inner = raw[1:-1].replace(raw[:1] * 2, raw[:1])
        # Of what is written with a backslash, servers keep the backslash of \% and \_ only.
        inner = inner if mode.no_backslash_escapes else re.sub(rb"\\(?![%_])(.)", rb"\1", inner, flags=re.DOTALL)
        name += b" (" + inner + b")"
    return b"`" + name.replace(b"`", b"``") + b"`"


def derived(view: str, listing: Listing, flavor: str) -> str:
    """The view, as a derived table in parentheses."""
    columns = ", ".join(f"`{name}`" for name in listing.columns)
    text = f"SELECT {columns} FROM information_schema.`{view}` WHERE {listing.without}"  # noqa: S608 - names of servers
    if listing.rows:
        unsigned = [name in listing.unsigned for name in listing.columns]
        row = "ROW" if flavor == "mysql" else ""
        rows = ", ".join(f"{row}({', '.join(map(literal, each, unsigned))})" for each in listing.rows)
        text += f" UNION ALL VALUES {rows}"
    return f"({text})"


_STATUS = {"TABLE_NAME": "Name", "TABLE_ROWS": "Rows", "TABLE_COLLATION": "Collation", "TABLE_COMMENT": "Comment"}
_NO_STATUS = frozenset({"TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_TYPE"})


def _status(schema: str, table: str, listing: Listing) -> str:
    columns = ", ".join(
        f"`{name}` AS `{_STATUS.get(name, name.capitalize())}`" for name in listing.columns if name not in _NO_STATUS
    )
    return f"(SELECT {columns} FROM {table} AS t WHERE TABLE_SCHEMA = {literal(schema)})"  # noqa: S608 - as above


# What means the same in every character set and sql_mode.
_PLAIN = re.compile(r"[A-Za-z0-9_ .,:;()<>=+*/#@-]*")


def literal(value: Cell, unsigned: bool = False) -> str:
    """A value as a literal, in ASCII, of the type it has in a view."""
    match value:
        # To MariaDB a plain NULL has a sign, which makes a DECIMAL of the column.
        case None:
            return "CAST(NULL AS UNSIGNED)" if unsigned else "NULL"
        case int() if unsigned:
            return f"CAST({value} AS UNSIGNED)"
        case int() | float() | Decimal():
            return str(value)
        case date():
            return f"TIMESTAMP'{value}'"
        case bytes():
            return f"0x{value.hex()}" if value else "''"
        case str() if _PLAIN.fullmatch(value):
            return f"'{value}'"
        case str():
            return f"_utf8mb4 0x{value.encode().hex()}"
