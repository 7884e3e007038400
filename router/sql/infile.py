"""The lines of a file for LOAD DATA, cut as servers cut them (READ_INFO in sql_load.cc of MySQL and MariaDB).

Where a line ends depends on quotes, on escapes, and on how many columns are read of it: what is behind the last column
is skipped by a simpler rule. Only character sets are understood whose signs are ASCII, and part of no other character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# Character sets that are read here: utf8mb4 and its parts, and those of one byte.
CHARSETS = frozenset({"utf8mb4", "utf8mb3", "utf8", "latin1", "ascii", "binary"})
_UTF8 = frozenset({"utf8mb4", "utf8mb3", "utf8"})
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"0": b"\0", b"Z": b"\x1a"}


@dataclass(frozen=True, slots=True)
class Format:
    """FIELDS and LINES: how fields and lines end, what may stand around a field, and what escapes (empty: nothing).

    ``skip`` lines come first that are not read.
    """

    field_end: bytes = b"\t"
    enclosed: bytes = b""
    escaped: bytes = b"\\"
    line_end: bytes = b"\n"
    skip: int = 0


class Line(NamedTuple):
    """Line ``number`` of the file (from 1) as it stands there, and its fields, each with whether it was enclosed."""

    number: int
    raw: bytes
    fields: tuple[tuple[bytes, bool], ...]


class LineError(Exception):
    """A line that servers may cut otherwise."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number
        self.reason = reason


class _More(Exception):
    """The line goes on beyond what has come."""


class Lines:
    """Bytes in, lines out, of which ``width`` columns are read. ``longest`` bounds a line, in bytes."""

    def __init__(self, format: Format, width: int, charset: str, longest: int) -> None:
        self._format = format
        self._width = width
        self._utf8 = charset in _UTF8
        self._longest = longest
        self._data = b""
        self._skip = format.skip
        self._number = 0
        escaped, line, field = (re.escape(each) for each in (format.escaped, format.line_end, format.field_end))
        escape = b"(%s)|" % escaped if escaped else b"(\\Z\\A)|"
        self._stop = re.compile(b"%s(%s)|(%s)" % (escape, line, field))
        self._rest = re.compile(b"%s(%s)" % (escape, line))
        self._quoted = re.compile(b"%s(%s)" % (escape, re.escape(format.enclosed))) if format.enclosed else None
        self._ahead = max(len(format.line_end), len(format.field_end)) + 1
        # Without these bytes a line is what stands before the next end, and its ends mean what they say.
        self._special = [each for each in (format.enclosed, format.escaped) if each]
        self._simple = format.line_end[:1] not in format.field_end and format.field_end[:1] not in format.line_end

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that have become complete. Raises LineError."""
        return self._take(data, complete=False)

    def end(self) -> Iterator[Line]:
        """The last line, if it has no end. Raises LineError."""
        return self._take(b"", complete=True)

    def _take(self, more: bytes, *, complete: bool) -> Iterator[Line]:
        data = self._data + more if self._data else more
        at = 0
        try:
            while at < len(data):
                start = at
                if self._skip:
                    at = self._behind(data, at, complete)
                    self._skip -= 1
                    self._number += 1
                    self._valid(data[start:at])
                    continue
                at, fields = self._line(data, at, complete)
                self._number += 1
                yield Line(self._number, data[start:at], tuple(fields))
        except _More:
            pass
        self._data = data[at:]
        if len(self._data) > self._longest:
            raise LineError(self._number + 1, f"it is longer than {self._longest} bytes (max_allowed_packet)")

    def _line(self, data: bytes, at: int, complete: bool) -> tuple[int, list[tuple[bytes, bool]]]:
        """A line from ``at`` on: where it ends, and its fields. Raises _More."""
        if self._simple and (end := data.find(self._format.line_end, at)) >= 0:
            raw = data[at:end]
            if not any(each in raw for each in self._special):
                parts = raw.split(self._format.field_end)
                if len(parts) > self._width:
                    self._valid(raw)
                return end + len(self._format.line_end), [(each, False) for each in parts[: self._width]]
        fields: list[tuple[bytes, bool]] = []
        while len(fields) < self._width:
            if at >= len(data):
                if not complete:
                    raise _More
                return at, fields
            field, at, ended = self._field(data, at, complete)
            fields.append(field)
            if ended:
                return at, fields
        start = at
        at = self._behind(data, at, complete)
        self._valid(data[start:at])
        return at, fields

    def _behind(self, data: bytes, at: int, complete: bool) -> int:
        """Where the next line begins, quotes or not. Raises _More."""
        while True:
            found = self._found(self._rest, data, at, complete)
            if found is None:
                return len(data)
            if found[1] is None:
                return found.end()
            at = found.end() + 1

    def _found(self, pattern: re.Pattern[bytes], data: bytes, at: int, complete: bool) -> re.Match[bytes] | None:
        """The next place that matters, None if the file ends before one. Raises _More."""
        found = pattern.search(data, at)
        if complete:
            return found
        if found is None or found.start() + self._ahead > len(data):
            raise _More
        return found

    def _field(self, data: bytes, at: int, complete: bool) -> tuple[tuple[bytes, bool], int, bool]:
        """A field: its text between the quotes, where the next begins, and whether the line ends with it."""
        if self._quoted is not None and data.startswith(self._format.enclosed, at):
            return self._enclosed(self._quoted, data, at, complete)
        start = at
        while True:
            found = self._found(self._stop, data, at, complete)
            if found is None:
                return (data[start:], False), len(data), True
            if found[1] is None:
                return (data[start : found.start()], False), found.end(), found[2] is not None
            at = found.end() + 1

    def _enclosed(
        self, quoted: re.Pattern[bytes], data: bytes, start: int, complete: bool
    ) -> tuple[tuple[bytes, bool], int, bool]:
        """A field that begins with a quote: another one ends it only before the end of a field or of the line."""
        quote, format = self._format.enclosed, self._format
        at = start + 1
        while True:
            found = self._found(quoted, data, at, complete)
            if found is None:
                return (data[start:], False), len(data), True
            at = found.end()
            if found[1] is not None or data.startswith(quote, at):
                at += 1
                continue
            if at >= len(data) or data.startswith(format.line_end, at):
                return (data[start + 1 : at - 1], True), min(at + len(format.line_end), len(data)), True
            if data.startswith(format.field_end, at):
                return (data[start + 1 : at - 1], True), at + len(format.field_end), False

    def _valid(self, skipped: bytes) -> None:
        """In what it does not read, MySQL takes a byte that begins a character for that, whatever follows."""
        if not self._utf8 or skipped.isascii():
            return
        try:
            skipped.decode()
        except UnicodeDecodeError:
            raise LineError(self._number, "what is not read of it is no UTF-8") from None

    def value(self, field: tuple[bytes, bool]) -> bytes | None:
        """What a field says: without escapes and doubled quotes, None for NULL."""
        raw, enclosed = field
        escaped, quote = self._format.escaped, self._format.enclosed
        if escaped and raw == escaped + b"N":
            return None
        if quote and not enclosed and raw == b"NULL":
            return None
        if not escaped or escaped not in raw:
            return raw.replace(quote * 2, quote) if enclosed else raw
        pattern = (
            re.escape(escaped) + b"(.?)" + (b"|%s(%s)" % (re.escape(quote), re.escape(quote)) if enclosed else b"")
        )

        def plain(found: re.Match[bytes]) -> bytes:
            if found.re.groups > 1 and found[2] is not None:
                return found[2]
            return _ESCAPES.get(found[1], found[1]) if found[1] else escaped

        return re.sub(pattern, plain, raw, flags=re.DOTALL)
