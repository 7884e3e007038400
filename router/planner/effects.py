"""What a statement calls and reads besides tables, where it is to be run on several shards.

Each shard runs it on a connection of its own: what belongs to the session's connection is not there. And where the
shards hold the same rows (broadcast tables), what it computes must come out alike on all of them.
"""

from __future__ import annotations

from router.planner.blocks import Unplannable
from router.planner.text import Text
from router.sql.analyze import SHRINK_ABOVE
from router.sql.facts import StatementKind
from router.sql.fingerprint import shrink
from router.sql.lexer import Token, TokenKind, tokens_of
from router.sql.scan import scan

# Their value is one shard's.
_PER_SHARD = frozenset({"DATABASE", "SCHEMA"})
# Functions that say something else each time, or on each server, whatever the session's `timestamp` is.
_UNSTEADY = frozenset(
    {"RAND", "UUID", "UUID_SHORT", "UUID_V4", "UUID_V7", "RANDOM_BYTES", "SLEEP", "BENCHMARK", "SYSDATE", "USER"}
    | {"CURRENT_USER", "SESSION_USER", "SYSTEM_USER", "CURRENT_ROLE", "VERSION", "ICU_VERSION", "KDF", "MATCH"}
    | {"COMPRESS", "GROUP_CONCAT", "ANY_VALUE", "JSON_ARRAYAGG", "JSON_OBJECTAGG", "ST_COLLECT"}
)
# Of these the name alone calls.
_BARE = frozenset({"CURRENT_USER", "CURRENT_ROLE"})
# They tell the time of the statement, which `timestamp` sets.
_CLOCK = frozenset(
    {"NOW", "CURDATE", "CURTIME", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"}
    | {"UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP", "UNIX_TIMESTAMP"}
)


def check(text: Text, kind: StatementKind, *, copies: bool) -> bool:
    """Raise Unplannable for what several shards cannot say alike; returns whether the statement looks at the clock."""
    sql = shrink(text.sql, text.mode) if len(text.sql) > SHRINK_ABOVE else text.sql
    tokens = text.tokens if sql is text.sql else tokens_of(sql, text.mode)
    found = scan(sql, tokens, text.mode, kind)
    if found.invalid is not None:
        raise Unplannable(found.invalid)
    strange = found.lock_calls or found.unknown_calls or found.server_calls
    if strange:
        raise Unplannable(f"{strange[0].upper()}() on several shards")
    if found.looks_back is not None:
        name = found.looks_back if found.looks_back.startswith("@") else f"{found.looks_back.upper()}()"
        raise Unplannable(f"{name} on several shards")
    for token in tokens:
        if token.kind is TokenKind.SYSVAR:
            raise Unplannable(f"{token.text} on several shards")
    if found.sequence:
        raise Unplannable("a sequence on several shards")
    if found.user_variable or found.assigns:
        raise Unplannable("user variables on several shards")
    names = {name for name, called in _words(tokens) if called or name in _BARE | _CLOCK}
    for name in sorted(names & (_PER_SHARD | _UNSTEADY if copies else _PER_SHARD)):
        raise Unplannable(f"{name}() on {'every copy of a broadcast table' if copies else 'several shards'}")
    return not _CLOCK.isdisjoint(names)


def _words(tokens: list[Token]) -> list[tuple[str, bool]]:
    """Names of functions and keywords, with whether a parenthesis follows."""
    found = []
    for index, token in enumerate(tokens):
        if token.kind is TokenKind.WORD and token.text in _WATCHED:
            following = tokens[index + 1].text if index + 1 < len(tokens) else ""
            found.append((token.text, following == "("))
        elif token.kind is TokenKind.QUOTED and index + 1 < len(tokens) and tokens[index + 1].text == "(":
            found.append((token.text.strip('`"').upper(), True))
    return found


_WATCHED = _PER_SHARD | _UNSTEADY | _CLOCK
