"""Keys leave out literals and nothing else; digests compare what keys tell apart needlessly."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.sql.fingerprint import digest_text, fingerprinter, literals, shrink
from router.sql.lexer import LexMode
from tests.sql.test_lexer import modes, texts

PLAIN = LexMode()
key = fingerprinter(PLAIN)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"SELECT c FROM t WHERE id=5043", b"SELECT c FROM t WHERE id=1"),
        (b"SELECT 'a', \"b\", 1.5, 1e9, 0x1F", b"SELECT 'it''s', \"\", 2, 0.1, 0xFF"),
        (rb"SELECT 'a\'b'", b"SELECT ''"),
        (b"SELECT -5", b"SELECT -6"),
        (b"LIMIT 10,20", b"LIMIT 1,2"),
        (b"x'41' N'a' _utf8'b'", b"x'42' N'' _utf8'c'"),
        (b"5--1", b"6--2"),
    ],
)
def test_literals_do_not_count(one: bytes, other: bytes) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"SELECT a1", b"SELECT a2"),
        (b"SELECT t.5", b"SELECT t.6"),
        (b"SELECT `t`.5", b"SELECT `t`.6"),
        (b"SELECT `a1`", b"SELECT `a2`"),
        (b"SELECT 1a", b"SELECT 2a"),
        (b"SELECT a$1", b"SELECT a$2"),
        (b"SELECT \xc3\xa91", b"SELECT \xc3\xa92"),
        (b"SELECT /* 1 */ 1", b"SELECT /* 2 */ 1"),
        (b"/*+ router(max_lag=1s) */ SELECT 1", b"/*+ router(max_lag=2s) */ SELECT 1"),
        (b"/*!50001 SELECT 1 */", b"/*!50002 SELECT 1 */"),
        (b"SELECT 1 -- 1", b"SELECT 1 -- 2"),
        (b"SELECT 1 # '1'", b"SELECT 1 # '2'"),
        (b"SET @'a1' = 1", b"SET @'a2' = 1"),
        (b'SET @"a1" = 1', b'SET @"a2" = 1'),
        (b"SET @a1 = 1", b"SET @a2 = 1"),
        (b"SELECT 1", b"SELECT ?"),
        (b"SELECT 1", b"select 1"),
        (b"SELECT #`x`\n1", b"SELECT `x`\n1"),
        (b"-- `x`", b"`- `x`"),
        (b"SELECT 1 FROM #x`\n t", b"SELECT 1 FROM `x`\n t"),
        (b"INSERT INTO t VALUES (1)", b"INSERT INTO t VALUES (1,2)"),
        (b"SELECT 'abc", b"SELECT 'abd"),
        (b"SELECT ''", b"SELECT '"),
    ],
)
def test_everything_else_counts(one: bytes, other: bytes) -> None:
    assert key(one) != key(other)


def test_mode_decides_what_is_a_literal() -> None:
    ansi = fingerprinter(LexMode(ansi_quotes=True))
    assert key(b'SELECT "a"') == key(b'SELECT "b"')
    assert ansi(b'SELECT "a"') != ansi(b'SELECT "b"')
    assert ansi(b'SELECT "t1".5') != ansi(b'SELECT "t1".6')
    raw = fingerprinter(LexMode(no_backslash_escapes=True))
    assert raw(rb"SELECT 'a\', 1") != raw(rb"SELECT 'a\', f(1), 'b'")
    assert raw(rb"SELECT 'a\', 1") == raw(rb"SELECT 'b\', 2")


def test_text_of_unsafe_charsets_is_kept_whole() -> None:
    gbk = fingerprinter(LexMode(unsafe_charset="gbk"))
    assert gbk(b"SELECT '\xbf\x5c', 1") == (b"SELECT '\xbf\x5c', 1",)
    assert gbk(b"SELECT 'a', 1") == gbk(b"SELECT 'b', 2")


def test_literals_come_in_order() -> None:
    assert literals(b"SELECT 'a', t.5, 1.5 /* 'x' */ FROM `t1` WHERE a=\"b\" -- 9", PLAIN) == [b"'a'", b"1.5", b'"b"']


@pytest.mark.parametrize(
    ("sql", "digest"),
    [
        (b"select * from orders", "SELECT * FROM orders"),
        (b"SELECT  *\n FROM `orders` ;", "SELECT * FROM orders"),
        (b"SELECT * FROM Orders", "SELECT * FROM Orders"),
        (b"/* c */ SELECT/**/* FROM orders -- x", "SELECT * FROM orders"),
        (b"SELECT * FROM t WHERE id IN (1, 2, 'x')", "SELECT * FROM t WHERE id IN ( ? )"),
        (b"select * from t where id in (1)", "SELECT * FROM t WHERE id IN ( ? )"),
        (b"SELECT * FROM t WHERE a=-5", "SELECT * FROM t WHERE a = ?"),
        (b"SELECT a-5 FROM t", "SELECT a - ? FROM t"),
        (b"INSERT INTO t VALUES (1,'a'),(2,'b')", "INSERT INTO t VALUES ( ? )"),
        (b"SELECT `a b`, `select` FROM t", "SELECT `a b` , `select` FROM t"),
        (b"SELECT * FROM t LIMIT 10", "SELECT * FROM t LIMIT ?"),
    ],
)
def test_digests(sql: bytes, digest: str) -> None:
    assert digest_text(sql, PLAIN) == digest


@given(sql=texts, mode=modes)
def test_keys_are_made_of_anything_and_shrinking_never_fails(sql: bytes, mode: LexMode) -> None:
    parts = fingerprinter(mode)(sql)
    assert isinstance(hash(parts), int)
    shrink(sql, mode)
    digest_text(sql, mode)


TEMPLATES = [
    b"SELECT {} FROM t WHERE a = {} AND b IN ({}, {})",
    b"INSERT INTO `t1` (a) VALUES ({}), ({})",
    b"SELECT t.5, {} -- {}\n + {} /* {} */",
    b"UPDATE t SET a = -{} WHERE b = x{}",
    b"SET @'v{}' = {}",
    b"SELECT {}{}",
    b"SELECT {}.{}",
    b"SELECT f({}, {}) /*! , {} */",
]
values = st.one_of(
    st.integers(0, 10**20).map(lambda number: b"%d" % number),
    st.floats(0, 1e9, allow_nan=False).map(lambda number: repr(number).encode()),
    st.text(alphabet="ab'\"\\` ;-/*#01", max_size=8).map(
        lambda text: b"'" + text.replace("\\", "\\\\").replace("'", "''").encode() + b"'"
    ),
)


def fill(template: bytes, filling: list[bytes]) -> bytes:
    pieces = template.split(b"{}")
    text = pieces[0]
    for piece, value in zip(pieces[1:], filling, strict=False):
        text += value + piece
    return text


@given(template=st.sampled_from(TEMPLATES), one=st.lists(values, min_size=4, max_size=4), mode=modes)
def test_equal_keys_have_equal_digests(template: bytes, one: list[bytes], mode: LexMode) -> None:
    make = fingerprinter(mode)
    sql, same = fill(template, one), fill(template, [b"7", b"'x'", b"8", b"9"])
    if make(sql) == make(same):
        assert digest_text(sql, mode) == digest_text(same, mode)


def test_shrinking_leaves_one_row_and_one_item() -> None:
    assert (
        shrink(b"INSERT INTO t (a,b) VALUES (1,'x'),(2,'y'), (-3, NULL)", PLAIN) == b"INSERT INTO t (a,b) VALUES ('')"
    )
    assert (
        shrink(b"SELECT * FROM t WHERE a IN (1,2,3) AND b=0xAF", PLAIN) == b"SELECT * FROM t WHERE a IN ('') AND b=''"
    )
    assert shrink(b"INSERT INTO t VALUES (f('a'),'b'),(f('c'),'d')", PLAIN) == b"INSERT INTO t VALUES (f(''),'')"
    assert shrink(b"SELECT 'a' /* 'b' */ , `c1`", PLAIN) == b"SELECT '' /* 'b' */ , `c1`"
    assert shrink(b"SELECT 1, f(2), 3", PLAIN) == b"SELECT '', f(''), ''"


@pytest.mark.parametrize(
    "sql",
    [
        b"'" * 60001, b'"\\"' * 30000, b"`" * 60001, b"/*" * 30000, b"1" * 60000 + b"a", b"@'" * 30000,
        b"1.1.1" * 12000, b"`a`" * 20000 + b"`", b"('','')," * 8000 + b"(", b"(a,(b)),(a,(c))," * 4000,
        b"-''" * 20000, b"(()" * 20000, b"('')," * 12000 + b"''",
    ],
)  # fmt: skip
def test_hostile_text_takes_linear_time(sql: bytes) -> None:
    started = time.perf_counter()
    key(sql)
    shrink(sql, PLAIN)
    assert time.perf_counter() - started < 2
