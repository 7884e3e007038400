"""Query blocks: which tables each SELECT reads, what its columns are, and which equalities hold between them.

A *variable* is a column of one table reference. Variables that are equal in every row that matters are one *class*
(union-find); tables whose whole keys are pairwise equal keep these rows on one shard.

What holds where is a matter of *levels*: 0 for the tables of the statement, one more on the optional side of an outer
join, two more in a subquery. A condition that stands at some level says which rows of that level matter, and nothing
about rows further out: it may tie tables to one further out, but neither restrict that one nor tie two of them
together (``a, b LEFT JOIN c ON c.k = a.k AND c.k = b.k`` does not make a.k equal to b.k).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from router.planner.keys import KeyType
from router.planner.routes import Between, Condition, Either, OneOf, Reference, Route, combine
from router.planner.routes import Unplannable as Unplannable
from router.planner.tables import Definition, ShardedSchema, ShardedTable

Variable = tuple[int, str]  # number of the source, column in lower case


@dataclass(slots=True)
class Source:
    """One table reference. ``table`` is None for what is neither sharded nor broadcast; ``outputs`` are the columns
    of a derived table (None: one that cannot be followed inside). ``optional``: on that side of an outer join.
    ``block``: a derived table's only one."""

    number: int
    alias: str
    level: int
    table: ShardedTable | None = None
    outputs: dict[str, Variable | None] | None = None
    optional: bool = False
    block: Block | None = None

    @property
    def definition(self) -> Definition | None:
        """The columns, if the servers have told."""
        return self.table.definition if self.table is not None else None


@dataclass(slots=True)
class Block:
    """One SELECT, UPDATE or DELETE and the blocks inside it. ``first`` is the number of the first source in there.

    ``merged``: columns that USING makes one of several: whose value it has, and the numbers of all these sources.
    """

    node: exp.Expr
    parent: Block | None
    level: int
    first: int = 0
    sources: list[Source] = field(default_factory=list)
    inside: list[Block] = field(default_factory=list)
    merged: dict[str, tuple[Variable, frozenset[int]]] = field(default_factory=dict)


