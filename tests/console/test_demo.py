"""What a new user sees after `make demo`: the console with live data, and dashboards that all show something."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.deploy.test_grafana import PATIENCE, TARGETS, filled, running_prometheus
from tests.test_demo import private, read_until

__all__ = ["private"]


@contextlib.contextmanager
def demo() -> Iterator[str]:
    """As `make demo` starts it; the address of the console."""
    command = [sys.executable, "-m", "router", "demo", "--load"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            found = re.search(r"console: http://(127\.0\.0\.1:\d+)/", read_until(process, "Ctrl-C"))
            assert found is not None
            yield found[1]
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.usefixtures("private")
def test_the_console_and_the_dashboards_of_the_demo(chromium: Browser, tmp_path: Path) -> None:
    with demo() as address, running_prometheus(tmp_path, address) as prometheus_server:
        page = chromium.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://{address}/")
        for server in ("primary", "replica1", "replica2", "shard0", "shard1"):
            expect(page.get_by_text(server, exact=True).first).to_be_visible()
        page.screenshot(path=tmp_path / "demo.png")
        wanted = {title: filled(expression) for title, expression in TARGETS}
        missing = prometheus_server.without_data(wanted, PATIENCE)
        assert not missing, "\n".join(f"{title}: {expression}" for title, expression in missing.items())
        page.goto(f"http://{address}/#digests")
        expect(page.get_by_text("SELECT * FROM orders WHERE id = ?").first).to_be_visible()
        page.close()
        assert errors == []
