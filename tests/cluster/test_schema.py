"""Definitions of sharded tables, as shards tell them."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from router.backend.connector import BackendUser
from router.cluster.schema import SchemaWatcher, column_of
from router.cluster.topology import Group, Server, Topology
from router.config.loader import loads
from router.config.models import RouterConfig
from router.errors import BackendUnavailable
from router.planner.catalog import Definitions
from router.planner.keys import KeyKind, KeyType
from router.planner.plan import Role
from tests.fakes import make_pool

FOLDS = {"utf8mb4_general_ci": {0x41: 0x61}, "odd_ci": None}
Row = tuple[Any, ...]


def row(name: str, kind: str, full: str | None = None, **more: Any) -> Row:
    """A row of information_schema.COLUMNS without the table."""
    values = {
        "nullable": "NO",
        "collation": None,
        "length": None,
        "precision": 10,
        "scale": 0,
        "fraction": None,
        "extra": "",
        "has_default": 0,
        "default": None,
    }
    values.update(more)
    return (name, kind, full or kind, *values.values())


@pytest.mark.parametrize(
    ("found", "key"),
    [
        (row("a", "int"), KeyType(KeyKind.INTEGER, -(2**31), 2**31 - 1)),
        (row("a", "bigint", "bigint unsigned"), KeyType(KeyKind.INTEGER, 0, 2**64 - 1)),
        (row("a", "tinyint", "tinyint(1)"), KeyType(KeyKind.INTEGER, -128, 127)),
        (row("a", "decimal", precision=10, scale=2), KeyType(KeyKind.DECIMAL, high=10**8 - 1, scale=2)),
        (row("a", "varchar", collation="utf8mb4_bin"), KeyType(KeyKind.TEXT, ordered=True, collation="utf8mb4_bin")),
        (
            row("a", "char", collation="latin1_bin", length=9),
            KeyType(KeyKind.TEXT, high=9, fold={}, collation="latin1_bin"),
        ),
        (row("a", "int", extra="auto_increment"), KeyType(KeyKind.INTEGER, -(2**31), 2**31 - 1, generates=True)),
        (row("a", "datetime", extra="on update current_timestamp()"), None),
        (
            row("a", "varchar", collation="utf8mb4_general_ci"),
            KeyType(KeyKind.TEXT, fold=FOLDS["utf8mb4_general_ci"], collation="utf8mb4_general_ci"),
        ),
        (row("a", "varchar", collation="odd_ci"), None),
        (row("a", "varbinary"), KeyType(KeyKind.BINARY)),
        (row("a", "date"), KeyType(KeyKind.DATE)),
        (row("a", "datetime", fraction=3), KeyType(KeyKind.DATETIME, scale=3)),
        (row("a", "timestamp", fraction=0), None),
        (row("a", "float"), None),
        (row("a", "json"), None),
        (row("a", "text", collation="utf8mb4_bin"), None),
    ],
)
def test_keys_by_type(found: Row, key: KeyType | None) -> None:
    assert column_of(found, FOLDS).key == key


def test_other_properties() -> None:
    column = column_of(row("Id", "int", "int(10) unsigned", extra="auto_increment"), {})
    assert (column.name, column.unsigned, column.auto_increment, column.optional) == ("Id", True, True, True)
    assert column_of(row("a", "int", extra="STORED GENERATED"), {}).generated
    assert not column_of(row("a", "datetime", extra="DEFAULT_GENERATED"), {}).generated
    assert column_of(row("a", "int", extra="auto_increment INVISIBLE"), {}).invisible
    assert not column_of(row("a", "int"), {}).invisible
    assert not column_of(row("a", "int"), {}).optional
    assert column_of(row("a", "int", nullable="YES"), {}).optional
    assert not column_of(row("a", "varchar", collation="utf8mb4_0900_ai_ci"), {}).pads


@pytest.mark.parametrize(
    ("default", "extra", "unsteady"),
    [
        (None, "", False),
        ("5", "", False),
        ("NULL", "", False),
        ("'uuid()'", "", False),
        ("CURRENT_TIMESTAMP", "DEFAULT_GENERATED", False),
        ("CURRENT_TIMESTAMP(6)", "DEFAULT_GENERATED on update CURRENT_TIMESTAMP(6)", False),
        ("current_timestamp()", "on update current_timestamp()", False),
        ("(now())", "DEFAULT_GENERATED", False),
        ("uuid()", "DEFAULT_GENERATED", True),
        ("uuid()", "", True),
        ("concat('x', rand())", "", True),
        ("nextval(`shop`.`s`)", "", True),
        ("(now() + interval 1 day)", "DEFAULT_GENERATED", True),
    ],
)
def test_defaults_that_servers_do_not_agree_about(default: str | None, extra: str, unsteady: bool) -> None:
    assert column_of(row("a", "varchar", default=default, extra=extra), {}).unsteady is unsteady


CONFIG = """
groups: {g0: {servers: ["h:1"]}, g1: {servers: ["h:2"]}}
users: {app: {password: x}}
schemas:
  shop:
    group: g0
    shards: {s0: {group: g0}, s1: {group: g1, database: shop_1}}
    transactions: single
    tables:
      t: {shard_by: id, function: hash}
      r: {broadcast: true}
