"""Looks whether the servers are as the configuration says: reachable, writable where they should be, with the
databases, tables and privileges that the router needs. Nothing is changed there.

All servers are asked at once; each answer is bounded by ``limits.connect_timeout``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from router.backend.connector import BackendUser
from router.cluster.schema import SchemaWatcher
from router.cluster.topology import Group, Server, Topology
from router.config.findings import Finding, Loc
from router.config.models import RouterConfig
from router.config.sharding import Schema
from router.errors import BackendError
from router.planner.description import literal
from router.planner.inserts import generated_column
from router.planner.layout import sharded_schema
from router.planner.plan import Role
from router.planner.routes import Unplannable
from router.planner.tables import Definition, ShardedTable

# Error numbers that are about the account, not the server.
_DENIED = frozenset({1044, 1045, 1130, 1227, 1251, 1275, 1698, 1820, 3118})
_PROBE = "SELECT @@GLOBAL.read_only, @@version"
_ENCRYPTED = "SHOW SESSION STATUS LIKE 'Ssl_version'"
_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?:TABLE )?(?P<where>\S+) TO ", re.IGNORECASE)
# What proves that the tables of generated ids can be written, without writing them.
_ID_TABLES = {
    "snowflake": ("router_workers", "(0, '', 0, 0)", "expires"),
    "segment": ("router_ids", "('', 0)", "next"),
}


@dataclass(frozen=True, slots=True)
class Login:
    """An account of the configuration, the place that gives it, and the groups where it is used."""

    place: Loc
    account: BackendUser
    groups: frozenset[str]
    schemas: frozenset[str]


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server said; the texts are for people."""

    group: str
    server: str
    address: str
    reachable: bool
    version: str = ""
    flavor: str = ""
    role: str = ""
    tls: str = ""


@dataclass(frozen=True, slots=True)
class TableState:
    """A table that is spread over shards; ``state`` is ``ok`` or what is wrong."""

    schema: str
    table: str
    shards: tuple[str, ...]
    key: str
    state: str


@dataclass(slots=True)
class Report:
    """What was found; ``problems`` keep the router from its work, ``warnings`` may."""

    servers: list[ServerState] = field(default_factory=list)
    tables: list[TableState] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


