"""The kind of a statement from its first words: no parsing, nothing guessed.

``classify`` never raises. What it does not understand is OTHER with the pin ``unknown``: the primary runs it and the
session keeps that connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from router.sql.facts import PinReason, Reason, StatementKind
from router.sql.lexer import MARKS, LexMode, Token, TokenKind, tokenize

_K = StatementKind


@dataclass(frozen=True, slots=True)
class Classification:
    """``reason`` is why such a statement is no read, ``pins`` what its kind alone leaves behind.

    ``inner``: index of the token where a statement inside begins (EXPLAIN <statement>, SET STATEMENT … FOR), or None.
    ``runs_inner``: that statement is executed (ANALYZE).
    """

    kind: StatementKind
    reason: Reason
    pins: frozenset[PinReason] = frozenset()
    inner: int | None = None
    runs_inner: bool = False

    @property
    def opaque(self) -> bool:
        """Whether the statement is not understood."""
        return self.reason is Reason.OPAQUE


# Where the statement begins behind EXPLAIN ROUTE FORMAT = JSON.
ROUTE_AS_JSON = 5
OPAQUE = Classification(_K.OTHER, Reason.OPAQUE, frozenset({PinReason.UNKNOWN}))


def classify(sql: bytes, mode: LexMode) -> Classification:
    """The kind of ``sql``, of its first statement if there are several."""
    return classify_tokens([token for token in tokenize(sql, mode) if token.kind not in MARKS])


def classify_tokens(tokens: list[Token]) -> Classification:
    """As ``classify``, of tokens without hints and versioned comment marks."""
    start = 0
    while start < len(tokens) and tokens[start].text == "(":
        start += 1
    if start == len(tokens):
        return OPAQUE if tokens else _plain(_K.EMPTY, Reason.EMPTY)
    if tokens[start].kind is not TokenKind.WORD:
        return OPAQUE
    first = tokens[start].text
    simple = _SIMPLE.get(first)
    if simple is not None and (start == 0 or simple.kind is _K.SELECT):
        return simple
    special = _SPECIAL.get(first)
    if special is not None and (start == 0 or first == "WITH"):
        return special(tokens, start)
    return OPAQUE


def _plain(kind: StatementKind, reason: Reason, *pins: PinReason) -> Classification:
    return Classification(kind, reason, frozenset(pins))


_WRITE, _DDL, _ADMIN = Reason.WRITE, _plain(_K.DDL, Reason.DDL), _plain(_K.ADMIN, Reason.ADMIN)
_READ = _plain(_K.SELECT, Reason.READ)
_TRANSACTION = Reason.TRANSACTION
_BEGIN = _plain(_K.BEGIN, _TRANSACTION)

_SIMPLE: dict[str, Classification] = {
    "SELECT": _READ,
    "VALUES": _READ,
    "TABLE": _READ,
    "INSERT": _plain(_K.INSERT, _WRITE),
    "REPLACE": _plain(_K.REPLACE, _WRITE),
    "UPDATE": _plain(_K.UPDATE, _WRITE),
    "DELETE": _plain(_K.DELETE, _WRITE),
    "CALL": _plain(_K.CALL, Reason.PROCEDURE, PinReason.ROUTINE),
    "DO": _plain(_K.DO, _WRITE),
    "USE": _plain(_K.USE, Reason.USE),
    "KILL": _plain(_K.KILL, Reason.ADMIN),
    "COMMIT": _plain(_K.COMMIT, _TRANSACTION),
    "SAVEPOINT": _plain(_K.SAVEPOINT, _TRANSACTION),
    "UNLOCK": _plain(_K.UNLOCK, _TRANSACTION),
    "HANDLER": _plain(_K.HANDLER, Reason.SESSION_STATE, PinReason.HANDLER),
    "PREPARE": _plain(_K.PREPARE, Reason.PREPARED_TEXT, PinReason.PREPARED_TEXT),
    "EXECUTE": _plain(_K.EXECUTE_TEXT, Reason.PREPARED_TEXT, PinReason.PREPARED_TEXT),
    "DEALLOCATE": _plain(_K.DEALLOCATE, Reason.PREPARED_TEXT),
    "BACKUP": _plain(_K.ADMIN, Reason.ADMIN, PinReason.BACKUP_LOCK),
    # The events it applies leave session state that nothing reports.
    "BINLOG": _plain(_K.ADMIN, Reason.ADMIN, PinReason.UNKNOWN),
    **dict.fromkeys(("CREATE", "ALTER", "RENAME", "TRUNCATE", "GRANT", "REVOKE"), _DDL),
    **dict.fromkeys(
        ("OPTIMIZE", "REPAIR", "CHECK", "CHECKSUM", "CACHE", "IMPORT", "HELP", "SIGNAL", "RESIGNAL"), _ADMIN
    ),
    **dict.fromkeys(("RESET", "PURGE", "CHANGE", "STOP", "SHUTDOWN", "RESTART", "CLONE"), _ADMIN),
    **dict.fromkeys(("INSTALL", "UNINSTALL"), _ADMIN),
}


def _word(tokens: list[Token], index: int) -> str:
    return tokens[index].text if index < len(tokens) and tokens[index].kind is TokenKind.WORD else ""


def _with(tokens: list[Token], start: int) -> Classification:
    """The statement behind common table expressions: the first verb outside parentheses."""
    depth = start
    for token in tokens[start:]:
        if token.kind is TokenKind.PUNCT:
            depth += (token.text == "(") - (token.text == ")")
        elif depth <= start and token.kind is TokenKind.WORD and token.text in _VERBS:
            return _SIMPLE[token.text]
    # Every verb is in parentheses: WITH … (SELECT …).
    return _READ


_VERBS = frozenset({"SELECT", "VALUES", "TABLE", "INSERT", "REPLACE", "UPDATE", "DELETE"})


def _begin(tokens: list[Token], start: int) -> Classification:
    # BEGIN NOT ATOMIC (MariaDB), and whatever else a body may begin with.
    return _BEGIN if len(tokens) == 1 or (_word(tokens, 1) == "WORK" and len(tokens) == 2) else OPAQUE


def _start(tokens: list[Token], start: int) -> Classification:
    match _word(tokens, 1):
        case "TRANSACTION":
            return _BEGIN
        case "REPLICA" | "SLAVE" | "GROUP_REPLICATION" | "ALL":
            return _ADMIN
    return OPAQUE


def _rollback(tokens: list[Token], start: int) -> Classification:
    to_savepoint = "TO" in (_word(tokens, 1), _word(tokens, 2))
    return _plain(_K.SAVEPOINT if to_savepoint else _K.ROLLBACK, _TRANSACTION)


def _release(tokens: list[Token], start: int) -> Classification:
    return _plain(_K.SAVEPOINT, _TRANSACTION) if _word(tokens, 1) == "SAVEPOINT" else OPAQUE


def _xa(tokens: list[Token], start: int) -> Classification:
    match _word(tokens, 1):
        case "START" | "BEGIN" | "END" | "PREPARE":
            return _plain(_K.XA, _TRANSACTION, PinReason.XA)
        case "COMMIT" | "ROLLBACK" | "RECOVER":
            return _plain(_K.XA, _TRANSACTION)
    return OPAQUE


def _lock(tokens: list[Token], start: int) -> Classification:
    match _word(tokens, 1):
        case "TABLE" | "TABLES":
            return _plain(_K.LOCK, Reason.SESSION_STATE, PinReason.LOCK_TABLES)
        case "INSTANCE":
            return _plain(_K.LOCK, Reason.SESSION_STATE, PinReason.BACKUP_LOCK)
    return OPAQUE


def _flush(tokens: list[Token], start: int) -> Classification:
    words = [token.text for token in tokens]
    locks = "LOCK" in words[1:] or "EXPORT" in words[1:]
    return _plain(_K.FLUSH, Reason.ADMIN, *([PinReason.BACKUP_LOCK] if locks else []))


def _load(tokens: list[Token], start: int) -> Classification:
    match _word(tokens, 1):
        case "DATA" | "XML":
            return _plain(_K.LOAD_DATA, _WRITE)
        case "INDEX":
            return _ADMIN
    return OPAQUE


def _drop(tokens: list[Token], start: int) -> Classification:
    return _SIMPLE["DEALLOCATE"] if _word(tokens, 1) == "PREPARE" else _DDL


def _get(tokens: list[Token], start: int) -> Classification:
    diagnostics = "DIAGNOSTICS" in (_word(tokens, 1), _word(tokens, 2))
    # It reads the outcome of the statement before and stores it in user variables.
    return _plain(_K.ADMIN, Reason.LOOKS_BACK, PinReason.USER_VARIABLE) if diagnostics else OPAQUE


def _set(tokens: list[Token], start: int) -> Classification:
    if _word(tokens, 1) == "STATEMENT":
        depth = 0
        for index, token in enumerate(tokens):
            depth += (token.text == "(") - (token.text == ")")
            if depth == 0 and token.text == "FOR" and token.kind is TokenKind.WORD:
                return Classification(_K.SET, Reason.SET, inner=index + 1, runs_inner=True)
        return OPAQUE
    return _plain(_K.SET, Reason.SET)


_EXPLAINABLE = _VERBS | {"WITH", "(", "SET"}


def _explain(tokens: list[Token], start: int) -> Classification:
    """EXPLAIN, DESCRIBE, DESC; EXPLAIN ROUTE and PREVIEW are the router's own."""
    if _word(tokens, 1) == "ROUTE":
        inner = ROUTE_AS_JSON if [token.text for token in tokens[2:5]] == ["FORMAT", "=", "JSON"] else 2
        if len(tokens) > inner and (tokens[inner].text in _SIMPLE or tokens[inner].text in _SPECIAL):
            return Classification(_K.EXPLAIN_ROUTE, Reason.LOCAL, inner=inner)
    runs, index = False, 1
    while index < len(tokens):
        text = tokens[index].text
        if text in _EXPLAINABLE:
            return Classification(_K.EXPLAIN, Reason.EXPLAIN, inner=index, runs_inner=runs)
        if text in ("EXTENDED", "PARTITIONS", "ANALYZE"):
            runs |= text == "ANALYZE"
            index += 1
        elif text == "FORMAT" and index + 1 < len(tokens) and tokens[index + 1].text == "=":
            index += 3
        elif text == "INTO":
            index += 2
        else:
            # A table, or FOR CONNECTION n.
            return _plain(_K.EXPLAIN, Reason.EXPLAIN)
    return _plain(_K.EXPLAIN, Reason.EXPLAIN)


