"""Variable sets: one object for equal values, and a difference that leads exactly there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.session import variables
from router.session.profile import CHARSET_VARIABLES
from router.session.variables import EMPTY, VariableSet, assignments, replayable
from tests.fakes import PROFILE

BY_CHARSET = {charset: collation for collation, charset in PROFILE.charset_by_collation.items()}
PLAIN = {
    "sql_mode": ["", "ANSI_QUOTES", "STRICT_TRANS_TABLES,NO_ZERO_DATE"],
    "time_zone": ["SYSTEM", "+02:00", "Europe/Berlin"],
    "autocommit": ["ON", "OFF"],
    "wait_timeout": ["28800", "60", "-1", "0.5"],
}
CHARSETS = st.sampled_from(sorted(BY_CHARSET))


@st.composite
def sets(draw: st.DrawFn) -> VariableSet:
    """The variables of a session: a charset always, others if changed."""
    values = {name: draw(st.sampled_from(choices)) for name, choices in PLAIN.items() if draw(st.booleans())}
    client = draw(CHARSETS)
    values["character_set_client"] = client
    values["character_set_results"] = draw(st.sampled_from([client, client, "latin1", ""]))
    values["collation_connection"] = BY_CHARSET[draw(st.sampled_from([client, "latin1"]))]
    return VariableSet.of(values)


def apply(terms: list[str], applied: VariableSet) -> VariableSet:
    """What a server makes of ``SET term, term``: assignments from left to right."""
    values = dict(applied.values)
    for term in terms:
        if (names := re.fullmatch(r"NAMES (\w+) COLLATE (\w+)", term)) is not None:
            assert PROFILE.charset_by_collation[names[2]] == names[1], "the server would refuse it"
            values.update(zip(CHARSET_VARIABLES, (names[1], names[1], names[2]), strict=True))
            continue
        assigned = re.fullmatch(r"(\w+) = (?:'([^'\\]*)'|(-?[\d.]+)|(NULL)|(DEFAULT))", term)
        assert assigned is not None, term
        name, text, number, null, default = assigned.groups()
        if default:
            values.pop(name)
        else:
            values[name] = "" if null else text if text is not None else number
    return VariableSet.of(values)


# --- interning --------------------------------------------------------------------------------------------------------


def test_equal_values_are_one_object() -> None:
    assert VariableSet.of({"a": "1", "b": "2"}) is VariableSet.of({"b": "2", "a": "1"})
    assert VariableSet.of({}) is EMPTY
    assert VariableSet.of({"a": "1"}) is not VariableSet.of({"a": "2"})


def test_changes() -> None:
    before = VariableSet.of({"a": "1", "b": "2"})
    after = before.with_changes({"b": "3", "c": "4"})
    assert after.values == {"a": "1", "b": "3", "c": "4"}
    assert before.values == {"a": "1", "b": "2"}
    assert before.with_changes({}) is before
    assert after.with_changes({"b": "2"}) is not before


def test_a_variable_less() -> None:
    both = VariableSet.of({"a": "1", "b": "2"})
    assert both.without("b") is VariableSet.of({"a": "1"})
    assert both.without("c") is both


def test_there_are_never_too_many() -> None:
    first = VariableSet.of({"time_zone": "+00:00"})
    for number in range(10_000):
        VariableSet.of({"time_zone": f"+{number}"})
        assert len(variables._interned) <= 4096
    again = VariableSet.of({"time_zone": "+00:00"})
    assert again == first
    assert hash(again) == hash(first)
    assert again != VariableSet.of({"time_zone": "+00:01"})


def test_sets_are_told_from_other_things() -> None:
    assert VariableSet.of({"a": "1"}) != {"a": "1"}
    assert "a" in repr(VariableSet.of({"a": "1"}))


# --- the difference ---------------------------------------------------------------------------------------------------


@given(sets(), sets())
def test_the_assignments_lead_to_what_is_wanted(wanted: VariableSet, applied: VariableSet) -> None:
    assert apply(assignments(wanted, applied, PROFILE), applied) == wanted


@given(sets())
def test_nothing_is_sent_where_nothing_differs(values: VariableSet) -> None:
    assert assignments(values, values, PROFILE) == []


@given(sets(), st.sampled_from(["time_zone", "sql_mode"]))
def test_only_the_difference_is_sent(values: VariableSet, name: str) -> None:
    wanted = values.with_changes({name: "something new"})
    assert assignments(wanted, values, PROFILE) == [f"{name} = 'something new'"]


@pytest.mark.parametrize(
    ("name", "value", "term"),
    [
        ("time_zone", "+02:00", "time_zone = '+02:00'"),
        ("sql_mode", "", "sql_mode = ''"),
        ("wait_timeout", "28800", "wait_timeout = 28800"),
        ("wait_timeout", "-1", "wait_timeout = -1"),
        ("wait_timeout", "0.5", "wait_timeout = 0.5"),
        ("wait_timeout", "1; DROP TABLE t", "wait_timeout = '1; DROP TABLE t'"),
        ("sql_select_limit", "18446744073709551615", "sql_select_limit = 18446744073709551615"),
        ("autocommit", "OFF", "autocommit = 'OFF'"),
        ("time_zone", "100", "time_zone = '100'"),
        ("character_set_results", "", "character_set_results = NULL"),
    ],
)
def test_values_as_they_are_written(name: str, value: str, term: str) -> None:
    assert assignments(VariableSet.of({name: value}), EMPTY, PROFILE) == [term]


def test_what_the_session_does_not_have_goes_back_to_its_default() -> None:
    assert assignments(EMPTY, VariableSet.of({"sql_mode": "ANSI"}), PROFILE) == ["sql_mode = DEFAULT"]


def test_a_charset_is_set_as_a_login_would() -> None:
    """MariaDB labels the columns of results with the collation only after SET NAMES."""
    wanted = VariableSet.of(PROFILE.charset_of(45))
    applied = VariableSet.of(PROFILE.charset_of(8))
    assert assignments(wanted, applied, PROFILE) == ["NAMES utf8mb4 COLLATE utf8mb4_general_ci"]


def test_a_mixed_charset_is_set_piece_by_piece() -> None:
    wanted = VariableSet.of({**PROFILE.charset_of(45), "character_set_results": ""})
    terms = assignments(wanted, VariableSet.of(PROFILE.charset_of(45)), PROFILE)
    assert terms == ["character_set_results = NULL"]


def test_an_unknown_collation_is_set_piece_by_piece() -> None:
    values = {**PROFILE.charset_of(45), "collation_connection": "utf8mb4_klingon_ci"}
    terms = assignments(VariableSet.of(values), VariableSet.of(PROFILE.charset_of(45)), PROFILE)
    assert terms == ["collation_connection = 'utf8mb4_klingon_ci'"]


# --- what can be replayed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "ON", "STRICT_TRANS_TABLES,ANSI", "+02:00", 'a "quoted" `name`', "~!@#$%^&*()"])
def test_plain_text_can_be_replayed(value: str) -> None:
    assert replayable([value])


@pytest.mark.parametrize("value", ["it's", "a\\b", "größe", "中", "a\nb", "a\0b", "\x7f", "\udcff", "ok\n"])
def test_what_depends_on_modes_cannot(value: str) -> None:
    assert not replayable([value])
    assert not replayable(["fine", value])


@given(st.text())
def test_replayable_text_needs_no_escape(value: str) -> None:
    if replayable([value]):
        assert value.isascii()
        assert value.isprintable() or value == ""
        assert "'" not in value
        assert "\\" not in value


# --- user variables ---------------------------------------------------------------------------------------------------


def test_user_variables_make_a_set_personal() -> None:
    plain = VariableSet.of({"time_zone": "+01:00"})
    personal = plain.with_changes({"@b": "1", "@a": "_utf8mb4'x' COLLATE utf8mb4_bin"})
    assert personal.personal
    assert not plain.personal
    assert personal.shared is plain
    assert plain.shared is plain
    assert personal == plain.with_changes(dict(personal.values))
    assert assignments(personal, plain, PROFILE) == ["@a = _utf8mb4'x' COLLATE utf8mb4_bin", "@b = 1"]
    assert assignments(personal, personal, PROFILE) == []


def test_personal_sets_are_not_kept_for_others() -> None:
    before = len(variables._interned)
    for number in range(100):
        VariableSet.of({"@a": str(number)})
    assert len(variables._interned) <= before + 1
