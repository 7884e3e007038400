"""What operators may say: SELECT, SHOW, KILL, DRAIN, PAUSE … and the little that every client says to a server.

``COMMANDS`` is the one list: HELP, the reference page and the errors for unknown words are made of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from router.admin.shows import describe, show, unknown_database
from router.admin.sql import Answer, Context, answer, select, understand
from router.admin.state import Inside, RouterState
from router.admin.tables import DATABASES, STATS, Value
from router.admin.variables import variables
from router.admin.words import Words, syntax, without_comments
from router.cluster.operations import LONGEST_PAUSE, PATIENCE, Drained, Paused
from router.config.findings import did_you_mean
from router.errors import ConfigError, NoSuchName
from router.session.registry import Killed
from router.wire.errcodes import ErrorCode, mysql_error

log = structlog.get_logger(__name__)

T = TypeVar("T")

_STRING = re.compile(r"""'[^']*'|"[^"]*"|\([^()]*\)""")
_ASSIGNMENT = re.compile(
    r"(?:@@)?(?:(GLOBAL|PERSIST|PERSIST_ONLY|SESSION|LOCAL)(?:\s+|\s*\.\s*))?`?(\w+)`?\s*:?=", re.I
)
_WITHOUT_EQUALS = frozenset({"NAMES", "CHARACTER", "CHARSET", "TRANSACTION"})
_SWITCHES = ("maintenance", "statement_text")


@dataclass(frozen=True, slots=True)
class Command:
    """One command: how it is written, and what it does."""

    usage: str
    description: str


COMMANDS: Final = (
    Command(
        "SELECT … FROM table …", "Any SELECT over the tables, in SQLite's dialect; joins, groups and windows work."
    ),
    Command(
        "SHOW table [LIKE 'pattern'] [WHERE …] [ORDER BY …] [LIMIT …]",
        "The rows of a table: SERVERS, POOLS, CLIENTS, SESSIONS, DIGESTS, RULES, SHARDS, GROUPS, CONFIG, STATS,"
        " METRICS, VERSION; likewise PROCESSLIST, VARIABLES, STATUS, TABLES, DATABASES, COLUMNS FROM table.",
    ),
    Command("DESCRIBE table", "The columns of a table."),
    Command("KILL [CONNECTION] id", "End a session; its transaction is rolled back."),
    Command("KILL QUERY id", "End the statement that the session runs."),
    Command(
        "PAUSE [group] [FOR seconds] [WAIT seconds]",
        "Nothing new begins in the group, or in any; clients wait. Returns when all is quiet, or after WAIT (10 s)."
        " After FOR (60 s) it goes on by itself.",
    ),
    Command("RESUME [group]", "The group goes on, or all do."),
    Command(
        "DRAIN group/server [WAIT seconds]",
        "Nothing new for the server, until UNDRAIN; returns when nobody is there, or after WAIT (10 s).",
    ),
    Command("UNDRAIN group/server", "The server is used again."),
    Command("RELOAD", "Read the configuration file again."),
    Command("SET MAINTENANCE ON | OFF", "Whether `/readyz` fails and new logins get error 3032; sessions go on."),
    Command(
        "SET STATEMENT_TEXT ON | OFF",
        "Whether this session sees statements with their literals, which may be secrets; off when it begins.",
    ),
    Command("HELP", "This list."),
)
_WORDS = ("SELECT", "SHOW", "DESCRIBE", "KILL", "PAUSE", "RESUME", "DRAIN", "UNDRAIN", "RELOAD", "SET", "HELP", "USE")
_SELECTS = frozenset({"SELECT", "WITH", "VALUES"})
# What only looks.
_LOOKS = _SELECTS | {"SHOW", "DESCRIBE", "DESC", "EXPLAIN", "HELP"}
# Nothing here has transactions, and drivers begin and end them all the same.
_IGNORED = frozenset({"BEGIN", "START", "COMMIT", "ROLLBACK"})
_SWITCH = {"ON": True, "1": True, "TRUE": True, "OFF": False, "0": False, "FALSE": False}

Result = Answer | None
"""None: done, without rows."""


