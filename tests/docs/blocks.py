"""The pages, and the fenced blocks in them.

Comments that are not rendered tell what cannot be seen: ``<!-- in: schemas.shop.tables -->`` above a piece of YAML is
the place in the configuration where it belongs, ``<!-- file: application.yml -->`` the name of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)(`{3,})(.*)$")
_REMARK = re.compile(r"^<!-- (in|file): (\S+) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``line`` is that of its first line; ``place`` and ``file`` come from the comment above it.

    ``follows`` is the block right before it, with nothing but empty lines between.
    """

    page: str
    line: int
    language: str
    text: str
    place: str = ""
    file: str = ""
    follows: Block | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block, and what the page says that it prints (the empty text: nothing is said)."""

    block: Block
    text: str
    printed: str


@cache
def pages() -> list[str]:
    """README.md and everything in docs/, from the root."""
    found = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    return ["README.md", *found]


@cache
def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    return list(blocks_of(page, (ROOT / page).read_text(encoding="utf-8")))


def all_blocks(*languages: str) -> list[Block]:
    """Those of all pages in these languages."""
    return [block for page in pages() for block in blocks(page) if block.language in languages]


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """The fenced blocks of a page's text."""
    lines = text.splitlines()
    above: list[str] = []  # since the block before
    before: Block | None = None
    number = 0
    while number < len(lines):
        opened = FENCE.match(lines[number])
        if opened is None:
            above.append(lines[number].strip())
            number += 1
            continue
        end = number + 1
        while lines[end].strip() != opened[2]:
            end += 1
        remark = next((_REMARK.match(line) for line in reversed(above) if line), None)
        inside = [line.removeprefix(opened[1]) for line in lines[number + 1 : end]]
        before = Block(
            page=page,
            line=number + 2,
            language=opened[3].strip(),
            text="\n".join(inside) + "\n",
            place=remark[2] if remark and remark[1] == "in" else "",
            file=remark[2] if remark and remark[1] == "file" else "",
            follows=None if any(line and not _REMARK.match(line) for line in above) else before,
        )
        yield before
        above, number = [], end + 1


def commands(block: Block) -> list[Command]:
    """The commands of a block: behind ``$`` or ``#`` (root's) in a console, every line in a script."""
    found: list[list[str]] = []
    open_line = False
    for line in block.text.splitlines():
        if open_line:
            found[-1][0] += f"\n{line}"
        elif block.language != "console":
            if not line.strip() or line.startswith("#"):
                continue
            found.append([line, ""])
        elif line.startswith(("$ ", "# ")):
            found.append([line[2:], ""])
        else:
            found[-1][1] += f"{line}\n"
            continue
        open_line = line.endswith("\\")
    return [Command(block, text, printed) for text, printed in found]


def looks_like(shown: str, real: str) -> bool:
    """Whether the output that a page shows is the real one: ``…`` is any text, spaces and line ends do not count."""
    parts = [re.escape(" ".join(part.split())) for part in shown.split("…")]
    return re.fullmatch(".*".join(rf"\s*{part}\s*" for part in parts), " ".join(real.split())) is not None
