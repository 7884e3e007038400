"""PURE: packets read one at a time, and not a byte further: what is behind is for whoever reads next (TLS, a session).

For logins and operators, whose packets are few and fit into one frame each.
"""

from __future__ import annotations

from router.errors import PacketTooLarge
from router.wire.constants import HEADER_SIZE
from router.wire.framing import Packet


class ExactReader:
    """What an `asyncio.BufferedProtocol` reads by; ``limit``: the longest payload, in bytes."""

    __slots__ = ("_buffer", "_have", "_header", "_in_payload", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._header = bytearray(HEADER_SIZE)
        self._buffer = self._header
        self._have = 0
        self._in_payload = False

    @property
    def sequence(self) -> int:
        """The number of the packet that comes, or came last."""
        return self._header[3]

    def buffer(self) -> memoryview:
        """Room for exactly the bytes that are missing of the current header or payload."""
        return memoryview(self._buffer)[self._have :]

    def expect(self, size: int) -> None:
        """So many bytes come that are no packet; they are returned as if they were one."""
        self._begin(bytearray(size))

    def filled(self, count: int) -> Packet | None:
        """So many bytes have come into the ``buffer``; the packet, if it is whole. Raises PacketTooLarge."""
        self._have += count
        if self._have < len(self._buffer):
            return None
        if not self._in_payload:
            length = int.from_bytes(self._header[:3], "little")
            if length > self.limit:
                raise PacketTooLarge(f"{length} bytes, and {self.limit} are allowed")
            self._begin(bytearray(length))
            if length:
                return None
        payload = bytes(self._buffer)
        self._buffer, self._have, self._in_payload = self._header, 0, False
        return Packet(self.sequence, payload)

    def _begin(self, payload: bytearray) -> None:
        self._buffer, self._have, self._in_payload = payload, 0, True
