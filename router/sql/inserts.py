"""The rows of an INSERT or REPLACE, found by its tokens.

There can be thousands of them, which a parser of ours would take seconds for. Only what begins and ends a row, or a
value in it, is looked at; what the values are is for others.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.sql.lexer import Token, TokenKind

Span = tuple[int, int]
"""The numbers of the first token, and of the first one behind."""

_MODIFIERS = frozenset({"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"})
_QUERY = frozenset({"SELECT", "WITH", "TABLE", "VALUES", "("})


@dataclass(frozen=True, slots=True)
class RowList:
    """``VALUES (…), (…)``, or ``SET a = …`` as one row. Numbers of tokens.

    Rows stand in ``whole``. Each of ``rows`` has the spans of its values; ``spans`` are those of the rows themselves,
    parentheses and all. ``columns`` is the opening parenthesis of the list of columns (-1: there is none), ``assigned``
    the form with SET.
    """

    whole: Span
    spans: tuple[Span, ...]
    rows: tuple[tuple[Span, ...], ...]
    columns: int = -1
    assigned: bool = False


def rows_of(tokens: list[Token]) -> RowList | None:
    """The rows of a statement; None if it is none that has rows, such as INSERT … SELECT."""
    index, columns = _behind_target(tokens)
    word = _text(tokens, index)
    if word in ("VALUES", "VALUE") and _text(tokens, index + 1) == "(":
        return _listed(tokens, index + 1, columns)
    return _assigned(tokens, index + 1) if word == "SET" else None


def _text(tokens: list[Token], index: int) -> str:
    return tokens[index].text if 0 <= index < len(tokens) else ""


def _behind_target(tokens: list[Token]) -> tuple[int, int]:
    """Where rows may begin (-1: that cannot be told), behind the table and its partitions, and where columns do."""
    index = 1
    while _text(tokens, index) in _MODIFIERS:
        index += 1
    if _text(tokens, index) == "INTO":
        index += 1
    index += 3 if _text(tokens, index + 1) == "." else 1
    if _text(tokens, index) == "PARTITION" and _text(tokens, index + 1) == "(":
        index = _closing(tokens, index + 1) + 1
    if _text(tokens, index) != "(":
        return index, -1
    if _text(tokens, index + 1) in _QUERY:
        return -1, -1
    return _closing(tokens, index) + 1, index


def _closing(tokens: list[Token], opening: int) -> int:
    depth = 0
    for index in range(opening, len(tokens)):
        text = tokens[index].text
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
            if depth == 0:
                return index
    return len(tokens)


def _listed(tokens: list[Token], first: int, columns: int) -> RowList | None:
    spans: list[Span] = []
    rows: list[tuple[Span, ...]] = []
    index, end = first, len(tokens)
    texts = [text for _, _, _, text in tokens]  # a third faster than to ask each token
    while True:
        opening = index
        values: list[Span] = []
        depth = 1
        index = start = index + 1
        while index < end:
            text = texts[index]
            if text == "(":
                depth += 1
            elif text == ")":
                depth -= 1
                if depth == 0:
                    break
            elif text == "," and depth == 1:
                values.append((start, index))
                start = index + 1
            index += 1
        else:
            return None  # never closed
        if values or index > start:
            values.append((start, index))
        index += 1
        spans.append((opening, index))
        rows.append(tuple(values))
        if _text(tokens, index) != "," or _text(tokens, index + 1) != "(":
            return RowList((first, index), tuple(spans), tuple(rows), columns)
        index += 1


def _assigned(tokens: list[Token], first: int) -> RowList | None:
    values: list[Span] = []
    depth = 0
    start: int | None = None
    index = first
    while index < len(tokens):
        text = tokens[index].text
        if depth == 0 and text in ("AS", "ON", "RETURNING") and tokens[index].kind is TokenKind.WORD:
            break
        depth += (text == "(") - (text == ")")
        if start is None and text in ("=", ":="):
            start = index + 1
        elif text == "," and depth == 0 and start is not None:
            values.append((start, index))
            start = None
        index += 1
    if start is None:
        return None
    values.append((start, index))
    return RowList((first, index), ((first, index),), (tuple(values),), assigned=True)
