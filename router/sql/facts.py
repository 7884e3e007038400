"""What is known of a statement: the vocabulary shared by the classifier, the planner and the session.

Facts never hold values of literals: two statements that differ only in literals have equal facts (``kill`` is the one
exception, and plans with it are not cached).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from router.sql.hints import NO_HINTS, Hints


class StatementKind(Enum):
    """The class of a statement; the value is its name in rules (``when: {statement: …}``)."""

    SELECT = "select"  # also TABLE t, VALUES ROW(…), WITH … SELECT
    INSERT = "insert"
    REPLACE = "replace"
    UPDATE = "update"
    DELETE = "delete"
    CALL = "call"
    DO = "do"
    LOAD_DATA = "load_data"
    DDL = "ddl"  # also accounts and grants
    SHOW = "show"
    EXPLAIN = "explain"  # also DESCRIBE, and MariaDB's ANALYZE <statement>
    SET = "set"
    USE = "use"
    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"  # also RELEASE SAVEPOINT and ROLLBACK TO
    XA = "xa"
    LOCK = "lock"
    UNLOCK = "unlock"
    HANDLER = "handler"
    KILL = "kill"
    FLUSH = "flush"
    PREPARE = "prepare"
    EXECUTE_TEXT = "execute"
    DEALLOCATE = "deallocate"
    ADMIN = "admin"  # understood, for one server, leaves no session state: OPTIMIZE, PURGE, START REPLICA, HELP …
    EXPLAIN_ROUTE = "explain_route"  # the router's own EXPLAIN ROUTE and PREVIEW
    SESSION_STATE = "session_state"  # the router's own SHOW SESSION STATE
    EMPTY = "empty"
    MULTI = "multi"
    OTHER = "other"  # not understood

    @property
    def rule_name(self) -> str:
        """The name that rules use for this kind; kinds that rules do not know are ``other``."""
        return _RULE_NAMES.get(self, self.value)


_RULE_NAMES = {
    StatementKind.DEALLOCATE: "prepare",
    StatementKind.ADMIN: "other",
    StatementKind.EXPLAIN_ROUTE: "other",
    StatementKind.SESSION_STATE: "other",
    StatementKind.EMPTY: "other",
    StatementKind.MULTI: "other",
}


class PinReason(StrEnum):
    """Why a session must keep its server connection."""

    USER_VARIABLE = "user_variable"
    TEMPORARY_TABLE = "temporary_table"
    LOCK_TABLES = "lock_tables"
    NAMED_LOCK = "named_lock"
    HANDLER = "handler"
    PREPARED_TEXT = "prepared_text"
    CURSOR = "cursor"  # of a prepared statement
    ROUTINE = "routine"  # a procedure or stored function ran: it may have left anything
    SET_TRANSACTION = "set_transaction"  # characteristics of the next transaction only
    UNTRACKED_VARIABLE = "untracked_variable"
    SEQUENCE = "sequence"  # LASTVAL() belongs to the connection
    ROLE = "role"
    XA = "xa"
    BACKUP_LOCK = "backup_lock"  # FLUSH … WITH READ LOCK, LOCK INSTANCE, BACKUP STAGE
    MULTI_STATEMENT = "multi_statement"
    STATE_CHANGE = "state_change"
    UNKNOWN = "unknown"  # the statement is not understood


class Reason(StrEnum):
    """Why a statement goes where it goes: a metric label, a column of EXPLAIN ROUTE."""

    READ = "read"
    WRITE = "write"
    LOCKING_READ = "locking_read"
    SELECT_INTO = "select_into"
    UNKNOWN_FUNCTION = "unknown_function"
    SERVER_FUNCTION = "server_function"  # its value belongs to one connection or server: CONNECTION_ID()
    SERVER_VARIABLE = "server_variable"  # global, or set per server: @@hostname
    SERVER_TABLE = "server_table"  # performance_schema, PROCESSLIST: each server has its own rows
    NAMED_LOCK = "named_lock"
    SEQUENCE = "sequence"
    USER_VARIABLE = "user_variable"
    SESSION_STATE = "session_state"
    SET = "set"
    USE = "use"
    DDL = "ddl"
    TRANSACTION = "transaction"
    AUTOCOMMIT_OFF = "autocommit_off"
    PINNED = "pinned"
    HINT = "hint"
    HINT_NOT_READ = "hint_not_read"  # router(replica) on a statement that is not vouched to be a read
    RULE = "rule"
    RULE_NOT_READ = "rule_not_read"  # a rule sends it to a replica, but it is not proven to be a read
    READS_FROM_PRIMARY = "reads_from_primary"
    FOUND_ROWS = "found_rows"  # SQL_CALC_FOUND_ROWS: FOUND_ROWS() will ask the same connection
    LOOKS_BACK = "looks_back"  # asks about the statement before: LAST_INSERT_ID(), SHOW WARNINGS
    OPAQUE = "opaque"  # not understood
    NO_PARSE = "no_parse"  # a SELECT the parser does not know
    TOO_LARGE = "too_large"
    VERSIONED_COMMENT = "versioned_comment"
    PROCEDURE = "procedure"
    SHOW = "show"
    EXPLAIN = "explain"
    ADMIN = "admin"
    MULTI_STATEMENT = "multi_statement"
    PREPARED_TEXT = "prepared_text"
    EMPTY = "empty"
    READ_ONLY_USER = "read_only_user"
    READ_ONLY_OFF = "read_only_off"
    ACCESS_DENIED = "access_denied"
    CROSS_GROUP = "cross_group"
    SHARDS = "shards"  # it would take several shards, or nobody can tell which
    NO_SHARD = "no_shard"  # no shard is meant for the row
    BAD_HINT = "bad_hint"
    LOCAL = "local"


# What opens and ends a transaction, and marks places in it.
TRANSACTIONAL = frozenset({StatementKind.BEGIN, StatementKind.SAVEPOINT, StatementKind.COMMIT, StatementKind.ROLLBACK})


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table as the statement names it; ``schema`` is None when unqualified."""

    schema: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """One variable a SET assigns: lower case, ``@x`` for user variables.

    ``scope`` is session, global, persist, persist_only, statement (MariaDB's SET STATEMENT) or user. SET NAMES is
    ``names``, SET CHARACTER SET is ``character set``.
    """

    scope: str
    name: str


