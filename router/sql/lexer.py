r"""SQL text → tokens, as the server would see them.

Where a string or a comment ends decides what is SQL and what is data, and that depends on ``sql_mode`` and on the
connection's character set. Whatever two servers could read differently is an INVALID token: the statement is then
opaque, never a read. Grounds: sql/sql_lex.cc of MySQL and MariaDB, manual pages "Comments" and "String Literals".

The content of versioned comments (``/*!80000 … */``, ``/*M! … */``) is tokenised in place, between VERSIONED_OPEN and
VERSIONED_CLOSE: a server may run it or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class LexMode:
    """What changes how a session's SQL is read.

    ``ansi_quotes``, ``no_backslash_escapes``, ``ignore_space``: parts of sql_mode (the last is also a capability).
    ``unsafe_charset``: character_set_client when its multi-byte characters may contain ASCII bytes (gbk, sjis …).
    """

    ansi_quotes: bool = False
    no_backslash_escapes: bool = False
    unsafe_charset: str | None = None
    ignore_space: bool = False


class TokenKind(IntEnum):
    """Kinds of token; PUNCT is one operator or punctuation mark."""

    HINT = 1  # /*+ … */
    VERSIONED_OPEN = 2  # /*! or /*!80000 or /*M!100100
    STRING = 3
    QUOTED = 4  # a quoted identifier
    USERVAR = 5  # @x, @`x`, @'x', or a lone @
    SYSVAR = 6  # @@x: the first part of the name
    NUMBER = 7
    WORD = 8
    PARAM = 9  # ?
    PUNCT = 10
    INVALID = 11
    VERSIONED_CLOSE = 12


# They surround or accompany a statement's tokens, and are none of them.
MARKS = frozenset({TokenKind.HINT, TokenKind.VERSIONED_OPEN, TokenKind.VERSIONED_CLOSE})


class Token(NamedTuple):
    """A piece of ``sql[start:end]``; ``text`` is it as latin-1, WORDs in upper case."""

    kind: TokenKind
    start: int
    end: int
    text: str


_IDENT = rb"[A-Za-z0-9_$\x80-\xff]"
_BACKTICK = rb"`[^`]*(?:``[^`]*)*`"
_SINGLE = rb"'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'"
_SINGLE_RAW = rb"'[^']*(?:''[^']*)*'"
_DOUBLE = rb'"[^"\\]*(?:(?:\\.|"")[^"\\]*)*"'
_DOUBLE_RAW = rb'"[^"]*(?:""[^"]*)*"'
_SPACE = rb"[ \t\n\v\f\r]"
# `--` begins a comment only before white space, a control character, or the end.
LINE_COMMENT = rb"\#[^\n]*|--(?=[\x00-\x20\x7f]|\Z)[^\n]*"


class Patterns(NamedTuple):
    """Regular expressions of the parts that depend on the mode."""

    single: bytes
    double: bytes
    backtick: bytes


def patterns(mode: LexMode) -> Patterns:
    """How strings and quoted identifiers are written in ``mode``."""
    raw = mode.no_backslash_escapes
    double = _DOUBLE_RAW if raw or mode.ansi_quotes else _DOUBLE
    return Patterns(_SINGLE_RAW if raw else _SINGLE, double, _BACKTICK)


@lru_cache(maxsize=32)
def _pattern(mode: LexMode) -> tuple[re.Pattern[bytes], tuple[TokenKind, ...]]:
    """One regular expression that matches at every byte, and the kind of token of each of its groups."""
    single, double, backtick = patterns(mode)
    string, quoted = (single, backtick + b"|" + double) if mode.ansi_quotes else (single + b"|" + double, backtick)
    kind = TokenKind
    # With a dot or an exponent it is a number whatever follows (`1.FOR` is two tokens); else letters make it a name.
    number = (
        rb"[0-9]++\.[0-9]*+(?:[eE][+-]?[0-9]++)?+|[0-9]++[eE][+-]?[0-9]++"
        rb"|(?:0[xX][0-9a-fA-F]++|0[bB][01]++|[0-9]++)(?!" + _IDENT + rb")"
        rb"|(?<![A-Za-z0-9_$\x80-\xff`\"])\.[0-9]++(?:[eE][+-]?[0-9]++)?+"
    )
    # Most frequent first. Introducers (_utf8'x', N'x', x'41') are a WORD and a STRING: nobody needs to tell them apart.
    groups = (
        (kind.WORD, rb"[A-Za-z_$\x80-\xff]" + _IDENT + rb"*+"),
        (kind.PUNCT, rb"[,()=;]"),
        (kind.STRING, string),
        (kind.QUOTED, quoted),
        # A quote or a comment that is never closed takes the rest; a high byte behind `--` may be white space or not.
        (kind.INVALID, rb"['\"`].*|--(?=[\x80-\xff])"),
        (kind.NUMBER, number),
        (kind.WORD, _IDENT + rb"++"),
        (kind.HINT, rb"/\*\+.*?\*/"),
        (kind.VERSIONED_OPEN, rb"/\*[Mm]?!(?:[0-9]{5,6})?"),
        (kind.INVALID, rb"/\*.*"),
        (kind.USERVAR, rb"@(?!@)(?:" + single + rb"|" + double + rb"|" + backtick + rb"|[A-Za-z0-9_.$\x80-\xff]*+)"),
        (kind.SYSVAR, rb"@@(?:" + backtick + rb"|" + _IDENT + rb"*+)"),
        (kind.PARAM, rb"\?"),
        (kind.PUNCT, rb":=|->>?|<=>|<=|>=|<>|!=|<<|>>|\|\||&&|[!%&*+\-./:<>\[\]^{|}~]|\\N"),
        (kind.INVALID, rb"."),
    )
    skip = LINE_COMMENT + rb"|/\*(?!\+|[Mm]?!).*?\*/|" + _SPACE + rb"++"
    words, rest = groups[:4], groups[4:]
    body = b"|".join([*(b"(" + p + b")" for _, p in words), skip, *(b"(" + p + b")" for _, p in rest)])
    # White space behind a token goes with it: half as many matches.
    whole = re.compile(rb"(?:" + body + rb")" + _SPACE + rb"*+", re.DOTALL)
    return whole, (kind.INVALID, *(k for k, _ in groups))


def tokenize(sql: bytes, mode: LexMode) -> list[Token]:
    """The tokens of ``sql``, comments left out. Never raises: what is in doubt is INVALID."""
    if mode.unsafe_charset is not None and not sql.isascii():
        masked = mask(sql, mode.unsafe_charset)
        if masked is None:
            return [Token(TokenKind.INVALID, 0, len(sql), "")]
        sql = masked
    tokens: list[Token] = []
    position: int | None = 0
    while position is not None:
        position = _lex(sql, position, mode, tokens)
    return tokens


def tokens_of(sql: bytes, mode: LexMode) -> list[Token]:
    """The tokens of a statement, without marks and without semicolons at its end."""
    tokens = [token for token in tokenize(sql, mode) if token.kind not in MARKS]
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    return tokens


def _lex(sql: bytes, position: int, mode: LexMode, tokens: list[Token]) -> int | None:
    """Add the tokens from ``position`` on; returns where to go on behind a versioned comment, None at the end."""
    add = tokens.append
    new = tuple.__new__  # Token(…) without the detour through Python: a third of this loop
    pattern, kinds = _pattern(mode)
    word = TokenKind.WORD
    for match in pattern.finditer(sql, position):
        group = match.lastindex
        if group is None:
            continue
        kind = kinds[group]
        start, end = match.span(group)
        if kind is word:
            add(new(Token, (kind, start, end, sql[start:end].upper().decode("latin-1"))))
            continue
        text = sql[start:end].decode("latin-1")
        if kind is TokenKind.VERSIONED_OPEN:
            return _versioned(sql, new(Token, (kind, start, end, text)), mode, tokens)
        if kind is TokenKind.HINT and _unbalanced(text):
            kind = TokenKind.INVALID
        add(new(Token, (kind, start, end, text)))
    return None


def _versioned(sql: bytes, opening: Token, mode: LexMode, tokens: list[Token]) -> int | None:
    """Add a versioned comment and what is in it.

    A server that skips it looks for the first ``*/``, whatever that stands in; one that runs it sees strings and
    comments in the content first. Where the two would not end at the same place, or comments are nested, all is
    INVALID.
    """
    start = opening.end
    end = sql.find(b"*/", start)
    inside: list[Token] = []
    # A word behind the content: if it is not there any more, a string or comment would have run on.
    rest = _lex(sql[start:end] + b" x", 0, mode, inside) if end >= 0 else 0
    if rest is not None or not inside or inside[-1].text != "X" or inside[-1].end != end - start + 2:
        tokens.append(Token(TokenKind.INVALID, opening.start, len(sql), ""))
        return None
    tokens.append(opening)
    tokens += [Token(kind, start + first, start + last, text) for kind, first, last, text in inside[:-1]]
    tokens.append(Token(TokenKind.VERSIONED_CLOSE, end, end + 2, "*/"))
    return end + 2


def _unbalanced(hint: str) -> bool:
    # MySQL reads quoted names inside optimizer hints: a quote could hide the end of the comment.
    return any(hint.count(quote) % 2 for quote in "'\"`") or "\\" in hint


# Well-formed multi-byte characters, from the ismbchar functions in MySQL's strings/ctype-*.cc. sjis and cp932 also have
# single bytes above 0x7F (half-width katakana).
_MULTIBYTE = {
    "gbk": rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]",
    "big5": rb"[\xa1-\xf9][\x40-\x7e\xa1-\xfe]",
    "sjis": rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]|[\xa1-\xdf]",
    "cp932": rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]|[\xa1-\xdf]",
    "gb18030": rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]|[\x81-\xfe][\x30-\x39][\x81-\xfe][\x30-\x39]",
}
_MASKS = {
    name: re.compile(rb"(?P<char>" + char + rb")|(?P<bad>[\x80-\xff])|[\x00-\x7f]+")
    for name, char in _MULTIBYTE.items()
}


def mask(sql: bytes, charset: str) -> bytes | None:
    """``sql`` with every byte of a multi-byte character replaced by 0xFF: same length, no ASCII byte inside one.

    None when it is not well-formed text of ``charset``, or the charset is not known here.
    """
    pattern = _MASKS.get(charset.lower())
    if pattern is None:
        return sql if sql.isascii() else None
    pieces = []
    for match in pattern.finditer(sql):
        if match["bad"] is not None:
            return None
        pieces.append(b"\xff" * len(match[0]) if match["char"] is not None else match[0])
    return b"".join(pieces)
