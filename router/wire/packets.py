"""Payloads of the connection phase and of responses, as values with a decoder and an encoder side by side.

Decoders take a payload without its frame header and raise `ProtocolError` for anything malformed, never another error.
Text of the peer stays bytes: its character set is known elsewhere. See "Connection Phase Packets" and "Generic Response
Packets" in the MySQL internals manual, and the MariaDB knowledge base for the extended capabilities.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from router.errors import MySQLError, ProtocolError
from router.wire.codec import (
    pull_bytes,
    pull_int,
    pull_lenenc_bytes,
    pull_lenenc_int,
    pull_nul_bytes,
    pull_nul_bytes_or_rest,
    push_int,
    push_lenenc_bytes,
    push_lenenc_int,
    push_nul_bytes,
)
from router.wire.constants import NONCE_SIZE, Capability, ServerStatus, SessionTrack
from router.wire.errcodes import sqlstate_of

PROTOCOL_VERSION: Final = 10
OK_HEADER: Final = 0x00
MORE_DATA_HEADER: Final = 0x01
EOF_HEADER: Final = 0xFE
ERR_HEADER: Final = 0xFF

ALL_CAPABILITIES: Final = 0xFFFFFFFF
OLD_PASSWORD_PLUGIN: Final = b"mysql_old_password"
_NO_PLUGIN: Final = b""


def _expect_header(payload: bytes, header: int, what: str) -> None:
    if not payload or payload[0] != header:
        raise ProtocolError(f"{what} does not begin with 0x{header:02X}: {payload[:8].hex() or 'empty packet'}")


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server's first packet, ``HandshakeV10``.

    ``nonce`` is the challenge without its closing NUL: 20 bytes from every server since 4.1.
    """

    server_version: str
    connection_id: int
    nonce: bytes
    capabilities: int
    collation_id: int
    status: int
    auth_plugin: bytes = _NO_PLUGIN
    mariadb_capabilities: int = 0

    def encode(self) -> bytes:
        """The payload. The collation is one byte on the wire: a larger id raises `OverflowError`."""
        with_plugin = self.capabilities & Capability.PLUGIN_AUTH
        parts = [
            push_int(PROTOCOL_VERSION, 1),
            push_nul_bytes(self.server_version.encode("utf-8", "surrogateescape")),
            push_int(self.connection_id, 4),
            self.nonce[:8] + b"\0",
            push_int(self.capabilities & 0xFFFF, 2),
            push_int(self.collation_id, 1),
            push_int(self.status, 2),
            push_int(self.capabilities >> 16, 2),
            push_int(len(self.nonce) + 1 if with_plugin else 0, 1),
            bytes(6),
            push_int(self.mariadb_capabilities, 4),
            (self.nonce[8:] + b"\0").ljust(13, b"\0"),
        ]
        if with_plugin:
            parts.append(push_nul_bytes(self.auth_plugin))
        return b"".join(parts)

    @classmethod
    def decode(cls, payload: bytes) -> Greeting:
        """Read a greeting; an ERR packet in its place is refused with its text in the `ProtocolError`."""
        if payload[:1] == b"\xff":
            error = decode_err(payload)
            raise ProtocolError(f"the server greets with error {error.code}: {error.message!r}")
        _expect_header(payload, PROTOCOL_VERSION, "greeting")
        version, position = pull_nul_bytes(payload, 1)
        connection_id, position = pull_int(payload, position, 4)
        nonce, position = pull_bytes(payload, position, 8)
        capabilities, position = pull_int(payload, position + 1, 2)
        collation_id, position = pull_int(payload, position, 1)
        status, position = pull_int(payload, position, 2)
        high, position = pull_int(payload, position, 2)
        capabilities |= high << 16
        nonce_size, position = pull_int(payload, position, 1)
        mariadb_capabilities, position = pull_int(payload, position + 6, 4)
        rest_size = max(13, nonce_size - 8)
        rest, position = pull_bytes(payload, position, min(rest_size, len(payload) - position))
        size = nonce_size - 1 if nonce_size else NONCE_SIZE
        plugin = pull_nul_bytes_or_rest(payload, position)[0] if capabilities & Capability.PLUGIN_AUTH else _NO_PLUGIN
        return cls(
            server_version=version.decode("utf-8", "surrogateescape"),
            connection_id=connection_id,
            nonce=(nonce + rest)[:size],
            capabilities=capabilities,
            collation_id=collation_id,
            status=status,
            auth_plugin=plugin,
            mariadb_capabilities=0 if capabilities & Capability.LONG_PASSWORD else mariadb_capabilities,
        )


