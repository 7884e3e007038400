"""The columns of a SELECT over several shards: what its names mean, and which columns are added to merge rows by.

Added columns are not for the client. They stand at the end of the select list, the one that was asked for first as the
last, so that they are counted from the end of the row: -1, -2 ….
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from router.planner.blocks import (
    Block,
    Blocks,
    Unplannable,
    Variable,
    is_aggregate,
    is_star,
    is_window,
    nodes_of,
    unaliased,
)
from router.planner.clauses import Call, Clauses, Span, Template, calls, clauses_of, unnamed
from router.planner.merging import LONGEST_TEXT, Compare, OrderKey
from router.planner.routes import Reference, Route, Slot
from router.planner.tables import Column
from router.planner.variants import Literals
from router.sql.lexer import Token

# Bytes of a value that servers sort by, as they are set up (max_sort_length).
_SORTED_BYTES = 1024
_BY_NUMBER = frozenset({"enum", "set"})
_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "year"})
# Another value each time, so that a column of it would not be what rows are ordered by.
_FLEETING = frozenset({"RAND", "UUID", "UUID_SHORT", "SLEEP", "SYS_GUID", "RANDOM_BYTES", "NEXTVAL"})
# Never text.
_NO_TEXT = (
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Predicate, exp.Not),
    *(exp.Count, exp.Sum, exp.Avg),
)


@dataclass(frozen=True, slots=True)
class Meant:
    """What a term of ORDER BY or GROUP BY means: an expression, where it stands, and the position (from 0) at which it
    is selected, if it is and that can be told."""

    node: exp.Expr
    span: Span
    position: int | None


@dataclass(slots=True)
class Columns:
    """The columns of one SELECT."""

    root: exp.Select
    blocks: Blocks
    block: Block
    routes: tuple[Route, ...]
    tokens: list[Token]
    literals: Literals
    span: Span
    extras: list[Template] = field(default_factory=list)
    constants: list[Reference] = field(default_factory=list)
    clauses: Clauses = field(init=False)
    items: list[exp.Expr] = field(init=False)
    starred: bool = field(init=False)
    calls: dict[int, Call] = field(init=False)
    grouped: bool = field(init=False)

    def __post_init__(self) -> None:
        self.clauses = clauses = clauses_of(self.tokens, self.span)
        self.items = list(self.root.expressions)
        self.grouped = bool(self.grouping())
        self.starred = any(is_star(item) for item in self.items)
        listed = (
            (self.items, clauses.items),
            (self.grouping(), clauses.groups),
            (self.order(), clauses.orders),
        )
        if any(len(nodes) != len(spans) for nodes, spans in listed):
            raise Unplannable("a SELECT of this form over several shards", self.root)
        self.calls = {}
        for nodes, spans in listed:
            for node, span in zip(nodes, spans, strict=True):
                self._match_calls(node, span)
        if (having := self.root.args.get("having")) is not None:
            self._match_calls(having, clauses.having)

    def _match_calls(self, node: exp.Expr, span: Span) -> None:
        nodes = list(nodes_of(node, is_aggregate))
        found = list(calls(self.tokens, span))
        if [AGGREGATE_NAMES.get(type(each)) for each in nodes] == [call.name for call in found]:
            self.calls.update({id(each): call for each, call in zip(nodes, found, strict=True)})

    def grouping(self) -> list[exp.Expr]:
        """The terms of GROUP BY."""
        group = self.root.args.get("group")
        return [] if group is None else list(group.expressions)

    def order(self) -> list[exp.Expr]:
        """The terms of ORDER BY."""
        order = self.root.args.get("order")
        return [] if order is None else list(order.expressions)

    # -- what is meant -----------------------------------------------------------------------------------------

    def normal(self, node: exp.Expr) -> exp.Expr:
        """An expression in the form that all its spellings have in common."""
        copy = node.copy()
        for paren in list(copy.find_all(exp.Paren)):
            if paren is copy:
                copy = paren.this
            paren.replace(paren.this)
        return copy.transform(self._normal)

    def _normal(self, node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column):
            variable = self.blocks.variable(node, self.block)
            return node if variable is None else exp.Var(this=f"{variable[0]} {variable[1]}")
        reference = self.blocks.reference(node) if isinstance(node, exp.Literal) else None
        if isinstance(reference, Slot) and reference.number in self.literals.labels:
            return exp.Var(this=f"literal {self.literals.labels[reference.number]}")
        return node

    def same(self, one: exp.Expr, other: exp.Expr) -> bool:
        """Whether two expressions are the same."""
        return bool(self.normal(one) == self.normal(other))

    def variable(self, node: exp.Expr) -> Variable | None:
        """The variable that a column means."""
        return self.blocks.variable(node, self.block)

    def item(self, position: int) -> Meant:
        """A selected expression."""
        item = self.items[position]
        span = unnamed(self.tokens, self.clauses.items[position], isinstance(item, exp.Alias))
        return Meant(unaliased(item), span, None if self.starred else position)

    def meant(self, node: exp.Expr, span: Span, *, aliases_first: bool) -> Meant:
        """What a term means: ORDER BY looks for aliases before columns, GROUP BY after them."""
        while isinstance(node, exp.Paren):
            node = node.this
        reference = self.blocks.reference(node)
        if reference is not None:
            return self._positional(node, reference)
        if node.find(exp.Column, exp.Func, exp.Select, exp.Null) is None:
            # To some servers `- -2` is a position too.
            raise Unplannable("ORDER BY or GROUP BY a constant", node)
        if isinstance(node, exp.Column) and not node.table:
            if not aliases_first and self.variable(node) is not None:
                return self._spelt(node, span)
            named = [
                position
                for position, item in enumerate(self.items)
                if not is_star(item) and item.alias_or_name.lower() == node.name.lower()
            ]
            if named:
                if any(not self.same(self.item(named[0]).node, self.item(each).node) for each in named):
                    raise Unplannable(f"'{node.name}', which may mean several selected expressions", node)
                return self.item(named[0])
        return self._spelt(node, span)

    def _positional(self, node: exp.Expr, reference: Reference) -> Meant:
        if not isinstance(reference, Slot) or reference.negative or reference.number not in self.literals.positions:
            raise Unplannable("ORDER BY or GROUP BY a constant", node)
        position = self.literals.positions[reference.number] - 1
        if position >= len(self.items) or any(is_star(item) for item in self.items[: position + 1]):
            raise Unplannable("ORDER BY or GROUP BY a position that is not among the columns", node)
        return self.item(position)

    def _spelt(self, node: exp.Expr, span: Span) -> Meant:
        for position, item in enumerate(self.items):
            if not is_star(item) and self.same(unaliased(item), node):
                return Meant(node, self.item(position).span, None if self.starred else position)
        return Meant(node, span, None)

    def check_spelling(self, node: exp.Expr) -> None:
        """An expression may stand elsewhere as it is written, in the select list or in ORDER BY, and means the same."""
        for each in node.walk():
            if isinstance(each, exp.Select | exp.SetOperation):
                raise Unplannable("a subquery to order or group by over several shards", node)
            if isinstance(each, exp.Column) and not each.table:
                variable = self.variable(each)
                if variable is None:
                    raise Unplannable(f"'{each.name}' inside an expression, which cannot be told for certain", node)
                for item in self.items:
                    if isinstance(item, exp.Alias) and item.alias.lower() == each.name.lower():
                        self._check_alias(item, each, variable)

    def check_lasting(self, node: exp.Expr) -> None:
        """An expression has the same value each time it is computed for a row."""
        for each in node.find_all(exp.Func):
            name = each.name.upper() if isinstance(each, exp.Anonymous) else each.sql_name()
            if name in _FLEETING:
                raise Unplannable(f"ORDER BY or GROUP BY {name}()", node)

    def _check_alias(self, item: exp.Alias, column: exp.Column, variable: Variable) -> None:
        if self.variable(item.this) != variable:
            raise Unplannable(f"'{column.name}', which is a column and something else that is selected", column)

    # -- what is added -----------------------------------------------------------------------------------------

    def add(self, *pieces: str | Span) -> int:
        """The number of an added column."""
        if pieces not in self.extras:
            self.extras.append(pieces)
        return -1 - self.extras.index(pieces)

    def own(self, *pieces: str | Span) -> int:
        """As ``add``, for what is folded: each aggregate has its own."""
        self.extras.append(pieces)
        return -len(self.extras)

    def constant(self, reference: Reference) -> int:
        """The number of a constant."""
        self.constants.append(reference)
        return len(self.constants) - 1

    def listed(self) -> Template:
        """The added columns, for the end of the select list."""
        return tuple(piece for extra in reversed(self.extras) for piece in (",", *extra))

    # -- what rows are ordered by ------------------------------------------------------------------------------

    def key(self, meant: Meant, *, descending: bool = False) -> OrderKey:
        """How rows are ordered by an expression."""
        node = meant.node
        variable = self.variable(node)
        if variable is not None:
            name = column_name(node)
            compare, expression = weighed(self.column(variable), name, node)
            if expression is None and meant.position is not None:
                return OrderKey(meant.position, compare, descending)
            return OrderKey(self.add(expression or name), compare, descending)
        self.check_lasting(node)
        if meant.position is None:
            self.check_spelling(node)
        column = self.add(meant.span) if meant.position is None else meant.position
        return OrderKey(column, Compare.BY_TYPE, descending, self._weights(meant))

    def _weights(self, meant: Meant) -> int | None:
        node = meant.node
        if isinstance(node, _NO_TEXT) or node.find(exp.Select) is not None or not self.of_one_collation(node):
            return None
        # ONLY_FULL_GROUP_BY wants what is computed from group columns to be aggregated, as if it could differ.
        apart = is_aggregate(node) or any(nodes_of(node, lambda each: is_aggregate(each) or is_window(each)))
        return self.add(*weights_of(meant.span, grouped=self.grouped and not apart))

    def of_one_collation(self, node: exp.Expr) -> bool:
        """Whether text in an expression is certain to have a collation by which it can be compared."""
        variables = [self.variable(each) for each in node.find_all(exp.Column)]
        collations = {self.column(each).collation for each in variables if each is not None} - {None}
        return None not in variables and len(collations) <= 1

    def column(self, variable: Variable) -> Column:
        """The definition of a variable's column."""
        definition = self.blocks.sources[variable[0]].definition
        assert definition is not None
        return definition.columns[variable[1]]

    def ordering(self, meant: Meant) -> Template:
        """The expression as a term of ORDER BY of the shards."""
        if meant.position is not None:
            return (str(meant.position + 1),)
        self.check_spelling(meant.node)
        return (meant.span,)