def _show(tokens: list[Token], start: int) -> Classification:
    """SHOW SESSION STATE is the router's own."""
    if [token.text for token in tokens[1:]] in (["SESSION", "STATE"], ["SESSION", "STATE", ";"]):
        return _plain(_K.SESSION_STATE, Reason.LOCAL)
    return _plain(_K.SHOW, Reason.SHOW)


def _preview(tokens: list[Token], start: int) -> Classification:
    return Classification(_K.EXPLAIN_ROUTE, Reason.LOCAL, inner=1) if len(tokens) > 1 else OPAQUE


def _analyze(tokens: list[Token], start: int) -> Classification:
    """ANALYZE TABLE, or MariaDB's ANALYZE <statement>, which runs it."""
    if _word(tokens, 1) in ("TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"):
        return _ADMIN
    found = _explain(tokens, start)
    if found.kind is not _K.EXPLAIN or found.inner is None:
        return OPAQUE
    return Classification(_K.EXPLAIN, Reason.EXPLAIN, inner=found.inner, runs_inner=True)


_SPECIAL: dict[str, Callable[[list[Token], int], Classification]] = {
    "WITH": _with,
    "BEGIN": _begin,
    "START": _start,
    "ROLLBACK": _rollback,
    "RELEASE": _release,
    "XA": _xa,
    "LOCK": _lock,
    "FLUSH": _flush,
    "LOAD": _load,
    "DROP": _drop,
    "GET": _get,
    "SET": _set,
    "EXPLAIN": _explain,
    "DESCRIBE": _explain,
    "DESC": _explain,
    "PREVIEW": _preview,
    "SHOW": _show,
    "ANALYZE": _analyze,
}