@dataclass(frozen=True, slots=True)
class SslRequest:
    """A client's wish to go on in TLS: the first 32 bytes of a handshake response, nothing else."""

    capabilities: int
    max_packet: int
    collation_id: int
    mariadb_capabilities: int = 0

    SIZE = 32

    @classmethod
    def matches(cls, payload: bytes) -> bool:
        """Whether a client's first packet is this one and not a handshake response."""
        return len(payload) == cls.SIZE and bool(int.from_bytes(payload[:2], "little") & Capability.SSL)

    def encode(self) -> bytes:
        """The payload."""
        return _encode_client_head(self.capabilities, self.max_packet, self.collation_id, self.mariadb_capabilities)

    @classmethod
    def decode(cls, payload: bytes) -> SslRequest:
        """Read the request."""
        if not cls.matches(payload):
            raise ProtocolError(f"a packet of {len(payload)} bytes is no request for TLS")
        capabilities, max_packet, collation_id, extended, _ = _decode_client_head(payload)
        return cls(capabilities, max_packet, collation_id, extended)


def _encode_client_head(capabilities: int, max_packet: int, collation_id: int, extended: int) -> bytes:
    return b"".join(
        (
            push_int(capabilities, 4),
            push_int(max_packet, 4),
            push_int(collation_id, 1),
            bytes(19),
            push_int(extended, 4),
        )
    )


def _decode_client_head(payload: bytes) -> tuple[int, int, int, int, int]:
    low, _ = pull_int(payload, 0, 2)
    if not low & Capability.PROTOCOL_41:
        raise ProtocolError("the client speaks the protocol of before MySQL 4.1")
    capabilities, position = pull_int(payload, 0, 4)
    max_packet, position = pull_int(payload, position, 4)
    collation_id, position = pull_int(payload, position, 1)
    extended, position = pull_int(payload, position + 19, 4)
    if capabilities & Capability.LONG_PASSWORD:
        extended = 0  # only a client without this bit means MariaDB's extension, whatever the reserved bytes hold
    return capabilities, max_packet, collation_id, extended, position


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """The client's ``HandshakeResponse41``.

    ``capabilities`` are the client's own words: what holds is their intersection with what the server offered.
    ``max_packet`` is 0 where the client leaves it to the server. An empty database name reads as None.
    """

    capabilities: int
    max_packet: int
    collation_id: int
    username: bytes
    auth_response: bytes = b""
    database: bytes | None = None
    auth_plugin: bytes | None = None
    attributes: dict[bytes, bytes] = field(default_factory=dict)
    mariadb_capabilities: int = 0
    zstd_level: int = 0

    def encode(self) -> bytes:
        """The payload, with exactly the fields that `capabilities` announce."""
        capabilities = self.capabilities
        parts = [
            _encode_client_head(capabilities, self.max_packet, self.collation_id, self.mariadb_capabilities),
            push_nul_bytes(self.username),
            push_auth_response(self.auth_response, capabilities),
        ]
        if capabilities & Capability.CONNECT_WITH_DB:
            parts.append(push_nul_bytes(self.database or b""))
        if capabilities & Capability.PLUGIN_AUTH:
            parts.append(push_nul_bytes(self.auth_plugin or b""))
        if capabilities & Capability.CONNECT_ATTRS:
            parts.append(push_attributes(self.attributes))
        if capabilities & Capability.ZSTD_COMPRESSION_ALGORITHM:
            parts.append(push_int(self.zstd_level, 1))
        return b"".join(parts)

    @classmethod
    def decode(cls, payload: bytes, offered: int = ALL_CAPABILITIES) -> HandshakeResponse:
        """Read a response to a server that offered the capabilities `offered`.

        Clients leave out the fields of capabilities the server did not offer, yet some keep the bits set. Fields
        missing at the end read as absent, bytes behind the last field are ignored: servers accept both.
        """
        capabilities, max_packet, collation_id, extended, position = _decode_client_head(payload)
        agreed = capabilities & offered
        username, position = pull_nul_bytes(payload, position)
        auth_response, position = pull_auth_response(payload, position, agreed)
        database, plugin = b"", b""
        attributes: dict[bytes, bytes] = {}
        zstd_level = 0
        if agreed & Capability.CONNECT_WITH_DB:
            database, position = pull_nul_bytes_or_rest(payload, position)
        if agreed & Capability.PLUGIN_AUTH:
            plugin, position = pull_nul_bytes_or_rest(payload, position)
        if agreed & Capability.CONNECT_ATTRS and position < len(payload):
            attributes, position = pull_attributes(payload, position)
        if agreed & Capability.ZSTD_COMPRESSION_ALGORITHM and position < len(payload):
            zstd_level, position = pull_int(payload, position, 1)
        return cls(
            capabilities=capabilities,
            max_packet=max_packet,
            collation_id=collation_id,
            username=username,
            auth_response=auth_response,
            database=database or None,
            auth_plugin=plugin or None,
            attributes=attributes,
            mariadb_capabilities=extended,
            zstd_level=zstd_level,
        )


