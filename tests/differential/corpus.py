"""The statements of ``cases/*.sql``.

A statement ends with a semicolon at the end of a line. Comment lines before it may hold directives:

``-- only: mysql``   (or mariadb) the other server does not know it, or does not mean the same by it
``-- ties: 1 2``     ORDER BY does not fix the order of all rows, only that of these columns of the result (from 1)
``-- count``         which rows are returned is not fixed, only how many
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.differential.compare import Order

CASES = Path(__file__).parent / "cases"
_DIRECTIVE = re.compile(r"-- (only|ties|count)(?::\s*(.*))?$")
_LAST_ORDER = re.compile(r"\bORDER\s+BY\b", re.IGNORECASE)
_WRITE = re.compile(r"\s*(INSERT|REPLACE|UPDATE|DELETE|TRUNCATE|BEGIN|COMMIT|ROLLBACK|SET|START|SAVEPOINT)\b", re.I)


@dataclass(frozen=True, slots=True)
class Case:
    """One statement and how its answers are compared."""

    sql: str
    place: str
    order: Order
    only: str | None = None
    count_only: bool = False

    @property
    def writes(self) -> bool:
        """Whether the statement must be done on both sides or on none."""
        return _WRITE.match(self.sql) is not None


def files() -> list[Path]:
    """The files in the order of their names."""
    return sorted(CASES.glob("*.sql"))


def read(path: Path) -> list[Case]:
    """The statements of a file."""
    cases: list[Case] = []
    directives: dict[str, str] = {}
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("-- ") or line == "--":
            found = _DIRECTIVE.match(line)
            if found is not None:
                directives[found[1]] = found[2] or ""
            continue
        if not line.strip() and not lines:
            continue
        lines.append(line)
        if line.endswith(";"):
            sql = "\n".join(lines).removesuffix(";")
            cases.append(_case(sql, f"{path.name}:{number - len(lines) + 1}", directives))
            lines, directives = [], {}
    assert not lines, f"{path.name}: a statement without an end: {lines}"
    return cases


def _case(sql: str, place: str, directives: dict[str, str]) -> Case:
    if "ties" in directives:
        order = Order(columns=tuple(int(each) - 1 for each in directives["ties"].split()))
    else:
        order = Order(total=ordered(sql))
    return Case(sql, place, order, directives.get("only"), "count" in directives)


def ordered(sql: str) -> bool:
    """Whether the statement itself, not just a query inside it, has an ORDER BY."""
    flat, text = "", re.sub(r"""'(?:[^'\\]|''|\\.)*'|"[^"]*"|`[^`]*`""", "x", sql)
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        flat += character if depth == 0 else " "
    return _LAST_ORDER.search(flat) is not None
