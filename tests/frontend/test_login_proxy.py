"""Clients behind a load balancer: they are who the PROXY header says, and nobody else may say so."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from ipaddress import ip_network

import pymysql
import pytest
from pymysql.connections import Connection

from tests.frontend.house import PASSWORD, House, Run

HERE = [ip_network("127.0.0.0/8")]
V1 = b"PROXY TCP4 10.1.2.3 127.0.0.1 5000 3306\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\1\2\3\x7f\0\0\1\x13\x88\x0c\xea"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


def introduced(house: House, header: bytes, user: str) -> Connection:
    """PyMySQL behind a balancer that sends ``header``."""
    line = socket.create_connection(("127.0.0.1", house.port))
    line.sendall(header)
    connection = pymysql.connect(user=user, password=PASSWORD.encode(), defer_connect=True)
    try:
        connection.connect(line)
    except pymysql.MySQLError:
        line.close()
        raise
    return connection


@pytest.mark.parametrize("header", [V1, V2])
def test_the_client_is_who_the_header_says(run: Run, header: bytes) -> None:
    async def test() -> None:
        async with House(balancers=HERE).open() as house:
            connection = await asyncio.to_thread(introduced, house, header, "elsewhere")
            assert house.welcomes[-1].client_address == house.welcomes[-1].client_host == "10.1.2.3"
            await asyncio.to_thread(connection.close)
            await house.left()
            with pytest.raises(pymysql.MySQLError, match=r"'here'@'10\.1\.2\.3'"):
                await asyncio.to_thread(introduced, house, header, "here")
            await house.left()

    run(test())


def test_the_balancers_own_connections_are_its_own(run: Run) -> None:
    async def test() -> None:
        async with House(balancers=HERE).open() as house:
            connection = await asyncio.to_thread(introduced, house, LOCAL, "here")
            assert house.welcomes[-1].client_address == "127.0.0.1"
            await asyncio.to_thread(connection.close)
            await house.left()

    run(test())


def test_nobody_else_may_introduce_clients(run: Run) -> None:
    async def test() -> None:
        async with House(balancers=[ip_network("192.0.2.0/24")]).open() as house:
            with pytest.raises(pymysql.MySQLError):
                await asyncio.to_thread(introduced, house, V1, "elsewhere")
            await house.left()
            assert house.counters.connections["accepted"] == 0
            await house.visit("here")

    run(test())


@pytest.mark.parametrize("data", [b"PROXY TCP4 nonsense\r\n", bytes(40)])
def test_what_is_no_header_ends_the_connection(run: Run, data: bytes) -> None:
    async def test() -> None:
        async with House(balancers=HERE).open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            writer.write(data)
            with suppress(ConnectionResetError):
                assert await reader.read() == b"", "not even a greeting"
            writer.close()
            await house.left()
            assert house.counters.connections == {"aborted": 1}

    run(test())


def test_a_header_that_does_not_come_is_waited_for_no_longer_than_a_login(run: Run) -> None:
    async def test() -> None:
        async with House(balancers=HERE, timeout=0.2).open() as house:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            writer.write(V1[:20])
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            await house.left()
            assert house.counters.connections == {"timeout": 1}

    run(test())
