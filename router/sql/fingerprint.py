"""Statements without their literals: the plan cache's key, and the digest that rules compare.

The key is the hot path of every query: one C-level ``split`` on literals, nothing else (about 1 µs for a point select).
What could make two statements route differently stays in it byte for byte: comments (hints), quoted identifiers, user
variables, white space. A literal is cut out only where the lexer would see exactly one, so the key never joins two
statements that differ in more than values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from router.sql.builtins import KEYWORDS, READ_FUNCTIONS
from router.sql.lexer import LexMode, Token, TokenKind, patterns, tokenize

Key = tuple[bytes | None, ...]
"""Text, first byte and rest of a piece that stays (None, None for a literal), text, …"""


class _Parts(NamedTuple):
    literal: bytes
    kept: bytes


def _parts(mode: LexMode) -> _Parts:
    """What follows one of the bytes ``'"0-9`/#@-``: a literal, or something that must stay whole.

    Numbers: not inside or behind an identifier, not behind a dot (``t.5`` is a column), not with letters behind them.
    A quoted identifier takes with it all that follows up to the next one if no literal can hide in it: fewer pieces.
    A quote or comment that is never closed takes the rest, as it does for the server.
    """
    single, double, backtick = patterns(mode)
    before = rb"\w$.`\x80-\xff" + (rb"\"" if mode.ansi_quotes else rb"")
    number = (
        rb"(?<=[0-9])(?<![" + before + rb"][0-9])"
        rb"(?:[xX][0-9a-fA-F]++|[0-9]*+(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?+)(?![\w$.\x80-\xff])"
    )
    quoted = backtick + b"|" + double if mode.ansi_quotes else backtick
    run = rb"(?:[^'\"0-9#/@`\-]*+(?:" + quoted + rb"))*+"
    literal = rb"(?<=')" + single[1:] + b"|" + number
    identifier = b"(?<=`)" + backtick[1:] + run
    if mode.ansi_quotes:
        identifier += b'|(?<=")' + double[1:] + run
    else:
        literal += b'|(?<=")' + double[1:]
    comment = rb"(?<=/)\*(?:.*?\*/|.*)|(?<=\#)[^\n]*|(?<=-)-(?=[\x00-\x20\x7f]|\Z)[^\n]*"
    variable = rb"(?<=@)(?:" + single + rb"|" + double + rb"|" + backtick + rb")"
    kept = b"|".join([identifier, comment, variable, rb"(?<=['\"`]).*"])
    return _Parts(literal, rb"(?<=([`/#@\-'\"]))(" + kept + b")")


@lru_cache(maxsize=32)
def _splitter(mode: LexMode) -> re.Pattern[bytes]:
    """Matches a literal (no group), or something that must stay whole: its first byte (group 1) and the rest (group 2).

    The expression begins with one set of bytes, so that the engine skips from candidate to candidate (2–5 times
    faster than alternatives that each begin with their own byte); lookbehinds then tell which candidate it is.
    """
    literal, kept = _parts(mode)
    return re.compile(rb"['\"0-9`/#@\-](?:" + literal + b"|" + kept + b")", re.DOTALL)


@lru_cache(maxsize=32)
def _shrinker(mode: LexMode) -> re.Pattern[bytes]:
    """As ``_splitter``, but a literal takes with it all values behind it, and rows of values behind its row."""
    literal, kept = _parts(mode)
    single, double, _ = patterns(mode)
    string = single if mode.ansi_quotes else single + b"|" + double
    value = (
        rb"[-+]?(?:(?:_[a-zA-Z0-9]++\s*+|[xXbBnN])?(?:" + string + rb")"
        rb"|(?:0[xX][0-9a-fA-F]++|[0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?+|(?i:NULL|DEFAULT|TRUE|FALSE|NOW\(\)))"
        rb"(?![\w$.\x80-\xff]))"
    )
    more = rb"(?:\s*+(?:\)\s*+,\s*+\(\s*+|,\s*+)" + value + rb")*+"
    return re.compile(rb"['\"0-9`/#@\-](?:(?:" + literal + b")" + more + b"|" + kept + b")", re.DOTALL)


@lru_cache(maxsize=32)
def fingerprinter(mode: LexMode) -> Callable[[bytes], Key]:
    """The function that makes keys for ``mode``."""
    split = _splitter(mode).split

    def key(sql: bytes) -> Key:
        return tuple(split(sql))

    def careful_key(sql: bytes) -> Key:
        # A character may hold a quote or a digit: cut nothing out of text that is not plain ASCII.
        return tuple(split(sql)) if sql.isascii() else (sql,)

    return key if mode.unsafe_charset is None else careful_key


def literals(sql: bytes, mode: LexMode) -> list[bytes]:
    """The literals that the key leaves out, in order, as they are written."""
    if mode.unsafe_charset is not None and not sql.isascii():
        return []
    return [match[0] for match in _splitter(mode).finditer(sql) if match[1] is None]


def first_literal(sql: bytes, mode: LexMode) -> int | None:
    """Where the first literal begins, in every statement with the key of this one."""
    key = fingerprinter(mode)(sql)
    if None not in key:
        return None
    return sum(len(part) for part in key[: key.index(None)] if part is not None)


def literal_spans(sql: bytes, mode: LexMode) -> list[tuple[int, int]]:
    """Where the literals of ``literals`` stand."""
    if mode.unsafe_charset is not None and not sql.isascii():
        return []
    return [match.span() for match in _splitter(mode).finditer(sql) if match[1] is None]


def shrink(sql: bytes, mode: LexMode) -> bytes:
    """An equivalent of a long statement for analysis: literals emptied, repeated rows and list items written once.

    C speed: a bulk insert of a megabyte takes some 20 ms.
    """
    if mode.unsafe_charset is not None and not sql.isascii():
        return sql
    pieces = _shrinker(mode).split(sql)
    pieces[1::3] = [b"''" if piece is None else piece for piece in pieces[1::3]]
    pieces[2::3] = [piece or b"" for piece in pieces[2::3]]
    return _ROW_LIST.sub(rb"\1", b"".join(pieces))


# Rows that are alike but for their literals, with a few function calls in them.
_ROW_LIST = re.compile(rb"(\([^()]{0,500}+(?:\([^()]{0,100}+\)[^()]{0,500}+){0,20}+\))(?:\s*,\s*\1)++")


def digest_text(sql: bytes, mode: LexMode) -> str:
    """The statement in a form to compare: ``?`` for a literal or a list of them, keywords upper case, no comments.

    Two statements with equal keys have equal digests.
    """
    words = [_digest_word(sql, token) for token in tokenize(sql, mode)]
    while words and words[-1] == ";":
        words.pop()
    text = " ".join(word for word in words if word)
    text = _SIGN.sub(r"\1?", text)
    text = _ITEMS.sub("?", text)
    return _ROWS.sub("( ? )", text)


_SIGN = re.compile(r"((?:^|[(,=<>]|\b(?:IN|VALUES|LIMIT|THEN|ELSE|WHEN|AND|OR|BETWEEN|SELECT)) ?)(?:[-+] )+\?")
_ITEMS = re.compile(r"\?(?: , \?)+")
_ROWS = re.compile(r"\( \? \)(?: , \( \? \))+")
_LITERAL_KINDS = frozenset({TokenKind.STRING, TokenKind.NUMBER, TokenKind.PARAM})


def _digest_word(sql: bytes, token: Token) -> str:
    kind, start, end, text = token
    if kind is TokenKind.WORD:
        return text if text in KEYWORDS or text in READ_FUNCTIONS else sql[start:end].decode("latin-1")
    if kind in _LITERAL_KINDS:
        return "?"
    if kind is TokenKind.HINT:
        return ""
    if kind is TokenKind.QUOTED:
        inner = text[1:-1]
        # `orders` and orders are the same name, unless it is a word of the language.
        plain = inner.isidentifier() and inner.isascii() and inner.upper() not in KEYWORDS
        return inner if plain else text
    return text
