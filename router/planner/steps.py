"""Queries inside a statement that are asked before it: those that say the same for every row around them.

They are found by the statement's tokens, and each is a statement of its own. The statement around them is planned as if
parameters stood in their places, so that what they give decides its shards like any other value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sqlglot import exp

from router.planner.blocks import Block, Blocks, Unplannable, has_rollup, is_star, unaliased
from router.planner.clauses import Span, items_of
from router.planner.plan import Answers, Sharded, Step, Use
from router.planner.routes import Told
from router.planner.tables import Column, ShardedSchema
from router.planner.text import Cut, Text
from router.sql import tree
from router.sql.facts import StatementKind
from router.sql.lexer import LexMode, Token, TokenKind

# Values of a list, and bytes they may take in the statement: as the least servers take for a packet, and a good deal
# more than lists that people write.
MOST_VALUES = 10_000
MOST_BYTES = 1024 * 1024

_SETS = frozenset({"UNION", "EXCEPT", "INTERSECT", "MINUS"})
_TABLES = frozenset({"FROM", "JOIN", "STRAIGHT_JOIN", "LATERAL", "AS"})
_CLAUSES = frozenset({"SELECT", "FROM", "WHERE", "ON", "GROUP", "HAVING", "ORDER", "LIMIT", "SET", "VALUES", "WINDOW"})
_QUANTIFIERS = frozenset({"ANY", "ALL", "SOME"})
_QUANTIFIED = {
    **dict.fromkeys([("=", "ANY"), ("=", "SOME")], " IN "),
    **dict.fromkeys([("<>", "ALL"), ("!=", "ALL")], " NOT IN "),
}
_BOUNDED = frozenset({"LIMIT", "FOR", "LOCK", "INTO", "PROCEDURE"})
# Another value for each row, or a value of the connection.
_FLEETING = frozenset(
    {"RAND", "UUID", "UUID_SHORT", "SLEEP", "SYS_GUID", "RANDOM_BYTES", "NEXTVAL", "SYSDATE", "BENCHMARK"}
)

NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "double", "float"})
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BINARIES = frozenset({"binary", "varbinary"})


def family(column: Column) -> str:
    """What a column's values may be compared with so that a literal does as well: a family of types, or a collation."""
    if column.type in NUMBERS:
        return "number"
    if column.type in _TEXTS:
        return column.collation or "?"
    if column.type in _BINARIES:
        return "binary"
    return "date" if column.type in ("date", "datetime") else column.type


@dataclass(frozen=True, slots=True)
class Found:
    """A query in parentheses; ``span`` has the parentheses too, and EXISTS in front of them, or = ANY and <> ALL, for
    which ``head`` is written."""

    answers: Answers
    span: Span
    query: Span
    head: str = ""


def found_in(tokens: Sequence[Token], span: Span) -> Iterator[Found]:
    """The queries in expressions, from left to right; also those inside others."""
    for index in range(span.first, span.last - 1):
        if not _is(tokens[index], "(") or tokens[index + 1].text != "SELECT":
            continue
        before = tokens[index - 1].text if index > span.first else ""
        end = _closing(tokens, index, span.last)
        after = tokens[end + 1].text if end + 1 < span.last else ""
        if end < 0 or before in _TABLES or before in _SETS:
            continue
        if before in ("(", "") and (after == ")" or after in _SETS or tokens[index - 2].text in ("IN", "FROM", "JOIN")):
            continue  # what it stands for is said outside of the parentheses around it
        if _clause(tokens, index, span.first) in ("FROM", "JOIN", ""):
            continue
        query = Span(index + 1, end)
        if before in _QUANTIFIERS:
            word = tokens[index - 2].text
            if head := _QUANTIFIED.get((word, before)):
                yield Found(Answers.LIST, Span(index - 2, end + 1), query, head)
        elif before == "EXISTS":
            yield Found(Answers.EXISTS, Span(index - 1, end + 1), query)
        else:
            yield Found(Answers.LIST if before == "IN" else Answers.VALUE, Span(index, end + 1), query)


