"""The HTTP side for operators: ``/metrics``, ``/livez``, ``/readyz``, the ``api``, and the console (``pages``).

``/livez`` says the process runs; ``/readyz`` that it can serve: listening, not draining, and every group has a server
that answers (one lost replica is no reason to take the router out, and a paused group none either: statements wait for
it, and would find nobody else to wait with). With ``admin.users`` all but the two health pages ask for HTTP basic
authentication.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from router.admin import pages
from router.admin.api import USER, Api
from router.admin.sql import MAX_STATEMENT
from router.admin.state import Inside
from router.backend.listening import Sockets, shown
from router.config.models import Admin

# What its sockets are known by.
HTTP = "admin.http"
_OPEN = frozenset({"/livez", "/readyz"})
# Bytes of a request: the longest statement, with every character escaped.
_LARGEST = 8 * MAX_STATEMENT


class AdminHttp:
    """The admin web server inside the router's event loop."""

    def __init__(
        self, config: Admin, inside: Inside, ready: Callable[[], str | None], sockets: Sockets | None = None
    ) -> None:
        """``ready`` gives None, or the reason why the router cannot serve; ``sockets`` are what it listens on."""
        self._sockets = sockets or Sockets()
        self._address = config.http
        self._passwords = config.passwords
        self._inside = inside
        self._samples = _Samples(inside)
        self._ready = ready
        self._runner: web.AppRunner | None = None
        self._api = Api(inside, config.http)

    async def start(self) -> str:
        """Listen; returns the address. Raises OSError."""
        app = web.Application(middlewares=[self._authenticate, self._api.guard], client_max_size=_LARGEST)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        self._api.add_to(app)
        pages.add_to(app)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        sockets = await self._sockets.open(HTTP, self._address, 0o660)
        for each in sockets:
            await web.SockSite(self._runner, each).start()
        address = shown(sockets)
        return address if self._address.path is not None else f"http://{address}"

    def adopt(self, config: Admin) -> None:
        """Other users may use it from now on."""
        self._passwords = config.passwords

    async def stop(self) -> None:
        """Close the server."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._sockets.close(HTTP)
            self._runner = None
        self._api.close()

    @web.middleware
    async def _authenticate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._passwords and request.path not in _OPEN:
            user = self._user(request.headers.get("Authorization", ""))
            if user is None:
                asked = {"WWW-Authenticate": 'Basic realm="router"'}
                return web.Response(status=401, headers=asked, text="who are you?\n")
            request[USER] = user
        return await handler(request)

    def _user(self, header: str) -> str | None:
        """Who it is; None: nobody that is known."""
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        expected = self._passwords.get(name)
        # Compare in any case, so that time does not tell which names exist.
        equal = hmac.compare_digest(password.encode(), (expected or "\0").encode())
        return name if equal and expected is not None else None

    async def _metrics(self, request: web.Request) -> web.Response:
        await self._inside.refresh("")
        body = generate_latest(self._samples)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        reason = self._ready()
        if reason is None:
            return web.Response(text="ok\n")
        return web.Response(status=503, text=f"{reason}\n")


class _Samples(Collector):
    """Those of the router."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def collect(self) -> Iterable[Metric]:
        """All families."""
        return self._inside.samples()
