"""Plans of statements about sharded tables: which of them one shard can answer, for which values.

Whatever is not certain is refused with the construct that stands in the way; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlglot import exp

from router.planner.blocks import Block, Blocks, Unplannable, known
from router.planner.merging import Scatter
from router.planner.routes import Parameter, Placement, Reference, Route, Rows, Slot
from router.planner.routing import PlanContext
from router.planner.scatter import scatter
from router.planner.tables import ShardedSchema, ShardedTable
from router.planner.variants import Variants
from router.sql import tree
from router.sql.facts import StatementFacts, StatementKind
from router.sql.fingerprint import literal_spans
from router.sql.lexer import LexMode, TokenKind, tokenize, tokens_of

_K = StatementKind
# Where a statement belongs, and its outermost block (None for an INSERT or a set operation).
Placed = tuple[Placement, Block | None]


class Text:
    """A statement's tokens, and where the literals and parameters stand in it."""

    def __init__(self, sql: bytes, mode: LexMode) -> None:
        self.sql = sql
        self.mode = mode
        self.tokens = tokens_of(sql, mode)
        self._slots = {span: number for number, span in enumerate(literal_spans(sql, mode))}
        self._parameters: dict[int, int] = {}
        for index, token in enumerate(self.tokens):
            if token.kind is TokenKind.PARAM:
                self._parameters[index] = len(self._parameters)

    def reference(self, node: exp.Expr) -> Reference | None:
        """The literal or parameter that a node is, perhaps behind a minus sign."""
        if isinstance(node, exp.Neg):
            inner = self.reference(node.this)
            return None if inner is None or inner.negative else type(inner)(inner.number, negative=True)
        index = tree.mark_of(node)
        if index is None or not 0 <= index < len(self.tokens):
            return None
        token = self.tokens[index]
        if token.kind is TokenKind.PARAM:
            return Parameter(self._parameters[index])
        number = self._slots.get((token.start, token.end))
        return None if number is None else Slot(number)


def place(
    schema: ShardedSchema, sql: bytes, facts: StatementFacts, mode: LexMode
) -> tuple[Placement, Scatter | Variants | Unplannable]:
    """The placement of a statement that names tables of ``schema``, and what to do when it takes several shards.

    Raises Unplannable.
    """
    if facts.multi:
        raise Unplannable("several statements in one")
    if facts.has_versioned_comment:
        raise Unplannable("a versioned comment")
    text = Text(sql, mode)
    if facts.kind not in _PLACED:
        raise Unplannable(f"a {facts.kind.value} statement")
    root = tree.parse_marked(sql, text.tokens, facts.kind)
    if root is None:
        raise Unplannable("syntax that the router does not know")
    blocks = Blocks(schema, text.reference)
    placed, block = _PLACED[facts.kind](root, blocks)
    if blocks.unsharded:
        names = ", ".join(sorted({f"'{table.name}'" for table in blocks.unsharded}))
        raise Unplannable(f"tables of the shards and others ({names}) in one statement", blocks.unsharded[0])
    return placed, _several(root, blocks, block, placed, facts, text)


def _several(
    root: exp.Expr, blocks: Blocks, block: Block | None, placed: Placement, facts: StatementFacts, text: Text
) -> Scatter | Variants | Unplannable:
    if placed.rows is not None:
        return Unplannable("rows for several shards in one statement")
    if facts.kind is not _K.SELECT:
        return Unplannable(f"{facts.kind.value.upper()} on several shards")
    if not facts.read:
        return Unplannable(f"a SELECT over several shards that is not proven to be a read ({facts.reason.value})")
    try:
        return scatter(root, blocks, text.tokens)
    except Unplannable as error:
        return error


def names_tables(schema: ShardedSchema, sql: bytes, facts: StatementFacts, context: PlanContext) -> bool:
    """Whether a statement names tables that are spread over the shards, or may do so."""
    if facts.tables is not None:
        return any(
            (table.schema or context.schema) == schema.name and schema.find(table.name) is not None
            for table in facts.tables
        )
    if context.schema != schema.name and schema.name not in facts.qualifiers:
        return False
    return any(
        token.kind in (TokenKind.WORD, TokenKind.QUOTED) and schema.find(token.text.strip('`"')) is not None
        for token in tokenize(sql, context.mode)
    )


def token_of(error: Unplannable, sql: bytes, facts: StatementFacts, mode: LexMode) -> int | None:
    """Where the construct stands that an error names."""
    return tree.token_of(error.node, sql, tokens_of(sql, mode), facts.kind)


def has_literals(sql: bytes, mode: LexMode, token: int | None) -> bool:
    """Whether there are literals before a token, so that it may stand elsewhere in other statements of this shape."""
    before = tokens_of(sql, mode)[:token]
    return any(each.kind in (TokenKind.STRING, TokenKind.NUMBER) for each in before)


