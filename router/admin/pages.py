"""The files of the web console, as they are in the folder ``console``: read once, served from memory."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import web

PLACE: Final = "/console/"
# Where the page itself is.
PAGES: Final = frozenset({"/"})
_FOLDER: Final = Path(__file__).parent / "console"
_KINDS: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

# A page of another site can neither frame it nor take its parts; of itself it runs and loads only what is here, and
# makes no markup of texts.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_page(path: str) -> bool:
    """Whether it is the console's."""
    return path in PAGES or path.startswith(PLACE.rstrip("/"))


@cache
def files() -> dict[str, tuple[str, bytes]]:
    """The kind and the content of each by its path in the folder."""
    found = {}
    for path in sorted(_FOLDER.rglob("*")):
        if (kind := _KINDS.get(path.suffix)) is not None:
            found[path.relative_to(_FOLDER).as_posix()] = (kind, path.read_bytes())
    return found


def add_to(app: web.Application) -> None:
    """Serve them."""
    app.router.add_get("/", _page)
    app.router.add_get(f"{PLACE}{{name:.*}}", _file)
    app.router.add_get(PLACE.rstrip("/"), _elsewhere)
    app.on_response_prepare.append(_protect)


async def _page(_request: web.Request) -> web.Response:
    return _served("index.html")


async def _file(request: web.Request) -> web.StreamResponse:
    return _served(request.match_info["name"]) if request.match_info["name"] else await _elsewhere(request)


async def _elsewhere(_request: web.Request) -> web.Response:
    raise web.HTTPPermanentRedirect("/")


def _served(name: str) -> web.Response:
    if (found := files().get(name)) is None:
        raise web.HTTPNotFound
    kind, content = found
    return web.Response(body=content, content_type=kind, charset=None if kind == "image/svg+xml" else "utf-8")


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    """Whatever is answered, be it a mistake."""
    response.headers.update(HEADERS)