def _is(token: Token, mark: str) -> bool:
    return token.kind is TokenKind.PUNCT and token.text == mark


def _closing(tokens: Sequence[Token], index: int, last: int) -> int:
    depth = 0
    for place in range(index, last):
        depth += _is(tokens[place], "(") - _is(tokens[place], ")")
        if depth == 0:
            return place
    return -1


def _clause(tokens: Sequence[Token], index: int, first: int) -> str:
    """The clause in which a token stands, looking out of parentheses that are no query's."""
    depth = 0
    for place in range(index - 1, first - 1, -1):
        depth += _is(tokens[place], ")") - _is(tokens[place], "(")
        depth = max(depth, 0)
        if depth == 0 and tokens[place].kind is TokenKind.WORD:
            word = tokens[place].text
            if word == "JOIN" or word in _CLAUSES:
                return word
    return ""


# -- which of them are asked beforehand ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Able:
    """A query that can be asked by itself, with ``behind`` behind it; the ``collation`` of its text, if known."""

    found: Found
    behind: bytes
    plan: Sharded
    collation: str | None


@dataclass(slots=True)
class Steps:
    """Queries that are asked beforehand, and what stands around them (``shards.Around``)."""

    schema: ShardedSchema
    found: Sequence[Able]
    steps: list[Step] = field(default_factory=list)
    named: list[tuple[int, Span]] = field(default_factory=list)

    @property
    def cuts(self) -> Sequence[Cut]:
        """What the statement is read without."""
        return [
            Cut(each.found.span, number, each.found.answers is Answers.LIST, each.found.head)
            for number, each in enumerate(self.found)
        ]

    def look(self, root: exp.Expr, blocks: Blocks, tokens: list[Token]) -> None:
        """Find out what each is there for. Raises Unplannable."""
        around = _Around(root, blocks, tokens)
        uses = around.uses()
        if len(uses) != len(self.found):
            raise Unplannable("a subquery where it cannot be told what it is there for", root)
        for number, each in enumerate(self.found):
            use, shown, compared = uses[number]
            answers, span, query = each.found.answers, each.found.span, each.found.query
            if answers is Answers.EXISTS:
                use, shown = Use.COMPUTED, None
            head = each.found.head
            self.steps.append(
                Step(answers, span, query, each.behind, each.plan, use, shown, each.collation, compared, head)
            )
        self.named = around.named()


_MOST = {
    Answers.VALUE: b" LIMIT 2",
    Answers.LIST: b" LIMIT %d" % (MOST_VALUES + 1),
    Answers.EXISTS: b" LIMIT 1",
}


def candidates(
    schema: ShardedSchema, sql: bytes, mode: LexMode, planned: Callable[[bytes], Sharded]
) -> Iterator[Steps]:
    """What could be asked beforehand: at first queries that are values only, then lists as well."""
    text = Text(sql, mode)
    if any(
        token.kind is TokenKind.WORD and token.text == "WITH" and following.text != "ROLLUP"
        for token, following in pairwise(text.tokens)
    ):
        return  # common table expressions: whose names are whose?
    able: list[Able] = []
    for each in found_in(text.tokens, Span(0, len(text.tokens))):
        if any(each.span.first < other.found.span.last for other in able):
            continue  # inside another
        bounded = any(
            token.kind is TokenKind.WORD and token.text in _BOUNDED for token in _outermost(text.tokens, each.query)
        )
        if bounded and each.answers is Answers.LIST:
            continue  # servers do not do that either
        behind = b"" if bounded else _MOST[each.answers]
        inner = text_of(sql, text.tokens, each.query, behind)
        try:
            collation = _examined(schema, inner, mode, each.answers)
            able.append(Able(each, behind, planned(inner), collation))
        except Unplannable:
            continue
    values = [each for each in able if each.found.answers is not Answers.LIST]
    for chosen in (values, able) if len(values) < len(able) else (able,):
        if chosen:
            yield Steps(schema, chosen)


