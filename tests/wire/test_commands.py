"""Commands: each payload reads as the value it means, and back."""

from __future__ import annotations

from typing import Any

import pytest

from router.errors import ProtocolError
from router.wire import commands
from router.wire.commands import parse_command
from router.wire.constants import Capability

BASIC = int(Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION)
PLUGIN = int(BASIC | Capability.PLUGIN_AUTH | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA)
ATTRIBUTES = int(PLUGIN | Capability.CONNECT_ATTRS)


@pytest.mark.parametrize(
    ("payload", "command"),
    [
        (b"\x03SELECT 1", commands.ComQuery(b"SELECT 1")),
        (b"\x03", commands.ComQuery(b"")),
        (b"\x02shop", commands.ComInitDb(b"shop")),
        (b"\x04t\0", commands.ComFieldList(b"t")),
        (b"\x04t\0a%", commands.ComFieldList(b"t", b"a%")),
        (b"\x16SELECT ?", commands.ComStmtPrepare(b"SELECT ?")),
        (b"\x17\x01\0\0\0\x01\x01\0\0\0\0\x01\x03\0", commands.ComStmtExecute(1, 1, 1, b"\0\x01\x03\0")),
        (b"\x17\xff\xff\xff\xff\0\x01\0\0\0", commands.ComStmtExecute(0xFFFFFFFF)),
        (b"\x18\x02\0\0\0\x01\0data", commands.ComStmtSendLongData(2, 1, b"data")),
        (b"\x19\x03\0\0\0", commands.ComStmtClose(3)),
        (b"\x1a\x03\0\0\0", commands.ComStmtReset(3)),
        (b"\x1c\x03\0\0\0\x64\0\0\0", commands.ComStmtFetch(3, 100)),
        (b"\x1b\x01\0", commands.ComSetOption(1)),
        (b"\x0c\x2a\0\0\0", commands.ComProcessKill(42)),
    ],
)
def test_commands_with_arguments(payload: bytes, command: Any) -> None:
    assert parse_command(payload, BASIC) == command
    assert command.encode() == payload


@pytest.mark.parametrize(
    ("payload", "command"),
    [
        (b"\x0e", commands.ComPing()),
        (b"\x01", commands.ComQuit()),
        (b"\x09", commands.ComStatistics()),
        (b"\x1f", commands.ComResetConnection()),
        (b"\x0d", commands.ComDebug()),
        (b"\x0e with something behind", commands.ComPing()),
        (b"", commands.Unknown(0)),
        (b"\x00", commands.Unknown(0)),
        (b"\x12\0\0\0\0", commands.Unknown(0x12)),
        (b"\xfa\x01\0\0\0", commands.Unknown(0xFA)),
        (b"\xff", commands.Unknown(0xFF)),
        (b"\x04without end", commands.ComFieldList(b"without end")),
    ],
)
def test_other_commands(payload: bytes, command: commands.ClientCommand) -> None:
    assert parse_command(payload, BASIC) == command


@pytest.mark.parametrize(
    ("payload", "capabilities", "command"),
    [
        (b"app\0\x03abcshop\0", BASIC, commands.ComChangeUser(b"app", b"abc", b"shop")),
        (b"app\0\x00\0", BASIC, commands.ComChangeUser(b"app")),
        (b"app\0\x00", BASIC, commands.ComChangeUser(b"app")),
        (b"app\0\x00\0\x2d\x01", BASIC, commands.ComChangeUser(b"app", collation_id=301)),
        (b"app\0abc\0shop\0", 0, commands.ComChangeUser(b"app", b"abc", b"shop")),
        (
            b"app\0\x02abshop\0\x2d\0mysql_native_password\0",
            PLUGIN,
            commands.ComChangeUser(b"app", b"ab", b"shop", 45, b"mysql_native_password"),
        ),
        (
            b"app\0\x00\0\x2d\0caching_sha2_password\0\x04\x01k\x01v",
            ATTRIBUTES,
            commands.ComChangeUser(b"app", b"", None, 45, b"caching_sha2_password", {b"k": b"v"}),
        ),
    ],
)
def test_change_user(payload: bytes, capabilities: int, command: commands.ComChangeUser) -> None:
    assert parse_command(b"\x11" + payload, capabilities) == command
    assert parse_command(command.encode(capabilities), capabilities) == command


@pytest.mark.parametrize(
    "payload",
    [
        b"\x11",
        b"\x11app",
        b"\x11app\0",
        b"\x11app\0\x05abc",
        b"\x17\x01\0\0",
        b"\x17\x01\0\0\0\0\x01",
        b"\x18\x01\0\0\0\x01",
        b"\x19",
        b"\x1a\x01",
        b"\x1c\x01\0\0\0",
        b"\x1b\x01",
        b"\x0c\x01\0\0",
    ],
)
def test_commands_malformed(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_command(payload, BASIC)


def test_change_user_attributes_malformed() -> None:
    with pytest.raises(ProtocolError):
        parse_command(b"\x11app\0\x00\0\x2d\0caching_sha2_password\0\x09\x01k", ATTRIBUTES)
