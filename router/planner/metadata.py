"""Statements about the tables of sharded schemas: SHOW TABLES, SHOW TABLE STATUS, and reads of information_schema.

Such a statement goes where it would go anyway, to the schema's own group, but asks more (``planner/description``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from router.planner.clauses import Span, clauses_of
from router.planner.description import Asks, Heading, Named, Only, Piece, View, literal
from router.planner.routes import Unplannable
from router.planner.tables import ShardedSchema
from router.sql.classify import classify_tokens
from router.sql.facts import StatementFacts, StatementKind
from router.sql.lexer import LexMode, Token, TokenKind, tokens_of
from router.sql.scan import name_of

# Tokens from the first number on, before the second, and what is put in their place.
Edit = tuple[int, int, Asks]
INFORMATION_SCHEMA = "information_schema"
VIEWS = frozenset(
    {
        "TABLES",
        "COLUMNS",
        "STATISTICS",
        "KEY_COLUMN_USAGE",
        "TABLE_CONSTRAINTS",
        "REFERENTIAL_CONSTRAINTS",
        "CHECK_CONSTRAINTS",
        "SCHEMATA",
    }
)
_NAMES = frozenset({TokenKind.WORD, TokenKind.QUOTED})
_LITERALS = frozenset({TokenKind.STRING, TokenKind.NUMBER, TokenKind.PARAM})
_FROM = frozenset({"FROM", "IN"})
# What may follow a table: all other words are its alias.
_BEHIND = frozenset({"WHERE", "JOIN", "INNER", "LEFT", "RIGHT", "CROSS", "NATURAL", "STRAIGHT_JOIN", "ON", "USING"}) | {
    *("GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "FOR", "LOCK", "INTO", "WINDOW"),
    *("USE", "FORCE", "IGNORE", "PARTITION", "PROCEDURE", "FETCH", "OFFSET"),
}


def views_read(facts: StatementFacts) -> frozenset[str]:
    """The views of information_schema that a SELECT reads and that sharded tables have rows in."""
    if facts.kind is not StatementKind.SELECT:
        return frozenset()
    return VIEWS.intersection(
        table.name.upper()
        for table in facts.tables or ()
        if table.schema is not None and table.schema.lower() == INFORMATION_SCHEMA
    )


def asks_of_select(sql: bytes, mode: LexMode, facts: StatementFacts) -> Asks | None:
    """How to ask a SELECT of information_schema; None when it reads no view that matters. Raises Unplannable."""
    if not views_read(facts):
        return None
    if not facts.read:
        raise Unplannable(f"information_schema in a SELECT that is not proven to be a read ({facts.reason.value})")
    tokens = tokens_of(sql, mode)
    edits = [*_views(sql, tokens), *_headings(sql, tokens)]
    pieces: list[Piece] = []
    done = 0
    for start, end, put in sorted(edits, key=lambda edit: edit[:2]):
        pieces += [Span(done, start), *put]
        done = end
    return (*pieces, Span(done, len(tokens)))


def _views(sql: bytes, tokens: Sequence[Token]) -> Iterator[Edit]:
    """The views that are read, and columns that are named with their database."""
    for index in range(len(tokens) - 2):
        view = _view_at(sql, tokens, index)
        if view is None:
            continue
        following = tokens[index + 3] if index + 3 < len(tokens) else None
        if following is not None and following.text == ".":
            yield index, index + 2, ()
        elif following is not None and following.kind in _NAMES and following.text not in _BEHIND:
            yield index, index + 3, (View(view),)
        else:
            yield index, index + 3, (View(view), "AS", Span(index + 2, index + 3))


def _headings(sql: bytes, tokens: Sequence[Token]) -> Iterator[Edit]:
    """Columns in the list of a SELECT that reads a view, which have no alias."""
    try:
        clauses = clauses_of(tokens, Span(0, len(tokens)))
    except LookupError:
        return
    depth = 0
    direct = False
    for index in range(*clauses.body):
        depth += (tokens[index].text == "(") - (tokens[index].text == ")")
        direct |= depth == 0 and index + 2 < len(tokens) and _view_at(sql, tokens, index) is not None
    for item in clauses.items if direct else ():
        named = tokens[item.first : item.last : 2]
        dots = tokens[item.first + 1 : item.last : 2]
        plain = len(named) == len(dots) + 1 and all(each.kind in _NAMES for each in named)
        if plain and all(each.text == "." for each in dots):
            yield item.last, item.last, (Named(name_of(sql, named[-1]).upper()),)


def _view_at(sql: bytes, tokens: Sequence[Token], index: int) -> str | None:
    schema, dot, table = tokens[index : index + 3]
    if dot.text != "." or schema.kind not in _NAMES or table.kind not in _NAMES:
        return None
    if index and tokens[index - 1].text == ".":
        return None
    if name_of(sql, schema).lower() != INFORMATION_SCHEMA:
        return None
    view = name_of(sql, table).upper()
    return view if view in VIEWS else None


def asks_of_show(sql: bytes, mode: LexMode, default: str | None) -> tuple[str, Asks] | None:
    """The schema that a SHOW [FULL] TABLES or SHOW TABLE STATUS is about, and how to ask it; None for others."""
    tokens = tokens_of(sql, mode)
    words = [token.text if token.kind is TokenKind.WORD else "" for token in tokens]
    full = words[1:2] == ["FULL"]
    at = 2 if full else 1
    status = words[at : at + 2] == ["TABLE", "STATUS"] and not full
    if not status and words[at : at + 1] != ["TABLES"]:
        return None
    at += 2 if status else 1
    schema = default
    if at + 1 < len(tokens) and words[at] in _FROM and tokens[at + 1].kind in _NAMES:
        schema = name_of(sql, tokens[at + 1])
        at += 2
    if schema is None:
        return None
    rest = tokens[at:]
    like = len(rest) == 2 and words[at] == "LIKE" and rest[1].kind is TokenKind.STRING
    if rest and not like and not (len(rest) > 1 and words[at] == "WHERE"):
        return None
    if any(token.kind is TokenKind.PARAM for token in rest):
        return None
    pattern = at + 1 if like else None
    source: Asks
    if status:
        heading, source = Heading("Name"), (View("TABLES", schema),)
    else:
        heading = Heading(f"Tables_in_{schema}", pattern)
        kind = ", TABLE_TYPE AS Table_type" if full else ""
        source = (
            "(SELECT TABLE_NAME AS",
            heading,
            f"{kind} FROM",
            View("TABLES"),
            f"AS t WHERE TABLE_SCHEMA = {literal(schema)})",
        )
    condition = _condition(heading, pattern, at, len(tokens))
    # In the order of their names' bytes, as servers show tables.
    return schema, ("SELECT * FROM", *source, "AS t", *condition, "ORDER BY CAST(", heading, "AS BINARY)")


def asks_of_databases(sql: bytes, mode: LexMode) -> Asks | None:
    """How to ask SHOW DATABASES; None for others."""
    tokens = tokens_of(sql, mode)
    words = [token.text if token.kind is TokenKind.WORD else "" for token in tokens]
    if words[1:2] not in (["DATABASES"], ["SCHEMAS"]) or any(token.kind is TokenKind.PARAM for token in tokens):
        return None
    like = len(tokens) == 4 and words[2] == "LIKE" and tokens[3].kind is TokenKind.STRING
    if len(tokens) > 2 and not like and not (len(tokens) > 3 and words[2] == "WHERE"):
        return None
    pattern = 3 if like else None
    heading = Heading("Database", pattern)
    source: Asks = ("(SELECT SCHEMA_NAME AS", heading, "FROM", View("SCHEMATA"), "AS t)")
    condition = _condition(heading, pattern, 2, len(tokens))
    return ("SELECT * FROM", *source, "AS t", *condition, "ORDER BY CAST(", heading, "AS BINARY)")


def asks_where_it_is(sql: bytes, mode: LexMode) -> bool:
    """Whether a statement calls DATABASE() or SCHEMA()."""
    tokens = tokens_of(sql, mode)
    return any(
        token.kind is TokenKind.WORD
        and token.text in ("DATABASE", "SCHEMA")
        and [each.text for each in tokens[index + 1 : index + 3]] == ["(", ")"]
        for index, token in enumerate(tokens)
    )


def _condition(heading: Heading, pattern: int | None, at: int, end: int) -> Asks:
    if pattern is not None:
        # MariaDB's views compare names without case, its SHOW as those of files.
        return ("WHERE", heading, Only("mariadb", "COLLATE utf8mb3_bin"), Span(pattern - 1, pattern + 1))
    return ("WHERE (", Span(at + 1, end), ")") if at < end else ()


def renamed(sql: bytes, mode: LexMode, facts: StatementFacts, schema: ShardedSchema, database: str) -> Asks:
    """A SHOW or DESCRIBE of one table in which ``schema`` has the name it has on a shard."""
    tokens = tokens_of(sql, mode)
    places = [
        index for index, token in enumerate(tokens) if _is_database(tokens, index, facts) and token.kind in _NAMES
    ]
    pieces: list[str | Span] = []
    done = 0
    for index in places:
        if name_of(sql, tokens[index]) == schema.name:
            pieces += [Span(done, index), "`" + database.replace("`", "``") + "`"]
            done = index + 1
    return (*pieces, Span(done, len(tokens)))


def _is_database(tokens: Sequence[Token], index: int, facts: StatementFacts) -> bool:
    """``db.table``, or what stands behind the second FROM."""
    if index + 1 < len(tokens) and tokens[index + 1].text == ".":
        return tokens[index - 1].text != "."
    before = [number for number, token in enumerate(tokens[:index]) if token.text in _FROM]
    return facts.kind is StatementKind.SHOW and len(before) == 2 and before[1] == index - 1


def explained(sql: bytes, mode: LexMode) -> tuple[bytes, int] | None:
    """The statement that an EXPLAIN is about, and the number of its first token; None for a table's description.

    Raises Unplannable.
    """
    tokens = tokens_of(sql, mode)
    found = classify_tokens(tokens)
    if found.inner is None:
        return None
    if any(token.kind in _LITERALS or token.text == "INTO" for token in tokens[: found.inner]):
        raise Unplannable("EXPLAIN of this form")
    return sql[tokens[found.inner].start :], found.inner
