"""SELECT over the admin interface's tables, by SQLite in memory.

For each query there is a new database with the tables that it names, and it is gone afterwards. What a query may do is
bounded from all sides, because whoever writes it shares a process with everybody's traffic:

- an authorizer lets through SELECT, reading of our tables, and functions from a list; no ATTACH, no PRAGMA, no writes;
- time (a progress handler), memory (SQLite's heap), lengths of values and statements, rows and bytes of the result;
- it runs in a thread, of which there are two.

The dialect is SQLite's, read with MySQL's tokens: strings in either kind of quotes with backslashes, ``#`` comments,
``@@variables``.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from router.admin.tables import ALIASES, DATABASES, MAIN, TABLES, Table, Value, named
from router.config.findings import did_you_mean
from router.errors import MySQLError
from router.sql.lexer import LexMode, Token, TokenKind, tokenize
from router.wire.constants import ColumnType
from router.wire.errcodes import ErrorCode, mysql_error

MAX_SECONDS = 2.0
MAX_ROWS = 50_000
MAX_BYTES = 16 << 20
MAX_STATEMENT = 64 << 10
MAX_VALUE = 1 << 20
# SQLite's memory in this process, which has no other use for it.
MAX_HEAP = 64 << 20

Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A result: columns as (name, type), rows as SQLite gives them."""

    columns: tuple[tuple[str, ColumnType], ...]
    rows: Sequence[Row]


_DECLARED = {"INTEGER": ColumnType.LONGLONG, "REAL": ColumnType.DOUBLE, "TEXT": ColumnType.VAR_STRING}


def answer(names: Sequence[str], rows: Sequence[Row], tables: Iterable[Table] = ()) -> Answer:
    """The types of columns are those of their values; without any, those of columns of the same name in ``tables``."""
    declared = {column.name: _DECLARED[column.type] for table in tables for column in table.columns}
    types = [_type([row[at] for row in rows], declared.get(name)) for at, name in enumerate(names)]
    return Answer(tuple(zip(names, types, strict=True)), rows)


def _type(values: Sequence[Value], declared: ColumnType | None) -> ColumnType:
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds and declared is not None:
        return declared
    if kinds and kinds <= {int}:
        return ColumnType.LONGLONG
    if kinds and kinds <= {int, float} and all(math.isfinite(value) for value in values if isinstance(value, float)):
        return ColumnType.DOUBLE
    return ColumnType.VAR_STRING


@dataclass(frozen=True, slots=True)
class Context:
    """What a session's functions and variables say."""

    variables: Mapping[str, Value]
    functions: Mapping[str, Value]  # of those without arguments


@dataclass(frozen=True, slots=True)
class Question:
    """A SELECT as SQLite takes it; ``variables`` are its parameters, ``shown`` their text in names of columns."""

    sql: str
    tables: tuple[Table, ...]
    variables: Mapping[str, Value]
    shown: Mapping[str, str]


# -- reading a statement -----------------------------------------------------------------------------------------------

_MODE = LexMode()
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_ESCAPE = re.compile(r"\\(.)|''|\"\"", re.DOTALL)
_SCOPES = frozenset({"global", "session", "local"})


def read_tokens(sql: str) -> list[Token]:
    """The tokens of a statement, without hints and marks of versions. Raises MySQLError for what is none."""
    text = sql.encode()
    if len(text) > MAX_STATEMENT:
        raise mysql_error(ErrorCode.OUT_OF_RESOURCES, f"router: a statement here has {MAX_STATEMENT} bytes at most")
    skipped = (TokenKind.HINT, TokenKind.VERSIONED_OPEN, TokenKind.VERSIONED_CLOSE)
    tokens = [token for token in tokenize(text, _MODE) if token.kind not in skipped]
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    for token in tokens:
        if token.kind is TokenKind.INVALID:
            raise _syntax("a string, a name or a comment that does not end")
        if token.text == ";":
            raise _syntax("one statement at a time")
    return tokens


