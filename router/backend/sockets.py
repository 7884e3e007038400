"""Unix sockets of our own: one that an earlier process left behind must make room, anything else stays.

asyncio's and uvloop's ``create_unix_server`` remove whatever socket is at the path, one in use too: they are given a
bound socket instead.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path


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
