"""Ids that the router makes for new rows (``schemas.*.ids``): from the time, or from ranges kept in a table.

*Snowflake* (Twitter 2010): 41 bits of milliseconds, 10 of a worker, 12 of a sequence. Two routers never have the same
worker at a time: it is leased from a table in the schema's own group, for a minute, and nobody makes ids for a time
beyond the lease. What a worker may have used up is written there, and the next holder begins behind it, whatever its
clock says. A clock that goes backwards is not followed: ids then run ahead of it, up to a bound.

*Segment* (Leaf, Meituan 2017): a table has the next number; each router takes a range at a time, the next one before
the last is used up.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog

from router.backend.connector import BackendUser
from router.cluster.topology import Topology
from router.config.models import RouterConfig
from router.config.sharding import Schema
from router.errors import BackendError, BackendUnavailable
from router.planner.spreading import NoIds
from router.tasks import spawn

log = structlog.get_logger(__name__)

# 2024-01-01 00:00 UTC, in milliseconds: 41 bits last until 2093.
EPOCH = 1_704_067_200_000
WORKERS = 1024
SEQUENCE = 4096
# Milliseconds that ids may run ahead of the clock: so far it may go back, or a burst may borrow.
AHEAD = 10_000
# Where the sequence of a millisecond begins goes round below this: the low bits of ids, which `mod` looks at, would
# else nearly always be 0.
_STARTS = 1024
# Milliseconds of a lease, those at its end that are not used (two clocks measure it), and seconds between renewals.
LEASE = 60_000
_MARGIN = 5_000
_RENEWAL = 20.0
# Seconds to wait after a failure.
_PAUSE = 1.0
# Seconds that rows wait for ids.
_PATIENCE = 10.0
STEP = 1000
_CLAIMS = 20

_SERVER_NOW = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS UNSIGNED)"
_MAKE_WORKERS = (
    "CREATE TABLE IF NOT EXISTS {database}.router_workers (worker SMALLINT UNSIGNED PRIMARY KEY, "
    "owner VARCHAR(64) NOT NULL, expires BIGINT NOT NULL, reached BIGINT NOT NULL)"
)
_MAKE_IDS = (
    "CREATE TABLE IF NOT EXISTS {database}.router_ids (name VARCHAR(190) PRIMARY KEY, next BIGINT UNSIGNED NOT NULL)"
)
_CLAIM = (
    "UPDATE {database}.router_workers SET owner = '{owner}', expires = {now} + {lease} "
    "WHERE expires < {now} ORDER BY worker LIMIT 1"
)
_CLAIM_NEW = (
    "INSERT INTO {database}.router_workers VALUES ({worker}, '{owner}', {now} + {lease}, 0) "
    "ON DUPLICATE KEY UPDATE worker = worker"
)
_MINE = "SELECT worker, reached FROM {database}.router_workers WHERE owner = '{owner}' ORDER BY worker LIMIT 1"
_RENEW = (
    "UPDATE {database}.router_workers SET expires = {now} + {lease}, reached = GREATEST(reached, {until}) "
    "WHERE worker = {worker} AND owner = '{owner}'"
)
_GIVE_BACK = (
    "UPDATE {database}.router_workers SET owner = '', expires = 0, reached = {until} "
    "WHERE worker = {worker} AND owner = '{owner}'"
)
_TAKE = "UPDATE {database}.router_ids SET next = LAST_INSERT_ID(next) + {count} WHERE name = '{name}'"
_NEXT_WORKER = "SELECT COALESCE(MAX(worker) + 1, 0) FROM {database}.router_workers"
_HIGHEST = "SELECT COALESCE(MAX({column}), 0) FROM {database}.{table}"
_BEGIN = "INSERT INTO {database}.router_ids VALUES ('{name}', {first}) ON DUPLICATE KEY UPDATE name = name"
# Notes would become warnings of the driver; the server's default need not be autocommit.
_QUIET = "SET sql_notes = 0"
_DONE = "COMMIT"


class Snowflake:
    """Ids of one worker. ``clock`` tells milliseconds since 1970."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._worker: int | None = None
        self._until = 0
        self._time = 0
        self._sequence = 0
        self._start = 0

    @property
    def worker(self) -> int | None:
        """The number that is leased, None without a lease."""
        return self._worker

    @property
    def reached(self) -> int:
        """The time, in milliseconds since 1970, up to which ids have been made."""
        return self._time

    def lease(self, worker: int, floor: int, until: int) -> None:
        """Make ids as ``worker``, for times behind ``floor`` up to ``until`` (milliseconds since 1970)."""
        if worker != self._worker or floor > self._time:
            self._time, self._sequence = max(self._time, floor) + 1, 0
        self._worker, self._until = worker, until

    def renew(self, until: int) -> None:
        """The lease holds until a later time."""
        self._until = max(self._until, until)

    def end(self) -> None:
        """There is no lease any more."""
        self._worker = None

    def take(self, count: int) -> list[int] | None:
        """So many ids, ascending; None if there can be none now."""
        now = self._clock()
        if self._worker is None:
            return None
        moment, sequence = self._time, self._sequence
        if now > moment:
            moment, sequence = now, self._start
        last = moment + (sequence + count - 1) // SEQUENCE
        if last > min(self._until, now + AHEAD) or moment < EPOCH:
            return None
        first = ((moment - EPOCH) * WORKERS + self._worker) * SEQUENCE
        ids = [
            first + (place // SEQUENCE) * WORKERS * SEQUENCE + place % SEQUENCE
            for place in range(sequence, sequence + count)
        ]
        self._time, self._sequence = last, (sequence + count - 1) % SEQUENCE + 1
        self._start = (self._start + count) % _STARTS
        return ids


class Segment:
    """Ids from ranges that others fetch, of ``step`` numbers at least."""

    def __init__(self, step: int) -> None:
        self.step = step
        self._ranges: deque[tuple[int, int]] = deque()
        self._short = 0

    @property
    def left(self) -> int:
        """How many are at hand."""
        return sum(end - first for first, end in self._ranges)

    @property
    def wanted(self) -> int:
        """How many to fetch now: 0 while more than half a step is left."""
        left = self.left
        if left > self.step // 2 and left >= self._short:
            return 0
        return max(self.step, self._short - left + self.step // 2)

    def want(self, count: int) -> None:
        """So many will be asked for at once."""
        self._short = max(self._short, count)

    def add(self, first: int, count: int) -> None:
        """A range has been fetched."""
        self._ranges.append((first, first + count))
        if self.left >= self._short:
            self._short = 0

    def take(self, count: int) -> list[int] | None:
        """So many ids, ascending; None if they are not at hand."""
        if self.left < count:
            self.want(count)
            return None
        ids: list[int] = []
        while len(ids) < count:
            first, end = self._ranges.popleft()
            size = min(count - len(ids), end - first)
            ids.extend(range(first, first + size))
            if first + size < end:
                self._ranges.appendleft((first + size, end))
        return ids


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


class IdSource:
    """The ids of all schemas; what they need from servers is fetched in the background."""

    def __init__(
        self,
        config: RouterConfig,
        topology: Topology,
        accounts: Mapping[str, BackendUser],
        clock: Callable[[], int] = _milliseconds,
    ) -> None:
        """``accounts``: schema → account that may write in the schema's group."""
        self._schemas = {name: schema for name, schema in config.schemas.items() if schema.ids and schema.group}
        self._topology = topology
        self._accounts = accounts
        self._clock = clock
        self._owner = secrets.token_hex(16)
        self._flakes: dict[str, Snowflake] = {}
        self._segments: dict[str, tuple[str, str, Segment]] = {}
        self._by_table: dict[str, Snowflake | Segment] = {}
        self._made: set[str] = set()
        self._wake = asyncio.Event()
        self._fetched = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        for name, schema in self._schemas.items():
            self._plan(name, schema)

    def _plan(self, name: str, schema: Schema) -> None:
        for place, each in schema.ids.items():
            table, _, column = place.partition(".")
            whole = f"{name}.{table}"
            if each.generator == "snowflake":
                self._by_table[whole] = self._flakes.setdefault(name, Snowflake(self._clock))
            else:
                segment = self._by_table[whole] = Segment(each.step or STEP)
                self._segments[whole] = (table, column, segment)

    # -- ids ---------------------------------------------------------------------------------------------------

    def take(self, table: str, count: int) -> list[int]:
        """So many new ids for a table (``schema.table``), ascending. Raises NoIds."""
        source = self._by_table.get(table)
        ids = source.take(count) if source is not None else None
        if isinstance(source, Segment) and source.wanted:
            self._wake.set()
        if ids is None:
            raise NoIds(table, count)
        return ids

    async def fetch(self, table: str, count: int) -> bool:
        """Wait until so many ids of a segment are at hand, as they were not; False if that cannot be had now."""
        source = self._by_table.get(table)
        if not isinstance(source, Segment):
            return False
        source.want(count)
        with suppress(BackendUnavailable):
            await self._topology.groups[self._group_of(table)].writer()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while source.left < count and self._task is not None:
                    self._fetched.clear()
                    self._wake.set()
                    await self._fetched.wait()
        return source.left >= count

    # -- life --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Lease workers and fetch the first ranges, then go on in the background."""
        if self._schemas:
            await self.refresh()
            self._task = spawn(self._keep(), "keep ids at hand")

    async def stop(self) -> None:
        """Give the leases back."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._fetched.set()
        for name, flake in self._flakes.items():
            worker = flake.worker
            flake.end()
            if worker is not None:
                with suppress(BackendError):
                    await self._ask(name, self._sql(name, _GIVE_BACK, worker=worker, until=flake.reached), _DONE)

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RENEWAL):
                    await self._wake.wait()
            self._wake.clear()
            if not await self.refresh():
                await asyncio.sleep(_PAUSE)
                self._wake.set()

    async def refresh(self) -> bool:
        """Do what is to be done now; False if something failed."""
        well = True
        for name, flake in self._flakes.items():
            well &= await self._tried(name, self._renewed(name, flake))
        for whole, (table, column, segment) in self._segments.items():
            if segment.wanted:
                name = whole[: -len(table) - 1]
                well &= await self._tried(name, self._refilled(name, table, column, segment))
        self._fetched.set()
        return well

    async def _tried(self, name: str, doing: Any) -> bool:
        try:
            await doing
        except BackendError as error:
            log.warning("cannot get ids", schema=name, reason=str(error))
            return False
        return True

    # -- leases ------------------------------------------------------------------------------------------------

    async def _renewed(self, name: str, flake: Snowflake) -> None:
        until = self._clock() + LEASE - _MARGIN
        if flake.worker is not None:
            renew = self._sql(name, _RENEW, worker=flake.worker, until=until)
            _, mine, _ = await self._ask(name, renew, self._sql(name, _MINE), _DONE)
            if any(row[0] == flake.worker for row in mine):
                flake.renew(until)
                return
            flake.end()  # it ran out, and somebody else has it now
        worker, floor = await self._claimed(name)
        renew = self._sql(name, _RENEW, worker=worker, until=until)
        await self._ask(name, renew, _DONE)
        flake.lease(worker, floor, until)

    async def _claimed(self, name: str) -> tuple[int, int]:
        """A worker that nobody else has, and the time up to which it may have been used."""
        await self._make(name, _MAKE_WORKERS)
        mine = (await self._ask(name, self._sql(name, _CLAIM), self._sql(name, _MINE), _DONE))[1]
        for _ in range(_CLAIMS):
            if mine:
                return int(mine[0][0]), int(mine[0][1])
            ((worker,),) = (await self._ask(name, self._sql(name, _NEXT_WORKER)))[0]
            if worker >= WORKERS:
                break
            claim = self._sql(name, _CLAIM_NEW, worker=int(worker))
            mine = (await self._ask(name, claim, self._sql(name, _MINE), _DONE))[1]
        raise BackendError("all workers are leased")

    # -- ranges ------------------------------------------------------------------------------------------------

    async def _refilled(self, name: str, table: str, column: str, segment: Segment) -> None:
        await self._make(name, _MAKE_IDS)
        count = segment.wanted
        take = self._sql(name, _TAKE, count=count, name=_escaped(table))
        found = (await self._ask(name, take, "SELECT ROW_COUNT(), LAST_INSERT_ID()", _DONE))[1]
        if not found[0][0]:
            first = 1 + await self._highest(name, table, column)
            begin = self._sql(name, _BEGIN, name=_escaped(table), first=first)
            found = (await self._ask(name, begin, take, "SELECT ROW_COUNT(), LAST_INSERT_ID()", _DONE))[2]
        segment.add(int(found[0][1]), count)

    async def _highest(self, name: str, table: str, column: str) -> int:
        """The highest id that any shard has."""
        highest = 0
        for shard in self._schemas[name].shards.values():
            query = self._sql(shard.database or name, _HIGHEST, table=_quoted(table), column=_quoted(column))
            ((value,),) = (await self._ask(name, query, group=shard.group))[0]
            highest = max(highest, int(value))
        return highest

    # -- servers -----------------------------------------------------------------------------------------------

    async def _make(self, name: str, statement: str) -> None:
        """Create a table; who may not, may still use one that is there."""
        if name + statement not in self._made:
            with suppress(BackendError):
                await self._ask(name, self._sql(name, statement))
                self._made.add(name + statement)

    def _sql(self, schema: str, statement: str, **values: object) -> str:
        texts = {"database": _quoted(schema), "owner": self._owner, "now": _SERVER_NOW, "lease": LEASE}
        return statement.format(**{**texts, **values})

    def _group_of(self, table: str) -> str:
        short = self._segments[table][0]
        return self._schemas[table[: -len(short) - 1]].group or ""

    async def _ask(self, name: str, *queries: str, group: str | None = None) -> list[list[tuple[Any, ...]]]:
        group = group or self._schemas[name].group or ""
        account = self._accounts.get(name)
        primary = self._topology.groups[group].elected
        if account is None or primary is None:
            raise BackendError(f"group {group} has no primary" if account is not None else "no user may use it")
        return (await primary.connector.ask(account, _QUIET, *queries))[1:]


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _escaped(text: str) -> str:
    """In single quotes under any sql_mode: names with quotes or backslashes in them become others."""
    return "".join(each if each.isalnum() or each in "_$-. " else f"%{ord(each):x}" for each in text)