def unquoted(token: Token) -> str:
    """The content of a string or of a quoted name."""
    text = token.text.encode("latin-1").decode("utf-8", "replace")
    if token.kind is TokenKind.QUOTED:
        return text[1:-1].replace("``", "`")
    quote = text[:1]

    def plain(match: re.Match[str]) -> str:
        escaped = match[1]
        if escaped is None:
            return quote if match[0][0] == quote else match[0]
        return _ESCAPES.get(escaped, escaped)

    return _ESCAPE.sub(plain, text[1:-1])


def understand(sql: str, context: Context) -> Question:
    """Turn a SELECT into SQLite's. Raises MySQLError."""
    text = sql.encode()
    tokens = read_tokens(sql)
    parts: list[str] = []
    variables: dict[str, Value] = {}
    shown: dict[str, str] = {}
    words: set[str] = set()
    at, end = 0, 0
    while at < len(tokens):
        token = tokens[at]
        if parts and token.start > end:
            parts.append(" ")
        last = at
        match token.kind:
            case TokenKind.SYSVAR:
                name, last = _variable(tokens, at)
                key = f"v{len(variables)}"
                if name not in context.variables:
                    raise mysql_error(ErrorCode.UNKNOWN_SYSTEM_VARIABLE, f"Unknown system variable '{name}'")
                variables[key] = context.variables[name]
                shown[key] = text[token.start : tokens[last].end].decode("utf-8", "replace")
                parts.append(f":{key}")
            case TokenKind.STRING:
                if "\0" in (content := unquoted(token)):
                    raise _syntax("a string with a NUL")
                parts.append("'" + content.replace("'", "''") + "'")
            case TokenKind.USERVAR | TokenKind.PARAM:
                raise mysql_error(ErrorCode.NOT_SUPPORTED_YET, "router: no user variables and parameters here")
            case kind:
                piece = text[token.start : token.end].decode("utf-8", "replace")
                if kind is TokenKind.WORD and piece[0] == "$":
                    piece = f"`{piece}`"  # a parameter to SQLite, and in double quotes perhaps a string
                elif kind is TokenKind.WORD and (behind := _converted(tokens, at)) is not None:
                    piece, last = f"'{piece}'", behind
                elif at and tokens[at - 1].text == "COLLATE" and piece.lower().startswith("utf8"):
                    piece = "NOCASE" if piece.lower().endswith("_ci") else "BINARY"
                if kind in (TokenKind.WORD, TokenKind.QUOTED):
                    words.add((unquoted(token) if kind is TokenKind.QUOTED else piece).lower())
                parts.append(piece)
        end = tokens[last].end
        at = last + 1
    # Any word may be the name of a table; one that is none costs nothing but filling it.
    tables = {table.name: table for word in words if (table := named(word)) is not None}
    return Question("".join(parts), _with_needs(tables), variables, shown)


def _variable(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    """The name of a variable, and its last token: ``@@x``, ``@@session.x``, ``@@global.x``."""
    name = tokens[at].text[2:].lower()
    if name in _SCOPES and at + 2 < len(tokens) and tokens[at + 1].text == ".":
        return tokens[at + 2].text.strip("`").lower(), at + 2
    return name.strip("`"), at


def _converted(tokens: Sequence[Token], at: int) -> int | None:
    """The last token of a type in CONVERT(value, SIGNED INTEGER), if one begins at ``at``."""
    if tokens[at].text not in ("SIGNED", "UNSIGNED") or at == 0 or tokens[at - 1].text != ",":
        return None
    last = at + 1 if at + 1 < len(tokens) and tokens[at + 1].text in ("INTEGER", "INT") else at
    return last if last + 1 < len(tokens) and tokens[last + 1].text == ")" else None


def _with_needs(tables: dict[str, Table]) -> tuple[Table, ...]:
    """Those that others are made of come first."""
    order: dict[str, Table] = {}
    for table in tables.values():
        for need in table.needs:
            order[need] = TABLES[need]
    own = {name: table for name, table in tables.items() if table.source is None}
    return tuple((order | own | tables).values())


def _syntax(what: str) -> MySQLError:
    return mysql_error(ErrorCode.PARSE_ERROR, f"router: {what}")


# -- running it --------------------------------------------------------------------------------------------------------

_READABLE = frozenset(TABLES) | frozenset(ALIASES)
_WORDS = """
abs avg ceil ceiling coalesce count date datetime dense_rank first_value floor glob group_concat iif ifnull instr
lag last_value lead length like likely lower ltrim max min mod ntile nullif percent_rank rank replace round row_number
rtrim sign strftime substr substring sum time total trim typeof unicode unixepoch upper
concat concat_ws convert greatest if lcase least locate now ucase unix_timestamp from_unixtime utc_timestamp
"""
_FUNCTIONS = frozenset(_WORDS.split())
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})
_STEPS = 10_000
_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_VALUE,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 2 * MAX_STATEMENT,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 16,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 200,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


