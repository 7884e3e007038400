"""What every test may use; the fixtures themselves live in the plugins named here."""

from __future__ import annotations

from importlib.util import find_spec

pytest_plugins = ["tests.fix_servers"]
if find_spec("tests.fix_router") is not None:
    pytest_plugins.append("tests.fix_router")
