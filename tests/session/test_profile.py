"""What a server's catalog says about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.session.profile import CHARSET_GROUP, UNKNOWN, VOLATILE_VARIABLES, Flavor, parse_version
from tests.fakes import PROFILE


@pytest.mark.parametrize(
    ("text", "flavor", "version"),
    [
        ("9.7.4", "mysql", (9, 7, 4)),
        ("8.0.36-0ubuntu0.22.04.1", "mysql", (8, 0, 36)),
        ("5.5.5-10.11.6-MariaDB-0+deb12u1-log", "mariadb", (10, 11, 6)),
        ("11.8.6-MariaDB", "mariadb", (11, 8, 6)),
        ("5.5.5-10.4.1-mariadb", "mariadb", (10, 4, 1)),
        ("5.7.26", "mysql", (5, 7, 26)),
        ("5.5.5", "mysql", (5, 5, 5)),
        ("8.0.35-Vitess", "mysql", (8, 0, 35)),
        ("something else", "mysql", (0, 0, 0)),
        ("", "mysql", (0, 0, 0)),
    ],
)
def test_versions(text: str, flavor: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == (flavor, version)


def test_the_charset_of_a_login() -> None:
    assert PROFILE.charset_of(45) == {
        "character_set_client": "utf8mb4",
        "character_set_results": "utf8mb4",
        "collation_connection": "utf8mb4_general_ci",
    }


@pytest.mark.parametrize("collation_id", [0, 9999])
def test_an_unknown_collation_means_the_servers_own(collation_id: int) -> None:
    assert PROFILE.charset_of(collation_id) == {
        "character_set_client": "latin1",
        "character_set_results": "latin1",
        "collation_connection": "latin1_swedish_ci",
    }


def test_collations_know_their_charset() -> None:
    assert PROFILE.charset_by_collation["gbk_chinese_ci"] == "gbk"


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_the_statement_that_turns_trackers_on(flavor: Flavor) -> None:
    profile = replace(PROFILE, flavor=flavor, tracked=frozenset({"time_zone", "autocommit", "sql_mode"}))
    statement = profile.track_statement()
    assert statement.startswith("SET ")
    names = "autocommit,sql_mode,time_zone" + (",last_gtid" if flavor == "mariadb" else "")
    assert f"session_track_system_variables = '{names}'" in statement
    assert ("session_track_gtids = 'OWN_GTID'" in statement) is (flavor == "mysql")
    for tracker in ("session_track_schema = 1", "session_track_state_change = 1"):
        assert tracker in statement
    assert "session_track_transaction_info = 'CHARACTERISTICS'" in statement
    assert statement == profile.track_statement(), "the same text every time: servers and people compare it"


def test_an_unreached_server_tracks_nothing() -> None:
    assert UNKNOWN.tracked == frozenset()
    assert UNKNOWN.charset_of(255)["character_set_client"] == "utf8mb4"


def test_charsets_can_be_carried() -> None:
    assert CHARSET_GROUP.isdisjoint(VOLATILE_VARIABLES)


def test_switches_as_trackers_write_them() -> None:
    profile = replace(UNKNOWN, numeric=frozenset({"group_concat_max_len"}))
    assert profile.as_reported("autocommit", "0") == "OFF"
    assert profile.as_reported("unique_checks", "1") == "ON"
    assert profile.as_reported("group_concat_max_len", "1") == "1"
    assert profile.as_reported("sql_mode", "") == ""
