"""The short form: some twenty seconds of faults on each kind of server. ``make chaos`` is the long one."""

from __future__ import annotations

import os
import random
import sys

import pytest

from router.sandbox import Flavor, SandboxUnavailable
from tests.chaos.ground import ground
from tests.chaos.run import complaint, report, run
from tests.fix_servers import FLAVORS

SECONDS = 15.0
# Set to repeat a run that has failed.
SEED = "ROUTER_CHAOS_SEED"


@pytest.mark.slow
@pytest.mark.parametrize(("flavor", "workers"), [*zip(FLAVORS, (1, 2), strict=True)])
def test_no_promise_is_broken(flavor: Flavor, workers: int) -> None:
    seed = int(os.environ.get(SEED, random.randrange(1 << 31)))
    try:
        with ground(flavor, workers=workers) as place:
            outcome = run(place, seed=seed, seconds=SECONDS, pause=0.5)
    except SandboxUnavailable as unavailable:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no {flavor} server: {unavailable}")
    sys.stdout.write(f"{report(outcome)}\n")
    assert outcome.fine, complaint(outcome)
    assert len(outcome.faults) >= 10
    assert outcome.journal.statements > 200