def pull_auth_response(payload: bytes, position: int, capabilities: int) -> tuple[bytes, int]:
    """Read the answer to the challenge in the form the agreed capabilities give it."""
    if capabilities & Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA:
        return pull_lenenc_bytes(payload, position)
    if capabilities & Capability.SECURE_CONNECTION:
        size, position = pull_int(payload, position, 1)
        return pull_bytes(payload, position, size)
    return pull_nul_bytes_or_rest(payload, position)


def push_auth_response(response: bytes, capabilities: int) -> bytes:
    """Write the answer to the challenge in the form the agreed capabilities give it."""
    if capabilities & Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA:
        return push_lenenc_bytes(response)
    if capabilities & Capability.SECURE_CONNECTION:
        return push_int(len(response), 1) + response
    return push_nul_bytes(response)


def pull_attributes(payload: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """Read the connection attributes; of a name given twice the last value stands."""
    block, position = pull_lenenc_bytes(payload, position)
    attributes: dict[bytes, bytes] = {}
    at = 0
    while at < len(block):
        name, at = pull_lenenc_bytes(block, at)
        attributes[name], at = pull_lenenc_bytes(block, at)
    return attributes, position


def push_attributes(attributes: dict[bytes, bytes]) -> bytes:
    """Write the connection attributes."""
    return push_lenenc_bytes(
        b"".join(push_lenenc_bytes(name) + push_lenenc_bytes(value) for name, value in attributes.items())
    )


@dataclass(frozen=True, slots=True)
class AuthSwitchRequest:
    """The server asks for another authentication plugin; ``data`` is its challenge, by custom with a NUL behind it."""

    plugin: bytes
    data: bytes

    def encode(self) -> bytes:
        """The payload."""
        return b"\xfe" + push_nul_bytes(self.plugin) + self.data

    @classmethod
    def decode(cls, payload: bytes) -> AuthSwitchRequest:
        """Read the request; a lone 0xFE is the old form that means ``mysql_old_password``."""
        _expect_header(payload, EOF_HEADER, "switch of authentication")
        if len(payload) == 1:
            return cls(OLD_PASSWORD_PLUGIN, b"")
        plugin, position = pull_nul_bytes(payload, 1)
        return cls(plugin, payload[position:])


@dataclass(frozen=True, slots=True)
class AuthMoreData:
    """Data of an authentication plugin, from the server."""

    data: bytes

    def encode(self) -> bytes:
        """The payload."""
        return b"\x01" + self.data

    @classmethod
    def decode(cls, payload: bytes) -> AuthMoreData:
        """Read the packet."""
        _expect_header(payload, MORE_DATA_HEADER, "authentication data")
        return cls(payload[1:])


@dataclass(frozen=True, slots=True)
class OkPacket:
    """An OK packet. ``header`` is 0xFE where it ends a result set under DEPRECATE_EOF.

    ``info`` is the server's text for people; ``state_changes`` the undecoded blob of the session trackers.
    """

    affected_rows: int = 0
    last_insert_id: int = 0
    status: int = 0
    warnings: int = 0
    info: bytes = b""
    state_changes: bytes = b""
    header: int = OK_HEADER


def encode_ok(ok: OkPacket, capabilities: int) -> bytes:
    """`ok` for a client of these capabilities: without SESSION_TRACK neither the trackers nor their status flag."""
    tracked = capabilities & Capability.SESSION_TRACK
    status = ok.status | ServerStatus.SESSION_STATE_CHANGED if ok.state_changes else ok.status
    if not tracked:
        status &= ~ServerStatus.SESSION_STATE_CHANGED
    changed = status & ServerStatus.SESSION_STATE_CHANGED
    parts = [
        push_int(ok.header, 1),
        push_lenenc_int(ok.affected_rows),
        push_lenenc_int(ok.last_insert_id),
        push_int(status, 2),
        push_int(ok.warnings, 2),
    ]
    if ok.info or changed:
        # the manual has a plain string without SESSION_TRACK, yet all servers write and all clients read a length
        parts.append(push_lenenc_bytes(ok.info))
    if changed:
        parts.append(push_lenenc_bytes(ok.state_changes))
    return b"".join(parts)


def decode_ok(payload: bytes, capabilities: int) -> OkPacket:
    """Read an OK packet (header 0x00 or 0xFE) of a server with which `capabilities` were agreed."""
    header, position = pull_int(payload, 0, 1)
    if header not in (OK_HEADER, EOF_HEADER):
        raise ProtocolError(f"OK packet begins with 0x{header:02X}")
    affected_rows, position = pull_lenenc_int(payload, position)
    last_insert_id, position = pull_lenenc_int(payload, position)
    status, position = pull_int(payload, position, 2)
    warnings, position = pull_int(payload, position, 2)
    info, state_changes = b"", b""
    if capabilities & Capability.SESSION_TRACK:
        if position < len(payload):
            info, position = pull_lenenc_bytes(payload, position)
        if status & ServerStatus.SESSION_STATE_CHANGED and position < len(payload):
            state_changes, position = pull_lenenc_bytes(payload, position)
    else:
        info = _pull_untracked_info(payload, position)
    return OkPacket(affected_rows, last_insert_id, status, warnings, info, state_changes, header)


def _pull_untracked_info(payload: bytes, position: int) -> bytes:
    """The info of an OK without SESSION_TRACK: with its length, as servers write it, or plain, as the manual says."""
    try:
        info, end = pull_lenenc_bytes(payload, position)
    except ProtocolError:
        return payload[position:]
    return info if end == len(payload) else payload[position:]


@dataclass(frozen=True, slots=True)
class ErrPacket:
    """An ERR packet. ``message`` is in the connection's character set for results.

    An empty ``sqlstate`` is left out of the packet, for clients not yet known to speak protocol 4.1.
    """

    code: int
    sqlstate: str
    message: bytes

    def encode(self) -> bytes:
        """The payload."""
        state = b"#" + self.sqlstate.encode("ascii", "replace")[:5].ljust(5, b"0") if self.sqlstate else b""
        return b"\xff" + push_int(self.code, 2) + state + self.message

    @classmethod
    def of(cls, error: MySQLError) -> ErrPacket:
        """The packet that tells a client of `error`."""
        return cls(error.code, error.sqlstate, error.message.encode("utf-8", "surrogateescape"))


def decode_err(payload: bytes) -> ErrPacket:
    """Read an ERR packet; where a server leaves out the SQLSTATE (before a login) it is looked up by number."""
    _expect_header(payload, ERR_HEADER, "ERR packet")
    code, position = pull_int(payload, 1, 2)
    if payload[position : position + 1] == b"#":
        state, position = pull_bytes(payload, position + 1, 5)
        return ErrPacket(code, state.decode("ascii", "replace"), payload[position:])
    return ErrPacket(code, sqlstate_of(code), payload[position:])


@dataclass(frozen=True, slots=True)
class EofPacket:
    """An EOF packet of protocol 4.1: ends column definitions and rows where DEPRECATE_EOF was not agreed."""

    warnings: int = 0
    status: int = 0

    def encode(self) -> bytes:
        """The payload."""
        return b"\xfe" + push_int(self.warnings, 2) + push_int(self.status, 2)

    @classmethod
    def decode(cls, payload: bytes) -> EofPacket:
        """Read an EOF packet."""
        _expect_header(payload, EOF_HEADER, "EOF packet")
        if len(payload) != 5:
            raise ProtocolError(f"an EOF packet has 5 bytes, not {len(payload)}")
        warnings, position = pull_int(payload, 1, 2)
        return cls(warnings, pull_int(payload, position, 2)[0])


_COLUMN_TAIL_SIZE: Final = 0x0C


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """One column of a result (protocol 4.1). ``length`` is the display width; ``default`` what COM_FIELD_LIST adds."""

    name: bytes
    type: int
    collation_id: int = 63
    length: int = 0
    flags: int = 0
    decimals: int = 0
    schema: bytes = b""
    table: bytes = b""
    org_table: bytes = b""
    org_name: bytes = b""
    catalog: bytes = b"def"
    default: bytes = b""
    """Undecoded bytes behind the fixed part: a length-encoded default value, or 0xFB for NULL."""


def encode_column(column: ColumnDefinition, capabilities: int = 0) -> bytes:
    """The payload of a column definition, as a client with these capabilities expects it."""
    names = (column.catalog, column.schema, column.table, column.org_table, column.name, column.org_name)
    return b"".join(
        (
            *map(push_lenenc_bytes, names),
            b"\0" if capabilities & Capability.MARIADB_EXTENDED_METADATA else b"",
            push_int(_COLUMN_TAIL_SIZE, 1),
            push_int(column.collation_id, 2),
            push_int(column.length, 4),
            push_int(column.type, 1),
            push_int(column.flags, 2),
            push_int(column.decimals, 1),
            b"\0\0",
            column.default,
        )
    )


def decode_column(payload: bytes, capabilities: int = 0) -> ColumnDefinition:
    """Read a column definition of a connection with these capabilities; MariaDB's extended metadata is left out."""
    catalog, position = pull_lenenc_bytes(payload, 0)
    schema, position = pull_lenenc_bytes(payload, position)
    table, position = pull_lenenc_bytes(payload, position)
    org_table, position = pull_lenenc_bytes(payload, position)
    name, position = pull_lenenc_bytes(payload, position)
    org_name, position = pull_lenenc_bytes(payload, position)
    if capabilities & Capability.MARIADB_EXTENDED_METADATA:
        _, position = pull_lenenc_bytes(payload, position)
    size, position = pull_lenenc_int(payload, position)
    if size != _COLUMN_TAIL_SIZE:
        raise ProtocolError(f"the fixed part of a column definition has {_COLUMN_TAIL_SIZE} bytes, not {size}")
    tail, position = pull_bytes(payload, position, size)
    return ColumnDefinition(
        name=name,
        type=tail[6],
        collation_id=int.from_bytes(tail[0:2], "little"),
        length=int.from_bytes(tail[2:6], "little"),
        flags=int.from_bytes(tail[7:9], "little"),
        decimals=tail[9],
        schema=schema,
        table=table,
        org_table=org_table,
        org_name=org_name,
        catalog=catalog,
        default=payload[position:],
    )


@dataclass(frozen=True, slots=True)
class SessionChanges:
    """What the session trackers of one OK packet report. None means not reported.

    ``variables`` keeps the server's order. ``schema`` is "" when there is no default schema any more. ``gtids`` are of
    the writes that were committed. ``transaction_characteristics`` are the statements that would open the same
    transaction again; ``transaction_state`` eight letters (see ``session_track_transaction_info`` in the MySQL manual).
    """

    variables: dict[str, str] = field(default_factory=dict)
    schema: str | None = None
    state_changed: bool = False
    gtids: str | None = None
    transaction_characteristics: str | None = None
    transaction_state: str | None = None


# How MariaDB reports the GTID of a write.
_LAST_GTID: Final = b"last_gtid"


def decode_session_changes(blob: bytes) -> SessionChanges:
    """Read the tracker blob of an OK packet; kinds of entries not known are passed over.

    A NULL value (``character_set_results``) reads as the empty string: servers write it so.
    """
    variables: dict[str, str] = {}
    values: dict[int, str] = {}
    position = 0
    while position < len(blob):
        kind, position = pull_int(blob, position, 1)
        entry, position = pull_lenenc_bytes(blob, position)
        if kind == SessionTrack.SYSTEM_VARIABLES:
            at = 0
            while at < len(entry):
                name, at = pull_lenenc_bytes(entry, at)
                value, at = pull_lenenc_bytes(entry, at)
                if name == _LAST_GTID:
                    values[SessionTrack.GTIDS] = _text(value)
                else:
                    variables[_text(name)] = _text(value)
        elif kind == SessionTrack.GTIDS:
            # one byte tells the encoding; only 0, plain text, exists
            values[kind] = _text(pull_lenenc_bytes(entry, 1)[0])
        elif kind == SessionTrack.STATE_CHANGE:
            values[kind] = _text(entry)  # one character without a length of its own
        elif kind in _TEXT_TRACKERS:
            values[kind] = _text(pull_lenenc_bytes(entry, 0)[0])
    return SessionChanges(
        variables=variables,
        schema=values.get(SessionTrack.SCHEMA),
        state_changed=values.get(SessionTrack.STATE_CHANGE) == "1",
        gtids=values.get(SessionTrack.GTIDS),
        transaction_characteristics=values.get(SessionTrack.TRANSACTION_CHARACTERISTICS),
        transaction_state=values.get(SessionTrack.TRANSACTION_STATE),
    )


_TEXT_TRACKERS: Final = frozenset(
    {
        SessionTrack.SCHEMA,
        SessionTrack.TRANSACTION_CHARACTERISTICS,
        SessionTrack.TRANSACTION_STATE,
    }
)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def encode_session_changes(changes: SessionChanges) -> bytes:
    """The tracker blob that reports `changes`, in MySQL's order and one entry per variable."""
    entries = [
        (SessionTrack.SYSTEM_VARIABLES, _push_text(name) + _push_text(value))
        for name, value in changes.variables.items()
    ]
    if changes.schema is not None:
        entries.append((SessionTrack.SCHEMA, _push_text(changes.schema)))
    if changes.state_changed:
        entries.append((SessionTrack.STATE_CHANGE, b"1"))
    if changes.gtids is not None:
        entries.append((SessionTrack.GTIDS, b"\0" + _push_text(changes.gtids)))
    if changes.transaction_characteristics is not None:
        entries.append((SessionTrack.TRANSACTION_CHARACTERISTICS, _push_text(changes.transaction_characteristics)))
    if changes.transaction_state is not None:
        entries.append((SessionTrack.TRANSACTION_STATE, _push_text(changes.transaction_state)))
    return b"".join(push_int(kind, 1) + push_lenenc_bytes(entry) for kind, entry in entries)


def _push_text(value: str) -> bytes:
    return push_lenenc_bytes(value.encode("utf-8", "surrogateescape"))
