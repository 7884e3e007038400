"""Doubles shared by the unit tests: transports without sockets, servers as bytes, a clock that does not wait.

``VirtualLoop`` is an event loop whose time jumps to the next timer as soon as nothing else is to be done, and that
fails at once when it would wait for ever: a test on it needs no sleeps and cannot hang.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import uvloop

from router.backend.connection import BackendConnection, PoolKey
from router.backend.connector import BackendUser, Connector, Endpoint
from router.backend.pool import BackendPool, Waiter
from router.backend.reset import BASELINE
from router.config.values import Address
from router.errors import BackendError, ConnectionLost, MySQLError
from router.session.profile import ServerProfile
from router.wire.constants import Capability, ColumnType, ServerStatus
from router.wire.framing import PacketDecoder, frame, frames
from router.wire.packets import (
    ColumnDefinition,
    EofPacket,
    ErrPacket,
    OkPacket,
    SessionChanges,
    decode_err,
    encode_column,
    encode_ok,
    encode_session_changes,
)

P = ParamSpec("P")
T = TypeVar("T")

AUTOCOMMIT = int(ServerStatus.AUTOCOMMIT)
TRACKED = int(Capability.SESSION_TRACK)
USER = BackendUser("app", "app-secret")
KEY: PoolKey = ("app", 0, False)

PROFILE = ServerProfile(
    flavor="mariadb",
    version="5.5.5-10.11.6-MariaDB",
    tracked=frozenset({"sql_mode", "time_zone", "autocommit", "wait_timeout", "sql_auto_is_null", "sql_select_limit"}),
    numeric=frozenset({"wait_timeout", "sql_select_limit"}),
    collations={
        8: ("latin1_swedish_ci", "latin1"),
        28: ("gbk_chinese_ci", "gbk"),
        45: ("utf8mb4_general_ci", "utf8mb4"),
        54: ("utf16_general_ci", "utf16"),
    },
    sql_mode="STRICT_TRANS_TABLES",
    character_set="latin1",
    collation="latin1_swedish_ci",
)


# --- event loops ------------------------------------------------------------------------------------------------------


class _NoWaiting(selectors.DefaultSelector):
    """A selector that never blocks: it tells its loop how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("deadlock: no callback and no timer is left")
        self.skipped += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop for code without sockets and threads, in which waiting takes no time."""

    def __init__(self) -> None:
        self._clock = _NoWaiting()
        super().__init__(self._clock)

    def time(self) -> float:
        return 1000.0 + self._clock.skipped


LOOPS: tuple[Callable[[], asyncio.AbstractEventLoop], ...] = (asyncio.new_event_loop, uvloop.new_event_loop)


def run_on(loop_factory: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on a loop of its own."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)


def virtually(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Decorator: run an asynchronous test in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_on(VirtualLoop, test(*args, **kwargs))

    return run


async def until(condition: Callable[[], object], rounds: int = 1000) -> None:
    """Let other callbacks run until ``condition`` holds; for work that needs neither sockets nor time."""
    for _ in range(rounds):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


async def quiet(rounds: int = 20) -> None:
    """Let everything run that can run now."""
    for _ in range(rounds):
        await asyncio.sleep(0)


# --- transports and sinks ---------------------------------------------------------------------------------------------


class FakeTransport(asyncio.Transport):
    """Records what is done to it. As strict as uvloop's: writing after ``abort`` raises RuntimeError."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.reading = True
        self.closed = False
        self.aborted = False
        self.protocol: Any = None
        self.high_water: int | None = None

    @property
    def written(self) -> bytes:
        """Everything since the last ``take``."""
        return b"".join(self.writes)

    def take(self) -> bytes:
        """What has been written, once."""
        data = self.written
        self.writes.clear()
        return data

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.aborted:
            raise RuntimeError("the handler is closed")
        if not self.closed:
            self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading and not self.closed

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol  # type: ignore[no-any-return]

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high_water = high


