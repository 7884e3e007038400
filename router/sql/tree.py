"""sqlglot's part: the tree of a statement, to prove its shape and to find its tables.

The parser never sees the client's text but one rebuilt from our tokens: strings and numbers replaced, sql_mode and
character set resolved. So it cannot be made to read something else than the server does, and nothing here depends on
values. Guards in front of it (measured with sqlglot 30.30, compiled): thousands of nested subqueries crash the process,
and JOINs without ON take time exponential in their number (18 of them: a second). Both are bounded before parsing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot import parse as sqlglot_parse
from sqlglot.errors import SqlglotError
from sqlglot.parser import logger

from router.sql.builtins import LOOK_BACK_FUNCTIONS, READ_FUNCTIONS, SERVER_FUNCTIONS
from router.sql.facts import StatementKind, TableRef
from router.sql.lexer import Token, TokenKind

MAX_DEPTH = 200
MAX_TOKENS = 20_000
# Outer joins whose ON has not come yet: each doubles the parser's time.
MAX_PENDING_JOINS = 8

# The library warns on standard error about what it does not know; here that is an answer, not an event.
logger.disabled = True


@dataclass(frozen=True, slots=True)
class Tree:
    """``problem``: why the tree is not a proven read, None when it is. ``names``: aliases and tables, no databases."""

    tables: tuple[TableRef, ...]
    names: frozenset[str]
    problem: str | None


def parse(sql: bytes, tokens: list[Token], kind: StatementKind) -> Tree | None:
    """The tree of one SELECT, INSERT, REPLACE, UPDATE, DELETE or DDL statement; None when it cannot be had."""
    text = rebuild(sql, tokens, kind)
    if text is None:
        return None
    try:
        root = _root(text)
        if root is None or (isinstance(root, exp.Create | exp.Drop) and root.args.get("kind") not in ("TABLE", "VIEW")):
            return None
        return _examine(root)
    except _PARSER_FAULTS:
        return None


Cuts = Mapping[int, tuple[int, bytes]]
"""What the parser sees in place of some tokens: of a first one up to before another, this text."""


def parse_marked(sql: bytes, tokens: list[Token], kind: StatementKind, cuts: Cuts | None = None) -> exp.Expr | None:
    """The tree itself, in which literals and parameters are marks of the tokens they were (``mark_of``)."""
    text = rebuild(sql, tokens, kind, marked=True, cuts=cuts)
    if text is None:
        return None
    try:
        return _root(text)
    except _PARSER_FAULTS:
        return None


def mark_of(node: exp.Expr) -> int | None:
    """The index of the token that a literal or parameter stands for; None for any other node."""
    if isinstance(node, exp.Placeholder):
        name = node.name
        return int(name[1:]) if name[:1] == "v" and name[1:].isdigit() else None
    if not isinstance(node, exp.Literal):
        return None
    text = node.name
    if text.startswith("$"):
        return int(text[1:]) if text[1:].isdigit() else None
    number = int(text) - _MARK if text.isdigit() else -1
    return number if number >= 0 else None


def token_of(node: object, sql: bytes, tokens: list[Token], kind: StatementKind) -> int | None:
    """The index of the first token of a node of ``parse_marked``'s tree; None where that cannot be told.

    The parser tells where in the rebuilt text a word stands: as the how-many-th of its kind, so it is in the statement.
    """
    text = rebuild(sql, tokens, kind, marked=True)
    if text is None or not isinstance(node, exp.Expr):
        return None
    found: list[int] = []
    for each in node.walk():
        mark = mark_of(each)
        if mark is not None:
            found.append(mark)
        elif "start" in each.meta:
            start, end = each.meta["start"], each.meta["end"] + 1
            word, before = text[start:end].encode(), text[:start].split(" ").count(text[start:end])
            same = [index for index, token in enumerate(tokens) if sql[token.start : token.end] == word]
            found += same[before : before + 1]
    return min((each for each in found if each < len(tokens)), default=None)


def _root(text: str) -> exp.Expr | None:
    roots = sqlglot_parse(text, read="mysql")
    if len(roots) != 1 or roots[0] is None or not isinstance(roots[0], _ROOTS):
        return None
    return roots[0]


# The parser's own bugs surface as plain exceptions; every one of them means "not understood".
_PARSER_FAULTS = (
    SqlglotError, RecursionError, ValueError, TypeError, AttributeError, KeyError, IndexError,
)  # fmt: skip
# Numbers as marks: token 7 is written as this and 7.
_MARK = 10_000_000

# -- rebuilding the text ---------------------------------------------------------------------------------------

_MODIFIERS = frozenset({"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "QUICK", "IGNORE"})
_SELECT_OPTIONS = frozenset({"SELECT", "DISTINCT", "ALL", "DISTINCTROW", "HIGH_PRIORITY", "SQL_CALC_FOUND_ROWS"})
_NESTING = {"CASE": 1, "END": -1}


def rebuild(
    sql: bytes, tokens: list[Token], kind: StatementKind, *, marked: bool = False, cuts: Cuts | None = None
) -> str | None:
    """The statement for the parser; None when it is too long or too deep for it."""
    if len(tokens) > MAX_TOKENS:
        return None
    pieces: list[bytes] = []
    add = pieces.append
    depth = deepest = pending = cases = 0
    # Modifiers follow the verb, which may stand behind common table expressions; there they do not matter.
    modifiers = kind in _MODIFIED and tokens[0].text in _VERBS
    seen = 0
    for index, (token_kind, start, end, text) in enumerate(tokens):
        if cuts and (index < seen or index in cuts):
            if index in cuts:
                seen, instead = cuts[index]
                add(instead)
            continue
        if token_kind is TokenKind.WORD:
            if modifiers and index <= 4:
                if text in _MODIFIERS:
                    continue
                if text == "REPLACE" and index == 0:  # a Command to sqlglot; its tables are those of an INSERT
                    add(b"INSERT")
                    continue
            if text == "VALUE" and modifiers and index + 1 < len(tokens) and tokens[index + 1].text == "(":
                add(b"VALUES")
                continue
            if text in _JOIN_WORDS:
                pending = max(0, pending + _join(tokens, index, pieces))
                if pending > MAX_PENDING_JOINS:
                    return None
                continue
            if text in _NESTING:
                cases = max(0, cases + _NESTING[text])
                deepest = max(deepest, cases)
            if _is_prefix(tokens, index):
                continue
            add(sql[start:end])
        elif token_kind is TokenKind.PUNCT:
            if text == "(":
                depth += 1
                deepest = max(deepest, depth)
            elif text == ")":
                depth -= 1
            if text not in ("{", "}"):
                add(b"NULL" if text == "\\N" else text.encode("latin-1"))
        elif token_kind is TokenKind.QUOTED:
            add(_backticked(sql[start:end]))
        elif marked and token_kind in _MARKED and not (index and _is_prefix(tokens, index - 1)):
            add(_MARKED[token_kind] % index)
        else:
            add(_OTHER.get(token_kind, b"") or sql[start:end])
    if deepest > MAX_DEPTH:
        return None
    return _decode(b" ".join(pieces))


_MODIFIED = frozenset({StatementKind.INSERT, StatementKind.REPLACE, StatementKind.UPDATE, StatementKind.DELETE})
_VERBS = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE"})
_JOIN_WORDS = frozenset({"JOIN", "STRAIGHT_JOIN", "INNER", "CROSS", "ON", "USING"})
_MARKED = {TokenKind.STRING: b"'$%d'", TokenKind.NUMBER: b"1%07d", TokenKind.PARAM: b":v%d"}
_OTHER = {TokenKind.STRING: b"'$'", TokenKind.NUMBER: b"1", TokenKind.SYSVAR: b"1", TokenKind.USERVAR: b"@v"}


def _join(tokens: list[Token], index: int, pieces: list[bytes]) -> int:
    """Write a word of a join; how many more outer joins then wait for their ON.

    JOIN, INNER JOIN, CROSS JOIN and STRAIGHT_JOIN are the same to MySQL, and sqlglot parses CROSS JOIN, with or without
    ON, in linear time.
    """
    text = tokens[index].text
    before = tokens[index - 1].text if index else ""
    if before == "." or (index + 1 < len(tokens) and tokens[index + 1].text == "."):
        pieces.append(b"`" + text.encode("latin-1") + b"`")
        return 0
    match text:
        case "ON" | "USING":
            pieces.append(text.encode("latin-1"))
            return -1
        case "STRAIGHT_JOIN":
            if before not in _SELECT_OPTIONS and not before.startswith("SQL_"):
                pieces.append(b"CROSS JOIN")
            return 0
        case "JOIN":
            if before in ("LEFT", "RIGHT", "OUTER", "NATURAL") or (
                before == "INNER" and index >= 2 and tokens[index - 2].text == "NATURAL"
            ):
                pieces.append(b"JOIN")
                return "NATURAL" not in [token.text for token in tokens[max(0, index - 3) : index]]
            if index >= 1 and tokens[index - 1].text == "FOR":  # USE INDEX FOR JOIN
                pieces.append(b"JOIN")
            else:
                pieces.append(b"CROSS JOIN")
            return 0
    return 0  # INNER, CROSS: the JOIN behind them says it all


def _is_prefix(tokens: list[Token], index: int) -> bool:
    """Whether the word only says how the string or braces beside it are to be read: _utf8'x', N'x', {d 'x'}, {oj …}."""
    token = tokens[index]
    if index and tokens[index - 1].text == "{":
        return True
    if index + 1 == len(tokens) or tokens[index + 1].kind is not TokenKind.STRING:
        return False
    return token.text[0] == "_" or (token.text in ("X", "B", "N") and tokens[index + 1].start == token.end)


def _backticked(raw: bytes) -> bytes:
    if raw[:1] == b"`":
        return raw
    return b"`" + raw[1:-1].replace(b'""', b'"').replace(b"`", b"``") + b"`"


def _decode(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


# -- reading the tree ------------------------------------------------------------------------------------------


def _subclasses(cls: type[exp.Expr]) -> set[type[exp.Expr]]:
    found = {cls}
    for child in cls.__subclasses__():
        found |= _subclasses(child)
    return found


_ROOTS = (
    exp.Select, exp.SetOperation, exp.Subquery, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Create, exp.Drop,
    exp.Alter, exp.TruncateTable,
)  # fmt: skip
_READ_ROOTS = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)
# Functions and variables are judged by the text (scan.py), so their nodes may stand in a read; calls that the parser
# does not know are checked by name once more.
_KNOWN_CALLS = READ_FUNCTIONS | SERVER_FUNCTIONS | LOOK_BACK_FUNCTIONS | {"ROW", "VALUES"}
_READ_NODES: frozenset[type[exp.Expr]] = frozenset(
    {
        exp.Select, exp.Subquery, exp.Values, exp.Tuple, exp.From, exp.Join, exp.Where, exp.Group, exp.Having,
        exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Table, exp.TableAlias, exp.Identifier, exp.Star, exp.Alias,
        exp.Aliases, exp.With, exp.CTE, exp.Window, exp.WindowSpec, exp.Var, exp.DataType, exp.DataTypeParam,
        exp.Distinct, exp.Interval, exp.IndexTableHint, exp.Lateral, exp.JSONSchema, exp.JSONColumnDef, exp.Introducer,
        exp.Partition, exp.Rollup, exp.Version, exp.Hint, exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey,
        exp.CharacterSet, exp.IgnoreNulls, exp.RespectNulls, exp.OpenJSONColumnDef, exp.WithTableHint, exp.OnCondition,
        exp.Schema, exp.JSONKeyValue, exp.JSONValue, exp.ColumnDef,
    }
    | _subclasses(exp.SetOperation)
    | _subclasses(exp.Condition)
    | _subclasses(exp.Func)
) - {exp.SessionParameter}  # fmt: skip


def _examine(root: exp.Expr) -> Tree:
    tables: dict[TableRef, None] = {}
    names: set[str] = set()
    problem = None if isinstance(root, _READ_ROOTS) else type(root).__name__
    scoped = root.find(exp.With) is not None
    targets = _delete_targets(root) if isinstance(root, exp.Delete) else frozenset()
    for node in root.walk():
        if problem is None and type(node) not in _READ_NODES:
            problem = type(node).__name__
        if isinstance(node, exp.Table):
            if not isinstance(node.this, exp.Identifier):
                continue  # JSON_TABLE, a function
            schema = node.db or None
            names.add(node.name)
            if node.name == "$" and problem is None:
                problem = "a string for a table"
            # DELETE a FROM t AS a: what it deletes from is named again in FROM.
            if schema is None and (id(node) in targets or (scoped and _is_cte(node))):
                continue
            if schema is None and node.name.upper() == "DUAL" and not node.this.quoted:
                continue
            tables[TableRef(schema, node.name)] = None
        elif isinstance(node, exp.TableAlias):
            names.add(node.name)
        elif isinstance(node, exp.Anonymous) and problem is None:
            name = node.name.upper()
            if name not in _KNOWN_CALLS:
                problem = f"{node.name}()"
    return Tree(tuple(tables), frozenset(names), problem)


def _delete_targets(root: exp.Delete) -> frozenset[int]:
    """Ids of the tables in DELETE a FROM … and DELETE FROM a USING …: the rest of the statement says what they are."""
    targets = list(root.args.get("tables") or ())
    if root.args.get("using"):
        targets.append(root.this)
    return frozenset(id(node) for node in targets)


def _is_cte(table: exp.Expr) -> bool:
    """Whether an unqualified table name means a common table expression that is visible where it stands."""
    name = table.name.lower()
    child: exp.Expr = table
    parent = table.parent
    while parent is not None:
        if isinstance(parent, exp.With):
            # Inside a definition: those before it, and itself when recursive.
            for cte in parent.expressions:
                if cte is child:
                    if parent.args.get("recursive") and cte.alias.lower() == name:
                        return True
                    break
                if cte.alias.lower() == name:
                    return True
            if parent.parent is None:
                return False
            child, parent = parent.parent, parent.parent.parent
            continue
        with_ = parent.args.get("with_")
        if with_ is not None and any(cte.alias.lower() == name for cte in with_.expressions):
            return True
        child, parent = parent, parent.parent
    return False