def select(question: Question, rows: Mapping[str, Sequence[Row]], functions: Mapping[str, Value]) -> Answer:
    """The answer; ``rows`` are those of the tables that are not derived. Blocks for ``MAX_SECONDS`` at most.

    Raises MySQLError.
    """
    db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
    try:
        _fill(db, question.tables, rows)
        _confine(db, functions)
        return _run(db, question)
    except MemoryError:
        raise _too_much("memory") from None
    except sqlite3.Error as error:
        raise _translated(str(error), question.tables) from None
    finally:
        db.close()


def _fill(db: sqlite3.Connection, tables: Sequence[Table], rows: Mapping[str, Sequence[Row]]) -> None:
    db.execute(f"PRAGMA hard_heap_limit={MAX_HEAP}")
    db.execute("PRAGMA temp_store=MEMORY")
    for name in DATABASES:
        if name != MAIN:
            db.execute(f"ATTACH ':memory:' AS {name}")
    db.execute("BEGIN")
    for table in tables:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
        place = f'{table.database}."{table.name}"'
        db.execute(f"CREATE TABLE {place} ({columns})")
        if table.source is None:
            marks = ", ".join("?" * len(table.columns))
            db.executemany(f"INSERT INTO {place} VALUES ({marks})", rows[table.name])  # noqa: S608 - our own names
        else:
            values = ", ".join(column.sql for column in table.columns)
            db.execute(f"INSERT INTO {place} SELECT {values} FROM {table.source}")  # noqa: S608 - our own text
        for alias, name in ALIASES.items():
            if name == table.name:
                db.execute(f'CREATE VIEW {table.database}."{alias}" AS SELECT * FROM "{name}"')  # noqa: S608 - as above
    db.execute("COMMIT")


