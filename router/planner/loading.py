"""LOAD DATA LOCAL INFILE into sharded tables: each line of the client's file goes to the shard of its key.

The statement is read by its tokens. What of it are literals (how fields end, how many lines are skipped) is looked for
in the text of each execution, as the plan is for others, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from router.planner.keys import Canonical, KeyKind, KeyType, Value, canonical, storable
from router.planner.lookup import Lookup
from router.planner.routes import Unplannable
from router.planner.sharding import NoShard
from router.planner.tables import Definition, ShardedSchema, ShardedTable
from router.sql.infile import CHARSETS, Format, Line, LineError, Lines
from router.sql.lexer import LexMode, Token, TokenKind, tokens_of
from router.sql.scan import name_of
from router.wire.charset import python_codec

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "0": "\0", "Z": "\x1a"}
_INTEGER = re.compile(r"[-+]?[0-9]{1,64}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,64}(\.[0-9]{0,64})?")


@dataclass(frozen=True, slots=True)
class Loads:
    """What of a file decides: the places of the key's columns in a line of ``width``, and of the columns of which each
    line must give a value (``given``, with their names)."""

    table: ShardedTable
    width: int
    key: tuple[int, ...]
    given: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Load:
    """One execution: how lines are read, in which character set (None: the database's). ``parts``: the part of each
    shard, both as numbers."""

    loads: Loads
    format: Format
    charset: str | None
    parts: dict[int, int]

    def lines(self, charset: str, longest: int) -> Lines:
        """The reader of the file. Raises Unplannable for a character set that is not understood."""
        if charset not in CHARSETS:
            raise Unplannable(f"LOAD DATA in character set {charset}")
        return Lines(self.format, self.loads.width, charset, longest)

    def placer(self, lines: Lines, charset: str) -> Placer:
        """Tells where the lines go."""
        return Placer(self, lines, charset)


class Placer:
    """Where the lines of one file go; not through ``Rows``, which takes twice the time for millions of lines."""

    def __init__(self, load: Load, lines: Lines, charset: str) -> None:
        table = load.loads.table
        self._value = lines.value
        self._given = load.loads.given
        self._all = range(len(load.parts)) if table.broadcast else None
        self._table = table
        self._key = () if table.broadcast else tuple(zip(load.loads.key, table.key_types, strict=True))
        self._parts = [(load.parts[shard],) for shard in table.shards]
        self._codec = python_codec(charset) or "ascii"

    def parts(self, line: Line) -> Sequence[int]:
        """The numbers of the parts that get the line. Raises LineError."""
        fields = line.fields
        for place, name in self._given:
            field = self._value(fields[place]) if place < len(fields) else None
            if field is None or not field.isdigit() or not int(field):
                raise LineError(line.number, f"it gives no value to '{name}', which each shard would count for itself")
        if self._all is not None:
            return self._all
        key: list[Canonical] = []
        for place, of in self._key:
            if place >= len(fields):
                raise LineError(line.number, "it has no field for the column that decides the shard")
            field = self._value(fields[place])
            part = canonical(_worth(field, of, self._codec), of)
            if part is None or not storable(part, of):
                raise self._lost(line, "its place is not certain, as the column may store it differently")
            key.append(part)
        assert self._table.function is not None
        try:
            return self._parts[self._table.function.shard(tuple(key))]
        except NoShard:
            raise self._lost(line, "no shard is meant for it, and the table has no default") from None

    def _lost(self, line: Line, reason: str) -> LineError:
        values = [self._value(line.fields[place]) for place, _ in self._key if place < len(line.fields)]
        shown = ", ".join("NULL" if each is None else each[:60].decode(self._codec, "replace") for each in values)
        return LineError(line.number, f"there is no shard for {', '.join(self._table.columns)} = {shown}: {reason}")


def _worth(field: bytes | None, of: KeyType, codec: str) -> Value:
    """What a field is, to a column of this type."""
    if field is None:
        return None
    if of.kind is KeyKind.BINARY:
        return field
    try:
        text = field.decode(codec)
    except UnicodeDecodeError:
        return None
    if of.kind is KeyKind.INTEGER and _INTEGER.fullmatch(text):
        return int(text)
    if of.kind is KeyKind.DECIMAL and _DECIMAL.fullmatch(text):
        return Decimal(text)
    return text


# -- the statement -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    """LOAD DATA, read. ``columns`` None: no list. ``ignores``: the tokens of IGNORE n LINES. In lower case."""

    table: str
    columns: tuple[str, ...] | None
    format: Format
    charset: str | None
    ignores: tuple[int, int]


class _Reader:
    def __init__(self, sql: bytes, mode: LexMode) -> None:
        self.sql = sql
        self.mode = mode
        self.tokens = tokens_of(sql, mode)
        self.at = 0

    @property
    def word(self) -> str:
        """The word that is next."""
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def take(self, *words: str) -> bool:
        """Go over these words, if they are next."""
        found = [token.text for token in self.tokens[self.at : self.at + len(words)]]
        if found != list(words):
            return False
        self.at += len(words)
        return True

    def token(self) -> Token:
        """The next, whatever it is."""
        if self.at >= len(self.tokens):
            raise Unplannable("LOAD DATA of this form")
        self.at += 1
        return self.tokens[self.at - 1]

    def name(self) -> str:
        """A name."""
        token = self.token()
        if token.kind not in (TokenKind.WORD, TokenKind.QUOTED):
            raise Unplannable("LOAD DATA of this form")
        return name_of(self.sql, token)

    def text(self) -> bytes:
        """A string of ASCII characters, or a hexadecimal literal."""
        token = self.token()
        raw = self.sql[token.start : token.end].decode("latin-1")
        if token.kind is TokenKind.NUMBER and raw[:2] in ("0x", "0X") and len(raw) % 2 == 0:
            found = bytes.fromhex(raw[2:])
        elif token.kind is TokenKind.STRING and raw[0] in "'\"":
            found = self._unquoted(raw).encode("latin-1")
        else:
            raise Unplannable("LOAD DATA with a separator of this form")
        if not found.isascii():
            raise Unplannable("LOAD DATA with separators that are not ASCII")
        return found

    def _unquoted(self, raw: str) -> str:
        quote, inner = raw[0], raw[1:-1]
        if not self.mode.no_backslash_escapes:
            pattern = re.compile(r"\\(.)|" + quote * 2, re.DOTALL)
            return pattern.sub(
                lambda found: quote if found[1] is None else _ESCAPES.get(found[1], _kept(found[1])), inner
            )
        return inner.replace(quote * 2, quote)


def _kept(character: str) -> str:
    return "\\" + character if character in "%_" else character


def read(sql: bytes, mode: LexMode) -> Statement:
    """The statement. Raises Unplannable for what is not understood."""
    reader = _Reader(sql, mode)
    reader.take("LOAD")
    if not reader.take("DATA"):
        raise Unplannable("LOAD XML")
    if reader.word in ("LOW_PRIORITY", "CONCURRENT"):
        reader.at += 1
    if not reader.take("LOCAL"):
        raise Unplannable("LOAD DATA without LOCAL, which reads a file of the server")
    if not reader.take("INFILE") or reader.token().kind is not TokenKind.STRING:
        raise Unplannable("LOAD DATA of this form")
    if reader.word in ("REPLACE", "IGNORE"):
        reader.at += 1
    if not reader.take("INTO", "TABLE"):
        raise Unplannable("LOAD DATA of this form")
    table = reader.name()
    if reader.take("."):
        table = reader.name()
    if reader.word == "PARTITION":
        raise Unplannable("LOAD DATA into a PARTITION")
    charset = None
    if reader.take("CHARACTER", "SET") or reader.take("CHARSET"):
        token = reader.token()
        charset = name_of(sql, token).strip("'\"").lower()
    format = _format(reader)
    begin = reader.at
    skip = 0
    if reader.take("IGNORE"):
        number = reader.token()
        if number.kind is not TokenKind.NUMBER or not number.text.isdigit() or reader.word not in ("LINES", "ROWS"):
            raise Unplannable("LOAD DATA of this form")
        reader.at += 1
        skip = int(number.text)
    ignores = begin, reader.at
    columns = _columns(reader)
    if reader.word == "SET":
        raise Unplannable("LOAD DATA with SET")
    if reader.word:
        raise Unplannable("LOAD DATA of this form")
    format = Format(format.field_end, format.enclosed, format.escaped, format.line_end, skip)
    return Statement(table, columns, format, charset, ignores)


def _format(reader: _Reader) -> Format:
    field_end, enclosed, line_end = b"\t", b"", b"\n"
    escaped = b"" if reader.mode.no_backslash_escapes else b"\\"
    if reader.word in ("FIELDS", "COLUMNS"):
        reader.at += 1
        while True:
            if reader.take("TERMINATED", "BY"):
                field_end = reader.text()
            elif reader.take("OPTIONALLY", "ENCLOSED", "BY") or reader.take("ENCLOSED", "BY"):
                enclosed = reader.text()
            elif reader.take("ESCAPED", "BY"):
                escaped = reader.text()
            else:
                break
    if reader.take("LINES"):
        while True:
            if reader.take("TERMINATED", "BY"):
                line_end = reader.text()
            elif reader.word == "STARTING":
                raise Unplannable("LOAD DATA with LINES STARTING BY")
            else:
                break
    if not field_end or not line_end or field_end == line_end:
        raise Unplannable("LOAD DATA of fields or lines without an end of their own")
    if len(enclosed) > 1 or len(escaped) > 1:
        raise Unplannable("LOAD DATA with a quote or an escape of several characters")
    signs = {enclosed, escaped} - {b""}
    if (enclosed and enclosed == escaped) or signs & {field_end[:1], line_end[:1]}:
        raise Unplannable("LOAD DATA in which one character means two things")
    return Format(field_end, enclosed, escaped, line_end)


def _columns(reader: _Reader) -> tuple[str, ...] | None:
    if not reader.take("("):
        return None
    found: list[str] = []
    while not reader.take(")"):
        if reader.tokens[reader.at : reader.at + 1] and reader.tokens[reader.at].kind is TokenKind.USERVAR:
            raise Unplannable("LOAD DATA with user variables")
        found.append(reader.name().lower())
        if reader.word != ")" and not reader.take(","):
            raise Unplannable("LOAD DATA of this form")
    return tuple(found) or None


def loads(schema: ShardedSchema, sql: bytes, mode: LexMode) -> Loads | None:
    """What of the file decides, None for other tables. Raises Unplannable."""
    statement = read(sql, mode)
    table = schema.find(statement.table)
    if table is None:
        return None
    if table.problem is not None:
        raise Unplannable(f"table '{table.name}': {table.problem}")
    definition = table.definition
    if definition is None:
        raise Unplannable(f"table '{table.name}', whose columns are not known yet")
    if definition.difference is not None:
        raise Unplannable(f"table '{table.name}': {definition.difference}")
    columns = statement.columns
    if columns is None:
        columns = tuple(definition.columns)
        if any(column.generated or column.invisible for column in definition.columns.values()):
            raise Unplannable(f"LOAD DATA without a list of columns into '{table.name}', which has generated ones")
    for name in table.columns:
        if columns.count(name) != 1:
            raise Unplannable(f"LOAD DATA without a field for '{name}', which decides the shard")
    given = _given(table, definition, columns)
    if isinstance(table.function, Lookup):
        raise Unplannable(f"LOAD DATA into '{table.name}', whose keys are looked up")
    if table.broadcast:
        for name, column in definition.columns.items():
            if column.unsteady:
                raise Unplannable(
                    f"column '{name}' of broadcast table '{table.name}', whose default may differ from shard to shard"
                )
    return Loads(table, len(columns), tuple(columns.index(name) for name in table.columns), given)


def _given(table: ShardedTable, definition: Definition, columns: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """The columns of which each line must have a value of its own."""
    given = []
    for name, column in definition.columns.items():
        made = table.generator is not None and table.generator.column == name
        if not made and not column.auto_increment:
            continue
        if name not in columns:
            what = "the router generates" if made else "each shard would count for itself"
            raise Unplannable(f"LOAD DATA without a field for '{name}', which {what}")
        given.append((columns.index(name), name))
    return tuple(given)


def text_for_shards(statement: Statement, sql: bytes, mode: LexMode) -> bytes:
    """The statement for shards: the lines to be ignored are not sent to them."""
    tokens = tokens_of(sql, mode)
    first, behind = statement.ignores
    if first == behind:
        return sql
    return sql[: tokens[first].start] + sql[tokens[behind - 1].end :]
