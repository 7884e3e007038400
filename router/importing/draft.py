"""The draft of a configuration file: YAML in which everything that could not be carried over is a comment at its place.

A tree of ``Block`` (a mapping), ``Items`` (a list) and scalars is filled in any order and printed once. A remark is a
comment and a line for standard error; those that are ``todo`` need a human. Text is printed in quotes unless it is a
plain word, and never means anything to YAML or to the ``${env:…}`` of the file.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from router.errors import RouterError

HEADER = "# yaml-language-server: $schema=./routes.schema.json"
WIDTH = 120
# What is larger is no configuration.
MAX_SOURCE = 4 << 20

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*:[0-9]+\Z|[0-9]+(\.[0-9]+){3}(/[0-9]+)?\Z")
_DURATION = re.compile(r"[0-9]+(ms|s|m|h|d|B|KiB|MiB|GiB)\Z")
_REFERENCE = re.compile(r"\$\{[^}]*\}")


class ImportProblem(RouterError):
    """The source cannot be read at all: ``place`` is its file, or ``file:line``."""

    def __init__(self, place: object, message: str) -> None:
        super().__init__(f"{place}: {message}")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a source."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that was not carried over as it was; ``todo``: somebody has to look at it."""

    place: Place
    text: str
    todo: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {'todo' if self.todo else 'note'}: {one_line(self.text)}"

    @property
    def comment(self) -> str:
        """The same for the file."""
        return f"{'TODO' if self.todo else 'Note'} ({self.place}): {one_line(self.text)}"


@dataclass(frozen=True, slots=True)
class Reference:
    """The value of an environment variable."""

    variable: str


class Items(list["Node"]):
    """A list; ``comments[n]`` stand before its nth element, those of its length at the end."""

    def __init__(self, *elements: Node) -> None:
        super().__init__(elements)
        self.comments: dict[int, list[str]] = {}

    def comment(self, text: str) -> None:
        """Say something before whatever comes next."""
        self.comments.setdefault(len(self), []).append(text)


class Block:
    """A mapping; ``flow``: printed on one line."""

    def __init__(self, *, flow: bool = False, **entries: Node) -> None:
        self.entries: dict[str, Node] = dict(entries)
        self.comments: dict[str | None, list[str]] = {}
        self.flow = flow

    def __setitem__(self, key: str, value: Node) -> None:
        self.entries[key] = value

    def __getitem__(self, key: str) -> Node:
        return self.entries[key]

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def __len__(self) -> int:
        return len(self.entries)

    def block(self, key: str) -> Block:
        """The mapping at ``key``, made if there is none."""
        found = self.entries.setdefault(key, Block())
        assert isinstance(found, Block)
        return found

    def items(self, key: str) -> Items:
        """The list at ``key``, made if there is none."""
        found = self.entries.setdefault(key, Items())
        assert isinstance(found, Items)
        return found

    def comment(self, text: str, key: str | None = None) -> None:
        """Say something before ``key``; None: at the end of what is there now."""
        self.comments.setdefault(key, []).append(text)


Scalar = str | int | float | date | Reference | None
Node = Scalar | Block | Items


@dataclass(slots=True)
class Draft:
    """A configuration file in the making, what was said about it, and the variables that have to be set."""

    origin: str
    root: Block = field(default_factory=Block)
    remarks: list[Remark] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def remark(
        self, where: Block | Items, place: Place, text: str, *, key: str | None = None, todo: bool = True
    ) -> None:
        """Say at ``where`` (before ``key``) that something was not carried over as it was."""
        remark = Remark(place, text, todo)
        self.remarks.append(remark)
        if isinstance(where, Items):
            where.comment(remark.comment)
        else:
            where.comment(remark.comment, key)

    def password(self, name: str, what: str) -> Reference:
        """A reference to the variable that holds a password: no secret of the source is repeated."""
        stem = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "USER"
        if stem[0].isdigit():
            stem = f"_{stem}"
        variable, number = f"{stem}_PASSWORD", 1
        while self.variables.setdefault(variable, what) != what:
            number += 1
            variable = f"{stem}_{number}_PASSWORD"
        return Reference(variable)

    @property
    def complete(self) -> bool:
        """Whether nothing is left for a human to decide."""
        return not any(remark.todo for remark in self.remarks)

    def __str__(self) -> str:
        lines = [HEADER, *_comment(f"Converted from {self.origin}.", "")]
        todo = sum(remark.todo for remark in self.remarks)
        if todo:
            lines += _comment(f"Not complete: {todo} places are marked TODO.", "")
        if self.variables:
            lines += _comment("Set these environment variables (or replace ${env:…} by ${file:…}):", "")
            for variable, what in self.variables.items():
                lines += _comment(f"  {variable}: {what}", "")
        for key in self.root.entries:
            part = Block()
            part.entries[key] = self.root.entries[key]
            part.comments = {key: self.root.comments.get(key, [])}
            lines += ["", *_mapping(part, "")]
        lines += [line for text in self.root.comments.get(None, []) for line in ["", *_comment(text, "")]]
        return "\n".join(lines) + "\n"


