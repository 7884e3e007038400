"""Reading the configuration again: one after the other, all or nothing, counted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from router.config.models import RouterConfig
from router.errors import ConfigError
from router.metrics import Counters
from router.reloading import Reloads

SETTINGS: dict[str, Any] = {
    "groups": {"main": {"servers": ["127.0.0.1:1"]}},
    "users": {"app": {"password": "x"}},
}


class House:
    """What would go by it: it takes a while, and may be unable to."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.config = RouterConfig.model_validate(SETTINGS)
        self.counters = Counters()
        self.problem: OSError | None = None
        self.inside = 0
        self.went_by: list[int] = []
        self.reloads = Reloads(file, self.counters, lambda: self.config, self._go_by)

    async def _go_by(self, config: RouterConfig) -> None:
        assert self.reloads.busy
        assert self.inside == 0, "one at a time"
        self.inside += 1
        await asyncio.sleep(0.01)
        self.inside -= 1
        if self.problem is not None:
            raise self.problem
        self.config = config
        self.went_by.append(config.limits.digests)

    def write(self, digests: int) -> None:
        self.file.write_text(json.dumps(SETTINGS | {"limits": {"digests": digests}}))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "routes.yaml")


async def test_what_is_different_is_told(house: House) -> None:
    house.write(7)
    assert [change.path for change in await house.reloads.read_again()] == ["limits.digests"]
    assert await house.reloads.read_again() == []
    assert house.went_by == [7, 7]
    assert (house.counters.reloads["done"], house.counters.reloads["refused"]) == (2, 0)


async def test_one_after_the_other(house: House) -> None:
    house.write(7)
    another = RouterConfig.model_validate(SETTINGS | {"limits": {"digests": 8}})
    await asyncio.gather(house.reloads.read_again(), house.reloads.go_by(another), house.reloads.read_again())
    assert sorted(house.went_by) == [7, 7, 8]
    assert not house.reloads.busy


async def test_what_is_refused_changes_nothing(house: House) -> None:
    house.file.write_text("groups: nonsense")
    with pytest.raises(ConfigError):
        await house.reloads.read_again()
    assert house.reloads.refused
    house.write(7)
    house.problem = OSError("in use")
    with pytest.raises(OSError, match="in use"):
        await house.reloads.read_again()
    assert house.went_by == []
    assert house.counters.reloads["refused"] == 2
    house.problem = None
    await house.reloads.read_again()
    assert not house.reloads.refused


async def test_without_a_file(house: House) -> None:
    house.reloads.path = None
    with pytest.raises(ConfigError, match="not from a file"):
        await house.reloads.read_again()


async def test_who_is_stopping_goes_by_nothing_new(house: House) -> None:
    house.write(7)
    house.reloads.stopping = True
    assert await house.reloads.read_again() == []
    await house.reloads.go_by(RouterConfig.model_validate(SETTINGS))
    assert house.went_by == []
