"""Files that change in the ways files change."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from router.config.watching import watch


def replaced(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_text("two")
    other.rename(path)


def written(path: Path) -> None:
    path.write_text("two")


def gone_and_back(path: Path) -> None:
    path.unlink()


def seen_after(path: Path, *changes: Callable[[Path], None]) -> int:
    """How often a change was noticed, when these were made one after the other."""
    times = 0
    noticed = asyncio.Event()

    async def changed() -> None:
        nonlocal times
        times += 1
        noticed.set()

    async def look() -> None:
        task = asyncio.create_task(watch(path, changed, 0.01))
        await asyncio.sleep(0.05)
        for change in changes:
            noticed.clear()
            change(path)
            try:
                await asyncio.wait_for(noticed.wait(), 0.5)
            except TimeoutError:
                continue
        task.cancel()

    asyncio.run(look())
    return times


def test_a_file_that_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    assert seen_after(path, written) == 1


def test_a_file_that_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    assert seen_after(path, replaced) == 1


def test_a_file_behind_a_link_that_is_exchanged(tmp_path: Path) -> None:
    for name, text in (("first", "one"), ("second", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(text)
    data = tmp_path / "data"
    data.symlink_to("first")
    path = tmp_path / "file"
    path.symlink_to("data/file")

    def exchanged(_: Path) -> None:
        (tmp_path / "new").symlink_to("second")
        os.replace(tmp_path / "new", data)

    assert seen_after(path, exchanged) == 1


def test_the_same_again_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("two")
    assert seen_after(path, written, replaced) == 0


def test_a_file_that_is_gone_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    assert seen_after(path, gone_and_back, written) == 1
