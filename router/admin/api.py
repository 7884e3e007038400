"""The HTTP API for operators: what the servers are doing, and drain, undrain, pause, resume.

A browser of somebody who may reach the router must not become a way to it:

- A request names the router in ``Host`` by an address, as ``localhost`` or as the configuration does. A page whose own
  name has been made to resolve to the router (DNS rebinding) sends that name, and is refused.
- What changes something needs ``Content-Type: application/json``: no page of another origin can send that without being
  allowed to first (CORS preflight), which nobody allows. Where the browser says that the request comes from elsewhere
  (``Origin``, ``Sec-Fetch-Site``), it is refused as well.

A password (``admin.users``) would not do: browsers add it by themselves.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from urllib.parse import urlsplit

from aiohttp import web

from router.cluster.operations import LONGEST_PAUSE, PATIENCE, Drained, Operations, Paused
from router.config.values import Address, parse_duration
from router.errors import ConfigError, NoSuchName

PREFIX = "/api/v1/"
Reload = Callable[[], Awaitable[Sequence[object]]]
_LONGEST = 24 * 3600.0


class Api:
    """Its routes. ``address``: where the configuration says that it is served."""

    def __init__(self, operations: Operations, address: Address, reload: Reload) -> None:
        """``reload`` reads the configuration again."""
        self._operations = operations
        self._address = address
        self._reload = reload

    def add_to(self, app: web.Application) -> None:
        """Serve it."""
        app.router.add_get(f"{PREFIX}servers", self._servers)
        server = f"{PREFIX}servers/{{group}}/{{server}}"
        app.router.add_post(f"{server}/drain", self._drain)
        app.router.add_post(f"{server}/undrain", self._undrain)
        app.router.add_post(f"{PREFIX}reload", self._read_again)
        # Without a name: all groups.
        for place in (f"{PREFIX}groups/{{group}}", f"{PREFIX}groups"):
            app.router.add_post(f"{place}/pause", self._pause)
            app.router.add_post(f"{place}/resume", self._resume)

    @web.middleware
    async def guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse what a browser was talked into; answer mistakes in JSON."""
        if not request.path.startswith(PREFIX):
            return await handler(request)
        if (problem := self._foreign(request)) is not None:
            return web.json_response({"error": problem}, status=403)
        if request.method == "POST" and request.content_type != "application/json":
            return web.json_response({"error": "send it with Content-Type: application/json"}, status=415)
        try:
            return await handler(request)
        except NoSuchName as error:
            return web.json_response({"error": str(error)}, status=404)
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
            return web.json_response({"error": "the new configuration is wrong", "problems": problems}, status=422)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)

    def _foreign(self, request: web.Request) -> str | None:
        """Why the request is not from somebody who means the router."""
        host = request.headers.get("Host", "")
        if self._address.path is None and not self._ours(host):
            return "the Host header must be an address, localhost, or the host of admin.http"
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "the request comes from another site"
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "the request comes from another origin"
        return None

    def _ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in ("localhost", (self._address.host or "").lower()):
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    # -- what it serves ----------------------------------------------------------------------------------------

    async def _servers(self, request: web.Request) -> web.Response:
        return web.json_response({"servers": [asdict(each) for each in self._operations.standing()]})

    async def _drain(self, request: web.Request) -> web.Response:
        found = await self._operations.drain(*_server(request), _seconds(request, "timeout", PATIENCE))
        return _told([found], done=found.done)

    async def _undrain(self, request: web.Request) -> web.Response:
        found = await self._operations.undrain(*_server(request))
        return _told([found], done=not found.draining)

    async def _read_again(self, request: web.Request) -> web.Response:
        try:
            changes = await self._reload()
        except OSError as error:
            return web.json_response({"error": f"the new configuration cannot be used: {error}"}, status=409)
        return web.json_response({"changes": [str(each) for each in changes]})

    async def _pause(self, request: web.Request) -> web.Response:
        longest, wait = _seconds(request, "timeout", LONGEST_PAUSE), _seconds(request, "wait", PATIENCE)
        found = await self._operations.pause(request.match_info.get("group"), longest, wait)
        return _told(found, done=all(each.done for each in found))

    async def _resume(self, request: web.Request) -> web.Response:
        found = await self._operations.resume(request.match_info.get("group"))
        return _told(found, done=not any(each.paused for each in found))


def _server(request: web.Request) -> tuple[str, str]:
    return request.match_info["group"], request.match_info["server"]


def _seconds(request: web.Request, name: str, default: float) -> float:
    """Raises ValueError."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    if seconds > _LONGEST:
        raise ValueError(f"{name} must be a day at most")
    return seconds


def _told(found: Sequence[Drained | Paused], *, done: bool) -> web.Response:
    return web.json_response({"done": done, "found": [asdict(each) for each in found]})