"""


class Shards:
    """Two shards whose answers can be set; ``asked`` holds the queries."""

    def __init__(self) -> None:
        config = loads(CONFIG, environ={})
        self.columns = {"h:1": [("t", *row("id", "int")), ("r", *row("id", "int"))]}
        self.columns["h:2"] = list(self.columns["h:1"])
        self.keys = [("t", "PRIMARY", "id")]
        self.asked: list[tuple[str, str]] = []
        self.seen: list[Definitions] = []
        self.down = False
        groups = {}
        for name, group in config.groups.items():
            server = Server(group.servers[0], make_pool()[0], name)
            server.role, server.up = Role.PRIMARY, True
            server.connector.ask = self._asker(str(group.servers[0].address))  # type: ignore[method-assign]
            groups[name] = Group(name, group, [server])
            groups[name].refresh()
        self.watcher = SchemaWatcher(config, Topology(groups), {"shop": BackendUser("app", "x")}, self.seen.append)

    def _asker(self, address: str) -> Any:
        async def ask(user: BackendUser, *queries: str) -> list[list[Row]]:
            if self.down:
                raise BackendUnavailable("down")
            self.asked += [(address, query) for query in queries]
            return [self.columns[address] if "COLUMNS" in query else self.keys for query in queries]

        return ask


async def test_unique_keys_that_can_be_null_count_as_well() -> None:
    shards = Shards()
    for columns in shards.columns.values():
        columns.append(("t", *row("code", "varchar", nullable="YES")))
    shards.keys.append(("t", "code", "code"))
    await shards.watcher.refresh()
    table = shards.seen[0]["shop"]["t"]
    assert (table.unique, table.ambiguous) == ((frozenset({"id"}),), True)


async def test_definitions_are_those_of_all_shards() -> None:
    shards = Shards()
    await shards.watcher.refresh()
    (definitions,) = shards.seen
    table = definitions["shop"]["t"]
    assert table.columns["id"].key is not None
    assert table.unique == (frozenset({"id"}),)
    assert table.difference is None
    assert not table.ambiguous
    assert set(definitions["shop"]) == {"t", "r"}
    assert any(b"shop_1".hex() in query for address, query in shards.asked if address == "h:2")


async def test_only_changes_are_told() -> None:
    shards = Shards()
    await shards.watcher.refresh()
    await shards.watcher.refresh()
    assert len(shards.seen) == 1
    for columns in shards.columns.values():
        columns.append(("t", *row("name", "int")))
    await shards.watcher.refresh()
    assert "name" in shards.seen[1]["shop"]["t"].columns


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda columns: columns.__setitem__(0, ("t", *row("id", "bigint"))),
            "column 'id' is int on shard s0 and bigint on shard s1",
        ),
        (lambda columns: columns.append(("t", *row("more", "int"))), "column 'more' is on shard s1 only"),
        (
            lambda columns: columns.__setitem__(0, ("t", *row("id", "int", default="5"))),
            "column 'id' has another default on shard s1 than on s0",
        ),
        (lambda columns: columns.pop(0), "there is none on shard s1"),
    ],
)
async def test_differences_between_shards(change: Any, words: str) -> None:
    shards = Shards()
    change(shards.columns["h:2"])
    await shards.watcher.refresh()
    assert shards.seen[0]["shop"]["t"].difference == words
    assert shards.watcher.differences == {("shop", "t"): 1, ("shop", "r"): 0}


async def test_tables_that_the_first_shard_lacks() -> None:
    shards = Shards()
    shards.columns["h:1"].pop(0)
    await shards.watcher.refresh()
    assert "t" not in shards.seen[0]["shop"]
    assert shards.watcher.differences["shop", "t"] == 1
    assert (await shards.watcher.load("shop")).problems == {"t": ("there is none on shard s0",)}


async def test_what_cannot_be_reached_changes_nothing() -> None:
    shards = Shards()
    await shards.watcher.refresh()
    shards.down = True
    await shards.watcher.refresh()
    assert len(shards.seen) == 1


def test_what_is_wrong_with_a_table_is_said_once() -> None:
    config = RouterConfig.model_validate(
        {"groups": {"g": {"servers": ["h:1"]}}, "users": {"app": {"password": "secret"}}}
    )
    watcher = SchemaWatcher(config, Topology({}), {}, lambda definitions: None)
    with capture_logs() as logs:
        for problem in ("there is none", "there is none", "other columns", None, None):
            watcher._tell("shop", "orders", problem)
    said = str(logs)
    assert said.count("there is none") == said.count("other columns") == said.count("can be used") == 1