# The functions that calls are matched with.
AGGREGATE_NAMES: dict[type[exp.Expr], str] = {
    exp.Count: "COUNT",
    exp.Sum: "SUM",
    exp.Avg: "AVG",
    exp.Min: "MIN",
    exp.Max: "MAX",
    exp.BitwiseAndAgg: "BIT_AND",
    exp.BitwiseOrAgg: "BIT_OR",
    exp.BitwiseXorAgg: "BIT_XOR",
    exp.GroupConcat: "GROUP_CONCAT",
    exp.StddevPop: "STDDEV_POP",
    exp.StddevSamp: "STDDEV_SAMP",
    exp.VariancePop: "VAR_POP",
    exp.Variance: "VAR_SAMP",
}


def weights_of(span: Span, *, grouped: bool) -> Template:
    """An expression's weights, padded if its collation ignores spaces at the end: which shows in how it compares.

    Of groups, the least one of all equal ones, as ONLY_FULL_GROUP_BY wants it. CONCAT makes text of what is none.
    """
    weights = (
        *("IF(CONCAT('a', LEFT(", span, ", 0)) = CONCAT('a ', LEFT(", span, ", 0)), WEIGHT_STRING(CONCAT("),
        *(span, f") AS CHAR({LONGEST_TEXT})), WEIGHT_STRING(CONCAT(", span, ")))"),
    )
    return ("MIN(", *weights, ")") if grouped else weights


