"""What each shard is asked when a SELECT concerns several, and how the answers become one.

The statement stays as the client wrote it, but for columns added to its select list (what rows are merged by), its
ORDER BY where groups have to come sorted, and its LIMIT. Only shapes that are proven to be exact pass; anything else is
Unplannable with the construct named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from router.planner.blocks import (
    Block,
    Blocks,
    Unplannable,
    Variable,
    has_rollup,
    is_aggregate,
    is_star,
    is_window,
    nodes_of,
    unaliased,
)
from router.planner.merging import Aggregate, Compare, Fold, MergeSpec, OrderKey, Scatter
from router.planner.routes import Reference, Route
from router.planner.tables import Column


def scatter(root: exp.Expr, blocks: Blocks, block: Block, routes: tuple[Route, ...]) -> Scatter:
    """The plan for several shards. Raises Unplannable."""
    return _Builder(root, blocks, block, routes).build()


@dataclass(slots=True)
class _Builder:
    root: exp.Expr
    blocks: Blocks
    block: Block
    routes: tuple[Route, ...]
    extras: list[str] = field(default_factory=list)

    def build(self) -> Scatter:
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
        group = root.args.get("group")
        grouped = group is not None or root.args.get("having") is not None or any(_nodes(root, is_aggregate, windows))
        if grouped and not (group is not None and self._covers(_plain_group(group))):
            return self._split(group, windows)
        if root.args.get("distinct") is not None and not self._covers([unaliased(item) for item in root.expressions]):
            return self._distinct()
        order = tuple(self._key(ordered) for ordered in _order(root))
        return self._made(MergeSpec(order=order), None, pushes_limit=True)

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

    # -- what rows are merged by -------------------------------------------------------------------------------

    def _key(self, ordered: exp.Expr) -> OrderKey:
        assert isinstance(ordered, exp.Ordered)
        column, compare = self._comparable(ordered.this)
        return OrderKey(column, compare, bool(ordered.args.get("desc")))

    def _comparable(self, node: exp.Expr) -> tuple[int, Compare]:
        """The column of the shards' rows that shows what ``node`` is ordered by; added if there is none."""
        position, resolved = self._resolve(node)
        variable = self.blocks.variable(resolved, self.block)
        if variable is None:
            if position is None:
                raise Unplannable("ORDER BY of an expression that is not selected", node)
            return position, Compare.BY_TYPE
        compare, expression = weighed(self._column(variable), _name(resolved))
        if expression is None and position is not None:
            return position, compare
        return self._add(expression or _name(resolved)), compare

    def _weighed(self, node: exp.Expr) -> tuple[int, Compare]:
        """An added column by which a plain column compares."""
        variable = self.blocks.variable(node, self.block)
        if variable is None:
            raise Unplannable("GROUP BY of an expression over several shards", node)
        compare, expression = weighed(self._column(variable), _name(node))
        return self._add(expression or _name(node)), compare

    def _resolve(self, node: exp.Expr) -> tuple[int | None, exp.Expr]:
        """The selected expression that a name or expression means, and its position if that is known."""
        while isinstance(node, exp.Paren):
            node = node.this
        if self.blocks.reference(node) is not None:
            raise Unplannable("ORDER BY or GROUP BY a position", node)
        items = self.root.expressions
        starred = any(is_star(item) for item in items)
        # A name means what is selected under it, before it means a column.
        by_name = isinstance(node, exp.Column) and not node.table
        named = [item for item in items if by_name and item.alias_or_name.lower() == node.name.lower()]
        for item in named or [item for item in items if unaliased(item) == node]:
            return None if starred else items.index(item), unaliased(item)
        return None, node

    def _column(self, variable: Variable) -> Column:
        definition = self.blocks.sources[variable[0]].definition
        assert definition is not None
        return definition.columns[variable[1]]

    def _add(self, expression: str) -> int:
        """The number of an added column; ``_made`` knows how many there are, and counts them from the end."""
        if expression not in self.extras:
            self.extras.append(expression)
        return _EXTRA + self.extras.index(expression)

    def _own(self, expression: str) -> int:
        """As ``_add``, for what is folded: each aggregate has its own."""
        self.extras.append(expression)
        return _EXTRA + len(self.extras) - 1

    # -- shapes ------------------------------------------------------------------------------------------------

    def _distinct(self) -> Scatter:
        """Rows sorted by all their columns: equal ones meet."""
        root = self.root
        if any(item.find(exp.Star) for item in root.expressions):
            raise Unplannable("DISTINCT * over several shards", root)
        wanted = [_column_of(unaliased(item)) for item in root.expressions]
        keys: list[OrderKey] = [self._key(ordered) for ordered in _order(root)]
        terms = [
            _name(_column_of(self._resolve(each.this)[1])) + " DESC" * bool(each.args.get("desc"))
            for each in _order(root)
        ]
        for column in wanted:
            position, compare = self._comparable(column)
            if all(key.column != position for key in keys):
                keys.append(OrderKey(position, compare))
                terms.append(_name(column))
        spec = MergeSpec(order=tuple(keys), distinct=True)
        return self._made(spec, f" ORDER BY {', '.join(terms)}", pushes_limit=True)

    def _split(self, group: exp.Expr | None, windows: list[exp.Expr]) -> Scatter:
        """Groups of each shard, folded into groups of all."""
        root = self.root
        if windows:
            raise Unplannable("a window over groups of several shards", windows[0])
        if root.args.get("having") is not None:
            raise Unplannable("HAVING over groups of several shards", root)
        if root.args.get("distinct") is not None:
            raise Unplannable("DISTINCT over groups of several shards", root)
        columns = _plain_group(group) if group is not None else []
        # A name in GROUP BY means a column before it means an alias.
        names = [
            column if self.blocks.variable(column, self.block) is not None else self._resolve(column)[1]
            for column in columns
        ]
        keys = tuple(OrderKey(*self._weighed(name)) for name in names)
        aggregates = tuple(
            aggregate
            for position, item in enumerate(root.expressions)
            if (aggregate := self._aggregate(position, unaliased(item), names)) is not None
        )
        final = tuple(self._final(ordered) for ordered in _order(root))
        order = f" ORDER BY {', '.join(_name(_column_of(name)) for name in names)}" if names else ""
        return self._made(MergeSpec(groups=keys, aggregates=aggregates, final=final), order, pushes_limit=False)

    def _aggregate(self, position: int, node: exp.Expr, names: list[exp.Expr]) -> Aggregate | None:
        """How a selected expression is folded; None for a column that the groups are made by."""
        if node in names:
            return None
        argument = node.this if isinstance(node, exp.AggFunc) else None
        if isinstance(argument, exp.Distinct) or argument is None or node.args.get("expressions"):
            raise Unplannable(f"{_described(node)} over groups of several shards", node)
        match node:
            case exp.Count():
                return Aggregate(position, Fold.SUM, Compare.INTEGER)
            case exp.Sum():
                return Aggregate(position, Fold.SUM, Compare.DECIMAL)
            case exp.Min() | exp.Max():
                fold = Fold.MIN if isinstance(node, exp.Min) else Fold.MAX
                variable = self.blocks.variable(argument, self.block)
                if variable is None:
                    return Aggregate(position, fold, Compare.BY_TYPE, by=position)
                column = self._column(variable)
                compare, expression = weighed(column, f"{node.sql_name()}({_name(argument)})")
                if column.type in _BY_NUMBER:
                    raise Unplannable(f"{_described(node)} of type {column.type} over several shards", node)
                return Aggregate(position, fold, compare, by=position if expression is None else self._own(expression))
            case exp.Avg():
                name = _name(_column_of(argument))
                return Aggregate(position, Fold.AVG, total=self._own(f"SUM({name})"), count=self._own(f"COUNT({name})"))
        raise Unplannable(f"{_described(node)} over groups of several shards", node)

    def _final(self, ordered: exp.Expr) -> OrderKey:
        """The order of finished groups: by what is selected."""
        position, resolved = self._resolve(ordered.this)
        if isinstance(resolved, exp.AggFunc):
            if position is None:
                raise Unplannable("ORDER BY of an aggregate that is not selected", ordered)
            if isinstance(resolved, exp.Min | exp.Max):
                raise Unplannable("ORDER BY of MIN or MAX over groups of several shards", ordered)
            return OrderKey(position, Compare.DECIMAL, bool(ordered.args.get("desc")))
        return self._key(ordered)

    def _made(self, spec: MergeSpec, order: str | None, *, pushes_limit: bool) -> Scatter:
        root = self.root
        count = len(self.extras)

        def placed(column: int) -> int:
            return column - _EXTRA - count if column >= _EXTRA else column

        def keys(before: tuple[OrderKey, ...]) -> tuple[OrderKey, ...]:
            return tuple(replace(key, column=placed(key.column)) for key in before)

        merge = replace(
            spec,
            hidden=count,
            order=keys(spec.order),
            groups=None if spec.groups is None else keys(spec.groups),
            final=keys(spec.final),
            aggregates=tuple(
                replace(each, by=placed(each.by), total=placed(each.total), count=placed(each.count))
                for each in spec.aggregates
            ),
            limit=self._counted(root.args.get("limit")),
            offset=self._counted(root.args.get("offset")),
        )
        extras = "".join(f", {expression}" for expression in self.extras)
        return Scatter(self.routes[0], extras, order, merge, pushes_limit)

    def _counted(self, node: exp.Expr | None) -> Reference | None:
        if node is None:
            return None
        reference = self.blocks.reference(node.expression)
        if reference is None:
            raise Unplannable("a LIMIT that is no plain number", node)
        return reference


