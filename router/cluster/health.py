"""PURE: what probe results mean for a server's health and role.

A server is down after ``MISSES`` probes in a row have failed and up again with the first that succeeds. One that keeps
going up and down has to rest after it has come back, longer each time. ``auto`` servers are primaries while they accept
writes (``read_only`` off); who of several it is, is decided in ``electing``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router.cluster.replication import Channel, Membership, channels_of, galera_member, group_member
from router.planner.plan import Role
from router.session.profile import ServerProfile, parse_version

# One lost probe may be a hiccup; two in a row leave the server out. Sessions that hit the failure themselves report
# it at once and do not wait for this.
MISSES = 2
# MySQL calls a slave a replica from here on, in its variables.
_RENAMED = (8, 0, 26)
# And here in its statements.
_SHOW_REPLICA = (8, 0, 22)
# A server that fell so often in so many seconds rests for two seconds, then four, eight …
FALLS = 3
FALLS_WITHIN = 60.0
_FIRST_REST = 2.0
_LONGEST_REST = 60.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One answer of a server: ``read_only`` and the global ``sql_mode`` as it says, the GTIDs it has ``reached``,
    whether it applies the writes of one source in their order, and whether its own writes have GTIDs (``names``).

    ``executed`` are all GTIDs that it has, ``identity`` the server's UUID or server_id in them. ``channels`` are what
    it applies, None when it may not be asked; ``heartbeat`` is its lag by the heartbeat table; ``member`` what it is in
    a cluster.
    """

    read_only: bool
    sql_mode: str = ""
    reached: str = ""
    ordered: bool = True
    names: bool = True
    executed: str = ""
    identity: str = ""
    channels: tuple[Channel, ...] | None = None
    heartbeat: float | None = None
    member: Membership | None = None


@dataclass(frozen=True, slots=True)
class Questions:
    """What a probe asks: ``state`` must be answered. ``replication`` needs a privilege, ``heartbeat`` a table; the
    others are about clusters."""

    state: str
    replication: str
    heartbeat: str | None = None
    cluster: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, the one that must be answered first."""
        return (self.state, self.replication, *self.cluster, *([self.heartbeat] if self.heartbeat else []))


_GALERA = ("SHOW GLOBAL STATUS LIKE 'wsrep\\_%'", "SHOW GLOBAL VARIABLES LIKE 'wsrep\\_%'")
_MEMBERS = "SELECT MEMBER_ID, MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members"


def questions_for(profile: ServerProfile, heartbeat: str | None = None) -> Questions:
    """The questions in the words of a server; ``heartbeat``: schema.table."""
    late = None
    if heartbeat is not None:
        table = ".".join(f"`{name.replace('`', '``')}`" for name in heartbeat.split(".", 1))
        late = f"SELECT TIMESTAMPDIFF(MICROSECOND, MAX(ts), NOW(6)) / 1000000 AS late FROM {table}"  # noqa: S608
    if profile.flavor == "mariadb":
        # Its parallel replication commits in order, whatever the mode.
        state = (
            "SELECT @@GLOBAL.read_only AS `read_only`, @@GLOBAL.sql_mode AS `sql_mode`,"
            " @@GLOBAL.gtid_slave_pos AS reached, 1 AS ordered, @@GLOBAL.log_bin AS names,"
            " CONCAT_WS(',', NULLIF(@@GLOBAL.gtid_binlog_state, ''), NULLIF(@@GLOBAL.gtid_slave_pos, '')) AS executed,"
            " @@GLOBAL.server_id AS identity"
        )
        return Questions(state, "SHOW ALL SLAVES STATUS", late, _GALERA)
    version = parse_version(profile.version)[1]
    name = "replica" if version >= _RENAMED else "slave"
    state = (
        "SELECT @@GLOBAL.read_only AS `read_only`, @@GLOBAL.sql_mode AS `sql_mode`, @@GLOBAL.gtid_executed AS reached,"
        f" @@GLOBAL.{name}_parallel_workers < 2 OR @@GLOBAL.{name}_preserve_commit_order AS ordered,"
        " @@GLOBAL.gtid_mode = 'ON' AS names, @@GLOBAL.gtid_executed AS executed, @@GLOBAL.server_uuid AS identity"
    )
    shown = "SHOW REPLICA STATUS" if version >= _SHOW_REPLICA else "SHOW SLAVE STATUS"
    return Questions(state, shown, late, (_MEMBERS, *_GALERA))


Records = list[dict[str, Any]]


def probe_of(questions: Questions, answers: Mapping[str, Records | str]) -> Probe:
    """The probe in the records that a server gave for its questions; a text is what it said against one.

    Raises LookupError or ValueError for what is no answer.
    """
    found = {question: answer for question, answer in answers.items() if not isinstance(answer, str)}
    (state,) = found[questions.state]
    identity = str(state["identity"])
    replication, late = found.get(questions.replication), None
    if questions.heartbeat is not None:
        rows = [row["late"] for row in found.get(questions.heartbeat, []) if row["late"] is not None]
        late = max(0.0, float(rows[0])) if rows else None
    return Probe(
        bool(state["read_only"]),
        str(state["sql_mode"]),
        str(state["reached"]),
        bool(state["ordered"]),
        bool(state["names"]),
        str(state["executed"]),
        identity,
        None if replication is None else channels_of(replication),
        late,
        group_member(found.get(_MEMBERS, []), identity)
        or galera_member(record for question in _GALERA for record in found.get(question, [])),
    )


class HealthState:
    """Health of one server as a function of its probes; ``now`` is any clock, in seconds."""

    __slots__ = ("_falls", "_misses", "_rests_until", "up")

    def __init__(self) -> None:
        self.up = False
        self._misses = 0
        self._falls: list[float] = []
        self._rests_until = 0.0

    def succeeded(self, now: float) -> None:
        """A probe was answered."""
        self._misses = 0
        if not self.up:
            self.up = True
            extra = len(self._falls) - FALLS
            if extra >= 0:
                self._rests_until = now + min(_LONGEST_REST, _FIRST_REST * 2.0**extra)

    def failed(self, now: float) -> None:
        """A probe was not answered in time, or with an error."""
        self._misses += 1
        if self._misses >= MISSES and self.up:
            self.up = False
            self._falls = [*(fall for fall in self._falls if now - fall < FALLS_WITHIN), now]

    def rests(self, now: float) -> bool:
        """Whether it has gone up and down too often to be trusted yet."""
        return now < self._rests_until

    def suspect(self) -> None:
        """A session lost its connection or could not get one: one more miss settles it."""
        self._misses = max(self._misses, MISSES - 1)


def role_of(probe: Probe) -> Role:
    """The role of an ``auto`` server."""
    if probe.read_only:
        return Role.REPLICA
    if probe.member is not None and probe.member.secondary:
        return Role.REPLICA
    return Role.PRIMARY
