"""The listener of the admin interface: where, who, how many, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest

from router.admin import mysql as module
from router.admin.mysql import AdminMysql
from router.config.models import Admin, Limits
from router.sandbox.tls import make_certificates
from tests.admin.doors import Door


async def test_nowhere_unless_told() -> None:
    door = Door()
    admin = AdminMysql(Admin(), Limits(), door.world.inside, lambda: 1)
    assert await admin.start() is None
    admin.stop()


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with Door(address=f"unix:{path}").open() as door:
        assert door.address == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o660
        async with door.visit(unix_socket=str(path)) as client:
            assert await client.ask("SELECT USER()") == [("me@localhost",)]
    assert not path.exists()


async def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 2)
    async with Door().open() as door:
        async with door.visit(), door.visit():
            assert (await door.turned_away())[0] == 1040
        await door.until_empty()
        async with door.visit():
            pass


async def test_ids_are_unique() -> None:
    async with Door().open() as door, door.visit() as one, door.visit() as two:
        assert one.connection_id != two.connection_id
        door._last = 0
        async with door.visit() as three:
            assert three.connection_id not in (one.connection_id, two.connection_id)


async def test_stop_ends_everybody() -> None:
    door = Door()
    async with door.open(), contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(door.visit())
        door.admin.stop()
        await door.until_empty()
        assert (await client.refused("SELECT 1"))[0] in (2006, 2013)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", door.port)


@pytest.mark.parametrize("required", [False, True])
async def test_tls(tmp_path: Path, *, required: bool) -> None:
    """On this machine it is offered, and never required."""
    certificates = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    async with Door(users={"me": "x"}, tls=(context, required)).open() as door:
        async with door.visit(password="x", ssl={"ca": str(certificates.ca), "check_hostname": False}) as client:
            assert await client.ask("SELECT 1") == [(1,)]
        async with door.visit(password="x", ssl_disabled=True) as client:
            assert await client.ask("SELECT 1") == [(1,)]


async def test_tls_is_required_elsewhere(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    async with Door(users={"me": "x"}, address="0.0.0.0:0", tls=(context, True)).open() as door:
        assert (await door.turned_away(password="x", ssl_disabled=True))[0] == 3159
        async with door.visit(password="x", ssl={"ca": str(certificates.ca), "check_hostname": False}) as client:
            assert await client.ask("SELECT 1") == [(1,)]
