"""MariaDB's ed25519 on both sides of the router: a server whose accounts use it, and MariaDB's own client."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import ReplicaSet, SandboxUnavailable, start_replica_set
from router.wire.ed25519 import ed25519_key, format_ed25519
from tests.clients.ways import missing
from tests.fix_router import RunningRouter, settings_for
from tests.suites.sources import mariadb_plugins

PASSWORD = "Schlüssel ✓"
KEY = format_ed25519(ed25519_key(PASSWORD.encode()))


@pytest.fixture(scope="module")
def signing_set() -> Iterator[ReplicaSet]:
    """A MariaDB server with the account ``signer``."""
    options = (f"--plugin-dir={mariadb_plugins()}", "--plugin-load-add=auth_ed25519")
    try:
        made = start_replica_set("mariadb", replicas=0, options=options)
    except SandboxUnavailable as unavailable:
        missing(str(unavailable))
    with made as servers:
        root = servers.primary
        root.execute("CREATE USER signer@'%%' IDENTIFIED VIA ed25519 USING PASSWORD(%s)", (PASSWORD,))
        assert KEY in str(root.value("SHOW CREATE USER signer@'%'")), "the server computes the same key"
        root.execute("GRANT ALL ON test.* TO signer@'%'")
        yield servers


@pytest.fixture
def signing(
    signing_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> RunningRouter:
    """A router in front of it: ``signer`` known by password, ``keyed`` by key only."""
    settings = settings_for(signing_set, tmp_path)
    signer = {"user": "signer", "password": PASSWORD}
    settings["users"]["signer"] = {"password": PASSWORD}
    settings["users"]["keyed"] = {"password_hash": KEY, "backend": signer}
    return start_router(settings)


def cli(port: int, user: str, password: str, *options: str) -> tuple[int, str]:
    """MariaDB's client; (exit status, what it says)."""
    login = ["--host=127.0.0.1", f"--port={port}", f"--user={user}", f"--password={password}", "--skip-ssl"]
    command = ["mariadb", "--no-defaults", *login, *options, "--batch", "--skip-column-names"]
    done = subprocess.run(
        [*command, "--execute=SELECT CURRENT_USER()"], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("user", ["signer", "keyed"])
@pytest.mark.parametrize("options", [(), ("--default-auth=client_ed25519",)], ids=["default", "named"])
def test_clients_sign_in(signing: RunningRouter, user: str, options: tuple[str, ...]) -> None:
    assert cli(signing.port, user, PASSWORD, *options) == (0, "signer@%\n")
    status, text = cli(signing.port, user, PASSWORD + "x", *options)
    assert status == 1
    assert f"ERROR 1045 (28000): Access denied for user '{user}'@'127.0.0.1' (using password: YES)" in text


def test_a_wrong_password_as_the_server_says_it(signing: RunningRouter, signing_set: ReplicaSet) -> None:
    for user in ("signer", "nobody"):
        status, text = cli(signing.port, user, "wrong", "--default-auth=client_ed25519")
        direct, words = cli(signing_set.primary.port, user, "wrong", "--default-auth=client_ed25519")
        assert status == direct == 1
        assert text.replace("'127.0.0.1'", "'localhost'") == words.replace("'127.0.0.1'", "'localhost'")


def test_another_client_signs_in(signing: RunningRouter) -> None:
    with signing.connect(user="keyed", password=PASSWORD.encode()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER()")
        assert cursor.fetchall() == (("signer@%",),)


def test_a_change_of_user(signing: RunningRouter) -> None:
    MySQLdb = pytest.importorskip("MySQLdb")
    connection = MySQLdb.connect(host="127.0.0.1", port=signing.port, user="signer", password=PASSWORD)
    for user in ("keyed", "signer"):
        connection.change_user(user, PASSWORD)
        cursor = connection.cursor()
        cursor.execute("SELECT CURRENT_USER()")
        assert cursor.fetchall() == (("signer@%",),)
    connection.close()
