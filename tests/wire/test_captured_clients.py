"""Handshake capabilities recorded from real clients: their responses decode, and what holds is the intersection."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.wire.constants import Capability
from router.wire.framing import PacketDecoder
from router.wire.handshake import Accepted, Credential, ServerHandshake
from router.wire.packets import HandshakeResponse
from router.wire.scramble import CACHING_SHA2, NATIVE_PASSWORD, native_scramble, sha2_scramble

NONCE = bytes(range(65, 85))
OFFERED = int(
    Capability.LONG_PASSWORD
    | Capability.FOUND_ROWS
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.IGNORE_SPACE
    | Capability.PROTOCOL_41
    | Capability.INTERACTIVE
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
    | Capability.SESSION_TRACK
    | Capability.DEPRECATE_EOF
)

# capabilities, max_packet, collation, MariaDB's extended capabilities: every distinct set that 21 clients and drivers
# sent to MariaDB 10.11 and MySQL 9.7 (PyMySQL, aiomysql, asyncmy, mysql-connector-python, mysqlclient, SQLAlchemy,
# Django, node mysql2 and mariadb, PHP mysqli and PDO, Ruby, Perl, Go, JDBC, sysbench and both projects' CLIs and dumps)
CLIENTS = [
    (0x000AA28D, 0, 45, 0x00),
    (0x001AA28D, 3221225472, 8, 0x00),
    (0x001AA28D, 3221225472, 255, 0x00),
    (0x001BA28D, 3221225472, 45, 0x00),
    (0x003AA20D, 16777215, 45, 0x00),
    (0x003AA20F, 16777215, 45, 0x00),
    (0x003BA20D, 1073741824, 45, 0x00),
    (0x00BEA284, 1048576, 45, 0x1D),
    (0x00BEA285, 1048576, 45, 0x00),
    (0x00BEA28E, 1048576, 45, 0x1D),
    (0x00BEA28F, 1048576, 45, 0x00),
    (0x00BFA28C, 1048576, 33, 0x1D),
    (0x00BFA28D, 1048576, 33, 0x00),
    (0x013BA20C, 16777215, 45, 0x04),
    (0x013BA20D, 16777215, 45, 0x00),
    (0x01BEA30A, 1073741824, 224, 0x1C),
    (0x01BEA30A, 1073741824, 224, 0x00),
    (0x01BEA38A, 1073741824, 224, 0x00),
    (0x08BAF3CC, 0, 224, 0x08),
    (0x08BAF3CE, 0, 224, 0x08),
    (0x183BA20D, 1073741824, 255, 0x00),
    (0x18BAF3CD, 0, 224, 0x00),
    (0x18BAF3CF, 0, 224, 0x00),
    (0x19BEA285, 1073741824, 255, 0x00),
    (0x19BFA28D, 16777216, 255, 0x00),
    (0x80BEA28C, 1048576, 33, 0x1D),
    (0x80BEA28D, 1048576, 33, 0x00),
    (0x80BEA28E, 1048576, 45, 0x1D),
    (0x80BEA28F, 1048576, 45, 0x00),
]


def response(capabilities: int, max_packet: int, collation_id: int, extended: int, plugin: str) -> bytes:
    """What such a client sends: fields by what both sides know, flags as it pleases."""
    scramble = sha2_scramble if plugin == CACHING_SHA2 else native_scramble
    fields = HandshakeResponse(
        capabilities=capabilities & OFFERED,
        max_packet=max_packet,
        collation_id=collation_id,
        username=b"app",
        auth_response=scramble(b"secret", NONCE),
        database=b"shop" if capabilities & Capability.CONNECT_WITH_DB else None,
        auth_plugin=plugin.encode(),
        attributes={b"_client_name": b"recorded"},
        mariadb_capabilities=extended,
    )
    claimed = replace(fields, capabilities=capabilities).encode()
    return claimed[:4] + fields.encode()[4:]


@pytest.mark.parametrize("plugin", [CACHING_SHA2, NATIVE_PASSWORD])
@pytest.mark.parametrize(("capabilities", "max_packet", "collation_id", "extended"), CLIENTS)
def test_recorded_clients(capabilities: int, max_packet: int, collation_id: int, extended: int, plugin: str) -> None:
    payload = response(capabilities, max_packet, collation_id, extended, plugin)
    decoded = HandshakeResponse.decode(payload, OFFERED)
    assert decoded.capabilities == capabilities
    assert (decoded.max_packet, decoded.collation_id) == (max_packet, collation_id)
    assert decoded.mariadb_capabilities == extended
    assert decoded.attributes == ({b"_client_name": b"recorded"} if capabilities & Capability.CONNECT_ATTRS else {})

    machine = ServerHandshake(
        connection_id=1,
        server_version="8.0.36-router",
        nonce=NONCE,
        capabilities=OFFERED,
        collation_id=45,
        status=2,
        tls_available=False,
        tls_required=False,
        secure_transport=False,
        lookup={"app": Credential(password=b"secret")}.get,
        rsa=None,
        client_host="localhost",
    )
    decoder = PacketDecoder(1 << 16)
    decoder.feed(machine.greeting())
    assert decoder.next_packet() is not None
    accepted = machine.receive(1, payload)[-1]
    assert isinstance(accepted, Accepted)
    assert accepted.login.capabilities == capabilities & OFFERED
    assert accepted.login.collation_id == collation_id
    assert accepted.login.database == ("shop" if capabilities & Capability.CONNECT_WITH_DB else None)
