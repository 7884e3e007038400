"""Packets of the connection phase and of responses, against captured bytes and back again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import MySQLError, ProtocolError
from router.wire.constants import Capability, ColumnFlag, ColumnType, ServerStatus
from router.wire.framing import frame
from router.wire.packets import (
    AuthMoreData,
    AuthSwitchRequest,
    ColumnDefinition,
    EofPacket,
    ErrPacket,
    Greeting,
    HandshakeResponse,
    OkPacket,
    SessionChanges,
    SslRequest,
    decode_column,
    decode_err,
    decode_ok,
    decode_session_changes,
    encode_column,
    encode_ok,
    encode_session_changes,
)
from tests.wire.vectors import load

BASIC = Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.LONG_PASSWORD
TRACK = BASIC | Capability.SESSION_TRACK
U32 = st.integers(0, 2**32 - 1)
NAME = st.binary(max_size=20).map(lambda value: value.replace(b"\0", b""))


# -- greeting ---------------------------------------------------------------------------------------------------------


def test_greeting_of_mysql_5_7_26() -> None:
    captured = load("greeting_mysql_5_7_26")
    greeting = Greeting.decode(captured[4:])
    assert greeting.server_version == "5.7.26"
    assert greeting.connection_id == 47
    assert greeting.auth_plugin == b"mysql_native_password"
    assert greeting.nonce == bytes.fromhex("740b50355a73387172232a7e3709052f333f535a")
    assert greeting.capabilities == 0x81FFF7FF
    assert greeting.collation_id == 192
    assert greeting.status == ServerStatus.AUTOCOMMIT
    assert frame(greeting.encode(), 0) == captured


@pytest.mark.parametrize(
    ("name", "version", "plugin", "extended"),
    [
        ("greeting_mysql_9_7_4", "9.7.4-2", b"caching_sha2_password", 0),
        ("greeting_mariadb_10_11", "5.5.5-10.11.19-MariaDB-0+deb12u1", b"mysql_native_password", 0x1D),
    ],
)
def test_greetings_of_other_servers(name: str, version: str, plugin: bytes, extended: int) -> None:
    captured = load(name)
    greeting = Greeting.decode(captured[4:])
    assert (greeting.server_version, greeting.auth_plugin) == (version, plugin)
    assert greeting.mariadb_capabilities == extended
    assert len(greeting.nonce) == 20
    assert frame(greeting.encode(), 0) == captured


@given(
    nonce=st.binary(min_size=20, max_size=20),
    connection_id=U32,
    capabilities=U32,
    collation_id=st.integers(0, 255),
    status=st.integers(0, 65535),
    extended=U32,
)
def test_greeting_returns(
    nonce: bytes, connection_id: int, capabilities: int, collation_id: int, status: int, extended: int
) -> None:
    greeting = Greeting(
        "11.4.2-MariaDB",
        connection_id,
        nonce,
        capabilities,
        collation_id,
        status,
        b"caching_sha2_password" if capabilities & Capability.PLUGIN_AUTH else b"",
        0 if capabilities & Capability.LONG_PASSWORD else extended,
    )
    assert Greeting.decode(greeting.encode()) == greeting


def test_greeting_that_is_an_error() -> None:
    with pytest.raises(ProtocolError, match=r"1040.*Too many connections"):
        Greeting.decode(b"\xff\x10\x04Too many connections")


@pytest.mark.parametrize("payload", [b"", b"\x09 5.0", load("greeting_mysql_5_7_26")[4:30]])
def test_greeting_malformed(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        Greeting.decode(payload)


# -- the client's first packets ----------------------------------------------------------------------------------------


def test_ssl_request() -> None:
    request = SslRequest(BASIC | Capability.SSL, 1 << 24, 45)
    assert len(request.encode()) == 32
    assert SslRequest.matches(request.encode())
    assert SslRequest.decode(request.encode()) == request
    assert not SslRequest.matches(SslRequest(BASIC, 1 << 24, 45).encode())
    with pytest.raises(ProtocolError):
        SslRequest.decode(request.encode() + b"\0")


def test_ssl_request_of_the_mariadb_cli() -> None:
    captured = load("ssl_request_mariadb_cli_10_11")
    request = SslRequest.decode(captured[4:])
    assert (request.max_packet, request.collation_id) == (1 << 20, 33)
    assert frame(request.encode(), 1) == captured


@pytest.mark.parametrize(
    ("name", "username", "response_size", "client"),
    [
        ("response_mysql_cli_9_7", b"empty", 1, b"libmysql"),
        ("response_mariadb_cli_10_11", b"plain", 32, b"libmariadb"),
        ("response_pymysql_1_2", b"empty", 0, b"pymysql"),
    ],
)
def test_responses_of_real_clients(name: str, username: bytes, response_size: int, client: bytes) -> None:
    captured = load(name)
    response = HandshakeResponse.decode(captured[4:])
    assert (response.username, response.database) == (username, b"shop")
    assert response.auth_plugin == b"caching_sha2_password"
    assert len(response.auth_response) == response_size
    assert response.attributes[b"_client_name"] == client
    assert frame(response.encode(), captured[3]) == captured


@st.composite
def responses(draw: st.DrawFn) -> HandshakeResponse:
    capabilities = draw(U32) | Capability.PROTOCOL_41
    lenenc = capabilities & Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
    counted = lenenc or capabilities & Capability.SECURE_CONNECTION
    return HandshakeResponse(
        capabilities=capabilities,
        max_packet=draw(U32),
        collation_id=draw(st.integers(0, 255)),
        username=draw(NAME),
        auth_response=draw(st.binary(max_size=300 if lenenc else 255) if counted else NAME),
        database=(draw(NAME) or None) if capabilities & Capability.CONNECT_WITH_DB else None,
        auth_plugin=(draw(NAME) or None) if capabilities & Capability.PLUGIN_AUTH else None,
        attributes=draw(st.dictionaries(st.binary(max_size=9), st.binary(max_size=9), max_size=4))
        if capabilities & Capability.CONNECT_ATTRS
        else {},
        mariadb_capabilities=0 if capabilities & Capability.LONG_PASSWORD else draw(U32),
        zstd_level=draw(st.integers(0, 255)) if capabilities & Capability.ZSTD_COMPRESSION_ALGORITHM else 0,
    )


@given(responses())
def test_response_returns(response: HandshakeResponse) -> None:
    assert HandshakeResponse.decode(response.encode()) == response


@given(responses(), st.binary(max_size=10))
def test_response_with_more_bytes_behind_it(response: HandshakeResponse, more: bytes) -> None:
    assert HandshakeResponse.decode(response.encode() + b"\0" + more).username == response.username


PLUGGABLE = BASIC | Capability.PLUGIN_AUTH | Capability.CONNECT_WITH_DB


def head(capabilities: int) -> bytes:
    return capabilities.to_bytes(4, "little") + bytes.fromhex("00000040 2d") + bytes(23)


@pytest.mark.parametrize(
    ("tail", "auth", "database", "plugin"),
    [
        (b"\x00shop\0mysql_native_password\0", b"", b"shop", b"mysql_native_password"),
        (b"\x00\0mysql_native_password\0", b"", None, b"mysql_native_password"),
        (b"\x01\x00shop\0mysql_native_password", b"\0", b"shop", b"mysql_native_password"),
        (b"\x02abshop\0", b"ab", b"shop", None),
        (b"\x02abshop", b"ab", b"shop", None),
        (b"\x02ab", b"ab", None, None),
    ],
)
def test_fields_that_may_be_empty_or_missing(tail: bytes, auth: bytes, database: bytes, plugin: bytes) -> None:
    response = HandshakeResponse.decode(head(PLUGGABLE) + b"app\0" + tail)
    assert response.username == b"app"
    assert (response.auth_response, response.database, response.auth_plugin) == (auth, database, plugin)


def test_fields_follow_what_the_server_offered() -> None:
    """A client that keeps bits the server did not offer leaves their fields out all the same."""
    capabilities = PLUGGABLE | Capability.CONNECT_ATTRS | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
    payload = head(capabilities) + b"app\0" + b"\x02ab" + b"\x06\x01k\x03val"
    response = HandshakeResponse.decode(payload, BASIC | Capability.CONNECT_ATTRS)
    assert response.capabilities == capabilities
    assert (response.auth_response, response.database, response.auth_plugin) == (b"ab", None, None)
    assert response.attributes == {b"k": b"val"}


def test_mariadb_capabilities_only_without_the_mysql_bit() -> None:
    reserved = bytes(19) + (0x1D).to_bytes(4, "little")
    for capabilities, expected in ((0x00BEA28C, 0x1D), (0x00BEA28D, 0)):
        payload = capabilities.to_bytes(4, "little") + bytes(4) + b"\x2d" + reserved + b"app\0\0"
        assert HandshakeResponse.decode(payload, BASIC).mariadb_capabilities == expected


def test_clients_of_before_4_1_are_refused() -> None:
    with pytest.raises(ProtocolError, match=r"4\.1"):
        HandshakeResponse.decode(bytes.fromhex("8524 000000") + b"old\0hash\0" + bytes(40))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        head(PLUGGABLE)[:20],
        head(PLUGGABLE) + b"user without end",
        head(PLUGGABLE) + b"app\0\x14short",
        head(BASIC | Capability.CONNECT_ATTRS) + b"app\0\x00" + b"\x09\x03abc",
        head(BASIC | Capability.CONNECT_ATTRS) + b"app\0\x00" + b"\x04\x03abc",
    ],
)
def test_response_malformed(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        HandshakeResponse.decode(payload)


def test_authentication_packets() -> None:
    switch = AuthSwitchRequest(b"mysql_native_password", b"12345678901234567890\0")
    assert switch.encode() == b"\xfemysql_native_password\x0012345678901234567890\0"
    assert AuthSwitchRequest.decode(switch.encode()) == switch
    assert AuthSwitchRequest.decode(b"\xfe") == AuthSwitchRequest(b"mysql_old_password", b"")
    assert AuthMoreData(b"\x03").encode() == b"\x01\x03"
    assert AuthMoreData.decode(b"\x01\x03") == AuthMoreData(b"\x03")
    for payload in (b"", b"\x00", b"\xff\x00\x00"):
        with pytest.raises(ProtocolError):
            AuthMoreData.decode(payload)
        with pytest.raises(ProtocolError):
            AuthSwitchRequest.decode(payload)


# -- OK, ERR, EOF ------------------------------------------------------------------------------------------------------

CHANGED = ServerStatus.SESSION_STATE_CHANGED


@given(
    affected=st.integers(0, 2**64 - 1),
    insert_id=st.integers(0, 2**64 - 1),
    status=st.integers(0, 65535),
    warnings=st.integers(0, 65535),
    info=st.binary(max_size=30),
    blob=st.binary(max_size=30),
    header=st.sampled_from([0x00, 0xFE]),
)
def test_ok_returns_with_session_track(
    affected: int, insert_id: int, status: int, warnings: int, info: bytes, blob: bytes, header: int
) -> None:
    status = status | CHANGED if blob else status
    ok = OkPacket(affected, insert_id, status, warnings, info, blob, header)
    assert decode_ok(encode_ok(ok, TRACK), TRACK) == ok


@given(st.integers(0, 65535), st.binary(max_size=30), st.binary(max_size=30))
def test_ok_for_a_client_without_session_track(status: int, info: bytes, blob: bytes) -> None:
    """Neither the trackers nor the flag that announces them."""
    payload = encode_ok(OkPacket(1, 2, status, 3, info, blob), BASIC)
    assert decode_ok(payload, BASIC) == OkPacket(1, 2, status & ~CHANGED, 3, info)


def test_ok_info_in_both_spellings() -> None:
    info = b"Rows matched: 1  Changed: 0  Warnings: 0"
    plain = bytes.fromhex("00 00 00 0200 0000") + info
    counted = bytes.fromhex("00 00 00 0200 0000") + bytes([len(info)]) + info
    assert decode_ok(plain, BASIC).info == info
    assert decode_ok(counted, BASIC).info == info
    assert decode_ok(counted, TRACK).info == info
    assert encode_ok(OkPacket(status=2, info=info), BASIC) == counted
    assert decode_ok(bytes.fromhex("00 00 00 0200 0000"), TRACK) == OkPacket(status=2)


@pytest.mark.parametrize(
    ("name", "header", "changes"),
    [
        (
            "ok_begin_mysql_9_7",
            0x00,
            SessionChanges(transaction_characteristics="START TRANSACTION READ ONLY;", transaction_state="T_______"),
        ),
        (
            "ok_set_mariadb_10_11",
            0x00,
            SessionChanges({"sql_mode": "", "time_zone": "SYSTEM"}, state_changed=True),
        ),
        ("ok_eof_rows_mysql_9_7", 0xFE, SessionChanges(transaction_state="T_____S_")),
    ],
)
def test_ok_of_real_servers(name: str, header: int, changes: SessionChanges) -> None:
    captured = load(name)
    ok = decode_ok(captured[4:], TRACK)
    assert ok.header == header
    assert ok.status & CHANGED
    assert decode_session_changes(ok.state_changes) == changes
    assert frame(encode_ok(ok, TRACK), captured[3]) == captured


def test_ok_of_mysql_after_use() -> None:
    payload = bytes.fromhex("00 00 00 0240 0000 00 07 01 05 04 73686f70")
    ok = decode_ok(payload, TRACK)
    assert decode_session_changes(ok.state_changes) == SessionChanges(schema="shop")
    assert encode_ok(ok, TRACK) == payload


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "ff0000",
        "00",
        "00 fb",
        "00 00 00 02",
        "00 00 00 0200 00",
        "00 00 00 0240 0000 05 61",
        "00000002400000 00 05 61",
    ],
)
def test_ok_malformed(payload: str) -> None:
    with pytest.raises(ProtocolError):
        decode_ok(bytes.fromhex(payload), TRACK)


def test_err() -> None:
    error = ErrPacket(1146, "42S02", b"Table 'shop.t' doesn't exist")
    assert error.encode() == b"\xff\x7a\x04#42S02Table 'shop.t' doesn't exist"
    assert decode_err(error.encode()) == error
    assert ErrPacket.of(MySQLError(1146, "42S02", "Table 'shop.t' doesn't exist")) == error


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\xff\x10\x04Too many connections", ErrPacket(1040, "08004", b"Too many connections")),
        (b"\xff\x69\x04Host 'h' is not allowed", ErrPacket(1129, "HY000", b"Host 'h' is not allowed")),
        (b"\xff\x10\x04", ErrPacket(1040, "08004", b"")),
    ],
)
def test_err_before_the_login_has_no_sqlstate(payload: bytes, expected: ErrPacket) -> None:
    assert decode_err(payload) == expected


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\xff\x10", b"\x00\x10\x04", b"\xff\x10\x04#42S"])
def test_err_malformed(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_err(payload)


def test_eof() -> None:
    assert EofPacket(1, 0x22).encode() == bytes.fromhex("fe 0100 2200")
    assert EofPacket.decode(bytes.fromhex("fe 0100 2200")) == EofPacket(1, 0x22)
    for payload in (b"", b"\xfe", b"\xfe\0\0\0\0\0", b"\x00\0\0\0\0"):
        with pytest.raises(ProtocolError):
            EofPacket.decode(payload)


# -- column definitions ------------------------------------------------------------------------------------------------


def test_column_of_select_version() -> None:
    payload = (
        bytes.fromhex("03646566 00 00 00 09") + b"version()" + bytes.fromhex("00 0c 2d00 24000000 fd 0100 1f 0000")
    )
    column = decode_column(payload)
    assert column == ColumnDefinition(
        b"version()", ColumnType.VAR_STRING, 45, length=36, flags=ColumnFlag.NOT_NULL, decimals=31
    )
    assert encode_column(column) == payload


COLUMNS = st.builds(
    ColumnDefinition,
    name=st.binary(max_size=12),
    type=st.integers(0, 255),
    collation_id=st.integers(0, 65535),
    length=U32,
    flags=st.integers(0, 65535),
    decimals=st.integers(0, 255),
    schema=st.binary(max_size=300),
    table=st.binary(max_size=12),
    org_table=st.binary(max_size=12),
    org_name=st.binary(max_size=12),
    catalog=st.binary(max_size=12),
    default=st.binary(max_size=8),
)


@given(COLUMNS)
def test_column_returns(column: ColumnDefinition) -> None:
    assert decode_column(encode_column(column)) == column


@pytest.mark.parametrize("payload", ["", "03646566", "036465660000000000 0b" + "00" * 11, "036465660000000000 0c 2d00"])
def test_column_malformed(payload: str) -> None:
    with pytest.raises(ProtocolError):
        decode_column(bytes.fromhex(payload))


# -- session trackers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blob", "expected"),
    [
        (b"", SessionChanges()),
        (b"\x00\x0f\x0aautocommit\x03OFF", SessionChanges({"autocommit": "OFF"})),
        (
            b"\x00\x1f\x0aautocommit\x03OFF\x09time_zone\x05+0:00",
            SessionChanges({"autocommit": "OFF", "time_zone": "+0:00"}),
        ),
        (b"\x01\x05\x04shop\x02\x011", SessionChanges(schema="shop", state_changed=True)),
        (b"\x01\x01\x00", SessionChanges(schema="")),
        (b"\x02\x010", SessionChanges()),
        (b"\x03\x07\x00\x05a:1-5", SessionChanges(gtids="a:1-5")),
        (
            b"\x04\x01\x00\x05\x09\x08T_______",
            SessionChanges(transaction_characteristics="", transaction_state="T_______"),
        ),
        (b"\x63\x03abc\x01\x05\x04shop", SessionChanges(schema="shop")),
        (b"\x01\x03\x02\xff\xfe", SessionChanges(schema="\udcff\udcfe")),
    ],
)
def test_session_changes(blob: bytes, expected: SessionChanges) -> None:
    assert decode_session_changes(blob) == expected


TEXT = st.text(max_size=10)


CHANGES = st.builds(
    SessionChanges,
    variables=st.dictionaries(TEXT, TEXT, max_size=4),
    schema=st.none() | TEXT,
    state_changed=st.booleans(),
    gtids=st.none() | TEXT,
    transaction_characteristics=st.none() | TEXT,
    transaction_state=st.none() | TEXT,
)


@given(CHANGES)
def test_session_changes_return(changes: SessionChanges) -> None:
    back = decode_session_changes(encode_session_changes(changes))
    assert back == changes
    assert list(back.variables) == list(changes.variables)


@pytest.mark.parametrize("blob", ["00", "00 05 01", "01 01 05", "03 00", "03 01 00", "00 02 01 61", "02 05 31"])
def test_session_changes_malformed(blob: str) -> None:
    with pytest.raises(ProtocolError):
        decode_session_changes(bytes.fromhex(blob))


def test_mariadb_reports_writes_as_a_variable() -> None:
    blob = encode_session_changes(SessionChanges(variables={"autocommit": "ON", "last_gtid": "0-1-7"}))
    assert decode_session_changes(blob) == SessionChanges(variables={"autocommit": "ON"}, gtids="0-1-7")