# What these name is the session's, or its transaction's.
_NAMELESS = frozenset({_K.BEGIN, _K.COMMIT, _K.ROLLBACK, _K.SAVEPOINT, _K.SET, _K.DO, _K.SELECT})
_ITS_DATABASE = frozenset({"DATABASE", "SCHEMA"})


def names_nothing(sql: bytes, facts: StatementFacts, mode: LexMode) -> bool:
    """Whether a statement is the same in every database: it names no table, and does not ask where it is."""
    if facts.multi or facts.kind not in _NAMELESS or facts.tables not in ((), None) or facts.qualifiers:
        return facts.kind is _K.SHOW and facts.looks_back and not facts.multi
    if facts.tables is None and facts.kind in (_K.SELECT, _K.DO, _K.SET):
        return False
    return _ITS_DATABASE.isdisjoint(token.text for token in tokenize(sql, mode))


# -- kinds of statement --------------------------------------------------------------------------------------------


def _select(root: exp.Expr, blocks: Blocks) -> Placed:
    found = blocks.read(root)
    return Placement(_routes(blocks)), found[0] if len(found) == 1 else None


def _update(root: exp.Expr, blocks: Blocks) -> Placed:
    assert isinstance(root, exp.Update)
    block = blocks.block(root)
    for assignment in root.expressions:
        _check_assigned(assignment.this, block, blocks)
    return Placement(_routes(blocks)), block


def _delete(root: exp.Expr, blocks: Blocks) -> Placed:
    if root.args.get("tables") or root.args.get("using"):
        raise Unplannable("DELETE from several tables", root)
    block = blocks.block(root)
    return Placement(_routes(blocks)), block


def _insert(root: exp.Expr, blocks: Blocks) -> Placed:
    assert isinstance(root, exp.Insert)
    target = root.this
    named = target.this if isinstance(target, exp.Schema) else target
    if not isinstance(named, exp.Table):
        raise Unplannable("an INSERT of this form", root)
    table = blocks.schema.find(named.name)
    if table is None or table.broadcast:
        raise Unplannable("an INSERT into a broadcast table" if table is not None else "an INSERT of this form", named)
    definition = known(table, named)
    if not isinstance(root.expression, exp.Values):
        raise Unplannable("INSERT … SELECT", root.expression)
    if isinstance(target, exp.Schema):
        columns = [each.name.lower() for each in target.expressions]
    else:
        columns = [name for name, column in definition.columns.items() if not column.generated]
    _check_duplicates(root, table)
    return Placement((), Rows(table, tuple(_keys(root.expression, columns, table, blocks)))), None


def _check_duplicates(root: exp.Insert, table: ShardedTable) -> None:
    conflict = root.args.get("conflict")
    for assignment in conflict.expressions if conflict is not None else ():
        name = assignment.this.name.lower()
        if name in table.columns:
            raise Unplannable(f"ON DUPLICATE KEY UPDATE of '{name}', which decides the shard", assignment)


def _keys(
    values: exp.Values, columns: list[str], table: ShardedTable, blocks: Blocks
) -> Iterable[tuple[Reference, ...]]:
    for row in values.expressions:
        if not isinstance(row, exp.Tuple) or len(row.expressions) != len(columns):
            raise Unplannable("rows that do not fit the columns", row)
        if any(_has_query(each) for each in row.expressions):
            raise Unplannable("a subquery among the values", row)
        key: list[Reference] = []
        for name in table.columns:
            if name not in columns:
                raise Unplannable(f"an INSERT without a value for '{name}', which decides the shard", row)
            reference = blocks.reference(row.expressions[columns.index(name)])
            if reference is None:
                raise Unplannable(f"a value for '{name}', which decides the shard, that is no plain one", row)
            key.append(reference)
        yield tuple(key)


def _has_query(node: exp.Expr) -> bool:
    return node.find(exp.Select) is not None


def _check_assigned(target: exp.Expr, block: Block, blocks: Blocks) -> None:
    """UPDATE must not change where a row lives."""
    variable = blocks.variable(target, block)
    if variable is None:
        raise Unplannable("an assignment to a column that cannot be told for certain", target)
    number, name = variable
    table = blocks.sources[number].table
    if table is not None and table.broadcast:
        raise Unplannable(f"an UPDATE of broadcast table '{table.name}'", target)
    if table is not None and name in table.columns:
        raise Unplannable(f"an UPDATE of '{name}', which decides the shard", target)


_PLACED: dict[StatementKind, Callable[[exp.Expr, Blocks], Placed]] = {
    _K.SELECT: _select,
    _K.UPDATE: _update,
    _K.DELETE: _delete,
    _K.INSERT: _insert,
    _K.REPLACE: _insert,
}


# -- classes of tables ---------------------------------------------------------------------------------------------


def _routes(blocks: Blocks) -> tuple[Route, ...]:
    """One route for each class of co-located tables; broadcast tables are everywhere."""
    return blocks.routes()
