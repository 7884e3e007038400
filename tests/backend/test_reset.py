"""The commands that make a connection like new: what they say, in which order, with how many replies."""

from __future__ import annotations

import pytest

from router.backend.reset import BASELINE, SETTLED_REPLIES, query, settle_commands, use_schema
from router.session.profile import CHARSET_VARIABLES
from router.session.variables import assignments
from router.wire.constants import Capability, Command
from tests.fakes import PROFILE, payloads


@pytest.mark.parametrize("multi_statements", [False, True])
def test_settle_turns_trackers_and_the_charset_on(multi_statements: bool) -> None:
    shape = int(Capability.MULTI_STATEMENTS) if multi_statements else 0
    option, setting = payloads(settle_commands(PROFILE, shape, reset=False))
    assert option == bytes([Command.SET_OPTION, 0 if multi_statements else 1, 0])
    assert setting[0] == Command.QUERY
    text = setting[1:].decode("ascii")
    assert text.startswith(PROFILE.track_statement())
    assert "utf8mb4" in text.removeprefix(PROFILE.track_statement())


def test_reset_comes_first() -> None:
    commands = payloads(settle_commands(PROFILE, 0, reset=True))
    assert commands[0] == bytes([Command.RESET_CONNECTION])
    assert commands[1:] == payloads(settle_commands(PROFILE, 0, reset=False))


def test_replies_are_counted_right() -> None:
    """Each command has one reply; a wrong number would leave the connection one answer behind."""
    assert len(payloads(settle_commands(PROFILE, 0, reset=False))) == SETTLED_REPLIES
    assert len(payloads(settle_commands(PROFILE, 0, reset=True))) == SETTLED_REPLIES + 1


def test_no_attributes_are_said_where_they_may_be() -> None:
    shape = int(Capability.QUERY_ATTRIBUTES)
    assert query("DO 0", shape) == b"\x07\0\0\0\x03\0\1DO 0"
    assert query("DO 0") == b"\x05\0\0\0\x03DO 0"
    *others, setting = payloads(settle_commands(PROFILE, 0, reset=True))
    assert payloads(settle_commands(PROFILE, shape, reset=True)) == [*others, b"\x03\0\1" + setting[1:]]


def test_the_baseline_needs_no_other_statement_than_the_one_in_settle() -> None:
    assert set(BASELINE.values) == set(CHARSET_VARIABLES)
    (term,) = assignments(BASELINE, BASELINE.of({}), PROFILE)
    _, setting = payloads(settle_commands(PROFILE, 0, reset=False))
    assert setting.decode("ascii").endswith(f", {term}")


def test_every_command_begins_an_exchange_of_its_own() -> None:
    data = settle_commands(PROFILE, 0, reset=True)
    at = 0
    while at < len(data):
        assert data[at + 3] == 0
        at += 4 + int.from_bytes(data[at : at + 3], "little")


def test_query() -> None:
    assert payloads(query("SELECT 1")) == [b"\x03SELECT 1"]
    with pytest.raises(UnicodeEncodeError):
        query("SELECT 'é'")


@pytest.mark.parametrize(
    ("schema", "name"),
    [("shop", b"shop"), ("a`b'c\\d", b"a`b'c\\d"), ("größe", "größe".encode()), ("a\udcffb", b"a\xffb")],
)
def test_a_schema_is_named_by_its_bytes(schema: str, name: bytes) -> None:
    assert payloads(use_schema(schema)) == [bytes([Command.INIT_DB]) + name]
