"""UPDATE and DELETE on several shards: each shard decides about its own rows, and all of it that it needs is there.

The statement goes to every shard as it is. Only shapes for which that is proven to be what one server would do pass;
anything else is Unplannable with the construct named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

from router.planner import effects
from router.planner.blocks import Block, Blocks, Unplannable, Variable, has_rollup, is_aggregate, is_window, nodes_of
from router.planner.branches import check_tied, has_rows
from router.planner.inserts import check_defaults
from router.planner.routes import Route
from router.planner.spreading import Spreading
from router.planner.tables import ShardedTable
from router.planner.text import Text
from router.sql.facts import StatementFacts

_MODIFIERS = frozenset({"LOW_PRIORITY", "QUICK", "IGNORE"})


def spread(block: Block, blocks: Blocks, routes: tuple[Route, ...], facts: StatementFacts, text: Text) -> Spreading:
    """How to write rows of sharded tables on several shards. Raises Unplannable."""
    root = block.node
    name = facts.kind.value.upper()
    check_tied(routes)
    for each in ("order", "limit", "returning"):
        if root.args.get(each) is not None:
            raise Unplannable(f"{name} with {_CLAUSES[each]} on several shards", root)
    if not has_rows(block):
        raise Unplannable("broadcast tables on the preserved side of an outer join", root)
    check_derived(block, blocks, routes[0])
    check_unions(root)
    clock = effects.check(text, facts.kind, copies=False)
    return Spreading(clock=clock)


def copy(
    table: ShardedTable, block: Block, blocks: Blocks, routes: tuple[Route, ...], facts: StatementFacts, text: Text
) -> Spreading:
    """How to change every copy of broadcast table ``table`` alike. Raises Unplannable."""
    root = block.node
    name = facts.kind.value.upper()
    what = f"broadcast table '{table.name}'"
    if routes:
        raise Unplannable(f"{name} of {what} by what is in sharded table '{routes[0].table.name}'", root)
    if len(block.sources) != 1 or block.sources[0].table is not table:
        raise Unplannable(f"{name} of {what} joined with others", root)
    if _ignores(text):
        raise Unplannable(f"{name} IGNORE of {what}", root)
    if root.args.get("returning") is not None:
        raise Unplannable("RETURNING from several shards", root)
    if root.args.get("limit") is not None and not _ordered(block, blocks, table):
        raise Unplannable(f"{name} of {what} with LIMIT that is not in the order of a unique key", root)
    for inner in block.inside:
        _check_alike(inner)
    check_unions(root)
    effects.check(text, facts.kind, copies=True)
    definition = table.definition
    assert definition is not None
    check_defaults(text, table, definition, list(definition.columns))
    return Spreading(copies=True, clock=True, shards=table.shards)


_CLAUSES = {"order": "ORDER BY", "limit": "LIMIT", "returning": "RETURNING"}


def _ignores(text: Text) -> bool:
    for token in text.tokens[1:]:
        if token.text not in _MODIFIERS:
            return False
        if token.text == "IGNORE":
            return True
    return False


# -- what is whole on each shard -----------------------------------------------------------------------------------


def check_derived(block: Block, blocks: Blocks, route: Route) -> None:
    """Derived tables must be complete on each shard; subqueries are, by what ties them. Raises Unplannable."""
    for inner in block.inside:
        check_derived(inner, blocks, route)
        node = inner.node
        if not any(blocks.is_sharded(each) for each in inner.sources):
            if node.args.get("limit") is not None:
                raise Unplannable("LIMIT in a subquery that each shard would answer for itself", node)
        elif inner.level == 0:
            check_whole(inner, blocks, route)


def check_unions(root: exp.Expr) -> None:
    """LIMIT behind a UNION belongs to none of its queries. Raises Unplannable."""
    for union in root.find_all(exp.SetOperation):
        if union.args.get("limit") is not None or union.args.get("offset") is not None:
            raise Unplannable("LIMIT behind a UNION in a statement for several shards", union)


def check_whole(block: Block, blocks: Blocks, route: Route) -> None:
    """The rows of a query must be those of each shard together. Raises Unplannable."""
    node = block.node
    where = "a derived table" if block.parent is not None else "a SELECT"
    for name in ("limit", "offset", "distinct", "windows"):
        if node.args.get(name) is not None:
            raise Unplannable(f"{name.upper()} in {where} over several shards", node)
    if any(_selected(node, is_window)):
        raise Unplannable(f"a window in {where} over several shards", node)
    group = node.args.get("group")
    if group is not None and (has_rollup(group) or not _covers(group.expressions, block, blocks, route)):
        raise Unplannable(f"GROUP BY in {where}, without the sharding key", node)
    if is_one_group(node):
        raise Unplannable(f"an aggregate in {where} over several shards", node)


def _selected(node: exp.Expr, wanted: Callable[[exp.Expr], bool]) -> Iterator[exp.Expr]:
    order = node.args.get("order")
    for item in [*node.expressions, *(order.expressions if order is not None else ())]:
        yield from nodes_of(item, wanted)


def is_one_group(node: exp.Expr) -> bool:
    """Whether a query answers with one row, even if there is none to read: aggregates without GROUP BY."""
    if node.args.get("group") is not None:
        return False
    return node.args.get("having") is not None or any(_selected(node, is_aggregate))


def _covers(expressions: list[exp.Expr], block: Block, blocks: Blocks, route: Route) -> bool:
    """Whether the sharding key is among the expressions: rows equal in all of them are on one shard."""
    found = {
        blocks.find(variable)
        for each in expressions
        if (variable := blocks.variable(each, block)) is not None and not blocks.sources[variable[0]].optional
    }
    return _key(blocks, route.table) <= found


def _key(blocks: Blocks, table: ShardedTable) -> set[Variable]:
    for source in blocks.sources:
        if source.table is table:
            return {blocks.find((source.number, name)) for name in table.columns}
    raise AssertionError("the route is not of this statement")


# -- what comes out alike on every copy ----------------------------------------------------------------------------


def _ordered(block: Block, blocks: Blocks, table: ShardedTable) -> bool:
    """Whether ORDER BY leaves no two rows in doubt."""
    order = block.node.args.get("order")
    definition = table.definition
    if order is None or definition is None:
        return False
    variables = {blocks.variable(each.this, block) for each in order.expressions}
    names = {variable[1] for variable in variables if variable is not None}
    return any(key <= names for key in definition.unique)


def _check_alike(block: Block) -> None:
    """A query about broadcast tables must not depend on the order in which a server reads them."""
    node = block.node
    for name in ("limit", "offset", "group", "having", "windows"):
        if node.args.get(name) is not None:
            raise Unplannable(f"{name.upper()} in a subquery for every copy of a broadcast table", node)
    if any(_selected(node, is_window)):
        raise Unplannable("a window in a subquery for every copy of a broadcast table", node)
    for each in _selected(node, is_aggregate):
        if not isinstance(each, exp.Count):
            raise Unplannable("an aggregate in a subquery for every copy of a broadcast table", each)
    for inner in block.inside:
        _check_alike(inner)
