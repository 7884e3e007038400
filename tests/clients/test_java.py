"""MySQL Connector/J and MariaDB Connector/J, each with both kinds of server; the program is ``java/Main.java``."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path

import pytest

from tests.clients.programs import build, running
from tests.clients.ways import Ways, missing, program

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
    command = [program("javac"), "-encoding", "UTF-8", "-cp", f"{drivers}/*", "-d", str(classes), "Main.java"]
    problem = build(command, DIRECTORY, COMPILE_TIMEOUT)
    assert not problem, problem
    return [program("java"), *JVM, *PLACE, "-cp", f"{classes}:{drivers}/*", "Main"]


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["mysql", "mariadb"])
def test_connector_j(ways_to_primary: Ways, java: list[str], driver: str, tmp_path: Path) -> None:
    ways_to_primary.compare(running(java, tmp_path, driver=driver))
