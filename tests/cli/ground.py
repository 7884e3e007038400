"""The command line in a process of its own, where exit codes and speed matter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


GOOD = "groups: {main: {servers: [10.0.0.1:3306, 10.0.0.2:3306]}}\nusers: {app: {password: x}}\n"


ENVIRON = {
    "APP_PASSWORD": "app-secret",
    "REPORTING_PASSWORD": "reporting-secret",
    "MONITOR_PASSWORD": "monitor-secret",
    "OPS_PASSWORD": "ops-secret",
    "SERVER_PASSWORD": "server-secret",
}


def router(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "router", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        timeout=60,
        check=False,
    )
