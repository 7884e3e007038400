"""Every way in and every way out: TCP, TLS and unix sockets, in all combinations, with large answers."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for


@pytest.mark.parametrize("way_out", ["tcp", "tls", "unix"])
@pytest.mark.parametrize("way_in", ["tcp", "tls", "unix"])
def test_in_and_out(
    server_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
    way_in: str,
    way_out: str,
) -> None:
    certificates = server_set.certificates
    assert certificates is not None
    settings = settings_for(server_set, tmp_path)
    group = settings["groups"]["main"]
    if way_out == "unix":
        for entry, server in zip(group["servers"], server_set.servers, strict=True):
            entry["address"] = f"unix:{server.socket}"
    elif way_out == "tls":
        group["tls"] = {"mode": "required", "ca": str(certificates.ca), "verify": "full"}
    else:
        group["tls"] = {"mode": "disabled"}
    settings["listeners"][0] = {
        "address": "127.0.0.1:0",
        "tls": {"certificate": str(certificates.certificate), "key": str(certificates.key)},
    }
    router = start_router(settings)
    options: dict[str, Any] = {}
    if way_in == "unix":
        options["unix_socket"] = router.unix_socket
    elif way_in == "tls":
        options["ssl"] = ssl.create_default_context(cafile=str(certificates.ca))
    with router.connect(**options) as connection, connection.cursor() as cursor:
        for role, sql in (
            ("primary", "/*+ router(primary) */ SELECT %s, REPEAT('x', %s)"),
            ("any", "SELECT %s, REPEAT('x', %s)"),
        ):
            for size in (1, 70_000, 5_000_000):
                cursor.execute(sql, (role, size))
                assert cursor.fetchall() == ((role, "x" * size),)
        cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        ((_, cipher),) = cursor.fetchall()
        assert bool(cipher) is (way_out == "tls")
        assert (getattr(connection, "_secure", False) and way_in == "tls") == (way_in == "tls")


def test_a_listener_that_requires_tls(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    certificates = server_set.certificates
    assert certificates is not None
    settings = settings_for(server_set, tmp_path)
    settings["listeners"][0] = {
        "address": "127.0.0.1:0",
        "tls": {"certificate": str(certificates.certificate), "key": str(certificates.key), "mode": "required"},
    }
    router = start_router(settings)
    with pytest.raises(pymysql.MySQLError) as caught:
        router.connect(ssl_disabled=True)
    assert caught.value.args[0] == 3159
    with router.connect(ssl=ssl.create_default_context(cafile=str(certificates.ca))) as connection:
        connection.ping()


def test_a_server_without_tls_is_not_used_when_tls_is_required(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    """The wrong authority: the router must not talk to this server, let alone log in."""
    settings = settings_for(server_set, tmp_path)
    settings["groups"]["main"]["tls"] = {"mode": "required", "verify": "full"}
    router = start_router(settings)
    assert router.call(lambda gateway: [server.up for server in gateway.topology.servers()]) == [False] * 3
