"""CREATE TABLE statements → columns as ``information_schema.COLUMNS`` would tell them, for plans without a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from router.sql.lexer import LexMode, tokenize

Row = tuple[Any, ...]
# What servers take for names that are other types, or shorter ones.
_SAME = {"boolean": "tinyint", "bool": "tinyint", "integer": "int", "numeric": "decimal", "dec": "decimal"}
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})
_TYPE = re.compile(r"(\w+)(?:\s*\(([^)]*)\))?")
_DEFAULT_COLLATION = "utf8mb4_general_ci"


@dataclass(frozen=True, slots=True)
class Created:
    """A table: rows for its columns (without the table's name), and the columns of each unique key."""

    name: str
    columns: tuple[Row, ...]
    unique: tuple[tuple[str, ...], ...]


class Unreadable(Exception):
    """A CREATE TABLE that is not understood; the message says which."""


def tables_of(text: str) -> Iterator[Created]:
    """The tables that a file creates; other statements are passed over. Raises Unreadable."""
    for statement in _statements(text.encode()):
        words = statement.split(None, 3)
        if [each.upper() for each in words[:2]] == [b"CREATE", b"TABLE"]:
            yield _table(statement.decode("utf-8", "replace"))


def _statements(text: bytes) -> Iterator[bytes]:
    start: int | None = None
    end = 0
    for token in tokenize(text, LexMode()):
        if token.text == ";":
            if start is not None:
                yield text[start:end]
            start = None
            continue
        start = token.start if start is None else start
        end = token.end
    if start is not None:
        yield text[start:end]


def _table(statement: str) -> Created:
    head = " ".join(statement.split())[:60]
    try:
        root = sqlglot.parse_one(statement, dialect="mysql")
    except (SqlglotError, RecursionError):
        raise Unreadable(f"{head} … is not understood") from None
    schema = root.this if isinstance(root, exp.Create) else None
    if not isinstance(schema, exp.Schema):
        raise Unreadable(f"{head} … lists no columns")
    collation = _collation(root.args.get("properties")) or _DEFAULT_COLLATION
    columns = [each for each in schema.expressions if isinstance(each, exp.ColumnDef)]
    unique = list(_keys(schema, columns))
    primary = set(unique[0]) if unique and _has_primary(schema, columns) else set()
    return Created(
        schema.this.name,
        tuple(_column(each, collation, each.name.lower() in primary) for each in columns),
        tuple(unique),
    )


def _constraints(column: exp.ColumnDef) -> list[exp.Expr]:
    return [each.args.get("kind") for each in column.args.get("constraints") or [] if each.args.get("kind") is not None]


def _has_primary(schema: exp.Schema, columns: list[exp.ColumnDef]) -> bool:
    inline = any(isinstance(kind, exp.PrimaryKeyColumnConstraint) for each in columns for kind in _constraints(each))
    return inline or next(schema.find_all(exp.PrimaryKey), None) is not None


def _keys(schema: exp.Schema, columns: list[exp.ColumnDef]) -> Iterator[tuple[str, ...]]:
    """The primary key first."""
    others: list[tuple[str, ...]] = []
    for each in columns:
        for kind in _constraints(each):
            if isinstance(kind, exp.PrimaryKeyColumnConstraint):
                yield (each.name.lower(),)
            elif isinstance(kind, exp.UniqueColumnConstraint):
                others.append((each.name.lower(),))
    for part in schema.expressions:
        if isinstance(part, exp.ColumnDef):
            continue
        for key in part.find_all(exp.PrimaryKey):
            yield _names(key.expressions)
        for unique in part.find_all(exp.UniqueColumnConstraint):
            listed = unique.this
            others.append(_names(listed.expressions if isinstance(listed, exp.Schema) else []))
    yield from others


def _names(parts: list[exp.Expr]) -> tuple[str, ...]:
    return tuple((part.this.name if isinstance(part, exp.Ordered) else part.name).lower() for part in parts)


def _collation(properties: exp.Expr | None) -> str | None:
    if properties is None:
        return None
    collate = properties.find(exp.CollateProperty)
    if collate is not None:
        return str(collate.this.name).lower()
    charset = properties.find(exp.CharacterSetProperty)
    return None if charset is None else f"{charset.this.name.lower()}_general_ci"


def _column(column: exp.ColumnDef, collation: str, is_key: bool) -> Row:
    """Name, type, full type, nullable, collation, length, precision, scale, fraction, extra, has a default, default."""
    written = column.kind.sql(dialect="mysql").lower() if column.kind is not None else ""
    found = _TYPE.match(written)
    name = _SAME.get(found[1], found[1]) if found else ""
    sizes = [int(each) for each in (found[2] or "").split(",") if each.strip().isdigit()] if found else []
    kinds = _constraints(column)
    is_null = not is_key and not any(
        isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null") for kind in kinds
    )
    for kind in kinds:
        if isinstance(kind, exp.CollateColumnConstraint):
            collation = kind.this.name.lower()
        elif isinstance(kind, exp.CharacterSetColumnConstraint):
            collation = f"{kind.this.name.lower()}_general_ci"
    extra = "auto_increment" if any(isinstance(kind, exp.AutoIncrementColumnConstraint) for kind in kinds) else ""
    if any(isinstance(kind, exp.ComputedColumnConstraint | exp.GeneratedAsIdentityColumnConstraint) for kind in kinds):
        extra = "STORED GENERATED"
    default = next((kind.this.sql("mysql") for kind in kinds if isinstance(kind, exp.DefaultColumnConstraint)), None)
    first = sizes[0] if sizes else None
    is_text = name in _TEXTS
    return (
        column.name,
        name,
        written,
        "YES" if is_null else "NO",
        collation if is_text else None,
        (first or 1) if name in ("char", "varchar", "binary", "varbinary") else None,
        first if name == "decimal" else None,
        sizes[1] if name == "decimal" and len(sizes) > 1 else 0,
        first if name in ("datetime", "timestamp", "time") else None,
        extra,
        int(default is not None),
        default,
    )
