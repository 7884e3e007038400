"""``python -m tests.tpcc``: TPC-C over four shards, long; prints what was done and whether the books agree."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from router.sandbox import ReplicaSet, start_replica_set
from tests.tpcc.consistency import books, expected, violations
from tests.tpcc.ground import routed
from tests.tpcc.load import work
from tests.tpcc.sessions import PreparedSession, TextSession
from tests.tpcc.tables import SCHEMA, SHARDING, Scale, create, fill


def main() -> int:
    """Run it; 1 when a condition does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.tpcc", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--flavor", choices=["mariadb", "mysql"], default="mariadb")
    parser.add_argument("--servers", type=int, default=1, help="of 1 to 4; deadlocks between servers are timeouts")
    parser.add_argument("--terminals", type=int, default=8)
    parser.add_argument("--warehouses", type=int, default=4)
    parser.add_argument("--prepared", action="store_true", help="prepared statements, by MySQL Connector/Python")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    scale = Scale(warehouses=options.warehouses)
    with contextlib.ExitStack() as stack:
        wait = ["--innodb-lock-wait-timeout=2", "--max-connections=400"]
        servers: list[ReplicaSet] = [
            stack.enter_context(start_replica_set(options.flavor, 0, options=wait)) for _ in range(options.servers)
        ]
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        router = stack.enter_context(routed(servers, directory, SCHEMA, SHARDING))
        kind = PreparedSession if options.prepared else TextSession
        session = stack.enter_context(contextlib.closing(TextSession(router, SCHEMA)))
        began = time.monotonic()
        create(session)
        fill(session, scale, Random(options.seed))
        print(f"loaded in {time.monotonic() - began:.1f} s")
        before = books(session)
        tally = work(lambda: kind(router, SCHEMA), scale, options.terminals, options.seconds, seed=options.seed)
        after = books(session)
        wrong = violations(session)
        right = expected(before, tally, after)
        print(f"{tally}\n{sum(tally.done.values()) / options.seconds:.1f} transactions/s")
    for name, rows in wrong.items():
        print(f"condition {name} does not hold: {rows[:5]}")
    for name, value in right.items():
        if after[name] != value:
            print(f"{name}: {after[name]}, but should be {value}")
    return int(bool(wrong) or after != right)


if __name__ == "__main__":
    sys.exit(main())
