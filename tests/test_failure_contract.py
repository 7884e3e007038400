"""The failure contract as it is documented: every line of its table names tests, and all of them are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/reference/failure-contract.md"
_NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def lines() -> list[str]:
    """The lines of the table, without its head."""
    return [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]


def exists(file: str, name: str) -> bool:
    """Whether there is such a test."""
    path = HERE / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name for node in tree.body)


def test_every_promise_names_a_test() -> None:
    found = lines()
    assert len(found) >= 18
    assert [line for line in found if not _NAMED.search(line.rsplit("|", 2)[1])] == []


def test_the_tests_are_there() -> None:
    named = _NAMED.findall(PAGE.read_text(encoding="utf-8"))
    assert [f"{file}::{name}" for file, name in named if not exists(file, name)] == []
