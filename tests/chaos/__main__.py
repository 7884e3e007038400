"""``python -m tests.chaos``: minutes of faults on both kinds of servers; prints figures and what was not promised."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.chaos.ground import ground
from tests.chaos.run import complaint, report, run


def main() -> int:
    """Run it; 1 when something was not as promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=280, help="for each kind of server")
    parser.add_argument("--flavor", choices=["mariadb", "mysql"], action="append")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--pause", type=float, default=0.9, help="seconds between faults")
    parser.add_argument("--consistency", choices=["session", "global"], default="session")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="without faults that last long")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 31)
    fine, total, began = True, 0, time.monotonic()
    for flavor in options.flavor or ["mariadb", "mysql"]:
        with ground(flavor, workers=options.workers, reads={"consistency": options.consistency}) as place:
            outcome = run(place, seed=seed, seconds=options.seconds, pause=options.pause, long=not options.short)
        print(report(outcome), flush=True)
        total += len(outcome.faults)
        if not outcome.fine:
            fine = False
            print(complaint(outcome), flush=True)
    print(f"{total} faults in {time.monotonic() - began:.0f} s, seed {seed}: {'fine' if fine else 'NOT fine'}")
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