class OnlineCheck:
    """One look at all servers of a configuration."""

    def __init__(
        self,
        config: RouterConfig,
        monitors: Mapping[str, Login],
        readers: Mapping[str, BackendUser],
        users: Sequence[Login],
        topology: Topology | None = None,
    ) -> None:
        """``monitors``: group → account for probes; ``readers``: sharded schema → account that reads its tables."""
        self._config = config
        self._monitors = monitors
        self._readers = readers
        self._users = users
        self._topology = Topology.build(config) if topology is None else topology
        self._report = Report()

    async def run(self) -> Report:
        """Ask everything that is to be asked."""
        report = self._report
        servers = [
            self._server(group, number, server)
            for group in self._topology.groups.values()
            for number, server in enumerate(group.servers)
        ]
        report.servers = list(await asyncio.gather(*servers))
        for group in self._topology.groups.values():
            self._roles(group)
        await asyncio.gather(*(self._schema(name, schema) for name, schema in self._config.schemas.items()))
        order = {name: number for number, name in enumerate(self._config.schemas)}
        report.tables.sort(key=lambda state: order[state.schema])
        self._topology.close()
        return report

    def _problem(self, loc: Loc, message: str) -> None:
        finding = Finding(loc, message, at_key=True)
        if finding not in self._report.problems:
            self._report.problems.append(finding)

    def _warn(self, loc: Loc, message: str) -> None:
        self._report.warnings.append(Finding(loc, message, at_key=True))

    # -- servers -----------------------------------------------------------------------------------------------

    async def _server(self, group: Group, number: int, server: Server) -> ServerState:
        place: Loc = ("groups", group.name, "servers", number)
        monitor = self._monitors[group.name]
        address = str(server.connector.endpoint.address)
        try:
            profile = await server.connector.load_profile(monitor.account)
            probe, encrypted = await server.connector.ask(monitor.account, _PROBE, _ENCRYPTED)
        except BackendError as error:
            denied = _code(error) in _DENIED
            if denied:
                self._problem(monitor.place, f"{_refused(monitor, server)}: {error}")
            else:
                self._problem(place, str(error))
            return ServerState(group.name, server.name, address, reachable=denied)
        ((read_only, version),) = probe
        found = Role.REPLICA if read_only else Role.PRIMARY
        server.up = True
        server.role = found if server.configured_role == "auto" else server.role
        if server.configured_role == "primary" and read_only:
            self._problem(place, f"server {server.name} is read-only, but its role here is primary")
        elif server.configured_role == "replica" and not read_only:
            self._warn(place, f"server {server.name} can be written (read_only is off), but its role here is replica")
        tls = str(encrypted[0][1]) if encrypted and encrypted[0][1] else "no"
        endpoint = server.connector.endpoint
        if tls == "no" and endpoint.tls is not None:
            self._warn(place, f"server {server.name} offers no TLS: passwords and rows cross the network in the clear")
        await asyncio.gather(*(self._login(each, server) for each in self._users if group.name in each.groups))
        role = "primary" if found is Role.PRIMARY else "replica"
        return ServerState(group.name, server.name, address, True, str(version), profile.flavor, role, tls)

    async def _login(self, login: Login, server: Server) -> None:
        try:
            await server.connector.ask(login.account, "SELECT 1")
        except BackendError as error:
            self._problem(login.place, f"{_refused(login, server)}: {error}")

    def _roles(self, group: Group) -> None:
        group.refresh()
        up = [server for server in group.servers if server.up]
        writable = [server.name for server in up if server.role is Role.PRIMARY]
        if up and not writable:
            self._problem(("groups", group.name), "has no primary: every server that answers is read-only")
        elif len(writable) > 1:
            self._warn(("groups", group.name), f"has several servers that can be written: {', '.join(writable)}")

    # -- schemas -----------------------------------------------------------------------------------------------

    async def _schema(self, name: str, schema: Schema) -> None:
        """The databases of a schema, and its sharded tables."""
        place: Loc = ("schemas", name)
        if not schema.shards:
            await self._database(self._any_user(name), schema.group, name, (*place, "group"), needed=False)
            return
        reader = self._readers.get(name)
        if reader is None:
            self._problem(place, "no user of the file may use it: its tables cannot be read")
            return
        wanted = [
            (shard.group, shard.database or name, (*place, "shards", each)) for each, shard in schema.shards.items()
        ]
        if schema.group is not None:
            wanted.append((schema.group, name, (*place, "group")))
        there = await asyncio.gather(*(self._database(reader, group, database, at) for group, database, at in wanted))
        if not all(there[: len(schema.shards)]):
            return
        watcher = SchemaWatcher(self._config, self._topology, self._readers, lambda definitions: None)
        try:
            loaded = await watcher.load(name)
        except BackendError as error:
            self._problem(place, f"its tables cannot be read: {error}")
            return
        self._tables(name, schema, loaded.definitions, loaded.problems)
        await asyncio.gather(
            *(self._seen(login, name, schema, loaded.definitions) for login in self._users if name in login.schemas)
        )
        if schema.ids and there[-1]:
            await self._ids(name, schema, reader)

    def _any_user(self, schema: str) -> BackendUser | None:
        return next((login.account for login in self._users if schema in login.schemas), None)

    async def _database(
        self, account: BackendUser | None, group: str | None, database: str, place: Loc, *, needed: bool = True
    ) -> bool:
        """Whether a database is there, for this account; of servers that do not answer nothing more is said."""
        primary = None if group is None else self._topology.groups[group].primary
        if account is None or primary is None:
            return False
        query = f"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {literal(database)}"  # noqa: S608
        try:
            (rows,) = await primary.connector.ask(account, query)
        except BackendError:
            return False  # the login has been reported
        if not rows:
            message = f"there is no database '{database}' on server {primary.name}"
            (self._problem if needed else self._warn)(place, f"{message}, or account '{account.name}' may not use it")
        return bool(rows)

    def _tables(
        self,
        name: str,
        schema: Schema,
        definitions: Mapping[str, Definition],
        problems: Mapping[str, tuple[str, ...]],
    ) -> None:
        compiled = sharded_schema(name, schema, definitions)
        for table in schema.tables:
            place: Loc = ("schemas", name, "tables", table)
            found = compiled.tables[table.lower()]
            wrong = list(problems.get(table, ()))
            for problem in wrong:
                self._problem(place, f"cannot be used: {problem}")
            if not wrong and found.problem is not None:
                wrong.append(found.problem)
                at = (*place, "shard_by") if "shard_by" in schema.tables[table].model_fields_set else place
                self._problem(at, f"the table cannot be used: {found.problem}")
            shards = tuple(compiled.shards[number].name for number in found.shards)
            self._report.tables.append(TableState(name, table, shards, _key(found), wrong[0] if wrong else "ok"))
            self._generated(name, schema, found)

    def _generated(self, name: str, schema: Schema, table: ShardedTable) -> None:
        if table.generator is None or table.definition is None:
            return
        try:
            generated_column(table, table.definition, table.generator)
        except Unplannable as error:
            wanted = f"{table.name}.{table.generator.column}".lower()
            entry = next((each for each in schema.ids if each.lower() == wanted), None)
            place: Loc = ("schemas", name, "ids") if entry is None else ("schemas", name, "ids", entry)
            self._problem(place, f"cannot be generated: {error.construct}")

    async def _seen(self, login: Login, name: str, schema: Schema, definitions: Iterable[str]) -> None:
        """Whether an account has privileges on the tables of every shard: it sees those only."""
        names = ", ".join(map(literal, definitions)) or "''"
        for each, shard in schema.shards.items():
            database = shard.database or name
            primary = self._topology.groups[shard.group].primary
            if primary is None:
                return
            query = (
                "SELECT LOWER(TABLE_NAME) FROM information_schema.TABLES "  # noqa: S608 - literals of our own
                f"WHERE TABLE_SCHEMA = {literal(database)} AND LOWER(TABLE_NAME) IN ({names})"
            )
            reader = self._readers[name]
            try:
                (mine,) = await primary.connector.ask(login.account, query)
                (all_there,) = await primary.connector.ask(reader, query)
            except BackendError:
                return  # the login has been reported
            lacking = sorted({row[0] for row in all_there} - {row[0] for row in mine})
            if lacking:
                self._warn(
                    login.place,
                    f"account '{login.account.name}' has no privileges on {', '.join(lacking)} in '{database}'"
                    f" (shard {each}) on server {primary.name}",
                )

    async def _ids(self, name: str, schema: Schema, reader: BackendUser) -> None:
        """The tables of generated ids: there and to be written, or to be created."""
        place: Loc = ("schemas", name, "ids")
        primary = self._topology.groups[schema.group or ""].primary
        if primary is None:
            return
        for generator in sorted({each.generator for each in schema.ids.values()}):
            table, row, column = _ID_TABLES[generator]
            whole = f"`{name.replace('`', '``')}`.{table}"
            there = (
                f"SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal(name)} "  # noqa: S608
                f"AND TABLE_NAME = '{table}'"
            )
            try:
                rows, grants = await primary.connector.ask(reader, there, "SHOW GRANTS")
                if rows:
                    await primary.connector.ask(
                        reader,
                        f"EXPLAIN INSERT INTO {whole} VALUES {row}",  # noqa: S608 - as above
                        f"EXPLAIN UPDATE {whole} SET {column} = {column} + 1",  # noqa: S608
                    )
                elif not may_create([str(each[0]) for each in grants], name):
                    self._problem(
                        place, f"there is no table {table}, and account '{reader.name}' may not create it in '{name}'"
                    )
            except BackendError as error:
                self._problem(place, f"account '{reader.name}' cannot write table {table}: {error}")


