"""Fixtures of the foreign suites: servers as each suite wants them, with a router in front."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.sandbox import ReplicaSet
from tests.suites.places import Places, in_front_of, new_password, start

# What mariadb-test-run.pl starts its servers with (include/default_mysqld.cnf), as far as results depend on it.
MTR_OPTIONS = (
    "--character-set-server=latin1",
    "--collation-server=latin1_swedish_ci",
    "--default-storage-engine=MyISAM",
    "--log-bin-trust-function-creators=ON",
    "--sort-buffer-size=256K",
    "--max-heap-table-size=1M",
    "--max-allowed-packet=16M",
    "--use-stat-tables=preferably",
    "--histogram-type=json_hb",
    "--secure-file-priv=",
    "--lock-wait-timeout=20",
)
# main/mysql_client_test-master.opt and the settings the .test file makes.
CLIENT_TEST_OPTIONS = (
    "--sql-mode=",
    "--max-allowed-packet=32000000",
    "--query-cache-type=1",
    "--query-cache-size=1M",
    "--general-log=ON",
    "--slow-query-log=ON",
    "--log-output=FILE",
)
MTR_TIME_ZONE = {"TZ": "GMT-3"}
# The accounts the suites create, besides `root`; an empty password is only possible here, see `in_front_of`.
ACCOUNTS = {
    "test_grant": "",
    "testbug": "",
    "mysqltest_u1": "",
    "mysqltest_no_pw": "",
    "mysqltest_pw": "password",
    "second_user": "looser",
    "user20989": "meow",
    **dict.fromkeys(("foo", "u1", "user1", "user2", "user3", "user4", "user5", "test", "test2", "conn"), ""),
    **dict.fromkeys(("mysqltest_1", "mysqltest1", "nopriv_user"), ""),
}


def mtr_servers() -> ReplicaSet:
    """MariaDB as mariadb-test-run.pl would start it."""
    return start("mariadb", MTR_OPTIONS, environment=MTR_TIME_ZONE)


def client_test_servers() -> ReplicaSet:
    """MariaDB as mysql_client_test wants it."""
    return start("mariadb", [*MTR_OPTIONS, *CLIENT_TEST_OPTIONS], environment=MTR_TIME_ZONE)


@pytest.fixture(scope="module")
def mtr_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """For mysqltest."""
    with mtr_servers() as servers:
        accounts = {"root": "", **ACCOUNTS}
        with in_front_of(servers, tmp_path_factory.mktemp("mtr"), accounts=accounts) as places:
            yield places


@pytest.fixture(scope="module")
def client_test_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """For mysql_client_test."""
    directory = tmp_path_factory.mktemp("client-test")
    with client_test_servers() as servers:
        accounts = {"root": new_password(servers), **ACCOUNTS}
        with in_front_of(servers, directory, accounts=accounts) as places:
            yield places
