"""What each shard is asked when a SELECT concerns several, and how the answers become one.

The statement stays as the client wrote it, but for columns added to its select list (what rows are merged by), its
ORDER BY where groups have to come sorted, and its LIMIT. Only shapes that are proven to be exact pass; anything else is
Unplannable with the construct named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from router.planner.blocks import Block, Blocks, Unplannable
from router.planner.branches import Branch, counted
from router.planner.clauses import Span
from router.planner.columns import Columns
from router.planner.grouping import Grouping
from router.planner.merging import MergeSpec, OrderKey, Scatter
from router.planner.routes import Reference, Slot
from router.planner.unions import union
from router.planner.variants import NONE, Literals, Variants
from router.sql.lexer import Token


def scatter(root: exp.Expr, blocks: Blocks, tokens: list[Token]) -> Scatter | Variants:
    """The plan for several shards. Raises Unplannable."""
    builder = _Builder(root, blocks, blocks.outermost, tokens)
    slots, positional = builder.literals_that_matter()
    if not slots:
        return builder.build(NONE)
    if isinstance(root, exp.Select):
        builder.branch(root).check()  # whatever the literals are
    return Variants(slots, positional, builder.build)


@dataclass(slots=True)
class _Builder:
    root: exp.Expr
    blocks: Blocks
    outermost: list[Block]
    tokens: list[Token]

    def literals_that_matter(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The literals to compare with each other, if ORDER BY or GROUP BY have any; and those that are positions."""
        selects = [block.node for block in self.outermost]
        terms = [term for select in selects for term in _terms(select, "group")]
        terms += [each.this for select in [self.root, *selects] for each in _terms(select, "order")]
        if not any(self._slots(each) for each in terms):
            return (), ()
        items = [slot for select in selects for item in select.expressions for slot in self._slots(item)]
        positional = [slot.number for each in terms if isinstance(slot := self._plain(each), Slot)]
        return (*items, *(slot for each in terms for slot in self._slots(each))), tuple(dict.fromkeys(positional))

    def _plain(self, node: exp.Expr) -> Reference | None:
        while isinstance(node, exp.Paren):
            node = node.this
        found = self.blocks.reference(node)
        return None if found is None or found.negative else found

    def _slots(self, node: exp.Expr) -> list[int]:
        found = (self.blocks.reference(each) for each in node.find_all(exp.Literal))
        return [each.number for each in found if isinstance(each, Slot)]

    def build(self, literals: Literals) -> Scatter:
        """The plan for statements of which so much is known. Raises Unplannable."""
        root = self.root
        try:
            made = self._shaped(literals)
        except LookupError:
            raise Unplannable("a SELECT of this form over several shards", root) from None
        limit, offset = (counted(root, clause, self.blocks) for clause in ("limit", "offset"))
        return replace(made, merge=replace(made.merge, limit=limit, offset=offset))

    def branch(self, root: exp.Select) -> Branch:
        """The only SELECT."""
        return Branch(root, self.blocks, self.outermost[0], self.tokens, Span(0, len(self.tokens)))

    def _shaped(self, literals: Literals) -> Scatter:
        root = self.root
        if isinstance(root, exp.SetOperation):
            return union(root, self.blocks, self.tokens, literals)
        if not isinstance(root, exp.Select):
            raise Unplannable("a SELECT in parentheses over several shards", root)
        branch = self.branch(root)
        branch.check()
        columns = branch.columns(literals)
        if branch.splits(columns):
            if windows := branch.windows():
                raise Unplannable("a window over groups of several shards", windows[0])
            parts = (root, self.blocks, branch.block, branch.routes, self.tokens, literals, branch.span)
            return Grouping(*parts).build(branch.counts_apart())
        return _distinct(columns) if branch.repeats() else _rows(columns)


def _rows(columns: Columns) -> Scatter:
    """Rows as they are, in the statement's own order."""
    keys = tuple(key for key, _ in _ordered(columns))
    clauses = columns.clauses
    asks = (clauses.head, *columns.listed(), clauses.body, clauses.group, clauses.having, clauses.rest, clauses.order)
    return Scatter(columns.routes, asks, MergeSpec(len(columns.extras), keys), pushes_limit=True)


def _ordered(columns: Columns) -> Iterator[tuple[OrderKey, int | None]]:
    """The keys of ORDER BY, with the position at which each is selected."""
    for ordered, span in zip(columns.order(), columns.clauses.orders, strict=True):
        meant = columns.meant(ordered.this, span, aliases_first=True)
        yield columns.key(meant, descending=bool(ordered.args.get("desc"))), meant.position


def _distinct(columns: Columns) -> Scatter:
    """Rows sorted by all their columns: equal ones meet."""
    if columns.starred:
        raise Unplannable("DISTINCT * over several shards", columns.root)
    keys: list[OrderKey] = []
    terms: list[str] = []
    left = list(range(len(columns.items)))
    for key, position in _ordered(columns):
        if position is None:
            raise Unplannable("DISTINCT over several shards, in the order of what is not selected", columns.root)
        if position in left:
            left.remove(position)
        keys.append(key)
        terms.append(f"{position + 1}{' DESC' * key.descending}")
    for position in left:
        keys.append(columns.key(columns.item(position)))
        terms.append(str(position + 1))
    clauses = columns.clauses
    order = f"ORDER BY {', '.join(terms)}"
    asks = (clauses.head, *columns.listed(), clauses.body, clauses.group, clauses.having, clauses.rest, order)
    spec = MergeSpec(len(columns.extras), tuple(keys), distinct=True)
    return Scatter(columns.routes, asks, spec, pushes_limit=True)


def _terms(root: exp.Expr, clause: str) -> list[exp.Expr]:
    found = root.args.get(clause)
    return [] if found is None else list(found.expressions)