def weighed(column: Column, name: str, node: exp.Expr | None = None) -> tuple[Compare, str | None]:
    """How values of a column compare, and the expression to compare by (None: the column itself).

    Raises Unplannable for ``node``.
    """
    match column.type:
        case kind if kind in _INTEGERS:
            return Compare.INTEGER, None
        case "decimal":
            return Compare.DECIMAL, None
        case "double":
            return Compare.FLOAT, None
        case "time":
            return Compare.TIME, None
        case "float":
            return Compare.FLOAT, f"{name} + 0e0"
        case "binary" | "varbinary" if column.length > _SORTED_BYTES:
            raise Unplannable(f"order or groups by column '{column.name}', longer than what servers sort by", node)
        case "date" | "datetime" | "binary" | "varbinary":
            return Compare.BYTES, None
        case "timestamp":
            return Compare.DECIMAL, f"UNIX_TIMESTAMP({name})"
        case kind if kind in _BY_NUMBER:
            return Compare.INTEGER, f"{name} + 0"
        case "char" | "varchar" if column.length * 2 > _SORTED_BYTES:
            raise Unplannable(f"order or groups by column '{column.name}', longer than what servers sort by", node)
        case "char" | "varchar" if column.length:
            return Compare.BYTES, (
                f"WEIGHT_STRING({name} AS CHAR({column.length}))" if column.pads else f"WEIGHT_STRING({name})"
            )
    raise Unplannable(f"order or groups by column '{column.name}' of type {column.type}", node)


def column_name(node: exp.Expr) -> str:
    """A column's name as SQL that any mode reads alike."""
    while isinstance(node, exp.Paren):
        node = node.this
    assert isinstance(node, exp.Column)
    return ".".join(f"`{part.name.replace('`', '``')}`" for part in node.parts)
