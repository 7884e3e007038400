"""Where MySQL 9.7 comes from, and that its programs run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from router.sandbox import MySQL97, SandboxUnavailable, mysql97
from router.sandbox import mysql97 as function
from router.sandbox.mysql97 import DIRECTORY_VARIABLE


@pytest.fixture
def tree() -> MySQL97:
    """The unpacked tree; a skip where it cannot be had, a failure in CI."""
    try:
        return function()
    except SandboxUnavailable as unavailable:
        if os.environ.get("CI"):
            pytest.fail(str(unavailable), pytrace=False)
        pytest.skip(str(unavailable))


@pytest.mark.mysql
@pytest.mark.parametrize("program", ["mysqld", "mysql", "mysqldump", "mysqlrouter"])
def test_programs_run(tree: MySQL97, program: str) -> None:
    command = getattr(tree, program)
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=30, check=True)
    assert tree.version.startswith("9.7.")
    assert tree.version in done.stdout


@pytest.mark.mysql
def test_folders_exist(tree: MySQL97) -> None:
    assert (tree.messages / "english/errmsg.sys").is_file()
    assert (tree.charsets / "Index.xml").is_file()
    assert (tree.plugins / "semisync_source.so").is_file()
    assert (tree.router_plugins / "routing.so").is_file()


def test_a_wrong_directory_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    with pytest.raises(SandboxUnavailable, match=rf"{DIRECTORY_VARIABLE}={tmp_path}: there is no usr/sbin/mysqld"):
        mysql97()


def test_without_mmdebstrap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxUnavailable, match="apt-get install mmdebstrap"):
        mysql97()
