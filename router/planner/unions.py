"""UNION over several shards, of SELECTs that each shard could be asked by itself.

Each shard is asked the whole statement: the union of the shards' unions is the union of all, and where UNION drops
repeated rows, so does the merge. Rows are merged by what is selected; text only where all branches select columns of
one collation there, whose weights are then added to each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from router.planner.blocks import Block, Blocks, Unplannable, is_star, unaliased
from router.planner.branches import Branch
from router.planner.clauses import Span, Template, branches_of
from router.planner.columns import Columns, column_name, weighed
from router.planner.merging import Compare, MergeSpec, OrderKey, Scatter
from router.planner.routes import Slot
from router.planner.tables import Column
from router.planner.variants import Literals
from router.sql.lexer import Token


def union(root: exp.SetOperation, blocks: Blocks, tokens: list[Token], literals: Literals) -> Scatter:
    """The plan of a UNION. Raises Unplannable; LookupError for one whose parts cannot be told apart."""
    distinct = _is_distinct(root)
    spans, end = branches_of(tokens, Span(0, len(tokens)))
    if len(spans) != len(blocks.outermost):
        raise LookupError("UNION")
    branches = [
        Branch(_select(block), blocks, block, tokens, span) for block, span in zip(blocks.outermost, spans, strict=True)
    ]
    return _Union(root, blocks, branches, literals, distinct, end.first).build()


def _select(block: Block) -> exp.Select:
    if not isinstance(block.node, exp.Select):
        raise Unplannable("UNION of something else than SELECTs over several shards", block.node)
    return block.node


def _is_distinct(root: exp.SetOperation) -> bool:
    """Whether repeated rows are dropped: all of them, if the last operation does so; some, if only others do."""
    if not isinstance(root, exp.Union):
        raise Unplannable(f"{type(root).__name__.upper()} over several shards", root)
    if isinstance(root.this, exp.SetOperation) and _is_distinct(root.this) and not root.args["distinct"]:
        raise Unplannable("UNION ALL after UNION over several shards", root)
    return bool(root.args["distinct"])


@dataclass(slots=True)
class _Union:
    root: exp.SetOperation
    blocks: Blocks
    branches: list[Branch]
    literals: Literals
    distinct: bool
    end: int
    columns: list[Columns] = field(default_factory=list)

    def build(self) -> Scatter:
        for branch in self.branches:
            self._check(branch)
        keys: list[OrderKey] = []
        terms: list[str] = []
        for ordered in self._ordered():
            position, descending = self._position(ordered.this), bool(ordered.args.get("desc"))
            keys.append(self._key(position, descending=descending))
            terms.append(f"{position + 1}{' DESC' * descending}")
        if self.distinct:
            if any(columns.starred for columns in self.columns):
                raise Unplannable("UNION of * over several shards", self.root)
            sorted_by = {int(term.split()[0]) - 1 for term in terms}
            for position in range(len(self.columns[0].items)):
                if position not in sorted_by:
                    keys.append(self._key(position, descending=False))
                    terms.append(str(position + 1))
        hidden = len(self.columns[0].extras)
        asks = (*self._listed(), *((f"ORDER BY {', '.join(terms)}",) if terms else ()))
        routes = tuple(route for branch in self.branches for route in branch.routes)
        return Scatter(routes, asks, MergeSpec(hidden, tuple(keys), self.distinct), pushes_limit=True)

    def _check(self, branch: Branch) -> None:
        """What the branch selects is complete on each shard."""
        branch.check()
        if any(branch.root.args.get(name) is not None for name in ("limit", "offset")):
            raise Unplannable("LIMIT in a UNION over several shards", branch.root)
        columns = branch.columns(self.literals)
        if branch.splits(columns):
            raise Unplannable("groups of several shards in a UNION", branch.root)
        if branch.repeats() and not self.distinct:
            raise Unplannable("DISTINCT over several shards in a UNION ALL", branch.root)
        self.columns.append(columns)

    def _listed(self) -> Template:
        """The branches, with the columns added to each, and what stands between them."""
        pieces: list[str | Span] = []
        before = 0
        for columns in self.columns:
            clauses, span = columns.clauses, columns.span
            pieces += [Span(before, span.first), clauses.head, *columns.listed(), Span(clauses.body.first, span.last)]
            before = span.last
        return (*pieces, Span(before, self.end))

    # -- order -------------------------------------------------------------------------------------------------

    def _ordered(self) -> list[exp.Expr]:
        order = self.root.args.get("order")
        return [] if order is None else list(order.expressions)

    def _position(self, node: exp.Expr) -> int:
        """The column that a term of ORDER BY means: its name is that of the first branch."""
        first = self.columns[0]
        if any(columns.starred for columns in self.columns):
            raise Unplannable("ORDER BY of a UNION of * over several shards", self.root)
        reference = self.blocks.reference(node)
        if isinstance(reference, Slot) and not reference.negative:
            position = self.literals.positions.get(reference.number, 0) - 1
            if 0 <= position < len(first.items):
                return position
        if isinstance(node, exp.Column) and not node.table:
            found = [
                position for position, item in enumerate(first.items) if item.alias_or_name.lower() == node.name.lower()
            ]
            if len(found) == 1:
                return found[0]
        raise Unplannable("ORDER BY of a UNION by something else than its columns", node)

    def _key(self, position: int, *, descending: bool) -> OrderKey:
        found = [self._column(columns, position) for columns in self.columns]
        texts = [column for column in found if column is not None and column.type in ("char", "varchar")]
        if len(texts) < len(found) or len({(column.collation, column.pads) for column in texts}) > 1:
            # Numbers and dates, or it is refused when the servers say that it is something else.
            return OrderKey(position, Compare.BY_TYPE, descending)
        longest = max(texts, key=lambda column: column.length)
        numbers = [
            columns.own(weighed(longest, column_name(unaliased(columns.items[position])))[1] or "")
            for columns in self.columns
        ]
        assert len(set(numbers)) == 1
        return OrderKey(numbers[0], Compare.BYTES, descending)

    def _column(self, columns: Columns, position: int) -> Column | None:
        if position >= len(columns.items) or is_star(columns.items[position]):
            raise Unplannable("a UNION of SELECTs with different numbers of columns", self.root)
        variable = columns.variable(unaliased(columns.items[position]))
        return None if variable is None else columns.column(variable)
