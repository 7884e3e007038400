"""ProxySQL's patterns: which of them say what the router does anyway, and the others as Python's regular expressions.

ProxySQL searches ``match_digest`` in the statement without comments, its literals replaced by ``?`` and white space by
one space each; ``match_pattern`` in the statement as sent, as the router searches all of its expressions.
"""

from __future__ import annotations

import re
import warnings
from enum import Enum

from router.importing.tables import Row

_NOISE = re.compile(r"\(\?i\)|\.\*\??|\\s[+*]?|\\b|[\s^$();|]+|\?:")
_ANCHORED = re.compile(r"(\(\?i\))?\(?\^(\\s\*|\\s\+)?\(?[A-Za-z]")
_LOCKING = frozenset({"SELECTFORUPDATE", "SELECTLOCKINSHAREMODE", "SELECTFORSHARE"})
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "CALL", "SET", "BEGIN", "COMMIT", "ROLLBACK"})
_WRITES |= {"CREATE", "ALTER", "DROP", "TRUNCATE", "STARTTRANSACTION", "LOADDATA"}
# Spelled alike and meaning something else, or nothing, in Python.
_OTHER_SYNTAX = re.compile(r"\[\[?[:.=]|\\[ChHKQERX]|\\[pP][{A-Z]|\(\?[-a-zA-Z]*[UJR]|\(\?[|#&0-9]|\(\*[A-Z]")
_LEADING_FLAGS = re.compile(r"\(\?([ims]+)\)")
_PLAIN_DIGEST = re.compile(r"\^(?P<body>(?:[\w ,=<>!@`']|\\[?.*()+]|\.(?![*+?]))+)\$")
_LITERAL = re.compile(r"\\\?|\[\?\]|\\x3[fF]")


class Usual(Enum):
    """Rules that nearly every ProxySQL has, because it splits reads and writes by rules only."""

    LOCKING = "locking reads to the writer"
    READS = "reads to the readers"
    WRITES = "writes to the writer"
    ALL = "everything"


def usual(rule: Row) -> Usual | None:
    """What the pattern of a rule matches, when it is one of the usual ones."""
    pattern = rule.text("match_digest") or rule.text("match_pattern")
    if not pattern or rule.number("negate_match_pattern") or (rule.text("match_digest") and rule.text("match_pattern")):
        return None
    if pattern in (".", ".*", "^.*", "^.*$", "^.", ".+"):
        return Usual.ALL
    words = _NOISE.sub("", pattern).upper()
    if words in _LOCKING:
        return Usual.LOCKING
    if not _ANCHORED.match(pattern):
        return None
    if words == "SELECT":
        return Usual.READS if "|" not in pattern else None
    parts = {_NOISE.sub("", part).upper() for part in pattern.split("|")}
    return Usual.WRITES if parts <= _WRITES else None


def digest_of(rule: Row) -> str | None:
    """The statement that ``match_digest`` stands for, when it is one statement and nothing else."""
    found = _PLAIN_DIGEST.fullmatch(rule.text("match_digest"))
    if found is None or rule.number("negate_match_pattern") or rule.text("match_pattern"):
        return None
    if "CASELESS" not in rule.text("re_modifiers", "CASELESS").upper() or " " not in found["body"]:
        return None
    return re.sub(r"\\(.)", r"\1", found["body"])


def regex_of(rule: Row) -> str:
    """The rule's pattern for Python. Raises ValueError with the reason why there is none."""
    digest, pattern = rule.text("match_digest"), rule.text("match_pattern")
    if digest and pattern:
        raise ValueError("match_digest and match_pattern in one rule")
    if digest and _LITERAL.search(digest):
        raise ValueError("match_digest looks for the ? that stands for a literal; write the statement as `digest`")
    text = digest or pattern
    found = _OTHER_SYNTAX.search(text)
    if found is not None:
        raise ValueError(f"{found[0]} means something else in Python's regular expressions")
    flags = "i" if "CASELESS" in rule.text("re_modifiers", "CASELESS").upper() else ""
    while (inline := _LEADING_FLAGS.match(text)) is not None:
        flags += inline[1]
        text = text[inline.end() :]
    if digest:
        text = _spaced(text)
    if rule.number("negate_match_pattern"):
        text = rf"\A(?![\s\S]*(?:{text}))"
    letters = "".join(sorted(set(flags)))
    result = f"(?{letters}){text}" if letters else text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(result)
    except (re.error, Warning, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression of Python: {error}") from None
    return result


def _spaced(text: str) -> str:
    """A pattern for a digest, for the text as sent: any white space for a space, some of it before the start."""
    out: list[str] = []
    inside, at = False, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            char = text[at : at + 2]
        elif char == "[" and not inside:
            inside = True
        elif char == "]":
            inside = False
        elif char == "^" and not inside:
            char = r"^\s*"
        elif char == " " and not inside:
            char = r"\s" if text[at + 1 : at + 2] in ("+", "*", "?", "{") else r"\s+"
        out.append(char)
        at += len(char) if char.startswith("\\") and not char.startswith(r"\s") else (2 if text[at] == "\\" else 1)
    return "".join(out)
