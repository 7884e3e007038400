"""Worker processes: what does not begin is told. (How they serve, die and come back: ``test_fleet``.)"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from router.config.models import RouterConfig
from router.errors import OperationFailed
from router.log import Setting
from router.process import crew as module
from router.process.crew import Crew, Member
from router.process.messages import Begin
from router.session.registry import Numbering

CONFIG = RouterConfig.model_validate(
    {
        "listeners": ["127.0.0.1:0"],
        "groups": {"main": {"servers": ["127.0.0.1:1"]}},
        "users": {"app": {"password": "x"}},
    }
)


def crew_of(count: int) -> Crew:
    def begin(member: Member) -> Begin:
        return Begin(CONFIG, Numbering(member.number, count + 1), (), {}, (), {}, False, Setting("json", "error"))

    async def asked(member: Member, message: Any) -> None:
        """Nothing is asked."""

    async def begun(member: Member) -> None:
        """Nothing was ordered meanwhile."""

    return Crew(count, begin, begun, lambda member, message: None, asked, lambda member: None)


async def test_one_that_ends_at_once_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "command", lambda ends: [sys.executable, "-c", "raise SystemExit(3)"])
    crew = crew_of(2)
    with pytest.raises(OperationFailed, match="has ended"):
        await crew.start()
    assert crew.serving == []


async def test_one_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "command", lambda ends: ["/nowhere/python"])
    with pytest.raises(OSError, match="nowhere"):
        await crew_of(1).start()


async def test_they_begin_answer_and_end() -> None:
    crew = crew_of(2)
    await crew.start()
    assert [member.number for member in crew.serving] == [0, 1]
    assert len({member.pid for member in crew.members}) == 2
    await crew.stop(0)
    assert crew.serving == []


async def test_one_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = crew_of(1)
    await crew.start()
    monkeypatch.setattr(module, "_LAST_STEPS", 0.1)
    monkeypatch.setattr(crew, "tell", lambda message: None)
    await crew.stop(0)
    assert crew.serving == []
