"""Where strings, comments and words end; nothing may be smuggled past."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.sql.lexer import LexMode, Token, TokenKind, mask, tokenize

PLAIN = LexMode()
RAW = LexMode(no_backslash_escapes=True)
ANSI = LexMode(ansi_quotes=True)
K = TokenKind


def kinds(sql: bytes, mode: LexMode = PLAIN) -> list[tuple[str, str]]:
    return [(token.kind.name, token.text) for token in tokenize(sql, mode)]


def words(sql: bytes, mode: LexMode = PLAIN) -> list[str]:
    return [token.text for token in tokenize(sql, mode)]


def test_each_kind_of_token() -> None:
    assert kinds(b"SELECT `a`, 'b', 1, ?, @c, @@d") == [
        ("WORD", "SELECT"),
        ("QUOTED", "`a`"),
        ("PUNCT", ","),
        ("STRING", "'b'"),
        ("PUNCT", ","),
        ("NUMBER", "1"),
        ("PUNCT", ","),
        ("PARAM", "?"),
        ("PUNCT", ","),
        ("USERVAR", "@c"),
        ("PUNCT", ","),
        ("SYSVAR", "@@d"),
    ]


def test_offsets_point_into_the_text() -> None:
    sql = b"  SELECT /* x */ 'a''b' -- y\n FROM t"
    assert [sql[token.start : token.end] for token in tokenize(sql, PLAIN)] == [b"SELECT", b"'a''b'", b"FROM", b"t"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"1", ["1"]),
        (b"1.5", ["1.5"]),
        (b".5", [".5"]),
        (b"1.", ["1."]),
        (b"1.e3", ["1.e3"]),
        (b"1e5", ["1e5"]),
        (b"1e+5", ["1e+5"]),
        (b"0x1F", ["0x1F"]),
        (b"0b01", ["0b01"]),
        (b"-1", ["-", "1"]),
        (b"5--1", ["5", "-", "-", "1"]),
        (b"1-2", ["1", "-", "2"]),
        (b"1.FOR", ["1.", "FOR"]),
        (b"1.5a", ["1.5", "A"]),
        (b"1e5a", ["1e5", "A"]),
        (b".5a", [".5", "A"]),
    ],
)
def test_numbers(sql: bytes, expected: list[str]) -> None:
    assert words(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"1abc", ["1ABC"]),
        (b"0xZZ", ["0XZZ"]),
        (b"a$b_1", ["A$B_1"]),
        (b"t.5a", ["T", ".", "5A"]),
        (b"`t`.5", ["`t`", ".", "5"]),
        (b"a.b.c", ["A", ".", "B", ".", "C"]),
        ("größe".encode(), ["GR\xc3\xb6\xc3\x9fE"]),
        (b"`a``b`", ["`a``b`"]),
        (b"`a b`", ["`a b`"]),
        (b"``", ["``"]),
    ],
)
def test_identifiers(sql: bytes, expected: list[str]) -> None:
    assert words(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"@a", ["@a"]),
        (b"@a.b$c", ["@a.b$c"]),
        (b"@'a b'", ["@'a b'"]),
        (b'@"a"', ['@"a"']),
        (b"@`a`", ["@`a`"]),
        (b"@a:=1", ["@a", ":=", "1"]),
        (b"@@session.x", ["@@session", ".", "X"]),
        (b"@@`x`", ["@@`x`"]),
        (b"'u'@'h'", ["'u'", "@'h'"]),
    ],
)
def test_variables(sql: bytes, expected: list[str]) -> None:
    assert words(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"a:=b", ["A", ":=", "B"]),
        (b"a->'$.x'", ["A", "->", "'$.x'"]),
        (b"a->>'$.x'", ["A", "->>", "'$.x'"]),
        (b"a<=>b", ["A", "<=>", "B"]),
        (b"a<>b!=c", ["A", "<>", "B", "!=", "C"]),
        (b"a<<b>>c", ["A", "<<", "B", ">>", "C"]),
        (b"a||b&&c", ["A", "||", "B", "&&", "C"]),
        (b"{d '2020-01-01'}", ["{", "D", "'2020-01-01'", "}"]),
        (b"\\N", ["\\N"]),
    ],
)
def test_operators(sql: bytes, expected: list[str]) -> None:
    assert words(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"a -- c\nb", ["A", "B"]),
        (b"a --\nb", ["A", "B"]),
        (b"a --\tc\nb", ["A", "B"]),
        (b"a --", ["A"]),
        (b"a --b", ["A", "-", "-", "B"]),
        (b"a # c\nb", ["A", "B"]),
        (b"a #c", ["A"]),
        (b"a /* c */ b", ["A", "B"]),
        (b"a/**/b", ["A", "B"]),
        (b"a /* ' */ b '", ["A", "B", "'"]),
        (b"a -- '\nb", ["A", "B"]),
        (b"a /* -- */ b", ["A", "B"]),
        (b"a /* /* */ b", ["A", "B"]),
        (b"a '-- /* #' b", ["A", "'-- /* #'", "B"]),
        (b"a `/*` b", ["A", "`/*`", "B"]),
        (b"a -- c\rb", ["A"]),
        (b"2*/1", ["2", "*", "/", "1"]),
    ],
)
def test_comments(sql: bytes, expected: list[str]) -> None:
    assert words(sql) == expected


@pytest.mark.parametrize(
    ("sql", "mode", "expected"),
    [
        (b"'it''s'", PLAIN, ["'it''s'"]),
        (rb"'it\'s'", PLAIN, [r"'it\'s'"]),
        (rb"'a\\' b", PLAIN, [r"'a\\'", "B"]),
        (rb"'a\' b", RAW, [r"'a\'", "B"]),
        (rb"'a\'; DELETE FROM t -- '", PLAIN, [r"'a\'; DELETE FROM t -- '"]),
        (rb"'a\'; DELETE FROM t -- '", RAW, [r"'a\'", ";", "DELETE", "FROM", "T"]),
        (b'"it""s"', PLAIN, ['"it""s"']),
        (rb'"a\"b"', PLAIN, [r'"a\"b"']),
        (rb'"a\" b', ANSI, ['"a\\"', "B"]),
        (b"'a' 'b'", PLAIN, ["'a'", "'b'"]),
        (b"N'x' x'41' b'01' _utf8'x'", PLAIN, ["N", "'x'", "X", "'41'", "B", "'01'", "_UTF8", "'x'"]),
        (b"'a\nb'", PLAIN, ["'a\nb'"]),
        (b"'a\0b'", PLAIN, ["'a\0b'"]),
    ],
)
def test_strings(sql: bytes, mode: LexMode, expected: list[str]) -> None:
    assert words(sql, mode) == expected


def test_double_quotes_are_identifiers_under_ansi_quotes() -> None:
    assert kinds(b'"a"', PLAIN) == [("STRING", '"a"')]
    assert kinds(b'"a"', ANSI) == [("QUOTED", '"a"')]


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT 'abc",
        b'SELECT "abc',
        b"SELECT `abc",
        b"SELECT 1 /* abc",
        b"SELECT 1 /*+ abc",
        b"SELECT 1 /*! abc",
        b"SELECT 1\0",
        b"SELECT 1 --\xa0c",
        b"SELECT \x01",
        rb"SELECT \x",
        b"/*! /* x */ */",
        b"/*! 1 /*! 2 */ 3 */",
        b"/*!99999 'a*/ DROP TABLE t; -- ' */",
        b"/*!99999 -- */\n DROP TABLE t */",
        b"/*!99999 `*/ DROP TABLE t -- ` */",
        b"SELECT /*+ SET_VAR(a='*/ 1 -- ') */ 2",
    ],
)
def test_what_servers_could_read_differently_is_invalid(sql: bytes) -> None:
    assert any(token.kind is K.INVALID for token in tokenize(sql, PLAIN))


def test_versioned_comments_are_opened() -> None:
    assert kinds(b"/*!40101 SET x=1 */") == [
        ("VERSIONED_OPEN", "/*!40101"),
        ("WORD", "SET"),
        ("WORD", "X"),
        ("PUNCT", "="),
        ("NUMBER", "1"),
        ("VERSIONED_CLOSE", "*/"),
    ]
    assert words(b"SELECT /*! 1 */ /*M!100100 2 */ /*!080023 3 */")[1] == "/*!"
    assert [t.text for t in tokenize(b"/*M!100100 2 */", PLAIN)] == ["/*M!100100", "2", "*/"]
    # To today's MariaDB the marker is case-sensitive; better not rely on that.
    assert words(b"/*m!100100 2 */") == ["/*m!100100", "2", "*/"]


def test_hints_are_kept() -> None:
    assert kinds(b"/*+ router(primary) */ SELECT 1")[0] == ("HINT", "/*+ router(primary) */")
    assert words(b"/* + router(primary) */ SELECT 1") == ["SELECT", "1"]


# -- character sets --------------------------------------------------------------------------------------------


def test_gbk_backslash_inside_a_character() -> None:
    # 0xBF5C is one character: the quote behind it ends the string.
    sql = b"SELECT '\xbf\x5c' OR 1=1 -- '"
    assert words(sql, LexMode(unsafe_charset="gbk"))[2:] == ["OR", "1", "=", "1"]
    assert len(words(sql, PLAIN)) == 2  # in UTF-8 the backslash escapes the quote


def test_sjis_and_friends() -> None:
    for charset in ("sjis", "cp932"):
        assert words(b"'\x83\x5c'", LexMode(unsafe_charset=charset)) == ["'\xff\xff'"]
    assert words(b"'\xa4\x5c'", LexMode(unsafe_charset="big5")) == ["'\xff\xff'"]
    assert words(b"'\x81\x30\x81\x30'", LexMode(unsafe_charset="gb18030")) == ["'\xff\xff\xff\xff'"]


@pytest.mark.parametrize("charset", ["gbk", "sjis", "cp932", "big5", "gb18030", "unheard-of"])
def test_malformed_text_is_invalid_as_a_whole(charset: str) -> None:
    tokens = tokenize(b"SELECT '\xff' FROM t", LexMode(unsafe_charset=charset))
    assert [token.kind for token in tokens] == [K.INVALID]
    assert words(b"SELECT 1", LexMode(unsafe_charset=charset)) == ["SELECT", "1"]


@pytest.mark.parametrize("charset", ["gbk", "sjis", "cp932", "big5", "gb18030"])
@given(text=st.text(max_size=20))
def test_mask_agrees_with_the_codec(charset: str, text: str) -> None:
    """Wherever Python can encode, characters of more than one byte vanish and ASCII stays."""
    try:
        raw = text.encode(charset)
    except UnicodeEncodeError:
        return
    masked = mask(raw, charset)
    if masked is None:
        return  # refused: safe
    position = 0
    for character in text:
        size = len(character.encode(charset))
        piece = masked[position : position + size]
        assert (
            piece == (character.encode(charset) if size == 1 and character.isascii() else b"\xff" * size) or size == 1
        )
        position += size


# -- robustness ------------------------------------------------------------------------------------------------

modes = st.builds(
    LexMode,
    ansi_quotes=st.booleans(),
    no_backslash_escapes=st.booleans(),
    unsafe_charset=st.sampled_from([None, "gbk", "sjis", "gb18030"]),
)
fragments = st.lists(
    st.sampled_from(
        [
            *b"' \" ` \\ /* */ /*! /*!50000 /*M! /*+ -- # @ @@ ; \0 x 1 . e SELECT ( ) \xa0 \xbf\x5c $$ :=".split(),
            b" ",
            b"\n",
        ]
    ),
    max_size=30,
).map(b"".join)
texts = st.one_of(st.binary(max_size=60), fragments)


@given(sql=texts, mode=modes)
def test_any_bytes_make_tokens(sql: bytes, mode: LexMode) -> None:
    tokens = tokenize(sql, mode)
    position = 0
    for token in tokens:
        assert position <= token.start <= token.end <= len(sql)
        position = token.end


@given(sql=texts, mode=modes)
def test_nothing_is_lost_between_tokens(sql: bytes, mode: LexMode) -> None:
    """What lies between tokens is white space and comments, nothing else."""
    position = 0
    for token in [*tokenize(sql, mode), Token(K.PUNCT, len(sql), len(sql), "")]:
        gap = sql[position : token.start].strip(b" \t\n\v\f\r")
        assert gap == b"" or gap[:1] in (b"#", b"/", b"-"), gap
        position = token.end


@pytest.mark.parametrize(
    "sql",
    [
        b"'" * 60001, b'"\\"' * 30000, b"`" * 60001, b"/*" * 30000, b"/*!" * 20000 + b"*/" * 20000, b"/*+" * 20000,
        b"1" * 60000 + b"a", b"@'" * 30000, b"/*! '*/' " * 8000, b"-" * 60000, b"/*a*/" * 12000 + b"/*",
        b"'a''" * 20001, b"/*!*/" * 12000,
    ],
)  # fmt: skip
def test_hostile_text_takes_linear_time(sql: bytes) -> None:
    started = time.perf_counter()
    tokenize(sql, PLAIN)
    assert time.perf_counter() - started < 2
