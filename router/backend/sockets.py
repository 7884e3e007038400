"""Sockets: those to servers notice that the other machine is gone, and unix sockets of our own make room.

A machine that vanishes sends nothing, and by the system's defaults a statement would wait hours for its answer.

A unix socket that an earlier process left behind must make room, anything else stays. asyncio's and uvloop's
``create_unix_server`` remove whatever socket is at the path, one in use too: they are given a bound socket instead.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

# A machine that acknowledges nothing for so long, in seconds, is gone. One whose kernel answers is there, however long
# it thinks: TCP_USER_TIMEOUT would end its connections as well, when it reads nothing because it waits for a lock.
SILENCE = 30
_OPTIONS = (("TCP_KEEPIDLE", SILENCE // 3), ("TCP_KEEPINTVL", SILENCE // 6), ("TCP_KEEPCNT", 4))


def notice_silence(sock: socket.socket) -> None:
    """Let the kernel end a TCP connection whose other side is gone (tcp(7)); others are left as they are."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if (option := getattr(socket, name, None)) is not None:  # not every system has all of them
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def remove_stale_socket(path: Path) -> None:
    """Remove a socket nobody listens on any more; a file, or a socket that answers, is left alone."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def bind_unix_socket(path: Path, mode: int) -> socket.socket:
    """A socket bound to ``path`` with file mode ``mode``. Raises OSError when something else is there."""
    remove_stale_socket(path)
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        path.chmod(mode)
    except OSError:
        bound.close()
        raise
    return bound
