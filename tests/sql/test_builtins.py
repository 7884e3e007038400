"""The lists of names do not contradict each other."""

from __future__ import annotations

import itertools

import pytest

from router.sql import builtins

LISTS = {
    name: getattr(builtins, name)
    for name in ("READ_FUNCTIONS", "SERVER_FUNCTIONS", "SEQUENCE_FUNCTIONS", "TAKES_NAMED_LOCK", "LOOK_BACK_FUNCTIONS")
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(LISTS, 2)))
def test_a_function_is_in_one_list_only(one: str, other: str) -> None:
    assert LISTS[one].isdisjoint(LISTS[other])


def test_names_are_upper_case() -> None:
    for names in (*LISTS.values(), builtins.KEYWORDS, builtins.SESSION_VARIABLES, builtins.SHARED_INFORMATION):
        assert all(name == name.upper() and name.strip("_").replace("_", "").isalnum() for name in names)


@pytest.mark.parametrize(
    "name",
    [
        "SLEEP",
        "RAND",
        "NOW",
        "UUID",
        "VERSION",
        "DATABASE",
        "USER",
        "COUNT",
        "SUM",
        "JSON_EXTRACT",
        "ST_DISTANCE",
        "AES_ENCRYPT",
        "REGEXP_LIKE",
        "INET6_ATON",
        "ROW_NUMBER",
        "CAST",
        "DATE_ADD",
        "GROUP_CONCAT",
        "MD5",
        "BIN_TO_UUID",
        "ANY_VALUE",
        "IF",
    ],
)
def test_common_functions_are_reads(name: str) -> None:
    assert name in builtins.READ_FUNCTIONS


@pytest.mark.parametrize(
    "name",
    [
        "GET_LOCK",
        "RELEASE_LOCK",
        "LOAD_FILE",
        "MASTER_POS_WAIT",
        "NEXTVAL",
        "SETVAL",
        "LAST_INSERT_ID",
        "ROW_COUNT",
        "FOUND_ROWS",
        "CONNECTION_ID",
        "SYS_EVAL",
        "SYS_EXEC",
        "GROUP_REPLICATION_SET_AS_PRIMARY",
        "ASYNCHRONOUS_CONNECTION_FAILOVER_ADD_SOURCE",
        "KEYRING_KEY_STORE",
        "DEFAULT",
        "NVL",
        "TO_CHAR",
    ],
)
def test_these_are_not(name: str) -> None:
    assert name not in builtins.READ_FUNCTIONS
