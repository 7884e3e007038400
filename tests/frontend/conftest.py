"""What the tests of clients share: each kind of event loop."""

from __future__ import annotations

import pytest

from tests.fakes import LOOPS, run_on
from tests.frontend.house import Run


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test's coroutine on each kind of loop."""
    return lambda work: run_on(request.param, work)
