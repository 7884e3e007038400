"""What a process tells of itself, as far as the gateway's tests do not show it."""

from __future__ import annotations

from router.reporting import _command_name


def test_commands_by_name() -> None:
    assert _command_name(3) == "query"
    assert _command_name(0x17) == "stmt_execute"
    assert _command_name(0x77) == "unknown"