class Blocks:
    """The blocks of one statement over a schema; ``reference`` tells what literal or parameter a node is."""

    def __init__(self, schema: ShardedSchema, reference: Callable[[exp.Expr], Reference | None]) -> None:
        self.schema = schema
        self.sources: list[Source] = []
        self.unsharded: list[exp.Table] = []
        self.outermost: list[Block] = []
        self.reference = reference
        self._parents: dict[Variable, Variable] = {}
        self._conditions: dict[Variable, list[tuple[int, Condition]]] = {}

    # -- classes of equal variables ----------------------------------------------------------------------------

    def find(self, variable: Variable) -> Variable:
        """The variable that stands for its class."""
        parent = self._parents.get(variable, variable)
        if parent == variable:
            return variable
        root = self._parents[variable] = self.find(parent)
        return root

    def level(self, variable: Variable) -> int:
        """The level of the outermost table in a variable's class."""
        root = self.find(variable)
        members = [each for each in self._parents if self.find(each) == root]
        return min(self.sources[number].level for number, _ in (root, *members))

    def unite(self, one: Variable, other: Variable, level: int) -> None:
        """A condition at ``level`` says that the two are equal; ignored where types keep values from meeting."""
        if not self._meet(one, other):
            return
        first, second = self.find(one), self.find(other)
        if first != second and (self.level(first) >= level or self.level(second) >= level):
            self._parents.setdefault(first, first)
            self._parents[second] = first

    def _type(self, variable: Variable) -> KeyType | None:
        number, name = variable
        definition = self.sources[number].definition
        return None if definition is None else definition.columns[name].key

    def condition(self, variable: Variable) -> list[Condition]:
        """What is known of a variable's class in every row that matters."""
        root, level = self.find(variable), self.level(variable)
        return [
            condition
            for each, found in self._conditions.items()
            if self.find(each) == root
            for at, condition in found
            if at <= level
        ]

    def routes(self, numbers: range | None = None) -> tuple[Route, ...]:
        """One route for each class of co-located tables, of all sources or those with such numbers."""
        classes: dict[tuple[object, ...], Route] = {}
        for source in self.sources:
            table = source.table
            if table is None or table.broadcast or (numbers is not None and source.number not in numbers):
                continue  # broadcast tables are everywhere
            variables = [(source.number, name) for name in table.columns]
            key = (table.family, *(self.find(each) for each in variables))
            if key not in classes:
                classes[key] = Route(table, combine([self.condition(each) for each in variables]))
        return tuple(classes.values())

    # -- reading -----------------------------------------------------------------------------------------------

    def read(
        self, node: exp.Expr, parent: Block | None = None, level: int = 0, ctes: dict[str, exp.Expr] | None = None
    ) -> list[Block]:
        """The blocks of a query: one for a SELECT, several for a set operation."""
        node = _bare(node)
        known = dict(ctes or {})
        with_ = node.args.get("with_")
        if with_ is not None:
            if with_.args.get("recursive"):
                raise Unplannable("WITH RECURSIVE", with_)
            for cte in with_.expressions:
                known[cte.alias.lower()] = cte
        if isinstance(node, exp.SetOperation):
            return self.read(node.left, parent, level, known) + self.read(node.right, parent, level, known)
        if not isinstance(node, exp.Select):
            raise Unplannable(type(node).__name__.upper(), node)
        return [self.block(node, parent, level, known)]

    def block(
        self, node: exp.Expr, parent: Block | None = None, level: int = 0, ctes: dict[str, exp.Expr] | None = None
    ) -> Block:
        """One SELECT, UPDATE or DELETE."""
        block = Block(node, parent, level, len(self.sources))
        ctes = ctes or {}
        (self.outermost if parent is None else parent.inside).append(block)
        tables = _from(node)
        joins = [*_joins(tables), *(node.args.get("joins") or [])]
        if tables is not None:
            self._source(tables, block, level, ctes)
        for join in joins:
            self._join(join, block, ctes)
        where = node.args.get("where")
        if where is not None:
            self._hold(where.this, block, level)
        for part in _parts(node):
            self._subqueries(part, block, ctes)
        return block

    def _source(self, node: exp.Expr, block: Block, level: int, ctes: dict[str, exp.Expr]) -> Source:
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            return self._table(node, block, level, ctes)
        if isinstance(node, exp.Subquery) and isinstance(_bare(node), exp.Select | exp.SetOperation):
            if node.args.get("joins"):
                raise Unplannable("a join in parentheses", node)
            return self._derived(node, node.alias, block, level, ctes)
        raise Unplannable("a table of this form", node)

    def _table(self, node: exp.Table, block: Block, level: int, ctes: dict[str, exp.Expr]) -> Source:
        name = node.name
        alias = (node.alias or name).lower()
        cte = ctes.get(name.lower()) if not node.db else None
        if cte is not None:
            columns = cte.args["alias"].args.get("columns")
            if columns:
                raise Unplannable("WITH … (columns)", cte)
            outer = {key: value for key, value in ctes.items() if value is not cte}
            return self._derived(cte.this, alias, block, level, outer)
        table = self.schema.find(name) if node.db in ("", self.schema.name) else None
        if table is None:
            if name.upper() != "DUAL":
                self.unsharded.append(node)
        else:
            known(table, node)
        return self._add(Source(len(self.sources), alias, level, table), block)

    def _derived(self, node: exp.Expr, alias: str, block: Block, level: int, ctes: dict[str, exp.Expr]) -> Source:
        blocks = self.read(node, block, level, ctes)
        outputs = self._outputs(blocks[0]) if len(blocks) == 1 else None
        source = Source(len(self.sources), alias.lower(), level, None, outputs)
        source.block = blocks[0] if len(blocks) == 1 else None
        return self._add(source, block)

    def _add(self, source: Source, block: Block) -> Source:
        self.sources.append(source)
        block.sources.append(source)
        return source

    def _outputs(self, block: Block) -> dict[str, Variable | None] | None:
        """The columns of a derived table; None when a star hides them.

        Only those that a condition outside may be pushed through are variables: what it says of them must be as true
        before the table's rows are grouped, and never if they are counted (LIMIT).
        """
        through = self._through(block)
        outputs: dict[str, Variable | None] = {}
        for item in block.node.expressions:
            if is_star(item):
                return None
            inner = unaliased(item)
            variable = self.variable(inner, block) if isinstance(inner, exp.Column) else None
            outputs[item.alias_or_name.lower()] = variable if through is None or variable in through else None
        return outputs

    def _through(self, block: Block) -> set[Variable | None] | None:
        """The variables that conditions may be pushed through; None means all."""
        node = block.node
        counted = any(node.args.get(name) is not None for name in ("limit", "offset", "windows", "qualify"))
        if counted or _selects(node, is_window):
            return set()
        group = node.args.get("group")
        if group is None:
            return set() if node.args.get("having") is not None or _selects(node, is_aggregate) else None
        if has_rollup(group):
            return set()
        return {self.variable(each, block) for each in group.expressions} - {None}

    # -- names -------------------------------------------------------------------------------------------------

    def variable(self, node: exp.Expr, block: Block) -> Variable | None:
        """The variable that a column means; None when that is not certain."""
        while isinstance(node, exp.Paren):
            node = node.this
        if not isinstance(node, exp.Column):
            return None
        name, qualifier = node.name.lower(), node.table.lower()
        scope: Block | None = block
        while scope is not None:
            if qualifier:
                found = [each for each in scope.sources if each.alias == qualifier]
            else:
                if any(_columns(each) is None for each in scope.sources):
                    return self._only(scope, name)
                found = [each for each in scope.sources if name in (_columns(each) or ())]
            if len(found) == 1:
                return self._column(found[0], name)
            if found:
                merged = None if qualifier else scope.merged.get(name)
                return merged[0] if merged is not None and merged[1] == {each.number for each in found} else None
            scope = scope.parent
        return None

    def knows(self, node: exp.Column, block: Block) -> bool:
        """Whether a column is certain to be one of the block's, or of those around it."""
        name, qualifier = node.name.lower(), node.table.lower()
        scope: Block | None = block
        while scope is not None:
            for source in scope.sources:
                if qualifier in ("", source.alias) and name in (_columns(source) or ()):
                    return True
            scope = scope.parent
        return False

    def _only(self, scope: Block, name: str) -> Variable | None:
        """An unqualified name where some columns are not known: certain only if there is one table."""
        return self._column(scope.sources[0], name) if len(scope.sources) == 1 and scope.parent is None else None

    def _column(self, source: Source, name: str) -> Variable | None:
        if source.outputs is not None:
            return source.outputs.get(name)
        definition = source.definition
        return (source.number, name) if definition is not None and name in definition.columns else None

    def is_sharded(self, source: Source) -> bool:
        """Whether there are rows of sharded tables in it."""
        if source.block is not None:
            return any(self.is_sharded(each) for each in source.block.sources)
        return source.table is not None and not source.table.broadcast

    # -- what holds --------------------------------------------------------------------------------------------

    def _join(self, join: exp.Expr, block: Block, ctes: dict[str, exp.Expr]) -> None:
        assert isinstance(join, exp.Join)
        if join.method == "NATURAL":
            raise Unplannable("NATURAL JOIN", join)
        if join.side not in ("", "LEFT", "RIGHT") or join.this.args.get("joins"):
            raise Unplannable(f"a {join.side or 'nested'} join", join)
        before = list(block.sources)
        first = len(self.sources)
        level = block.level if join.side == "" else block.level + 1
        source = self._source(join.this, block, level if join.side == "LEFT" else block.level, ctes)
        if join.side == "LEFT":
            for each in self.sources[first:]:
                each.optional = True
        if join.side == "RIGHT":
            self._make_optional(range(block.first, first))
        for name in join.args.get("using") or []:
            pair = self._using(name, before, source, block, of_right=join.side == "RIGHT")
            if pair is not None:
                self.unite(*pair, level)
        on = join.args.get("on")
        if on is not None:
            self._hold(on, block, level)

    def _make_optional(self, numbers: range) -> None:
        """What stands to the left of a RIGHT JOIN, with all that was said of it, is one level further in."""
        for number in numbers:
            self.sources[number].level += 1
            self.sources[number].optional = True
        for variable, found in self._conditions.items():
            if variable[0] in numbers:
                self._conditions[variable] = [(at + 1, condition) for at, condition in found]

    def _using(
        self, name: exp.Expr, before: list[Source], source: Source, block: Block, *, of_right: bool
    ) -> tuple[Variable, Variable] | None:
        column = name.name.lower()
        left = [each for each in before if column in (_columns(each) or ())]
        merged = block.merged.pop(column, None)
        if any(_columns(each) is None for each in before):
            return None
        numbers = frozenset(each.number for each in left)
        if merged is not None and merged[1] == numbers:
            one: Variable | None = merged[0]
        else:
            one = self._column(left[0], column) if len(left) == 1 else None
        other = self._column(source, column)
        if one is None or other is None:
            return None
        if self._meet(one, other):
            # Where the other side has no row, the value is that of the side all of whose rows are there.
            block.merged[column] = other if of_right else one, numbers | {source.number}
        return one, other

    def _meet(self, one: Variable, other: Variable) -> bool:
        """Whether values of the two can be equal only if shards are found by them in the same way."""
        types = self._type(one), self._type(other)
        return types[0] is not None and types[1] is not None and types[0].meets(types[1])

    def _hold(self, condition: exp.Expr, block: Block, level: int) -> None:
        """The condition holds for every row that matters of this level."""
        for conjunct in _conjuncts(condition):
            if isinstance(conjunct, exp.EQ):
                for one, other in _sides(conjunct):
                    left, right = self.variable(one, block), self.variable(other, block)
                    if left is not None and right is not None:
                        self.unite(left, right, level)
            for variable, found in self._implied(conjunct, block).items():
                self._conditions.setdefault(variable, []).extend((level, each) for each in found)

    def _implied(self, node: exp.Expr, block: Block) -> dict[Variable, list[Condition]]:
        """Conditions on single variables that ``node`` implies."""
        match node:
            case exp.Paren():
                return self._implied(node.this, block)
            case exp.And():
                left, right = self._implied(node.this, block), self._implied(node.expression, block)
                return {each: [*left.get(each, ()), *right.get(each, ())] for each in left.keys() | right.keys()}
            case exp.Or():
                left, right = self._implied(node.this, block), self._implied(node.expression, block)
                return {each: [Either((left[each][0], right[each][0]))] for each in left.keys() & right.keys()}
            case exp.EQ() | exp.NullSafeEQ():
                pairs = (
                    self._value_of(one, other, block) or self._value_of(other, one, block)
                    for one, other in _sides(node)
                )
                return {pair[0]: [OneOf(((pair[1],),))] for pair in pairs if pair is not None}
        found = self._range(node, block) or self._in(node, block)
        return {} if found is None else {found[0]: [found[1]]}

    def _value_of(self, column: exp.Expr, value: exp.Expr, block: Block) -> tuple[Variable, Reference] | None:
        variable, reference = self.variable(column, block), self.reference(value)
        return None if variable is None or reference is None else (variable, reference)

    def _range(self, node: exp.Expr, block: Block) -> tuple[Variable, Condition] | None:
        if isinstance(node, exp.Between):
            if node.args.get("symmetric"):
                return None
            variable = self.variable(node.this, block)
            low, high = self.reference(node.args["low"]), self.reference(node.args["high"])
            return None if variable is None or low is None or high is None else (variable, Between(low, high))
        if not isinstance(node, exp.LT | exp.LTE | exp.GT | exp.GTE):
            return None
        upper = isinstance(node, exp.LT | exp.LTE)
        found = self._value_of(node.this, node.expression, block)
        if found is None:
            found, upper = self._value_of(node.expression, node.this, block), not upper
        if found is None:
            return None
        return found[0], Between(None, found[1]) if upper else Between(found[1], None)

    def _in(self, node: exp.Expr, block: Block) -> tuple[Variable, Condition] | None:
        if not isinstance(node, exp.In) or node.args.get("query") is not None or not node.expressions:
            return None
        variable = self.variable(node.this, block)
        values = [self.reference(each) for each in node.expressions]
        if variable is None or None in values:
            return None
        return variable, OneOf(tuple((each,) for each in values if each is not None))

    def certain(self, variable: Variable) -> bool:
        """Whether it is never NULL."""
        number, name = variable
        source = self.sources[number]
        return not source.optional and source.definition is not None and not source.definition.columns[name].nullable

    # -- subqueries --------------------------------------------------------------------------------------------

    def _subqueries(self, node: exp.Expr, block: Block, ctes: dict[str, exp.Expr]) -> None:
        """Blocks inside expressions. Their tables follow those outside to which their WHERE ties them."""
        for found in _queries(node):
            inner = self.read(found, block, block.level + 2, ctes)
            parent = found.parent
            if isinstance(parent, exp.In) and parent.args.get("query") is found and len(inner) == 1:
                self._member(parent, inner[0], block)

    def _member(self, node: exp.In, inner: Block, block: Block) -> None:
        """``a [NOT] IN (SELECT b …)``: only rows with b equal to a matter, if neither can be NULL."""
        if _is_whole(inner.node) or len(inner.node.expressions) != 1:
            return
        outside = self.variable(node.this, block)
        inside = self.variable(unaliased(inner.node.expressions[0]), inner)
        if outside is not None and inside is not None and self.certain(outside) and self.certain(inside):
            self.unite(outside, inside, inner.level)