def text_of(sql: bytes, tokens: Sequence[Token], query: Span, behind: bytes) -> bytes:
    """A query as a statement of its own."""
    return sql[tokens[query.first].start : tokens[query.last - 1].end] + behind


def _outermost(tokens: Sequence[Token], span: Span) -> Iterator[Token]:
    depth = 0
    for index in range(span.first, span.last):
        depth += _is(tokens[index], "(") - _is(tokens[index], ")")
        if depth == 0:
            yield tokens[index]


def _examined(schema: ShardedSchema, sql: bytes, mode: LexMode, answers: Answers) -> str | None:
    """The collation of a query's text, if it is known. Raises Unplannable if it must not be asked by itself."""
    text = Text(sql, mode)
    root = tree.parse_marked(sql, text.tokens, StatementKind.SELECT)
    if not isinstance(root, exp.Select | exp.Union):
        raise Unplannable("a subquery that the router does not know")
    blocks = Blocks(schema, text.reference)
    blocks.read(root)
    if not any(blocks.is_sharded(source) for source in blocks.sources):
        raise Unplannable("a subquery of what is the same everywhere")
    _check_alone(root, blocks)
    if answers is Answers.EXISTS:
        return None
    for block in blocks.outermost:
        items = block.node.expressions
        if len(items) != 1 or is_star(items[0]):
            raise Unplannable("a subquery with several columns")
    collations = {_collation(block, blocks) for block in blocks.outermost}
    return collations.pop() if len(collations) == 1 else None


def _collation(block: Block, blocks: Blocks) -> str | None:
    item = unaliased(block.node.expressions[0])
    if isinstance(item, exp.Min | exp.Max) and not isinstance(item.this, exp.Distinct):
        item = item.this
    variable = blocks.variable(item, block)
    definition = None if variable is None else blocks.sources[variable[0]].definition
    if variable is None or definition is None or definition.columns[variable[1]].type not in _TEXTS:
        return None
    return definition.columns[variable[1]].collation


def _check_alone(root: exp.Expr, blocks: Blocks) -> None:
    """All names in it are its own, and its value is the same whenever it is asked. Raises Unplannable."""
    inside = {id(block.node): block for block in every_block(blocks)}
    for column in root.find_all(exp.Column):
        if isinstance(column.this, exp.Star):
            continue
        select = column.find_ancestor(exp.Select)
        block = inside.get(id(select))
        if block is None or not (blocks.knows(column, block) or _is_alias(column, block)):
            raise Unplannable("a subquery with names of the statement around it", column)
    for each in root.find_all(exp.Func, exp.Parameter, exp.SessionParameter):
        name = (
            each.name.upper()
            if isinstance(each, exp.Anonymous)
            else each.sql_name()
            if isinstance(each, exp.Func)
            else "@"
        )
        if name in _FLEETING or name == "@":
            raise Unplannable(f"a subquery with {name}()", each)


def _is_alias(column: exp.Column, block: Block) -> bool:
    names = {item.alias.lower() for item in block.node.expressions if isinstance(item, exp.Alias)}
    return not column.table and column.name.lower() in names


def every_block(blocks: Blocks) -> Iterator[Block]:
    """All blocks, the outer ones before those inside."""
    waiting = list(blocks.outermost)
    while waiting:
        block = waiting.pop(0)
        yield block
        waiting += block.inside


# -- what they are there for ---------------------------------------------------------------------------------------

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ)


