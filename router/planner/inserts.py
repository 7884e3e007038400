"""INSERT and REPLACE with rows: where each row belongs, and whether the rows of several shards can be written at once.

The parser sees one row in the place of all: there may be thousands, and what matters of them is where their keys stand.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from router.planner import effects
from router.planner.blocks import Unplannable, known
from router.planner.keys import KeyKind
from router.planner.routes import Parameter, Placement, Reference, Rows
from router.planner.spreading import Given, Made, Spreading
from router.planner.tables import Column, Definition, Generator, ShardedSchema, ShardedTable
from router.planner.text import Text
from router.sql import tree
from router.sql.facts import StatementFacts
from router.sql.inserts import RowList, rows_of
from router.sql.lexer import TokenKind, tokens_of

# A query among values begins with one of these.
_QUERY = frozenset({"SELECT", "WITH", "TABLE", "VALUES"})
# A value that asks for an id.
_NOTHING = frozenset({"NULL", "DEFAULT"})


Inserted = tuple[Placement, Spreading | Unplannable, Made | None]
"""Where rows belong, how to write them on several shards, and the ids to make for them."""


def insert(schema: ShardedSchema, text: Text, facts: StatementFacts) -> Inserted | None:
    """The plan of an INSERT or REPLACE; None if it has no list of rows. Raises Unplannable."""
    found = rows_of(text.tokens)
    if found is None:
        return None
    root = _outline(text, found, facts)
    table = target(root, schema)
    rows = _Rows(text, found, root, schema, table, known(table, root))
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


def generated_column(table: ShardedTable, definition: Definition, generator: Generator) -> Column:
    """The column that ids are generated for. Raises Unplannable."""
    name = generator.column
    column = definition.columns.get(name)
    if column is None:
        raise Unplannable(f"table '{table.name}' without the column '{name}', for which ids are to be generated")
    of = column.key
    if of is None or of.kind is not KeyKind.INTEGER or of.high < 2**generator.bits - 1:
        raise Unplannable(f"column '{name}' of type {column.type}, which cannot hold the ids that are generated for it")
    return column


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
        self,
        text: Text,
        found: RowList,
        root: exp.Insert,
        schema: ShardedSchema,
        table: ShardedTable,
        definition: Definition,
    ) -> None:
        self.text = text
        self.found = found
        self.root = root
        self.table = table
        self.definition = definition
        self.columns = columns_of(root, definition)
        self._check()
        self.made = None if table.generator is None else self._made(schema, table.generator)

    def _check(self) -> None:
        tokens, found = self.text.tokens, self.found
        first, rest = found.whole
        if TokenKind.INVALID in {kind for kind, _, _, _ in tokens}:
            raise Unplannable("text that servers may read differently")
        words = {text for kind, _, _, text in tokens[first:rest] if kind is TokenKind.WORD}
        if not words.isdisjoint(_QUERY):
            raise Unplannable("a subquery among the values")
        count = len(self.columns)
        if any(len(row) != count for row in found.rows):
            raise Unplannable("rows that do not fit the columns")
        check_duplicates(self.root, self.table)

    def _made(self, schema: ShardedSchema, generator: Generator) -> Made:
        """The rows for which the router makes ids."""
        name, written = generator.column, self.text.written
        column = generated_column(self.table, self.definition, generator)
        of = f"{schema.name}.{self.table.name}"
        count = len(self.found.rows)
        if name not in self.columns:
            if self.found.columns < 0 and not self.found.assigned:
                raise Unplannable(f"an INSERT without a list of columns, while ids are generated for '{name}'")
            return Made(of, name, None, (True,) * count)
        place = self.columns.index(name)
        rows: list[Reference | bool] = []
        for row in self.found.rows:
            start, end = row[place]
            reference = written(start, end)
            if reference is not None and (column.auto_increment or isinstance(reference, Parameter)):
                rows.append(reference)
            else:
                token = self.text.tokens[start]
                rows.append(end - start == 1 and token.kind is TokenKind.WORD and token.text in _NOTHING)
        return Made(of, name, place, tuple(rows), zero=column.auto_increment)

    def placed(self, facts: StatementFacts) -> Inserted:
        """Where rows of a sharded table belong."""
        made = self.made
        place = (
            self.table.columns.index(made.column) if made is not None and made.column in self.table.columns else None
        )
        rows = Rows(self.table, tuple(self._keys()), place)
        try:
            return Placement((), rows), self._split(facts), made
        except Unplannable as error:
            return Placement((), rows), error, made

    def _keys(self) -> Iterator[tuple[Reference | None, ...]]:
        made = self.made
        for name in self.table.columns:
            if name not in self.columns and (made is None or made.column != name):
                raise Unplannable(f"an INSERT without a value for '{name}', which decides the shard")
        places = [(name, self.columns.index(name) if name in self.columns else None) for name in self.table.columns]
        written = self.text.written
        for number, row in enumerate(self.found.rows):
            key: list[Reference | None] = []
            for name, place in places:
                reference = None if place is None else written(*row[place])
                lacking = made is not None and made.column == name and made.rows[number] is True
                if reference is None and not lacking:
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
            if self.made is not None and self.made.column == name and self.made.place is None:
                continue
            if name not in self.columns:
                raise Unplannable(
                    f"rows for several shards without a value for '{name}', which each shard would count for itself"
                    " (AUTO_INCREMENT)"
                )
            place = self.columns.index(name)
            return Given(name, tuple(self.text.written(*row[place]) for row in self.found.rows))
        return None

    def copied(self, facts: StatementFacts) -> Inserted:
        """Rows of a broadcast table, for all shards: they must become the same everywhere."""
        effects.check(self.text, facts.kind, copies=True)
        self._check_returning()
        given = self._given()
        if self.root.args.get("conflict") is not None and self.definition.ambiguous:
            raise Unplannable(
                f"ON DUPLICATE KEY UPDATE of broadcast table '{self.table.name}', which has several unique keys"
            )
        filled = [*self.columns, *([] if self.made is None else [self.made.column])]
        check_defaults(self.text, self.table, self.definition, filled)
        return Placement(), Spreading(copies=True, clock=True, given=given, shards=self.table.shards), self.made


def check_defaults(text: Text, table: ShardedTable, definition: Definition, given: list[str]) -> None:
    """Copies of a row must not take defaults that say something else on each server. Raises Unplannable."""
    default = any(token.kind is TokenKind.WORD and token.text == "DEFAULT" for token in text.tokens)
    for name, column in definition.columns.items():
        if column.unsteady and (default or name not in given):
            raise Unplannable(
                f"column '{name}' of broadcast table '{table.name}', whose default may differ from shard to shard"
            )
