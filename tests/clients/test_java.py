"""MySQL Connector/J and MariaDB Connector/J, each with both kinds of server; the program is ``java/Main.java``."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import ReplicaSet
from tests.clients.programs import build, running
from tests.clients.ways import Ways, missing, program
from tests.fix_router import RunningRouter, settings_for

DIRECTORY = Path(__file__).parent / "java"
CACHE = Path.home() / ".cache" / "mysql-query-router"
FETCH_TIMEOUT = 110.0
COMPILE_TIMEOUT = 60.0
# A short life: no second compiler, one thread that collects garbage.
JVM = ["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx768m"]
PLACE = ["-Duser.timezone=UTC", "-Duser.language=en", "-Duser.country=US"]


@pytest.fixture(scope="session")
def drivers() -> Path:
    """The folder with the jars that ``pom.xml`` names."""
    pom = DIRECTORY / "pom.xml"
    folder = CACHE / f"java-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with pom.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".fetched").exists():
            fetch = [program("mvn"), "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
            options = ["-DexcludeTransitive=true", f"-DoutputDirectory={folder}"]
            if problem := build([*fetch, *options], DIRECTORY, FETCH_TIMEOUT):
                missing(problem)
            (folder / ".fetched").touch()
    return folder


@pytest.fixture(scope="session")
def java(drivers: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the program, but for its argument."""
    classes = tmp_path_factory.mktemp("java")
    return compiled("Main.java", drivers, classes)


def compiled(program_file: str, drivers: Path, classes: Path) -> list[str]:
    """The command that runs a program, but for its arguments."""
    command = [program("javac"), "-encoding", "UTF-8", "-cp", f"{drivers}/*", "-d", str(classes), program_file]
    problem = build(command, DIRECTORY, COMPILE_TIMEOUT)
    assert not problem, problem
    return [program("java"), *JVM, *PLACE, "-cp", f"{classes}:{drivers}/*", program_file.removesuffix(".java")]


OPERATOR = """version true
valid true
primary primary
tables 1
columns 5
catalog main
error 1146 42S02
"""


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["mysql", "mariadb"])
def test_operators(
    mariadb_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
    drivers: Path,
    driver: str,
) -> None:
    """The admin interface, with what tools ask about tables; the program is ``java/Operator.java``."""
    settings = settings_for(mariadb_set, tmp_path)
    settings["admin"] |= {"mysql": "127.0.0.1:0", "users": {"ops": {"password": "secret"}}}
    address = start_router(settings).admin_mysql
    options = "?allowPublicKeyRetrieval=true&sslMode=DISABLED" if driver == "mysql" else ""
    command = [
        *compiled("Operator.java", drivers, tmp_path),
        f"jdbc:{driver}://{address}/stats{options}",
        "ops",
        "secret",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == OPERATOR, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", ["mysql", "mariadb"])
def test_connector_j(ways_to_primary: Ways, java: list[str], driver: str, tmp_path: Path) -> None:
    ways_to_primary.compare(running(java, tmp_path, driver=driver))
