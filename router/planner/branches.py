"""One SELECT of a statement over several shards: what of it may be asked of each shard by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
from router.planner.routes import Reference, Route
from router.planner.variants import Literals
from router.sql.lexer import Token


@dataclass(slots=True)
class Branch:
    """The SELECT of ``block``, which stands in ``span``."""

    root: exp.Select
    blocks: Blocks
    block: Block
    tokens: list[Token]
    span: Span

    @property
    def routes(self) -> tuple[Route, ...]:
        """Where its tables are."""
        return self.blocks.routes(self._numbers())

    def _numbers(self) -> range:
        """The numbers of its sources, and of those inside it."""
        later = [each.first for each in self.blocks.outermost if each.first > self.block.first]
        return range(self.block.first, min(later, default=len(self.blocks.sources)))

    def columns(self, literals: Literals) -> Columns:
        """Its columns. Raises LookupError where clauses cannot be told apart."""
        return Columns(self.root, self.blocks, self.block, self.routes, self.tokens, literals, self.span)

    def check(self) -> None:
        """Tables are together, and queries inside are complete on each shard. Raises Unplannable."""
        check_tied(self.routes)
        if not has_rows(self.block):
            raise Unplannable("broadcast tables on the preserved side of an outer join", self.root)
        for inner in self.block.inside:
            self._check_inner(inner)
        self._check_functions()
        windows = self.windows()
        if any(not self.covers(window.args.get("partition_by") or []) for window in windows):
            raise Unplannable("a window over rows of several shards", windows[0])

    def windows(self) -> list[exp.Expr]:
        """Its functions with OVER."""
        return list(nodes_in(self.root, is_window))

    def splits(self, columns: Columns) -> bool:
        """Whether rows of one group may be on several shards."""
        group = self.root.args.get("group")
        if group is not None:
            return not self.covers(grouped_by(columns, group))
        return any(nodes_in(self.root, is_aggregate, self.windows()))

    def repeats(self) -> bool:
        """Whether it is DISTINCT, and equal rows may be on several shards."""
        distinct = self.root.args.get("distinct") is not None
        return distinct and not self.covers([unaliased(item) for item in self.root.expressions])

    def counts_apart(self) -> bool:
        """Whether equal values of all aggregates that are DISTINCT are on one shard."""
        found = [node.this for node in nodes_in(self.root, is_aggregate) if isinstance(node.this, exp.Distinct)]
        return all(self.covers(each.expressions) for each in found)

    # -- what may be asked of each shard by itself -------------------------------------------------------------

    def _check_inner(self, block: Block) -> None:
        """A query inside must be complete on each shard, for the rows that it is there for."""
        for inner in block.inside:
            self._check_inner(inner)
        node = block.node
        if block.level > 0 or not any(self.blocks.is_sharded(each) for each in block.sources):
            return  # tied to its outer row by the key, or the same everywhere
        if node.args.get("limit") is not None or node.args.get("offset") is not None:
            raise Unplannable("LIMIT in a derived table over several shards", node)
        windows = list(nodes_in(node, is_window))
        if any(not self.covers(window.args.get("partition_by") or [], block) for window in windows):
            raise Unplannable("a window in a derived table over several shards", node)
        group = node.args.get("group")
        if group is not None and not self.covers(plain_group(group), block):
            raise Unplannable("GROUP BY in a derived table, without the sharding key", node)
        if group is None and (node.args.get("having") is not None or any(nodes_in(node, is_aggregate, windows))):
            raise Unplannable("an aggregate in a derived table over several shards", node)
        if node.args.get("distinct") is not None and not self.covers(
            [unaliased(item) for item in node.expressions], block
        ):
            raise Unplannable("DISTINCT in a derived table, without the sharding key", node)

    def _check_functions(self) -> None:
        for node in self.root.find_all(exp.Func):
            name = node.name.upper() if isinstance(node, exp.Anonymous) else node.sql_name()
            if name in _PER_SHARD:
                raise Unplannable(f"{name}() over several shards", node)

    def covers(self, expressions: list[exp.Expr], block: Block | None = None) -> bool:
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
            if source.table is table and source.number in self._numbers():
                return {self.blocks.find((source.number, name)) for name in table.columns}
        raise AssertionError("the route is not of this statement")


def check_tied(routes: tuple[Route, ...]) -> None:
    """All sharded tables must be tied to one another by their keys. Raises Unplannable."""
    if len(routes) != 1:
        tables = " and ".join(sorted({f"'{route.table.name}'" for route in routes}))
        raise Unplannable(f"{tables} joined by something else than their sharding keys, or used apart")


def has_rows(block: Block) -> bool:
    """Whether every row of the block comes from exactly one shard."""
    for source in block.sources:
        if source.optional:
            continue
        if source.table is not None and not source.table.broadcast:
            return True
        if source.block is not None and has_rows(source.block):
            return True
    return False


def counted(root: exp.Expr, clause: str, blocks: Blocks) -> Reference | None:
    """The number in LIMIT or OFFSET."""
    node = root.args.get(clause)
    if node is None:
        return None
    reference = blocks.reference(node.expression)
    if reference is None:
        raise Unplannable("a LIMIT that is no plain number", node)
    return reference


# Their value is one shard's: each has its own database, counters, connection.
_PER_SHARD = frozenset({"DATABASE", "SCHEMA", "CURRENT_DATABASE", "CURRENT_SCHEMA"})


def nodes_in(
    node: exp.Expr, wanted: Callable[[exp.Expr], bool], windows: list[exp.Expr] | None = None
) -> Iterator[exp.Expr]:
    """Nodes of a kind in the expressions of a SELECT, not in queries inside; not those that are windows themselves."""
    inside = {id(window.this) for window in windows or ()}
    for name in ("expressions", "having", "order"):
        value = node.args.get(name)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, exp.Expr):
                yield from (found for found in nodes_of(each, wanted) if id(found) not in inside)


def plain_group(group: exp.Expr) -> list[exp.Expr]:
    """The terms of GROUP BY."""
    if has_rollup(group):
        raise Unplannable("GROUP BY … WITH ROLLUP over several shards", group)
    return list(group.expressions)


def grouped_by(columns: Columns, group: exp.Expr) -> list[exp.Expr]:
    """What rows are grouped by, whether it is said by name, position or alias."""
    terms = zip(plain_group(group), columns.clauses.groups, strict=True)
    return [columns.meant(term, span, aliases_first=False).node for term, span in terms]
