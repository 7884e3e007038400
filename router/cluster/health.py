"""PURE: what probe results mean for a server's health and role.

A server is down after ``MISSES`` probes in a row have failed and up again with the first that succeeds. ``auto``
servers are primaries while they accept writes (``read_only`` off).
"""

from __future__ import annotations

from dataclasses import dataclass

from router.planner.plan import Role
from router.session.profile import ServerProfile, parse_version

# One lost probe may be a hiccup; two in a row leave the server out. Sessions that hit the failure themselves report
# it at once and do not wait for this.
MISSES = 2
# MySQL calls a slave a replica from here on.
_RENAMED = (8, 0, 26)


@dataclass(frozen=True, slots=True)
class Probe:
    """One answer of a server: ``read_only`` and the global ``sql_mode`` as it says, the GTIDs it has ``reached``,
    whether it applies the writes of one source in their order, and whether its own writes have GTIDs (``names``)."""

    read_only: bool
    sql_mode: str = ""
    reached: str = ""
    ordered: bool = True
    names: bool = True


def question_for(profile: ServerProfile) -> str:
    """The query whose only row is a ``Probe``, in the order of its fields."""
    if profile.flavor == "mariadb":
        # Its parallel replication commits in order, whatever the mode.
        return "SELECT @@GLOBAL.read_only, @@GLOBAL.sql_mode, @@GLOBAL.gtid_slave_pos, 1, @@GLOBAL.log_bin"
    name = "replica" if parse_version(profile.version)[1] >= _RENAMED else "slave"
    return (
        "SELECT @@GLOBAL.read_only, @@GLOBAL.sql_mode, @@GLOBAL.gtid_executed,"
        f" @@GLOBAL.{name}_parallel_workers < 2 OR @@GLOBAL.{name}_preserve_commit_order,"
        " @@GLOBAL.gtid_mode = 'ON'"
    )


class HealthState:
    """Health of one server as a function of its probes."""

    __slots__ = ("_misses", "up")

    def __init__(self) -> None:
        self.up = False
        self._misses = 0

    def succeeded(self) -> None:
        """A probe was answered."""
        self._misses = 0
        self.up = True

    def failed(self) -> None:
        """A probe was not answered in time, or with an error."""
        self._misses += 1
        if self._misses >= MISSES:
            self.up = False

    def suspect(self) -> None:
        """A session lost its connection or could not get one: one more miss settles it."""
        self._misses = max(self._misses, MISSES - 1)


def role_of(probe: Probe) -> Role:
    """The role of an ``auto`` server."""
    if probe.read_only:
        return Role.REPLICA
    return Role.PRIMARY
