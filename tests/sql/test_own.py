"""``@@router_gtid``, in the few forms in which it is understood."""

from __future__ import annotations

import pytest

from router.sql.own import asks_gtid, told_gtid


@pytest.mark.parametrize(
    ("sql", "asks"),
    [
        (b"SELECT @@router_gtid", True),
        (b" select @@SESSION.router_gtid ; ", True),
        (b"SELECT @@global.router_gtid", False),
        (b"SELECT @@router_gtid, 1", False),
        (b"SELECT '@@router_gtid'", False),
    ],
)
def test_asking(sql: bytes, asks: bool) -> None:
    assert asks_gtid(sql) is asks
    assert told_gtid(sql) is None


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (b"SET @@router_gtid = 'main=0-1-7'", "main=0-1-7"),
        (b"set session router_gtid='x'", "x"),
        (b'SET router_gtid := "y";', "y"),
        (b"SET @@session.router_gtid = ''", ""),
        (b"SET GLOBAL router_gtid = 'x'", None),
        (b"SET router_gtid = 'x', autocommit = 1", None),
        (b"SET router_gtid = 'a\\'b'", None),
        (b"SET @router_gtid = 'x'", None),
        (b"SET names utf8mb4", None),
    ],
)
def test_telling(sql: bytes, told: str | None) -> None:
    assert told_gtid(sql) == told
    assert not asks_gtid(sql)
