"""ProxySQL's tables as SQL: `mysqldump` of the admin interface, `sqlite3 proxysql.db .dump`, or a script for it.

Only INSERT, REPLACE, UPDATE of one variable, SET and CREATE TABLE (for the order of columns) are understood. The admin
interface is SQLite, where a backslash is a backslash; mysqldump doubles it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from router.importing.draft import Place
from router.sql.lexer import MARKS, LexMode, Token, TokenKind, tokenize

_MYSQLDUMP = re.compile(r"\A\s*(/\*M?!.*?\*/;?\s*)?-- (MySQL|MariaDB) dump", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"0": "\0", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "Z": "\x1a"}
# Statements that change nothing that is imported.
_HARMLESS = frozenset(
    {"PRAGMA", "BEGIN", "START", "COMMIT", "ROLLBACK", "LOCK", "UNLOCK", "DROP", "ALTER", "ANALYZE"}
    | {"LOAD", "SAVE", "SHOW", "USE", "SELECT"}
)
# The order of columns where the source does not tell it; later versions add theirs at the end, or are told by a dump.
_COLUMNS = {
    "mysql_replication_hostgroups": ("writer_hostgroup", "reader_hostgroup", "check_type", "comment"),
    "global_variables": ("variable_name", "variable_value"),
    "mysql_query_rules_fast_routing": ("username", "schemaname", "flagIN", "destination_hostgroup", "comment"),
    "mysql_servers": (
        *("hostgroup_id", "hostname", "port", "gtid_port", "status", "weight", "compression", "max_connections"),
        *("max_replication_lag", "use_ssl", "max_latency_ms", "comment"),
    ),
}

Value = str | None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of one of ProxySQL's tables: its values as text, None for NULL, by column."""

    place: Place
    values: dict[str, Value]

    def text(self, column: str, default: str = "") -> str:
        """The value of a column; ``default`` for NULL and for a column that is not there."""
        value = self.values.get(column)
        return default if value is None else value

    def number(self, column: str, default: int = 0) -> int:
        """As ``text``, of a number; what is none counts as ``default``."""
        try:
            return int(self.text(column, str(default)), 10)
        except ValueError:
            return default