# Numbers from here on are columns that were added.
_EXTRA = 1 << 16
# Their value is one shard's: each has its own database, counters, connection.
_PER_SHARD = frozenset({"DATABASE", "SCHEMA", "CURRENT_DATABASE", "CURRENT_SCHEMA"})
_BY_NUMBER = frozenset({"enum", "set"})
_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "year"})


def weighed(column: Column, name: str) -> tuple[Compare, str | None]:
    """How values of a column compare, and the expression to compare by (None: the column itself)."""
    match column.type:
        case kind if kind in _INTEGERS:
            return Compare.INTEGER, None
        case "decimal":
            return Compare.DECIMAL, None
        case "double":
            return Compare.FLOAT, None
        case "float":
            return Compare.FLOAT, f"{name} + 0e0"
        case "date" | "datetime" | "binary" | "varbinary":
            return Compare.BYTES, None
        case "timestamp":
            return Compare.DECIMAL, f"UNIX_TIMESTAMP({name})"
        case kind if kind in _BY_NUMBER:
            return Compare.INTEGER, f"{name} + 0"
        case "char" | "varchar" if column.length:
            return Compare.BYTES, (
                f"WEIGHT_STRING({name} AS CHAR({column.length}))" if column.pads else f"WEIGHT_STRING({name})"
            )
    raise Unplannable(f"order or groups by column '{column.name}' of type {column.type}")


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


def _order(root: exp.Expr) -> list[exp.Expr]:
    order = root.args.get("order")
    return [] if order is None else list(order.expressions)


def _column_of(node: exp.Expr) -> exp.Column:
    while isinstance(node, exp.Paren):
        node = node.this
    if not isinstance(node, exp.Column):
        raise Unplannable("an expression to order or group by over several shards", node)
    return node


def _name(node: exp.Expr) -> str:
    """A column's name as SQL that any mode reads alike."""
    column = _column_of(node)
    return ".".join(f"`{part.name.replace('`', '``')}`" for part in column.parts)


def _described(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"{node.name.upper()}()"
    name = node.sql_name() if isinstance(node, exp.Func) else type(node).__name__.upper()
    return (
        f"{name}(DISTINCT …)"
        if isinstance(node.this, exp.Distinct)
        else f"{name}()"
        if isinstance(node, exp.Func)
        else name
    )
