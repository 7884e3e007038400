"""Questions the router asks servers for itself, and what statements ask about the one before them.

Small pure functions: the text of a question, and how to read its answer. Answers are text result sets as framed bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from router.errors import ProtocolError
from router.session.profile import ServerProfile
from router.session.variables import VariableSet
from router.wire.constants import MAX_PAYLOAD, Command
from router.wire.framing import PacketDecoder, frame
from router.wire.rows import decode_text_row

# collation_connection is not reported when SET NAMES or SET CHARACTER SET change it, nor character_set_connection
# when a collation is set: after any report from the group, all are read.
ASK_CHARSET = "SELECT @@character_set_client, @@character_set_results, @@collation_connection"
SHOW_WARNINGS = "SHOW WARNINGS"
# Its OK carries the status and all trackers.
PING = frame(bytes([Command.PING]), 0)
ASK_IDENTITY = "SELECT LAST_INSERT_ID(), FOUND_ROWS()"
# Empties the list of warnings: MariaDB keeps it until a statement reads a table, DO 0 does not.
CLEAR_WARNINGS = "DO (SELECT 1 FROM (SELECT 1) AS t)"

# Counts of the statement before, which no other connection can give.
_COUNTS = re.compile(rb"row_count|found_rows", re.IGNORECASE)
_WARNINGS = re.compile(rb"warning|error|diagnostics", re.IGNORECASE)
_SHOW_WARNINGS = re.compile(rb"\s*SHOW\s+WARNINGS\s*;?\s*", re.IGNORECASE)
_INSERT_ID = re.compile(rb"last_insert_id|identity", re.IGNORECASE)
# SET NAMES whose effect depends on nothing but itself.
_SET_NAMES = re.compile(
    rb"\s*SET\s+NAMES\s+('?)\w+\1(\s+COLLATE\s+('?)\w+\3)?\s*;?\s*",
    re.IGNORECASE,
)

# Session variables that change which collation is a character set's default.
_DEFAULTS = frozenset({"default_collation_for_utf8mb4", "character_set_collations"})


def asks_for_counts(command: bytes) -> bool:
    """Whether a look-back statement needs ROW_COUNT() or FOUND_ROWS() of the statement before."""
    return _COUNTS.search(command) is not None


def asks_for_warnings(command: bytes) -> bool:
    """Whether a look-back statement needs the warnings and errors of the statement before."""
    return _WARNINGS.search(command) is not None


def is_show_warnings(frame: bytes) -> bool:
    """Whether a command is SHOW WARNINGS as text, all of them."""
    return frame[4] == Command.QUERY and _SHOW_WARNINGS.fullmatch(frame, 5) is not None


def is_show_warnings_text(sql: bytes) -> bool:
    """Whether a statement is SHOW WARNINGS, all of them."""
    return _SHOW_WARNINGS.fullmatch(sql) is not None


def asks_for_insert_id(command: bytes) -> bool:
    """Whether a look-back statement reads (or, with an argument, sets) LAST_INSERT_ID()."""
    return _INSERT_ID.search(command) is not None


def is_plain_set_names(sql: bytes) -> bool:
    """Whether ``sql`` is SET NAMES with literal names only."""
    return _SET_NAMES.fullmatch(sql) is not None


def set_names_key(frame: bytes, profile: ServerProfile, variables: VariableSet) -> tuple[str, bytes] | None:
    """What the effect of a literal SET NAMES depends on; None for any other command, and where variables matter."""
    sql = frame[5:]
    if frame[4] != Command.QUERY or not is_plain_set_names(sql) or not _DEFAULTS.isdisjoint(variables.values):
        return None
    return f"{profile.version} {profile.collation}", sql


def values_of(names: Iterable[str]) -> str:
    """The question for session variables: one row."""
    return "SELECT " + ", ".join(f"@@SESSION.{name}" for name in names)


def single_row(answer: bytes) -> list[bytes | None]:
    """The values of the only row in a framed text result set. Raises ProtocolError when it is none."""
    decoder = PacketDecoder(MAX_PAYLOAD)
    decoder.feed(answer)
    first = decoder.next_packet()
    if first is None or not first.payload or first.payload[0] >= 0xFB:
        raise ProtocolError("no result set where one row was expected")
    columns = first.payload[0]
    if first.payload[1:] != b"\0":  # the definitions have not been left out
        for _ in range(columns):
            decoder.next_packet()
    packet = decoder.next_packet()
    if packet is not None and packet.payload[:1] == b"\xfe":  # EOF behind the columns
        packet = decoder.next_packet()
    if packet is None:
        raise ProtocolError("no row where one was expected")
    return list(decode_text_row(packet.payload, columns))


def plain_text(value: bytes | None) -> str:
    """An ASCII name or number that may have come in a wide character set (ucs2, utf16, utf32)."""
    return value.replace(b"\0", b"").decode("ascii") if value is not None else ""
