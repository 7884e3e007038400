"""INSERT and REPLACE with rows: where each row belongs, and whether the rows of several shards can be written at once.

The parser sees one row in the place of all: there may be thousands, and what matters of them is where their keys stand.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from router.planner import effects
from router.planner.blocks import Unplannable, known
from router.planner.routes import Placement, Reference, Rows
from router.planner.spreading import Given, Spreading
from router.planner.tables import Definition, ShardedSchema, ShardedTable
from router.planner.text import Text
from router.sql import tree
from router.sql.facts import StatementFacts
from router.sql.inserts import RowList, rows_of
from router.sql.lexer import TokenKind, tokens_of

# A query among values begins with one of these.
_QUERY = frozenset({"SELECT", "WITH", "TABLE", "VALUES"})


def insert(
    schema: ShardedSchema, text: Text, facts: StatementFacts
) -> tuple[Placement, Spreading | Unplannable] | None:
    """The placement of an INSERT or REPLACE, and how to write on several shards; None if it has no list of rows.

    Raises Unplannable.
    """
    found = rows_of(text.tokens)
    if found is None:
        return None
    root = _outline(text, found, facts)
    table = target(root, schema)
    rows = _Rows(text, found, root, table, known(table, root))
    return rows.copied(facts) if table.broadcast else rows.placed(facts)


def target(root: exp.Insert, schema: ShardedSchema) -> ShardedTable:
    """The table that an INSERT writes. Raises Unplannable."""
    named = root.this.this if isinstance(root.this, exp.Schema) else root.this
    if not isinstance(named, exp.Table):
        raise Unplannable("an INSERT of this form", root)
    table = schema.find(named.name) if named.db in ("", schema.name) else None
    if table is None:
        raise Unplannable("an INSERT of this form", named)
    return table


def columns_of(root: exp.Insert, definition: Definition) -> list[str]:
    """The columns that an INSERT gives values for, in their order."""
    if isinstance(root.this, exp.Schema):
        return [each.name.lower() for each in root.this.expressions]
    return [name for name, column in definition.columns.items() if not column.invisible]


def check_duplicates(root: exp.Insert, table: ShardedTable) -> None:
    """ON DUPLICATE KEY UPDATE must not change where a row lives, and asks no other tables. Raises Unplannable."""
    conflict = root.args.get("conflict")
    if conflict is None:
        return
    if conflict.find(exp.Select, exp.SetOperation) is not None:
        raise Unplannable("a subquery behind ON DUPLICATE KEY UPDATE", conflict)
    for assignment in conflict.expressions:
        name = assignment.this.name.lower()
        if name in table.columns:
            raise Unplannable(f"ON DUPLICATE KEY UPDATE of '{name}', which decides the shard", assignment)


def _outline(text: Text, rows: RowList, facts: StatementFacts) -> exp.Insert:
    """The statement with one row that says nothing."""
    sql, tokens = text.sql, text.tokens
    first, rest = rows.whole
    start, end = tokens[first].start, tokens[rest - 1].end
    outline = sql if rows.assigned else sql[:start] + b"(1)" + sql[end:]
    root = tree.parse_marked(outline, tokens_of(outline, text.mode), facts.kind)
    if not isinstance(root, exp.Insert) or not isinstance(root.expression, exp.Values):
        raise Unplannable("syntax that the router does not know")
    return root


class _Rows:
    """The rows of one statement on ``table``."""

    def __init__(
        self, text: Text, found: RowList, root: exp.Insert, table: ShardedTable, definition: Definition
    ) -> None:
        self.text = text
        self.found = found
        self.root = root
        self.table = table
        self.definition = definition
        self.columns = columns_of(root, definition)
        self._check()

    def _check(self) -> None:
        tokens, found = self.text.tokens, self.found
        first, rest = found.whole
        if any(token.kind is TokenKind.INVALID for token in tokens):
            raise Unplannable("text that servers may read differently")
        if any(token.kind is TokenKind.WORD and token.text in _QUERY for token in tokens[first:rest]):
            raise Unplannable("a subquery among the values")
        count = len(self.columns)
        if any(len(row) != count for row in found.rows):
            raise Unplannable("rows that do not fit the columns")
        check_duplicates(self.root, self.table)

    def placed(self, facts: StatementFacts) -> tuple[Placement, Spreading | Unplannable]:
        """Where rows of a sharded table belong."""
        rows = Rows(self.table, tuple(self._keys()))
        try:
            return Placement((), rows), self._split(facts)
        except Unplannable as error:
            return Placement((), rows), error

    def _keys(self) -> Iterator[tuple[Reference, ...]]:
        for name in self.table.columns:
            if name not in self.columns:
                raise Unplannable(f"an INSERT without a value for '{name}', which decides the shard")
        places = [(name, self.columns.index(name)) for name in self.table.columns]
        written = self.text.written
        for row in self.found.rows:
            key: list[Reference] = []
            for name, place in places:
                reference = written(*row[place])
                if reference is None:
                    raise Unplannable(f"a value for '{name}', which decides the shard, that is no plain one")
                key.append(reference)
            yield tuple(key)

    def _split(self, facts: StatementFacts) -> Spreading:
        clock = effects.check(self.text, facts.kind, copies=False)
        self._check_returning()
        return Spreading(split=True, clock=clock, given=self._given(), shards=self.table.shards)

    def _check_returning(self) -> None:
        if self.root.args.get("returning") is not None:
            raise Unplannable("RETURNING from several shards")

    def _given(self) -> Given | None:
        for name, column in self.definition.columns.items():
            if not column.auto_increment or name in self.table.columns:
                continue
            if name not in self.columns:
                raise Unplannable(
                    f"rows for several shards without a value for '{name}', which each shard would count for itself"
                    " (AUTO_INCREMENT)"
                )
            place = self.columns.index(name)
            return Given(name, tuple(self.text.written(*row[place]) for row in self.found.rows))
        return None

    def copied(self, facts: StatementFacts) -> tuple[Placement, Spreading]:
        """Rows of a broadcast table, for all shards: they must become the same everywhere."""
        effects.check(self.text, facts.kind, copies=True)
        self._check_returning()
        given = self._given()
        if self.root.args.get("conflict") is not None and self.definition.ambiguous:
            raise Unplannable(
                f"ON DUPLICATE KEY UPDATE of broadcast table '{self.table.name}', which has several unique keys"
            )
        check_defaults(self.text, self.table, self.definition, self.columns)
        return Placement(), Spreading(copies=True, clock=True, given=given, shards=self.table.shards)


def check_defaults(text: Text, table: ShardedTable, definition: Definition, given: list[str]) -> None:
    """Copies of a row must not take defaults that say something else on each server. Raises Unplannable."""
    default = any(token.kind is TokenKind.WORD and token.text == "DEFAULT" for token in text.tokens)
    for name, column in definition.columns.items():
        if column.unsteady and (default or name not in given):
            raise Unplannable(
                f"column '{name}' of broadcast table '{table.name}', whose default may differ from shard to shard"
            )