class Commands:
    """What all admin sessions share. ``end_own(id, query_only)`` is KILL of an admin session."""

    def __init__(self, inside: Inside, version: str, end_own: Callable[[int, bool], bool]) -> None:
        self.inside = inside
        self.version = version
        self.end_own = end_own
        self.state = RouterState(inside)
        # Queries are bounded in time; two of them cannot keep the others waiting for long.
        self._threads = ThreadPoolExecutor(2, "admin-sql")

    def close(self) -> None:
        """No more queries."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(self, sql: str, context: Context, *, texts: bool) -> Answer:
        """The answer to a SELECT. Raises MySQLError."""
        question = understand(sql, context)
        own = [table for table in question.tables if table.source is None]
        rows = await self.state.rows(own, texts=texts, variables=context.variables)
        return await self.aside(lambda: select(question, rows, context.functions))

    async def aside(self, work: Callable[[], T]) -> T:
        """Something that takes its time, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class Interpreter:
    """One session's: its database, its switches."""

    def __init__(self, commands: Commands, *, connection_id: int, user: str, host: str) -> None:
        self._commands = commands
        self._id = connection_id
        self._account = f"{user}@{host}"
        self._variables = variables(commands.version, connection_id)
        self._texts = False
        self.database = STATS

    def use(self, database: str) -> None:
        """Another database. Raises MySQLError."""
        if database.lower() not in DATABASES:
            raise unknown_database(database)
        self.database = database.lower()

    async def look(self, sql: str, *, texts: bool) -> Answer:
        """Run one statement that changes nothing. Raises MySQLError."""
        self._texts = texts
        first = Words(without_comments(sql)).peek().upper().partition("(")[0]
        found = await self.run(sql) if not first or first in _LOOKS else None
        if found is None:
            raise syntax("SELECT, SHOW, DESCRIBE and HELP are possible in this place")
        return found

    async def run(self, sql: str) -> Result:
        """Run one statement. Raises MySQLError."""
        text = without_comments(sql)
        words = Words(text)
        first = words.peek().upper().partition("(")[0]
        if not first:
            raise mysql_error(ErrorCode.EMPTY_QUERY, "Query was empty")
        if first in _SELECTS:
            return await self._ask(text)
        if first in _IGNORED:
            return None
        run = _COMMANDS.get(words.name("the command").upper())
        if run is None:
            words = Words(text)
            raise words.wrong("command", _WORDS)
        try:
            return await run(self, words)
        except NoSuchName as error:
            raise mysql_error(ErrorCode.UNKNOWN_ERROR, f"router: {error}") from None

    async def _ask(self, sql: str) -> Answer:
        return await self._commands.ask(sql, self._context(), texts=self._texts)

    def _context(self) -> Context:
        account: dict[str, Value] = dict.fromkeys(
            ("user", "current_user", "session_user", "system_user"), self._account
        )
        places: dict[str, Value] = dict.fromkeys(("database", "schema"), self.database)
        zeros: dict[str, Value] = dict.fromkeys(("last_insert_id", "row_count", "found_rows"), 0)
        numbers: dict[str, Value] = {"connection_id": self._id, "version": self._commands.version}
        return Context(self._variables, account | places | zeros | numbers)

    # -- looking -----------------------------------------------------------------------------------------------

    async def _show(self, words: Words) -> Result:
        return await self._ask(show(words, self.database))

    async def _describe(self, words: Words) -> Result:
        if words.peek().upper() in _SELECTS:
            raise syntax("EXPLAIN of a SELECT tells nothing here; EXPLAIN ROUTE is for the port of the clients")
        return await self._ask(describe(words))

    async def _help(self, words: Words) -> Result:
        return answer(("command", "what it does"), [(each.usage, each.description) for each in COMMANDS])

    # -- the session -------------------------------------------------------------------------------------------

    async def _use(self, words: Words) -> Result:
        name = words.name("the database")
        words.end()
        self.use(name)
        return None

    async def _set(self, words: Words) -> Result:
        """Two switches of ours; what drivers set is taken and means nothing."""
        what = words.take("MAINTENANCE", "STATEMENT_TEXT")
        if what is None:
            check_assignments(words.rest, self._variables)
            return None
        words.take("=", "TO")
        word = words.any_of(f"SET {what}", _SWITCH)
        words.end()
        if what == "STATEMENT_TEXT":
            self._texts = _SWITCH[word]
        else:
            self.maintain(_SWITCH[word])
        return None

    def maintain(self, on: bool) -> None:
        """Whether new logins are refused."""
        self._commands.inside.maintenance.on = on
        log.warning("maintenance", on=on, by=self._account)

    # -- doing -------------------------------------------------------------------------------------------------

    async def _kill(self, words: Words) -> Result:
        query_only = words.take("QUERY", "CONNECTION", "HARD", "SOFT") == "QUERY"
        connection_id = words.number("the connection id")
        words.end()
        await self.kill(connection_id, query_only=query_only)
        return None

    async def kill(self, connection_id: int, *, query_only: bool) -> None:
        """End a session, or its statement, and wait until that is done. Raises MySQLError."""
        if await self._commands.inside.kill(connection_id, query_only) is Killed.DONE:
            log.info("killed", connection_id=connection_id, query_only=query_only, by=self._account)
        elif not self._commands.end_own(connection_id, query_only):
            raise mysql_error(ErrorCode.NO_SUCH_THREAD, f"Unknown thread id: {connection_id}")

    async def _pause(self, words: Words) -> Result:
        group = None if words.peek().upper() in ("", "FOR", "WAIT") else words.name("the group")
        longest, wait = LONGEST_PAUSE, PATIENCE
        while (option := words.take("FOR", "WAIT")) is not None:
            if option == "FOR":
                longest = words.seconds("FOR")
            else:
                wait = words.seconds("WAIT")
        words.end()
        return _paused(await self._commands.inside.operations.pause(group, longest, wait))

    async def _resume(self, words: Words) -> Result:
        group = words.name("the group") if words.rest else None
        words.end()
        # Once it has begun it is brought to its end, whatever becomes of who asked for it.
        return _paused(await asyncio.shield(self._commands.inside.operations.resume(group)))

    async def _drain(self, words: Words) -> Result:
        group, server = _server(words)
        wait = PATIENCE
        if words.take("WAIT"):
            wait = words.seconds("WAIT")
        elif words.peek().upper() == "FOR":
            raise syntax("a server stays drained until UNDRAIN; WAIT says how long to wait until nobody is there")
        words.end()
        return _drained(await self._commands.inside.operations.drain(group, server, wait))

    async def _undrain(self, words: Words) -> Result:
        group, server = _server(words)
        words.end()
        return _drained(await asyncio.shield(self._commands.inside.operations.undrain(group, server)))

    async def _reload(self, words: Words) -> Result:
        words.end()
        try:
            changes = await asyncio.shield(self._commands.inside.reload())
        except (ConfigError, OSError) as error:
            problems = [str(problem) for problem in error.problems] if isinstance(error, ConfigError) else [str(error)]
            message = "router: the old configuration goes on; " + "; ".join(problems)
            raise mysql_error(ErrorCode.UNKNOWN_ERROR, message) from error
        return answer(("change",), [(str(each),) for each in changes])


