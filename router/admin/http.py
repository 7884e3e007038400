"""The HTTP side for operators: ``/metrics``, ``/livez``, ``/readyz``, and the ``api``.

``/livez`` says the process runs; ``/readyz`` that it can serve: listening, not draining, and every group has a server
that answers (one lost replica is no reason to take the router out, and a paused group none either: statements wait for
it, and would find nobody else to wait with). With ``admin.users`` all but the two health pages ask for HTTP basic
authentication.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from router.admin.api import Api, Reload
from router.backend.sockets import bind_unix_socket
from router.cluster.operations import Operations
from router.config.models import Admin

_OPEN = frozenset({"/livez", "/readyz"})


class AdminHttp:
    """The admin web server inside the router's event loop."""

    def __init__(
        self,
        config: Admin,
        registry: CollectorRegistry,
        ready: Callable[[], str | None],
        operations: Operations,
        reload: Reload,
    ) -> None:
        """``ready`` gives None, or the reason why the router cannot serve; ``reload`` reads the configuration again."""
        self._address = config.http
        self._passwords = {name: user.password.get_secret_value() for name, user in config.users.items()}
        self._registry = registry
        self._ready = ready
        self._runner: web.AppRunner | None = None
        self._api = Api(operations, config.http, reload)

    async def start(self) -> str:
        """Listen; returns the address. Raises OSError."""
        app = web.Application(middlewares=[self._authenticate, self._api.guard])
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        self._api.add_to(app)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site: web.BaseSite
        if self._address.path is not None:
            site = web.SockSite(self._runner, bind_unix_socket(Path(self._address.path), 0o660))
        else:
            site = web.TCPSite(self._runner, self._address.host, self._address.port)
        await site.start()
        bound = self._runner.addresses[0]
        if not isinstance(bound, tuple):
            return f"unix:{bound}"
        host, port = bound[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def adopt(self, config: Admin) -> None:
        """Other users may use it from now on."""
        self._passwords = {name: user.password.get_secret_value() for name, user in config.users.items()}

    async def stop(self) -> None:
        """Close the server."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _authenticate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._passwords and request.path not in _OPEN and not self._known(request.headers.get("Authorization", "")):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="router"'}, text="who are you?\n")
        return await handler(request)

    def _known(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        expected = self._passwords.get(name)
        # Compare in any case, so that time does not tell which names exist.
        equal = hmac.compare_digest(password.encode(), (expected or "\0").encode())
        return equal and expected is not None

    async def _metrics(self, request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        reason = self._ready()
        if reason is None:
            return web.Response(text="ok\n")
        return web.Response(status=503, text=f"{reason}\n")