def decoded(name: str, content: bytes) -> str:
    """The text of a source called ``name``. Raises ImportProblem when it is too large or not UTF-8."""
    if len(content) > MAX_SOURCE:
        raise ImportProblem(name, f"is larger than {MAX_SOURCE >> 20} MiB: not a configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportProblem(name, f"is not UTF-8 text (byte {error.start})") from None


def one_line(text: str, limit: int = 1000) -> str:
    """``text`` without anything that ends a line or moves a terminal's cursor."""
    clean = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return clean if len(clean) <= limit else clean[:limit] + "…"


# -- printing --------------------------------------------------------------------------------------------------


def scalar(value: Scalar) -> str:
    """A value as it stands in YAML."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Reference():
            return f'"${{env:{value.variable}}}"'
        case str():
            return _text(value)
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _text(value: str) -> str:
    plain = _PLAIN.match(value) and value.lower() not in _WORDS
    if plain or _ADDRESS.match(value) or _DURATION.match(value):
        return value
    return '"' + "".join(map(_char, _REFERENCE.sub(r"$\g<0>", value))) + '"'


def _char(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:
        return "\N{REPLACEMENT CHARACTER}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _comment(text: str, indent: str) -> Iterator[str]:
    lead = " " * (len(text) - len(text.lstrip()))
    width = max(40, WIDTH - len(indent) - 2)
    for line in textwrap.wrap(one_line(text), width, subsequent_indent=lead, break_on_hyphens=False):
        yield f"{indent}# {line}"


def _mapping(block: Block, indent: str) -> Iterator[str]:
    for key, value in block.entries.items():
        for text in block.comments.get(key, []):
            yield from _comment(text, indent)
        yield from _entry(f"{indent}{scalar(key)}:", value, indent + "  ")
    for text in block.comments.get(None, []):
        yield from _comment(text, indent)


def _entry(head: str, value: Node, indent: str) -> Iterator[str]:
    flow = _flow(value)
    if flow is not None and len(head) + len(flow) < WIDTH:
        yield f"{head} {flow}".rstrip()
    elif isinstance(value, Block):
        yield head
        yield from _mapping(value, indent)
    elif isinstance(value, Items):
        yield head
        yield from _list(value, indent)
    else:
        yield f"{head} {scalar(value)}"


def _list(items: Items, indent: str) -> Iterator[str]:
    for number, value in enumerate(items):
        for text in items.comments.get(number, []):
            yield from _comment(text, indent)
        flow = _flow(value)
        if flow is not None:
            yield f"{indent}- {flow}"
            continue
        assert isinstance(value, Block | Items)
        body = list(_mapping(value, indent + "  ") if isinstance(value, Block) else _list(value, indent + "  "))
        # Comments that belong to the first key go before the dash.
        first = next(index for index, line in enumerate(body) if not line.lstrip().startswith("#"))
        yield from (line.replace("  ", "", 1) for line in body[:first])
        yield f"{indent}- {body[first].lstrip()}"
        yield from body[first + 1 :]
    for text in items.comments.get(len(items), []):
        yield from _comment(text, indent)


def _flow(value: Node) -> str | None:
    """The value on one line, None when it has comments or is to stand below its key."""
    if isinstance(value, Items):
        parts = [_flow(each) for each in value]
        plain = not value.comments and all(not isinstance(each, Block | Items) for each in value)
        return "[" + ", ".join(part for part in parts if part is not None) + "]" if plain and value else None
    if isinstance(value, Block):
        if not value.flow or value.comments:
            return None
        inner = {key: _flow(each) for key, each in value.entries.items()}
        if any(each is None for each in inner.values()):
            return None
        return "{ " + ", ".join(f"{scalar(key)}: {each}" for key, each in inner.items()) + " }"
    return scalar(value)