@dataclass(slots=True)
class _Around:
    """The statement around queries that are asked beforehand, which are parameters in it."""

    root: exp.Expr
    blocks: Blocks
    tokens: list[Token]

    def uses(self) -> dict[int, tuple[Use, int | None, str | None]]:
        """For each query: its use, the position of the column that it is by itself, what it is compared with."""
        found: dict[int, tuple[Use, int | None, str | None]] = {}
        for node in self.root.find_all(exp.Placeholder):
            reference = self.blocks.reference(node)
            if isinstance(reference, Told):
                found[reference.number] = self._use(node)
        return found

    def _use(self, node: exp.Expr) -> tuple[Use, int | None, str | None]:
        inner, parent = node, node.parent
        while isinstance(parent, exp.Paren | exp.Alias):
            inner, parent = parent, parent.parent
        if parent is self.root and isinstance(parent, exp.Select) and inner in parent.expressions:
            group = parent.args.get("group")
            if group is not None and has_rollup(group):
                return Use.COMPUTED, None, None  # NULL in some rows
            place = next(place for place, item in enumerate(parent.expressions) if item is inner)
            return Use.COMPUTED if self._is_named(inner) else Use.SHOWN, self._position(place), None
        other: exp.Expr | None = None
        if isinstance(parent, _COMPARISONS):
            other = parent.expression if inner is parent.this else parent.this
        elif isinstance(parent, exp.Between | exp.In) and inner is not parent.this:
            other = parent.this
        column = None if other is None else self._column(other)
        return (Use.COMPUTED, None, None) if column is None else (Use.COMPARED, None, family(column))

    def _is_named(self, item: exp.Expr) -> bool:
        """Whether something else is said of a selected expression by its alias; an order does not mind its value."""
        return isinstance(item, exp.Alias) and any(
            column.name.lower() == item.alias.lower() and not isinstance(column.parent, exp.Ordered | exp.Group)
            for column in self.root.find_all(exp.Column)
        )

    def _column(self, node: exp.Expr) -> Column | None:
        select = node.find_ancestor(exp.Select, exp.Update, exp.Delete)
        block = next((each for each in every_block(self.blocks) if each.node is select), None)
        variable = None if block is None else self.blocks.variable(node, block)
        definition = None if variable is None else self.blocks.sources[variable[0]].definition
        return None if variable is None or definition is None else definition.columns[variable[1]]

    def _position(self, place: int) -> int:
        """The position of an item in the result; ``*`` is any number of columns."""
        items = self.root.expressions
        if not any(is_star(item) for item in items[:place]):
            return place
        if any(is_star(item) for item in items[place:]):
            raise Unplannable("a subquery between * and *", items[place])
        return place - len(items)

    def named(self) -> list[tuple[int, Span]]:
        """Items of the result in which there are queries, and which have no other name than their text.

        Raises Unplannable where that is not the result's name.
        """
        found: list[tuple[int, Span]] = []
        spans: tuple[Span, ...] = ()
        for node in self.root.find_all(exp.Placeholder):
            if not isinstance(self.blocks.reference(node), Told):
                continue
            item: exp.Expr = node
            while item.parent is not None and not (
                isinstance(item.parent, exp.Select) and any(item is each for each in item.parent.expressions)
            ):
                item = item.parent
            if item.parent is None or isinstance(item, exp.Alias) or _is_later(item.parent):
                continue
            if item.parent is not self.root:
                raise Unplannable("a subquery without a name in a select list inside the statement", item)
            spans = spans or items_of(self.tokens, Span(0, len(self.tokens)))
            place = next(place for place, each in enumerate(item.parent.expressions) if each is item)
            if len(spans) != len(item.parent.expressions):
                raise Unplannable("a select list of this form", item)
            entry = (self._position(place), spans[place])
            if entry not in found:
                found.append(entry)
        return found


def _is_later(select: exp.Expr) -> bool:
    """Whether a SELECT is a branch of a set operation that is not the first, whose names are the result's."""
    child, parent = select, select.parent
    while isinstance(parent, exp.SetOperation | exp.Subquery | exp.Paren):
        if isinstance(parent, exp.SetOperation) and parent.expression is child:
            return True
        child, parent = parent, parent.parent
    return False
