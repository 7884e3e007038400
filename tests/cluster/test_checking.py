"""What ``router check --online`` finds, of servers that say what a test wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from router.backend.connector import BackendUser
from router.cluster.checking import Login, OnlineCheck, Report, TableState, may_create
from router.cluster.topology import Topology
from router.config.loader import loads
from router.errors import BackendUnavailable
from router.session.profile import ServerProfile
from tests.cluster.test_schema import row
from tests.fakes import PROFILE

CONFIG = """
groups:
  g0: {servers: ["h:1", {address: "h:9", role: replica}]}
  g1: {servers: ["h:2"]}
users: {app: {password: x}, other: {password: y, schemas: [shop]}}
schemas:
  shop:
    group: g0
    shards: {s0: {group: g0}, s1: {group: g1, database: shop_1}}
    tables:
      t: {shard_by: id, function: mod}
      r: {broadcast: true}
    ids: {t.id: {generator: snowflake}}
"""


class Said:
    """What the servers say; tests change it."""

    def __init__(self) -> None:
        self.read_only = {"h:1": 0, "h:9": 1, "h:2": 0}
        self.down: set[str] = set()
        self.denied: set[tuple[str, str]] = set()
        columns = [("t", *row("id", "bigint")), ("r", *row("id", "int"))]
        self.columns = {"h:1": columns, "h:2": list(columns)}
        self.databases = {"h:1": {b"shop"}, "h:2": {b"shop_1"}}
        self.hidden: set[str] = set()
        self.ids_there = True
        self.grants = ["GRANT USAGE ON *.* TO `app`@`%`"]

    async def ask(self, address: str, user: BackendUser, *queries: str) -> list[list[tuple[Any, ...]]]:
        if address in self.down:
            raise BackendUnavailable(f"server {address}: refused")
        if (address, user.name) in self.denied:
            raise BackendUnavailable(f"server {address}: Access denied") from RuntimeError(1045, "Access denied")
        return [self._rows(address, user, query) for query in queries]

    def _rows(self, address: str, user: BackendUser, query: str) -> list[tuple[Any, ...]]:
        if "@@GLOBAL.read_only" in query:
            return [(self.read_only[address], "10.11.6-MariaDB")]
        if "Ssl_version" in query:
            return [("Ssl_version", "")]
        if "SCHEMATA" in query:
            return [(1,)] if any(name.decode() + "'" in query for name in self.databases[address]) else []
        if "LOWER(TABLE_NAME)" in query:
            return [(name,) for name in ("r", "t") if name not in self.hidden or user.name == "app"]
        if "router_workers" in query and "TABLES" in query:
            return [(1,)] if self.ids_there else []
        if query == "SHOW GRANTS":
            return [(grant,) for grant in self.grants]
        if "COLUMNS" in query:
            return self.columns[address]
        if "STATISTICS" in query:
            return [("t", "PRIMARY", self.columns[address][0][1])]
        return []


async def check(said: Said, text: str = CONFIG) -> Report:
    config = loads(text, environ={})
    topology = Topology.build(config)
    for server in topology.servers():
        address = str(server.connector.endpoint.address)

        async def load(user: BackendUser, address: str = address) -> ServerProfile:
            await said.ask(address, user)
            return PROFILE

        async def ask(user: BackendUser, *queries: str, address: str = address) -> list[list[tuple[Any, ...]]]:
            return await said.ask(address, user, *queries)

        server.connector.load_profile = load  # type: ignore[method-assign]
        server.connector.ask = ask  # type: ignore[method-assign]
    app = BackendUser("app", "x")
    groups, schemas = frozenset(config.groups), frozenset(config.schemas)
    users = [Login(("users", name), BackendUser(name, "x"), groups, schemas) for name in config.users]
    monitors: Mapping[str, Login] = {
        group: Login(("users", "app"), app, frozenset({group}), frozenset()) for group in config.groups
    }
    return await OnlineCheck(config, monitors, {"shop": app}, users, topology).run()


def said_of(report: Report) -> list[tuple[str, str]]:
    return [(".".join(map(str, each.loc)), each.message) for each in report.problems]


def warned_of(report: Report) -> list[tuple[str, str]]:
    return [(".".join(map(str, each.loc)), each.message) for each in report.warnings if "TLS" not in each.message]


async def test_all_is_well() -> None:
    report = await check(Said())
    assert (said_of(report), warned_of(report)) == ([], [])
    assert [(each.server, each.role, each.reachable) for each in report.servers] == [
        ("h:1", "primary", True),
        ("h:9", "replica", True),
        ("h:2", "primary", True),
    ]
    assert report.tables == [
        TableState("shop", "t", ("s0", "s1"), "id bigint", "ok"),
        TableState("shop", "r", ("s0", "s1"), "broadcast", "ok"),
    ]


async def test_a_server_that_does_not_answer() -> None:
    said = Said()
    said.down.add("h:2")
    report = await check(said)
    assert said_of(report) == [("groups.g1.servers.0", "server h:2: refused")]
    assert [each.reachable for each in report.servers] == [True, True, False]


async def test_accounts_that_may_not_log_in() -> None:
    said = Said()
    said.denied = {("h:1", "other"), ("h:2", "app")}
    report = await check(said)
    assert said_of(report) == [
        ("users.app", "account 'app' cannot log in to server h:2: server h:2: Access denied"),
        ("users.other", "account 'other' cannot log in to server h:1: server h:1: Access denied"),
    ]


async def test_roles() -> None:
    said = Said()
    said.read_only = {"h:1": 1, "h:9": 0, "h:2": 0}
    report = await check(said)
    assert said_of(report) == [("groups.g0", "has no primary: every server that answers is read-only")]
    assert warned_of(report) == [
        ("groups.g0.servers.1", "server h:9 can be written (read_only is off), but its role here is replica")
    ]
    said.read_only["h:9"] = 1
    report = await check(said, CONFIG.replace('"h:1"', '{address: "h:1", role: primary}'))
    assert said_of(report) == [("groups.g0.servers.0", "server h:1 is read-only, but its role here is primary")]


async def test_no_tls() -> None:
    (warning, *_) = (await check(Said())).warnings
    assert warning.loc[:3] == ("groups", "g0", "servers")
    assert warning.message == "server h:1 offers no TLS: passwords and rows cross the network in the clear"


async def test_databases() -> None:
    said = Said()
    said.databases["h:2"] = {b"shop"}
    report = await check(said)
    words = "there is no database 'shop_1' on server h:2, or account 'app' may not use it"
    assert said_of(report) == [("schemas.shop.shards.s1", words)]
    assert report.tables == []


async def test_tables() -> None:
    said = Said()
    said.columns["h:2"] = [("t", *row("id", "int"))]
    report = await check(said)
    assert said_of(report) == [
        (
            "schemas.shop.tables.t",
            "cannot be used: column 'id' is bigint on shard s0 and int on shard s1",
        ),
        ("schemas.shop.tables.r", "cannot be used: there is none on shard s1"),
    ]
    assert [each.state for each in report.tables] == [
        "column 'id' is bigint on shard s0 and int on shard s1",
        "there is none on shard s1",
    ]


@pytest.mark.parametrize(
    ("column", "place", "words"),
    [
        (row("other", "bigint"), "tables.t.shard_by", "it has no column 'id', which is to decide the shard"),
        (row("id", "double"), "tables.t.shard_by", "column 'id' of type double cannot decide the shard"),
        (row("id", "int"), "ids.t.id", "column 'id' of type int, which cannot hold the ids that are generated for it"),
    ],
)
async def test_keys_and_generated_ids(column: tuple[Any, ...], place: str, words: str) -> None:
    said = Said()
    for columns in said.columns.values():
        columns[0] = ("t", *column)
    found = dict(said_of(await check(said)))
    assert words in found[f"schemas.shop.{place}"]


async def test_privileges() -> None:
    said = Said()
    said.hidden = {"t"}
    said.ids_there = False
    report = await check(said)
    assert said_of(report) == [
        ("schemas.shop.ids", "there is no table router_workers, and account 'app' may not create it in 'shop'")
    ]
    assert warned_of(report)[0] == (
        "users.other",
        "account 'other' has no privileges on t in 'shop' (shard s0) on server h:1",
    )


@pytest.mark.parametrize(
    ("grant", "may"),
    [
        ("GRANT USAGE ON *.* TO `a`@`%`", False),
        ("GRANT SELECT, CREATE ON *.* TO `a`@`%`", True),
        ("GRANT SELECT, CREATE VIEW ON *.* TO `a`@`%`", False),
        ("GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`", True),
        ("GRANT ALL PRIVILEGES ON `other`.* TO `a`@`%`", False),
        ("GRANT CREATE ON `sh%`.* TO `a`@`%`", True),
        ("GRANT CREATE ON `sh\\_p`.* TO `a`@`%`", False),
        ("GRANT CREATE ON `shop`.`t` TO `a`@`%`", False),
        ("GRANT `role`@`%` TO `a`@`%`", True),
    ],
)
def test_who_may_create_tables(grant: str, may: bool) -> None:
    assert may_create([grant], "shop") is may
