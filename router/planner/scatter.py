"""What each shard is asked when a SELECT concerns several, and how the answers become one.

The statement stays as the client wrote it, but for columns added to its select list (what rows are merged by), its
ORDER BY where groups have to come sorted, and its LIMIT. Only shapes that are proven to be exact pass; anything else is
Unplannable with the construct named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from router.planner.blocks import (
    Block,
    Blocks,
    Unplannable,
    Variable,
    has_rollup,
    is_aggregate,
    is_window,
    nodes_of,
    unaliased,
)
from router.planner.clauses import Span
from router.planner.columns import Columns
from router.planner.grouping import Grouping
from router.planner.merging import MergeSpec, OrderKey, Scatter
from router.planner.routes import Reference, Route, Slot
from router.planner.variants import NONE, Literals, Variants
from router.sql.lexer import Token


def scatter(
    root: exp.Expr, blocks: Blocks, block: Block, routes: tuple[Route, ...], tokens: list[Token]
) -> Scatter | Variants:
    """The plan for several shards. Raises Unplannable."""
    builder = _Builder(root, blocks, block, routes, tokens)
    slots, positional = builder.literals_that_matter()
    if not slots:
        return builder.build(NONE)
    return Variants(slots, positional, builder.build)


@dataclass(slots=True)
class _Builder:
    root: exp.Expr
    blocks: Blocks
    block: Block
    routes: tuple[Route, ...]
    tokens: list[Token]

    def literals_that_matter(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The literals to compare with each other, if ORDER BY or GROUP BY have any; and those that are positions."""
        terms = [*_terms(self.root, "group"), *(each.this for each in _terms(self.root, "order"))]
        if not any(self._slots(each) for each in terms):
            return (), ()
        items = [slot for item in self.root.expressions for slot in self._slots(item)]
        positional = [slot.number for each in terms if isinstance(slot := self._plain(each), Slot)]
        return (*items, *(slot for each in terms for slot in self._slots(each))), tuple(positional)

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
        if len(self.routes) != 1:
            tables = " and ".join(sorted({f"'{route.table.name}'" for route in self.routes}))
            raise Unplannable(f"{tables} joined by something else than their sharding keys, or used apart")
        if not isinstance(root, exp.Select):
            raise Unplannable("UNION over several shards", root)
        if not self._spread(self.block):
            raise Unplannable("broadcast tables on the preserved side of an outer join", root)
        for inner in self.block.inside:
            self._check_inner(inner)
        self._check_functions()
        windows = list(_nodes(root, is_window))
        if any(not self._covers(window.args.get("partition_by") or []) for window in windows):
            raise Unplannable("a window over rows of several shards", windows[0])
        made = self._shape(root, literals, windows)
        limit, offset = self._counted(root.args.get("limit")), self._counted(root.args.get("offset"))
        return replace(made, merge=replace(made.merge, limit=limit, offset=offset))

    def _shape(self, root: exp.Select, literals: Literals, windows: list[exp.Expr]) -> Scatter:
        try:
            return self._shaped(root, literals, windows)
        except LookupError:
            raise Unplannable("a SELECT of this form over several shards", root) from None

    def _shaped(self, root: exp.Select, literals: Literals, windows: list[exp.Expr]) -> Scatter:
        span = Span(0, len(self.tokens))
        parts = (root, self.blocks, self.block, self.routes, self.tokens, literals, span)
        columns = Columns(*parts)
        group = root.args.get("group")
        grouped = group is not None or any(_nodes(root, is_aggregate, windows))
        if grouped and not (group is not None and self._covers(_grouped_by(columns, group))):
            if windows:
                raise Unplannable("a window over groups of several shards", windows[0])
            return Grouping(*parts).build(self._counts_apart())
        if root.args.get("distinct") is not None and not self._covers([unaliased(item) for item in root.expressions]):
            return _distinct(columns)
        return _rows(columns)

    def _counts_apart(self) -> bool:
        """Whether equal values of all aggregates that are DISTINCT are on one shard."""
        found = [node.this for node in _nodes(self.root, is_aggregate) if isinstance(node.this, exp.Distinct)]
        return all(self._covers(each.expressions) for each in found)

    # -- what may be asked of each shard by itself -------------------------------------------------------------

    def _spread(self, block: Block) -> bool:
        """Whether every row of the block comes from exactly one shard."""
        for source in block.sources:
            if source.optional:
                continue
            if source.table is not None and not source.table.broadcast:
                return True
            if source.block is not None and self._spread(source.block):
                return True
        return False

    def _check_inner(self, block: Block) -> None:
        """A query inside must be complete on each shard, for the rows that it is there for."""
        for inner in block.inside:
            self._check_inner(inner)
        node = block.node
        if block.level > 0 or not any(self.blocks.is_sharded(each) for each in block.sources):
            return  # tied to its outer row by the key, or the same everywhere
        if node.args.get("limit") is not None or node.args.get("offset") is not None:
            raise Unplannable("LIMIT in a derived table over several shards", node)
        windows = list(_nodes(node, is_window))
        if any(not self._covers(window.args.get("partition_by") or [], block) for window in windows):
            raise Unplannable("a window in a derived table over several shards", node)
        group = node.args.get("group")
        if group is not None and not self._covers(_plain_group(group), block):
            raise Unplannable("GROUP BY in a derived table, without the sharding key", node)
        if group is None and (node.args.get("having") is not None or any(_nodes(node, is_aggregate, windows))):
            raise Unplannable("an aggregate in a derived table over several shards", node)
        if node.args.get("distinct") is not None and not self._covers(
            [unaliased(item) for item in node.expressions], block
        ):
            raise Unplannable("DISTINCT in a derived table, without the sharding key", node)

    def _check_functions(self) -> None:
        for node in self.root.find_all(exp.Func):
            name = node.name.upper() if isinstance(node, exp.Anonymous) else node.sql_name()
            if name in _PER_SHARD:
                raise Unplannable(f"{name}() over several shards", node)

    def _covers(self, expressions: list[exp.Expr], block: Block | None = None) -> bool:
        """Whether the sharding key is among the expressions: rows equal in all of them are on one shard."""
        found = {
            self.blocks.find(variable)
            for each in expressions
            if (variable := self.blocks.variable(each, block or self.block)) is not None
            and not self.blocks.sources[variable[0]].optional  # there it may be NULL on every shard
        }
        return self._key_variables() <= found

    def _key_variables(self) -> set[Variable]:
        table = self.routes[0].table
        for source in self.blocks.sources:
            if source.table is table:
                return {self.blocks.find((source.number, name)) for name in table.columns}
        raise AssertionError("the route is not of this statement")

    def _counted(self, node: exp.Expr | None) -> Reference | None:
        if node is None:
            return None
        reference = self.blocks.reference(node.expression)
        if reference is None:
            raise Unplannable("a LIMIT that is no plain number", node)
        return reference


