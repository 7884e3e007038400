"""The suites themselves: fetched from the package registries when first needed, kept in the cache, never committed.

- aiomysql's source distribution has its tests.
- PyMySQL's has only ``tests/test_auth.py``; 0.10.1 was the last one with the whole suite, which still fits.
- MariaDB's are Debian packages. They are unpacked, not installed: installed, they would start a server.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from router.sandbox.process import cache_directory, made_once, run
from tests.clients.ways import missing

PYMYSQL_WITH_TESTS = "0.10.1"
MARIADB_PACKAGES = ("mariadb-test", "mariadb-test-data", "libpcre2-posix3")
DOWNLOAD_TIMEOUT = 120.0


def installed_version(distribution: str) -> str:
    """The version that uv.lock pins."""
    return importlib.metadata.version(distribution)


def source_distribution(name: str, version: str) -> Path:
    """The unpacked source distribution of a package on PyPI."""

    def fetch(directory: Path) -> None:
        download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-binary=:all:", "--no-deps"]
        _fetch([sys.executable, *download, f"--dest={directory}", f"{name}=={version}"], f"{name} {version}")
        [archive] = directory.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(directory, filter="data")
        archive.unlink()
        [unpacked] = directory.iterdir()
        unpacked.rename(directory / "source")

    return made_once(_cache() / f"{name}-{version}", fetch) / "source"


@dataclass(frozen=True, slots=True)
class MariaDBTests:
    """The unpacked packages of MariaDB's tests."""

    root: Path

    @property
    def mysqltest(self) -> Path:
        """Runs .test files."""
        return self.root / "usr/bin/mariadb-test"

    @property
    def client_test(self) -> Path:
        """The tests of the C API."""
        return self.root / "usr/bin/mariadb-client-test"

    @property
    def suite(self) -> Path:
        """The folder that holds ``main`` and ``include``."""
        return self.root / "usr/share/mysql/mysql-test"

    @property
    def libraries(self) -> str:
        """For LD_LIBRARY_PATH."""
        [folder] = (self.root / "usr/lib").glob("*-linux-gnu*")
        return str(folder)


def mariadb_tests() -> MariaDBTests:
    """MariaDB's tests from the packages of this machine's distribution (about 330 MB unpacked)."""
    return MariaDBTests(debian_packages("mariadb-test", MARIADB_PACKAGES))


def mariadb_plugins() -> Path:
    """The server's plugins; where only its core is installed, there are none."""
    return debian_packages("mariadb-server", ("mariadb-server",)) / "usr/lib/mysql/plugin"


def debian_packages(name: str, packages: Sequence[str]) -> Path:
    """Where packages of this machine's distribution are unpacked, kept as ``name``."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            missing(f"{name} comes as Debian packages, and there is no {program}")

    def fetch(directory: Path) -> None:
        _fetch(["apt-get", "-qq", "download", *packages], name, directory)
        for package in directory.glob("*.deb"):
            run(["dpkg-deb", "-x", str(package), str(directory)], timeout=DOWNLOAD_TIMEOUT, what="dpkg-deb")
            package.unlink()
        directory.chmod(0o755)

    return made_once(_cache() / name, fetch)


def _cache() -> Path:
    directory = cache_directory() / "suites"
    directory.mkdir(exist_ok=True)
    return directory


def _fetch(command: Sequence[str], what: str, directory: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        missing(f"{what} cannot be fetched: {error}")
    if done.returncode != 0:
        missing(f"{what} cannot be fetched: {done.stderr.strip()[-500:]}")
