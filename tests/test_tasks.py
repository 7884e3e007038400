"""Background tasks: kept alive, named, and loud."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from structlog.testing import capture_logs

from router import tasks
from router.tasks import spawn


async def test_a_task_runs_under_its_name() -> None:
    async def work() -> int:
        return 7

    task = spawn(work(), "seven")
    assert task.get_name() == "seven"
    assert await task == 7


async def test_a_task_nobody_holds_is_not_lost() -> None:
    """Only a weak reference leads from the loop to a task that waits for something nobody else holds either."""
    finished = asyncio.Event()

    class Door:
        def __init__(self) -> None:
            self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work(door: Door) -> None:
        await door.opened
        finished.set()

    door = Door()
    watched = weakref.ref(door)
    spawn(work(door), "waits")
    del door
    await asyncio.sleep(0)
    gc.collect()
    kept = watched()
    assert kept is not None, "the task was collected"
    kept.opened.set_result(None)
    await asyncio.wait_for(finished.wait(), 5)


async def test_a_failure_is_logged_with_its_traceback() -> None:
    async def work() -> None:
        raise ValueError("broken")

    with capture_logs() as logs:
        task = spawn(work(), "breaks")
        with pytest.raises(ValueError, match="broken"):
            await task
        await asyncio.sleep(0)
    (entry,) = logs
    assert (entry["log_level"], entry["task"]) == ("error", "breaks")
    assert isinstance(entry["exc_info"], ValueError)


async def test_a_cancelled_task_is_no_failure() -> None:
    with capture_logs() as logs:
        task = spawn(asyncio.Event().wait(), "for ever")
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
    assert logs == []


async def test_finished_tasks_are_forgotten() -> None:
    async def work() -> None:
        pass

    before = len(tasks._running)
    await spawn(work(), "short")
    await asyncio.sleep(0)
    assert len(tasks._running) == before


def test_outside_a_loop_nothing_is_started() -> None:
    async def work() -> None:
        pass

    coroutine = work()
    with pytest.raises(RuntimeError):
        spawn(coroutine, "nowhere")
    coroutine.close()
