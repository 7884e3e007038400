"""Clients that send query attributes with their statements."""

from __future__ import annotations

from router.errors import ProtocolError
from router.frontend.dispatch import Dispatcher
from router.wire.attributes import sql_start
from router.wire.constants import Command


class AttributesDispatcher(Dispatcher):
    """The commands of a client that sends query attributes: they stand in front of the SQL of a COM_QUERY."""

    __slots__ = ()

    def command(self, frames: bytes, payload: bytes | None) -> None:
        """Run one command; what is planned is its SQL, what is sent are its ``frames``."""
        if frames[4] == Command.QUERY:
            whole = frames[4:] if payload is None else payload
            try:
                payload = whole[:1] + whole[sql_start(whole) :]
            except ProtocolError:
                self.malformed()
                return
        super().command(frames, payload)
