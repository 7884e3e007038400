"""Links between the pages lead somewhere, every page is in the navigation, and the site is built without a warning."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.docs.blocks import ROOT, pages

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?^ *```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


@cache
def anchors(page: str) -> set[str]:
    """The ids of a page's headings, as GitHub and the site make them."""
    text = _CODE.sub(lambda found: found[0] if "\n" not in found[0] else "", (ROOT / page).read_text(encoding="utf-8"))
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def links(page: str) -> Iterator[str]:
    """Where the links of a page lead to."""
    text = _CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    yield from _LINK.findall(text)


@pytest.mark.parametrize("page", pages())
def test_links(page: str) -> None:
    broken = []
    for link in links(page):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target if target else ROOT / page
        inside = page == "README.md" or path.resolve().is_relative_to(ROOT / "docs")
        if not (path.exists() and inside) or (
            anchor and anchor not in anchors(path.resolve().relative_to(ROOT).as_posix())
        ):
            broken.append(link)
    assert not broken


def navigation() -> list[str]:
    """The pages of mkdocs.yml's navigation."""

    def leaves(node: Any) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            for value in node.values():
                yield from leaves(value)
        else:
            for value in node:
                yield from leaves(value)

    return list(leaves(YAML(typ="safe").load(ROOT / "mkdocs.yml")["nav"]))


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(navigation()) == [page.removeprefix("docs/") for page in pages() if page != "README.md"]


class Fetched(HTMLParser):
    """What a browser fetches for a page by itself, from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            fetches = name == "src" or (tag == "link" and name == "href")
            if fetches and value and re.match(r"(https?:)?//", value):
                self.elsewhere.append(value)


def test_the_site(tmp_path: Path) -> None:
    """As `make site` does, in a folder of its own: there is no warning, and nothing comes from elsewhere."""
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arning" not in done.stdout + done.stderr
    built = sorted((tmp_path / "site").rglob("*.html"))
    assert len(built) == len(pages())  # README.md is none of them, 404.html is
    for page in built:
        parser = Fetched()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.elsewhere == [], page
    index = (tmp_path / "site" / "search.json").read_text(encoding="utf-8")
    assert "consistency" in index
