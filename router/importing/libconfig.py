"""`proxysql.cnf`: the grammar of libconfig, read into ProxySQL's tables.

``name = value`` or ``name : value``, where a value is a scalar, ``{…}`` with settings, ``(…)`` or ``[…]`` with values.
Source: the libconfig manual, "Configuration File Grammar".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from router.importing.draft import Place
from router.importing.tables import Row, Tables

_TOKEN = re.compile(
    r"(?P<skip>\s+|\#[^\n]*|//[^\n]*|/\*.*?\*/)|(?P<include>@include[^\n]*)"
    r'|(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>[-+]?(?:0[xX][0-9A-Fa-f]+|[0-9]+(?:\.[0-9]*)?)L{0,2}(?![\w.]))'
    r"|(?P<word>[A-Za-z*][-A-Za-z0-9_*]*)|(?P<mark>[={}()\[\],;:])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "a": "\a", "b": "\b"}
_CLOSING = {"{": "}", "(": ")", "[": "]"}
_DEPTH = 16
# What the file calls otherwise than the tables do.
_ALIASES = {
    "mysql_servers": {"address": "hostname", "hostgroup": "hostgroup_id"},
}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int

    @property
    def shown(self) -> str:
        """It for a message; text may be a password."""
        return repr(self.text[:40]) if self.kind in ("word", "mark") else "the end" if self.kind == "end" else "a value"


@dataclass(frozen=True, slots=True)
class _Value:
    """A scalar as text, settings, or a list, and the line it begins at."""

    line: int
    content: str | dict[str, _Value] | list[_Value]


class _Broken(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_libconfig(name: str, text: str, into: Tables) -> None:
    """Add the rows of the file called ``name``; what comes behind a mistake is not read, and that is said."""
    parser = _Parser(text)
    settings: dict[str, _Value] = {}
    try:
        parser.settings("", settings, 0)
    except _Broken as error:
        into.unread.append((Place(name, error.line), f"{error}; nothing behind it was read"))
    except RecursionError:
        into.unread.append((Place(name, 1), "it is nested too deeply"))
    into.unread += [(Place(name, line), message) for line, message in parser.unread]
    for key, value in settings.items():
        _setting(name, key, value, into)


def _setting(name: str, key: str, value: _Value, into: Tables) -> None:
    family = {"mysql_variables": "mysql-", "admin_variables": "admin-"}.get(key)
    place = Place(name, value.line)
    if family is not None and isinstance(value.content, dict):
        for variable, each in value.content.items():
            if isinstance(each.content, str):
                into.variables[family + variable.removeprefix(family)] = (Place(name, each.line), each.content)
    elif isinstance(value.content, list):
        for each in value.content:
            if not isinstance(each.content, dict):
                into.unread.append((Place(name, each.line), f"{key} has an entry without settings"))
                continue
            aliases = _ALIASES.get(key, {})
            row = {
                aliases.get(column, column): inner.content
                for column, inner in each.content.items()
                if isinstance(inner.content, str)
            }
            into.add(key, Row(Place(name, each.line), dict(row)))
    elif isinstance(value.content, str):
        into.variables[key] = (place, value.content)
    else:
        into.unread.append((place, f"{key} has another form than ProxySQL's"))


class _Parser:
    def __init__(self, text: str) -> None:
        self.unread: list[tuple[int, str]] = []
        self._tokens: list[_Token] = []
        self._at = 0
        at, line = 0, 1
        while at < len(text):
            match = _TOKEN.match(text, at)
            kind = "bad" if match is None else str(match.lastgroup)
            piece = text[at] if match is None else match[0]
            if kind == "include":
                self.unread.append((line, "@include is not followed: give that file, too"))
            elif kind != "skip":
                self._tokens.append(_Token(kind, piece, line))
            line += piece.count("\n")
            at += len(piece)
            if kind == "bad":
                break
        self._tokens.append(_Token("end", "the end", line))

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        if token.kind != "end":
            self._at += 1
        return token

    @property
    def _ahead(self) -> _Token:
        return self._tokens[self._at]

    def settings(self, closing: str, into: dict[str, _Value], depth: int) -> None:
        """Settings up to ``closing`` (empty: up to the end), which is consumed."""
        while self._ahead.text != closing or not closing:
            token = self._next()
            if token.kind == "end" and not closing:
                return
            if token.text in (";", ","):
                continue
            if token.kind != "word":
                raise _Broken(token.line, f"{token.shown} where a name should stand")
            if self._next().text not in ("=", ":"):
                raise _Broken(token.line, f"{token.shown} without a value")
            into[token.text] = self._value(depth + 1)
        self._next()

    def _value(self, depth: int) -> _Value:
        token = self._next()
        if depth > _DEPTH:
            raise _Broken(token.line, "nested too deeply")
        match token.kind:
            case "string":
                text = _unquoted(token.text)
                while self._ahead.kind == "string":  # adjacent strings are one
                    text += _unquoted(self._next().text)
                return _Value(token.line, text)
            case "number":
                return _Value(token.line, _number(token.text))
            case "word" if token.text.lower() in ("true", "false"):
                return _Value(token.line, "1" if token.text.lower() == "true" else "0")
        if token.text == "{":
            inner: dict[str, _Value] = {}
            self.settings("}", inner, depth)
            return _Value(token.line, inner)
        if token.text not in _CLOSING:
            raise _Broken(token.line, f"{token.shown} where a value should stand")
        values: list[_Value] = []
        while self._ahead.text != _CLOSING[token.text]:
            if self._ahead.text == ",":
                self._next()
            else:
                values.append(self._value(depth + 1))
        self._next()
        return _Value(token.line, values)


def _unquoted(text: str) -> str:
    return _ESCAPE.sub(_unescape, text[1:-1])


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    if len(code) == 3:
        return chr(int(code[1:], 16))
    return _ESCAPED.get(code, code if code in '"\\' else found[0])


def _number(text: str) -> str:
    text = text.rstrip("L")
    return str(int(text, 16)) if "x" in text.lower() and len(text) < 20 else text
