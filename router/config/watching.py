"""Notices that a file says something else: by reading it, which also sees what symbolic links are exchanged for.

(Kubernetes replaces the files of a ConfigMap by exchanging one link far up the path: who watches inodes misses it.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

# Seconds between two looks. What was written in pieces is the same in two of them before it counts.
INTERVAL = 1.0


def digest(path: Path) -> bytes:
    """What tells one content from another; the same for all that cannot be read."""
    try:
        return sha256(path.read_bytes()).digest()
    except OSError:
        return b""


async def watch(path: Path, changed: Callable[[], Awaitable[None]], interval: float = INTERVAL) -> None:
    """Call ``changed`` whenever the file has become another one, until cancelled. A file that is gone is waited for."""
    known = seen = await asyncio.to_thread(digest, path)
    while True:
        await asyncio.sleep(interval)
        found = await asyncio.to_thread(digest, path)
        if found and found != known and found == seen:
            known = found
            await changed()
        seen = found
