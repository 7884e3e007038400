"""mysql-connector-python: pure, and with its C extension where that can be loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest

from tests.clients.ways import Step, Way, Ways, library, missing, python_program

library("mysql.connector")

from tests.clients.connector import SCENARIOS, Connector  # noqa: E402


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_pure(ways: Ways, scenario: Callable[[Any, Way], Iterator[Step]]) -> None:
    ways.compare(partial(scenario, Connector(pure=True)))


def with_c_extension(way: Way) -> Iterator[Step]:
    return python_program("tests.clients.connector_cext", way)


def test_c_extension(ways_to_primary: Ways) -> None:
    if find_spec("_mysql_connector") is None:
        missing("mysql-connector-python came without its C extension")
    ways_to_primary.compare(with_c_extension)
