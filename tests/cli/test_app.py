"""The commands as a whole: help, versions, options in front."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from typer.testing import CliRunner

from router import cli
from tests.cli.ground import GOOD, ROOT, router


def test_wrong_usage() -> None:
    assert router("--nonsense").returncode == 2
    assert router("nonsense").returncode == 2
    assert router("hash-password", "--plugin", "md5").returncode == 2


def test_version_and_help_are_quick() -> None:
    assert router("--version").stdout.startswith("router ")
    took = []
    for _ in range(3):
        started = time.perf_counter()
        result = router("--help")
        took.append(time.perf_counter() - started)
        assert result.returncode == 0
    for word in ("run", "check", "explain", "schema", "hash-password", "demo", "server", "group", "ROUTER_CONFIG"):
        assert word in result.stdout
    # The budget is 0.3 s on a quiet machine; what must not happen is that somebody imports sqlglot for it.
    assert min(took) < 1.0, took
    heavy = ("pydantic", "sqlglot", "asyncio", "aiohttp", "rich", "structlog", "ruamel")
    code = f"import sys, router.cli; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert loaded.stdout == "[]\n"


def test_options_before_the_command_count_and_those_after_it_win(good: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(GOOD)
    assert router("--config", str(other), "check", "--config", str(good)).stdout.startswith(f"{good}: ok")


def test_no_locals_in_tracebacks() -> None:
    """typer's pretty tracebacks print local variables, passwords among them."""
    assert cli.app.pretty_exceptions_enable is False


def test_runner_matches_the_console_script(good: Path) -> None:
    result = CliRunner().invoke(cli.app, ["check", str(good)])
    assert result.exit_code == 0
