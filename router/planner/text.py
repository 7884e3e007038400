"""A statement's text as the planner looks at it: tokens, and where literals and parameters stand."""

from __future__ import annotations

from sqlglot import exp

from router.planner.routes import Parameter, Reference, Slot
from router.sql import tree
from router.sql.fingerprint import literal_spans
from router.sql.lexer import LexMode, TokenKind, tokens_of


class Text:
    """A statement's tokens, and where the literals and parameters stand in it."""

    def __init__(self, sql: bytes, mode: LexMode) -> None:
        self.sql = sql
        self.mode = mode
        self.tokens = tokens_of(sql, mode)
        self._slots = {span: number for number, span in enumerate(literal_spans(sql, mode))}
        places = [index for index, (kind, _, _, _) in enumerate(self.tokens) if kind is TokenKind.PARAM]
        self._parameters = {index: number for number, index in enumerate(places)}

    def reference(self, node: exp.Expr) -> Reference | None:
        """The literal or parameter that a node is, perhaps behind a minus sign."""
        if isinstance(node, exp.Neg):
            inner = self.reference(node.this)
            return None if inner is None or inner.negative else type(inner)(inner.number, negative=True)
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
