"""PURE: what servers say of replication: whom they follow, how far behind they are, whether their cluster wants them.

Answers come as records (lower-case column → value). Sources: MySQL 9.7 manual, "SHOW REPLICA STATUS" and
"replication_group_members"; MariaDB, "SHOW REPLICA STATUS" and "Galera Cluster Status Variables".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

Record = Mapping[str, Any]

# Group Replication shows its own streams as well, which say nothing of a source.
_GROUP_CHANNELS = frozenset({"group_replication_applier", "group_replication_recovery"})
# A replica returns when it is this much of the bound behind, or less, in so many probes in a row.
RETURN_SHARE = 0.5
RETURN_PROBES = 2
_SYNCED = "4"


@dataclass(frozen=True, slots=True)
class Channel:
    """One stream of writes that a server applies: of the server ``identity`` at ``host:port``.

    ``behind`` in seconds, infinite while it is not applied; ``running``: not stopped by anybody; ``cut``: all that has
    come is applied, but the source cannot be reached.
    """

    identity: str
    host: str
    port: int
    behind: float
    running: bool
    cut: bool = False


def channels_of(records: Iterable[Record]) -> tuple[Channel, ...]:
    """The streams in SHOW REPLICA STATUS, SHOW SLAVE STATUS or SHOW ALL SLAVES STATUS of any version."""
    return tuple(_channel(record) for record in records if record.get("channel_name") not in _GROUP_CHANNELS)


def _channel(record: Record) -> Channel:
    def said(*names: str) -> Any:
        return next((record[name] for name in names if name in record), None)

    receives = str(said("replica_io_running", "slave_io_running")).lower()
    applies = str(said("replica_sql_running", "slave_sql_running")).lower() == "yes"
    seconds = said("seconds_behind_source", "seconds_behind_master")
    whole = applies and receives == "yes" and seconds is not None
    return Channel(
        identity=str(said("source_uuid", "master_uuid") or said("source_server_id", "master_server_id") or ""),
        host=str(said("source_host", "master_host") or ""),
        port=int(said("source_port", "master_port") or 0),
        behind=float(seconds) if whole else inf,
        running=applies or receives != "no",
        cut=applies and receives != "yes",
    )


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind a replica is: ``seconds``, None when that is not known; ``cut`` as in ``Channel``."""

    seconds: float | None = None
    cut: bool = False


def lag_of(
    channels: Sequence[Channel] | None,
    heartbeat: float | None = None,
    *,
    clustered: bool = False,
    declared: bool = False,
) -> Lag:
    """The lag of a replica: of the stream that is furthest behind, else by the heartbeat table.

    ``channels`` None: it may not be asked. One that replicates from nobody at all stands still, unless it belongs to a
    cluster, whose members that are not in step are left out as a whole, or is ``declared`` to be a replica: some are
    fed in other ways.
    """
    if not channels and clustered:
        return Lag(0.0)
    if channels is None or (not channels and declared):
        return Lag(heartbeat)
    if not channels:
        return Lag(inf)
    seconds = max(channel.behind for channel in channels)
    return Lag(seconds, seconds == inf and all(channel.cut for channel in channels if channel.behind == inf))


class LagState:
    """Whether a replica is too far behind, as a function of its probes.

    ``over``: it takes no reads. ``stale``: not even while there is no primary. One that was not too far behind when
    its source vanished misses nothing while nobody can write.
    """

    __slots__ = ("_fresh_when_cut", "_good", "over")

    def __init__(self) -> None:
        self.over = False
        self._good = 0
        self._fresh_when_cut = False

    @property
    def stale(self) -> bool:
        """Whether it is too far behind even when nothing more can be written."""
        return self.over and not self._fresh_when_cut

    def seen(self, lag: Lag, bound: float) -> None:
        """A probe has found ``lag``; ``bound`` is the most that is allowed, in seconds."""
        if lag.seconds is None:
            self.over = self._fresh_when_cut = False
            return
        if lag.seconds > bound:
            self._fresh_when_cut = lag.cut and (self._fresh_when_cut or not self.over)
            self.over = True
            self._good = 0
            return
        if not self.over:
            return
        self._good = self._good + 1 if lag.seconds <= bound * RETURN_SHARE else 0
        if self._good >= RETURN_PROBES:
            self.over = self._fresh_when_cut = False


@dataclass(frozen=True, slots=True)
class Membership:
    """What a server is in its cluster: ``trouble`` says why it may take nothing now; ``secondary``: only reads."""

    trouble: str = ""
    secondary: bool = False


def group_member(records: Sequence[Record], identity: str) -> Membership | None:
    """Group Replication, from ``replication_group_members`` as the server ``identity`` sees it; None: not part of one.

    A server that sees a majority of the members go cannot commit, and does not know what the others do.
    """
    members = {str(record.get("member_id")): record for record in records if record.get("member_id")}
    own = members.get(identity)
    if own is None or (own["member_state"] == "OFFLINE" and len(members) == 1):
        return None
    if own["member_state"] != "ONLINE":
        return Membership(f"its state in Group Replication is {own['member_state']}")
    reached = sum(member["member_state"] in ("ONLINE", "RECOVERING") for member in members.values())
    if reached * 2 <= len(members):
        return Membership("it has lost the majority of Group Replication")
    return Membership(secondary=own["member_role"] == "SECONDARY")


def galera_member(records: Iterable[Record]) -> Membership | None:
    """Galera, from its status and system variables (``wsrep_…``); None: not part of a cluster."""
    said = {str(record["variable_name"]).lower(): str(record["value"]) for record in records}
    if said.get("wsrep_on", "OFF").upper() not in ("ON", "1"):
        return None
    if said.get("wsrep_cluster_status", "Primary") != "Primary":
        return Membership("it is not in the primary component of Galera")
    if said.get("wsrep_ready", "ON").upper() != "ON" or said.get("wsrep_local_state") != _SYNCED:
        return Membership(f"its state in Galera is {said.get('wsrep_local_state_comment') or 'unknown'}")
    if said.get("wsrep_reject_queries", "NONE").upper() != "NONE":
        return Membership("wsrep_reject_queries is set")
    return Membership()