@dataclass(frozen=True, slots=True)
class StatementFacts:
    """What is known of one statement.

    ``read``: proven to be read-only and harmless on any replica; ``reason`` says why, or why not.
    ``pins``: state it leaves behind that no session tracker reports.
    ``looks_back``: it asks about the statement before, so it needs the connection that ran that one.
    ``found_rows``: SQL_CALC_FOUND_ROWS. ``user_variables``: it reads or assigns some by name.
    ``tables``: the tables it uses, None when unknown.
    ``qualifiers``: every name that may be a database.
    ``assignments``: what SET assigns. ``use_schema``: USE. ``kill``: ("connection" | "query", id).
    ``function``: it is SELECT of CONNECTION_ID(), ROW_COUNT() or FOUND_ROWS(), and of nothing else.
    ``explain_route``: the statement behind EXPLAIN ROUTE, ``explain_as_json``: with FORMAT=JSON.
    ``multi``: several statements in one text.
    ``vouchable``: a SELECT whose only flaw is an unknown function or syntax; router(replica) may vouch for it.
    ``harmless``: it changes nothing but the session itself, so a read-only user may run it.
    """

    kind: StatementKind
    read: bool
    reason: Reason
    pins: frozenset[PinReason] = frozenset()
    looks_back: bool = False
    found_rows: bool = False
    user_variables: bool = False
    tables: tuple[TableRef, ...] | None = None
    qualifiers: frozenset[str] = frozenset()
    hints: Hints = NO_HINTS
    assignments: tuple[Assignment, ...] = ()
    use_schema: str | None = None
    kill: tuple[str, int] | None = None
    function: str = ""
    explain_route: bytes | None = None
    explain_as_json: bool = False
    multi: bool = False
    local_infile: bool = False
    has_versioned_comment: bool = False
    vouchable: bool = False
    harmless: bool = False
    detail: str = field(default="", compare=False)  # names the construct behind ``reason``, for people
