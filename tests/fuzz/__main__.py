"""Run the fuzz targets, one after the other: ``python -m tests.fuzz [target …] [-runs=N]``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUNS = "-runs=100000"


def main(arguments: list[str]) -> int:
    """The exit status of the first target that fails, 0 when none does."""
    options = [argument for argument in arguments if argument.startswith("-")] or [RUNS]
    chosen = [argument for argument in arguments if not argument.startswith("-")]
    targets = sorted(path.stem for path in Path(__file__).parent.glob("fuzz_*.py"))
    for target in chosen or targets:
        name = target if target.startswith("fuzz_") else f"fuzz_{target}"
        if name not in targets:
            print(f"no target {target!r}; there are: {', '.join(targets)}", file=sys.stderr)
            return 2
        print(f"== {name} {' '.join(options)}", flush=True)
        status = subprocess.run([sys.executable, "-m", f"tests.fuzz.{name}", *options], check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
