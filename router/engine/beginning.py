"""How the transaction of one session has begun: what could be said again elsewhere, and what may run where it is."""

from __future__ import annotations

from router.cluster.topology import Group, Server
from router.engine import refusals
from router.engine.services import Services
from router.errors import MySQLError
from router.planner.plan import Relay
from router.session.state import SessionState


class Beginning:
    """Of one session. ``begun``: the last statement was this BEGIN. ``confined``: the transaction is on a replica."""

    __slots__ = ("_opened", "_services", "_session", "begun", "confined")

    def __init__(self, session: SessionState, services: Services) -> None:
        self._session = session
        self._services = services
        self.begun = b""
        self.confined = False
        # What opened a transaction in which nothing else has been done, but perhaps by the command with these bytes.
        self._opened: tuple[bytes, list[bytes]] = b"", []

    def of(self, frame: bytes) -> list[bytes]:
        """What has opened the transaction in which the command with these bytes is the first."""
        return self._opened[1] if self._opened[0] is frame else []

    def goes_on(self, plan: Relay, frame: bytes) -> MySQLError | None:
        """A command comes behind BEGIN, or where the session is ``confined``; an error when it may not."""
        if self.begun:
            self._opened, self.begun = (frame, [self.begun]), b""
        self.confined = self.confined and self._session.transaction
        return refusals.on_replica(plan.facts) if self.confined else None

    def opens(self, frame: bytes, server: Server | None) -> None:
        """What opens the session's transaction is said in front of a command."""
        self._opened = frame, self._session.opening or []
        self.settles(server)

    def settles(self, server: Server | None) -> None:
        """The transaction is on this server now."""
        group = None if server is None else self._services.topology.groups[server.group]
        self.confined = group is not None and server is not group.elected and self._shares(group)

    def _shares(self, group: Group) -> bool:
        return group.config.reads.read_only_transactions == "replicas" and self._session.only_reads

    def may_be_on_replica(self, plan: Relay) -> bool:
        """Whether a replica may have the transaction that the plan begins, if it is a read."""
        return not plan.spans and self._shares(self._services.topology.groups[plan.group])

    def forget(self) -> None:
        """The session has no connection any more."""
        self.begun = b""
