"""SHOW and DESCRIBE: each is a SELECT over the tables, so that LIKE, WHERE, ORDER BY and LIMIT work everywhere.

Texts are put together of our own names; what comes from outside goes through ``_literal`` or is one of ``DATABASES``.
The result is read and confined like any SELECT that somebody has written.
"""

from __future__ import annotations

from router.admin.tables import ALIASES, DATABASES, FAMILIAR, OWN, TABLES, Table, mysql_type, named
from router.admin.words import Words
from router.config.findings import did_you_mean
from router.errors import MySQLError
from router.wire.errcodes import ErrorCode, mysql_error

# What LIKE is about, where that is not the first column.
_LIKE = {"servers": "server", "pools": "server", "sessions": "user", "digests": "digest_text"}
_EMPTY = "SELECT {} FROM main.dual WHERE 0"
_DATABASES = ("SELECT SCHEMA_NAME AS `Database` FROM information_schema.schemata", "Database")
_MESSAGES = (_EMPTY.format("'' AS Level, 0 AS Code, '' AS Message"), "Level")
_CHARSETS = (
    "SELECT 'utf8mb4' AS Charset, 'UTF-8 Unicode' AS Description, 'utf8mb4_general_ci' AS `Default collation`,"
    " 4 AS Maxlen FROM main.dual",
    "Charset",
)
# What is shown → the SELECT for it, and the column that LIKE is about.
_FAMILIAR = {
    "DATABASES": _DATABASES,
    "SCHEMAS": _DATABASES,
    "VARIABLES": ("SELECT * FROM information_schema.variables", "Variable_name"),
    "STATUS": ("SELECT name AS Variable_name, value AS Value FROM stats.stats", "Variable_name"),
    "PROCESSLIST": ("SELECT * FROM information_schema.processlist", "User"),
    "WARNINGS": _MESSAGES,
    "ERRORS": _MESSAGES,
    "ENGINES": (
        "SELECT 'MEMORY' AS Engine, 'DEFAULT' AS Support, '' AS Comment, 'NO' AS Transactions, 'NO' AS XA,"
        " 'NO' AS Savepoints FROM main.dual",
        "Engine",
    ),
    "COLLATION": (
        "SELECT 'utf8mb4_general_ci' AS Collation, 'utf8mb4' AS Charset, 45 AS Id, 'Yes' AS `Default`,"
        " 'Yes' AS Compiled, 1 AS Sortlen FROM main.dual",
        "Collation",
    ),
    "CHARSET": _CHARSETS,
    "PLUGINS": (_EMPTY.format("'' AS Name, '' AS Status, '' AS Type, '' AS Library, '' AS License"), "Name"),
    "EVENTS": (_EMPTY.format("'' AS Db, '' AS Name"), "Name"),
    "TRIGGERS": (_EMPTY.format("'' AS `Trigger`, '' AS Event, '' AS `Table`"), "Trigger"),
}
_OWN = {
    name.upper(): (f"SELECT * FROM stats.{table.name}", _LIKE.get(table.name, table.columns[0].name))  # noqa: S608
    for name, table in {**{each.name: each for each in OWN}, **{a: TABLES[n] for a, n in ALIASES.items()}}.items()
}
_PLACED = ("TABLES", "COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS", "CREATE", "TABLE", "CHARACTER")
_LOGGED = frozenset({"EVENTS", "TRIGGERS"})
SHOWN = (*_OWN, *_FAMILIAR, *_PLACED)
# What follows the subject and is SQL as it stands.
_CLAUSES = ("WHERE", "ORDER", "LIMIT")


def show(words: Words, database: str) -> str:
    """The SELECT for what stands behind SHOW. Raises MySQLError."""
    words.take("FULL", "EXTENDED", "GLOBAL", "SESSION", "LOCAL")
    full = "FULL" in words.text.upper().split()[:3]
    what = words.any_of("SHOW", SHOWN)
    if what in _OWN:
        return _with_clauses(*_OWN[what], words)
    match what:
        case "TABLES":
            return _tables(words, database, full=full)
        case "COLUMNS" | "FIELDS":
            return _with_clauses(_columns(_table(words), full=full), "Field", words)
        case "INDEX" | "INDEXES" | "KEYS":
            _table(words)
            select = _EMPTY.format("'' AS `Table`, 0 AS Non_unique, '' AS Key_name, '' AS Column_name")
            return _with_clauses(select, "Table", words)
        case "CREATE":
            words.any_of("SHOW CREATE", ("TABLE",))
            table = _named(words.name("the table"))
            words.end()
            return _create(table)
        case "TABLE":
            words.any_of("SHOW TABLE", ("STATUS",))
            return _status(words, database)
        case "CHARACTER":
            words.any_of("SHOW CHARACTER", ("SET",))
            return _with_clauses(*_CHARSETS, words)
    if what in _LOGGED and words.take("FROM", "IN"):
        _database(words.name("the database"))
    return _with_clauses(*_FAMILIAR[what], words)


