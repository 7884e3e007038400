"""The numbers that packets are built from are those of the protocol."""

from __future__ import annotations

from router.wire.constants import EXTENDED, Capability, ColumnType, Command, ServerStatus


def test_capabilities_are_single_bits() -> None:
    assert sorted(flag.value for flag in Capability) == [1 << bit for bit in range(38)]
    assert Capability.MARIADB_PROGRESS == 1 << EXTENDED


def test_well_known_numbers() -> None:
    assert int(Capability.CONNECT_WITH_DB) == 0x8
    assert int(Capability.PROTOCOL_41) == 0x200
    assert int(Capability.SSL) == 0x800
    assert int(Capability.PLUGIN_AUTH) == 0x80000
    assert int(Capability.DEPRECATE_EOF) == 0x1000000
    assert int(Capability.QUERY_ATTRIBUTES) == 0x8000000
    assert int(Capability.MARIADB_CACHE_METADATA) >> EXTENDED == 0x10
    assert (Command.QUERY, Command.PING, Command.CHANGE_USER, Command.RESET_CONNECTION) == (3, 14, 17, 31)
    assert (Command.STMT_PREPARE, Command.STMT_EXECUTE, Command.STMT_CLOSE, Command.STMT_FETCH) == (22, 23, 25, 28)
    assert int(ServerStatus.SESSION_STATE_CHANGED) == 0x4000
    assert (ColumnType.NEWDECIMAL, ColumnType.VAR_STRING, ColumnType.GEOMETRY) == (246, 253, 255)
