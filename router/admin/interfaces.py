"""Everything that operators talk to: HTTP, and SQL if it is configured."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from router.admin.http import AdminHttp
from router.admin.mysql import AdminMysql
from router.admin.state import Inside
from router.backend.listening import Sockets
from router.config.models import RouterConfig
from router.wire.handshake import RsaKey

Tls = tuple[ssl.SSLContext, bool]


class Interfaces:
    """``http`` and ``mysql`` are the addresses, once it has started."""

    def __init__(
        self,
        config: RouterConfig,
        inside: Inside,
        not_ready: Callable[[], str | None],
        next_id: Callable[[], int],
        tls_of: Callable[[RouterConfig], Tls | None],
        rsa: RsaKey,
        sockets: Sockets,
    ) -> None:
        """``not_ready`` says why the router cannot serve, ``next_id`` gives connection ids."""
        self._tls_of = tls_of
        self._http = AdminHttp(config.admin, inside, not_ready, sockets)
        self._mysql = AdminMysql(config.admin, config.limits, inside, next_id, tls_of(config), rsa, sockets)
        self.http: str | None = None
        self.mysql: str | None = None

    async def start(self) -> None:
        """Listen. Raises OSError."""
        self.http = await self._http.start()
        self.mysql = await self._mysql.start()

    def adopt(self, config: RouterConfig) -> None:
        """Go by another configuration; the addresses stay."""
        self._http.adopt(config.admin)
        self._mysql.adopt(config.admin, config.limits, self._tls_of(config))

    def stop_sql(self) -> None:
        """Nobody may change anything by SQL any more; probes and metrics go on."""
        self._mysql.stop()

    async def stop(self) -> None:
        """End both."""
        self._mysql.stop()
        await self._http.stop()
