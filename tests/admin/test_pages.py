"""The files of the console: what is served, to whom, and with which headers."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from router.admin.pages import HEADERS, files, is_page
from tests.admin.test_http import ADMIN, USERS, House

FOLDER = Path(__file__).parents[2] / "router/admin/console"


def test_every_file_of_the_folder_is_served() -> None:
    assert set(files()) == {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.*")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_files_keep_to_the_rules(path: Path) -> None:
    """Nothing from elsewhere, nothing that the content security policy refuses, no markup made of texts."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 600
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function", text
    )
    assert not re.search(r"\s(on\w+|style)=[\"']", text)
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    if path.suffix == ".html":
        assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", text))
        assert "<style" not in text
    for imported in re.findall(r"""from\s+["']([^"']+)["']""", text):
        assert (path.parent / imported).resolve().is_file(), imported


def test_nothing_is_imported_or_exported_in_vain() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.js")}
    taken = set()
    for path, text in texts.items():
        for names, source in re.findall(r"import \{ ([^}]+) \} from \"([^\"]+)\"", text):
            for name in names.split(", "):
                assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{path.name}: {name}"
                taken.add(((path.parent / source).resolve(), name))
        taken |= {
            ((path.parent / source).resolve(), "*") for source in re.findall(r"import \* as .* \"([^\"]+)\"", text)
        }
    for path, text in texts.items():
        for name in re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", text, re.MULTILINE):
            own = len(re.findall(rf"\b{name}\b", text)) > 1
            assert own or {(path, name), (path, "*")} & taken, f"{path.name}: {name}"


async def test_the_page_and_its_headers() -> None:
    async with House().open() as house, aiohttp.ClientSession() as session:
        for path, status in (("/", 200), ("/console/app.js", 200), ("/livez", 200), ("/none", 404), ("/api/v1/", 404)):
            async with session.get(house.url + path) as response:
                assert response.status == status
                assert {name: response.headers[name] for name in HEADERS} == HEADERS
        async with session.get(f"{house.url}/console/", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (308, "/")


@pytest.mark.parametrize("path", ["/", "/console/app.js", "/console", "/console/none.js"])
async def test_the_page_needs_a_password_like_the_rest(path: str) -> None:
    async with House(**USERS).open() as house:
        assert (await house.ask("GET", path, {}))[0] == 401
        assert (await house.ask("GET", path, {"Authorization": ADMIN}))[0] in (200, 404)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Host": "evil.example"}, 403),
        ("/console/app.js", {"Host": "evil.example"}, 403),
        ("/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200),
        ("/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}, 403),
        ("/console/app.js", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "script"}, 403),
        ("/console/app.js", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 403),
        ("/console/app.js", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "script"}, 200),
    ],
)
async def test_who_must_not_come_through_a_browser(path: str, headers: dict[str, str], status: int) -> None:
    async with House().open() as house:
        assert (await house.ask("GET", path, headers))[0] == status


def test_what_is_a_page() -> None:
    assert is_page("/")
    assert is_page("/console/app.js")
    assert not is_page("/metrics")
    assert not is_page("/livez")