# -- the tree ------------------------------------------------------------------------------------------------------


def _bare(node: exp.Expr) -> exp.Expr:
    """A query without parentheses around it."""
    while isinstance(node, exp.Subquery | exp.Paren) and not node.args.get("joins"):
        node = node.this
    return node


def _from(node: exp.Expr) -> exp.Expr | None:
    if isinstance(node, exp.Select):
        from_ = node.args.get("from_")
        return None if from_ is None else from_.this
    table = node.this
    return table if isinstance(table, exp.Expr) else None


def _joins(table: exp.Expr | None) -> list[exp.Expr]:
    return list(table.args.get("joins") or []) if isinstance(table, exp.Table) else []


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    """Where expressions of a block stand, all but the tables."""
    for name, value in node.args.items():
        if name in ("from_", "with_", "joins"):
            continue
        if name == "this" and not isinstance(node, exp.Select):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, exp.Expr):
                yield each
    for join in [*_joins(_from(node)), *(node.args.get("joins") or [])]:
        if join.args.get("on") is not None:
            yield join.args["on"]


def _queries(node: exp.Expr) -> Iterator[exp.Expr]:
    """The outermost queries in an expression."""
    if isinstance(node, exp.Select | exp.SetOperation):
        yield node
        return
    if isinstance(node, exp.Subquery):
        yield node
        return
    for child in node.iter_expressions():
        yield from _queries(child)


