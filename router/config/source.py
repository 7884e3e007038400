"""A configuration file as text: YAML with places, and ``${env:…}`` and ``${file:…}`` replaced.

ruamel.yaml reads YAML 1.2 (``no`` is text, not false), refuses duplicate keys and remembers line and column of every
key and value. Nothing here prints a value of the file: ruamel's own messages would, and it might be a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from router.config.findings import Finding, Loc
from router.errors import ConfigError, Problem

_REFERENCE = re.compile(r"(\$?)\$\{([^}]*)\}")
_DUPLICATE = re.compile(r'found duplicate key "(.*?)" with value', re.DOTALL)
_MAX_SECRET_FILE = 1 << 20
_MAX_DEPTH = 32


class Source:
    """The tree of one file with the places of its keys."""

    def __init__(self, text: str, name: str) -> None:
        """Parse ``text``; ``name`` is the file name in messages. Raises ConfigError for what is not YAML."""
        self.name = name
        self._tree = self._parse(text)

    def _parse(self, text: str) -> Any:
        try:
            tree = YAML(typ="rt").load(text)
        except DuplicateKeyError as error:
            found = _DUPLICATE.match(str(error.problem))
            key = f" '{found[1]}'" if found else ""
            raise self._refusal(error, f"the key{key} is given twice") from None
        except MarkedYAMLError as error:
            raise self._refusal(error, _explain(error)) from None
        except YAMLError:
            raise ConfigError([Problem(self.name, 1, 1, "", "not YAML: it contains control characters")]) from None
        if tree is None:
            raise ConfigError([Problem(self.name, 1, 1, "", "the file is empty; it needs groups and users")])
        if not isinstance(tree, CommentedMap):
            raise ConfigError([Problem(self.name, 1, 1, "", "must be a mapping of keys such as groups and users")])
        return tree

    def _refusal(self, error: MarkedYAMLError, message: str) -> ConfigError:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        return ConfigError([Problem(self.name, line, column, "", message)])

    def problem(self, finding: Finding) -> Problem:
        """The finding with its place: that of a scalar value, else of its key, else of the nearest parent."""
        line, column = self._place(finding.loc, finding.at_key)
        return Problem(self.name, line + 1, column + 1, ".".join(map(str, finding.loc)), finding.message)

    def _place(self, loc: Loc, at_key: bool) -> tuple[int, int]:
        node = self._tree
        place = (0, 0)
        for depth, step in enumerate(loc):
            marks = node.lc.data if isinstance(node, CommentedMap | CommentedSeq) else None
            if not marks or step not in marks:
                break
            mark, node = marks[step], node[step]
            plain = node is not None and not isinstance(node, CommentedMap | CommentedSeq)
            at_value = len(mark) >= 4 and plain and not (at_key and depth == len(loc) - 1)
            place = (mark[2], mark[3]) if at_value else (mark[0], mark[1])
        return place

    def written(self, loc: Loc) -> str | None:
        """The scalar at ``loc`` as it stands in the file, references not replaced; None when there is none.

        Text in the place of a mapping stands for the keys of that mapping: the short forms.
        """
        node = self._tree
        for step in loc:
            if isinstance(node, str):
                break
            try:
                node = node[step]
            except (KeyError, IndexError, TypeError):
                return None
        if node is None or isinstance(node, CommentedMap | CommentedSeq):
            return None
        return str(node).lower() if isinstance(node, bool) else str(node)

    def plain(self, environ: Mapping[str, str], folder: Path) -> tuple[dict[str, Any], list[Finding]]:
        """The tree as plain Python values with references replaced, and what could not be replaced."""
        reader = _Reader(environ, folder)
        tree = reader.plain(self._tree, ())
        return tree, reader.findings


class _Reader:
    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder
        self.findings: list[Finding] = []

    def plain(self, node: Any, loc: Loc) -> Any:
        if len(loc) > _MAX_DEPTH:
            self.findings.append(Finding(loc[:4], "is nested too deeply"))
            return None
        if getattr(getattr(node, "tag", None), "value", None) is not None:
            self.findings.append(Finding(loc, "YAML tags (a word after !) are not understood; quote the value"))
            return None
        if isinstance(node, dict):
            return {key: self.plain(value, (*loc, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [self.plain(value, (*loc, index)) for index, value in enumerate(node)]
        if isinstance(node, str):
            return self._resolve(str(node), loc)
        return _plain_scalar(node)

    def _resolve(self, text: str, loc: Loc) -> str:
        def replace(match: re.Match[str]) -> str:
            if match[1]:  # $${ stands for ${ itself
                return match[0][1:]
            try:
                return self._value(match[2])
            except ValueError as error:
                self.findings.append(Finding(loc, str(error)))
                return match[0]

        return _REFERENCE.sub(replace, text) if "${" in text else text

    def _value(self, reference: str) -> str:
        kind, _, name = reference.partition(":")
        if kind == "env" and name:
            variable, given, default = name.partition(":-")
            value = self._environ.get(variable)
            if value:
                return value
            if given:
                return default
            state = "is not set" if value is None else "is empty"
            raise ValueError(f"environment variable {variable} {state} (${{env:{variable}:-default}} gives a default)")
        if kind == "file" and name:
            return self._file(name)
        raise ValueError("only ${env:NAME}, ${env:NAME:-default} and ${file:/path} are understood; $${ means ${ itself")

    def _file(self, name: str) -> str:
        try:
            with (self._folder / name).open("rb") as file:
                content = file.read(_MAX_SECRET_FILE + 1)
            if len(content) > _MAX_SECRET_FILE:
                raise ValueError(f"{name} is larger than 1 MiB")
            return content.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except OSError as error:
            raise ValueError(f"{name} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{name} is not UTF-8 text") from None


def _plain_scalar(node: Any) -> Any:
    """ruamel's number and time classes keep their spelling; we want the values."""
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    if isinstance(node, datetime):
        return datetime(*node.timetuple()[:6], node.microsecond, node.tzinfo)
    return node if isinstance(node, date) else str(node)


def _explain(error: MarkedYAMLError) -> str:
    problem = str(error.problem)
    if "undefined alias" in problem or (error.context and "scanning an alias" in str(error.context)):
        return "text that begins with * must be in quotes"
    if "cannot start any token" in problem:
        return f"{problem}; text that begins with a special character must be in quotes, and tabs must be spaces"
    if "mapping values are not allowed" in problem:
        return "a colon here makes no sense: check the indentation, and put text that contains ': ' in quotes"
    context = f" {error.context}" if error.context else ""
    return f"not YAML:{context} {problem}" if context else f"not YAML: {problem}"
