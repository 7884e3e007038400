"""A TCP proxy that cuts lines: stands between two parties and breaks the connection after a given number of bytes.

Plain threads and sockets. ``cut_after`` counts the bytes of one direction over all connections
made since it was set; None lets everything pass. With ``delay`` every answer comes so many seconds later.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self


class CuttingProxy:
    """Listens on 127.0.0.1:``port`` and forwards to ``target``."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._to_target: int | None = None
        self._to_client: int | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._half_done: set[tuple[socket.socket, socket.socket]] = set()
        self._closed = False
        self.cuts = 0
        self.delay = 0.0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="cutting proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._listener.close()
        self.cut_all()

    def cut_after(self, *, to_target: int | None = None, to_client: int | None = None) -> None:
        """From now on, cut when so many bytes have passed in a direction."""
        with self._lock:
            self._to_target = to_target
            self._to_client = to_client

    def cut_all(self) -> None:
        """Break every connection now, with a reset."""
        with self._lock:
            pairs = list(self._pairs)
            self._pairs.clear()
        for pair in pairs:
            self._reset(pair)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                target = socket.create_connection(self._target, timeout=10)
            except OSError:
                client.close()
                continue
            target.settimeout(None)
            pair = (client, target)
            for end in pair:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.add(pair)
            threading.Thread(target=self._pump, args=(pair, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(pair, False), daemon=True).start()

    def _pump(self, pair: tuple[socket.socket, socket.socket], forward: bool) -> None:
        source, sink = pair if forward else (pair[1], pair[0])
        try:
            if self._flow(source, sink, forward):
                sink.shutdown(socket.SHUT_WR)
            else:
                self._reset(pair)
        except OSError:
            self._reset(pair)
        finally:
            with self._lock:
                last = pair in self._half_done
                self._half_done ^= {pair}
                self._pairs.discard(pair)
            if last:
                for end in pair:
                    end.close()

    def _flow(self, source: socket.socket, sink: socket.socket, forward: bool) -> bool:
        """Let bytes pass until ``source`` ends; False: the connection is to be cut."""
        while data := source.recv(65536):
            if self.delay and not forward:
                time.sleep(self.delay)
            allowed = self._allowed(len(data), forward)
            sink.sendall(data[:allowed])
            if allowed < len(data):
                return False
        return True

    def _allowed(self, size: int, forward: bool) -> int:
        with self._lock:
            left = self._to_target if forward else self._to_client
            if left is None:
                return size
            allowed = min(size, left)
            if forward:
                self._to_target = left - allowed
            else:
                self._to_client = left - allowed
            if allowed < size:
                self.cuts += 1
                self._to_target = self._to_client = None
            return allowed

    @staticmethod
    def _reset(pair: tuple[socket.socket, socket.socket]) -> None:
        for end in pair:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # already gone, which is what is wanted
