"""Clients whose dispatchers share one bench of servers, for the tests of commands."""

from __future__ import annotations

from typing import Any

from router.cluster.describing import Descriptions
from router.frontend.attributed import AttributesDispatcher
from router.frontend.auth import Directory
from router.frontend.connection import ClientConnection
from router.frontend.dispatch import Dispatcher, Shared
from router.frontend.login import CAPABILITIES
from router.session.registry import SessionRegistry
from router.session.state import SessionState
from router.wire.constants import Capability
from router.wire.framing import frame
from tests.engine.bench import Bench
from tests.fakes import FakeTransport, quiet

USERS: dict[str, dict[str, object]] = {
    "app": {"password": "x"},
    "other": {"password": "x"},
    "shop": {"password": "x", "schemas": ["shop"]},
}


class Desk:
    """Dispatchers that share one bench of servers."""

    def __init__(self) -> None:
        self.bench = Bench(users=USERS)
        self.directory = Directory(self.bench.config)
        self.sessions: SessionRegistry[Dispatcher] = SessionRegistry()
        self.lost: list[Dispatcher] = []
        self.changes: list[bytes] = []
        self.shared = Shared(
            plans=self.bench.plans,
            services=self.bench.services,
            sessions=self.sessions,
            on_lost=self.lost.append,
            change_user=lambda dispatcher, payload: self.changes.append(payload),
            descriptions=Descriptions(self.bench.services.topology),
        )

    def client(
        self, user: str = "app", *, schema: str | None = None, capabilities: int = int(CAPABILITIES)
    ) -> tuple[Dispatcher, FakeTransport]:
        """A logged-in client, and what is written to it."""
        transport = FakeTransport()
        counters = self.bench.counters
        connection = ClientConnection(transport, 1 << 26, counters, 0.0)
        profile = self.bench.main.profile
        assert profile is not None
        connection_id = self.sessions.next_id()
        dispatcher = (AttributesDispatcher if capabilities & Capability.QUERY_ATTRIBUTES else Dispatcher)(
            connection,
            self.shared,
            self.directory.account(user),
            SessionState(profile, 45, schema),
            connection_id=connection_id,
            capabilities=capabilities,
            shape=capabilities & int(Capability.QUERY_ATTRIBUTES),
            host="localhost",
            address="127.0.0.1",
            attributes={"program_name": "desk"},
        )
        connection.start(dispatcher)
        self.sessions.add(connection_id, dispatcher)
        return dispatcher, transport

    async def say(self, dispatcher: Dispatcher, payload: bytes) -> None:
        """A command of the client."""
        dispatcher.client.data_received(frame(payload, 0))
        await quiet()

    def plan_anew(self, **changes: Any) -> None:
        """Plans of another configuration, as for a ``Bench``; nothing else changes."""
        self.bench.plans = self.shared.plans = Bench(**{"users": USERS, **changes}).plans

    def to_servers(self) -> bytes:
        """Everything servers have been sent since last asked."""
        return b"".join(
            self.bench.sent(connection)
            for connector in self.bench.connectors.values()
            for connection in connector.opened
        )

    async def answer(self, *answers: bytes) -> None:
        """Answer the statement that runs."""
        for data in answers:
            (busy,) = [it for connector in self.bench.connectors.values() for it in connector.opened if it.busy]
            busy.data_received(data)
            await quiet()
