"""The clauses of a SELECT by its tokens, and texts put together from parts of a statement.

A text is a *template*: pieces of SQL and spans of the statement's own tokens. It has no literals in it, so that one
template serves all statements of a shape; spans are looked up anew in each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from router.sql.lexer import Token, TokenKind


class Span(NamedTuple):
    """Tokens from ``first`` on, before ``last``."""

    first: int
    last: int


Piece = str | Span
Template = tuple[Piece, ...]

# Names of one function.
_SYNONYMS = {"STD": "STDDEV_POP", "STDDEV": "STDDEV_POP", "VARIANCE": "VAR_POP"}
AGGREGATES = frozenset(
    {"COUNT", "SUM", "AVG", "MIN", "MAX", "BIT_AND", "BIT_OR", "BIT_XOR", "GROUP_CONCAT"}
) | frozenset({"STDDEV_POP", "STDDEV_SAMP", "VAR_POP", "VAR_SAMP", *_SYNONYMS})
_OPTIONS = frozenset({"DISTINCT", "ALL", "DISTINCTROW", "HIGH_PRIORITY", "STRAIGHT_JOIN"})
_CLAUSES = frozenset({"FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT"})
_BY = frozenset({"GROUP", "ORDER"})


class Instead(NamedTuple):
    """What stands in a statement for the tokens of ``span``."""

    span: Span
    sql: bytes


def render(template: Template, sql: bytes, tokens: Sequence[Token], given: Sequence[Instead] = ()) -> bytes:
    """The text of a template for this statement; spans keep the white space and comments in them.

    ``given`` texts, in their order, stand for some of its tokens; a span of a template has all of these, or none.
    """
    return b" ".join(
        piece.encode() if isinstance(piece, str) else _written(piece, sql, tokens, given)
        for piece in template
        if (piece if isinstance(piece, str) else piece.last > piece.first)
    )


def _written(span: Span, sql: bytes, tokens: Sequence[Token], given: Sequence[Instead]) -> bytes:
    pieces: list[bytes] = []
    start = tokens[span.first].start
    for each, text in given:
        if span.first <= each.first < span.last:
            pieces += (sql[start : tokens[each.first].start], text)
            start = tokens[each.last - 1].end
    pieces.append(sql[start : tokens[span.last - 1].end])
    return b"".join(pieces)


def parameters(template: Template, tokens: Sequence[Token], given: Sequence[Instead] = ()) -> Iterator[int]:
    """The numbers of the parameters that stand in a template, in their order."""
    numbers: dict[int, int] = {}
    for index, token in enumerate(tokens):
        if token.kind is TokenKind.PARAM:
            numbers[index] = len(numbers)
    gone = {index for span, _ in given for index in range(span.first, span.last)}
    for piece in template:
        if isinstance(piece, Span):
            within = range(piece.first, piece.last)
            yield from (numbers[index] for index in within if index in numbers and index not in gone)


@dataclass(frozen=True, slots=True)
class Clauses:
    """Where a SELECT's clauses are: spans of the select list's items, of GROUP BY's and ORDER BY's terms, and more.

    ``head`` is what stands before FROM, ``body`` from there to GROUP BY, ``group``, ``having``, ``order`` and ``limit``
    are whole clauses (empty where there is none). ``rest`` is what stands between HAVING and ORDER BY.
    """

    head: Span
    items: tuple[Span, ...]
    body: Span
    group: Span
    groups: tuple[Span, ...]
    having: Span
    rest: Span
    order: Span
    orders: tuple[Span, ...]
    limit: Span


def clauses_of(tokens: Sequence[Token], span: Span) -> Clauses:
    """The clauses of the SELECT in ``span``. Raises LookupError for one without FROM."""
    found: dict[str, int] = {}
    for index in _outer(tokens, span):
        word = tokens[index].text
        if tokens[index].kind is not TokenKind.WORD or (index > span.first and tokens[index - 1].text == "."):
            continue
        begins = word == "SELECT" or (word in _CLAUSES and "SELECT" in found)
        if begins and (word not in _BY or (index + 1 < span.last and tokens[index + 1].text == "BY")):
            found.setdefault(word, index)
    ends = [found.get(word, -1) for word in ("FROM", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT")]
    starts = [span.last] * 7
    for place in reversed(range(6)):
        starts[place] = ends[place] if ends[place] >= 0 else starts[place + 1]
    from_, group, having, rest, order, limit, end = starts
    if "FROM" not in found or sorted(starts) != starts:
        raise LookupError("FROM")
    first = found["SELECT"] + 1
    while tokens[first].text in _OPTIONS or tokens[first].text.startswith("SQL_"):
        first += 1
    return Clauses(
        Span(span.first, from_),
        listed(tokens, Span(first, from_)),
        Span(from_, group),
        Span(group, having),
        listed(tokens, Span(group + 2, having)),
        Span(having, rest),
        Span(rest, order),
        Span(order, limit),
        tuple(_undirected(tokens, each) for each in listed(tokens, Span(order + 2, limit))),
        Span(limit, end),
    )


def items_of(tokens: Sequence[Token], span: Span) -> tuple[Span, ...]:
    """The items of the select list of the SELECT in ``span``, which need not have a FROM."""
    ends = _CLAUSES | {"FOR", "LOCK", "INTO", "UNION"}
    words = [index for index in _outer(tokens, span) if tokens[index].kind is TokenKind.WORD]
    select = next(index for index in words if tokens[index].text == "SELECT")
    last = next((index for index in words if index > select and tokens[index].text in ends), span.last)
    first = select + 1
    while tokens[first].text in _OPTIONS or tokens[first].text.startswith("SQL_"):
        first += 1
    return listed(tokens, Span(first, last))


def _outer(tokens: Sequence[Token], span: Span) -> Iterator[int]:
    """The tokens that are in no parentheses."""
    depth = 0
    for index in range(span.first, span.last):
        kind, _, _, text = tokens[index]
        if kind is TokenKind.PUNCT:
            depth += (text == "(") - (text == ")")
        if not depth:
            yield index


def listed(tokens: Sequence[Token], span: Span) -> tuple[Span, ...]:
    """The spans between commas."""
    if span.first >= span.last:
        return ()
    commas = [index for index in _outer(tokens, span) if tokens[index].text == "," and _is_mark(tokens[index])]
    starts = [span.first, *(index + 1 for index in commas)]
    return tuple(Span(first, last) for first, last in zip(starts, [*commas, span.last], strict=True))


def _is_mark(token: Token) -> bool:
    return token.kind is TokenKind.PUNCT


def _undirected(tokens: Sequence[Token], span: Span) -> Span:
    """A term of ORDER BY without ASC or DESC."""
    return Span(span.first, span.last - (tokens[span.last - 1].text in ("ASC", "DESC")))


def unnamed(tokens: Sequence[Token], span: Span, named: bool) -> Span:
    """An item of the select list without its alias, which is its last token."""
    last = span.last - named
    return Span(span.first, last - (named and tokens[last - 1].text == "AS"))


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an aggregate function: its argument without DISTINCT, the terms of an ORDER BY in it, the SEPARATOR."""

    name: str
    whole: Span
    argument: Span
    orders: tuple[Span, ...] = ()
    separator: Span | None = None


