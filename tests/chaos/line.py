"""A line between two parties that knows packets: cut at or inside the n-th, slow, silent or refusing."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

from tests.proxy import CuttingProxy


@dataclass(frozen=True, slots=True)
class Cut:
    """Where to cut: after ``packets`` more of one direction, ``inside`` bytes into the next (0: between two)."""

    packets: int
    forward: bool
    inside: int = 0


class PacketCounter:
    """Finds where packets begin in a stream that comes in pieces."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def starts(self, data: bytes) -> list[int]:
        """Offsets in ``data`` at which packets begin."""
        found, place = [], 0
        while place < len(data):
            if self._left:
                step = min(self._left, len(data) - place)
                self._left -= step
            else:
                if not self._head:
                    found.append(place)
                step = min(4 - len(self._head), len(data) - place)
                self._head += data[place : place + step]
                if len(self._head) == 4:
                    self._left = int.from_bytes(self._head[:3], "little")
                    self._head = b""
            place += step
        return found


class Line(CuttingProxy):
    """``delay``: seconds every piece takes; ``flowing``: cleared while nothing passes, though nothing is closed;
    ``refusing``: who connects is cut off at once; ``mute``: what the target says is dropped, and the line must be cut
    before anything else passes."""

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(target)
        self.delay = 0.0
        self.refusing = False
        self.mute = False
        self.flowing = threading.Event()
        self.flowing.set()
        self._cut: Cut | None = None
        self._seen = 0

    def cut_at(self, cut: Cut | None) -> None:
        """Arm the next cut; None disarms it."""
        with self._lock:
            self._cut, self._seen = cut, 0

    @property
    def armed(self) -> bool:
        """Whether a cut is still to come."""
        return self._cut is not None

    def _flow(self, source: socket.socket, sink: socket.socket, forward: bool) -> bool:
        counter = PacketCounter()
        while data := source.recv(65536):
            self.flowing.wait()
            if self.refusing:
                return False
            if self.mute and not forward:
                continue
            if self.delay:
                time.sleep(self.delay)
            end = self._place(counter.starts(data), forward)
            if end is not None:
                sink.sendall(data[:end])
                return False
            sink.sendall(data)
        return True

    def _place(self, starts: list[int], forward: bool) -> int | None:
        """Where in a piece, in which packets begin at ``starts``, to cut now."""
        cut = self._cut
        if cut is None or cut.forward is not forward:
            return None
        with self._lock:
            if self._cut is not cut:
                return None
            wanted = cut.packets - self._seen
            self._seen += len(starts)
            if wanted >= len(starts):
                return None
            self._cut = None
            self.cuts += 1
            return starts[wanted] + cut.inside
