"""Text → StatementFacts: everything the planner and the session need to know of a statement.

Default deny: ``read`` is True only for a SELECT (or EXPLAIN of one) whose tokens show nothing but built-in read-only
functions and session-independent variables, and whose tree the parser knows in full. Whatever is not understood is
opaque: not a read, and it pins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from router.sql import tree
from router.sql.assignments import parse_set
from router.sql.builtins import PAREN_KEYWORDS, READ_FUNCTIONS
from router.sql.classify import ROUTE_AS_JSON, Classification, classify_tokens
from router.sql.facts import PinReason, Reason, StatementFacts, StatementKind, TableRef
from router.sql.fingerprint import shrink
from router.sql.hints import NO_HINTS, Hints, parse_hints
from router.sql.lexer import MARKS, LexMode, Token, TokenKind, tokenize
from router.sql.scan import Scan, name_of, scan

# Longer statements are shrunk first; what is longer even then is searched, not analysed. Bytes.
SHRINK_ABOVE = 8 * 1024
TOO_LARGE = 64 * 1024

_K = StatementKind
_UNKNOWN = frozenset({PinReason.UNKNOWN})
# The parser is asked about these; of the others tokens say enough.
_PARSED = frozenset({_K.SELECT, _K.INSERT, _K.REPLACE, _K.UPDATE, _K.DELETE, _K.DDL})
# Versioned comments up to here are run by every supported server (MySQL 5.7, MariaDB 10), and so is `/*!` without one.
_ALWAYS_RUN = 50699


def analyze(sql: bytes, mode: LexMode) -> StatementFacts:
    """The facts of ``sql``. Never raises."""
    text = sql
    if len(sql) > SHRINK_ABOVE:
        text = shrink(sql, mode)
        if len(text) > TOO_LARGE:
            return _too_large(text, mode)
    tokens = tokenize(text, mode)
    plain = [token for token in tokens if token.kind not in MARKS]
    facts = _analyze_tokens(text, plain, mode)
    if len(plain) == len(tokens):
        return facts
    hints = parse_hints([token.text for token in tokens if token.kind is TokenKind.HINT])
    if any(token.kind is TokenKind.VERSIONED_OPEN for token in tokens):
        facts = _versioned(facts, text, tokens, mode)
    return facts if hints == NO_HINTS else replace(facts, hints=hints)


def _versioned(facts: StatementFacts, sql: bytes, tokens: list[Token], mode: LexMode) -> StatementFacts:
    """A server may run or skip what stands in a versioned comment: never a read, never answered here."""
    bare = _without_optional(tokens)
    skipped = _analyze_tokens(sql, bare, mode) if bare is not None else facts
    if skipped.kind not in (facts.kind, _K.EMPTY):
        return replace(_opaque("a versioned comment changes what the statement is"), has_versioned_comment=True)
    reason = Reason.VERSIONED_COMMENT if facts.reason in (Reason.READ, Reason.NO_PARSE) else facts.reason
    tables = facts.tables
    if tables is not None:
        tables = tuple(dict.fromkeys((*tables, *skipped.tables))) if skipped.tables is not None else None
    return replace(
        facts,
        read=False,
        reason=reason,
        vouchable=False,
        harmless=facts.harmless and skipped.harmless,
        pins=facts.pins | skipped.pins,
        looks_back=facts.looks_back or skipped.looks_back,
        user_variables=facts.user_variables or skipped.user_variables,
        tables=tables,
        qualifiers=facts.qualifiers | skipped.qualifiers,
        assignments=tuple(dict.fromkeys((*facts.assignments, *skipped.assignments))),
        kill=None,
        explain_route=None,
        has_versioned_comment=True,
    )


def _without_optional(tokens: list[Token]) -> list[Token] | None:
    """The tokens a server sees that skips the versioned comments it may skip; None when it may skip none."""
    result: list[Token] = []
    skipping = skipped = False
    for token in tokens:
        if token.kind is TokenKind.VERSIONED_OPEN:
            digits = token.text.lstrip("/*Mm!")
            skipping = token.text[2] in "Mm" or (digits != "" and (len(digits) > 5 or int(digits) > _ALWAYS_RUN))
            skipped |= skipping
        elif token.kind is TokenKind.VERSIONED_CLOSE:
            skipping = False
        elif token.kind is not TokenKind.HINT and not skipping:
            result.append(token)
    return result if skipped else None


def _opaque(detail: str) -> StatementFacts:
    return StatementFacts(_K.OTHER, read=False, reason=Reason.OPAQUE, pins=_UNKNOWN, detail=detail)


# -- one text, perhaps of several statements -------------------------------------------------------------------


def _analyze_tokens(sql: bytes, tokens: list[Token], mode: LexMode) -> StatementFacts:
    end = len(tokens)
    while end and tokens[end - 1].text == ";":
        end -= 1
    tokens = tokens[:end]
    if not any(token.text == ";" for token in tokens):
        return _analyze_one(sql, tokens, mode)
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.text == ";":
            parts.append([])
        else:
            parts[-1].append(token)
    first = classify_tokens(parts[0])
    if first.kind is _K.DDL:
        return _routine_body(sql, tokens, mode)
    return _several([_analyze_one(sql, part, mode) for part in parts])


def _routine_body(sql: bytes, tokens: list[Token], mode: LexMode) -> StatementFacts:
    """CREATE PROCEDURE … BEGIN …; …; END, or several statements of which the first is DDL: who can tell."""
    facts = _analyze_one(sql, tokens, mode)
    pins = facts.pins | {PinReason.MULTI_STATEMENT}
    return replace(facts, tables=None, pins=pins, multi=True, detail="several statements, or a body of them")


def _several(parts: list[StatementFacts]) -> StatementFacts:
    """Facts of statements sent together: the union of theirs."""
    pins = frozenset(pin for part in parts for pin in part.pins)
    if any(
        part.reason is Reason.OPAQUE or part.kind in (_K.EXPLAIN_ROUTE, _K.SESSION_STATE, _K.KILL) for part in parts
    ):
        pins |= {PinReason.MULTI_STATEMENT}
    known = all(part.tables is not None or part.kind in _NO_TABLES for part in parts)
    qualifiers = frozenset(name for part in parts for name in part.qualifiers)
    return StatementFacts(
        _K.MULTI,
        read=False,
        reason=Reason.MULTI_STATEMENT,
        pins=pins,
        looks_back=any(part.looks_back for part in parts),
        found_rows=any(part.found_rows for part in parts),
        user_variables=any(part.user_variables for part in parts),
        # A USE in the middle changes what unqualified names mean.
        tables=tuple(dict.fromkeys(_tables(parts))) if known and not any(part.use_schema for part in parts) else None,
        qualifiers=qualifiers,
        assignments=tuple(each for part in parts for each in part.assignments),
        multi=True,
        local_infile=any(part.local_infile for part in parts),
        harmless=all(part.harmless for part in parts),
        detail=", ".join(part.kind.value for part in parts[:8]),
    )


_NO_TABLES = frozenset({_K.SET, _K.BEGIN, _K.COMMIT, _K.ROLLBACK, _K.SAVEPOINT, _K.UNLOCK, _K.EMPTY})


def _tables(parts: Iterable[StatementFacts]) -> Iterable[TableRef]:
    for part in parts:
        yield from part.tables or ()


# -- one statement ---------------------------------------------------------------------------------------------


def _analyze_one(sql: bytes, tokens: list[Token], mode: LexMode, depth: int = 0) -> StatementFacts:
    facts = _facts_of_one(sql, tokens, mode, depth)
    if facts.kind is _K.SELECT:
        return facts
    harmless = facts.read or facts.harmless or (facts.kind in _HARMLESS and _HARMFUL_PINS.isdisjoint(facts.pins))
    if facts.kind is _K.SET:
        harmless = harmless and all(each.scope in ("session", "user") for each in facts.assignments)
    return replace(facts, harmless=True) if harmless else facts


_HARMLESS = frozenset(
    {_K.SHOW, _K.USE, _K.SET, _K.BEGIN, _K.COMMIT, _K.ROLLBACK, _K.SAVEPOINT, _K.UNLOCK, _K.DEALLOCATE, _K.KILL}
    | {_K.EMPTY, _K.EXPLAIN_ROUTE, _K.SESSION_STATE}
)
_HARMFUL_PINS = frozenset({PinReason.ROUTINE, PinReason.UNKNOWN, PinReason.NAMED_LOCK, PinReason.SEQUENCE})


def _facts_of_one(sql: bytes, tokens: list[Token], mode: LexMode, depth: int) -> StatementFacts:
    found = classify_tokens(tokens)
    if found.kind is _K.EXPLAIN_ROUTE and found.inner is not None:
        # With the comments in front of it: there may be hints among them.
        route = sql[tokens[found.inner - 1].end : tokens[-1].end].lstrip()
        as_json = tokens[1].text == "ROUTE" and found.inner == ROUTE_AS_JSON
        return StatementFacts(
            _K.EXPLAIN_ROUTE, read=False, reason=Reason.LOCAL, explain_route=route, explain_as_json=as_json
        )
    if found.inner is not None and depth < 3:
        return _outer(sql, tokens, found, _analyze_one(sql, tokens[found.inner :], mode, depth + 1), mode)
    seen = scan(sql, tokens, mode, found.kind)
    if found.opaque or found.inner is not None:
        return _with_scan(_opaque(seen.invalid or "not understood: " + _beginning(tokens)), seen)
    if seen.invalid is not None:
        return replace(_with_scan(_opaque(seen.invalid), seen), kind=found.kind)
    parsed = tree.parse(sql, tokens, found.kind) if found.kind in _PARSED else None
    if found.kind is _K.SELECT:
        # A reserved word that no SELECT has; the parser takes it for a name.
        strange = any(token.kind is TokenKind.WORD and token.text == "DELETE" for token in tokens)
        facts = _select(seen, None if strange else parsed)
        function = _only_function(tokens)
        return replace(facts, function=function) if function else facts
    pins = found.pins | seen.pins
    if seen.unknown_calls:
        pins |= {PinReason.ROUTINE}
    facts = _with_scan(StatementFacts(found.kind, read=False, reason=found.reason, pins=pins), seen)
    facts = _with_tree(facts, seen, parsed)
    if seen.unknown_calls:
        facts = replace(facts, detail=f"calls {seen.unknown_calls[0]}")
    elif facts.kind in (_K.SET, _K.DO) and _TABLE_WORDS.isdisjoint(token.text for token in tokens):
        facts = replace(facts, tables=())
    return _particulars(facts, sql, tokens, seen)


def _only_function(tokens: list[Token]) -> str:
    """The name in SELECT name() [[AS] alias] [FROM DUAL], of functions whose value the router knows; empty if not."""
    words = [token.text for token in tokens]
    if words[:1] != ["SELECT"] or words[2:4] != ["(", ")"] or words[1] not in _ANSWERED or len(words) > 8:
        return ""
    rest = words[4:-2] if words[-2:] == ["FROM", "DUAL"] else words[4:]
    return words[1] if len(rest[1:] if rest[:1] == ["AS"] else rest) <= 1 else ""


_TABLE_WORDS = frozenset({"SELECT", "TABLE", "VALUES", "WITH"})
_ANSWERED = frozenset({"CONNECTION_ID", "ROW_COUNT", "FOUND_ROWS"})


def _beginning(tokens: list[Token]) -> str:
    return " ".join(token.text for token in tokens[:4])


def _with_scan(facts: StatementFacts, seen: Scan) -> StatementFacts:
    pins = facts.pins | seen.pins
    if facts.kind is not _K.SET and seen.assigns:
        pins |= {PinReason.USER_VARIABLE}
    return replace(
        facts,
        pins=pins,
        looks_back=facts.looks_back or seen.looks_back is not None,
        found_rows=seen.found_rows,
        user_variables=facts.user_variables or seen.user_variable,
        qualifiers=frozenset(seen.qualifiers),
    )


def _with_tree(facts: StatementFacts, seen: Scan, parsed: tree.Tree | None) -> StatementFacts:
    if parsed is None:
        return facts
    schemas = {table.schema for table in parsed.tables if table.schema is not None}
    return replace(facts, tables=parsed.tables, qualifiers=frozenset((seen.qualifiers - parsed.names) | schemas))


def _select(seen: Scan, parsed: tree.Tree | None) -> StatementFacts:
    """A SELECT: a read unless something speaks against it."""
    obstacles = list(_obstacles(seen))
    if parsed is None:
        obstacles.append((Reason.NO_PARSE, "the parser does not know this syntax"))
    elif parsed.problem is not None:
        obstacles.append((Reason.NO_PARSE, f"{parsed.problem} is not known to be harmless"))
    reason, detail = obstacles[0] if obstacles else (Reason.READ, "")
    pins: frozenset[PinReason] = frozenset()
    if seen.procedure:
        pins = _UNKNOWN
    elif seen.unknown_calls:
        pins = frozenset({PinReason.ROUTINE})
    vouchable = bool(obstacles) and all(each in _VOUCHABLE for each, _ in obstacles)
    if seen.assigns:
        seen.pins.add(PinReason.USER_VARIABLE)
    qualifiers = seen.qualifiers
    if parsed is not None:
        qualifiers = qualifiers - parsed.names
        qualifiers.update(table.schema for table in parsed.tables if table.schema is not None)
    return StatementFacts(
        _K.SELECT,
        read=not obstacles,
        reason=reason,
        pins=pins | seen.pins,
        looks_back=seen.looks_back is not None,
        found_rows=seen.found_rows,
        user_variables=seen.user_variable,
        tables=parsed.tables if parsed is not None else None,
        qualifiers=frozenset(qualifiers),
        vouchable=vouchable,
        harmless=all(each in _TIED for each, _ in obstacles),
        detail=detail,
    )


_VOUCHABLE = frozenset({Reason.UNKNOWN_FUNCTION, Reason.NO_PARSE})
# Tied to one server or connection, but changing nothing.
_TIED = frozenset(
    {Reason.USER_VARIABLE, Reason.LOOKS_BACK, Reason.FOUND_ROWS, Reason.SERVER_FUNCTION, Reason.SERVER_VARIABLE}
)


def _obstacles(seen: Scan) -> Iterable[tuple[Reason, str]]:
    """What keeps a SELECT from being a read, the weightiest first."""
    if seen.procedure:
        yield Reason.OPAQUE, "PROCEDURE ANALYSE"
    if seen.into:
        yield Reason.SELECT_INTO, ""
    if seen.locking:
        yield Reason.LOCKING_READ, ""
    if seen.lock_calls:
        yield Reason.NAMED_LOCK, seen.lock_calls[0]
    if seen.sequence:
        yield Reason.SEQUENCE, ""
    if seen.user_variable or seen.assigns:
        yield Reason.USER_VARIABLE, ""
    if seen.looks_back is not None:
        yield Reason.LOOKS_BACK, seen.looks_back
    if seen.found_rows:
        yield Reason.FOUND_ROWS, ""
    if seen.server_calls:
        yield Reason.SERVER_FUNCTION, seen.server_calls[0]
    if seen.server_variables:
        yield Reason.SERVER_VARIABLE, seen.server_variables[0]
    if seen.unknown_calls:
        yield Reason.UNKNOWN_FUNCTION, seen.unknown_calls[0]


def _outer(
    sql: bytes, tokens: list[Token], found: Classification, inner: StatementFacts, mode: LexMode
) -> StatementFacts:
    """EXPLAIN, ANALYZE or SET STATEMENT around ``inner``."""
    assert found.inner is not None
    head = tokens[: found.inner]
    seen = scan(sql, head, mode, found.kind)
    pins = inner.pins | seen.pins
    if seen.invalid is not None:
        return replace(_opaque(seen.invalid), kind=found.kind)
    facts = replace(inner, kind=found.kind, pins=pins, qualifiers=inner.qualifiers | seen.qualifiers)
    if found.kind is _K.SET:
        # SET STATEMENT a = 1 FOR …: the assignments end with the statement.
        assigned = parse_set(sql, [head[0], *head[2:-1]], scope="statement")
        if assigned is None:
            return _opaque("not understood: SET STATEMENT")
        return replace(facts, read=False, vouchable=False, reason=Reason.SET, assignments=assigned.assigned)
    harmless = inner.harmless or not found.runs_inner
    if inner.read and not seen.user_variable:
        return facts
    reason = inner.reason if found.runs_inner or inner.reason is Reason.OPAQUE else Reason.EXPLAIN
    return replace(facts, read=False, vouchable=False, harmless=harmless, reason=reason)


# -- particulars of some kinds ---------------------------------------------------------------------------------


def _particulars(facts: StatementFacts, sql: bytes, tokens: list[Token], seen: Scan) -> StatementFacts:
    match facts.kind:
        case _K.SET:
            return _set(facts, sql, tokens, seen)
        case _K.SHOW:
            return _show(facts, sql, tokens)
        case _K.EXPLAIN:  # of a table, or of another connection's statement
            return replace(facts, harmless=True)
        case _K.USE:
            if len(tokens) == 2 and tokens[1].kind in (TokenKind.WORD, TokenKind.QUOTED):
                name = name_of(sql, tokens[1])
                return replace(facts, use_schema=name, qualifiers=frozenset({name}))
            return _opaque("not understood: " + _beginning(tokens))
        case _K.KILL:
            return replace(facts, kill=_kill(tokens))
        case _K.DDL:
            return replace(facts, qualifiers=facts.qualifiers | _databases(sql, tokens))
        case _K.ADMIN if facts.reason is Reason.LOOKS_BACK:
            return replace(facts, looks_back=True)
        case _K.LOAD_DATA:
            pins = facts.pins | ({PinReason.USER_VARIABLE} if seen.user_variable else set())
            return replace(facts, pins=pins, local_infile="LOCAL" in [token.text for token in tokens[:5]])
    return facts


def _set(facts: StatementFacts, sql: bytes, tokens: list[Token], seen: Scan) -> StatementFacts:
    assigned = parse_set(sql, tokens)
    if assigned is None:
        return replace(_with_scan(_opaque("not understood: " + _beginning(tokens)), seen), kind=_K.SET)
    pins = facts.pins | assigned.pins
    if seen.assigns > assigned.operators:
        pins |= {PinReason.USER_VARIABLE}
    # `SET x.y = 1` is a variable, not a table of a database.
    targets = {each.name.split(".")[0] for each in assigned.assigned if "." in each.name}
    qualifiers = frozenset(name for name in facts.qualifiers if name.lower() not in targets)
    return replace(facts, pins=pins, assignments=assigned.assigned, qualifiers=qualifiers)


def _show(facts: StatementFacts, sql: bytes, tokens: list[Token]) -> StatementFacts:
    words = [token.text for token in tokens]
    back = any(word in ("WARNINGS", "ERRORS", "PROFILE", "PROFILES") for word in words[1:6])
    names = set(facts.qualifiers)
    if words[1:3] in (["CREATE", "DATABASE"], ["CREATE", "SCHEMA"]) and len(tokens) > 3:
        names.add(name_of(sql, tokens[-1]))
    # SHOW COLUMNS FROM table FROM database; SHOW TABLES FROM database.
    places = [index + 1 for index, word in enumerate(words) if word in ("FROM", "IN") and index + 1 < len(words)]
    if any(word in ("COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS") for word in words[1:5]):
        places = places[1:2]
    for index in places[:1]:
        if tokens[index].kind in (TokenKind.WORD, TokenKind.QUOTED):
            names.add(name_of(sql, tokens[index]))
    return replace(
        facts,
        looks_back=facts.looks_back or back,
        reason=Reason.LOOKS_BACK if back else facts.reason,
        qualifiers=frozenset(names),
    )


def _databases(sql: bytes, tokens: list[Token]) -> frozenset[str]:
    """The database of CREATE, ALTER or DROP DATABASE."""
    words = [token.text for token in tokens[:8]]
    for index, word in enumerate(words[1:], start=1):
        if word in ("DATABASE", "SCHEMA") and index <= 3:
            rest = [token for token in tokens[index + 1 :] if token.text not in ("IF", "NOT", "EXISTS")]
            if rest and rest[0].kind in (TokenKind.WORD, TokenKind.QUOTED):
                return frozenset({name_of(sql, rest[0])})
    return frozenset()


def _kill(tokens: list[Token]) -> tuple[str, int] | None:
    rest = [token.text for token in tokens[1:]]
    what = "connection"
    if rest and rest[0] in ("CONNECTION", "QUERY"):
        what = rest.pop(0).lower()
    if len(rest) == 1 and rest[0].isascii() and rest[0].isdigit() and len(rest[0]) <= 20:
        return what, int(rest[0])
    return None


# -- statements too large to analyse ---------------------------------------------------------------------------

_SUSPICIOUS = re.compile(
    rb"(?i)@|:=|;\s*\S|/\*[Mm]?!|\bINTO\s+(?:OUT|DUMP)FILE\b|\bPROCEDURE\b|\bVALUE\s+FOR\b|\xa0|\0"
)
_CALLS = re.compile(rb"([A-Za-z_$0-9\x80-\xff`]+)\s*\(")
_DOTTED = re.compile(rb"([A-Za-z_$0-9\x80-\xff]+|`[^`]+`)\s*\.")
_LOOKS_BACK = re.compile(rb"(?i)\b(?:LAST_INSERT_ID|ROW_COUNT|FOUND_ROWS)\b|@@")
_HEAD = 2048


def _too_large(text: bytes, mode: LexMode) -> StatementFacts:
    """Searched at C speed only: primary; pinned when anything in it could leave state behind."""
    head = [token for token in tokenize(text[:_HEAD], mode) if token.kind not in MARKS]
    found = classify_tokens(head)
    names = {token.text for token in head[:8]}  # the table of INSERT INTO t (columns) is no call
    calls = {name.decode("latin-1").upper() for name in set(_CALLS.findall(text))}
    unknown = calls - READ_FUNCTIONS - PAREN_KEYWORDS - names - {"VALUE", "LAST_INSERT_ID", "ROW_COUNT", "FOUND_ROWS"}
    suspicious = _SUSPICIOUS.search(text)
    pins = found.pins
    if unknown or suspicious or found.inner is not None or found.kind is _K.SET:
        pins |= _UNKNOWN
    several = re.search(rb";\s*\S", text) is not None
    hints = parse_hints([token.text for token in tokenize(text[:_HEAD], mode) if token.kind is TokenKind.HINT])
    return StatementFacts(
        _K.MULTI if several and found.kind is not _K.DDL else found.kind,
        read=False,
        reason=Reason.TOO_LARGE,
        pins=pins,
        looks_back=_LOOKS_BACK.search(text) is not None,
        user_variables=suspicious is not None,
        qualifiers=frozenset(_dotted(text)),
        hints=hints if hints.error is None else Hints(),
        multi=several,
        local_infile=found.kind is _K.LOAD_DATA and b"LOCAL" in text[:_HEAD].upper(),
        detail=f"{len(text)} bytes without its literals",
    )


def _dotted(text: bytes) -> Iterable[str]:
    for name in set(_DOTTED.findall(text)):
        yield name.strip(b"`").decode("utf-8", "backslashreplace")
