"""INSERT … SELECT and REPLACE … SELECT where every row stays on the shard that it is read from.

That is so if the target's key is filled with the key of a table that is read, both of one family, and if the target's
columns store it as it is.
"""

from __future__ import annotations

from sqlglot import exp

from router.planner import effects, writes
from router.planner.blocks import Blocks, Source, Unplannable, Variable, has_rollup, is_star, known, unaliased
from router.planner.branches import check_tied, has_rows
from router.planner.inserts import check_duplicates, columns_of, target
from router.planner.keys import KeyKind, KeyType
from router.planner.routes import Route
from router.planner.spreading import Spreading
from router.planner.tables import Definition
from router.planner.text import Text
from router.sql.facts import StatementFacts


class Selected:
    """The rows that an INSERT takes from a SELECT, whose ``block`` it is. Raises Unplannable where they may move."""

    def __init__(self, root: exp.Expr, blocks: Blocks) -> None:
        assert isinstance(root, exp.Insert)
        self.root = root
        self.blocks = blocks
        self.table = target(root, blocks.schema)
        if self.table.broadcast:
            raise Unplannable(f"INSERT … SELECT into broadcast table '{self.table.name}'", root)
        self.definition = known(self.table, root)
        found = blocks.read(root.expression)
        if len(found) != 1:
            raise Unplannable("INSERT … SELECT of a UNION", root)
        self.block = found[0]
        check_duplicates(root, self.table)
        group = self.block.node.args.get("group")
        if writes.is_one_group(self.block.node) or (group is not None and has_rollup(group)):
            raise Unplannable("INSERT … SELECT with a row that no row's key belongs to", self.block.node)
        self.filled = self._filled(columns_of(root, self.definition))
        self._check_key()
        generator = self.table.generator
        if generator is not None and self.filled.get(generator.column) is None:
            raise Unplannable(
                f"INSERT … SELECT that leaves '{generator.column}' to the router, which makes ids for rows"
            )

    def _filled(self, columns: list[str]) -> dict[str, Variable | None]:
        """What each column of the target is filled with: a column that is read, or (None) something else."""
        items = self.block.node.expressions
        variables: list[Variable | None]
        if any(is_star(item) for item in items):
            variables = list(self._starred(items))
        else:
            variables = [self.blocks.variable(unaliased(item), self.block) for item in items]
        if len(variables) != len(columns):
            raise Unplannable("a SELECT that does not fit the columns", self.block.node)
        return dict(zip(columns, variables, strict=True))

    def _starred(self, items: list[exp.Expr]) -> list[Variable]:
        sources = self.block.sources
        definition = sources[0].definition if len(items) == len(sources) == 1 else None
        if definition is None:
            raise Unplannable("INSERT … SELECT of * and more, or from several tables", self.block.node)
        return [(sources[0].number, name) for name, column in definition.columns.items() if not column.invisible]

    def _check_key(self) -> None:
        """The target's key must be that of a row read here."""
        table = self.table
        for name in table.columns:
            if name not in self.filled:
                raise Unplannable(f"an INSERT without a value for '{name}', which decides the shard", self.root)
        if not any(self._follows(source) for source in self.blocks.sources):
            names = ", ".join(table.columns)
            raise Unplannable(
                f"INSERT … SELECT that fills '{names}', which decides the shard, with something else than the sharding"
                " key of a co-located table",
                self.block.node,
            )

    def _follows(self, source: Source) -> bool:
        """Whether the target's key is filled with the key of this source."""
        table = source.table
        if table is None or table.broadcast or source.optional or source.level or table.family != self.table.family:
            return False
        for name, own in zip(self.table.columns, table.columns, strict=True):
            variable = self.filled[name]
            if variable is None or self.blocks.sources[variable[0]].optional:
                return False
            if self.blocks.find(variable) != self.blocks.find((source.number, own)):
                return False
            read = self.blocks.sources[variable[0]].definition
            if read is None or not _keeps(read, variable[1], self.definition, name):
                return False
        return True

    def spread(self, routes: tuple[Route, ...], facts: StatementFacts, text: Text) -> Spreading:
        """How to run it on several shards."""
        check_tied(routes)
        if not has_rows(self.block):
            raise Unplannable("broadcast tables on the preserved side of an outer join", self.block.node)
        writes.check_whole(self.block, self.blocks, routes[0])
        writes.check_derived(self.block, self.blocks, routes[0])
        writes.check_unions(self.root)
        if self.root.args.get("returning") is not None:
            raise Unplannable("RETURNING from several shards", self.root)
        for name, column in self.definition.columns.items():
            if column.auto_increment and name not in self.table.columns and not self._is_counted(name):
                raise Unplannable(
                    f"rows on several shards without a value for '{name}', which each shard would count for itself"
                    " (AUTO_INCREMENT)"
                )
        return Spreading(clock=effects.check(text, facts.kind, copies=False))

    def _is_counted(self, name: str) -> bool:
        """Whether a column is filled with one that always has a value, which is not 0: AUTO_INCREMENT as well."""
        variable = self.filled.get(name)
        if variable is None:
            return False
        source = self.blocks.sources[variable[0]]
        return (
            source.definition is not None
            and not source.optional
            and source.definition.columns[variable[1]].auto_increment
        )


def _keeps(read: Definition, name: str, written: Definition, column: str) -> bool:
    """Whether the target's column stores every value of the other as it is."""
    source, target_ = read.columns[name].key, written.columns[column].key
    if source is None or target_ is None or (target_.generates and not source.generates):
        return False
    return _fits(source, target_)


def _fits(one: KeyType, other: KeyType) -> bool:
    if one.kind is not other.kind or one.collation != other.collation or one.scale > other.scale:
        return False
    if one.kind in (KeyKind.DATE, KeyKind.DATETIME):
        return True
    return other.low <= one.low and one.high <= other.high
