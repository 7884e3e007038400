"""What all commands share."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from router import log
from router.cli import common
from tests.cli.ground import router


@pytest.mark.parametrize("command", [[], ["run"], ["check"], ["explain", "SELECT 1"]])
def test_every_command_refuses_a_bad_file_and_wants_one(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("groups: 1\n")
    result = router(*command[:1], "--config", str(path), *command[1:])
    assert result.returncode == 78
    assert "groups: must be a mapping of names" in result.stderr
    result = router(*command[:1], "--config", str(tmp_path / "none.yaml"), *command[1:])
    assert result.returncode == 78
    assert "cannot be read: No such file or directory" in result.stderr
    result = router(*command)
    assert result.returncode == 2
    assert "--config" in result.stderr


def test_log_options_are_those_of_the_log() -> None:
    assert typing.get_args(common.Format) == typing.get_args(log.Format)
    assert typing.get_args(common.Level) == typing.get_args(log.Level)