def may_create(grants: Sequence[str], database: str) -> bool:
    """Whether SHOW GRANTS lets an account create tables in a database; roles may, nobody knows."""
    for grant in grants:
        found = _GRANT.match(grant)
        if found is None:
            return True  # a role
        privileges = {each.strip().upper() for each in found["what"].split(",")}
        if privileges & {"ALL PRIVILEGES", "ALL", "CREATE"} and _covers(found["where"], database):
            return True
    return False


def _covers(where: str, database: str) -> bool:
    schema, _, table = where.rpartition(".")
    if table != "*":
        return False
    if schema == "*":
        return True
    pattern = re.sub(r"\\\\?([%_])|%|_", _wildcard, schema.strip("`'\"").replace("``", "`"))
    return re.fullmatch(pattern, database) is not None


def _wildcard(found: re.Match[str]) -> str:
    return found[1] if found[1] else ".*" if found[0] == "%" else "."


def _key(table: ShardedTable) -> str:
    """The key's columns, with their types if they are known."""
    if table.broadcast:
        return "broadcast"
    columns = {} if table.definition is None else table.definition.columns
    return ", ".join(f"{name} {columns[name].type}" if name in columns else name for name in table.columns)


def _refused(login: Login, server: Server) -> str:
    return f"account '{login.account.name}' cannot log in to server {server.name}"


def _code(error: BackendError) -> int:
    """The server's error number, 0 if it is not from a server."""
    cause: Any = error.__cause__
    code = cause.args[0] if cause is not None and cause.args else 0
    return code if isinstance(code, int) else 0
