"""Starts the router anew beside the one that runs: the same command with ``--takeover``, of what is installed by now.

So it is where that one is: in the same service of systemd or session of a terminal, as the same user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from router.errors import OperationFailed

_TAKEOVER = "--takeover"
# The shell leaves at once: whoever adopts orphans, systemd for its services, is the parent and sees how it ends.
_ON_ITS_OWN = ["/bin/sh", "-c", '"$@" &', "sh"]


def start_successor(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Run the command again, ``sys.orig_argv`` unless given, with ``--takeover``; returns at once, with what was run.

    What becomes of it, its own log tells. Raises OperationFailed.
    """
    if os.getpid() == 1:
        raise OperationFailed("this router is process 1, with which its container ends: start another container")
    words = list(sys.orig_argv if argv is None else argv)[1:]
    command = [sys.executable, *(word for word in words if word != _TAKEOVER), _TAKEOVER]
    # The watchdog is for one process, and that will be the new one (sd_watchdog_enabled(3)).
    inherited = {name: value for name, value in environ.items() if name != "WATCHDOG_PID"}
    try:
        subprocess.run([*_ON_ITS_OWN, *command], env=inherited, stdin=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise OperationFailed(str(error)) from error
    return command
