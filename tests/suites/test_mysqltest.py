"""MariaDB's main test suite, run by mysqltest as for an external server: the same output through the router."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from pymysql.connections import Connection

from tests.suites.mysqltest_cases import BY_DESIGN, OURS, UNCERTAIN, cases
from tests.suites.places import Place, Places, clean, clean_environment, compare
from tests.suites.sources import MariaDBTests, mariadb_tests

CASE_TIMEOUT = 20.0
VARIANTS = {"plain": "", "prepared": "--ps-protocol", "cursors": "--cursor-protocol"}
# What mariadb-test-run.pl prepares; the suite only ever calls this one.
MTR_SCHEMA = (
    "CREATE DATABASE IF NOT EXISTS mtr",
    "CREATE OR REPLACE PROCEDURE mtr.add_suppression(pattern VARCHAR(255)) BEGIN END",
)


class Mysqltest:
    """Runs cases at one place, each with empty databases and the global variables of the beginning."""

    def __init__(self, suite: MariaDBTests, places: Places, place: Place, directory: Path, admin: Connection) -> None:
        self._suite = suite
        self._places = places
        self._place = place
        self._directory = directory
        for folder in ("log", "tmp"):
            (directory / folder).mkdir(exist_ok=True)
        self._admin = admin
        self._globals = self._read_globals()

    def outcome(self, case: str, option: str) -> tuple[int | str, str]:
        """Exit status, and the output or the last lines of the error output."""
        clean(self._admin, ["test"])
        self._run_as_admin(MTR_SCHEMA)
        try:
            done = self._run(case, [option] if option else [])
        except subprocess.TimeoutExpired:
            return "timeout", ""
        finally:
            self._restore_globals()
            self._places.retire()
        if done.returncode != 0:
            return done.returncode, done.stderr.decode("latin1")[-400:]
        return 0, done.stdout.decode("latin1").removesuffix("ok\n")

    def expected(self, case: str) -> str:
        """The output that the suite's authors recorded."""
        return (self._suite.suite / "main" / f"{case}.result").read_bytes().decode("latin1")

    def _run(self, case: str, options: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        place, directory, suite = self._place, self._directory, self._suite.suite
        command = [
            str(self._suite.mysqltest),
            "--no-defaults",
            "--host=localhost",
            f"--port={place.port}",
            f"--socket={place.socket}",
            "--user=root",
            f"--password={place.password}",
            "--database=test",
            f"--basedir={suite}",
            f"--tmpdir={directory / 'tmp'}",
            f"--logdir={directory / 'log'}",
            f"--test-file={suite / 'main' / case}.test",
            "--tail-lines=20",
            *options,
        ]
        environment = {
            **clean_environment(),
            "LC_ALL": "C",
            "LD_LIBRARY_PATH": self._suite.libraries,
            "TZ": "GMT-3",
            "MYSQL_TEST_DIR": str(suite),
            "MYSQLTEST_VARDIR": str(directory),
            "MYSQL_TMP_DIR": str(directory / "tmp"),
            "MYSQLD_DATADIR": str(self._places.servers.primary.data),
            "MASTER_MYPORT": str(place.port),
            "MASTER_MYSOCK": place.socket,
        }
        return subprocess.run(
            command, cwd=suite, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=CASE_TIMEOUT
        )

    def _read_globals(self) -> dict[str, str]:
        with self._admin.cursor() as cursor:
            cursor.execute("SHOW GLOBAL VARIABLES WHERE variable_name NOT LIKE 'gtid%'")
            return dict(cursor.fetchall())

    def _restore_globals(self) -> None:
        now = self._read_globals()
        changed = {name: value for name, value in self._globals.items() if now.get(name) != value}
        with self._admin.cursor() as cursor:
            for name, value in changed.items():
                cursor.execute(f"SET GLOBAL {name} = %s", (int(value) if value.isdigit() else value,))

    def _run_as_admin(self, statements: Sequence[str]) -> None:
        with self._admin.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", VARIANTS)
def test_same_output_of_every_case(mtr_places: Places, tmp_path: Path, variant: str) -> None:
    option, names = VARIANTS[variant], cases(variant)
    suite = mariadb_tests()
    with mtr_places.admin() as admin:
        direct, router = (Mysqltest(suite, mtr_places, place, tmp_path, admin) for place in mtr_places.both)
        truth = {case: direct.outcome(case, option) for case in names}
        passed = [case for case, outcome in truth.items() if outcome == (0, direct.expected(case))]
        # Not all, because another distribution has another version of both.
        assert len(passed) > 0.9 * len(names), f"not the recorded result: {set(names) - set(passed)}"
        ours = {case: router.outcome(case, option) for case in passed}
    truth = {case: truth[case] for case in passed}
    known = BY_DESIGN | OURS
    known = {case: known[key] for case in passed for key in (case, f"{variant}:{case}") if key in known}
    compare(shortened(truth, ours), shortened(ours, truth), known, flaky=UNCERTAIN)


def shortened(
    outcomes: dict[str, tuple[int | str, str]], others: dict[str, tuple[int | str, str]]
) -> dict[str, tuple[int | str, str]]:
    """Of outputs that differ, only the lines around the first difference."""
    return {name: (status, around(output, others[name][1])) for name, (status, output) in outcomes.items()}


def around(text: str, other: str) -> str:
    """The part of ``text`` where it begins to differ from ``other``; all of it when it is equal."""
    if text == other:
        return text
    place = next((at for at, (one, two) in enumerate(zip(text, other, strict=False)) if one != two), 0)
    return text[max(0, place - 300) : place + 300]
