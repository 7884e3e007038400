"""``python -m router.sandbox``: fill the cache, so that the first test does not have to wait for it."""

from __future__ import annotations

import sys

from router.sandbox.process import SandboxUnavailable
from router.sandbox.servers import fill_cache


def main() -> int:
    """Prepare both flavours; exit status 1 when one is not to be had."""
    status = 0
    for flavor in ("mariadb", "mysql"):
        try:
            place = fill_cache(flavor)
        except SandboxUnavailable as error:
            sys.stderr.write(f"{flavor}: {error}\n")
            status = 1
        else:
            sys.stdout.write(f"{flavor}: {place}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
