"""What a client may send in the command phase, one value per command.

Nothing is executed or looked up here. Commands of which the router needs only the head keep the rest of the payload
undecoded. See "Command Phase" in the MySQL internals manual. These are the forms of clients without query attributes
(``attributes.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from router.wire.codec import (
    pull_bytes,
    pull_int,
    pull_nul_bytes,
    pull_nul_bytes_or_rest,
    push_int,
    push_nul_bytes,
)
from router.wire.constants import Capability, Command
from router.wire.packets import pull_attributes, push_attributes


@dataclass(frozen=True, slots=True)
class ComQuery:
    """A statement, or several, as text in the connection's character set."""

    sql: bytes

    def encode(self) -> bytes:
        """The payload."""
        return b"\x03" + self.sql


@dataclass(frozen=True, slots=True)
class ComInitDb:
    """Change the default schema."""

    schema: bytes

    def encode(self) -> bytes:
        """The payload."""
        return b"\x02" + self.schema


@dataclass(frozen=True, slots=True)
class ComFieldList:
    """Column definitions of a table, of names LIKE a pattern if one is given. Deprecated, still sent by CLIs."""

    table: bytes
    wildcard: bytes = b""

    def encode(self) -> bytes:
        """The payload."""
        return b"\x04" + push_nul_bytes(self.table) + self.wildcard


@dataclass(frozen=True, slots=True)
class ComStmtPrepare:
    """Prepare a statement."""

    sql: bytes

    def encode(self) -> bytes:
        """The payload."""
        return b"\x16" + self.sql


@dataclass(frozen=True, slots=True)
class ComStmtExecute:
    """Execute a prepared statement. ``flags`` are the cursor type; ``parameters`` the undecoded rest."""

    statement_id: int
    flags: int = 0
    iterations: int = 1
    parameters: bytes = b""

    def encode(self) -> bytes:
        """The payload."""
        head = push_int(self.statement_id, 4) + push_int(self.flags, 1) + push_int(self.iterations, 4)
        return b"\x17" + head + self.parameters


@dataclass(frozen=True, slots=True)
class ComStmtSendLongData:
    """A piece of one parameter's value. There is no answer."""

    statement_id: int
    parameter: int
    data: bytes

    def encode(self) -> bytes:
        """The payload."""
        return b"\x18" + push_int(self.statement_id, 4) + push_int(self.parameter, 2) + self.data


@dataclass(frozen=True, slots=True)
class ComStmtClose:
    """Forget a prepared statement. There is no answer."""

    statement_id: int

    def encode(self) -> bytes:
        """The payload."""
        return b"\x19" + push_int(self.statement_id, 4)


@dataclass(frozen=True, slots=True)
class ComStmtReset:
    """Drop a statement's long data and close its cursor."""

    statement_id: int

    def encode(self) -> bytes:
        """The payload."""
        return b"\x1a" + push_int(self.statement_id, 4)


@dataclass(frozen=True, slots=True)
class ComStmtFetch:
    """Fetch rows from a statement's cursor."""

    statement_id: int
    rows: int

    def encode(self) -> bytes:
        """The payload."""
        return b"\x1c" + push_int(self.statement_id, 4) + push_int(self.rows, 4)


@dataclass(frozen=True, slots=True)
class ComSetOption:
    """Switch MULTI_STATEMENTS on (0) or off (1)."""

    option: int

    def encode(self) -> bytes:
        """The payload."""
        return b"\x1b" + push_int(self.option, 2)


@dataclass(frozen=True, slots=True)
class ComProcessKill:
    """Kill a connection."""

    connection_id: int

    def encode(self) -> bytes:
        """The payload."""
        return b"\x0c" + push_int(self.connection_id, 4)


@dataclass(frozen=True, slots=True)
class ComChangeUser:
    """Log in anew on the same connection. ``collation_id`` is None when the client leaves it out."""

    username: bytes
    auth_response: bytes = b""
    database: bytes | None = None
    collation_id: int | None = None
    auth_plugin: bytes | None = None
    attributes: dict[bytes, bytes] = field(default_factory=dict)

    def encode(self, capabilities: int) -> bytes:
        """The payload; the optional fields as far as `capabilities` and the values allow."""
        response = self.auth_response
        parts = [
            b"\x11",
            push_nul_bytes(self.username),
            push_int(len(response), 1) + response
            if capabilities & Capability.SECURE_CONNECTION
            else push_nul_bytes(response),
            push_nul_bytes(self.database or b""),
        ]
        if self.collation_id is not None:
            parts.append(push_int(self.collation_id, 2))
            if capabilities & Capability.PLUGIN_AUTH:
                parts.append(push_nul_bytes(self.auth_plugin or b""))
            if capabilities & Capability.CONNECT_ATTRS:
                parts.append(push_attributes(self.attributes))
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class ComPing:
    """Are you alive?"""


