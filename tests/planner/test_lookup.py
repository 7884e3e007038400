"""Function `lookup`: what is known of a table that says which shard a key is on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.config.sharding import Schema
from router.planner import lookup
from router.planner.binding import TextValues, bind
from router.planner.keys import KeyKind, KeyType
from router.planner.layout import sharded_schema
from router.planner.lookup import Lookup, LookupTable, NeedsKeys
from router.planner.plan import Refused, Relay, Scattered, Sharded
from router.planner.sharding import NoShard
from router.planner.tables import Column, Definition, ShardedTable
from router.sql.lexer import LexMode
from tests.planner.fix_shards import FOLDED, INT, TEXT, definition, shop_context, shop_planner

MODE = LexMode()
TABLE = LookupTable("main", "shop", "mails", "mail", "shard")


def function(default: int | None = None) -> Lookup:
    return Lookup(TABLE, ["s0", "s1", "s2"], default)


def test_what_is_not_known_is_asked_for() -> None:
    found = function()
    with pytest.raises(NeedsKeys) as needed:
        found.shard(("a",))
    assert needed.value.keys == (("a",),)
    found.learn({("a",): 2}, [("b",)])
    assert found.shard(("a",)) == 2
    with pytest.raises(NoShard):
        found.shard(("b",))
    found.bound()
    with pytest.raises(NeedsKeys):
        found.shard(("b",))
    found.forget([("a",), ("c",)])
    with pytest.raises(NeedsKeys):
        found.shard(("a",))


def test_a_default_takes_what_is_not_there() -> None:
    found = function(default=1)
    found.learn({}, [("b",)])
    assert found.shard(("b",)) == 1


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "MOST", 3)
    found = function()
    found.learn({(number,): 0 for number in range(3)}, [])
    assert found.shard((0,)) == 0, "used again"
    found.learn({(9,): 1}, [])
    assert len(found) == 3
    assert found.shard((0,)) == 0
    with pytest.raises(NeedsKeys):
        found.shard((1,))
    found.learn({(number,): 2 for number in range(100, 110)}, [])
    assert len(found) == 10, "all that one statement asks for"


def customers(plan: Sharded) -> ShardedTable:
    placement = plan.placement
    return placement.rows.table if placement.rows is not None else placement.routes[0].table


def bound(sql: str, known: dict[str, int], default: int | None = None) -> Relay | Refused | Scattered | object:
    """The statement, of a table that is looked up; keys that are not known are not there."""
    schema_tables = shop_planner().catalog.sharded["shop"]
    of = function(default)
    table = replace(schema_tables.tables["places"], function=of, definition=definition(code=FOLDED, n=INT))
    planner = shop_planner()
    schema = replace(schema_tables, tables={**schema_tables.tables, "places": table})
    planner.catalog = replace(planner.catalog, sharded={"shop": schema})
    plan = planner.plan(sql.encode(), shop_context())
    assert isinstance(plan, Sharded)
    for _ in range(2):
        try:
            return bind(plan, TextValues(sql.encode(), MODE), sql.encode(), MODE)
        except NeedsKeys as needed:
            of.learn(
                {key: known[str(key[0])] for key in needed.keys if str(key[0]) in known},
                [key for key in needed.keys if str(key[0]) not in known],
            )
    raise AssertionError("it asks for the same twice")


@pytest.mark.parametrize(
    ("sql", "shards"),
    [
        ("SELECT * FROM places WHERE code = 'De'", ["s1"]),
        ("SELECT * FROM places WHERE code IN ('de', 'fr', 'xx')", ["s0", "s1"]),
        ("SELECT * FROM places WHERE code > 'a'", ["s0", "s1", "s2"]),
        ("SELECT * FROM places WHERE code = 'de '", ["s0", "s1", "s2"]),
        ("SELECT * FROM places WHERE code = 'xx'", ["s0"]),
        ("UPDATE places SET n = 2 WHERE code = 'fr'", ["s0"]),
        ("INSERT INTO places (code, n) VALUES ('de', 1), ('DE', 2)", ["s1"]),
    ],
)
def test_statements(sql: str, shards: list[str]) -> None:
    found = bound(sql, {"de": 1, "fr": 0})
    relays = [found] if isinstance(found, Relay) else [part.relay for part in found.parts]  # type: ignore[attr-defined]
    assert [relay.shard for relay in relays] == shards


def test_rows_without_an_entry() -> None:
    found = bound("INSERT INTO places (code, n) VALUES ('de', 1), ('xx', 2)", {"de": 1})
    assert isinstance(found, Refused)
    assert "no shard for code = 'xx': table 'mails' has no 'mail' for it; insert one there first" in found.error.message
    placed = bound("INSERT INTO places (code, n) VALUES ('xx', 2)", {}, default=0)
    assert isinstance(placed, Relay)
    assert placed.shard == "s0"


def layout(**columns: KeyType | None) -> str | None:
    """What is wrong with a table that is looked up in one of these columns."""
    config = Schema.model_validate(
        {
            "group": "main",
            "shards": {"s0": {"group": "g0"}, "s1": {"group": "g1"}},
            "tables": {"t": {"shard_by": "mail", "lookup": {"table": "Mails", "from": "mail", "to": "shard"}}},
        }
    )
    own = replace(definition(**columns), unique=(frozenset({"mail"}),)) if columns else None
    tables = {"t": definition(mail=TEXT)} | ({} if own is None else {"mails": own})
    table = sharded_schema("shop", config, tables).tables["t"]
    assert table.problem is not None or isinstance(table.function, Lookup)
    return table.problem


def test_the_table_of_keys() -> None:
    assert layout(mail=TEXT, shard=TEXT) is None
    for columns, words in (
        ({}, "there is no table 'Mails'"),
        ({"mail": TEXT}, "no column 'shard'"),
        ({"mail": FOLDED, "shard": TEXT}, "does not compare as the key does"),
        ({"mail": INT, "shard": TEXT}, "does not compare as the key does"),
    ):
        assert words in str(layout(**columns))


def test_keys_must_be_unique() -> None:
    config = Schema.model_validate(
        {
            "group": "main",
            "shards": {"s0": {"group": "g0"}},
            "tables": {"t": {"shard_by": "mail", "lookup": {"table": "mails", "from": "mail", "to": "shard"}}},
        }
    )
    column = Column("mail", "varchar", KeyType(KeyKind.TEXT, high=40, collation="utf8mb4_bin", ordered=True))
    own = Definition({"mail": column, "shard": column})
    table = sharded_schema("shop", config, {"t": Definition({"mail": column}), "mails": own}).tables["t"]
    assert "no unique key" in str(table.problem)
