"""What a session remembers: what servers report becomes its state, and what they do not report keeps its connection."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.session.profile import UNKNOWN
from router.session.state import MAX_USER_VARIABLES, SessionState
from router.sql.facts import Assignment, PinReason, Reason, StatementFacts, StatementKind
from router.sql.lexer import LexMode
from router.wire.constants import ServerStatus
from router.wire.packets import SessionChanges
from tests.fakes import AUTOCOMMIT, PROFILE, changed, query

MYSQL = replace(PROFILE, flavor="mysql", version="9.7.4")
IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
READ = StatementFacts(StatementKind.SELECT, True, Reason.READ)


def facts(kind: StatementKind, *pins: PinReason, multi: bool = False) -> StatementFacts:
    return StatementFacts(kind, False, Reason.WRITE, pins=frozenset(pins), multi=multi)


def setting(*assigned: tuple[str, str]) -> StatementFacts:
    return replace(facts(StatementKind.SET), assignments=tuple(Assignment(scope, name) for scope, name in assigned))


def session(collation_id: int = 45) -> SessionState:
    return SessionState(PROFILE, collation_id, "shop")


def after(state: SessionState, change: SessionChanges, of: StatementFacts = READ, *, failed: bool = False) -> bool:
    return state.after(of, [change], failed=failed)


# --- login and reset --------------------------------------------------------------------------------------------------


def test_a_new_session_holds_nothing() -> None:
    state = session()
    assert not state.holds
    assert not state.transaction
    assert state.autocommit
    assert not state.primary_only
    assert state.schema == "shop"
    assert state.last_insert_id == 0
    assert state.mode == LexMode()
    assert state.variables.values == PROFILE.charset_of(45)


def test_sessions_of_one_charset_share_their_variables() -> None:
    assert session().variables is session().variables
    assert session(8).variables is not session(45).variables


def test_autocommit_is_the_servers() -> None:
    state = SessionState(replace(PROFILE, autocommit=False), 45, None)
    assert not state.autocommit
    assert state.primary_only


@pytest.mark.parametrize("profile", [PROFILE, MYSQL], ids=["mariadb", "mysql"])
def test_reset_forgets_everything_but_the_schema(profile: object) -> None:
    state = SessionState(profile, 45, "shop", ignore_space=True)  # type: ignore[arg-type]
    fresh = SessionState(profile, 45 if profile is PROFILE else 0, "shop", ignore_space=True)  # type: ignore[arg-type]
    state.before(facts(StatementKind.SELECT, PinReason.NAMED_LOCK), b"")
    state.after_status(IN_TRANSACTION & ~AUTOCOMMIT)
    after(state, changed({"sql_mode": "ANSI_QUOTES"}, schema="blog"))
    state.last_insert_id = None
    assert state.holds
    state.reset()
    assert not state.holds
    assert state.schema == "blog"
    assert (state.autocommit, state.transaction) == (True, False)
    assert state.last_insert_id == 0
    assert state.mode == fresh.mode
    assert state.variables is fresh.variables


# --- transactions -----------------------------------------------------------------------------------------------------


def test_a_transaction_holds() -> None:
    state = session()
    state.after_status(IN_TRANSACTION)
    assert state.holds
    assert state.transaction
    assert state.status == IN_TRANSACTION
    state.after_status(AUTOCOMMIT)
    assert not state.holds


def test_without_autocommit_reads_belong_to_the_primary() -> None:
    state = session()
    state.after_status(0)
    assert state.primary_only
    assert not state.holds, "no transaction has begun yet"


def test_other_flags_are_not_the_sessions() -> None:
    state = session()
    state.after_status(AUTOCOMMIT | int(ServerStatus.NO_INDEX_USED | ServerStatus.MORE_RESULTS_EXISTS))
    assert state.status == AUTOCOMMIT


def test_characteristics_of_the_next_transaction_hold_until_they_are_used_up() -> None:
    state = session()
    after(state, changed(transaction_characteristics="SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;"))
    assert state.pins == {PinReason.SET_TRANSACTION}
    after(
        state,
        changed(transaction_characteristics="SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION;"),
    )
    assert state.holds
    after(state, changed(transaction_characteristics=""))
    assert not state.holds


def test_a_plain_transaction_has_no_characteristics_to_keep() -> None:
    state = session()
    after(state, changed(transaction_characteristics="START TRANSACTION;"))
    assert state.pins == set()


# --- pins -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", list(PinReason))
def test_what_a_statement_leaves_behind_holds(reason: PinReason) -> None:
    state = session()
    state.before(facts(StatementKind.SELECT, reason), b"")
    assert state.pins == {reason}
    assert state.holds
    state.after(facts(StatementKind.SELECT, reason), [], failed=True)
    assert state.holds, "an error does not prove that nothing was left"


def test_locked_tables_hold_until_they_are_unlocked() -> None:
    state = session()
    lock, unlock = facts(StatementKind.LOCK, PinReason.LOCK_TABLES), facts(StatementKind.UNLOCK)
    state.before(lock, b"")
    after(state, changed(transaction_state="_______L"), lock)
    assert state.holds
    state.after(unlock, [], failed=True)
    assert state.holds
    after(state, changed(transaction_state="________", state_changed=True), unlock)
    assert not state.holds


def test_tables_locked_by_a_routine_are_seen_in_the_tracker() -> None:
    state = session()
    after(state, changed(transaction_state="T______L"))
    assert PinReason.LOCK_TABLES in state.pins
    other = session()
    after(other, changed(transaction_state="T_______"))
    assert other.pins == set()


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (READ, PinReason.STATE_CHANGE),
        (facts(StatementKind.CALL), PinReason.STATE_CHANGE),
        (facts(StatementKind.DDL), PinReason.TEMPORARY_TABLE),
        (facts(StatementKind.PREPARE), PinReason.PREPARED_TEXT),
        (facts(StatementKind.EXECUTE_TEXT), PinReason.PREPARED_TEXT),
        (facts(StatementKind.SET, multi=True), PinReason.MULTI_STATEMENT),
        (facts(StatementKind.MULTI, multi=True), PinReason.MULTI_STATEMENT),
    ],
)
def test_a_state_change_that_is_not_explained_holds(of: StatementFacts, reason: PinReason) -> None:
    state = session()
    after(state, changed(state_changed=True), of)
    assert state.pins == {reason}


@pytest.mark.parametrize("kind", [StatementKind.SET, StatementKind.USE, StatementKind.UNLOCK])
def test_a_state_change_that_other_trackers_explain_does_not(kind: StatementKind) -> None:
    state = session()
    after(state, changed(state_changed=True), facts(kind))
    assert not state.holds


def test_a_command_that_is_no_statement_explains_itself() -> None:
    state = session()
    state.after(None, [changed(state_changed=True, schema="blog")], failed=False)
    assert state.schema == "blog"
    assert not state.holds


# --- SET --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assigned", "pins"),
    [
        (("session", "time_zone"), set()),
        (("session", "sql_mode"), set()),
        (("session", "names"), set()),
        (("session", "character set"), set()),
        (("global", "max_connections"), set()),
        (("persist", "max_connections"), set()),
        (("persist_only", "max_connections"), set()),
        (("statement", "max_statement_time"), set()),
        (("user", "@a"), {PinReason.USER_VARIABLE}),
        (("session", "timestamp"), {PinReason.UNTRACKED_VARIABLE}),
        (("session", "insert_id"), {PinReason.UNTRACKED_VARIABLE}),
        (("session", "session_track_schema"), {PinReason.UNTRACKED_VARIABLE}),
        (("session", "some_new_variable"), {PinReason.UNTRACKED_VARIABLE}),
    ],
)
def test_only_what_the_server_reports_can_be_carried(assigned: tuple[str, str], pins: set[PinReason]) -> None:
    state = session()
    state.before(setting(("session", "time_zone"), assigned), b"")
    assert state.pins == pins


@pytest.mark.parametrize("name", ["gtid_next", "insert_id", "last_insert_id", "rand_seed1", "sql_log_bin", "timestamp"])
def test_what_changes_by_itself_holds_even_if_it_is_reported(name: str) -> None:
    state = SessionState(replace(PROFILE, tracked=PROFILE.tracked | {name}), 45, None)
    state.before(setting(("session", name)), b"")
    assert state.pins == {PinReason.UNTRACKED_VARIABLE}


@pytest.mark.parametrize("name", ["transaction_isolation", "transaction_read_only"])
def test_variables_of_transactions_are_carried_under_their_old_names_too(name: str) -> None:
    """MariaDB before 11.1 takes the new names, but knows and reports the old."""
    old = name.replace("transaction", "tx")
    state = SessionState(replace(PROFILE, tracked=PROFILE.tracked | {old}), 45, None)
    state.before(setting(("session", name)), b"")
    assert not state.holds
    assert state.unreported(setting(("session", name)), []) == [old]


def test_on_an_unknown_server_every_set_holds() -> None:
    state = SessionState(UNKNOWN, 45, None)
    state.before(setting(("session", "time_zone")), b"")
    assert state.holds


# --- user variables ---------------------------------------------------------------------------------------------------


def assign(state: SessionState, sql: str, *, failed: bool = False) -> bool:
    names = [("user", "@a")]
    state.before(setting(*names), query(sql))
    return state.user_variables_assigned(failed=failed)


def test_user_variables_that_are_literals_are_carried() -> None:
    state = session()
    shared = state.variables
    assert assign(state, "SET @a = 1, @b = 'x'")
    assert not state.holds
    assert state.variables.values["@a"] == "1"
    assert state.variables.values["@b"] == "_utf8mb4'x' COLLATE utf8mb4_general_ci"
    assert state.variables.shared is shared
    state.reset()
    assert not state.variables.personal


@pytest.mark.parametrize(
    "sql",
    ["SET @a = @b", "SET @a = NOW()", "SET @a = NULL", "SET @a = 'it''s'", f"SET @a = '{'x' * MAX_USER_VARIABLES}'"],
)
def test_user_variables_of_other_values_hold(sql: str) -> None:
    state = session()
    assert not assign(state, sql)
    assert state.pins == {PinReason.USER_VARIABLE}


def test_too_many_user_variables_hold() -> None:
    state = session()
    number = 0
    while not state.holds:
        assign(state, f"SET @v{number} = '{'x' * 100}'")
        number += 1
    assert 10 < number < MAX_USER_VARIABLES / 100


def test_strings_of_wide_character_sets_hold() -> None:
    state = session()
    state.charset_is("latin1", "latin1", "ucs2_general_ci")
    assert not assign(state, "SET @a = 'x'")
    assert state.holds


def test_a_refused_assignment_holds_unless_it_was_not_understood() -> None:
    state = session()
    assert not assign(state, "SET @a = 1", failed=True)
    assert state.pins == {PinReason.USER_VARIABLE}
    state = session()
    state.before(setting(("user", "@a")), query("SET @a = 1"))
    state.never_ran()
    assert not state.user_variables_assigned(failed=True)
    assert not state.holds


def test_assignments_beside_others_hold() -> None:
    state = session()
    state.before(setting(("user", "@a"), ("session", "time_zone")), query("SET @a = 1, time_zone = '+01:00'"))
    assert state.holds


def test_who_needs_the_user_variables() -> None:
    state = session()
    shared = state.variables
    assign(state, "SET @a = 1")
    full = state.variables
    names = replace(READ, read=False, user_variables=True)
    asks = replace(READ, read=False, looks_back=True)
    assert state.wanted(shared, READ) is shared
    assert state.wanted(full, READ) is full, "nothing takes them away again"
    assert state.wanted(shared, facts(StatementKind.INSERT)) is full, "a trigger may read them"
    assert state.wanted(shared, names) is full
    assert state.wanted(shared, asks) is shared, "a SET would empty the list of warnings"
    assert state.wanted(shared, replace(asks, user_variables=True)) is full


# --- trackers ---------------------------------------------------------------------------------------------------------


def test_variables_are_those_the_server_reports() -> None:
    state = session()
    before = state.variables
    assert not after(state, changed({"time_zone": "+02:00", "wait_timeout": "60"}))
    assert state.variables.values == {**before.values, "time_zone": "+02:00", "wait_timeout": "60"}
    assert not after(state, changed({"time_zone": "SYSTEM"}))
    assert state.variables.values["time_zone"] == "SYSTEM"
    assert not state.holds


def test_reports_are_taken_in_order() -> None:
    state = session()
    state.after(READ, [changed({"time_zone": "a"}, schema="x"), changed({"time_zone": "b"}, schema="y")], failed=False)
    assert (state.variables.values["time_zone"], state.schema) == ("b", "y")


def test_reports_of_a_failed_statement_count() -> None:
    """Of several statements in one text the first may have done its work."""
    state = session()
    after(state, changed({"time_zone": "+02:00"}), failed=True)
    assert state.variables.values["time_zone"] == "+02:00"


@pytest.mark.parametrize("value", ["it's", "back\\slash", "größe"])
def test_a_value_that_cannot_be_replayed_holds(value: str) -> None:
    state = session()
    after(state, changed({"time_zone": value}))
    assert state.pins == {PinReason.UNTRACKED_VARIABLE}


def test_sql_auto_is_null_holds() -> None:
    state = session()
    after(state, changed({"sql_auto_is_null": "OFF"}))
    assert not state.holds
    after(state, changed({"sql_auto_is_null": "ON"}))
    assert state.holds


def test_autocommit_back_at_its_default_is_nothing_to_carry() -> None:
    state = session()
    before = state.variables
    after(state, changed({"autocommit": "OFF"}))
    assert state.variables.values["autocommit"] == "OFF"
    after(state, changed({"autocommit": "ON"}))
    assert state.variables is before
    other = SessionState(replace(PROFILE, autocommit=False), 45, None)
    after(other, changed({"autocommit": "ON"}))
    assert other.variables.values["autocommit"] == "ON"


def test_the_schema_may_go() -> None:
    state = session()
    after(state, changed(schema=""))
    assert state.schema is None


@pytest.mark.parametrize(
    "name", ["character_set_client", "character_set_results", "character_set_connection", "collation_connection"]
)
def test_a_charset_has_to_be_asked_for(name: str) -> None:
    state = session()
    before = state.variables
    assert after(state, changed({name: "latin1"}))
    assert state.variables is before, "the report is not the whole truth"
    state.charset_is("latin1", "", "latin1_bin")
    assert state.variables.values == {
        "character_set_client": "latin1",
        "character_set_results": "",
        "collation_connection": "latin1_bin",
    }


def test_a_charset_beside_other_variables() -> None:
    state = session()
    assert after(state, changed({"character_set_client": "latin1", "time_zone": "+02:00"}))
    assert state.variables.values["time_zone"] == "+02:00"
    assert state.variables.values["character_set_client"] == "utf8mb4"


# --- how SQL is lexed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql_mode", "mode"),
    [
        ("", LexMode()),
        ("ANSI_QUOTES", LexMode(ansi_quotes=True)),
        ("STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES", LexMode(no_backslash_escapes=True)),
        (
            "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI",
            LexMode(ansi_quotes=True, ignore_space=True),
        ),
        ("NO_ANSI_QUOTES_AT_ALL", LexMode()),
    ],
)
def test_sql_mode_says_how_sql_is_lexed(sql_mode: str, mode: LexMode) -> None:
    state = session()
    after(state, changed({"sql_mode": sql_mode}))
    assert state.mode == mode
    assert SessionState(replace(PROFILE, sql_mode=sql_mode), 45, None).mode == mode


def test_the_sessions_own_mode_wins() -> None:
    state = SessionState(replace(PROFILE, sql_mode="ANSI_QUOTES"), 45, None)
    assert state.mode.ansi_quotes
    after(state, changed({"sql_mode": ""}))
    assert not state.mode.ansi_quotes


def test_ignore_space_of_the_login_lasts_until_sql_mode_is_set() -> None:
    state = SessionState(PROFILE, 45, None, ignore_space=True)
    assert state.mode.ignore_space
    after(state, changed({"sql_mode": "ANSI_QUOTES"}))
    assert not state.mode.ignore_space


def test_charsets_whose_characters_may_hold_a_backslash() -> None:
    assert session(28).mode.unsafe_charset == "gbk"
    state = session()
    assert state.mode.unsafe_charset is None
    state.charset_is("sjis", "utf8mb4", "sjis_bin")
    assert state.mode.unsafe_charset == "sjis"
    state.charset_is("utf8mb4", "sjis", "sjis_bin")
    assert state.mode.unsafe_charset is None, "only what the client sends matters"


def test_the_mode_is_a_new_object_only_when_it_may_have_changed() -> None:
    """The dispatcher compares it by identity for every command."""
    state = session()
    mode = state.mode
    state.after_status(IN_TRANSACTION)
    after(state, changed(schema="blog"))
    assert state.mode is mode


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["sql_mode", "time_zone", "wait_timeout"]), st.sampled_from(["", "ANSI", "1"]))
    )
)
def test_variables_are_the_sum_of_all_reports(reports: list[dict[str, str]]) -> None:
    state = session()
    expected = dict(state.variables.values)
    for report in reports:
        after(state, changed(report))
        expected.update(report)
    assert state.variables.values == expected


# --- transactions without a server ------------------------------------------------------------------------------------


def test_a_transaction_that_waits_for_its_server_holds_nothing() -> None:
    state = session()
    state.open_later(b"BEGIN")
    assert state.transaction
    assert not state.holds
    assert state.status & int(ServerStatus.IN_TRANS)
    state.after_status(AUTOCOMMIT)
    assert state.transaction, "a statement elsewhere does not end it"
    state.opening = None
    assert state.holds


def test_it_may_end_before_it_began() -> None:
    state = session()
    state.open_later(b"BEGIN")
    state.ended()
    assert not state.transaction
    assert not state.status & int(ServerStatus.IN_TRANS)
    state.open_later(b"BEGIN")
    state.reset()
    assert state.opening is None
    assert not state.transaction