_COMMANDS: Mapping[str, Callable[[Interpreter, Words], Awaitable[Result]]] = {
    "SHOW": Interpreter._show,
    "DESCRIBE": Interpreter._describe,
    "DESC": Interpreter._describe,
    "EXPLAIN": Interpreter._describe,
    "HELP": Interpreter._help,
    "USE": Interpreter._use,
    "SET": Interpreter._set,
    "KILL": Interpreter._kill,
    "PAUSE": Interpreter._pause,
    "RESUME": Interpreter._resume,
    "DRAIN": Interpreter._drain,
    "UNDRAIN": Interpreter._undrain,
    "RELOAD": Interpreter._reload,
}


def check_assignments(text: str, known: Mapping[str, Value]) -> None:
    """What drivers set when they log in is taken, and means nothing; anything else raises MySQLError."""
    for part in _STRING.sub("''", text).split(","):
        words = part.split()
        if words and words[0].upper() in _WITHOUT_EQUALS:
            continue
        if words and words[0].upper() == "SESSION" and words[1:2] and words[1].upper() == "TRANSACTION":
            continue
        found = _ASSIGNMENT.match(part.strip())
        if found is None:
            if not part.strip().startswith("@"):
                raise syntax("SET variable = value")
            continue
        scope, name = (found[1] or "").upper(), found[2].lower()
        if name not in known:
            message = f"router: no variable is called '{name[:64]}'{did_you_mean(name, _SWITCHES)}"
            raise mysql_error(ErrorCode.UNKNOWN_SYSTEM_VARIABLE, message)
        if scope not in ("", "SESSION", "LOCAL"):
            raise mysql_error(ErrorCode.SPECIFIC_ACCESS_DENIED, "router: nothing global is set here")


def _server(words: Words) -> tuple[str, str]:
    """``group/server``; names may be quoted, together or not at all."""
    group, slash, server = words.name("group/server").partition("/")
    if not slash or not group or not server:
        raise syntax("a server is written as group/server")
    return group, server


def _drained(found: Drained) -> Answer:
    names = ("group_name", "server", "draining", "in_use", "pinned", "done")
    done = found.done if found.draining else True
    row = (found.group, found.server, int(found.draining), found.in_use, found.pinned, int(done))
    return answer(names, [row])


def _paused(found: Sequence[Paused]) -> Answer:
    names = ("group_name", "paused", "active", "pinned", "elsewhere", "waiting", "done")
    rows = [
        (
            each.group,
            int(each.paused),
            each.active,
            each.pinned,
            each.elsewhere,
            each.waiting,
            int(each.done if each.paused else True),
        )
        for each in found
    ]
    return answer(names, rows)
