"""What the router tells of itself, as rows of the admin interface's tables.

``Inside`` is all that is asked of the gateway; nothing here reaches into anything. Rows are made when somebody asks.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, perf_counter, time
from typing import Any

from prometheus_client.core import Metric

from router.admin.tables import DATABASES, TABLES, Column, Table, Value, mysql_type
from router.admin.variables import CHARSET, COLLATION
from router.cluster.operations import Operations
from router.config.models import RouterConfig, Server
from router.config.rules import Rule
from router.config.sharding import Schema
from router.errors import NoSuchName
from router.log import LogLine
from router.metrics import BUCKETS, Counters, ProcessGauges, ServerGauges
from router.planner.explaining import Explained
from router.planner.observed import Observed
from router.session.registry import Glance, Killed

Row = tuple[Value, ...]

# Tables that are told by other processes only when they are asked for.
_TOLD_APART = frozenset({"sessions", "digests"})
# Seconds after which others have their turn.
_SLICE = 0.002


class Maintenance:
    """Whether new logins are refused and ``/readyz`` fails, because an operator wants it so."""

    def __init__(self, *, changed: Callable[[bool], None] = lambda on: None) -> None:
        """``changed`` is told when it begins or ends."""
        self._on = False
        self._changed = changed

    @property
    def on(self) -> bool:
        """Whether it is so now."""
        return self._on

    @on.setter
    def on(self, on: bool) -> None:
        self._on = on
        self._changed(on)


def _nothing() -> Iterable[Observed]:
    return ()


async def _no_file() -> Sequence[object]:
    raise OSError("the configuration is not from a file")


async def _known(table: str = "") -> None:
    """All is known in this process."""


async def _unexplained(_sql: str, user: str, _schema: str | None, _client: str | None) -> Explained:
    raise NoSuchName(f"no user is called '{user}'")


def _unlogged() -> Sequence[LogLine]:
    return ()


@dataclass(frozen=True, slots=True)
class Inside:
    """What the gateway gives.

    ``config`` is the one in force; ``kill(connection_id, query_only)`` ends a statement or a session and returns
    when that is done, or says that there is no such session; ``samples`` are those of ``/metrics``. ``digests`` are
    the kinds of statements that were counted, by ``perf_counter``; ``reload`` reads the configuration again and says
    what is different, ``changes`` what it would say (ConfigError as there). ``explain(sql, user, schema, client)`` is
    EXPLAIN ROUTE (NoSuchName for an unknown user); ``lines`` are the newest of the log. ``refresh(table)`` is awaited
    before any of the rest is looked at, for what a table shows, the metrics, or the ``log``: other processes may have
    to be asked.
    """

    config: Callable[[], RouterConfig]
    gauges: Callable[[], ProcessGauges]
    counters: Counters
    operations: Operations
    sessions: Callable[[], Iterable[Glance]]
    kill: Callable[[int, bool], Awaitable[Killed]]
    samples: Callable[[], Iterable[Metric]]
    digests: Callable[[], Iterable[Observed]] = _nothing
    reload: Callable[[], Awaitable[Sequence[object]]] = _no_file
    maintenance: Maintenance = field(default_factory=Maintenance)
    refresh: Callable[[str], Awaitable[None]] = _known
    explain: Callable[[str, str, str | None, str | None], Awaitable[Explained]] = _unexplained
    changes: Callable[[], Awaitable[Sequence[object]]] = _no_file
    lines: Callable[[], Sequence[LogLine]] = _unlogged


def _most_of(observed: Observed) -> float:
    """How long 95 of 100 took at most, as far as the buckets tell."""
    left = 0.95 * observed.count
    for bound, count in zip((*BUCKETS, observed.most), observed.buckets, strict=True):
        left -= count
        if left <= 0:
            return min(bound, observed.most)
    return observed.most


class RouterState:
    """The rows of each table that is not derived from others; ``variables`` are those of ``@@``."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._started = datetime.now(UTC)
        self._since = monotonic()

    @property
    def uptime(self) -> float:
        """Seconds."""
        return monotonic() - self._since

    async def rows(
        self, tables: Iterable[Table], *, texts: bool, variables: Mapping[str, Value] | None = None
    ) -> dict[str, list[Row]]:
        """All rows of each of the tables, of one moment; ``texts``: statements with their literals."""
        wanted = list(tables)
        for name in _TOLD_APART & {table.name for table in wanted} or {""}:
            await self._inside.refresh(name)
        return {table.name: await self._rows(table, texts, variables or {}) for table in wanted}

    async def _rows(self, table: Table, texts: bool, variables: Mapping[str, Value]) -> list[Row]:
        match table.name:
            case "sessions":
                found: Iterable[Row] = (_session(each, texts=texts) for each in self._inside.sessions())
            case "digests":
                found = self._digests()
            case "variables":
                return sorted(variables.items())
            case name:
                return list(_ROWS[name](self))
        return await _politely(found)

    # -- one table each ----------------------------------------------------------------------------------------

    def _gauges(self) -> Iterator[tuple[ServerGauges, Server]]:
        config = self._inside.config()
        known = {(group, each.name): each for group, found in config.groups.items() for each in found.servers}
        for gauges in self._inside.gauges().servers:
            if (server := known.get((gauges.group, gauges.server))) is not None:
                yield gauges, server

    def _servers(self) -> Iterator[Row]:
        standing = {(each.group, each.server): each for each in self._inside.operations.standing()}
        for gauges, config in self._gauges():
            each = standing[gauges.group, gauges.server]
            address = config.address
            yield (
                each.group,
                each.server,
                each.address,
                address.host or address.path,
                address.port or 0,
                "primary" if each.primary else "unknown" if each.role == "primary" else each.role,
                int(each.up),
                int(each.draining),
                int(each.fenced),
                int(each.paused),
                each.lag,
                config.weight,
                config.zone,
                each.in_use,
                each.pinned,
                each.idle,
                each.opening,
                each.waiting,
                sum(gauges.commands.values()),
                gauges.failures,
                gauges.delay,
            )

    def _pools(self) -> Iterator[Row]:
        for each, _ in self._gauges():
            yield (
                each.group,
                each.server,
                each.max_connections,
                each.in_use,
                each.idle,
                each.opening,
                each.waiting,
                each.waits,
                each.wait_seconds,
                each.timeouts,
                each.connect_errors,
            )

    def _digests(self) -> Iterator[Row]:
        offset = time() - perf_counter()
        for each in self._inside.digests():
            kind = each.kind
            yield (
                kind.id,
                kind.text,
                kind.user,
                kind.schema or None,
                kind.route,
                each.count,
                each.errors,
                each.rows,
                each.seconds,
                each.least,
                each.most,
                _most_of(each),
                each.first + offset,
                each.last + offset,
                each.example or None,
            )

    def _rules(self) -> Iterator[Row]:
        for position, rule in enumerate(self._inside.config().rules, start=1):
            hits = self._inside.counters.rule_hits[rule.name]
            yield (position, rule.name, hits, _conditions(rule), _effect(rule))

    def _shards(self) -> Iterator[Row]:
        for name, schema in self._inside.config().schemas.items():
            tables = {table: _shards_of(schema, table) for table in schema.tables}
            for shard, place in schema.shards.items():
                there = ", ".join(sorted(table for table, shards in tables.items() if shard in shards))
                yield (name, shard, place.group, place.database or name, there)

    def _groups(self) -> Iterator[Row]:
        standing = self._inside.operations.standing()
        for name, group in self._inside.config().groups.items():
            servers = [each for each in standing if each.group == name]
            yield (
                name,
                int(any(each.paused for each in servers)),
                next((each.server for each in servers if each.primary), None),
                len(servers),
                sum(each.up for each in servers),
                sum(each.in_use for each in servers),
                sum(each.waiting for each in servers),
                group.reads.from_,
                group.reads.consistency,
            )

    def _config(self) -> Iterator[Row]:
        # Secrets are masked by pydantic.
        return _flat("", self._inside.config().model_dump(mode="json", by_alias=True))

    def _stats(self) -> Iterator[Row]:
        counters, gauges = self._inside.counters, self._inside.gauges()
        yield ("uptime_seconds", self.uptime)
        yield ("client_connections", gauges.client_connections)
        yield from ((f"client_connections_{result}", count) for result, count in sorted(counters.connections.items()))
        yield ("auth_failures", counters.auth_failures.total())
        yield ("client_bytes_in", counters.client_bytes_in)
        yield ("client_bytes_out", counters.client_bytes_out)
        yield ("commands", sum(sum(each.commands.values()) for each in gauges.servers))
        for role in ("primary", "replica"):
            count = sum(sum(each.commands.values()) for each in gauges.servers if each.role == role)
            yield (f"commands_{role}", count)
        yield ("errors", counters.errors.total())
        yield ("rule_hits", counters.rule_hits.total())
        yield ("read_retries", counters.retries)
        yield ("read_waits_in_vain", counters.waits_in_vain)
        yield from ((f"transaction_replays_{result}", count) for result, count in sorted(counters.replays.items()))
        yield from ((f"decisions_{reason}", count) for reason, count in sorted(counters.decisions.items()))
        yield from ((f"sessions_pinned_{reason}", count) for reason, count in sorted(gauges.pinned.items()))
        yield ("plan_cache_hits", gauges.plan_cache_hits)
        yield ("plan_cache_misses", gauges.plan_cache_misses)
        yield ("plan_cache_entries", gauges.plan_cache_size)

    def _metrics(self) -> Iterator[Row]:
        for family in self._inside.samples():
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
                yield (sample.name, labels, float(sample.value))

    def _version(self) -> Iterator[Row]:
        started = f"{self._started:%Y-%m-%d %H:%M:%S}"
        version = self._inside.gauges().version
        yield (version, platform.python_version(), started, int(self.uptime), int(self._inside.maintenance.on))

    # -- what programs ask every server for --------------------------------------------------------------------

    def _dual(self) -> Iterator[Row]:
        yield ("X",)

    def _schemata(self) -> Iterator[Row]:
        for name in sorted(DATABASES):
            yield ("def", name, "utf8mb4", "utf8mb4_general_ci")

    def _tables(self) -> Iterator[Row]:
        for table in TABLES.values():
            kind = "SYSTEM VIEW" if table.database == "information_schema" else "BASE TABLE"
            yield ("def", table.database, table.name, kind, "MEMORY", None, table.description)

    def _columns(self) -> Iterator[Row]:
        for table in TABLES.values():
            for position, column in enumerate(table.columns, start=1):
                yield _column(table, position, column)


