"""The rules of the house, checked on the source itself: who may import whom, purity, sizes, names, mirror tests.

A failure prints everything that is wrong at once. The import table is that of ``docs/explanation/architecture.md``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "router"

# From top to bottom; a part imports only parts on lower lines, or itself.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"cli"}),
    frozenset({"demo", "importing"}),
    frozenset({"process", "sandbox"}),
    frozenset({"gateway"}),
    frozenset({"reloading", "wiring"}),
    frozenset({"spans"}),
    frozenset({"reporting"}),
    frozenset({"frontend", "admin", "supervision"}),
    frozenset({"engine"}),
    frozenset({"cluster"}),
    frozenset({"backend"}),
    frozenset({"planner", "session"}),
    frozenset({"sql", "config"}),
    frozenset({"wire"}),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
EVERYWHERE = frozenset({"errors"})
NOT_FROM_PURE = frozenset({"metrics", "log", "tasks"})
PURE = frozenset({"wire", "sql", "planner", "session"})
PURE_FILES = frozenset({"cluster/health.py", "cluster/replication.py", "cluster/electing.py"})
IMPURE_MODULES = frozenset(
    {"asyncio", "uvloop", "time", "socket", "selectors", "threading", "random", "secrets", "logging", "structlog"}
    | {"prometheus_client", "aiohttp", "aiomysql", "pymysql", "subprocess"}
)
# Libraries that belong to certain places only.
PLACES: dict[str, tuple[str, ...]] = {
    "sqlglot": ("sql/", "planner/"),
    "sqlglotc": (),
    "pydantic": ("config/",),
    "pydantic_core": ("config/",),
    "ruamel": ("config/",),
    "aiomysql": ("backend/connector.py", "cluster/"),
    "typer": ("cli/",),
    "opentelemetry": ("spans.py",),
    "prometheus_client": ("metrics.py", "admin/", "reporting.py", "process/"),
}
MAX_FILE = 600
MAX_FUNCTION = 60
BAD_NAMES = ("Factory", "Manager", "Impl", "Handler", "Helper", "Util")

FILES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    """``router.wire.codec`` for its file; a package is named by its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part_of(module: str) -> str:
    """``wire`` for ``router.wire.codec``, ``cli`` for ``router.cli``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path, *, module_level: bool = False) -> Iterator[tuple[str, int]]:
    """Names of imported modules with their lines; ``module_level`` leaves out functions and TYPE_CHECKING blocks."""

    def walk(node: ast.AST) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield alias.name, child.lineno
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: relative import"
                for alias in child.names:
                    inner = f"{child.module}.{alias.name}"
                    yield (inner if inner in MODULES else child.module or ""), child.lineno
            elif not (module_level and runs_later(child)):
                yield from walk(child)

    yield from walk(tree(path))


def runs_later(node: ast.AST) -> bool:
    """Whether what is inside is not run by importing the module: functions, and what only type checkers read."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def test_the_checks_see_the_source() -> None:
    assert "router.errors" in MODULES
    assert len(MODULES) > 20
    assert ("router.errors", 1) not in list(imports(PACKAGE / "errors.py"))
    assert "router.config.models" in {name for name, _ in imports(PACKAGE / "config/loader.py")}


def test_every_part_has_its_place_in_the_table() -> None:
    parts = {part_of(module) for module in MODULES} - {""}
    assert parts <= set(LEVEL) | EVERYWHERE | NOT_FROM_PURE, parts - set(LEVEL) - EVERYWHERE - NOT_FROM_PURE


def test_imports_go_down_only() -> None:
    wrong = []
    for module, path in MODULES.items():
        own = part_of(module)
        for imported, line in imports(path):
            other = part_of(imported)
            if not imported.startswith("router.") or other in (own, ""):
                continue
            if other in EVERYWHERE or (other in NOT_FROM_PURE and own not in PURE and own != "errors"):
                continue
            if own not in LEVEL or other not in LEVEL or LEVEL[other] <= LEVEL[own]:
                wrong.append(f"router/{relative(path)}:{line}: {own} must not import {imported}")
    assert not wrong, "\n".join(wrong)


def test_pure_parts_are_pure() -> None:
    wrong = [
        f"router/{relative(path)}:{line}: pure, must not import {imported}"
        for module, path in MODULES.items()
        if part_of(module) in PURE or relative(path) in PURE_FILES
        for imported, line in imports(path)
        if imported.split(".")[0] in IMPURE_MODULES
    ]
    assert not wrong, "\n".join(wrong)


def test_libraries_stay_in_their_places() -> None:
    wrong = [
        f"router/{relative(path)}:{line}: {imported} belongs to {', '.join(PLACES[library]) or 'nowhere'}"
        for path in MODULES.values()
        for imported, line in imports(path)
        if (library := imported.split(".")[0]) in PLACES and not relative(path).startswith(PLACES[library])
    ]
    assert not wrong, "\n".join(wrong)


def test_no_import_cycles() -> None:
    graph = {
        module: {
            imported for imported, _ in imports(path, module_level=True) if imported in MODULES and imported != module
        }
        for module, path in MODULES.items()
    }
    cycles = list(find_cycles(graph))
    assert not cycles, "\n".join(" → ".join(cycle) for cycle in cycles)


def find_cycles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Every cycle that a depth-first walk closes, as the list of its modules."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> Iterator[list[str]]:
        if module in trail:
            yield [*trail[trail.index(module) :], module]
            return
        if module in done:
            return
        for imported in sorted(graph[module]):
            yield from visit(imported, [*trail, module])
        done.add(module)

    for module in sorted(graph):
        yield from visit(module, [])


def test_cycles_are_found() -> None:
    assert list(find_cycles({"a": {"b"}, "b": {"c"}, "c": set()})) == []
    assert list(find_cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == [["b", "c", "b"]]


def test_every_module_has_its_mirror_test() -> None:
    missing = []
    for path in MODULES.values():
        if path.name in ("__init__.py", "__main__.py"):
            continue
        inside = path.relative_to(PACKAGE)
        mirror = Path("tests") / inside.parent / f"test_{inside.name}"
        if not (ROOT / mirror).is_file():
            missing.append(f"router/{inside.as_posix()} has no {mirror.as_posix()}")
    assert not missing, "\n".join(missing)


def test_every_module_says_what_it_is_for() -> None:
    everything = [*FILES, *sorted((ROOT / "tests").rglob("*.py"))]
    silent = [str(path.relative_to(ROOT)) for path in everything if not ast.get_docstring(tree(path))]
    assert not silent, "\n".join(silent)


def test_every_folder_is_a_package() -> None:
    folders = {path.parent for top in ("router", "tests") for path in (ROOT / top).rglob("*.py")}
    missing = [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()]
    assert not missing, missing


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    long = [f"router/{relative(path)}: {length} lines" for path, length in lengths.items() if length > MAX_FILE]
    assert not long, "\n".join(long)


def test_functions_are_short() -> None:
    long = []
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION:
                    long.append(f"router/{relative(path)}:{node.lineno}: {node.name} has {length} lines")
    assert not long, "\n".join(long)


def test_names_say_what_a_class_is() -> None:
    wrong = [
        f"router/{relative(path)}:{node.lineno}: class {node.name}"
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and any(bad in node.name for bad in BAD_NAMES)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["router", "config", "docs", "deploy"])
def test_the_product_does_not_name_a_workplace(folder: str) -> None:
    """Paths of somebody's machine have no business in what others read."""
    wrong = [
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md", ".yaml", ".sh", ".json") and "/work/" in path.read_text(encoding="utf-8")
    ]
    assert not wrong, wrong
