"""Groups over several shards: each sends its own, ordered by what they are grouped by, and they are folded into one.

An aggregate that is DISTINCT needs more: shards group by its value too, and send each pair of group and value once, so
that pairs of several shards meet. What is selected stays as the client wrote it, for its name and type; values that are
no plain aggregates are computed anew from those that are (``planner/formulas``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sqlglot import exp

from router.planner import formulas
from router.planner.blocks import Unplannable, has_rollup, is_aggregate, is_star, is_window, nodes_of
from router.planner.clauses import Call, Span, Template, listed
from router.planner.columns import AGGREGATE_NAMES, Columns, Meant, column_name, weighed, weights_of
from router.planner.formulas import Condition, Formula
from router.planner.merging import Aggregate, Compare, Computed, Fold, MergeSpec, OrderKey, Scatter
from router.planner.routes import Reference

_WINDOW = "a window over groups of several shards"
_BITS: dict[type[exp.Expr], tuple[Fold, bytes]] = {
    exp.BitwiseAndAgg: (Fold.BIT_AND, b"18446744073709551615"),
    exp.BitwiseOrAgg: (Fold.BIT_OR, b"0"),
    exp.BitwiseXorAgg: (Fold.BIT_XOR, b"0"),
}
_OPERATORS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "<=>",
}
# Their text has more bytes there than where clients see it.
_WIDE = ("utf16", "utf32", "ucs2")
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}


@dataclass(frozen=True, slots=True)
class Pair:
    """An expression by whose values shards group too, and where it stands."""

    node: exp.Expr
    span: Span
    descending: bool = False


@dataclass(slots=True)
class Grouping(Columns):
    """Builds the plan of a SELECT whose groups are on several shards."""

    keys: list[tuple[Meant, OrderKey]] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    computed: list[Computed] = field(default_factory=list)
    folded: list[tuple[exp.Expr, Aggregate]] = field(default_factory=list)
    wanted: list[tuple[exp.Expr, list[Pair]]] = field(default_factory=list)
    apart: bool = False
    among: list[tuple[exp.Expr, tuple[int, ...]]] = field(default_factory=list)

    def build(self, covers: bool) -> Scatter:
        """The plan; ``covers``: what is counted DISTINCT is on one shard each."""
        root = self.root
        if root.args.get("distinct") is not None:
            raise Unplannable("DISTINCT over groups of several shards", root)
        group = root.args.get("group")
        if group is not None and has_rollup(group):
            raise Unplannable("GROUP BY … WITH ROLLUP over several shards", group)
        self.grouped = True
        for term, span in zip(self.grouping(), self.clauses.groups, strict=True):
            self._group_by(term, span)
        self._pair_up(covers)
        pairs = [self.key(Meant(each.node, each.span, None), descending=each.descending) for each in self.pairs]
        for position in range(len(self.items)):
            self._item(position)
        having = root.args.get("having")
        condition = None if having is None else self._checked(having)
        final = tuple(
            self._final(ordered, span) for ordered, span in zip(self.order(), self.clauses.orders, strict=True)
        )
        spec = MergeSpec(
            hidden=len(self.extras),
            groups=tuple(key for _, key in self.keys),
            pairs=tuple(pairs),
            aggregates=tuple(self.aggregates),
            computed=tuple(self.computed),
            having=condition,
            constants=tuple(self.constants),
            final=final,
        )
        return Scatter(self.routes, self._asked(), spec, pushes_limit=False)

    def _asked(self) -> Template:
        clauses = self.clauses
        terms: list[str | Span] = []
        for meant, _ in self.keys:
            terms += [",", *self.ordering(meant)]
        grouped: list[str | Span] = [clauses.group]
        for each in self.pairs:
            terms += [",", each.span, "DESC" * each.descending]
            grouped += ["," if len(grouped) > 1 or self.keys else "GROUP BY", each.span]
        order = ("ORDER BY", *terms[1:]) if terms else ()
        return (clauses.head, *self.listed(), clauses.body, *grouped, clauses.rest, *order)

    # -- groups ------------------------------------------------------------------------------------------------

    def _group_by(self, term: exp.Expr, span: Span) -> None:
        if isinstance(term, exp.Ordered):
            raise Unplannable("GROUP BY … DESC", term)
        meant = self.meant(term, span, aliases_first=False)
        if any(nodes_of(meant.node, lambda node: is_aggregate(node) or is_window(node))):
            raise Unplannable("GROUP BY of an aggregate", term)
        self.keys.append((meant, self.key(meant)))

    def _key_of(self, node: exp.Expr) -> OrderKey | None:
        """The key of groups that an expression is, or equals."""
        for meant, key in self.keys:
            if self.same(meant.node, node):
                return key
        return None

    def _from_groups(self, node: exp.Expr) -> bool:
        """Whether an expression is the same for all rows of a group, as far as equal values are the same."""
        if self._key_of(node) is not None:
            return True
        if isinstance(node, exp.Column | exp.Star | exp.Select | exp.SetOperation | exp.Subquery):
            return False
        if is_aggregate(node):
            return isinstance(node, exp.AnyValue)
        return all(self._from_groups(child) for child in node.iter_expressions())

    def _pair_up(self, covers: bool) -> None:
        """What else shards group by: what is counted DISTINCT, or the order in GROUP_CONCAT."""
        ordered = False
        for node in self._aggregate_nodes():
            if isinstance(node, exp.GroupConcat):
                ordered = True
                wanted = self._concatenated(node)
            elif isinstance(node, exp.Count | exp.Sum | exp.Avg) and isinstance(node.this, exp.Distinct) and not covers:
                spans = listed(self.tokens, self._call(node).argument)
                wanted = [Pair(each, span) for each, span in zip(node.this.expressions, spans, strict=True)]
            else:
                continue
            if not wanted:
                continue
            self.wanted.append((node, wanted))
            if not self.pairs:
                self.pairs = wanted
            elif not self._same_pairs(wanted):
                self.apart = True
        if self.apart:
            if ordered:
                raise Unplannable("aggregates of several expressions that are DISTINCT or in an order", self.root)
            self._set_apart()
        for pair in self.pairs:
            if pair.node.find(exp.Column) is None:
                raise Unplannable("DISTINCT or ORDER BY of a constant in an aggregate", pair.node)
            self.check_spelling(pair.node)

    def _set_apart(self) -> None:
        """Shards group by all values that are to be counted once; each aggregate has its own among them."""
        every: list[Pair] = []
        for node, wanted in self.wanted:
            places: list[int] = []
            for pair in wanted:
                known = [place for place, each in enumerate(every) if self.same(each.node, pair.node)]
                places.append(known[0] if known else len(every))
                if not known:
                    every.append(pair)
            self.among.append((node, tuple(places)))
        self.pairs = every

    def _same_pairs(self, wanted: list[Pair]) -> bool:
        return len(wanted) == len(self.pairs) and all(
            self.same(one.node, other.node) and one.descending is other.descending
            for one, other in zip(wanted, self.pairs, strict=True)
        )

    def _concatenated(self, node: exp.GroupConcat) -> list[Pair]:
        """The order of values in GROUP_CONCAT; values themselves if it is DISTINCT."""
        call, inner = self._call(node), node.this
        order = inner.expressions if isinstance(inner, exp.Order) else []
        distinct = inner.this if isinstance(inner, exp.Order) else inner
        if len(order) != len(call.orders):
            raise Unplannable("GROUP_CONCAT() of this form over several shards", node)
        pairs = [
            Pair(each.this, span, bool(each.args.get("desc"))) for each, span in zip(order, call.orders, strict=True)
        ]
        if not isinstance(distinct, exp.Distinct):
            for pair in pairs:
                self._check_known(pair.node, distinct)
            return pairs
        value = distinct.expressions[0]
        if len(distinct.expressions) > 1 or len(listed(self.tokens, call.argument)) > 1:
            raise Unplannable("GROUP_CONCAT(DISTINCT …) of several expressions over several shards", node)
        if pairs and not (len(pairs) == 1 and self.same(pairs[0].node, value)):
            raise Unplannable("GROUP_CONCAT(DISTINCT …) in the order of something else over several shards", node)
        return pairs or [Pair(value, call.argument)]

    def _check_known(self, node: exp.Expr, values: exp.Expr) -> None:
        """GROUP_CONCAT's own ORDER BY takes NULL for an empty value; it cannot be NULL if it is among the values."""
        listed_values = values.expressions if isinstance(values, exp.Concat) else [values]
        variable = self.variable(node)
        if (variable is None or not self.blocks.certain(variable)) and not any(
            self.same(node, each) for each in listed_values
        ):
            raise Unplannable("GROUP_CONCAT() in the order of what may be NULL, over several shards", node)

    def _aggregate_nodes(self) -> list[exp.Expr]:
        parts = [*self.items, *self.order()]
        if (having := self.root.args.get("having")) is not None:
            parts.append(having)
        return [node for part in parts for node in nodes_of(part, is_aggregate)]

    # -- what is selected --------------------------------------------------------------------------------------

    def _item(self, position: int) -> None:
        meant = self.item(position)
        node = meant.node
        while isinstance(node, exp.Paren):
            node = node.this
        if is_star(self.items[position]):
            raise Unplannable("* over groups of several shards", node)
        if any(nodes_of(node, is_window)):
            raise Unplannable(_WINDOW, node)
        if self._from_groups(node):
            if self.pairs and not self.keys:
                raise Unplannable("something else than aggregates beside COUNT(DISTINCT …)", node)
        elif is_aggregate(node):
            self._fold(node, position)
        elif any(nodes_of(node, is_aggregate)):
            self.computed.append(Computed(position, self._formula(node)))
        else:
            raise Unplannable(f"{described(node)} over groups of several shards", node)

    def _fold(self, node: exp.Expr, position: int | None) -> Aggregate:
        """How an aggregate is folded, in the column at ``position`` or in one of its own."""
        for known, aggregate in self.folded:
            if position is None and self.same(known, node):
                return aggregate
        column = self.own(self._call(node).whole) if position is None else position
        made = self._folded(node, column)
        if self.apart and made.distinct:
            made = replace(made, among=next(places for each, places in self.among if each is node))
        self.aggregates.append(made)
        self.folded.append((node, made))
        return made

    def _folded(self, node: exp.Expr, column: int) -> Aggregate:
        distinct = bool(self.pairs) and isinstance(node.this, exp.Distinct)
        argument = node.this
        if isinstance(argument, exp.Distinct):
            if len(argument.expressions) > 1 and not isinstance(node, exp.Count):
                raise Unplannable(f"{described(node)} over groups of several shards", node)
            argument = argument.expressions[0]
        match node:
            case exp.Count():
                return Aggregate(column, Fold.SUM, distinct=distinct, empty=b"0")
            case exp.Sum():
                return Aggregate(column, Fold.SUM, distinct=distinct)
            case exp.Min() | exp.Max():
                return Aggregate(column, Fold.MIN if isinstance(node, exp.Min) else Fold.MAX, self._by(node, column))
            case exp.Avg():
                mark = "DISTINCT" if isinstance(node.this, exp.Distinct) else ""
                span = self._call(node).argument
                return Aggregate(
                    column,
                    Fold.AVG,
                    total=self.own("SUM(", mark, span, ")"),
                    count=self.own("COUNT(", mark, span, ")"),
                    distinct=distinct,
                )
            case exp.BitwiseAndAgg() | exp.BitwiseOrAgg() | exp.BitwiseXorAgg():
                fold, empty = _BITS[type(node)]
                return Aggregate(column, fold, empty=empty)
            case exp.GroupConcat():
                return self._joined(node, column)
            case exp.StddevPop() | exp.StddevSamp() | exp.VariancePop() | exp.Variance() if argument is node.this:
                return self._spread(node, column)
        raise Unplannable(f"{described(node)} over groups of several shards", node)

    def _spread(self, node: exp.Expr, column: int) -> Aggregate:
        span = self._call(node).argument
        # Servers compute a quotient with more digits than they show, which only doubles tell.
        plain = self.variable(node.this) is not None
        return Aggregate(
            column,
            Fold.VARIANCE,
            total=self.own("SUM((", span, ")" if plain else ") + 0e0", ")"),
            count=self.own("COUNT(", span, ")"),
            squares=self.own("SUM(((", span, ") + 0.0) * ((", span, ") + 0.0))"),
            spread=self.own("VAR_POP((", span, ") + 0e0)"),
            sample=isinstance(node, exp.StddevSamp | exp.Variance),
            root=isinstance(node, exp.StddevPop | exp.StddevSamp),
        )

    def _joined(self, node: exp.GroupConcat, column: int) -> Aggregate:
        for each in node.find_all(exp.Column):
            variable = self.variable(each)
            collation = None if variable is None else self.column(variable).collation
            if variable is None or (collation or "").startswith(_WIDE):
                raise Unplannable("GROUP_CONCAT() of text of unknown length over several shards", node)
        separator = self._call(node).separator
        inner = node.this.this if isinstance(node.this, exp.Order) else node.this
        return Aggregate(
            column,
            Fold.CONCAT,
            separator=None if separator is None else self.own(separator),
            longest=self.add("@@group_concat_max_len"),
            distinct=isinstance(inner, exp.Distinct),
        )

    def _by(self, node: exp.Min | exp.Max, column: int) -> OrderKey:
        """How MIN and MAX compare."""
        argument = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
        variable = self.variable(argument)
        if variable is None:
            if not self.of_one_collation(node):
                return OrderKey(column, Compare.BY_TYPE)
            weights = self.own(*weights_of(self._call(node).whole, grouped=False))
            return OrderKey(column, Compare.BY_TYPE, weights=weights)
        found = self.column(variable)
        if found.type in ("enum", "set"):
            # Of these servers take the least as of text, and not by their numbers.
            whole = self._call(node).whole
            weights = self.own(*weights_of(whole, grouped=False))
            return OrderKey(self.own("CONCAT(", whole, ")"), Compare.BY_TYPE, weights=weights)
        compare, expression = weighed(found, f"{node.sql_name()}({column_name(argument)})", node)
        return OrderKey(column if expression is None else self.own(expression), compare)

    def _call(self, node: exp.Expr) -> Call:
        call = self.calls.get(id(node))
        if call is None:
            raise Unplannable(f"{described(node)} over groups of several shards", node)
        return call

    # -- what is computed --------------------------------------------------------------------------------------

    def _formula(self, node: exp.Expr) -> Formula:
        while isinstance(node, exp.Paren):
            node = node.this
        reference = self.blocks.reference(node)
        if reference is not None:
            return self._constant(reference)
        if is_aggregate(node):
            return self._aggregated(node)
        match node:
            case exp.Neg():
                return formulas.Negated(self._formula(node.this))
            case exp.Add() | exp.Sub() | exp.Mul():
                left, right = self._formula(node.this), self._formula(node.expression)
                return formulas.Arithmetic(_ARITHMETIC[type(node)], left, right)
            case exp.Div():
                left, right = self._formula(node.this), self._formula(node.expression)
                return formulas.Quotient(left, right, self.add("@@div_precision_increment"))
            case exp.Round():
                decimals = node.args.get("decimals")
                if decimals is None:
                    return formulas.Rounded(self._formula(node.this))
                digits = self.blocks.reference(decimals)
                if digits is not None and not digits.negative:
                    return formulas.Rounded(self._formula(node.this), self._constant(digits))
            case exp.Coalesce():
                return formulas.FirstKnown(tuple(self._formula(each) for each in [node.this, *node.expressions]))
        raise Unplannable(f"{described(node)} of aggregates over several shards", node)

    def _constant(self, reference: Reference) -> formulas.Constant:
        return formulas.Constant(self.constant(reference))

    def _aggregated(self, node: exp.Expr) -> Formula:
        """Only types of which nothing overflows and nothing is unsigned on the way."""
        extreme = isinstance(node, exp.Min | exp.Max) and self._is_signed(node.this)
        if not extreme and not isinstance(node, exp.Count | exp.Sum | exp.Avg):
            raise Unplannable(f"{described(node)} in an expression over several shards", node)
        return _field(self._fold(node, None))

    def _is_signed(self, node: exp.Expr) -> bool:
        """Whether it is a column with exact numbers that may be negative, of which the largest fit several times."""
        variable = self.variable(node)
        column = None if variable is None else self.column(variable)
        return column is not None and not column.unsigned and column.type in ("tinyint", "smallint", "int", "decimal")

    def _checked(self, having: exp.Expr) -> Condition:
        """The condition of HAVING, in which nothing means something else under another sql_mode."""
        span = self.clauses.having
        for index in range(span.first, span.last):
            text = self.tokens[index].text
            if text in ("!", "||") or (text == "NOT" and not self._binds_alike(index)):
                raise Unplannable(
                    f"HAVING with {text}, which depends on sql_mode, over groups of several shards", having
                )
        return self._condition(having.this)

    def _binds_alike(self, index: int) -> bool:
        """Whether a NOT denies the same under HIGH_NOT_PRECEDENCE."""
        words = [self.tokens[each].text for each in range(index + 1, self.clauses.having.last)]
        if self.tokens[index - 1].text == "IS" or (words and words[0] in ("IN", "BETWEEN")):
            return True
        depth = 0
        for place, word in enumerate(words):
            depth += (word == "(") - (word == ")")
            if depth == 0:
                return word == ")" and (place + 1 == len(words) or words[place + 1] in (")", "AND", "OR"))
        return False

    def _condition(self, node: exp.Expr) -> Condition:
        match node:
            case exp.Paren():
                return self._condition(node.this)
            case exp.Not():
                return formulas.Not(self._condition(node.this))
            case exp.And() | exp.Or():
                parts = (self._condition(node.this), self._condition(node.expression))
                return formulas.Junction(isinstance(node, exp.Or), parts)
            case exp.Between() if not node.args.get("symmetric"):
                value, low, high = (self._compared(node.args[name]) for name in ("this", "low", "high"))
                ends = (formulas.Comparison(">=", value, low), formulas.Comparison("<=", value, high))
                return formulas.Junction(either=False, parts=ends)
            case exp.In() if node.args.get("query") is None and node.expressions:
                value = self._compared(node.this)
                equal = [formulas.Comparison("=", value, self._compared(each)) for each in node.expressions]
                return formulas.Junction(either=True, parts=tuple(equal))
            case exp.Is() if isinstance(node.expression, exp.Null):
                return formulas.IsNull(self._compared(node.this))
        operator = _OPERATORS.get(type(node))
        if operator is None:
            raise Unplannable(f"HAVING with {described(node)} over groups of several shards", node)
        return formulas.Comparison(operator, self._compared(node.this), self._compared(node.expression))

    def _compared(self, node: exp.Expr) -> Formula:
        """One side of a comparison in HAVING: an aggregate or a group's number, by itself or in an expression."""
        while isinstance(node, exp.Paren):
            node = node.this
        if isinstance(node, exp.Column):
            named = self._named(node)
            key = self._key_of(named)
            if key is not None:
                return self._number(named, key)
            node = named
        if isinstance(node, exp.Min | exp.Max) or type(node) in _BITS:
            return formulas.Field(self._fold(node, None).column)
        if any(nodes_of(node, is_aggregate)) or self.blocks.reference(node) is not None:
            return self._formula(node)
        raise Unplannable(f"HAVING with {described(node)} over groups of several shards", node)

    def _number(self, node: exp.Expr, key: OrderKey) -> Formula:
        variable = self.variable(node)
        if variable is not None and key.compare not in (Compare.INTEGER, Compare.DECIMAL):
            raise Unplannable(f"HAVING with column '{node.name}' over groups of several shards", node)
        if variable is not None and self.column(variable).type in ("enum", "set", "timestamp"):
            raise Unplannable(f"HAVING with column '{node.name}' over groups of several shards", node)
        return formulas.Field(key.column)

    def _named(self, node: exp.Column) -> exp.Expr:
        """What a name in HAVING means: something selected, or a column that the groups are made by."""
        named = [item for item in self.items if isinstance(item, exp.Alias) and item.alias.lower() == node.name.lower()]
        if node.table or not named:
            return node
        meant = named[0].this
        if len(named) > 1 or (self.variable(node) is not None and not self.same(meant, node)):
            raise Unplannable(f"'{node.name}' in HAVING, which may mean several things", node)
        return meant if isinstance(meant, exp.Expr) else node

    # -- the order of finished groups --------------------------------------------------------------------------

    def _final(self, ordered: exp.Expr, span: Span) -> OrderKey:
        descending = bool(ordered.args.get("desc"))
        meant = self.meant(ordered.this, span, aliases_first=True)
        node = meant.node
        while isinstance(node, exp.Paren):
            node = node.this
        key = self._key_of(node)
        if key is not None:
            return OrderKey(key.column, key.compare, descending, key.weights)
        if is_aggregate(node) and not isinstance(node, exp.AnyValue):
            return self._by_aggregate(node, meant, descending=descending)
        if self._from_groups(node):
            self.check_spelling(node)
            return self.key(meant, descending=descending)
        if not any(nodes_of(node, is_aggregate)):
            raise Unplannable(f"ORDER BY {described(node)} over groups of several shards", node)
        column = meant.position
        if column is None:
            column = self.own(span)
            self.computed.append(Computed(column, self._formula(node)))
        return OrderKey(column, Compare.BY_TYPE, descending)

    def _by_aggregate(self, node: exp.Expr, meant: Meant, *, descending: bool) -> OrderKey:
        made = next((each for each in self.aggregates if each.column == meant.position), None)
        made = self._fold(node, None) if made is None else made
        if made.fold is Fold.CONCAT:
            raise Unplannable("ORDER BY GROUP_CONCAT() over several shards", node)
        if made.by is not None:
            return OrderKey(made.by.column, made.by.compare, descending, made.by.weights)
        return OrderKey(made.column, Compare.DECIMAL, descending)


def _field(made: Aggregate) -> Formula:
    if made.fold is Fold.AVG:
        return formulas.Mean(made.column, made.total, made.count)
    return formulas.Field(made.column)


def described(node: exp.Expr) -> str:
    """An expression in a few words."""
    if isinstance(node, exp.Anonymous):
        return f"{node.name.upper()}()"
    name = node.sql_name() if isinstance(node, exp.Func) else type(node).__name__.upper()
    name = AGGREGATE_NAMES.get(type(node), name)
    if isinstance(node.this, exp.Distinct):
        return f"{name}(DISTINCT …)"
    return f"{name}()" if isinstance(node, exp.Func) else name