_ROWS: dict[str, Callable[[RouterState], Iterable[Row]]] = {
    "servers": RouterState._servers,
    "pools": RouterState._pools,
    "rules": RouterState._rules,
    "shards": RouterState._shards,
    "groups": RouterState._groups,
    "config": RouterState._config,
    "stats": RouterState._stats,
    "metrics": RouterState._metrics,
    "version": RouterState._version,
    "dual": RouterState._dual,
    "schemata": RouterState._schemata,
    "tables": RouterState._tables,
    "columns": RouterState._columns,
}


async def _politely(rows: Iterable[Row]) -> list[Row]:
    """Many rows, without keeping the clients waiting for all of them."""
    found = []
    began = monotonic()
    for row in rows:
        found.append(row)
        if monotonic() - began > _SLICE:
            await asyncio.sleep(0)
            began = monotonic()
    return found


def _column(table: Table, position: int, column: Column) -> Row:
    kind = mysql_type(column)
    row: Row = ("def", table.database, table.name, column.name, position)
    row += (None, "YES", kind, kind, "", "", column.description)
    if column.type == "TEXT":
        return (*row, 65535, 65535, None, None, None, CHARSET, COLLATION, "select", "")
    precision, scale = (19, 0) if column.type == "INTEGER" else (22, None)
    return (*row, None, None, precision, scale, None, None, None, "select", "")


