"""Plans of statements about sharded tables: which of them one shard can answer, for which values.

Whatever is not certain is refused with the construct that stands in the way; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlglot import exp

from router.planner import writes
from router.planner.blocks import Block, Blocks, Unplannable
from router.planner.insert_select import Selected
from router.planner.inserts import insert
from router.planner.locking import locked
from router.planner.merging import Scatter
from router.planner.routes import Placement, Route, straight
from router.planner.routing import PlanContext
from router.planner.scatter import scatter
from router.planner.spreading import Made, Spreading
from router.planner.tables import ShardedSchema, ShardedTable
from router.planner.text import Cut, Text
from router.planner.variants import Variants
from router.sql import tree
from router.sql.analyze import analyze
from router.sql.facts import Reason, StatementFacts, StatementKind
from router.sql.fingerprint import first_literal
from router.sql.lexer import LexMode, Token, TokenKind, tokenize, tokens_of

_K = StatementKind
_INSERTS = frozenset({_K.INSERT, _K.REPLACE})


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a statement belongs, its outermost block (None for a set operation), the broadcast table it writes, and
    the rows that an INSERT selects."""

    routes: tuple[Route, ...]
    block: Block | None
    copied: ShardedTable | None = None
    selected: Selected | None = None


class Around(Protocol):
    """What stands around queries that are asked before the statement."""

    @property
    def cuts(self) -> Sequence[Cut]:
        """The queries."""

    def look(self, root: exp.Expr, blocks: Blocks, tokens: list[Token]) -> None:
        """The statement without them. Raises Unplannable."""


def place(
    schema: ShardedSchema, sql: bytes, facts: StatementFacts, mode: LexMode, around: Around | None = None
) -> tuple[Placement, Scatter | Variants | Spreading | Unplannable, Made | None]:
    """The placement of a statement that names tables of ``schema``, what to do when it takes several shards, and the
    ids that its rows need. ``around``: queries in it that are asked beforehand, and which is told how they stand there.

    Raises Unplannable.
    """
    if facts.multi:
        raise Unplannable("several statements in one")
    if facts.has_versioned_comment:
        raise Unplannable("a versioned comment")
    text = Text(sql, mode, () if around is None else around.cuts)
    if facts.kind in _INSERTS:
        inserted = insert(schema, text, facts)
        if inserted is not None:
            return inserted
    elif facts.kind not in _PLACED:
        raise Unplannable(f"a {facts.kind.value} statement")
    root = tree.parse_marked(sql, text.tokens, facts.kind, text.instead)
    if root is None:
        raise Unplannable("syntax that the router does not know")
    blocks = Blocks(schema, text.reference)
    placed = _PLACED[facts.kind](root, blocks)
    if around is not None:
        around.look(root, blocks, text.tokens)
    if blocks.unsharded:
        names = ", ".join(sorted({f"'{table.name}'" for table in blocks.unsharded}))
        raise Unplannable(f"tables of the shards and others ({names}) in one statement", blocks.unsharded[0])
    routes = placed.routes
    placement = Placement(routes, straight=straight(routes, first_literal(sql, mode)))
    if placed.copied is not None:
        assert placed.block is not None
        return placement, writes.copy(placed.copied, placed.block, blocks, routes, facts, text), None
    try:
        if facts.kind is _K.SELECT:
            return placement, _scattered(root, blocks, facts, text), None
        if placed.selected is not None:
            return placement, placed.selected.spread(routes, facts, text), None
        assert placed.block is not None
        return placement, writes.spread(placed.block, blocks, routes, facts, text), None
    except Unplannable as error:
        return placement, error, None


def _scattered(root: exp.Expr, blocks: Blocks, facts: StatementFacts, text: Text) -> Scatter | Variants:
    if facts.read:
        return scatter(root, blocks, text.tokens)
    if facts.reason is not Reason.LOCKING_READ or not isinstance(root, exp.Select):
        raise Unplannable(f"a SELECT over several shards that is not proven to be a read ({facts.reason.value})")
    if not blocks.schema.spans:
        raise Unplannable(f"locks on several shards (transactions: {blocks.schema.transactions}, not best_effort)")
    return locked(
        text.tokens,
        lambda end: analyze(text.sql[:end], text.mode),
        lambda at: scatter(root, blocks, text.tokens[:at]),
    )


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


def first_shard(schema: ShardedSchema, sql: bytes, mode: LexMode) -> int:
    """The number of the first shard of the table that is named first."""
    for token in tokenize(sql, mode):
        table = schema.find(token.text.strip('`"')) if token.kind in (TokenKind.WORD, TokenKind.QUOTED) else None
        if table is not None:
            return table.shards[0]
    return 0


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
    return Placed(blocks.routes(), found[0] if len(found) == 1 else None)


def _update(root: exp.Expr, blocks: Blocks) -> Placed:
    assert isinstance(root, exp.Update)
    block = blocks.block(root)
    written = [_assigned(assignment.this, block, blocks) for assignment in root.expressions]
    copied = next((table for table in written if table is not None and table.broadcast), None)
    if copied is not None and any(table is not copied for table in written):
        raise Unplannable(f"an UPDATE of broadcast table '{copied.name}' and of others", root)
    return Placed(blocks.routes(), block, copied)


def _delete(root: exp.Expr, blocks: Blocks) -> Placed:
    named = root.args.get("tables") or []
    if root.args.get("using"):
        named, root = [root.this], _from_using(root)
    block = blocks.block(root)
    if not named:
        table = block.sources[0].table
        return Placed(blocks.routes(), block, table if table is not None and table.broadcast else None)
    for each in named:
        table = _deleted(each, block, blocks)
        if table is not None and table.broadcast:
            raise Unplannable(f"DELETE of broadcast table '{table.name}' joined with others", each)
    return Placed(blocks.routes(), block)


def _from_using(root: exp.Expr) -> exp.Expr:
    """DELETE FROM a USING … as if it were DELETE a FROM …"""
    tables = root.args["using"]
    if len(tables) != 1:
        raise Unplannable("DELETE of this form", root)
    rest = {name: value for name, value in root.args.items() if name not in ("this", "using")}
    return exp.Delete(this=tables[0], **rest)


def _deleted(named: exp.Expr, block: Block, blocks: Blocks) -> ShardedTable | None:
    """The table that is meant by a name before FROM: an alias, or a table without one."""
    found = [each for each in block.sources if each.alias == named.name.lower()]
    if len(found) != 1 or not isinstance(named, exp.Table) or named.db not in ("", blocks.schema.name):
        raise Unplannable("DELETE from tables that cannot be told for certain", named)
    return found[0].table


def _insert(root: exp.Expr, blocks: Blocks) -> Placed:
    selected = Selected(root, blocks)
    return Placed(blocks.routes(), selected.block, selected=selected)


def _assigned(column: exp.Expr, block: Block, blocks: Blocks) -> ShardedTable | None:
    """The table of a column that UPDATE assigns. It must not change where a row lives."""
    variable = blocks.variable(column, block)
    if variable is None:
        raise Unplannable("an assignment to a column that cannot be told for certain", column)
    number, name = variable
    table = blocks.sources[number].table
    if table is not None and name in table.columns:
        raise Unplannable(f"an UPDATE of '{name}', which decides the shard", column)
    return table


_PLACED: dict[StatementKind, Callable[[exp.Expr, Blocks], Placed]] = {
    _K.SELECT: _select,
    _K.UPDATE: _update,
    _K.DELETE: _delete,
    _K.INSERT: _insert,
    _K.REPLACE: _insert,
}
