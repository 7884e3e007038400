"""SELECT … FOR UPDATE and its like over several shards: each locks its own rows, in the transaction they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from router.planner.clauses import Span
from router.planner.merging import MergeSpec, Scatter
from router.planner.routes import Unplannable
from router.planner.variants import Variants
from router.sql.facts import StatementFacts
from router.sql.lexer import Token

# What may stand at the end of a SELECT, and what behind it.
_CLAUSES = (("FOR", "UPDATE"), ("FOR", "SHARE"), ("LOCK", "IN", "SHARE", "MODE"))
_MODIFIERS = ((), ("NOWAIT",), ("SKIP", "LOCKED"))


def clause_at(tokens: Sequence[Token]) -> int | None:
    """Where the locking clause at the end of a statement begins."""
    texts = tuple(token.text for token in tokens)
    for clause in _CLAUSES:
        for modifier in _MODIFIERS:
            whole = clause + modifier
            if texts[-len(whole) :] == whole:
                return len(texts) - len(whole)
    return None


def locked(
    tokens: Sequence[Token], analyzed: Callable[[int], StatementFacts], plan: Callable[[int], Scatter | Variants]
) -> Scatter:
    """The plan of a locking read: that of the read in front of its clause, with the clause behind it.

    ``analyzed`` and ``plan`` are asked about the statement before a token. Raises Unplannable.
    """
    at = clause_at(tokens)
    if at is None:
        raise Unplannable("a locking clause that is not the end of the statement, over several shards")
    facts = analyzed(tokens[at].start)
    if not facts.read:
        raise Unplannable(f"a SELECT over several shards that is not proven to be a read ({facts.reason.value})")
    scatter = plan(at)
    if not isinstance(scatter, Scatter) or not _is_rows(scatter.merge):
        raise Unplannable("a locking read of groups, of distinct rows or with LIMIT over several shards")
    return replace(scatter, asks=(*scatter.asks, Span(at, len(tokens))))


def _is_rows(merge: MergeSpec) -> bool:
    """Whether the shards' rows are the statement's: neither fewer nor made of several."""
    return merge.groups is None and not merge.distinct and merge.limit is None and merge.offset is None
