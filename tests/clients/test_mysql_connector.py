"""mysql-connector-python: pure, and with its C extension where that can be loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.clients.ways import PROGRAM_TIMEOUT, Step, Way, Ways, library, missing

library("mysql.connector")

from tests.clients.connector import SCENARIOS, Connector  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_pure(ways: Ways, scenario: Callable[[Any, Way], Iterator[Step]]) -> None:
    ways.compare(partial(scenario, Connector(pure=True)))


def with_c_extension(way: Way) -> Iterator[Step]:
    """Everything, in the process of ``connector_cext.py``."""
    names = ("through", "port", "flavor", "password", "ca", "host", "user", "database")
    argument = json.dumps({name: getattr(way, name) for name in names})
    command = [sys.executable, "-m", "tests.clients.connector_cext", argument]
    done = subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=PROGRAM_TIMEOUT, check=False
    )
    for line in done.stdout.splitlines():
        label, value = json.loads(line)
        yield label, value
    assert done.returncode == 0, done.stderr


def test_c_extension(ways_to_primary: Ways) -> None:
    if find_spec("_mysql_connector") is None:
        missing("mysql-connector-python came without its C extension")
    ways_to_primary.compare(with_c_extension)
