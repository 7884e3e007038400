"""Background tasks that cannot get lost: kept by reference, named, and loud when they fail.

``asyncio.create_task`` keeps only a weak reference, and an exception nobody awaits is reported whenever the garbage
collector feels like it (Python documentation, "Creating Tasks"). ``spawn`` is the one way to start a task here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    """Run ``work`` in the background under ``name``; a failure is logged with its traceback."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task failed", task=task.get_name(), exc_info=error)