def calls(tokens: Sequence[Token], span: Span) -> Iterator[Call]:
    """The calls of aggregate functions in a span, from left to right."""
    index = span.first
    while index + 1 < span.last:
        token = tokens[index]
        if token.kind is not TokenKind.WORD or token.text not in AGGREGATES or tokens[index + 1].text != "(":
            index += 1
            continue
        inner = next(each for each in _outer(tokens, Span(index + 1, span.last)))
        first = index + 2 + (tokens[index + 2].text in ("DISTINCT", "ALL"))
        yield _call(tokens, Span(index, inner + 1), Span(first, inner))
        index = inner + 1


def _call(tokens: Sequence[Token], whole: Span, inside: Span) -> Call:
    name = _SYNONYMS.get(tokens[whole.first].text, tokens[whole.first].text)
    found = {tokens[index].text: index for index in _outer(tokens, inside) if tokens[index].kind is TokenKind.WORD}
    if name != "GROUP_CONCAT":
        return Call(name, whole, inside)
    separator = found.get("SEPARATOR", inside.last)
    order = found.get("ORDER", separator)
    terms = listed(tokens, Span(order + 2, separator))
    orders = tuple(_undirected(tokens, each) for each in terms)
    said = Span(separator + 1, inside.last) if separator < inside.last else None
    return Call(name, whole, Span(inside.first, order), orders, said)


def branches_of(tokens: Sequence[Token], span: Span) -> tuple[tuple[Span, ...], Span]:
    """The queries of a set operation, without parentheses around them; and the ORDER BY and LIMIT at its end.

    Raises LookupError where that cannot be told.
    """
    starts = [span.first]
    end = span.last
    for index in _outer(tokens, span):
        kind, _, _, text = tokens[index]
        if kind is not TokenKind.WORD or (index and tokens[index - 1].text == "."):
            continue
        if text in ("UNION", "EXCEPT", "INTERSECT", "MINUS"):
            starts.append(index)
        elif end == span.last and (
            text == "LIMIT" or (text == "ORDER" and index + 1 < span.last and tokens[index + 1].text == "BY")
        ):
            end = index
    if end < starts[-1]:
        raise LookupError("ORDER BY or LIMIT before the end")
    found: list[Span] = []
    for first, last in zip(starts, [*starts[1:], end], strict=True):
        begin = first + (first > span.first)
        begin += begin > first and tokens[begin].text in ("ALL", "DISTINCT")
        found.append(_bare(tokens, Span(begin, last)))
    return tuple(found), Span(end, span.last)


def _bare(tokens: Sequence[Token], span: Span) -> Span:
    if tokens[span.first].text != "(":
        return span
    if next(_outer(tokens, span)) != span.last - 1:
        raise LookupError("something beside a query in parentheses")
    return Span(span.first + 1, span.last - 1)
