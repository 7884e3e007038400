"""What a SET statement assigns, from its tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from router.sql.facts import Assignment, PinReason
from router.sql.lexer import Token, TokenKind
from router.sql.scan import name_of

_SCOPES = {
    "GLOBAL": "global",
    "SESSION": "session",
    "LOCAL": "session",
    "PERSIST": "persist",
    "PERSIST_ONLY": "persist_only",
}
_NAMES = (TokenKind.WORD, TokenKind.QUOTED)


@dataclass(frozen=True, slots=True)
class Assignments:
    """``operators`` counts the ``:=`` that are SET's own; any other assigns user variables inside an expression."""

    assigned: tuple[Assignment, ...]
    pins: frozenset[PinReason] = frozenset()
    operators: int = 0


def parse_set(sql: bytes, tokens: list[Token], *, scope: str = "session") -> Assignments | None:
    """What ``tokens`` (SET and all that follows) assign; None when they are not understood."""
    transaction = _transaction([token.text for token in tokens[1:3]])
    if transaction is not None:
        return transaction
    items = _items(tokens[1:])
    assigned: list[Assignment] = []
    pins: set[PinReason] = set()
    operators = 0
    last_scope = scope
    for item in items:
        words = [token.text for token in item[:4]]
        if not words:
            return None
        special = _special(words)
        if special is not None:
            assigned += special.assigned
            pins |= special.pins
            continue
        found = _variable(sql, item, last_scope)
        if found is None:
            return None
        names, operator, last_scope = found
        assigned += names
        operators += operator == ":="
    return Assignments(tuple(assigned), frozenset(pins), operators)


# SET of user variables to plain literals. Strings of printable ASCII without quotes and backslashes mean the same under
# every sql_mode.
_LITERAL = r"""[-+]?\d{1,30}(?:\.\d{1,30})?(?:[eE][-+]?\d{1,3})?|(?i:true|false)|(['"])[ !#-&(-\[\]-~]*\3"""
_ONE = rf"@([\w.$]{{1,64}})\s*:?=\s*({_LITERAL})\s*"
_FIRST = re.compile(rf"\s*(?i:set)\s+{_ONE}", re.ASCII)
_NEXT = re.compile(rf",\s*{_ONE}", re.ASCII)


def literal_values(sql: bytes, *, ansi_quotes: bool) -> dict[str, str] | None:
    """``@name`` (lower case) → literal, strings in '…', if ``sql`` is a SET of user variables to literals only."""
    text = sql.decode("latin-1")
    values: dict[str, str] = {}
    found = _FIRST.match(text)
    while found is not None:
        name, literal, quote = found.groups()
        if quote == '"':
            if ansi_quotes:
                return None
            literal = f"'{literal[1:-1]}'"
        values["@" + name.lower()] = literal
        end = found.end()
        if text[end:].strip() in ("", ";"):
            return values
        found = _NEXT.match(text, end)
    return None


def _items(tokens: list[Token]) -> list[list[Token]]:
    items: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind is TokenKind.PUNCT:
            depth += (token.text == "(") - (token.text == ")")
            if token.text == "," and depth == 0:
                items.append([])
                continue
        items[-1].append(token)
    return items


def _transaction(words: list[str]) -> Assignments | None:
    """SET [GLOBAL | SESSION] TRANSACTION, alone in its statement; without a scope it means the next one only."""
    match words:
        case ["TRANSACTION", other] if other not in ("=", ":="):
            return Assignments((), frozenset({PinReason.SET_TRANSACTION}))
        case [("GLOBAL" | "SESSION" | "LOCAL") as scope, "TRANSACTION"]:
            names = ("transaction_isolation", "transaction_read_only")
            return Assignments(tuple(Assignment(_SCOPES[scope], name) for name in names))
    return None


def _special(words: list[str]) -> Assignments | None:
    """Forms that are not ``variable = value``."""
    if len(words) > 1 and words[1] in ("=", ":="):
        return None if words[0] != "PASSWORD" else Assignments((Assignment("global", "password"),))
    match words:
        case ["NAMES", *_]:
            return Assignments((Assignment("session", "names"),))
        case ["CHARACTER", "SET", *_] | ["CHARSET", *_] | ["CHAR", "SET", *_]:
            return Assignments((Assignment("session", "character set"),))
        case ["PASSWORD", *_]:
            return Assignments((Assignment("global", "password"),))
        case ["DEFAULT", "ROLE", *_]:
            return Assignments((Assignment("global", "default role"),))
        case ["ROLE", *_]:
            return Assignments((), frozenset({PinReason.ROLE}))
        case ["RESOURCE", "GROUP", *_]:
            return Assignments((), frozenset({PinReason.STATE_CHANGE}))
    return None


def _variable(sql: bytes, item: list[Token], last_scope: str) -> tuple[list[Assignment], str, str] | None:
    """``[scope] name = value``: what it assigns, the operator, and the scope that bare names behind it get."""
    index = 0
    first = item[0]
    if first.kind is TokenKind.USERVAR:
        names = [Assignment("user", _user_variable(sql, first))]
        index = 1
    else:
        scope = None
        parts: list[str] = []
        if first.kind is TokenKind.SYSVAR:
            parts = [first.text[2:].strip("`").lower()]
            index = 1
        elif first.text in _SCOPES and len(item) > 1 and item[1].kind in _NAMES:
            scope = last_scope = _SCOPES[first.text]
            index = 1
        if not parts:
            if item[index].kind not in _NAMES:
                return None
            parts = [name_of(sql, item[index]).lower()]
            index += 1
        while index + 1 < len(item) and item[index].text == "." and item[index + 1].kind in _NAMES:
            parts.append(name_of(sql, item[index + 1]).lower())
            index += 2
        if first.kind is TokenKind.SYSVAR:
            scope = _SCOPES.get(parts[0].upper()) if len(parts) > 1 else "session"
            parts = parts[1:] if scope is not None and len(parts) > 1 else parts
        name = ".".join(parts)
        # A bare name behind `GLOBAL a = 1,` is global to MySQL; count it as both.
        scopes = [scope or "session"] if scope or last_scope == "session" else ["session", last_scope]
        names = [Assignment(each, name) for each in scopes]
    if index + 1 >= len(item) or item[index].text not in ("=", ":="):
        return None
    return names, item[index].text, last_scope


def _user_variable(sql: bytes, token: Token) -> str:
    raw = sql[token.start + 1 : token.end]
    if raw[:1] in (b"'", b'"', b"`"):
        raw = raw[1:-1]
    return "@" + raw.decode("utf-8", "backslashreplace").lower()