def _conjuncts(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.Paren):
        yield from _conjuncts(node.this)
    elif isinstance(node, exp.And):
        yield from _conjuncts(node.this)
        yield from _conjuncts(node.expression)
    else:
        yield node


def _sides(node: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr]]:
    """What is equal to what: ``(a, b) = (c, d)`` says two things."""
    one, other = node.this, node.expression
    if isinstance(one, exp.Tuple) and isinstance(other, exp.Tuple) and len(one.expressions) == len(other.expressions):
        yield from zip(one.expressions, other.expressions, strict=True)
    else:
        yield one, other


def known(table: ShardedTable, node: exp.Expr) -> Definition:
    """The definition of a table that may be used. Raises Unplannable for ``node``."""
    if table.definition is None:
        raise Unplannable(f"table '{table.name}', whose columns are not known yet", node)
    if table.problem is not None:
        raise Unplannable(f"table '{table.name}': {table.problem}", node)
    return table.definition


def unaliased(node: exp.Expr) -> exp.Expr:
    """A selected expression without its name."""
    return node.this if isinstance(node, exp.Alias) else node


def is_star(item: exp.Expr) -> bool:
    """Whether a selected item is ``*`` or ``t.*``."""
    return isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star))


def has_rollup(group: exp.Expr) -> bool:
    """Whether a GROUP BY is more than a list of expressions."""
    return any(value for name, value in group.args.items() if name != "expressions")


