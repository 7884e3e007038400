"""The commands that take a server connection to the known state of a new one.

``settle``: trackers on, multi-statements as the pool's key says, the character set by value. ``reset`` puts
COM_RESET_CONNECTION in front, which forgets transactions, temporary tables, locks, user variables, prepared
statements and session variables (MySQL manual, "Resetting a Connection"), and with them our trackers.

All of it is one segment; each command has one reply.
"""

from __future__ import annotations

from router.session.profile import ServerProfile
from router.session.variables import VariableSet
from router.wire.attributes import NONE
from router.wire.constants import Capability, Command
from router.wire.framing import frame

# What `settle_commands` sets by value: connections are opened with utf8mb4, but COM_RESET_CONNECTION takes MySQL to
# the server's own default and MariaDB to the handshake's.
BASELINE = VariableSet.of(
    {
        "character_set_client": "utf8mb4",
        "character_set_results": "utf8mb4",
        "collation_connection": "utf8mb4_general_ci",
    }
)
_BASELINE_TERMS = "NAMES utf8mb4 COLLATE utf8mb4_general_ci"

SETTLED_REPLIES = 2


def settle_commands(profile: ServerProfile, shape: int, *, reset: bool) -> bytes:
    """Framed commands with ``SETTLED_REPLIES`` replies, one more with ``reset``, for a connection of this shape."""
    option = 0 if shape & Capability.MULTI_STATEMENTS else 1
    sql = f"{profile.track_statement()}, {_BASELINE_TERMS}"
    commands = [
        bytes([Command.SET_OPTION]) + option.to_bytes(2, "little"),
    ]
    if reset:
        commands.insert(0, bytes([Command.RESET_CONNECTION]))
    return b"".join(frame(command, 0) for command in commands) + query(sql, shape)


def query(sql: str | bytes, shape: int = 0) -> bytes:
    """A framed COM_QUERY of the router's own, on a connection of this shape; text is ASCII."""
    attributes = NONE if shape & Capability.QUERY_ATTRIBUTES else b""
    return frame(bytes([Command.QUERY]) + attributes + (sql.encode("ascii") if isinstance(sql, str) else sql), 0)


def use_schema(schema: str) -> bytes:
    """A framed COM_INIT_DB: takes the name as bytes, so that no quoting can go wrong."""
    return frame(bytes([Command.INIT_DB]) + schema.encode("utf-8", "surrogateescape"), 0)
