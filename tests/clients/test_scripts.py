"""Drivers of scripting languages, from the distribution: PHP's mysqli and PDO, Ruby's mysql2, Perl's DBD::mysql and
DBD::MariaDB. The programs are ``php/scenario.php``, ``ruby/scenario.rb`` and ``perl/scenario.pl``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.programs import running
from tests.clients.ways import Ways, missing, outcome_of, program, run_program

HERE = Path(__file__).parent


def interpreter(name: str, *probe: str) -> str:
    """Path of an interpreter that can run ``probe``, which loads the driver."""
    found = program(name)
    code, _, complaint = outcome_of(run_program([found, *probe]))
    if code:
        missing(f"{name} has no driver: {' '.join(probe)} {complaint.strip()[:300]}")
    return found


def test_php(ways_to_primary: Ways, tmp_path: Path) -> None:
    php = interpreter("php", "-r", "new ReflectionClass('mysqli'); new ReflectionExtension('pdo_mysql');")
    ways_to_primary.compare(running([php, str(HERE / "php" / "scenario.php")], tmp_path))


def test_ruby_mysql2(ways_to_primary: Ways, tmp_path: Path) -> None:
    ruby = interpreter("ruby", "-rmysql2", "-e", "0")
    ways_to_primary.compare(running([ruby, "-W0", str(HERE / "ruby" / "scenario.rb")], tmp_path))


@pytest.mark.parametrize("driver", ["mysql", "MariaDB"])
def test_perl_dbd(ways_to_primary: Ways, driver: str, tmp_path: Path) -> None:
    perl = interpreter("perl", f"-MDBD::{driver}", "-e", "0")
    ways_to_primary.compare(running([perl, str(HERE / "perl" / "scenario.pl")], tmp_path, driver=driver))