def describe(words: Words) -> str:
    """The SELECT for DESCRIBE of a table. Raises MySQLError."""
    select = _columns(_named(words.name("the table")), full=False)
    if words.rest:
        select += f" AND COLUMN_NAME LIKE {_literal(words.name('the column'))}"
    words.end()
    return f"{select} ORDER BY ORDINAL_POSITION"


def _with_clauses(select: str, like: str, words: Words) -> str:
    """``select`` with LIKE about one of its columns, WHERE, ORDER BY and LIMIT."""
    select = f"SELECT * FROM ({select})"  # noqa: S608
    if words.take("LIKE"):
        pattern = _literal(words.name("the pattern"))
        select += f" WHERE `{like}` LIKE {pattern} ESCAPE '\\\\'"
    if rest := words.rest:
        if words.take(*_CLAUSES) is None:
            raise words.wrong("clause", ("LIKE", *_CLAUSES))
        select += f" {rest}"
    return select


def _tables(words: Words, database: str, *, full: bool) -> str:
    if words.take("FROM", "IN"):
        database = _database(words.name("the database"))
    kind = ", TABLE_TYPE AS Table_type" if full else ""
    select = (
        f"SELECT TABLE_NAME AS Tables_in_{database}{kind} FROM information_schema.tables"  # noqa: S608
        f" WHERE TABLE_SCHEMA = '{database}'"
    )
    return _with_clauses(select, f"Tables_in_{database}", words)


def _status(words: Words, database: str) -> str:
    if words.take("FROM", "IN"):
        database = _database(words.name("the database"))
    select = (
        "SELECT TABLE_NAME AS Name, ENGINE AS Engine, TABLE_ROWS AS Rows, TABLE_COMMENT AS Comment"  # noqa: S608
        f" FROM information_schema.tables WHERE TABLE_SCHEMA = '{database}'"
    )
    return _with_clauses(select, "Name", words)


def _columns(table: Table, *, full: bool) -> str:
    more = ", COLUMN_COMMENT AS Comment" if full else ""
    return (
        "SELECT COLUMN_NAME AS Field, COLUMN_TYPE AS Type, IS_NULLABLE AS `Null`, COLUMN_KEY AS `Key`,"  # noqa: S608
        f" COLUMN_DEFAULT AS `Default`, EXTRA AS Extra{more} FROM information_schema.columns"
        f" WHERE TABLE_NAME = '{table.name}'"
    )


def _create(table: Table) -> str:
    lines = ",\n".join(f"  `{column.name}` {mysql_type(column)}" for column in table.columns)
    text = f"CREATE TABLE `{table.name}` (\n{lines}\n) ENGINE=MEMORY"
    return f"SELECT '{table.name}' AS `Table`, {_literal(text)} AS `Create Table`"


def _table(words: Words) -> Table:
    words.any_of("SHOW …", ("FROM", "IN"))
    name = words.name("the table")
    if words.take("FROM", "IN"):
        _database(words.name("the database"))
    return _named(name)


def _named(name: str) -> Table:
    """The table called so, perhaps with its database in front."""
    place, _, last = name.replace("`", "").rpartition(".")
    if place:
        _database(place)
    table = named(last)
    if table is None:
        known = [each.name for each in TABLES.values() if each not in FAMILIAR]
        raise mysql_error(
            ErrorCode.NO_SUCH_TABLE, f"router: no table is called '{last[:64]}'{did_you_mean(last, known)}"
        )
    return table


def _database(name: str) -> str:
    if name.lower() not in DATABASES:
        raise unknown_database(name)
    return name.lower()


def unknown_database(name: str) -> MySQLError:
    """Error 1049."""
    message = f"router: no database is called '{name[:64]}' here{did_you_mean(name.lower(), DATABASES)}"
    return mysql_error(ErrorCode.BAD_DB, message)


def _literal(text: str) -> str:
    """As MySQL's."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
