"""PyMySQL's and aiomysql's own tests, each run by pytest in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

from tests.suites.places import Place, Places, clean_environment
from tests.suites.sources import PYMYSQL_WITH_TESTS, installed_version, source_distribution

RUN_TIMEOUT = 280.0
PYMYSQL_DATABASES = ("test1", "test2")
# What tests/test_auth.py of PyMySQL logs in as (MySQL only), with its plugins.
AUTH_PASSWORDS = {
    "user_sha256": "pass_sha256_01234567890123456789",
    "nopass_sha256": "",
    "user_caching_sha2": "pass_caching_sha2_01234567890123456789",
    "nopass_caching_sha2": "",
}
# PyMySQL reads all authorities of this machine for every connection, though it then verifies nothing: most of the time
# its tests take.
NO_AUTHORITIES = {"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/dev/null"}
# aiomysql 0.3 cannot escape `bytes`: PyMySQL 1.2 has left it a placeholder of the function it uses for that.
AIOMYSQL_REPAIR = """
import aiomysql.connection
from pymysql.converters import escape_bytes
aiomysql.connection.escape_bytes_prefixed = escape_bytes
"""
# Not run: what SQLAlchemy 2 or today's pytest cannot run with any server, what ends in a lock held by the test itself
# (seconds each), and a sleep that is the client's own. The second event loop only where it may make a difference.
AIOMYSQL_NOT_RUN = (
    "sa_ or test_engine or test_create_engine or test_transaction_context_manager or deserialize or"
    " test_single_tuple or (test_async_with and test_cursor) or test_datatypes_sequence_types or"
    " recycling or (uvloop and not (test_ssl or test_connection or test_sscursor)) or (uvloop and gone_away)"
)


def run_pymysql(directory: Path, place: Place) -> dict[str, str]:
    """Run the tests of PyMySQL 0.10.1, and tests/test_auth.py of the installed version, with the installed PyMySQL."""
    old = source_distribution("PyMySQL", PYMYSQL_WITH_TESTS)
    package = directory / "pymysql"
    shutil.copytree(_installed("pymysql"), package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(old / "pymysql/tests", package / "tests")
    for module in ("_compat.py", "util.py"):
        shutil.copy(old / "pymysql" / module, package)
    # The files that the tests of LOAD DATA LOCAL load are in no source distribution but aiomysql's.
    shutil.copytree(_aiomysql() / "tests/fixtures", package / "tests/data")
    shutil.copy(certificates() / "ca.pem", directory)
    account = {"host": "127.0.0.1", "port": place.port, "user": "root", "password": place.password}
    databases = [
        {**account, "database": PYMYSQL_DATABASES[0], "use_unicode": True, "local_infile": True},
        {**account, "database": PYMYSQL_DATABASES[1]},
    ]
    (package / "tests/databases.json").write_text(json.dumps(databases), encoding="utf-8")
    auth = (source_distribution("PyMySQL", installed_version("PyMySQL")) / "tests/test_auth.py").read_text("utf-8")
    (package / "tests/test_auth.py").write_text(auth.replace("port = 3306", f"port = {place.port}"), encoding="utf-8")
    return _run(directory, ["pymysql/tests"])


def run_aiomysql(directory: Path, place: Place) -> dict[str, str]:
    """Run aiomysql's tests over TCP with TLS on both event loops, those of its connections over the socket too."""
    shutil.copytree(_aiomysql() / "tests", directory / "tests")
    (directory / "repaired_aiomysql.py").write_text(AIOMYSQL_REPAIR, encoding="utf-8")
    options = [
        "-p",
        "repaired_aiomysql",
        f"--mysql-address=tcp=127.0.0.1:{place.port}",
        f"--mysql-unix-socket=unix={place.socket}",
        "-k",
        f"(tcp or (asyncio and test_connection)) and not ({AIOMYSQL_NOT_RUN})",
    ]
    return _run(directory, ["tests", "--ignore=tests/sa", *options], MYSQL_ROOT_PASSWORD=place.password)


def certificates() -> Path:
    """The folder with the certificate that aiomysql's tests verify."""
    return _aiomysql() / "tests/ssl_resources/ssl"


def create_auth_accounts(places: Places) -> None:
    """The accounts of PyMySQL's tests/test_auth.py, with those plugins that the server has."""
    admin = places.admin()
    with admin, admin.cursor() as cursor:
        cursor.execute("SELECT plugin_name FROM information_schema.plugins")
        plugins = {str(name) for (name,) in cursor.fetchall()}
        for user, password in AUTH_PASSWORDS.items():
            plugin = "sha256_password" if user.endswith("_sha256") else "caching_sha2_password"
            if plugin in plugins:
                cursor.execute(f"CREATE USER {user} IDENTIFIED WITH {plugin} BY %s", (password,))
            else:
                cursor.execute(f"CREATE USER {user} IDENTIFIED BY %s", (password,))


def _aiomysql() -> Path:
    return source_distribution("aiomysql", installed_version("aiomysql"))


def _installed(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _run(directory: Path, arguments: Sequence[str], **environment: str) -> dict[str, str]:
    report = directory / "report.xml"
    alone = ["-c", "/dev/null", "--rootdir=.", "-p", "no:asyncio", "-p", "no:cacheprovider", "-p", "no:timeout"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *alone, "-q", "--tb=short", f"--junitxml={report}", *arguments],
        cwd=directory,
        env={**clean_environment(), **NO_AUTHORITIES, "HOME": str(directory), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_TIMEOUT,
    )
    (directory / "output.log").write_text(done.stdout, encoding="utf-8")
    assert report.exists(), done.stdout[-2000:]
    return outcomes(report)


def outcomes(report: Path) -> dict[str, str]:
    """Each test's outcome from pytest's XML report: ``passed``, ``skipped`` or what went wrong, in one line."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        [outcome] = [case.find(kind) for kind in ("failure", "error", "skipped") if case.find(kind) is not None] or [
            None
        ]
        found[name] = "passed" if outcome is None else outcome.tag
        if outcome is not None and outcome.tag != "skipped":
            found[name] = f"{outcome.tag}: {(outcome.get('message') or '')[:300]}"
    return found
