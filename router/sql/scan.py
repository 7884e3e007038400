"""What a statement's tokens give away without parsing: calls, variables, locks, names that may be databases.

This scan, not the parser, decides which functions a statement calls: it sees the text as the server does, while the
parser maps names of many dialects onto each other. A word before a parenthesis is a call unless its place rules that
out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from router.sql.builtins import (
    KEYWORDS,
    LOOK_BACK_FUNCTIONS,
    LOOK_BACK_VARIABLES,
    PAREN_KEYWORDS,
    READ_FUNCTIONS,
    SEQUENCE_FUNCTIONS,
    SERVER_FUNCTIONS,
    SESSION_SCOPES,
    SESSION_VARIABLES,
    SPACE_SENSITIVE,
    TAKES_NAMED_LOCK,
    TYPE_NAMES,
)
from router.sql.facts import PinReason, StatementKind
from router.sql.lexer import LexMode, Token, TokenKind

_WORD, _QUOTED, _STRING, _NUMBER = TokenKind.WORD, TokenKind.QUOTED, TokenKind.STRING, TokenKind.NUMBER
_USERVAR, _SYSVAR, _PUNCT, _INVALID = TokenKind.USERVAR, TokenKind.SYSVAR, TokenKind.PUNCT, TokenKind.INVALID
_SUBQUERY = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "("})
_COMPARISONS = frozenset({"=", "<", ">", "<=", ">=", "<>", "!=", "<=>"})
_ASCII_PARTS = re.compile(r"[A-Z0-9_$]+")
_START = Token(TokenKind.PUNCT, 0, 0, "")


@dataclass(slots=True)
class Scan:
    """What ``scan`` found. Lists hold names, as details for people."""

    invalid: str | None = None
    unknown_calls: list[str] = field(default_factory=list)
    server_calls: list[str] = field(default_factory=list)
    server_variables: list[str] = field(default_factory=list)
    lock_calls: list[str] = field(default_factory=list)
    sequence: bool = False
    looks_back: str | None = None
    locking: bool = False
    into: bool = False
    procedure: bool = False
    found_rows: bool = False
    user_variable: bool = False
    assigns: int = 0  # `:=`
    pins: set[PinReason] = field(default_factory=set)
    qualifiers: set[str] = field(default_factory=set)


def name_of(sql: bytes, token: Token) -> str:
    """The identifier a WORD or QUOTED token writes, in its own case and without quotes."""
    raw = sql[token.start : token.end]
    if token.kind is _QUOTED:
        quote = raw[:1]
        raw = raw[1:-1].replace(quote + quote, quote)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def scan(sql: bytes, tokens: list[Token], mode: LexMode, kind: StatementKind) -> Scan:
    """Look at every token once. ``tokens`` without hints and versioned comment marks."""
    return _Scanner(sql, tokens, mode, kind).run()


class _Scanner:
    __slots__ = ("found", "kind", "lists", "mode", "openers", "sql", "tokens")

    def __init__(self, sql: bytes, tokens: list[Token], mode: LexMode, kind: StatementKind) -> None:
        self.sql = sql
        self.tokens = tokens
        self.mode = mode
        self.kind = kind
        self.found = Scan()
        self.lists = (
            _column_list_names(tokens) if kind in (StatementKind.INSERT, StatementKind.REPLACE) else frozenset()
        )
        self.openers: list[str] = []  # the word before each open parenthesis

    def run(self) -> Scan:
        tokens, found = self.tokens, self.found
        previous = _START
        last = len(tokens) - 1
        ddl = self.kind is StatementKind.DDL
        load = self.kind is StatementKind.LOAD_DATA
        calls = not ddl and not load
        makes_table = ddl and "TABLE" in [token.text for token in tokens[:4]]
        for index, token in enumerate(tokens):
            kind, _, _, text = token
            if kind is _WORD or kind is _QUOTED:
                following = tokens[index + 1].text if index < last else ""
                if following == "(" and tokens[index + 1].kind is _PUNCT:
                    if calls:
                        self._call(index, token, previous)
                    else:
                        self._lock_call(token)
                elif following == "." and previous.kind is not _SYSVAR and previous.text != "@@":
                    self._qualifier(index, token, previous)
                if kind is _WORD:
                    if previous.text == ".":
                        found.sequence |= text in SEQUENCE_FUNCTIONS and following != "("
                    elif text in _WORDS:
                        self._word(index, text)
                        calls |= makes_table and text == "SELECT"
                        calls |= load and text == "SET" and previous.text != "CHARACTER"
                    if not text.isascii() or text[0] == "$":
                        self._strange_word(text, index == last)
            elif kind is _PUNCT:
                if text == "(":
                    self.openers.append(previous.text)
                elif text == ")":
                    if self.openers:
                        self.openers.pop()
                elif text == ":=":
                    found.assigns += 1
            elif kind is _USERVAR:
                found.user_variable = True
            elif kind is _SYSVAR:
                self._system_variable(index)
            elif kind is _INVALID:
                found.invalid = found.invalid or f"text that servers may read differently: {text[:20]!r}"
            previous = token
        return found

    # -- words -------------------------------------------------------------------------------------------------

    def _word(self, index: int, text: str) -> None:
        found = self.found
        following = self._text(index + 1)
        match text:
            case "FOR":
                found.locking |= following in ("UPDATE", "SHARE")
            case "LOCK":
                found.locking |= following == "IN" and self._text(index + 2) == "SHARE"
            case "INTO":
                found.into = True
                if index + 1 < len(self.tokens) and self.tokens[index + 1].kind is _USERVAR:
                    found.pins.add(PinReason.USER_VARIABLE)
            case "PROCEDURE":
                found.procedure = True
            case "SQL_CALC_FOUND_ROWS":
                found.found_rows = True
            case "VALUE" if following == "FOR":
                found.sequence = True
                found.pins.add(PinReason.SEQUENCE)

    def _text(self, index: int) -> str:
        return self.tokens[index].text if index < len(self.tokens) else ""

    def _strange_word(self, text: str, is_last: bool) -> None:
        if text[0] == "$" and "$" in text[1:] and not is_last:
            # MySQL 8.0.34 and later: everything up to the next `$$` is a string.
            self.found.invalid = "dollar-quoted text"
        if not text.isascii() and not KEYWORDS.isdisjoint(_ASCII_PARTS.findall(text)):
            # Some single-byte character sets have white space above 0x7F: to the server this may be several words.
            self.found.invalid = "a word that may be several in another character set"

    def _qualifier(self, index: int, token: Token, previous: Token) -> None:
        if previous.text == "." and index >= 2 and self.tokens[index - 2].kind is not _NUMBER:
            return  # the middle of a.b.c
        if token.text not in ("NEW", "OLD"):
            self.found.qualifiers.add(name_of(self.sql, token))

    # -- calls -------------------------------------------------------------------------------------------------

    def _call(self, index: int, token: Token, previous: Token) -> None:
        """A name and an opening parenthesis: what does it call, if anything?"""
        name = token.text
        if previous.text == "." and previous.kind is _PUNCT:
            if index not in self.lists:
                self.found.unknown_calls.append(f"{self._text(index - 2).lower()}.{name.lower()}")
            return
        if index in self.lists or self._no_call(index, token, previous):
            return
        if token.kind is _QUOTED:
            name = name_of(self.sql, token).upper()
            if not self._known_effect(name, index):
                self.found.unknown_calls.append(token.text)
            return
        if name in PAREN_KEYWORDS:
            return
        if name in READ_FUNCTIONS:
            if name in SPACE_SENSITIVE and not self.mode.ignore_space and self.tokens[index + 1].start != token.end:
                self.found.unknown_calls.append(f"{name.lower()} (with a space before the parenthesis)")
            return
        if not self._known_effect(name, index) and not self._context_keyword(name, index, previous):
            self.found.unknown_calls.append(name.lower())

    def _no_call(self, index: int, token: Token, previous: Token) -> bool:
        """Places where no call can stand: aliases with columns, types with lengths, common table expressions."""
        if previous.text in ("AS", "WITH", "RECURSIVE", ")") and previous.kind in (_WORD, _PUNCT):
            return not (previous.text == ")" and token.text in TAKES_NAMED_LOCK)
        if token.text in TYPE_NAMES:
            return previous.kind is _QUOTED or (
                (previous.kind is _WORD and previous.text not in KEYWORDS)
                or (previous.text == "," and bool(self.openers) and self.openers[-1] == "CONVERT")
            )
        return previous.text == "," and self._is_cte(index)

    def _is_cte(self, index: int) -> bool:
        """``, name (a, b) AS (``"""
        depth = 0
        for position in range(index + 1, len(self.tokens)):
            text = self.tokens[position].text
            if text == "(":
                depth += 1
            elif text == ")":
                depth -= 1
                if depth == 0:
                    return self._text(position + 1) == "AS" and self._text(position + 2) == "("
            elif text != "," and self.tokens[position].kind not in (_WORD, _QUOTED):
                return False
        return False

    def _known_effect(self, name: str, index: int) -> bool:
        found = self.found
        if name in TAKES_NAMED_LOCK:
            found.lock_calls.append(name.lower())
            found.pins.add(PinReason.NAMED_LOCK)
        elif name in LOOK_BACK_FUNCTIONS:
            found.looks_back = name.lower()
        elif name in SERVER_FUNCTIONS:
            found.server_calls.append(name.lower())
        elif name in SEQUENCE_FUNCTIONS:
            found.sequence = True
            # MariaDB's takes the name of a sequence; anything else is a stored function of that name.
            native = self.tokens[index + 2].kind in (_WORD, _QUOTED) if index + 2 < len(self.tokens) else False
            found.pins.add(PinReason.SEQUENCE if native else PinReason.ROUTINE)
        else:
            return False
        return True

    def _context_keyword(self, name: str, index: int, previous: Token) -> bool:
        """Keywords that MariaDB would also take as the name of a function."""
        match name:
            case "ANY" | "SOME":
                return previous.text in _COMPARISONS and self._text(index + 2) in _SUBQUERY
            case "LATERAL" | "EXCEPT" | "INTERSECT" | "MINUS":
                return self._text(index + 2) in _SUBQUERY
            case "OF":
                return previous.text == "MEMBER"
            case "COLUMNS":
                return previous.kind is _STRING
            case "OVER":
                return previous.text == "NULLS"
            case "VALUE":
                return self.kind in (StatementKind.INSERT, StatementKind.REPLACE) and previous.kind in (_WORD, _QUOTED)
        return False

    def _lock_call(self, token: Token) -> None:
        """In DDL and LOAD DATA a name before a parenthesis is mostly a column list; only locks matter."""
        name = name_of(self.sql, token).upper()
        if name in TAKES_NAMED_LOCK:
            self.found.lock_calls.append(name.lower())
            self.found.pins.add(PinReason.NAMED_LOCK)

    # -- variables ---------------------------------------------------------------------------------------------

    def _system_variable(self, index: int) -> None:
        parts = [self.tokens[index].text[2:]]
        while self._text(index + 1) == "." and index + 2 < len(self.tokens):
            parts.append(self.tokens[index + 2].text)
            index += 2
        names = [part.strip("`").upper() for part in parts]
        name = names[-1]
        scope = names[0] if len(names) > 1 else ""
        session = len(names) == 1 or (len(names) == 2 and scope in SESSION_SCOPES)
        if name in LOOK_BACK_VARIABLES and session:
            self.found.looks_back = f"@@{name.lower()}"
        elif not session or name not in SESSION_VARIABLES:
            self.found.server_variables.append("@@" + ".".join(names).lower())


_WORDS = frozenset({"FOR", "LOCK", "INTO", "PROCEDURE", "SQL_CALC_FOUND_ROWS", "VALUE", "SELECT", "SET"})
_INSERT_MODIFIERS = frozenset({"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"})


def _column_list_names(tokens: list[Token]) -> frozenset[int]:
    """Index of the table name in ``INSERT INTO db.name (columns)``: no call."""
    index = 0
    while index < len(tokens) and tokens[index].text not in ("INSERT", "REPLACE"):
        index += 1
    index += 1
    while index < len(tokens) and tokens[index].text in _INSERT_MODIFIERS:
        index += 1
    if index + 2 < len(tokens) and tokens[index + 1].text == ".":
        index += 2
    return frozenset({index})
