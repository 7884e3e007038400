"""What every test may use; the fixtures themselves live in the plugins named here."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

pytest_plugins = ["tests.fix_servers"]
if find_spec("tests.fix_router") is not None:
    pytest_plugins.append("tests.fix_router")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the files, those with slow tests come first: nobody waits for the last one."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)
