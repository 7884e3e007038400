"""MariaDB's mysql_client_test, about 300 tests of the C API and of prepared statements, through the router."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.suites.places import Place, Places, clean, clean_environment, compare
from tests.suites.sources import MariaDBTests, mariadb_tests

TEST_TIMEOUT = 15.0
DATABASES = ("test",)
# What differs from one run to the next: times and connection ids.
VOLATILE = re.compile(r"Total execution time: \d+ SECS|CURRENT_TIME\(\) .*|thread_query\(KILL \d+\)")
# The first needs accounts of addresses that a router's clients do not come from, the second waits half a minute.
NOT_RUN = frozenset({"test_proxy_header", "test_change_user"})

CACHED = "MariaDB's cached metadata is not offered: the client forgets column widths between executions"
# Differences there to stay; every one is in docs/reference/compatibility.md.
BY_DESIGN: dict[str, str] = {
    "test_bug1115": CACHED,
    "test_bug31669": "an account that was made on the server only cannot log in",
    "test_multi": CACHED,
    "test_progress_reporting": "MariaDB's progress reports are not offered",
    "test_ps_query_cache": "session_track_transaction_info turns MariaDB's query cache off",
}
# Differences to be mended in the router.
OURS: dict[str, str] = {
    "test_connect_autocommit": "the login does not tell that autocommit is off",
}


def names_of(suite: MariaDBTests) -> list[str]:
    """All tests, in the order of the program."""
    done = subprocess.run(
        [suite.client_test, "--no-defaults", "--show-tests"], capture_output=True, text=True, timeout=TEST_TIMEOUT
    )
    return [name for name in re.findall(r"^test_\w+$", done.stdout, re.MULTILINE) if name not in NOT_RUN]


def outcome(suite: MariaDBTests, name: str, place: Place, directory: Path) -> tuple[int | str, str]:
    """Exit status and output of one test."""
    command = [
        str(suite.client_test),
        "--no-defaults",
        "--host=localhost",
        f"--port={place.port}",
        f"--socket={place.socket}",
        "--user=root",
        f"--password={place.password}",
        f"--vardir={directory}",
        "--testcase",
        name,
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={**clean_environment(), "MYSQL_TMP_DIR": str(directory)},
            timeout=TEST_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return "timeout", ""
    return done.returncode, VOLATILE.sub("…", done.stdout.decode("utf-8", "backslashreplace"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_same_outcome_of_every_test(client_test_places: Places, tmp_path: Path) -> None:
    suite = mariadb_tests()
    names = names_of(suite)
    runs: dict[str, dict[str, tuple[int | str, str]]] = {}
    for place in client_test_places.both:
        with client_test_places.admin() as admin:
            runs[place.through] = {}
            for name in names:
                clean(admin, DATABASES)
                runs[place.through][name] = outcome(suite, name, place, tmp_path)
    direct = {name: result for name, result in runs["direct"].items() if result[0] == 0}
    assert len(direct) > 0.9 * len(names), set(names) - set(direct)
    router = {name: runs["router"][name] for name in direct}
    known = {name: why for name, why in (BY_DESIGN | OURS).items() if name in direct}
    compare(direct, router, known, flaky=frozenset())
