"""A command as words: taken one after the other, and what is possible where none of them fits."""

from __future__ import annotations

import re
from collections.abc import Iterable

from router.config.findings import did_you_mean
from router.config.values import parse_duration
from router.errors import MySQLError
from router.wire.errcodes import ErrorCode, mysql_error

# A quoted text, or whatever has no space in it: names may hold dots, colons and slashes.
_WORD = re.compile(r"""\s*('[^']*'|"[^"]*"|`[^`]*`|[^\s'"`;]+|;|['"`])""")
_COMMENT = re.compile(r"\s*(?:/\*.*?\*/|#[^\n]*(?:\n|\Z)|--\s[^\n]*(?:\n|\Z))", re.DOTALL)
_LONGEST = 24 * 3600.0


def without_comments(sql: str) -> str:
    """The statement without comments in front of it, and without white space and semicolons behind it."""
    while (match := _COMMENT.match(sql)) is not None:
        sql = sql[match.end() :]
    return sql.strip().rstrip(";").rstrip()


class Words:
    """The words of ``text`` from the first on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._at = 0

    @property
    def rest(self) -> str:
        """What has not been taken."""
        return self.text[self._at :].strip()

    def peek(self) -> str:
        """The next word as it stands, empty at the end."""
        match = _WORD.match(self.text, self._at)
        return "" if match is None else match[1]

    def take(self, *words: str) -> str | None:
        """The next word in upper case, if it is one of these."""
        match = _WORD.match(self.text, self._at)
        if match is None or (word := match[1].upper()) not in words:
            return None
        self._at = match.end()
        return word

    def any_of(self, what: str, words: Iterable[str]) -> str:
        """The next word in upper case, which must be one of these; ``what`` they are, for the error."""
        known = list(words)
        found = self.take(*known)
        if found is None:
            raise self.wrong(what, known)
        return found

    def name(self, what: str) -> str:
        """The next word as a name, without its quotes."""
        match = _WORD.match(self.text, self._at)
        if match is None or match[1] in (";", "'", '"', "`"):
            raise syntax(f"{what} is missing")
        self._at = match.end()
        word = match[1]
        return word[1:-1] if word[0] in "'\"`" else word

    def number(self, what: str) -> int:
        """The next word as a number."""
        word = self.name(what)
        if not word.isdecimal() or not word.isascii() or len(word) > 20:
            raise syntax(f"{what} must be a number")
        return int(word)

    def seconds(self, what: str) -> float:
        """The next word as a duration: seconds, or with a unit."""
        try:
            seconds = parse_duration(self.name(what))
        except ValueError as error:
            raise syntax(f"{what} {error}") from None
        self.take("SECONDS", "SECOND")
        if seconds > _LONGEST:
            raise syntax(f"{what} must be a day at most")
        return seconds

    def end(self) -> None:
        """Nothing may follow."""
        if rest := self.rest:
            raise syntax(f"'{_short(rest)}' is not expected here")

    def wrong(self, what: str, known: Iterable[str]) -> MySQLError:
        """The next word is none of the known ones."""
        word = self.peek().upper()
        if not word:
            return syntax(f"{what} is missing (known: {', '.join(sorted(known))})")
        return syntax(f"{what} '{_short(word)}' is not known here{did_you_mean(word, known)}")


def syntax(message: str) -> MySQLError:
    """Error 1064."""
    return mysql_error(ErrorCode.PARSE_ERROR, f"router: {message}; HELP lists what is possible")


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"