@dataclass(frozen=True, slots=True)
class ComQuit:
    """Good-bye. There is no answer."""


@dataclass(frozen=True, slots=True)
class ComStatistics:
    """A line of text for people; answered by a bare string."""


@dataclass(frozen=True, slots=True)
class ComResetConnection:
    """Forget all session state, keep the login."""


@dataclass(frozen=True, slots=True)
class ComDebug:
    """Dump debug information to the server's log."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Any other command byte."""

    code: int


ClientCommand = (
    ComQuery
    | ComInitDb
    | ComFieldList
    | ComStmtPrepare
    | ComStmtExecute
    | ComStmtSendLongData
    | ComStmtClose
    | ComStmtReset
    | ComStmtFetch
    | ComSetOption
    | ComProcessKill
    | ComChangeUser
    | ComPing
    | ComQuit
    | ComStatistics
    | ComResetConnection
    | ComDebug
    | Unknown
)

_BARE: dict[int, ClientCommand] = {
    Command.PING: ComPing(),
    Command.QUIT: ComQuit(),
    Command.STATISTICS: ComStatistics(),
    Command.RESET_CONNECTION: ComResetConnection(),
    Command.DEBUG: ComDebug(),
}


def parse_command(payload: bytes, capabilities: int) -> ClientCommand:
    """Read a command of a client with which `capabilities` were agreed; raises `ProtocolError` when it is malformed.

    An empty packet counts as COM_SLEEP, as in the server, and is `Unknown`.
    """
    code = payload[0] if payload else Command.SLEEP
    match code:
        case Command.QUERY:
            return ComQuery(payload[1:])
        case Command.STMT_PREPARE:
            return ComStmtPrepare(payload[1:])
        case Command.INIT_DB:
            return ComInitDb(payload[1:])
        case Command.FIELD_LIST:
            table, position = pull_nul_bytes_or_rest(payload, 1)
            return ComFieldList(table, payload[position:])
        case Command.SET_OPTION:
            return ComSetOption(pull_int(payload, 1, 2)[0])
        case Command.PROCESS_KILL:
            return ComProcessKill(pull_int(payload, 1, 4)[0])
        case Command.CHANGE_USER:
            return _parse_change_user(payload, capabilities)
        case (
            Command.STMT_EXECUTE
            | Command.STMT_SEND_LONG_DATA
            | Command.STMT_CLOSE
            | Command.STMT_RESET
            | Command.STMT_FETCH
        ):
            return _parse_statement_command(code, payload)
        case _:
            return _BARE.get(code) or Unknown(code)


def _parse_statement_command(code: int, payload: bytes) -> ClientCommand:
    statement_id, position = pull_int(payload, 1, 4)
    match code:
        case Command.STMT_EXECUTE:
            flags, position = pull_int(payload, position, 1)
            iterations, position = pull_int(payload, position, 4)
            return ComStmtExecute(statement_id, flags, iterations, payload[position:])
        case Command.STMT_SEND_LONG_DATA:
            parameter, position = pull_int(payload, position, 2)
            return ComStmtSendLongData(statement_id, parameter, payload[position:])
        case Command.STMT_CLOSE:
            return ComStmtClose(statement_id)
        case Command.STMT_RESET:
            return ComStmtReset(statement_id)
        case _:
            return ComStmtFetch(statement_id, pull_int(payload, position, 4)[0])


def _parse_change_user(payload: bytes, capabilities: int) -> ComChangeUser:
    username, position = pull_nul_bytes(payload, 1)
    # one byte of length even where the handshake response has a length-encoded one
    if capabilities & Capability.SECURE_CONNECTION:
        size, position = pull_int(payload, position, 1)
        response, position = pull_bytes(payload, position, size)
    else:
        response, position = pull_nul_bytes_or_rest(payload, position)
    database, position = pull_nul_bytes_or_rest(payload, position)
    collation_id: int | None = None
    plugin = b""
    attributes: dict[bytes, bytes] = {}
    if position + 2 <= len(payload):
        collation_id, position = pull_int(payload, position, 2)
    if capabilities & Capability.PLUGIN_AUTH and position < len(payload):
        plugin, position = pull_nul_bytes_or_rest(payload, position)
    if capabilities & Capability.CONNECT_ATTRS and position < len(payload):
        attributes, position = pull_attributes(payload, position)
    return ComChangeUser(username, response, database or None, collation_id, plugin or None, attributes)
