"""Every example of the pages: no block is without a test. YAML is loaded here, and scripts are read by a shell.

Commands are run by ``test_commands.py``, SQL by ``test_statements.py``, programs by ``test_frameworks.py``; each has a
table of what it cannot run, with the reason.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from router.config.loader import loads, warnings
from tests.docs.blocks import ROOT, Block, all_blocks, blocks, commands, looks_like, pages
from tests.docs.configurations import ENVIRON, document_at, is_whole, piece, with_files, written
from tests.docs.test_conversions import FILES
from tests.docs.test_frameworks import FOLDER, PROGRAMS

# Languages, and the tests that know them.
TESTED = {
    "yaml": "here",
    "sh": "test_commands.py",
    "console": "test_commands.py",
    "sql": "test_statements.py",
    "ini": "test_conversions.py",
    **dict.fromkeys(("python", "javascript", "php", "go", "java"), "test_frameworks.py"),
}
# Blocks without a language that are no output of the block before them, by their first words.
DRAWN = {
    "README.md": [" application ──┐"],
    "docs/how-to/tracing.md": ["# otelcol.yaml"],
    "docs/explanation/architecture.md": ["bytes ─PacketDecoder→", "cli → demo"],
}
# Output that is not behind its command, and who compares it.
OUTPUT = {
    "README.md": {"ready in": "test_statements.py::test_the_demo"},
    "docs/explanation/routing.md": {"Note 1003 router:": "tests/integration/test_tracing.py"},
    "docs/tutorials/first-steps.md": {"routes.yaml:": "test_a_mistake_is_told_with_its_place"},
}
YAML_BLOCKS = all_blocks("yaml")


def test_every_block_is_tested() -> None:
    unknown = []
    for page in pages():
        for block in blocks(page):
            if block.language in TESTED and (not block.file or page.startswith(FOLDER) or page in FILES):
                continue
            if block.language in ("", "text"):
                known = [*DRAWN.get(page, []), *OUTPUT.get(page, {})]
                if block.text.startswith(tuple(known)) or page.startswith(FOLDER):
                    continue
                if block.follows is not None and block.follows.language in ("sql", "console"):
                    continue
            unknown.append(f"{block}: ```{block.language}")
    assert not unknown, "nobody tests these blocks"


def test_what_is_said_of_blocks_is_still_so() -> None:
    for page, beginnings in [*DRAWN.items(), *((page, list(known)) for page, known in OUTPUT.items())]:
        for beginning in beginnings:
            assert any(block.text.startswith(beginning) for block in blocks(page)), (page, beginning)


@pytest.mark.parametrize("block", [block for block in YAML_BLOCKS if not block.file], ids=str)
def test_configurations(block: Block, tmp_path: Path) -> None:
    # A whole one as it stands, comments and all; a piece within the one that the page has before.
    if is_whole(block):
        text = block.text
    else:
        piece(block)
        text = written(document_at(block))
    config = loads(with_files(text, tmp_path), str(tmp_path / "routes.yaml"), ENVIRON)
    assert list(map(str, warnings(config))) == []


@pytest.mark.parametrize("block", [block for block in YAML_BLOCKS if block.file], ids=str)
def test_files_of_others_belong_to_a_program(block: Block) -> None:
    if FILES.get(block.page) == block.file:
        return
    program = PROGRAMS.get(block.page.removeprefix(FOLDER))
    assert program is not None, f"{block}: nobody reads {block.file}"
    assert block.file in program.files


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_example_files(path: Path, tmp_path: Path) -> None:
    config = loads(with_files(path.read_text(encoding="utf-8"), tmp_path), str(tmp_path / path.name), ENVIRON)
    assert list(map(str, warnings(config))) == []


@pytest.mark.parametrize("block", all_blocks("sh", "console"), ids=str)
def test_scripts_are_shell(block: Block) -> None:
    script = "\n".join(command.text.replace("…", "x") for command in commands(block))
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    """The tutorial's file with its first port taken out gives the tutorial's message."""
    page = "docs/tutorials/first-steps.md"
    file = next(block.text for block in blocks(page) if block.language == "yaml")
    shown = next(block.text for block in blocks(page) if block.text.startswith("routes.yaml:"))
    (tmp_path / "routes.yaml").write_text(file.replace("10.0.0.1:3306", "10.0.0.1", 1), encoding="utf-8")
    done = subprocess.run(
        [str(ROOT / ".venv/bin/router"), "check", "routes.yaml"],
        cwd=tmp_path,
        env={**os.environ, **ENVIRON},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 78
    assert looks_like(shown, done.stderr)