class RecordingSink:
    """A sink that remembers in which order it was called; ``then`` runs when a response has ended."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = b""
        self.chunks: list[bytes] = []
        self.error: ConnectionLost | None = None
        self.refusal = b""
        self.withheld = False
        self.then: Callable[[BackendConnection], None] = lambda connection: None

    def forward(self, data: bytes) -> None:
        self.data += data
        self.chunks.append(data)
        if self.events[-1:] != ["forward"]:
            self.events.append("forward")

    def response_ended(self, connection: BackendConnection) -> None:
        assert not connection.busy, "the response has ended and a reply is still owed"
        self.events.append("ended")
        self.then(connection)

    def withholds(self, connection: BackendConnection) -> bool:
        if self.withheld:
            self.events.append("withheld")
        return self.withheld

    def file_requested(self, connection: BackendConnection) -> None:
        self.events.append("file")

    def connection_lost(self, connection: BackendConnection, error: ConnectionLost) -> None:
        assert connection.closed or connection.behind
        self.events.append("lost")
        self.error = error

    def prefix_failed(self, connection: BackendConnection, error: bytes) -> None:
        assert connection.closed or connection.behind
        self.events.append("prefix failed")
        self.refusal = error

    def pause(self) -> None:
        self.events.append("pause")

    def resume(self) -> None:
        self.events.append("resume")


class FakeClient:
    """The executor's side of a client's connection, as a record."""

    def __init__(self) -> None:
        self.data = b""
        self.errors: list[MySQLError] = []
        self.events: list[str] = []
        self.reading = True

    def write(self, data: bytes) -> None:
        self.data += data

    def fail(self, error: MySQLError, *, close: bool = False) -> None:
        self.errors.append(error)
        self.events.append("fail and close" if close else "fail")

    def finished(self) -> None:
        self.events.append("finished")

    def ask_for_file(self) -> None:
        self.events.append("file")

    def abort(self) -> None:
        self.events.append("abort")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


# --- servers ----------------------------------------------------------------------------------------------------------


def new_connection(
    key: PoolKey = KEY, *, now: float = 0.0, thread_id: int = 1, profile: ServerProfile = PROFILE
) -> BackendConnection:
    """A connection over a ``FakeTransport``, fresh from its login."""
    return BackendConnection(
        FakeTransport(),
        key=key,
        thread_id=thread_id,
        deprecate_eof=bool(key[1] & Capability.DEPRECATE_EOF),
        profile=profile,
        now=now,
    )


def wire(connection: BackendConnection) -> FakeTransport:
    """The transport below a ``new_connection``."""
    transport = connection.transport
    assert isinstance(transport, FakeTransport)
    return transport


class Attempt:
    """One attempt to connect, which the test lets succeed or fail."""

    def __init__(self, key: PoolKey) -> None:
        self.key = key
        self.outcome: asyncio.Future[BackendConnection] = asyncio.get_running_loop().create_future()

    def succeed(self) -> BackendConnection:
        connection = new_connection(self.key, now=asyncio.get_running_loop().time())
        connection.variables = BASELINE
        self.outcome.set_result(connection)
        return connection

    def fail(self, error: BackendError) -> None:
        self.outcome.set_exception(error)


class FakeConnector(Connector):
    """A connector without a network: ``attempts`` are for the test to decide, or succeed at once if ``willing``."""

    def __init__(self, name: str = "db1", *, willing: bool = False, profile: ServerProfile | None = PROFILE) -> None:
        super().__init__(Endpoint(name, Address("db.example", 3306)))
        self.profile = profile
        self.willing = willing
        self.attempts: list[Attempt] = []
        self.opened: list[BackendConnection] = []
        self.killed: list[tuple[int, bool]] = []
        self.reachable = asyncio.Event()  # a KILL waits for it
        self.reachable.set()

    @property
    def pending(self) -> list[Attempt]:
        """Attempts not decided yet, oldest first."""
        return [attempt for attempt in self.attempts if not attempt.outcome.done()]

    async def open(self, user: BackendUser, shape: int) -> BackendConnection:
        attempt = Attempt((user.name, shape, False))
        self.attempts.append(attempt)
        if self.willing:
            attempt.succeed()
        connection = await attempt.outcome
        self.opened.append(connection)
        return connection

    async def kill(self, user: BackendUser, thread_id: int, *, query_only: bool) -> None:
        await self.reachable.wait()
        self.killed.append((thread_id, query_only))


# --- pools ------------------------------------------------------------------------------------------------------------


class WaitingSession:
    """Somebody who wants a connection."""

    def __init__(self, pool: BackendPool, key: PoolKey = KEY) -> None:
        self.pool = pool
        self.granted: list[BackendConnection] = []
        self.errors: list[BackendError] = []
        self.waiter = Waiter(key, USER, self.granted.append, self.errors.append)

    def wait(self) -> WaitingSession:
        self.pool.wait(self.waiter)
        return self

    def wait_instead(self, error: BackendError) -> None:
        """To be given to another waiter as its ``failed``: wait in turn."""
        self.wait()

    @property
    def connection(self) -> BackendConnection:
        (connection,) = self.granted
        return connection


def make_pool(
    connector: FakeConnector | None = None,
    *,
    most: int = 2,
    queue_timeout: float = 5.0,
    max_age: float = 3600.0,
    min_idle: int = 0,
) -> tuple[BackendPool, FakeConnector]:
    connector = connector or FakeConnector(willing=True)
    pool = BackendPool(connector, max_connections=most, queue_timeout=queue_timeout, max_age=max_age, min_idle=min_idle)
    return pool, connector


def accounts(pool: BackendPool) -> tuple[int, int, int, int]:
    """(size, in use, idle, opening), which must add up and stay below the limit."""
    assert pool.size == pool.in_use + pool.idle + pool.opening
    assert 0 <= pool.size <= pool.max_connections
    assert min(pool.in_use, pool.idle, pool.opening, pool.waiting) >= 0
    return pool.size, pool.in_use, pool.idle, pool.opening


async def leased(pool: BackendPool, key: PoolKey = KEY) -> BackendConnection:
    """A connection in use, opened if need be."""
    connection = pool.take(key)
    if connection is not None:
        return connection
    session = WaitingSession(pool, key).wait()
    await quiet()
    return session.connection


# --- bytes of a server ------------------------------------------------------------------------------------------------


def ok(sequence: int = 1, *, changes: SessionChanges | None = None, status: int = AUTOCOMMIT, **fields: Any) -> bytes:
    """An OK packet as a server sends it to us, trackers included."""
    blob = encode_session_changes(changes) if changes is not None else b""
    return frame(encode_ok(OkPacket(status=status, state_changes=blob, **fields), TRACKED), sequence)


def err(code: int = 1064, message: str = "nonsense", sqlstate: str = "42000", sequence: int = 1) -> bytes:
    """An ERR packet."""
    return frame(ErrPacket(code, sqlstate, message.encode()).encode(), sequence)


def prepared(statement_id: int, columns: int = 0, parameters: int = 0) -> bytes:
    """The answer to COM_STMT_PREPARE, with definitions between EOF packets (no DEPRECATE_EOF)."""
    head = b"\0" + statement_id.to_bytes(4, "little") + bytes([columns, 0, parameters, 0, 0, 0, 0])
    column = encode_column(ColumnDefinition(b"a", ColumnType.VAR_STRING))
    definitions = [
        part for n in (parameters, columns) if n for part in [*[column] * n, EofPacket(0, AUTOCOMMIT).encode()]
    ]
    return frames([head, *definitions], 1)[0]


def eof(sequence: int, *, status: int = AUTOCOMMIT, warnings: int = 0) -> bytes:
    """An EOF packet."""
    return frame(EofPacket(warnings, status).encode(), sequence)


def rows(*values: Iterable[bytes], names: Iterable[str] = ("a",), status: int = AUTOCOMMIT, warnings: int = 0) -> bytes:
    """A text result set between EOF packets (no DEPRECATE_EOF)."""
    columns = [encode_column(ColumnDefinition(name.encode(), ColumnType.VAR_STRING)) for name in names]
    between = EofPacket(0, status).encode()
    lines = [b"".join(bytes([len(value)]) + value for value in row) for row in values]
    last = EofPacket(warnings, status).encode()
    return frames([bytes([len(columns)]), *columns, between, *lines, last], 1)[0]


def changed(variables: Mapping[str, str] | None = None, **fields: Any) -> SessionChanges:
    """Trackers of an OK packet."""
    return SessionChanges(dict(variables or {}), **fields)


def payloads(data: bytes) -> list[bytes]:
    """The payloads of framed packets; nothing may be left over."""
    decoder = PacketDecoder(1 << 26)
    decoder.feed(data)
    found = []
    while (packet := decoder.next_packet()) is not None:
        found.append(packet.payload)
    assert decoder.buffered == 0, "half a packet"
    return found


def error_of(data: bytes) -> tuple[int, str, str]:
    """The only packet in ``data``, which is an ERR: its code, SQLSTATE and text."""
    (payload,) = payloads(data)
    packet = decode_err(payload)
    return packet.code, packet.sqlstate, packet.message.decode()


def query(sql: str) -> bytes:
    """A framed COM_QUERY."""
    return frame(b"\x03" + sql.encode(), 0)