def _is_whole(node: exp.Expr) -> bool:
    """Whether a query's rows depend on more than one row each: grouped, limited, or with a window."""
    if any(node.args.get(name) is not None for name in ("group", "having", "limit", "offset", "distinct", "windows")):
        return True
    return _selects(node, is_aggregate) or _selects(node, is_window)


# Aggregates that the parser knows by name only.
_AGGREGATES = frozenset({"JSON_ARRAYAGG", "JSON_OBJECTAGG", "ST_COLLECT", "BIT_AND", "BIT_OR", "BIT_XOR", "ANY_VALUE"})


def is_aggregate(node: exp.Expr) -> bool:
    """Whether a node is an aggregate function (or one used as a window)."""
    return isinstance(node, exp.AggFunc) or (isinstance(node, exp.Anonymous) and node.name.upper() in _AGGREGATES)


def is_window(node: exp.Expr) -> bool:
    """Whether a node is a function with OVER."""
    return isinstance(node, exp.Window)


def _selects(node: exp.Expr, wanted: Callable[[exp.Expr], bool]) -> bool:
    return any(True for item in node.expressions for _ in nodes_of(item, wanted))


def nodes_of(node: exp.Expr, wanted: Callable[[exp.Expr], bool]) -> Iterator[exp.Expr]:
    """The wanted nodes of an expression, without those of queries inside it."""
    if isinstance(node, exp.Select | exp.SetOperation | exp.Subquery):
        return
    if wanted(node):
        yield node
    for child in node.iter_expressions():
        yield from nodes_of(child, wanted)


def _columns(source: Source) -> Iterable[str] | None:
    """Names of a source's columns; None when they are not known."""
    if source.outputs is not None:
        return source.outputs
    return source.definition.columns if source.definition is not None else None
