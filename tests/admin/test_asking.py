"""What operators may ask before they do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.admin.asking import changes, explain, read_again
from router.config.loader import load
from router.config.models import RouterConfig
from router.errors import ConfigError, NoSuchName
from router.planner.catalog import Catalog
from tests.admin.inside import SETTINGS

CONFIG = RouterConfig.model_validate(SETTINGS)
CATALOG = Catalog.build(CONFIG, 0)
TEXT = """\
groups: {main: {servers: [{name: a, address: "127.0.0.1:3306"}]}}
users: {app: {password: hunter2}}
limits: {digests: 10}
"""


def test_explain() -> None:
    found = explain(CONFIG, CATALOG, "SELECT 1", "app", None, None)
    assert found.rows[0][1] == "group main"
    with pytest.raises(NoSuchName, match="no user is called 'ap'; did you mean 'app'"):
        explain(CONFIG, CATALOG, "SELECT 1", "ap", None, None)
    with pytest.raises(ValueError, match="an IP address"):
        explain(CONFIG, CATALOG, "SELECT 1", "app", None, "somewhere")


async def test_changes_are_told_and_not_made(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(TEXT)
    config = load(file)
    assert await changes(config, file) == []
    file.write_text(TEXT.replace("10", "20").replace("hunter2", "hunter3"))
    found = [str(each) for each in await changes(config, file)]
    assert "limits.digests: 10 → 20" in found
    assert not any("hunter" in each for each in found), "secrets are compared, not shown"
    file.write_text(TEXT.replace("10", "many"))
    with pytest.raises(ConfigError):
        await changes(config, file)


async def test_without_a_file() -> None:
    with pytest.raises(ConfigError, match="not from a file"):
        await read_again(None)
