"""The tables of the admin interface: their names, columns and what they mean; the reference page is made of this.

A table is filled by ``state`` (its ``source`` is None) or derived from others by SQL: those that have the names and
columns of ProxySQL, so that dashboards and habits from there work, and what programs ask every server for. Names of
columns are such that nobody has to quote them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Value = int | float | str | None
Type = Literal["INTEGER", "REAL", "TEXT"]

STATS: Final = "stats"
MAIN: Final = "main"
INFORMATION: Final = "information_schema"
DATABASES: Final = (STATS, MAIN, INFORMATION)


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``sql`` is what it is made of in a derived table."""

    name: str
    type: Type
    description: str
    sql: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of ``database``. ``source`` is the FROM clause of a derived one, ``needs`` the tables in it."""

    name: str
    description: str
    columns: tuple[Column, ...]
    database: str = STATS
    source: str | None = None
    needs: tuple[str, ...] = ()


def _text(name: str, description: str, sql: str = "") -> Column:
    return Column(name, "TEXT", description, sql)


def _number(name: str, description: str, sql: str = "") -> Column:
    return Column(name, "INTEGER", description, sql)


def _real(name: str, description: str, sql: str = "") -> Column:
    return Column(name, "REAL", description, sql)


_GROUP = _text("group_name", "The group.")
_SERVER = _text("server", "Name of the server in the configuration.")

OWN: Final = (
    Table(
        "servers",
        "The servers, in the order of the configuration.",
        (
            _GROUP,
            _SERVER,
            _text("address", "Where it listens."),
            _text("host", "Its host, or the path of its socket."),
            _number("port", "Its port; 0 for a socket."),
            _text(
                "role",
                "`primary`: takes the writes; `replica`; `unknown`: not asked, or writable and not the primary.",
            ),
            _number("up", "1: it answers."),
            _number("draining", "1: it takes nothing new, by request."),
            _number("fenced", "1: it could be written but is not the primary, so it takes nothing."),
            _number("paused", "1: its group is paused."),
            _real("lag_seconds", "How far it is behind; NULL: not known, `inf`: it applies nothing."),
            _number("weight", "Its share of the reads."),
            _text("zone", "Where it stands."),
            _number("in_use", "Connections that sessions have."),
            _number("pinned", "Those of them that are kept for the state of sessions which do nothing now."),
            _number("idle", "Connections that nobody has."),
            _number("opening", "Connections that are being opened."),
            _number("waiting", "Statements that wait for a connection."),
            _number("statements", "Commands it has answered."),
            _number("failures", "Connections to it that were lost."),
            _real("probe_seconds", "How long a short question takes, on average; NULL: not measured."),
        ),
    ),
    Table(
        "pools",
        "The connections to each server, and the waits for them.",
        (
            _GROUP,
            _SERVER,
            _number("max_connections", "The most there may be."),
            _number("in_use", "Connections that sessions have."),
            _number("idle", "Connections that nobody has."),
            _number("opening", "Connections that are being opened."),
            _number("waiting", "Statements that wait now."),
            _number("waits", "Statements that had to wait."),
            _real("wait_seconds", "Time they waited, in total."),
            _number("timeouts", "Waits that ended in an error."),
            _number("connect_errors", "Connections that could not be opened."),
        ),
    ),
    Table(
        "sessions",
        "The clients that are logged in; `clients` is the same table.",
        (
            _number("connection_id", "What `CONNECTION_ID()` says there and `KILL` takes."),
            _text("user", "The user."),
            _text("host", "Where the client is."),
            _text("schema", "The default database."),
            _text("state", "`idle`; `running`; `waiting`: for a connection to a server."),
            _real(
                "state_seconds",
                "How long its statement takes already, or how long the client has been silent (to half a second);"
                " NULL: not known (several shards).",
            ),
            _text("group_name", "Group of the server whose connection it has."),
            _text("server", "That server; several are parted by commas."),
            _number("server_connection", "Id of the connection there."),
            _number("in_transaction", "1: a transaction is open."),
            _text("pinned_by", "Why it keeps a connection beyond the transaction."),
            _text("program_name", "The program, if the client says so (connection attribute)."),
            _number("tls", "1: encrypted."),
            _text(
                "statement",
                "What runs, with `?` for literals, or as it is after `SET STATEMENT_TEXT ON`; NULL: not known (prepared"
                " statements, several shards).",
            ),
        ),
    ),
    Table(
        "digests",
        "Statements by their text without literals.",
        (
            _text("digest_id", "Short name of the text."),
            _text("digest_text", "The text, with `?` for literals."),
            _text("user", "The user."),
            _text("schema", "The default database."),
            _text("route", "Where it went."),
            _number("count", "How often it was run."),
            _number("errors", "How often that ended in an error."),
            _number("rows_sent", "Rows of its answers."),
            _real("total_seconds", "Time, in total."),
            _real("min_seconds", "The shortest time."),
            _real("max_seconds", "The longest time."),
            _real("p95_seconds", "95 of 100 took no longer; NULL: not counted."),
            _real("first_seen", "Unix time of the first."),
            _real("last_seen", "Unix time of the last."),
            _text("example", "One of them; NULL: not kept."),
        ),
    ),
    Table(
        "rules",
        "The rules, in their order.",
        (
            _number("position", "Its place, from 1."),
            _text("name", "Its name."),
            _number("hits", "Statements it has taken."),
            _text("conditions", "When it holds; empty: always."),
            _text("effect", "What it does."),
        ),
    ),
    Table(
        "shards",
        "The shards of sharded schemas.",
        (
            _text("schema", "The schema, as clients see it."),
            _text("shard", "Name of the shard."),
            _GROUP,
            _text("database_name", "The database there."),
            _text("tables", "Tables of the configuration with rows there."),
        ),
    ),
    Table(
        "groups",
        "The groups of servers.",
        (
            _GROUP,
            _number("paused", "1: nothing new begins."),
            _text("primary_server", "The server that takes writes; NULL: there is none."),
            _number("servers", "How many servers it has."),
            _number("servers_up", "How many of them answer."),
            _number("in_use", "Connections that sessions have."),
            _number("waiting", "Statements that wait for a connection."),
            _text("reads_from", "Where reads go."),
            _text("consistency", "What they must see."),
        ),
    ),
    Table(
        "config",
        "The configuration that is in force; `**********` for secrets.",
        (_text("path", "The place, as in `groups.main.pool.max_connections`."), _text("value", "The value.")),
    ),
    Table(
        "stats",
        "Numbers since the start.",
        (_text("name", "What is counted."), _real("value", "How much.")),
    ),
    Table(
        "metrics",
        "What `/metrics` serves.",
        (
            _text("name", "Name of the sample."),
            _text("labels", "Its labels, `name=value` with commas."),
            _real("value", "Its value."),
        ),
    ),
    Table(
        "version",
        "This router; one row.",
        (
            _text("version", "Version of the router."),
            _text("python", "Version of Python."),
            _text("started", "When it started (UTC)."),
            _number("uptime_seconds", "How long ago."),
            _number("maintenance", "1: new logins are refused (`SET MAINTENANCE`)."),
        ),
    ),
)

_STATUS: Final = (
    "CASE WHEN draining OR paused THEN 'OFFLINE_SOFT' WHEN up AND NOT fenced THEN 'ONLINE' ELSE 'SHUNNED' END"
)
_NOT_COUNTED: Final = "Always NULL: not counted here."
_SERVER_COLUMNS: Final = (
    _text("hostgroup_id", "Name of the group: a group is a primary with its replicas, not a number.", "s.group_name"),
    _text("hostname", "Host, or path of the socket.", "s.host"),
    _number("port", "Port; 0 for a socket.", "s.port"),
    _text("status", "`ONLINE`, `OFFLINE_SOFT` (drained or paused) or `SHUNNED`.", _STATUS),
    _number("weight", "Share of the reads.", "s.weight"),
    _number("max_connections", "The most connections.", "p.max_connections"),
    _text("comment", "Name and role of the server.", "s.server || ' (' || s.role || ')'"),
)
_BY_SERVER: Final = "stats.servers s JOIN stats.pools p ON p.group_name = s.group_name AND p.server = s.server"
_VARIABLE_COLUMNS: Final = (
    _text("variable_name", "Path of the key in the configuration.", "path"),
    _text("variable_value", "Its value.", "value"),
)

PROXYSQL: Final = (
    Table(
        "stats_mysql_connection_pool",
        "Servers and their connections.",
        (
            _text("hostgroup", "Name of the group.", "s.group_name"),
            _text("srv_host", "Host, or path of the socket.", "s.host"),
            _number("srv_port", "Port; 0 for a socket.", "s.port"),
            _text("status", "As in `runtime_mysql_servers`.", _STATUS),
            _number("ConnUsed", "Connections that sessions have.", "s.in_use"),
            _number("ConnFree", "Connections that nobody has.", "s.idle"),
            _number("ConnOK", _NOT_COUNTED, "NULL"),
            _number("ConnERR", "Connections that could not be opened.", "p.connect_errors"),
            _number("MaxConnUsed", _NOT_COUNTED, "NULL"),
            _number("Queries", "Commands it has answered.", "s.statements"),
            _number("Bytes_data_sent", _NOT_COUNTED, "NULL"),
            _number("Bytes_data_recv", _NOT_COUNTED, "NULL"),
            _number("Latency_us", "Time of a probe's question.", "CAST(s.probe_seconds * 1000000 AS INTEGER)"),
        ),
        source=_BY_SERVER,
        needs=("servers", "pools"),
    ),
    Table(
        "stats_mysql_query_digest",
        "Statements by digest; times in microseconds.",
        (
            _text("hostgroup", "Where it went.", "route"),
            _text("schemaname", "The default database.", "schema"),
            _text("username", "The user.", "user"),
            _text("client_address", "Always empty.", "''"),
            _text("digest", "Short name of the text.", "digest_id"),
            _text("digest_text", "The text, with `?` for literals.", "digest_text"),
            _number("count_star", "How often.", '"count"'),
            _number("first_seen", "Unix time of the first.", "CAST(first_seen AS INTEGER)"),
            _number("last_seen", "Unix time of the last.", "CAST(last_seen AS INTEGER)"),
            _number("sum_time", "Time, in total.", "CAST(total_seconds * 1000000 AS INTEGER)"),
            _number("min_time", "The shortest time.", "CAST(min_seconds * 1000000 AS INTEGER)"),
            _number("max_time", "The longest time.", "CAST(max_seconds * 1000000 AS INTEGER)"),
            _number("sum_rows_affected", _NOT_COUNTED, "NULL"),
            _number("sum_rows_sent", "Rows of its answers.", "rows_sent"),
        ),
        source="stats.digests",
        needs=("digests",),
    ),
    Table(
        "stats_mysql_processlist",
        "Sessions.",
        (
            _number("ThreadID", "Always 0.", "0"),
            _number("SessionID", "The connection id.", "connection_id"),
            _text("user", "The user.", "user"),
            _text("db", "The default database.", "schema"),
            _text("cli_host", "Where the client is.", "s.host"),
            _text("hostgroup", "Group of the server it has.", "s.group_name"),
            _text("srv_host", "Host of that server.", "v.host"),
            _number("srv_port", "Its port.", "v.port"),
            _text("command", "`Query` or `Sleep`.", "CASE state WHEN 'idle' THEN 'Sleep' ELSE 'Query' END"),
            _number("time_ms", "How long.", "CAST(state_seconds * 1000 AS INTEGER)"),
            _text("info", "As `statement` of `sessions`.", "statement"),
        ),
        source="stats.sessions s LEFT JOIN stats.servers v ON v.group_name = s.group_name AND v.server = s.server",
        needs=("sessions", "servers"),
    ),
    Table(
        "stats_mysql_global",
        "Numbers since the start, by names of this router.",
        (_text("Variable_Name", "What is counted.", "name"), _real("Variable_Value", "How much.", "value")),
        source="stats.stats",
        needs=("stats",),
    ),
    Table(
        "stats_mysql_query_rules",
        "How often rules were hit.",
        (_text("rule_id", "Name of the rule.", "name"), _number("hits", "Statements it has taken.", "hits")),
        source="stats.rules",
        needs=("rules",),
    ),
    Table(
        "runtime_mysql_servers",
        "Servers, as they are.",
        _SERVER_COLUMNS,
        MAIN,
        _BY_SERVER,
        ("servers", "pools"),
    ),
    Table(
        "mysql_servers",
        "The same: nothing is changed through tables here.",
        _SERVER_COLUMNS,
        MAIN,
        _BY_SERVER,
        ("servers", "pools"),
    ),
    Table(
        "global_variables",
        "The configuration, by paths of this router.",
        _VARIABLE_COLUMNS,
        MAIN,
        "stats.config",
        ("config",),
    ),
    Table(
        "runtime_global_variables",
        "The same.",
        _VARIABLE_COLUMNS,
        MAIN,
        "stats.config",
        ("config",),
    ),
)


def _plain(*names: str) -> tuple[Column, ...]:
    return tuple(_text(name, "") for name in names)


# What programs ask every server for; as MySQL's.
FAMILIAR: Final = (
    Table("dual", "One row.", (_text("dummy", ""),), MAIN),
    Table("variables", "", _plain("Variable_name", "Value"), INFORMATION),
    Table(
        "schemata",
        "",
        _plain("CATALOG_NAME", "SCHEMA_NAME", "DEFAULT_CHARACTER_SET_NAME", "DEFAULT_COLLATION_NAME"),
        INFORMATION,
    ),
    Table(
        "tables",
        "",
        _plain("TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE", "ENGINE", "TABLE_ROWS", "TABLE_COMMENT"),
        INFORMATION,
    ),
    Table(
        "columns",
        "",
        (
            *_plain("TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME"),
            _number("ORDINAL_POSITION", ""),
            *_plain("COLUMN_DEFAULT", "IS_NULLABLE", "DATA_TYPE", "COLUMN_TYPE", "COLUMN_KEY", "EXTRA"),
            _text("COLUMN_COMMENT", ""),
            _number("CHARACTER_MAXIMUM_LENGTH", ""),
            _number("CHARACTER_OCTET_LENGTH", ""),
            _number("NUMERIC_PRECISION", ""),
            _number("NUMERIC_SCALE", ""),
            _number("DATETIME_PRECISION", ""),
            *_plain("CHARACTER_SET_NAME", "COLLATION_NAME", "PRIVILEGES", "GENERATION_EXPRESSION"),
        ),
        INFORMATION,
    ),
    Table(
        "processlist",
        "",
        (
            _number("Id", "", "connection_id"),
            _text("User", "", "user"),
            _text("Host", "", "host"),
            _text("db", "", "schema"),
            _text("Command", "", "CASE state WHEN 'idle' THEN 'Sleep' ELSE 'Query' END"),
            _number("Time", "", "CAST(state_seconds AS INTEGER)"),
            _text("State", "", "state"),
            _text("Info", "", "statement"),
        ),
        INFORMATION,
        "stats.sessions",
        ("sessions",),
    ),
)

TABLES: Final = {table.name: table for table in (*OWN, *PROXYSQL, *FAMILIAR)}
ALIASES: Final = {"clients": "sessions"}


def named(name: str) -> Table | None:
    """The table called so, in any case of letters."""
    lower = name.lower()
    return TABLES.get(ALIASES.get(lower, lower))


def mysql_type(column: Column) -> str:
    """The type as clients know it."""
    return {"INTEGER": "bigint", "REAL": "double", "TEXT": "text"}[column.type]
