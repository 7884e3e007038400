"""A statement's text as the planner looks at it: tokens, and where literals and parameters stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from router.planner.clauses import Span
from router.planner.routes import Parameter, Reference, Slot, Told
from router.sql import tree
from router.sql.fingerprint import literal_spans
from router.sql.lexer import LexMode, Token, TokenKind, tokens_of


@dataclass(frozen=True, slots=True)
class Cut:
    """A query in a statement that is asked beforehand: ``head`` and what it gives stand for ``span``."""

    span: Span
    number: int
    listed: bool = False
    head: str = ""

    @property
    def stand_in(self) -> str:
        """The name of the parameter that the parser sees in its place."""
        return f"given{self.number}"

    @property
    def seen(self) -> bytes:
        """What the parser sees."""
        return f"{self.head}(:{self.stand_in})".encode() if self.listed else f":{self.stand_in}".encode()

    @property
    def reference(self) -> Told:
        """What it gives."""
        return Told(self.number, listed=self.listed)


class Text:
    """A statement's tokens, and where the literals and parameters stand in it.

    ``cuts`` are the queries in it that are asked beforehand: their tokens say nothing.
    """

    def __init__(self, sql: bytes, mode: LexMode, cuts: Sequence[Cut] = ()) -> None:
        self.sql = sql
        self.mode = mode
        self.tokens = tokens_of(sql, mode)
        self._slots = {span: number for number, span in enumerate(literal_spans(sql, mode))}
        places = [index for index, (kind, _, _, _) in enumerate(self.tokens) if kind is TokenKind.PARAM]
        self._parameters = {index: number for number, index in enumerate(places)}
        self._cuts = {cut.stand_in: cut.reference for cut in cuts}
        self.instead = {cut.span.first: (cut.span.last, cut.seen) for cut in cuts}
        for cut in cuts:
            for index in range(cut.span.first, cut.span.last):
                _, start, end, _ = self.tokens[index]
                self.tokens[index] = Token(TokenKind.WORD, start, end, "")

    def reference(self, node: exp.Expr) -> Reference | None:
        """The literal or parameter that a node is, perhaps behind a minus sign."""
        if isinstance(node, exp.Neg):
            inner = self.reference(node.this)
            return None if inner is None or inner.negative else type(inner)(inner.number, negative=True)
        if self._cuts and isinstance(node, exp.Placeholder) and node.name in self._cuts:
            return self._cuts[node.name]
        index = tree.mark_of(node)
        return None if index is None or not 0 <= index < len(self.tokens) else self.standing(index)

    def written(self, start: int, end: int) -> Reference | None:
        """The literal or parameter that the tokens from ``start`` to before ``end`` are, perhaps behind a sign."""
        tokens = self.tokens
        while end - start > 2 and tokens[start].text == "(" and tokens[end - 1].text == ")":
            start, end = start + 1, end - 1
        if end - start == 1:
            return self.standing(start)
        if end - start != 2 or tokens[start].text not in ("+", "-"):
            return None
        inner = self.standing(start + 1)
        return inner if inner is None or tokens[start].text == "+" else type(inner)(inner.number, negative=True)

    def standing(self, index: int) -> Reference | None:
        """The literal or parameter that is the token of this number."""
        token = self.tokens[index]
        if token.kind is TokenKind.PARAM:
            return Parameter(self._parameters[index])
        number = self._slots.get((token.start, token.end))
        return None if number is None else Slot(number)
