"""The admin interface over the MySQL protocol: its listener.

Operators are no clients: they have connection ids like clients, so that KILL is unambiguous, and are in no other count.
TLS is that of the first listener with a certificate; where that one requires it, so does this, except on this machine.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable

from router.admin.commands import Commands
from router.admin.session import AdminSession, Entrance, only_these
from router.admin.state import Inside
from router.backend.listening import Sockets, shown
from router.config.models import Admin, Limits
from router.wire.constants import NONCE_SIZE
from router.wire.handshake import RsaKey

MAX_SESSIONS = 64
# What its sockets are known by.
MYSQL = "admin.mysql"
# What drivers take for the version of a server decides what they ask it for.
_AS_MYSQL = "8.4.0"
_LETTERS = bytes(byte for byte in range(1, 128) if byte != ord("$"))


class AdminMysql:
    """Listens at ``admin.mysql``, if there is one."""

    def __init__(
        self,
        config: Admin,
        limits: Limits,
        inside: Inside,
        next_id: Callable[[], int],
        tls: tuple[ssl.SSLContext, bool] | None = None,
        rsa: RsaKey | None = None,
        sockets: Sockets | None = None,
    ) -> None:
        """``next_id`` gives connection ids; ``tls`` is a context, and whether it is required.

        ``sockets`` are what it listens on.
        """
        self._sockets = sockets or Sockets()
        self._rsa = rsa
        self._address = config.mysql
        self._lookup = only_these(config.passwords)
        self._limits = limits
        self._inside = inside
        self._next_id = next_id
        self._tls = tls
        self._sessions: dict[int, AdminSession] = {}
        self._servers: list[asyncio.Server] = []
        self._commands: Commands | None = None
        self._entrance: Entrance | None = None

    async def start(self) -> str | None:
        """Listen; returns the address, None without one. Raises OSError."""
        address = self._address
        if address is None:
            return None
        await self._inside.refresh("")
        version = f"{_AS_MYSQL}-mysql-query-router-{self._inside.gauges().version}"
        self._commands = Commands(self._inside, version, self._end)
        self._entrance = self._entrance_of(self._commands)
        loop = asyncio.get_running_loop()
        sockets = await self._sockets.open(MYSQL, address, 0o660)
        for each in sockets:
            listen = loop.create_server if address.path is None else loop.create_unix_server
            self._servers.append(await listen(self._session, sock=each))
        return shown(sockets)

    def _session(self) -> AdminSession:
        assert self._entrance is not None
        assert self._address is not None
        return AdminSession(self._entrance, unix=self._address.path is not None)

    def adopt(self, config: Admin, limits: Limits, tls: tuple[ssl.SSLContext, bool] | None) -> None:
        """Go by another configuration at the same address; whom it does not know as he came in has to go."""
        before, self._lookup = self._lookup, only_these(config.passwords)
        self._limits, self._tls = limits, tls
        if self._commands is not None:
            self._entrance = self._entrance_of(self._commands)
        for session in list(self._sessions.values()):
            user = session.user
            if user is None or before(user) != self._lookup(user):
                session.bar()

    def stop(self) -> None:
        """Listen no more, and end all sessions."""
        for server in self._servers:
            server.close()
        if self._servers:
            self._sockets.close(MYSQL)
            self._servers = []
        for session in list(self._sessions.values()):
            session.end()
        if self._commands is not None:
            self._commands.close()

    def _entrance_of(self, commands: Commands) -> Entrance:
        context, required = self._tls or (None, False)
        here = self._address is None or self._address.is_loopback
        return Entrance(
            commands=commands,
            counters=self._inside.counters,
            lookup=self._lookup,
            rsa=self._rsa,
            nonce=lambda: bytes(secrets.choice(_LETTERS) for _ in range(NONCE_SIZE)),
            decoy=secrets.token_bytes(32),
            tls=context,
            tls_required=required and not here,
            timeout=self._limits.connect_timeout,
            idle=self._limits.idle_timeout,
            enter=self._enter,
            leave=self._leave,
        )

    def _enter(self, session: AdminSession) -> int | None:
        if len(self._sessions) >= MAX_SESSIONS:
            self._inside.counters.auth_failures["admin: too many connections"] += 1
            return None
        connection_id = self._next_id()
        while connection_id in self._sessions:
            connection_id = self._next_id()
        self._sessions[connection_id] = session
        return connection_id

    def _leave(self, session: AdminSession) -> None:
        self._sessions.pop(session.connection_id, None)

    def _end(self, connection_id: int, query_only: bool) -> bool:
        """KILL of an operator."""
        session = self._sessions.get(connection_id)
        if session is not None:
            session.end(query_only=query_only)
        return session is not None