def _session(each: Glance, *, texts: bool) -> Row:
    group, _, connection = each.servers[0] if each.servers else (None, None, None)
    servers = ", ".join(server for _, server, _ in each.servers)
    return (
        each.connection_id,
        each.user,
        each.host,
        each.schema,
        each.state,
        None if each.seconds is None else round(each.seconds, 6),
        group,
        servers or None,
        connection,
        int(each.transaction),
        ", ".join(each.pinned_by) or None,
        each.program,
        int(each.tls),
        each.statement if texts else each.digest,
    )


def _conditions(rule: Rule) -> str:
    given = rule.when.model_dump(mode="json", by_alias=True, exclude_none=True)
    return ", ".join(f"{name} {value}" for name, value in given.items())


def _effect(rule: Rule) -> str:
    parts = []
    if rule.reject is not None:
        parts.append(f"reject: {rule.reject}")
    for word, what in (("send to", rule.send_to), ("mirror to", rule.mirror)):
        if what is not None:
            given = what.model_dump(mode="json", by_alias=True, exclude_none=True)
            parts.append(f"{word} " + ", ".join(f"{name} {value}" for name, value in given.items()))
    if rule.timeout is not None:
        parts.append(f"timeout {rule.timeout:g} s")
    return "; ".join(parts)


def _shards_of(schema: Schema, table: str) -> Iterable[str]:
    """The shards that have rows of the table: its own, those of the one it is with, or all."""
    seen = set()
    while (entry := schema.tables.get(table)) is not None and table not in seen:
        seen.add(table)
        if entry.shards is not None:
            return entry.shards
        if entry.with_ is None:
            break
        table = entry.with_
    return schema.shards


def _flat(path: str, value: Any) -> Iterator[Row]:
    """A line for every leaf of the configuration."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _flat(f"{path}.{name}" if path else str(name), each)
    elif isinstance(value, list) and value:
        for number, each in enumerate(value):
            yield from _flat(f"{path}.{number}", each)
    else:
        yield (path, _spelled(value))


def _spelled(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return ""
    return str(value)
