"""What the router must know of a server before it can carry session state to it.

Read once per server from its own catalog (``backend/connector.py``): which variables a session can set and the server
can report, which of them are numbers, and the collations with their ids. Nothing here is guessed from a version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Flavor = Literal["mysql", "mariadb"]

# Variables that a session can set but that change by themselves, count something, or configure the trackers: they
# cannot be compared or replayed by value. Setting one pins the session instead.
VOLATILE_VARIABLES = frozenset(
    {
        "debug",
        "debug_sync",
        "error_count",
        "gtid_next",
        "gtid_seq_no",
        "identity",
        "immediate_server_version",
        "insert_id",
        "last_gtid",
        "last_insert_id",
        "original_commit_timestamp",
        "original_server_version",
        "proxy_user",
        "pseudo_slave_mode",
        "pseudo_replica_mode",
        "pseudo_thread_id",
        "rand_seed1",
        "rand_seed2",
        "session_track_gtids",
        "session_track_schema",
        "session_track_state_change",
        "session_track_system_variables",
        "session_track_transaction_info",
        "skip_replication",
        "sql_log_bin",
        "statement_id",
        "timestamp",
        "transaction_allow_batching",
        "warning_count",
        "wsrep_gtid_seq_no",
    }
)

# The character set of a connection is three choices; character_set_connection follows collation_connection.
CHARSET_VARIABLES = ("character_set_client", "character_set_results", "collation_connection")
CHARSET_GROUP = frozenset({*CHARSET_VARIABLES, "character_set_connection"})

# Where a server reports the GTID of a write as a variable.
LAST_GTID = "last_gtid"
_LAST_WRITE: dict[Flavor, tuple[str, ...]] = {"mysql": (), "mariadb": (LAST_GTID,)}
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """One server's identity and vocabulary.

    ``version`` is the text of its greeting; ``tracked`` the variables it was asked to report; ``numeric`` those of
    them whose value is written without quotes; ``collations`` id → (collation, character set); ``sql_mode``,
    ``character_set``, ``collation`` and ``autocommit`` the global defaults a new session starts with;
    ``capabilities`` what its greeting offers.
    """

    flavor: Flavor
    version: str
    tracked: frozenset[str]
    numeric: frozenset[str]
    collations: Mapping[int, tuple[str, str]]
    sql_mode: str
    character_set: str
    collation: str
    autocommit: bool = True
    capabilities: int = 0

    @property
    def charset_by_collation(self) -> Mapping[str, str]:
        """Collation → character set."""
        return dict(self.collations.values())

    def charset_of(self, collation_id: int) -> dict[str, str]:
        """The charset variables of a session whose client logged in with ``collation_id``.

        A server that does not know the id falls back to its own defaults (sql/sql_connect.cc of both servers).
        """
        collation, charset = self.collations.get(collation_id, (self.collation, self.character_set))
        return {
            "character_set_client": charset,
            "character_set_results": charset,
            "collation_connection": collation,
        }

    def as_reported(self, name: str, value: str) -> str:
        """A variable's ``value`` as SELECT shows it, as trackers write it: switches are ON and OFF."""
        return value if name in self.numeric else {"0": "OFF", "1": "ON"}.get(value, value)

    def track_statement(self) -> str:
        """The SET that makes this server report what a session changes (architecture: "The server tells us")."""
        parts = [
            "session_track_schema = 1",
            "session_track_state_change = 1",
            "session_track_transaction_info = 'CHARACTERISTICS'",
            f"session_track_system_variables = '{','.join([*sorted(self.tracked), *_LAST_WRITE[self.flavor]])}'",
        ]
        if self.flavor == "mysql":
            parts.append("session_track_gtids = 'OWN_GTID'")
        return "SET " + ", ".join(parts)


def parse_version(text: str) -> tuple[Flavor, tuple[int, int, int]]:
    """Greeting text → flavor and version; MariaDB hides its own behind ``5.5.5-`` for old replicas."""
    text = text.removeprefix("5.5.5-")
    flavor: Flavor = "mariadb" if "mariadb" in text.lower() else "mysql"
    match = _VERSION.search(text)
    if match is None:
        return flavor, (0, 0, 0)
    return flavor, (int(match[1]), int(match[2]), int(match[3]))


# Until a server has been reached. Nothing is known to be tracked, so every SET pins its session.
UNKNOWN = ServerProfile(
    flavor="mysql",
    version="8.0.36",
    tracked=frozenset(),
    numeric=frozenset(),
    collations={},
    sql_mode="",
    character_set="utf8mb4",
    collation="utf8mb4_general_ci",
)