def _confine(db: sqlite3.Connection, functions: Mapping[str, Value]) -> None:
    """What follows is somebody else's text."""
    for name, value in functions.items():
        db.create_function(name, 0, _constant(value))
    for name, count, function in _ADDED:
        db.create_function(name, count, function, deterministic=True)
    for limit, value in _LIMITS.items():
        db.setlimit(limit, value)
    known = _FUNCTIONS | functions.keys()

    def allowed(action: int, first: str | None, second: str | None, _database: str | None, _view: str | None) -> int:
        if action in _ALLOWED:
            return sqlite3.SQLITE_OK
        # Without a column it is counted only, and may be a WITH of the statement.
        if action == sqlite3.SQLITE_READ and (not second or (first or "").lower() in _READABLE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in known:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    db.set_authorizer(allowed)
    deadline = monotonic() + MAX_SECONDS
    db.set_progress_handler(lambda: monotonic() > deadline, _STEPS)


def _run(db: sqlite3.Connection, question: Question) -> Answer:
    cursor = db.execute(question.sql, question.variables)
    names = [_shown(name, question.shown) for name, *_ in cursor.description or ()]
    rows: list[Row] = []
    size = 0
    for row in cursor:
        rows.append(tuple(_text(value) for value in row))
        size += sum(len(value) for value in row if isinstance(value, str | bytes)) + 16 * len(row)
        if len(rows) > MAX_ROWS or size > MAX_BYTES:
            raise _too_much(f"of an answer ({MAX_ROWS} rows and {MAX_BYTES >> 20} MiB at most; use LIMIT)")
    return answer(names, rows, question.tables)


def _text(value: Value | bytes) -> Value:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _shown(name: str, shown: Mapping[str, str]) -> str:
    """A column of an expression is named by its text, as it was written."""
    return re.sub(r":(v\d+)", lambda match: shown.get(match[1], match[0]), name) if shown else name


def _constant(value: Value) -> Callable[[], Value]:
    return lambda: value


_QUOTED = re.compile(r"(?:no such (?:table|column|function)|ambiguous column name): (.*)")


def _translated(text: str, tables: Sequence[Table]) -> MySQLError:
    """SQLite's words as an error of MySQL's, with what may have been meant."""
    found = _QUOTED.match(text)
    name = found[1] if found is not None else ""
    last = name.rpartition(".")[2]
    if text.startswith("no such table"):
        known = {table.name for table in TABLES.values() if table.database != "information_schema"} | ALIASES.keys()
        return mysql_error(ErrorCode.NO_SUCH_TABLE, f"router: no table is called '{name}'{did_you_mean(last, known)}")
    if text.startswith("no such column"):
        columns = {column.name for table in tables for column in table.columns}
        return mysql_error(ErrorCode.BAD_FIELD, f"router: no column is called '{name}'{did_you_mean(last, columns)}")
    if text == "interrupted":
        return mysql_error(ErrorCode.QUERY_TIMEOUT, f"router: a query may take {MAX_SECONDS:g} s here")
    if "too big" in text or "too large" in text or "out of memory" in text:
        return _too_much("of a value")
    if "not authorized" in text or "prohibited" in text:
        return mysql_error(ErrorCode.SPECIFIC_ACCESS_DENIED, f"router: only reading is possible here: {text}")
    return mysql_error(ErrorCode.PARSE_ERROR, f"router: {text}")


def _too_much(what: str) -> MySQLError:
    return mysql_error(ErrorCode.OUT_OF_RESOURCES, f"router: too much {what}")


# -- functions that SQLite lacks ---------------------------------------------------------------------------------------


def _concat(*values: Value) -> str | None:
    return None if None in values else "".join(map(str, values))


def _concat_ws(separator: Value, *values: Value) -> str | None:
    return None if separator is None else str(separator).join(str(value) for value in values if value is not None)


def _if(condition: Value, one: Value, other: Value) -> Value:
    return one if condition and condition != "0" else other


def _convert(value: Value, _kind: Value) -> int | None:
    try:
        return None if value is None else int(float(value))
    except (ValueError, OverflowError):
        return 0


def _locate(part: Value, text: Value) -> int | None:
    return None if part is None or text is None else str(text).lower().find(str(part).lower()) + 1


def _least(one: Value, other: Value) -> Value:
    return None if one is None or other is None else min(one, other, key=_order)


def _greatest(one: Value, other: Value) -> Value:
    return None if one is None or other is None else max(one, other, key=_order)


def _order(value: int | float | str) -> tuple[bool, int | float | str]:
    return isinstance(value, str), value


def _upper(text: Value) -> str | None:
    return None if text is None else str(text).upper()


def _lower(text: Value) -> str | None:
    return None if text is None else str(text).lower()


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def _from_unixtime(seconds: Value) -> str | None:
    try:
        return f"{datetime.fromtimestamp(float(seconds or 0), UTC):%Y-%m-%d %H:%M:%S}" if seconds is not None else None
    except (ValueError, OverflowError, OSError):
        return None


def _unix_timestamp() -> int:
    return int(datetime.now(UTC).timestamp())


_ADDED: Final[tuple[tuple[str, int, Callable[..., Value]], ...]] = (
    ("concat", -1, _concat),
    ("concat_ws", -1, _concat_ws),
    ("if", 3, _if),
    ("convert", 2, _convert),
    ("locate", 2, _locate),
    ("least", 2, _least),
    ("greatest", 2, _greatest),
    ("ucase", 1, _upper),
    ("lcase", 1, _lower),
    ("now", 0, _now),
    ("utc_timestamp", 0, _now),
    ("unix_timestamp", 0, _unix_timestamp),
    ("from_unixtime", 1, _from_unixtime),
)
