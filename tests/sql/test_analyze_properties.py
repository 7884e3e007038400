"""Properties of the analysis: it never raises, never calls a disguised write a read, and depends on no literal."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from router.sql.analyze import SHRINK_ABOVE, analyze
from router.sql.fingerprint import fingerprinter
from router.sql.lexer import LexMode
from tests.fuzz.fuzz_lexer import check
from tests.sql.test_analyze import NOT_READS, facts
from tests.sql.test_fingerprint import fill, values
from tests.sql.test_lexer import modes, texts


@given(sql=texts, mode=modes)
@settings(max_examples=300)
def test_any_bytes_have_facts(sql: bytes, mode: LexMode) -> None:
    analyze(sql, mode)


WORDS = (
    "SELECT FROM t a , ( ) 1 'x' FOR UPDATE INTO @x := f COUNT * ; GET_LOCK LOCK IN SHARE MODE /*! */ /*!50000 --"
    " ' \" ` WITH AS UNION SET DELETE INSERT VALUES EXPLAIN . @@x NEXT VALUE WHERE = LAST_INSERT_ID()"
)
sql_fragments = st.lists(st.sampled_from(WORDS.split(" ")), max_size=14)
SUSPICIOUS = (
    "GET_LOCK",
    "FOR UPDATE",
    "INTO",
    "@x",
    ":=",
    "LOCK IN SHARE MODE",
    "NEXT VALUE FOR",
    "LAST_INSERT_ID",
    "@@x",
)


@given(fragments=sql_fragments)
@settings(max_examples=500)
def test_reads_hold_nothing_suspicious(fragments: list[str]) -> None:
    """Unless it stands in a string, a name or a comment: leave those out."""
    if any(quote in fragments for quote in ("'", '"', "`", "--")):
        return
    text = " ".join(fragments)
    if facts(text).read:
        assert not any(word in text for word in SUSPICIOUS), text
        assert "DELETE" not in text.replace("EXPLAIN DELETE", "")


noise = st.sampled_from(["/* c */", "-- c\n", "# c\n", "\n", "\t", " ", "/**/", "\r\n", "/*+ x */"])


@given(sql=st.sampled_from(sorted(sql for sql in NOT_READS if "\0" not in sql and sql)), data=st.data())
@settings(max_examples=400)
def test_comments_space_and_case_never_make_a_read(sql: str, data: st.DataObject) -> None:
    places = [index for index, character in enumerate(sql) if character == " "]
    if sql.count("'") % 2 or "--" in sql or "$" in sql:
        return
    inside = [index for index in places if sql[:index].count("'") % 2 == 0 and sql[:index].count('"') % 2 == 0]
    for index in sorted(
        data.draw(st.lists(st.sampled_from(inside), max_size=3, unique=True)) if inside else [], reverse=True
    ):
        sql = sql[:index] + data.draw(noise) + sql[index + 1 :]
    changes: list[Callable[[str], str]] = [str, str.lower, str.upper, str.swapcase]
    change = data.draw(st.sampled_from(changes))
    before, after = data.draw(noise), data.draw(noise)
    assert not facts(f"{before} {change(sql)} {after}").read


@given(
    template=st.sampled_from(
        [
            b"SELECT {} FROM t WHERE a = {} AND b IN ({}, {})",
            b"INSERT INTO `t1` (a) VALUES ({}), ({})",
            b"SELECT t.5, {} -- {}\n + {} /* {} */ FROM t",
            b"SELECT {}, f({}), @@x, @v{}",
            b"SET @'v{}' = {}, a = {}",
            b"SELECT {}{} FROM t",
            b"SELECT {}.{} FROM t",
            b"SELECT {} /*! , {} */ FROM t",
            b"SHOW TABLES LIKE {}",
            b"SELECT a{} FROM t{}",
            b"SELECT {} INTO @a{}",
        ]
    ),
    filling=st.lists(values, min_size=4, max_size=4),
    mode=modes,
)
@settings(max_examples=400)
def test_equal_keys_have_equal_facts(template: bytes, filling: list[bytes], mode: LexMode) -> None:
    """Of literals of the same kinds: `SELECT 7'x'` is an alias, `SELECT 'y'3` a syntax error wherever it goes."""
    make = fingerprinter(mode)
    same = [b"'x'" if value[:1] == b"'" else b"7" for value in filling]
    one, two = fill(template, filling), fill(template, same)
    if make(one) == make(two):
        assert analyze(one, mode) == analyze(two, mode)


@given(count=st.integers(1, 3), filling=st.lists(values, min_size=4, max_size=4), mode=modes)
@settings(max_examples=50)
def test_shrinking_changes_no_facts(count: int, filling: list[bytes], mode: LexMode) -> None:
    row = fill(b"({},{},{},{})", filling)
    short = b"INSERT INTO t (a,b,c,d) VALUES " + b",".join([row] * count)
    long = short + b",".join([b"", *[row] * (SHRINK_ABOVE // len(row) + 1)])
    assert analyze(short, mode) == analyze(long, mode)


@given(data=st.one_of(st.binary(max_size=40), texts.map(lambda text: b"\0" + text)))
@settings(max_examples=300)
def test_the_fuzz_target_holds(data: bytes) -> None:
    check(data)