# Their value is one shard's: each has its own database, counters, connection.
_PER_SHARD = frozenset({"DATABASE", "SCHEMA", "CURRENT_DATABASE", "CURRENT_SCHEMA"})


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


def _nodes(
    node: exp.Expr, wanted: Callable[[exp.Expr], bool], windows: list[exp.Expr] | None = None
) -> Iterator[exp.Expr]:
    """Nodes of a kind in the expressions of a SELECT, not in queries inside; not those that are windows themselves."""
    inside = {id(window.this) for window in windows or ()}
    for name in ("expressions", "having", "order"):
        value = node.args.get(name)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, exp.Expr):
                yield from (found for found in nodes_of(each, wanted) if id(found) not in inside)


def _plain_group(group: exp.Expr) -> list[exp.Expr]:
    if has_rollup(group):
        raise Unplannable("GROUP BY … WITH ROLLUP over several shards", group)
    return list(group.expressions)


def _grouped_by(columns: Columns, group: exp.Expr) -> list[exp.Expr]:
    """What rows are grouped by, whether it is said by name, position or alias."""
    terms = zip(_plain_group(group), columns.clauses.groups, strict=True)
    return [columns.meant(term, span, aliases_first=False).node for term, span in terms]


def _terms(root: exp.Expr, clause: str) -> list[exp.Expr]:
    found = root.args.get(clause)
    return [] if found is None else list(found.expressions)
