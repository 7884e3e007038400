"""The table of what broke in other routers: complete, and every test that it names is there."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

HERE = Path(__file__).parent
KINDS = ("tests", "not_here", "open")
# Of 98 behaviours these many are still open; the number may only fall.
STILL_OPEN = 3


def table() -> list[dict[str, Any]]:
    """The rows of ``peers.yaml``."""
    return list(YAML(typ="safe").load((HERE / "peers.yaml").read_text(encoding="utf-8")))


def names() -> set[str]:
    """Every test in this folder."""
    return {
        node.name
        for path in HERE.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_behaviour_has_one_line() -> None:
    rows = table()
    assert [row["item"] for row in rows] == list(range(1, 99))
    assert all(row["name"] and sum(kind in row for kind in KINDS) == 1 for row in rows)


def test_every_test_it_names_is_there() -> None:
    known = names()
    missing = [f"{row['item']}: {name}" for row in table() for name in row.get("tests", ()) if name not in known]
    assert not missing, "\n".join(missing)
    assert all(row["tests"] for row in table() if "tests" in row)


def test_what_is_open_becomes_less() -> None:
    assert sum("open" in row for row in table()) == STILL_OPEN