@dataclass(slots=True)
class Tables:
    """All rows by table, variables by name (``mysql-…``), and what was not understood."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    variables: dict[str, tuple[Place, str]] = field(default_factory=dict)
    unread: list[tuple[Place, str]] = field(default_factory=list)

    def of(self, table: str) -> Sequence[Row]:
        """The rows of a table."""
        return self.rows.get(table, ())

    def add(self, table: str, row: Row) -> None:
        """One row more; those of ``global_variables`` are variables."""
        if table == "global_variables":
            self.variables[row.text("variable_name")] = (row.place, row.text("variable_value"))
        else:
            self.rows.setdefault(table, []).append(row)


class _Unread(Exception):
    """A statement that is not understood, with the reason."""


def read_sql(name: str, text: str, into: Tables) -> None:
    """Add the rows of the SQL ``text`` of a file called ``name``."""
    dumped = _MYSQLDUMP.match(text) is not None
    _Reader(name, text, dumped, into).read()


class _Reader:
    def __init__(self, name: str, text: str, dumped: bool, into: Tables) -> None:
        self._name = name
        self._sql = text.encode()
        self._escapes = dumped
        self._into = into
        self._columns: dict[str, tuple[str, ...]] = dict(_COLUMNS)
        self._ends = [match.start() for match in re.finditer(b"\n", self._sql)]
        # Double quotes surround names in SQLite; where a name makes no sense it takes them for text.
        self._mode = LexMode(no_backslash_escapes=not dumped)

    def _place(self, token: Token) -> Place:
        return Place(self._name, bisect_right(self._ends, token.start) + 1)

    def read(self) -> None:
        statement: list[Token] = []
        tokens = [token for token in tokenize(self._sql, self._mode) if token.kind not in MARKS]
        for token in [*tokens, Token(TokenKind.PUNCT, len(self._sql), len(self._sql), ";")]:
            if token.text != ";" or token.kind is not TokenKind.PUNCT:
                statement.append(token)
                continue
            if statement:
                try:
                    self._statement(statement)
                except (_Unread, IndexError) as error:
                    reason = str(error) if isinstance(error, _Unread) else "it ends too early"
                    self._into.unread.append((self._place(statement[0]), reason))
            statement = []

    def _statement(self, tokens: list[Token]) -> None:
        broken = next((token for token in tokens if token.kind is TokenKind.INVALID), None)
        if broken is not None:
            raise _Unread(f"it is broken at line {self._place(broken).line}")
        match tokens[0].text:
            case "INSERT" | "REPLACE":
                self._insert(tokens)
            case "CREATE" if tokens[1].text == "TABLE":
                self._create(tokens)
            case "UPDATE":
                self._update(tokens)
            case "SET":
                self._set(tokens)
            case "DELETE" if len(tokens) == 3:
                self._into.rows.pop(self._name_of(tokens[2]), None)
            case word if word not in _HARMLESS:
                raise _Unread(f"a statement of another kind{f' ({word[:20]})' if word.isalpha() else ''}")

    def _name_of(self, token: Token) -> str:
        if token.kind is TokenKind.WORD:
            return self._sql[token.start : token.end].decode()
        if token.kind in (TokenKind.QUOTED, TokenKind.STRING):
            return self._sql[token.start + 1 : token.end - 1].decode()
        raise _Unread("something else where a name should stand")

    def _table(self, tokens: list[Token], at: int) -> tuple[str, int]:
        """The table that is named at ``at``, perhaps behind its schema, and where its name ends."""
        if tokens[at + 1].text == ".":
            at += 2
        return self._name_of(tokens[at]).lower(), at + 1

    def _create(self, tokens: list[Token]) -> None:
        at = 5 if tokens[2].text == "IF" else 2
        table, at = self._table(tokens, at)
        columns: list[str] = []
        depth, begins = 0, False
        for token in tokens[at:]:
            if token.text == "(" and token.kind is TokenKind.PUNCT:
                depth, begins = depth + 1, depth == 0
                continue
            if token.text == ")" and token.kind is TokenKind.PUNCT:
                depth -= 1
            elif depth == 1 and begins and token.text not in ("PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT"):
                columns.append(self._name_of(token))
            begins = depth == 1 and token.text == ","
        self._columns[table] = tuple(columns)

    def _insert(self, tokens: list[Token]) -> None:
        words = [token.text for token in tokens[:5]]
        at = words.index("INTO") + 1 if "INTO" in words else 1
        table, at = self._table(tokens, at)
        columns = self._columns.get(table)
        if tokens[at].text == "(":
            end = next((index for index in range(at, len(tokens)) if tokens[index].text == ")"), len(tokens))
            columns = tuple(self._name_of(token) for token in tokens[at + 1 : end] if token.text != ",")
            at = end + 1
        if tokens[at].text not in ("VALUES", "VALUE"):
            raise _Unread(f"an INSERT into {table} without VALUES")
        at += 1
        while at < len(tokens):
            place = self._place(tokens[at])
            values, at = self._values(tokens, at)
            if columns is None or len(columns) != len(values):
                raise _Unread(f"an INSERT into {table} without names of columns, and no CREATE TABLE that tells them")
            self._into.add(table, Row(place, dict(zip(columns, values, strict=True))))
            at += 1  # the comma

    def _values(self, tokens: list[Token], at: int) -> tuple[list[Value], int]:
        """The values of one row, and what stands behind its parenthesis."""
        if tokens[at].text != "(":
            raise _Unread("VALUES without a row in parentheses")
        values: list[Value] = []
        at += 1
        while True:
            value, at = self._value(tokens, at)
            values.append(value)
            if tokens[at].text == ")":
                return values, at + 1
            if tokens[at].text != ",":
                raise _Unread(f"an expression at line {self._place(tokens[at]).line}; write the value itself")
            at += 1

    def _value(self, tokens: list[Token], at: int) -> tuple[Value, int]:
        token = tokens[at]
        if token.kind is TokenKind.STRING:
            return self._string(token), at + 1
        if token.kind is TokenKind.NUMBER:
            return token.text, at + 1
        if token.text == "NULL":
            return None, at + 1
        if token.text in ("-", "+") and tokens[at + 1].kind is TokenKind.NUMBER:
            return token.text.strip("+") + tokens[at + 1].text, at + 2
        if token.text == "X" and tokens[at + 1].kind is TokenKind.STRING:
            try:
                return bytes.fromhex(tokens[at + 1].text[1:-1]).decode(), at + 2
            except ValueError:
                pass
        raise _Unread(f"an expression at line {self._place(token).line}; write the value itself")

    def _string(self, token: Token) -> str:
        text = self._sql[token.start : token.end].decode()
        quote, inner = text[0], text[1:-1]
        inner = inner.replace(quote * 2, quote)
        return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), inner) if self._escapes else inner

    def _update(self, tokens: list[Token]) -> None:
        table, at = self._table(tokens, 1)
        words = [token.text for token in tokens[at:]]
        shape = ["SET", "VARIABLE_VALUE", "=", "", "WHERE", "VARIABLE_NAME", "=", ""]
        if (
            table != "global_variables"
            or len(words) != 8
            or any(a and a != b for a, b in zip(shape, words, strict=True))
        ):
            raise _Unread(f"an UPDATE of {table}; dump the tables instead")
        value, _ = self._value(tokens, at + 3)
        name, _ = self._value(tokens, at + 7)
        self._into.variables[name or ""] = (self._place(tokens[0]), value or "")

    def _set(self, tokens: list[Token]) -> None:
        """``SET mysql-max_connections = 100`` of the admin interface; SET of anything else belongs to mysqldump."""
        split = next((index for index, token in enumerate(tokens) if token.text == "="), 0)
        name = self._sql[tokens[1].start : tokens[split].start].decode().strip() if split > 1 else ""
        if name.startswith(("mysql-", "admin-")) and split + 2 <= len(tokens):
            value, _ = self._value(tokens, split + 1)
            self._into.variables[name] = (self._place(tokens[0]), value or "")
