"""MyCat's logical schemas: data nodes as shards, tables with their rules, ER tables, global tables, generated keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from router.importing.draft import Block, Draft, ImportProblem, Items
from router.importing.markup import Element
from router.importing.mycat_functions import UNKNOWN, Rule, spread

_SERIES = re.compile(r"(.*?)\$([0-9]{1,6})-([0-9]{1,6})(.*)\Z", re.DOTALL)
_MOST = 4096
_GENERATORS = {"0": "segment", "1": "segment", "2": "snowflake", "3": "snowflake", "4": "snowflake", "5": "segment"}


@dataclass(frozen=True, slots=True)
class DataNode:
    """A database of a data host."""

    name: str
    host: str
    database: str


@dataclass(slots=True)
class Context:
    """What schemas are made from."""

    draft: Draft
    nodes: Mapping[str, DataNode]
    rules: Mapping[str, Rule]
    files: Mapping[str, bytes]
    sequences: str = ""


@dataclass(slots=True)
class _Schema:
    """One schema in the making; ``leaders``: the table that others with the same rule and shards follow."""

    context: Context
    element: Element
    out: Block
    shards: list[str] = field(default_factory=list)
    tables: Block = field(default_factory=Block)
    leaders: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)

    def say(self, element: Element, text: str, key: str | None = None, *, todo: bool = True) -> None:
        self.context.draft.remark(
            self.tables if key is not None and key in self.tables else self.out, element.place, text, key=key, todo=todo
        )


def series(text: str) -> list[str]:
    """``dn$1-3,dn7`` as names. Raises ValueError."""
    names: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _SERIES.match(part)
        if match is None:
            names.append(part)
        else:
            first, last = int(match[2]), int(match[3])
            if not first <= last < first + _MOST:
                raise ValueError(f"{part!r} is no series of up to {_MOST} names")
            names += [f"{match[1]}{number}{match[4]}" for number in range(first, last + 1)]
        if len(names) > _MOST:
            raise ValueError(f"more than {_MOST} names")
    return names


def data_nodes(root: Element) -> dict[str, DataNode]:
    """All data nodes by name. Raises ImportProblem."""
    found: dict[str, DataNode] = {}
    for element in root.all("dataNode"):
        try:
            names, hosts = series(element.get("name")), series(element.get("dataHost"))
            databases = series(element.get("database"))
        except ValueError as error:
            raise ImportProblem(element.place, f"dataNode: {error}") from None
        if len(names) != len(hosts) * len(databases):
            raise ImportProblem(element.place, f"dataNode {element.get('name')!r}: not as many names as databases")
        places = [(host, database) for host in hosts for database in databases]
        for name, (host, database) in zip(names, places, strict=True):
            found[name] = DataNode(name, host, database)
    return found


def schema(element: Element, context: Context) -> Block | None:
    """The schema of ours; None: it has neither tables nor a data node that are there."""
    state = _Schema(context, element, Block())
    tables = [(name, table) for table in element.all("table") for name in table.get("name").split(",") if name.strip()]
    spreads = {
        name.strip(): nodes for name, table in tables if (nodes := _nodes(state, table)) and _is_spread(table, nodes)
    }
    home = _home(state, tables, spreads)
    if home is None:
        return None
    state.out["group"] = home.host
    state.shards = list(dict.fromkeys(node for nodes in spreads.values() for node in nodes))
    if state.shards:
        shards = state.out.block("shards")
        for name in state.shards:
            node = context.nodes[name]
            shards[name] = Block(flow=True, group=node.host, database=node.database)
        state.out["tables"] = state.tables
    for name, table in tables:
        _table(state, name.strip(), table, spreads.get(name.strip()), home)
    _said(state)
    if state.shards:
        state.out["transactions"] = "best_effort"
    return state.out


def _is_spread(table: Element, nodes: Sequence[str]) -> bool:
    return len(nodes) > 1 or bool(table.get("rule")) or table.get("type").lower() == "global"


def _nodes(state: _Schema, table: Element) -> list[str]:
    """The data nodes of a table; empty: there is something wrong with them, which is said later."""
    try:
        nodes = series(table.get("dataNode"))
    except ValueError:
        return []
    return nodes if all(node in state.context.nodes for node in nodes) else []


def _home(state: _Schema, tables: Sequence[tuple[str, Element]], spreads: Mapping[str, list[str]]) -> DataNode | None:
    """The data node of tables that are not spread."""
    nodes = state.context.nodes
    name = state.element.get("name")
    home = nodes.get(state.element.get("dataNode"))
    if home is None:
        single = [nodes[each[0]] for _, table in tables if len(each := _nodes(state, table)) == 1]
        home = max(single, key=single.count) if single else None
    if home is None and spreads:
        home = nodes[next(iter(spreads.values()))[0]]
        text = f"schema {name!r} has no data node for other tables; {home.name} stands for it"
        state.say(state.element, text, "group", todo=False)
    if home is None:
        root = state.context.draft.root.block("schemas")
        state.context.draft.remark(
            root, state.element.place, f"schema {name!r} has no tables and no data node: left out"
        )
    elif home.database != name:
        text = (
            f"tables that are not spread are in database {home.database!r} of {home.host!r}: it must be called {name!r}"
        )
        state.say(state.element, text, "group")
    return home


def _said(state: _Schema) -> None:
    limit = state.element.get("sqlMaxLimit")
    if limit not in ("", "-1"):
        state.say(state.element, f"sqlMaxLimit={limit}: no LIMIT is added to statements", todo=False)
    if state.shards:
        text = "MyCat commits on one shard after the other, as `best_effort` does"
        state.say(state.element, text, "transactions", todo=False)


# -- tables ----------------------------------------------------------------------------------------------------


def _table(state: _Schema, name: str, table: Element, nodes: list[str] | None, home: DataNode) -> None:
    if nodes is None:
        _unsharded(state, name, table, home)
    elif name in state.tables:
        state.say(table, f"table {name!r} is there twice", name)
    elif table.get("type").lower() == "global":
        state.tables[name] = Block(flow=True, broadcast=True)
        _used(state, state.tables.block(name), nodes)
    else:
        _sharded(state, name, table, nodes)
    if table.get("subTables"):
        state.say(table, f"table {name!r}: subTables={table.get('subTables')}: one table per shard only", name)
    # Children of a table that is not spread are not spread either.
    for child in table.all("childTable") if nodes is not None else ():
        _child(state, child, name)


def _unsharded(state: _Schema, name: str, table: Element, home: DataNode) -> None:
    nodes = _nodes(state, table)
    if not nodes:
        state.say(table, f"table {name!r}: there is no data node {table.get('dataNode')!r}")
    elif state.context.nodes[nodes[0]] != home:
        text = (
            f"table {name!r} lives on {nodes[0]!r}; all tables that are not spread are on the schema's group: move it"
        )
        state.say(table, text)


def _used(state: _Schema, keys: Block, nodes: Sequence[str]) -> None:
    if list(nodes) != state.shards and "shards" not in keys:
        keys["shards"] = Items(*nodes)


def _sharded(state: _Schema, name: str, table: Element, nodes: list[str]) -> None:
    rule_name = table.get("rule")
    rule = state.context.rules.get(rule_name, Rule(table.place, "", ""))
    same = (rule.function + repr(sorted((key, rule.get(key)) for key in rule.properties)), tuple(nodes))
    leader = state.leaders.get(same)
    keys = Block(flow=True, shard_by=rule.column or "to_do")
    if leader is not None and rule.column:
        keys["with"] = leader
        state.tables[name] = keys
    else:
        found = spread(rule, rule_name, nodes, state.context.files)
        keys.entries.update(found.keys.entries)
        keys.flow = "values" not in keys and "ranges" not in keys
        _used(state, keys, nodes)
        state.tables[name] = keys
        for text, todo in found.said:
            state.say(table, f"table {name!r}: {text}", name, todo=todo)
        if found.leads:
            state.leaders[same] = name
    _generated(state, name, table)


def _child(state: _Schema, child: Element, parent: str) -> None:
    """An ER table: its rows are where the row of the parent is that ``joinKey`` names."""
    name, join, of = child.get("name"), child.get("joinKey"), child.get("parentKey")
    if not name or name in state.tables:
        state.say(child, f"childTable {name!r} is there twice, or has no name", name)
        return
    top = state.tables.block(parent) if parent in state.tables else None
    column = None if top is None or "shard_by" not in top else top["shard_by"]
    if top is not None and "broadcast" not in top and "python" not in top and of and column == of and join:
        root = top.entries.get("with", parent)
        state.tables[name] = Block(flow=True, shard_by=join, **{"with": root})
    else:
        stem = re.sub(r"\W", "_", name)
        state.tables[name] = Block(flow=True, shard_by=join or "to_do", python=f"{UNKNOWN}:child_{stem}")
        text = (
            f"childTable {name!r}: {parent!r} is not spread by {of!r}, and nothing else tells where a row of it lives"
        )
        state.say(child, f"{text}: give it a column with that key", name)
    _generated(state, name, child)
    for inner in child.all("childTable"):
        _child(state, inner, name)


def _generated(state: _Schema, name: str, table: Element) -> None:
    if table.get("autoIncrement").lower() != "true":
        return
    column = table.get("primaryKey")
    generator = _GENERATORS.get(state.context.sequences)
    if not column or generator is None:
        text = f"table {name!r}: autoIncrement: choose a generator under `ids`"
        state.say(table, f"{text} (sequnceHandlerType {state.context.sequences or 'is not given'})", name)
        return
    state.out.block("ids")[f"{name}.{column}"] = Block(flow=True, generator=generator)
    text = f"table {name!r}: MyCat's sequences end; ids are made by `{generator}`"
    state.say(table, text, name, todo=False)
