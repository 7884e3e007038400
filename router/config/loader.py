"""Reads the configuration file: YAML text in, ``RouterConfig`` out, or every problem with its place.

The file is checked in three steps – syntax and references, single values, values against each other – and what a later
step finds is reported together with the earlier ones, unless it lies at or around a place that is wrong already.
"""

from __future__ import annotations

import copy
import os
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from router.config.checks import Names, check, doubts
from router.config.findings import Finding, Loc, did_you_mean
from router.config.models import NOT_YET, RouterConfig
from router.config.source import Source
from router.errors import ConfigError, Problem

# Words for pydantic's error types; the others keep pydantic's own text.
_WORDS = {
    "missing": "is required",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of names",
    "list_type": "must be a list",
    "string_type": "must be text; put it in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "too_short": "must have two entries, [from, to]",
    "too_long": "must have two entries, [from, to]",
}
# Error types after which the refused text is worth repeating, as it stands in the file.
_QUOTED = {"literal_error", "value_error", "int_parsing", "int_from_float", "bool_parsing", "greater_than_equal"}
_SECRET_KEYS = {"password", "password_hash"}


def load(path: Path, environ: Mapping[str, str] = os.environ) -> RouterConfig:
    """Read the file at ``path``; raises ConfigError with every problem."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), 1, 1, "", f"is not UTF-8 text (byte {error.start})")]) from None
    return loads(text, str(path), environ)


def loads(text: str, filename: str = "routes.yaml", environ: Mapping[str, str] = os.environ) -> RouterConfig:
    """Read the text of a file called ``filename``, from whose folder relative names start."""
    source = Source(text, filename)
    folder = Path(filename).parent
    raw, findings = source.plain(environ, folder)
    config: RouterConfig | None = None
    try:
        config = RouterConfig.model_validate(raw, context={"folder": folder})
    except ValidationError as error:
        _add(findings, _value_findings(error, source))
    survivor = config if config is not None else _largest_valid_part(raw, folder)
    if survivor is not None:
        _add(findings, check(survivor, Names(_keys(raw, "groups"), _keys(raw, "schemas"), _keys(raw, "users"))))
    if findings or config is None:
        raise ConfigError(_sorted(source.problem(finding) for finding in findings))
    config._warnings = tuple(_sorted(source.problem(finding) for finding in (*_not_yet(raw), *doubts(config))))
    return config


def located(path: Path, findings: Iterable[Finding]) -> list[Problem]:
    """Findings about a file that has been loaded, with their places in it, in file order."""
    source = Source(path.read_bytes().decode("utf-8-sig"), str(path))
    return _sorted(source.problem(finding) for finding in findings)


def warnings(config: RouterConfig) -> list[Problem]:
    """Keys the file sets that this version does not act on yet, or that will do nothing, in file order."""
    return list(config._warnings)


def _add(findings: list[Finding], more: Iterable[Finding]) -> None:
    """Add what does not follow from something already found at the same place."""
    earlier = list(findings)
    findings.extend(new for new in more if not any(new.rests_on(old) for old in earlier))


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.line, problem.column, problem.path))


def _keys(raw: dict[str, Any], key: str) -> frozenset[str]:
    part = raw.get(key)
    return frozenset(str(name) for name in part) if isinstance(part, dict) else frozenset()


def _value_findings(error: ValidationError, source: Source) -> Iterator[Finding]:
    for details in error.errors(include_url=False, include_input=False):
        loc = details["loc"]
        if details["type"] == "default_factory_not_called":
            continue  # a default that depends on another key, which is reported itself
        if loc and loc[-1] == "[key]":
            message = (
                "names must not be empty" if details["type"] == "string_too_short" else "names must be text; quote it"
            )
            yield Finding(loc[:-1], message, at_key=True)
        elif details["type"] == "extra_forbidden":
            yield Finding(loc, f"unknown key{did_you_mean(str(loc[-1]), _known_keys(loc[:-1]))}", at_key=True)
        else:
            yield Finding(loc, _words(details, source))


def _words(details: ErrorDetails, source: Source) -> str:
    kind, loc = details["type"], details["loc"]
    message = details["msg"].removeprefix("Value error, ")
    expected = details.get("ctx", {}).get("expected")
    written = None if loc and loc[-1] in _SECRET_KEYS else source.written(loc)
    if kind == "literal_error":
        message = f"must be {expected}"
        close = did_you_mean(written or "", re.findall(r"'([^']*)'", str(expected)))
        message += close if close.startswith(";") else ""
    elif kind == "greater_than_equal":
        message = f"must be at least {details.get('ctx', {}).get('ge')}"
    else:
        message = _WORDS.get(kind, message)
    if kind in _QUOTED and written is not None:
        shown = written if len(written) <= 60 else written[:60] + "…"
        return f"'{shown}' {message}"
    return message


def _known_keys(loc: Loc) -> list[str]:
    """The keys of the mapping at ``loc``, found by walking the models' annotations."""
    model: Any = RouterConfig
    for step in loc:
        if isinstance(model, type) and issubclass(model, BaseModel):
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            model = _inner(fields[str(step)].annotation)
        else:
            model = _inner(typing.get_args(model)[-1])
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner(annotation: Any) -> Any:
    """``X`` for ``X | None``."""
    parts = [part for part in typing.get_args(annotation) if part is not type(None)]
    return parts[0] if len(parts) == 1 and type(None) in typing.get_args(annotation) else annotation


def _largest_valid_part(raw: dict[str, Any], folder: Path) -> RouterConfig | None:
    """The configuration without what is wrong in it, so that the rest can still be checked; None if nothing is left."""
    rest = copy.deepcopy(raw)
    while True:
        try:
            return RouterConfig.model_validate(rest, context={"folder": folder})
        except ValidationError as error:
            locs = [details["loc"] for details in error.errors(include_url=False, include_input=False)]
        # One at a time: cutting one part away may take others with it, or make a parent incomplete.
        if not _cut(rest, locs[0]):
            return None


def _cut(tree: dict[str, Any], loc: Loc) -> bool:
    """Remove the deepest mapping entry that leads to ``loc``; positions in lists must not shift, so lists go whole."""
    node: Any = tree
    victim: tuple[dict[str, Any], Any] | None = None
    for step in loc:
        if isinstance(node, dict) and step in node:
            victim = (node, step)
        elif not (isinstance(node, list) and isinstance(step, int) and step < len(node)):
            break
        node = node[step]
    if victim is None:
        return False
    del victim[0][victim[1]]
    return True


def _not_yet(raw: dict[str, Any]) -> Iterator[Finding]:
    for pattern, text in NOT_YET.items():
        path, _, accepted = pattern.partition("=")
        for loc, value in _matches(raw, path.split("."), ()):
            if value is not None and not (accepted and value == accepted):
                yield Finding(loc, f"is accepted but not yet acted on: {text}", at_key=True)


def _matches(node: Any, steps: list[str], loc: Loc) -> Iterator[tuple[Loc, Any]]:
    if not steps:
        yield loc, node
    elif isinstance(node, dict):
        for key in node if steps[0] == "*" else [steps[0]]:
            if key in node:
                yield from _matches(node[key], steps[1:], (*loc, key))
    elif isinstance(node, list) and steps[0] == "*":
        for index, item in enumerate(node):
            yield from _matches(item, steps[1:], (*loc, index))
