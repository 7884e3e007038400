"""Statements about the tables of sharded schemas: SHOW TABLES, SHOW TABLE STATUS, and reads of information_schema.

Such a statement goes where it would go anyway, to the schema's own group, but asks more (``planner/description``).
"""

from __future__ import annotations

from collections.abc import Sequence

from router.planner.clauses import Span
from router.planner.description import Asks, Heading, Only, View, literal
from router.planner.routes import Unplannable
from router.planner.tables import ShardedSchema
from router.sql.facts import StatementFacts, StatementKind
from router.sql.lexer import LexMode, Token, TokenKind, tokens_of
from router.sql.scan import name_of

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
    }
)
_NAMES = frozenset({TokenKind.WORD, TokenKind.QUOTED})
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
    pieces: list[str | Span | View] = []
    done = index = 0
    while index + 2 < len(tokens):
        view = _view_at(sql, tokens, index)
        if view is None:
            index += 1
            continue
        pieces.append(Span(done, index))
        following = tokens[index + 3].text if index + 3 < len(tokens) else ""
        if following == ".":  # information_schema.tables.table_name: the alias has no database
            done = index = index + 2
            continue
        pieces.append(View(view))
        named = following == "AS" or (
            index + 3 < len(tokens) and tokens[index + 3].kind in _NAMES and following not in _BEHIND
        )
        done = index = index + (3 if named else 2)
        if not named:
            pieces.append("AS")
    pieces.append(Span(done, len(tokens)))
    return tuple(pieces)


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
